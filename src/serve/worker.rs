//! A worker: its own poll, its own clients, its own view of the log. One loop, the same calls in the same order.
//!
//! Edge-triggered: a socket is registered once, for both directions. A client whose socket took less than it was
//! given waits for its next writable edge; one that was stopped by our own budget goes on the ready list.

use super::answer::{Entrance, Moment, Phase, Refusal};
use super::attendance::Returns;
use super::connection::{Connection, Event, Gone, MAX_SLICES};
use super::cursors::Cursors;
use super::feed::{Inbox, Message};
use super::shared::Shared;
use super::socket::{Peer, Socket};
use crate::access::Origin;
use crate::log::{Batch, Log, Missed};
use crate::report::{Report, harmless};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

const WAKER: Token = Token(usize::MAX);
/// Events taken from the kernel at a time.
const EVENTS: usize = 1024;
/// One client is given at most so much in one turn, so that one with a long way to go doesn't hold up the others.
const WRITE_BUDGET: usize = 4 << 20;
/// All clients together are given about so much in one turn; then sockets, messages and the reader are heard again.
const TURN_BUDGET: usize = 256 << 20;
/// Request heads are read into one buffer for all clients.
const SCRATCH: usize = 16 * 1024;
/// Deadlines are looked through (O(clients)) at most this often; none of them needs to be more exact.
const SWEEP: Duration = Duration::from_millis(20);
/// A socket that took nothing is tried again after so long, even if the kernel does not say that it has room.
const RETRY_FULL: Duration = Duration::from_secs(1);

/// One worker.
pub struct Worker {
    index: usize,
    shared: Arc<Shared>,
    poll: Poll,
    batches: Receiver<Arc<Batch>>,
    messages: Receiver<Message>,
    log: Log,
    /// Whether the log has grown since clients were last written to.
    fresh: bool,
    clients: Slab<Client>,
    phase: Phase,
    /// Clients with something to write whose sockets may take it, and those to be looked at for another reason.
    ready: Vec<usize>,
    /// Bytes written in this turn.
    written: usize,
    /// Whether this turn's budget ended before all who were ready had their share.
    interrupted: bool,
    cursors: Cursors,
    /// The earliest deadline of any client, or earlier.
    alarm: Option<Instant>,
    /// When there was last an event or a heartbeat.
    silent_since: Instant,
    /// When all that is left is to be cut off.
    stop_at: Option<Instant>,
    /// How many clients were told a reconnection time, to spread them evenly.
    retries: u32,
    date: Date,
    scratch: Vec<u8>,
}

struct Client {
    socket: Socket,
    connection: Connection,
    /// Where it comes from; known only when it will be told.
    peer: Option<Box<Peer>>,
    /// The socket took everything that it was given so far.
    writable: bool,
    /// Whether it is on the ready list.
    queued: bool,
    /// Whether it counts among those that something is owed to.
    owed: bool,
    /// Set while it has a stream.
    stream: Option<Returns>,
    /// The file that it is being sent.
    file: Option<File>,
}

impl Client {
    /// Reads the next piece of its file, when it wants one.
    fn fetch(&mut self) {
        let Some(most) = self.connection.poll_content() else { return };
        let mut piece = Vec::with_capacity(most);
        if let Some(file) = &mut self.file {
            // What can't be read is missing, as if the file had been cut short.
            let _ = file.take(most as u64).read_to_end(&mut piece);
        }
        self.connection.handle_content(piece);
    }

    /// When it has to be looked at, if nothing happens before.
    fn due(&self, now: Instant) -> Option<Instant> {
        let deadline = self.connection.poll_deadline()?;
        Some(if self.writable { deadline } else { deadline.min(now + RETRY_FULL) })
    }

