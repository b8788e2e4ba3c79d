//! The gate between the reader and the workers: it keeps the log that all of them share, and holds the reader back
//! until the pace, the memory or the number of clients allows it to continue.
//!
//! The shared log has everything that may still be needed: the history for new clients, and what the slowest client has
//! not received yet. A worker copies pointers from it when it is woken ([`Gate::follow`]), so a worker without clients
//! costs nothing.
//!
//! One reader, any number of workers. Workers publish numbers and never wait long for anything; the reader blocks on a
//! condition variable. No wake-up is lost: the reader announces that it waits *before* it checks again, and a worker
//! stores its numbers *before* it checks whether the reader waits (all sequentially consistent). While a client is let
//! in ([`Admission`]) the log is locked: nothing is published and nothing evicted.

use super::pace::{Pace, Progress};
use crate::counters::Counters;
use crate::log::batch::old_batch_size;
use crate::log::memory::Memory;
use crate::log::segment::Segments;
use crate::log::{Batch, Log};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// By default this many past events are kept for new clients, once one has joined.
const DEFAULT_HISTORY: u64 = 1000;
/// Clients that read nothing for this long don't hold the reader back while the buffer has room.
const PATIENCE: Duration = Duration::from_millis(200);
/// What a batch costs a worker that holds it: its place in a list that may have just grown.
const PLACE_COST: usize = 2 * size_of::<Arc<Batch>>();

/// How much is kept, and who sets the pace.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Who sets the pace.
    pub pace: Pace,
    /// The most memory that batches may take, in bytes.
    pub buffer: usize,
    /// How many past events are kept; `None`: 1000, and all until the first client has joined.
    pub history: Option<u64>,
    /// With a store: how much of the log also stays in memory.
    pub young: Option<Young>,
}

/// How much of a log in a store stays in memory.
#[derive(Clone, Copy, Debug)]
pub struct Young {
    /// The most, in bytes.
    pub most: usize,
    /// Older batches are merged into pieces of about this many bytes. Each piece is read as a whole.
    pub block: usize,
}

impl Young {
    /// What suits a log of this many bytes.
    pub fn of(buffer: usize) -> Young {
        Young { most: MOST_YOUNG.min(buffer / 4), block: old_batch_size(buffer) }
    }
}

/// This much of a log in a store is in memory: little enough to fit the processor's cache, and to be filled again soon.
const MOST_YOUNG: usize = 2 << 20;

/// What reader and workers share.
#[derive(Debug)]
pub struct Gate {
    bounds: Bounds,
    /// The memory of all batches.
    memory: Arc<Memory>,
    counters: Arc<Counters>,
    /// Everything that may still be needed.
    log: Mutex<Log>,
    /// Offset just after its last byte.
    end: AtomicU64,
    /// Offset just after its oldest batch, which may be dropped once the slowest client and the history are beyond it.
    oldest_end: AtomicU64,
    /// Where the history began when this was last checked.
    history_start: AtomicU64,
    /// Everything before this offset must be evicted, even if a client needs it. Workers may not have noticed yet.
    evict_before: AtomicU64,
    stopped: AtomicBool,
    /// Where each worker's clients are.
    progress: Vec<Progress>,
    /// How often clients have read something.
    moves: AtomicU64,
    /// The value of `moves` at which clients have read nothing for so long that they count as stalled.
    stalled_at: AtomicU64,
    /// Whether the reader waits for a change.
    waiting: AtomicBool,
    /// What the reader waits for, if it is the pace alone.
    step: Step,
    changed: Condvar,
}

/// The next step of the reader: to publish after `end` and to evict everything before `evict_before`.
#[derive(Debug, Default)]
struct Step {
    wanted: AtomicBool,
    end: AtomicU64,
    evict_before: AtomicU64,
}

/// [`Gate::stop`] was called: it is too late to publish.
#[derive(Debug)]
pub(super) struct Stopped;

