//! A worker: its own poll, its own clients, its own view of the log. One loop, the same calls in the same order.
//!
//! Edge-triggered: a socket is registered once, for both directions. A client whose socket took less than it was
//! given waits for its next writable edge; one that was stopped by our own budget goes to the ready list.
//!
//! The file is long because it is one loop, whose steps are in the order of their calls.

use super::client::{Client, until_look};
use super::cursors::Cursors;
use super::date::Date;
use super::drain::{Comes, Returns};
use super::files::{Files, Outcome, Place, Reply};
use super::inbox::{Inbox, WorkerMessage};
use super::reports;
use super::shared::Shared;
use super::socket::{Peer, Socket};
use crate::feed::gate::Admission;
use crate::http::connection::{Action, CloseReason, Connection, LINGER};
use crate::http::file::Found;
use crate::http::service::{Accepted, Phase, RequestContext};
use crate::log::Log;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const WAKER: Token = Token(usize::MAX);
/// Events taken from the kernel at a time.
const EVENTS: usize = 1024;
/// All clients together get about this many bytes in one turn; then sockets, messages and the reader are checked again.
const TURN_BUDGET: usize = 256 << 20;
/// Request heads are read into one buffer for all clients.
const SCRATCH: usize = 16 * 1024;
/// This many messages are taken in one turn: a crowd of new clients must not delay the answers to others.
const MESSAGES: usize = 256;
/// Deadlines are checked (O(clients)) at most this often; none of them needs to be more exact.
const SWEEP: Duration = Duration::from_millis(20);

/// Whether to read more from a client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    GoesOn,
    Over,
}

/// One worker.
pub struct Worker {
    index: usize,
    shared: Arc<Shared>,
    poll: Poll,
    messages: Receiver<WorkerMessage>,
    /// Whether there may be more messages than were taken in this turn.
    more_messages: bool,
    log: Log,
    /// Whether the log has grown since clients were last written to.
    fresh: bool,
    clients: Slab<Client>,
    phase: Phase,
    /// Clients with something to write whose sockets may take it, and those that must be checked for another reason.
    ready: Vec<usize>,
    /// Bytes written in this turn.
    written: usize,
    /// Whether this turn's budget ended before all ready clients had their share.
    interrupted: bool,
    cursors: Cursors,
    /// The earliest deadline of any client, or earlier.
    alarm: Option<Instant>,
    /// When to look next at what the kernel still has to send to clients.
    look_at: Instant,
    /// When there was last an event or a heartbeat.
    silent_since: Instant,
    /// When all that is left must be cut off.
    stop_at: Option<Instant>,
    /// How many clients got a reconnection time, to spread them evenly.
    retries: u32,
    date: Date,
    files: Files,
    scratch: Vec<u8>,
}

