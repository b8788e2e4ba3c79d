//! What all workers and the server share: the settings, the gate, the counters, and which clients must still get
//! something.

use super::drain::Drain;
use super::files::Job;
use crate::counters::Counters;
use crate::feed::gate::Gate;
use crate::http::metrics::Gauges;
use crate::http::service::Service;
use crate::log::Log;
use crate::report::Report;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What all workers and the server share.
#[derive(Debug)]
pub struct Shared {
    /// What a request gets.
    pub service: Service,
    /// Sends jobs to the thread that reads the user's own page, if there is one.
    pub files: Option<Sender<Job>>,
    /// `--max-clients`.
    pub max_clients: usize,
    /// A comment is sent after this time without an event.
    pub heartbeat: Option<Duration>,
    /// A client that reads nothing for this long while something is pending for it is dropped.
    pub stall: Duration,
    /// The shortest and the longest reconnection time of clients.
    pub retry: (Duration, Duration),
    /// The shared log, and what holds the reader back.
    pub gate: Arc<Gate>,
    /// What has happened so far.
    pub counters: Arc<Counters>,
    /// Which clients must still get something before the program may end.
    pub drain: Mutex<Drain>,
    /// Messages to the terminal.
    pub report: Arc<Report>,
    /// Connections of any kind, for each worker: the least loaded one gets the next.
    pub loads: Vec<AtomicUsize>,
    /// Those of them that get a short answer, and so don't count for `--max-clients`.
    pub short: AtomicUsize,
    /// How many workers know that the program is ending.
    pub ending: AtomicUsize,
    /// How many workers have sent everything and seen it acknowledged.
    pub parted: AtomicUsize,
    /// Whether the server must know when a client joins or leaves.
    pub watched: AtomicBool,
    /// Wakes the server.
    pub server: Arc<mio::Waker>,
}

impl Shared {
    /// Which clients must still get something; locked for a moment, never during anything that takes time.
    pub fn drain(&self) -> MutexGuard<'_, Drain> {
        self.drain.lock().expect("nobody panics with it")
    }

    /// One line of statistics (SIGUSR1).
    pub fn statistics(&self) -> String {
        self.counters.statistics(self.gate.held())
    }

    /// Connections of any kind.
    pub fn connections(&self) -> usize {
        self.loads.iter().map(|load| load.load(Ordering::Relaxed)).sum()
    }

    /// Connections that count for `--max-clients`: streams, and those that have not sent a request yet.
    pub fn places_taken(&self) -> usize {
        self.connections().saturating_sub(self.short.load(Ordering::Relaxed))
    }

    /// What `/metrics` shows in addition to the counters; all 0 without `--metrics`.
    pub fn gauges(&self, log: &Log) -> Gauges {
        if !self.service.metrics {
            return Gauges::default();
        }
        Gauges {
            connections: self.connections() as u64,
            lag: self.gate.slowest().map_or(0, |slowest| log.end_offset().saturating_sub(slowest)),
            history: log.first_of_latest(0) - log.first_of_latest(self.gate.history()),
            log: self.gate.held() as u64,
        }
    }

    /// Wakes the server, if it must know when a client joins or leaves.
    pub fn notify_server(&self) {
        if self.watched.load(Ordering::SeqCst) {
            self.wake_server();
        }
    }

    /// Wakes the server.
    pub fn wake_server(&self) {
        // It fails only if the kernel has not even a few bytes of memory left.
        let _ = self.server.wake();
    }
}
