//! A scripted connection: the bytes are a script of what a client, its socket, the log and the clock do, and no matter
//! what they do, the connection keeps its promises.
//!
//! The script is played as the worker would play it. A separate, plain parser reads what the client got, and compares
//! it with all entries that ever existed: no hole, no repeat, half an entry only if it was cut off.

use sse_pipe::counters::Counters;
use sse_pipe::http::access::{Hosts, Origins};
use sse_pipe::http::connection::{
    Action, CloseReason, Connection, DISK_TIME, HEAD_TIME, LINGER, MAX_BODY, MAX_SLICES, PIECE,
};
use sse_pipe::http::file::Found;
use sse_pipe::http::metrics::Gauges;
use sse_pipe::http::service::{Accepted, CustomPage, Phase, RequestContext, Service};
use sse_pipe::input::encoder::{Encoder, EncoderConfig};
use sse_pipe::input::records::Record;
use sse_pipe::log::batch::Draft;
use sse_pipe::log::id::Run;
use sse_pipe::log::memory::Memory;
use sse_pipe::log::segment::Segments;
use sse_pipe::log::{Ids, Log, Missed, StartingPoint};
use std::io::IoSlice;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

const STALL: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(1500);
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const PAGE: &[u8] = b"<p>hello";
/// Both heartbeats, as chunks; without the framing for a client that knows no chunks.
const HEARTBEATS: [&str; 2] = ["2\r\n:\n\r\n", "19\r\nevent: heartbeat\ndata: \n\n\r\n"];
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Plays `bytes` as a script.
pub fn check(bytes: &[u8]) {
    let mut script = Script(bytes);
    let mut play = Play::begin(&mut script);
    while play.is_on()
        && let Some(step) = script.next()
    {
        play.step(step, &mut script);
        play.holds();
    }
    play.read_what_was_sent();
    play.finish();
    play.read_what_was_sent();
}

/// What is left of the script; at its end there are zeros.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn byte(&mut self) -> usize {
        self.next().unwrap_or(0).into()
    }

    fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

struct Play {
    connection: Connection,
    log: Log,
    draft: Draft,
    segments: Segments,
    encoder: Encoder,
    service: Service,
    history: u64,
    phase: Phase,
    begin: Instant,
    now: Instant,
    /// What is left of the request that the client has in mind.
    request: Vec<u8>,
    /// The last event ID that it brings, where that request is all that it sent so far.
    last_event_id: Option<LastEventId>,
    /// Whether it wants notices as events.
    notices: bool,
    /// Whether it wants the times of events.
    times: bool,
    /// Bytes that the client sent before and after its request was answered.
    heard: usize,
    ignored: usize,
    /// Every entry that ever was, and how many each batch that is held has.
    entries: Vec<Vec<u8>>,
    /// When each of them was read; two batches each at the same time.
    read_at: Vec<u64>,
    published: u64,
    batches: std::collections::VecDeque<usize>,
    /// What the client was sent.
    sent: Vec<u8>,
    joined: Option<StartingPoint>,
    /// What such a stream begins with, where its request was the one that it had in mind.
    first: Option<String>,
    /// Since when it waits for its file to be looked up.
    waits: Option<Instant>,
    /// The piece of it that it has asked for, and when.
    asked: Option<(Instant, u64, usize)>,
    shut: bool,
    /// Since when the client has taken nothing of what was offered to it.
    stuck: Option<Instant>,
    last_progress: Instant,
}

#[derive(Clone, Copy)]
enum LastEventId {
    None,
    Number(u64),
    Foreign,
}

