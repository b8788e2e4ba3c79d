//! From a record to an entry of the log: one chunk with one event, or with a comment in its place.

use super::frame::{self, Frame};
use super::line_ends::LineEnds;
use super::records::{Lines, Record};
use crate::log::batch::{BATCH_COST, Draft, Entry, INDEX_COST};
use crate::log::id::Run;
use crate::log::own_ids::ID_COST;
use crate::wire::event::{self, Data, Event, FieldValue};
use crate::wire::notice::{Notice, Skipped};
use crate::wire::{chunk, utf8};

/// How records become events.
#[derive(Clone, Debug)]
pub struct EncoderConfig {
    /// The event type of every event.
    pub event: Option<FieldValue>,
    /// The run that IDs are made of, if events have IDs.
    pub ids: Option<Run>,
    /// The longest record, for the notice that replaces a longer one.
    pub max_record: usize,
    /// What the log can hold: the largest entry with its index.
    pub buffer: usize,
}

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// It was written as it was.
    Written,
    /// It was written, with U+FFFD in place of invalid UTF-8.
    Repaired,
    /// A notice was written in its place.
    Skipped(Skipped),
}

/// An event whose parts come from its record.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The event type; `None`: that of all events. Never one with a line end in it.
    pub event: Option<&'a str>,
    /// The data.
    pub data: &'a [u8],
    /// The ID; `None`: `RUN-N`, if events have IDs. Never one with a line end or NUL in it.
    pub id: Option<&'a str>,
}

/// Nothing was written: the draft must be published first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Encodes one record after the other into drafts.
#[derive(Debug)]
pub struct Encoder {
    config: EncoderConfig,
    /// The current ID, `RUN-N`: its constant part, then the number.
    id: String,
    id_prefix: usize,
    /// The data of the current record, if it had to be repaired.
    repaired: Vec<u8>,
    frame: Frame,
}

/// The memory of a long record that had to be repaired is freed beyond this size.
const REPAIRED_KEPT: usize = 64 * 1024;

impl Encoder {
    /// An encoder that begins with the first record of a run.
    pub fn new(config: EncoderConfig) -> Encoder {
        let id = config.ids.map_or(String::new(), |run| format!("{run}-"));
        let frame = Frame::new(config.event.clone(), config.ids);
        Encoder { config, id_prefix: id.len(), id, repaired: Vec::new(), frame }
    }

    /// Whether events without an ID of their own are given one.
    pub fn gives_ids(&self) -> bool {
        self.config.ids.is_some()
    }

