//! Resuming (behaviour 4.1, 4.3, 4.5, 5.1, 5.2): a client with a last event ID gets exactly what came after it, or a
//! notice how much is missing.

use crate::support::client::{Client, End};
use crate::support::load::Load;
use crate::support::places::busy;
use crate::support::program::Program;
use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

// Each edge, one client after the other

/// A program that has read the records `1` to `last`, `piece` of them at a time.
struct Fed {
    args: Vec<String>,
    program: Program,
    /// It has read all of them, and is still there.
    first: Client,
    last: u64,
    run: String,
}

/// What a client sends: a request target and field lines.
#[derive(Clone, Debug)]
struct Asking {
    target: String,
    fields: String,
}

/// What comes to a client until the latest record.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    comments: Vec<String>,
    data: Vec<u64>,
}

impl Fed {
    fn new(args: &[&str], last: u64, piece: u64) -> Fed {
        let mut program = Program::start(args);
        let first = program.stream();
        program.told.clear();
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let mut fed = Fed { args, program, first, last: 0, run: String::new() };
        while fed.last < last {
            fed.feed(piece.min(last - fed.last));
        }
        fed
    }

    /// Writes this many more records, and waits until the first client has them: what is written at a time is a batch.
    #[track_caller]
    fn feed(&mut self, records: u64) {
        let new = self.last + 1..=self.last + records;
        self.program.write(new.clone().map(|n| format!("{n}\n")).collect::<String>());
        for n in new {
            assert_eq!(self.first.data(1), [n.to_string()], "sse-pipe {:?}", self.args);
        }
        self.last += records;
        self.run = self.first.last_id().rsplit_once('-').expect("an ID is RUN-N").0.to_owned();
    }

    fn id(&self, n: u64) -> String {
        format!("{}-{n}", self.run)
    }

    fn ask(&self, asking: &Asking) -> Client {
        self.program.stream_with(&asking.target, &asking.fields)
    }

    /// Reads up to the latest record.
    #[track_caller]
    fn read(&self, client: &mut Client) -> Came {
        let mut data: Vec<u64> = Vec::new();
        while data.last() != Some(&self.last) {
            let event = client.next_event();
            let event = event.unwrap_or_else(|| panic!("sse-pipe {:?}: ended after {data:?}: {client:?}", self.args));
            data.push(event.data.parse().expect("is a number"));
            assert_eq!(event.id, self.id(data[data.len() - 1]), "sse-pipe {:?}: {event:?}", self.args);
        }
        Came { comments: std::mem::take(&mut client.comments), data }
    }

    #[track_caller]
    fn check(&self, asking: &Asking, want: Came) {
        let came = self.read(&mut self.ask(asking));
        assert_eq!(came, want, "sse-pipe {:?}, GET {} {:?}", self.args, asking.target, asking.fields);
    }

    /// All from `first` on, and no word of anything missed.
    fn from(&self, first: u64) -> Came {
        Came { comments: vec![], data: (first..=self.last).collect() }
    }
}

fn by_header(id: &str) -> Asking {
    Asking { target: "/events".to_owned(), fields: format!("Last-Event-ID: {id}\r\n") }
}

fn by_query(name: &str, id: &str) -> Asking {
    Asking { target: format!("/events?{name}={id}"), fields: String::new() }
}

