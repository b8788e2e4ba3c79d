//! Stores as they are opened, written and opened again, without a program around them.

use super::reading::WINDOW;
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
        self.open_with(8 << 20)
    }

    /// The same with segments of this many bytes.
    pub fn open_with(&self, segment: u64) -> (Store, Contents, Arc<Mutex<Vec<String>>>) {
        let reports = Arc::<Mutex<Vec<String>>>::default();
        let tell = Arc::clone(&reports);
        let tell: Tell = Arc::new(move |word| {
            let (Word::Note(text) | Word::Failure(text)) = word;
            tell.lock().expect("nobody panics with it").push(text);
        });
        let options = Options { folder: self.0.clone(), size: PART * segment, sync: false };
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
    fill_with(folder, 8 << 20, sizes);
}

/// The same with segments of this many bytes.
fn fill_with(folder: &Folder, segment: u64, sizes: impl IntoIterator<Item = usize>) {
    let (store, ..) = folder.open_with(segment);
    store.begin().expect("can be written");
    let mut offset = 0;
    for (number, size) in (1..).zip(sizes) {
        let bytes = entry(size);
        store.append(offset, row(number, &bytes), &bytes).expect("can be written");
        offset += bytes.len() as u64;
    }
}

#[test]
fn the_files_are_as_the_document_has_them() {
    let sealed = |fields: &[&[u8]]| {
        let bytes = fields.concat();
        [&bytes[..], &crc32fast::hash(&bytes).to_le_bytes()].concat()
    };
    let (long, short) = (u64::to_le_bytes, u32::to_le_bytes);
    let header = Header { first: 7, after_unknown: true }.encode();
    assert_eq!(header[..], sealed(&[b"sse-pipe index 1\n", &[1], &[0; 6], &long(7), &[0; 20]]));
    let (first, position, time, last_event, last_own_id, entries, len, checksum) = (1, 2, 3, 4, 5, 6, 7, 8);
    let row = Row { first, entries, len, position, time, last_event, last_own_id, checksum }.encode();
    let longs = [1, 2, 3, 4, 5].map(long).concat();
    assert_eq!(row[..], sealed(&[&longs, &short(6), &short(7), &short(8)]));

    let folder = Folder::new();
    create_dir(&folder.0).expect("can be made");
    let file = ids::IdFile::create(&folder.file(3, "ids")).expect("can be made");
    let mut places = [Place { hash: 20, entry: 4 }, Place { hash: 10, entry: 9 }];
    file.append(3..=9, &mut places).expect("can be written");
    let hash = crate::log::own_ids::hash("sse-pipe");
    let header = sealed(&[b"sse-pipe ids 1\n\0", &long(3), &long(9), &long(2), &long(hash)]);
    let want = [header, [10, 9, 20, 4].map(long).concat()].concat();
    assert_eq!(read(folder.file(3, "ids")).expect("is there"), want);

    let folder = Folder::new();
    let options = Options { folder: folder.0.clone(), size: 1 << 20, sync: false };
    let run = Run::parse("yL4nz4").expect("is one");
    let opened = Store::open(options, run, &Arc::new(Memory::new(1000)), Arc::new(|_| {}));
    let (store, _) = opened.expect("can be opened");
    store.begin().expect("can be written");
    let bytes = entry(1);
    store.append(0, self::row(5, &bytes), &bytes).expect("can be written");
    store.close();
    let state = std::fs::read_to_string(folder.0.join("state")).expect("is text");
    let indented: String = state.lines().map(|line| format!("    {line}\n")).collect();
    assert!(include_str!("../../../docs/store.md").contains(&indented), "{state}");
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
        assert_eq!(metadata(folder.file(1, "index")).expect("is there").len(), (held + 1) * ROW as u64);
        let reports = reports.lock().expect("is whole").join("\n");
        assert!(reports.ends_with(&format!("its end is missing; records lost: {}", 8 - held)), "{reports}");
        write(folder.file(1, "index"), index).expect("can be written");
    }
}

/// The numbers of the entries of each batch, and those of gaps: how many are lost.
type Numbers = Vec<(u64, u64, Option<Option<u64>>)>;

