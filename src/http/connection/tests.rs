//! A connection's life, played byte by byte, with a clock that stands until it is set.

use super::*;
use crate::counters::Counters;
use crate::http::access::{Hosts, Origins};
use crate::http::file::{Found, Target};
use crate::http::metrics::Gauges;
use crate::http::service::CustomPage;
use crate::log::Ids;
use crate::log::batch::{Draft, Entry};
use crate::log::id::Run;
use crate::log::memory::Memory;
use crate::wire::event::{Data, Event};
use std::sync::Arc;

const STALL: Duration = Duration::from_secs(30);
const GET: &str = "GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
const GET_10: &str = "GET /events HTTP/1.0\r\n\r\n";

/// One connection, a log, and a clock that stands until it is set.
struct Play {
    connection: Connection,
    log: Log,
    draft: Draft,
    service: Service,
    phase: Phase,
    now: Instant,
    /// What the client was sent so far.
    sent: Vec<u8>,
}

impl Play {
    fn new() -> Play {
        let now = Instant::now();
        let origins = Origins { local: true, ..Origins::default() };
        Play {
            connection: Connection::new(now, Accepted::default()),
            log: Log::new(Run::new(1), Ids::Run),
            draft: Draft::new(Arc::new(Memory::new(1 << 20))),
            service: Service {
                origins,
                hosts: Hosts::default(),
                token: None,
                ids: true,
                tail: None,
                page: CustomPage::File,
                metrics: false,
            },
            phase: Phase::Live,
            now,
            sent: Vec::new(),
        }
    }

    fn publish(&mut self, records: &[&str]) {
        self.publish_at(0, records);
    }

    fn publish_at(&mut self, time: u64, records: &[&str]) {
        self.draft.read_at(time);
        for record in records {
            let id = format!("{}-{}", Run::new(1), self.draft.next());
            let event = Event { event: None, data: Data::Text(record.as_bytes()), id: Some(&id) };
            let write = |out: &mut Vec<u8>| chunk::write(out, event.encoded_len(), |out| event.write(out));
            self.draft.push(Entry::Event, write);
        }
        self.log.append(Arc::new(self.draft.finish().expect("has records")));
    }

    fn input(&mut self, bytes: &str) -> Option<Action> {
        let Play { log, service, phase, .. } = self;
        let retry = Duration::from_millis(1500);
        let (counters, gauges) = (&Counters::default(), Gauges::default());
        let context = RequestContext { log, history: 1000, phase: *phase, date: "DATE", retry, counters, gauges };
        self.connection.handle_input(bytes.as_bytes(), service, &context, self.now)
    }

    /// The client takes at most `most` bytes.
    fn take(&mut self, most: usize) -> usize {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        if self.connection.poll_latest(&self.log).is_none() {
            self.connection.stage_time(&self.log);
        }
        let count = self.connection.poll_write(&self.log, &mut slices, most);
        let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
        self.sent.extend_from_slice(&bytes);
        self.connection.handle_written(bytes.len(), &self.log, STALL, self.now);
        bytes.len()
    }

    /// The client takes all that there is, in pieces of `step` bytes.
    fn take_all(&mut self, step: usize) {
        while self.take(step) > 0 {}
    }

    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.connection.handle_end(&self.log, STALL, self.now);
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.connection.handle_timeout("DATE", self.now);
    }

    fn content(&self) -> &str {
        let text = std::str::from_utf8(&self.sent).expect("is text");
        text.split_once("\r\n\r\n").expect("has a head").1
    }
}

