//! The reader's end of the feed: it adds each batch to the shared log, makes room for it first, and wakes the workers
//! that have clients.

use super::gate::Gate;
use crate::log::batch::Draft;
use crate::log::segment::Segments;
use crate::log::store::Store;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What wakes a worker: it then looks for new batches in the shared log.
pub type Wake = Box<dyn Fn() + Send>;

/// From this many streams on a batch is worth a place in a segment, if it has this many bytes: filling the pages of a
/// segment costs about as much as two copies to a socket.
const MANY_STREAMS: usize = 32;
/// With a store its pages are filled in any case: then one stream is enough.
const ANY_STREAM: usize = 1;
const LARGE_BATCH: usize = 64 << 10;

/// The reader's end of the feed.
pub struct Publisher {
    gate: Arc<Gate>,
    /// One for each worker.
    wakes: Vec<Wake>,
    /// No byte is read before this many streams are open (`--wait`).
    least_streams: usize,
    /// Number of the first entry with the ID of an earlier one.
    repeated_id: Option<u64>,
    segments: Segments,
    /// Keeps the log on disk.
    store: Option<Arc<Store>>,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl Publisher {
    /// The end of a feed through `gate` to the workers that `wakes` wake.
    pub fn new(gate: Arc<Gate>, wakes: Vec<Wake>, least_streams: usize) -> Publisher {
        let segments = gate.segments();
        Publisher { gate, wakes, least_streams, repeated_id: None, segments, store: None }
    }

    /// The same, with a store that keeps the log.
    pub fn keeping(self, store: Option<Arc<Store>>) -> Publisher {
        Publisher { store, ..self }
    }

    /// Blocks until enough clients are connected to begin.
    pub fn wait_for_clients(&self) {
        self.gate.wait_for_streams(self.least_streams);
    }

    /// Blocks until the pace allows reading on. `false`: the program is ending, read no more.
    pub fn wait_for_pace(&self) -> bool {
        self.gate.wait_for_pace();
        !self.gate.is_stopped()
    }

    /// Waits this long for the program to end. If it does, nothing is published afterwards.
    pub fn wait_for_stop(&self, time: Duration) {
        self.gate.wait_for_stop(time);
    }

    /// Publishes what the draft holds, if anything, once the pace allows it; this many `events` are counted. `false`:
    /// the program is ending, and nothing was published.
    pub fn publish(&mut self, draft: &mut Draft, events: u64) -> bool {
        if draft.is_empty() {
            return true;
        }
        let cost = draft.cost();
        if !self.gate.evict_for(cost) {
            return false;
        }
        if !self.gate.fits(cost) {
            // Workers drop what has been evicted within a turn.
            self.wake_workers();
            self.gate.wait_for_memory(cost);
        }
        let least_streams = if self.store.is_some() { ANY_STREAM } else { MANY_STREAMS };
        let pays = draft.len() >= LARGE_BATCH && self.gate.streams() >= least_streams;
        let batch = match &self.store {
            Some(store) => draft.finish_in(store, !pays),
            None => draft.finish(pays.then_some(&mut self.segments)),
        };
        if let Some(batch) = batch {
            let Ok(repeated_id) = self.gate.append(batch, events) else { return false };
            self.repeated_id = self.repeated_id.or(repeated_id);
            self.wake_workers();
        }
        true
    }

    /// Number of the first entry with the ID of an earlier one that was still held then.
    pub fn repeated_id(&self) -> Option<u64> {
        self.repeated_id
    }

    /// Whether anything was evicted because the buffer was full.
    pub fn has_overflowed(&self) -> bool {
        self.gate.has_overflowed()
    }

    /// A worker that gets its first client just now has looked at the shared log, or will.
    fn wake_workers(&self) {
        self.gate.with_streams().for_each(|worker| self.wakes[worker]());
    }
}

#[cfg(test)]
mod tests {
    use super::super::gate::Bounds;
    use super::super::pace::Pace;
    use super::*;
    use crate::counters::Counters;
    use crate::log::batch::{BATCH_COST, Entry, INDEX_COST};
    use crate::log::id::Run;
    use crate::log::memory::Memory;
    use crate::log::{Ids, Log};
    use std::sync::atomic::{AtomicUsize, Ordering};

    const EVENT: usize = 100;
    /// The cost of an event that is its own batch.
    const COST: usize = EVENT + INDEX_COST + BATCH_COST;

    struct Feed {
        publisher: Publisher,
        draft: Draft,
        gate: Arc<Gate>,
        counters: Arc<Counters>,
        /// How often each worker was woken.
        woken: [Arc<AtomicUsize>; 2],
    }

