//! Events as they are in an event stream (WHATWG HTML § 9.2, Server-sent events).
//!
//! An event becomes the fields `event`, `data`, `id`, in this order, and a blank line. Each line ends with a single LF
//! and has one space after the colon. `id` comes last because some clients store it as soon as they read its line: an
//! event that is cut in the middle must not count as received.

use memchr::{memchr2, memchr2_iter, memrchr};

/// A text that fits on one line of an event stream: no CR, no LF. As an `event` field it is the event type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldValue(String);

impl FieldValue {
    /// `None` if `text` is empty (an empty event type means none) or has a line end in it.
    pub fn new(text: &str) -> Option<FieldValue> {
        (!text.is_empty() && memchr2(b'\r', b'\n', text.as_bytes()).is_none()).then(|| FieldValue(text.to_owned()))
    }
}

/// One event, ready to be written.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The event type; `None` is the default one, `message`.
    pub event: Option<&'a FieldValue>,
    /// The data.
    pub data: Data<'a>,
    /// The last event ID from here on, as text without CR, LF and NUL.
    pub id: Option<&'a str>,
}

/// The data of an event: UTF-8 of any length.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// It has no line break: one `data` field, which need not be searched.
    Line(&'a [u8]),
    /// It may have line breaks of every kind: each line becomes a `data` field.
    Text(&'a [u8]),
    /// It is written as `data` fields already, by [`write_data`].
    Fields(&'a [u8]),
}

impl Event<'_> {
    /// How many bytes [`Event::write`] appends.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        let event = self.event.map_or(0, |event| field_len("event", event.0.len()));
        let id = self.id.map_or(0, |id| field_len("id", id.len()));
        let data = match self.data {
            Data::Line(line) => field_len("data", line.len()),
            Data::Text(text) => {
                let (lines, text) = measure(text);
                lines * field_len("data", 0) + text
            }
            Data::Fields(fields) => fields.len(),
        };
        event + data + id + 1
    }

    /// Appends the event's fields and the blank line that dispatches it.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>) {
        if let Some(event) = self.event {
            write_field(out, "event", event.0.as_bytes());
        }
        match self.data {
            Data::Line(line) => write_field(out, "data", line),
            Data::Text(text) => write_data(out, text, |line, out| out.extend_from_slice(line)),
            Data::Fields(fields) => out.extend_from_slice(fields),
        }
        if let Some(id) = self.id {
            write_field(out, "id", id.as_bytes());
        }
        out.push(b'\n');
    }
}

/// Where the data begins in an event of this type whose data is a single line.
pub fn line_start(event: Option<&FieldValue>) -> usize {
    event.map_or(0, |event| field_len("event", event.0.len())) + "data: ".len()
}

/// Appends a `data` field for each line of `data`; `write_line` appends the line itself.
#[inline]
pub fn write_data(out: &mut Vec<u8>, mut data: &[u8], write_line: impl Fn(&[u8], &mut Vec<u8>)) {
    loop {
        let end = memchr2(b'\r', b'\n', data);
        out.extend_from_slice(b"data: ");
        write_line(&data[..end.unwrap_or(data.len())], out);
        out.push(b'\n');
        let Some(end) = end else { return };
        data = &data[end + line_end_len(data, end)..];
    }
}

/// The ID of an event as [`Event::write`] writes it.
pub fn id(event: &[u8]) -> Option<&str> {
    let fields = event.strip_suffix(b"\n\n")?;
    let last = memrchr(b'\n', fields).map_or(0, |end| end + 1); // `id` comes last
    std::str::from_utf8(fields[last..].strip_prefix(b"id: ")?).ok()
}

/// Appends a comment line (`: text`), which no client dispatches. Line ends in `text` become blanks.
pub fn write_comment(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b": ");
    out.extend(text.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    out.push(b'\n');
}

/// The length of the comment line that [`write_comment`] appends for a text of `text` bytes.
pub fn comment_len(text: usize) -> usize {
    text + 3
}

fn field_len(name: &str, value: usize) -> usize {
    name.len() + 2 + value + 1
}

#[inline]
fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// The number of lines in `data` (at least one) and the bytes without the line ends.
fn measure(data: &[u8]) -> (usize, usize) {
    let (mut lines, mut text, mut after_cr) = (1, data.len(), None);
    for at in memchr2_iter(b'\r', b'\n', data) {
        text -= 1;
        if data[at] == b'\n' && after_cr == Some(at) {
            continue; // the LF of a CRLF, which has been counted with its CR
        }
        lines += 1;
        after_cr = (data[at] == b'\r').then_some(at + 1);
    }
    (lines, text)
}

