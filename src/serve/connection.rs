//! A connection as a value: bytes and `now` in; slices to write, deadlines and an end out.
//!
//! One request, one answer, then the close (RFC 9112 §§ 9.3, 9.6). The states follow each other like this:
//!
//! ```text
//! Head ──▶ Answer ──▶ Closing ──▶ Gone        (Waiting before Answer where something has to be looked for)
//!   └────▶ Stream ──▶ Answer …                (the last-chunk is the rest of an answer like any other)
//! ```
//!
//! Whatever goes wrong leads to `Gone` from anywhere. No socket and no clock: the worker owns both.

use super::answer::{
    Answer, Entrance, Found, Lookup, Moment, Notices, Opening, Outside, Phase, Refusal, Service, answer, refuse,
    too_late,
};
use crate::log::{Log, Start};
use crate::wire::chunk;
use crate::wire::request::{self, Version};
use std::borrow::Cow;
use std::io::IoSlice;
use std::time::{Duration, Instant};

/// A head must be complete after so long.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a peer may take to close its side after a short answer (RFC 9112 § 9.6).
pub const LINGER: Duration = Duration::from_secs(2);
/// A client may send so much beside its head (a body, which is read away); more ends the connection.
pub const MAX_BODY: u32 = 1 << 20;
/// Content from outside is fetched in pieces of so many bytes: a large file takes no more memory than this.
const PIECE: u64 = 256 << 10;
/// Most slices in one write; batches are large, so that this is rarely the bound.
pub const MAX_SLICES: usize = 64;

/// Heartbeats: a comment, or an event (whose empty data line makes a browser dispatch it), each in one chunk.
const HEARTBEAT: &[u8] = b"2\r\n:\n\r\n";
const HEARTBEAT_EVENT: &[u8] = b"19\r\nevent: heartbeat\ndata: \n\n\r\n";

/// One client's connection.
#[derive(Debug)]
pub struct Connection {
    state: State,
    entrance: Entrance,
    /// What is owed before anything of the log: a head, a heartbeat, the last-chunk.
    staged: Cow<'static, [u8]>,
    /// How much of it has been written.
    sent: usize,
    /// When its time runs out: for the head, in closing, or because it takes nothing.
    deadline: Option<Instant>,
    /// Bytes that came after the head, to be ignored.
    ignored: u32,
}

#[derive(Debug)]
enum State {
    /// Reading the request head; what came so far, where it came in parts.
    Head(Vec<u8>),
    /// Waiting for what has to be looked for. (Boxed, for few clients ever do, and none for long.)
    Waiting(Box<Lookup>),
    /// Reading the log.
    Stream(Stream),
    /// Writing what is staged, and so many bytes of content that are still to be fetched; then closing.
    Answer { ending: Ending, content: u64 },
    /// All is written: the write side is to be shut down, then it is read until the peer closes too.
    Closing { shut: bool, ending: Ending },
    /// To be removed.
    Gone(Gone),
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    cursor: u64,
    version: Version,
    event_source: bool,
    notices: Notices,
    /// Closes when it has everything.
    ending: bool,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It was a short one.
    Short,
    /// It was a stream, of an EventSource or not, and its end has been written.
    Stream { event_source: bool },
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The client went away.
    Left,
    /// It was answered, and both sides are closed.
    Answered,
    /// A stream ended as it should: the client has everything.
    Delivered,
    /// It took nothing for so long.
    Stalled,
    /// It fell behind what the log holds.
    Behind,
    /// It sent no request in time, or far more than one.
    Useless,
    /// The program ends.
    Stopped,
}

/// What the worker has to know about what a client has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A stream begins.
    Joined {
        /// It will come back after the end.
        event_source: bool,
        /// It brought a last event ID.
        returning: bool,
        /// Where it starts.
        start: Start,
    },
    /// It was told that there is no more (204).
    Farewell,
    /// It was refused, and the terminal should say so.
    Refused(Refusal),
    /// This has to be looked for; [`Connection::handle_found`] is waited for.
    Wants(Outside),
}

impl Connection {
    /// A client that has just connected.
    pub fn new(now: Instant, entrance: Entrance) -> Connection {
        let (state, deadline) = (State::Head(Vec::new()), Some(now + HEAD_TIME));
        Connection { state, entrance, staged: Cow::Borrowed(&[]), sent: 0, deadline, ignored: 0 }
    }

