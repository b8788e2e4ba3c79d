//! All clients, in one thread: they join, read, and check everything that they get.

use crate::stream::{Reading, Stream};
use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::net::{self, AddressFamily, RecvFlags, SocketType, sockopt};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Most clients that are connecting at a time: fewer than a listener has room for.
const CONNECTING: usize = 512;
/// One read takes at most this much.
const BUFFER: usize = 256 << 10;
/// A run fails when nothing came to anybody for so long.
const PATIENCE: Duration = Duration::from_secs(20);
/// One client reads at most so often in one turn, or the first would keep the others from reading.
const READS: usize = 8;
/// Of reads that are thrown away one in so many is checked.
const SAMPLED: u64 = 64;
/// Where most is thrown away, the kernel may hold so much for each client until it is.
const RECEIVED: usize = 2 << 20;
/// An address has about 28,000 ports to connect from, and finding one takes long when few are left.
const FROM_ONE_ADDRESS: usize = 10_000;

/// What clients do with what comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// They check every byte.
    Every,
    /// They leave most of it to the kernel to throw away, and check samples.
    Sampled,
}

/// The clients of one server.
pub struct Crowd<'s> {
    stream: &'s Stream,
    care: Care,
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    /// Clients that may have more to read than they were given time for.
    unread: Vec<usize>,
    joined: usize,
    /// Bytes of events that all clients together have got.
    pub delivered: u64,
    /// When something last came.
    pub latest: Instant,
}

struct Client {
    socket: TcpStream,
    reading: Reading,
    reads: u64,
    closed: bool,
}

impl Client {
    /// Reads what there is, within bounds. Tells whether that was all.
    fn read(&mut self, stream: &Stream, care: Care, buffer: &mut [u8]) -> Result<bool> {
        for _ in 0..READS {
            self.reads += 1;
            let thrown = care == Care::Sampled && self.reading.joined && !self.reads.is_multiple_of(SAMPLED);
            let result = match thrown {
                false => self.socket.read(buffer),
                // The kernel throws it away without a copy.
                true => match net::recv(&self.socket, &mut *buffer, RecvFlags::TRUNC) {
                    Ok((_, len)) => Ok(len),
                    Err(error) => Err(error.into()),
                },
            };
            match result {
                Ok(0) => {
                    ensure!(self.reading.is_over(), "it was closed early, after {} bytes", self.reading.offset);
                    self.closed = true;
                    return Ok(true);
                }
                Ok(len) if thrown => self.reading.skip(len),
                Ok(len) => self.reading.take(&buffer[..len], stream)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => bail!("{error}, after {} bytes", self.reading.offset),
            }
        }
        Ok(false)
    }
}

impl<'s> Crowd<'s> {
    /// Connects this many clients and waits until all have joined.
    pub fn join(address: SocketAddr, count: usize, stream: &'s Stream, care: Care) -> Result<Crowd<'s>> {
        let mut crowd = Crowd {
            stream,
            care,
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            clients: Vec::with_capacity(count),
            buffer: vec![0; BUFFER],
            unread: Vec::new(),
            joined: 0,
            delivered: 0,
            latest: Instant::now(),
        };
        let request = format!("GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n");
        while crowd.joined < count {
            while crowd.clients.len() < count.min(crowd.joined + CONNECTING) {
                crowd.connect(address, request.as_bytes())?;
            }
            crowd.turn(None, |_, _, _| {})?;
        }
        Ok(crowd)
    }

    fn connect(&mut self, address: SocketAddr, request: &[u8]) -> Result<()> {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        if self.care == Care::Sampled {
            // Not grown step by step, or these clients would be the limit until it has. The system may give less.
            sockopt::set_socket_recv_buffer_size(&socket, RECEIVED)?;
        }
        let nth = self.clients.len();
        let from = [127, 0, 0, 1 + (nth / FROM_ONE_ADDRESS) as u8];
        net::bind(&socket, &SocketAddr::from((from, 0))).context("no address to connect from")?;
        net::connect(&socket, &address).context("cannot connect")?;
        let mut socket = std::net::TcpStream::from(socket);
        socket.write_all(request)?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        self.poll.registry().register(&mut socket, Token(nth), Interest::READABLE)?;
        self.clients.push(Client { socket, reading: Reading::default(), reads: 0, closed: false });
        Ok(())
    }

    /// Waits at most this long, and reads what has come. `each` is told of every read that brought something: when it
    /// was, and the offsets before and after it.
    pub fn turn(&mut self, most: Option<Duration>, mut each: impl FnMut(Instant, u64, u64)) -> Result<()> {
        let wait = if self.unread.is_empty() { most.unwrap_or(PATIENCE) } else { Duration::ZERO };
        if let Err(error) = self.poll.poll(&mut self.events, Some(wait))
            && error.kind() != ErrorKind::Interrupted
        {
            bail!(error);
        }
        ensure!(self.latest.elapsed() < PATIENCE, "nothing came for {PATIENCE:?}: {}", self.state());
        let unread = std::mem::take(&mut self.unread);
        let told: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
        for nth in unread.into_iter().chain(told) {
            let client = &mut self.clients[nth];
            let (before, joined) = (client.reading.offset, client.reading.joined);
            if !client.read(self.stream, self.care, &mut self.buffer).with_context(|| format!("client {nth}"))? {
                self.unread.push(nth);
            }
            let now = Instant::now();
            self.latest = now;
            self.joined += usize::from(client.reading.joined && !joined);
            self.delivered += client.reading.offset - before;
            each(now, before, client.reading.offset);
        }
        Ok(())
    }

    /// Reads until all clients together have what this many events are for each of them.
    pub fn read_until(&mut self, events: u64) -> Result<()> {
        while !self.has(events) {
            self.turn(None, |_, _, _| {})?;
        }
        Ok(())
    }

    /// From now on every byte is checked, for the end must be seen.
    pub fn take_care(&mut self) {
        self.care = Care::Every;
    }

    /// Whether all clients together have what this many events are for each of them.
    pub fn has(&self, events: u64) -> bool {
        self.delivered >= events * (self.stream.chunk * self.clients.len()) as u64
    }

    /// Reads until all streams are closed. Each must have had this many events, each of them once and in order.
    pub fn finish(mut self, events: u64) -> Result<()> {
        while self.clients.iter().any(|client| !client.closed) {
            self.turn(None, |_, _, _| {})?;
        }
        for (nth, client) in self.clients.iter().enumerate() {
            client.reading.finish(self.stream, events).with_context(|| format!("client {nth}"))?;
        }
        Ok(())
    }

    /// The fewest events that any client has.
    pub fn fewest(&self) -> u64 {
        let each = self.clients.iter().map(|client| client.reading.offset / self.stream.chunk as u64);
        each.min().unwrap_or(0)
    }

    fn state(&self) -> String {
        let (all, joined) = (self.clients.len(), self.joined);
        let closed = self.clients.iter().filter(|client| client.closed).count();
        let most =
            self.clients.iter().map(|client| client.reading.offset).max().unwrap_or(0) / self.stream.chunk as u64;
        format!("of {all} clients {joined} joined, {closed} are closed; they have {} to {most} events", self.fewest())
    }
}
