//! Real faults: clients that creep, freeze, die and vanish, a machine that runs out of resources. The others are still
//! served, nothing is left over, and the processor is idle.

use crate::support::client::{Client, DEADLINE, End, Event};
use crate::support::files::folder;
use crate::support::linux::{
    cpu_time, files, in_own_network, limit_files, listening_port, memory, raise_own_limit_on_files, run, threads,
    unsent, unshare,
};
use crate::support::places::busy;
use crate::support::process::Process;
use crate::support::program::{BINARY, Program};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A client for which the kernel keeps little, so that what it does not read is soon felt.
const LITTLE: usize = 16 << 10;

#[track_caller]
fn connect(program: &Program) -> TcpStream {
    program.connect_from(Ipv4Addr::LOCALHOST, LITTLE)
}

#[track_caller]
fn send(mut socket: &TcpStream, text: &str) {
    socket.write_all(text.as_bytes()).unwrap_or_else(|error| panic!("it takes {text:?}: {error}"));
}

/// Sends a RST instead of a FIN.
fn reset(socket: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).expect("is a socket");
}

/// A client that has had a record. By then the program has opened all that it keeps open: its reader is up.
#[track_caller]
fn good_client(program: &mut Program) -> Client {
    let mut good = program.stream();
    program.write("all threads are up\n");
    assert_eq!(good.data(1), ["all threads are up"]);
    good
}

const GET: &str = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Sends one record after the other, which the good client gets, until `done`.
#[track_caller]
fn turn_until(program: &mut Program, good: &mut Client, what: &str, time: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + time;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within {time:?}; it said {:?}", program.told);
        program.write("turn\n");
        assert_eq!(good.data(1), ["turn"], "{what}");
    }
}

#[test]
fn a_thousand_clients_that_send_a_byte_a_second_cost_neither_time_nor_service() {
    let _places = busy();
    raise_own_limit_on_files();
    let mut program = Program::start(&[]);
    let pid = program.pid();
    let mut good = good_client(&mut program);
    let before = files(pid);
    let sockets: Vec<TcpStream> = (0..1000).map(|_| connect(&program)).collect();
    let request = "GET /events HTTP/1.1\r\nHost: localhost\r\n";
    let (start, time_before) = (Instant::now(), cpu_time(pid));
    let mut latencies = Vec::new();
    for (second, byte) in request.bytes().take(9).enumerate() {
        for mut socket in &sockets {
            socket.write_all(&[byte]).unwrap_or_else(|error| panic!("second {second}: {error}"));
        }
        for n in 0..10 {
            let sent = Instant::now();
            program.write(format!("{second} {n}\n"));
            assert_eq!(good.data(1), [format!("{second} {n}")]);
            latencies.push(sent.elapsed());
        }
        assert_eq!(program.stream_with("/events?tail", "Last-Event-ID: -\r\n").status, 200, "a newcomer gets in");
        // This is the speed of the thousand, not a wait for something.
        std::thread::sleep(Duration::from_secs(second as u64 + 1).saturating_sub(start.elapsed()));
    }
    let (time, passed) = (cpu_time(pid) - time_before, start.elapsed());
    latencies.sort();
    let median = latencies[latencies.len() / 2];
    eprintln!("{time:?} on the processor in {passed:?}; a record took {median:?}");
    assert!(time < passed / 10, "{time:?} on the processor in {passed:?}");
    assert!(median < Duration::from_millis(100), "a record took {median:?}");
    for socket in sockets {
        let late = Client::read_head(socket, "a head that never ends");
        assert_eq!(late.status, 408);
    }
    turn_until(&mut program, &mut good, "all are gone", DEADLINE, || files(pid) <= before);
}