impl Gate {
    /// A gate for this many workers, around `log`, whose batches take `memory`.
    pub fn new(bounds: Bounds, log: Log, memory: Arc<Memory>, counters: Arc<Counters>, workers: usize) -> Gate {
        Gate {
            bounds,
            memory,
            counters,
            end: AtomicU64::new(log.end_offset()),
            log: Mutex::new(log),
            oldest_end: AtomicU64::new(u64::MAX),
            history_start: AtomicU64::new(0),
            evict_before: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            progress: (0..workers).map(|_| Progress::default()).collect(),
            moves: AtomicU64::new(0),
            stalled_at: AtomicU64::new(u64::MAX),
            waiting: AtomicBool::new(false),
            step: Step::default(),
            changed: Condvar::default(),
        }
    }

    /// A worker has finished a turn: its number of streams, the largest and the smallest cursor, and whether its
    /// clients have read anything.
    pub fn advance(&self, worker: usize, streams: usize, fastest: u64, slowest: u64, moved: bool) {
        self.progress[worker].publish(streams, fastest, slowest);
        if moved {
            self.moves.fetch_add(1, Ordering::SeqCst);
        }
        let needed = self.slowest().unwrap_or(u64::MAX).min(self.history_start.load(Ordering::SeqCst));
        if needed >= self.oldest_end.load(Ordering::SeqCst) {
            self.trim(&mut self.log());
        }
        // A turn that changes nothing for the reader need not wake it: with slow clients there are many.
        if !self.step.wanted.load(Ordering::SeqCst) || self.allows_step() {
            self.notify();
        }
    }

    /// Brings a worker's view up to date: adds what is new in the shared log, and drops nothing. `false`: there is
    /// nothing new.
    pub fn follow(&self, view: &mut Log) -> bool {
        if self.end.load(Ordering::SeqCst) == view.end_offset() {
            return false;
        }
        let needed = view.start_offset();
        view.follow(&self.log(), needed);
        true
    }

