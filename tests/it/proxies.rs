//! Behind a proxy: the real servers, set up as docs/proxies.md has it, at a sub-path and at the root. None of them may
//! hold an event back, and everything that holds without a proxy holds behind it: the first bytes at once, resuming,
//! the end, the page.

use crate::support::browser::{Browser, open, report};
use crate::support::client::{Client, End};
use crate::support::places::busy;
use crate::support::program::Program;
use crate::support::servers::{NAME, PATH, Proxy, Server};
use std::time::{Duration, Instant};

/// An event that comes later than this was held back. HAProxy without `option http-no-delay` takes 200 ms; what takes
/// part in a delivery takes some 10 ms where the machine is busy.
const HELD: Duration = Duration::from_millis(120);
/// How many events of a series may come as late all the same: the machine may have been away.
const LATE: usize = 2;
/// How often a series is sent again where it came late: a proxy that holds back does so each time.
const SERIES: usize = 3;

/// What an EventSource asks with.
const STREAM: &str = "Accept: text/event-stream\r\n";

/// Sent in a burst each. What a proxy does with the second of two small writes is another matter than with the first.
const BURSTS: [usize; 40] = [
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 2, 1, 3, 1, 3, 2, 1, 5, //
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 2, 1, 7, 1, 1, 1,
];

#[test]
#[ignore = "needs nginx: tests/run"]
fn nginx_holds_no_event_back() {
    let _places = busy();
    all_holds_behind(Proxy::Nginx);
}

#[test]
#[ignore = "needs haproxy: tests/run"]
fn haproxy_holds_no_event_back() {
    let _places = busy();
    all_holds_behind(Proxy::Haproxy);
}

#[test]
#[ignore = "needs caddy: tests/run"]
fn caddy_holds_no_event_back() {
    let _places = busy();
    all_holds_behind(Proxy::Caddy);
}

#[test]
#[ignore = "needs apache2: tests/run"]
fn apache_holds_no_event_back() {
    let _places = busy();
    all_holds_behind(Proxy::Apache);
}

/// The measure itself: docs/proxies.md says what this option is for.
#[test]
#[ignore = "needs haproxy: tests/run"]
fn haproxy_without_its_option_is_found_to_hold_events_back() {
    let _places = busy();
    let mut program = Program::start(&["--allow-host", NAME]);
    let proxy = Proxy::Haproxy
        .start_as(|port| Proxy::Haproxy.documented(port, program.port, PATH).replace("option http-no-delay", ""));
    let mut client = ask(&proxy, "/live/events", "");
    let delays = delays(&mut program, &mut client, &BURSTS[..10]);
    assert!(late(&delays) > LATE, "{delays:?}");
}

#[test]
#[ignore = "needs chromium and nginx: tests/run"]
fn the_built_in_page_shows_events_at_a_sub_path() {
    let _places = busy();
    let mut program = Program::start(&[]);
    let server = Proxy::Nginx.start(program.port, PATH);
    program.write("one\ntwo\nthree\n");
    let url = format!("http://{}{PATH}/", server.address());
    report(open(Browser::Chromium, &url, &["document.body.innerText.includes('three')"]));
}

