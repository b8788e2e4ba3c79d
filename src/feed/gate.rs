//! The gate between the reader and the workers: it holds the reader back until the pace, the memory or the number of
//! clients allows it to go on, and it says what must be evicted.
//!
//! One reader, any number of workers. Workers publish numbers and never block; the reader blocks on a condition. No
//! wake-up is lost: the reader announces that it waits *before* it asks again, and a worker stores its numbers *before*
//! it looks whether the reader waits (all sequentially consistent). The lock serves three ends: it pairs with the
//! condition, it keeps the eviction bound and the log's end where they are while a client is let in ([`Admission`]), and
//! publishing takes it for the same reason.

use super::pace::{Pace, Progress};
use crate::log::memory::Memory;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// What reader and workers share.
#[derive(Debug)]
pub struct Gate {
    pace: Pace,
    /// Most memory that batches may take, in bytes.
    buffer: usize,
    /// The memory of all batches.
    memory: Arc<Memory>,
    /// What lies before this offset must be evicted, even if a client needs it. A worker may not have come this far yet.
    evict_before: AtomicU64,
    stopped: AtomicBool,
    /// Where each worker's clients are.
    progress: Vec<Progress>,
    /// Whether the reader waits for a change.
    waiting: AtomicBool,
    /// What the reader waits for, if it is the pace alone.
    step: Step,
    lock: Mutex<()>,
    changed: Condvar,
}

/// The next step of the reader: to publish behind `end` and to evict what lies before `evict_before`.
#[derive(Debug, Default)]
struct Step {
    wanted: AtomicBool,
    end: AtomicU64,
    evict_before: AtomicU64,
}

impl Gate {
    /// A gate for this many workers, whose batches take at most `buffer` bytes of `memory`.
    pub fn new(pace: Pace, buffer: usize, memory: Arc<Memory>, workers: usize) -> Gate {
        Gate {
            pace,
            buffer,
            memory,
            evict_before: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            progress: (0..workers).map(|_| Progress::default()).collect(),
            waiting: AtomicBool::new(false),
            step: Step::default(),
            lock: Mutex::default(),
            changed: Condvar::default(),
        }
    }

    /// A worker has finished a turn: its number of streams, the largest and the smallest cursor.
    pub fn advance(&self, worker: usize, streams: usize, fastest: u64, slowest: u64) {
        self.progress[worker].publish(streams, fastest, slowest);
        // A turn that changes nothing for the reader need not wake it: a slow client takes many of them.
        if !self.step.wanted.load(Ordering::SeqCst) || self.allows_step() {
            self.notify();
        }
    }

