//! The reader of stores: no matter what happens to the files, it starts or refuses, and serves only whole events that
//! were written, and gives no ID twice.
//!
//! The input says what happens to them, four bytes at a time: to which file, what, and where.

use sse_pipe::log::batch::{Batch, Draft, Entry, Loaded};
use sse_pipe::log::id::Run;
use sse_pipe::log::memory::Memory;
use sse_pipe::log::own_ids::OwnIds;
use sse_pipe::log::store::{Contents, Options, Store};
use sse_pipe::log::{Ids, Log, Missed, rows};
use sse_pipe::wire::chunk;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

const BUFFER: u64 = 4 << 10;

/// A small store, as it is after the program was killed.
pub struct Sample {
    /// Name and content of each file.
    pub files: Vec<(String, Vec<u8>)>,
    /// The events that were written.
    pub entries: Vec<Vec<u8>>,
    /// The number that was given last.
    pub last: u64,
}

/// The store that is changed: some segments, with batches of one event and of several.
pub static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let folder = Folder::new();
    let memory = Arc::new(Memory::new(1000));
    let (store, Contents { run, .. }) = open(&folder.0, &memory).expect("it is new");
    store.begin().expect("it can be written");
    let index = Arc::<OwnIds>::default();
    let (mut draft, mut entries) = (Draft::new(Arc::clone(&memory)).with_own_ids(Arc::clone(&index)), Vec::new());
    for batch in 0..5u64 {
        draft.read_at(1000 + batch);
        for _ in 0..=batch % 3 {
            let number = entries.len() + 1;
            let id = if batch == 1 { own_id(number as u64) } else { format!("{run}-{number}") };
            let event = format!("data: {}\nid: {id}\n\n", "x".repeat(entries.len() * 7));
            let mut entry = Vec::new();
            chunk::write(&mut entry, event.len(), |out| out.extend_from_slice(event.as_bytes()));
            draft.push(Entry::Event, |out| out.extend_from_slice(&entry));
            if batch == 1 {
                draft.note_own_id(&id);
            }
            entries.push(entry);
        }
        let batch = Arc::new(draft.finish_in(&store, true).expect("it has entries"));
        Batch::old(&[batch]); // its IDs are on their way to a table
    }
    index.close();
    drop(store);
    let names = std::fs::read_dir(&folder.0).expect("is a folder").map(|entry| entry.expect("can be listed").path());
    let mut files: Vec<_> = names
        .map(|path| {
            (path.file_name().expect("has one").to_string_lossy().into_owned(), std::fs::read(&path).expect("ours"))
        })
        .filter(|(name, _)| name != "lock")
        .collect();
    files.sort();
    let last = entries.len() as u64;
    Sample { files, entries, last }
});

/// The ID that a record has brought with it.
fn own_id(number: u64) -> String {
    format!("k-{number}")
}

/// Changes the sample as the input says.
pub fn check(bytes: &[u8]) {
    let mut files = SAMPLE.files.clone();
    for change in bytes.as_chunks::<4>().0.iter().take(8) {
        let [file, what, high, low] = *change;
        let count = files.len();
        let (_, content) = &mut files[usize::from(file) % count];
        let at = usize::from(u16::from_be_bytes([high, low]));
        match what {
            0 => content.truncate(at % (content.len() + 1)),
            1 => content.resize(content.len() + at % 5000, 0),
            2 => content.extend_from_within(at % (content.len() + 1)..),
            3 => drop(content.drain(..at % (content.len() + 1))),
            4 => drop(files.remove(usize::from(file) % count)),
            flip if !content.is_empty() => {
                let len = content.len();
                content[at % len] ^= flip;
            }
            _ => {}
        }
        if files.is_empty() {
            return;
        }
    }
    opens_or_is_refused(&files, false);
}

/// Opens a store of these files, and checks what it serves. `intact`: the events themselves are as they were written, or
/// there are checksums of them. Returns whether it opened, and how many events it has.
pub fn opens_or_is_refused(files: &[(String, Vec<u8>)], intact: bool) -> Option<usize> {
    let folder = Folder::new();
    for (name, content) in files {
        std::fs::write(folder.0.join(name), content).expect("can be written");
    }
    let memory = Arc::new(Memory::new(1000));
    let (store, Contents { run, batches, last, id_tables }) = match open(&folder.0, &memory) {
        Ok(opened) => opened,
        Err(error) => {
            assert!(!format!("{error:#}").is_empty());
            return None;
        }
    };
    let (mut loaded, mut found) = (Loaded::default(), 0);
    for batch in &batches {
        if batch.gap().is_some() || batch.load(&mut loaded).is_err() {
            assert!(batch.gap().is_some(), "what can't be read is a gap");
            continue;
        }
        let ends = rows::ends(&loaded.bytes).expect("they are whole chunks");
        assert_eq!(ends.len() as u64, batch.last() - batch.first() + 1);
        let starts = std::iter::once(0).chain(ends.iter().copied());
        for (start, &end) in starts.zip(&ends) {
            let entry = &loaded.bytes[start as usize..end as usize];
            assert!(!intact || SAMPLE.entries.iter().any(|other| other == entry), "{}", entry.escape_ascii());
            found += 1;
        }
    }
    // It is the same run, and then no number comes twice; or it is another one.
    let was = SAMPLE.entries[0].windows(6).position(|six| six == run.to_string().as_bytes());
    assert!(!intact || was.is_none() || last >= SAMPLE.last, "{last} comes again");
    let index = Arc::new(OwnIds::with_tables(id_tables));
    batches.iter().for_each(|batch| batch.find_own_ids(&index, run));
    let log = Log::new(run, Ids::OwnElseRun(index)).with(batches, last);
    for number in 1..=SAMPLE.last {
        let start = log.resume(&own_id(number), u64::MAX);
        assert!(!intact || start.missed == Missed::Unknown || start.entry == number + 1, "{number}: {start:?}");
    }
    let draft = Draft::new(memory).after(&log);
    assert_eq!(draft.next(), last + 1);
    drop(store);
    Some(found)
}

fn open(folder: &Path, memory: &Arc<Memory>) -> Result<(Store, Contents), String> {
    let options = Options { folder: folder.to_owned(), size: BUFFER, sync: false };
    Store::open(options, Run::new(1), memory, Arc::new(|_| {})).map_err(|error| format!("{error:#}"))
}

/// A folder of its own, in memory if there is a place for that. Gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let parent = Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir()).unwrap_or_else(std::env::temp_dir);
        let name = format!("sse-pipe-store-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = parent.join(name);
        std::fs::create_dir(&folder).expect("it is ours");
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
