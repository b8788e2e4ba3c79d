//! IDs from records (behaviour 3.4): looked up like any other, at every instance that has read them.

use crate::support::client::{Client, End, Event};
use crate::support::linux::memory;
use crate::support::program::Program;
use std::time::Duration;

const ACCEPT: &str = "Accept: text/event-stream\r\n";

fn event(data: &str, id: &str) -> Event {
    Event { event: String::new(), data: data.to_owned(), id: id.to_owned() }
}

/// An event stream of these events, each with its ID where it has one.
fn stream(events: &[(&str, Option<&str>)]) -> String {
    let one = |(data, id): &(&str, Option<&str>)| match id {
        Some(id) => format!("id: {id}\ndata: {data}\n\n"),
        None => format!("data: {data}\n\n"),
    };
    events.iter().map(one).collect()
}

/// A program that has read all of that: a first client, still there, has it.
#[track_caller]
fn fed(args: &[&str], input: &str, events: usize) -> (Program, Client) {
    let mut program = Program::start(args);
    let mut first = program.stream();
    program.write(input);
    first.data(events);
    (program, first)
}

/// The data of the next `n` events that come to a client with this last event ID, and what it is told before.
#[track_caller]
fn resumed(program: &Program, id: &str, n: usize) -> (Vec<String>, Vec<String>) {
    let mut client = program.stream_with("/events", &format!("Last-Event-ID: {id}\r\n"));
    (client.data(n), std::mem::take(&mut client.comments))
}

#[test]
fn a_client_with_an_id_resumes_strictly_after_its_event() {
    let input = stream(&[
        ("1", Some("a")),
        ("2", Some("b/é:\u{1f600} %\"")),
        ("3", Some("c")),
        ("4", None),
        ("5", Some("inner\t blank")),
        ("6", Some("5")),
        ("7", None),
    ]);
    for threads in ["1", "3"] {
        let (program, _first) = fed(&["-f", "sse", "--threads", threads], &input, 7);
        for (id, want) in [
            ("a", &["2", "3", "4", "5", "6", "7"][..]),
            (" \tc ", &["4", "5", "6", "7"]),
            ("b/é:\u{1f600} %\"", &["3", "4", "5", "6", "7"]),
            ("inner\t blank", &["6", "7"]),
            ("5", &["7"]),
        ] {
            let (data, comments) = resumed(&program, id, want.len());
            assert_eq!(
                (data.as_slice(), comments.len()),
                (&want.iter().map(|d| d.to_string()).collect::<Vec<_>>()[..], 0),
                "{id:?}"
            );
        }
        let mut client = program.stream_with("/events?last-event-id=b%2F%C3%A9%3A%F0%9F%98%80+%25%22", "");
        assert_eq!(client.data(1), ["3"], "in the query");
        for id in ["b", "A", "a-", "6", "1", "inner blank", "x"] {
            let (data, comments) = resumed(&program, id, 7);
            assert_eq!(data, ["1", "2", "3", "4", "5", "6", "7"], "{id:?}: rather a repeat than a hole");
            let told = comments.iter().any(|comment| comment.starts_with("events missed, nobody knows how many"));
            assert!(told, "{id:?}: {comments:?}");
        }
    }
}

#[test]
fn an_id_that_repeats_costs_repeats_and_loses_nothing() {
    let input = stream(&["100", "101", "101", "102", "100", "103"].map(|id| (id, Some(id))));
    for threads in ["1", "3"] {
        let (mut program, first) = fed(&["-f", "sse", "--threads", threads], &input, 6);
        for (id, want) in [
            ("100", &["101", "101", "102", "100", "103"][..]),
            ("101", &["101", "102", "100", "103"]),
            ("102", &["100", "103"]),
        ] {
            let (data, comments) = resumed(&program, id, want.len());
            assert_eq!((data, comments.len()), (want.iter().map(|data| data.to_string()).collect(), 0), "{id}");
        }
        program.write(stream(&[("x", Some("103"))]));
        program.close_input();
        drop(first);
        let told = program.end().told;
        let repeats: Vec<_> = told.iter().filter(|line| line.contains(" has the ID of an earlier ")).collect();
        assert!(
            repeats.len() == 1 && repeats[0].starts_with("sse-pipe: record 3 has the ID of an earlier "),
            "{told:#?}"
        );
    }
    let (mut program, first) = fed(&["-f", "sse"], &stream(&[("1", Some("a")), ("2", Some("b"))]), 2);
    drop(first);
    program.close_input();
    let told = program.end().told;
    assert!(!told.iter().any(|line| line.contains(" has the ID of an earlier ")), "{told:#?}");
}

