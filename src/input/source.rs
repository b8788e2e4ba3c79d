//! What standard input is (behaviour 3): records that are data, records that contain parts of their event, or an event
//! stream. Plain records pass through here untouched.

use super::encoder::Parts;
use super::hints::{EventStreamLines, JsonOverLines};
use super::json::{self, Pointer};
use super::json_texts::JsonTexts;
use super::publish::EventSink;
use super::records::{Next, Record, Splitter, Terminator};
use crate::log::own_ids;
use crate::sanitize::sanitize;
use crate::wire::event_stream::{Dispatched, Item, Parser};
use crate::wire::notice::{self, Notice};
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
    /// JSON texts, however they are laid out: each is a record, from which parts of the event may be taken.
    JsonTexts(Option<Pointers>),
    /// An event stream. Its IDs are kept, or (`--no-id`) removed.
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

/// Standard input, as it is being split.
#[derive(Debug)]
pub enum Source {
    /// See [`Format::Lines`].
    Lines(Splitter),
    /// See [`Format::Json`].
    Json(Splitter, Json),
    /// See [`Format::JsonTexts`].
    JsonTexts(JsonTexts, Option<Json>),
    /// See [`Format::EventStream`].
    EventStream(EventStream),
}

impl Source {
    /// An input of this format, whose records have at most `max_record` bytes.
    pub fn new(format: Format, max_record: usize) -> Source {
        match format {
            Format::Lines(terminator) => Source::Lines(Splitter::new(terminator, max_record)),
            Format::Json(terminator, pointers) => {
                let lines = (terminator == Terminator::Newline).then(JsonOverLines::default);
                Source::Json(Splitter::new(terminator, max_record), Json { pointers, told: false, lines })
            }
            Format::JsonTexts(pointers) => {
                let json = pointers.map(|pointers| Json { pointers, told: false, lines: None });
                Source::JsonTexts(JsonTexts::new(max_record), json)
            }
            Format::EventStream { ids } => {
                let lines = EventStreamLines::default();
                Source::EventStream(EventStream { parser: Parser::new(max_record), ids, told: false, lines })
            }
        }
    }

    /// The byte that ends what a program prints at a time.
    pub fn terminator(&self) -> u8 {
        match self {
            Source::Lines(splitter) | Source::Json(splitter, _) => splitter.terminator().byte(),
            Source::JsonTexts(..) | Source::EventStream(_) => b'\n',
        }
    }

    /// Takes the next bytes, and publishes the events that they complete.
    pub fn push(&mut self, bytes: &[u8], sink: &mut EventSink) {
        match self {
            Source::Lines(splitter) => splitter.push(bytes, |next| match next {
                Next::Lines(lines) => sink.lines(lines),
                Next::Record(record) => sink.record(record),
            }),
            Source::Json(splitter, json) => splitter.push(bytes, |next| match next {
                Next::Lines(lines) => lines.for_each(|line| json.record(Record::Bytes(line), sink)),
                Next::Record(record) => json.record(record, sink),
            }),
            Source::JsonTexts(texts, json) => texts.push(bytes, |record| text(record, json, sink)),
            Source::EventStream(stream) => stream.push(bytes, sink),
        }
    }

    /// The input is over.
    pub fn finish(&mut self, sink: &mut EventSink) {
        match self {
            Source::Lines(splitter) => splitter.finish(|record| sink.record(record)),
            Source::Json(splitter, json) => splitter.finish(|record| json.record(record, sink)),
            Source::JsonTexts(texts, json) => texts.finish(|record| text(record, json, sink)),
            Source::EventStream(stream) => stream.finish(sink),
        }
    }
}

/// A record that is a JSON text, or should be one.
fn text(record: Record<'_>, json: &mut Option<Json>, sink: &mut EventSink) {
    match json {
        Some(json) => json.record(record, sink),
        None => sink.record(record),
    }
}

/// Makes events of JSON records.
#[derive(Debug)]
pub struct Json {
    pointers: Pointers,
    /// Whether a record that lacked something has been reported.
    told: bool,
    /// Notices JSON over several lines.
    lines: Option<JsonOverLines>,
}

