//! Notices (behaviour 4.6, 4.7): what is not a record is sent as comments, or as events to clients that ask for
//! `?notices=event`. And times (behaviour 4.8): when events were read, for clients that ask for `?times=event`.

use crate::support::client::{Client, End, Event};
use crate::support::program::Program;
use std::time::{Duration, UNIX_EPOCH};

const COMMENT: &str = ":\n";
const EVENT: &str = "event: heartbeat\ndata: \n\n";

/// The next chunk as text.
#[track_caller]
fn chunk(client: &mut Client) -> String {
    String::from_utf8(client.next_chunk().unwrap_or_else(|| panic!("ended: {client:?}"))).expect("is text")
}

/// The next chunk that is not a heartbeat of this form.
#[track_caller]
fn chunk_after(client: &mut Client, heartbeat: &str) -> String {
    loop {
        let chunk = chunk(client);
        if chunk != heartbeat {
            return chunk;
        }
    }
}

/// The run, as `id` has it.
#[track_caller]
fn run_of(id: &str) -> &str {
    id.rsplit_once('-').unwrap_or_else(|| panic!("an ID is RUN-N: {id:?}")).0
}

/// What makes a last event ID of the run.
type Id = fn(&str) -> String;

/// The fields of a chunk without its first line, the reconnection time.
#[track_caller]
fn without_retry(chunk: &str) -> &str {
    match chunk.split_once('\n') {
        Some((retry, rest)) if retry.starts_with("retry: ") => rest,
        _ => panic!("begins with the reconnection time: {chunk:?}"),
    }
}

#[test]
fn a_heartbeat_is_an_event_in_one_chunk_for_whom_asks_and_a_comment_for_everyone_else() {
    let program = Program::start(&["--heartbeat", "50ms", "-e", "greeting"]);
    for (target, want) in [
        ("/events?notices=event", EVENT),
        ("/?notices=event", EVENT),
        ("/events?x=y&notices=event", EVENT),
        ("/events?notices=event&x", EVENT),
        ("/events?notices=event&last-event-id=", EVENT),
        ("/events", COMMENT),
        ("/events?notices", COMMENT),
        ("/events?notices=", COMMENT),
        ("/events?notices=events", COMMENT),
        ("/events?notices=comment", COMMENT),
        ("/events?xnotices=event", COMMENT),
    ] {
        let mut client = program.stream_with(target, "");
        assert_eq!(without_retry(&chunk(&mut client)), "", "{target}: the first chunk");
        for nth in 1..=2 {
            assert_eq!(chunk(&mut client), want, "{target}: heartbeat {nth}");
        }
    }
}

#[test]
fn the_same_heartbeat_comes_to_each_client_as_it_wants_it() {
    let mut program = Program::start(&["--heartbeat", "50ms", "--threads", "2"]);
    let mut page = program.stream_with("/events?notices=event", "");
    let mut curl = program.stream();
    chunk(&mut page);
    chunk(&mut curl);
    for n in 1..=3 {
        program.write(format!("{n}\n"));
        let (of_page, of_curl) = (chunk_after(&mut page, EVENT), chunk_after(&mut curl, COMMENT));
        assert_eq!(of_page, of_curl, "an event is the same bytes for every client");
        assert!(of_page.starts_with(&format!("data: {n}\nid: ")), "{of_page:?}");
        assert_eq!((&*chunk(&mut page), &*chunk(&mut curl)), (EVENT, COMMENT));
    }
}

