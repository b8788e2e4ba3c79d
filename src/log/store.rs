//! A store: the folder in which the log's segments outlive the program (`docs/store.md`).
//!
//! A segment is two files, named by the number of its first entry: `N.chunks` has the entries as clients are sent them,
//! `N.index` a row for each batch ([`super::rows`]). `state` has the run, and which numbers have been given. `lock` has
//! the process that uses the folder.
//!
//! **What a client has been sent is in the store first.** A batch is written, then its row, then the number of its last
//! entry in `state`, and then it is published. Nothing waits for the disk unless that is asked for: the kernel has the
//! bytes, and a program that is killed loses nothing.
//!
//! **No number is given twice.** `state` says which one was given last. If the machine has stopped since, nobody knows how
//! much of all that has reached the disk. So numbers are reserved in advance, rarely, and that is waited for; after such an
//! end those that are reserved are passed over.
//!
//! **Nothing of others is overwritten.** What does not begin as our files do is refused by name.

use super::batch::{Batch, Loaded};
use super::id::Run;
use super::memory::Memory;
use super::rows::{self, ANY_VERSION, Header, MAGIC, Next, ROW, Row};
use super::segment::Segment;
use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions, read_dir, read_to_string, remove_file, rename};
use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

/// A segment may take this part of what the store may: what is old goes in whole segments, and each is two open files.
/// With smaller ones a flood would make and remove hundreds of files a second, which costs ext4 more than their bytes.
const PART: u64 = 8;
/// Batches from before are put together to blocks of this size; and not to more blocks than this, or they would take more
/// memory than a large store may.
const BLOCK: u64 = 256 << 10;
const MOST_BLOCKS: u64 = 8192;
/// A store that is no larger than this is checked to the last byte when it is opened; any other as it is read.
const SMALL: u64 = 32 << 20;
/// This many numbers are reserved in advance: seconds' worth in the worst flood.
const RESERVED: u64 = 1 << 24;
/// After a failure this time passes before the store is written to again.
const RETRY: Duration = Duration::from_secs(1);
/// Segments are searched for entries by pieces of this size.
const WINDOW: usize = 1 << 20;
/// Only its owner may read what is in a store.
const PRIVATE: u32 = 0o600;

/// What the person at the terminal has to know.
#[derive(Debug)]
pub enum Word {
    /// It is worth knowing.
    Note(String),
    /// Something failed or is lost.
    Failure(String),
}

/// The way to the terminal.
pub type Tell = Arc<dyn Fn(Word) + Send + Sync>;

/// How a store is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its folder.
    pub folder: PathBuf,
    /// How many bytes it may take.
    pub size: u64,
    /// Whether each batch is on the disk before anybody is sent it.
    pub sync: bool,
}

/// What a store has from before.
#[derive(Debug)]
pub struct Contents {
    /// The run that goes on.
    pub run: Run,
    /// Its batches.
    pub batches: Vec<Batch>,
    /// The last number that was given; 0 if none was.
    pub last: u64,
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
    /// Whether nobody knows what was given before the next segment.
    after_unknown: bool,
    failing: Option<Failing>,
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
    records: u64,
}

/// What belongs to a segment in the folder.
pub struct Files {
    index: File,
    chunks: PathBuf,
    tell: Tell,
    is_removed: AtomicBool,
}

impl Files {
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
        (self.tell)(Word::Failure(format!("{path}: from byte {position} on: {error}; {records} records are lost")));
    }

    /// Removes both files. Whoever still reads them is not disturbed.
    pub fn remove(&self) {
        if !self.is_removed.swap(true, Ordering::Relaxed)
            && let Err(error) =
                remove_file(&self.chunks).and_then(|()| remove_file(self.chunks.with_extension("index")))
        {
            (self.tell)(Word::Failure(format!("cannot remove {}: {error}", self.chunks.display())));
        }
    }
}

