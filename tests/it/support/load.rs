//! Clients under load: many that are killed at random, reconnect with their last event ID, and check every event.

use super::client::DEADLINE;
use super::program::Program;
use super::random::Random;
use rustix::event::{PollFd, PollFlags, poll};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What happens in one test under load.
pub struct Load {
    pub args: &'static [&'static str],
    pub clients: usize,
    pub drivers: usize,
    /// For how long records are written.
    pub time: Duration,
    /// Records a second; `None`: as fast as they are taken.
    pub rate: Option<f64>,
    /// Bytes that are added to each record.
    pub padding: u64,
    /// For how many records a client stays away at most.
    pub away: u64,
}

/// What the writer tells the clients.
#[derive(Default)]
struct Written {
    records: AtomicU64,
    /// The number of all records, once it is known.
    all: AtomicU64,
}

/// What has happened to all clients together.
#[derive(Debug, Default)]
pub struct Tally {
    pub connections: u64,
    pub events: u64,
    /// Resumes with a last event ID that missed nothing.
    pub whole: u64,
    /// Resumes to which a gap was reported.
    pub gaps: u64,
    /// Connections that were cut within an event.
    pub cut_within: u64,
}

impl Load {
    fn padding(&self, n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (self.padding + 1)
    }

    /// Writes records in bursts until the time is over.
    fn write(&self, mut input: impl Write, mut random: Random, written: &Written) {
        let (start, mut n, mut block) = (Instant::now(), 0, Vec::new());
        while start.elapsed() < self.time {
            block.clear();
            for _ in 0..=random.below(400) {
                n += 1;
                writeln!(block, "{n} {:x<1$}", "", self.padding(n) as usize).expect("memory takes it");
            }
            input.write_all(&block).expect("the program reads on");
            written.records.store(n, Ordering::SeqCst);
            if let Some(rate) = self.rate {
                // No waiting for anything: this is what makes the load.
                std::thread::sleep(Duration::from_secs_f64(n as f64 / rate).saturating_sub(start.elapsed()));
            }
        }
        written.all.store(n, Ordering::SeqCst);
    }

    /// Runs it all; the program ends by itself when every client has everything and its 204.
    #[track_caller]
    pub fn run(&self) -> Tally {
        let mut random = Random::new();
        let seed = random.0;
        let shown = format!("sse-pipe {:?}, SSE_PIPE_SEED={seed}", self.args);
        let mut program = Program::start(self.args);
        let input = program.take_stdin();
        let written = Written::default();
        let deadline = Instant::now() + self.time + DEADLINE;
        let mut seeds: Vec<u64> = (0..=self.drivers).map(|_| random.below(u64::MAX) | 1).collect();
        let tallies: Vec<Result<Tally, String>> = std::thread::scope(|scope| {
            let (written, address) = (&written, program.address());
            let seed = seeds.pop().expect("one for each, and one more");
            scope.spawn(move || self.write(input, Random(seed), written));
            let drivers: Vec<_> = seeds
                .iter()
                .map(|&seed| {
                    let clients = (0..self.clients / self.drivers).map(|_| Puller::new(address)).collect();
                    let driver = Driver { load: self, clients, written, random: Random(seed), tally: Tally::default() };
                    scope.spawn(move || driver.drive(deadline))
                })
                .collect();
            drivers.into_iter().map(|driver| driver.join().expect("no panic")).collect()
        });
        let mut sum = Tally::default();
        for tally in tallies {
            let tally = tally.unwrap_or_else(|error| panic!("{shown}: {error}"));
            sum.connections += tally.connections;
            sum.events += tally.events;
            sum.whole += tally.whole;
            sum.gaps += tally.gaps;
            sum.cut_within += tally.cut_within;
        }
        let ended = program.end();
        assert_eq!(ended.code(), Some(0), "{shown}: {ended:?}");
        // On a slow machine the buffer may be full before the first client is there, which another line reports.
        let dropped = ended.told.last().is_some_and(|line| line.contains("dropped"));
        assert!(!dropped, "{shown}: the log holds it for all of them: {:?}", ended.told);
        println!("{shown}: {sum:?}, {:?}", ended.told);
        sum
    }
}

