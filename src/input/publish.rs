//! From records to published batches: the layer between the formats and the feed.
//!
//! Reports what happened to a record that could not be sent as it was, and counts.

use super::encoder::{Encoded, Encoder, Full, Parts};
use super::records::{Lines, Record};
use crate::counters::Counters;
use crate::feed::publisher::Publisher;
use crate::log::batch::Draft;
use crate::report::Report;
use crate::sanitize::sanitize;
use crate::wire::event::FieldValue;
use crate::wire::notice::Skipped;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// This many records that are not JSON are reported one by one: a whole input may be like that.
const NOT_JSON_REPORTED: u64 = 10;
/// Ctrl-C ends the producer too, and the end of its output may be seen before the signal is handled. So everything that
/// follows the end of the input waits this long for a signal.
const SIGNAL_TIME: Duration = Duration::from_millis(200);

/// Takes records, makes entries of them in a draft, and publishes drafts as batches.
#[derive(Debug)]
pub struct EventSink {
    encoder: Encoder,
    draft: Draft,
    /// Events in the draft.
    events: u64,
    publisher: Publisher,
    counters: Arc<Counters>,
    report: Arc<Report>,
    /// Whether invalid UTF-8 has been reported.
    repair_reported: bool,
    /// Whether a full buffer has been reported, or need not be.
    overflow_reported: bool,
    /// How many records were not JSON and should have been.
    not_json: u64,
    /// Whether the input itself says when it was read.
    has_times: bool,
    /// Whether a repeated ID has been reported.
    repeat_reported: bool,
    /// The input is over, and nothing that follows its end has been published yet.
    over: bool,
    /// The program ends: nothing more is published.
    stopped: bool,
}

impl EventSink {
    /// A sink that fills `draft` and publishes it through `publisher`. `keeps_all`: the history is all that the buffer
    /// holds, so that a full buffer is worth a message.
    pub fn new(
        encoder: Encoder,
        draft: Draft,
        publisher: Publisher,
        keeps_all: bool,
        counters: Arc<Counters>,
        report: Arc<Report>,
    ) -> EventSink {
        EventSink {
            encoder,
            draft,
            events: 0,
            publisher,
            counters,
            report,
            repair_reported: false,
            overflow_reported: !keeps_all,
            not_json: 0,
            has_times: false,
            repeat_reported: false,
            over: false,
            stopped: false,
        }
    }

    /// Blocks until enough clients are connected to begin.
    pub fn wait_for_clients(&self) {
        self.publisher.wait_for_clients();
    }

    /// Blocks until the pace allows reading on. `false`: the program ends.
    pub fn wait_for_pace(&mut self) -> bool {
        self.stopped = self.stopped || !self.publisher.wait_for_pace();
        !self.stopped
    }

    /// What comes next was read at `time`, in milliseconds since 1970, unless the input itself says something else.
    pub fn read_at(&mut self, time: u64) {
        if !self.has_times && !self.stopped {
            self.draft.read_at(time);
        }
    }

    /// The input says that its sender read what comes next at `time`.
    pub fn was_read_at(&mut self, time: u64) {
        self.publish(); // a batch has one time
        self.has_times = true;
        if !self.stopped {
            self.draft.read_at(time);
        }
    }

    /// The input is over. What still follows, an unfinished record or the end event, is not published if a signal ends
    /// the program at the same time.
    pub fn input_over(&mut self) {
        self.over = true;
    }

    /// Whether the program ends, so that nothing more is published.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether any event so far has an ID, so that a client that returns can be recognised.
    pub fn has_ids(&self) -> bool {
        self.encoder.gives_ids() || self.draft.has_own_ids()
    }

    /// The next records: each is the data of an event.
    pub fn lines(&mut self, mut lines: Lines<'_>) {
        loop {
            let before = self.draft.next();
            lines = self.encoder.lines(lines, &mut self.draft);
            self.events += self.draft.next() - before;
            let Some(line) = lines.next() else { return };
            self.record(Record::Bytes(line)); // the draft is full, or this line needs more than the fast path
        }
    }

    /// The next record: its bytes are data.
    pub fn record(&mut self, record: Record<'_>) {
        self.entry(|encoder, draft| encoder.record(record, draft));
    }

    /// The next record, which has parts of its event.
    pub fn parts(&mut self, parts: Parts<'_>) {
        self.entry(|encoder, draft| encoder.parts(parts, draft));
    }

