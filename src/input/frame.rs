//! What surrounds the data of an event whose data is one line: the same for all events, except for two numbers.
//!
//! This exists for speed alone (`line_ends` has the figures). If lines are short, encoding an event part by part costs
//! more than everything else. Here the parts before and after the data are kept ready, and each is written as a piece
//! of fixed size, whose excess the next one overwrites: the compiler turns that into a few moves, and a copy of
//! variable length into a call.

use crate::log::id::Run;
use crate::wire::chunk;
use crate::wire::event::{self, Data, Event, FieldValue};
use std::ops::Range;

/// This many bytes are written at a time; the smaller number if it is enough.
const PIECE: usize = 64;
const SMALL_PIECE: usize = 16;
/// [`Frame::write`] needs this much room after an event.
pub const TO_SPARE: usize = PIECE;

/// The frame of the current event.
#[derive(Debug)]
pub struct Frame {
    event: Option<FieldValue>,
    ids: Option<Run>,
    /// The number that its ID ends with.
    number: u64,
    /// The length of its line.
    line: usize,
    /// Room for any chunk-size, its line end, the event type and the name of the data field; then zeros.
    before: Vec<u8>,
    /// Where the chunk-size begins in `before`, and where all of it ends.
    start: usize,
    end: usize,
    /// The ID, the blank line and the end of the chunk; then zeros.
    after: Vec<u8>,
    /// Where all of that ends.
    after_end: usize,
    /// Where the number is in it, if there is one.
    digits: Range<usize>,
}

impl Frame {
    /// The frame of events of this type, whose IDs, if any, are of this run.
    pub fn new(event: Option<FieldValue>, ids: Option<Run>) -> Frame {
        let (before, after, digits) = (Vec::new(), Vec::new(), 0..0);
        let mut frame = Frame { event, ids, number: 0, line: 0, before, start: 0, end: 0, after, after_end: 0, digits };
        frame.make();
        frame
    }

    /// Makes it the frame of event `number`, whose line has `line` bytes. Returns the size of the whole chunk.
    #[inline]
    pub fn fit(&mut self, line: usize, number: u64) -> usize {
        if self.ids.is_some() {
            let is_next = number == self.number + 1;
            self.number = number;
            if !(is_next && increment(&mut self.after[self.digits.clone()])) {
                self.make();
            }
        }
        if line != self.line {
            self.line = line;
            self.write_size();
        }
        self.end - self.start + line + self.after_end
    }

    /// Appends the event whose data are the first bytes of `bytes`, as many as were given to [`Frame::fit`].
    #[inline]
    pub fn write(&self, bytes: &[u8], out: &mut Vec<u8>) {
        write(&self.before[self.start..], self.end - self.start, out);
        write(bytes, self.line, out);
        write(&self.after, self.after_end, out);
    }

    fn make(&mut self) {
        let id = self.ids.map(|run| format!("{run}-{}", self.number));
        // The event of an empty line, split at the place of the line.
        let event = Event { event: self.event.as_ref(), data: Data::Line(b""), id: id.as_deref() };
        let mut fields = Vec::new();
        event.write(&mut fields);
        let (type_and_name, rest) = fields.split_at(event::line_start(self.event.as_ref()));
        self.before = [&[0; chunk::MAX_SIZE], chunk::CRLF, type_and_name].concat();
        self.after = [rest, chunk::CRLF].concat();
        (self.end, self.after_end) = (self.before.len(), self.after.len());
        let digits_end = self.after_end - b"\n\n\r\n".len();
        let digits = self.number.checked_ilog10().unwrap_or(0) as usize + 1;
        self.digits = if id.is_some() { digits_end - digits..digits_end } else { 0..0 };
        self.before.resize(self.end + PIECE, 0);
        self.after.resize(self.after_end + PIECE, 0);
        self.write_size();
    }

    fn write_size(&mut self) {
        let name_end = chunk::MAX_SIZE + chunk::CRLF.len();
        let data = self.end - name_end + self.line + self.after_end - chunk::CRLF.len();
        let size = self.before.first_chunk_mut().expect("begins with room for it");
        self.start = chunk::write_size(size, data);
    }
}

/// Appends the first `len` bytes of `bytes`.
#[inline]
fn write(bytes: &[u8], len: usize, out: &mut Vec<u8>) {
    let end = out.len() + len;
    match (bytes.first_chunk::<SMALL_PIECE>(), bytes.first_chunk::<PIECE>()) {
        (Some(piece), _) if len <= SMALL_PIECE => out.extend_from_slice(piece),
        (_, Some(piece)) if len <= PIECE => out.extend_from_slice(piece),
        _ => out.extend_from_slice(&bytes[..len]),
    }
    out.truncate(end);
}

/// Adds 1 to the number that is written in these digits. `false`: that needs one more digit.
#[inline]
fn increment(digits: &mut [u8]) -> bool {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return true;
        }
        *digit = b'0';
    }
    false
}
