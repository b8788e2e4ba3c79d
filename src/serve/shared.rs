//! What all workers and the server share: the settings, the feed, the counters and the book of those who come and go.

use super::Counters;
use super::answer::{Found, Moment, Outside, Service};
use super::attendance::Attendance;
use super::feed::Feed;
use super::folder;
use super::metrics::Metrics;
use crate::report::Report;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What all workers and the server share.
#[derive(Debug)]
pub struct Shared {
    /// What a request gets.
    pub service: Service,
    /// The person's page, where there is one.
    pub page: Option<PathBuf>,
    /// The history: so many events, or (`None`) 1000, and all until the first client has joined.
    pub history: Option<u64>,
    /// A comment after so long without an event.
    pub heartbeat: Option<Duration>,
    /// A client that takes nothing for so long while something waits for it is dropped.
    pub stall: Duration,
    /// The shortest and the longest reconnection time that clients are told.
    pub retry: (Duration, Duration),
    /// The way of the batches.
    pub feed: Arc<Feed>,
    /// What has happened so far.
    pub counters: Arc<Counters>,
    /// Who comes and goes.
    pub attendance: Mutex<Attendance>,
    /// The way to the terminal.
    pub report: Arc<Report>,
    /// Connections of any kind, for each worker: the least loaded one gets the next.
    pub loads: Vec<AtomicUsize>,
    /// How many workers know that the end has come.
    pub ending: AtomicUsize,
    /// Whether the server wants to know when somebody joins or leaves.
    pub watched: AtomicBool,
    /// Wakes the server.
    pub server: Arc<mio::Waker>,
}

/// By default so many past events are kept for newcomers, once a client has joined.
const DEFAULT_HISTORY: u64 = 1000;

impl Shared {
    /// How many past events count as the history at the moment.
    pub fn history(&self) -> u64 {
        match self.history {
            Some(entries) => entries,
            None if self.counters.joined.load(Ordering::SeqCst) => DEFAULT_HISTORY,
            None => u64::MAX,
        }
    }

    /// The book of those who come and go; held for a moment, never across anything that takes time.
    pub fn attendance(&self) -> MutexGuard<'_, Attendance> {
        self.attendance.lock().expect("nobody panics with it")
    }

    /// One line of statistics (SIGUSR1).
    pub fn statistics(&self) -> String {
        let counters = &self.counters;
        let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "clients: {} now, {} so far; {} events, {} bytes read, {} bytes written; {} stalled, {} too slow; \
             {} records left out; log {} bytes",
            counters.streams.load(Ordering::Relaxed),
            get(&counters.served),
            get(&counters.events),
            get(&counters.bytes_in),
            get(&counters.bytes_out),
            get(&counters.stalled),
            get(&counters.behind),
            get(&counters.left_out),
            self.feed.held(),
        )
    }

    /// What a lookup comes to; a file is opened, to be read as the client takes it.
    pub fn look_for(&self, wanted: &Outside, moment: &Moment) -> (Found, Option<File>) {
        let path = self.page.as_deref().unwrap_or(Path::new(""));
        match wanted {
            Outside::OwnPage => folder::own_page(path),
            Outside::OwnFile(file) => folder::own_file(path, file),
            Outside::Metrics => (Found::Metrics(self.metrics(moment)), None),
        }
    }

    fn metrics(&self, Moment { log, history, .. }: &Moment) -> Metrics {
        let counters = &self.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Metrics {
            clients: counters.streams.load(Ordering::Relaxed) as u64,
            connections: self.loads.iter().map(|load| load.load(Ordering::Relaxed) as u64).sum(),
            served: get(&counters.served),
            events: get(&counters.events),
            bytes_in: get(&counters.bytes_in),
            bytes_out: get(&counters.bytes_out),
            stalled: get(&counters.stalled),
            behind: get(&counters.behind),
            turned_away: get(&counters.turned_away),
            left_out: get(&counters.left_out),
            lag: self.feed.slowest().map_or(0, |slowest| log.head().saturating_sub(slowest)),
            history: log.first_of_latest(0) - log.first_of_latest(*history),
            log: self.feed.held() as u64,
        }
    }

    /// Wakes the server, where it wants to know who comes and goes.
    pub fn tell_server(&self) {
        if self.watched.load(Ordering::SeqCst) {
            // It fails only if the kernel is out of memory for a few bytes.
            let _ = self.server.wake();
        }
    }
}
