//! The pace (behaviour 5.4), stalling, and memory (5.3): what slow clients cost, and who pays.

use crate::support::client::{Client, End};
use crate::support::linux::memory_peak;
use crate::support::places::busy;
use crate::support::program::Program;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsFd;
use std::process::ChildStdin;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;

/// Writes this many bytes of numbered records of 1,000 bytes with their line ends, and ends the input; tells when.
fn feed(mut stdin: ChildStdin, bytes: usize) -> JoinHandle<Instant> {
    std::thread::spawn(move || {
        for block in 0..bytes / (1000 * 100) {
            let records = (0..100).map(|n| format!("{:0>9} {}\n", block * 100 + n + 1, "x".repeat(989)));
            stdin.write_all(records.collect::<String>().as_bytes()).expect("it is read");
        }
        Instant::now()
    })
}

/// A client whose kernel keeps little for it, so that what it does not read is soon felt.
#[track_caller]
fn modest_client(program: &Program) -> TcpStream {
    let mut socket = program.connect_from(Ipv4Addr::LOCALHOST, 64 << 10);
    write!(socket, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it takes a request");
    socket
}

#[track_caller]
fn stream(program: &Program) -> Client {
    Client::read_head(modest_client(program), "GET /events")
}

/// Reads to the end; the numbers must go up by one each. Tells how many there were.
#[track_caller]
fn count(client: &mut Client) -> usize {
    let mut last = 0;
    while let Some(event) = client.next_event() {
        let number: usize = event.data[..9].parse().expect("is a number");
        assert_eq!(number, last + 1, "a hole or a repeat");
        last = number;
    }
    last
}

fn drops(told: &[String], why: &str) -> usize {
    told.iter().filter(|line| line.contains(why)).count()
}

/// Bytes a second, for the throttled reader; the whole takes 100 MB / this.
fn throttle() -> usize {
    std::env::var("SSE_PIPE_TEST_THROTTLE").map_or(10_000_000, |rate| rate.parse().expect("bytes a second"))
}

#[test]
fn slowest_waits_for_a_throttled_reader_and_it_gets_everything() {
    let _places = busy();
    const ALL: usize = 100_000_000;
    let mut program = Program::start(&["--pace", "slowest", "--buffer", "4MiB", "--wait", "2", "--at-eof", "exit"]);
    let mut slow = modest_client(&program);
    let mut fast = stream(&program);
    let start = Instant::now();
    let feeder = feed(program.take_stdin(), ALL);
    let fast = std::thread::spawn(move || count(&mut fast));
    // Reads no faster than so much, and checks at the end that nothing is missing.
    let (mut content, mut block) = (Vec::with_capacity(ALL + ALL / 10), vec![0; 100_000]);
    loop {
        let n = slow.read(&mut block).expect("it comes");
        if n == 0 {
            break;
        }
        content.extend_from_slice(&block[..n]);
        let due = Duration::from_secs_f64(content.len() as f64 / throttle() as f64);
        std::thread::sleep(due.saturating_sub(start.elapsed())); // this is the throttle, not a wait for something
    }
    drop(slow); // or the program would wait for the close, and as long as this test waits for the program
    let fed = feeder.join().expect("no panic");
    let text = String::from_utf8(content).expect("is text");
    let numbers = text.lines().filter_map(|line| line.strip_prefix("data: ")?.get(..9)?.parse::<usize>().ok());
    assert!(numbers.eq(1..=ALL / 1000), "every record, in order");
    assert!(text.ends_with("\r\n0\r\n\r\n"), "and the end");
    let least = Duration::from_secs_f64((ALL - 16 * MIB) as f64 / throttle() as f64);
    assert!(fed - start > least, "the producer waited: {:?}, at least {least:?}", fed - start);
    assert_eq!(fast.join().expect("no panic"), ALL / 1000);
    let ended = program.end();
    assert_eq!((ended.code(), drops(&ended.told, "dropped")), (Some(0), 0), "{:?}", ended.told);
}

#[test]
fn fastest_drops_one_that_stalls_and_never_slows_one_that_reads() {
    let _places = busy();
    let args = ["-v", "--buffer", "4MiB", "--stall", "1h", "--wait", "2", "--at-eof", "exit"];
    let mut program = Program::start(&args);
    let stalled = stream(&program);
    let mut good = stream(&program);
    let feeder = feed(program.take_stdin(), 100_000_000);
    let good = std::thread::spawn(move || count(&mut good));
    program.wait_for("dropped: it fell behind what --buffer holds");
    feeder.join().expect("no panic");
    assert_eq!(good.join().expect("no panic"), 100_000);
    drop(stalled);
    let ended = program.end();
    let summary = "100000 events to 2 clients, 1 dropped (0 stalled, 1 too slow)";
    assert_eq!((ended.code(), drops(&ended.told, summary)), (Some(0), 1), "{:?}", ended.told);
}

#[test]
fn the_fastest_client_is_never_dropped_however_large_the_records_are() {
    let _places = busy();
    let mut program = Program::start(&["--buffer", "1MiB", "--wait", "1", "--at-eof", "exit"]);
    let mut only = stream(&program);
    let mut stdin = program.take_stdin();
    let feeder = std::thread::spawn(move || {
        let record = format!("{}\n", "x".repeat(600_000));
        (0..200).all(|_| stdin.write_all(record.as_bytes()).is_ok())
    });
    assert_eq!(std::iter::from_fn(|| only.next_event()).count(), 200);
    assert_eq!(only.rest().1, End::Proper);
    assert!(feeder.join().expect("no panic"));
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn records_about_as_large_as_the_buffer_never_stop_the_input() {
    let _places = busy();
    for history in ["all", "5"] {
        let args = ["--buffer", "4KiB", "--pace", "input", "--history", history, "--threads", "2", "--at-eof", "exit"];
        let mut program = Program::start(&args);
        let mut stdin = program.take_stdin();
        let record = format!("{}\n", "x".repeat(2500));
        for _ in 0..20_000 {
            stdin.write_all(record.as_bytes()).expect("it is read");
        }
        drop(stdin);
        let ended = program.end();
        assert_eq!(drops(&ended.told, "20000 events"), 1, "{:?}", ended.told);
        // Where a short history is asked for, it is no news that older events go.
        assert_eq!(drops(&ended.told, "the buffer is full"), usize::from(history == "all"), "{:?}", ended.told);
    }
}

#[test]
fn a_record_of_any_size_that_the_buffer_holds_never_stops_the_input() {
    let _places = busy();
    const BUFFER: usize = 1 << 20;
    for part in 1..=32 {
        let size = BUFFER * part / 32 - 1000;
        // In one line; and in many, so that the event grows as it is written: each becomes 7 bytes longer.
        let line = "x".repeat(size);
        let lines = format!("{}\n", "x".repeat(92)).repeat(size / 100);
        let mut program = Program::start(&["--buffer", "1MiB", "--null", "--at-eof", "exit"]);
        let mut stdin = program.take_stdin();
        std::thread::spawn(move || stdin.write_all(format!("{line}\0{lines}\0after\0").as_bytes()));
        let ended = program.end();
        assert_eq!(drops(&ended.told, "3 events"), 1, "records of {size} bytes: {:?}", ended.told);
    }
}

#[test]
fn a_dropped_client_resumes_and_gets_a_notice_of_the_gap() {
    let _places = busy();
    let args = ["--buffer", "1MiB", "--history", "all", "--wait", "2", "--stall", "1h", "-v", "--at-eof", "serve"];
    let mut program = Program::start(&args);
    let mut slow = stream(&program);
    let mut good = stream(&program);
    let mut stdin = program.take_stdin();
    stdin.write_all(b"000000001 first\n").expect("it is read");
    assert_eq!(slow.data(1), ["000000001 first"]);
    let id = slow.last_id().to_owned();
    let good = std::thread::spawn(move || std::iter::from_fn(|| good.next_event()).count());
    let feeder = feed(stdin, 20_000_000);
    program.wait_for("dropped: it fell behind");
    feeder.join().expect("no panic");
    assert_eq!(good.join().expect("no panic"), 20_001);
    let mut back = program.stream_with("/events", &format!("Last-Event-ID: {id}\r\n"));
    let first = back.next_event().expect("there is more");
    let number: u64 = first.id.rsplit_once('-').and_then(|(_, n)| n.parse().ok()).expect("has a number");
    assert_eq!(back.comments, [format!("{} events missed", number - 2)]);
}

#[test]
fn input_never_waits_no_matter_what_clients_do() {
    let _places = busy();
    let mut program = Program::start(&["--pace", "input", "--buffer", "4MiB", "--stall", "1h", "--wait", "2"]);
    let stalled = [stream(&program), stream(&program)];
    let feeder = feed(program.take_stdin(), 200_000_000);
    feeder.join().expect("no panic"); // the test's own deadline is the suite's: it would stand for ever
    drop(stalled);
    let told = program.end().told;
    assert_eq!(drops(&told, "2 dropped (0 stalled, 2 too slow)"), 1, "{told:?}");
}

#[test]
fn a_lone_client_that_stalls_holds_the_producer_for_the_stall_time_and_no_longer() {
    let _places = busy();
    let mut program = Program::start(&["-v", "--buffer", "4MiB", "--stall", "1s", "--wait", "1"]);
    let stalled = stream(&program);
    let start = Instant::now();
    let feeder = feed(program.take_stdin(), 50_000_000);
    program.wait_for("dropped: it read nothing for --stall");
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    let fed = feeder.join().expect("no panic");
    assert!(fed - start >= Duration::from_secs(1), "it was held: {:?}", fed - start);
    assert!(fed - start < Duration::from_secs(15), "and then it flowed: {:?}", fed - start);
    drop(stalled);
}

#[test]
fn at_the_end_a_client_that_reads_nothing_is_waited_for_no_longer_than_the_stall_time() {
    let _places = busy();
    let mut program =
        Program::start(&["--buffer", "32MiB", "--pace", "input", "--stall", "2s", "--at-eof", "exit", "--wait", "2"]);
    let stalled = stream(&program);
    let mut good = stream(&program);
    let feeder = feed(program.take_stdin(), 10_000_000);
    let good = std::thread::spawn(move || (count(&mut good), good.rest().1));
    let start = feeder.join().expect("no panic");
    assert_eq!(good.join().expect("no panic"), (10_000, End::Proper));
    let ended = program.end();
    // The stalled one took its last bytes at some time before the end.
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    assert_eq!((ended.code(), drops(&ended.told, "1 stalled")), (Some(0), 1), "{:?}", ended.told);
    drop(stalled);
}

#[test]
fn memory_keeps_to_the_buffer_with_200_clients_of_which_50_stall() {
    let _places = busy();
    const CLIENTS: u64 = 200;
    let args = ["--buffer", "16MiB", "--pace", "input", "--stall", "1h", "--wait", "200", "--at-eof", "exit"];
    let mut program = Program::start(&args);
    let stalled: Vec<_> = (0..50).map(|_| modest_client(&program)).collect();
    let reading: Vec<_> = (0..150).map(|_| modest_client(&program)).collect();
    let pid = program.pid();
    let stdin = program.take_stdin();
    let held = stdin.as_fd().try_clone_to_owned().expect("a file can be had"); // or it would end before it is measured
    let feeder = feed(stdin, 1_000_000_000);
    let readers: Vec<_> = reading
        .into_iter()
        .map(|mut socket| {
            std::thread::spawn(move || {
                let mut block = vec![0; 64 << 10];
                while socket.read(&mut block).is_ok_and(|n| n > 0) {}
            })
        })
        .collect();
    feeder.join().expect("no panic");
    let peak = memory_peak(pid);
    let bound = ((16 + 24) << 20) + CLIENTS * 1024;
    eprintln!("{peak} bytes at the peak; {bound} are allowed");
    assert!(peak < bound, "{peak} bytes at the peak; {bound} are allowed");
    drop((stalled, held));
    readers.into_iter().for_each(|reader| reader.join().expect("no panic"));
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn the_kernel_keeps_little_for_clients_that_do_not_read() {
    let mut program = Program::start(&["--pace", "input", "--buffer", "64MiB", "--stall", "1h", "--wait", "50"]);
    let stalled: Vec<_> = (0..50).map(|_| stream(&program)).collect();
    feed(program.take_stdin(), 20_000_000).join().expect("no panic");
    // What our side has queued for each, by the kernel's own books: sent and not acknowledged, or not sent at all.
    let port = format!(":{:04X}", program.port);
    let queued = || {
        let sockets = std::fs::read_to_string("/proc/net/tcp").expect("Linux tells");
        let ours = sockets.lines().filter_map(|line| {
            let mut columns = line.split_whitespace();
            let local = columns.nth(1)?;
            let state = columns.nth(1)?;
            let queue = columns.next()?.split_once(':')?.0;
            (local.ends_with(&port) && state == "01").then(|| usize::from_str_radix(queue, 16).expect("is a number"))
        });
        ours.collect::<Vec<_>>()
    };
    let queues = queued();
    let most = queues.iter().max();
    assert_eq!(queues.len(), 50, "{queues:?}");
    assert!(most < Some(&(512 << 10)), "at most 512 KiB each: {queues:?}");
    drop(stalled);
}