#[test]
fn each_id_that_was_ever_given_is_resumed_strictly_after_it_or_with_the_exact_number_of_what_is_missed() {
    let _places = busy();
    // Whole batches are kept. So with batches of 300 more than the history of 10 is held.
    for (piece, threads) in [(1, "1"), (7, "1"), (300, "1"), (64, "3")] {
        let fed = Fed::new(&["--history", "10", "--threads", threads], 1000, piece);
        let mut oldest = BTreeSet::new();
        for n in 0..1000 {
            let asking = by_header(&fed.id(n));
            let came = fed.read(&mut fed.ask(&asking));
            let first = came.data[0];
            let mut want = fed.from(first);
            if first != n + 1 {
                want.comments.push(format!("{} events missed", first.saturating_sub(n + 1)));
                oldest.insert(first);
            }
            let shown = format!("sse-pipe {:?}, {piece} records at a time, GET {asking:?}", fed.args);
            assert!(first > n && came == want, "{shown}:\n  want {want:?}\n  came {came:?}");
            assert!(n + 1 >= 991 || first <= 991, "{shown}: the history is less than 10: {came:?}");
        }
        let shown = format!("sse-pipe {:?}, {piece} records at a time: the oldest that is held: {oldest:?}", fed.args);
        assert!(oldest.first().is_some_and(|&oldest| oldest + piece > 991), "{shown}, more than a batch too many");
        assert_eq!(oldest.len(), 1, "{shown}, by another thread");
    }
}

#[test]
fn a_client_with_the_latest_id_gets_only_what_is_written_afterwards() {
    let mut fed = Fed::new(&["--history", "10", "--threads", "1"], 1000, 50);
    let latest = fed.id(1000);
    let askings = [by_header(&latest), by_query("last-event-id", &latest), by_header(&format!(" \t{latest} "))];
    let mut clients = askings.map(|asking| {
        let mut client = fed.ask(&asking);
        let chunk = client.next_chunk().map(|chunk| String::from_utf8_lossy(&chunk).into_owned());
        let only_retry = chunk.as_deref().is_some_and(|chunk| chunk.starts_with("retry: ") && chunk.ends_with('\n'));
        assert!(only_retry && chunk.as_ref().is_some_and(|c| c.lines().count() == 1), "{asking:?}: {chunk:?}");
        client
    });
    fed.feed(1);
    for client in &mut clients {
        assert_eq!(fed.read(client), fed.from(1001), "sse-pipe {:?}", fed.args);
    }
}

#[test]
fn an_id_that_one_thread_has_just_given_is_known_to_every_other() {
    let args = ["--threads", "2", "--history", "10"];
    let mut fed = Fed::new(&args, 1, 1);
    for _ in 0..300 {
        // They are connected before, to any thread, so that their requests come in the very moment of the next event.
        let sockets: Vec<_> = (0..8).map(|_| fed.program.connect()).collect();
        fed.feed(1);
        let request = format!("GET /events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {}\r\n\r\n", fed.id(fed.last));
        for mut socket in &sockets {
            socket.write_all(request.as_bytes()).expect("it takes a request");
        }
        for socket in sockets {
            let start = first_chunk(&mut Client::read_head(socket, &request));
            assert_eq!(start, "", "sse-pipe {args:?}, {request:?}, with the ID that another client has just got");
        }
    }
}

#[test]
fn an_id_comes_by_the_header_or_else_by_the_query() {
    let fed = Fed::new(&["--history", "10", "--threads", "1"], 1000, 1);
    let id = fed.id(995);
    let encoded = id.replace('-', "%2D");
    let all_encoded: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let with = |asking: Asking, fields: &str| Asking { fields: fields.to_owned(), ..asking };
    for asking in [
        by_header(&id),
        by_header(&format!("  \t{id} \t")),
        Asking { target: "/events".to_owned(), fields: format!("last-event-id:{id}\r\n") },
        Asking { target: "/".to_owned(), fields: format!("LAST-EVENT-ID: {id}\r\n") },
        Asking { target: format!("/?lastEventId={id}"), fields: "Accept: text/event-stream\r\n".to_owned() },
        by_query("last-event-id", &id),
        by_query("last_event_id", &id),
        by_query("lastEventId", &id),
        by_query("last-event-id", &encoded),
        by_query("last_event_id", &encoded),
        by_query("lastEventId", &all_encoded),
        by_query("lastEventId", &format!("%20{id}+")),
        by_query("x=y&lastEventId", &format!("{id}&notices=comment")),
        // The header wins.
        with(by_query("last-event-id", &fed.id(999)), &by_header(&id).fields),
        with(by_query("lastEventId", "rubbish"), &by_header(&id).fields),
    ] {
        fed.check(&asking, fed.from(996));
    }
    // HTTP/1.0 has neither chunks nor Host.
    let mut client = fed.program.request(&format!("GET /events HTTP/1.0\r\nLast-Event-ID: {id}\r\n\r\n"));
    assert_eq!(fed.read(&mut client), fed.from(996), "{client:?}");
    let mut client = fed.program.request(&format!("GET /events?last_event_id={encoded} HTTP/1.0\r\n\r\n"));
    assert_eq!(fed.read(&mut client), fed.from(996), "{client:?}");
}