    /// Writes what is pending, as far as the socket takes it and the budget goes. Returns how many bytes that were.
    fn write(&mut self, log: &Log, stall: Duration, now: Instant) -> usize {
        let mut all = 0;
        if self.writable {
            self.fetch(); // one piece a turn
        }
        while self.writable && self.connection.poll_gone().is_none() {
            let (asked, result) = match self.connection.poll_latest(log) {
                Some(slice) => (slice.len(), if slice.is_empty() { return all } else { self.socket.write(slice) }),
                None => {
                    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                    let count = self.connection.poll_write(log, &mut slices, WRITE_BUDGET);
                    if count == 0 {
                        return all;
                    }
                    let asked = slices[..count].iter().map(|slice| slice.len()).sum();
                    (asked, self.socket.write_vectored(&slices[..count]))
                }
            };
            match result {
                Ok(written) => {
                    all += written;
                    self.connection.handle_written(written, log, stall, now);
                    self.writable = written == asked;
                    if all >= WRITE_BUDGET / 2 {
                        break; // enough for this turn; the ready list has it again
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::OutOfMemory) => {
                    self.connection.handle_written(0, log, stall, now);
                    self.writable = false;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.connection.handle_error(),
            }
        }
        all
    }

    /// Whether it is a stream that has everything, so that nothing is to be done before there is more.
    fn waits_for_more(&self, log: &Log) -> bool {
        self.writable && self.connection.cursor() == Some(log.head()) && !self.connection.has_pending(log)
    }
}

impl Worker {
    /// A worker and the inbox that leads to it.
    pub fn new(index: usize, log: Log, shared: Arc<Shared>) -> io::Result<(Worker, Inbox)> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        let (to_batches, batches) = channel();
        let (to_messages, messages) = channel();
        let worker = Worker {
            index,
            shared,
            poll,
            batches,
            messages,
            log,
            fresh: false,
            clients: Slab::new(),
            phase: Phase::Live,
            ready: Vec::new(),
            written: 0,
            interrupted: false,
            cursors: Cursors::default(),
            alarm: None,
            silent_since: Instant::now(),
            stop_at: None,
            retries: 0,
            date: Date::new(),
            scratch: vec![0; SCRATCH],
        };
        Ok((worker, Inbox { batches: to_batches, messages: to_messages, waker }))
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
            self.obey_floor();
            self.break_silence(now);
            self.write_all(now);
            self.keep_deadlines(now); // after it: whoever took nothing was given the chance, however long we slept
            self.close_turn();
        }
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let heartbeat = self.shared.heartbeat.filter(|_| !self.clients.is_empty() && self.phase != Phase::Ended);
        let heartbeat = heartbeat.map(|heartbeat| self.silent_since + heartbeat);
        let next = [self.alarm, heartbeat, self.stop_at].into_iter().flatten().min()?;
        // Rounded up by the poll's millisecond: never awake just before the time.
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
        let before = self.log.head();
        self.batches.try_iter().for_each(|batch| self.log.append(batch));
        self.fresh |= self.log.head() > before;
    }

    fn take_messages(&mut self, now: Instant) {
        while let Ok(message) = self.messages.try_recv() {
            match message {
                Message::Client(socket, peer, entrance) => self.welcome(socket, peer, entrance, now),
                Message::End(phase) => self.end(phase, now),
                Message::Stop(at) => {
                    self.stop_at = Some(at);
                    self.end(Phase::Ended, now);
                }
            }
        }
    }

    fn welcome(&mut self, mut socket: Socket, peer: Peer, entrance: Entrance, now: Instant) {
        if self.clients.is_empty() && self.shared.heartbeat.is_some_and(|time| now > self.silent_since + time) {
            self.silent_since = now; // nobody was there to hear the silence
        }
        let entry = self.clients.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(socket.source(), Token(entry.key()), interest).is_err() {
            self.shared.loads[self.index].fetch_sub(1, Ordering::Relaxed);
            return; // out of kernel memory: this client is lost, the others are not
        }
        let connection = Connection::new(now, entrance);
        let key = entry.key();
        let peer = self.shared.report.is_verbose().then(|| Box::new(peer));
        let (writable, queued, owed, stream, file) = (true, false, false, None, None);
        entry.insert(Client { socket, connection, peer, writable, queued, owed, stream, file });
        // The request is often there already.
        self.read(key, now);
        self.queue(key);
    }

