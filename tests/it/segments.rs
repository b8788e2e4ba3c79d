//! The log's segments (behaviour 5.3): in a flood, many clients are sent events from files in memory. Every byte must be
//! right, however slowly a client reads, and no matter what the system refuses.

use crate::support::linux::REFUSE;
use crate::support::places::busy;
use crate::support::program::{BINARY, Program};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Enough for segments to pay.
const CLIENTS: usize = 40;
const RECORDS: usize = 30_000;

/// Record `n`, of some 1,000 bytes. No two of 26 have a byte in common after their numbers, so that those of another
/// one show wherever they turn up.
fn record(n: usize) -> String {
    format!("{n:0>9} {}", char::from(b'a' + (n % 26) as u8).to_string().repeat(900 + n % 97))
}

/// The bytes of record `n` in the stream: one event, one chunk.
fn event(n: usize, chunked: bool) -> Vec<u8> {
    let data = format!("data: {}\n\n", record(n));
    if chunked { format!("{:x}\r\n{data}\r\n", data.len()).into() } else { data.into() }
}

/// How a client reads.
#[derive(Clone, Copy)]
enum Reader {
    Fast,
    /// At most this many bytes a second; and the kernel may hold much for it, which it reads long afterwards.
    Slow(usize),
    /// HTTP/1.0: no chunks.
    Old,
    /// With the times of the events, which the test does not look at.
    Times,
}

impl Reader {
    fn connect(self, program: &Program) -> TcpStream {
        let mut socket = match self {
            Reader::Slow(_) => program.connect_from(Ipv4Addr::LOCALHOST, 4 << 20),
            _ => program.connect(),
        };
        let (path, version) = match self {
            Reader::Old => ("/events", "1.0"),
            Reader::Times => ("/events?times=event", "1.1"),
            _ => ("/events", "1.1"),
        };
        write!(socket, "GET {path} HTTP/{version}\r\nHost: localhost\r\n\r\n").expect("it takes a request");
        socket
    }

    /// Reads to the end, and compares each byte with what it should be.
    fn verify(self, mut socket: TcpStream) {
        let chunked = !matches!(self, Reader::Old);
        let (start, mut total) = (Instant::now(), 0);
        let (mut block, mut raw) = (vec![0; 64 << 10], Vec::new());
        let mut next = 1;
        let mut want = event(next, chunked);
        loop {
            let n = socket.read(&mut block).expect("it comes");
            raw.extend_from_slice(&block[..n]);
            if next == 1 {
                // After the head, and what a stream begins with.
                match raw.windows(want.len()).position(|bytes| bytes == want) {
                    Some(at) => drop(raw.drain(..at)),
                    None => {
                        assert!(n > 0 && raw.len() < 100_000, "no first event in {:?}", String::from_utf8_lossy(&raw));
                        continue;
                    }
                }
            }
            let mut at = 0;
            while next <= RECORDS && raw.len() - at >= want.len() {
                if let Reader::Times = self
                    && let Some(skip) = read_at(&raw[at..])
                {
                    at += skip;
                    continue;
                }
                let got = &raw[at..at + want.len()];
                assert!(got == want, "instead of record {next}: {:?}", String::from_utf8_lossy(got));
                at += want.len();
                next += 1;
                want = event(next, chunked);
            }
            raw.drain(..at);
            if n == 0 {
                let end: &[u8] = if chunked { b"0\r\n\r\n" } else { b"" };
                assert_eq!((next, &raw[..]), (RECORDS + 1, end), "all records, and the end");
                return;
            }
            total += n;
            if let Reader::Slow(rate) = self {
                // This is the rate, not a wait for something.
                let due = Duration::from_secs_f64(total as f64 / rate as f64);
                std::thread::sleep(due.saturating_sub(start.elapsed()));
            }
        }
    }
}

/// The length of the time of an event, if that is what comes next.
fn read_at(bytes: &[u8]) -> Option<usize> {
    let size = bytes.iter().position(|&byte| byte == b'\r')?;
    bytes[size + 2..].starts_with(b"event: read-at\n").then_some(())?;
    let length = usize::from_str_radix(std::str::from_utf8(&bytes[..size]).ok()?, 16).ok()?;
    (bytes.len() >= size + 2 + length + 2).then_some(size + 2 + length + 2)
}

/// Floods clients that verify everything. Says whether there were segments.
fn flood(mut program: Program, readers: impl IntoIterator<Item = Reader>) -> bool {
    let sockets: Vec<_> = readers.into_iter().map(|reader| (reader, reader.connect(&program))).collect();
    let readers: Vec<JoinHandle<()>> =
        sockets.into_iter().map(|(reader, socket)| std::thread::spawn(move || reader.verify(socket))).collect();
    let mut stdin = program.take_stdin();
    let feeder = std::thread::spawn(move || {
        let all: Arc<str> = (1..=RECORDS).map(|n| record(n) + "\n").collect::<String>().into();
        stdin.write_all(all.as_bytes()).expect("it is read");
    });
    let mut seen = false;
    while !feeder.is_finished() {
        let files = std::fs::read_dir(format!("/proc/{}/fd", program.pid())).expect("it runs");
        let names = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        seen = names.into_iter().any(|name| name.to_string_lossy().contains("memfd:sse-pipe")) || seen;
    }
    feeder.join().expect("no panic");
    for reader in readers {
        reader.join().expect("every byte is right");
    }
    let ended = program.end();
    let summary = format!("{RECORDS} events to {CLIENTS} clients");
    assert!(ended.code() == Some(0) && ended.told.iter().any(|line| line.contains(&summary)), "{:?}", ended.told);
    seen
}

const ARGS: [&str; 11] =
    ["--no-id", "--pace", "slowest", "--buffer", "1MiB", "--wait", "40", "--at-eof", "exit", "--stall", "60s"];

/// One in eight each: slow, HTTP/1.0, with times.
fn mixed() -> impl Iterator<Item = Reader> {
    (0..CLIENTS).map(|n| match n % 8 {
        0 => Reader::Slow(10_000_000),
        1 => Reader::Old,
        2 => Reader::Times,
        _ => Reader::Fast,
    })
}

#[test]
fn every_byte_is_right_while_segments_go_that_are_still_being_sent() {
    let _places = busy();
    // The kernel holds more for a slow client than the buffer has: what it reads was evicted long ago. If segments were
    // written again for new batches, it would read those instead.
    assert!(flood(Program::start(&ARGS), mixed()), "there were segments");
}

#[test]
fn a_large_segment_is_sent_right_to_clients_that_fall_far_behind() {
    let _places = busy();
    let mut args = ARGS;
    args[4] = "64MiB";
    assert!(flood(Program::start(&args), mixed()), "there were segments");
}

#[test]
fn where_the_system_refuses_files_or_to_send_from_them_nothing_is_lost() {
    for call in ["memfd_create", "sendfile"] {
        let _places = busy();
        let mut command = Command::new(&*REFUSE);
        command.args([call, BINARY, "--port", "0"]).args(ARGS);
        let program = Program::start_command(command, Stdio::piped());
        let seen = flood(program, mixed());
        assert!(call == "sendfile" || !seen, "{call} was refused");
    }
}

#[test]
fn a_limit_on_the_size_of_files_does_not_end_the_program() {
    let _places = busy();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 100; exec \"$0\" \"$@\"", BINARY, "--port", "0"]).args(ARGS);
    assert!(!flood(Program::start_command(command, Stdio::piped()), mixed()), "no file is written");
}