#[test]
fn an_id_that_was_never_given_gets_the_whole_history_and_a_notice_that_the_gap_is_unknown() {
    let fed = Fed::new(&["--history", "10", "--threads", "1"], 1000, 50);
    let run = &fed.run;
    let turned: String = run.bytes().map(|byte| char::from(if byte == b'x' { b'y' } else { b'x' })).collect();
    let ids = [
        fed.id(1001),
        fed.id(u64::MAX),
        format!("{run}-18446744073709551616"),
        format!("{run}-1{}", "0".repeat(3000)),
        format!("{turned}-995"),
        format!("x{run}-995"),
        format!("{run}x-995"),
        format!("{run}-0995"),
        format!("{run}-00"),
        format!("{run}-+995"),
        format!("{run}--995"),
        format!("{run}-995x"),
        format!("{run}-995.0"),
        format!("{run}- 995"),
        format!("{run}-"),
        format!("{run}995"),
        run.clone(),
        "-".to_owned(),
        "-995".to_owned(),
        "995".to_owned(),
        "0".to_owned(),
        "null".to_owned(),
        "undefined".to_owned(),
        "é".to_owned(),
    ];
    for id in ids {
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for asking in [by_header(&id), by_query("last-event-id", if id.len() > 1000 { &id } else { &encoded })] {
            let came = fed.read(&mut fed.ask(&asking));
            let shown = format!("sse-pipe {:?}, GET {asking:?}: {came:?}", fed.args);
            assert_eq!(came.data, fed.from(991).data, "{shown}");
            let [notice] = &came.comments[..] else { panic!("{shown}: want one notice") };
            assert!(notice.starts_with("events missed") && notice.contains("unknown"), "{shown}");
        }
    }
}

#[test]
fn an_empty_id_is_none() {
    let fed = Fed::new(&["--history", "10", "--threads", "1"], 1000, 50);
    for asking in [
        by_header(""),
        by_header(" \t "),
        by_query("last-event-id", ""),
        by_query("lastEventId", "&x=y"),
        Asking { target: "/events?last-event-id".to_owned(), fields: String::new() },
        Asking { target: "/events?last-event-i=x".to_owned(), fields: String::new() },
    ] {
        fed.check(&asking, fed.from(991));
    }
}

#[test]
fn without_ids_none_is_asked_for() {
    let mut program = Program::start(&["--no-id", "--history", "2", "--tail", "1"]);
    let mut first = program.stream();
    program.write("a\nb\nc\n");
    first.data(3);
    for fields in ["", "Last-Event-ID: abcdef-1\r\n"] {
        let mut client = program.stream_with("/events", fields);
        assert_eq!(client.data(1), ["c"], "{fields:?}");
        assert_eq!((client.last_id(), client.comments.len()), ("", 0), "{fields:?}");
    }
}

// The tail

/// The first chunk without its first line, the reconnection time.
#[track_caller]
fn first_chunk(client: &mut Client) -> String {
    let chunk = String::from_utf8(client.next_chunk().expect("a first chunk")).expect("is text");
    let (retry, rest) = chunk.split_once('\n').unwrap_or_else(|| panic!("no line in {chunk:?}"));
    let time = retry.strip_prefix("retry: ").and_then(|ms| ms.parse::<u64>().ok());
    assert!(time.is_some(), "the first line is the reconnection time: {chunk:?}");
    rest.to_owned()
}