#[test]
fn a_heartbeat_leaves_the_last_event_id_as_it_is() {
    let mut program = Program::start(&["--heartbeat", "50ms"]);
    let mut client = program.stream_with("/events?notices=event", "");
    let heartbeat = |id: &str| Event { event: "heartbeat".into(), data: String::new(), id: id.into() };
    assert_eq!(client.next_event(), Some(heartbeat("")), "before the first event there is none");
    program.write("a\n");
    let mut event = client.next_event().expect("an event");
    while event == heartbeat("") {
        event = client.next_event().expect("an event");
    }
    assert_eq!(event.data, "a");
    for _ in 0..2 {
        assert_eq!(client.next_event(), Some(heartbeat(&event.id)));
    }
    // Heartbeats are not part of the history: with this ID nothing comes again.
    let mut again = program.stream_with(&format!("/events?notices=event&lastEventId={}", event.id), "");
    assert_eq!(again.next_event(), Some(heartbeat("")));
    program.write("b\n");
    let b = std::iter::from_fn(|| again.next_event()).find(|event| event.event.is_empty());
    assert_eq!(b.map(|b| (b.data, b.id)), Some(("b".into(), format!("{}-2", run_of(&event.id)))));
    assert_eq!(again.comments, [] as [&str; 0]);
}

#[test]
fn http_1_0_gets_notices_without_chunks() {
    let mut program = Program::start(&["--heartbeat", "50ms", "--history", "1", "--threads", "1"]);
    let mut first = program.stream();
    for n in 1..=5 {
        program.write(format!("{n}\n"));
        assert_eq!(first.data(1), [n.to_string()]);
    }
    let run = run_of(first.last_id()).to_owned();
    drop(first);
    let asking = |query: &str| format!("GET /events?{query} HTTP/1.0\r\nLast-Event-ID: {run}-1\r\n\r\n");
    let event = format!("data: 5\nid: {run}-5\n\n");
    for (query, gap, heartbeat) in
        [("notices=event", "event: gap\ndata: {\"missed\": 3}\n\n", EVENT), ("", ": 3 events missed\n", COMMENT)]
    {
        let mut client = program.request(&asking(query));
        assert_eq!((client.status, client.field("Transfer-Encoding")), (200, None), "{client:?}");
        let mut all = String::new();
        let enough = |all: &str| all.matches(heartbeat).count() >= 2 && all.ends_with(heartbeat);
        while !enough(&all) {
            all += &chunk(&mut client);
        }
        let rest = without_retry(&all).strip_prefix(gap).and_then(|rest| rest.strip_prefix(&*event));
        let beats = rest.unwrap_or_else(|| panic!("{query}: want {gap:?}, {event:?}, came {all:?}"));
        assert_eq!(beats.replace(heartbeat, ""), "", "{query}: {all:?}");
    }
    // The next event is whole, behind whatever heartbeats.
    let mut client = program.request(&asking("notices=event"));
    program.write("6\n");
    program.close_input();
    let mut events = Vec::new();
    while let Some(event) = client.next_event() {
        events.push((event.event, event.data));
    }
    events.retain(|(event, _)| event != "heartbeat");
    let want = [("gap", "{\"missed\": 3}"), ("", "5"), ("", "6")];
    assert_eq!(events, want.map(|(event, data)| (event.to_owned(), data.to_owned())), "{client:?}");
    assert_eq!(client.rest(), (vec![], End::Proper));
    assert_eq!(client.last_id(), format!("{run}-6"));
}

