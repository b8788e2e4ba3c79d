//! Serving: what a request gets, a connection's life, the workers that move the bytes, and the server above them.
//!
//! `answer`, `connection`, `attendance`, `cursors`, `metrics` and `pace` are values, without a socket, a clock or a thread;
//! `feed`, `folder`, `listen`, `socket`, `shared`, `worker` and `server` have them.

pub mod answer;
pub mod attendance;
pub mod connection;
pub mod cursors;
pub mod feed;
pub mod folder;
pub mod listen;
pub mod metrics;
pub mod pace;
pub mod page;
pub mod server;
pub mod shared;
pub mod socket;
pub mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// What has happened so far, for the summary and the statistics; counted once per turn or connection.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records that were left out (contract 1.4).
    pub left_out: AtomicU64,
    /// Records that were sent without something that was asked of them (contract 3.2).
    pub incomplete: AtomicU64,
    /// How often the event stream that comes in said that events are missing.
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
    /// Clients dropped because they took nothing for too long.
    pub stalled: AtomicU64,
    /// Clients dropped because they fell behind what the log holds.
    pub behind: AtomicU64,
    /// Connections turned away because there were too many.
    pub turned_away: AtomicU64,
    /// Whether any client ever joined.
    pub joined: AtomicBool,
}

impl Counters {
    /// The status line: clients, events, their rate since the last time, drops.
    pub fn status(self: Arc<Self>) -> crate::report::Status {
        let mut before = self.events.load(Ordering::Relaxed);
        let mut rate = 0.0;
        Box::new(move |time| {
            let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
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
            if get(&self.left_out) > 0 {
                text += &format!(" · {} left out", get(&self.left_out));
            }
            text
        })
    }

    /// One line at the end: events, clients served, drops, records left out.
    pub fn summary(&self) -> String {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (stalled, behind) = (get(&self.stalled), get(&self.behind));
        let mut text = format!("{} to {}", count(get(&self.events), "event"), count(get(&self.served), "client"));
        if stalled + behind > 0 {
            text += &format!(", {} dropped ({stalled} stalled, {behind} too slow)", stalled + behind);
        }
        if get(&self.left_out) > 0 {
            text += &format!(", {} left out", count(get(&self.left_out), "record"));
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