#[test]
fn a_new_client_gets_the_tail_and_if_it_is_cut_the_id_before_it_from_which_nothing_is_lost() {
    for (tail, records, want) in [
        ("3", 100, 98),
        ("3", 4, 2),
        ("3", 3, 1),
        ("3", 2, 1),
        ("3", 0, 1),
        ("0", 100, 101),
        ("0", 1, 2),
        ("0", 0, 1),
        ("1", 1, 1),
        ("19", 100, 82),
        ("20", 100, 81),
        ("21", 100, 81),
        ("5000", 100, 81),
        ("18446744073709551615", 100, 81),
    ] {
        for piece in [1, 9] {
            let args = ["--tail", tail, "--history", "20", "--threads", "1"];
            let mut fed = Fed::new(&args, records, piece);
            let shown = format!("sse-pipe {args:?} after {records} records, {piece} at a time");
            // What the history gives, and no batch beside.
            let cut = want > 1.max((records + 1).saturating_sub(20));
            let id = if cut { fed.id(want - 1) } else { String::new() };
            let start = if cut { format!("id: {id}\n\n") } else { String::new() };
            let mut newcomer = fed.program.stream();
            assert_eq!(first_chunk(&mut newcomer), start, "{shown}: the first chunk after its retry");
            let mut old = fed.program.request("GET /events HTTP/1.0\r\n\r\n");

            // Another is cut before its first event, and reconnects at once, or after some more that the history
            // has room for.
            if cut && want <= records {
                fed.check(&by_header(&id), fed.from(want));
            }
            let more = if cut { 20 - (records + 1 - want) } else { 5 };
            fed.feed(more);
            if cut {
                fed.check(&by_header(&id), fed.from(want));
            }
            assert_eq!(fed.read(&mut newcomer), fed.from(want), "{shown}");
            assert_eq!(fed.read(&mut old), fed.from(want), "{shown}, HTTP/1.0");
        }
    }
}

#[test]
fn a_returning_client_gets_no_tail() {
    let fed = Fed::new(&["--tail", "2", "--history", "20", "--threads", "1"], 100, 1);
    fed.check(&by_header(&fed.id(90)), fed.from(91));
    let came = fed.read(&mut fed.ask(&by_header("another-7")));
    assert_eq!((came.data[0], came.comments.len()), (81, 1), "sse-pipe {:?}: {came:?}", fed.args);
    let came = fed.read(&mut fed.ask(&by_header(&fed.id(50))));
    assert_eq!(came, Came { comments: vec!["30 events missed".to_owned()], ..fed.from(81) }, "{:?}", fed.args);
}

#[test]
fn the_very_first_client_is_given_the_tail_of_all_that_came_before_it() {
    let mut program = Program::start(&["--tail", "3"]);
    let input: String = (1..=5000).map(|n| format!("{n}\n")).collect();
    program.write(&input);
    program.close_input();
    program.wait_for("ended after 5000 events");
    let mut first = program.stream();
    let start = first_chunk(&mut first);
    let id = start.strip_prefix("id: ").and_then(|id| id.strip_suffix("\n\n")).expect("an ID, as the tail is cut");
    assert!(id.ends_with("-4997"), "{start:?}");
    assert_eq!(first.data(3), ["4998", "4999", "5000"]);
}

// Records that were skipped

