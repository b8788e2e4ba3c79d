//! What standard input is (contract 3): records that are data, records that bring parts of their event with them, or
//! an event stream. Plain records pass through here untouched.

use super::encoder::Parts;
use super::json::{self, Pointer};
use super::reader::Publishing;
use super::records::{Next, Record, Splitter, Terminator};
use crate::log::own_ids;
use crate::report::harmless;
use crate::wire::event_stream::{Dispatched, Item, Parser};
use crate::wire::utf8;
use memchr::memchr2;
use std::borrow::Cow;

/// The format of standard input.
#[derive(Clone, Debug)]
pub enum Format {
    /// A record is an event's data.
    Lines(Terminator),
    /// A record is a JSON text, from which parts of the event are taken.
    Json(Terminator, Pointers),
    /// An event stream. Its IDs are kept, or (`--no-id`) left out.
    EventStream {
        /// Whether they are kept.
        ids: bool,
    },
}

/// Where the parts of an event are in a record.
#[derive(Clone, Debug)]
pub struct Pointers {
    /// `--event-from`.
    pub event: Option<Pointer>,
    /// `--id-from`.
    pub id: Option<Pointer>,
    /// `--data-from`.
    pub data: Option<Pointer>,
}

/// Standard input as it is taken apart.
#[derive(Debug)]
pub enum Source {
    /// See [`Format::Lines`].
    Lines(Splitter),
    /// See [`Format::Json`].
    Json(Splitter, Json),
    /// See [`Format::EventStream`].
    EventStream(EventStream),
}

impl Source {
    /// An input of this format, whose records have at most `max_record` bytes.
    pub fn new(format: Format, max_record: usize) -> Source {
        match format {
            Format::Lines(terminator) => Source::Lines(Splitter::new(terminator, max_record)),
            Format::Json(terminator, pointers) => {
                Source::Json(Splitter::new(terminator, max_record), Json { pointers, told: false })
            }
            Format::EventStream { ids } => {
                Source::EventStream(EventStream { parser: Parser::new(max_record), ids, told: false })
            }
        }
    }

    /// The byte that ends what a program prints at a time.
    pub fn terminator(&self) -> u8 {
        match self {
            Source::Lines(splitter) | Source::Json(splitter, _) => splitter.terminator().byte(),
            Source::EventStream(_) => b'\n',
        }
    }

    /// Takes the next bytes, and publishes the events that they complete.
    pub fn push(&mut self, bytes: &[u8], publishing: &mut Publishing) {
        match self {
            Source::Lines(splitter) => splitter.push(bytes, |next| match next {
                Next::Lines(lines) => publishing.lines(lines),
                Next::Record(record) => publishing.record(record),
            }),
            Source::Json(splitter, json) => splitter.push(bytes, |next| match next {
                Next::Lines(lines) => lines.for_each(|line| json.record(Record::Bytes(line), publishing)),
                Next::Record(record) => json.record(record, publishing),
            }),
            Source::EventStream(stream) => stream.push(bytes, publishing),
        }
    }

    /// The input is over.
    pub fn finish(&mut self, publishing: &mut Publishing) {
        match self {
            Source::Lines(splitter) => splitter.finish(|record| publishing.record(record)),
            Source::Json(splitter, json) => splitter.finish(|record| json.record(record, publishing)),
            Source::EventStream(stream) => stream.finish(publishing),
        }
    }
}

/// Takes events out of JSON records.
#[derive(Debug)]
pub struct Json {
    pointers: Pointers,
    /// Whether a record that lacked something has been told of.
    told: bool,
}

impl Json {
    fn record(&mut self, record: Record<'_>, publishing: &mut Publishing) {
        let Record::Bytes(bytes) = record else { return publishing.record(record) };
        let text = as_text(bytes, publishing);
        let Json { pointers, told } = self;
        let found = json::find(&text, [&pointers.event, &pointers.id, &pointers.data].map(Option::as_ref));
        let [event, id, data] = found.unwrap_or_default().map(|value| value.and_then(part));
        let event = event.filter(|event| memchr2(b'\r', b'\n', event.as_bytes()).is_none());
        let id = id.filter(|id| own_ids::can_come_back(id));
        let asked = [&pointers.event, &pointers.id, &pointers.data];
        let there = [event.is_some(), id.is_some(), data.is_some()];
        let missing = asked.iter().zip(there).position(|(pointer, there)| pointer.is_some() && !there);
        if let Some(nth) = missing {
            publishing.incomplete(told, || match (found, asked[nth]) {
                (Ok(_), Some(pointer)) => {
                    let what = ["an event type", "an ID", "data"][nth];
                    format!("has nothing at '{}' that can be {what}", harmless(&pointer.to_string()))
                }
                _ => "is no JSON".to_owned(),
            });
        }
        let parts = Parts {
            event: event.as_deref(),
            data: data.as_ref().map_or(bytes, |data| data.as_bytes()),
            id: id.as_deref(),
        };
        publishing.parts(parts);
    }
}

/// The text of a value; `None` and the empty string count as missing.
fn part(value: &str) -> Option<Cow<'_, str>> {
    Some(json::text(value)).filter(|text| value != "null" && !text.is_empty())
}

/// Takes events out of an event stream.
#[derive(Debug)]
pub struct EventStream {
    parser: Parser,
    ids: bool,
    /// Whether an ID that had to be left out has been told of.
    told: bool,
}

impl EventStream {
    fn push(&mut self, bytes: &[u8], publishing: &mut Publishing) {
        let EventStream { parser, ids, told } = self;
        parser.push(bytes, |item| match item {
            Item::Event(Dispatched { event, data, id }) => {
                let event = Some(as_text(event, publishing)).filter(|event| !event.is_empty());
                let mut id = id.filter(|_| *ids).map(|id| as_text(id, publishing));
                // An empty one takes the ID back, and so it is passed on.
                if id.as_ref().is_some_and(|id| !id.is_empty() && !own_ids::can_come_back(id)) {
                    id = None;
                    publishing.incomplete(told, || "has an ID that no client could bring back".to_owned());
                }
                publishing.parts(Parts { event: event.as_deref(), data, id: id.as_deref() });
            }
            Item::TooLong { size } => publishing.record(Record::TooLong { size }),
            Item::Comment(comment) => {
                if let Some(comment) = std::str::from_utf8(comment).ok().filter(|comment| tells_of_a_loss(comment)) {
                    publishing.lost_upstream(comment);
                }
            }
            Item::Retry(_) => {} // what our clients are told is --retry's business
        });
    }

    fn finish(&mut self, publishing: &mut Publishing) {
        publishing.upstream_over(self.parser.is_inside_event());
    }
}

/// No comment that tells of a loss is longer.
const LONGEST_LOSS: usize = 200;

/// Whether another sse-pipe says so that events are missing: not held any more, or left out.
fn tells_of_a_loss(comment: &str) -> bool {
    if comment.len() > LONGEST_LOSS {
        return false;
    }
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let missed = comment.strip_suffix(" events missed").is_some_and(number);
    let left_out = comment.strip_prefix("record ").and_then(|rest| rest.split_once(" left out: "));
    missed || comment.starts_with("events missed, ") || left_out.is_some_and(|(nth, _)| number(nth))
}

/// The bytes as text; what is no UTF-8 is replaced, and that is told.
fn as_text<'a>(bytes: &'a [u8], publishing: &mut Publishing) -> Cow<'a, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            publishing.repaired(publishing.next());
            let mut text = Vec::new();
            utf8::write_lossy(bytes, &mut text);
            Cow::Owned(String::from_utf8(text).expect("what was no UTF-8 has been replaced"))
        }
    }
}
