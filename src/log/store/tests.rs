//! Stores as they are opened, written and opened again, without a program around them.

use super::*;
use crate::log::batch::{Draft, Entry, OLD_BATCH};
use crate::log::own_ids::OwnIds;
use crate::log::view::{Ids, Log};
use crate::wire::{chunk, event};
use std::fs::{create_dir, metadata, read, read_dir, remove_dir_all, write};
use std::sync::atomic::AtomicUsize;

/// A store's folder, which is removed at the end of the test. It does not exist yet.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sse-pipe-store-{}-{number}", std::process::id()));
        let _ = remove_dir_all(&path); // an earlier test with this process ID may have been killed
        Folder(path)
    }

    /// The file of the segment whose first entry has this number.
    pub fn file(&self, first: u64, kind: &str) -> PathBuf {
        self.0.join(format!("{first:020}.{kind}"))
    }

    /// Opens the store. Returns it, what it has, and what it reports, as it comes.
    pub fn open(&self) -> (Store, Contents, Arc<Mutex<Vec<String>>>) {
        let reports = Arc::<Mutex<Vec<String>>>::default();
        let tell = Arc::clone(&reports);
        let tell: Tell = Arc::new(move |word| {
            let (Word::Note(text) | Word::Failure(text)) = word;
            tell.lock().expect("nobody panics with it").push(text);
        });
        let options = Options { folder: self.0.clone(), size: 64 << 20, sync: false };
        let opened = Store::open(options, Run::new(1), &Arc::new(Memory::new(1 << 20)), tell);
        let (store, contents) = opened.expect("can be opened");
        (store, contents, reports)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = remove_dir_all(&self.0);
    }
}

/// A batch of one entry, of about this many bytes.
fn entry(size: usize) -> Vec<u8> {
    let data = format!("data: {}\n\n", "x".repeat(size));
    let mut bytes = Vec::new();
    chunk::write(&mut bytes, data.len(), |out| out.extend_from_slice(data.as_bytes()));
    bytes
}

fn row(number: u64, bytes: &[u8]) -> Row {
    let len = bytes.len() as u32;
    let (time, checksum) = (1_700_000_000_000, 0);
    Row { first: number, entries: 1, len, position: 0, time, last_event: number, last_own_id: 0, checksum }
}

/// Fills a new store with batches of one entry each, of these sizes.
fn fill(folder: &Folder, sizes: impl IntoIterator<Item = usize>) {
    let (store, ..) = folder.open();
    store.begin().expect("can be written");
    let mut offset = 0;
    for (number, size) in (1..).zip(sizes) {
        let bytes = entry(size);
        store.append(offset, row(number, &bytes), &bytes).expect("can be written");
        offset += bytes.len() as u64;
    }
}

#[test]
fn what_was_read_in_small_batches_becomes_a_few_large_ones() {
    let folder = Folder::new();
    // Small ones, ones that only two of make a large one, and small ones again.
    let sizes = [[1000; 600].as_slice(), &[100_000; 12], &[1000; 600]].concat();
    fill(&folder, sizes.iter().copied());
    for is_rebuilt in [false, true, false] {
        if is_rebuilt {
            remove_file(folder.file(1, "index")).expect("is there");
        }
        let (_store, contents, reports) = folder.open();
        assert_eq!(reports.lock().expect("is whole").len(), usize::from(is_rebuilt), "{reports:?}");
        let (mut end, mut last) = (0, 0);
        for batch in &contents.batches {
            assert_eq!((batch.start(), batch.first()), (end, last + 1), "they follow each other");
            assert!(batch.end() - batch.start() <= OLD_BATCH as u64, "{batch:?}");
            (end, last) = (batch.end(), batch.last());
        }
        assert_eq!((last, contents.last), (sizes.len() as u64, sizes.len() as u64));
        assert_eq!(end, metadata(folder.file(1, "chunks")).expect("is there").len());
        assert!(contents.batches.len() < 30, "{} batches", contents.batches.len());
    }
}