    /// The right to let a client in.
    pub fn admission(&self) -> Admission<'_> {
        Admission { gate: self, log: self.log() }
    }

    /// How many past events are the history at the moment.
    pub fn history(&self) -> u64 {
        match self.bounds.history {
            Some(entries) => entries,
            None if self.counters.has_joined() => DEFAULT_HISTORY,
            None => u64::MAX,
        }
    }

    /// What lies before this offset must be evicted.
    pub fn evict_before(&self) -> u64 {
        self.evict_before.load(Ordering::SeqCst)
    }

    /// Whether anything was evicted because the buffer was full.
    pub fn has_overflowed(&self) -> bool {
        self.evict_before() > 0
    }

    /// Where the slowest client is; `None` without clients.
    pub fn slowest(&self) -> Option<u64> {
        self.progress.iter().filter_map(Progress::slowest).min()
    }

    /// The memory that the log takes at the moment, in bytes.
    pub fn held(&self) -> usize {
        self.memory.held()
    }

    /// Nothing more is published from now on, so all workers end with the same batch.
    pub fn stop(&self) {
        let nobody_publishes = self.log();
        self.stopped.store(true, Ordering::SeqCst);
        drop(nobody_publishes);
        self.notify();
    }

    /// How many streams are open.
    pub fn streams(&self) -> usize {
        self.progress.iter().map(Progress::streams).sum()
    }

    /// Segments for the batches that come through this gate.
    pub(super) fn segments(&self) -> Segments {
        Segments::new(self.bounds.buffer, Arc::clone(&self.memory))
    }

    /// Waits this long for [`Gate::stop`].
    pub(super) fn wait_for_stop(&self, time: Duration) {
        let log = self.log();
        self.waiting.store(true, Ordering::SeqCst);
        let waited = self.changed.wait_timeout_while(log, time, |_| !self.is_stopped());
        drop(waited.expect("nobody panics with it"));
        self.waiting.store(false, Ordering::SeqCst);
    }

    /// Whether [`Gate::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Blocks until this many streams are open.
    pub(super) fn wait_for_streams(&self, least: usize) {
        self.wait_until(None, || self.streams() >= least);
    }

    /// Blocks until the pace allows continuing without another eviction.
    pub(super) fn wait_for_pace(&self) {
        self.wait_for_step(self.end.load(Ordering::SeqCst), self.evict_before());
    }

    /// Evicts as many of the oldest batches as a batch of this `cost` needs, once the pace allows it. `false`: the
    /// program is ending.
    pub(super) fn evict_for(&self, cost: usize) -> bool {
        loop {
            let (end, start) = {
                let log = self.log();
                (log.end_offset(), self.start_with(&log, cost))
            };
            self.wait_for_step(end, start);
            if self.is_stopped() {
                return false;
            }
            // A client may have joined since: checked again while none can.
            let mut log = self.log();
            let start = self.start_with(&log, cost);
            if self.allows(end, start) {
                self.evict_before.store(start, Ordering::SeqCst);
                self.trim(&mut log);
                return true;
            }
        }
    }

    /// Whether a batch of this cost fits into the buffer.
    pub(super) fn fits(&self, cost: usize) -> bool {
        self.memory.held() + cost <= self.bounds.buffer
    }

    /// Blocks until a batch of this cost fits into the buffer.
    pub(super) fn wait_for_memory(&self, cost: usize) {
        self.wait_until(None, || self.fits(cost));
    }

    /// Adds a batch to the shared log, counts its events before a client can have them, and drops what is not needed
    /// any more. Returns the number of the first entry whose ID another one has too.
    pub(super) fn append(&self, mut batch: Batch, events: u64) -> Result<Option<u64>, Stopped> {
        let mut log = self.log();
        if self.is_stopped() {
            return Err(Stopped); // some workers may have closed their streams already
        }
        self.counters.events.fetch_add(events, Ordering::Relaxed);
        let repeated_id = batch.enter_own_ids();
        log.append(Arc::new(batch));
        if let Some(Young { most, block }) = self.bounds.young {
            log.age(most, block);
        }
        self.trim(&mut log);
        self.end.store(log.end_offset(), Ordering::SeqCst);
        Ok(repeated_id)
    }

    /// The workers that have streams.
    pub(super) fn with_streams(&self) -> impl Iterator<Item = usize> {
        self.progress.iter().enumerate().filter(|(_, progress)| progress.streams() > 0).map(|(worker, _)| worker)
    }

    /// Where the log must begin for a batch of this `cost` to fit.
    fn start_with(&self, log: &Log, cost: usize) -> u64 {
        let places = self.with_streams().count() * PLACE_COST;
        self.evict_before().max(log.start_within(self.bounds.buffer, cost, places))
    }

    fn trim(&self, log: &mut Log) {
        let history = log.entry_start(log.first_of_latest(self.history()));
        let needed = history.min(self.slowest().unwrap_or(u64::MAX));
        log.evict_for_good(needed.max(self.evict_before()));
        self.history_start.store(history, Ordering::SeqCst);
        self.oldest_end.store(log.oldest_end(), Ordering::SeqCst);
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("nobody panics with it")
    }

    fn allows(&self, end: u64, evict_before: u64) -> bool {
        let stalled = self.stalled_at.load(Ordering::SeqCst) == self.moves.load(Ordering::SeqCst);
        self.bounds.pace.allows(end, evict_before, stalled, self.progress.iter())
    }

    fn allows_step(&self) -> bool {
        self.allows(self.step.end.load(Ordering::SeqCst), self.step.evict_before.load(Ordering::SeqCst))
    }

    /// Blocks until the pace allows publishing after `end` and evicting everything before `evict_before`.
    fn wait_for_step(&self, end: u64, evict_before: u64) {
        self.step.end.store(end, Ordering::SeqCst);
        self.step.evict_before.store(evict_before, Ordering::SeqCst);
        self.step.wanted.store(true, Ordering::SeqCst);
        self.wait_until(Some(PATIENCE), || self.allows_step());
        self.step.wanted.store(false, Ordering::SeqCst);
    }

    /// Whether the reader waits until the pace lets it evict everything before this offset.
    #[cfg(test)]
    pub(super) fn is_waiting_for(&self, evict_before: u64) -> bool {
        self.waiting.load(Ordering::SeqCst) && self.step.evict_before.load(Ordering::SeqCst) == evict_before
    }

    fn notify(&self) {
        if self.waiting.load(Ordering::SeqCst) {
            drop(self.log()); // the reader has checked and sleeps, or has not checked yet
            self.changed.notify_one();
        }
    }

    /// Blocks until `ready`, which is checked again at each change, or until the gate is stopped. Clients that read
    /// nothing for all of `patience` count as stalled.
    fn wait_until(&self, patience: Option<Duration>, ready: impl Fn() -> bool) {
        if ready() || self.is_stopped() {
            return;
        }
        let mut log = self.log();
        // Announced before it checks again: a change after this wakes it.
        self.waiting.store(true, Ordering::SeqCst);
        while !ready() && !self.is_stopped() {
            let moves = self.moves.load(Ordering::SeqCst);
            let waited = self.changed.wait_timeout(log, patience.unwrap_or(Duration::MAX));
            let (lock, timeout) = waited.expect("nobody panics with it");
            log = lock;
            if timeout.timed_out() && moves == self.moves.load(Ordering::SeqCst) {
                self.stalled_at.store(moves, Ordering::SeqCst);
            }
        }
        self.waiting.store(false, Ordering::SeqCst);
    }
}

