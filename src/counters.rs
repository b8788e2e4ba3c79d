//! What has happened so far: counted once per turn or connection, shown in the status line, the statistics, the summary
//! and `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// What has happened so far.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records that were skipped (behaviour 1.4).
    pub skipped: AtomicU64,
    /// Records that were sent without a part that an option asked for (behaviour 3.2).
    pub incomplete: AtomicU64,
    /// How often the incoming event stream said that events are missing.
    pub lost_upstream: AtomicU64,
    /// Events that were published.
    pub events: AtomicU64,
    /// Bytes read from standard input.
    pub bytes_in: AtomicU64,
    /// Bytes written to clients.
    pub bytes_out: AtomicU64,
    /// Streams that were opened.
    pub served: AtomicU64,
    /// Streams that are open.
    pub streams: AtomicUsize,
    /// Clients dropped because they read nothing for too long.
    pub stalled: AtomicU64,
    /// Clients dropped because they fell behind what the log holds.
    pub behind: AtomicU64,
    /// Connections turned away because there were too many.
    pub turned_away: AtomicU64,
    /// Whether any client has ever joined.
    pub joined: AtomicBool,
    /// Whether the store could not be written or read as a whole.
    pub store_failed: AtomicBool,
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counters {
    /// Whether a client has ever joined.
    pub fn has_joined(&self) -> bool {
        self.joined.load(Ordering::SeqCst)
    }

    /// Whether every record was sent, and none was missing in the incoming event stream, or in the store.
    pub fn is_whole(&self) -> bool {
        get(&self.skipped) == 0 && get(&self.lost_upstream) == 0 && !self.store_failed.load(Ordering::Relaxed)
    }

    /// The status line, given the time since the last call: clients, events, their rate, drops.
    pub fn status(self: Arc<Self>) -> impl FnMut(Duration) -> String + Send {
        let mut before = get(&self.events);
        let mut rate = 0.0;
        move |time| {
            let events = get(&self.events);
            // Smoothed over a second or so: a number that jumps can't be read.
            let now = (events - before) as f64 / time.as_secs_f64();
            rate += (now - rate) * time.as_secs_f64().min(1.0);
            before = events;
            let mut text = format!(
                "{} · {} · {rate:.0}/s",
                count(self.streams.load(Ordering::Relaxed) as u64, "client"),
                count(events, "event"),
            );
            let dropped = get(&self.stalled) + get(&self.behind);
            if dropped > 0 {
                text += &format!(" · {dropped} dropped");
            }
            if get(&self.skipped) > 0 {
                text += &format!(" · {} skipped", get(&self.skipped));
            }
            text
        }
    }

    /// One line of statistics (SIGUSR1); the log takes `held` bytes.
    pub fn statistics(&self, held: usize) -> String {
        format!(
            "clients: {} now, {} so far; {} events, {} bytes read, {} bytes written; {} stalled, {} too slow; \
             {} records skipped; log {held} bytes",
            self.streams.load(Ordering::Relaxed),
            get(&self.served),
            get(&self.events),
            get(&self.bytes_in),
            get(&self.bytes_out),
            get(&self.stalled),
            get(&self.behind),
            get(&self.skipped),
        )
    }

    /// One line at the end: events, clients served, drops, records skipped.
    pub fn summary(&self) -> String {
        let (stalled, behind) = (get(&self.stalled), get(&self.behind));
        let mut text = format!("{} to {}", count(get(&self.events), "event"), count(get(&self.served), "client"));
        if stalled + behind > 0 {
            text += &format!(", {} dropped ({stalled} stalled, {behind} too slow)", stalled + behind);
        }
        if get(&self.skipped) > 0 {
            text += &format!(", {} skipped", count(get(&self.skipped), "record"));
        }
        if get(&self.incomplete) > 0 {
            text += &format!(", {} incomplete", count(get(&self.incomplete), "record"));
        }
        if get(&self.lost_upstream) > 0 {
            text += &format!(", {} upstream", count(get(&self.lost_upstream), "gap"));
        }
        text
    }
}

/// `1 event`, `2 events`.
fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