fn line_end_len(data: &[u8], at: usize) -> usize {
    if data[at..].starts_with(b"\r\n") { 2 } else { 1 }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The oracle: an event-stream parser straight from WHATWG HTML § 9.2.6, slow and plain.
    /// Returns (type, data, last event ID) of each event that it would dispatch.
    pub fn parse(stream: &str) -> Vec<(String, String, String)> {
        let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
        let mut lines = vec![String::new()];
        let mut ended = false;
        let mut chars = stream.chars().peekable();
        while let Some(char) = chars.next() {
            ended = char == '\r' || char == '\n';
            if char == '\r' && chars.peek() == Some(&'\n') {
                chars.next();
            }
            if ended {
                lines.push(String::new());
            } else {
                lines.last_mut().expect("starts with one line").push(char);
            }
        }
        assert!(ended || stream.is_empty(), "the stream stops inside a line: {stream:?}");
        lines.pop();
        let (mut events, mut last_id) = (Vec::new(), String::new());
        let (mut event, mut data) = (String::new(), String::new());
        for line in lines {
            if line.is_empty() {
                if !data.is_empty() {
                    data.pop();
                    let name = if event.is_empty() { "message".to_owned() } else { event.clone() };
                    events.push((name, data.clone(), last_id.clone()));
                }
                (event, data) = (String::new(), String::new());
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "event" => event = value.to_owned(),
                "data" => data.extend([value, "\n"]),
                "id" if !value.contains('\0') => last_id = value.to_owned(),
                _ => {}
            }
        }
        events
    }

    fn written(event: &Event) -> String {
        let mut out = Vec::new();
        event.write(&mut out);
        assert_eq!(out.len(), event.encoded_len(), "{event:?}");
        String::from_utf8(out).expect("text in, text out")
    }

    /// Every string of up to `most` characters of the alphabet.
    fn all_strings(alphabet: &[char], most: usize, each: &mut impl FnMut(&str)) {
        fn go(alphabet: &[char], left: usize, text: &mut String, each: &mut impl FnMut(&str)) {
            each(text);
            if left > 0 {
                for &char in alphabet {
                    text.push(char);
                    go(alphabet, left - 1, text, each);
                    text.pop();
                }
            }
        }
        go(alphabet, most, &mut String::new(), each);
    }

    #[test]
    fn writes_the_bytes_of_the_behaviour_document() {
        let greeting = FieldValue::new("greeting");
        for (event, data, id, want) in [
            (None, "hello", None, "data: hello\n\n"),
            (greeting.as_ref(), "hello", Some("r-1"), "event: greeting\ndata: hello\nid: r-1\n\n"),
            (None, "", None, "data: \n\n"),
            (None, " a", None, "data:  a\n\n"),
            (None, "a\nb\rc\r\nd\n", Some("r-2"), "data: a\ndata: b\ndata: c\ndata: d\ndata: \nid: r-2\n\n"),
        ] {
            assert_eq!(written(&Event { event, data: Data::Text(data.as_bytes()), id }), want);
            assert_eq!(super::id(want.as_bytes()), id);
        }
        assert_eq!(super::id(b"data: a\ndata: id: 1\n\n"), None);
        assert_eq!(super::id(b": id: 1\n"), None);
    }

    #[test]
    fn a_browser_reads_back_what_was_written_for_every_short_string() {
        let alphabet = ['a', ':', ' ', '\r', '\n', '\0', 'é', '\u{2028}'];
        let mut count = 0;
        all_strings(&alphabet, 6, &mut |data| {
            // The text once CR, LF and CRLF are no longer distinguished.
            let want = data.replace("\r\n", "\n").replace('\r', "\n");
            let got = parse(&written(&Event { event: None, data: Data::Text(data.as_bytes()), id: Some("r-1") }));
            assert_eq!(got, [("message".to_owned(), want, "r-1".to_owned())], "data {data:?}");
            count += 1;
        });
        assert_eq!(count, (0..=6).map(|n| 8usize.pow(n)).sum::<usize>());
    }

    #[test]
    fn event_types_come_back_as_they_were() {
        all_strings(&['a', ':', ' ', '\r', '\n', '\0', 'é'], 4, &mut |name| match FieldValue::new(name) {
            None => assert!(name.is_empty() || name.contains(['\r', '\n']), "{name:?} was refused"),
            Some(event) => {
                let got = parse(&written(&Event { event: Some(&event), data: Data::Line(b"d"), id: None }));
                assert_eq!(got, [(name.to_owned(), "d".to_owned(), String::new())]);
            }
        });
    }

    #[test]
    fn comments_are_never_dispatched_and_keep_to_their_line() {
        let mut out = Vec::new();
        write_comment(&mut out, "3 events missed\r\ndata: forged");
        assert_eq!(out, b": 3 events missed  data: forged\n");
        assert_eq!(out.len(), comment_len("3 events missed\r\ndata: forged".len()));
        Event { event: None, data: Data::Line(b"x"), id: None }.write(&mut out);
        let stream = String::from_utf8(out).expect("text");
        assert_eq!(parse(&stream), [("message".to_owned(), "x".to_owned(), String::new())]);
    }
}