/// A client that reconnects with its last event ID, again and again, and checks what it gets.
struct Puller {
    address: SocketAddr,
    connection: Option<Connection>,
    /// It reconnects when this many records are written, or all.
    returns: u64,
    /// Number of the last event, once there was one.
    last: Option<u64>,
    /// The last event ID, as the client would send it.
    last_id: String,
    done: bool,
}

/// One connection of it: a chunked event stream, parsed as it comes.
struct Connection {
    socket: TcpStream,
    /// It is killed after this many more bytes.
    life: usize,
    place: Place,
    /// What is not yet complete: the head, a chunk-size.
    partial: Vec<u8>,
    /// The line of the event stream that is not yet complete.
    line: Vec<u8>,
    data: Vec<u8>,
    id: Vec<u8>,
    has_data: bool,
    events: u64,
    missed: Option<u64>,
}

/// Where the parser stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    ChunkSize,
    /// This many bytes of chunk-data are left.
    ChunkData(usize),
    /// This many bytes of the CRLF after it are left.
    AfterData(usize),
    /// The last-chunk has been read.
    End,
    /// It has the 204: there is no more.
    Farewell,
}

struct Driver<'a> {
    load: &'a Load,
    clients: Vec<Puller>,
    written: &'a Written,
    random: Random,
    tally: Tally,
}

impl Driver<'_> {
    /// Drives its clients until all have everything.
    fn drive(mut self, deadline: Instant) -> Result<Tally, String> {
        let mut block = vec![0; 64 * 1024];
        while self.clients.iter().any(|client| !client.done) {
            if Instant::now() > deadline {
                let late: Vec<_> = self.clients.iter().filter(|client| !client.done).map(Puller::shown).collect();
                return Err(format!("not done in time: {late:#?}"));
            }
            self.connect()?;
            for nth in self.readable() {
                let client = &mut self.clients[nth];
                client
                    .read(&mut block, self.load, self.written, &mut self.tally)
                    .map_err(|error| format!("{error}\n  {}\n  {:?}", client.shown(), self.tally))?;
                self.kill(nth);
            }
        }
        Ok(self.tally)
    }

    /// Connects those that want to reconnect.
    fn connect(&mut self) -> Result<(), String> {
        let records = self.written.records.load(Ordering::SeqCst);
        let over = self.written.all.load(Ordering::SeqCst) > 0;
        for client in &mut self.clients {
            if !client.done && client.connection.is_none() && (over || records >= client.returns) {
                // Some within the head, some within the first events, most later.
                let life = match self.random.below(8) {
                    0 => self.random.below(500),
                    1 => self.random.below(5000),
                    _ => self.random.below(400_000),
                };
                client.connect(life as usize + 1).map_err(|error| format!("{error}\n  {}", client.shown()))?;
                self.tally.connections += 1;
            }
        }
        Ok(())
    }

    /// Waits a moment for bytes, and tells which clients have some.
    fn readable(&self) -> Vec<usize> {
        let with = |(nth, client): (usize, &'_ Puller)| client.connection.is_some().then_some(nth);
        let some: Vec<usize> = self.clients.iter().enumerate().filter_map(with).collect();
        let socket = |&nth: &usize| &self.clients[nth].connection.as_ref().expect("is filtered").socket;
        let mut fds: Vec<_> = some.iter().map(|nth| PollFd::new(socket(nth), PollFlags::IN)).collect();
        let moment = rustix::event::Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
        poll(&mut fds, Some(&moment)).expect("sockets can be polled");
        some.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty()).map(|(&nth, _)| nth).collect()
    }

    /// Kills a connection whose life is over, one way or the other.
    fn kill(&mut self, nth: usize) {
        let client = &mut self.clients[nth];
        let Some(connection) = client.connection.take_if(|connection| connection.life == 0) else { return };
        self.tally.cut_within += u64::from(connection.has_data || !connection.line.is_empty());
        if self.random.below(2) == 0 {
            rustix::net::sockopt::set_socket_linger(&connection.socket, Some(Duration::ZERO)).expect("is a socket");
        }
        if self.random.below(2) == 0 {
            client.returns = self.written.records.load(Ordering::SeqCst) + self.random.below(self.load.away + 1);
        }
    }
}

