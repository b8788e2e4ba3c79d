//! The server: listeners, signals and the end of the input, turned into the lifecycle of behaviour 1.8 to 1.10.

use super::inbox::{Inbox, WorkerMessage};
use super::listen::BACKLOG;
use super::reports;
use super::shared::Shared;
use super::socket::{AcceptFailure, Listener, Peer};
use crate::feed::InputEnd;
use crate::http::connection::LINGER;
use crate::http::service::{Accepted, Phase};
use crate::limits::Capacity;
use anyhow::{Context, Result};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// Token of the waker; listeners have their index.
pub const WAKER: Token = Token(usize::MAX);
/// How long clients have after a signal to read what is left.
const LAST_SECOND: Duration = Duration::from_secs(1);
/// This many connections are accepted from each listener in one turn. Between turns workers answer those that they
/// have, and messages are handled: a flood of connections must not delay a signal.
const PORTION: usize = 256;
/// If no more can be accepted, it is tried again after this time, or when a connection ends.
const RETRY_ACCEPT: Duration = Duration::from_millis(500);
/// If this many clients in a row are lost before they are accepted, there is a pause too: an error that happens every
/// time must not keep a processor busy.
const LOST_AT_ONCE: usize = 100;
const _: () = assert!(LOST_AT_ONCE < PORTION, "or a portion would end, and the next begin, before the pause");

/// Another worker is used for each this many clients: every event wakes each worker that has any, and that costs more
/// than a few more clients.
const FEW_CLIENTS: usize = 32;

/// After this silence of a peer, the kernel asks whether it is still there. It is longer than the default heartbeat,
/// whose acknowledgement shows that too.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// It asks again after this time, until the peer has been silent for `--stall`, or a little longer.
const KEEPALIVE_AGAIN: Duration = Duration::from_secs(5);

/// What to do at the end of the input (`--at-eof`, behaviour 1.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEof {
    /// Everything is sent, to at least one client, and EventSources get their goodbye.
    Wait,
    /// Everything is sent, and the program exits.
    Exit,
    /// The history is served until the program is interrupted.
    Serve,
}

/// A message to the server from another thread; the sender also wakes it.
#[derive(Debug)]
pub enum ServerMessage {
    /// A signal that ends the program.
    Signal(i32),
    /// SIGUSR1 or SIGINFO: a request for statistics.
    Statistics,
    /// The input is over, or failed.
    InputOver(InputEnd),
    /// A thread has ended that must not.
    Died(String),
}

/// How the program ends.
#[derive(Debug)]
pub enum Finish {
    /// The input was served to its end.
    Served,
    /// By this signal.
    Signal(i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Input may come.
    Running,
    /// The input is over, and no client has ever joined.
    AwaitingFirst,
    /// The input is over: streams are being closed, and EventSources get their goodbye.
    Ending,
    /// The input is over, and its history is served until a signal comes.
    Serving,
    /// A signal came.
    Stopping { signal: i32, until: Instant },
    /// All is delivered, and is being acknowledged. With the signal that came, if one did.
    Parting { signal: Option<i32>, until: Instant },
}

/// The main thread's state.
#[derive(Debug)]
pub struct Server {
    poll: Poll,
    listeners: Vec<Listener>,
    inboxes: Vec<Inbox>,
    messages: Receiver<ServerMessage>,
    shared: Arc<Shared>,
    capacity: Capacity,
    at_eof: AtEof,
    stage: Stage,
    /// Set while no more can be accepted.
    accept_again: Option<Instant>,
    /// Whether there may be more to accept than one turn's portion: a listener does not report it again.
    unfinished: bool,
    failed: bool,
}

impl Server {
    /// A server over these listeners, which are not registered yet.
    pub fn new(
        poll: Poll,
        mut listeners: Vec<Listener>,
        inboxes: Vec<Inbox>,
        messages: Receiver<ServerMessage>,
        shared: Arc<Shared>,
        capacity: Capacity,
        at_eof: AtEof,
    ) -> Result<Server> {
        for (index, listener) in listeners.iter_mut().enumerate() {
            if let Listener::Tcp(listener) = listener {
                prepare(listener, shared.stall);
            }
            let watched = poll.registry().register(listener.source(), Token(index), Interest::READABLE);
            watched.context("cannot watch a listener")?;
        }
        let stage = Stage::Running;
        Ok(Server {
            poll,
            listeners,
            inboxes,
            messages,
            shared,
            capacity,
            at_eof,
            stage,
            accept_again: None,
            unfinished: false,
            failed: false,
        })
    }