fn numbers(contents: &Contents) -> Numbers {
    let one = |batch: &Batch| (batch.first(), batch.last(), batch.gap().map(|gap| gap.records));
    let ends = contents.batches.iter().map(Batch::end);
    assert!(contents.batches.iter().skip(1).map(Batch::start).eq(ends.take(contents.batches.len().saturating_sub(1))));
    contents.batches.iter().map(one).collect()
}

#[test]
fn a_segment_that_is_missing_is_a_gap_of_what_it_had() {
    let (one, lost) = (|n: u64| (n, n, None), |first: u64, last: u64| (first, last, Some(Some(last - first + 1))));
    for (missing, want) in [
        (&[][..], vec![one(1), one(2), one(3), one(4)]),
        (&[2], vec![one(1), lost(2, 2), one(3), one(4)]),
        (&[2, 3], vec![one(1), lost(2, 3), one(4)]),
        (&[4], vec![one(1), one(2), one(3), lost(4, 4)]),
        (&[1, 2], vec![one(3), one(4)]), // that is where the store begins
        (&[1, 2, 3, 4], vec![]),
    ] {
        let folder = Folder::new();
        fill_with(&folder, 100, [60; 4]);
        for number in missing {
            remove_file(folder.file(*number, "chunks")).expect("is there");
        }
        let (_store, contents, _) = folder.open();
        assert_eq!((numbers(&contents), contents.last), (want, 4), "without {missing:?}");
    }
    let folder = Folder::new();
    fill_with(&folder, 100, [60; 4]);
    remove_file(folder.file(3, "chunks")).expect("is there");
    let index = OpenOptions::new().write(true).open(folder.file(4, "index")).expect("is there");
    index.write_all_at(&Header { first: 4, after_unknown: true }.encode(), 0).expect("can be written");
    let (_store, contents, _) = folder.open();
    assert_eq!(numbers(&contents), [one(1), one(2), (3, 3, Some(None)), one(4)], "it says that this is unknown");
}

#[test]
fn what_the_index_lacks_is_read_from_the_segment() {
    let folder = Folder::new();
    fill(&folder, [100; 8]);
    let index = read(folder.file(1, "index")).expect("is there");
    for len in (0..=index.len()).step_by(ROW / 4) {
        write(folder.file(1, "index"), &index[..len]).expect("can be written");
        let (_store, contents, reports) = folder.open();
        let numbers = numbers(&contents);
        assert_eq!((numbers[0].0, numbers[numbers.len() - 1].1, contents.last), (1, 8, 8), "{len} bytes: {numbers:?}");
        let rows = (len / ROW).saturating_sub(1);
        let want = match rows {
            0 => "its index was missing or wrong, and is rebuilt; records: 8".to_owned(),
            _ => format!("its index ended early; records: {}", 8 - rows),
        };
        let reports = reports.lock().expect("is whole");
        assert_eq!(
            reports.iter().map(|text| text.ends_with(&want)).collect::<Vec<_>>(),
            vec![true; usize::from(rows < 8)]
        );
        let mended = metadata(folder.file(1, "index")).expect("is there").len();
        assert!(mended.is_multiple_of(ROW as u64) && mended > (rows * ROW) as u64, "{mended}");
    }
}

#[test]
fn an_index_with_a_row_that_does_not_follow_is_rebuilt() {
    let folder = Folder::new();
    fill(&folder, [100; 4]);
    let path = folder.file(1, "index");
    let index = read(&path).expect("is there");
    let (_, rows) = index.split_at(ROW);
    let rows: Vec<_> = rows.as_chunks().0.iter().filter_map(Row::decode).collect();
    for (nth, wrong) in [
        (0, Row { first: 2, ..rows[0] }),
        (0, Row { position: 1, ..rows[0] }),
        (3, Row { first: 0, ..rows[3] }),
        (3, Row { position: 0, len: 1, ..rows[3] }),
    ] {
        let mut index = index.clone();
        index[(nth + 1) * ROW..][..ROW].copy_from_slice(&wrong.encode());
        write(&path, &index).expect("can be written");
        let (_store, contents, reports) = folder.open();
        assert_eq!((numbers(&contents), contents.last), (vec![(1, 4, None)], 4), "{wrong:?}");
        let reports = reports.lock().expect("is whole").join("\n");
        assert!(reports.ends_with("its index was missing or wrong, and is rebuilt; records: 4"), "{reports}");
    }
}

