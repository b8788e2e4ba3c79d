//! `N.ids`: sorted tables of which entry of a segment has which ID from the input, for those that have left memory.
//!
//! Look-ups read the file, which the kernel keeps in memory as far as it has room. Format: `docs/store.md`.

use super::PRIVATE;
use super::reading::{ensure_ours, read_up_to};
use crate::log::own_ids;
use anyhow::Result;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The beginning of each table. Another version has another digit.
const MAGIC: &[u8; 16] = b"sse-pipe ids 1\n\0";
/// The beginning of each table of any version.
const ANY_VERSION: &[u8] = b"sse-pipe ids ";
/// The length of its header: magic, first and last number, how many places, the hash of a known text, CRC-32.
const HEADER: usize = MAGIC.len() + 4 * 8 + 4;
/// The length of a place in a file: hash and number.
pub const PLACE: usize = 16;
/// The hash of this text is in each header: if another program uses another hash, it can't use the table.
const KNOWN_TEXT: &str = "sse-pipe";

/// That an entry has an ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The ID's hash.
    pub hash: u64,
    /// The entry's number.
    pub entry: u64,
}

/// A table in a file.
#[derive(Debug)]
pub struct IdTable {
    file: Arc<IdFile>,
    /// Where its first place is in the file.
    position: u64,
    places: u64,
    numbers: RangeInclusive<u64>,
}

/// The file of a segment's tables. It is removed with the segment.
#[derive(Debug)]
pub struct IdFile {
    file: File,
    /// Set once the segment is removed.
    is_removed: AtomicBool,
}

impl IdTable {
    /// The numbers of the entries whose IDs it has.
    pub fn numbers(&self) -> &RangeInclusive<u64> {
        &self.numbers
    }

    /// Whether its segment is gone.
    pub fn is_removed(&self) -> bool {
        self.file.is_removed.load(Ordering::Relaxed)
    }

    /// The numbers of the entries with an ID of this hash, in order. None if the table can't be read.
    pub fn find(&self, hash: u64) -> Vec<u64> {
        let (mut low, mut high) = (0, self.places);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.place(middle) {
                Some(place) if place.hash < hash => low = middle + 1,
                Some(_) => high = middle,
                None => return Vec::new(),
            }
        }
        let same = (low..self.places).map_while(|nth| self.place(nth)).take_while(|place| place.hash == hash);
        same.map(|place| place.entry).filter(|entry| self.numbers.contains(entry)).collect()
    }

    fn place(&self, nth: u64) -> Option<Place> {
        let mut bytes = [0; PLACE];
        self.file.file.read_exact_at(&mut bytes, self.position + nth * PLACE as u64).ok()?;
        let (hash, entry) = bytes.split_at(8);
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("they are eight"));
        Some(Place { hash: number(hash), entry: number(entry) })
    }
}

impl IdFile {
    /// The file at `path`, and its tables, oldest first. Everything after the last good one is cut off. `None`: there
    /// is no file. A file of another version, or of something else, is an error, and stays as it is.
    pub(super) fn open(path: &Path) -> Result<Option<(Arc<IdFile>, Vec<IdTable>)>> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let len = file.metadata()?.len();
        let mut start = [0; MAGIC.len()];
        let read = read_up_to(&file, &mut start, 0)?;
        ensure_ours(&start[..read], path, ANY_VERSION, MAGIC)?;
        let file = Arc::new(IdFile { file, is_removed: false.into() });
        let (mut tables, mut at) = (Vec::new(), 0);
        while at < len {
            let mut header = [0; HEADER];
            read_up_to(&file.file, &mut header, at)?;
            let position = at + HEADER as u64;
            let end = |places: u64| places.checked_mul(PLACE as u64)?.checked_add(position).filter(|end| *end <= len);
            let Some((numbers, places, end)) = decode(&header).and_then(|(numbers, n)| Some((numbers, n, end(n)?)))
            else {
                file.file.set_len(at)?; // a torn end, or of a program with another hash: it is made again
                break;
            };
            tables.push(IdTable { file: Arc::clone(&file), position, places, numbers });
            at = end;
        }
        Ok(Some((file, tables)))
    }

    /// An empty one.
    pub(super) fn create(path: &PathBuf) -> io::Result<Arc<IdFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(PRIVATE).open(path)?;
        Ok(Arc::new(IdFile { file, is_removed: false.into() }))
    }

    /// Appends a table of these places, and sorts them for that.
    pub(super) fn append(self: &Arc<Self>, numbers: RangeInclusive<u64>, places: &mut [Place]) -> io::Result<IdTable> {
        places.sort_unstable();
        let at = self.file.metadata()?.len();
        let mut bytes = Vec::with_capacity(HEADER + places.len() * PLACE);
        bytes.extend(encode(&numbers, places.len() as u64));
        for place in places.iter() {
            bytes.extend(place.hash.to_le_bytes());
            bytes.extend(place.entry.to_le_bytes());
        }
        if let Err(error) = self.file.write_all_at(&bytes, at) {
            let _ = self.file.set_len(at);
            return Err(error);
        }
        let position = at + HEADER as u64;
        Ok(IdTable { file: Arc::clone(self), position, places: places.len() as u64, numbers })
    }

    pub(super) fn set_removed(&self) {
        self.is_removed.store(true, Ordering::Relaxed);
    }
}