impl Puller {
    fn new(address: SocketAddr) -> Puller {
        Puller { address, connection: None, returns: 0, last: None, last_id: String::new(), done: false }
    }

    fn shown(&self) -> String {
        let connection = self.connection.as_ref().map(|c| {
            let (head, line) = (String::from_utf8_lossy(&c.partial), String::from_utf8_lossy(&c.line));
            format!("{:?}, {} events, missed {:?}, {head:?}, {line:?}", c.place, c.events, c.missed)
        });
        format!("a client whose last event is {:?}, ID {:?}: {connection:?}", self.last, self.last_id)
    }

    fn connect(&mut self, life: usize) -> Result<(), String> {
        let mut socket = TcpStream::connect(self.address).map_err(|error| format!("cannot connect: {error}"))?;
        let last_event_id = match &*self.last_id {
            "" => String::new(),
            id => format!("Last-Event-ID: {id}\r\n"),
        };
        let accept = "Accept: text/event-stream\r\n";
        write!(socket, "GET /events HTTP/1.1\r\nHost: localhost\r\n{accept}{last_event_id}\r\n")
            .map_err(|error| format!("cannot ask: {error}"))?;
        socket.set_nonblocking(true).expect("is a socket");
        self.connection = Some(Connection {
            socket,
            life,
            place: Place::Head,
            partial: Vec::new(),
            line: Vec::new(),
            data: Vec::new(),
            id: Vec::new(),
            has_data: false,
            events: 0,
            missed: None,
        });
        Ok(())
    }