impl Store {
    /// Opens the store, and makes it if it is not there. A new one belongs to `fresh`. Nothing of it is changed but what is
    /// torn or has to be made again.
    pub fn open(options: Options, fresh: Run, memory: &Arc<Memory>, tell: Tell) -> Result<(Store, Contents)> {
        let folder = &options.folder;
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                bail!("--store {}: cannot make this folder: {error}", folder.display())
            }
            _ => {}
        }
        segments(folder)?; // a folder of others is left as it is
        State::read(folder, true, &(Arc::new(|_| {}) as Tell))?; // told below
        let lock = lock(folder)?;
        let firsts = segments(folder)?;
        let state = State::read(folder, firsts.is_empty(), &tell)?;
        let run = state.run.unwrap_or(fresh);
        let mut reading =
            Reading { options: &options, run, memory, tell: &tell, batches: Vec::new(), claimed: 0, size: 0 };
        let mut open = None;
        for first in firsts {
            open = reading.segment(first)?;
        }
        let Reading { mut batches, claimed, size, .. } = reading;
        let held = batches.last().map_or(0, Batch::last);
        let claimed = claimed.max(state.last.unwrap_or(0));
        let after_unknown = state.may_lack_its_end();
        let last = if after_unknown { claimed.max(held).max(state.reserved) } else { claimed.max(held) };
        if last > held && (after_unknown || !batches.is_empty()) {
            let lost = last - held;
            let what = match after_unknown {
                true => "the machine has stopped since, and nobody knows which events are lost".to_owned(),
                false => format!("its end is missing: {lost} records are lost"),
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
            after_unknown,
            failing: None,
            is_closed: false,
        };
        Ok((Store { inner: Mutex::new(inner) }, Contents { run, batches, last }))
    }

    /// From now on the store is written to.
    pub fn begin(&self) -> Result<()> {
        let mut inner = self.inner();
        inner.reserved = inner.last + RESERVED;
        let boot = boot();
        inner.write_state(&boot).with_context(|| format!("--store {}: cannot write it", inner.options.folder.display()))
    }

    /// Appends a batch that begins at `offset` of the log: its bytes, and its row but for place and checksum. Returns the
    /// segment that has it, and the row's number there. `None`: it could not be written, which is reported.
    pub fn append(&self, offset: u64, row: Row, bytes: &[u8]) -> Option<(Arc<Segment>, u64)> {
        self.inner().append(offset, row, bytes)
    }

    /// All is on the disk from now on, and nothing more is written.
    pub fn close(&self) {
        let mut inner = self.inner();
        inner.is_closed = true;
        if let Err(error) = inner.sync() {
            let text = format!("--store {}: cannot write it to its end: {error}", inner.options.folder.display());
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
        if self.failing.as_ref().is_some_and(|failing| failing.tried.elapsed() < RETRY) {
            self.fail(row, None);
            return None;
        }
        match marked.and_then(|()| self.write(offset, row, bytes)) {
            Ok(place) => {
                if let Some(Failing { records, .. }) = self.failing.take() {
                    let folder = self.options.folder.display();
                    let text =
                        format!("--store {folder}: it can be written again; {records} records are missing in it");
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
            let what = "clients are served on, but those that come back later may miss events";
            let folder = self.options.folder.display();
            (self.tell)(Word::Failure(format!("--store {folder}: cannot write it: {error}; {what}")));
        }
        let failing = self.failing.get_or_insert(Failing { tried: Instant::now(), records: 0 });
        failing.records += u64::from(row.entries);
        if error.is_some() {
            failing.tried = Instant::now();
        }
        if let Some(open) = self.open.take() {
            // What was half written goes; if it does not, that is seen by the next start.
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
            // Without both there is none; else the next try would find a file in its way.
            let _ = remove_file(&chunks);
            let _ = remove_file(chunks.with_extension("index"));
        })?;
        self.after_unknown = false;
        let files = Files { index, chunks, tell: Arc::clone(&self.tell), is_removed: false.into() };
        Ok(Open { segment: Arc::new(Segment::stored(made, offset, files)), end: 0, rows: 0 })
    }

    fn segment_size(&self) -> u64 {
        use rustix::process::{Resource, getrlimit};
        // A file that grows beyond its limit would end the program by SIGXFSZ.
        let limit = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX);
        (self.options.size / PART).min(limit / 2)
    }

    /// The number of the last entry that was given is this.
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

    /// Writes `state` anew, and waits until the disk has it.
    fn write_state(&mut self, boot: &str) -> io::Result<()> {
        let (path, new) = (self.options.folder.join("state"), self.options.folder.join("state.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE).open(&new)?;
        let numbers = [("reserved", self.reserved), ("last", self.last)].map(|(key, n)| line(key, &number(n)));
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

/// What `state` says.
#[derive(Debug, Default)]
struct State {
    /// `None`: there is none, or it is damaged.
    run: Option<Run>,
    /// Since which start of the machine the store has been written; or that it was closed.
    boot: String,
    reserved: u64,
    last: Option<u64>,
}

/// In the place of a boot: all is on the disk.
const CLEAN: &str = "closed------------------------------";

impl State {
    const MAGIC: &str = "sse-pipe store 1\n";

    fn reserved_at() -> u64 {
        (State::MAGIC.len() + line("run", "123456").len() + line("boot", CLEAN).len()) as u64
    }

    fn last_at() -> u64 {
        State::reserved_at() + line("reserved", &number(0)).len() as u64
    }

    /// Reads it. `is_new`: there are no segments.
    fn read(folder: &Path, is_new: bool, tell: &Tell) -> Result<State> {
        let path = folder.join("state");
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(1 << 10).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if !is_new {
                    tell(Word::Failure(format!("{} is missing: the store goes on as a new run", path.display())));
                }
                return Ok(State { boot: CLEAN.to_owned(), ..State::default() });
            }
            Err(error) => bail!("cannot read {}: {error}", path.display()),
        }
        let ours = &State::MAGIC.as_bytes()[..State::MAGIC.len() - 2];
        ensure!(bytes.starts_with(ours), "{} is not a file of sse-pipe; choose another folder", path.display());
        let version = bytes.starts_with(State::MAGIC.as_bytes());
        ensure!(version, "{} is of another version of sse-pipe; choose another folder", path.display());
        let text = String::from_utf8_lossy(&bytes);
        let value = |key: &str| {
            let rest = text.lines().find_map(|text| text.strip_prefix(key)?.strip_prefix(' '))?;
            let (value, _) = rest.rsplit_once(' ')?;
            (line(key, value) == format!("{key} {rest}\n")).then(|| value.to_owned())
        };
        let read = || {
            Some(State {
                run: Some(Run::parse(&value("run")?)?),
                boot: value("boot")?,
                reserved: value("reserved")?.parse().ok()?,
                last: Some(value("last")?.parse().ok()?),
            })
        };
        Ok(read().unwrap_or_else(|| {
            tell(Word::Failure(format!("{} is damaged: the store goes on as a new run", path.display())));
            State { boot: CLEAN.to_owned(), ..State::default() }
        }))
    }

    /// Whether the machine has stopped since, and maybe not all is on the disk.
    fn may_lack_its_end(&self) -> bool {
        self.boot != CLEAN && (self.boot != boot() || self.boot == NO_BOOT)
    }
}

/// On systems that don't say which start of theirs it is.
const NO_BOOT: &str = "unknown-----------------------------";

/// Which start of the machine this is.
fn boot() -> String {
    let boot = read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot = boot.trim();
    if boot.len() == CLEAN.len() { boot.to_owned() } else { NO_BOOT.to_owned() }
}

/// A number as `state` has it: always as long, so that it is written in its place.
fn number(n: u64) -> String {
    format!("{n:020}")
}

/// A line of `state`, with its checksum.
fn line(key: &str, value: &str) -> String {
    let mut line = format!("{key} {value}");
    let checksum = crc32fast::hash(line.as_bytes());
    let _ = writeln!(line, " {checksum:08x}"); // writing to a string does not fail
    line
}

/// The numbers of the first entries of the segments in the folder. What is there beside a store is refused; but what a file
/// system has of its own is not.
fn segments(folder: &Path) -> Result<Vec<u64>> {
    let mut firsts = Vec::new();
    let entries = read_dir(folder).with_context(|| format!("--store {}: cannot read it", folder.display()))?;
    for entry in entries {
        let name = entry.with_context(|| format!("--store {}: cannot read it", folder.display()))?.file_name();
        let name = name.to_string_lossy();
        let segment = name.split_once('.').filter(|(first, _)| first.len() == number(0).len());
        let first = segment.and_then(|(first, kind)| Some((first.parse::<u64>().ok()?, kind)));
        match first {
            Some((first, "chunks")) => firsts.push(first),
            Some((_, "index")) => {}
            _ if ["lock", "state", "state.new", "lost+found"].contains(&&*name) || name.starts_with('.') => {}
            _ => bail!("{} is not a file of sse-pipe; choose another folder", folder.join(&*name).display()),
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Locks the folder for this process.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(PRIVATE).open(&path);
    let mut file = open.with_context(|| format!("cannot write {}", path.display()))?;
    if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        ensure!(error == rustix::io::Errno::WOULDBLOCK, "cannot lock {}: {error}", path.display());
        let mut pid = String::new();
        let _ = file.take(20).read_to_string(&mut pid);
        let by = if pid.trim().is_empty() { "another process".to_owned() } else { format!("process {}", pid.trim()) };
        bail!("--store {}: it is in use by {by}", folder.display());
    }
    let pid = format!("{}\n", std::process::id());
    file.set_len(0)
        .and_then(|()| file.write_all(pid.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file)
}

/// The last ID that an event in the store has; `None` if no event has one. Nothing is changed, and another process may have
/// the store: in a pipe it is started at the same time.
pub fn last_id(folder: &Path) -> Result<Option<String>> {
    if !folder.exists() {
        return Ok(None);
    }
    State::read(folder, true, &(Arc::new(|_| {}) as Tell))?;
    for first in segments(folder)?.into_iter().rev() {
        let chunks = folder.join(format!("{first:020}.chunks"));
        if let Some(id) = last_id_in(&chunks).with_context(|| format!("cannot read {}", chunks.display()))? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The same for a segment.
fn last_id_in(chunks: &Path) -> io::Result<Option<String>> {
    let file = match File::open(chunks) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None), // it has just been removed
        file => file?,
    };
    let index = File::open(chunks.with_extension("index")).ok();
    let rows = index.as_ref().map_or(0, |index| index.metadata().map_or(0, |metadata| metadata.len() / ROW as u64));
    let mut end = file.metadata()?.len();
    // From the last row backwards; before the first one is the header.
    for nth in (1..rows).rev() {
        let mut bytes = [0; ROW];
        let read = index.as_ref().map(|index| index.read_exact_at(&mut bytes, nth * ROW as u64));
        let Some(row) = Row::decode(&bytes).filter(|row| matches!(read, Some(Ok(()))) && row.position < end) else {
            continue;
        };
        if let Some(id) = last_id_between(&file, row.position, end)? {
            return Ok(Some(id));
        }
        end = row.position;
    }
    last_id_between(&file, 0, end)
}

/// The same for what is between these positions; an entry begins at the first one.
fn last_id_between(file: &File, mut at: u64, end: u64) -> io::Result<Option<String>> {
    let (mut window, mut wanted, mut id) = (Vec::new(), WINDOW, None);
    while at < end {
        window.resize(wanted.min((end - at) as usize), 0);
        let read = read_up_to(file, &mut window, at)?;
        let mut bytes = &window[..read];
        while !bytes.is_empty() {
            match rows::next(bytes) {
                Next::Entry(len) => {
                    id = rows::any_id(&bytes[..len]).map(str::to_owned).or(id);
                    (bytes, at) = (&bytes[len..], at + len as u64);
                }
                Next::Part(least) if at + least as u64 <= end && (bytes.len() < read || least > read) => {
                    wanted = WINDOW.max(least);
                    break;
                }
                Next::Part(_) | Next::Damage => return Ok(id),
            }
        }
        if read == 0 {
            break;
        }
    }
    Ok(id)
}

/// A store while its segments are read, one after the other.
struct Reading<'a> {
    options: &'a Options,
    run: Run,
    memory: &'a Arc<Memory>,
    tell: &'a Tell,
    batches: Vec<Batch>,
    /// Numbers up to here have been given, whether their entries are there or not.
    claimed: u64,
    /// How many bytes there are.
    size: u64,
}

/// How a segment's bytes end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With a whole entry.
    Whole,
    /// In the middle of one.
    Torn,
    /// With something that is no entry.
    Damaged,
}

impl Reading<'_> {
    /// Reads the segment whose first entry has this number. Returns it if it may be written on.
    fn segment(&mut self, first: u64) -> Result<Option<Open>> {
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
            "{shown}: the events before it go on to {}; it is not a file of this store",
            self.batches.last().map_or(0, Batch::last)
        );
        let tell = Arc::clone(self.tell);
        let files = Files { index, chunks, tell, is_removed: false.into() };
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
                self.claimed = self.claimed.max(first); // so that nothing else is given its name
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
        let begins_with = |magic: &[u8]| bytes[..len.min(magic.len())] == magic[..len.min(magic.len())];
        ensure!(begins_with(ANY_VERSION), "{shown} is not a file of sse-pipe; without it, it is made anew");
        ensure!(begins_with(MAGIC), "{shown} is of another version of sse-pipe; without it, it is made anew");
        let header = Header::decode(&bytes).filter(|_| len == ROW);
        let named = Header { first, after_unknown: false };
        ensure!(header.is_none_or(|header| header.first == first), "{shown} has another name than it should");
        Ok((header.unwrap_or(named), header.is_some()))
    }

    /// How many rows of an index are good, and the blocks that they make. `None`: the index is wrong.
    #[allow(clippy::type_complexity)]
    fn indexed(&mut self, files: &Files, size: u64, first: u64) -> Option<(u64, Vec<(Range<u64>, Row, Row)>)> {
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
        let most = BLOCK.max(self.options.size / MOST_BLOCKS);
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

    /// Looks for whole entries after `before`, the last good row. Returns rows for them, how the bytes end, and where.
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
                        let fits = |row: &&mut Row| row.end() == position && u64::from(row.len) + len as u64 <= BLOCK;
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
                break; // it has become shorter meanwhile
            }
        }
        Ok((rows, End::Whole, at))
    }

    fn report(&self, shown: &str, found: &[Row], end: End, end_at: u64, size: u64, all: bool) {
        let entries: u64 = found.iter().map(|row| u64::from(row.entries)).sum();
        if entries > 0 {
            let what = if all { "its index was missing or wrong, and is made anew" } else { "its index ended early" };
            (self.tell)(Word::Note(format!("{shown}: {what}: {entries} records")));
        }
        let left = size - end_at;
        match end {
            End::Whole => {}
            End::Torn => (self.tell)(Word::Note(format!(
                "{shown}: it ends inside a record, of which {left} bytes are cut off from byte {end_at} on"
            ))),
            End::Damaged => (self.tell)(Word::Failure(format!(
                "{shown}: what is there from byte {end_at} on is damaged: {left} bytes"
            ))),
        }
    }
}

/// Reads as much as there is.
fn read_up_to(file: &File, bytes: &mut [u8], position: u64) -> io::Result<usize> {
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

/// The checksum of what has this one, with `bytes` after it.
fn combined(checksum: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(checksum);
    hasher.update(bytes);
    hasher.finalize()
}