fn encode(numbers: &RangeInclusive<u64>, places: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..MAGIC.len()].copy_from_slice(MAGIC);
    let fields = [*numbers.start(), *numbers.end(), places, own_ids::hash(KNOWN_TEXT)];
    for (nth, field) in fields.into_iter().enumerate() {
        header[MAGIC.len() + 8 * nth..][..8].copy_from_slice(&field.to_le_bytes());
    }
    let checksum = crc32fast::hash(&header[..HEADER - 4]);
    header[HEADER - 4..].copy_from_slice(&checksum.to_le_bytes());
    header
}

fn decode(header: &[u8; HEADER]) -> Option<(RangeInclusive<u64>, u64)> {
    let (fields, _) = header[MAGIC.len()..].as_chunks();
    let [first, last, places] = [0, 1, 2].map(|nth: usize| u64::from_le_bytes(fields[nth]));
    (encode(&(first..=last), places) == *header).then_some((first..=last, places))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Folder;
    use super::*;

    #[test]
    fn tables_are_found_again_and_what_is_damaged_is_cut_off() {
        let folder = Folder::new();
        std::fs::create_dir(&folder.0).expect("can be made");
        let path = folder.file(1, "ids");
        let file = IdFile::create(&path).expect("can be made");
        let place = |hash, entry| Place { hash, entry };
        let mut places: Vec<_> = (1..=1000).map(|entry| place(entry * 7919 % 500 * 2, entry)).collect();
        let first = file.append(1..=1000, &mut places).expect("can be written");
        file.append(1001..=1001, &mut [place(4, 1001)]).expect("can be written");
        let expected = |hash| (1..=1000).filter(|entry| entry * 7919 % 500 * 2 == hash).collect::<Vec<_>>();
        for hash in [0, 2, 4, 501, 998, 999, u64::MAX] {
            assert_eq!(first.find(hash), expected(hash), "{hash}");
        }
        assert_eq!(first.find(4).len(), 2);
        let open = || IdFile::open(&path).expect("can be read").expect("is there").1;
        assert_eq!(open().iter().map(|table| table.find(4)).collect::<Vec<_>>(), [expected(4), vec![1001]]);
        let bytes = std::fs::read(&path).expect("can be read");
        let second = HEADER + 1000 * PLACE;
        for at in second..second + HEADER {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).expect("can be written");
            assert_eq!(open().len(), 1, "byte {at}");
        }
        for len in [0, 1, HEADER, second - 1, second, second + 1, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..len]).expect("can be written");
            assert_eq!(open().len(), usize::from(len >= second), "{len} bytes");
            assert_eq!(
                std::fs::metadata(&path).expect("is there").len(),
                if len >= second { second as u64 } else { 0 }
            );
        }
        for other in [&b"sse-pipe ids 2\n\0and more"[..], b"GIF89a"] {
            std::fs::write(&path, other).expect("can be written");
            assert!(IdFile::open(&path).is_err());
            assert_eq!(std::fs::read(&path).expect("is there"), other, "it stays as it is");
        }
        std::fs::remove_file(&path).expect("can be removed");
        assert!(IdFile::open(&path).expect("can be looked for").is_none());
        std::os::unix::fs::symlink(&path, &path).expect("can be made");
        assert!(IdFile::open(&path).is_err(), "it is there, and cannot be opened");
    }
}