    /// Reads what is there, within the connection's life.
    fn read(&mut self, block: &mut [u8], load: &Load, written: &Written, tally: &mut Tally) -> Result<(), String> {
        let Some(mut connection) = self.connection.take() else { return Ok(()) };
        let most = block.len().min(connection.life);
        let n = match connection.socket.read(&mut block[..most]) {
            Ok(n) => n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                self.connection = Some(connection);
                return Ok(());
            }
            Err(error) => {
                self.connection = Some(connection);
                return Err(format!("the program cut a connection: {error}"));
            }
        };
        connection.life -= n;
        let result = self.take(&mut connection, &block[..n], load, tally);
        let place = connection.place;
        let over = n == 0 || matches!(place, Place::End | Place::Farewell);
        if result.is_err() || !over {
            self.connection = Some(connection);
            return result;
        }
        // Only at the end of the input does a stream end.
        let all = written.all.load(Ordering::SeqCst);
        match place {
            Place::End | Place::Farewell if all == 0 || self.last != Some(all) => {
                Err(format!("{place:?} after {:?} of {all} (0: not known yet) records", self.last))
            }
            Place::End => Ok(()), // it reconnects, as an EventSource does
            Place::Farewell => {
                self.done = true;
                Ok(())
            }
            _ => {
                self.connection = Some(connection);
                Err("the program closed a stream in the middle".to_owned())
            }
        }
    }

    fn take(&mut self, on: &mut Connection, bytes: &[u8], load: &Load, tally: &mut Tally) -> Result<(), String> {
        let mut at = 0;
        // Plain loops over indexes: they are fast without optimization, too.
        while at < bytes.len() {
            match on.place {
                Place::Head => {
                    on.partial.push(bytes[at]);
                    at += 1;
                    if on.partial.ends_with(b"\r\n\r\n") {
                        on.place = match &on.partial[..13] {
                            b"HTTP/1.1 200 " => Place::ChunkSize,
                            b"HTTP/1.1 204 " => Place::Farewell,
                            _ => return Err("an answer that is neither 200 nor 204".to_owned()),
                        };
                        on.partial.clear();
                    }
                }
                Place::ChunkSize => {
                    on.partial.push(bytes[at]);
                    at += 1;
                    if let Some(size) = on.partial.strip_suffix(b"\r\n") {
                        let size = std::str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
                        let size = size.ok_or("a chunk-size that is none")?;
                        on.place = if size == 0 { Place::AfterData(2) } else { Place::ChunkData(size) };
                        on.partial.clear();
                        if size == 0 {
                            on.partial.push(b'0'); // the last-chunk: nothing comes after its CRLF
                        }
                    }
                }
                Place::ChunkData(left) => {
                    let end = bytes.len().min(at + left);
                    on.place = match left - (end - at) {
                        0 => Place::AfterData(2),
                        left => Place::ChunkData(left),
                    };
                    while at < end {
                        let start = at;
                        while at < end && bytes[at] != b'\n' {
                            at += 1;
                        }
                        if at == end {
                            on.line.extend_from_slice(&bytes[start..end]);
                        } else if on.line.is_empty() {
                            self.line(on, &bytes[start..at], load, tally)?;
                            at += 1;
                        } else {
                            let mut line = std::mem::take(&mut on.line);
                            line.extend_from_slice(&bytes[start..at]);
                            self.line(on, &line, load, tally)?;
                            at += 1;
                        }
                    }
                }
                Place::AfterData(left) => {
                    if bytes[at] != b"\r\n"[2 - left] {
                        return Err("a chunk that does not end with CRLF".to_owned());
                    }
                    at += 1;
                    on.place = match left - 1 {
                        0 if on.partial.is_empty() => Place::ChunkSize,
                        0 => Place::End,
                        left => Place::AfterData(left),
                    };
                }
                Place::End | Place::Farewell => return Err("bytes after the end".to_owned()),
            }
        }
        Ok(())
    }

    /// A line of the event stream is complete.
    fn line(&mut self, on: &mut Connection, line: &[u8], load: &Load, tally: &mut Tally) -> Result<(), String> {
        if line.is_empty() {
            return if std::mem::take(&mut on.has_data) { self.event(on, load, tally) } else { Ok(()) };
        }
        if let Some(data) = line.strip_prefix(b"data: ") {
            if std::mem::replace(&mut on.has_data, true) {
                return Err("two data lines".to_owned());
            }
            on.data.clear();
            on.data.extend_from_slice(data);
        } else if let Some(id) = line.strip_prefix(b"id: ") {
            on.id.clear();
            on.id.extend_from_slice(id);
        } else if let Some(comment) = line.strip_prefix(b": ") {
            let text = String::from_utf8_lossy(comment);
            let missed = text.strip_suffix(" events missed").and_then(|n| n.parse().ok()).filter(|&n: &u64| n > 0);
            if on.events > 0 || on.missed.is_some() || self.last.is_none() || missed.is_none() {
                return Err(format!("a comment that makes no sense here: {text:?}"));
            }
            on.missed = missed;
        } else if !line.starts_with(b"retry: ") {
            return Err(format!("an unexpected line: {:?}", String::from_utf8_lossy(line)));
        }
        Ok(())
    }

    /// An event is complete, with its blank line: only now it counts.
    fn event(&mut self, on: &mut Connection, load: &Load, tally: &mut Tally) -> Result<(), String> {
        let (mut n, mut at) = (0, 0);
        while at < on.data.len() && on.data[at].is_ascii_digit() {
            n = n * 10 + u64::from(on.data[at] - b'0');
            at += 1;
        }
        let missed = on.missed.filter(|_| on.events == 0).unwrap_or(0);
        let wrong = match self.last {
            Some(last) => n != last + 1 + missed,
            None => n == 0, // a new client begins with the history
        };
        let whole = on.data.len() == at + 1 + load.padding(n) as usize;
        let of_n = on.id.rsplit(|&byte| byte == b'-').next().is_some_and(|digits| *digits == on.data[..at]);
        if wrong || !whole || !of_n {
            let (data, id) = (String::from_utf8_lossy(&on.data), String::from_utf8_lossy(&on.id));
            return Err(format!("after {:?}, {missed} missed, came data {data:?} with ID {id:?}", self.last));
        }
        if on.events == 0 && self.last.is_some() {
            *if missed > 0 { &mut tally.gaps } else { &mut tally.whole } += 1;
        }
        self.last = Some(n);
        on.events += 1;
        tally.events += 1;
        self.last_id.clear();
        self.last_id.push_str(std::str::from_utf8(&on.id).map_err(|_| "an ID that is not ASCII")?);
        Ok(())
    }
}
