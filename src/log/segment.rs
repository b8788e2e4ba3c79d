//! Segments: files that only grow. They hold the bytes of batches outside our own memory.
//!
//! What goes to a socket by `sendfile` is not copied: the kernel queues references to the pages of the file, the same
//! ones for every client. So **a page that may be in flight is never written again**: there is no ring and no reuse. A
//! segment takes bytes at its end until it is full, and is dropped as a whole together with the last of its batches.
//! Pages that are still queued stay until the kernel has sent them.
//!
//! Filling fresh pages costs about as much as two copies to a socket. It is worth it if enough clients share them, or
//! if clients that don't read would otherwise each have a copy in the kernel.
//!
//! A segment is a file in memory (Linux, `memfd_create(2)`). If that or `sendfile` is refused (another system, a
//! sandbox), batches stay in our own memory. Or it is a file in the folder of a store, with an index file
//! ([`super::store`]).

use super::memory::Memory;
use super::rows::Row;
use super::store::Files;
use super::store::ids::{IdTable, Place};
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::{Range, RangeInclusive};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A segment is closed once it has this many bytes, or fewer with a small buffer.
const LARGEST: usize = 8 << 20;
/// The part of the buffer that a segment may take. At most this much is evicted but still in the oldest segment.
const PART: usize = 16;

/// A file that holds a run of batches.
pub struct Segment {
    file: File,
    /// Offset in the log of its first byte.
    start: u64,
    /// What belongs to it in the folder of a store.
    files: Option<Files>,
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("start", &self.start).finish_non_exhaustive()
    }
}

impl Segment {
    fn create(start: u64) -> io::Result<Segment> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            let file = rustix::fs::memfd_create("sse-pipe", rustix::fs::MemfdFlags::CLOEXEC)?;
            Ok(Segment { file: file.into(), start, files: None })
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        {
            let _ = start;
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// One of a store.
    pub(super) fn stored(file: File, start: u64, files: Files) -> Segment {
        Segment { file, start, files: Some(files) }
    }

    /// What belongs to it in the folder of a store.
    pub(super) fn files(&self) -> Option<&Files> {
        self.files.as_ref()
    }

    /// These rows of its index; `None` for each that is damaged.
    pub fn rows(&self, rows: Range<u64>) -> io::Result<Vec<Option<Row>>> {
        self.files.as_ref().map_or(Ok(Vec::new()), |files| files.rows(rows))
    }

    /// Adds a table of the IDs that these entries have, and sorts the places for that.
    pub fn add_ids(&self, numbers: RangeInclusive<u64>, places: &mut [Place]) -> io::Result<IdTable> {
        self.files.as_ref().map_or(Err(io::ErrorKind::Unsupported.into()), |files| files.add_ids(numbers, places))
    }

    /// What is at `position`, this many records, can't be read.
    pub fn report_damage(&self, position: u64, records: u64, error: &io::Error) {
        if let Some(files) = &self.files {
            files.report_damage(position, records, error);
        }
    }

    /// It is not needed any more, not even after a restart. Clients that are still being sent from it are not
    /// disturbed.
    pub fn remove(&self) {
        if let Some(files) = &self.files {
            files.remove();
        }
    }

    /// The file, to be sent from.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where in the file the byte at this offset of the log is.
    pub fn position(&self, offset: u64) -> u64 {
        offset - self.start
    }

    /// Reads the bytes from this offset of the log on.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, self.position(offset))
    }
}

/// Where the next batch goes: the writer's end of the segments.
#[derive(Debug)]
pub struct Segments {
    memory: Arc<Memory>,
    /// A segment is closed once it has this many bytes.
    size: usize,
    /// The one that is being filled, and where it ends in the log.
    open: Option<(Arc<Segment>, u64)>,
}

impl Segments {
    /// Segments for batches that take at most `buffer` bytes of `memory` together.
    pub fn new(buffer: usize, memory: Arc<Memory>) -> Segments {
        let segments = Segments { memory, size: LARGEST.min(buffer / PART), open: None };
        if is_file_size_limited(segments.size) {
            segments.memory.refuse_files();
        }
        segments
    }

    /// Appends the bytes of a batch that begins at `offset` of the log, and returns the segment that has them. `None`:
    /// this is not possible here, and the bytes must stay where they are.
    pub fn append(&mut self, offset: u64, bytes: &[u8]) -> Option<Arc<Segment>> {
        if self.memory.are_files_refused() {
            self.open = None;
            return None;
        }
        let room = |(segment, end): &(Arc<Segment>, u64)| {
            // Batches that are elsewhere would be a hole in it.
            *end == offset && segment.position(offset) as usize + bytes.len() <= self.size
        };
        let mut written = || -> io::Result<Arc<Segment>> {
            let segment = match self.open.take().filter(room) {
                Some((segment, _)) => segment,
                None => Arc::new(Segment::create(offset)?),
            };
            segment.file.write_all_at(bytes, segment.position(offset))?;
            Ok(segment)
        };
        match written() {
            Ok(segment) => {
                self.open = Some((Arc::clone(&segment), offset + bytes.len() as u64));
                Some(segment)
            }
            Err(_) => {
                self.memory.refuse_files(); // permanently: a sandbox does not change its mind
                None
            }
        }
    }
}

/// Whether a file that grows to this size would end the program by SIGXFSZ.
fn is_file_size_limited(size: usize) -> bool {
    use rustix::process::{Resource, getrlimit};
    // A batch may be larger than a segment: then it has its own.
    getrlimit(Resource::Fsize).current.is_some_and(|limit| limit < (size as u64).max(1 << 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_that_follow_each_other_share_a_segment_until_it_is_full() {
        let memory = Arc::new(Memory::new(1000));
        let mut segments = Segments::new(PART * 100, Arc::clone(&memory));
        if memory.are_files_refused() {
            return eprintln!("not tried: files in memory are refused here");
        }
        let mut append = |offset: u64, bytes: &[u8]| segments.append(offset, bytes).expect("is possible here");
        let first = append(10, &[1; 60]);
        let second = append(70, &[2; 40]);
        let third = append(110, &[3; 1]);
        let fourth = append(200, &[4; 500]);
        let fifth = append(700, &[5; 1]);
        assert!(Arc::ptr_eq(&first, &second));
        let others = [&second, &third, &fourth, &fifth];
        assert!(others.windows(2).all(|two| !Arc::ptr_eq(two[0], two[1])), "full, behind a gap, full from the start");
        let mut bytes = [0; 100];
        first.read(10, &mut bytes).expect("can be read");
        assert_eq!(bytes[..60], [1; 60]);
        assert_eq!(bytes[60..], [2; 40]);
        fourth.read(699, &mut bytes[..1]).expect("can be read");
        assert_eq!((bytes[0], fourth.position(699)), (4, 499));
        assert!(fourth.read(700, &mut bytes[..1]).is_err(), "it ends there");
    }

    #[test]
    fn once_files_are_refused_nothing_goes_there_any_more() {
        let memory = Arc::new(Memory::new(1000));
        let mut segments = Segments::new(1000, Arc::clone(&memory));
        memory.refuse_files();
        assert!(segments.append(0, b"x").is_none());
    }
}
