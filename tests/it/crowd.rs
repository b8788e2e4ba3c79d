//! More clients than there is room for (behaviour 7.6): who is served, who is asked to come again later, and how.

use crate::support::browser::{Browser, open, report};
use crate::support::client::{Client, DEADLINE, End};
use crate::support::files::folder;
use crate::support::linux::cpu_time;
use crate::support::places::busy;
use crate::support::program::{BINARY, Program};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const EVENT_SOURCE: &str = "Accept: text/event-stream\r\n";

#[test]
fn one_client_too_many_is_asked_to_come_again_later() {
    let mut program = Program::start(&["--max-clients", "3"]);
    program.write("a\n");
    let mut held: Vec<_> = (0..3).map(|_| program.stream()).collect();
    for _ in 0..2 {
        let mut event_source = program.get("/events", &format!("{EVENT_SOURCE}Origin: http://localhost:3000\r\n"));
        assert_eq!(event_source.status, 200, "at any other it would give up for good");
        assert_eq!(event_source.field("Content-Type").as_deref(), Some("text/event-stream"));
        assert!(event_source.field("Access-Control-Allow-Origin").is_some(), "{event_source:?}");
        assert_eq!(event_source.rest(), (vec![], End::Proper));
        assert_eq!(event_source.retry, Some(10_000));
        let old = program.request(&format!("GET / HTTP/1.0\r\n{EVENT_SOURCE}\r\n")).content();
        assert_eq!(old, "retry: 10000\n", "without chunks");
        for path in ["/events", "/"] {
            let client = program.get(path, "");
            assert_eq!((client.status, client.field("Retry-After").as_deref()), (503, Some("10")), "{path}");
        }
        // What is not a stream is answered all the same.
        let html = "Accept: text/html\r\n";
        for (path, fields, status) in
            [("/", html, 200), ("/viewer", "", 200), ("/viewer/viewer.js", "", 200), ("/no", "", 404)]
        {
            assert_eq!(program.get(path, fields).status, status, "{path} {fields}");
        }
        assert_eq!(program.get("/events", "Origin: https://evil.example\r\n").status, 403, "no matter how full");
        assert_eq!(program.request("nonsense\r\n\r\n").status, 400);
    }
    for client in &mut held {
        assert_eq!(client.data(1), ["a"], "nobody who was there has noticed");
    }
    held.pop();
    assert_eq!(program.get_until("/events", 200).data(1), ["a"], "there is room again");
    program.close_input();
    drop(held);
    let told = program.end().told;
    assert_eq!(told.iter().filter(|line| line.contains("--max-clients")).count(), 1, "once: {told:#?}");
    assert!(told.concat().contains("3 clients are connected; more are turned away"), "{told:#?}");
}

#[test]
fn connections_of_any_kind_count() {
    let program = Program::start(&["--max-clients", "2"]);
    let silent = [program.connect(), program.connect()];
    let mut client = program.get("/events", "");
    assert_eq!((client.status, client.content().as_str()), (503, "too many clients; come again later\n"));
    drop(silent);
    program.get_until("/events", 200);
}

#[test]
fn those_that_fetch_a_file_take_no_place_from_a_stream() {
    let site = folder("crowd-files");
    std::fs::write(site.join("large.bin"), vec![b'x'; 16 << 20]).expect("can be written");
    let mut program = Program::start(&["--max-clients", "1", "--page", site.to_str().expect("is text")]);
    let fetching: Vec<_> = (0..10).map(|_| program.get("/large.bin", "")).collect(); // and they never read on
    assert!(fetching.iter().all(|client| client.status == 200));
    let mut client = program.stream();
    assert_eq!(program.get("/events", "").status, 503);
    assert_eq!(program.get("/large.bin", "").status, 200);
    drop(fetching);
    program.write("a\n");
    assert_eq!(client.data(1), ["a"]);
    assert_eq!(program.get("/events", "").status, 503, "they leave no place behind either");
    drop(client);
    program.get_until("/events", 200);
}

