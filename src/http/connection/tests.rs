//! A connection's life, played byte by byte, with a clock that stands until it is set.

use super::*;
use crate::counters::Counters;
use crate::http::access::{Hosts, Origins};
use crate::http::assets;
use crate::http::file::{Found, Target};
use crate::http::metrics::Gauges;
use crate::http::service::{CustomPage, Phase};
use crate::http::token::Token;
use crate::log::Ids;
use crate::log::batch::{Draft, Entry, OLD_BATCH};
use crate::log::id::Run;
use crate::log::memory::Memory;
use crate::log::own_ids::OwnIds;
use crate::log::segment::Segments;
use crate::log::store::tests::Folder;
use crate::wire::event::{Data, Event};
use std::sync::Arc;

mod answers;

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
    crowded: bool,
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
                title: None,
                tiles: None,
                metrics: false,
            },
            phase: Phase::Live,
            crowded: false,
            now,
            sent: Vec::new(),
        }
    }

    fn publish(&mut self, records: &[&str]) {
        self.publish_at(0, records);
    }

    fn publish_at(&mut self, time: u64, records: &[&str]) {
        self.draft.read_at(time);
        self.push(records);
        self.log.append(Arc::new(self.draft.finish(None).expect("has records")));
    }

    /// Adds these records to what is published next.
    fn push(&mut self, records: &[&str]) {
        for record in records {
            let id = format!("{}-{}", Run::new(1), self.draft.next());
            self.push_with(Some(&id), record);
        }
    }

    fn push_with(&mut self, id: Option<&str>, record: &str) {
        let event = Event { event: None, data: Data::Text(record.as_bytes()), id };
        let write = |out: &mut Vec<u8>| chunk::write(out, event.encoded_len(), |out| event.write(out));
        self.draft.push(Entry::Event, write);
    }

    fn input(&mut self, bytes: &str) -> Option<Action> {
        let Play { log, service, phase, .. } = self;
        let retry = Duration::from_millis(1500);
        let (counters, gauges) = (&Counters::default(), Gauges::default());
        let (phase, date, crowded) = (*phase, "DATE", self.crowded);
        let context = RequestContext { log, history: 1000, phase, date, retry, crowded, counters, gauges };
        self.connection.handle_input(bytes.as_bytes(), service, &context, self.now)
    }

    /// The client takes at most `most` bytes.
    fn take(&mut self, most: usize) -> usize {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        if self.connection.poll_latest(&self.log).is_none() {
            if let Some((cursor, index)) = self.connection.poll_prepare(&self.log) {
                self.log.prepare(cursor, index);
            }
            self.connection.stage_gap(&self.log);
            self.connection.stage_time(&self.log);
            if let Some(cursor) = self.connection.poll_load(&self.log) {
                let _ = self.log.load(cursor);
            }
        }
        let count = self.connection.poll_write(&self.log, &mut slices, most);
        let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
        self.sent.extend_from_slice(&bytes);
        self.connection.handle_written(bytes.len(), &self.log, STALL, self.now);
        bytes.len()
    }

    /// The client takes what is staged, and nothing of the log.
    fn take_staged(&mut self) {
        self.take(self.connection.staged.len());
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
        self.connection.handle_timeout(&self.service, "DATE", self.now);
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
                assert!(play.connection.poll_shutdown() && !play.connection.is_shut(), "our side is to be closed");
                assert_eq!(play.connection.handle_shutdown(play.now), Some(CloseReason::Delivered));
                assert!(!play.connection.poll_shutdown() && play.connection.is_shut(), "once");
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
fn a_head_that_does_not_come_in_time_gets_408() {
    let mut play = Play::new();
    assert_eq!(play.connection.poll_deadline(), Some(play.now + HEAD_TIME));
    play.input("GET / HT");
    play.wait(HEAD_TIME - Duration::from_millis(1));
    assert_eq!(play.take(10_000), 0, "not yet");
    play.wait(Duration::from_millis(1));
    play.take_all(10_000);
    assert!(play.sent.starts_with(b"HTTP/1.1 408 "));
    assert!(play.connection.poll_shutdown());
    play.connection.handle_shutdown(play.now);
    play.wait(LINGER);
    assert_eq!(play.connection.poll_closed(), Some(CloseReason::Answered), "it is not waited for longer");

    let mut silent = Play::new();
    silent.wait(HEAD_TIME);
    assert_eq!(silent.connection.poll_closed(), Some(CloseReason::Useless), "who says nothing is told nothing");
}

#[test]
fn a_page_may_read_that_its_head_came_too_late() {
    for (head, allowed) in [
        ("GET / HTTP/1.1\r\nOrigin: http://localhost:3000\r\nHo", Some("http://localhost:3000")),
        ("GET / HTTP/1.1\r\nOrigin: http://localhost:30", None), // the port may go on
        ("GET / HTTP/1.1\r\nOrigin: https://evil.example\r\n", None),
        ("GET / HTTP/1.1\r\n", None),
    ] {
        let mut play = Play::new();
        play.input(head);
        play.wait(HEAD_TIME);
        play.take_all(10_000);
        let sent = String::from_utf8(play.sent).expect("is text");
        assert!(sent.starts_with("HTTP/1.1 408 "), "{sent}");
        let field = sent.lines().find_map(|line| line.strip_prefix("Access-Control-Allow-Origin: "));
        assert_eq!(field, allowed, "{head:?}");
    }
}

#[test]
fn what_the_kernel_has_not_sent_yet_has_the_stall_time_and_then_the_client_has_two_seconds() {
    for request in [GET, GET_10, "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let mut play = Play::new();
        play.input(request);
        play.end();
        play.take_all(1000);
        play.wait(STALL - Duration::from_millis(1));
        play.connection.handle_eof(); // it sends no more, and still reads
        assert!(play.connection.poll_shutdown(), "{request:?}: it is still being sent");
        let ending = play.connection.handle_shutdown(play.now);
        play.wait(LINGER - Duration::from_millis(1));
        assert_eq!(play.connection.poll_closed(), None);
        play.wait(Duration::from_millis(1));
        assert_eq!((play.connection.poll_closed(), ending.is_some()), (ending, true), "{request:?}");

        let mut unread = Play::new();
        unread.input(request);
        unread.end();
        unread.take_all(1000);
        unread.wait(STALL);
        assert!(unread.connection.poll_closed().is_some(), "{request:?}: it is not waited for longer");
    }
}

#[test]
fn one_that_the_kernel_is_sending_to_has_its_whole_time_again() {
    for ends in [false, true] {
        let mut play = Play::new();
        play.input(GET);
        if ends {
            play.end();
        }
        play.take_all(1000);
        play.connection.handle_sending(STALL, play.now);
        for _ in 0..10 {
            play.wait(STALL - Duration::from_millis(1));
            play.connection.handle_sending(STALL, play.now);
        }
        assert_eq!(play.connection.poll_closed(), None, "{ends}");
        play.wait(STALL);
        let reason = if ends { CloseReason::Stopped } else { CloseReason::Stalled };
        assert_eq!(play.connection.poll_closed(), Some(reason), "nothing more was sent");
    }
}

#[test]
fn that_the_kernel_takes_an_event_is_no_sign_of_life_while_it_sends_nothing() {
    let mut play = Play::new();
    play.input(GET);
    play.take_all(1000);
    play.connection.handle_sending(STALL, play.now);
    let deadline = Some(play.now + STALL);
    play.wait(STALL / 2);
    play.publish(&["a"]);
    play.take_all(1000);
    assert_eq!(play.connection.poll_deadline(), deadline);
    play.connection.handle_sent();
    assert_eq!(play.connection.poll_deadline(), None);
    play.publish(&["b"]);
    play.take_all(1000);
    assert_eq!(play.connection.poll_deadline(), None);
    // But if it was full, and takes some, then it has sent some.
    play.connection.handle_sending(STALL, play.now);
    play.publish(&["c"]);
    play.take(0);
    play.wait(STALL / 2);
    play.take(1);
    assert_eq!(play.connection.poll_deadline(), Some(play.now + STALL));
    play.take_all(1000);
    assert_eq!(play.connection.poll_deadline(), None);
    // Our side is closed: the rest is up to the client.
    play.end();
    play.take_all(1000);
    play.connection.handle_shutdown(play.now);
    play.connection.handle_sending(STALL, play.now);
    assert_eq!(play.connection.poll_deadline(), Some(play.now + LINGER));
}

#[test]
fn one_that_reads_nothing_is_dropped_one_that_reads_little_is_kept() {
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
fn one_that_reads_nothing_of_an_answer_is_dropped() {
    for (path, taken, time) in [("/nowhere", 0, LINGER), ("/nowhere", 10, STALL), ("/viewer/viewer.js", 1000, STALL)] {
        let mut play = Play::new();
        play.input(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(play.take(taken), taken);
        play.wait(time - Duration::from_millis(1));
        assert_eq!(play.connection.poll_closed(), None, "{path}");
        play.wait(Duration::from_millis(1));
        assert_eq!(play.connection.poll_closed(), Some(CloseReason::Stalled), "{path}");
    }
}

#[test]
fn more_batches_than_fit_into_one_write_come_with_the_next() {
    let mut play = Play::new();
    play.input(GET);
    let records: Vec<_> = (0..2 * MAX_SLICES).map(|n| n.to_string()).collect();
    records.iter().for_each(|record| play.publish(&[record]));
    play.take(usize::MAX);
    assert!(play.connection.has_pending(&play.log));
    play.take_all(usize::MAX);
    let got: Vec<_> = play.content().lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(got, records);
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
fn what_only_a_segment_has_is_loaded_for_clients_that_cannot_be_sent_it_from_there() {
    let memory = Arc::new(Memory::new(1 << 20));
    let mut segments = Segments::new(1 << 20, Arc::clone(&memory));
    if memory.are_files_refused() {
        return eprintln!("not tried: files in memory are refused here");
    }
    for request in [GET, GET_10] {
        let mut play = Play::new();
        for record in ["a", "b", "c"] {
            play.push(&[record]);
            let batch = play.draft.finish(Some(&mut segments)).expect("has a record");
            assert!(batch.bytes().is_none(), "it is in the segment");
            play.log.append(Arc::new(batch));
        }
        play.input(request);
        play.take_all(7);
        let got: Vec<_> = play.content().lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(got, ["a", "b", "c"], "{request}");
    }
}

#[test]
fn places_of_old_entries_are_read_only_for_clients_that_need_them() {
    for (path, version, needed) in [
        ("/events", "1.1", false),
        ("/events", "1.0", true),
        ("/events?times=event", "1.1", true),
        ("/events?times=event", "1.0", true),
    ] {
        let mut play = Play::new();
        play.publish(&["a"]);
        play.input(&format!("GET {path} HTTP/{version}\r\nHost: localhost\r\n\r\n"));
        assert_eq!(play.connection.poll_prepare(&play.log), None, "the head comes first");
        play.take_staged();
        let prepare = play.connection.poll_prepare(&play.log);
        assert_eq!(prepare.map(|(_, index)| index), Some(needed), "{path} {version}");
        play.take_all(1000);
        assert_eq!(play.connection.poll_prepare(&play.log), None, "it has everything");
    }
}

#[test]
fn what_cannot_be_read_any_more_is_announced_and_closes_those_in_the_middle_of_it() {
    for (taken, gone) in [(0, None), (10, Some(CloseReason::Behind))] {
        let (folder, mut play) = (Folder::new(), Play::new());
        let (store, ..) = folder.open();
        play.push(&["a"]);
        let batch = play.draft.finish_in(&store, false).expect("has a record");
        play.log.append(Arc::new(batch));
        play.log.age(0, OLD_BATCH);
        play.input(GET);
        play.take_staged();
        assert_eq!(play.take(taken), taken);
        std::fs::write(folder.file(1, "chunks"), "").expect("can be written");
        assert!(play.log.cannot_read(play.connection.cursor().expect("is a stream")));
        play.publish(&["b"]);
        play.take_all(1000);
        assert_eq!(play.connection.poll_closed(), gone);
        let run = Run::new(1);
        let rest = ["retry: 1500\n", ": 1 events missed\n", &format!("data: b\nid: {run}-2\n\n")].map(chunk_of);
        assert_eq!(play.content() == rest.concat(), gone.is_none(), "{}", play.content());
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
    assert_eq!(play.connection.ignored as usize, "GET /second HTTP/1.1\r\n\r\n".len());
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
fn the_first_reason_for_an_end_is_the_one_that_is_reported() {
    let ends: [fn(&mut Connection); 3] = [Connection::handle_eof, Connection::handle_error, Connection::handle_stop];
    for (end, reason) in ends.into_iter().zip([CloseReason::Left, CloseReason::Left, CloseReason::Stopped]) {
        let mut play = Play::new();
        play.input(GET);
        end(&mut play.connection);
        assert_eq!(play.connection.poll_closed(), Some(reason));

        let mut play = Play::new();
        play.input(GET);
        play.publish(&["a"]);
        play.log.evict(play.log.end_offset());
        play.connection.handle_eviction(&play.log);
        end(&mut play.connection);
        assert_eq!(play.connection.poll_closed(), Some(CloseReason::Behind));
    }
    let mut play = Play::new();
    play.input(GET);
    play.end();
    play.take_all(1000);
    play.connection.handle_error(); // a reset instead of its FIN
    assert_eq!(play.connection.poll_closed(), Some(CloseReason::Delivered));
}

#[test]
fn at_the_end_one_that_has_everything_gets_204() {
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
fn at_the_end_the_last_id_is_enough_even_if_what_follows_it_is_gone() {
    for (id, status) in [("x", 204), ("y", 200)] {
        let (mut play, index) = (Play::new(), Arc::<OwnIds>::default());
        play.draft = Draft::new(Arc::new(Memory::new(1 << 20))).with_own_ids(Arc::clone(&index));
        play.log = Log::new(Run::new(1), Ids::Own(index));
        let mut batches = Vec::new();
        for id in [Some("x"), None, None] {
            play.push_with(id, "a");
            id.inspect(|id| play.draft.note_own_id(id));
            let mut batch = play.draft.finish(None).expect("has a record");
            batch.enter_own_ids();
            batches.push(Arc::new(batch));
            play.log.append(Arc::clone(batches.last().expect("there is one")));
        }
        play.log.evict(batches[1].end()); // another view still has it
        play.end();
        play.input(&GET.replace("\r\n\r\n", &format!("\r\nLast-Event-ID: {id}\r\n\r\n")));
        play.take_all(1000);
        assert!(play.sent.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{id}");
    }
}

#[test]
fn at_the_end_of_events_that_have_no_id_nothing_is_sent_twice() {
    let mut play = Play::new();
    play.log = Log::new(Run::new(1), Ids::Own(Arc::default()));
    play.publish(&["a"]);
    play.end();
    play.input(GET);
    play.take_all(1000);
    assert!(play.sent.starts_with(b"HTTP/1.1 204 "), "one that returns looks like a new one");
}

#[test]
fn at_the_end_a_new_one_that_gets_nothing_is_expected_back_by_the_last_id_if_there_are_ids() {
    for (ids, nameless) in [(true, Some(2)), (false, None)] {
        let mut play = Play::new();
        (play.service.ids, play.service.tail) = (ids, Some(0));
        play.publish(&["a", "b"]);
        play.end();
        assert_eq!(play.input(GET), Some(Action::Farewell { nameless }));
    }
}
