//! The input, and what each client must get for it, byte by byte.
//!
//! All records have the same length, and events have no ID. So an event's number is the offset of its chunk divided by
//! the length of a chunk, and checking a stream is comparing memory. The records of a period all differ; then they
//! start again. A client that loses, repeats or swaps events gets other bytes than it must, unless it loses a whole
//! period, and then it has too little in the end.

use anyhow::{Result, bail, ensure};

/// What ends a chunked body (RFC 9112 § 7.1).
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// A period has about this many bytes: little enough to stay in the processor's cache.
const PERIOD: usize = 256 << 10;
/// Digits that number the records of a period.
const DIGITS: usize = 8;

/// A stream without an end.
pub struct Stream {
    /// One period of input: lines.
    pub records: Vec<u8>,
    /// Records in a period.
    pub period: u64,
    /// The length of a chunk.
    pub chunk: usize,
    /// One period of the body.
    body: Vec<u8>,
}

impl Stream {
    /// Records of this many bytes.
    pub fn of_records(size: usize) -> Result<Stream> {
        ensure!(size >= DIGITS, "--sizes: a record needs {DIGITS} bytes to differ from the others");
        let period = (PERIOD / (size + 1)).max(64);
        let filler: String = ('a'..='z').cycle().take(size - DIGITS).collect();
        let (mut records, mut body) = (Vec::new(), Vec::new());
        for number in 0..period {
            let record = format!("{number:0DIGITS$}{filler}");
            let event = format!("data: {record}\n\n");
            records.extend_from_slice(format!("{record}\n").as_bytes());
            body.extend_from_slice(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
        }
        Ok(Stream { chunk: body.len() / period, records, period: period as u64, body })
    }

    /// Nothing is fed, and nothing but heartbeats comes.
    pub fn of_heartbeats() -> Stream {
        let body = b"2\r\n:\n\r\n".to_vec();
        Stream { records: Vec::new(), period: 1, chunk: body.len(), body }
    }

    /// The length of a line of input.
    pub fn line(&self) -> usize {
        self.records.len() / self.period as usize
    }

    /// What stands at this offset of the body, to the end of the period.
    fn from(&self, offset: u64) -> &[u8] {
        &self.body[(offset % self.body.len() as u64) as usize..]
    }
}

/// One client's way through its stream.
#[derive(Default)]
pub struct Reading {
    /// The header section and the first chunk, while they are incomplete.
    head: Vec<u8>,
    /// Whether they were complete.
    pub joined: bool,
    /// How many bytes of events it has.
    pub offset: u64,
    /// How many bytes of the last chunk it has.
    end: usize,
}

impl Reading {
    /// Takes what came next. An error says what is wrong with it.
    pub fn take(&mut self, bytes: &[u8], stream: &Stream) -> Result<()> {
        let held;
        let mut rest = bytes;
        if !self.joined {
            self.head.extend_from_slice(bytes);
            let Some(len) = head(&self.head)? else { return Ok(()) };
            held = std::mem::take(&mut self.head);
            (self.joined, rest) = (true, &held[len..]);
        }
        while !rest.is_empty() && self.end == 0 {
            let want = stream.from(self.offset);
            let len = rest.len().min(want.len());
            if rest[..len] == want[..len] {
                self.offset += len as u64;
                rest = &rest[len..];
                continue;
            }
            let same = rest.iter().zip(want).take_while(|(came, wanted)| came == wanted).count();
            self.offset += same as u64;
            rest = &rest[same..];
            let within = self.offset % stream.chunk as u64;
            if within != 0 || rest[0] != LAST_CHUNK[0] {
                let event = self.offset / stream.chunk as u64;
                let (came, wanted) = (shown(rest), shown(&want[same..]));
                bail!("in event {event}, at byte {within} of its chunk, came \"{came}\" and not \"{wanted}\"");
            }
            break;
        }
        let want = &LAST_CHUNK[self.end..];
        ensure!(want.starts_with(rest), "at the end came \"{}\" and not \"{}\"", shown(rest), shown(want));
        self.end += rest.len();
        Ok(())
    }

    /// Takes this many bytes unseen.
    pub fn skip(&mut self, len: usize) {
        self.offset += len as u64;
    }

