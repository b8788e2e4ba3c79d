//! The reader: the one thread that blocks on standard input, on purpose.
//!
//! It splits, encodes and publishes what one read gives. A small input is one record, one batch, at once; a flood makes
//! large batches by itself. Nothing waits for more input or for a timer.

use super::buffering::Buffering;
use super::encoder::{Encoder, EncoderConfig};
use super::hints::Encoding;
use super::pipe::{self, BLOCK};
use super::publish::EventSink;
use super::source::{Format, Source};
use super::tee::{Broken, Tee};
use crate::counters::Counters;
use crate::feed::InputEnd;
use crate::feed::publisher::Publisher;
use crate::log::batch::Draft;
use crate::report::Report;
use crate::wire::event::FieldValue;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

/// What helps if "nothing arrives".
const BUFFERING_HINT: &str = "events arrive late because the program before sse-pipe block-buffers its output; \
    stdbuf -oL PROGRAM, grep --line-buffered or python -u send each line at once";

/// How standard input is read.
#[derive(Debug)]
pub struct ReaderConfig {
    /// What standard input is.
    pub format: Format,
    /// How records become events.
    pub encoder: EncoderConfig,
    /// The event type of a last event.
    pub end_event: Option<FieldValue>,
    /// Whether the history is all that the buffer holds, so that a full buffer must be reported.
    pub keeps_all: bool,
}

/// The reader's state.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    sink: EventSink,
    end_event: Option<FieldValue>,
    tee: Option<Tee>,
    counters: Arc<Counters>,
    report: Arc<Report>,
    end: InputEnd,
}

impl Reader {
    /// A reader that fills `draft`, publishes it through `publisher`, and copies what it reads to `tee`.
    pub fn new(
        config: ReaderConfig,
        tee: Option<Tee>,
        draft: Draft,
        publisher: Publisher,
        counters: Arc<Counters>,
        report: Arc<Report>,
    ) -> Reader {
        let ReaderConfig { format, encoder, end_event, keeps_all } = config;
        let source = Source::new(format, encoder.max_record);
        let (counters_too, report_too) = (Arc::clone(&counters), Arc::clone(&report));
        let sink = EventSink::new(Encoder::new(encoder), draft, publisher, keeps_all, counters_too, report_too);
        Reader { source, sink, end_event, tee, counters, report, end: InputEnd::default() }
    }

    /// Reads standard input to its end and publishes all of it. An error ends the input as its end does, after what
    /// came before it is published.
    pub fn run(mut self) -> InputEnd {
        self.sink.wait_for_clients();
        self.end.unreadable = self.read_all().err();
        let Reader { mut source, mut sink, end_event, tee, mut end, .. } = self;
        drop(tee); // the next program in the pipe must not wait for our clients
        if sink.is_stopped() {
            return end;
        }
        sink.read_at(now());
        sink.input_over();
        if !end.tee_gone {
            source.finish(&mut sink); // otherwise its rest has not been read
        }
        if let Some(name) = end_event {
            sink.end_event(&name);
        }
        sink.publish();
        end.without_ids = !sink.has_ids();
        end
    }

    fn read_all(&mut self) -> io::Result<()> {
        // A second descriptor of the same input: `std::io::Stdin` would add a small buffer.
        let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        pipe::enlarge(&input);
        let mut block = Arc::new(vec![0; BLOCK]);
        let mut buffering = Some(Buffering::new(self.source.terminator()));
        let mut encoding = (self.source.terminator() == b'\n').then(Encoding::default);
        let mut waiting = None;
        while self.sink.wait_for_pace() {
            let asked = *waiting.get_or_insert_with(Instant::now);
            match input.read(Arc::get_mut(&mut block).expect("the copy of it is finished")) {
                Ok(0) => return Ok(()),
                Ok(n) => {
                    waiting = None;
                    if buffering.as_mut().is_some_and(|buffering| buffering.read(&block[..n], asked.elapsed())) {
                        buffering = None;
                        self.report.say(BUFFERING_HINT);
                    }
                    if let Some(hint) = encoding.as_mut().and_then(|encoding| encoding.read(&block[..n])) {
                        self.report.say(hint);
                    }
                    self.counters.bytes_in.fetch_add(n as u64, Ordering::Relaxed);
                    if let Some(tee) = &self.tee {
                        tee.begin(&block, n);
                    }
                    self.sink.read_at(now());
                    self.source.push(&block[..n], &mut self.sink);
                    self.sink.publish();
                    if !self.is_passed_on() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => pipe::wait_readable(&input)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until the copy of what was read is written. The clients have it already: a copy that blocks stops the
    /// reading, never the clients. `false`: its reader has gone, and the input is over.
    fn is_passed_on(&mut self) -> bool {
        let Some(tee) = &self.tee else { return true };
        match tee.finish() {
            Ok(()) => return true,
            Err(Broken::Pipe) => self.end.tee_gone = true,
            Err(Broken::Failed(error)) => {
                self.end.tee_failed = true;
                let text = format!("cannot write standard output: {error}; clients are still served, without --tee");
                self.report.error(text);
            }
        }
        self.tee = None;
        !self.end.tee_gone
    }
}

/// Milliseconds since 1970; 0 before that.
fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_millis() as u64)
}