    /// The right to let a client in. While it is held nothing is published and the eviction bound stays where it is. So a
    /// client that joins is known before the bound moves on (or it would be dropped by a decision that did not know of
    /// it), and what it asks for is looked up in everything that any client has been sent.
    pub fn admission(&self) -> Admission<'_> {
        Admission { gate: self, _all_stays: self.hold() }
    }

    /// What lies before this offset must be evicted.
    pub fn evict_before(&self) -> u64 {
        self.evict_before.load(Ordering::SeqCst)
    }

    /// Where the slowest client is; `None` without clients.
    pub fn slowest(&self) -> Option<u64> {
        self.progress.iter().filter_map(Progress::slowest).min()
    }

    /// The memory that the log takes at the moment, in bytes.
    pub fn held(&self) -> usize {
        self.memory.held()
    }

    /// Nothing more is to be published.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.notify();
    }

    /// Whether [`Gate::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Blocks until this many streams are open.
    pub(super) fn wait_for_streams(&self, least: usize) {
        self.wait_until(|| self.progress.iter().map(Progress::streams).sum::<usize>() >= least);
    }

    /// Blocks until the pace allows publishing behind `end` when what lies before `evict_before` is evicted.
    pub(super) fn wait_for_pace(&self, end: u64, evict_before: u64) {
        self.step.end.store(end, Ordering::SeqCst);
        self.step.evict_before.store(evict_before, Ordering::SeqCst);
        self.step.wanted.store(true, Ordering::SeqCst);
        self.wait_until(|| self.allows_step());
        self.step.wanted.store(false, Ordering::SeqCst);
    }

    /// Moves the eviction bound once the pace allows it. `false`: the program ends.
    pub(super) fn evict(&self, end: u64, evict_before: u64) -> bool {
        loop {
            self.wait_for_pace(end, evict_before);
            if self.is_stopped() {
                return false;
            }
            let _nobody_joins = self.hold();
            // A client may have joined since: asked once more.
            if self.pace.allows(end, evict_before, self.progress.iter()) {
                self.evict_before.store(evict_before, Ordering::SeqCst);
                return true;
            }
        }
    }

    /// Whether a batch of this cost fits into the buffer.
    pub(super) fn fits(&self, cost: usize) -> bool {
        self.memory.held() + cost <= self.buffer
    }

    /// Blocks until a batch of this cost fits into the buffer.
    pub(super) fn wait_for_memory(&self, cost: usize) {
        self.wait_until(|| self.fits(cost));
    }

    /// Most memory that batches may take, in bytes.
    pub(super) fn buffer(&self) -> usize {
        self.buffer
    }

    /// While this is held no client is let in.
    pub(super) fn hold(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().expect("nobody panics with it")
    }

    fn allows_step(&self) -> bool {
        let Step { end, evict_before, .. } = &self.step;
        self.pace.allows(end.load(Ordering::SeqCst), evict_before.load(Ordering::SeqCst), self.progress.iter())
    }

    fn notify(&self) {
        if self.waiting.load(Ordering::SeqCst) {
            drop(self.hold()); // the reader has asked and sleeps, or has not asked yet
            self.changed.notify_one();
        }
    }

    /// Blocks until `ready`, which is asked again at each change, or until the gate is stopped.
    fn wait_until(&self, ready: impl Fn() -> bool) {
        if ready() || self.is_stopped() {
            return;
        }
        let mut guard = self.hold();
        // Announced before it asks again: a change after this is a change that wakes.
        self.waiting.store(true, Ordering::SeqCst);
        while !ready() && !self.is_stopped() {
            guard = self.changed.wait(guard).expect("nobody panics with it");
        }
        self.waiting.store(false, Ordering::SeqCst);
    }
}

/// The right to let a client in; see [`Gate::admission`].
#[derive(Debug)]
pub struct Admission<'a> {
    gate: &'a Gate,
    _all_stays: MutexGuard<'a, ()>,
}

