//! Splitting a sequence of JSON texts (RFC 8259), however they are laid out: over several lines, one directly after the
//! other, separated by whitespace or by RS (RFC 7464, and GeoJSON in RFC 8142). Each is a record, without the
//! whitespace between its tokens, and otherwise as it was written.
//!
//! A text is checked byte by byte as it arrives. So it is complete with its last byte, and an error is noticed at the
//! byte where it stops being JSON. No tree is built, and nothing recurses: nesting takes a bit for each level.

use super::records::Record;
use memchr::memchr2;

/// It is before each text of a JSON text sequence (RFC 7464 § 2.2), and never inside a text.
const RS: u8 = 0x1e;
/// The byte order mark, which may be before a text.
const BOM: &[u8] = b"\xef\xbb\xbf";
/// The memory of a long text is freed beyond this size.
const HELD_KEPT: usize = 64 * 1024;

/// Splits a stream of bytes into JSON texts; holds no more than one unfinished text of the longest length.
#[derive(Debug)]
pub struct JsonTexts {
    max: usize,
    state: State,
    /// The open arrays and objects of the current text.
    levels: Levels,
    /// The part of the current text from earlier reads, unless it is already too long.
    held: Vec<u8>,
    /// How long it is so far.
    size: u64,
    /// Whether RS is before it.
    after_rs: bool,
    /// The line in which it begins.
    begin: u64,
    /// Bytes read before, lines that ended in them, and where the last line began.
    offset: u64,
    lines: u64,
    line_start: u64,
}

/// What was read last, and so what may come next.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing of a text, and this many bytes of a byte order mark.
    Between(usize),
    /// `[`, so a value or `]`.
    Array,
    /// `{`, so a name or `}`.
    Object,
    /// `,` in an object.
    Name,
    /// A name.
    Colon,
    /// `,` in an array, or a colon.
    Value,
    /// A value in an array or object.
    Comma,
    /// Part of a string, which may be a name.
    String(Within, Role),
    /// Part of a number.
    Number(Number),
    /// Part of `true`, `false` or `null`; this is the rest.
    Literal(&'static [u8]),
    /// Something that is not JSON, from there to the end of the line.
    Skip(Resume),
    /// The same, and the end of the line.
    LineStart(Resume),
}

#[derive(Clone, Copy, Debug)]
enum Role {
    Name,
    Value,
}

#[derive(Clone, Copy, Debug)]
enum Within {
    Text,
    /// A backslash.
    Escape,
    /// `\u`, and this many digits are still missing.
    Hex(u8),
}

/// The parts of a number (RFC 8259 § 6), by what was read last.
#[derive(Clone, Copy, Debug)]
enum Number {
    Minus,
    Zero,
    Int,
    Point,
    Frac,
    Exp,
    ExpSign,
    ExpDigits,
}

/// Where the next text is looked for after something that is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resume {
    /// It was outside arrays and objects: in the next line.
    AnyLine,
    /// It was in an array or object that began in the same line: in the next line that does not look like the rest of
    /// it.
    NextText,
    /// It was in one that began in an earlier line: in the next line that begins with an array or object.
    NextStructure,
}

/// Whether each level is an object: a stack of bits.
#[derive(Debug, Default)]
struct Levels {
    depth: usize,
    bits: Vec<u64>,
}

impl Levels {
    fn push(&mut self, is_object: bool) {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.bits.len() {
            self.bits.push(0);
        }
        self.bits[word] = self.bits[word] & !(1 << bit) | u64::from(is_object) << bit;
        self.depth += 1;
    }

    fn is_object(&self) -> bool {
        let Some(top) = self.depth.checked_sub(1) else { return false };
        self.bits[top / 64] >> (top % 64) & 1 == 1
    }

    fn clear(&mut self) {
        self.depth = 0;
        self.bits.shrink_to(HELD_KEPT / 8);
        self.bits.clear();
    }
}

/// What a byte of a text does.
enum Step {
    /// It belongs to the text.
    Goes(State),
    /// It is the last byte of a value.
    Ends,
    /// It comes after the last byte of a value.
    Ended,
    /// It can't be there.
    Not,
}

impl JsonTexts {
    /// Texts have at most `max` bytes, not counting the whitespace between tokens.
    pub fn new(max: usize) -> JsonTexts {
        JsonTexts {
            max,
            state: State::Between(0),
            levels: Levels::default(),
            held: Vec::new(),
            size: 0,
            after_rs: false,
            begin: 0,
            offset: 0,
            lines: 0,
            line_start: 0,
        }
    }

