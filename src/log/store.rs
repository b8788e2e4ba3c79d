//! A store: the folder in which the log's segments outlive the program (`docs/store.md`).
//!
//! A segment is two files, named by the number of its first entry: `N.chunks` has the entries as clients are sent them,
//! `N.index` a row for each batch ([`super::rows`]). With IDs from the input there is a third one ([`ids`]). `state`
//! has the run, and which numbers have been given. `lock` names the process that uses the folder.
//!
//! **Entries are in the store before any client is sent them.** A batch is written, then its row, then the number of
//! its last entry in `state`, and then it is published. Nothing waits for the disk unless an option says so: the kernel
//! has the bytes, and a program that is killed loses nothing.
//!
//! **No number is given twice.** `state` says which one was given last. If the machine has stopped since, it is unknown
//! how much of that has reached the disk. So numbers are reserved in advance, rarely, and this does wait for the disk;
//! after such an end the reserved numbers are skipped.
//!
//! **Files of other programs are not overwritten.** A file that does not begin as ours do is refused and named.

mod folder;
pub mod ids;
mod last_id;
mod reading;
mod state;

pub use last_id::last_id;

use folder::{lock, segments};
use ids::{IdFile, IdTable, Place};
use reading::Reading;
use state::{CLEAN, State, boot, line, number};

use super::batch::{Batch, Loaded};
use super::id::Run;
use super::memory::Memory;
use super::rows::{Header, ROW, Row};
use super::segment::Segment;
use anyhow::{Context, Result, bail};
use std::fs::{DirBuilder, File, OpenOptions, remove_file, rename};
use std::io::{self, ErrorKind, Write};
use std::ops::{Range, RangeInclusive};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A segment may take this part of the store: old events are removed by whole segments, and each is two open files.
/// With smaller ones a flood would make and remove hundreds of files a second, which costs ext4 more than their bytes.
const PART: u64 = 8;
/// A store of this size or less is checked completely when it is opened; a larger one as it is read.
const SMALL: u64 = 32 << 20;
/// This many numbers are reserved in advance: enough for seconds of the worst flood.
const RESERVED: u64 = 1 << 24;
/// After a failure, this time passes before the store is written to again; it doubles after each further failure that
/// follows soon, up to [`LONGEST_RETRY`]. Each success begins another segment, with two open files.
const RETRY: Duration = Duration::from_secs(1);
/// The longest time between two tries. A failure within this time of the last one follows soon.
const LONGEST_RETRY: Duration = Duration::from_secs(64);
/// Only its owner may read what is in a store.
const PRIVATE: u32 = 0o600;

/// A message for the terminal.
#[derive(Debug)]
pub enum Word {
    /// It is worth knowing.
    Note(String),
    /// Something failed or is lost.
    Failure(String),
}

/// Sends messages to the terminal.
pub type Tell = Arc<dyn Fn(Word) + Send + Sync>;

/// How a store is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its folder.
    pub folder: PathBuf,
    /// How many bytes it may take.
    pub size: u64,
    /// Whether each batch must be on the disk before any client is sent it.
    pub sync: bool,
}

/// What a store has from an earlier program.
#[derive(Debug)]
pub struct Contents {
    /// The run that continues.
    pub run: Run,
    /// Its batches.
    pub batches: Vec<Batch>,
    /// The last number that was given; 0 if none was.
    pub last: u64,
    /// What is known about IDs from the input without reading the batches.
    pub id_tables: Vec<IdTable>,
}

/// A store that is open.
pub struct Store {
    inner: Mutex<Inner>,
}

struct Inner {
    options: Options,
    tell: Tell,
    /// Locked while we use the folder.
    _lock: File,
    run: Run,
    /// `state`, once writing has begun.
    state: Option<File>,
    /// Numbers up to here are reserved.
    reserved: u64,
    /// The last number that was given.
    last: u64,
    /// The segment that is being written.
    open: Option<Open>,
    /// Numbers up to here were skipped, because it is unknown which of them were given; 0 if none were.
    passed: u64,
    /// Whether that is the case right before the next segment.
    after_unknown: bool,
    failing: Option<Failing>,
    /// When it last failed and then worked again, and how long the retries waited then.
    recovered: Option<(Instant, Duration)>,
    is_closed: bool,
}

