//! Reading an event stream as a browser does (WHATWG HTML § 9.2.5, § 9.2.6), however its bytes happen to be read.
//!
//! Bytes go in, items come out. Line ends and field names are ASCII, so nothing is decoded here. If a value is not
//! UTF-8, the caller replaces the invalid bytes; a browser, which decodes the whole stream first, gets the same. What a
//! browser keeps for its page, such as the state of the connection, does not concern this parser.

use memchr::{memchr, memchr2};

/// The longest value of a field other than `data`, even if events may have less data.
const LEAST_VALUE: usize = 8 * 1024;
/// More than the longest field name, colon, space and byte order mark together.
const NAME: usize = 16;
/// The memory of a long line or event is freed beyond this size.
const KEPT: usize = 64 * 1024;
/// The byte order mark: one is removed from the beginning of the stream.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// What comes out of an event stream, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An event, which a browser would dispatch.
    Event(Dispatched<'a>),
    /// An event that has more data than is allowed, or a line that is far too long; it is not held.
    TooLong {
        /// How many bytes its data, or the value in that line, has.
        size: u64,
    },
    /// A comment: what comes after the colon and one space. One longer than an event may be is skipped.
    Comment(&'a [u8]),
    /// A reconnection time, in milliseconds.
    Retry(u64),
}

/// An event as it is in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispatched<'a> {
    /// The event type; empty for the default one, `message`.
    pub event: &'a [u8],
    /// The data, its lines joined by LF.
    pub data: &'a [u8],
    /// The last event ID, if an `id` field came since the event before. An empty one resets the ID.
    pub id: Option<&'a [u8]>,
}

/// The parser: holds one unfinished line and one unfinished event, each of bounded size.
#[derive(Debug)]
pub struct Parser {
    max: usize,
    /// The unfinished line so far; only its beginning if it is too long.
    line: Vec<u8>,
    /// How long the unfinished line is so far.
    line_size: u64,
    /// The last byte was a CR: an LF right after it is part of the same line end.
    after_cr: bool,
    /// No line has ended yet, so that a byte order mark may come.
    at_start: bool,
    event: Vec<u8>,
    /// The data so far, each line with its LF, unless it is too long already.
    data: Vec<u8>,
    /// How much data there is so far.
    data_size: u64,
    /// The size of a line of this event that was too long.
    too_long: Option<u64>,
    id: Vec<u8>,
    /// Whether an `id` field came since the last event.
    has_id: bool,
}

impl Parser {
    /// Events have at most `max` bytes of data.
    pub fn new(max: usize) -> Parser {
        Parser {
            max,
            line: Vec::new(),
            line_size: 0,
            after_cr: false,
            at_start: true,
            event: Vec::new(),
            data: Vec::new(),
            data_size: 0,
            too_long: None,
            id: Vec::new(),
            has_id: false,
        }
    }

