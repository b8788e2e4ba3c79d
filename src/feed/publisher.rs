//! The reader's end of the feed: it gives each batch to every worker, and makes room for it first.

use super::gate::Gate;
use crate::log::batch::{Batch, Draft};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// A worker as the publisher sees it: where its batches go, and how it is woken.
#[derive(Clone)]
pub struct Subscriber {
    batches: Sender<Arc<Batch>>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Subscriber {
    /// A worker that finds its batches at the other end of `batches`, and looks for them when `wake` is called.
    pub fn new(batches: Sender<Arc<Batch>>, wake: impl Fn() + Send + Sync + 'static) -> Subscriber {
        Subscriber { batches, wake: Arc::new(wake) }
    }

    fn wake(&self) {
        (self.wake)();
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscriber")
    }
}

/// The reader's end of the feed.
#[derive(Debug)]
pub struct Publisher {
    gate: Arc<Gate>,
    subscribers: Vec<Subscriber>,
    /// No byte is read before this many streams are open (`--wait`).
    least_streams: usize,
    /// End offset and cost of each batch behind the eviction bound, oldest first.
    recent: VecDeque<(u64, usize)>,
    /// The sum of their costs.
    recent_cost: usize,
    /// Offset just after the last byte that was published.
    end: u64,
}

impl Publisher {
    /// The end of the feed that leads through `gate` to these workers.
    pub fn new(gate: Arc<Gate>, subscribers: Vec<Subscriber>, least_streams: usize) -> Publisher {
        Publisher { gate, subscribers, least_streams, recent: VecDeque::new(), recent_cost: 0, end: 0 }
    }

    /// Blocks until enough clients are connected to begin.
    pub fn wait_for_clients(&self) {
        self.gate.wait_for_streams(self.least_streams);
    }

    /// Blocks until the pace allows reading on. `false`: the program ends, read no more.
    pub fn wait_for_pace(&self) -> bool {
        self.gate.wait_for_pace(self.end, self.gate.evict_before());
        !self.gate.is_stopped()
    }

    /// Publishes what the draft holds, if anything, once the pace allows it. `false`: the program ends.
    pub fn publish(&mut self, draft: &mut Draft) -> bool {
        if draft.is_empty() {
            return true;
        }
        if !self.make_room(draft.cost()) {
            return false;
        }
        let Some(batch) = draft.finish() else { return true };
        self.end = batch.end();
        self.recent.push_back((batch.end(), batch.cost()));
        self.recent_cost += batch.cost();
        let batch = Arc::new(batch);
        let nobody_joins = self.gate.hold();
        batch.enter_own_ids();
        for subscriber in &self.subscribers {
            // A worker that is gone has ended the program already.
            let _ = subscriber.batches.send(Arc::clone(&batch));
        }
        drop(nobody_joins);
        self.subscribers.iter().for_each(Subscriber::wake);
        true
    }

    /// Whether anything was evicted because the buffer was full.
    pub fn has_overflowed(&self) -> bool {
        self.gate.evict_before() > 0
    }

    /// Evicts the oldest batches, as many as a batch of this `cost` needs.
    fn make_room(&mut self, cost: usize) -> bool {
        let (mut evict_before, mut freed, mut gone) = (self.gate.evict_before(), 0, 0);
        for &(end, cost_of_old) in &self.recent {
            if self.recent_cost - freed + cost <= self.gate.buffer() {
                break;
            }
            (evict_before, freed, gone) = (end, freed + cost_of_old, gone + 1);
        }
        if !self.gate.evict(self.end, evict_before) {
            return false;
        }
        self.recent.drain(..gone);
        self.recent_cost -= freed;
        if !self.gate.fits(cost) {
            // Workers drop what lies before the bound within a turn.
            self.subscribers.iter().for_each(Subscriber::wake);
            self.gate.wait_for_memory(cost);
        }
        !self.gate.is_stopped()
    }
}

#[cfg(test)]
mod tests {
    use super::super::pace::Pace;
    use super::*;
    use crate::log::batch::{BATCH_COST, Entry};
    use crate::log::memory::Memory;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    #[test]
    fn every_worker_is_given_every_batch_and_then_woken_and_the_buffer_is_kept_to() {
        const EVENT: usize = 100;
        let memory = Arc::new(Memory::new(10));
        let buffer = 5 * (EVENT + 4 + BATCH_COST);
        let gate = Arc::new(Gate::new(Pace::Input, buffer, Arc::clone(&memory), 2));
        let wakes = Arc::new(AtomicUsize::new(0));
        let (subscribers, inboxes): (Vec<_>, Vec<_>) = (0..2)
            .map(|_| {
                let ((sender, inbox), wakes) = (channel(), Arc::clone(&wakes));
                let wake = move || {
                    wakes.fetch_add(1, Ordering::SeqCst);
                };
                (Subscriber::new(sender, wake), inbox)
            })
            .unzip();
        let mut publisher = Publisher::new(Arc::clone(&gate), subscribers, 0);
        let mut draft = Draft::new(memory);
        let mut held: VecDeque<Arc<Batch>> = VecDeque::new();
        for nth in 1..=20_u64 {
            draft.push(Entry::Event, |out| out.resize(EVENT, b'x'));
            // What a worker does within a turn, done beforehand: nobody else runs here.
            let bound = (EVENT as u64) * nth.saturating_sub(5);
            held.retain(|batch| batch.end() > bound);
            assert!(publisher.publish(&mut draft));
            let [one, other] = [&inboxes[0], &inboxes[1]].map(|inbox| inbox.try_recv().expect("a batch"));
            assert!(Arc::ptr_eq(&one, &other) && one.first() == nth);
            assert_eq!(wakes.load(Ordering::SeqCst), 2 * nth as usize);
            drop(other);
            held.push_back(one);
            assert_eq!(gate.evict_before(), bound, "after {nth}");
            assert!(gate.held() <= buffer);
        }
        assert!(publisher.has_overflowed());
        gate.stop();
        draft.push(Entry::Event, |out| out.push(b'x'));
        assert!(!publisher.publish(&mut draft), "nothing is published by a program that ends");
        assert!(inboxes[0].try_recv().is_err());
    }
}