/// The right to let a client in. While it is held nothing is published and nothing evicted. So the client's last event
/// ID is looked up in everything that any client has been sent, and its place is known before any of that can be
/// evicted.
#[derive(Debug)]
pub struct Admission<'a> {
    gate: &'a Gate,
    log: MutexGuard<'a, Log>,
}

impl Admission<'_> {
    /// The shared log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// A client of this worker begins at `cursor`, and finds in `view` what it needs. Returns whether it has something
    /// new for other clients.
    pub fn join(self, worker: usize, cursor: u64, view: &mut Log) -> bool {
        let progress = &self.gate.progress[worker];
        let needed = if progress.streams() > 0 { cursor.min(view.start_offset()) } else { cursor };
        let is_new = view.end_offset() < self.log.end_offset();
        view.follow(&self.log, needed);
        progress.join(cursor);
        self.gate.moves.fetch_add(1, Ordering::SeqCst);
        // The first client makes the history shorter: checked again after this turn.
        self.gate.history_start.store(u64::MAX, Ordering::SeqCst);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Ids;
    use crate::log::batch::{BATCH_COST, Draft, Entry, INDEX_COST};
    use crate::log::id::Run;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
    use std::thread;
    use std::time::Duration;

    /// How long anything may take on a busy machine.
    const DEADLINE: Duration = Duration::from_secs(30);
    const BUFFER: usize = 1000;

    fn gate(pace: Pace, workers: usize) -> Arc<Gate> {
        gate_of(pace, workers, BUFFER)
    }

    fn gate_of(pace: Pace, workers: usize, buffer: usize) -> Arc<Gate> {
        let bounds = Bounds { pace, buffer, history: None, young: None };
        let (memory, counters) = (Arc::new(Memory::new(100)), Arc::default());
        Arc::new(Gate::new(bounds, view(), memory, counters, workers))
    }

    fn view() -> Log {
        Log::new(Run::new(1), Ids::Run)
    }

    /// Adds this many entries of ten bytes, each a batch.
    fn append(gate: &Gate, draft: &mut Draft, entries: usize) {
        for _ in 0..entries {
            draft.push(Entry::Event, |out| out.extend_from_slice(b"0123456789"));
            gate.append(draft.finish(None).expect("has an entry"), 1).expect("is not stopped");
        }
    }

    /// Runs `body` as the reader; what it returns comes out of the channel.
    fn reader<T: Send + 'static>(gate: &Arc<Gate>, body: impl FnOnce(&Gate) -> T + Send + 'static) -> Receiver<T> {
        let (done, returned) = channel();
        let gate = Arc::clone(gate);
        thread::spawn(move || done.send(body(&gate)));
        returned
    }

    /// Waits until the reader sleeps, so that only a wake-up gets it on.
    fn until_it_waits(gate: &Gate) {
        let start = std::time::Instant::now();
        while !gate.waiting.load(Ordering::SeqCst) {
            assert!(start.elapsed() < DEADLINE, "the reader never waits");
            thread::yield_now();
        }
        drop(gate.log()); // it holds the lock until it sleeps
    }

    fn still_waits<T>(returned: &Receiver<T>) -> bool {
        matches!(returned.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout))
    }

    #[test]
    fn the_reader_sleeps_until_enough_streams_are_open_whichever_worker_has_them() {
        let gate = gate(Pace::Fastest, 2);
        let returned = reader(&gate, |gate| gate.wait_for_streams(3));
        until_it_waits(&gate);
        gate.admission().join(0, 0, &mut view());
        gate.admission().join(1, 0, &mut view());
        gate.advance(0, 1, 0, 0, true);
        assert!(still_waits(&returned), "two are not three");
        gate.advance(1, 2, 0, 0, true);
        assert_eq!(returned.recv_timeout(DEADLINE), Ok(()));
    }

    #[test]
    fn a_turn_that_gives_the_pace_wakes_the_reader() {
        // Twenty batches, with their places in two workers, fill the buffer; the next one needs the room of half.
        let each = 10 + INDEX_COST + BATCH_COST + 2 * PLACE_COST;
        let gate = gate_of(Pace::Slowest, 2, 20 * each + 2 * PLACE_COST);
        append(&gate, &mut Draft::new(Arc::clone(&gate.memory)), 20);
        gate.advance(0, 2, 200, 90, true);
        gate.advance(1, 1, 200, 200, true);
        let cost = 10 * each;
        let returned = reader(&gate, move |gate| gate.evict_for(cost));
        until_it_waits(&gate);
        gate.advance(0, 2, 200, 99, true);
        assert!(still_waits(&returned), "one client would fall off the log");
        gate.advance(0, 2, 200, 100, true);
        assert_eq!(returned.recv_timeout(DEADLINE), Ok(true));
        assert_eq!(gate.evict_before(), 100);
    }

    #[test]
    fn returned_memory_lets_the_reader_continue_after_the_next_turn_whatever_the_pace() {
        let gate = gate(Pace::Fastest, 1);
        gate.wait_for_step(10, 0); // nobody is connected
        gate.admission().join(0, 0, &mut view());
        gate.memory.count(BUFFER);
        let returned = reader(&gate, |gate| gate.wait_for_memory(1));
        until_it_waits(&gate);
        gate.advance(0, 1, 0, 0, false);
        assert!(still_waits(&returned), "nothing was given back");
        gate.memory.give_back(Default::default(), 1);
        gate.advance(0, 1, 0, 0, false);
        assert_eq!(returned.recv_timeout(DEADLINE), Ok(()));
        assert!(!gate.allows(10, 0), "its client has not read yet, but this says nothing about how long");
    }

    #[test]
    fn stopping_wakes_the_reader_from_every_wait() {
        let waits: [fn(&Gate); 4] = [
            |gate| gate.wait_for_streams(2),
            |gate| gate.wait_for_step(10, 1),
            |gate| gate.wait_for_memory(BUFFER + 1),
            |gate| assert!(!gate.evict_for(BUFFER), "nothing is evicted for a program that ends"),
        ];
        for wait in waits {
            let gate = gate(Pace::Slowest, 1);
            append(&gate, &mut Draft::new(Arc::clone(&gate.memory)), 1);
            gate.advance(0, 1, 0, 0, true);
            let returned = reader(&gate, wait);
            until_it_waits(&gate);
            gate.stop();
            assert_eq!(returned.recv_timeout(DEADLINE), Ok(()));
            assert_eq!(gate.evict_before(), 0);
        }
    }

    #[test]
    fn nothing_is_evicted_while_a_client_is_let_in_nor_what_it_needs_afterwards() {
        let gate = gate(Pace::Slowest, 1);
        append(&gate, &mut Draft::new(Arc::clone(&gate.memory)), 3);
        let admission = gate.admission();
        let returned = reader(&gate, |gate| gate.evict_for(BUFFER));
        assert!(still_waits(&returned), "no client may be let in and left behind at once");
        let mut view = view();
        admission.join(0, 10, &mut view);
        until_it_waits(&gate);
        assert_eq!((gate.evict_before(), view.start_offset(), view.end_offset()), (0, 10, 30));
        gate.advance(0, 1, 30, 30, true);
        assert_eq!(returned.recv_timeout(DEADLINE), Ok(true));
        assert_eq!(gate.evict_before(), 30);
    }

    #[test]
    fn a_client_that_joins_takes_nothing_from_those_of_the_same_worker() {
        let gate = gate(Pace::Input, 1);
        let mut draft = Draft::new(Arc::clone(&gate.memory));
        append(&gate, &mut draft, 2);
        let mut view = view();
        assert!(gate.admission().join(0, 0, &mut view), "there is something new");
        assert!(!gate.admission().join(0, 10, &mut view), "the worker has everything");
        assert_eq!((view.start_offset(), view.end_offset()), (0, 20), "the first client has read nothing");
        append(&gate, &mut draft, 1);
        assert!(gate.admission().join(0, 30, &mut view), "there is something new for the others");
        assert_eq!((view.start_offset(), view.end_offset()), (0, 30));
    }

    #[test]
    fn everything_is_history_until_a_client_has_joined_and_then_the_latest_thousand() {
        let gate = gate_of(Pace::Fastest, 1, 1 << 20);
        append(&gate, &mut Draft::new(Arc::clone(&gate.memory)), 1100);
        assert_eq!(gate.admission().log().first(), 1);
        gate.counters.joined.store(true, Ordering::SeqCst);
        gate.admission().join(0, 11_000, &mut view());
        gate.advance(0, 1, 11_000, 11_000, true);
        assert_eq!(gate.admission().log().first(), 101);
    }

    #[test]
    fn a_view_that_has_fallen_behind_begins_where_the_log_does() {
        let gate = gate(Pace::Input, 1);
        let mut draft = Draft::new(Arc::clone(&gate.memory));
        append(&gate, &mut draft, 2);
        let mut view = view();
        gate.admission().join(0, 0, &mut view);
        assert_eq!((view.start_offset(), view.end_offset()), (0, 20));
        assert!(gate.evict_for(BUFFER), "input waits for nobody");
        append(&gate, &mut draft, 1);
        assert!(gate.follow(&mut view));
        view.evict(gate.evict_before());
        assert_eq!((view.start_offset(), view.end_offset()), (20, 30), "the client was at 0, as its worker can see");
    }

    /// The reader and the workers race, over and over. Each worker has one turn a step, so that the reader sleeps for good
    /// if the wake-up of the last one is lost.
    fn race(workers: usize) {
        const STEPS: u64 = 1_000;
        let gate = gate(Pace::Slowest, workers);
        (0..workers).for_each(|worker| gate.advance(worker, 1, 0, 0, true));
        let end = Arc::new(AtomicU64::new(0));
        let worker = |worker| {
            let (gate, end) = (Arc::clone(&gate), Arc::clone(&end));
            thread::spawn(move || {
                for step in 1..=STEPS {
                    while end.load(Ordering::SeqCst) < step {
                        if gate.is_stopped() {
                            return;
                        }
                        thread::yield_now();
                    }
                    gate.advance(worker, 1, step, step, true);
                }
            })
        };
        let threads: Vec<_> = (0..workers).map(worker).collect();
        let (done, steps) = channel();
        reader(&gate, move |gate| {
            gate.step.wanted.store(true, Ordering::SeqCst);
            for step in 1..=STEPS {
                gate.step.end.store(step, Ordering::SeqCst);
                gate.step.evict_before.store(step, Ordering::SeqCst);
                end.store(step, Ordering::SeqCst);
                // The turn ends before the reader checks, as it announces that it waits, or as it goes to sleep.
                (0..step % 32).for_each(|_| std::hint::spin_loop());
                // No patience, which would mend a lost wake-up.
                gate.wait_until(None, || gate.allows_step());
                done.send(step).expect("the test goes on");
            }
        });
        for step in 1..=STEPS {
            assert_eq!(steps.recv_timeout(DEADLINE), Ok(step), "the reader sleeps for good");
        }
        gate.stop();
        threads.into_iter().for_each(|thread| thread.join().expect("it has not panicked"));
    }

    #[test]
    fn no_wake_up_is_lost_in_a_race() {
        race(1);
        race(2);
    }
}