    fn entry(&mut self, encode: impl Fn(&mut Encoder, &mut Draft) -> Result<Encoded, Full>) {
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
            Encoded::Written | Encoded::Repaired => self.events += 1,
            Encoded::Skipped(_) => {
                self.counters.skipped.fetch_add(1, Ordering::Relaxed);
            }
        }
        match outcome {
            Encoded::Written => {}
            Encoded::Repaired => self.repaired(number),
            Encoded::Skipped(Skipped::TooLong { size, .. }) => self
                .report
                .error(format_args!("record {number} skipped: its {size} bytes are more than --max-record allows")),
            Encoded::Skipped(Skipped::NotJson { line, column }) => {
                self.not_json += 1;
                let rest = match self.not_json {
                    1..NOT_JSON_REPORTED => "",
                    NOT_JSON_REPORTED => " (more are only counted)",
                    _ => return,
                };
                let place = format_args!("at line {line}, byte {column} of the input it is not JSON");
                self.report.error(format_args!("record {number} skipped: {place}{rest}"));
            }
            Encoded::Skipped(Skipped::TooLarge { size }) => self.report.error(format_args!(
                "record {number} skipped: as an event it has {size} bytes, more than --buffer holds"
            )),
        }
    }

    /// The number of the next record.
    pub fn next(&self) -> u64 {
        self.draft.next()
    }

    /// Record `number` had to be repaired.
    pub fn repaired(&mut self, number: u64) {
        if !std::mem::replace(&mut self.repair_reported, true) {
            let what = "is not valid UTF-8; invalid bytes are sent as U+FFFD (reported once)";
            self.report.say(format_args!("record {number} {what}"));
        }
    }

    /// Reports a hint.
    pub fn hint(&self, hint: impl Display) {
        self.report.say(hint);
    }

    /// The next record lacks a part that an option asked for, as `what` says, and is sent with the default for it.
    pub fn incomplete(&mut self, told: &mut bool, what: impl FnOnce() -> String) {
        self.counters.incomplete.fetch_add(1, Ordering::Relaxed);
        if !std::mem::replace(told, true) {
            let number = self.draft.next();
            self.report.say(format_args!("record {number} {} (reported once, then counted)", what()));
        }
    }

    /// The incoming event stream says that events are missing here. This is reported, and our clients get a notice.
    pub fn lost_upstream(&mut self, comment: &str) {
        self.counters.lost_upstream.fetch_add(1, Ordering::Relaxed);
        self.report.error(format_args!("the incoming event stream is not whole: {}", sanitize(comment)));
        if !self.stopped {
            let _ = self.encoder.comment(comment, &mut self.draft).or_else(|Full| {
                self.publish();
                self.encoder.comment(comment, &mut self.draft)
            });
        }
    }

    /// The incoming event stream is over. Only the program that fetched it knows whether its connection was lost,
    /// unless it was cut off inside an event.
    pub fn upstream_over(&mut self, inside_event: bool) {
        if inside_event {
            self.counters.skipped.fetch_add(1, Ordering::Relaxed);
            self.report.error("the incoming event stream ended inside an event, which is skipped");
        } else {
            self.report.say("the incoming event stream has ended");
        }
    }

    /// Adds the last event (`--end-event`): its data is the number of events sent.
    pub fn end_event(&mut self, name: &FieldValue) {
        let sent = self.counters.events.load(Ordering::Relaxed) + self.events;
        let sent = sent.to_string();
        let _ = self.encoder.end_event(name, &sent, &mut self.draft).or_else(|Full| {
            self.publish();
            self.encoder.end_event(name, &sent, &mut self.draft)
        });
    }

    /// Publishes what was added since the last call.
    pub fn publish(&mut self) {
        if self.over && !self.draft.is_empty() {
            self.over = false;
            self.publisher.wait_for_stop(SIGNAL_TIME);
        }
        self.stopped |= !self.publisher.publish(&mut self.draft, std::mem::take(&mut self.events));
        if !self.repeat_reported
            && let Some(number) = self.publisher.repeated_id()
        {
            self.repeat_reported = true;
            let what = "has the ID of an earlier record; a client that resumes there gets some events twice";
            self.report.say(format_args!("record {number} {what} (reported once)"));
        }
        if !self.overflow_reported && self.publisher.has_overflowed() {
            self.overflow_reported = true;
            if !self.counters.has_joined() {
                let what = "the buffer is full and no client has joined yet: the oldest events are discarded";
                self.report.say(format_args!("{what} (--buffer can be larger; --wait 1 waits for a client)"));
            }
        }
    }
}
