//! Reading a store as it is opened: its segments one after the other, torn and damaged parts, and indexes that must be
//! rebuilt.

use super::ids::{IdFile, IdTable};
use super::{Files, Open, Options, PRIVATE, Tell, Word};
use crate::log::batch::{Batch, OLD_BATCH, old_batch_size};
use crate::log::id::Run;
use crate::log::memory::Memory;
use crate::log::rows::{self, ANY_VERSION, Header, MAGIC, Next, ROW, Row};
use crate::log::segment::Segment;
use anyhow::{Context, Result, ensure};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// Segments are searched for entries in pieces of this size.
pub(super) const WINDOW: usize = 1 << 20;

/// Rows that become one batch: their numbers, the first and the last of them.
type Block = (Range<u64>, Row, Row);

/// A store while its segments are read, one after the other.
pub(super) struct Reading<'a> {
    pub(super) options: &'a Options,
    pub(super) run: Run,
    pub(super) memory: &'a Arc<Memory>,
    pub(super) tell: &'a Tell,
    pub(super) batches: Vec<Batch>,
    pub(super) id_tables: Vec<IdTable>,
    /// Numbers up to here have been given, even if their entries are missing.
    pub(super) claimed: u64,
    /// How many bytes there are.
    pub(super) size: u64,
}

/// How a segment's bytes end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With a whole entry.
    Whole,
    /// In the middle of one.
    Torn,
    /// With something that is not an entry.
    Damaged,
}