    /// Adds the entries of the next records to `draft`, as long as it has room. Returns the rest.
    pub fn lines<'a>(&mut self, lines: Lines<'a>, draft: &mut Draft) -> Lines<'a> {
        let mut start = 0;
        for end in LineEnds::new(lines.bytes, lines.terminator) {
            let size = self.frame.fit(end - start, draft.next());
            if !draft.has_room(size + frame::TO_SPARE) {
                break;
            }
            draft.push(Entry::Event, |out| self.frame.write(&lines.bytes[start..], out));
            start = end + 1;
        }
        lines.after(start)
    }

    /// Adds the entry of the next record to `draft`.
    pub fn record(&mut self, record: Record<'_>, draft: &mut Draft) -> Result<Encoded, Full> {
        match record {
            Record::Bytes(bytes) => self.parts(Parts { event: None, data: bytes, id: None }, draft),
            Record::TooLong { size } => self.skip(Skipped::TooLong { size, max: self.config.max_record }, draft),
            Record::NotJson { line, column } => self.skip(Skipped::NotJson { line, column }, draft),
        }
    }

    /// Adds the entry of the next record, which has parts of its event, to `draft`.
    pub fn parts(&mut self, parts: Parts<'_>, draft: &mut Draft) -> Result<Encoded, Full> {
        let Parts { event, data, id } = parts;
        let name = event.and_then(FieldValue::new);
        let (size, encoded) = match std::str::from_utf8(data) {
            Ok(_) => (self.event(name.as_ref(), Data::Text(data), id, draft)?, Encoded::Written),
            Err(_) => (self.repaired(name.as_ref(), data, id, draft)?, Encoded::Repaired),
        };
        self.judge(size, encoded, draft)
    }

    /// A comment takes the place of an event that was too large to be added.
    #[inline]
    fn judge(&self, size: usize, encoded: Encoded, draft: &mut Draft) -> Result<Encoded, Full> {
        if size <= self.most() {
            return Ok(encoded);
        }
        self.skip(Skipped::TooLarge { size }, draft)
    }

    /// Adds a notice in place of the next record.
    fn skip(&self, why: Skipped, draft: &mut Draft) -> Result<Encoded, Full> {
        let notice = Notice::Skipped { record: draft.next(), why };
        self.comment(&notice.to_string(), draft).map(|()| Encoded::Skipped(why))
    }

    /// Adds the end event (`--end-event`), if the buffer can hold it.
    pub fn end_event(&mut self, name: &FieldValue, data: &str, draft: &mut Draft) -> Result<(), Full> {
        self.event(Some(name), Data::Line(data.as_bytes()), None, draft).map(drop)
    }

    fn repaired(
        &mut self,
        name: Option<&FieldValue>,
        bytes: &[u8],
        own_id: Option<&str>,
        draft: &mut Draft,
    ) -> Result<usize, Full> {
        let mut fields = std::mem::take(&mut self.repaired);
        fields.clear();
        fields.shrink_to(REPAIRED_KEPT);
        // A line break is no part of any sequence, whole or broken, so that lines can be repaired one by one.
        event::write_data(&mut fields, bytes, utf8::write_lossy);
        let size = self.event(name, Data::Fields(&fields), own_id, draft);
        self.repaired = fields;
        size
    }

    /// The largest entry that the buffer can hold.
    fn most(&self) -> usize {
        self.config.buffer.min(u32::MAX as usize / 2) - INDEX_COST - ID_COST - BATCH_COST
    }

    /// Adds an event, unless it is larger than the buffer can hold. Returns its size.
    #[inline]
    fn event(
        &mut self,
        name: Option<&FieldValue>,
        data: Data<'_>,
        own_id: Option<&str>,
        draft: &mut Draft,
    ) -> Result<usize, Full> {
        if self.config.ids.is_some() {
            self.id.truncate(self.id_prefix);
            self.id.push_str(itoa::Buffer::new().format(draft.next()));
        }
        let id = own_id.or(self.config.ids.is_some().then_some(self.id.as_str()));
        let event = Event { event: name.or(self.config.event.as_ref()), data, id };
        let len = event.encoded_len();
        let size = chunk::encoded_len(len);
        if size <= self.most() {
            make_sure_of_room(size, draft)?;
            draft.push(Entry::Event, |out| chunk::write(out, len, |out| event.write(out)));
            if let Some(id) = own_id.filter(|id| !id.is_empty()) {
                draft.note_own_id(id);
            }
        }
        Ok(size)
    }

    /// Adds a comment that belongs to the stream.
    pub fn comment(&self, text: &str, draft: &mut Draft) -> Result<(), Full> {
        let len = event::comment_len(text.len());
        make_sure_of_room(chunk::encoded_len(len), draft)?;
        draft.push(Entry::Comment, |out| chunk::write(out, len, |out| event::write_comment(out, text)));
        Ok(())
    }
}