    /// Takes bytes that the client sent.
    pub fn handle_input(&mut self, bytes: &[u8], service: &Service, moment: &Moment, now: Instant) -> Option<Event> {
        let State::Head(before) = &mut self.state else {
            self.ignore(bytes.len());
            return None;
        };
        let parsed = if before.is_empty() {
            request::parse(bytes)
        } else {
            before.extend_from_slice(bytes);
            request::parse(before)
        };
        match parsed {
            Ok(None) if before.is_empty() => {
                *before = bytes.to_vec();
                None
            }
            Ok(None) => None,
            Err(invalid) => {
                let sent = if before.is_empty() { bytes } else { before };
                let refusal = refuse(invalid, sent, service, moment.date);
                self.reply(refusal, now);
                None
            }
            Ok(Some((request, used))) => {
                let rest = before.len().max(bytes.len()) - used;
                let (answer, refusal) = answer(&request, self.entrance, service, moment);
                let event = self.take(answer, moment, now);
                self.ignore(rest);
                refusal.map(Event::Refused).or(event)
            }
        }
    }

    /// Takes what came of a lookup.
    pub fn handle_found(&mut self, found: Found, service: &Service, date: &str, now: Instant) {
        if let State::Waiting(lookup) = std::mem::replace(&mut self.state, State::Gone(Gone::Left)) {
            let (bytes, content) = lookup.answer(found, service, date);
            self.reply(bytes, now);
            self.state = State::Answer { ending: Ending::Short, content };
        }
    }

    /// How many bytes of content are to be fetched now; they come by [`Connection::handle_content`].
    pub fn poll_content(&self) -> Option<usize> {
        match self.state {
            State::Answer { content, .. } if content > 0 && self.staged.is_empty() => Some(content.min(PIECE) as usize),
            _ => None,
        }
    }

    /// Takes content, at most as much as was asked for. None means that it has come to an early end, and then so has
    /// the connection: its length was told.
    pub fn handle_content(&mut self, bytes: Vec<u8>) {
        if let State::Answer { content, .. } = &mut self.state {
            *content -= bytes.len() as u64;
            match bytes.is_empty() {
                true => self.state = State::Gone(Gone::Left),
                false => self.staged = Cow::Owned(bytes),
            }
        }
    }

    /// The client will send no more: a stream counts as gone (contract 5.6), a short answer is still delivered.
    pub fn handle_eof(&mut self) {
        self.state = match self.state {
            State::Closing { ending, .. } => State::Gone(ending.gone()),
            State::Answer { ending: Ending::Short, .. } => return,
            State::Gone(gone) => State::Gone(gone),
            _ => State::Gone(Gone::Left),
        };
    }

    /// The connection is lost.
    pub fn handle_error(&mut self) {
        self.state = match self.state {
            State::Closing { ending, .. } => State::Gone(ending.gone()),
            State::Gone(gone) => State::Gone(gone),
            _ => State::Gone(Gone::Left),
        };
    }

    /// Nothing more will be appended: the stream is closed once it has everything.
    pub fn handle_end(&mut self, log: &Log, stall: Duration, now: Instant) {
        if let State::Stream(stream) = &mut self.state {
            stream.ending = true;
        }
        self.settle(log, stall, now);
    }

    /// There was no event for a while. Only clients that have everything hear of it.
    pub fn handle_silence(&mut self, log: &Log) {
        if let State::Stream(Stream { cursor, version, notices, ending: false, .. }) = self.state
            && cursor == log.head()
            && self.staged.is_empty()
        {
            let heartbeat = match notices {
                Notices::Comments => HEARTBEAT,
                Notices::Events => HEARTBEAT_EVENT,
            };
            self.staged = Cow::Borrowed(match version {
                Version::Http11 => heartbeat,
                Version::Http10 => &heartbeat[chunk::data(heartbeat)],
            });
        }
    }

    /// Time has passed. A client that owes us a request is told so; any other whose time is over is gone.
    pub fn handle_timeout(&mut self, date: &str, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        self.state = match &self.state {
            State::Head(sent) if !sent.is_empty() => return self.reply(too_late(date), now),
            State::Head(_) => State::Gone(Gone::Useless),
            State::Waiting(_) => State::Gone(Gone::Left),
            State::Stream(_) | State::Answer { .. } => State::Gone(Gone::Stalled),
            State::Closing { ending, .. } => State::Gone(ending.gone()),
            State::Gone(gone) => State::Gone(*gone),
        };
    }