impl Play {
    fn begin(script: &mut Script) -> Play {
        let (flags, counts) = (script.byte(), script.byte());
        let run = Run::new(1);
        let ids = flags & 1 == 0;
        let tail = (flags & 2 != 0).then_some(counts as u64 % 4);
        let history = if flags & 4 == 0 { 1000 } else { counts as u64 / 4 % 8 };
        let (last_event_id, id_line) = match counts / 32 {
            0..=2 => (LastEventId::None, String::new()),
            3 => (LastEventId::Foreign, "Last-Event-ID: elsewhere-1\r\n".to_owned()),
            n => {
                let number = if n == 4 { 0 } else { (n - 4) as u64 };
                (LastEventId::Number(number), format!("Last-Event-ID: {run}-{number}\r\n"))
            }
        };
        let line = ["GET /events", "GET /events?notices=event&times=event", "GET /", "HEAD /viewer"][flags >> 3 & 3];
        let accept = ["text/event-stream", "text/html", "*/*", "text/plain"][flags >> 5 & 3];
        let version = if flags & 128 == 0 { "1.1" } else { "1.0" };
        let fields = format!("Host: localhost\r\nAccept: {accept}\r\n{id_line}");
        let request = format!("{line} HTTP/{version}\r\n{fields}\r\n").into_bytes();
        let begin = Instant::now();
        let config = EncoderConfig { event: None, ids: ids.then_some(run), max_record: 40, buffer: 1 << 20 };
        let service = Service {
            origins: Origins { local: true, ..Origins::default() },
            hosts: Hosts::default(),
            token: None,
            ids,
            tail,
            page: CustomPage::File,
            title: None,
            tiles: None,
            metrics: false,
        };
        let memory = Arc::new(Memory::new(2048)); // more than is published at a time
        Play {
            connection: Connection::new(begin, Accepted::default()),
            log: Log::new(run, Ids::Run),
            draft: Draft::new(Arc::clone(&memory)),
            segments: Segments::new(1 << 14, memory), // so that they are soon full
            encoder: Encoder::new(config),
            service,
            history,
            phase: Phase::Live,
            begin,
            now: begin,
            request,
            last_event_id: Some(last_event_id),
            notices: line.contains("notices"),
            times: line.contains("times"),
            heard: 0,
            ignored: 0,
            entries: Vec::new(),
            read_at: Vec::new(),
            published: 0,
            batches: Default::default(),
            sent: Vec::new(),
            joined: None,
            first: None,
            waits: None,
            asked: None,
            shut: false,
            stuck: None,
            last_progress: begin,
        }
    }

    fn is_on(&self) -> bool {
        self.connection.poll_closed().is_none()
    }

    fn step(&mut self, step: u8, script: &mut Script) {
        match step % 16 {
            0..=2 => {
                let most = if step < 128 { usize::MAX } else { script.byte() };
                let piece: Vec<u8> = self.request.drain(..most.min(self.request.len())).collect();
                self.input(&piece);
            }
            3 => {
                let most = script.byte();
                self.input_of_its_own(script.bytes(most));
            }
            4 => self.input_of_its_own(&vec![b'x'; script.byte() << 12]),
            5 | 6 => self.publish(script),
            7..=9 => {
                let (offered, taken) = (script.byte(), script.byte());
                let most = if offered == 255 { usize::MAX } else { offered + 1 };
                self.write(most, if taken == 255 { usize::MAX } else { taken });
            }
            10 => self.evict(script.byte()),
            11 => self.connection.handle_silence(&self.log),
            12 => self.wait(Duration::from_millis(1 << (script.byte() % 17))),
            13 if self.waits.is_some() => {
                let missing = [Found::Missing("it is gone".to_owned()), Found::Forbidden, Found::Folder, Found::Busy];
                let page = if step < 128 { page() } else { missing[usize::from(step / 16 % 4)].clone() };
                self.found(page);
            }
            13 if self.asked.is_some() && step < 128 => _ = self.read_piece(),
            13 if self.asked.take().is_some() => {
                self.connection.handle_content(Vec::new());
                assert!(!self.is_on(), "the file is shorter than the client was told");
            }
            13 => self.shutdown(),
            14 => match script.byte() % 4 {
                0 => self.end(Phase::Ended),
                1 if self.phase == Phase::Live => self.end(Phase::EndedOpen),
                _ => {}
            },
            _ => match script.byte() % 8 {
                0 => self.eof(),
                1 => self.connection.handle_error(),
                2 => self.connection.handle_stop(),
                _ => {}
            },
        }
    }