    /// Serves to the end. Returns how it ended, and whether all went well.
    pub fn run(mut self) -> Result<(Finish, bool)> {
        let mut events = Events::with_capacity(64);
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result.context("cannot wait for clients")?,
            }
            self.accept();
            while let Ok(message) = self.messages.try_recv() {
                self.handle(message)?;
            }
            if let Some(finish) = self.advance(Instant::now()) {
                return Ok((finish, !self.failed));
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        if self.unfinished {
            return Some(Duration::ZERO);
        }
        let now = Instant::now();
        let goodbye = match self.stage {
            Stage::Ending => self.shared.drain().waits_until(now),
            Stage::Stopping { until, .. } | Stage::Parting { until, .. } => Some(until),
            _ => None,
        };
        let next = [goodbye, self.accept_again].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(now) + Duration::from_millis(1))
    }

    fn accept(&mut self) {
        let mut to_wake = vec![false; self.inboxes.len()];
        self.accept_again = None;
        self.unfinished = false;
        let Capacity { clients, turned_away, .. } = self.capacity;
        let mut lost = 0;
        for listener in &self.listeners {
            for nth in 1.. {
                let loads = &self.shared.loads;
                let held = self.shared.connections();
                if held >= clients.saturating_add(turned_away) {
                    reports::full(&self.shared);
                    self.accept_again = Some(Instant::now() + RETRY_ACCEPT);
                    break;
                }
                match listener.accept() {
                    Ok((socket, peer)) => {
                        let over_limit = self.shared.places_taken() >= clients;
                        let accepted = Accepted { unix_socket: peer == Peer::Unix, over_limit };
                        let load = |&worker: &usize| loads[worker].load(Ordering::Relaxed);
                        let workers = loads.len().min(held / FEW_CLIENTS + 1);
                        let worker = (0..workers).min_by_key(load).expect("there is a worker");
                        loads[worker].fetch_add(1, Ordering::Relaxed);
                        self.inboxes[worker].put(WorkerMessage::Client(socket, peer, accepted));
                        to_wake[worker] = true;
                    }
                    Err(error) => match AcceptFailure::of(&error) {
                        AcceptFailure::NobodyWaits => break,
                        // A client that left before it was accepted is not our problem.
                        AcceptFailure::OneClient if lost < LOST_AT_ONCE => lost += 1,
                        failure => {
                            let help = match failure {
                                AcceptFailure::OutOfFiles => " (see ulimit -n)",
                                _ => "",
                            };
                            let text = format!("cannot accept more clients for now: {error}{help}");
                            self.shared.report.say_once("accept", text);
                            self.accept_again = Some(Instant::now() + RETRY_ACCEPT);
                            break;
                        }
                    },
                }
                if nth == PORTION {
                    self.unfinished = true;
                    break;
                }
            }
        }
        for (inbox, wake) in self.inboxes.iter().zip(to_wake) {
            if wake {
                inbox.wake();
            }
        }
        self.watch();
    }

    /// Workers wake us only when it matters which clients join and leave.
    fn watch(&self) {
        let watched = !matches!(self.stage, Stage::Running | Stage::Serving) || self.accept_again.is_some();
        self.shared.watched.store(watched, Ordering::SeqCst);
    }

    fn handle(&mut self, message: ServerMessage) -> Result<()> {
        match message {
            ServerMessage::Statistics => self.shared.report.error(self.shared.statistics()),
            ServerMessage::Died(what) => anyhow::bail!("{what}"),
            ServerMessage::Signal(signal) => {
                let until = Instant::now() + LAST_SECOND;
                self.shared.gate.stop();
                self.close_listeners();
                self.tell(|| WorkerMessage::Stop(until));
                self.stage = Stage::Stopping { signal, until: until + Duration::from_millis(100) };
            }
            ServerMessage::InputOver(end) => {
                if let Some(error) = &end.unreadable {
                    self.shared.report.error(format_args!("cannot read standard input: {error}"));
                }
                self.failed |= end.unreadable.is_some() || end.tee_failed;
                if end.tee_gone {
                    self.at_eof = AtEof::Exit;
                }
                if self.stage == Stage::Running {
                    self.input_over(end.without_ids);
                }
            }
        }
        self.watch();
        Ok(())
    }

    fn input_over(&mut self, without_ids: bool) {
        match self.at_eof {
            AtEof::Wait if !self.shared.counters.has_joined() => {
                let events = self.shared.counters.events.load(Ordering::Relaxed);
                let text = match events {
                    0 => "without an event; waiting for a first client".to_owned(),
                    1 => "after 1 event; waiting for a first client".to_owned(),
                    n => format!("after {n} events; waiting for a first client"),
                };
                self.shared.report.say(format_args!("the input has ended {text}"));
                self.stage = Stage::AwaitingFirst;
            }
            AtEof::Wait => self.end(),
            AtEof::Exit => {
                // A client that connected before the end is accepted, none after it. The kernel holds no more than this
                // many.
                for _ in 0..=BACKLOG as usize / PORTION {
                    self.accept();
                    if !self.unfinished {
                        break;
                    }
                }
                self.close_listeners();
                self.end();
            }
            AtEof::Serve => {
                let phase = if without_ids { Phase::EndedOpen } else { Phase::Ended };
                self.tell(|| WorkerMessage::End(phase));
                self.stage = Stage::Serving;
            }
        }
    }