    /// The stream was closed: it must have had this many events, and its last chunk.
    pub fn finish(&self, stream: &Stream, events: u64) -> Result<()> {
        let want = events * stream.chunk as u64;
        ensure!(self.offset == want, "{} bytes of events came before the end, and not {want}", self.offset);
        ensure!(self.is_over(), "the stream was closed without its last chunk");
        Ok(())
    }

    /// Whether the last chunk came.
    pub fn is_over(&self) -> bool {
        self.end == LAST_CHUNK.len()
    }
}

/// The length of the header section with the first chunk, which must be those of an event stream.
fn head(bytes: &[u8]) -> Result<Option<usize>> {
    let text = String::from_utf8_lossy(bytes);
    let Some((fields, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    ensure!(fields.starts_with("HTTP/1.1 200 "), "the answer is {fields:?}");
    let Some((chunk, _)) = body.split_once("\n\r\n") else { return Ok(None) };
    let Some((size, time)) = chunk.split_once("\r\nretry: ") else { bail!("the first chunk is {chunk:?}") };
    let length = "retry: \n".len() + time.len();
    ensure!(size == format!("{length:x}") && time.parse::<u64>().is_ok(), "the first chunk is {chunk:?}");
    Ok(Some(fields.len() + 4 + chunk.len() + 3))
}

fn shown(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(80)].escape_ascii().to_string()
}

/// Checks the check: it lets a whole stream pass, however it is cut, and finds every kind of fault.
pub fn check_the_check() -> Result<()> {
    let stream = Stream::of_records(32)?;
    let (chunk, events) = (stream.chunk, 2 * stream.period + 10);
    let body: Vec<u8> = stream.body.iter().copied().cycle().take(events as usize * chunk).collect();
    let event = |nth: usize| nth * chunk..(nth + 1) * chunk;
    let read = |body: &[u8], end: &[u8]| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nretry: 1000\n\r\n";
        let whole = [head, body, end].concat();
        [1, 7, chunk, 100_000].map(|cut| {
            let mut reading = Reading::default();
            whole.chunks(cut).try_for_each(|piece| reading.take(piece, &stream))?;
            reading.finish(&stream, events)
        })
    };
    for result in read(&body, LAST_CHUNK) {
        result?;
    }
    let mut swapped = body.clone();
    swapped[event(5).start..event(6).end].rotate_left(chunk);
    let mut altered = body.clone();
    altered[event(stream.period as usize + 3).start + chunk / 2] ^= 1;
    let faults = [
        ("an event is missing", [&body[..event(5).start], &body[event(5).end..]].concat(), LAST_CHUNK),
        ("an event came twice", [&body[..event(5).end], &body[event(5).start..]].concat(), LAST_CHUNK),
        ("two events are swapped", swapped, LAST_CHUNK),
        ("a byte is altered", altered, LAST_CHUNK),
        ("a byte is missing", [&body[..event(5).end - 9], &body[event(5).end - 8..]].concat(), LAST_CHUNK),
        ("a byte is too much", [&body[..event(5).end], b"0", &body[event(5).end..]].concat(), LAST_CHUNK),
        ("the last event is missing", body[..body.len() - chunk].to_vec(), LAST_CHUNK),
        ("the last event is cut off", body[..body.len() - 5].to_vec(), LAST_CHUNK),
        ("an event came too much", [&body[..], stream.from(body.len() as u64)[..chunk].as_ref()].concat(), LAST_CHUNK),
        ("a whole period is missing", body[stream.body.len()..].to_vec(), LAST_CHUNK),
        ("the last chunk is missing", body.clone(), b""),
        ("the last chunk is cut off", body.clone(), &LAST_CHUNK[..3]),
        ("something comes after the end", body.clone(), b"0\r\n\r\n0"),
        (
            "a heartbeat came between",
            [&body[..event(5).end], b"2\r\n:\n\r\n", &body[event(5).end..]].concat(),
            LAST_CHUNK,
        ),
    ];
    for (what, body, end) in &faults {
        ensure!(read(body, end).iter().all(Result::is_err), "the check did not find that {what}");
    }
    Ok(())
}