    /// Takes the next bytes and hands on each item that they complete.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Item<'_>)) {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = memchr2(b'\r', b'\n', bytes) else { return self.hold(bytes) };
            self.after_cr = bytes[end] == b'\r';
            let piece = &bytes[..end];
            bytes = &bytes[end + 1..];
            if self.line_size == 0 {
                self.line(piece, end as u64, &mut each);
            } else {
                self.hold(piece);
                let line = std::mem::take(&mut self.line);
                self.line(&line, self.line_size, &mut each);
                self.line = line;
                self.line.clear();
                self.line.shrink_to(KEPT);
                self.line_size = 0;
            }
        }
    }

    /// Whether a stream that ends here ends inside an event, which is then dropped.
    pub fn is_inside_event(&self) -> bool {
        let line = &self.line[self.bom(&self.line)..];
        self.data_size > 0 || field(line).is_some_and(|(name, _)| name == b"data")
    }

    /// The length of the byte order mark before this line, or 0.
    fn bom(&self, line: &[u8]) -> usize {
        if self.at_start && line.starts_with(BOM) { BOM.len() } else { 0 }
    }

    /// The longest line that is held as a whole.
    fn longest_line(&self) -> u64 {
        (self.max.max(LEAST_VALUE) + NAME) as u64
    }

    fn hold(&mut self, piece: &[u8]) {
        self.line_size += piece.len() as u64;
        if self.line_size <= self.longest_line() {
            self.line.extend_from_slice(piece);
        } else {
            // The kind of line is still known from its beginning.
            let missing = NAME.saturating_sub(self.line.len()).min(piece.len());
            self.line.extend_from_slice(&piece[..missing]);
            self.line.truncate(NAME);
            self.line.shrink_to(KEPT);
        }
    }

    /// Takes a line of `size` bytes, or the beginning of one that is too long.
    fn line(&mut self, line: &[u8], size: u64, each: &mut impl FnMut(Item<'_>)) {
        let start = self.bom(line);
        let (line, size) = (&line[start..], size - start as u64);
        self.at_start = false;
        if size == 0 {
            return self.dispatch(each);
        }
        let whole = size <= self.longest_line() && size == line.len() as u64;
        let line = if whole { line } else { &line[..line.len().min(NAME)] };
        let Some((name, value)) = field(line) else { return };
        let value_size = size - (line.len() - value.len()) as u64;
        match name {
            b"" if whole => each(Item::Comment(value)),
            b"data" => self.add_data(value, value_size),
            b"event" if whole => {
                self.event.clear();
                self.event.extend_from_slice(value);
            }
            b"id" if whole && memchr(0, value).is_none() => {
                self.id.clear();
                self.id.extend_from_slice(value);
                self.has_id = true;
            }
            b"event" | b"id" if !whole => self.too_long = Some(value_size),
            b"retry" if whole && !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
                each(Item::Retry(value.iter().fold(0, add)));
            }
            _ => {}
        }
    }

    fn add_data(&mut self, value: &[u8], size: u64) {
        self.data_size += size + 1;
        if self.data_size <= self.max as u64 + 1 {
            self.data.extend_from_slice(value);
            self.data.push(b'\n');
        } else {
            self.data = Vec::new();
        }
    }

    /// A blank line: the event is complete, if there is one.
    fn dispatch(&mut self, each: &mut impl FnMut(Item<'_>)) {
        let size = self.data_size.saturating_sub(1);
        let too_long = self.too_long.take().or((size > self.max as u64).then_some(size));
        if self.data_size > 0 {
            match too_long {
                Some(size) => each(Item::TooLong { size }),
                None => {
                    let id = std::mem::take(&mut self.has_id).then_some(self.id.as_slice());
                    each(Item::Event(Dispatched { event: &self.event, data: &self.data[..size as usize], id }));
                }
            }
        }
        self.event.clear();
        self.data.clear();
        self.data.shrink_to(KEPT);
        self.data_size = 0;
    }
}

