//! The feed: the way of a batch from the reader to the workers, and the gate that holds the reader back.
//!
//! Each worker has an inbox: batches, in order, and messages. A batch is in all inboxes before any client can ask
//! for what comes after it, so that an ID given by one worker is known to all. Back from the workers come only
//! numbers: where their clients are, and (through the batches that are dropped) how much memory is held.

use super::answer::{Entrance, Phase};
use super::pace::{Pace, Progress};
use super::socket::{Peer, Socket};
use crate::log::batch::{Batch, Draft};
use crate::log::memory::Memory;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

/// What a worker finds in its inbox beside the batches.
#[derive(Debug)]
pub enum Message {
    /// A client that has just connected, from where, and how it came in.
    Client(Socket, Peer, Entrance),
    /// No batch will come any more; all there are have been put in.
    End(Phase),
    /// The program ends: deliver what can be delivered until then.
    Stop(Instant),
}

/// One worker's inbox, and the bell beside it.
#[derive(Clone, Debug)]
pub struct Inbox {
    /// Puts batches in.
    pub batches: Sender<Arc<Batch>>,
    /// Puts messages in.
    pub messages: Sender<Message>,
    /// Wakes the worker, which otherwise sleeps until a socket or a timer does.
    pub waker: Arc<mio::Waker>,
}

impl Inbox {
    /// Puts a message in without waking anyone.
    pub fn put(&self, message: Message) {
        // A worker that is gone has ended the program already (see `server`).
        let _ = self.messages.send(message);
    }

    /// Wakes the worker.
    pub fn wake(&self) {
        // It fails only if the kernel is out of memory for a few bytes.
        let _ = self.waker.wake();
    }
}

/// What reader and workers share.
#[derive(Debug)]
pub struct Feed {
    pace: Pace,
    /// Most memory that batches may take.
    buffer: usize,
    /// How many streams there must be before the first byte is read.
    wait: usize,
    /// The memory of all batches.
    memory: Arc<Memory>,
    /// What lies before this offset must go, whoever needs it. A worker may not have come so far yet.
    floor: AtomicU64,
    stopped: AtomicBool,
    /// Where each worker's clients are.
    progress: Vec<Progress>,
    /// Whether the reader waits for a change.
    waiting: AtomicBool,
    /// Whether it waits for the pace alone, to go on behind the one offset when what lies before the other has to go.
    paced: AtomicBool,
    paced_head: AtomicU64,
    paced_floor: AtomicU64,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Feed {
    /// A feed of batches in this memory for so many workers.
    pub fn new(pace: Pace, buffer: usize, memory: Arc<Memory>, wait: usize, workers: usize) -> Feed {
        Feed {
            pace,
            buffer,
            wait,
            memory,
            floor: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            progress: (0..workers).map(|_| Progress::default()).collect(),
            waiting: AtomicBool::new(false),
            paced: AtomicBool::new(false),
            paced_head: AtomicU64::new(0),
            paced_floor: AtomicU64::new(0),
            lock: Mutex::default(),
            changed: Condvar::default(),
        }
    }

    /// A worker has finished a turn: so many streams, the fastest and the slowest cursor.
    pub fn turned(&self, worker: usize, streams: usize, fastest: u64, slowest: u64) {
        self.progress[worker].publish(streams, fastest, slowest);
        // A turn that changes nothing for the reader need not wake it: a slow client takes many of them.
        if !self.paced.load(Ordering::SeqCst) || self.allows(&self.paced_head, &self.paced_floor) {
            self.change();
        }
    }

    /// While this is held nothing is published and the floor stays where it is. So a client that joins is known before
    /// the floor moves on (or it would be dropped by a decision that did not know of it), and what it asks for is
    /// looked up in all that anybody has been sent.
    pub fn admission(&self) -> Admission<'_> {
        Admission { feed: self, _all_stays: self.lock.lock().expect("nobody panics with it") }
    }

    /// What lies before this offset must be let go of.
    pub fn floor(&self) -> u64 {
        self.floor.load(Ordering::SeqCst)
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
        self.change();
    }