    fn end(&mut self, phase: Phase, now: Instant) {
        self.take_batches(); // the last of them are there
        self.phase = phase;
        if phase == Phase::Ended {
            for (_, client) in &mut self.clients {
                client.connection.handle_end(&self.log, self.shared.stall, now);
            }
            self.queue_all();
        }
        self.shared.ending.fetch_add(1, Ordering::SeqCst);
        self.shared.tell_server();
    }

    fn read(&mut self, key: usize, now: Instant) {
        let shared = Arc::clone(&self.shared);
        loop {
            let Some(client) = self.clients.get_mut(key) else { return };
            if client.connection.poll_gone().is_some() {
                return;
            }
            match client.socket.read(&mut self.scratch) {
                Ok(0) => return client.connection.handle_eof(),
                Ok(n) => {
                    // What a client asks for is looked up in all there is, and it is known before any of that can go.
                    let admission = (!client.connection.is_owed()).then(|| shared.feed.admission());
                    if admission.is_some() {
                        self.take_batches();
                        self.obey_floor();
                        self.trim(); // or one who comes before this turn ends would get more than the history
                    }
                    let client = self.clients.get_mut(key).expect("nothing removes it here");
                    let moment = Moment {
                        log: &self.log,
                        history: self.shared.history(),
                        phase: self.phase,
                        date: self.date.at(now),
                        retry: spread(self.shared.retry, self.retries),
                    };
                    let bytes = &self.scratch[..n];
                    let event = client.connection.handle_input(bytes, &self.shared.service, &moment, now);
                    match (&event, admission) {
                        (Some(Event::Joined { start, .. }), Some(admission)) => {
                            admission.join(self.index, start.cursor);
                            self.cursors.join(start.cursor);
                        }
                        (_, admission) => drop(admission),
                    }
                    // Counted before anything else is said of it: the server must not end meanwhile.
                    let answered = !client.owed && client.connection.is_owed();
                    if answered {
                        client.owed = true;
                        self.shared.attendance().ask();
                    }
                    match event {
                        None => {}
                        Some(Event::Refused(refusal)) => tell_refusal(&self.shared.report, &refusal),
                        Some(Event::Farewell) => {
                            self.shared.attendance().farewell();
                        }
                        Some(Event::Wants(wanted)) => {
                            let (found, file) = self.shared.look_for(&wanted, &moment);
                            client.file = file;
                            client.connection.handle_found(found, &self.shared.service, moment.date, now);
                        }
                        Some(Event::Joined { event_source, returning, start }) => {
                            self.retries = self.retries.wrapping_add(1);
                            let late = self.phase == Phase::Ended && !returning;
                            client.stream = Some(match (event_source, late) {
                                (false, _) => Returns::Never,
                                (true, false) => Returns::Surely,
                                (true, true) => Returns::Late,
                            });
                            joined(&self.shared, client.peer.as_deref(), event_source, returning, start.missed);
                        }
                    }
                    if answered && client.connection.cursor().is_none() {
                        return; // a body is read away after a short answer was given (`after`), or it might eat it
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return client.connection.handle_error(),
            }
        }
    }

    /// Lets go of what the reader wants to have gone; whoever still stood in it is dropped. The reader may want more to
    /// go than has come here yet: the log itself tells what went.
    fn obey_floor(&mut self) {
        let before = self.log.tail();
        self.log.evict(self.shared.feed.floor());
        if self.log.tail() > before {
            for (key, client) in &mut self.clients {
                client.connection.handle_eviction(&self.log);
                if client.connection.poll_gone().is_some() && !std::mem::replace(&mut client.queued, true) {
                    self.ready.push(key);
                }
            }
        }
    }

    fn break_silence(&mut self, now: Instant) {
        if self.fresh {
            self.silent_since = now;
        }
        let Some(heartbeat) = self.shared.heartbeat else { return };
        if now >= self.silent_since + heartbeat {
            self.silent_since = now;
            for (_, client) in &mut self.clients {
                client.connection.handle_silence(&self.log);
            }
            self.queue_all();
        }
    }

    fn keep_deadlines(&mut self, now: Instant) {
        let stopped = self.stop_at.is_some_and(|at| now >= at);
        if !stopped && self.alarm.is_none_or(|alarm| now < alarm) {
            return;
        }
        self.alarm = None;
        if stopped {
            self.stop_at = None;
        }
        let date = self.date.at(now);
        for (_, client) in &mut self.clients {
            client.connection.handle_timeout(date, now);
            if stopped {
                client.connection.handle_stop();
            }
            // A kernel that was out of memory for sockets never says when it has some again: asked anew.
            client.writable = true;
            self.alarm = earlier(self.alarm, client.due(now)).map(|alarm| alarm.max(now + SWEEP));
        }
        self.queue_all();
    }

    /// Writes what is pending: for all clients where there are new batches, else for those that are ready.
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
                self.written += client.write(&self.log, self.shared.stall, now);
                match (before, client.connection.cursor()) {
                    (Some(before), Some(after)) => self.cursors.advance(before, after),
                    (Some(_), None) => self.cursors.recount = true,
                    (None, _) => {}
                }
                if !client.waits_for_more(&self.log) {
                    self.after(key, now);
                }
            }
        }
        self.shared.counters.bytes_out.fetch_add(self.written as u64, Ordering::Relaxed);
        // Those that have more to write stand on the new list; the old one's memory serves again.
        ready.clear();
        if self.ready.is_empty() {
            self.ready = ready;
        }
    }

    /// What follows from a client's new state: the close of our side, its removal, its next deadline.
    fn after(&mut self, key: usize, now: Instant) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.connection.poll_shutdown() {
            let _ = client.socket.shutdown(Shutdown::Write); // fails where the peer is gone, as the read then tells
            self.read(key, now);
        }
        let Some(client) = self.clients.get_mut(key) else { return };
        if let Some(gone) = client.connection.poll_gone() {
            return self.remove(key, gone, now);
        }
        self.alarm = earlier(self.alarm, client.due(now));
        if client.writable && client.connection.has_pending(&self.log) {
            self.queue(key);
        }
    }

    fn remove(&mut self, key: usize, gone: Gone, now: Instant) {
        let mut client = self.clients.remove(key);
        let _ = self.poll.registry().deregister(client.socket.source());
        let shared = &self.shared;
        if client.stream.is_some() {
            self.cursors.recount = true;
            left(shared, client.peer.as_deref(), gone);
        }
        drop(client.socket);
        shared.loads[self.index].fetch_sub(1, Ordering::Relaxed);
        if client.owed {
            shared.attendance().leave(client.stream.unwrap_or(Returns::Never), now);
        }
        shared.tell_server();
    }

    /// The end of a turn: the log is trimmed to what clients and history need, and the reader is told how far they are.
    fn close_turn(&mut self) {
        if std::mem::take(&mut self.cursors.recount) {
            let all = self.clients.iter().filter_map(|(_, client)| client.connection.cursor());
            self.cursors.count(all);
        }
        self.trim();
        let Cursors { streams, fastest, .. } = self.cursors;
        let slowest = self.slowest();
        // Before all have had their turn nobody counts as ahead: those at the end must not fall behind for it.
        let fastest = if self.interrupted { slowest } else { fastest };
        self.shared.feed.turned(self.index, streams, fastest, slowest);
    }

    /// Lets go of what neither clients nor the history need.
    fn trim(&mut self) {
        let history = self.log.entry_start(self.log.first_of_latest(self.shared.history()));
        self.log.evict(self.slowest().min(history));
    }

    /// Where the slowest client is, or a place before it; the head without clients.
    fn slowest(&self) -> u64 {
        if self.cursors.streams == 0 { self.log.head() } else { self.cursors.slowest }
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

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    [one, other].into_iter().flatten().min()
}

