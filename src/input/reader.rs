//! The reader: the one thread that blocks on standard input, which is meant to.
//!
//! It takes what one read gives, splits, encodes and publishes it. A small input is one record, one batch, at
//! once; a flood makes large batches by itself. Nothing waits for more input or for a timer.

use super::buffering::Buffering;
use super::encoder::{Encoder, Encoding, Full, Outcome, Parts};
use super::format::{Format, Source};
use super::records::{Lines, Record};
use super::tee::{Broken, Tee};
use crate::log::batch::Draft;
use crate::report::{Report, harmless};
use crate::serve::Counters;
use crate::serve::feed::Publisher;
use crate::wire::event::FieldValue;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// One read takes at most so much, and a pipe is asked to hold as much: ×1.5 over the default of 64 KiB.
const BLOCK: usize = 1 << 20;

/// What helps where "nothing arrives".
const BUFFERING_HINT: &str = "events come late, for the program before sse-pipe collects its output in blocks; \
    stdbuf -oL PROGRAM, grep --line-buffered or python -u send each line at once";

/// What the reader has to know.
#[derive(Debug)]
pub struct Reading {
    /// What standard input is.
    pub format: Format,
    /// How records become events.
    pub encoding: Encoding,
    /// The event type of a last event.
    pub end_event: Option<FieldValue>,
    /// The copy of the input.
    pub tee: Option<Tee>,
    /// Whether the history is all that the buffer holds, so that a full buffer is worth a word.
    pub keeps_all: bool,
}

/// How the input came to its end.
#[derive(Debug, Default)]
pub struct InputOver {
    /// It could not be read on.
    pub unreadable: Option<io::Error>,
    /// The copy could not be written.
    pub tee_failed: bool,
    /// Whoever read the copy has gone, and so the whole pipe ends.
    pub tee_gone: bool,
    /// No event had an ID, so that nobody who comes back can be recognised.
    pub without_ids: bool,
}

/// The reader's state.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    publishing: Publishing,
    end_event: Option<FieldValue>,
    tee: Option<Tee>,
    over: InputOver,
}

/// Everything behind what takes the input apart.
#[derive(Debug)]
pub struct Publishing {
    encoder: Encoder,
    draft: Draft,
    /// Events in the draft.
    events: u64,
    publisher: Publisher,
    counters: Arc<Counters>,
    report: Arc<Report>,
    /// Whether invalid UTF-8 has been told of.
    repaired_told: bool,
    /// Whether a full buffer has been told of, or need not be.
    overflow_told: bool,
    /// The program ends: nothing more goes out.
    stopped: bool,
}

impl Reader {
    /// A reader that fills `draft`, and publishes it through `publisher`.
    pub fn new(
        reading: Reading,
        draft: Draft,
        publisher: Publisher,
        counters: Arc<Counters>,
        report: Arc<Report>,
    ) -> Reader {
        let Reading { format, encoding, end_event, tee, keeps_all } = reading;
        let source = Source::new(format, encoding.max_record);
        let encoder = Encoder::new(encoding);
        let publishing = Publishing {
            encoder,
            draft,
            events: 0,
            publisher,
            counters,
            report,
            repaired_told: false,
            overflow_told: !keeps_all,
            stopped: false,
        };
        Reader { source, publishing, end_event, tee, over: InputOver::default() }
    }

    /// Reads standard input to its end and publishes all of it. An error ends the input as its end does, after what
    /// came before it is published.
    pub fn run(mut self) -> InputOver {
        self.publishing.publisher.wait_for_clients();
        self.over.unreadable = self.read_all().err();
        let Reader { mut source, mut publishing, end_event, tee, mut over } = self;
        drop(tee); // the next program in the pipe is not to wait for our clients
        if publishing.stopped {
            return over;
        }
        if !over.tee_gone {
            source.finish(&mut publishing); // else its rest has not been read
        }
        if let Some(name) = end_event {
            publishing.end_event(&name);
        }
        publishing.publish();
        over.without_ids = !publishing.encoder.gives_ids() && !publishing.draft.has_own_ids();
        over
    }