#[test]
fn a_damaged_header_is_written_again() {
    let folder = Folder::new();
    fill(&folder, [100; 4]);
    let path = folder.file(1, "index");
    let sound = read(&path).expect("is there");
    let mut damaged = sound.clone();
    damaged[ROW - 1] ^= 1;
    write(&path, damaged).expect("can be written");
    let chunks = OpenOptions::new().append(true).open(folder.file(1, "chunks"));
    chunks.and_then(|mut file| file.write_all(b"rubbish")).expect("can be written");
    let (_store, contents, _) = folder.open();
    assert_eq!(numbers(&contents), [(1, 4, None)]);
    assert_eq!(read(&path).expect("is there"), sound);
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_nothing() {
    let folder = Folder::new();
    let (chunks, state) = (folder.file(1, "chunks"), folder.0.join("state"));
    let cycle = |path: &PathBuf| std::os::unix::fs::symlink(path, path).expect("can be made");
    let ways: [&dyn Fn(); 3] = [&|| cycle(&chunks), &|| create_dir(&chunks).expect("can be made"), &|| cycle(&state)];
    for (nth, make) in ways.into_iter().enumerate() {
        create_dir(&folder.0).expect("can be made");
        make();
        assert!(last_id(&folder.0).is_err(), "way {nth}");
        let options = Options { folder: folder.0.clone(), size: 1 << 20, sync: false };
        let opened = Store::open(options, Run::new(1), &Arc::new(Memory::new(1000)), Arc::new(|_| {}));
        assert!(opened.is_err(), "way {nth}");
        remove_dir_all(&folder.0).expect("can be removed");
    }
}

#[test]
fn a_rebuilt_index_has_the_latest_event_and_the_latest_id() {
    let folder = Folder::new();
    let (store, ..) = folder.open_with(45);
    let mut draft = Draft::new(Arc::new(Memory::new(1 << 20))).with_own_ids(Arc::default());
    let comment = |draft: &mut Draft| {
        draft.push(Entry::Comment, |out| chunk::write(out, 3, |out| out.extend_from_slice(b": \n")));
    };
    push(&mut draft, Some("a"));
    push(&mut draft, None);
    comment(&mut draft);
    draft.finish_in(&store, false).expect("has entries");
    comment(&mut draft);
    draft.finish_in(&store, false).expect("has an entry");
    drop(store);
    for number in [1, 4] {
        remove_file(folder.file(number, "index")).expect("is there");
    }
    let (_store, contents, _) = folder.open();
    let latest = contents.batches.iter().map(|batch| (batch.last(), batch.last_event(), batch.last_own_id()));
    assert_eq!(latest.collect::<Vec<_>>(), [(3, 2, 1), (4, 2, 1)]);
}

#[test]
fn after_a_torn_end_a_segment_is_continued_and_after_a_damaged_one_it_is_not() {
    for (end, continued) in [(&b""[..], true), (b"10\r\ndata: half of", true), (b"rubbish", false)] {
        let folder = Folder::new();
        fill(&folder, [10; 2]);
        let len = metadata(folder.file(1, "chunks")).expect("is there").len();
        let file = OpenOptions::new().append(true).open(folder.file(1, "chunks"));
        file.and_then(|mut file| file.write_all(end)).expect("can be written");
        let (store, contents, reports) = folder.open();
        assert_eq!((numbers(&contents), contents.last), (vec![(1, 2, None)], 2));
        let reports = reports.lock().expect("is whole").join("\n");
        assert_eq!(reports.contains(&format!("{} bytes", end.len())), !end.is_empty(), "{reports}");
        assert_eq!(reports.contains(&format!("from byte {len} on")), !end.is_empty(), "{reports}");
        let bytes = entry(10);
        store.append(contents.batches[0].end(), row(3, &bytes), &bytes).expect("can be written");
        assert_eq!(folder.file(3, "chunks").exists(), !continued, "{reports}");
        drop(store);
        let (_store, contents, _) = folder.open();
        assert_eq!(numbers(&contents).last().map(|it| it.1), Some(3));
    }
}

#[test]
fn damage_in_a_small_store_is_reported_when_it_is_opened() {
    let folder = Folder::new();
    fill_with(&folder, 300, [60; 10]);
    let path = folder.file(5, "chunks");
    let mut bytes = read(&path).expect("is there");
    let second = bytes.len() / 4;
    bytes[second + 20] ^= 1;
    write(&path, bytes).expect("can be written");
    let (_store, contents, reports) = folder.open();
    assert_eq!(numbers(&contents), [(1, 4, None), (5, 8, Some(Some(4))), (9, 10, None)]);
    let reports = reports.lock().expect("is whole");
    let want = format!("{}: from byte 0 on: it is damaged from byte {second} on; records lost: 4", path.display());
    assert_eq!(*reports, [want]);
}

#[test]
fn without_a_sound_state_it_is_a_new_run_with_everything_that_is_there() {
    for (state, why) in [(None, "is missing"), (Some("sse-pipe store 1\nrun damaged\n"), "is damaged")] {
        let folder = Folder::new();
        let (store, _, reports) = folder.open();
        assert_eq!(*reports.lock().expect("is whole"), Vec::<String>::new(), "a new store lacks nothing");
        drop(store);
        fill(&folder, [10; 4]);
        let path = folder.0.join("state");
        match state {
            None => remove_file(path).expect("is there"),
            Some(text) => write(path, text).expect("can be written"),
        }
        let (_store, contents, reports) = folder.open();
        assert_eq!((numbers(&contents), contents.last), (vec![(1, 4, None)], 4));
        let reports = reports.lock().expect("is whole");
        assert!(matches!(&reports[..], [report] if report.contains(why)), "{reports:?}");
    }
}

#[test]
fn numbers_are_skipped_after_the_machine_has_stopped_unless_the_store_was_closed() {
    for (boot, is_closed, skipped) in [
        ("00000000-0000-0000-0000-000000000000", false, RESERVED),
        ("00000000-0000-0000-0000-000000000000", true, 0),
        (&*boot(), false, 0),
    ] {
        let folder = Folder::new();
        let (store, ..) = folder.open();
        store.begin().expect("can be written");
        store.inner().write_state(boot).expect("can be written");
        let bytes = entry(10);
        store.append(0, row(1, &bytes), &bytes).expect("can be written");
        if is_closed {
            store.close();
            assert!(store.append(bytes.len() as u64, row(2, &bytes), &bytes).is_none(), "it is closed");
        }
        drop(store);
        let (_store, contents, _) = folder.open();
        let gap = (skipped > 0).then_some((2, skipped, Some(None)));
        let want: Vec<_> = [(1, 1, None)].into_iter().chain(gap).collect();
        assert_eq!((numbers(&contents), contents.last), (want, skipped.max(1)), "{boot} {is_closed}");
    }
}

#[test]
fn what_was_half_written_when_it_failed_is_removed() {
    let folder = Folder::new();
    let (store, ..) = folder.open();
    let (small, large) = (entry(10), entry(9 << 20));
    let mut offset = 0;
    for number in 1..=3 {
        store.append(offset, row(number, &small), &small).expect("can be written");
        offset += small.len() as u64;
    }
    for kind in ["chunks", "index"] {
        let file = OpenOptions::new().append(true).open(folder.file(1, kind));
        file.and_then(|mut file| file.write_all(b"half of it")).expect("can be written");
    }
    write(folder.file(4, "chunks"), "").expect("can be written");
    assert!(store.append(offset, row(4, &large), &large).is_none(), "its name is taken");
    assert_eq!(metadata(folder.file(1, "chunks")).expect("is there").len(), offset);
    assert_eq!(metadata(folder.file(1, "index")).expect("is there").len(), 4 * ROW as u64);
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

#[test]
fn the_last_id_is_that_of_the_last_whole_event_however_large_events_are() {
    let folder = Folder::new();
    create_dir(&folder.0).expect("can be made");
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    // Some are larger than what is read at a time.
    for (nth, size) in [3 << 20, 10, 700 << 10, 700 << 10, WINDOW, 10].into_iter().enumerate() {
        let (data, id) = ("x".repeat(size), format!("{nth}"));
        let event = event::Event { event: None, data: event::Data::Line(data.as_bytes()), id: Some(&id) };
        chunk::write(&mut bytes, event.encoded_len(), |out| event.write(out));
        ends.push(bytes.len());
    }
    for (nth, &end) in ends.iter().enumerate() {
        for (len, want) in [(end - 1, nth.checked_sub(1)), (end, Some(nth)), (end + 1, Some(nth))] {
            write(folder.file(1, "chunks"), &bytes[..len.min(bytes.len())]).expect("can be written");
            let last = last_id(&folder.0).expect("can be read");
            assert_eq!(last, want.map(|nth| nth.to_string()), "{len} bytes");
            let (_store, contents, _) = folder.open(); // which reads the same, as there is no index
            assert_eq!(contents.last, want.map_or(0, |nth| nth as u64 + 1), "{len} bytes");
            remove_dir_all(&folder.0).and_then(|()| create_dir(&folder.0)).expect("can be made new");
        }
    }
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
fn ids_without_a_table_are_found_when_a_store_is_opened() {
    for ids in [&[Some("a")][..], &[None, Some("a")], &[Some("a"), None], &[Some("b"), Some("a"), None]] {
        let folder = Folder::new();
        let (store, ..) = folder.open();
        let mut draft = Draft::new(Arc::new(Memory::new(1 << 20))).with_own_ids(Arc::default());
        ids.iter().for_each(|id| push(&mut draft, *id));
        draft.finish_in(&store, false).expect("has entries");
        drop(store);
        let (_store, contents, _) = folder.open();
        let index = Arc::<OwnIds>::default();
        contents.batches.iter().for_each(|batch| batch.find_own_ids(&index, contents.run));
        let want = ids.iter().position(|id| *id == Some("a")).map(|nth| nth as u64 + 1);
        assert_eq!(index.find("a").map(|known| known.entry), want, "{ids:?}");
        assert_eq!(index.find("b").is_some(), ids.len() == 3);
    }
}

#[test]
fn ids_of_old_batches_go_to_a_table_once_there_are_enough() {
    const ENOUGH: u64 = 1 << 15;
    let folder = Folder::new();
    let (store, ..) = folder.open();
    let index = Arc::<OwnIds>::default();
    let mut draft = Draft::new(Arc::new(Memory::new(1 << 20))).with_own_ids(Arc::clone(&index));
    let mut log = Log::new(Run::new(1), Ids::Own(Arc::clone(&index)));
    for number in 1..=ENOUGH {
        push(&mut draft, Some(&number.to_string()));
        if number < ENOUGH - 1 && !number.is_multiple_of(1000) {
            continue;
        }
        let mut batch = draft.finish_in(&store, false).expect("has an entry");
        batch.enter_own_ids();
        log.append(Arc::new(batch));
        log.age(0, OLD_BATCH);
        assert_eq!(index.find("1").is_none(), number == ENOUGH, "it has left memory: {number}");
        assert_eq!(index.have_tables_of(1..=number), number == ENOUGH);
        assert_eq!(log.resume(&number.to_string(), 0).entry, number + 1);
    }
    for (id, want) in [("1", Some(1)), ("777", Some(777)), ("32768", Some(ENOUGH)), ("32769", None)] {
        assert_eq!(index.find_old(id, |_| true), want, "{id}");
    }
    assert_eq!(index.find_old("777", |number| number != 777), None, "another of the same hash");
    drop(store);
    let index = OwnIds::with_tables(folder.open().1.id_tables);
    assert_eq!(index.find_old("777", |_| true), Some(777), "after a restart too");
    assert!(index.have_tables_of(ENOUGH..=ENOUGH) && !index.have_tables_of(ENOUGH..=ENOUGH + 1));
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