struct Open {
    segment: Arc<Segment>,
    /// Where its next batch begins.
    end: u64,
    rows: u64,
}

/// Set while the store can't be written.
struct Failing {
    tried: Instant,
    /// How long the next retry waits.
    wait: Duration,
    records: u64,
}

/// What belongs to a segment in the folder.
pub struct Files {
    index: File,
    chunks: PathBuf,
    tell: Tell,
    /// Tables of IDs from the input, once there are any.
    ids: Mutex<Option<Arc<IdFile>>>,
    is_removed: AtomicBool,
}

impl Files {
    fn new(index: File, chunks: PathBuf, ids: Option<Arc<IdFile>>, tell: &Tell) -> Files {
        Files { index, chunks, tell: Arc::clone(tell), ids: Mutex::new(ids), is_removed: false.into() }
    }

    /// Adds a table of the IDs that these entries have, and sorts the places for that.
    pub fn add_ids(&self, numbers: RangeInclusive<u64>, places: &mut [Place]) -> io::Result<IdTable> {
        let mut ids = self.ids.lock().expect("nobody panics with it");
        let file = match &*ids {
            Some(file) => Arc::clone(file),
            None => Arc::clone(ids.insert(IdFile::create(&self.chunks.with_extension("ids"))?)),
        };
        file.append(numbers, places)
    }

    /// These rows of the index; `None` for each that is damaged.
    pub fn rows(&self, rows: Range<u64>) -> io::Result<Vec<Option<Row>>> {
        let mut bytes = vec![0; (rows.end - rows.start) as usize * ROW];
        self.index.read_exact_at(&mut bytes, (rows.start + 1) * ROW as u64)?;
        Ok(bytes.as_chunks().0.iter().map(Row::decode).collect())
    }

    fn row(&self, nth: u64) -> Option<Row> {
        self.rows(nth..nth + 1).ok()?[0]
    }

    /// What is at `position`, this many records, can't be read.
    pub fn report_damage(&self, position: u64, records: u64, error: &io::Error) {
        let path = self.chunks.display();
        (self.tell)(Word::Failure(format!("{path}: from byte {position} on: {error}; records lost: {records}")));
    }

    /// Removes them. A client that is still sent from them is not disturbed.
    pub fn remove(&self) {
        if self.is_removed.swap(true, Ordering::Relaxed) {
            return;
        }
        // The chunks come last: what else is missing is made again, but without them nobody would ask for it.
        let ids = self.ids.lock().expect("nobody panics with it").take().inspect(|ids| ids.set_removed());
        let kinds = ids.map(|_| "ids").into_iter().chain(["index", "chunks"]);
        let mut paths = kinds.map(|kind| self.chunks.with_extension(kind));
        if let Err(error) = paths.try_for_each(remove_file) {
            (self.tell)(Word::Failure(format!("cannot remove {}: {error}", self.chunks.display())));
        }
    }
}

