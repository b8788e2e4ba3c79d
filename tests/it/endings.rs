//! Endings (behaviour 1.8 to 1.10): the end of the input, goodbyes, signals, exit statuses.

use crate::support::client::{Client, DEADLINE, End};
use crate::support::linux::{in_own_network, run as run_command, unshare};
use crate::support::program::{BINARY, Program, run};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What an EventSource sends, when it reconnects after `id`.
fn event_source(program: &Program, id: &str) -> Client {
    let id = if id.is_empty() { String::new() } else { format!("Last-Event-ID: {id}\r\n") };
    program.get("/events", &format!("Accept: text/event-stream\r\n{id}"))
}

#[test]
fn a_finished_input_waits_for_its_first_client_and_gives_it_everything() {
    let mut program = Program::start(&[]);
    for n in 1..=5000 {
        program.write(format!("{n}\n"));
    }
    program.close_input();
    program.wait_for("the input has ended after 5000 events; waiting for a first client");
    let mut client = program.stream();
    let (data, end) = client.rest();
    assert_eq!((data.len(), end), (5000, End::Proper));
    assert!((1..=5000).map(|n| n.to_string()).eq(data), "in order");
    let ended = program.end();
    assert_eq!(ended.code(), Some(0));
    assert_eq!(ended.told.last().map(String::as_str), Some("sse-pipe: 5000 events to 1 client"));
}