    /// Whether [`Feed::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    fn allows(&self, head: &AtomicU64, floor: &AtomicU64) -> bool {
        self.pace.allows(head.load(Ordering::SeqCst), floor.load(Ordering::SeqCst), self.progress.iter())
    }

    /// Blocks until the pace allows to go on behind `head` when what lies before `floor` has to go.
    fn wait_for_pace(&self, head: u64, floor: u64) {
        self.paced_head.store(head, Ordering::SeqCst);
        self.paced_floor.store(floor, Ordering::SeqCst);
        self.paced.store(true, Ordering::SeqCst);
        self.wait_until(|| self.allows(&self.paced_head, &self.paced_floor));
        self.paced.store(false, Ordering::SeqCst);
    }

    fn change(&self) {
        if self.waiting.load(Ordering::SeqCst) {
            drop(self.lock.lock().expect("nobody panics with it"));
            self.changed.notify_one();
        }
    }

    /// Blocks until `ready`, which is asked again at each change, or until the feed is stopped.
    fn wait_until(&self, ready: impl Fn() -> bool) {
        if ready() || self.is_stopped() {
            return;
        }
        let mut guard = self.lock.lock().expect("nobody panics with it");
        // Announced before it asks again: a change after this is a change that wakes.
        self.waiting.store(true, Ordering::SeqCst);
        while !ready() && !self.is_stopped() {
            guard = self.changed.wait(guard).expect("nobody panics with it");
        }
        self.waiting.store(false, Ordering::SeqCst);
    }
}

/// The right to let a client in; see [`Feed::admission`].
#[derive(Debug)]
pub struct Admission<'a> {
    feed: &'a Feed,
    _all_stays: MutexGuard<'a, ()>,
}

impl Admission<'_> {
    /// A client of this worker begins at `cursor`.
    pub fn join(self, worker: usize, cursor: u64) {
        self.feed.progress[worker].join(cursor);
    }
}

/// The reader's end of the feed.
#[derive(Debug)]
pub struct Publisher {
    feed: Arc<Feed>,
    inboxes: Vec<Inbox>,
    /// End offset and cost of each batch that lies behind the floor, oldest first.
    recent: VecDeque<(u64, usize)>,
    /// The sum of their costs.
    recent_cost: usize,
    /// Offset just after the last byte that was published.
    head: u64,
}

impl Publisher {
    /// The end of `feed` that leads to these inboxes.
    pub fn new(feed: Arc<Feed>, inboxes: Vec<Inbox>) -> Publisher {
        Publisher { feed, inboxes, recent: VecDeque::new(), recent_cost: 0, head: 0 }
    }

    /// Blocks until enough clients are there to begin.
    pub fn wait_for_clients(&self) {
        let Feed { wait, progress, .. } = &*self.feed;
        self.feed.wait_until(|| progress.iter().map(Progress::streams).sum::<usize>() >= *wait);
    }

    /// Blocks until the pace allows to read on. `false`: the program ends, read no more.
    pub fn wait_for_pace(&self) -> bool {
        self.feed.wait_for_pace(self.head, self.feed.floor());
        !self.feed.is_stopped()
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
        self.head = batch.end();
        self.recent.push_back((batch.end(), batch.cost()));
        self.recent_cost += batch.cost();
        let batch = Arc::new(batch);
        let nobody_joins = self.feed.lock.lock().expect("nobody panics with it");
        batch.enter_own_ids();
        for inbox in &self.inboxes {
            // A worker that is gone has ended the program already.
            let _ = inbox.batches.send(Arc::clone(&batch));
        }
        drop(nobody_joins);
        self.inboxes.iter().for_each(Inbox::wake);
        true
    }

    /// Whether anything was let go of because the buffer was full.
    pub fn has_overflowed(&self) -> bool {
        self.feed.floor() > 0
    }

    /// Lets go of the oldest batches, as many as a batch of this `cost` needs.
    fn make_room(&mut self, cost: usize) -> bool {
        let Feed { buffer, memory, floor, .. } = &*self.feed;
        let (mut new, mut freed, mut gone) = (self.feed.floor(), 0, 0);
        for &(end, cost_of_old) in &self.recent {
            if self.recent_cost - freed + cost <= *buffer {
                break;
            }
            (new, freed, gone) = (end, freed + cost_of_old, gone + 1);
        }
        loop {
            self.feed.wait_for_pace(self.head, new);
            if self.feed.is_stopped() {
                return false;
            }
            // Asked once more while nobody can join.
            let _floor_moves = self.feed.lock.lock().expect("nobody panics with it");
            if self.feed.pace.allows(self.head, new, self.feed.progress.iter()) {
                floor.store(new, Ordering::SeqCst);
                break;
            }
        }
        self.recent.drain(..gone);
        self.recent_cost -= freed;
        let fits = || memory.held() + cost <= *buffer;
        if !fits() {
            // Workers let go of what lies before the floor within a turn.
            self.inboxes.iter().for_each(Inbox::wake);
            self.feed.wait_until(fits);
        }
        !self.feed.is_stopped()
    }
}