impl Reading<'_> {
    /// Reads the segment whose first entry has this number. Returns it if more may be written to it.
    pub(super) fn segment(&mut self, first: u64) -> Result<Option<Open>> {
        let chunks = self.options.folder.join(format!("{first:020}.chunks"));
        let shown = chunks.display().to_string();
        let path = chunks.with_extension("index");
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = options.open(&chunks).with_context(|| format!("cannot open {shown}"))?;
        let size = file.metadata().with_context(|| format!("cannot read {shown}"))?.len();
        let index = options.create(true).truncate(false).mode(PRIVATE).open(&path);
        let index = index.with_context(|| format!("cannot open {}", path.display()))?;
        let (header, has_index) = self.header(&index, &path, first)?;
        ensure!(
            first > self.batches.last().map_or(0, Batch::last),
            "{shown}: the events before it continue to {}; it is not a file of this store",
            self.batches.last().map_or(0, Batch::last)
        );
        let ids_path = chunks.with_extension("ids");
        let ids = IdFile::open(&ids_path).with_context(|| format!("cannot read {}", ids_path.display()))?;
        let (ids, tables) = ids.unzip();
        self.id_tables.extend(tables.into_iter().flatten());
        let files = Files::new(index, chunks, ids, self.tell);
        let (mut rows, mut blocks) = self.indexed(&files, size, first).unwrap_or_default();
        let mut before = blocks.last().map(|(_, _, last)| *last);
        let (found, end, end_at) =
            self.search(&file, before, first, size).with_context(|| format!("cannot read {shown}"))?;
        let no_entry = rows == 0 && found.is_empty();
        ensure!(
            has_index || !no_entry || end != End::Damaged,
            "{shown} is not a file of sse-pipe; choose another folder"
        );
        self.report(&shown, &found, end, end_at, size, rows == 0 && size > 0);
        let mended = || -> io::Result<()> {
            if end == End::Torn {
                file.set_len(end_at)?;
            }
            if !has_index || !found.is_empty() || files.index.metadata()?.len() != (rows + 1) * ROW as u64 {
                files.index.set_len((rows + 1) * ROW as u64)?;
                files.index.write_all_at(&header.encode(), 0)?;
                let bytes: Vec<u8> = found.iter().flat_map(Row::encode).collect();
                files.index.write_all_at(&bytes, (rows + 1) * ROW as u64)?;
            }
            Ok(())
        };
        mended().with_context(|| format!("cannot mend {}", path.display()))?;
        for row in &found {
            blocks.push((rows..rows + 1, *row, *row));
            rows += 1;
            before = Some(*row);
        }
        let Some(last) = before else {
            if end == End::Damaged {
                self.claimed = self.claimed.max(first); // so that no other segment gets its name
            } else {
                files.remove();
            }
            return Ok(None);
        };
        let held = self.batches.last().map(Batch::last);
        if let Some(held) = held.filter(|held| held + 1 < first) {
            let numbers = held + 1..=first - 1;
            let lost = Batch::lost(self.batches.last(), numbers, header.after_unknown, Arc::clone(self.memory));
            self.batches.push(lost);
        }
        let start = self.batches.last().map_or(0, Batch::end);
        let segment = Arc::new(Segment::stored(file, start, files));
        for (rows, first, last) in blocks {
            let (at, memory) = (start + first.position, Arc::clone(self.memory));
            self.batches.push(Batch::restored(at, Arc::clone(&segment), rows, (&first, &last), memory));
        }
        self.claimed = self.claimed.max(last.last());
        self.size += last.end();
        Ok((end != End::Damaged).then(|| Open { segment, end: last.end(), rows }))
    }

    /// The header of an index, and whether there was one.
    fn header(&self, index: &File, path: &Path, first: u64) -> Result<(Header, bool)> {
        let mut bytes = [0; ROW];
        let len = read_up_to(index, &mut bytes, 0).with_context(|| format!("cannot read {}", path.display()))?;
        let shown = path.display();
        ensure_ours(&bytes[..len], path, ANY_VERSION, MAGIC)?;
        let header = Header::decode(&bytes).filter(|_| len == ROW);
        let named = Header { first, after_unknown: false };
        ensure!(header.is_none_or(|header| header.first == first), "{shown} has the wrong name");
        Ok((header.unwrap_or(named), header.is_some()))
    }

    /// How many rows of an index are good, and the blocks that they make. `None`: the index is wrong.
    fn indexed(&mut self, files: &Files, size: u64, first: u64) -> Option<(u64, Vec<Block>)> {
        let len = files.index.metadata().ok()?.len();
        let mut rows = (len / ROW as u64).checked_sub(1)?;
        while rows > 0 {
            match files.row(rows - 1) {
                Some(row) if row.end() <= size => break,
                Some(row) => self.claimed = self.claimed.max(row.last()),
                None => {}
            }
            rows -= 1;
        }
        let most = old_batch_size(self.options.size as usize) as u64;
        let (mut blocks, mut at, mut guess) = (Vec::new(), 0, 1);
        let (mut next, mut position) = (first, 0);
        while at < rows {
            let row = files.row(at).filter(|row| row.first == next && row.position == position)?;
            let last_of =
                |n: u64| files.row(at + n - 1).filter(|last| last.first >= row.first && last.end() >= row.end());
            let fits = |last: &Row| last.end() - row.position <= most;
            let mut n = guess.min(rows - at);
            while n > 1 && !last_of(n).is_some_and(|last| fits(&last)) {
                n /= 2;
            }
            while at + 2 * n <= rows && last_of(2 * n).is_some_and(|last| fits(&last)) {
                n *= 2;
            }
            let last = last_of(n)?;
            blocks.push((at..at + n, row, last));
            (at, guess, next, position) = (at + n, n, last.last() + 1, last.end());
        }
        Some((rows, blocks))
    }

    /// Searches for whole entries after `before`, the last good row. Returns rows for them, how the bytes end, and
    /// where.
    fn search(&self, file: &File, before: Option<Row>, first: u64, size: u64) -> io::Result<(Vec<Row>, End, u64)> {
        let mut at = before.map_or(0, |row| row.end());
        let mut number = before.map_or(first, |row| row.last() + 1);
        let (mut rows, mut time) = (Vec::<Row>::new(), None);
        let (mut last_event, mut last_own_id) = before.map_or((0, 0), |row| (row.last_event, row.last_own_id));
        if before.is_none() {
            (last_event, last_own_id) =
                self.batches.last().map_or((0, 0), |batch| (batch.last_event(), batch.last_own_id()));
        }
        let (mut window, mut wanted) = (Vec::new(), WINDOW);
        while at < size {
            window.resize(wanted.min((size - at) as usize), 0);
            let read = read_up_to(file, &mut window, at)?;
            let mut bytes = &window[..read];
            let start = at;
            let end = loop {
                if bytes.is_empty() {
                    break None;
                }
                match rows::next(bytes) {
                    Next::Entry(len) => {
                        let (entry, rest) = bytes.split_at(len);
                        if rows::is_event(entry) {
                            last_event = number;
                        }
                        if rows::own_id(entry, self.run, number).is_some() {
                            last_own_id = number;
                        }
                        let time = *time.get_or_insert_with(|| written(file));
                        let position = at;
                        let fits = |row: &&mut Row| {
                            row.end() == position && u64::from(row.len) + len as u64 <= OLD_BATCH as u64
                        };
                        match rows.last_mut().filter(fits) {
                            Some(row) => {
                                row.entries += 1;
                                row.len += len as u32;
                                row.checksum = combined(row.checksum, entry);
                                (row.last_event, row.last_own_id) = (last_event, last_own_id);
                            }
                            None => rows.push(Row {
                                first: number,
                                entries: 1,
                                len: len as u32,
                                position,
                                time,
                                last_event,
                                last_own_id,
                                checksum: crc32fast::hash(entry),
                            }),
                        }
                        (bytes, at, number) = (rest, at + len as u64, number + 1);
                    }
                    Next::Part(least) if at + least as u64 > size => break Some(End::Torn),
                    Next::Part(least) => {
                        wanted = WINDOW.max(least + 1);
                        break None;
                    }
                    Next::Damage => break Some(End::Damaged),
                }
            };
            if let Some(end) = end {
                return Ok((rows, end, at));
            }
            if at > start {
                wanted = wanted.max(WINDOW);
            } else if read < window.len() {
                break; // the file has become shorter meanwhile
            }
        }
        Ok((rows, End::Whole, at))
    }

    fn report(&self, shown: &str, found: &[Row], end: End, end_at: u64, size: u64, all: bool) {
        let entries: u64 = found.iter().map(|row| u64::from(row.entries)).sum();
        if entries > 0 {
            let what = if all { "its index was missing or wrong, and is rebuilt" } else { "its index ended early" };
            (self.tell)(Word::Note(format!("{shown}: {what}; records: {entries}")));
        }
        let left = size - end_at;
        match end {
            End::Whole => {}
            End::Torn => (self.tell)(Word::Note(format!(
                "{shown}: it ends inside a record, whose {left} bytes from byte {end_at} on are cut off"
            ))),
            End::Damaged => {
                (self.tell)(Word::Failure(format!("{shown}: it is damaged from byte {end_at} on: {left} bytes")))
            }
        }
    }
}

