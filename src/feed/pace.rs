//! The pace: how far the reader may run ahead of the clients (behaviour 5.4). Pure arithmetic on offsets.

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

/// Where one worker's clients are. Written by the worker at the end of each turn, read by the reader.
#[derive(Debug, Default)]
pub struct Progress {
    streams: AtomicUsize,
    fastest: AtomicU64,
    slowest: AtomicU64,
}

impl Progress {
    /// Publishes where the clients are: how many streams, and the largest and the smallest cursor.
    pub fn publish(&self, streams: usize, fastest: u64, slowest: u64) {
        self.fastest.store(fastest, Ordering::SeqCst);
        self.slowest.store(slowest, Ordering::SeqCst);
        self.streams.store(streams, Ordering::SeqCst);
    }

    /// A stream begins at `cursor`: published at once, before the eviction bound moves on.
    pub fn join(&self, cursor: u64) {
        let (fastest, slowest) = match self.streams() {
            0 => (cursor, cursor),
            _ => (self.fastest.load(Ordering::SeqCst).max(cursor), self.slowest.load(Ordering::SeqCst).min(cursor)),
        };
        self.publish(self.streams() + 1, fastest, slowest);
    }

    /// Where the slowest client is; `None` without clients.
    pub fn slowest(&self) -> Option<u64> {
        (self.streams() > 0).then(|| self.slowest.load(Ordering::SeqCst))
    }

    /// How many streams there are.
    pub fn streams(&self) -> usize {
        self.streams.load(Ordering::SeqCst)
    }
}

impl Pace {
    /// Whether more may be published after `end`, if everything before `evict_before` must be evicted for it.
    /// `stalled`: no client has read anything for a while.
    ///
    /// Only `input` runs ahead of the fastest client. With the others, what is sent is still in the processor's cache,
    /// and what arrives meanwhile becomes one batch, for one write to each client. If all clients are stalled, they
    /// don't hold the input back: it continues as long as nothing must be evicted that one of them needs.
    pub fn allows<'a>(
        self,
        end: u64,
        evict_before: u64,
        stalled: bool,
        workers: impl Iterator<Item = &'a Progress> + Clone,
    ) -> bool {
        let with_clients = workers.filter(|worker| worker.streams() > 0);
        let fastest = with_clients.clone().map(|worker| worker.fastest.load(Ordering::SeqCst)).max();
        let mut slowest = with_clients.map(|worker| worker.slowest.load(Ordering::SeqCst));
        let one_has_all = fastest.is_none_or(|cursor| cursor >= end);
        let mut nobody_loses = || slowest.all(|cursor| cursor >= evict_before);
        match self {
            Pace::Input => true,
            Pace::Fastest => one_has_all || stalled && nobody_loses(),
            Pace::Slowest => (one_has_all || stalled) && nobody_loses(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_waits_for_the_clients_that_the_pace_names() {
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
        // Each pace, with clients that read and with stalled ones.
        for (cursors, fastest, slowest, stalled) in [
            (&[&[][..], &[]][..], true, true, true),       // no client: as fast as it comes
            (&[&[100 * MIB][..], &[]], true, true, true),  // all caught up
            (&[&[99 * MIB][..], &[]], false, false, true), // no client has everything, but there is room
            (&[&[90 * MIB, 100 * MIB][..], &[]], true, true, true), // one is fast enough
            (&[&[36 * MIB][..], &[99 * MIB]], false, false, false), // one, of another worker, would fall off the log
            (&[&[36 * MIB][..], &[100 * MIB]], true, false, false), // the same, and the fastest has everything
            (&[&[38 * MIB, 37 * MIB][..], &[100 * MIB]], true, true, true),
        ] {
            let workers = workers(cursors);
            let allows = |pace: Pace, stalled| pace.allows(100 * MIB, 37 * MIB, stalled, workers.iter());
            assert_eq!(allows(Pace::Fastest, false), fastest, "fastest: {cursors:?}");
            assert_eq!(allows(Pace::Slowest, false), slowest, "slowest: {cursors:?}");
            assert_eq!(allows(Pace::Fastest, true), fastest || stalled, "fastest, stalled: {cursors:?}");
            assert_eq!(allows(Pace::Slowest, true), stalled, "slowest, stalled: {cursors:?}");
            assert!(allows(Pace::Input, false));
        }
    }
}