fn joined(shared: &Shared, peer: Option<&Peer>, event_source: bool, returning: bool, missed: Missed) {
    shared.counters.joined.store(true, Ordering::SeqCst);
    shared.counters.served.fetch_add(1, Ordering::Relaxed);
    shared.counters.streams.fetch_add(1, Ordering::Relaxed);
    shared.attendance().join(event_source, returning);
    if let Some(peer) = peer {
        let came = if returning { "came back" } else { "joined" };
        let missed = match missed {
            Missed::Nothing => String::new(),
            Missed::Records(n) => format!(" and has missed {n} events"),
            Missed::Unknown => " with an ID that is unknown here".to_owned(),
        };
        shared.report.detail(format_args!("client {peer} {came}{missed}"));
    }
    shared.tell_server();
}

fn left(shared: &Shared, peer: Option<&Peer>, gone: Gone) {
    let counters = &shared.counters;
    counters.streams.fetch_sub(1, Ordering::Relaxed);
    let why = match gone {
        Gone::Left | Gone::Answered => "left",
        Gone::Delivered => "has everything; closed",
        Gone::Stalled => {
            counters.stalled.fetch_add(1, Ordering::Relaxed);
            "dropped: it took nothing for --stall"
        }
        Gone::Behind => {
            counters.behind.fetch_add(1, Ordering::Relaxed);
            "dropped: it fell behind what --buffer holds"
        }
        Gone::Useless => "dropped: it sends without end",
        Gone::Stopped => "cut off at the end",
    };
    if let Some(peer) = peer {
        shared.report.detail(format_args!("client {peer} {why}"));
    }
}

