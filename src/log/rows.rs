//! The rows of a store's index, and what its bytes say without one. Pure: `store` has the files.
//!
//! A row stands for one batch. All rows have the same length, so that a place in a store of any size is found without
//! reading all of them. Integers are little-endian. The format is in `docs/store.md`.

use super::id::Run;
use crate::wire::{chunk, event};
use std::ops::Range;

/// The length of a row, and of the header before the first one.
pub const ROW: usize = 56;
/// What an index begins with. Another version has another digit.
pub const MAGIC: &[u8; 17] = b"sse-pipe index 1\n";
/// What an index of any version begins with.
pub const ANY_VERSION: &[u8] = b"sse-pipe index ";

/// One batch of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Number of the first entry.
    pub first: u64,
    /// How many entries it has, at least one.
    pub entries: u32,
    /// How many bytes they have.
    pub len: u32,
    /// Where they begin in the segment's file.
    pub position: u64,
    /// When they were read, in milliseconds since 1970.
    pub time: u64,
    /// Number of the latest entry up to here that is an event; 0 if there is none yet.
    pub last_event: u64,
    /// Number of the latest entry up to here that has an ID of its own; 0 if there is none yet.
    pub last_own_id: u64,
    /// CRC-32 of the bytes.
    pub checksum: u32,
}

impl Row {
    /// Number of the last entry.
    pub fn last(&self) -> u64 {
        self.first + u64::from(self.entries) - 1
    }

    /// Where its bytes end in the segment's file.
    pub fn end(&self) -> u64 {
        self.position + u64::from(self.len)
    }

    /// The row as it is stored.
    pub fn encode(&self) -> [u8; ROW] {
        let mut bytes = [0; ROW];
        let fields = [self.first, self.position, self.time, self.last_event, self.last_own_id];
        for (nth, field) in fields.into_iter().enumerate() {
            bytes[8 * nth..8 * nth + 8].copy_from_slice(&field.to_le_bytes());
        }
        for (nth, field) in [self.entries, self.len, self.checksum].into_iter().enumerate() {
            bytes[40 + 4 * nth..44 + 4 * nth].copy_from_slice(&field.to_le_bytes());
        }
        seal(bytes)
    }

    /// The row that is stored in these bytes; `None` if they are damaged.
    pub fn decode(bytes: &[u8; ROW]) -> Option<Row> {
        let long = |nth: usize| u64::from_le_bytes(bytes[8 * nth..8 * nth + 8].try_into().expect("it is eight bytes"));
        let short =
            |nth: usize| u32::from_le_bytes(bytes[40 + 4 * nth..44 + 4 * nth].try_into().expect("it is four bytes"));
        let row = Row {
            first: long(0),
            position: long(1),
            time: long(2),
            last_event: long(3),
            last_own_id: long(4),
            entries: short(0),
            len: short(1),
            checksum: short(2),
        };
        let is_sound = is_sealed(bytes)
            && row.entries > 0
            && row.len >= row.entries
            && row.first.checked_add(row.entries.into()).is_some()
            && row.position.checked_add(row.len.into()).is_some();
        is_sound.then_some(row)
    }
}

/// What is known about a segment before its first row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number of its first entry.
    pub first: u64,
    /// Whether numbers were skipped before it because it is unknown which of them were given.
    pub after_unknown: bool,
}

impl Header {
    /// The header as it is stored.
    pub fn encode(&self) -> [u8; ROW] {
        let mut bytes = [0; ROW];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[MAGIC.len()] = self.after_unknown.into();
        bytes[24..32].copy_from_slice(&self.first.to_le_bytes());
        seal(bytes)
    }

    /// The header that is stored in these bytes; `None` if they are damaged.
    pub fn decode(bytes: &[u8; ROW]) -> Option<Header> {
        let first = u64::from_le_bytes(bytes[24..32].try_into().expect("it is eight bytes"));
        let is_sound = is_sealed(bytes) && bytes.starts_with(MAGIC);
        is_sound.then(|| Header { first, after_unknown: bytes[MAGIC.len()] != 0 })
    }
}

