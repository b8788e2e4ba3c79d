//! The pace: how far the reader may run ahead of the clients (contract 5.4). Pure arithmetic on offsets.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Who sets the pace of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The fastest client.
    Fastest,
    /// The slowest client, so that every one gets everything.
    Slowest,
    /// The input: reading never waits.
    Input,
}

/// How far the reader may be ahead of the client that sets the pace `fastest`: enough that encoding and sending go
/// on side by side, and little enough that what is sent is still in the processor's cache.
const AHEAD: u64 = 4 << 20;

/// Where one worker's clients are. Written by the worker at the end of each turn, read by the reader.
#[derive(Debug, Default)]
pub struct Progress {
    streams: AtomicUsize,
    fastest: AtomicU64,
    slowest: AtomicU64,
}

impl Progress {
    /// Tells where the clients are: how many streams, and the largest and the smallest cursor.
    pub fn publish(&self, streams: usize, fastest: u64, slowest: u64) {
        self.fastest.store(fastest, Ordering::SeqCst);
        self.slowest.store(slowest, Ordering::SeqCst);
        self.streams.store(streams, Ordering::SeqCst);
    }

    /// A stream begins at `cursor`: told at once, before the floor moves on.
    pub fn join(&self, cursor: u64) {
        let (fastest, slowest) = match self.streams() {
            0 => (cursor, cursor),
            _ => (self.fastest.load(Ordering::SeqCst).max(cursor), self.slowest.load(Ordering::SeqCst).min(cursor)),
        };
        self.publish(self.streams() + 1, fastest, slowest);
    }

    /// How many streams there are.
    pub fn streams(&self) -> usize {
        self.streams.load(Ordering::SeqCst)
    }
}

impl Pace {
    /// Whether more may be published behind `head`, when everything before `floor` has to go for it, out of a log
    /// of at most `buffer` bytes.
    pub fn allows<'a>(self, head: u64, floor: u64, buffer: usize, workers: impl Iterator<Item = &'a Progress>) -> bool {
        let with_clients = workers.filter(|worker| worker.streams() > 0);
        match self {
            Pace::Input => true,
            Pace::Fastest => {
                let fastest = with_clients.map(|worker| worker.fastest.load(Ordering::SeqCst)).max();
                fastest.is_none_or(|cursor| {
                    let near = head.saturating_sub(cursor) <= AHEAD.min(buffer as u64 / 2);
                    near && cursor >= floor // records may be large: the fastest client is never dropped for one
                })
            }
            Pace::Slowest => {
                let slowest = with_clients.map(|worker| worker.slowest.load(Ordering::SeqCst)).min();
                slowest.is_none_or(|cursor| cursor >= floor)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_waits_for_whom_it_is_told_to() {
        const MIB: u64 = 1 << 20;
        let workers = |cursors: &[&[u64]]| -> Vec<Progress> {
            let progress = |cursors: &&[u64]| {
                let progress = Progress::default();
                let (most, least) = (cursors.iter().max(), cursors.iter().min());
                progress.publish(cursors.len(), most.copied().unwrap_or(0), least.copied().unwrap_or(0));
                progress
            };
            cursors.iter().map(progress).collect()
        };
        for (cursors, fastest, slowest) in [
            (&[&[][..], &[]][..], true, true),               // no client: as fast as it comes
            (&[&[100 * MIB][..], &[]], true, true),          // all caught up
            (&[&[97 * MIB][..], &[]], true, true),           // a little behind
            (&[&[90 * MIB][..], &[]], false, true),          // more than is sent at a time
            (&[&[90 * MIB, 99 * MIB][..], &[]], true, true), // one is fast enough
            (&[&[36 * MIB][..], &[99 * MIB]], true, false),  // one, of another worker, would fall off the log
            (&[&[38 * MIB, 37 * MIB][..], &[99 * MIB]], true, true),
        ] {
            let workers = workers(cursors);
            let allows = |pace: Pace| pace.allows(100 * MIB, 37 * MIB, 64 << 20, workers.iter());
            assert_eq!(allows(Pace::Fastest), fastest, "fastest: {cursors:?}");
            assert_eq!(allows(Pace::Slowest), slowest, "slowest: {cursors:?}");
            assert!(allows(Pace::Input));
        }
        let near = workers(&[&[99 * MIB]]);
        let large = |pace: Pace| pace.allows(100 * MIB, 100 * MIB, 64 << 20, near.iter());
        assert!(!large(Pace::Fastest) && !large(Pace::Slowest), "it still stands in what a large record pushes out");
    }
}