#[test]
fn once_the_earliest_event_with_an_id_is_gone_the_id_gets_all_that_is_held_and_a_notice() {
    let mut program = Program::start(&["-f", "sse", "--history", "4", "--threads", "1"]);
    let mut first = program.stream();
    for n in 1..=7 {
        let id = if n == 2 || n == 5 { "twice".to_owned() } else { format!("k{n}") };
        program.write(format!("id: {id}\ndata: {n}\n\n")); // each is a batch, and leaves alone
        first.data(1);
    }
    let (data, comments) = resumed(&program, "twice", 4);
    assert_eq!(data, ["4", "5", "6", "7"]);
    assert!(comments.len() == 1 && comments[0].starts_with("events missed, nobody knows how many"), "{comments:?}");
    let mut page = program.stream_with("/events?notices=event&last-event-id=twice", "");
    assert_eq!(page.next_event().map(|event| event.data), Some("{\"missed\": null}".to_owned()));
}

#[test]
fn after_the_end_the_last_id_gets_204_even_if_it_was_given_before() {
    let (mut program, first) = fed(&["-f", "sse"], &stream(&[("1", Some("a")), ("2", Some("b")), ("3", Some("a"))]), 3);
    let mut source = program.stream_with("/events", ACCEPT);
    source.data(3);
    drop(first);
    program.close_input();
    assert_eq!(source.rest().1, End::Proper);
    let mut behind = program.stream_with("/events", &format!("{ACCEPT}Last-Event-ID: b\r\n"));
    assert_eq!(behind.rest(), (vec!["3".to_owned()], End::Proper));
    assert_eq!(program.get("/events", &format!("{ACCEPT}Last-Event-ID: a\r\n")).status, 204);
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn blanks_around_an_id_are_passed_on_and_do_not_count() {
    let (program, _first) = fed(&["--id-from", "/id"], "{\"id\":\" k 1 \"}\n{\"id\":\"\\tk2\"}\n{\"id\":3}\n", 3);
    let mut client = program.stream();
    let ids: Vec<_> = (0..3).map(|_| client.next_event().expect("an event").id).collect();
    assert_eq!(ids, [" k 1 ", "\tk2", "3"]);
    assert_eq!(resumed(&program, "k 1", 2).0, ["{\"id\":\"\\tk2\"}", "{\"id\":3}"]);
    assert_eq!(resumed(&program, "k2", 1).0, ["{\"id\":3}"]);
}

#[test]
fn a_record_without_an_id_has_one_of_the_run_which_works_as_well() {
    let (program, first) =
        fed(&["--id-from", "/id", "--data-from", "/d"], "{\"id\":\"k\",\"d\":1}\n{\"d\":2}\nno JSON\n", 3);
    let run_id = first.last_id().to_owned();
    let (run, number) = run_id.split_once('-').expect("is RUN-N");
    assert_eq!(number, "3");
    assert_eq!(resumed(&program, "k", 2).0, ["2", "no JSON"]);
    assert_eq!(resumed(&program, &format!("{run}-2"), 1).0, ["no JSON"]);
    assert_eq!(resumed(&program, &format!("{run}-1"), 2).0, ["2", "no JSON"], "the number of one that has its own");
}

#[test]
fn a_new_client_s_tail_begins_with_an_id_from_which_nothing_is_lost() {
    let events = stream(&[("1", None), ("2", Some("a")), ("3", None), ("4", Some("b")), ("5", None), ("6", None)]);
    for (tail, want) in
        [("0", "id: b"), ("1", "id: b"), ("2", "id: b"), ("3", "id: a"), ("4", "id: a"), ("5", ""), ("6", "")]
    {
        let (program, _first) = fed(&["-f", "sse", "--tail", tail], &events, 6);
        let chunk = program.stream().next_chunk().expect("the first chunk");
        let chunk = String::from_utf8(chunk).expect("is text");
        let (retry, id) = chunk.split_once('\n').expect("a line");
        let want = if want.is_empty() { String::new() } else { format!("{want}\n\n") };
        assert!(retry.starts_with("retry: ") && id == want, "--tail {tail}: {chunk:?}");
    }
    let (program, _first) =
        fed(&["--id-from", "/i", "--tail", "1"], "{\"i\":\"a\"}\n{\"i\":\"b\"}\n{\"i\":\"c\"}\n", 3);
    let chunk = program.stream().next_chunk().expect("the first chunk");
    assert!(chunk.ends_with(b"\nid: b\n\n"), "{:?}", String::from_utf8_lossy(&chunk));
    let (program, _first) = fed(&["--id-from", "/i", "--tail", "1"], "{}\n{}\n{}\n", 3);
    let chunk = String::from_utf8(program.stream().next_chunk().expect("the first chunk")).expect("is text");
    assert!(chunk.ends_with("-2\n\n"), "{chunk:?}");
}

#[test]
fn what_is_not_held_any_more_is_unknown_or_counted() {
    let input: String = (1..=500).map(|n| format!("id: k{n}\ndata: {n}\n\n")).collect();
    let mut program = Program::start(&["-f", "sse", "--history", "10", "--threads", "1"]);
    let mut first = program.stream();
    for piece in input.split_inclusive("\n\n") {
        program.write(piece); // each is a batch, and leaves alone
        first.data(1);
    }
    assert_eq!(resumed(&program, "k495", 5), (["496", "497", "498", "499", "500"].map(String::from).to_vec(), vec![]));
    let (data, comments) = resumed(&program, "k17", 10);
    assert_eq!(data[0], "491");
    assert!(comments[0].starts_with("events missed, nobody knows how many"), "{comments:?}");
}

#[test]
fn after_the_end_the_last_id_gets_204() {
    let (mut program, first) = fed(&["-f", "sse"], &stream(&[("1", Some("a")), ("2", Some("b"))]), 2);
    let mut source = program.stream_with("/events", ACCEPT);
    source.data(2);
    drop(first);
    program.close_input();
    assert_eq!(source.rest().1, End::Proper);
    let mut behind = program.stream_with("/events", &format!("{ACCEPT}Last-Event-ID: a\r\n"));
    assert_eq!(behind.rest(), (vec!["2".to_owned()], End::Proper));
    assert_eq!(program.get("/events", &format!("{ACCEPT}Last-Event-ID: b\r\n")).status, 204);
    let ended = program.end();
    assert_eq!(ended.code(), Some(0), "{:?}", ended.told);
}

#[test]
fn after_the_end_events_without_an_id_are_not_sent_again_and_again() {
    // The last ID that was given is the last that a client can send back.
    let (mut program, first) = fed(&["-f", "sse"], &stream(&[("1", Some("a")), ("2", None)]), 2);
    let mut source = program.stream_with("/events", ACCEPT);
    source.data(2);
    drop(first);
    program.close_input();
    source.rest();
    assert_eq!(program.get("/events", &format!("{ACCEPT}Last-Event-ID: a\r\n")).status, 204);
    assert_eq!(program.end().code(), Some(0));

    // None was ever given: an EventSource that comes can't be told from one that returns.
    let (mut program, first) = fed(&["-f", "sse"], &stream(&[("1", None), ("2", None)]), 2);
    let mut source = program.stream_with("/events", ACCEPT);
    source.data(2);
    drop(first);
    program.close_input();
    source.rest();
    assert_eq!(program.get("/events", ACCEPT).status, 204);
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn an_event_stream_without_ids_is_served_on_streams_that_stay_open() {
    let (mut program, mut first) = fed(&["-f", "sse", "--at-eof", "serve"], &stream(&[("1", None)]), 1);
    program.close_input();
    let mut source = program.stream_with("/events", ACCEPT);
    assert_eq!(source.data(1), ["1"]);
    let short = Duration::from_millis(300);
    assert_eq!(first.next_chunk_within(short), None, "it stays open");
    assert_eq!(source.next_chunk_within(short), None, "it stays open");
    program.signal("TERM");
    assert_eq!((first.rest().1, source.rest().1), (End::Proper, End::Proper));
}

#[test]
fn a_client_continues_at_another_instance_that_reads_the_same() {
    let input = |from: u32, to: u32| (from..=to).map(|n| format!("{{\"seq\":{n}}}\n")).collect::<String>();
    let args = &["--id-from", "/seq", "--data-from", "/seq"];
    let (one, _first) = fed(args, &input(1, 100), 100);
    // The other has begun later and has come further, and has another run.
    let (other, _other_first) = fed(args, &input(50, 200), 151);
    let mut client = one.stream();
    client.data(80);
    let last = client.last_id().to_owned();
    drop((client, one));
    let (data, comments) = resumed(&other, &last, 120);
    assert_eq!((data.first().map(String::as_str), data.last().map(String::as_str)), (Some("81"), Some("200")));
    assert!(comments.is_empty(), "{comments:?}");
}

#[test]
fn ids_are_counted_in_the_buffer() {
    // Events so small that their IDs' index is most of what they cost.
    let mut program = Program::start(&["-f", "sse", "--buffer", "4MiB", "--history", "all"]);
    let before = memory(program.pid());
    let mut input = String::new();
    for n in 0..300_000 {
        input += &format!("id:{n}\ndata\n\n");
    }
    program.write(&input);
    program.write("id: last\ndata: last\n\n");
    program.close_input();
    program.wait_for("the input has ended after 300001 events");
    program.signal("USR1");
    let line = program.wait_for("clients: ");
    let held = line.rsplit_once("log ").and_then(|(_, rest)| rest.split_once(' ')).expect("the size of the log").0;
    let held: usize = held.parse().expect("is a number");
    assert!((3 << 20..=4 << 20).contains(&held), "{line}");
    // Beside the log: the block that is read, a draft, the parser, the allocator's own.
    let grown = memory(program.pid()) - before;
    assert!(grown < 20 << 20, "{grown} bytes more for a buffer of 4 MiB");
    let mut client = program.stream_with("/events", "Last-Event-ID: 299998\r\n");
    assert_eq!(client.next_event(), Some(event("", "299999")));
    assert_eq!(client.next_event(), Some(event("last", "last")));
}