impl Store {
    /// Opens the store, and makes it if it does not exist. A new one belongs to `fresh`. Nothing in it is changed,
    /// except what is torn or must be rebuilt.
    pub fn open(options: Options, fresh: Run, memory: &Arc<Memory>, tell: Tell) -> Result<(Store, Contents)> {
        let folder = &options.folder;
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                bail!("--store {}: cannot make this folder: {error}", folder.display())
            }
            _ => {}
        }
        segments(folder)?; // a folder of another program is left as it is
        State::read(folder, true, &(Arc::new(|_| {}) as Tell))?; // reported below
        let lock = lock(folder)?;
        let firsts = segments(folder)?;
        let state = State::read(folder, firsts.is_empty(), &tell)?;
        let run = state.run.unwrap_or(fresh);
        let mut reading = Reading {
            options: &options,
            run,
            memory,
            tell: &tell,
            batches: Vec::new(),
            id_tables: Vec::new(),
            claimed: 0,
            size: 0,
        };
        let mut open = None;
        for first in firsts {
            open = reading.segment(first)?;
        }
        let Reading { mut batches, id_tables, claimed, size, .. } = reading;
        let held = batches.last().map_or(0, Batch::last);
        let claimed = claimed.max(state.last.unwrap_or(0));
        let lacks_its_end = state.may_lack_its_end();
        let last = if lacks_its_end { claimed.max(held).max(state.reserved) } else { claimed.max(held) };
        let passed = if lacks_its_end { last } else { state.passed };
        let after_unknown = passed > held;
        if last > held && (after_unknown || !batches.is_empty()) {
            let lost = last - held;
            let what = match after_unknown {
                true => "the machine has stopped since, and it is unknown which events are lost".to_owned(),
                false => format!("its end is missing; records lost: {lost}"),
            };
            tell(Word::Failure(format!("--store {}: {what}", folder.display())));
            batches.push(Batch::lost(batches.last(), held + 1..=last, after_unknown, Arc::clone(memory)));
            open = None;
        }
        if size <= SMALL {
            let mut loaded = Loaded::default();
            batches.iter().filter(|batch| batch.gap().is_none()).for_each(|batch| _ = batch.load(&mut loaded));
        }
        let inner = Inner {
            options,
            tell,
            _lock: lock,
            run,
            state: None,
            reserved: 0,
            last,
            open,
            passed,
            after_unknown,
            failing: None,
            recovered: None,
            is_closed: false,
        };
        Ok((Store { inner: Mutex::new(inner) }, Contents { run, batches, last, id_tables }))
    }

    /// From now on the store is written to.
    pub fn begin(&self) -> Result<()> {
        let mut inner = self.inner();
        inner.reserved = inner.last + RESERVED;
        let boot = boot();
        inner.write_state(&boot).with_context(|| format!("--store {}: cannot write it", inner.options.folder.display()))
    }

    /// Appends a batch that begins at `offset` of the log: its bytes, and its row without place and checksum. Returns
    /// the segment that has it, and the row's number there. `None`: it could not be written, which has been reported.
    pub fn append(&self, offset: u64, row: Row, bytes: &[u8]) -> Option<(Arc<Segment>, u64)> {
        self.inner().append(offset, row, bytes)
    }

    /// Makes sure that everything is on the disk; nothing more is written.
    pub fn close(&self) {
        let mut inner = self.inner();
        inner.is_closed = true;
        if let Err(error) = inner.sync() {
            let text = format!("--store {}: cannot finish writing it: {error}", inner.options.folder.display());
            (inner.tell)(Word::Failure(text));
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nobody panics with it")
    }
}

impl Inner {
    fn append(&mut self, offset: u64, row: Row, bytes: &[u8]) -> Option<(Arc<Segment>, u64)> {
        if self.is_closed {
            return None;
        }
        let marked = self.mark(row.last());
        if self.failing.as_ref().is_some_and(|failing| failing.tried.elapsed() < failing.wait) {
            self.fail(row, None);
            return None;
        }
        match marked.and_then(|()| self.write(offset, row, bytes)) {
            Ok(place) => {
                if let Some(Failing { records, wait, .. }) = self.failing.take() {
                    self.recovered = Some((Instant::now(), wait));
                    let folder = self.options.folder.display();
                    let text = format!("--store {folder}: it can be written again; records missing in it: {records}");
                    (self.tell)(Word::Note(text));
                }
                Some(place)
            }
            Err(error) => {
                self.fail(row, Some(error));
                None
            }
        }
    }

    /// The entries of this row are not in the store.
    fn fail(&mut self, row: Row, error: Option<io::Error>) {
        if let (None, Some(error)) = (&self.failing, &error) {
            let what = "connected clients are still served, but those that reconnect later may miss events";
            let folder = self.options.folder.display();
            (self.tell)(Word::Failure(format!("--store {folder}: cannot write it: {error}; {what}")));
        }
        let soon = self.recovered.filter(|(at, _)| at.elapsed() < LONGEST_RETRY);
        let wait = soon.map_or(RETRY, |(_, wait)| (wait * 2).min(LONGEST_RETRY));
        let failing = self.failing.get_or_insert(Failing { tried: Instant::now(), wait, records: 0 });
        failing.records += u64::from(row.entries);
        if error.is_some() {
            failing.tried = Instant::now();
        }
        if let Some(open) = self.open.take() {
            // A half-written part is removed; if that fails, the next start notices it.
            let _ = open.segment.file().set_len(open.end);
            let _ = open.segment.files().map(|files| files.index.set_len((open.rows + 1) * ROW as u64));
        }
    }