#[test]
fn a_skipped_record_counts_and_its_comment_comes_again() {
    let args = ["--max-record", "10", "--threads", "1"];
    let mut program = Program::start(&args);
    let mut first = program.stream();
    let long = "x".repeat(11);
    program.write(format!("1\n2\n{long}\n4\n5\n"));
    assert_eq!(first.data(4), ["1", "2", "4", "5"]);
    program.write(format!("{long}\n"));
    program.wait_for("record 6");
    let run = first.last_id().strip_suffix("-5").expect("record 3 counts").to_owned();
    let comment = |n: u64| format!("record {n} skipped: 11 bytes are more than --max-record 10");
    let chunk = |n: u64| format!(": {}\n", comment(n));
    let event = |n: u64| format!("data: {n}\nid: {run}-{n}\n\n");
    for (id, want) in [
        (0, vec![event(1), event(2), chunk(3), event(4), event(5), chunk(6)]),
        (1, vec![event(2), chunk(3), event(4), event(5), chunk(6)]),
        (2, vec![chunk(3), event(4), event(5), chunk(6)]),
        (3, vec![event(4), event(5), chunk(6)]), // an ID that nobody was given, and yet one of ours
        (4, vec![event(5), chunk(6)]),
        (5, vec![chunk(6)]),
        (6, vec![]),
    ] {
        let mut client = program.stream_with("/events", &format!("Last-Event-ID: {run}-{id}\r\n"));
        assert_eq!(first_chunk(&mut client), "", "sse-pipe {args:?}, after {run}-{id}");
        for want in want {
            let came = client.next_chunk().map(|chunk| String::from_utf8_lossy(&chunk).into_owned());
            assert_eq!(came.as_deref(), Some(&*want), "sse-pipe {args:?}, after {run}-{id}");
        }
    }
    program.write("7\n");
    let mut latest = program.stream_with("/events", &format!("Last-Event-ID: {run}-6\r\n"));
    assert_eq!(latest.next_event().map(|event| (event.data, event.id)), Some(("7".into(), format!("{run}-7"))));
    assert_eq!(latest.comments, [] as [&str; 0]);
    program.close_input();
    drop(first);
    assert_eq!(latest.rest(), (vec![], End::Proper));
    assert_eq!(program.end().code(), Some(1), "something was left out");
}

#[test]
fn skipped_records_count_among_the_missed() {
    let args = ["--max-record", "10", "--history", "2", "--threads", "1"];
    let mut program = Program::start(&args);
    let mut first = program.stream();
    for n in 1..=20 {
        program.write(if n % 5 == 0 { "x".repeat(99) + "\n" } else { format!("{n}\n") });
        match n % 5 {
            0 => drop(program.wait_for(&format!("record {n} "))),
            _ => assert_eq!(first.data(1), [n.to_string()]),
        }
    }
    program.write("21\n22\n");
    assert_eq!(first.data(2), ["21", "22"]);
    let run = first.last_id().strip_suffix("-22").expect("all count").to_owned();
    let mut client = program.stream_with("/events", &format!("Last-Event-ID: {run}-2\r\n"));
    let event = client.next_event().expect("an event");
    // It may begin with the comment of record 20, where that is still held with the two of the history.
    let number: u64 = event.data.parse().expect("is a number");
    let left_out = client.comments.iter().filter(|comment| comment.starts_with("record ")).count() as u64;
    let missed = number - 1 - 2 - left_out;
    assert_eq!(client.comments[0], format!("{missed} events missed"), "sse-pipe {args:?}: {:?}", client.comments);
    assert_eq!(event.id, format!("{run}-{number}"));
}

// Under load

#[test]
fn clients_that_are_killed_at_random_under_load_get_each_event_once() {
    let _places = busy();
    let load = Load {
        args: &["--threads", "2", "--history", "all", "--buffer", "64MiB", "--retry", "300ms", "--heartbeat", "0"],
        clients: 200,
        drivers: 4,
        time: Duration::from_secs(10),
        rate: Some(5000.0),
        padding: 40,
        away: 2500,
    };
    let tally = load.run();
    assert_eq!(tally.gaps, 0, "all is held: {tally:?}");
    assert!(tally.whole > 500 && tally.cut_within > 100, "too little happened to test anything: {tally:?}");
}

#[test]
fn where_the_log_is_small_each_hole_is_announced_with_its_size() {
    let _places = busy();
    let load = Load {
        args: &["--threads", "2", "--buffer", "256KiB", "--pace", "slowest", "--retry", "300ms", "--heartbeat", "0"],
        clients: 40,
        drivers: 2,
        time: Duration::from_secs(3),
        rate: None,
        padding: 150,
        away: 3000,
    };
    let tally = load.run();
    assert!(tally.gaps > 10 && tally.whole > 10, "too little happened to test anything: {tally:?}");
}