    impl Feed {
        fn new(bounds: Bounds) -> Feed {
            let memory = Arc::new(Memory::new(10));
            let log = Log::new(Run::new(1), Ids::Run);
            let counters = Arc::<Counters>::default();
            let gate = Arc::new(Gate::new(bounds, log, Arc::clone(&memory), Arc::clone(&counters), 2));
            let woken = [(); 2].map(|()| Arc::<AtomicUsize>::default());
            let wake = |count: &Arc<AtomicUsize>| -> Wake {
                let count = Arc::clone(count);
                Box::new(move || _ = count.fetch_add(1, Ordering::SeqCst))
            };
            let wakes = woken.iter().map(wake).collect();
            Feed {
                publisher: Publisher::new(Arc::clone(&gate), wakes, 0),
                draft: Draft::new(memory),
                gate,
                counters,
                woken,
            }
        }

        fn publish(&mut self) -> bool {
            self.draft.push(Entry::Event, |out| out.resize(EVENT, b'x'));
            self.publisher.publish(&mut self.draft, 1)
        }

        fn woken(&self) -> [usize; 2] {
            self.woken.each_ref().map(|count| count.load(Ordering::SeqCst))
        }
    }

    fn view() -> Log {
        Log::new(Run::new(1), Ids::Run)
    }

    #[test]
    fn the_shared_log_keeps_to_the_buffer_and_wakes_no_worker_without_clients() {
        let mut feed = Feed::new(Bounds { pace: Pace::Fastest, buffer: 5 * COST, history: None, young: None });
        for nth in 1..=20_u64 {
            assert!(feed.publish());
            let held = nth.min(5);
            assert_eq!(feed.gate.admission().log().first(), nth + 1 - held);
            assert_eq!(feed.gate.held(), held as usize * COST);
            assert_eq!(feed.publisher.has_overflowed(), nth > 5);
        }
        assert_eq!(feed.woken(), [0, 0]);
        feed.gate.stop();
        assert!(!feed.publish(), "nothing is published by a program that ends");
        assert_eq!(feed.counters.events.load(Ordering::Relaxed), 20, "nor counted");
    }

    #[test]
    fn a_worker_is_woken_while_it_has_clients_and_finds_what_they_need() {
        let mut feed = Feed::new(Bounds { pace: Pace::Input, buffer: 50 * COST, history: Some(3), young: None });
        (0..10).for_each(|_| assert!(feed.publish()));
        let mut view = view();
        let admission = feed.gate.admission();
        let start = admission.log().start_new(2);
        assert_eq!(start.entry, 9);
        admission.join(1, start.cursor, &mut view);
        assert_eq!((view.start_offset(), view.end_offset()), (start.cursor, 10 * EVENT as u64));
        assert_eq!(feed.gate.held(), 3 * COST, "the history");
        (0..10).for_each(|_| assert!(feed.publish()));
        assert_eq!(feed.woken(), [0, 10]);
        assert!(feed.gate.follow(&mut view) && !feed.gate.follow(&mut view));
        assert_eq!((view.start_offset(), view.end_offset()), (start.cursor, 20 * EVENT as u64));
        assert_eq!(feed.gate.held(), 12 * COST, "what its client has not taken yet");
        view.evict(view.end_offset());
        feed.gate.advance(1, 1, view.end_offset(), view.end_offset(), true);
        assert_eq!(feed.gate.held(), 3 * COST, "the history");
        feed.gate.advance(1, 0, 0, 0, false);
        assert!(feed.publish());
        assert_eq!(feed.woken(), [0, 10], "its client has gone");
    }

    #[test]
    fn a_stalled_client_does_not_stop_the_input_while_the_buffer_has_room() {
        for pace in [Pace::Fastest, Pace::Slowest] {
            let places = 2 * size_of::<usize>();
            let mut feed = Feed::new(Bounds { pace, buffer: 5 * (COST + places), history: Some(0), young: None });
            feed.gate.admission().join(0, 0, &mut view());
            (0..5).for_each(|nth| assert!(feed.publish(), "{nth}"));
            assert_eq!((feed.gate.held(), feed.gate.evict_before()), (5 * COST, 0));
            // Now the buffer is full, and the reader waits for good.
            let gate = Arc::clone(&feed.gate);
            let sixth = std::thread::spawn(move || feed.publish().then_some(feed));
            while !gate.is_waiting_for(EVENT as u64) {
                std::thread::yield_now();
            }
            gate.advance(0, 1, 5 * EVENT as u64, 5 * EVENT as u64, true); // it has read everything
            assert!(sixth.join().expect("it has not panicked").is_some());
        }
    }
}
