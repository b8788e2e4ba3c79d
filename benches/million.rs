//! What clients cost without the kernel: a million of them in one process, without sockets.
//!
//!     cargo bench --bench million [-- CLIENTS]
//!
//! Each is a value of [`Connection`] in a slab, with a stream, as a worker has it, and its cursor counts among the
//! worker's [`Cursors`]. Only the system call is missing from a worker's turn: its arguments are looked at, and count
//! as written. A small machine can't open a million sockets; the bench `delivery` measures their cost, with as many as
//! possible.

use sse_pipe::counters::Counters;
use sse_pipe::http::access::{Hosts, Origins};
use sse_pipe::http::connection::{Connection, MAX_SLICES};
use sse_pipe::http::metrics::Gauges;
use sse_pipe::http::service::{Accepted, CustomPage, Phase, RequestContext, Service};
use sse_pipe::input::encoder::{Encoder, EncoderConfig};
use sse_pipe::input::records::Record;
use sse_pipe::log::batch::Draft;
use sse_pipe::log::id::Run;
use sse_pipe::log::memory::{BLOCK, Memory};
use sse_pipe::log::{Ids, Log};
use sse_pipe::serve::cursors::Cursors;
use std::hint::black_box;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

const REQUEST: &[u8] = b"GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
const STALL: Duration = Duration::from_secs(30);
const ROUNDS: u32 = 9;

fn main() {
    let clients = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let mut crowd = Crowd::join(clients);
    println!("{clients} clients, without sockets (a connection is {} bytes)", size_of::<Connection>());
    println!("{:>8.1} bytes a client", crowd.bytes as f64 / clients as f64);
    println!("{:>8.1} ns a client for an event", crowd.median(Crowd::event));
    println!("{:>8.1} ns a client for a heartbeat", crowd.median(Crowd::heartbeat));
    println!("{:>8.1} ns a client for a look at its deadline", crowd.median(Crowd::deadlines));
}

struct Crowd {
    log: Log,
    draft: Draft,
    encoder: Encoder,
    service: Service,
    clients: slab::Slab<Connection>,
    cursors: Cursors,
    /// What they take in memory.
    bytes: usize,
}

impl Crowd {
    fn join(clients: usize) -> Crowd {
        let run = Run::new(0);
        let service = Service {
            origins: Origins::default(),
            hosts: Hosts::default(),
            token: None,
            ids: true,
            tail: None,
            page: CustomPage::None,
            title: None,
            tiles: None,
            metrics: false,
        };
        let config = EncoderConfig { event: None, ids: Some(run), max_record: 1 << 20, buffer: 1 << 30 };
        let mut crowd = Crowd {
            log: Log::new(run, Ids::Run),
            draft: Draft::new(Arc::new(Memory::new(BLOCK))),
            encoder: Encoder::new(config),
            service,
            clients: slab::Slab::new(),
            cursors: Cursors::default(),
            bytes: 0,
        };
        let before = resident();
        let now = Instant::now();
        for _ in 0..clients {
            let mut connection = Connection::new(now, Accepted::default());
            let context = RequestContext {
                log: &crowd.log,
                history: 0,
                phase: Phase::Live,
                date: "Thu, 01 Jan 1970 00:00:00 GMT",
                retry: Duration::from_secs(2),
                crowded: false,
                counters: &Counters::default(),
                gauges: Gauges::default(),
            };
            connection.handle_input(REQUEST, &crowd.service, &context, now);
            crowd.cursors.join(connection.cursor().expect("it has a stream"));
            crowd.clients.insert(connection);
        }
        crowd.write(now); // the heads of their answers
        crowd.bytes = resident() - before;
        crowd
    }

    /// What a worker does for all its clients, but for the system call.
    fn write(&mut self, now: Instant) {
        for (_, connection) in &mut self.clients {
            let before = connection.cursor().expect("it has a stream");
            let written = match connection.poll_latest(&self.log) {
                Some(slice) => black_box(slice).len(),
                None => {
                    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                    let count = connection.poll_write(&self.log, &mut slices, usize::MAX);
                    black_box(&slices[..count]).iter().map(|slice| slice.len()).sum()
                }
            };
            assert!(written > 0, "there is something to write");
            connection.handle_written(written, &self.log, STALL, now);
            self.cursors.advance(before, connection.cursor().expect("it goes on"));
        }
    }

    fn event(&mut self) {
        self.encoder.record(Record::Bytes(&[b'x'; 200]), &mut self.draft).expect("has room");
        self.log.append(Arc::new(self.draft.finish(None).expect("has an entry")));
        self.write(Instant::now());
        self.cursors.count(self.clients.iter().filter_map(|(_, connection)| connection.cursor()));
        assert_eq!(self.cursors.slowest, self.log.end_offset(), "all have it");
    }

    fn heartbeat(&mut self) {
        for (_, connection) in &mut self.clients {
            connection.handle_silence(&self.log);
        }
        self.write(Instant::now());
    }

    fn deadlines(&mut self) {
        let now = Instant::now();
        for (_, connection) in &mut self.clients {
            connection.handle_timeout(&self.service, "", now);
            assert!(black_box(connection.poll_deadline()).is_none(), "nothing is pending");
        }
    }

    /// The median time of some rounds, in nanoseconds a client.
    fn median(&mut self, round: fn(&mut Crowd)) -> f64 {
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|_| {
                let start = Instant::now();
                round(self);
                start.elapsed()
            })
            .collect();
        times.sort();
        times[times.len() / 2].as_nanos() as f64 / self.clients.len() as f64
    }
}

/// The memory of this process, in bytes (proc(5), `statm`).
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("is a number");
    pages * rustix::param::page_size()
}