    /// Anything but the request that the client has in mind.
    fn input_of_its_own(&mut self, bytes: &[u8]) {
        if !self.connection.is_owed() && !bytes.is_empty() {
            self.last_event_id = None; // nobody knows what it asks for
            self.request.clear();
        }
        self.input(bytes);
    }

    fn input(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return; // which is the end, and comes by another call
        }
        let was_owed = self.connection.is_owed();
        let Play { connection, log, service, phase, now, .. } = self;
        let (counters, gauges) = (&Counters::default(), Gauges::default());
        let (history, phase, retry, crowded) = (self.history, *phase, RETRY, false);
        let context = RequestContext { log, history, phase, date: DATE, retry, crowded, counters, gauges };
        let action = connection.handle_input(bytes, service, &context, *now);
        self.heard += bytes.len();
        if was_owed {
            assert_eq!(action, None, "one request, one answer");
            self.ignored += bytes.len();
        }
        match action {
            None | Some(Action::Refused(_)) => {}
            Some(Action::Farewell { .. }) => assert_eq!(self.phase, Phase::Ended),
            Some(Action::TurnedAway) => panic!("there is no limit here"),
            Some(Action::LookUp(_)) => self.waits = Some(self.now),
            Some(Action::Joined { start, returning, .. }) => {
                self.joined = Some(start);
                self.last_progress = self.now;
                self.first = self.last_event_id.map(|id| self.expected(id, start, returning));
            }
        }
        if !was_owed && self.connection.is_owed() {
            self.last_progress = self.now;
        }
        let over = self.ignored > MAX_BODY as usize;
        assert!(
            !over || self.connection.poll_closed() == Some(CloseReason::Useless),
            "there is a bound to what is ignored"
        );
    }

    /// Checks where a stream starts, and tells with what.
    fn expected(&self, id: LastEventId, start: StartingPoint, returning: bool) -> String {
        let last = self.entries.len() as u64;
        let first = last - self.batches.iter().sum::<usize>() as u64 + 1;
        let latest = |entries: u64| first.max((last + 1).saturating_sub(entries));
        let history = latest(self.history);
        let want = match id {
            LastEventId::Number(n) if self.service.ids && n <= last && n + 1 < first => {
                (first, Missed::Records(first - n - 1), true)
            }
            LastEventId::Number(n) if self.service.ids && n <= last => (n + 1, Missed::Nothing, true),
            LastEventId::Number(_) | LastEventId::Foreign if self.service.ids => (history, Missed::Unknown, true),
            _ => (latest(self.service.tail.unwrap_or(u64::MAX).min(self.history)), Missed::Nothing, false),
        };
        assert_eq!((start.entry, start.missed, returning), want);
        let offset: usize = self.entries[..start.entry as usize - 1].iter().map(Vec::len).sum();
        assert_eq!(start.cursor, offset as u64, "at the start of an entry");
        let mut text = format!("retry: {}\n", RETRY.as_millis());
        text += &match (start.missed, self.notices) {
            (Missed::Nothing, _) => String::new(),
            (Missed::Records(n), false) => format!(": {n} events missed\n"),
            (Missed::Unknown, false) => ": events missed, nobody knows how many: unknown last event ID\n".to_owned(),
            (Missed::Records(n), true) => format!("event: gap\ndata: {{\"missed\": {n}}}\n\n"),
            (Missed::Unknown, true) => "event: gap\ndata: {\"missed\": null}\n\n".to_owned(),
            (Missed::Ambiguous, _) => unreachable!("the log's own IDs are never given twice"),
        };
        if !returning && self.service.ids && start.entry > history {
            text += &format!("id: {}-{}\n\n", Run::new(1), start.entry - 1);
        }
        text
    }

    fn publish(&mut self, script: &mut Script) {
        if self.phase != Phase::Live {
            return;
        }
        let mut count = 0;
        self.published += 1;
        self.draft.read_at(1000 + self.published / 2);
        for _ in 0..=script.byte() % 4 {
            let length = script.byte() % 64;
            let mut record = script.bytes(length).to_vec();
            record.resize(length, b'\n');
            let record = if length > 40 { Record::TooLong { size: length as u64 } } else { Record::Bytes(&record) };
            let before = self.draft.next();
            self.encoder.record(record, &mut self.draft).expect("there is room");
            count += (self.draft.next() - before) as usize;
        }
        let to_segment = !self.published.is_multiple_of(3);
        let batch = self.draft.finish(to_segment.then_some(&mut self.segments)).expect("has entries");
        for number in batch.first()..=batch.last() {
            let (start, end) = batch.entry_around(batch.entry_start(number)).expect("it is no gap");
            self.entries.push(batch.read(start, end).expect("can be read").into_owned());
            self.read_at.push(batch.time());
        }
        self.batches.push_back(count);
        self.log.append(Arc::new(batch));
    }

    /// Offers at most `most` bytes to the socket, which takes at most `taken` of them. Tells how many.
    fn write(&mut self, most: usize, taken: usize) -> usize {
        if let Some((at, length)) = self.connection.poll_content(self.now) {
            assert!(self.asked.is_none() && (1..=PIECE).contains(&length) && at as usize + length <= PAGE.len());
            self.asked = Some((self.now, at, length));
        }
        if let Some(latest) = self.connection.poll_latest(&self.log) {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let count = self.connection.poll_write(&self.log, &mut slices, usize::MAX);
            let all: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
            assert_eq!(all, latest, "the short way leads elsewhere");
        }
        self.connection.stage_time(&self.log);
        let bytes = match self.connection.poll_segment(&self.log, most) {
            Some(range) => {
                let mut bytes = vec![0; range.len];
                range.segment.file().read_exact_at(&mut bytes, range.position).expect("can be read");
                bytes
            }
            None => {
                if let Some(cursor) = self.connection.poll_load(&self.log) {
                    self.log.load(cursor).expect("can be read");
                }
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let count = self.connection.poll_write(&self.log, &mut slices, most);
                assert!(slices[..count].iter().all(|slice| !slice.is_empty()));
                slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>()
            }
        };
        assert!(bytes.len() <= most);
        assert_eq!(bytes.is_empty(), !self.connection.has_pending(&self.log), "what is pending is offered");
        if bytes.is_empty() {
            return 0; // as the worker: nothing is written, nothing is told
        }
        let offered = bytes.len();
        let bytes = &bytes[..offered.min(taken)];
        self.sent.extend_from_slice(bytes);
        self.connection.handle_written(bytes.len(), &self.log, STALL, self.now);
        if !bytes.is_empty() {
            self.last_progress = self.now;
            self.stuck = None;
        }
        if self.is_on() && bytes.len() < offered {
            assert!(self.connection.poll_deadline().is_some(), "it is not waited for without end");
            self.stuck.get_or_insert(self.now);
        }
        bytes.len()
    }

    fn evict(&mut self, share: usize) {
        for _ in 0..self.batches.len() * share / 256 {
            self.batches.pop_front();
        }
        let gone = self.entries.len() - self.batches.iter().sum::<usize>();
        let floor: usize = self.entries[..gone].iter().map(Vec::len).sum();
        self.log.evict(floor as u64);
        let cursor = self.connection.cursor();
        self.connection.handle_eviction(&self.log);
        let behind = cursor.is_some_and(|cursor| cursor < floor as u64);
        assert_eq!(
            behind,
            self.connection.poll_closed() == Some(CloseReason::Behind),
            "never skipped, never dropped for less"
        );
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        let deadline = self.connection.poll_deadline();
        let headless = !self.connection.is_owed();
        self.connection.handle_timeout(&self.service, DATE, self.now);
        let quiet = self.now - self.last_progress;
        match self.connection.poll_closed() {
            Some(CloseReason::Stalled) if self.joined.is_some() => assert!(quiet >= STALL, "dropped after {quiet:?}"),
            Some(CloseReason::Stalled) => assert!(quiet >= LINGER, "dropped after {quiet:?}"),
            Some(_) => assert!(deadline.is_some_and(|deadline| self.now >= deadline), "gone before its time"),
            None => {
                let stuck = self.stuck.filter(|_| self.asked.is_none()); // else it is the disk's turn
                assert!(stuck.is_none_or(|since| self.now - since < STALL), "takes nothing, and is kept");
            }
        }
        if let Some((since, ..)) = self.asked {
            assert_eq!(self.is_on(), self.now - since < DISK_TIME, "the disk has its time and no more");
        }
        if self.waits.take_if(|since| self.now - *since >= DISK_TIME).is_some() && self.is_on() {
            assert!(self.connection.has_pending(&self.log), "it is told that the disk does not answer");
            self.last_progress = self.now;
        }
        if headless && self.now - self.begin >= HEAD_TIME {
            assert!(self.connection.is_owed(), "a head has its time and no more");
            assert_eq!(self.heard > 0, self.is_on(), "who said something is told, who said nothing is not");
            self.last_progress = self.now;
        }
    }

    fn found(&mut self, found: Found) {
        self.waits = None;
        self.connection.handle_found(found, &self.service, DATE, self.now);
        self.last_progress = self.now;
    }

    /// The piece that was asked for is there: three bytes of it, because a piece need not be whole.
    fn read_piece(&mut self) -> bool {
        let Some((_, at, length)) = self.asked.take() else { return false };
        self.connection.handle_content(PAGE[at as usize..][..length.min(3)].to_vec());
        true
    }

    /// The kernel has sent everything.
    fn shutdown(&mut self) {
        if self.connection.poll_shutdown() {
            assert!(!self.shut, "our side is closed once");
            assert!(!self.connection.has_pending(&self.log), "and not before all is written");
            assert_eq!(self.connection.handle_shutdown(self.now), Some(self.ending()));
            assert!(self.connection.is_shut() && !self.connection.poll_shutdown());
            assert_eq!(
                self.connection.poll_deadline(),
                Some(self.now + LINGER),
                "the client has this long to close its own"
            );
            self.shut = true;
        }
    }

    fn eof(&mut self) {
        let (streams, unsent) = (self.connection.cursor().is_some(), self.connection.poll_shutdown());
        self.connection.handle_eof();
        assert!(!streams || self.connection.poll_closed() == Some(CloseReason::Left), "a stream's client has gone");
        assert!(!unsent || self.connection.poll_shutdown(), "what is written is still sent");
    }

    fn ending(&self) -> CloseReason {
        if self.joined.is_some() { CloseReason::Delivered } else { CloseReason::Answered }
    }

    fn end(&mut self, phase: Phase) {
        self.phase = phase;
        if phase == Phase::Ended {
            self.connection.handle_end(&self.log, STALL, self.now);
        }
    }

    /// What holds at any time.
    fn holds(&self) {
        if !self.is_on() {
            return;
        }
        if let Some(cursor) = self.connection.cursor() {
            assert!((self.log.start_offset()..=self.log.end_offset()).contains(&cursor));
            assert!(self.joined.is_some());
        }
        if !self.connection.is_owed() {
            assert_eq!(self.connection.poll_deadline(), Some(self.begin + HEAD_TIME));
            assert!(!self.connection.has_pending(&self.log), "nothing is said before the request");
        }
    }

    /// From wherever the script has come to, a client that takes everything gets everything, and the connection ends.
    fn finish(&mut self) {
        if !self.is_on() {
            return;
        }
        if !self.connection.is_owed() {
            self.wait(HEAD_TIME);
        }
        if self.waits.is_some() {
            self.found(page());
        }
        self.end(Phase::Ended);
        while self.is_on() && (self.write(1000, usize::MAX) > 0 || self.read_piece()) {}
        if self.is_on() {
            self.shutdown();
            assert!(self.shut, "all is written: our side is to be closed");
            self.connection.handle_eof();
            assert_eq!(self.connection.poll_closed(), Some(self.ending()));
            if self.joined.is_some() {
                assert_eq!(self.entries_missing(), 0, "everything was delivered");
                assert!(!self.is_chunked() || self.sent.ends_with(LAST_CHUNK), "the stream has its end");
            }
        }
    }

    /// What the client got is the beginning of one proper answer.
    fn read_what_was_sent(&self) {
        let Some(head) = self.head() else {
            let begin = b"HTTP/1.1 ";
            let shorter = begin.len().min(self.sent.len());
            assert_eq!(self.sent[..shorter], begin[..shorter]);
            return;
        };
        let content = &self.sent[head.len()..];
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        if self.joined.is_some() {
            assert!(head.starts_with("HTTP/1.1 200 ") && length.is_none(), "{head}");
            self.entries_missing();
        } else {
            // A HEAD among the raw bytes has a length and no content.
            let length: usize = length.map_or(0, |length| length.parse().expect("is a number"));
            assert!(content.len() <= length, "{head}: {}", content.escape_ascii());
            assert!(!head.contains("\r\nContent-Type: text/html\r\n") || PAGE.starts_with(content), "{head}");
            let done = self.shut && !content.is_empty();
            assert!(!done || content.len() == length, "{head}: {}", content.escape_ascii());
        }
    }

    /// The head of the answer, once it is whole.
    fn head(&self) -> Option<&str> {
        let end = self.sent.windows(4).position(|four| four == b"\r\n\r\n")?;
        Some(std::str::from_utf8(&self.sent[..end + 4]).expect("a head is text"))
    }

    fn is_chunked(&self) -> bool {
        self.head().is_some_and(|head| head.contains("\r\nTransfer-Encoding: chunked\r\n"))
    }

    /// Reads a stream: what it begins with, then the entries from its start on, in order, and between them nothing but
    /// heartbeats and the times that were asked for. Tells how many of these and of entries are missing to the end; 0 where nobody knows what was asked for.
    fn entries_missing(&self) -> usize {
        let (chunked, head) = (self.is_chunked(), self.head().expect("has a head"));
        let mut rest = &self.sent[head.len()..];
        let (Some(start), Some(first)) = (self.joined, &self.first) else { return 0 };
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len()).into_bytes();
        let mut all = vec![chunk(first)];
        let mut told = None;
        for nth in start.entry as usize - 1..self.entries.len() {
            if self.times && told.replace(self.read_at[nth]) != Some(self.read_at[nth]) {
                all.push(chunk(&format!("event: read-at\ndata: {}\n\n", self.read_at[nth])));
            }
            all.push(self.entries[nth].clone());
        }
        let mut left = all.iter().map(|chunk| payload(chunk, chunked)).peekable();
        let heartbeats = HEARTBEATS.map(|heartbeat| payload(heartbeat.as_bytes(), chunked));
        while !rest.is_empty() {
            if let Some(after) = heartbeats.iter().find_map(|heartbeat| rest.strip_prefix(*heartbeat)) {
                rest = after;
            } else if let Some(after) = left.peek().and_then(|entry| rest.strip_prefix(*entry)) {
                rest = after;
                left.next();
            } else if chunked && rest == LAST_CHUNK {
                assert_eq!(left.peek(), None, "the end came too early");
                break;
            } else {
                let mut whole = heartbeats.iter().chain(left.peek()).chain(chunked.then_some(&LAST_CHUNK));
                assert!(whole.any(|whole| whole.starts_with(rest)), "{}", rest.escape_ascii());
                break;
            }
        }
        left.count()
    }
}

fn page() -> Found {
    Found::File { media_type: "text/html".to_owned(), length: PAGE.len() as u64 }
}

/// What a client is sent of a chunk: all of it, or its data alone.
fn payload(chunk: &[u8], chunked: bool) -> &[u8] {
    if chunked {
        return chunk;
    }
    let lf = chunk.iter().position(|&byte| byte == b'\n').expect("has a chunk-size");
    &chunk[lf + 1..chunk.len() - 2]
}