#[test]
fn a_reset_in_any_state_disturbs_no_other_client_and_leaves_nothing() {
    type Lead = fn(&mut Program, &mut Client) -> TcpStream;
    let states: [(&str, Lead); 10] = [
        ("connected", |program, _| connect(program)),
        ("half a head", |program, _| {
            let socket = connect(program);
            send(&socket, "GET /events HTTP/1.1\r\nHos");
            socket
        }),
        ("a request, and nothing read", |program, _| {
            let socket = connect(program);
            send(&socket, GET);
            socket
        }),
        ("a stream that has everything", |program, _| {
            let mut client = program.stream();
            client.next_chunk();
            client.into_socket()
        }),
        ("a stream of HTTP/1.0", |program, _| program.request("GET /events HTTP/1.0\r\n\r\n").into_socket()),
        ("a stream that is behind", |program, good| {
            let socket = connect(program);
            send(&socket, GET);
            let client = Client::read_head(socket, GET);
            for _ in 0..30 {
                program.write(format!("{}\n", "x".repeat(100_000))); // together more than its sockets hold
                good.next_event().expect("the stream goes on");
            }
            client.into_socket()
        }),
        ("a refusal, unread", |program, _| {
            let socket = connect(program);
            send(&socket, "GET / HTTP/1.1\r\n\r\n");
            socket
        }),
        ("a refusal, read and not closed", |program, _| program.get("/nowhere", "").into_socket()),
        ("a page, half read", |program, _| {
            let socket = connect(program);
            send(&socket, "GET /viewer.js HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let mut some = [0; 10];
            (&socket).read_exact(&mut some).expect("it comes");
            socket
        }),
        ("a body on its way", |program, _| {
            let socket = connect(program);
            send(&socket, "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n");
            send(&socket, &"x".repeat(5000));
            socket
        }),
    ];
    let mut program = Program::start(&["-n", "0"]);
    let mut good = good_client(&mut program);
    let (pid, before) = (program.pid(), files(program.pid()));
    for (state, lead) in states {
        for _ in 0..10 {
            let socket = lead(&mut program, &mut good);
            reset(socket);
            program.write("still here\n");
            assert_eq!(good.data(1), ["still here"], "{state}");
        }
        turn_until(&mut program, &mut good, state, DEADLINE, || files(pid) <= before);
    }
    // In the queue of those who knock, while nobody opens.
    program.signal("STOP");
    (0..50).for_each(|_| reset(connect(&program)));
    program.signal("CONT");
    turn_until(&mut program, &mut good, "before it was let in", DEADLINE, || files(pid) <= before);
    // At the end: a stream that has its last-chunk, and one that has not taken it.
    let (unread, mut read) = (program.stream(), program.stream());
    program.close_input();
    assert_eq!(good.rest(), (vec![], End::Proper));
    while read.next_chunk().is_some() {}
    reset(read.into_socket());
    reset(unread.into_socket());
    let ended = program.end();
    assert_eq!(ended.code(), Some(0), "{:?}", ended.told);
    assert!(ended.told.iter().all(|line| !line.contains("bug") && !line.contains("panicked")), "{:?}", ended.told);
}

/// Packets to and from this address are dropped, once [`unplug`] was called.
const UNPLUGGED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn unplug() {
    for direction in ["--source", "--destination"] {
        let rule = ["--append", "INPUT", direction, &UNPLUGGED.to_string(), "--jump", "DROP"];
        run(Command::new("iptables").arg("--wait").args(rule));
    }
}

/// Linux counts a `TCP_USER_TIMEOUT` from the first time that it asked a full receiver for room, and not from the last
/// time that there was some: it once ended connections of clients that read on.
#[test]
fn clients_that_read_a_little_now_and_then_are_kept() {
    const STALL: Duration = Duration::from_secs(10);
    let mut program = Program::start(&["-v", "--stall", "10s", "--at-eof", "exit"]);
    let mut good = good_client(&mut program);
    let mut slow: Vec<TcpStream> =
        (0..12).map(|nth| program.connect_from(Ipv4Addr::LOCALHOST, LITTLE << (nth % 2))).collect();
    slow.iter().for_each(|socket| send(socket, GET));
    let record = "x".repeat(61_000);
    for _ in 0..100 {
        program.write(format!("{record}\n"));
        good.next_event().expect("the stream goes on");
    }
    std::thread::sleep(Duration::from_secs(1)); // nobody reads: now the kernel asks
    let start = Instant::now();
    let mut block = vec![0; 1500];
    // This is the speed of the clients, not a wait for something.
    while start.elapsed() < STALL + STALL / 2 {
        for (nth, socket) in slow.iter_mut().enumerate() {
            let after = start.elapsed();
            let n = socket.read(&mut block).unwrap_or_else(|error| panic!("client {nth} after {after:?}: {error}"));
            assert!(n > 0, "client {nth} after {after:?}: the end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!program.has_told("dropped"), "{:?}", program.told);
}

#[test]
fn a_client_that_takes_its_time_is_kept_in_a_silent_stream_too() {
    const STALL: Duration = Duration::from_secs(3);
    let mut program = Program::start(&["-v", "--stall", "3s", "--heartbeat", "100ms", "--at-eof", "exit"]);
    let mut good = good_client(&mut program);
    let mut slow = connect(&program);
    send(&slow, GET);
    // Its socket takes all of it at once, and then the stream is silent but for heartbeats.
    let record = "x".repeat(120_000);
    program.write(format!("{record}\n"));
    assert_eq!(good.data(1), [&*record]);
    let start = Instant::now();
    let (mut got, mut block) = (Vec::new(), vec![0; 4000]);
    // This is the speed of the client, not a wait for something: the kernel sees it read about once a second.
    while got.len() < record.len() {
        let n = slow.read(&mut block).unwrap_or_else(|error| panic!("after {:?}: {error}", start.elapsed()));
        assert!(n > 0, "after {:?} and {} bytes: the end", start.elapsed(), got.len());
        got.extend_from_slice(&block[..n]);
        std::thread::sleep(Duration::from_millis(250));
    }
    assert!(start.elapsed() > 2 * STALL, "{:?}: it was not slow", start.elapsed());
    // Once it has everything, it has heartbeats and no deadline.
    let start = Instant::now();
    while start.elapsed() < STALL + STALL / 3 {
        assert_ne!(slow.read(&mut block).expect("it is kept"), 0);
    }
    assert!(!program.has_told("dropped"), "{:?}", program.told);
}

#[test]
#[ignore = "needs unshare, ip and iptables: tests/run"]
fn clients_whose_network_is_gone_are_let_go_in_every_state() {
    if !in_own_network("faults::clients_whose_network_is_gone_are_let_go_in_every_state") {
        return;
    }
    // One server that has something to say to all every second, one that is silent, and one that has
    // heartbeats, and an event now and then.
    let mut program = Program::start(&["-v", "--heartbeat", "1s", "--stall", "2s", "-n", "0"]);
    let mut silent = Program::start(&["--heartbeat", "0", "--stall", "1s", "-n", "0"]);
    let mut beating = Program::start(&["-v", "--heartbeat", "500ms", "--stall", "2s", "-n", "0"]);
    let (mut good, mut good_of_silent) = (good_client(&mut program), good_client(&mut silent));
    let (pid, silent_pid) = (program.pid(), silent.pid());
    let (before, silent_before) = (files(pid), files(silent_pid));

    let mut gone = Vec::new();
    for state in ["", "GET /eve", GET, GET, GET, "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let socket = program.connect_from(UNPLUGGED, LITTLE);
        send(&socket, state);
        gone.push(if state.ends_with("\r\n\r\n") { Client::read_head(socket, state).into_socket() } else { socket });
    }
    for server in [&silent, &beating] {
        let idle = server.connect_from(UNPLUGGED, LITTLE);
        send(&idle, GET);
        gone.push(Client::read_head(idle, GET).into_socket());
    }
    program.write("everyone is there\n");
    good.data(1);
    assert_eq!((files(pid), files(silent_pid)), (before + 6, silent_before + 1));

    unplug();
    drop(gone); // their FINs go nowhere, and who asks them hears nothing
    let start = Instant::now();
    program.write(format!("{}\n", "x".repeat(1_000_000))); // more than their sockets hold
    good.next_event().expect("the stream goes on");
    // Heartbeats are the turns: nothing else happens here.
    let deadline = start + DEADLINE;
    while files(pid) > before {
        assert!(Instant::now() < deadline, "{} files, {before} before; it said {:?}", files(pid), program.told);
        good.next_chunk();
        beating.write("turn\n");
    }
    eprintln!("gone after {:?}", start.elapsed());
    program.write("still here\n");
    assert_eq!(good.data(1), ["still here"]);

    // Nothing that it was sent since is acknowledged, neither heartbeats nor an event now and then.
    let deadline = start + DEADLINE;
    while !beating.has_told("dropped: it read nothing for --stall") {
        assert!(Instant::now() < deadline, "it said {:?}", beating.told);
        good.next_chunk();
    }
    eprintln!("and the beating one's after {:?}", start.elapsed());

    // Where nothing is ever sent, the kernel asks whether anybody is there.
    let deadline = start + 2 * DEADLINE;
    while files(silent_pid) > silent_before {
        assert!(Instant::now() < deadline, "{} files, {silent_before} before", files(silent_pid));
        good.next_chunk();
    }
    eprintln!("and the silent one after {:?}", start.elapsed());
    silent.write("still here\n");
    assert_eq!(good_of_silent.data(1), ["still here"]);
}

#[test]
fn at_the_file_limit_the_processor_rests_and_a_free_file_is_used_at_once() {
    let _places = busy();
    const ROOM: usize = 20;
    let mut program = Program::start(&[]);
    let pid = program.pid();
    let mut good = good_client(&mut program);
    limit_files(pid, files(pid) + ROOM);
    let sockets: Vec<TcpStream> = (0..60).map(|_| connect(&program)).collect();
    sockets.iter().for_each(|socket| send(socket, GET));
    let mut waiting = sockets.into_iter().map(|socket| (socket, GET));
    let mut served: std::collections::VecDeque<Client> =
        waiting.by_ref().take(ROOM).map(|(socket, request)| Client::read_head(socket, request)).collect();
    program.wait_for("cannot accept more clients for now");

    let (start, before) = (Instant::now(), cpu_time(pid));
    assert!(good.next_chunk_within(Duration::from_secs(3)).is_none(), "nothing happens for a while");
    let (time, passed) = (cpu_time(pid) - before, start.elapsed());
    eprintln!("{time:?} on the processor in {passed:?}");
    assert!(time < passed / 50, "{time:?} on the processor in {passed:?}");
    program.write("served all the same\n");
    assert_eq!(good.data(1), ["served all the same"]);

    let mut times = Vec::new();
    for (socket, request) in waiting {
        let start = Instant::now();
        drop(served.pop_front());
        let next = Client::read_head(socket, request);
        times.push(start.elapsed());
        assert_eq!(next.status, 200);
        served.push_back(next);
    }
    times.sort();
    // It asks again every half a second by itself: well below that, it was told.
    assert!(times[times.len() / 2] < Duration::from_millis(250), "{times:?}");
    drop(served);
    assert_eq!(program.stream().status, 200, "and with room for all, everything is as before");
    let limits = program.told.iter().filter(|line| line.contains("cannot accept more")).count();
    assert_eq!(limits, 1, "told once: {:?}", program.told);
}

fn curl(program: &Program, time: Duration) -> Process {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--no-buffer", "--http1.1", &program.url("/events?x")]);
    Process::start(command, time)
}

#[test]
#[ignore = "needs curl: tests/run"]
fn stopped_clients_are_dropped_and_those_that_continue_in_time_get_everything() {
    let _places = busy();
    let mut program = Program::start(&["-v", "--stall", "5s", "--buffer", "64MiB", "--history", "0"]);
    let frozen: Vec<Process> = (0..5).map(|_| curl(&program, DEADLINE)).collect();
    for _ in &frozen {
        program.wait_for("joined");
    }
    let brief = curl(&program, DEADLINE);
    program.wait_for("joined");
    let mut good = program.stream();
    frozen.iter().chain([&brief]).for_each(|curl| curl.signal("STOP"));
    for n in 0..300 {
        program.write(format!("{n:0>3} {}\n", "x".repeat(99_996)));
        let event = good.next_event().expect("the stream goes on");
        assert!(event.data.starts_with(&format!("{n:0>3} ")));
        if n == 60 {
            brief.signal("CONT"); // more than its sockets hold has waited for it
        }
    }
    for _ in &frozen {
        program.wait_for("dropped: it read nothing for --stall");
    }
    frozen.iter().for_each(|curl| curl.signal("CONT"));
    for curl in frozen {
        let finished = curl.finish();
        // 18: the transfer was cut; 56: the connection was.
        assert!(matches!(finished.code, Some(18 | 56)), "{finished:?}");
    }
    program.close_input();
    assert_eq!(good.rest(), (vec![], End::Proper));
    let finished = brief.finish();
    let numbers = finished.stdout.lines().filter_map(|line| line.strip_prefix("data: ")?.get(..3)?.parse::<u32>().ok());
    assert!(numbers.eq(0..300), "everything, in order");
    assert_eq!(finished.code, Some(0), "{:?}", finished.told);
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn what_a_dropped_client_has_not_read_does_not_stay_in_the_kernel() {
    type Case = (&'static str, &'static [&'static str], &'static str);
    let cases: [Case; 4] = [
        ("stalled", &["--stall", "1s", "--pace", "input"], "dropped: it read nothing for --stall"),
        ("behind", &["--buffer", "1MiB", "--max-record", "64KiB"], "dropped: it fell behind what --buffer holds"),
        ("talks", &["--pace", "input"], "dropped: it does not stop sending"),
        ("a file", &["--stall", "1s", "--page"], ""),
    ];
    for (name, args, why) in cases {
        let page = folder("large-page");
        let page = page.join("index.html");
        std::fs::write(&page, vec![b'x'; 8 << 20]).expect("there is room");
        let mut args = [args, &["-v", "--history", "0"]].concat();
        if let Some(at) = args.iter().position(|arg| *arg == "--page") {
            args.insert(at + 1, page.to_str().expect("is text"));
        }
        let mut program = Program::start(&args);
        let mut good = good_client(&mut program);
        let before = files(program.pid());
        let mut lazy = connect(&program);
        send(
            &lazy,
            if name == "a file" { "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n" } else { GET },
        );
        assert_eq!(lazy.peek(&mut [0]).expect("it is answered"), 1);
        let records = if name == "a file" { 0 } else { 80 };
        for n in 0..records {
            program.write(format!("{n} {}\n", "x".repeat(50_000)));
            good.next_event().expect("the stream goes on");
        }
        let mut error = None;
        if name == "talks" {
            // It hears of its end as soon as it talks on.
            error = std::iter::repeat_with(|| lazy.write_all(&[b'x'; 64 << 10]).err()).flatten().next();
        }
        if !why.is_empty() {
            program.wait_for(why);
        }
        let deadline = Instant::now() + DEADLINE;
        while files(program.pid()) > before {
            assert!(Instant::now() < deadline, "{name}: it is not dropped");
            std::thread::yield_now();
        }
        // By itself the kernel would keep it for minutes.
        let deadline = Instant::now() + Duration::from_secs(7);
        let mut left = unsent(program.port);
        while !left.is_empty() {
            assert!(Instant::now() < deadline, "{name}: {left:?} bytes are left");
            std::thread::yield_now();
            left = unsent(program.port);
        }
        let error = error.unwrap_or_else(|| lazy.read_to_end(&mut Vec::new()).expect_err(name));
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{name}");
        program.write("still here\n");
        assert_eq!(good.data(1), ["still here"]);
    }
}

#[test]
fn a_program_that_was_stopped_for_longer_than_the_stall_time_drops_no_client_that_reads_on() {
    let mut program = Program::start(&["-v", "--stall", "1s", "--history", "0", "--heartbeat", "0"]);
    let socket = connect(&program);
    send(&socket, GET);
    let mut client = Client::read_head(socket, GET);
    // Together more than the sockets hold; and the input may wait for the only client.
    let mut stdin = program.take_stdin();
    let writer = std::thread::spawn(move || {
        (0..50)
            .all(|n| stdin.write_all(format!("{n:0>2} {}\n", "x".repeat(99_997)).as_bytes()).is_ok())
            .then_some(stdin)
    });
    let mut next = 0;
    let mut read = |event: Event| {
        assert!(event.data.starts_with(&format!("{next:0>2} ")), "{next}");
        next += 1;
    };
    read(client.next_event().expect("it streams"));
    program.signal("STOP");
    // It takes all that the kernel has for it; then there is silence for longer than --stall.
    while let Some(event) = client.next_event_within(Duration::from_secs(2)) {
        read(event);
    }
    program.signal("CONT");
    while let Some(event) = client.next_event_within(Duration::from_secs(2)) {
        read(event);
    }
    assert_eq!(next, 50, "it was not dropped: {:?}", program.told);
    assert!(writer.join().expect("no panic").is_some(), "all was read");
}

#[test]
fn ten_thousand_connections_in_a_row_leave_nothing_behind() {
    let _places = busy();
    let mut program = Program::start(&["-n", "0"]);
    let pid = program.pid();
    let mut good = good_client(&mut program);
    let come_and_go = |program: &mut Program, good: &mut Client, connections: u32| {
        for n in 0..connections {
            // From many addresses: each has only so many ports, and a closed connection keeps its own for a minute.
            let socket = program.connect_from(Ipv4Addr::new(127, 0, 1, (n % 250) as u8 + 1), LITTLE);
            match n % 8 {
                0 => drop(socket),
                1 => reset(socket),
                2 => {
                    send(&socket, "GET /ev");
                    reset(socket);
                }
                3 => {
                    send(&socket, GET);
                    drop(Client::read_head(socket, GET));
                }
                4 => {
                    send(&socket, GET);
                    reset(socket);
                }
                5 => {
                    send(&socket, "GET /events HTTP/1.0\r\n\r\n");
                    drop(socket);
                }
                6 => {
                    send(&socket, "rubbish\r\n\r\n");
                    let mut answer = Vec::new();
                    (&socket).read_to_end(&mut answer).expect("it is answered and closed");
                }
                _ => {
                    send(&socket, "HEAD /viewer HTTP/1.1\r\nHost: localhost\r\n\r\n");
                    drop(socket);
                }
            }
            if n % 100 == 0 {
                program.write("turn\n");
                assert_eq!(good.data(1), ["turn"]);
            }
        }
    };
    // The first ones make memory that serves the others.
    let before = files(pid);
    come_and_go(&mut program, &mut good, 2000);
    turn_until(&mut program, &mut good, "the first are gone", DEADLINE, || files(pid) <= before);
    let (threads_before, memory_before) = (threads(pid), memory(pid));
    come_and_go(&mut program, &mut good, 10_000);
    turn_until(&mut program, &mut good, "all are gone", DEADLINE, || files(pid) <= before);
    let (threads_after, memory_after) = (threads(pid), memory(pid));
    eprintln!("{before} files, {threads_after} threads, {memory_before} bytes before and {memory_after} after");
    assert_eq!((files(pid), threads_after), (before, threads_before));
    assert!(memory_after < memory_before + (1 << 20), "{memory_before} bytes before, {memory_after} after");
}

#[test]
#[ignore = "needs unshare: tests/run"]
fn a_disk_that_is_full_ends_the_copy_and_nothing_else() {
    const DISK: usize = 64 << 10;
    let folder = folder("full-disk");
    let script = format!("mount -t tmpfs -o size={DISK} tmpfs \"$1\" && exec \"$0\" --port 0 --tee >\"$1/copy\"");
    let mut command = unshare("--mount");
    command.args(["sh", "-c", &script, BINARY]).arg(&folder);
    let mut program = Program::start_command(command, Stdio::piped());
    let mut good = program.stream();
    let record = |n: usize| format!("{n} {}", "x".repeat(9_990));
    for n in 0..10 {
        program.write(record(n) + "\n");
        assert_eq!(good.data(1), [record(n)]);
    }
    program.wait_for("cannot write standard output: No space left on device");
    // It is mounted for that process alone.
    let seen = Path::new("/proc").join(program.pid().to_string()).join("root");
    let copy = std::fs::read(seen.join(folder.strip_prefix("/").expect("is absolute")).join("copy"));
    let input: String = (0..10).map(|n| record(n) + "\n").collect();
    assert!(copy.expect("it is there") == input.as_bytes()[..DISK], "the copy is good as far as it goes");
    program.write("still here\n");
    assert_eq!(good.data(1), ["still here"]);
    program.close_input();
    assert_eq!(good.rest(), (vec![], End::Proper));
    let ended = program.end();
    assert_eq!(ended.code(), Some(1), "{:?}", ended.told);
}

#[test]
fn a_disk_that_is_full_behind_standard_error_stops_nothing() {
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" --port 0 --verbose --at-eof exit 2>/dev/full", BINARY]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("is piped");
    let deadline = Instant::now() + DEADLINE;
    let port = loop {
        match listening_port(child.id()) {
            Some(port) => break port,
            None => assert!(Instant::now() < deadline, "it does not listen"),
        }
        std::thread::yield_now();
    };
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    send(&socket, GET);
    let mut client = Client::read_head(socket, GET);
    stdin.write_all(b"a\xff\nb\n").expect("it is read"); // the first is worth a message
    assert_eq!(client.data(2), ["a\u{fffd}", "b"]);
    drop(stdin);
    assert_eq!(client.rest(), (vec![], End::Proper));
    assert_eq!(child.wait().expect("is our child").code(), Some(0));
}
