//! Noticing that standard input is not what the options say, and what would help. Pure: bytes in, a hint out. It never
//! changes the stream.

use serde::de::IgnoredAny;

/// This many of the first bytes are looked at to recognise an encoding.
const FIRST: usize = 64;
/// Fewer bytes don't show an encoding, unless they have a byte order mark.
const LEAST: usize = 8;
/// After this many lines that mean nothing in an event stream, and none that means something, it isn't one.
const LINES: u32 = 3;
/// No more than this is read of a line.
const LINE: usize = 1024;

/// The name by which `iconv` knows the encoding of an input with these first bytes, if that is UTF-16: it has a byte
/// order mark, or every second byte is NUL.
fn utf_16(first: &[u8]) -> Option<&'static str> {
    if first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff") {
        return Some("utf-16");
    }
    let first = &first[..first.len().min(FIRST)];
    let nul_at = |parity: usize| first.iter().enumerate().all(|(at, &byte)| (byte == 0) == (at % 2 == parity));
    match first.len() {
        ..LEAST => None,
        _ if nul_at(1) => Some("utf-16le"),
        _ if nul_at(0) => Some("utf-16be"),
        _ => None,
    }
}

/// The beginning of the input, until it is clear whether it is UTF-16.
#[derive(Debug, Default)]
pub struct Encoding {
    first: Vec<u8>,
    decided: bool,
}

impl Encoding {
    /// Takes what was read next. Returns a hint, once, if the input is UTF-16.
    pub fn read(&mut self, bytes: &[u8]) -> Option<String> {
        if self.decided {
            return None;
        }
        self.first.extend_from_slice(&bytes[..bytes.len().min(FIRST - self.first.len())]);
        let name = utf_16(&self.first);
        self.decided = name.is_some() || self.first.len() >= LEAST;
        let hint = |name| format!("standard input is UTF-16, not UTF-8; put iconv -f {name} -t utf-8 before sse-pipe");
        name.map(hint)
    }
}

/// The first lines of what should be an event stream, until it is clear whether it is one.
#[derive(Debug, Default)]
pub struct EventStreamLines {
    /// The current line, or the beginning of it that is looked at.
    line: Vec<u8>,
    /// How many lines so far mean nothing in an event stream.
    foreign: u32,
    /// What the first of them looks like.
    looks: Option<Looks>,
    decided: bool,
}

/// What a line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    Json,
    JsonOverLines,
    Text,
}

impl EventStreamLines {
    /// Takes what was read next. Returns a hint, once, if it is not an event stream.
    pub fn read(&mut self, mut bytes: &[u8]) -> Option<String> {
        while !self.decided && self.foreign < LINES && !bytes.is_empty() {
            let end = memchr::memchr2(b'\r', b'\n', bytes);
            let piece = &bytes[..end.unwrap_or(bytes.len())];
            self.line.extend_from_slice(&piece[..piece.len().min(LINE - self.line.len())]);
            bytes = &bytes[end.map_or(bytes.len(), |end| end + 1)..];
            if end.is_some() {
                self.end_of_line();
            }
        }
        self.hint(LINES)
    }

    /// The input is over. Returns a hint if it was not an event stream, however few lines it had.
    pub fn finish(&mut self) -> Option<String> {
        self.end_of_line();
        self.hint(1)
    }

    fn end_of_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let is_first = self.foreign == 0;
        let bom = if is_first && line.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let line = &line[bom..];
        if line.trim_ascii().is_empty() {
            return;
        }
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        let means_something = matches!(name, b"" | b"data" | b"event" | b"id" | b"retry");
        // The head of a response (curl -i) means nothing and is harmless. UTF-16 has its own hint.
        self.decided |= means_something || is_first && (line.starts_with(b"HTTP/") || utf_16(line).is_some());
        self.foreign += 1;
        self.looks.get_or_insert_with(|| look(line));
    }

    fn hint(&mut self, least: u32) -> Option<String> {
        if self.decided || self.foreign < least {
            return None;
        }
        self.decided = true;
        let (looks, helps) = match self.looks? {
            Looks::Json => ("JSON lines", "--format lines sends each as an event"),
            Looks::JsonOverLines => ("JSON over several lines", "--format json sends each JSON text as an event"),
            Looks::Text => ("plain lines", "--format lines sends each as an event"),
        };
        Some(format!("standard input is not an event stream, it looks like {looks}; {helps}"))
    }
}