impl Worker {
    /// A worker and the inbox that leads to it.
    pub fn new(index: usize, log: Log, shared: Arc<Shared>) -> io::Result<(Worker, Inbox)> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        let (to_messages, messages) = channel();
        let files = Files::new(index, shared.files.clone());
        let worker = Worker {
            index,
            shared,
            poll,
            messages,
            more_messages: false,
            log,
            fresh: false,
            clients: Slab::new(),
            phase: Phase::Live,
            ready: Vec::new(),
            written: 0,
            interrupted: false,
            cursors: Cursors::default(),
            alarm: None,
            look_at: Instant::now(),
            silent_since: Instant::now(),
            stop_at: None,
            retries: 0,
            date: Date::unwritten(),
            files,
            scratch: vec![0; SCRATCH],
        };
        Ok((worker, Inbox { messages: to_messages, waker }))
    }

    /// Works until the program ends.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            let now = Instant::now();
            for event in &events {
                if event.token() != WAKER {
                    self.handle_event(event, now);
                }
            }
            self.take_batches();
            self.take_messages(now);
            self.evict();
            self.send_heartbeats(now);
            self.write_all(now);
            self.expire_deadlines(now); // after the writes, so every client had a chance to read, however long we slept
            self.finish_turn();
        }
    }

    fn timeout(&self) -> Option<Duration> {
        if self.more_messages || !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let heartbeat = self.shared.heartbeat.filter(|_| !self.clients.is_empty() && !self.phase.closes_streams());
        let heartbeat = heartbeat.map(|heartbeat| self.silent_since + heartbeat);
        let next = [self.alarm, heartbeat, self.stop_at].into_iter().flatten().min()?;
        // The poll rounds up to a millisecond, so we never wake just before the time.
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn handle_event(&mut self, event: &mio::event::Event, now: Instant) {
        let key = event.token().0;
        let Some(client) = self.clients.get_mut(key) else { return };
        if event.is_error() {
            client.connection.handle_error();
        } else {
            if event.is_writable() {
                client.writable = true;
            }
            if event.is_readable() {
                self.read(key, now);
            }
        }
        self.queue(key);
    }

    fn take_batches(&mut self) {
        if self.cursors.streams > 0 {
            self.fresh |= self.shared.gate.follow(&mut self.log);
        }
    }

    fn take_messages(&mut self, now: Instant) {
        self.more_messages = false;
        for nth in 1..=MESSAGES {
            let Ok(message) = self.messages.try_recv() else { return };
            self.more_messages = nth == MESSAGES;
            match message {
                WorkerMessage::Client(socket, peer, accepted) => self.welcome(socket, peer, accepted, now),
                WorkerMessage::File(reply) => self.take_file(reply, now),
                WorkerMessage::End(phase) => self.end(phase, now),
                WorkerMessage::Stop(at) => {
                    self.stop_at = Some(at);
                    self.end(if self.phase == Phase::Ended { Phase::Ended } else { Phase::Stopped }, now);
                }
                WorkerMessage::Part => self.part(now),
            }
        }
    }

    fn welcome(&mut self, mut socket: Socket, peer: Peer, accepted: Accepted, now: Instant) {
        if self.clients.is_empty() && self.shared.heartbeat.is_some_and(|time| now > self.silent_since + time) {
            self.silent_since = now; // no client was there to notice the silence
        }
        let entry = self.clients.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(socket.source(), Token(entry.key()), interest).is_err() {
            self.shared.loads[self.index].fetch_sub(1, Ordering::Relaxed);
            return; // out of kernel memory: this client is lost, the others are not
        }
        let connection = Connection::new(now, accepted);
        let key = entry.key();
        let peer = self.shared.report.is_verbose().then(|| Box::new(peer));
        entry.insert(Client::new(socket, connection, peer));
        // The request has often arrived already.
        self.read(key, now);
        self.queue(key);
    }

    fn end(&mut self, phase: Phase, now: Instant) {
        self.take_batches(); // the last of them have arrived
        self.phase = phase;
        if phase.closes_streams() {
            for (_, client) in &mut self.clients {
                client.connection.handle_end(&self.log, self.shared.stall, now);
            }
            self.queue_all();
        }
        self.shared.ending.fetch_add(1, Ordering::SeqCst);
        self.shared.notify_server();
    }

    /// Takes what was found or read of a file; the client may be gone.
    fn take_file(&mut self, Reply { to, file, outcome }: Reply, now: Instant) {
        let clients = &mut self.clients;
        self.files.finish(&outcome, |next| visitor(clients, next)?.visit.as_mut()?.file.take());
        let Some(client) = visitor(clients, to) else { return };
        if let Some(visit) = &mut client.visit {
            visit.file = file;
        }
        match outcome {
            Outcome::Piece(bytes) => client.connection.handle_content(bytes),
            Outcome::Found(found) => {
                let date = self.date.at(now);
                if !client.connection.handle_found(found, &self.shared.service, date, now) {
                    client.visit = None; // the file is not needed any more
                }
            }
        }
        self.queue(to.key);
    }

    fn read(&mut self, key: usize, now: Instant) {
        loop {
            let Some(client) = self.clients.get_mut(key) else { return };
            if client.connection.poll_closed().is_some() {
                return;
            }
            match client.socket.read(&mut self.scratch) {
                Ok(0) => return client.connection.handle_eof(),
                Ok(n) => {
                    if self.take_bytes(key, n, now) == Reading::Over {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return client.connection.handle_error(),
            }
        }
    }

    /// Gives the first `n` bytes of the scratch buffer to a client's connection, and acts on the result.
    fn take_bytes(&mut self, key: usize, n: usize, now: Instant) -> Reading {
        let shared = Arc::clone(&self.shared);
        let client = &mut self.clients[key];
        let admission = (!client.connection.is_owed()).then(|| shared.gate.admission());
        let first = admission.is_some();
        let log = admission.as_ref().map_or(&self.log, Admission::log);
        let context = RequestContext {
            log,
            history: shared.gate.history(),
            phase: self.phase,
            date: self.date.at(now),
            retry: spread(shared.retry, self.retries),
            crowded: shared.places_taken() > shared.max_clients,
            counters: &shared.counters,
            gauges: shared.gauges(log),
        };
        let action = client.connection.handle_input(&self.scratch[..n], &shared.service, &context, now);
        match (&action, admission) {
            (Some(Action::Joined { start, .. }), Some(admission)) => {
                self.fresh |= admission.join(self.index, start.cursor, &mut self.log);
                self.cursors.join(start.cursor);
            }
            (_, admission) => drop(admission),
        }
        // Counted before anything else is reported: the server must not end meanwhile.
        let answered = first && client.connection.is_owed();
        if answered {
            client.owed = true;
            client.short = !matches!(action, Some(Action::Joined { .. }));
            if client.short {
                shared.short.fetch_add(1, Ordering::Relaxed);
            }
            shared.drain().ask();
        }
        if let Some(action) = action {
            self.act(key, action, now);
        }
        // A body is read and ignored after a short answer (`follow_up`); otherwise a reset could destroy the answer.
        let has_stream = self.clients[key].connection.cursor().is_some();
        if answered && !has_stream { Reading::Over } else { Reading::GoesOn }
    }

    /// Does what a client's request asks for.
    fn act(&mut self, key: usize, action: Action, now: Instant) {
        let (client, shared) = (&mut self.clients[key], &self.shared);
        match action {
            Action::Refused(refusal) => reports::refused(&shared.report, &refusal),
            Action::Farewell { nameless } => shared.drain().farewell(nameless),
            Action::TurnedAway => reports::turned_away(shared),
            Action::LookUp(target) => {
                client.visit = self.files.look_up(key, target);
                if client.visit.is_none() {
                    client.connection.handle_found(Found::Busy, &shared.service, self.date.at(now), now);
                }
            }
            Action::Joined { event_source, returning, start } => {
                self.retries = self.retries.wrapping_add(1);
                client.stream = Some(match (event_source, self.phase, returning) {
                    (false, ..) => Returns::Never,
                    (true, Phase::Live | Phase::EndedOpen | Phase::Stopped, _) => Returns::Surely,
                    (true, Phase::Ended, true) => Returns::Again,
                    (true, Phase::Ended, false) => Returns::Late,
                });
                if event_source {
                    let comes = match self.log.last_id_before(start.entry) {
                        _ if returning => Comes::Back,
                        Some(last) => Comes::Nameless(last),
                        None => Comes::New,
                    };
                    shared.drain().join(comes);
                }
                reports::joined(shared, client.peer.as_deref(), returning, start.missed);
            }
        }
    }

    /// Drops what had to be evicted; clients that still need it are closed.
    fn evict(&mut self) {
        self.log.evict(self.shared.gate.evict_before());
        if self.cursors.streams > 0 && self.log.start_offset() > self.cursors.slowest {
            self.cursors.recount = true;
            for (key, client) in &mut self.clients {
                client.connection.handle_eviction(&self.log);
                if client.connection.poll_closed().is_some() && !std::mem::replace(&mut client.queued, true) {
                    self.ready.push(key);
                }
            }
        }
    }

    fn send_heartbeats(&mut self, now: Instant) {
        if self.fresh {
            self.silent_since = now;
        }
        let Some(heartbeat) = self.shared.heartbeat else { return };
        if now >= self.silent_since + heartbeat {
            self.silent_since = now;
            for (_, client) in &mut self.clients {
                client.beat(&self.log, self.shared.stall, now);
                self.alarm = earlier(self.alarm, client.due(self.shared.stall, now));
            }
            self.queue_all();
        }
    }

    fn expire_deadlines(&mut self, now: Instant) {
        let stopped = self.stop_at.is_some_and(|at| now >= at);
        if !stopped && self.alarm.is_none_or(|alarm| now < alarm) {
            return;
        }
        self.alarm = None;
        if stopped {
            self.stop_at = None;
        }
        let date = self.date.at(now);
        let looks = now >= self.look_at;
        if looks {
            self.look_at = now + until_look(self.shared.stall);
        }
        for (_, client) in &mut self.clients {
            if looks || client.connection.poll_deadline().is_some_and(|deadline| now >= deadline) {
                client.look(self.shared.stall, now);
            }
            client.connection.handle_timeout(&self.shared.service, date, now);
            if stopped {
                client.connection.handle_stop();
            }
            // A kernel that ran out of memory for sockets does not report when it has some again: try again.
            client.writable = true;
            self.alarm = earlier(self.alarm, client.due(self.shared.stall, now)).map(|alarm| alarm.max(now + SWEEP));
        }
        self.queue_all();
    }

    /// Writes what is pending: for all clients if there are new batches, or else for those that are ready.
    fn write_all(&mut self, now: Instant) {
        if std::mem::take(&mut self.fresh) {
            self.queue_all();
            self.cursors.recount = true;
        }
        let mut ready = std::mem::take(&mut self.ready);
        self.written = 0;
        self.interrupted = false;
        for (nth, &key) in ready.iter().enumerate() {
            if self.written >= TURN_BUDGET {
                self.interrupted = true;
                self.ready.splice(0..0, ready[nth..].iter().copied()); // they come first in the next turn
                break;
            }
            if let Some(client) = self.clients.get_mut(key) {
                client.queued = false;
                let before = client.connection.cursor();
                self.written += client.write(&mut self.log, self.shared.stall, now);
                match (before, client.connection.cursor()) {
                    (Some(before), Some(after)) => self.cursors.advance(before, after),
                    (Some(_), None) => self.cursors.recount = true,
                    (None, _) => {}
                }
                if !client.waits_for_more(&self.log) {
                    self.follow_up(key, now);
                }
            }
        }
        self.shared.counters.bytes_out.fetch_add(self.written as u64, Ordering::Relaxed);
        // Those that have more to write are on the new list; the memory of the old one is used again.
        ready.clear();
        if self.ready.is_empty() {
            self.ready = ready;
        }
    }

    /// What follows from a client's new state: the close of our side, its removal, its next deadline.
    fn follow_up(&mut self, key: usize, now: Instant) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.connection.poll_shutdown() {
            client.writable = client.has_sent_all();
            if client.writable {
                let _ = client.socket.shutdown(Shutdown::Write); // fails if the peer is gone, as the read then shows
                if let Some(reason) = client.connection.handle_shutdown(now) {
                    self.release(key, reason, now);
                }
                self.read(key, now);
            }
        }
        let Some(client) = self.clients.get_mut(key) else { return };
        if let Some(reason) = client.connection.poll_closed() {
            return self.remove(key, reason, now);
        }
        if let Some((at, most)) = client.poll_content(now)
            && let Some(visit) = &mut client.visit
        {
            self.files.read(visit, at, most);
        }
        self.alarm = earlier(self.alarm, client.due(self.shared.stall, now));
        if client.writable && client.connection.has_pending(&self.log) {
            self.queue(key);
        }
    }

    /// The program need not wait for this client any more.
    fn release(&mut self, key: usize, reason: CloseReason, now: Instant) {
        let client = &mut self.clients[key];
        if !std::mem::take(&mut client.owed) {
            return;
        }
        let stream = client.stream.take();
        if stream.is_some() {
            self.cursors.recount = true;
            reports::left(&self.shared, client.peer.as_deref(), reason);
        }
        self.shared.drain().leave(stream.unwrap_or(Returns::Never), now);
        self.shared.notify_server();
    }

    fn remove(&mut self, key: usize, reason: CloseReason, now: Instant) {
        let was_owed = self.clients[key].owed;
        self.release(key, reason, now);
        let mut client = self.clients.remove(key);
        let _ = self.poll.registry().deregister(client.socket.source());
        // What a dropped client has not read would stay in the kernel for minutes. But if it is cut off at the end,
        // what its socket took within the last second should still reach it.
        if was_owed && matches!(reason, CloseReason::Stalled | CloseReason::Behind | CloseReason::Useless) {
            client.socket.linger(Duration::ZERO);
        }
        drop(client.socket);
        if client.short {
            self.shared.short.fetch_sub(1, Ordering::Relaxed); // first, or a place would seem to be free
        }
        self.shared.loads[self.index].fetch_sub(1, Ordering::Relaxed);
        self.shared.notify_server();
    }

    /// The program is about to exit: waits until all clients that were sent everything have acknowledged it, including
    /// our FIN. In a container the network ends with the program, and so does everything that must be sent again.
    fn part(&mut self, now: Instant) {
        // A client without a request yet is too late: it would be served after the summary was printed.
        let silent: Vec<_> =
            self.clients.iter().filter(|(_, client)| !client.connection.is_owed()).map(|it| it.0).collect();
        for key in silent {
            self.remove(key, CloseReason::Stopped, now);
        }
        let shut: Vec<_> =
            self.clients.iter().filter(|(_, client)| client.connection.is_shut()).map(|it| it.0).collect();
        for key in shut {
            self.read(key, now); // unread bytes would turn the close into a reset
            let client = &mut self.clients[key];
            client.socket.linger(LINGER);
            self.remove(key, CloseReason::Answered, now); // waits
        }
        self.shared.parted.fetch_add(1, Ordering::SeqCst);
        self.shared.wake_server();
    }

    /// The end of a turn: the view of the log is trimmed to what clients need, and the gate learns how far they are.
    fn finish_turn(&mut self) {
        if std::mem::take(&mut self.cursors.recount) {
            let all = self.clients.iter().filter_map(|(_, client)| client.connection.cursor());
            self.cursors.count(all);
        }
        let Cursors { streams, fastest, slowest, .. } = self.cursors;
        self.log.evict(if streams > 0 { slowest } else { self.log.end_offset() });
        // Until all have had their turn, none counts as ahead: otherwise those at the end could fall behind.
        let fastest = if self.interrupted { slowest } else { fastest };
        self.shared.gate.advance(self.index, streams, fastest, slowest, self.written > 0);
    }

    fn queue(&mut self, key: usize) {
        if let Some(client) = self.clients.get_mut(key)
            && !std::mem::replace(&mut client.queued, true)
        {
            self.ready.push(key);
        }
    }

    fn queue_all(&mut self) {
        for (key, client) in &mut self.clients {
            if !std::mem::replace(&mut client.queued, true) {
                self.ready.push(key);
            }
        }
    }
}

/// The client that has this place, if it is still there.
fn visitor(clients: &mut Slab<Client>, at: Place) -> Option<&mut Client> {
    clients.get_mut(at.key).filter(|client| client.visit.as_ref().is_some_and(|visit| visit.to == at))
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    [one, other].into_iter().flatten().min()
}

/// The reconnection time of the `nth` client: evenly spread over the range (by the golden ratio), so that clients
/// don't all return at once.
fn spread((shortest, longest): (Duration, Duration), nth: u32) -> Duration {
    let part = f64::from(nth.wrapping_mul(0x9e37_79b9)) / f64::from(u32::MAX);
    shortest + (longest - shortest).mul_f64(part)
}