/// Fails unless a file that can be rebuilt, and begins like this, is ours and of this version: it has `magic` at its
/// beginning, as far as it goes, and a file of any version has `any_version`.
pub(super) fn ensure_ours(start: &[u8], path: &Path, any_version: &[u8], magic: &[u8]) -> Result<()> {
    let shown = path.display();
    let begins_with = |magic: &[u8]| start.iter().zip(magic).all(|(byte, wanted)| byte == wanted);
    ensure!(begins_with(any_version), "{shown} is not a file of sse-pipe; if you remove it, it is rebuilt");
    ensure!(begins_with(magic), "{shown} is of another version of sse-pipe; if you remove it, it is rebuilt");
    Ok(())
}

/// Reads as much as there is.
pub(super) fn read_up_to(file: &File, bytes: &mut [u8], position: u64) -> io::Result<usize> {
    let mut len = 0;
    while len < bytes.len() {
        match file.read_at(&mut bytes[len..], position + len as u64) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// When a file was last written, in milliseconds since 1970.
fn written(file: &File) -> u64 {
    let time = file.metadata().and_then(|metadata| metadata.modified());
    let since = time.ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_millis() as u64)
}

/// The checksum of bytes that have this checksum, with `bytes` after them.
fn combined(checksum: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(checksum);
    hasher.update(bytes);
    hasher.finalize()
}