impl Admission<'_> {
    /// A client of this worker begins at `cursor`.
    pub fn join(self, worker: usize, cursor: u64) {
        self.gate.progress[worker].join(cursor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
    use std::thread;
    use std::time::Duration;

    /// How long anything may take on a busy machine.
    const DEADLINE: Duration = Duration::from_secs(30);
    const BUFFER: usize = 1000;

    fn gate(pace: Pace, workers: usize) -> Arc<Gate> {
        Arc::new(Gate::new(pace, BUFFER, Arc::new(Memory::new(100)), workers))
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
        drop(gate.hold()); // it holds the lock until it sleeps
    }

    fn still_waits<T>(returned: &Receiver<T>) -> bool {
        matches!(returned.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout))
    }

    #[test]
    fn the_reader_sleeps_until_enough_streams_are_open_whichever_worker_has_them() {
        let gate = gate(Pace::Fastest, 2);
        let returned = reader(&gate, |gate| gate.wait_for_streams(3));
        until_it_waits(&gate);
        gate.admission().join(0, 0);
        gate.admission().join(1, 0);
        gate.advance(0, 1, 0, 0);
        assert!(still_waits(&returned), "two are not three");
        gate.advance(1, 2, 0, 0);
        assert_eq!(returned.recv_timeout(DEADLINE), Ok(()));
    }

    #[test]
    fn a_turn_that_gives_the_pace_wakes_the_reader() {
        let gate = gate(Pace::Slowest, 2);
        gate.advance(0, 2, 100, 40);
        gate.advance(1, 1, 100, 100);
        let returned = reader(&gate, |gate| gate.evict(100, 50));
        until_it_waits(&gate);
        gate.advance(0, 2, 100, 49);
        assert!(still_waits(&returned), "one client would fall off the log");
        gate.advance(0, 2, 100, 50);
        assert_eq!(returned.recv_timeout(DEADLINE), Ok(true));
        assert_eq!(gate.evict_before(), 50);
    }

    #[test]
    fn memory_that_is_given_back_lets_the_reader_go_on_after_the_next_turn() {
        let gate = gate(Pace::Input, 1);
        gate.memory.count(BUFFER);
        let returned = reader(&gate, |gate| gate.wait_for_memory(1));
        until_it_waits(&gate);
        gate.advance(0, 0, 0, 0);
        assert!(still_waits(&returned), "nothing was given back");
        gate.memory.give_back(Default::default(), 1);
        gate.advance(0, 0, 0, 0);
        assert_eq!(returned.recv_timeout(DEADLINE), Ok(()));
    }

    #[test]
    fn stopping_wakes_the_reader_whatever_it_waits_for() {
        let waits: [fn(&Gate); 4] = [
            |gate| gate.wait_for_streams(2),
            |gate| gate.wait_for_pace(10, 0),
            |gate| gate.wait_for_memory(BUFFER + 1),
            |gate| assert!(!gate.evict(10, 10), "nothing is evicted for a program that ends"),
        ];
        for wait in waits {
            let gate = gate(Pace::Slowest, 1);
            gate.advance(0, 1, 0, 0);
            let returned = reader(&gate, wait);
            until_it_waits(&gate);
            gate.stop();
            assert_eq!(returned.recv_timeout(DEADLINE), Ok(()));
            assert_eq!(gate.evict_before(), 0);
        }
    }

    #[test]
    fn the_bound_stays_while_a_client_is_let_in_and_counts_it_afterwards() {
        let gate = gate(Pace::Slowest, 1);
        let admission = gate.admission();
        let returned = reader(&gate, |gate| gate.evict(100, 60));
        assert!(still_waits(&returned), "nobody may be let in and left behind at once");
        admission.join(0, 30);
        until_it_waits(&gate);
        assert_eq!(gate.evict_before(), 0, "the newcomer still needs what would go");
        gate.advance(0, 1, 100, 100);
        assert_eq!(returned.recv_timeout(DEADLINE), Ok(true));
    }

    /// Without a sleep anywhere: the reader and two workers race for thousands of steps, and every wake-up must arrive.
    #[test]
    fn no_wake_up_is_lost_in_a_race() {
        const STEPS: u64 = 20_000;
        let gate = gate(Pace::Slowest, 2);
        gate.advance(0, 1, 0, 0);
        gate.advance(1, 1, 0, 0);
        let end = Arc::new(AtomicU64::new(0));
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let (gate, end) = (Arc::clone(&gate), Arc::clone(&end));
                thread::spawn(move || {
                    while !gate.is_stopped() {
                        let end = end.load(Ordering::SeqCst);
                        gate.advance(worker, 1, end, end);
                    }
                })
            })
            .collect();
        let returned = reader(&gate, move |gate| {
            for step in 1..=STEPS {
                end.store(step, Ordering::SeqCst);
                assert!(gate.evict(step, step));
            }
        });
        assert_eq!(returned.recv_timeout(DEADLINE), Ok(()), "the reader sleeps for good");
        gate.stop();
        workers.into_iter().for_each(|worker| worker.join().expect("it has not panicked"));
        assert_eq!(gate.evict_before(), STEPS);
    }
}