#[test]
fn an_event_source_gets_a_goodbye_and_then_the_program_ends() {
    let mut program = Program::start(&["--retry", "2s", "--verbose"]);
    let mut page = event_source(&program, "");
    program.write("a\nb\n");
    assert_eq!(page.data(2), ["a", "b"]);
    let last = page.last_id().to_owned();
    program.close_input();
    assert_eq!(page.rest(), (vec![], End::Proper));
    program.wait_for("closed"); // a page reconnects long after its close; so it is known to be over before
    // It is waited for; meanwhile a new client gets the history and its end.
    let mut newcomer = program.stream();
    assert_eq!(newcomer.rest(), (vec!["a".to_owned(), "b".to_owned()], End::Proper));
    assert!(program.is_running());
    let mut goodbye = event_source(&program, &last);
    assert_eq!((goodbye.status, goodbye.field("Transfer-Encoding")), (204, None), "{goodbye:?}");
    goodbye.rest();
    // At once: the longest it could have waited is 4 s.
    let start = Instant::now();
    assert_eq!(program.end().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn an_event_source_that_never_reconnects_is_waited_for_no_longer_than_promised() {
    let mut program = Program::start(&["--retry", "100ms"]);
    let mut page = event_source(&program, "");
    program.close_input();
    page.rest();
    let start = Instant::now();
    assert_eq!(program.end().code(), Some(0));
    assert!(start.elapsed() >= Duration::from_millis(1900), "{:?}: the time and 2 s", start.elapsed());
}

#[test]
fn an_event_source_that_was_away_at_the_end_gets_the_rest_and_then_its_204() {
    let mut program = Program::start(&["-v", "--retry", "5s"]);
    let mut page = event_source(&program, "");
    program.write("a\n");
    assert_eq!(page.data(1), ["a"]);
    let id = page.last_id().to_owned();
    drop(page);
    program.wait_for(" left");
    program.write("b\nc\n");
    program.close_input();
    // The end is known when a new client's stream is closed.
    assert_eq!(program.stream().rest().1, End::Proper);
    let mut back = event_source(&program, &id);
    assert_eq!(back.rest(), (vec!["b".to_owned(), "c".to_owned()], End::Proper));
    assert_eq!(event_source(&program, back.last_id()).status, 204);
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn a_new_client_in_the_goodbye_is_not_mistaken_for_the_event_source_that_is_expected() {
    let mut program = Program::start(&["--retry", "100ms", "--tail", "0"]);
    let mut page = event_source(&program, "");
    program.write("a\n");
    assert_eq!(page.data(1), ["a"]);
    program.close_input();
    assert_eq!(page.rest().1, End::Proper);
    let start = Instant::now();
    assert_eq!(event_source(&program, "").status, 204, "there is nothing for a newcomer");
    assert_eq!(program.end().code(), Some(0));
    assert!(start.elapsed() >= Duration::from_millis(1900), "{:?}: the time and 2 s", start.elapsed());
}

#[test]
fn an_empty_input_ends_an_event_source_too() {
    let mut program = Program::start(&[]);
    program.close_input();
    program.wait_for("waiting for a first client");
    let mut page = event_source(&program, "");
    assert_eq!(page.rest(), (vec![], End::Proper));
    assert_eq!(event_source(&program, "").status, 204, "there is nothing that it could have missed");
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn without_ids_an_event_source_does_not_get_everything_twice() {
    let mut program = Program::start(&["--no-id"]);
    program.write("a\n");
    program.close_input();
    let mut page = event_source(&program, "");
    assert_eq!(page.rest(), (vec!["a".to_owned()], End::Proper));
    assert_eq!(event_source(&program, "").status, 204);
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn a_comment_after_the_last_event_keeps_nobody() {
    let mut program = Program::start(&["--max-record", "3"]);
    program.write("a\ntoo long\n");
    program.close_input();
    let mut page = event_source(&program, "");
    assert_eq!(page.rest(), (vec!["a".to_owned()], End::Proper));
    assert_eq!(event_source(&program, page.last_id()).status, 204);
    assert_eq!(program.end().code(), Some(1), "a record was left out");
}

#[test]
fn exit_waits_for_nobody() {
    let (code, _, stderr) = run(&["--port", "0", "--at-eof", "exit"], Stdio::null());
    assert_eq!(code, Some(0), "{stderr}");

    let mut program = Program::start(&["--at-eof", "exit", "--retry", "1h"]);
    let mut page = event_source(&program, "");
    let mut curl = program.stream();
    program.write("a\nb");
    program.close_input();
    let want = (vec!["a".to_owned(), "b".to_owned()], End::Proper);
    assert_eq!((page.rest(), curl.rest()), (want.clone(), want));
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn a_client_that_keeps_coming_with_an_unknown_id_gets_its_goodbye_in_the_end() {
    let mut program = Program::start(&["--retry", "100ms"]);
    program.write("a\n");
    let mut page = event_source(&program, "");
    assert_eq!(page.data(1), ["a"]);
    program.close_input();
    let start = Instant::now();
    page.rest();
    let request =
        b"GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nLast-Event-ID: elsewhere-1\r\n\r\n";
    let mut times = 0;
    // Until nobody listens any more. The last one may be cut off.
    while let Ok(mut socket) = TcpStream::connect(program.address()) {
        assert!(start.elapsed() < Duration::from_secs(10), "{times} times, and it is still waited for");
        socket.set_read_timeout(Some(DEADLINE)).expect("is valid");
        let _ = socket.write_all(request).and_then(|()| socket.read_to_end(&mut Vec::new()));
        times += 1;
    }
    assert_eq!(program.end().code(), Some(0));
    let took = start.elapsed();
    assert!(times > 10 && took >= Duration::from_millis(2100), "{times} times in {took:?}");
    assert!(took < Duration::from_millis(5700), "{took:?}, and not twice the reconnection time and 2 s");
}

#[test]
fn a_client_that_has_everything_and_does_not_close_delays_no_exit() {
    type Way = (&'static [&'static str], &'static str, fn(&mut Program));
    let end: fn(&mut Program) = Program::close_input;
    let ways: [Way; 6] = [
        (&["--at-eof", "exit"], "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n", end),
        (&["--at-eof", "exit"], "GET /events HTTP/1.0\r\n\r\n", end),
        (&["--at-eof", "wait"], "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n", end),
        (&[], "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n", |program| program.signal("TERM")),
        (&["--at-eof", "exit"], "GET /viewer HTTP/1.1\r\nHost: localhost\r\n\r\n", end),
        (&["--at-eof", "exit"], "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", end),
    ];
    for (args, request, end) in ways {
        let mut times = Vec::new();
        for _ in 0..5 {
            let mut program = Program::start(&[args, &["--end-event", "end"]].concat());
            program.stream(); // the first one, which nobody has to wait for
            let mut kept = program.connect();
            kept.write_all(request.as_bytes()).expect("it takes a request");
            kept.read_exact(&mut [0; 15]).expect("it answers");
            let start = Instant::now();
            end(&mut program);
            let mut all = Vec::new();
            kept.read_to_end(&mut all).unwrap_or_else(|error| panic!("{request:?}: {error}"));
            let ended = program.end();
            times.push(start.elapsed());
            assert!(ended.code() == Some(0) || ended.status.signal() == Some(15), "{:?}", ended.status);
        }
        times.sort();
        eprintln!("{args:?}, {:?}: {times:?}", request.lines().next());
        assert!(times[2] < Duration::from_millis(500), "{args:?} {request:?}: {times:?}");
    }
}

#[test]
fn a_client_that_reads_nothing_delays_the_exit_by_the_stall_time_at_most() {
    let lazy = |program: &Program| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4 << 10).expect("is valid");
        socket.connect(&program.address().into()).expect("it listens");
        let request = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut socket = TcpStream::from(socket);
        socket.write_all(request).expect("it takes a request");
        socket.set_read_timeout(Some(DEADLINE)).expect("is valid");
        socket.peek(&mut [0]).expect("it answers");
        socket
    };
    // What the kernel takes at once, and more than that.
    for records in [150, 5000] {
        let mut program = Program::start(&["-v", "--at-eof", "exit", "--pace", "input", "--stall", "2s"]);
        let mut good = program.stream();
        let socket = lazy(&program);
        program.write(vec!["x".repeat(999); records].join("\n"));
        program.close_input();
        let start = Instant::now();
        assert_eq!((good.data(records).len(), good.rest().1), (records, End::Proper));
        let ended = program.end();
        assert_eq!(ended.code(), Some(0));
        let took = start.elapsed();
        let delivered = ended.told.iter().filter(|line| line.contains("has everything")).count();
        assert_eq!(delivered, 1, "the one that reads: {:?}", ended.told);
        assert!((Duration::from_secs(1)..Duration::from_secs(4)).contains(&took), "{took:?} for {records} records");
        drop(socket);
    }
    // One that begins to read in time gets everything, and that ends it.
    let mut program = Program::start(&["--at-eof", "exit", "--pace", "input"]);
    let mut good = program.stream();
    let mut socket = lazy(&program);
    program.write(vec!["x".repeat(999); 150].join("\n"));
    program.close_input();
    assert_eq!(good.rest().0.len(), 150);
    assert!(program.is_running());
    let start = Instant::now();
    let mut all = Vec::new();
    socket.read_to_end(&mut all).expect("it is not cut off");
    assert!(all.ends_with(b"\r\n0\r\n\r\n"), "{} bytes", all.len());
    assert_eq!(program.end().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

/// In a container the network goes with the program. What is on its way by then is lost, and what is lost is not sent again.
#[test]
#[ignore = "needs unshare, nsenter, ip and tc: tests/run"]
fn a_client_behind_a_slow_link_has_everything_before_the_network_goes_with_the_program() {
    if !in_own_network("endings::a_client_behind_a_slow_link_has_everything_before_the_network_goes_with_the_program") {
        return;
    }
    const PROGRAM: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    // Bytes of a record, records, how it ends, and how much time that takes at 125 kB/s.
    for (signal, records, time) in [(None, 200, 1.6), (None, 1, 0.0), (Some("TERM"), 50, 0.4), (Some("TERM"), 1, 0.0)] {
        let mut command = unshare("--net");
        command.args([BINARY, "--port", "0", "--bind", "0.0.0.0", "--at-eof", "exit", "--pace", "input"]);
        command.args(["--stall", "500ms"]); // it reads on for longer than that
        let mut program = Program::start_command(command, Stdio::piped());
        let pid = program.pid().to_string();
        let ip = |arguments: &str| run_command(Command::new("ip").args(arguments.split(' ')));
        ip(&format!("link add outside type veth peer name inside netns {pid}"));
        ip("address add 192.0.2.2/24 dev outside");
        ip("link set outside up");
        let inside = |command: &str| {
            run_command(Command::new("nsenter").args(["--target", &pid, "--net"]).args(command.split(' ')));
        };
        inside("ip address add 192.0.2.1/24 dev inside");
        inside("ip link set inside up");
        inside("tc qdisc add dev inside root tbf rate 1mbit burst 4kb latency 10s");

        let socket = TcpStream::connect((PROGRAM, program.port)).expect("it listens");
        socket.set_read_timeout(Some(DEADLINE)).expect("is valid");
        let request = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
        (&socket).write_all(request.as_bytes()).expect("it takes a request");
        let mut client = Client::read_head(socket, request);
        let wanted: Vec<_> = (0..records).map(|n| format!("{n:03} {}", "x".repeat(996))).collect();
        let reader = std::thread::spawn(move || {
            let data = std::iter::from_fn(|| client.next_event()).map(|event| event.data).collect::<Vec<_>>();
            (data, client) // which stays open
        });
        wanted.iter().for_each(|record| program.write(format!("{record}\n")));
        let read = format!("; {records} events, ");
        let deadline = Instant::now() + DEADLINE;
        // A signal stops the reading: what is still in the pipe then is not read.
        while signal.is_some() && {
            program.signal("USR1");
            !program.wait_for(" bytes read").contains(&read)
        } {
            assert!(Instant::now() < deadline, "not all is read: {:?}", program.told);
        }
        let start = Instant::now();
        match signal {
            Some(name) => program.signal(name),
            None => program.close_input(),
        }
        let ended = program.end();
        // It is gone already, or it goes now.
        let _ = Command::new("ip").args(["link", "delete", "outside"]).output();
        let took = start.elapsed();
        assert!(ended.code() == Some(0) || ended.status.signal() == Some(15), "{:?}", ended.status);
        let (data, mut client) = reader.join().expect("no panic");
        assert!(data == wanted, "{} of {records} after {took:?}", data.len());
        assert_eq!(client.rest().1, End::Proper);
        assert!(took >= Duration::from_secs_f64(time * 0.8), "{took:?}: the link is not slow");
        assert!(took < Duration::from_secs_f64(time + 1.5), "{took:?} for what takes {time} s");
    }
}

#[test]
fn serve_serves_the_history_until_it_is_interrupted() {
    let mut program = Program::start(&["--at-eof", "serve"]);
    program.write("a\nb\n");
    program.close_input();
    let want = (vec!["a".to_owned(), "b".to_owned()], End::Proper);
    // Until the end has come through, a stream stays open; then each is closed when it has everything.
    let mut first = program.stream();
    assert_eq!(first.rest(), want);
    for _ in 0..3 {
        assert_eq!(program.stream().rest(), want);
        assert_eq!(event_source(&program, first.last_id()).status, 204);
    }
    assert!(program.is_running());
    program.signal("INT");
    assert_eq!(program.end().status.signal(), Some(2));
}

#[test]
fn serve_without_ids_keeps_streams_open() {
    let mut program = Program::start(&["--at-eof", "serve", "--no-id", "--heartbeat", "50ms"]);
    program.write("a\n");
    program.close_input();
    let mut client = event_source(&program, "");
    assert_eq!(client.data(1), ["a"]);
    for _ in 0..5 {
        assert_eq!(client.next_chunk().as_deref(), Some(&b":\n"[..]), "the stream is open, and not silent");
    }
    program.signal("TERM");
    assert_eq!(client.rest(), (vec![], End::Proper));
    assert_eq!(program.end().status.signal(), Some(15));
}

#[test]
fn an_end_event_says_how_many_there_were() {
    let mut program = Program::start(&["--end-event", "end", "-e", "line", "--max-record", "3"]);
    program.write("a\nlong one\nb\n");
    program.close_input();
    let mut client = program.stream();
    let events: Vec<_> = std::iter::from_fn(|| client.next_event()).map(|event| (event.event, event.data)).collect();
    let want = [("line", "a"), ("line", "b"), ("end", "2")].map(|(name, data)| (name.to_owned(), data.to_owned()));
    assert_eq!(events, want);
    assert!(client.last_id().ends_with("-4"), "{}", client.last_id());
}

#[test]
fn a_signal_delivers_what_there_is_closes_and_kills() {
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        // Whoever started the tests may ignore some of them (nohup), and what is ignored stays so.
        let mut command = Command::new("env");
        command.args(["--default-signal", BINARY, "--port", "0", "--end-event", "end"]);
        let mut program = Program::start_command(command, Stdio::piped());
        let mut client = program.stream();
        program.write("a\nb\n");
        assert_eq!(client.data(1), ["a"]);
        program.signal(name);
        assert_eq!(client.rest(), (vec!["b".to_owned()], End::Proper), "no end event after SIG{name}");
        let ended = program.end();
        assert_eq!(ended.status.signal(), Some(number), "{:?}", ended.status);
        assert_eq!(ended.told.last().map(String::as_str), Some("sse-pipe: 2 events to 1 client"));
    }
}

#[test]
fn a_signal_that_ends_the_producer_too_is_not_the_end_of_the_input() {
    for round in 0..5 {
        let mut program = Program::start(&["--end-event", "end"]);
        let mut client = program.stream();
        program.write("a\nunfini");
        assert_eq!(client.data(1), ["a"]);
        program.signal_with_producer("TERM");
        assert_eq!(client.rest(), (vec![], End::Proper), "round {round}: neither the rest nor the end event");
        assert_eq!(program.end().status.signal(), Some(15));
    }
}

#[test]
fn the_summary_of_an_interrupted_run_counts_only_events_that_were_sent() {
    let mut program = Program::start(&["--pace", "slowest", "--buffer", "64KiB"]);
    let mut client = program.stream();
    let mut stdin = program.take_stdin();
    std::thread::spawn(move || {
        let lines = format!("{}\n", "x".repeat(999)).repeat(1000);
        while std::io::Write::write_all(&mut stdin, lines.as_bytes()).is_ok() {}
    });
    // Until the client's sockets are full, and the reader waits with something in hand.
    let mut statistics = || {
        program.signal("USR1");
        program.wait_for(" events, ")
    };
    let mut before = statistics();
    loop {
        let now = statistics();
        if now == before && !now.contains(" 0 events, ") {
            break;
        }
        before = now;
    }
    program.signal("TERM");
    let (sent, end) = client.rest();
    assert_eq!(end, End::Proper);
    let told = program.end().told;
    assert_eq!(told.last(), Some(&format!("sse-pipe: {} events to 1 client", sent.len())), "{told:?}");
}

#[test]
fn an_interrupt_that_was_ignored_from_the_start_stays_ignored() {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' INT; exec \"$0\" --port 0", BINARY]);
    let mut program = Program::start_command(command, Stdio::piped());
    let mut client = program.stream();
    program.signal("INT");
    program.write("still here\n");
    assert_eq!(client.data(1), ["still here"]);
    program.signal("TERM");
    assert_eq!(program.end().status.signal(), Some(15));
}

#[test]
fn usr1_prints_one_line_of_statistics() {
    let mut program = Program::start(&[]);
    let mut client = program.stream();
    program.write("a\nb\n");
    client.data(2);
    program.signal("USR1");
    let line = program.wait_for("2 events");
    assert!(line.starts_with("sse-pipe: clients: 1 now, 1 so far; 2 events, 4 bytes read, "), "{line}");
    program.write("c\n");
    assert_eq!(client.data(1), ["c"], "and goes on");
}
