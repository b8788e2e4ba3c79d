//! The records of a round's input: empty, tiny, large and far too long ones, with every kind of line break, with bytes that
//! are not UTF-8, in each format; and the parts of events in them (behaviour 1.2, 3).

use super::settings::{Format, Settings};
use crate::support::random::Random;

/// A record as the producer writes it, and the parts in it.
pub struct Record {
    pub wire: Vec<u8>,
    pub name: Option<String>,
    pub data: Vec<u8>,
    pub id: Option<Id>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    None,
    /// `RUN-N`
    Run,
    Own(String),
    /// An empty one: the client forgets its last event ID.
    Empty,
}

/// A kind of records.
#[derive(Clone, Copy, Debug)]
pub enum Size {
    Empty,
    Bytes(u64, u64),
    /// Line breaks, mostly.
    Breaks(u64),
    /// Bytes that are not UTF-8, mostly.
    Binary(u64),
}

impl Size {
    pub fn choose(random: &mut Random, settings: &Settings) -> Size {
        let (buffer, max) = (settings.buffer.min(1 << 20), settings.longest_record().min(1 << 20));
        random.pick(&[
            Size::Empty,
            Size::Bytes(0, 6),
            Size::Bytes(5, 60),
            Size::Bytes(60, 250),
            Size::Bytes(1000, 20_000),
            Size::Bytes(buffer / 8, buffer / 3),
            Size::Bytes(max - max / 50, max + max / 50),
            Size::Bytes(max, 3 * max),
            Size::Breaks(40),
            Size::Breaks(buffer / 3),
            Size::Binary(300),
            Size::Binary(buffer / 10),
        ])
    }

    /// The text of a record.
    pub fn text(self, number: u64, random: &mut Random) -> Vec<u8> {
        let mut text = match self {
            Size::Empty => return Vec::new(),
            _ => number.to_string().into_bytes(),
        };
        let (size, alphabet): (u64, &[&[u8]]) = match self {
            Size::Empty => (0, &[b""]),
            Size::Bytes(least, most) => {
                (random.within(least..=most), &[b" some words", ": é€😀 \t".as_bytes(), b"data: x"])
            }
            Size::Breaks(most) => (random.below(most), &[b"\r", b"\n", b"\r\n", b"a"]),
            Size::Binary(most) => {
                (random.below(most), &[b"\xff", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\x80", b"\0", b"z"])
            }
        };
        // Large ones repeat themselves: making them must not take longer than checking them.
        let piece: Vec<u8> = (0..40).flat_map(|_| random.pick(alphabet).to_vec()).collect();
        while (text.len() as u64) < size {
            text.extend_from_slice(&piece);
        }
        match self {
            Size::Bytes(..) if size < 8 => text.truncate(size as usize),
            _ => {}
        }
        text
    }
}

impl Record {
    /// Record `number` with about this text; `unfinished`: nothing ends it.
    pub fn new(settings: &Settings, number: u64, mut text: Vec<u8>, unfinished: bool, random: &mut Random) -> Record {
        let own_id = random.pick(&[format!("k{number}"), format!("k {number}/é")]);
        let brings_id = !random.one_in(5);
        match settings.format {
            Format::Lines | Format::Null => Record::plain(settings.format, text, unfinished, random),
            Format::Json { data } if std::str::from_utf8(&text).is_ok() && brings_id => {
                let value = String::from_utf8(text).expect("is text");
                let value = if value.is_empty() { "-".to_owned() } else { value };
                let quoted = serde_json::to_string(&value).expect("a text can be quoted");
                let record = format!("{{\"id\":\"{own_id}\",\"data\":{quoted}}}");
                let plain = Record::plain(Format::Lines, record.into_bytes(), unfinished, random);
                // Only the record's own length counts for --max-record.
                if data && plain.data.len() as u64 <= settings.longest_record() {
                    Record { data: value.into_bytes(), id: Some(Id::Own(own_id)), ..plain }
                } else {
                    Record { id: Some(Id::Own(own_id)), ..plain }
                }
            }
            Format::Json { .. } => {
                text.splice(0..0, *b"no JSON: ");
                Record::plain(Format::Lines, text, unfinished, random)
            }
            Format::EventStream => {
                let id = brings_id.then(|| if random.one_in(30) { Id::Empty } else { Id::Own(own_id) });
                Record::of_event_stream(text, id, unfinished, random)
            }
        }
    }

    fn plain(format: Format, mut text: Vec<u8>, unfinished: bool, random: &mut Random) -> Record {
        let (end, never): (&[u8], u8) = match format {
            Format::Null => (b"\0", 0),
            _ => (random.pick(&[b"\n".as_slice(), b"\r\n"]), b'\n'),
        };
        text.retain(|&byte| byte != never);
        let wire = if unfinished { text } else { [text.as_slice(), end].concat() };
        let mut data = wire.strip_suffix(&[never]).unwrap_or(&wire);
        if format != Format::Null && !unfinished {
            data = data.strip_suffix(b"\r").unwrap_or(data);
        }
        Record { data: data.to_vec(), name: None, id: None, wire }
    }

    fn of_event_stream(text: Vec<u8>, id: Option<Id>, unfinished: bool, random: &mut Random) -> Record {
        let end = random.pick(&["\n", "\r\n", "\r"]);
        let name = random.pick(&[None, None, Some("named".to_owned())]);
        let mut fields: Vec<Vec<u8>> = lines(&text).map(|line| [b"data: ", line].concat()).collect();
        fields.extend(name.as_ref().map(|name| format!("event:{name}").into_bytes()));
        match &id {
            Some(Id::Own(id)) => fields.insert(0, format!("id: {id}").into_bytes()),
            Some(_) => fields.push(b"id".to_vec()),
            None => {}
        }
        let other = random.pick(&[None, None, Some(": a comment"), Some("retry: 77"), Some("unknown: field")]);
        fields.extend(other.map(|field| field.as_bytes().to_vec()));
        let mut wire = fields.join(end.as_bytes());
        if !unfinished {
            wire.extend([end, end].concat().as_bytes());
        }
        let data = lines(&text).collect::<Vec<_>>().join(&b'\n');
        Record { wire, name, data, id }
    }
}

/// The lines of a text, which end with LF, CR or CRLF; at least one.
pub fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut over = false;
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        let end = text.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let line = &text[..end.unwrap_or(text.len())];
        match end {
            None => over = true,
            Some(end) if text[end..].starts_with(b"\r\n") => text = &text[end + 2..],
            Some(end) => text = &text[end + 1..],
        }
        Some(line)
    })
}