impl Json {
    fn record(&mut self, record: Record<'_>, sink: &mut EventSink) {
        let Record::Bytes(record) = record else { return sink.record(record) };
        let bytes = json_in(record);
        let text = as_text(bytes, sink);
        let Json { pointers, told, lines } = self;
        let found = json::find(&text, [&pointers.event, &pointers.id, &pointers.data].map(Option::as_ref));
        match (lines, &found) {
            (None, _) => {}
            (Some(lines), Ok(_)) => lines.is_json(),
            (Some(lines), Err(_)) => lines.is_not_json(&text).into_iter().for_each(|hint| sink.hint(hint)),
        }
        let [event, id, data] = found.unwrap_or_default().map(|value| value.and_then(part));
        let event = event.filter(|event| !event.is_empty() && memchr2(b'\r', b'\n', event.as_bytes()).is_none());
        let id = id.filter(|id| own_ids::can_come_back(id)); // never an empty one
        let asked = [&pointers.event, &pointers.id, &pointers.data];
        let there = [event.is_some(), id.is_some(), data.is_some()];
        let missing = asked.iter().zip(there).position(|(pointer, there)| pointer.is_some() && !there);
        if let Some(nth) = missing {
            sink.incomplete(told, || match (found, asked[nth]) {
                (Ok(_), Some(pointer)) => {
                    let (what, so) = [
                        ("an event type", "gets the default"),
                        ("an ID", "gets the default"),
                        ("data", "is sent whole"),
                    ][nth];
                    format!("has nothing at '{}' that can be {what}; it {so}", sanitize(&pointer.to_string()))
                }
                _ => "is not JSON; it is sent whole, with the defaults".to_owned(),
            });
        }
        let parts = Parts {
            event: event.as_deref(),
            data: data.as_ref().map_or(if found.is_ok() { bytes } else { record }, |data| data.as_bytes()),
            id: id.as_deref(),
        };
        sink.parts(parts);
    }
}

/// A record without what may precede a JSON text: a byte order mark, or RS (RFC 7464 § 2.2).
fn json_in(record: &[u8]) -> &[u8] {
    let record = record.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record);
    record.strip_prefix(b"\x1e").unwrap_or(record)
}

/// The text of a value; `null` counts as missing.
fn part(value: &str) -> Option<Cow<'_, str>> {
    (value != "null").then(|| json::text(value))
}

/// Makes events of an event stream.
#[derive(Debug)]
pub struct EventStream {
    parser: Parser,
    ids: bool,
    /// Whether an ID that had to be removed has been reported.
    told: bool,
    /// Notices what is not an event stream.
    lines: EventStreamLines,
}

impl EventStream {
    fn push(&mut self, bytes: &[u8], sink: &mut EventSink) {
        let EventStream { parser, ids, told, lines } = self;
        lines.read(bytes).into_iter().for_each(|hint| sink.hint(hint));
        parser.push(bytes, |item| match item {
            Item::Event(Dispatched { event, data, id }) => {
                if let Some(time) = notice::time_in(event, data, id.is_some()) {
                    return sink.was_read_at(time);
                }
                let event = Some(as_text(event, sink)).filter(|event| !event.is_empty());
                let mut id = id.filter(|_| *ids).map(|id| as_text(id, sink));
                // An empty one resets the ID, so it is passed on.
                if id.as_ref().is_some_and(|id| !id.is_empty() && !own_ids::can_come_back(id)) {
                    id = None;
                    sink.incomplete(told, || {
                        "has an ID that no client could send back; it is sent without one".to_owned()
                    });
                }
                sink.parts(Parts { event: event.as_deref(), data, id: id.as_deref() });
            }
            Item::TooLong { size } => sink.record(Record::TooLong { size }),
            Item::Comment(comment) => {
                if let Some(comment) = std::str::from_utf8(comment).ok().filter(|comment| Notice::is_in(comment)) {
                    sink.lost_upstream(comment);
                }
            }
            Item::Retry(_) => {} // --retry says what our clients get
        });
    }

    fn finish(&mut self, sink: &mut EventSink) {
        self.lines.finish().into_iter().for_each(|hint| sink.hint(hint));
        sink.upstream_over(self.parser.is_inside_event());
    }
}

/// The bytes as text; invalid UTF-8 is replaced, and this is reported.
fn as_text<'a>(bytes: &'a [u8], sink: &mut EventSink) -> Cow<'a, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            sink.repaired(sink.next());
            let mut text = Vec::new();
            utf8::write_lossy(bytes, &mut text);
            Cow::Owned(String::from_utf8(text).expect("what was no UTF-8 has been replaced"))
        }
    }
}