fn look(line: &[u8]) -> Looks {
    let text = line.strip_prefix(b"\x1e").unwrap_or(line).trim_ascii();
    match text {
        [b'{', .., b'}'] | [b'[', .., b']'] => Looks::Json,
        [b'{' | b'[', ..] if line.len() == LINE => Looks::Json, // its end was not looked at
        [b'{' | b'['] | [b'{' | b'[', .., b',' | b'{' | b'['] => Looks::JsonOverLines,
        _ => Looks::Text,
    }
}

/// Records that should be JSON and are not, until two of them in a row turn out to be lines of one JSON text.
#[derive(Debug, Default)]
pub struct JsonOverLines {
    /// The record before, if it was the beginning of a JSON text and nothing else.
    beginning: Option<String>,
    decided: bool,
}

impl JsonOverLines {
    /// The next record is JSON.
    pub fn is_json(&mut self) {
        self.beginning = None;
    }

    /// The next record is not JSON. Returns a hint, once, if it continues the one before.
    pub fn is_not_json(&mut self, record: &str) -> Option<&'static str> {
        let before = self.beginning.take();
        if self.decided || record.len() > LINE {
            return None;
        }
        let judge = |text: &str| serde_json::from_str::<IgnoredAny>(text).map_err(|error| error.is_eof());
        self.decided = before.is_some_and(|before| judge(&format!("{before}\n{record}")) != Err(false));
        if self.decided {
            return Some("records are the lines of one JSON text; --format json takes JSON texts over several lines");
        }
        let begins = record.trim_ascii_start().starts_with(['{', '[']) && judge(record) == Err(true);
        self.beginning = begins.then(|| record.to_owned());
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hints that an input of these bytes gets, whole and byte by byte, which must come to the same.
    fn hints(input: &[u8], of: impl Fn(&[&[u8]]) -> Vec<String>) -> Vec<String> {
        let whole = of(&[input]);
        assert_eq!(of(&input.chunks(1).collect::<Vec<_>>()), whole, "byte by byte: {}", input.escape_ascii());
        whole
    }

    fn encoding(input: &[u8]) -> Vec<String> {
        hints(input, |pieces| {
            let mut encoding = Encoding::default();
            pieces.iter().filter_map(|piece| encoding.read(piece)).collect()
        })
    }

    fn event_stream(input: &[u8]) -> Vec<String> {
        hints(input, |pieces| {
            let mut lines = EventStreamLines::default();
            let mut hints: Vec<_> = pieces.iter().filter_map(|piece| lines.read(piece)).collect();
            hints.extend(lines.finish());
            hints
        })
    }

