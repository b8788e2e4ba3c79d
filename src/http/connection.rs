//! A connection as a value: bytes and `now` go in; slices to write, deadlines and an end come out.
//!
//! One request, one answer, then the close (RFC 9112 §§ 9.3, 9.6). The states follow each other like this:
//!
//! ```text
//! Head ──▶ Answer ──▶ Closing ──▶ Closed      (Waiting before Answer, while a file is looked up)
//!   └────▶ Stream ──▶ Answer …                (the last-chunk is the rest of an answer like any other)
//! ```
//!
//! Every failure leads to `Closed`, from any state. There is no socket and no clock here: the owner (a worker) has
//! both. The file is long because every call is a transition of this one machine.
//!
//! The owner calls `handle_*` when something has happened: [`Connection::handle_input`] with bytes (and does what the
//! [`Action`] says), [`Connection::handle_eof`], [`Connection::handle_error`]; for all connections
//! [`Connection::handle_eviction`], [`Connection::handle_silence`], [`Connection::handle_end`],
//! [`Connection::handle_timeout`] when [`Connection::poll_deadline`] has passed. After any of them it asks, in this
//! order: [`Connection::poll_latest`], or [`Connection::poll_prepare`], [`Connection::stage_gap`],
//! [`Connection::stage_time`] and [`Connection::poll_segment`] or [`Connection::poll_write`] (write what they give,
//! report with [`Connection::handle_written`] how much was taken; repeat, until nothing is pending or the socket is
//! full), [`Connection::poll_content`] if the socket has room (have that piece of the file read, and some time later
//! give it to [`Connection::handle_content`]), [`Connection::poll_shutdown`] (once the kernel has sent everything, shut
//! down the write side and call [`Connection::handle_shutdown`]), [`Connection::poll_closed`] (remove it).
//!
//! A disk may be slow, so nothing here waits for it: a look-up and each piece are requested once, and arrive later.

use super::answer::{Answer, Refusal, answer};
use super::file::{FileRequest, Found, Target};
use super::replies::{refuse, too_late};
use super::service::{Accepted, RequestContext, Service};
use super::stream::{NoticeForm, Opening};
use crate::log::{Log, Range, StartingPoint};
use crate::wire::chunk;
use crate::wire::notice::{self, Notice};
use crate::wire::request::{self, Version};
use std::borrow::Cow;
use std::fmt;
use std::io::IoSlice;
use std::time::{Duration, Instant};

/// A head must be complete after this time.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a peer may take to close its side after ours (RFC 9112 § 9.6).
pub const LINGER: Duration = Duration::from_secs(2);
/// A client may send this many bytes after its head (a body, which is ignored); more ends the connection.
pub const MAX_BODY: u32 = 1 << 20;
/// A look-up, or a piece of a file, must arrive within this time: a disk may have to spin up, but not forever.
pub const DISK_TIME: Duration = Duration::from_secs(30);
/// A file is read in pieces of this many bytes, and what the socket does not take of a piece is read again later: a
/// client that does not read holds no memory.
pub const PIECE: usize = 32 << 10;
/// Most slices in one write; batches are large, so this bound is rarely reached.
pub const MAX_SLICES: usize = 64;

/// Heartbeats: a comment, or an event (whose empty data line makes a browser dispatch it), each in one chunk.
const HEARTBEAT: &[u8] = b"2\r\n:\n\r\n";
const HEARTBEAT_EVENT: &[u8] = b"19\r\nevent: heartbeat\ndata: \n\n\r\n";

/// One client's connection.
#[derive(Debug)]
pub struct Connection {
    state: State,
    accepted: Accepted,
    /// What must be sent before anything from the log: a head, a heartbeat, the last-chunk.
    staged: Cow<'static, [u8]>,
    /// How much of it has been written.
    sent: usize,
    /// When its time runs out: for the head, while closing, or because it reads nothing.
    deadline: Option<Instant>,
    /// Whether the kernel still has something to send, although nothing is pending.
    is_sending: bool,
    /// Bytes that came after the head, to be ignored.
    ignored: u32,
}

