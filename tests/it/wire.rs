//! The wire (behaviour 4) and the resources (6), as a client sees them byte by byte.

use crate::support::client::{Client, End};
use crate::support::files::folder;
use crate::support::program::Program;
use std::io::{Read, Write};

#[test]
fn the_head_is_the_one_that_browsers_and_proxies_need() {
    let program = Program::start(&[]);
    let client = program.stream();
    for (name, value) in [
        ("Content-Type", "text/event-stream"),
        ("Cache-Control", "no-store, no-transform"),
        ("X-Accel-Buffering", "no"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("X-Content-Type-Options", "nosniff"),
        ("Vary", "Origin"),
    ] {
        assert_eq!(client.field(name).as_deref(), Some(value), "{}", client.head);
    }
    assert!(client.head.starts_with("HTTP/1.1 200 OK\r\n"), "{}", client.head);
    let date = client.field("Date").expect("has a Date");
    let age = std::time::SystemTime::now().duration_since(httpdate::parse_http_date(&date).expect("is a date"));
    assert!(age.is_ok_and(|age| age.as_secs() <= 60), "{date}");
    assert_eq!(client.field("Content-Length"), None);
}

#[test]
fn an_event_is_exactly_these_bytes() {
    let mut program = Program::start(&["-e", "greeting", "--retry", "2s"]);
    let mut client = program.stream();
    assert_eq!(client.next_chunk().as_deref(), Some(&b"retry: 2000\n"[..]));
    program.write("hello\n");
    let chunk = String::from_utf8(client.next_chunk().expect("an event")).expect("is text");
    let run = chunk.rsplit_once("id: ").and_then(|(_, id)| id.split_once('-')).expect("has an ID").0;
    assert_eq!(chunk, format!("event: greeting\ndata: hello\nid: {run}-1\n\n"));
}

#[test]
fn without_ids_there_is_no_id_line() {
    let mut program = Program::start(&["--no-id"]);
    let mut client = program.stream();
    client.next_chunk().expect("the first chunk");
    program.write("a\n");
    assert_eq!(client.next_chunk().as_deref(), Some(&b"data: a\n\n"[..]));
}

#[test]
fn two_runs_never_give_the_same_id() {
    let ids: Vec<String> = (0..3)
        .map(|_| {
            let mut program = Program::start(&[]);
            program.write("a\n");
            program.stream().next_event().expect("an event").id
        })
        .collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
}

#[test]
fn each_client_gets_its_own_reconnection_time_within_the_range() {
    let program = Program::start(&["--retry", "100ms-300ms"]);
    let mut times = Vec::new();
    for _ in 0..50 {
        let mut client = program.stream();
        let chunk = String::from_utf8(client.next_chunk().expect("the first chunk")).expect("is text");
        let time: u64 = chunk.trim_end().strip_prefix("retry: ").and_then(|ms| ms.parse().ok()).expect("is retry");
        assert!((100..=300).contains(&time), "{time}");
        times.push(time);
    }
    times.sort();
    let widest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(widest < Some(30), "they don't all return at once: {times:?}");
}

#[test]
fn http_1_0_gets_the_same_stream_without_chunks_until_the_close() {
    let mut program = Program::start(&["--heartbeat", "50ms", "--no-id"]);
    program.write("a\nb\n");
    let mut client = program.request("GET /events HTTP/1.0\r\n\r\n");
    assert_eq!((client.status, client.field("Transfer-Encoding")), (200, None), "{}", client.head);
    assert_eq!(client.data(2), ["a", "b"]);
    while client.comments.is_empty() {
        program.write("c\n");
        assert_eq!(client.data(1), ["c"]);
        std::thread::yield_now();
        wait_for_comment(&mut client);
    }
    program.close_input();
    assert_eq!(client.rest(), (vec![], End::Proper));
    assert!(client.comments.iter().all(String::is_empty), "{:?}", client.comments);
}

/// Reads on, without an event to come, until a heartbeat has come, or some at once: nothing is between them.
#[track_caller]
fn wait_for_comment(client: &mut Client) {
    let heartbeats = client.next_chunk().expect("the stream is open");
    let all = heartbeats.chunks(2).all(|heartbeat| heartbeat == b":\n");
    assert!(all && !heartbeats.is_empty(), "{heartbeats:?}: a heartbeat is the comment line alone");
    client.comments.push(String::new());
}

#[test]
fn a_heartbeat_is_one_chunk_with_one_line_and_comes_only_in_silence() {
    let mut program = Program::start(&["--heartbeat", "50ms"]);
    let mut client = program.stream();
    client.next_chunk().expect("the first chunk");
    for _ in 0..3 {
        assert_eq!(client.next_chunk().as_deref(), Some(&b":\n"[..]));
    }
    program.write("a\n");
    assert_eq!(client.data(1), ["a"]);
    // Heartbeats are not part of the history.
    let mut second = program.stream();
    assert_eq!((second.data(1), second.comments.len()), (vec!["a".to_owned()], 0));
}

#[test]
fn head_gets_the_head_alone() {
    let mut program = Program::start(&[]);
    program.write("a\n");
    let port = program.port;
    for path in ["/events", "/", "/viewer", "/nowhere"] {
        let mut socket = program.connect();
        write!(socket, "HEAD {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n").expect("it takes a request");
        let mut all = String::new();
        socket.read_to_string(&mut all).expect("it closes");
        assert!(all.starts_with("HTTP/1.1 ") && all.ends_with("\r\n\r\n"), "{path}: {all:?}");
        assert_eq!(all.matches("\r\n\r\n").count(), 1, "{path}: {all:?}");
    }
}

#[test]
fn the_root_is_the_stream_or_the_page_by_accept() {
    let program = Program::start(&[]);
    for (accept, media_type) in [
        ("text/event-stream", "text/event-stream"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        ("*/*", "text/event-stream"),
    ] {
        let client = program.stream_with("/", &format!("Accept: {accept}\r\n"));
        assert_eq!(client.field("Content-Type").as_deref(), Some(media_type), "{accept}");
        assert!(client.field("Vary").is_some_and(|vary| vary.contains("Accept")), "{}", client.head);
    }
    assert_eq!(program.stream_with("/", "").field("Content-Type").as_deref(), Some("text/event-stream"));
    assert_eq!(
        program.stream_with("/events", "Accept: text/html\r\n").field("Content-Type").as_deref(),
        Some("text/event-stream")
    );
}

#[test]
fn the_page_comes_with_a_policy_that_runs_nothing_but_its_own_files() {
    let program = Program::start(&[]);
    for path in ["/", "/viewer"] {
        let mut page = program.stream_with(path, "Accept: text/html\r\n");
        let policy = page.field("Content-Security-Policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let html = page.content();
        assert_eq!(page.field("Content-Length"), Some(html.len().to_string()));
        for (start, end) in [("src=\"", '"'), ("href=\"", '"')] {
            for file in html.split(start).skip(1).filter_map(|rest| rest.split(end).next()) {
                assert!(!file.contains(':') && !file.starts_with('/'), "{file} is no relative URL");
                let asset = program.stream_with(&format!("/{file}"), "");
                assert!(asset.field("Content-Type").is_some(), "{file}");
            }
        }
    }
}

#[test]
fn a_page_of_one_s_own_is_read_afresh_each_time() {
    let file = folder("wire-page").join("page.html");
    std::fs::write(&file, "<p>nothing yet").expect("can write"); // it must be there at the start
    let program = Program::start(&["--page", file.to_str().expect("is text")]);
    std::fs::remove_file(&file).expect("is there");
    let html = "Accept: text/html\r\n";
    let mut missing = program.get("/", html);
    assert_eq!(missing.status, 404);
    assert!(missing.content().starts_with("the page can't be read: "), "{missing:?}");
    for content in ["<p>one", "<p>two é"] {
        std::fs::write(&file, content).expect("can write");
        assert_eq!(program.stream_with("/", html).content(), content);
    }
    assert!(program.stream_with("/viewer", html).content().contains("<title>sse-pipe"), "the viewer is still there");
    assert_eq!(program.stream_with("/", "").field("Content-Type").as_deref(), Some("text/event-stream"));
}

#[test]
fn other_paths_and_methods_get_what_there_is() {
    let program = Program::start(&[]);
    let mut client = program.get("/nope", "");
    assert_eq!(client.status, 404);
    let text = client.content();
    assert!(text.contains("/events") && text.contains("/viewer") && text.lines().count() == 1, "{text:?}");
    for method in ["POST", "PUT", "DELETE", "get", "BREW"] {
        let request = format!("{method} /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc");
        let client = program.request(&request);
        assert_eq!((client.status, client.field("Allow").as_deref()), (405, Some("GET, HEAD, OPTIONS")), "{method}");
    }
}

#[test]
fn what_is_not_a_request_is_refused_and_the_next_client_is_served() {
    let program = Program::start(&[]);
    let long = "a".repeat(9000);
    for (request, status) in [
        ("GET /events HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /events HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET /events HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), 400),
        ("GET /events HTTP/1.1\nHost: a\n\n".to_owned(), 400),
        ("rubbish\r\n\r\n".to_owned(), 400),
        ("\x16\x03\x01\x02\x00".to_owned(), 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nA: {long}\r\nB: {long}\r\n\r\n"), 431),
    ] {
        let mut client = program.request(&request);
        assert_eq!(client.status, status, "{:?}", &request[..request.len().min(80)]);
        assert_eq!(client.content().lines().count(), 1, "one line says why");
        assert_eq!(program.stream().status, 200);
    }
}