/// A line's name and value; `None` if there is no colon, and the line is not a known name.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    match memchr(b':', line) {
        Some(colon) => {
            let value = &line[colon + 1..];
            Some((&line[..colon], value.strip_prefix(b" ").unwrap_or(value)))
        }
        None => matches!(line, b"data" | b"event" | b"id" | b"retry").then_some((line, b"")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::parse as oracle;
    use super::*;

    /// What came out, as a page sees it: event type, data and last event ID of each event, and everything else.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Seen {
        events: Vec<(String, String, String)>,
        retry: Option<u64>,
        comments: Vec<String>,
        too_long: Vec<u64>,
    }

    fn see(parser: &mut Parser, bytes: &[u8], step: usize) -> Seen {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (mut seen, mut last_id) = (Seen::default(), String::new());
        for piece in bytes.chunks(step.max(1)) {
            parser.push(piece, |item| match item {
                Item::Event(Dispatched { event, data, id }) => {
                    last_id = id.map_or(std::mem::take(&mut last_id), text);
                    let event = if event.is_empty() { "message".to_owned() } else { text(event) };
                    seen.events.push((event, text(data), last_id.clone()));
                }
                Item::TooLong { size } => seen.too_long.push(size),
                Item::Comment(comment) => seen.comments.push(text(comment)),
                Item::Retry(time) => seen.retry = Some(time),
            });
        }
        seen
    }

    /// The facts of web-platform-tests eventsource/format-*, each in a stream of our own: what a page gets.
    #[test]
    fn a_page_would_get_the_same() {
        type Events<'a> = &'a [(&'a str, &'a str, &'a str)];
        let long = "x".repeat(3000);
        let long_comment = format!("data: a\n\n:{long}\ndata: b\n\n");
        let cases: &[(&[u8], Events)] = &[
            // One byte order mark is removed from the beginning; a second one is part of an unknown name.
            (b"\xef\xbb\xbfdata: a\n\n", &[("message", "a", "")]),
            (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", &[("message", "b", "")]),
            (b"data: a\n\n\xef\xbb\xbfdata: b\n\ndata: c\n\n", &[("message", "a", ""), ("message", "c", "")]),
            // Comments, long ones and ones with a NUL too, are nothing, and end nothing.
            (long_comment.as_bytes(), &[("message", "a", ""), ("message", "b", "")]),
            (b"data: 1\n:\0\n:\r\ndata: 2\n:data: no\ndata: 3\n\n", &[("message", "1\n2\n3", "")]),
            // An empty name or value, and data without a colon: a line each, and an event of nothing but one.
            (
                b"data:\n\ndata\ndata\n\ndata:test\n\n",
                &[("message", "", ""), ("message", "\n", ""), ("message", "test", "")],
            ),
            // What the end of the stream cuts off is not an event, nor is a block without data.
            (b"data: a\n\nevent: x\nid: 1\ndata: b", &[("message", "a", "")]),
            (b"data: a\n\ndata: b\n", &[("message", "a", "")]),
            (b"event: x\n\ndata: a\n\n", &[("message", "a", "")]),
            // Names must match exactly: case, no blank before or after them, no NUL.
            (b"Data: a\n data: b\ndata : c\n\0data: d\nda\0ta: e\ndataa: f\ndata: g\n\n", &[("message", "g", "")]),
            (b"event: x\nEvent: y\nevent : z\ndata: a\n\n", &[("x", "a", "")]),
            // One blank after the colon goes, and no more; a tab stays.
            (b"data:a\ndata: b\ndata:  c\ndata:\td\ndata: : \n\n", &[("message", "a\nb\n c\n\td\n: ", "")]),
            // The three line ends, mixed; LF CR is two of them.
            (b"data: a\r\ndata: b\rdata: c\n\rdata: d\r\r", &[("message", "a\nb\nc", ""), ("message", "d", "")]),
            (b"data: a\rdata: b\n\r\r\n", &[("message", "a\nb", "")]),
            // The event type is the last one of its block, and forgotten with it; an empty one is the default.
            (
                b"event: x\ndata: a\n\ndata: b\n\nevent: y\nevent:\ndata: c\n\nevent: \xe2\x98\x83\ndata: d\n\n",
                &[("x", "a", ""), ("message", "b", ""), ("message", "c", ""), ("\u{2603}", "d", "")],
            ),
            // The ID stays until there is another, even in a block without data; an empty one resets it.
            (
                b"id: 1\ndata: a\n\ndata: b\n\nid: 2\n\ndata: c\n\nid\ndata: d\n\nid: \xe2\x80\xa6\ndata: e\n\n",
                &[
                    ("message", "a", "1"),
                    ("message", "b", "1"),
                    ("message", "c", "2"),
                    ("message", "d", ""),
                    ("message", "e", "\u{2026}"),
                ],
            ),
            // One with a NUL, wherever it is, changes nothing.
            (
                b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\nid: \x003\ndata: c\n\nid: \0\ndata: d\n\n",
                &[("message", "a", "1"), ("message", "b", "1"), ("message", "c", "1"), ("message", "d", "1")],
            ),
            // A NUL in data is a character like any other, and invalid UTF-8 is replaced.
            (b"data: a\0b\n\n", &[("message", "a\0b", "")]),
            (b"data: a\xffb\xf0\x9f\x98\n\n", &[("message", "a\u{fffd}b\u{fffd}", "")]),
        ];
        for (stream, want) in cases {
            for step in [1, 2, 3, 7, stream.len()] {
                let seen = see(&mut Parser::new(4000), stream, step);
                let got: Vec<_> = seen.events.iter().map(|(e, d, i)| (e.as_str(), d.as_str(), i.as_str())).collect();
                assert_eq!(got, *want, "{:?} in steps of {step}", stream.escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn a_reconnection_time_is_digits_and_nothing_else() {
        for (line, want) in [
            ("retry: 3000", Some(3000)),
            ("retry:3000", Some(3000)),
            ("retry: 0", Some(0)),
            ("retry: 03000", Some(3000)),
            ("retry: 99999999999999999999999", Some(u64::MAX)),
            ("retry", None),
            ("retry:", None),
            ("retry:  3000", None),
            ("retry: 3000 ", None),
            ("retry: 3000x", None),
            ("retry: +3000", None),
            ("retry: 3.5", None),
            ("retry: 0x10", None),
            ("retry: \u{663}", None),
        ] {
            let seen = see(&mut Parser::new(100), format!("{line}\ndata: a\n\n").as_bytes(), 1000);
            assert_eq!((seen.retry, seen.events.len()), (want, 1), "{line:?}");
        }
    }

    #[test]
    fn every_short_stream_is_read_as_the_standard_has_it_however_it_is_cut() {
        let parts = ["data", "id", "event", ":", " ", "\r", "\n", "x", "\0", "\u{feff}"];
        let (mut count, mut dispatched) = (0, 0);
        for len in 0..=5 {
            for n in 0..parts.len().pow(len) {
                // Each begins inside a block, so that short ones end events too.
                let tail: String = (0..len).map(|nth| parts[n / parts.len().pow(nth) % parts.len()]).collect();
                for stream in [tail.clone(), format!("id:1\ndata\n{tail}\n\ndata\n\n")] {
                    let end = stream.rfind(['\r', '\n']).map_or(0, |at| at + 1); // the oracle reads whole lines
                    let want = oracle(&stream[..end]);
                    for step in [1, 2, stream.len()] {
                        let mut parser = Parser::new(100);
                        let got = see(&mut parser, stream.as_bytes(), step).events;
                        assert_eq!(got, want, "{stream:?} in steps of {step}");
                    }
                    count += 1;
                    dispatched += want.len();
                }
            }
        }
        assert!(count > 200_000 && dispatched > 200_000, "{count} streams, {dispatched} events");
    }

    #[test]
    fn what_is_too_long_is_skipped_and_never_held() {
        let long = "x".repeat(50_000);
        let stream = format!(
            "data: {long}\n\ndata: a\n\n:{long}\nunknown: {long}\n{long}\ndata: b\n\nid: 1\ndata: {}\n\ndata: c\n\n\
             event: {long}\ndata: d\n\nid: {long}\ndata: e\n\nevent: {long}\n\ndata: f\n\n",
            "y\ndata: ".repeat(2000),
        );
        for step in [1, 100, 4096, stream.len()] {
            let mut parser = Parser::new(1000);
            let seen = see(&mut parser, stream.as_bytes(), step);
            let data: Vec<_> = seen.events.iter().map(|(_, data, id)| (data.as_str(), id.as_str())).collect();
            assert_eq!(data, [("a", ""), ("b", ""), ("c", "1"), ("f", "1")], "in steps of {step}");
            assert_eq!(seen.too_long, [50_000, 4000, 50_000, 50_000], "in steps of {step}");
            assert_eq!(seen.comments, [""; 0], "in steps of {step}");
        }
        for beginning in ["data: ", "", ":", "data: x\ndata: "] {
            let mut parser = Parser::new(1000);
            parser.push(beginning.as_bytes(), |item| panic!("{item:?}"));
            for _ in 0..10_000 {
                parser.push(&[b'x'; 1000], |item| panic!("{item:?}"));
                let held = parser.line.capacity() + parser.data.capacity();
                assert!(held <= 64 * 1024, "holds {held} bytes");
            }
            let sizes = see(&mut parser, b"\n\ndata: ok\n\n", 100);
            assert_eq!(sizes.events.len(), 1, "after {beginning:?}");
            assert_eq!(sizes.too_long.len(), usize::from(beginning.starts_with("data")), "after {beginning:?}");
        }
    }

    #[test]
    fn exactly_the_longest_is_sent() {
        for (data, too_long) in [("abc", false), ("a\ndata: b", false), ("abcd", true), ("a\ndata: bc", true)] {
            let seen = see(&mut Parser::new(3), format!("data: {data}\n\n").as_bytes(), 2);
            assert_eq!(seen.too_long.len(), usize::from(too_long), "{data:?}");
        }
        let long = "x".repeat(2 * LEAST_VALUE);
        let seen = see(&mut Parser::new(long.len()), format!("data: {long}\n\n").as_bytes(), 1000);
        assert!(seen.events == [("message".to_owned(), long, String::new())], "its line came in pieces");
    }

    #[test]
    fn comments_are_handed_on_without_one_blank_before_them() {
        let stream = b":\n: a\n:  b \ndata: c\n:d:e\n\n";
        for step in [1, stream.len()] {
            let seen = see(&mut Parser::new(100), stream, step);
            assert_eq!((seen.comments, seen.events.len()), (["", "a", " b ", "d:e"].map(str::to_owned).to_vec(), 1));
        }
    }

    #[test]
    fn knows_whether_an_event_is_cut_off() {
        for (stream, inside) in [
            ("", false),
            ("data: a\n\n", false),
            ("data: a\n", true),
            ("data: a", true),
            ("data", true),
            ("\u{feff}data: a", true),
            ("data: a\n\n\u{feff}data: b", false),
            ("retry: 1000\n", false),
            ("event: x\nid: 1\n", false),
            (": 3 events", false),
            ("database: x", false),
        ] {
            let mut parser = Parser::new(100);
            parser.push(stream.as_bytes(), |_| {});
            assert_eq!(parser.is_inside_event(), inside, "{stream:?}");
        }
    }
}
