//! Splitting: a record is what comes before a newline (or NUL), however the bytes happen to be read.

/// What ends a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminator {
    /// LF; one CR just before it is removed too.
    Newline,
    /// NUL (`-0`).
    Null,
}

impl Terminator {
    /// The last byte of what ends a record.
    pub fn byte(self) -> u8 {
        match self {
            Terminator::Newline => b'\n',
            Terminator::Null => 0,
        }
    }
}

/// What comes next in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// Some records at once.
    Lines(Lines<'a>),
    /// One record.
    Record(Record<'a>),
}

/// Some whole records, each still with its terminator. They are known to be valid UTF-8 without a line break
/// in them, and so can be sent as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines<'a> {
    /// All of them. The last byte ends the last one.
    pub bytes: &'a [u8],
    /// The byte that ends each of them, and occurs nowhere else.
    pub terminator: u8,
}

impl<'a> Lines<'a> {
    /// The lines after the first `len` bytes, which are whole lines.
    pub fn after(self, len: usize) -> Lines<'a> {
        Lines { bytes: &self.bytes[len..], ..self }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    /// Takes the first line, without what ends it.
    fn next(&mut self) -> Option<&'a [u8]> {
        let (line, rest) = self.bytes.split_at(memchr::memchr(self.terminator, self.bytes)?);
        self.bytes = &rest[1..];
        Some(line)
    }
}

/// One record, without what ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// Any bytes.
    Bytes(&'a [u8]),
    /// It was longer than allowed and is not held.
    TooLong {
        /// How many bytes it had.
        size: u64,
    },
    /// It should have been a JSON text and was not.
    NotJson {
        /// The line of the input in which it stops being one, from 1.
        line: u64,
        /// The byte of that line, from 1.
        column: u64,
    },
}

/// Splits a stream of bytes into records; holds no more than one unfinished record of the longest length.
#[derive(Debug)]
pub struct Splitter {
    terminator: Terminator,
    max: usize,
    /// The unfinished record so far, unless it is already too long.
    held: Vec<u8>,
    /// How long the unfinished record is so far.
    size: u64,
    ends_with_cr: bool,
}

/// This many bytes are checked and encoded before the next: they stay in the processor's nearest cache, and invalid
/// UTF-8 slows down only what is near it.
const WINDOW: usize = 32 * 1024;
/// The memory of a long record that was split over reads is freed beyond this size.
const HELD_KEPT: usize = 64 * 1024;

impl Splitter {
    /// Records end with `terminator` and have at most `max` bytes.
    pub fn new(terminator: Terminator, max: usize) -> Splitter {
        Splitter { terminator, max, held: Vec::new(), size: 0, ends_with_cr: false }
    }

    /// What ends a record.
    pub fn terminator(&self) -> Terminator {
        self.terminator
    }

    /// Takes the next bytes and hands on the records that they complete.
    pub fn push<'a>(&mut self, bytes: &'a [u8], mut each: impl FnMut(Next<'_>)) {
        let byte = self.terminator.byte();
        let Some(last) = memchr::memrchr(byte, bytes) else { return self.hold(bytes) };
        let mut start = 0;
        if self.size > 0 {
            let end = memchr::memchr(byte, bytes).expect("there is a last one");
            self.hold(&bytes[..end]);
            self.finish_held(true, &mut |record| each(Next::Record(record)));
            start = end + 1;
        }
        let mut whole: &'a [u8] = bytes.get(start..=last).unwrap_or_default();
        while !whole.is_empty() {
            let window = &whole[..self.window(whole)];
            whole = &whole[window.len()..];
            let lines = Lines { bytes: window, terminator: byte };
            if window.len() <= self.max && self.are_lines(window) {
                each(Next::Lines(lines));
            } else {
                lines.for_each(|piece| {
                    each(Next::Record(self.judge(piece, piece.len() as u64, piece.ends_with(b"\r"))));
                });
            }
        }
        self.hold(&bytes[last + 1..]);
    }

    /// How many bytes of these whole records to take next: as many records as fit a window, at least one.
    fn window(&self, records: &[u8]) -> usize {
        let byte = self.terminator.byte();
        let (window, rest) = records.split_at(WINDOW.min(records.len()));
        match memchr::memrchr(byte, window) {
            Some(end) => end + 1,
            None => window.len() + memchr::memchr(byte, rest).map_or(rest.len(), |end| end + 1),
        }
    }

    /// Whether all these records are UTF-8 without a line break: one check for all costs far less than one for each.
    fn are_lines(&self, records: &[u8]) -> bool {
        let breaks = match self.terminator {
            Terminator::Newline => memchr::memchr(b'\r', records),
            Terminator::Null => memchr::memchr2(b'\r', b'\n', records),
        };
        breaks.is_none() && simdutf8::basic::from_utf8(records).is_ok()
    }