    /// The log let go of everything before its tail. Whoever still stood in it is closed: half an event can't be
    /// taken back, and none is skipped.
    pub fn handle_eviction(&mut self, log: &Log) {
        if self.cursor().is_some_and(|cursor| cursor < log.tail()) {
            self.state = State::Gone(Gone::Behind);
        }
    }

    /// The program ends now.
    pub fn handle_stop(&mut self) {
        if !matches!(self.state, State::Gone(_)) {
            self.state = State::Gone(Gone::Stopped);
        }
    }

    /// What is to be written, where it is a single slice of the log: so it is for whoever keeps up.
    #[inline]
    pub fn poll_latest<'a>(&self, log: &'a Log) -> Option<&'a [u8]> {
        match self.state {
            State::Stream(Stream { cursor, version: Version::Http11, .. }) if self.staged.is_empty() => {
                log.latest_from(cursor)
            }
            _ => None,
        }
    }

    /// What is to be written, at most `most` bytes; returns how many slices there are.
    pub fn poll_write<'a>(&'a self, log: &'a Log, slices: &mut [IoSlice<'a>; MAX_SLICES], most: usize) -> usize {
        let (mut count, mut left) = (0, most);
        let mut push = |bytes: &'a [u8]| {
            let bytes = &bytes[..bytes.len().min(left)];
            if !bytes.is_empty() {
                slices[count] = IoSlice::new(bytes);
                count += 1;
                left -= bytes.len();
            }
            count < MAX_SLICES && left > 0
        };
        if !push(&self.staged[self.sent..]) {
            return count;
        }
        if let State::Stream(Stream { cursor, version, .. }) = self.state {
            match version {
                Version::Http11 => {
                    let _ = log.from(cursor).all(push);
                }
                Version::Http10 => {
                    let _ = payloads(log, cursor).all(|(_, bytes)| push(bytes));
                }
            }
        }
        count
    }

    /// So many of the bytes of [`Connection::poll_write`] have been written. `stall` is the longest time that a
    /// client may take nothing while something waits for it.
    pub fn handle_written(&mut self, written: usize, log: &Log, stall: Duration, now: Instant) {
        if !matches!(self.state, State::Stream(_) | State::Answer { .. }) {
            return;
        }
        let of_staged = written.min(self.staged.len() - self.sent);
        self.sent += of_staged;
        if self.sent == self.staged.len() {
            self.staged = Cow::Borrowed(&[]);
            self.sent = 0;
        }
        if let State::Stream(stream) = &mut self.state {
            let written = (written - of_staged) as u64;
            stream.cursor = match stream.version {
                Version::Http11 => stream.cursor + written,
                Version::Http10 => after_payload(log, stream.cursor, written),
            };
        }
        if !self.has_pending(log) {
            self.deadline = None;
        } else if written > 0 || self.deadline.is_none() {
            self.deadline = Some(now + stall);
        }
        if matches!(self.state, State::Answer { content: 0, .. }) && self.staged.is_empty() {
            self.close(stall, now);
        }
        self.settle(log, stall, now);
    }

    /// Whether anything waits to be written.
    pub fn has_pending(&self, log: &Log) -> bool {
        !self.staged.is_empty()
            || self.poll_content().is_some()
            || self.cursor().is_some_and(|cursor| cursor < log.head())
    }

    /// When [`Connection::handle_timeout`] wants to be called.
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the write side is to be shut down now; asked once.
    pub fn poll_shutdown(&mut self) -> bool {
        match &mut self.state {
            State::Closing { shut, .. } => !std::mem::replace(shut, true),
            _ => false,
        }
    }

    /// Whether it is over, and why.
    pub fn poll_gone(&self) -> Option<Gone> {
        match self.state {
            State::Gone(gone) => Some(gone),
            _ => None,
        }
    }

    /// Where a stream is in the log.
    pub fn cursor(&self) -> Option<u64> {
        match self.state {
            State::Stream(stream) => Some(stream.cursor),
            _ => None,
        }
    }

    /// Whether it has been answered at all: until then nothing is owed to it.
    pub fn is_owed(&self) -> bool {
        !matches!(self.state, State::Head(_))
    }

    fn take(&mut self, answer: Answer, moment: &Moment, now: Instant) -> Option<Event> {
        match answer {
            Answer::Whole(bytes) => {
                self.reply(bytes, now);
                None
            }
            Answer::Farewell(bytes) => {
                self.reply(bytes, now);
                Some(Event::Farewell)
            }
            Answer::Lookup(lookup) => {
                let wanted = lookup.wanted.clone();
                self.state = State::Waiting(Box::new(lookup));
                Some(Event::Wants(wanted))
            }
            Answer::Stream(Opening { bytes, start, version, event_source, returning, notices }) => {
                let ending = moment.phase == Phase::Ended;
                self.state = State::Stream(Stream { cursor: start.cursor, version, event_source, notices, ending });
                self.stage(bytes);
                Some(Event::Joined { event_source, returning, start })
            }
        }
    }

    fn reply(&mut self, bytes: Vec<u8>, now: Instant) {
        self.state = State::Answer { ending: Ending::Short, content: 0 };
        self.stage(bytes);
        self.deadline = Some(now + LINGER);
    }

    fn stage(&mut self, bytes: Vec<u8>) {
        self.staged = Cow::Owned(bytes);
        self.sent = 0;
        self.deadline = None;
    }

    fn ignore(&mut self, bytes: usize) {
        self.ignored = self.ignored.saturating_add(bytes as u32);
        if self.ignored > MAX_BODY {
            self.state = State::Gone(Gone::Useless);
        }
    }

    /// Turns a stream that is to end and has everything into the rest of an answer.
    fn settle(&mut self, log: &Log, stall: Duration, now: Instant) {
        let State::Stream(stream) = self.state else { return };
        if !stream.ending || self.has_pending(log) {
            return;
        }
        let ending = Ending::Stream { event_source: stream.event_source };
        match stream.version {
            Version::Http11 => {
                self.state = State::Answer { ending, content: 0 };
                self.staged = Cow::Borrowed(chunk::LAST_CHUNK);
            }
            Version::Http10 => {
                self.state = State::Answer { ending, content: 0 };
                self.close(stall, now);
            }
        }
    }

    fn close(&mut self, stall: Duration, now: Instant) {
        if let State::Answer { ending, .. } = self.state {
            self.state = State::Closing { shut: false, ending };
            self.deadline = Some(now + if ending == Ending::Short { LINGER } else { stall });
        }
    }
}