fn chunk_of(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

#[test]
fn a_stream_is_the_same_however_the_bytes_are_cut() {
    let run = Run::new(1);
    let expected = |request: &str| {
        let events = [format!("data: a\nid: {run}-1\n\n"), format!("data: b\ndata: c\nid: {run}-2\n\n")];
        if request == GET {
            let chunks = ["retry: 1500\n", &events[0], &events[1], ":\n"].map(chunk_of).concat();
            chunks + "0\r\n\r\n"
        } else {
            format!("retry: 1500\n{}{}:\n", events[0], events[1])
        }
    };
    for request in [GET, GET_10] {
        for input_step in 1..=request.len() {
            for output_step in [1, 2, 3, 7, 1000] {
                let mut play = Play::new();
                play.publish(&["a"]);
                for piece in request.as_bytes().chunks(input_step) {
                    play.input(std::str::from_utf8(piece).expect("is ASCII"));
                }
                assert!(!play.connection.has_pending(&play.log) || play.take(output_step) > 0);
                play.publish(&["b\nc"]);
                play.take_all(output_step);
                play.connection.handle_silence(&play.log);
                play.take_all(output_step);
                play.end();
                play.take_all(output_step);
                assert_eq!(play.content(), expected(request), "{request:?} by {input_step}, {output_step}");
                assert!(play.connection.poll_shutdown(), "our side is closed");
                assert!(!play.connection.poll_shutdown(), "once");
                play.connection.handle_eof();
                assert_eq!(play.connection.poll_closed(), Some(CloseReason::Delivered));
            }
        }
    }
}

#[test]
fn tells_who_joins_and_from_where() {
    let mut play = Play::new();
    play.publish(&["a", "b"]);
    let id = format!("{}-1", Run::new(1));
    let event = play.input(&format!("GET / HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {id}\r\n\r\n"));
    let Some(Action::Joined { event_source: false, returning: true, start }) = event else { panic!("{event:?}") };
    assert_eq!((start.entry, start.cursor), (2, play.log.entry_start(2)));
    assert!(play.connection.is_owed());
}

#[test]
fn a_head_that_does_not_come_in_time_is_told_so() {
    let mut play = Play::new();
    play.input("GET / HT");
    play.wait(HEAD_TIME - Duration::from_millis(1));
    assert_eq!(play.take(10_000), 0, "not yet");
    play.wait(Duration::from_millis(1));
    play.take_all(10_000);
    assert!(play.sent.starts_with(b"HTTP/1.1 408 "));
    assert!(play.connection.poll_shutdown());
    play.wait(LINGER);
    assert_eq!(play.connection.poll_closed(), Some(CloseReason::Answered), "it is not waited for longer");

    let mut silent = Play::new();
    silent.wait(HEAD_TIME);
    assert_eq!(silent.connection.poll_closed(), Some(CloseReason::Useless), "who says nothing is told nothing");
}

#[test]
fn one_that_takes_nothing_is_dropped_one_that_takes_little_is_kept() {
    let mut play = Play::new();
    play.input(GET);
    play.take_all(1000);
    assert_eq!(play.connection.poll_deadline(), None, "nothing waits for it");
    play.wait(10 * STALL);
    play.publish(&["a", "b"]);
    assert_eq!(play.take(0), 0, "its socket is full");
    for _ in 0..10 {
        play.wait(STALL - Duration::from_millis(1));
        assert_eq!(play.take(1), 1, "it is alive");
    }
    play.wait(STALL - Duration::from_millis(1));
    assert_eq!(play.connection.poll_closed(), None);
    play.wait(Duration::from_millis(1));
    assert_eq!(play.connection.poll_closed(), Some(CloseReason::Stalled));
}

#[test]
fn one_that_falls_off_the_log_is_closed_and_never_skips() {
    for (taken, gone) in [(0, Some(CloseReason::Behind)), (10, Some(CloseReason::Behind)), (1000, None)] {
        let mut play = Play::new();
        play.input(GET);
        play.take_all(1000);
        play.publish(&["a"]);
        play.take(taken);
        play.publish(&["b"]);
        play.log.evict(play.log.entry_start(2));
        play.connection.handle_eviction(&play.log);
        assert_eq!(play.connection.poll_closed(), gone, "after {taken} bytes");
    }
}

#[test]
fn heartbeats_go_only_to_those_that_have_everything() {
    let mut play = Play::new();
    play.publish(&["a"]);
    play.input(GET);
    play.take(1);
    play.connection.handle_silence(&play.log);
    play.take_all(3);
    assert!(!play.content().contains(":\n\r\n"), "{}", play.content());
    play.connection.handle_silence(&play.log);
    play.connection.handle_silence(&play.log);
    play.take_all(3);
    assert!(play.content().ends_with("\n\n\r\n2\r\n:\n\r\n"), "one, between events: {}", play.content());
}

#[test]
fn a_client_that_asks_gets_the_time_of_reading_before_each_entry_that_was_read_at_another_time() {
    let run = Run::new(1);
    let event = |data: &str, n: u32| format!("data: {data}\nid: {run}-{n}\n\n");
    let time = |time: u64| format!("event: read-at\ndata: {time}\n\n");
    let from_2 = [event("b", 2), event("c", 3), time(2000), event("d", 4), event("e", 5), time(1500), event("f", 6)];
    for (query, last_id, want) in [
        ("?times=event", "", [&[time(1000), event("a", 1)], from_2.as_slice()].concat()),
        ("?times=event", "-1", [&[time(1000)], from_2.as_slice()].concat()),
        ("?times=event", "-3", [&[time(2000)], &from_2[3..]].concat()),
        ("", "-3", vec![event("d", 4), event("e", 5), event("f", 6)]),
        ("?times=comment", "-4", vec![event("e", 5), event("f", 6)]),
    ] {
        for version in ["1.1", "1.0"] {
            for step in [1, 2, 3, 7, 50, 10_000] {
                let mut play = Play::new();
                play.publish_at(1000, &["a", "b"]);
                play.publish_at(1000, &["c"]);
                play.publish_at(2000, &["d"]);
                let id = if last_id.is_empty() { String::new() } else { format!("Last-Event-ID: {run}{last_id}\r\n") };
                play.input(&format!("GET /events{query} HTTP/{version}\r\nHost: a\r\n{id}\r\n"));
                play.take_all(step);
                play.publish_at(2000, &["e"]); // live, at the same time; then the clock was set back
                play.take(step);
                play.publish_at(1500, &["f"]);
                play.take_all(step);
                play.connection.handle_silence(&play.log);
                play.take_all(step);
                let mut all = vec!["retry: 1500\n".to_owned()];
                all.extend(want.iter().cloned());
                all.push(":\n".to_owned());
                let want = match version {
                    "1.1" => all.iter().map(|content| chunk_of(content)).collect(),
                    _ => all.concat(),
                };
                assert_eq!(play.content(), want, "HTTP/{version} {query} {last_id} by {step}");
            }
        }
    }
}

#[test]
fn one_that_falls_off_the_log_while_it_is_sent_a_time_is_closed() {
    let mut play = Play::new();
    play.input(&GET.replace("/events", "/events?times=event"));
    play.take_all(1000);
    play.publish_at(1000, &["a"]);
    assert_eq!(play.take(10), 10, "part of the time");
    play.publish_at(2000, &["b"]);
    play.log.evict(play.log.entry_start(2));
    play.connection.handle_eviction(&play.log);
    assert_eq!(play.connection.poll_closed(), Some(CloseReason::Behind));
}

#[test]
fn both_heartbeats_are_whole_chunks() {
    for (heartbeat, data) in [(HEARTBEAT, ":\n"), (HEARTBEAT_EVENT, "event: heartbeat\ndata: \n\n")] {
        assert_eq!(std::str::from_utf8(heartbeat), Ok(chunk_of(data).as_str()));
    }
}

#[test]
fn what_comes_after_the_request_is_ignored_within_bounds() {
    let mut play = Play::new();
    play.input(&format!("{GET}GET /second HTTP/1.1\r\n\r\n"));
    let rest = MAX_BODY as usize - play.connection.ignored as usize;
    play.input(&"x".repeat(rest));
    assert_eq!(play.connection.poll_closed(), None);
    play.take_all(1000);
    assert_eq!(play.content(), chunk_of("retry: 1500\n"), "there is one answer");
    play.input("x");
    assert_eq!(play.connection.poll_closed(), Some(CloseReason::Useless));
}

#[test]
fn a_client_that_closes_its_side_is_gone_but_gets_a_short_answer() {
    let mut play = Play::new();
    play.input(GET);
    play.connection.handle_eof();
    assert_eq!(play.connection.poll_closed(), Some(CloseReason::Left));

    let mut play = Play::new();
    play.input("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n");
    play.connection.handle_eof();
    play.take_all(7);
    assert!(play.sent.starts_with(b"HTTP/1.1 404 "));
    assert!(play.connection.poll_shutdown());
}

#[test]
fn at_the_end_one_that_has_everything_is_told_to_stay_away() {
    let mut play = Play::new();
    play.publish(&["a", "b"]);
    play.end();
    let run = Run::new(1);
    for (request, fields, status, joined) in [
        ("/events", format!("Last-Event-ID: {run}-2\r\n"), 204, false),
        ("/events", format!("Last-Event-ID: {run}-1\r\n"), 200, true),
        ("/events", "Accept: text/event-stream\r\n".to_owned(), 200, true),
    ] {
        play.connection = Connection::new(play.now, Accepted::default());
        play.sent.clear();
        let event = play.input(&format!("GET {request} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"));
        play.take_all(1000);
        assert!(play.sent.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{fields}");
        assert_eq!(matches!(event, Some(Action::Joined { .. })), joined, "{fields}");
        assert_eq!(play.content().ends_with("0\r\n\r\n"), joined, "and the stream has its end: {fields}");
        assert!(play.connection.poll_shutdown());
    }
}

#[test]
fn a_person_s_page_is_fetched_piece_by_piece_when_it_is_asked_for() {
    let whole = "<p>hello".repeat(100_000);
    for (cut, gone) in [(whole.len(), None), (300_000, Some(CloseReason::Left))] {
        let mut play = Play::new();
        let event = play.input("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n");
        let Some(Action::LookUp(request)) = event else { panic!("{event:?}") };
        assert_eq!((&request.target, play.take(1000)), (&Target::Page, 0));
        let found = Found::File { media_type: "text/html".to_owned(), length: whole.len() as u64 };
        let (head, content) = request.answer(found, &play.service, "DATE");
        play.connection.handle_reply(head, content, play.now);
        play.take_all(1000);
        let mut rest = &whole[..cut];
        while let Some(most) = play.connection.poll_content() {
            assert!(most <= PIECE as usize);
            let (piece, later) = rest.split_at(most.min(rest.len()));
            play.connection.handle_content(piece.as_bytes().to_vec());
            play.take_all(77_777);
            rest = later;
        }
        assert_eq!(play.content(), &whole[..cut]);
        assert_eq!((play.connection.poll_closed(), play.connection.poll_shutdown()), (gone, gone.is_none()));
    }
}