#[test]
fn a_gap_is_an_event_that_tells_the_number_for_whom_asks_and_a_comment_for_everyone_else() {
    let args = ["--history", "1", "--threads", "1", "--heartbeat", "0", "-e", "greeting"];
    let mut program = Program::start(&args);
    let mut first = program.stream();
    for n in 1..=10 {
        program.write(format!("{n}\n"));
        assert_eq!(first.data(1), [n.to_string()]);
    }
    let run = run_of(first.last_id()).to_owned();
    let cases: [(Id, Option<&str>); 9] = [
        (|run| format!("{run}-0"), Some("9")),
        (|run| format!("{run}-7"), Some("2")),
        (|run| format!("{run}-8"), Some("1")),
        (|run| format!("{run}-9"), None),
        (|_| String::new(), None),
        (|run| format!("{run}-11"), Some("null")),
        (|run| format!("{run}-"), Some("null")),
        (|_| "another-1".into(), Some("null")),
        (|_| "rubbish".into(), Some("null")),
    ];
    for (id, missed) in cases {
        let id = id(&run);
        for (target, field) in [
            ("/events?notices=event".to_owned(), format!("Last-Event-ID: {id}\r\n")),
            (format!("/?notices=event&last_event_id={id}"), String::new()),
            (format!("/events?last-event-id={id}&notices=event"), String::new()),
        ] {
            let mut client = program.stream_with(&target, &field);
            // Up to the first event of the log; no `id` before it, so that the client's own stays.
            let (mut start, event) = (String::new(), format!("event: greeting\ndata: 10\nid: {run}-10\n\n"));
            while !start.ends_with(&event) {
                start += &chunk(&mut client);
                assert!(start.len() < 1000, "sse-pipe {args:?}, GET {target} {field:?}: {start:?}");
            }
            let want = missed.map_or(String::new(), |n| format!("event: gap\ndata: {{\"missed\": {n}}}\n\n")) + &event;
            assert_eq!(without_retry(&start), want, "sse-pipe {args:?}, GET {target} {field:?}");
        }
        // Everyone else.
        for target in ["/events", "/events?notices=comment"] {
            let mut client = program.stream_with(target, &format!("Last-Event-ID: {id}\r\n"));
            let event = client.next_event().expect("an event");
            let shown = format!("sse-pipe {args:?}, GET {target} after {id}: {event:?}, {:?}", client.comments);
            assert_eq!((&*event.event, &*event.data), ("greeting", "10"), "{shown}");
            match missed {
                None => assert_eq!(client.comments.len(), 0, "{shown}"),
                Some("null") => {
                    assert!(client.comments.len() == 1 && client.comments[0].contains("unknown"), "{shown}");
                }
                Some(n) => assert_eq!(client.comments, [format!("{n} events missed")], "{shown}"),
            }
        }
    }
}

#[test]
fn a_new_client_gets_no_gap_notice_for_any_tail() {
    for tail in ["0", "1", "5000"] {
        let mut program = Program::start(&["--tail", tail, "--history", "2", "--threads", "1"]);
        let mut first = program.stream();
        for n in 1..=5 {
            program.write(format!("{n}\n"));
            assert_eq!(first.data(1), [n.to_string()]);
        }
        let mut client = program.stream_with("/events?notices=event", "");
        program.write("6\n");
        program.close_input();
        let all: Vec<_> = std::iter::from_fn(|| client.next_event()).collect();
        assert!(all.iter().all(|event| event.event.is_empty()), "--tail {tail}: {all:?}");
        assert_eq!(all.last().map(|event| &*event.data), Some("6"), "--tail {tail}: {all:?}");
    }
}