#[test]
fn events_of_a_rebuilt_index_have_the_time_at_which_their_segment_was_written() {
    let folder = Folder::new();
    fill(&folder, [10; 3]);
    remove_file(folder.file(1, "index")).expect("is there");
    let (_store, contents, _) = folder.open();
    let written = metadata(folder.file(1, "chunks")).and_then(|metadata| metadata.modified()).expect("is known");
    let since = written.duration_since(std::time::UNIX_EPOCH).expect("is after 1970");
    let mut loaded = Loaded::default();
    contents.batches[0].load(&mut loaded).expect("can be read");
    assert_eq!(loaded.index.times, [(loaded.bytes.len() as u32, since.as_millis() as u64)]);
}

#[test]
fn what_the_bytes_do_not_have_is_in_no_batch() {
    let folder = Folder::new();
    fill(&folder, [100; 8]);
    let path = folder.file(1, "chunks");
    let bytes = read(&path).expect("is there");
    for held in 1..8 {
        write(&path, &bytes[..held * bytes.len() / 8 + 1]).expect("can be written");
        let index = read(folder.file(1, "index")).expect("is there");
        let (_store, contents, reports) = folder.open();
        let numbers: Vec<_> = contents.batches.iter().map(|batch| (batch.first(), batch.last(), batch.gap())).collect();
        let held = held as u64;
        assert!(matches!(numbers[..], [.., (_, last, None), (first, 8, Some(_))] if last == held && first == held + 1));
        assert_eq!(contents.last, 8, "they are not given again");
        let reports = reports.lock().expect("is whole").join("\n");
        assert!(reports.ends_with(&format!("its end is missing; records lost: {}", 8 - held)), "{reports}");
        write(folder.file(1, "index"), index).expect("can be written");
    }
}

#[test]
fn a_segment_without_a_whole_entry_goes_unless_it_is_damaged() {
    for (bytes, stays) in [(&b""[..], false), (b"10\r\ndata: half of", false), (b"not a chunk at all", true)] {
        let folder = Folder::new();
        create_dir(&folder.0).expect("can be made");
        write(folder.file(1, "chunks"), bytes).expect("can be written");
        let header = Header { first: 1, after_unknown: false };
        write(folder.file(1, "index"), header.encode()).expect("can be written");
        let (_store, contents, _) = folder.open();
        assert_eq!(folder.file(1, "chunks").exists(), stays, "{}", bytes.escape_ascii());
        assert_eq!(contents.last, u64::from(stays), "its name is not given again: {}", bytes.escape_ascii());
    }
}

#[test]
fn the_last_id_is_found_from_the_end_and_what_is_before_need_not_be_read() {
    let folder = Folder::new();
    let (store, ..) = folder.open();
    let mut draft = Draft::new(Arc::new(Memory::new(1 << 20)));
    for id in ["a", "b"] {
        push(&mut draft, Some(id));
        draft.finish_in(&store, false).expect("has an entry");
    }
    drop(store);
    let path = folder.file(1, "chunks");
    let mut bytes = read(&path).expect("is there");
    bytes[0] = b'?';
    write(&path, bytes).expect("can be written");
    assert_eq!(last_id(&folder.0).expect("can be read").as_deref(), Some("b"));
}

/// Adds an event with this ID from its record.
fn push(draft: &mut Draft, id: Option<&str>) {
    let event = event::Event { event: None, data: event::Data::Line(b"x"), id };
    draft.push(Entry::Event, |out| chunk::write(out, event.encoded_len(), |out| event.write(out)));
    id.inspect(|id| draft.note_own_id(id));
}

#[test]
fn the_id_before_an_entry_is_the_same_once_its_batch_is_old() {
    let folder = Folder::new();
    let (store, ..) = folder.open();
    let index = Arc::<OwnIds>::default();
    let mut draft = Draft::new(Arc::new(Memory::new(1 << 20))).with_own_ids(Arc::clone(&index));
    let mut log = Log::new(Run::new(1), Ids::Own(index));
    for ids in [&[Some("a"), None, Some("b"), None][..], &[None], &[None, Some("c")]] {
        ids.iter().for_each(|id| push(&mut draft, *id));
        let mut batch = draft.finish_in(&store, false).expect("has entries");
        batch.enter_own_ids();
        log.append(Arc::new(batch));
    }
    let before = |log: &Log| (1..=8).map(|entry| log.id_before(entry)).collect::<Vec<_>>();
    let want = [None, Some("a"), Some("a"), Some("b"), Some("b"), Some("b"), Some("b"), Some("c")];
    assert_eq!(before(&log), want.map(|id| id.map(str::to_owned)));
    for block in [1, OLD_BATCH] {
        log.age(0, block);
        assert_eq!(before(&log), want.map(|id| id.map(str::to_owned)), "in blocks of {block}");
    }
}