    fn json(input: &str) -> Vec<&'static str> {
        let mut json = JsonOverLines::default();
        let record = |line: &str| match serde_json::from_str::<IgnoredAny>(line) {
            Ok(_) => {
                json.is_json();
                None
            }
            Err(_) => json.is_not_json(line),
        };
        input.lines().filter_map(record).collect()
    }

    fn utf_16_of(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn utf_16_is_recognised_and_how_to_make_utf_8_of_it_is_said() {
        for (input, name) in [
            (utf_16_of("\u{feff}time,temp\r\n", u16::to_le_bytes), "utf-16"),
            (utf_16_of("\u{feff}x", u16::to_be_bytes), "utf-16"),
            (utf_16_of("\u{feff}日本語", u16::to_le_bytes), "utf-16"),
            (utf_16_of("time,temp\r\n", u16::to_le_bytes), "utf-16le"),
            (utf_16_of("{\"a\":1}\n", u16::to_be_bytes), "utf-16be"),
            (utf_16_of(&"x".repeat(1000), u16::to_le_bytes), "utf-16le"),
        ] {
            let hints = encoding(&input);
            assert!(hints.len() == 1 && hints[0].contains(&format!("iconv -f {name} -t utf-8 ")), "{hints:?}");
            assert_eq!(event_stream(&input), [""; 0], "which has nothing to add");
        }
        for input in [
            &b""[..],
            b"a",
            b"a\0b",
            b"x\n\0\na\r\nb\n\0\n",
            b"\0\0\0\0\0\0\0\0\0\0",
            b"a\0b\0c\0\0d\0e\0f\0",
            b"\xef\xbb\xbfa,b\n",
            b"\xff\xd8\xff\xe0\0\x10JFIF",
            "grün und blau".as_bytes(),
        ] {
            assert_eq!(encoding(input), [""; 0], "{}", input.escape_ascii());
        }
    }

    #[test]
    fn what_is_not_an_event_stream_is_reported_with_what_it_looks_like_and_what_reads_it() {
        for (input, looks, helps) in [
            ("{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n", "like JSON lines", "--format lines"),
            ("{\"a\":1}", "like JSON lines", "--format lines"),
            ("\u{feff}\u{1e}{\"a\":1}\r\n", "like JSON lines", "--format lines"),
            (&format!("{{\"a\":[{}1]}}\n", "1,".repeat(1000)), "like JSON lines", "--format lines"),
            ("{\n  \"a\": 1\n}\n", "like JSON over several lines", "--format json"),
            ("{ \"now\" : 1,\n  \"messages\" : 2 }\n", "like JSON over several lines", "--format json"),
            ("[\n", "like JSON over several lines", "--format json"),
            ("\n\none line\n", "like plain lines", "--format lines"),
            ("P: 12.31\nP: 12.35\nP: 12.29\nP: 12.3\n", "like plain lines", "--format lines"),
            ("10%\r20%\r30%\r", "like plain lines", "--format lines"),
            ("[12.3] usb: device\n", "like plain lines", "--format lines"),
        ] {
            let hints = event_stream(input.as_bytes());
            assert!(hints.len() == 1 && hints[0].contains(looks) && hints[0].contains(helps), "{input:?}: {hints:?}");
        }
        for input in [
            "",
            "\n\n\r\n",
            ":\n",
            "retry: 1000\n",
            "data: {\"a\":1}\n\n",
            "data\n\n",
            "\u{feff}data: a\n\n",
            "unknown: a\nunknown: b\ndata: c\n\nplain\nplain\nplain\n",
            "HTTP/1.1 200 OK\r\nDate: now\r\nServer: x\r\nVary: Accept\r\n\r\ndata: a\n\n",
        ] {
            assert_eq!(event_stream(input.as_bytes()), [""; 0], "{input:?}");
        }
    }

    #[test]
    fn json_over_several_lines_is_recognised_by_two_of_them() {
        for input in [
            "{\n  \"a\": 1\n}\n",
            "a heading\n{\"a\":1}\n{ \"now\" : 1,\n  \"messages\" : 2 }\n",
            "[{\n\"a\": [\n1,\n2\n]}]\n",
        ] {
            assert_eq!(json(input).len(), 1, "{input:?}");
        }
        for input in [
            "{\"a\":1}\n{\"a\":2}\n",
            "{\"a\":1,\"b\":\"cut\n{\"a\":1,\"b\":\"cut\n",
            "{\"a\":1,\"b\":2\n{\"a\":1,\"b\":2\n",
            "{\"a\":NaN}\n{\"a\":NaN}\n",
            "type=x\ntype=y\n",
            "[info] a\n[info] b\n",
            "{\n{\"a\":1}\n  \"a\": 1\n",
            "\n\n",
        ] {
            assert_eq!(json(input), [""; 0], "{input:?}");
        }
        let long = format!("{}\n{}\n", "[".repeat(LINE + 1), "[".repeat(LINE + 1));
        assert_eq!(json(&long), [""; 0], "it costs no more than a short line");
    }
}
