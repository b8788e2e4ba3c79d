//! In steady state nothing is allocated per client and event: what is sent is shared, and what is known of a client
//! was set up when it joined.
//!
//! This file is two programs. The first is sse-pipe itself, whole, but with an allocator that counts, and a thread that
//! sends the count to any client. The second, the test, starts the first, with many clients, and asks it before and
//! after. What a batch costs (itself, its bytes and index, its place in the queues to the workers) is allowed; that
//! does not grow with the clients.

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use support::client::{Client, DEADLINE, End};
use support::files::folder;
use support::program::Program;

#[path = "it/support"]
#[allow(dead_code)] // the tests of it/ use the rest
mod support {
    pub mod client;
    pub mod files;
    pub mod process;
    pub mod program;
}

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The socket at which the count is told; set where this is to be sse-pipe.
const COUNT_AT: &str = "SSE_PIPE_TEST_COUNT_AT";

fn main() -> ExitCode {
    if let Some(path) = std::env::var_os(COUNT_AT) {
        tell_count(Path::new(&path));
        return sse_pipe::main();
    }
    // As the usual harness does, without what nobody needs here.
    let tests: [(&str, fn()); 2] = [
        ("an_event_costs_the_same_allocations_for_one_client_and_for_many", one_by_one),
        ("a_flood_costs_allocations_for_batches_and_not_for_events", flood),
    ];
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let listed = arguments.iter().any(|argument| argument == "--list");
    let filters: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    for (name, test) in tests.into_iter().filter(|(name, _)| wanted(name)) {
        if listed {
            println!("{name}: test");
        } else {
            test(); // a panic ends the program
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

/// Tells every caller how many blocks were allocated, or made larger, so far. Asking allocates nothing itself.
fn tell_count(path: &Path) {
    let listener = UnixListener::bind(path).expect("can listen");
    thread::spawn(move || {
        for caller in listener.incoming() {
            let stats = ALLOCATOR.stats();
            let count = (stats.allocations + stats.reallocations) as u64;
            let _ = caller.and_then(|mut caller| caller.write_all(&count.to_le_bytes()));
        }
    });
}

/// sse-pipe with a count of its allocations, and clients that have joined.
struct Counted {
    program: Program,
    count_at: PathBuf,
    clients: Vec<Client>,
    sent: u64,
}

impl Counted {
    fn start(name: &str, clients: usize) -> Counted {
        let count_at = folder(name).join("count");
        let mut command = Command::new(std::env::current_exe().expect("is known"));
        // A short history, so that old batches go while new ones come.
        command.args(["--port", "0", "--threads", "2", "--heartbeat", "0", "--history", "10", "--at-eof", "exit"]);
        command.env(COUNT_AT, &count_at);
        let program = Program::start_command(command, Stdio::piped());
        let clients = (0..clients).map(|_| program.stream()).collect();
        Counted { program, count_at, clients, sent: 0 }
    }

    fn count(&self) -> u64 {
        let mut count = [0; 8];
        let mut socket = UnixStream::connect(&self.count_at).expect("it tells its count");
        socket.set_read_timeout(Some(DEADLINE)).expect("is valid");
        socket.read_exact(&mut count).expect("it tells its count");
        u64::from_le_bytes(count)
    }

    /// Writes this many records at once, and waits until every client has got every event.
    fn send(&mut self, records: u64) {
        let numbers = self.sent + 1..=self.sent + records;
        let text: String = numbers.clone().map(|number| format!("{number:0100}\n")).collect();
        self.program.write(text);
        for client in &mut self.clients {
            let want: Vec<_> = numbers.clone().map(|number| format!("{number:0100}")).collect();
            assert_eq!(client.data(records as usize), want);
        }
        self.sent += records;
    }

    fn end(mut self) {
        self.program.close_input();
        for client in &mut self.clients {
            assert_eq!(client.rest(), (Vec::new(), End::Proper));
        }
        assert_eq!(self.program.end().code(), Some(0));
    }
}

/// What a batch may allocate, whoever reads it: itself, its bytes, its index, and its share of the queues' blocks.
const PER_BATCH: u64 = 6;

/// Each record is written alone, and is a batch of its own.
fn one_by_one() {
    const EVENTS: u64 = 300;
    const CLIENTS: u64 = 50;
    let counts = [1, CLIENTS].map(|clients| {
        let mut counted = Counted::start("allocations-one-by-one", clients as usize);
        for _ in 0..100 {
            counted.send(1); // whatever grows to the size that it will need
        }
        let before = counted.count();
        for _ in 0..EVENTS {
            counted.send(1);
        }
        let count = counted.count() - before;
        counted.end();
        count
    });
    let most = EVENTS * PER_BATCH;
    assert!(counts.iter().all(|&count| count <= most), "{counts:?} allocations for {EVENTS} events; at most {most}");
    // Between them stand 14,700 deliveries. What may differ is how often the workers' queues begin a new block.
    let difference = counts[1].abs_diff(counts[0]);
    assert!(difference < EVENTS / 2, "{counts:?} allocations for 1 and for {CLIENTS} clients");
}

/// Many records are written at once, and share batches.
fn flood() {
    const EVENTS: u64 = 5_000;
    const CLIENTS: usize = 10;
    let mut counted = Counted::start("allocations-flood", CLIENTS);
    counted.send(EVENTS);
    let before = counted.count();
    counted.send(EVENTS);
    let count = counted.count() - before;
    counted.end();
    // A read brings at least a page of input, which is 40 records, and what is encoded of it is at most one batch.
    let most = EVENTS / 40 * PER_BATCH;
    assert!(count <= most, "{count} allocations for {EVENTS} events to {CLIENTS} clients; at most {most}");
}