#[test]
fn a_skipped_record_stays_a_comment_which_is_the_same_for_all() {
    let mut program = Program::start(&["--max-record", "10", "--heartbeat", "0", "--threads", "1"]);
    let mut page = program.stream_with("/events?notices=event", "");
    let mut curl = program.stream();
    chunk(&mut page);
    chunk(&mut curl);
    program.write("a\n12345678901\nb\n");
    for client in [&mut page, &mut curl] {
        assert!(chunk(client).starts_with("data: a\n"));
        assert_eq!(chunk(client), ": record 2 skipped: 11 bytes are more than --max-record 10\n");
        assert!(chunk(client).starts_with("data: b\n"));
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    UNIX_EPOCH.elapsed().map_or(0, |time: Duration| time.as_millis() as u64)
}

/// The time of a `read-at` event.
fn time_in(event: &Event) -> Option<u64> {
    (event.event == "read-at").then(|| event.data.parse().expect("a time is a number"))
}

/// The next `n` records, each with the time that came last before it.
fn timed(client: &mut Client, n: usize) -> Vec<(String, u64)> {
    let (mut records, mut time) = (Vec::new(), 0);
    while records.len() < n {
        let event = client.next_event().unwrap_or_else(|| panic!("ended: {client:?}"));
        match time_in(&event) {
            Some(read_at) => {
                assert_ne!(read_at, time, "a time comes only when it is another one");
                time = read_at;
            }
            None => records.push((event.data, time)),
        }
    }
    records
}

/// Writes these records, each read at a time of its own. Returns between which times each was read.
fn feed(program: &mut Program, client: &mut Client, records: &[&str]) -> Vec<(u64, u64)> {
    let mut between = Vec::new();
    for record in records {
        let before = now();
        program.write(format!("{record}\n"));
        assert_eq!(client.data(1), [*record]);
        between.push((before, now()));
        while now() == between[between.len() - 1].1 {
            std::hint::spin_loop(); // to the next millisecond
        }
    }
    between
}

#[test]
fn history_and_live_events_have_the_time_at_which_they_were_read_for_whom_asks() {
    let mut program = Program::start(&["--heartbeat", "0", "--threads", "2"]);
    let mut first = program.stream();
    let between = feed(&mut program, &mut first, &["1", "2", "3"]);
    let mut live = program.stream_with("/events?times=event", "");
    let mut records = timed(&mut live, 3);
    let last = records[2].1;
    let more = feed(&mut program, &mut first, &["4"]);
    records.extend(timed(&mut live, 1));
    for ((record, time), (before, after)) in records.iter().zip(between.iter().chain(&more)) {
        assert!((*before..=*after).contains(time), "{record} was read from {before} to {after}: {time}");
    }
    // A client that resumes is sent the time of the first that it gets; its last event ID stays as it is.
    let id = first.last_id().replace("-4", "-2");
    let mut resumed = program.stream_with(&format!("/?notices=event&times=event&lastEventId={id}"), "");
    let event = resumed.next_event().expect("a time");
    assert_eq!((time_in(&event), event.id.as_str()), (Some(last), ""));
    assert_eq!(resumed.next_event().map(|event| event.data), Some("3".to_owned()));
    // Everybody else gets the same bytes without.
    for target in ["/events", "/events?times", "/events?times=1", "/events?notices=event"] {
        let mut other = program.stream_with(target, "");
        chunk(&mut other);
        let data: String = (1..=4).map(|_| chunk(&mut other).lines().next().unwrap_or_default().to_owned()).collect();
        assert_eq!(data, "data: 1data: 2data: 3data: 4", "{target}");
    }
}

#[test]
fn a_relay_that_asks_for_times_hands_them_on() {
    let mut origin = Program::start(&["--heartbeat", "0"]);
    let mut first = origin.stream();
    feed(&mut origin, &mut first, &["1", "2", "3"]);
    let mut direct = origin.stream_with("/events?times=event", "");
    let want = timed(&mut direct, 3);
    let mut stream = String::new();
    for (data, time) in &want {
        stream += &format!("event: read-at\ndata: {time}\n\ndata: {data}\nid: k{data}\n\n");
    }
    let mut relay = Program::start(&["-f", "sse", "--heartbeat", "0"]);
    relay.write(&stream);
    relay.write("data: 4\n\n"); // another read, and no other time
    relay.write("event: read-at\ndata: noon\n\nevent: read-at\ndata: 5\nid: own\n\n");
    let mut page = relay.stream_with("/events?times=event", "");
    let all: Vec<_> =
        (0..9).map(|_| page.next_event().expect("an event")).map(|event| (event.event, event.data)).collect();
    let mut wanted = Vec::new();
    for (data, time) in want {
        wanted.extend([("read-at".to_owned(), time.to_string()), (String::new(), data)]);
    }
    // What only looks like a time is an event like any other.
    wanted.extend([("", "4"), ("read-at", "noon"), ("read-at", "5")].map(|(event, data)| (event.into(), data.into())));
    assert_eq!(all, wanted);
    let mut curl = relay.stream();
    assert_eq!(curl.data(6), ["1", "2", "3", "4", "noon", "5"], "a time is not an event of the log");
}