fn tell_refusal(report: &Report, refusal: &Refusal) {
    match refusal {
        Refusal::Origin(origin) if origin == "null" => report.say_once(
            "origin null",
            "refused a page that was opened as a file (Origin: null); serve it with --page FILE, or allow all such pages with --cors-origin null",
        ),
        // Only what is an origin is put in a command that somebody may paste into a shell.
        Refusal::Origin(text) => match Origin::parse(text) {
            Some(origin) => {
                let told = format!("refused a page of {origin}; --cors-origin {origin} would let it in");
                report.say_once(&format!("origin {origin}"), told);
            }
            None => report.say_once("no origin", format!("refused a page with a malformed Origin: {}", harmless(text))),
        },
        Refusal::Host(host) => {
            let host = harmless(host);
            let text = format!("refused a request for host {host}; --allow-host {host} would let it in");
            report.say_once(&format!("host {host}"), text);
        }
        Refusal::Token => report.say_once("token", "refused a request without the token; the URL above carries it"),
    }
}

/// The reconnection time of the `nth` client: evenly spread over the range (by the golden ratio), so that clients
/// don't all return at once.
fn spread((shortest, longest): (Duration, Duration), nth: u32) -> Duration {
    let part = f64::from(nth.wrapping_mul(0x9e37_79b9)) / f64::from(u32::MAX);
    shortest + (longest - shortest).mul_f64(part)
}

/// The `Date` of answers (RFC 9110 § 6.6.1), written once a second.
struct Date {
    text: String,
    next: Option<Instant>,
}

impl Date {
    fn new() -> Date {
        Date { text: String::new(), next: None }
    }

    fn at(&mut self, now: Instant) -> &str {
        if self.next.is_none_or(|next| now >= next) {
            self.text = httpdate::fmt_http_date(SystemTime::now());
            self.next = Some(now + Duration::from_secs(1));
        }
        &self.text
    }
}