#[test]
fn the_ids_of_removed_segments_are_let_go_of_and_their_files_closed() {
    let folder = Folder::new();
    let (store, ..) = folder.open();
    let index = Arc::<OwnIds>::default();
    let mut draft = Draft::new(Arc::new(Memory::new(1 << 20))).with_own_ids(Arc::clone(&index));
    let mut log = Log::new(Run::new(1), Ids::Own(Arc::clone(&index)));
    for id in ["a", "b", "c"] {
        push(&mut draft, Some(id));
        let mut batch = draft.finish_in(&store, false).expect("has an entry");
        batch.enter_own_ids();
        log.append(Arc::new(batch));
        log.age(0, 1);
        index.close();
        log.evict_for_good(log.end_offset()); // with it the whole segment
    }
    let files = read_dir(&folder.0).expect("is there").map(|entry| entry.expect("can be listed").file_name());
    assert_eq!(files.collect::<Vec<_>>(), ["lock"]);
    let open = format!("/proc/{}/fd", std::process::id());
    let Ok(open) = read_dir(open) else { return eprintln!("not tried: there is no /proc") };
    let open = open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    let ids: Vec<_> =
        open.filter(|path| path.starts_with(&folder.0) && path.to_string_lossy().contains(".ids")).collect();
    assert_eq!(ids.len(), 1, "only the last one, until there is another table: {ids:?}");
}

#[test]
fn numbers_are_reserved_rarely_and_long_before_they_are_given() {
    let folder = Folder::new();
    let (store, ..) = folder.open();
    store.begin().expect("can be written");
    let reserved_in_file = || {
        let state = State::read(&folder.0, true, &(Arc::new(|_| {}) as Tell)).expect("can be read");
        (state.reserved, state.last)
    };
    let bytes = entry(1);
    let mut offset = 0;
    for (number, want) in [
        (1, RESERVED),
        (RESERVED / 2, RESERVED),
        (RESERVED / 2 + 1, RESERVED / 2 + 1 + RESERVED),
        (RESERVED, RESERVED / 2 + 1 + RESERVED),
        (3 * RESERVED, 4 * RESERVED),
    ] {
        store.append(offset, row(number, &bytes), &bytes).expect("can be written");
        offset += bytes.len() as u64;
        assert_eq!(reserved_in_file(), (want, Some(number)));
    }
}

#[test]
fn retries_wait_longer_each_time_that_a_failure_follows_soon() {
    let folder = Folder::new();
    let (store, _, reports) = folder.open();
    let large = entry(9 << 20); // a segment of its own, so that a file must be made
    let mut offset = 0;
    let mut append = || {
        offset += large.len() as u64;
        store.append(offset, row(offset, &large), &large).is_some()
    };
    for seconds in [1, 2, 4, 8, 16, 32, 64, 64] {
        remove_dir_all(&folder.0).expect("is there");
        assert!(!append(), "there is no folder");
        create_dir(&folder.0).expect("can be made");
        assert!(!append(), "it is not tried again at once");
        let later = |inner: &mut Inner| {
            let failing = inner.failing.as_mut().expect("it failed");
            assert_eq!(failing.wait, Duration::from_secs(seconds));
            failing.tried -= failing.wait;
        };
        later(&mut store.inner());
        assert!(append(), "after {seconds} s it is");
        let reports = reports.lock().expect("is whole");
        assert!(reports.last().expect("has some").ends_with("records missing in it: 2"), "{reports:?}");
    }
    let (at, _) = store.inner().recovered.take().expect("it has");
    store.inner().recovered = Some((at - LONGEST_RETRY, LONGEST_RETRY));
    remove_dir_all(&folder.0).expect("is there");
    assert!(!append());
    assert_eq!(store.inner().failing.as_ref().map(|failing| failing.wait), Some(RETRY), "that was long ago");
}