    fn read_all(&mut self) -> io::Result<()> {
        // A second descriptor of the same input: `std::io::Stdin` would put a small buffer between.
        let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        enlarge_pipe(&input);
        let mut block = Arc::new(vec![0; BLOCK]);
        let mut buffering = Some(Buffering::new(self.source.terminator()));
        let mut waiting = None;
        loop {
            if self.publishing.stopped || !self.publishing.publisher.wait_for_pace() {
                self.publishing.stopped = true;
                return Ok(());
            }
            let asked = *waiting.get_or_insert_with(Instant::now);
            match input.read(Arc::get_mut(&mut block).expect("the copy of it is finished")) {
                Ok(0) => return Ok(()),
                Ok(n) => {
                    waiting = None;
                    if buffering.as_mut().is_some_and(|buffering| buffering.read(&block[..n], asked.elapsed())) {
                        buffering = None;
                        self.publishing.report.say(BUFFERING_HINT);
                    }
                    self.publishing.counters.bytes_in.fetch_add(n as u64, Ordering::Relaxed);
                    if let Some(tee) = &self.tee {
                        tee.begin(&block, n);
                    }
                    self.source.push(&block[..n], &mut self.publishing);
                    self.publishing.publish();
                    if !self.is_passed_on() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait_readable(&input)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the copy of what was read is written. The clients have it already: a copy that blocks stops the
    /// reading, never them. `false`: nobody takes it any more, and the input is over.
    fn is_passed_on(&mut self) -> bool {
        let Some(tee) = &self.tee else { return true };
        match tee.finish() {
            Ok(()) => return true,
            Err(Broken::Pipe) => self.over.tee_gone = true,
            Err(Broken::Failed(error)) => {
                self.over.tee_failed = true;
                let text = format!("cannot write standard output: {error}; clients are served on, without --tee");
                self.publishing.report.error(text);
            }
        }
        self.tee = None;
        !self.over.tee_gone
    }
}

impl Publishing {
    /// The next records: each is the data of an event.
    pub fn lines(&mut self, mut lines: Lines<'_>) {
        loop {
            let before = self.draft.next();
            lines = self.encoder.lines(lines, &mut self.draft);
            self.events += self.draft.next() - before;
            let Some(line) = lines.next() else { return };
            self.record(Record::Bytes(line)); // the draft is full, or it is a line like no other
        }
    }

    /// The next record: its bytes are data.
    pub fn record(&mut self, record: Record<'_>) {
        self.entry(|encoder, draft| encoder.record(record, draft));
    }

    /// The next record: it brings parts of its event.
    pub fn parts(&mut self, parts: Parts<'_>) {
        self.entry(|encoder, draft| encoder.parts(parts, draft));
    }

    fn entry(&mut self, encode: impl Fn(&mut Encoder, &mut Draft) -> Result<Outcome, Full>) {
        if self.stopped {
            return;
        }
        let number = self.draft.next();
        let Ok(outcome) = encode(&mut self.encoder, &mut self.draft).or_else(|Full| {
            self.publish();
            encode(&mut self.encoder, &mut self.draft)
        }) else {
            return; // it is not published any more
        };
        match outcome {
            Outcome::Written | Outcome::Repaired => self.events += 1,
            Outcome::TooLong(_) | Outcome::TooLarge(_) => {
                self.counters.left_out.fetch_add(1, Ordering::Relaxed);
            }
        }
        match outcome {
            Outcome::Written => {}
            Outcome::Repaired => self.repaired(number),
            Outcome::TooLong(size) => self
                .report
                .error(format_args!("record {number} left out: its {size} bytes are more than --max-record allows")),
            Outcome::TooLarge(size) => self.report.error(format_args!(
                "record {number} left out: as an event it has {size} bytes, more than --buffer holds"
            )),
        }
    }

    /// The number of the next record.
    pub fn next(&self) -> u64 {
        self.draft.next()
    }

    /// Record `number` had to be repaired.
    pub fn repaired(&mut self, number: u64) {
        if !std::mem::replace(&mut self.repaired_told, true) {
            let what = "is no valid UTF-8; what can't be read is sent as U+FFFD (told once)";
            self.report.say(format_args!("record {number} {what}"));
        }
    }

    /// The next record lacks something that was asked of it, as `what` says, and is sent with what stands for that.
    pub fn incomplete(&mut self, told: &mut bool, what: impl FnOnce() -> String) {
        self.counters.incomplete.fetch_add(1, Ordering::Relaxed);
        if !std::mem::replace(told, true) {
            let number = self.draft.next();
            self.report.say(format_args!("record {number} {}; it is sent without (told once, counted)", what()));
        }
    }

    /// The event stream that comes in says that events are missing here: that is told, and our clients are told.
    pub fn lost_upstream(&mut self, comment: &str) {
        self.counters.lost_upstream.fetch_add(1, Ordering::Relaxed);
        self.report.error(format_args!("the event stream that comes in is not whole: {}", harmless(comment)));
        if !self.stopped {
            let _ = self.encoder.comment(comment, &mut self.draft).or_else(|Full| {
                self.publish();
                self.encoder.comment(comment, &mut self.draft)
            });
        }
    }

    /// The event stream that came in is over. Whether it was lost, only whoever fetched it knows, unless it was cut off
    /// inside an event.
    pub fn upstream_over(&mut self, inside_event: bool) {
        if inside_event {
            self.counters.left_out.fetch_add(1, Ordering::Relaxed);
            self.report.error("the event stream that came in ended inside an event, which is left out");
        } else {
            self.report.say("the event stream that came in is over");
        }
    }

    fn end_event(&mut self, name: &FieldValue) {
        let sent = self.counters.events.load(Ordering::Relaxed) + self.events;
        let sent = sent.to_string();
        let _ = self.encoder.end_event(name, &sent, &mut self.draft).or_else(|Full| {
            self.publish();
            self.encoder.end_event(name, &sent, &mut self.draft)
        });
    }

    fn publish(&mut self) {
        self.counters.events.fetch_add(std::mem::take(&mut self.events), Ordering::Relaxed);
        self.stopped |= !self.publisher.publish(&mut self.draft);
        if !self.overflow_told && self.publisher.has_overflowed() {
            self.overflow_told = true;
            if !self.counters.joined.load(Ordering::SeqCst) {
                let what = "the buffer is full before a first client has joined: the oldest events go";
                self.report.say(format_args!("{what} (--buffer holds more, --wait 1 waits)"));
            }
        }
    }
}

/// Asks the kernel for a larger pipe; harmless where it is none, or where that is not granted.
pub fn enlarge_pipe(input: &File) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::pipe::fcntl_setpipe_size(input, BLOCK);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = input;
}

/// Somebody else may have set a shared standard input to non-blocking: it is waited for then.
fn wait_readable(input: &File) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    match poll(&mut [PollFd::new(input, PollFlags::IN)], None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