    fn close_listeners(&mut self) {
        self.listeners.clear();
        self.unfinished = false;
    }

    fn end(&mut self) {
        self.shared.drain().end(Instant::now());
        self.stage = Stage::Ending;
        self.watch();
        self.tell(|| WorkerMessage::End(Phase::Ended));
    }

    fn tell(&self, message: impl Fn() -> WorkerMessage) {
        for inbox in &self.inboxes {
            inbox.put(message());
            inbox.wake();
        }
    }

    /// Moves to the next stage if it is time.
    fn advance(&mut self, now: Instant) -> Option<Finish> {
        let all_know = self.shared.ending.load(Ordering::SeqCst) >= self.inboxes.len();
        let nobody_owed = || all_know && self.shared.drain().nobody_owed();
        match self.stage {
            Stage::Running | Stage::Serving => None,
            Stage::AwaitingFirst => {
                if self.shared.counters.has_joined() {
                    self.end();
                }
                None
            }
            Stage::Ending => {
                // Both under one lock: a client that leaves is expected to reconnect from that moment.
                let drain = self.shared.drain();
                let expected = self.at_eof != AtEof::Exit && drain.waits_until(now).is_some();
                let over = all_know && drain.nobody_owed() && !expected;
                drop(drain);
                if over {
                    self.part(None, now + LINGER);
                }
                None
            }
            Stage::Stopping { signal, until } => {
                if nobody_owed() || now >= until {
                    self.part(Some(signal), until);
                }
                None
            }
            Stage::Parting { signal, until } => {
                let parted = self.shared.parted.load(Ordering::SeqCst) >= self.inboxes.len();
                (parted || now >= until).then(|| signal.map_or(Finish::Served, Finish::Signal))
            }
        }
    }

    /// No more clients are accepted; wait until what was sent is acknowledged.
    fn part(&mut self, signal: Option<i32>, until: Instant) {
        self.close_listeners();
        self.tell(|| WorkerMessage::Part);
        self.stage = Stage::Parting { signal, until };
    }
}

/// Sets the options of clients' sockets, which inherit them from the listener: three system calls fewer for each.
fn prepare(listener: &TcpListener, stall: Duration) {
    // None of them can fail on a socket that listens, and the program would work without.
    let socket = socket2::SockRef::from(listener);
    let _ = socket.set_tcp_nodelay(true); // latency before packet count
    // A peer that fell silent (no network, no power) never says so. These questions end only idle connections: if bytes
    // are unacknowledged, the kernel sends them again for about 15 minutes, and `Client::look` notices sooner. (It is not
    // left to TCP_USER_TIMEOUT: Linux then also ends connections of peers that read on, but slowly. It counts from the
    // first time that it asked a full receiver for room, although there has been some since.)
    let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE);
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_os = "macos",
        target_os = "freebsd",
        target_os = "dragonfly",
        target_os = "netbsd"
    ))] // OpenBSD has these times for the whole system only
    let keepalive = keepalive.with_interval(KEEPALIVE_AGAIN).with_retries(keepalive_retries(stall));
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_notsent_lowat(super::socket::UNSENT);
}

/// A silent peer is asked this often, so that it is dropped after `stall`, or soon after.
fn keepalive_retries(stall: Duration) -> u32 {
    const MOST: u32 = 127; // Linux refuses more
    let left = stall.saturating_sub(KEEPALIVE).as_secs().div_ceil(KEEPALIVE_AGAIN.as_secs());
    u32::try_from(left).map_or(MOST, |retries| retries.clamp(1, MOST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;

    #[test]
    fn a_silent_peer_is_asked_as_often_as_fits_the_bound() {
        for (bound, retries) in [(10, 1), (20, 1), (21, 1), (30, 2), (31, 3), (86_400, 127)] {
            assert_eq!(keepalive_retries(Duration::from_secs(bound)), retries, "{bound} s");
        }
    }

    #[test]
    fn clients_sockets_inherit_their_options_from_the_listener() {
        let listener = TcpListener::bind("127.0.0.1:0".parse().expect("is an address")).expect("listens");
        prepare(&listener, Duration::from_secs(30));
        let address = listener.local_addr().expect("has an address");
        let _client = std::net::TcpStream::connect(address).expect("connects");
        let (socket, _) = listener.accept().expect("is there");
        let socket = SockRef::from(&socket);
        assert!(socket.tcp_nodelay().expect("is known") && socket.keepalive().expect("is known"));
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            assert_eq!(socket.tcp_keepalive_time().expect("is known"), KEEPALIVE);
            assert_eq!(socket.tcp_keepalive_interval().expect("is known"), KEEPALIVE_AGAIN);
            assert_eq!(socket.tcp_keepalive_retries().expect("is known"), 2);
            assert_eq!(socket.tcp_user_timeout().expect("is known"), None, "it ends connections that are slow");
            assert_eq!(socket.tcp_notsent_lowat().expect("is known"), super::super::socket::UNSENT);
        }
    }
}