fn make_sure_of_room(size: usize, draft: &Draft) -> Result<(), Full> {
    if draft.fits(size) { Ok(()) } else { Err(Full) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::memory::Memory;
    use std::sync::Arc;

    fn draft(block: usize) -> Draft {
        Draft::new(Arc::new(Memory::new(block)))
    }

    fn encode(config: EncoderConfig, records: &[Record]) -> (String, Vec<Encoded>) {
        let mut draft = draft(10_000);
        let mut encoder = Encoder::new(config);
        let encoded = records.iter().map(|record| encoder.record(*record, &mut draft).expect("has room")).collect();
        let batch = draft.finish(None).expect("has entries");
        (String::from_utf8(batch.bytes().expect("in memory").to_vec()).expect("is text"), encoded)
    }

    fn config() -> EncoderConfig {
        EncoderConfig { event: None, ids: None, max_record: 10, buffer: 1000 }
    }

    #[test]
    fn each_record_becomes_one_chunk() {
        let run = Run::new(0);
        let config = EncoderConfig { event: FieldValue::new("greeting"), ids: Some(run), ..config() };
        let (text, encoded) = encode(config, &[Record::Bytes(b"hello"), Record::Bytes(b"")]);
        let first = format!("event: greeting\ndata: hello\nid: {run}-1\n\n");
        let second = format!("event: greeting\ndata: \nid: {run}-2\n\n");
        assert_eq!(text, format!("{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n", first.len(), second.len()));
        assert_eq!(encoded, [Encoded::Written, Encoded::Written]);
    }

    #[test]
    fn what_is_not_utf_8_is_replaced_as_a_browser_would() {
        for (bytes, want) in [
            (&b"\xff"[..], "\u{fffd}"),
            (b"a\xf0\x9f\x98", "a\u{fffd}"),
            (b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
            (b"\xc0\xafb", "\u{fffd}\u{fffd}b"),
        ] {
            let (text, encoded) = encode(config(), &[Record::Bytes(bytes)]);
            let event = format!("data: {want}\n\n");
            assert_eq!((text, encoded), (format!("{:x}\r\n{event}\r\n", event.len()), vec![Encoded::Repaired]));
        }
    }

    #[test]
    fn lines_become_what_records_become() {
        let long = "a type that is longer than what is copied at a time, which no sensible program has".to_owned();
        for name in ["", "e", &long] {
            for ids in [None, Some(Run::new(0))] {
                let event = FieldValue::new(name);
                let config = EncoderConfig { event, ids, max_record: 5000, buffer: 1 << 20 };
                let texts: Vec<_> = (0..4000).map(|n| "x".repeat(n * n / 7 % 19 * (n % 23))).collect();
                let bytes = texts.iter().map(|text| format!("{text}\0")).collect::<String>();
                let mut lines = Lines { bytes: bytes.as_bytes(), terminator: 0 };
                let (mut encoder, mut other) = (Encoder::new(config.clone()), Encoder::new(config));
                let (mut draft, mut others) = (draft(1 << 16), draft(1 << 22));
                let mut got = Vec::new();
                loop {
                    lines = encoder.lines(lines, &mut draft);
                    let Some(batch) = draft.finish(None) else { break };
                    assert!(batch.bytes().expect("in memory").len() <= 1 << 16);
                    got.extend_from_slice(batch.bytes().expect("in memory"));
                }
                for text in &texts {
                    assert_eq!(other.record(Record::Bytes(text.as_bytes()), &mut others), Ok(Encoded::Written));
                }
                let want = others.finish(None).expect("has entries");
                assert_eq!(got.escape_ascii().to_string(), want.bytes().expect("in memory").escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn a_batch_is_full_before_it_is_too_large_and_nothing_is_half_written() {
        let mut draft = draft(1000);
        let mut encoder = Encoder::new(config());
        let mut batches = Vec::new();
        for n in 0..100 {
            let data = "x".repeat(n * 7 % 300);
            if encoder.record(Record::Bytes(data.as_bytes()), &mut draft) == Err(Full) {
                batches.push(draft.finish(None).expect("has entries"));
                assert_eq!(encoder.record(Record::Bytes(data.as_bytes()), &mut draft), Ok(Encoded::Written));
            }
        }
        assert_eq!(draft.next(), 101, "each is there once");
        assert!(batches.len() > 10 && batches.iter().all(|batch| batch.bytes().expect("in memory").len() <= 1000));
    }

    #[test]
    fn a_comment_takes_the_place_of_what_is_skipped() {
        let records = [Record::TooLong { size: 11 }, Record::Bytes(&[b'\n'; 150]), Record::Bytes(b"ok")];
        let (text, encoded) = encode(config(), &records);
        assert_eq!(
            encoded,
            [
                Encoded::Skipped(Skipped::TooLong { size: 11, max: 10 }),
                Encoded::Skipped(Skipped::TooLarge { size: 1065 }),
                Encoded::Written
            ]
        );
        let lines: Vec<_> = text.split("\r\n").collect();
        assert_eq!(lines[1], ": record 1 skipped: 11 bytes are more than --max-record 10\n");
        assert_eq!(lines[3], ": record 2 skipped: as an event of 1065 bytes it exceeds --buffer\n");
        assert_eq!(lines[5], "data: ok\n\n");
    }
}