fn all_holds_behind(proxy: Proxy) {
    for path in [PATH, ""] {
        let mut program = Program::start(&["-v", "--heartbeat", "200ms", "--allow-host", NAME]);
        let server = proxy.start(program.port, path);
        let events = format!("{path}/events");

        // The answer comes before there is an event.
        let asked = Instant::now();
        let mut client = ask(&server, &events, STREAM);
        assert_eq!(client.field("Content-Type").as_deref(), Some("text/event-stream"), "{proxy:?}{path}: {client:?}");
        let first = client.next_chunk().expect("there is a first chunk");
        assert!(first.starts_with(b"retry: "), "{proxy:?}{path}: {:?}", String::from_utf8_lossy(&first));
        let opened = asked.elapsed();

        // Every event comes as soon as it is sent.
        let mut direct = program.stream();
        let without = spread(delays(&mut program, &mut direct, &BURSTS));
        drop(direct);
        program.wait_for(" left");
        client.data(BURSTS.iter().sum());
        let mut series = delays(&mut program, &mut client, &BURSTS);
        for _ in 1..SERIES {
            if late(&series) > LATE {
                series = delays(&mut program, &mut client, &BURSTS);
            }
        }
        assert!(late(&series) <= LATE, "{proxy:?}{path} holds events back: {series:?}");
        let with = spread(series);
        println!("{proxy:?} at {path}/: opened in {opened:?}; an event takes {with}, without {without}");

        // A client that goes is not kept by the proxy beyond the heartbeat, and continues where it was.
        let id = client.last_id().to_owned();
        drop(client);
        let left = Instant::now();
        program.wait_for(" left");
        assert!(left.elapsed() < Duration::from_secs(10), "{proxy:?}{path} kept a client that had gone");
        program.write("while it was away\n");
        let mut client = ask(&server, &events, &format!("{STREAM}Last-Event-ID: {id}\r\n"));
        assert_eq!(client.data(1), ["while it was away"], "{proxy:?}{path}");
        let heartbeats = client.comments.iter().all(String::is_empty);
        assert!(heartbeats, "{proxy:?}{path}: nothing was missed, and it says {:?}", client.comments);

        // The page and what it needs, by relative URLs.
        let page = ask(&server, &format!("{path}/"), "Accept: text/html\r\n").content();
        assert!(page.contains("src=\"viewer/viewer.js\""), "{proxy:?}{path}: {page}");
        ask(&server, &format!("{path}/viewer/viewer.js"), "");

        // The end comes through, and so does the 204 that confirms it.
        program.close_input();
        assert_eq!(client.rest(), (Vec::new(), End::Proper), "{proxy:?}{path}");
        let id = client.last_id().to_owned();
        let back = request(&server, &events, &format!("{STREAM}Last-Event-ID: {id}\r\n"));
        assert_eq!(back.status, 204, "{proxy:?}{path}: {back:?}");
        assert_eq!(program.end().code(), Some(0), "{proxy:?}{path}");
    }
}

/// Asks a proxy, as a browser would that knows it by its name.
#[track_caller]
fn request(server: &Server, path: &str, fields: &str) -> Client {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n{fields}\r\n");
    let mut socket = server.connect();
    std::io::Write::write_all(&mut socket, request.as_bytes()).expect("it takes a request");
    Client::read_head(socket, &request)
}

/// The same, where the answer must be a 200.
#[track_caller]
fn ask(server: &Server, path: &str, fields: &str) -> Client {
    let client = request(server, path, fields);
    assert_eq!(client.status, 200, "GET {path}: {client:?}");
    client
}

/// Sends the bursts, each once the one before has come: how long each event took from standard input to the client.
#[track_caller]
fn delays(program: &mut Program, client: &mut Client, bursts: &[usize]) -> Vec<Duration> {
    let mut delays = Vec::new();
    for (number, &burst) in bursts.iter().enumerate() {
        let sent = Instant::now();
        for nth in 0..burst {
            program.write(format!("burst {number}, event {nth}\n"));
        }
        for nth in 0..burst {
            assert_eq!(client.data(1), [format!("burst {number}, event {nth}")]);
            delays.push(sent.elapsed());
        }
    }
    delays
}

fn late(delays: &[Duration]) -> usize {
    delays.iter().filter(|&&delay| delay > HELD).count()
}

/// A series in short.
fn spread(mut delays: Vec<Duration>) -> String {
    delays.sort_unstable();
    let at = |part: usize| delays[(delays.len() - 1) * part / 100];
    format!("{:?} (median), {:?} (9 of 10), {:?} (at most)", at(50), at(90), at(100))
}