    /// Takes the next bytes and hands on the texts that they complete, and what is not JSON.
    // Long because it is a state machine: a `match` with an arm for each state.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Record<'_>)) {
        // The current text is what is held, and the bytes from `run` to `at`.
        let (mut at, mut run) = (0, 0);
        while let Some(&byte) = bytes.get(at) {
            let step = match self.state {
                State::Between(mark) => {
                    match byte {
                        _ if byte == BOM[mark] => self.state = State::Between((mark + 1) % BOM.len()),
                        _ if mark > 0 => {
                            self.fail(byte, at, &mut each);
                            continue;
                        }
                        b'\n' => self.end_line(at),
                        b' ' | b'\t' | b'\r' => {}
                        RS => self.after_rs = true,
                        _ => {
                            (run, self.begin) = (at, self.lines);
                            match self.value(byte) {
                                Step::Goes(state) => self.state = state,
                                _ => {
                                    self.fail(byte, at, &mut each);
                                    continue;
                                }
                            }
                        }
                    }
                    at += 1;
                    continue;
                }
                State::Skip(resume) => {
                    let Some(end) = memchr2(b'\n', RS, &bytes[at..]) else {
                        at = bytes.len();
                        continue;
                    };
                    at += end;
                    self.state = State::Between(0);
                    if bytes[at] == b'\n' {
                        self.end_line(at);
                        at += 1;
                        if resume != Resume::AnyLine {
                            self.state = State::LineStart(resume);
                        }
                    }
                    continue;
                }
                State::LineStart(resume) => {
                    self.state = match byte {
                        b'{' | b'[' | RS => State::Between(0),
                        b' ' | b'\t' | b'\r' | b'\n' | b'}' | b']' | b',' | b':' => State::Skip(resume),
                        _ if resume == Resume::NextText => State::Between(0),
                        _ => State::Skip(resume),
                    };
                    continue;
                }
                State::String(Within::Text, role) => {
                    let special = |&byte: &u8| byte == b'"' || byte == b'\\' || byte < b' ';
                    at += bytes[at..].iter().position(special).unwrap_or(bytes.len() - at);
                    match (bytes.get(at), role) {
                        (None, _) => continue,
                        (Some(b'"'), Role::Name) => Step::Goes(State::Colon),
                        (Some(b'"'), Role::Value) => Step::Ends,
                        (Some(b'\\'), _) => Step::Goes(State::String(Within::Escape, role)),
                        _ => Step::Not,
                    }
                }
                State::String(Within::Escape, role) => match byte {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                        Step::Goes(State::String(Within::Text, role))
                    }
                    b'u' => Step::Goes(State::String(Within::Hex(4), role)),
                    _ => Step::Not,
                },
                State::String(Within::Hex(missing), role) => match (byte.is_ascii_hexdigit(), missing) {
                    (true, 1) => Step::Goes(State::String(Within::Text, role)),
                    (true, _) => Step::Goes(State::String(Within::Hex(missing - 1), role)),
                    (false, _) => Step::Not,
                },
                State::Number(number) => number.step(byte),
                State::Literal([]) => Step::Ended,
                State::Literal([next, rest @ ..]) if byte == *next => Step::Goes(State::Literal(rest)),
                State::Literal(_) => Step::Not,
                // Whitespace is allowed only here.
                _ if matches!(byte, b' ' | b'\n' | b'\t' | b'\r') => {
                    self.hold(&bytes[run..at]);
                    while let Some(byte) = bytes.get(at) {
                        match byte {
                            b' ' | b'\t' | b'\r' => {}
                            b'\n' => self.end_line(at),
                            _ => break,
                        }
                        at += 1;
                    }
                    run = at;
                    continue;
                }
                State::Array if byte == b']' => Step::Ends,
                State::Array | State::Value => self.value(byte),
                State::Object if byte == b'}' => Step::Ends,
                State::Object | State::Name if byte == b'"' => Step::Goes(State::String(Within::Text, Role::Name)),
                State::Object | State::Name => Step::Not,
                State::Colon => {
                    if byte == b':' {
                        Step::Goes(State::Value)
                    } else {
                        Step::Not
                    }
                }
                State::Comma => match (byte, self.levels.is_object()) {
                    (b',', true) => Step::Goes(State::Name),
                    (b',', false) => Step::Goes(State::Value),
                    (b'}', true) | (b']', false) => Step::Ends,
                    _ => Step::Not,
                },
            };
            // The end of an array or object is the end of a level; that of a string or number isn't.
            let closes = matches!(self.state, State::Array | State::Object | State::Comma);
            match step {
                Step::Goes(state) => {
                    self.state = state;
                    at += 1;
                    if self.levels.depth > self.max {
                        // It is too long, because each level has a byte. To find its end would take more memory.
                        self.hold(&bytes[run..at]);
                        each(Record::TooLong { size: self.size });
                        self.skip();
                    }
                }
                Step::Ends => {
                    at += 1;
                    self.levels.depth -= usize::from(closes);
                    self.state = State::Comma;
                    if self.levels.depth == 0 {
                        self.complete(&bytes[run..at], &mut each);
                    }
                }
                Step::Ended if self.levels.depth > 0 => self.state = State::Comma,
                // A number that is cut off still looks like a number (RFC 7464 § 2.4).
                Step::Ended if delimits(byte, self.after_rs) => self.complete(&bytes[run..at], &mut each),
                Step::Ended | Step::Not => self.fail(byte, at, &mut each),
            }
        }
        if !matches!(self.state, State::Between(_) | State::Skip(_) | State::LineStart(_)) {
            self.hold(&bytes[run..]);
        }
        self.offset += bytes.len() as u64;
    }

    /// The input is over.
    pub fn finish(&mut self, mut each: impl FnMut(Record<'_>)) {
        let is_whole = match self.state {
            State::Number(number) => matches!(number.step(b' '), Step::Ended),
            State::Literal(rest) => rest.is_empty(),
            _ => false,
        };
        if is_whole && self.levels.depth == 0 && !self.after_rs {
            self.complete(b"", &mut each);
        } else if !matches!(self.state, State::Between(0) | State::Skip(_) | State::LineStart(_)) {
            self.fail(0, 0, &mut each);
        }
    }

    /// The state after the first byte of a value.
    fn value(&mut self, byte: u8) -> Step {
        Step::Goes(match byte {
            b'{' => {
                self.levels.push(true);
                State::Object
            }
            b'[' => {
                self.levels.push(false);
                State::Array
            }
            b'"' => State::String(Within::Text, Role::Value),
            b'-' => State::Number(Number::Minus),
            b'0' => State::Number(Number::Zero),
            b'1'..=b'9' => State::Number(Number::Int),
            b't' => State::Literal(b"rue"),
            b'f' => State::Literal(b"alse"),
            b'n' => State::Literal(b"ull"),
            _ => return Step::Not,
        })
    }

    fn end_line(&mut self, at: usize) {
        self.lines += 1;
        self.line_start = self.offset + at as u64 + 1;
    }

    fn hold(&mut self, piece: &[u8]) {
        self.size += piece.len() as u64;
        if self.size <= self.max as u64 {
            self.held.extend_from_slice(piece);
        } else {
            self.held = Vec::new();
        }
    }

    /// The current text ends with `piece`.
    fn complete(&mut self, piece: &[u8], each: &mut impl FnMut(Record<'_>)) {
        let size = self.size + piece.len() as u64;
        if size > self.max as u64 {
            each(Record::TooLong { size });
        } else if self.size == 0 {
            each(Record::Bytes(piece));
        } else {
            self.held.extend_from_slice(piece);
            each(Record::Bytes(&self.held));
        }
        self.clear();
        self.state = State::Between(0);
    }

    /// The byte at `at` can't be there.
    fn fail(&mut self, byte: u8, at: usize, each: &mut impl FnMut(Record<'_>)) {
        let place = self.offset + at as u64;
        each(Record::NotJson { line: self.lines + 1, column: place - self.line_start + 1 });
        let starts_line = place == self.line_start && self.levels.depth > 0;
        let is_start = byte == RS || starts_line && matches!(byte, b'{' | b'[');
        self.skip();
        if is_start {
            self.state = State::Between(0);
        }
    }

    /// Gives up the current text.
    fn skip(&mut self) {
        self.state = State::Skip(match self.levels.depth {
            0 => Resume::AnyLine,
            _ if self.begin == self.lines => Resume::NextText,
            _ => Resume::NextStructure,
        });
        self.clear();
    }

    fn clear(&mut self) {
        self.levels.clear();
        self.held.clear();
        self.held.shrink_to(HELD_KEPT);
        (self.size, self.after_rs) = (0, false);
    }
}

/// Whether `byte` shows that the number or literal before it is complete.
fn delimits(byte: u8, after_rs: bool) -> bool {
    match byte {
        b' ' | b'\t' | b'\r' | b'\n' => true,
        b'"' | b'[' | b'{' | RS => !after_rs,
        _ => false,
    }
}

impl Number {
    fn step(self, byte: u8) -> Step {
        use Number::*;
        Step::Goes(State::Number(match (self, byte) {
            (Minus, b'0') => Zero,
            (Minus, b'1'..=b'9') | (Int, b'0'..=b'9') => Int,
            (Zero | Int, b'.') => Point,
            (Point | Frac, b'0'..=b'9') => Frac,
            (Zero | Int | Frac, b'e' | b'E') => Exp,
            (Exp, b'+' | b'-') => ExpSign,
            (Exp | ExpSign | ExpDigits, b'0'..=b'9') => ExpDigits,
            (Zero | Int | Frac | ExpDigits, _) => return Step::Ended,
            (Minus | Point | Exp | ExpSign, _) => return Step::Not,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out, when `input` is read in pieces of `step` bytes.
    fn split(max: usize, input: &[u8], step: usize) -> Vec<String> {
        let mut texts = JsonTexts::new(max);
        let mut records = Vec::new();
        let mut each = |record: Record| {
            records.push(match record {
                Record::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Record::TooLong { size } => format!("too long: {size}"),
                Record::NotJson { line, column } => format!("not JSON: {line}:{column}"),
            });
        };
        for piece in input.chunks(step) {
            texts.push(piece, &mut each);
        }
        texts.finish(&mut each);
        records
    }

    fn check(max: usize, input: &str, want: &[&str]) {
        for step in (1..=input.len().clamp(1, 50)).chain([usize::MAX]) {
            assert_eq!(split(max, input.as_bytes(), step), want, "{input:?} in steps of {step}");
        }
    }

    #[test]
    fn texts_are_the_same_however_they_are_laid_out_and_read() {
        for (input, want) in [
            ("", &[][..]),
            (" \r\n\t", &[]),
            ("{}", &["{}"]),
            ("{\"a\":1}\n{\"a\":2}\n", &["{\"a\":1}", "{\"a\":2}"]),
            ("{\n  \"a\" : [ 1 ,\r\n\t2 ]\n}\n[\n]\n", &["{\"a\":[1,2]}", "[]"]),
            (
                "{}{}[][]\"a\"\"b\"1\"c\"2[3]true{}",
                &["{}", "{}", "[]", "[]", "\"a\"", "\"b\"", "1", "\"c\"", "2", "[3]", "true", "{}"],
            ),
            ("\x1e{\"a\":1}\n\x1e{\"a\":2}\n\x1e\x1e3\n", &["{\"a\":1}", "{\"a\":2}", "3"]),
            ("\u{feff}{\"a\":1}\n\u{feff}\x1e2 ", &["{\"a\":1}", "2"]),
            (
                "1 -0 1.50 -1.5E+07 0e0 12345678901234567890123",
                &["1", "-0", "1.50", "-1.5E+07", "0e0", "12345678901234567890123"],
            ),
            ("true false null", &["true", "false", "null"]),
            // Nothing within it is changed: blanks in strings, escapes, the order and number of members.
            (
                r#"{ "b " : " \" \\ \u00E9 \/ " , "a" : 1.0 , "b " : [ { } , [ ] ] }"#,
                &[r#"{"b ":" \" \\ \u00E9 \/ ","a":1.0,"b ":[{},[]]}"#],
            ),
            ("[\"é€😀\u{7f}\"]", &["[\"é€😀\u{7f}\"]"]),
        ] {
            check(1000, input, want);
        }
    }

    #[test]
    fn what_is_not_json_is_named_with_its_place_and_the_next_text_is_found() {
        for (input, want) in [
            ("hello\n{}\n", &["not JSON: 1:1", "{}"][..]),
            ("{}\n  hello {}\n[]", &["{}", "not JSON: 2:3", "[]"]),
            ("{\"a\":NaN}\n\"b\"\n", &["not JSON: 1:6", "\"b\""]),
            ("{\"a\":1,}\n{\"b\":2}\n", &["not JSON: 1:8", "{\"b\":2}"]),
            ("{\"a\":01} {}\n3\n", &["not JSON: 1:7", "3"]),
            // A layout over lines: its own rest is not taken for texts.
            ("{\n\"a\": tru,\n\"b\": {\n  \"c\": 1\n},\n\"d\": 2\n}\n{\"e\":3}\n", &["not JSON: 2:9", "{\"e\":3}"]),
            ("[ x,\n  1,\n  2\n]\n[\n  3\n]\n", &["not JSON: 1:3", "[3]"]),
            // A text that is cut off: the line that comes then is the next one.
            ("{\"a\":\"cut\n{\"b\":1}\n", &["not JSON: 1:10", "{\"b\":1}"]),
            ("{\"a\":1\n{\"b\":1}\n", &["not JSON: 2:1", "{\"b\":1}"]),
            ("{\"a\":1}}\n{}\n", &["{\"a\":1}", "not JSON: 1:8", "{}"]),
            ("\x1e{\"a\":\x1e{\"b\":1}\n", &["not JSON: 1:7", "{\"b\":1}"]),
            ("\x1e\"a\x1e[1]", &["not JSON: 1:4", "[1]"]),
            ("garbage\x1e{}", &["not JSON: 1:1", "{}"]),
            // After RS a number must be followed by whitespace, or it may be cut off.
            ("\x1e12\x1e34\n\x1etrue\x1e\x1e56", &["not JSON: 1:4", "34", "not JSON: 2:6", "not JSON: 2:10"]),
            ("12\x1e34", &["12", "not JSON: 1:6"]),
            ("1,2,3\n4\n", &["not JSON: 1:2", "4"]),
            (
                "truefalse\nnul\n-\n1.\n1e\n5\n",
                &["not JSON: 1:5", "not JSON: 2:4", "not JSON: 3:2", "not JSON: 4:3", "not JSON: 5:3", "5"],
            ),
            ("\"\\x\"\n\"\\u12g4\"\n\"tab\t\"\n1", &["not JSON: 1:3", "not JSON: 2:6", "not JSON: 3:5", "1"]),
            ("{\"a\"", &["not JSON: 1:5"]),
            ("[1,\n2", &["not JSON: 2:2"]),
            (
                "{1:2}\n{\"a\" 1}\n{\"a\":1 \"b\":2}\n[1 2]\n[}\n{]\n",
                &["not JSON: 1:2", "not JSON: 2:6", "not JSON: 3:8", "not JSON: 4:4", "not JSON: 5:2", "not JSON: 6:2"],
            ),
        ] {
            check(1000, input, want);
        }
    }

    #[test]
    fn a_text_is_complete_with_its_last_byte() {
        let mut texts = JsonTexts::new(100);
        let mut got = 0;
        for (bytes, want) in
            [("{\"a\":[", 0), ("1]", 0), ("}", 1), ("\"x\"", 2), ("12", 2), ("3", 2), (" ", 3), ("null", 3), ("\n", 4)]
        {
            texts.push(bytes.as_bytes(), |_| got += 1);
            assert_eq!(got, want, "after {bytes:?}");
        }
    }

    #[test]
    fn the_bound_is_that_of_the_text_without_blanks() {
        let blanks = " \n".repeat(1000);
        check(
            7,
            &format!("{{{blanks}\"a\":1{blanks}}}[1,2,3] [1,2,34]{blanks}5"),
            &["{\"a\":1}", "[1,2,3]", "too long: 8", "5"],
        );
        check(3, "\"ab\" 1234 12345 [ ]", &["too long: 4", "too long: 4", "too long: 5", "[]"]);
        let mut texts = JsonTexts::new(1000);
        texts.push(b"[\"", |_| unreachable!());
        for _ in 0..10_000 {
            texts.push(&[b'x'; 1000], |_| unreachable!());
            assert!(texts.held.capacity() <= 2048, "holds {} bytes", texts.held.capacity());
        }
        let mut got = Vec::new();
        texts.push(b"\"] 1 ", |record| got.push(format!("{record:?}")));
        assert_eq!(got, ["TooLong { size: 10000004 }", &format!("{:?}", Record::Bytes(b"1"))]);
    }

    #[test]
    fn no_nesting_is_too_deep_and_none_takes_memory_without_end() {
        let deep = 300_000;
        let nested = format!("{}{}", "[{\"a\":".repeat(deep), "1".to_owned() + &"}]".repeat(deep));
        assert_eq!(split(1 << 23, nested.as_bytes(), 1000), [nested]);
        let mut texts = JsonTexts::new(1000);
        let mut got = Vec::new();
        for _ in 0..1000 {
            texts.push(&[b'['; 1000], |record| got.push(format!("{record:?}")));
        }
        assert!(texts.levels.bits.capacity() <= 64, "{}", texts.levels.bits.capacity());
        texts.push(b"\n{}\n", |record| got.push(format!("{record:?}")));
        assert_eq!(got, ["TooLong { size: 1001 }", &format!("{:?}", Record::Bytes(b"{}"))]);
    }
}