#[derive(Debug)]
enum State {
    /// Reading the request head; what has arrived so far, if it arrives in parts.
    Head(Vec<u8>),
    /// Waiting for a file to be looked up.
    Waiting(Box<FileRequest>),
    /// Reading the log.
    Stream(Stream),
    /// Writing what is staged, and content that does not belong to the connection; then closing.
    Answer { ending: Ending, content: Option<Box<Content>> },
    /// All is written. Once it is sent too, the write side is shut down (`shut`); then it is read until the peer
    /// closes.
    Closing { shut: bool, ending: Ending },
    /// To be removed.
    Closed(CloseReason),
}

#[derive(Debug)]
struct Stream {
    cursor: u64,
    version: Version,
    event_source: bool,
    notices: NoticeForm,
    /// What it has been sent about when events were read, if it asked for that. Few clients do, so it is boxed.
    times: Option<Box<Told>>,
    /// Closes when it has everything.
    ending: bool,
}

/// What a client has been sent about when events were read (behaviour 4.8).
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// The latest time that was sent.
    time: u64,
    /// Everything up to this offset that was not sent before was read at that time.
    until: u64,
}

/// What an answer has in addition to what is staged. Few clients have any at the same time, so it is boxed.
#[derive(Debug)]
enum Content {
    /// The rest of a file of the built-in page. It is written from where it is in memory.
    Asset(&'static [u8]),
    /// The rest of a file, which is staged piece by piece.
    File(FileContent),
}

#[derive(Debug)]
struct FileContent {
    /// How much of it has been written.
    at: u64,
    /// Its length, as it was announced to the client.
    end: u64,
    piece: Piece,
}

/// Where the next piece of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// To be requested once what is staged has been written.
    Wanted,
    /// Requested. The client must have read something by this time, if something is pending for it.
    Asked { stalled: Option<Instant> },
    /// It is staged.
    Staged,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// A short answer.
    Short,
    /// A stream, of an EventSource or not, whose end has been written.
    Stream { event_source: bool },
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client went away.
    Left,
    /// It was answered, and both sides are closed.
    Answered,
    /// A stream ended as it should: the client has everything.
    Delivered,
    /// It read nothing for too long.
    Stalled,
    /// It fell behind what the log holds.
    Behind,
    /// It sent no request in time, or far more than one.
    Useless,
    /// The program ends.
    Stopped,
}

/// What the owner must do or know after a client has sent something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A stream begins.
    Joined {
        /// It will reconnect after the end.
        event_source: bool,
        /// It sent a last event ID.
        returning: bool,
        /// Where it starts.
        start: StartingPoint,
    },
    /// It was answered that nothing more will come (204).
    Farewell {
        /// For one that may be new, or may have been given no ID: the number of the last event that has one.
        nameless: Option<u64>,
    },
    /// It was refused, and the terminal should say so.
    Refused(Refusal),
    /// This file must be looked up; what was found goes to [`Connection::handle_found`].
    LookUp(Target),
    /// It wanted a stream, and there are too many clients.
    TurnedAway,
}

impl Connection {
    /// A client that has just connected.
    pub fn new(now: Instant, accepted: Accepted) -> Connection {
        let (state, deadline) = (State::Head(Vec::new()), Some(now + HEAD_TIME));
        Connection { state, accepted, staged: Cow::Borrowed(&[]), sent: 0, deadline, is_sending: false, ignored: 0 }
    }