    /// The input is over: text after the last terminator is a record too.
    pub fn finish(&mut self, mut each: impl FnMut(Record<'_>)) {
        if self.size > 0 {
            self.finish_held(false, &mut each);
        }
    }

    fn hold(&mut self, piece: &[u8]) {
        let Some(&last) = piece.last() else { return };
        self.size += piece.len() as u64;
        self.ends_with_cr = last == b'\r';
        // One byte more than allowed may still turn out to be the CR of the line end.
        if self.size <= self.max as u64 + 1 {
            self.held.extend_from_slice(piece);
        } else {
            self.held = Vec::new();
        }
    }

    fn finish_held(&mut self, terminated: bool, each: &mut impl FnMut(Record<'_>)) {
        each(self.judge(&self.held, self.size, terminated && self.ends_with_cr));
        self.size = 0;
        self.held.clear();
        self.held.shrink_to(HELD_KEPT);
    }

    fn judge<'a>(&self, held: &'a [u8], size: u64, before_cr: bool) -> Record<'a> {
        let size = size - u64::from(before_cr && self.terminator == Terminator::Newline);
        if size > self.max as u64 { Record::TooLong { size } } else { Record::Bytes(&held[..size as usize]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out, one line a record, when `input` is read in pieces of `step` bytes.
    fn split(terminator: Terminator, max: usize, input: &[u8], step: usize) -> Vec<String> {
        let mut splitter = Splitter::new(terminator, max);
        let mut records = Vec::new();
        let show = |bytes: &[u8]| format!("{:?}", bytes.escape_ascii().to_string());
        let mut tell = |record: Record| match record {
            Record::Bytes(bytes) => records.push(show(bytes)),
            Record::TooLong { size } => records.push(format!("too long: {size}")),
            Record::NotJson { .. } => unreachable!("a line may be anything"),
        };
        let mut each = |next: Next| match next {
            Next::Record(record) => tell(record),
            Next::Lines(lines) => lines.for_each(|line| {
                assert!(std::str::from_utf8(line).is_ok_and(|line| !line.contains(['\r', '\n'])), "{line:?}");
                tell(Record::Bytes(line));
            }),
        };
        for piece in input.chunks(step) {
            splitter.push(piece, &mut each);
        }
        splitter.finish(|record| each(Next::Record(record)));
        records
    }

    #[test]
    fn records_are_the_same_however_they_are_read() {
        use Terminator::*;
        for (terminator, max, input, want) in [
            (Newline, 9, &b""[..], &[][..]),
            (Newline, 9, b"a\nb\n", &["\"a\"", "\"b\""]),
            (Newline, 9, b"a\nb", &["\"a\"", "\"b\""]),
            (Newline, 9, b"\n\n", &["\"\"", "\"\""]),
            (Newline, 9, b"a\r\nb\r\r\nc\r", &["\"a\"", r#""b\\r""#, r#""c\\r""#]),
            (Newline, 9, b"\r\n\r", &["\"\"", r#""\\r""#]),
            (Newline, 9, b"a\rb\n", &[r#""a\\rb""#]),
            (Newline, 9, b"a\0b\n", &[r#""a\\x00b""#]),
            (Null, 9, b"a\nb\0c\r\0\0d", &[r#""a\\nb""#, r#""c\\r""#, "\"\"", "\"d\""]),
            (
                Newline,
                3,
                b"abc\nabcd\nabc\r\nabcd\r\nx\n",
                &["\"abc\"", "too long: 4", "\"abc\"", "too long: 4", "\"x\""],
            ),
            (Newline, 3, b"abc\r\r\nabcdefgh", &["too long: 4", "too long: 8"]),
            (Newline, 3, b"abc\r", &["too long: 4"]),
            (Null, 3, b"abc\0abc\r\0", &["\"abc\"", "too long: 4"]),
            (Null, 9, b"a\nb\0c\0d\re\0", &[r#""a\\nb""#, "\"c\"", r#""d\\re""#]),
            (Newline, 9, b"a\n\xff\nb\n", &["\"a\"", r#""\\xff""#, "\"b\""]),
        ] {
            for step in 1..=input.len().max(1) {
                let got = split(terminator, max, input, step);
                assert_eq!(got, want, "{:?} in steps of {step}", input.escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn memory_stays_bounded_however_long_a_record_is() {
        let mut splitter = Splitter::new(Terminator::Newline, 1000);
        for _ in 0..10_000 {
            splitter.push(&[b'x'; 1000], |_| panic!("there is no record yet"));
            assert!(splitter.held.capacity() <= 2048, "holds {} bytes", splitter.held.capacity());
        }
        let mut records = 0;
        splitter.push(b"\nok\n", |next| {
            records += 1;
            let ok = Lines { bytes: b"ok\n", terminator: b'\n' };
            let want = [Next::Record(Record::TooLong { size: 10_000_000 }), Next::Lines(ok)];
            assert_eq!(next, want[records - 1]);
        });
        assert_eq!(records, 2);
    }
}
