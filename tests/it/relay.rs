//! Relays (behaviour 3.3): the output of one sse-pipe is the input of another, and nothing changes on the way.

use crate::support::client::{Client, End};
use crate::support::places::busy;
use crate::support::program::Program;
use std::process::{Child, Command, Stdio};

/// curl between two programs, killed when dropped.
struct Curl(Child);

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `curl -sN UPSTREAM | sse-pipe --format sse`
fn relay(upstream: &Program, args: &[&str]) -> (Curl, Program) {
    let mut curl = Command::new("curl");
    curl.args(["-sSN", &upstream.url("/events")]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut curl = curl.spawn().expect("curl: run tests/run, which installs it");
    let stdin = curl.stdout.take().expect("is piped");
    (Curl(curl), Program::start_with(&[&["--format", "sse"], args].concat(), stdin.into()))
}

/// All chunks to the end but the first, which each server has for itself.
fn rest(mut client: Client) -> (String, End) {
    let mut all = String::new();
    while let Some(chunk) = client.next_chunk() {
        all += std::str::from_utf8(&chunk).expect("an event stream is UTF-8");
    }
    let (_, end) = client.rest();
    (all.split_once('\n').expect("the first chunk").1.to_owned(), end)
}

#[test]
#[ignore = "needs curl: tests/run"]
fn a_relay_of_a_relay_of_a_relay_sends_the_same_to_the_last_byte() {
    let _places = busy();
    // Each waits for the one client that will ask it: the next relay, or ours.
    let mut origin = Program::start(&[
        "--event-from",
        "/type",
        "--id-from",
        "/id",
        "--data-from",
        "/data",
        "--wait",
        "2",
        "--max-record",
        "200000",
    ]);
    let (_curl_1, first) = relay(&origin, &["--wait", "2"]);
    let (_curl_2, second) = relay(&first, &["--wait", "2"]);
    let (_curl_3, third) = relay(&second, &["--wait", "1"]);
    let programs = [&origin, &first, &second, &third];
    let clients = programs.map(|program| program.stream());
    let clients = clients.map(|client| std::thread::spawn(move || rest(client)));

    let mut input = String::new();
    for n in 0..20_000_u32 {
        let data = match n % 8 {
            0 => "\"\"".to_owned(),
            1 => format!("\"two\\nlines of {n}\\n\""),
            2 => format!("\" blanks, é, 😀, \\u0000, : and {n} \""),
            3 => format!("\"\\r\\r\\n:no comment\\nid: none\\nevent: none\\n\\n{}\"", "long ".repeat(n as usize % 900)),
            _ => format!("{{\"n\": {n} }}"),
        };
        let id = if n % 5 == 4 { "null".to_owned() } else { format!("\"p{}/{n}\"", n % 3) };
        let event = if n % 3 == 0 { String::new() } else { format!("\"type\":\"type {}\",", n % 7) };
        input += &format!("{{{event}\"id\":{id},\"data\":{data}}}\n");
        if n == 10_000 {
            input += &format!("{}\n", "x".repeat(300_000)); // is skipped
        }
    }
    let mut stdin = origin.take_stdin();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, input.as_bytes()));
    writer.join().expect("no panic").expect("all is read");

    let [at_origin, relayed @ ..] = clients.map(|client| client.join().expect("no panic"));
    assert_eq!(at_origin.1, End::Proper);
    assert_eq!(at_origin.0.matches("\nid: p").count(), 16_000);
    assert_eq!(at_origin.0.matches("event: type ").count(), 13_333);
    for (nth, came) in relayed.iter().enumerate() {
        let differs = came.0.bytes().zip(at_origin.0.bytes()).position(|(came, sent)| came != sent);
        assert!(
            *came == at_origin,
            "relay {nth} differs at byte {differs:?}; {} and {}",
            came.0.len(),
            at_origin.0.len()
        );
    }

    // What was skipped at the origin is reported all the way down, because nobody below has the whole run.
    assert_eq!(at_origin.0.matches("\n: record 10002 skipped: 300000 bytes").count(), 1);
    let origin = origin.end();
    assert_eq!(origin.code(), Some(1), "{:?}", origin.told);
    for relay in [first, second, third] {
        let ended = relay.end();
        let told = |text: &str| ended.told.iter().filter(|line| line.contains(text)).count();
        assert_eq!(
            (told("is not whole: record 10002 skipped: 300000 bytes"), told("1 gap upstream")),
            (1, 1),
            "{:?}",
            ended.told
        );
        assert_eq!(ended.code(), Some(1), "{:?}", ended.told);
    }
}

#[test]
#[ignore = "needs curl: tests/run"]
fn a_client_resumes_at_a_relay_with_an_id_of_the_origin_and_the_other_way_round() {
    let mut origin = Program::start(&["--wait", "1"]);
    let (_curl, relay) = relay(&origin, &[]);
    let mut client = relay.stream();
    origin.write("1\n2\n3\n");
    assert_eq!(client.data(2), ["1", "2"]);
    let id = client.last_id().to_owned();
    for program in [&origin, &relay] {
        let mut again = program.stream_with("/events", &format!("Last-Event-ID: {id}\r\n"));
        assert_eq!(again.data(1), ["3"]);
        assert!(again.comments.is_empty(), "{:?}", again.comments);
    }
}

#[test]
#[ignore = "needs curl: tests/run"]
fn a_lost_upstream_is_reported_and_half_an_event_is_not_sent() {
    let mut origin = Program::start_with(&[], Stdio::piped());
    let (_curl, relay) = relay(&origin, &[]);
    let mut client = relay.stream();
    origin.write("whole\n");
    assert_eq!(client.data(1), ["whole"]);
    drop(origin); // it is killed
    assert_eq!(client.rest(), (vec![], End::Proper));
    let ended = relay.end();
    assert!(ended.told.iter().any(|line| line.ends_with("the incoming event stream has ended")), "{:?}", ended.told);
    assert_eq!(ended.code(), Some(0), "it broke between events, which only curl can tell: {:?}", ended.told);

    let mut upstream = Program::start(&["--format", "sse"]);
    let mut client = upstream.stream();
    upstream.write("id: 1\ndata: whole\n\nid: 2\ndata: ha");
    assert_eq!(client.data(1), ["whole"]);
    upstream.close_input();
    assert_eq!(client.rest(), (vec![], End::Proper));
    let ended = upstream.end();
    assert!(ended.told.iter().any(|line| line.contains("ended inside an event, which is skipped")), "{:?}", ended.told);
    assert_eq!(ended.code(), Some(1));
}