    fn write(&mut self, offset: u64, mut row: Row, bytes: &[u8]) -> io::Result<(Arc<Segment>, u64)> {
        let limit = self.segment_size();
        let fits = |open: &Open| {
            let is_removed = open.segment.files().is_some_and(|files| files.is_removed.load(Ordering::Relaxed));
            !is_removed && open.segment.position(offset) == open.end && open.end + bytes.len() as u64 <= limit
        };
        if !self.open.as_ref().is_some_and(fits) {
            self.open = Some(self.create(offset, row.first)?);
        }
        let open = self.open.as_mut().expect("it was just made");
        let files = open.segment.files().expect("it is in a folder");
        (row.position, row.checksum) = (open.end, crc32fast::hash(bytes));
        open.segment.file().write_all_at(bytes, open.end)?;
        files.index.write_all_at(&row.encode(), (open.rows + 1) * ROW as u64)?;
        if self.options.sync {
            open.segment.file().sync_data()?;
            files.index.sync_data()?;
        }
        open.end = row.end();
        open.rows += 1;
        Ok((Arc::clone(&open.segment), open.rows - 1))
    }

    fn create(&mut self, offset: u64, first: u64) -> io::Result<Open> {
        let chunks = self.options.folder.join(format!("{first:020}.chunks"));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(PRIVATE);
        let made = options.open(&chunks)?;
        let header = Header { first, after_unknown: self.after_unknown };
        let index = options.open(chunks.with_extension("index")).and_then(|index| {
            index.write_all_at(&header.encode(), 0)?;
            if self.options.sync {
                File::open(&self.options.folder)?.sync_all()?;
            }
            Ok(index)
        });
        let index = index.inspect_err(|_| {
            // Without both files there is no segment: a file that stayed would be in the way of the next try.
            let _ = remove_file(&chunks);
            let _ = remove_file(chunks.with_extension("index"));
        })?;
        self.after_unknown = false;
        let files = Files::new(index, chunks, None, &self.tell);
        Ok(Open { segment: Arc::new(Segment::stored(made, offset, files)), end: 0, rows: 0 })
    }

    fn segment_size(&self) -> u64 {
        use rustix::process::{Resource, getrlimit};
        // A file that grows beyond its limit would end the program by SIGXFSZ.
        let limit = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX);
        (self.options.size / PART).min(limit / 2)
    }

    /// This is the number of the last entry that was given.
    fn mark(&mut self, last: u64) -> io::Result<()> {
        self.last = last;
        let Some(state) = &self.state else { return Ok(()) };
        if last + RESERVED / 2 > self.reserved {
            self.reserved = last + RESERVED;
            state.write_all_at(line("reserved", &number(self.reserved)).as_bytes(), State::reserved_at())?;
            state.sync_data()?;
        }
        state.write_all_at(line("last", &number(last)).as_bytes(), State::last_at())
    }

    /// Rewrites `state`, and waits until it is on the disk.
    fn write_state(&mut self, boot: &str) -> io::Result<()> {
        let (path, new) = (self.options.folder.join("state"), self.options.folder.join("state.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE).open(&new)?;
        let numbers = [("reserved", self.reserved), ("last", self.last), ("passed", self.passed)];
        let numbers = numbers.map(|(key, n)| line(key, &number(n)));
        let text = [State::MAGIC, &line("run", &self.run.to_string()), &line("boot", boot), &numbers.concat()].concat();
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        rename(&new, &path)?;
        File::open(&self.options.folder)?.sync_all()?;
        self.state = Some(file);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if let Some(open) = &self.open {
            open.segment.file().sync_data()?;
            open.segment.files().map_or(Ok(()), |files| files.index.sync_data())?;
        }
        self.reserved = self.last;
        self.write_state(CLEAN)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
