//! Delivery (behaviour 5): every client gets every event, in order, no matter what the others do.

use crate::support::client::{Client, DEADLINE, End};
use crate::support::linux::{files, memory_peak, raise_own_limit_on_files};
use crate::support::places::busy;
use crate::support::program::Program;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Records `1` to `n`, each of 200 bytes with its line end.
fn records(n: usize) -> Vec<u8> {
    let mut all = Vec::with_capacity(n * 200);
    for number in 1..=n {
        all.extend_from_slice(format!("{number:0>8} {}\n", "x".repeat(190)).as_bytes());
    }
    all
}

/// What a client without chunks and IDs reads of these records.
fn stream_of(records: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(records.len() / 200 * 208);
    for record in records.split_inclusive(|&byte| byte == b'\n') {
        all.extend_from_slice(b"data: ");
        all.extend_from_slice(record);
        all.push(b'\n');
    }
    all
}

#[test]
fn a_thousand_clients_get_200_000_records_byte_for_byte() {
    let _places = busy();
    raise_own_limit_on_files();
    const CLIENTS: usize = 1000;
    const RECORDS: usize = 200_000;
    let mut program = Program::start(&["--no-id", "--retry", "1s", "--wait", "1000", "--at-eof", "exit"]);
    let input = Arc::new(records(RECORDS));
    // The chunked stream to the byte: each record is a chunk of its own.
    let mut want = b"c\r\nretry: 1000\n\r\n".to_vec();
    for event in stream_of(&input).chunks(207) {
        want.extend_from_slice(format!("{:x}\r\n", event.len()).as_bytes());
        want.extend_from_slice(event);
        want.extend_from_slice(b"\r\n");
    }
    want.extend_from_slice(b"0\r\n\r\n");
    let want = Arc::new(want);

    let mut sockets: Vec<TcpStream> = Vec::new();
    for _ in 0..CLIENTS {
        // A thousand that the kernel lets grow to 32 MiB each would take all the memory that it has for sockets, and
        // lose packets for half a minute.
        let mut socket = program.connect_from(Ipv4Addr::LOCALHOST, 128 << 10);
        write!(socket, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it takes a request");
        sockets.push(socket);
    }
    let mut stdin = program.take_stdin();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let readers: Vec<_> = (0..4)
        .map(|part| {
            let mut mine: Vec<TcpStream> = Vec::new();
            while let Some(socket) = (sockets.len() > (3 - part) * (CLIENTS / 4)).then(|| sockets.pop()).flatten() {
                mine.push(socket);
            }
            let want = Arc::clone(&want);
            std::thread::spawn(move || check_all(mine, &want))
        })
        .collect();
    feeder.join().expect("no panic").expect("all is taken");
    let whole: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap_or(0)).collect();
    let ended = program.end();
    assert_eq!(whole.iter().sum::<usize>(), CLIENTS, "{whole:?} {:?}", ended.told);
    assert_eq!(ended.code(), Some(0));
}

/// Reads all sockets to their ends, a little of each in turn, and compares every byte after the head.
fn check_all(sockets: Vec<TcpStream>, want: &[u8]) -> usize {
    let mut block = vec![0; 256 * 1024];
    let mut open: Vec<(TcpStream, Option<usize>, Vec<u8>)> = sockets.into_iter().map(|s| (s, None, vec![])).collect();
    let mut whole = 0;
    while !open.is_empty() {
        open.retain_mut(|(socket, at, head)| {
            let n = socket.read(&mut block).expect("it comes in time");
            let mut bytes = &block[..n];
            let at = match at {
                Some(at) => at,
                None => {
                    head.extend_from_slice(bytes);
                    let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { return true };
                    bytes = &head[end + 4..];
                    at.insert(0)
                }
            };
            assert!(want[*at..].starts_with(bytes), "differs from what was fed, after {at} bytes");
            *at += bytes.len();
            assert!(n > 0 || *at == want.len(), "ended after {at} of {} bytes", want.len());
            whole += usize::from(n == 0);
            n > 0
        });
    }
    whole
}