impl Ending {
    fn gone(self) -> Gone {
        match self {
            Ending::Short => Gone::Answered,
            Ending::Stream { .. } => Gone::Delivered,
        }
    }
}

/// What a client without chunks is sent from `cursor` on: for each entry the offset of the first byte and the bytes.
fn payloads(log: &Log, mut cursor: u64) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let (start, entry) = log.entry_at(cursor)?;
        let data = chunk::data(entry);
        let from = (start + data.start as u64).max(cursor);
        let bytes = &entry[(from - start) as usize..data.end.max((from - start) as usize)];
        cursor = start + entry.len() as u64;
        Some((from, bytes))
    })
}

/// The cursor of a client without chunks, after `written` bytes of what [`payloads`] gave.
fn after_payload(log: &Log, cursor: u64, written: u64) -> u64 {
    let mut left = written;
    for (from, bytes) in payloads(log, cursor) {
        if left < bytes.len() as u64 {
            return from + left;
        }
        left -= bytes.len() as u64;
    }
    log.head()
}

#[cfg(test)]
mod tests {
    use super::super::answer::Own;
    use super::*;
    use crate::access::{Hosts, Origins};
    use crate::input::encoder::{Encoder, Encoding, Outcome};
    use crate::input::records::Record;
    use crate::log::Ids;
    use crate::log::batch::Draft;
    use crate::log::id::Run;
    use crate::log::memory::Memory;
    use std::sync::Arc;

    const STALL: Duration = Duration::from_secs(30);
    const GET: &str = "GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    const GET_10: &str = "GET /events HTTP/1.0\r\n\r\n";

    /// One connection, a log, and a clock that stands until it is set.
    struct Play {
        connection: Connection,
        log: Log,
        draft: Draft,
        encoder: Encoder,
        service: Service,
        phase: Phase,
        now: Instant,
        /// What the client was sent so far.
        sent: Vec<u8>,
    }