    /// Takes bytes that the client sent.
    pub fn handle_input(
        &mut self,
        bytes: &[u8],
        service: &Service,
        context: &RequestContext,
        now: Instant,
    ) -> Option<Action> {
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
                let refusal = refuse(invalid, sent, service, context.date);
                self.reply(refusal, now);
                None
            }
            Ok(Some((request, used))) => {
                let rest = before.len().max(bytes.len()) - used;
                let over_limit = self.accepted.over_limit && context.crowded;
                let accepted = Accepted { over_limit, ..self.accepted };
                let (answer, refusal) = answer(&request, accepted, service, context);
                let event = self.take(answer, context, now);
                self.ignore(rest);
                refusal.map(Action::Refused).or(event)
            }
        }
    }

    /// Takes what was found of the file that was looked up. Returns whether its content will be needed.
    pub fn handle_found(&mut self, found: Found, service: &Service, date: &str, now: Instant) -> bool {
        let State::Waiting(request) = &self.state else { return false };
        let (bytes, end) = request.answer(found, service, date);
        self.reply(bytes, now);
        if end > 0 {
            let content = Content::File(FileContent { at: 0, end, piece: Piece::Wanted });
            self.state = State::Answer { ending: Ending::Short, content: Some(Box::new(content)) };
        }
        end > 0
    }

    /// The piece of its file to read now, from where and how long; requested once for each. It is passed to
    /// [`Connection::handle_content`].
    pub fn poll_content(&mut self, now: Instant) -> Option<(u64, usize)> {
        let file = self.state.file()?;
        if file.piece != Piece::Wanted || !self.staged.is_empty() {
            return None;
        }
        file.piece = Piece::Asked { stalled: self.deadline.replace(now + DISK_TIME) };
        Some((file.at, (file.end - file.at).min(PIECE as u64) as usize))
    }

    /// Takes a piece of its file, at most as much as was requested. An empty one means that the file ended early, or
    /// can't be read. Then the connection ends too, because another length was announced to the client.
    pub fn handle_content(&mut self, bytes: Vec<u8>) {
        let Some(file) = self.state.file() else { return };
        let Piece::Asked { stalled } = file.piece else { return };
        if bytes.is_empty() {
            self.state = State::Closed(CloseReason::Left);
            return;
        }
        file.piece = Piece::Staged;
        self.staged = Cow::Owned(bytes);
        self.sent = 0;
        self.deadline = stalled;
    }

    /// The client will send no more: a stream counts as gone (behaviour 5.6), a short answer is still delivered.
    pub fn handle_eof(&mut self) {
        self.state = match self.state {
            State::Closing { shut: true, ending } => State::Closed(ending.close_reason()),
            State::Waiting(_) | State::Answer { ending: Ending::Short, .. } | State::Closing { shut: false, .. } => {
                return;
            }
            State::Closed(reason) => State::Closed(reason),
            _ => State::Closed(CloseReason::Left),
        };
    }

    /// The connection is lost.
    pub fn handle_error(&mut self) {
        self.state = match self.state {
            State::Closing { ending, .. } => State::Closed(ending.close_reason()),
            State::Closed(reason) => State::Closed(reason),
            _ => State::Closed(CloseReason::Left),
        };
    }

    /// Nothing more will be appended: the stream is closed once it has everything.
    pub fn handle_end(&mut self, log: &Log, stall: Duration, now: Instant) {
        if let State::Stream(stream) = &mut self.state {
            stream.ending = true;
        }
        self.settle(log, stall, now);
    }

    /// There was no event for a while. Only clients that have everything get a heartbeat.
    pub fn handle_silence(&mut self, log: &Log) {
        if let State::Stream(Stream { cursor, version, notices, ending: false, .. }) = self.state
            && cursor == log.end_offset()
            && self.staged.is_empty()
        {
            let heartbeat = match notices {
                NoticeForm::Comments => HEARTBEAT,
                NoticeForm::Events => HEARTBEAT_EVENT,
            };
            self.staged = Cow::Borrowed(match version {
                Version::Http11 => heartbeat,
                Version::Http10 => &heartbeat[chunk::data(heartbeat)],
            });
        }
    }

    /// Everything was written to the socket, and the kernel still has some of it to send, or has just sent some: the
    /// client's time is over only if the kernel sends nothing for `stall`.
    pub fn handle_sending(&mut self, stall: Duration, now: Instant) {
        if matches!(self.state, State::Stream(_) | State::Closing { shut: false, .. }) {
            self.is_sending = true;
            self.deadline = Some(now + stall);
        }
    }

    /// The kernel has sent everything that it was given.
    pub fn handle_sent(&mut self) {
        if std::mem::take(&mut self.is_sending) && matches!(self.state, State::Stream(_)) {
            self.deadline = None;
        }
    }

    /// Time has passed. A client that has not sent its request gets 408; any other whose time is over is closed.
    pub fn handle_timeout(&mut self, service: &Service, date: &str, now: Instant) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        self.state = match &self.state {
            State::Head(sent) if !sent.is_empty() => return self.reply(too_late(sent, service, date), now),
            State::Head(_) => State::Closed(CloseReason::Useless),
            State::Waiting(request) => {
                let reply = request.too_late(date);
                return self.reply(reply, now);
            }
            State::Stream(_) | State::Answer { .. } => State::Closed(CloseReason::Stalled),
            State::Closing { shut: false, ending: Ending::Stream { .. } } => State::Closed(CloseReason::Stopped),
            State::Closing { ending, .. } => State::Closed(ending.close_reason()),
            State::Closed(reason) => State::Closed(*reason),
        };
    }

    /// The log dropped everything before its start offset. A client that was still there is closed: half an event can't
    /// be taken back, and none is skipped silently.
    pub fn handle_eviction(&mut self, log: &Log) {
        if self.cursor().is_some_and(|cursor| cursor < log.start_offset()) {
            self.state = State::Closed(CloseReason::Behind);
        }
    }

    /// The program ends now.
    pub fn handle_stop(&mut self) {
        if !matches!(self.state, State::Closed(_)) {
            self.state = State::Closed(CloseReason::Stopped);
        }
    }

    /// What to write, if it is a single slice of the log: for clients that keep up it is.
    #[inline]
    pub fn poll_latest<'a>(&self, log: &'a Log) -> Option<&'a [u8]> {
        match self.state {
            State::Stream(Stream { cursor, version: Version::Http11, times: None, .. }) if self.staged.is_empty() => {
                log.latest_from(cursor)
            }
            _ => None,
        }
    }

    /// Where in the log a stream without staged bytes continues, and whether it needs the content of an old batch there
    /// ([`Log::prepare`]).
    pub fn poll_prepare(&self, log: &Log) -> Option<(u64, bool)> {
        match &self.state {
            State::Stream(Stream { cursor, version, times, .. })
                if self.staged.is_empty() && *cursor < log.end_offset() =>
            {
                Some((*cursor, times.is_some() || *version == Version::Http10))
            }
            _ => None,
        }
    }

    /// If the log lacks something here, stages a notice of that, and continues after it. A client that is in the middle
    /// of what is lost is closed: half an event can't be taken back.
    pub fn stage_gap(&mut self, log: &Log) {
        let State::Stream(Stream { cursor, version, notices, .. }) = &mut self.state else { return };
        if !self.staged.is_empty() {
            return;
        }
        let Some(gap) = log.gap_at(*cursor) else { return };
        if *cursor > gap.start {
            self.state = State::Closed(CloseReason::Behind);
            return;
        }
        let (mut text, mut staged) = (Vec::new(), Vec::new());
        let notice = gap.records.map_or(Notice::Lost, Notice::Missed);
        match notices {
            NoticeForm::Comments => notice.write_comment(&mut text),
            NoticeForm::Events => notice.write_event(&mut text),
        }
        match version {
            Version::Http11 => chunk::write(&mut staged, text.len(), |out| out.extend_from_slice(&text)),
            Version::Http10 => staged = text,
        }
        *cursor = gap.end;
        self.staged = Cow::Owned(staged);
    }

    /// Stages the time at which the next entries were read, for a client that asked for it and has not been sent it
    /// yet. All entries of a batch were read at once, so the time always goes between entries.
    pub fn stage_time(&mut self, log: &Log) {
        let State::Stream(Stream { cursor, version, times: Some(told), .. }) = &mut self.state else { return };
        if *cursor < told.until || !self.staged.is_empty() {
            return;
        }
        let Some((time, until)) = log.time_at(*cursor) else { return };
        if time != told.time {
            let event = notice::read_at(time);
            let mut staged = Vec::new();
            match version {
                Version::Http11 => {
                    chunk::write(&mut staged, event.len(), |out| out.extend_from_slice(event.as_bytes()))
                }
                Version::Http10 => staged.extend_from_slice(event.as_bytes()),
            }
            self.staged = Cow::Owned(staged);
        }
        **told = Told { time, until };
    }

    /// What to write from a segment, at most `most` bytes; `None` if what comes next is in our own memory.
    pub fn poll_segment<'a>(&self, log: &'a Log, most: usize) -> Option<Range<'a>> {
        match &self.state {
            State::Stream(Stream { cursor, version: Version::Http11, times, .. }) if self.staged.is_empty() => {
                // What was read later comes after its own time.
                let until = times.as_ref().map_or(u64::MAX, |told| told.until);
                log.segment_from(*cursor, most.min(usize::try_from(until.saturating_sub(*cursor)).unwrap_or(most)))
            }
            _ => None,
        }
    }

    /// Where in the log the bytes are that [`Connection::poll_write`] needs in our own memory ([`Log::load`]): a client
    /// that doesn't know chunks is not sent whole batches.
    pub fn poll_load(&self, log: &Log) -> Option<u64> {
        match self.state {
            State::Stream(Stream { cursor, .. }) if self.staged.is_empty() && cursor < log.end_offset() => Some(cursor),
            _ => None,
        }
    }

    /// What to write, at most `most` bytes; returns how many slices there are.
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
        match &self.state {
            State::Stream(Stream { cursor, version, times, .. }) => {
                // What was read later comes after its own time.
                let until = times.as_ref().map_or(log.end_offset(), |told| told.until);
                match version {
                    Version::Http11 => {
                        let _ = log.between(*cursor, until).all(push);
                    }
                    Version::Http10 => {
                        let mut payloads = log.payloads_from(*cursor).take_while(|(from, _)| *from < until);
                        let _ = payloads.all(|(_, bytes)| push(bytes));
                    }
                }
            }
            State::Answer { content: Some(content), .. } => {
                if let Content::Asset(rest) = &**content {
                    push(rest);
                }
            }
            _ => {}
        }
        count
    }

    /// This many of the bytes of [`Connection::poll_write`] have been written. `stall` is the longest time that a
    /// client may read nothing while something is pending for it.
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
        let beyond = written - of_staged;
        match &mut self.state {
            State::Stream(stream) => {
                stream.cursor = match stream.version {
                    Version::Http11 => stream.cursor + beyond as u64,
                    Version::Http10 => log.after_payload(stream.cursor, beyond as u64),
                };
            }
            State::Answer { content: Some(content), .. } => match &mut **content {
                Content::Asset(rest) => *rest = &rest[beyond..],
                Content::File(file) if file.piece == Piece::Staged => {
                    // The rest is not kept if the socket is full.
                    file.at += of_staged as u64;
                    file.piece = Piece::Wanted;
                    self.staged = Cow::Borrowed(&[]);
                    self.sent = 0;
                }
                Content::File(_) => {}
            },
            _ => {}
        }
        if self.has_pending(log) {
            self.is_sending = false;
            if written > 0 || self.deadline.is_none() {
                self.deadline = Some(now + stall);
            }
        } else if !self.is_sending {
            self.deadline = None;
        }
        if self.staged.is_empty() && self.is_answered() {
            self.close(stall, now);
        }
        self.settle(log, stall, now);
    }

    /// Whether anything is pending; nothing is while a piece of its file is being read.
    pub fn has_pending(&self, log: &Log) -> bool {
        !self.staged.is_empty()
            || match &self.state {
                State::Stream(stream) => stream.cursor < log.end_offset(),
                State::Answer { content: Some(content), .. } => match &**content {
                    Content::Asset(rest) => !rest.is_empty(),
                    Content::File(file) => file.piece == Piece::Wanted && file.at < file.end,
                },
                _ => false,
            }
    }

    /// Whether all of an answer's content that is not staged has been written.
    fn is_answered(&self) -> bool {
        match &self.state {
            State::Answer { content: None, .. } => true,
            State::Answer { content: Some(content), .. } => match &**content {
                Content::Asset(rest) => rest.is_empty(),
                Content::File(file) => file.at == file.end,
            },
            _ => false,
        }
    }

    /// When [`Connection::handle_timeout`] must be called.
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether all is written, so the write side must be shut down as soon as the kernel has sent it.
    pub fn poll_shutdown(&self) -> bool {
        matches!(self.state, State::Closing { shut: false, .. })
    }

    /// The write side is shut down: the client has everything. Returns how it ended.
    pub fn handle_shutdown(&mut self, now: Instant) -> Option<CloseReason> {
        let State::Closing { shut, ending } = &mut self.state else { return None };
        *shut = true;
        self.deadline = Some(now + LINGER);
        Some(ending.close_reason())
    }

    /// Whether the write side is shut down.
    pub fn is_shut(&self) -> bool {
        matches!(self.state, State::Closing { shut: true, .. })
    }

    /// Whether it is over, and why.
    pub fn poll_closed(&self) -> Option<CloseReason> {
        match self.state {
            State::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// Where a stream is in the log.
    pub fn cursor(&self) -> Option<u64> {
        match self.state {
            State::Stream(Stream { cursor, .. }) => Some(cursor),
            _ => None,
        }
    }

    /// Whether it has been answered: until then the program need not wait for it.
    pub fn is_owed(&self) -> bool {
        !matches!(self.state, State::Head(_))
    }

    fn take(&mut self, answer: Answer, context: &RequestContext, now: Instant) -> Option<Action> {
        match answer {
            Answer::Whole(bytes) => {
                self.reply(bytes, now);
                None
            }
            Answer::TurnedAway(bytes) => {
                self.reply(bytes, now);
                Some(Action::TurnedAway)
            }
            Answer::Asset(head, content) => {
                self.reply(head, now);
                self.state = State::Answer { ending: Ending::Short, content: Some(Box::new(Content::Asset(content))) };
                None
            }
            Answer::Farewell { bytes, nameless } => {
                self.reply(bytes, now);
                Some(Action::Farewell { nameless })
            }
            Answer::File(request) => {
                let target = request.target.clone();
                self.state = State::Waiting(Box::new(request));
                self.deadline = Some(now + DISK_TIME);
                Some(Action::LookUp(target))
            }
            Answer::Stream(Opening { bytes, start, version, event_source, returning, notices, times }) => {
                let (cursor, ending) = (start.cursor, context.phase.closes_streams());
                let times = times.then(Box::default);
                self.state = State::Stream(Stream { cursor, version, event_source, notices, times, ending });
                self.stage(bytes);
                Some(Action::Joined { event_source, returning, start })
            }
        }
    }

    fn reply(&mut self, bytes: Vec<u8>, now: Instant) {
        self.state = State::Answer { ending: Ending::Short, content: None };
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
            self.state = State::Closed(CloseReason::Useless);
        }
    }

    /// Turns a stream that must end and has everything into the rest of an answer.
    fn settle(&mut self, log: &Log, stall: Duration, now: Instant) {
        let State::Stream(stream) = &self.state else { return };
        if !stream.ending || self.has_pending(log) {
            return;
        }
        let ending = Ending::Stream { event_source: stream.event_source };
        match stream.version {
            Version::Http11 => {
                self.state = State::Answer { ending, content: None };
                self.staged = Cow::Borrowed(chunk::LAST_CHUNK);
            }
            Version::Http10 => {
                self.state = State::Answer { ending, content: None };
                self.close(stall, now);
            }
        }
    }

    fn close(&mut self, stall: Duration, now: Instant) {
        if let State::Answer { ending, .. } = self.state {
            self.state = State::Closing { shut: false, ending };
            self.deadline = Some(now + stall); // for what the kernel has not sent yet
        }
    }
}

impl State {
    /// The file that is being sent.
    fn file(&mut self) -> Option<&mut FileContent> {
        match self {
            State::Answer { content: Some(content), .. } => match &mut **content {
                Content::File(file) => Some(file),
                Content::Asset(_) => None,
            },
            _ => None,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CloseReason::Left | CloseReason::Answered => "left",
            CloseReason::Delivered => "has everything; closed",
            CloseReason::Stalled => "dropped: it read nothing for --stall",
            CloseReason::Behind => "dropped: it fell behind what --buffer holds",
            CloseReason::Useless => "dropped: it does not stop sending",
            CloseReason::Stopped => "was cut off at the end",
        })
    }
}

impl Ending {
    fn close_reason(self) -> CloseReason {
        match self {
            Ending::Short => CloseReason::Answered,
            Ending::Stream { .. } => CloseReason::Delivered,
        }
    }
}

#[cfg(test)]
mod tests;