#[test]
fn one_that_does_not_read_or_dies_changes_nothing_for_the_others() {
    let _places = busy();
    let mut program = Program::start(&[]);
    let stuck = program.stream();
    let dying = program.stream();
    let mut good = program.stream();
    let mut stdin = program.take_stdin();
    let input = records(100_000); // 20 MB: more than the sockets of one that does not read can hold
    let feeder = std::thread::spawn(move || stdin.write_all(&input).map(|()| stdin));
    let mut dying = Some(dying);
    for n in 1..=100_000 {
        if n == 50_000 {
            reset(dying.take().expect("once"));
        }
        let event = good.next_event().expect("the stream goes on");
        assert!(event.data.starts_with(&format!("{n:0>8} ")), "{n}: {}", event.data);
    }
    drop(feeder.join().expect("no panic").expect("all is taken"));
    drop(stuck);
    assert_eq!(good.rest(), (vec![], End::Proper));
    assert_eq!(program.end().code(), Some(0));
}

/// Ends a connection by RST: with unread input, closed at once.
fn reset(client: Client) {
    let socket = client.into_socket();
    rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).expect("is a socket");
}

#[test]
fn clients_that_come_and_go_leave_nothing_behind() {
    let mut program = Program::start(&[]);
    let mut good = program.stream();
    program.write("all threads are up\n");
    good.data(1);
    let pid = program.pid();
    let before = files(pid);
    for round in 0..300 {
        match round % 4 {
            0 => drop(program.stream()),
            1 => reset(program.stream()),
            2 => drop(program.connect()),
            _ => drop(program.get("/nowhere", "")),
        }
    }
    program.write("still here\n");
    assert_eq!(good.data(1), ["still here"]);
    // The last of them may still be on its way out: each write makes another turn.
    let deadline = std::time::Instant::now() + DEADLINE;
    while files(pid) > before {
        assert!(std::time::Instant::now() < deadline, "{} files, {before} before", files(pid));
        program.write("turn\n");
        good.data(1);
    }
}

#[test]
fn a_new_client_gets_the_history_and_a_returning_client_what_came_after_its_id() {
    let mut program = Program::start(&[]);
    program.write((1..=10).map(|n| format!("{n}\n")).collect::<String>());
    let mut first = program.stream();
    assert_eq!(first.data(4), ["1", "2", "3", "4"]);
    let id = first.last_id().to_owned();
    drop(first);
    let mut second = program.stream_with("/events", &format!("Last-Event-ID: {id}\r\n"));
    assert_eq!(second.data(6), ["5", "6", "7", "8", "9", "10"]);
    assert_eq!(second.comments, [] as [&str; 0]);
    let mut stranger = program.stream_with("/events", "Last-Event-ID: another-5\r\n");
    assert_eq!(stranger.data(1), ["1"], "never an error status: the history, after a notice");
    assert!(stranger.comments[0].contains("events missed"), "{:?}", stranger.comments);
}

#[test]
fn once_a_client_has_joined_a_thousand_events_are_kept_for_new_clients() {
    let mut program = Program::start(&[]);
    let all: String = (1..=5000).map(|n| format!("{n}\n")).collect();
    program.write(&all);
    let mut first = program.stream();
    assert_eq!(first.data(5000).last().map(String::as_str), Some("5000"), "everything, for the first");
    let mut second = program.stream();
    assert_eq!(second.data(1000)[0], "4001");
    let old = first.last_id().replace("-5000", "-7");
    let mut late = program.stream_with("/events", &format!("Last-Event-ID: {old}\r\n"));
    let next: u64 = late.data(1)[0].parse().expect("is a number");
    let missed = next - 8;
    // Whole batches are kept: more than the thousand may still be there.
    let want = if missed == 0 { vec![] } else { vec![format!("{missed} events missed")] };
    assert!(next <= 4001 && late.comments == want, "{next}: {:?}", late.comments);
}

#[test]
fn a_flood_without_clients_keeps_to_the_buffer() {
    let _places = busy();
    let mut program = Program::start(&["--max-record", "1KiB"]);
    let mut stdin = program.take_stdin();
    let block = records(50_000); // 10 MB
    for _ in 0..20 {
        stdin.write_all(&block).expect("it is taken");
    }
    let peak = memory_peak(program.pid());
    assert!(peak < (64 + 24) << 20, "{} MiB at the peak", peak >> 20);
    drop(stdin);
    program.wait_for("the buffer is full and no client has joined yet: the oldest events are discarded");
    let (data, end) = program.stream().rest();
    assert_eq!(end, End::Proper);
    assert!(data.len() > 200_000, "{} of the latest events", data.len());
    assert!(data.windows(2).all(|pair| pair[0][..8] < pair[1][..8] || pair[0].starts_with("00050000")));
}