    impl Play {
        fn new() -> Play {
            let now = Instant::now();
            let encoding = Encoding { event: None, ids: Some(Run::new(1)), max_record: 100, buffer: 10_000 };
            let origins = Origins { local: true, ..Origins::default() };
            Play {
                connection: Connection::new(now, Entrance::default()),
                log: Log::new(Run::new(1), Ids::Run),
                draft: Draft::new(Arc::new(Memory::new(1 << 20))),
                encoder: Encoder::new(encoding),
                service: Service {
                    origins,
                    hosts: Hosts::default(),
                    token: None,
                    ids: true,
                    tail: None,
                    own: Own::File,
                    metrics: false,
                },
                phase: Phase::Live,
                now,
                sent: Vec::new(),
            }
        }

        fn publish(&mut self, records: &[&str]) {
            for record in records {
                let outcome = self.encoder.record(Record::Bytes(record.as_bytes()), &mut self.draft);
                assert_eq!(outcome, Ok(Outcome::Written));
            }
            self.log.append(Arc::new(self.draft.finish().expect("has records")));
        }

        fn input(&mut self, bytes: &str) -> Option<Event> {
            let Play { log, service, phase, .. } = self;
            let retry = Duration::from_millis(1500);
            let moment = Moment { log, history: 1000, phase: *phase, date: "DATE", retry };
            self.connection.handle_input(bytes.as_bytes(), service, &moment, self.now)
        }

        /// The client takes at most `most` bytes.
        fn take(&mut self, most: usize) -> usize {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
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
                    assert_eq!(play.connection.poll_gone(), Some(Gone::Delivered));
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
        let Some(Event::Joined { event_source: false, returning: true, start }) = event else { panic!("{event:?}") };
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
        assert_eq!(play.connection.poll_gone(), Some(Gone::Answered), "it is not waited for longer");

        let mut silent = Play::new();
        silent.wait(HEAD_TIME);
        assert_eq!(silent.connection.poll_gone(), Some(Gone::Useless), "who says nothing is told nothing");
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
        assert_eq!(play.connection.poll_gone(), None);
        play.wait(Duration::from_millis(1));
        assert_eq!(play.connection.poll_gone(), Some(Gone::Stalled));
    }

    #[test]
    fn one_that_falls_off_the_log_is_closed_and_never_skips() {
        for (taken, gone) in [(0, Some(Gone::Behind)), (10, Some(Gone::Behind)), (1000, None)] {
            let mut play = Play::new();
            play.input(GET);
            play.take_all(1000);
            play.publish(&["a"]);
            play.take(taken);
            play.publish(&["b"]);
            play.log.evict(play.log.entry_start(2));
            play.connection.handle_eviction(&play.log);
            assert_eq!(play.connection.poll_gone(), gone, "after {taken} bytes");
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
        assert_eq!(play.connection.poll_gone(), None);
        play.take_all(1000);
        assert_eq!(play.content(), chunk_of("retry: 1500\n"), "there is one answer");
        play.input("x");
        assert_eq!(play.connection.poll_gone(), Some(Gone::Useless));
    }

    #[test]
    fn a_client_that_closes_its_side_is_gone_but_gets_a_short_answer() {
        let mut play = Play::new();
        play.input(GET);
        play.connection.handle_eof();
        assert_eq!(play.connection.poll_gone(), Some(Gone::Left));

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
            play.connection = Connection::new(play.now, Entrance::default());
            play.sent.clear();
            let event = play.input(&format!("GET {request} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"));
            play.take_all(1000);
            assert!(play.sent.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{fields}");
            assert_eq!(matches!(event, Some(Event::Joined { .. })), joined, "{fields}");
            assert_eq!(play.content().ends_with("0\r\n\r\n"), joined, "and the stream has its end: {fields}");
            assert!(play.connection.poll_shutdown());
        }
    }

    #[test]
    fn a_person_s_page_is_fetched_piece_by_piece_when_it_is_asked_for() {
        let whole = "<p>hello".repeat(100_000);
        for (cut, gone) in [(whole.len(), None), (300_000, Some(Gone::Left))] {
            let mut play = Play::new();
            let event = play.input("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n");
            assert_eq!(event, Some(Event::Wants(Outside::OwnPage)));
            assert_eq!(play.take(1000), 0);
            let modified = "Sun, 06 Nov 1994 08:49:37 GMT".parse().expect("is a date");
            let (media_type, entity_tag) = ("text/html".to_owned(), "W/\"1\"".to_owned());
            let found = Found::File { media_type, length: whole.len() as u64, entity_tag, modified };
            play.connection.handle_found(found, &play.service, "DATE", play.now);
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
            assert_eq!((play.connection.poll_gone(), play.connection.poll_shutdown()), (gone, gone.is_none()));
        }
    }
}