/// The page and its parts come over more connections at once than there may be clients.
#[test]
#[ignore = "needs chromium: tests/run"]
fn the_page_runs_with_few_places() {
    for places in ["4", "2"] {
        let _places = busy();
        let mut program = Program::start(&["-v", "--max-clients", places]);
        program.write("one\n");
        let page = open(
            Browser::Chromium,
            &program.url("/"),
            &[
                "ssePipe.state === 'live' && ssePipe.items.map(item => item.data).join(' ') === 'one two' && ssePipe.state",
            ],
        );
        program.wait_for("joined");
        program.write("two\n");
        report(page).assert_value("live");
        let held: Vec<_> = (0..5).map(|_| program.get("/events", "")).filter(|client| client.status == 200).collect();
        assert!(held.len() <= places.parse().expect("is a number"), "the limit holds: {}", held.len());
    }
}

#[test]
fn those_that_are_turned_away_are_bounded_too_and_cost_nothing_while_they_wait() {
    let mut program = Program::start(&["--max-clients", "1", "--bind", "127.0.0.1"]);
    let _held = program.stream();
    let mut silent: Vec<_> = (0..64).map(|_| program.connect()).collect(); // what is taken to be turned away
    until_taken(&program, 65);
    program.wait_for("1 client is connected; more are turned away");
    let mut waiting = program.connect(); // in the kernel's queue
    waiting.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it takes a request");
    let before = cpu_time(program.pid());
    waiting.set_read_timeout(Some(Duration::from_secs(1))).expect("is valid");
    assert!(waiting.peek(&mut [0]).is_err(), "nobody has taken it yet");
    let used = cpu_time(program.pid()) - before;
    assert!(used <= Duration::from_millis(100), "{used:?} on the processor in a second of waiting");
    silent.pop();
    waiting.set_read_timeout(Some(DEADLINE)).expect("is valid");
    assert_eq!(Client::read_head(waiting, "the one that waited").status, 503);
}

/// A table that grows later stops the thread that accepts each time: 1,000 clients were let in at 0.6 of the speed.
#[test]
#[cfg(target_os = "linux")]
fn the_kernels_table_of_open_files_is_large_from_the_start() {
    let program = Program::start(&[]);
    let number = |file: &str, name: &str| -> usize {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", program.pid())).expect("Linux tells");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("it is told");
        line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("is a number")
    };
    let most = number("limits", "Max open files");
    assert!(number("status", "FDSize:") >= most.min(16 * 1024), "{most} may be open");
}

/// Waits until the program has this many connections open.
#[track_caller]
fn until_taken(program: &Program, n: usize) {
    let deadline = Instant::now() + DEADLINE;
    let mut open = 0;
    while open < n {
        assert!(Instant::now() < deadline, "{open} of {n} were taken");
        let files = std::fs::read_dir(format!("/proc/{}/fd", program.pid())).expect("Linux tells");
        let links = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        // One of them listens, two are how signals come in; standard input, output and error are pipes.
        open = links.filter(|link| link.to_string_lossy().starts_with("socket:")).count().saturating_sub(3);
        std::thread::yield_now();
    }
}

#[test]
fn by_default_there_is_room_for_what_the_limit_on_open_files_allows() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\"", BINARY, "--port", "0", "--threads", "2"]);
    command.args(["--bind", "127.0.0.1"]);
    command.args(["--page", env!("CARGO_MANIFEST_DIR")]);
    let mut program = Program::start_command(command, Stdio::piped());
    let mut held = Vec::new();
    let turned_away = loop {
        let client = program.get("/events", "");
        match client.status {
            200 => held.push(client),
            _ => break client,
        }
    };
    assert_eq!((turned_away.status, held.len()), (503, 35), "as many as can be had");
    for _ in 0..20 {
        assert_eq!(program.get("/Cargo.toml", "").status, 200, "there is a file left to read files with");
    }
    held.pop();
    program.get_until("/events", 200);
    program.write("a\n");
    program.close_input();
    for mut client in held {
        assert_eq!(client.rest(), (vec!["a".to_owned()], End::Proper));
    }
    let told = program.end().told;
    assert!(!told.iter().any(|line| line.contains("cannot accept")), "{told:#?}");
}

#[test]
fn more_than_the_limit_on_open_files_is_warned_of() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\"", BINARY, "--port", "0", "--max-clients", "1000"]);
    let mut program = Program::start_command(command, Stdio::piped());
    program.wait_for("--max-clients 1000: the limit on open files has room for ");
}
