//! The event-stream parser: however the bytes are cut, it finds what a plain reading of WHATWG HTML § 9.2.6 finds.
//!
//! The first two bytes say how much data an event may have, and where the stream is cut.

use sse_pipe::wire::event_stream::{Item, Parser};

/// A value that is no data may be so long, even where events may have less data; and a name's room beside it.
const LEAST_VALUE: usize = 8 * 1024;
const NAME: usize = 16;

/// What came out, with its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Event { event: Vec<u8>, data: Vec<u8>, id: Option<Vec<u8>> },
    TooLong(u64),
    Comment(Vec<u8>),
    Retry(u64),
}

/// Parses a stream in pieces, and compares with the plain reading.
pub fn check(bytes: &[u8]) {
    let Some(([max, cuts], stream)) = bytes.split_first_chunk() else { return };
    let max = if *max < 128 { *max as usize } else { 1 << 20 };
    let mut parser = Parser::new(max);
    let (mut found, mut rest, mut cuts) = (Vec::new(), stream, u32::from(*cuts) + 1);
    while !rest.is_empty() {
        cuts = cuts.wrapping_mul(0x9e37_79b9); // another length each time, many of them short
        let length = 1 + (cuts >> 16) as usize % [1, 3, 9, 100, 10_000][(cuts >> 8) as usize % 5];
        let (piece, after) = rest.split_at(length.min(rest.len()));
        parser.push(piece, |item| found.push(own(item)));
        rest = after;
    }
    let (want, inside) = read(stream, max);
    assert_eq!(found, want, "with at most {max}: {}", stream.escape_ascii());
    assert_eq!(parser.is_inside_event(), inside, "{}", stream.escape_ascii());
    if max == 1 << 20 {
        // A browser decodes the whole stream before it reads a line; it comes to the same.
        let decoded = String::from_utf8_lossy(stream);
        let texts = |found: Vec<Found>| found.into_iter().map(Found::decoded).collect::<Vec<_>>();
        assert_eq!(texts(read(decoded.as_bytes(), max).0), texts(found));
    }
}

fn own(item: Item) -> Found {
    match item {
        Item::Event(it) => {
            Found::Event { event: it.event.to_vec(), data: it.data.to_vec(), id: it.id.map(<[u8]>::to_vec) }
        }
        Item::TooLong { size } => Found::TooLong(size),
        Item::Comment(comment) => Found::Comment(comment.to_vec()),
        Item::Retry(time) => Found::Retry(time),
    }
}

impl Found {
    fn decoded(self) -> Found {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned().into_bytes();
        match self {
            Found::Event { event, data, id } => Found::Event { event: text(event), data: text(data), id: id.map(text) },
            Found::Comment(comment) => Found::Comment(text(comment)),
            other => other,
        }
    }
}

/// All of a stream, read line by line as the standard has it, and whether it ends inside an event. What has more than
/// `max` bytes of data, or far longer lines, is too long.
fn read(stream: &[u8], max: usize) -> (Vec<Found>, bool) {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let longest = max.max(LEAST_VALUE) + NAME;
    let mut found = Vec::new();
    let (mut event, mut data, mut id, mut new_id, mut too_long) = (Vec::new(), Vec::new(), Vec::new(), false, None);
    let mut lines = lines(stream);
    let unfinished = lines.pop().expect("there is one, even if it is empty");
    for line in lines {
        let (name, value) = field(line);
        match name {
            _ if line.is_empty() => {
                if let Some(more) = data.len().checked_sub(1) {
                    data.pop(); // the last LF
                    match too_long.or((more > max).then_some(more as u64)) {
                        Some(size) => found.push(Found::TooLong(size)),
                        None => {
                            let id = std::mem::take(&mut new_id).then(|| id.clone());
                            found.push(Found::Event { event: event.clone(), data: data.clone(), id });
                        }
                    }
                }
                (event, data, too_long) = (Vec::new(), Vec::new(), None);
            }
            b"data" => data.extend([value, b"\n"].concat()),
            b"event" | b"id" if line.len() > longest => too_long = Some(value.len() as u64),
            _ if line.len() > longest => {}
            b"" => found.push(Found::Comment(value.to_vec())),
            b"event" => event = value.to_vec(),
            b"id" if !value.contains(&0) => (id, new_id) = (value.to_vec(), true),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let digits = std::str::from_utf8(value).expect("are digits");
                found.push(Found::Retry(digits.parse().unwrap_or(u64::MAX))); // as much as there can be
            }
            _ => {}
        }
    }
    let inside = !data.is_empty() || (field(unfinished).0 == b"data");
    (found, inside)
}

/// The lines, each ended by CRLF, LF or CR; the last one has no end.
fn lines(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while let Some(end) = stream.iter().position(|byte| b"\r\n".contains(byte)) {
        lines.push(&stream[..end]);
        let line_end = if stream[end..].starts_with(b"\r\n") { 2 } else { 1 };
        stream = &stream[end + line_end..];
    }
    lines.push(stream);
    lines
}

/// Up to the first colon, and after it and one blank; all of the line where there is none.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|&byte| byte == b':') {
        Some(colon) => {
            let value = &line[colon + 1..];
            (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
        }
        None => (line, b""),
    }
}