fn seal(mut bytes: [u8; ROW]) -> [u8; ROW] {
    let checksum = crc32fast::hash(&bytes[..ROW - 4]);
    bytes[ROW - 4..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn is_sealed(bytes: &[u8; ROW]) -> bool {
    seal(*bytes)[ROW - 4..] == bytes[ROW - 4..]
}

/// How the bytes of a store continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// With an entry of this length, a whole chunk.
    Entry(usize),
    /// With the beginning of one, which needs at least this many bytes.
    Part(usize),
    /// With something that is not a chunk.
    Damage,
}

/// A chunk-size with more digits is not ours: no entry has 4 GiB.
const DIGITS: usize = 8;

/// How `bytes`, which are not empty and begin where an entry should, continue.
pub fn next(bytes: &[u8]) -> Next {
    let digits = bytes.iter().take(DIGITS).take_while(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).count();
    let line_end = &bytes[digits..bytes.len().min(digits + 2)];
    if !chunk::CRLF.starts_with(line_end) || digits == 0 || bytes[0] == b'0' {
        return Next::Damage;
    }
    let size = std::str::from_utf8(&bytes[..digits]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
    let Some(size) = size.filter(|_| line_end.len() == 2) else { return Next::Part(bytes.len() + 1) };
    let end = digits + 2 + size + 2;
    match bytes.get(digits + 2 + size..end) {
        // An entry ends with at least the end of a line.
        Some(end_of_it) if end_of_it == chunk::CRLF && bytes[digits + 1 + size] == b'\n' => Next::Entry(end),
        Some(_) => Next::Damage,
        None => Next::Part(end),
    }
}

/// Where each entry of `bytes` ends; `None` unless they are whole entries from the first byte to the last.
pub fn ends(bytes: &[u8]) -> Option<Vec<u32>> {
    let (mut ends, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let Next::Entry(len) = next(&bytes[at..]) else { return None };
        at += len;
        ends.push(u32::try_from(at).ok()?);
    }
    Some(ends)
}

/// Whether an entry is an event, not a comment.
pub fn is_event(entry: &[u8]) -> bool {
    entry.get(chunk::data(entry)).is_some_and(|data| data.first() != Some(&b':'))
}

/// The ID that entry `number` of `run` has from its record.
pub fn own_id(entry: &[u8], run: Run, number: u64) -> Option<&str> {
    any_id(entry).filter(|id| run.number(id) != Some(number))
}

/// The ID that an entry has.
pub fn any_id(entry: &[u8]) -> Option<&str> {
    event::id(entry.get(chunk::data(entry))?).filter(|id| !id.is_empty())
}

/// Some batches of a segment, as needed to look into them: where each entry ends, and when it was read.
#[derive(Debug, Default)]
pub struct Index {
    /// Where each entry ends, from the first byte on.
    pub ends: Vec<u32>,
    /// Up to where entries were read at a time, and that time.
    pub times: Vec<(u32, u64)>,
}

/// Checks `bytes`, which begin at `position` of a segment's file and have `entries` entries from number `first` on,
/// against their rows (`None`: a damaged one), and makes their index. `Err`: from where on in the file they are
/// damaged.
pub fn check(bytes: &[u8], position: u64, entries: Range<u64>, rows: &[Option<Row>]) -> Result<Index, u64> {
    let mut times = Vec::new();
    for row in rows.iter().flatten() {
        let start = row.position.checked_sub(position).and_then(|start| usize::try_from(start).ok());
        let piece = start.and_then(|start| bytes.get(start..start + row.len as usize)).ok_or(position)?;
        if crc32fast::hash(piece) != row.checksum {
            return Err(row.position);
        }
        times.push(((row.end() - position) as u32, row.time));
    }
    let ends = ends(bytes).filter(|ends| ends.len() as u64 == entries.end - entries.start).ok_or(position)?;
    let last = bytes.len() as u32;
    if times.last().is_none_or(|&(end, _)| end < last) {
        // The last row is damaged. But its batch consists of whole chunks, as many as there should be.
        let time = times.last().map_or(0, |&(_, time)| time);
        times.push((last, time));
    }
    Ok(Index { ends, times })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            first: 7,
            entries: 2,
            len: 13,
            position: 100,
            time: 1_700_000_000_000,
            last_event: 8,
            last_own_id: 0,
            checksum: crc32fast::hash(b"2\r\na\n\r\n1\r\n\n\r\n"),
        }
    }

    #[test]
    fn a_row_and_a_header_come_back_and_no_bit_of_them_may_change() {
        let header = Header { first: 7, after_unknown: true };
        assert_eq!(Row::decode(&row().encode()), Some(row()));
        assert_eq!(Header::decode(&header.encode()), Some(header));
        for bit in 0..ROW * 8 {
            let flip = |mut bytes: [u8; ROW]| {
                bytes[bit / 8] ^= 1 << (bit % 8);
                bytes
            };
            assert_eq!(Row::decode(&flip(row().encode())), None, "bit {bit}");
            assert_eq!(Header::decode(&flip(header.encode())), None, "bit {bit}");
        }
    }

    #[test]
    fn bytes_continue_with_a_whole_chunk_a_part_of_one_or_something_else() {
        for (bytes, want) in [
            (&b"2\r\na\n\r\nrest"[..], Next::Entry(7)),
            (b"2\r\na\n\r", Next::Part(7)),
            (b"2\r\na", Next::Part(7)),
            (b"2\r", Next::Part(3)),
            (b"2", Next::Part(2)),
            (b"2\r\nab\r\n", Next::Damage), // its line does not end
            (b"2\r\na\nxx", Next::Damage),
            (b"2\n", Next::Damage),
            (b"02\r\na\n\r\n", Next::Damage),
            (b"0\r\n\r\n", Next::Damage), // it would end the stream
            (b"\r\n", Next::Damage),
            (b"A\r\n", Next::Damage),
            (b"\0\0\0", Next::Damage),
            (b"123456789\r\n", Next::Damage),
        ] {
            assert_eq!(next(bytes), want, "{}", bytes.escape_ascii());
        }
        assert_eq!(ends(b"2\r\na\n\r\n1\r\n\n\r\n"), Some(vec![7, 13]));
        assert_eq!(ends(b"2\r\na\n\r\n1\r\n\n\r"), None);
    }

    #[test]
    fn a_row_that_could_not_be_is_damaged() {
        let good = Row { first: u64::MAX - 2, position: u64::MAX - 13, ..row() };
        assert_eq!(Row::decode(&good.encode()), Some(good));
        for bad in [
            Row { entries: 0, ..row() },
            Row { entries: 14, ..row() },
            Row { first: u64::MAX - 1, ..row() },
            Row { position: u64::MAX - 12, ..row() },
        ] {
            assert_eq!(Row::decode(&bad.encode()), None, "{bad:?}");
        }
    }

    #[test]
    fn bytes_are_checked_against_their_rows_and_damaged_rows_are_done_without() {
        // Three batches, of two entries, one and one.
        let bytes = b"2\r\na\n\r\n1\r\n\n\r\n2\r\nb\n\r\n2\r\nc\n\r\n";
        let row = |first, entries, from: usize, to: usize, time| Row {
            first,
            entries,
            len: (to - from) as u32,
            position: 100 + from as u64,
            time,
            checksum: crc32fast::hash(&bytes[from..to]),
            ..row()
        };
        let rows = [row(7, 2, 0, 13, 5), row(9, 1, 13, 20, 6), row(10, 1, 20, 27, 6)].map(Some);
        let check = |bytes: &[u8], entries, rows: &[Option<Row>]| check(bytes, 100, entries, rows).map(|it| it.times);
        for (damaged, times) in [
            (&[][..], vec![(13, 5), (20, 6), (27, 6)]),
            (&[0], vec![(20, 6), (27, 6)]), // what has no time of its own has that of what follows
            (&[1], vec![(13, 5), (27, 6)]),
            (&[2], vec![(13, 5), (20, 6), (27, 6)]), // or of what is before
            (&[1, 2], vec![(13, 5), (27, 5)]),
            (&[0, 1, 2], vec![(27, 0)]),
        ] {
            let mut rows = rows;
            damaged.iter().for_each(|&nth: &usize| rows[nth] = None);
            assert_eq!(check(bytes, 7..11, &rows), Ok(times), "without {damaged:?}");
        }
        assert_eq!(check(bytes, 7..11, &rows[..2]), Ok(vec![(13, 5), (20, 6), (27, 6)]), "there are too few");
        let index = super::check(bytes, 100, 7..11, &rows).expect("is right");
        assert_eq!(index.ends, [7, 13, 20, 27]);
        for (at, from) in [(3, 100), (15, 113), (26, 120)] {
            let mut bytes = *bytes;
            bytes[at] ^= 1;
            assert_eq!(check(&bytes, 7..11, &rows), Err(from), "byte {at}");
        }
        assert_eq!(check(bytes, 7..12, &rows), Err(100), "an entry is missing");
        assert_eq!(check(&bytes[..26], 7..11, &[None]), Err(100), "it is torn");
        assert_eq!(check(&bytes[..20], 7..10, &rows), Err(100), "there are more rows than bytes");
    }
}
