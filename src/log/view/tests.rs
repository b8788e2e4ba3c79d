use super::*;
use crate::log::batch::{Draft, Entry};
use crate::log::memory::Memory;
use crate::log::store::tests::Folder;
use crate::wire::event;
use proptest::prelude::*;

/// The naive model: every entry that ever was, and the number of the first that is held.
#[derive(Default)]
struct Model {
    entries: Vec<Vec<u8>>,
    /// How many entries each batch that is held has.
    batches: VecDeque<usize>,
    first: usize,
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u8>),
    /// Evict up to the entry at this part (in 256ths) of all.
    Evict(u8),
    Join(u64),
    Resume(u8),
    ResumeForeign,
    /// This client takes this many bytes.
    Write(u8, u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::collection::vec(1..40u8, 0..6).prop_map(Step::Append),
        1 => any::<u8>().prop_map(Step::Evict),
        1 => (0..9u64).prop_map(Step::Join),
        1 => any::<u8>().prop_map(Step::Resume),
        1 => Just(Step::ResumeForeign),
        4 => (any::<u8>(), 0..120u16).prop_map(|(client, bytes)| Step::Write(client, bytes)),
    ]
}

struct Client {
    start: StartingPoint,
    cursor: u64,
    got: Vec<u8>,
}

fn play(steps: Vec<Step>) {
    let memory = Arc::new(Memory::new(32));
    let run = Run::new(7);
    let (mut log, mut draft, mut model) = (Log::new(run, Ids::Run), Draft::new(Arc::clone(&memory)), Model::default());
    let mut clients: Vec<Client> = Vec::new();
    for step in steps {
        match step {
            Step::Append(sizes) => {
                for &size in &sizes {
                    let number = model.entries.len() + 1;
                    let entry = vec![b'a' + (number % 26) as u8; size as usize];
                    draft.push(Entry::Event, |out| out.extend_from_slice(&entry));
                    model.entries.push(entry);
                }
                if let Some(batch) = draft.finish(None) {
                    log.append(Arc::new(batch));
                    model.batches.push_back(sizes.len());
                }
            }
            Step::Evict(part) => {
                let upto = model.entries.len() * usize::from(part) / 256;
                let offset = model.entries[..upto].concat().len() as u64;
                while model.batches.front().is_some_and(|batch| model.first + batch <= upto) {
                    model.first += model.batches.pop_front().expect("there is a front");
                }
                log.evict(offset);
                clients.retain(|client| client.cursor >= log.start_offset()); // as the worker drops those that fell behind
            }
            Step::Join(tail) => {
                let start = log.start_new(tail);
                let want = model.first.max(model.entries.len().saturating_sub(tail as usize));
                assert_eq!((start.entry as usize, start.missed), (want + 1, Missed::Nothing));
                clients.push(Client { start, cursor: start.cursor, got: Vec::new() });
            }
            Step::Resume(part) => {
                let number = (model.entries.len() + 3) * usize::from(part) / 256;
                let start = log.resume(&format!("{run}-{number}"), 5);
                let want = if number > model.entries.len() {
                    (model.first.max(model.entries.len().saturating_sub(5)) + 1, Missed::Unknown)
                } else if number >= model.first {
                    (number + 1, Missed::Nothing)
                } else {
                    (model.first + 1, Missed::Records((model.first - number) as u64))
                };
                assert_eq!((start.entry as usize, start.missed), want, "after {number}");
                clients.push(Client { start, cursor: start.cursor, got: Vec::new() });
            }
            Step::ResumeForeign => {
                assert_eq!(log.resume("rubbish", 3), StartingPoint { missed: Missed::Unknown, ..log.start_new(3) });
            }
            Step::Write(nth, bytes) => {
                let count = clients.len().max(1);
                let Some(client) = clients.get_mut(usize::from(nth) % count) else { continue };
                let pending: Vec<u8> = log.from(client.cursor).flatten().copied().collect();
                assert_eq!(pending.len() as u64, log.end_offset() - client.cursor);
                assert!(log.latest_from(client.cursor).is_none_or(|latest| latest == pending));
                let written = &pending[..pending.len().min(usize::from(bytes))];
                client.got.extend_from_slice(written);
                client.cursor += written.len() as u64;
                if let Some((start, entry)) = log.entry_at(client.cursor) {
                    assert!(start <= client.cursor && client.cursor < start + entry.len() as u64);
                    assert!(model.entries.iter().any(|other| other == entry));
                }
            }
        }
        assert_eq!((log.first() as usize, log.last as usize), (model.first + 1, model.entries.len()));
        for client in &clients {
            let all = model.entries[client.start.entry as usize - 1..].concat();
            assert!(all.starts_with(&client.got), "a hole or a repeat");
        }
    }
    drop(log);
    assert_eq!(memory.held(), 0, "every batch gives back what it took");
}

fn push_with_id(draft: &mut Draft, id: Option<&str>) {
    let event = event::Event { event: None, data: event::Data::Text(b"x"), id };
    let len = event.encoded_len();
    draft.push(Entry::Event, |out| chunk::write(out, len, |out| event.write(out)));
    if let Some(id) = id {
        draft.note_own_id(id);
    }
}

/// Publishes what is in the draft. Returns the first entry whose ID is there already.
fn append(log: &mut Log, draft: &mut Draft) -> Option<u64> {
    let mut batch = draft.finish(None)?;
    let repeat = batch.enter_own_ids();
    log.append(Arc::new(batch));
    repeat
}

#[derive(Clone, Debug)]
enum IdStep {
    /// A batch of entries with these IDs.
    Append(Vec<Option<u8>>),
    /// Evict this many batches.
    Evict(usize),
    /// Another view begins or stops holding everything that is held here.
    OtherHolds(bool),
}

fn id_step() -> impl Strategy<Value = IdStep> {
    prop_oneof![
        4 => prop::collection::vec(prop::option::of(0..6u8), 1..5).prop_map(IdStep::Append),
        2 => (1..4usize).prop_map(IdStep::Evict),
        1 => any::<bool>().prop_map(IdStep::OtherHolds),
    ]
}

/// The naive model: the IDs of all entries that ever were, and which of them anybody holds.
fn play_ids(steps: Vec<IdStep>) {
    let (memory, index) = (Arc::new(Memory::new(64)), Arc::<OwnIds>::default());
    let mut log = Log::new(Run::new(7), Ids::Own(Arc::clone(&index)));
    let mut draft = Draft::new(Arc::clone(&memory)).with_own_ids(index);
    let mut given: Vec<Option<u8>> = Vec::new();
    // For each ID the entries with it since any of them was first held, without a break, up to now.
    let mut runs: [Vec<u64>; 6] = Default::default();
    let mut other: Vec<Arc<Batch>> = Vec::new();
    for step in steps {
        match step {
            IdStep::Append(ids) => {
                let mut repeat = None;
                for id in ids {
                    push_with_id(&mut draft, id.map(|id| format!("k{id}")).as_deref());
                    given.push(id);
                    let number = given.len() as u64;
                    if let Some(run) = id.map(|id| &mut runs[usize::from(id)]) {
                        repeat = repeat.or((!run.is_empty()).then_some(number));
                        run.push(number);
                    }
                }
                assert_eq!(append(&mut log, &mut draft), repeat);
            }
            IdStep::Evict(batches) => {
                let gone = log.batches.len().min(batches);
                let upto = log.batches.range(..gone).last().map_or(0, |batch| batch.end());
                log.evict(upto);
            }
            IdStep::OtherHolds(holds) => {
                other = if holds { log.batches.iter().cloned().collect() } else { Vec::new() };
            }
        }
        let in_other = |number: &u64| other.iter().any(|batch| (batch.first()..=batch.last()).contains(number));
        for (id, run) in runs.iter_mut().enumerate() {
            if !run.iter().any(|number| *number >= log.first() || in_other(number)) {
                run.clear();
            }
            let start = log.resume(&format!("k{id}"), u64::MAX);
            let first = log.first();
            let want = match run.as_slice() {
                [] => (first, Missed::Unknown),
                [earliest, ..] if earliest + 1 >= first => (earliest + 1, Missed::Nothing),
                [only] => (first, Missed::Records(first - only - 1)),
                _ => (first, Missed::Ambiguous),
            };
            assert_eq!((start.entry, start.missed), want, "k{id}: {run:?}, held from {first} on");
            // Whichever of them the client has: it gets all that came after, or a notice that something is missing.
            for number in run.iter() {
                assert!(start.entry <= number + 1 || start.missed != Missed::Nothing, "k{id}: after {number}");
            }
            let is_last = given.iter().rposition(Option::is_some).filter(|&nth| nth as u64 + 1 >= first);
            let is_last = is_last.is_some_and(|nth| given[nth] == Some(id as u8));
            assert_eq!(log.is_last_id(&format!("k{id}")), is_last, "k{id}");
        }
    }
    drop((log, other));
    assert_eq!(memory.held(), 0);
}

#[test]
fn a_million_resumes_cost_no_scan_of_the_log() {
    let run = Run::new(7);
    let (mut log, mut draft) = (Log::new(run, Ids::Run), Draft::new(Arc::new(Memory::new(1000))));
    for batch in 0..10_000 {
        for _ in 0..20 {
            draft.push(Entry::Event, |out| out.extend_from_slice(b"data"));
        }
        log.append(Arc::new(draft.finish(None).unwrap_or_else(|| panic!("batch {batch} is empty"))));
    }
    let start = std::time::Instant::now();
    for n in 0..1_000_000_u64 {
        let number = n * 7919 % 200_000;
        let start = log.resume(&format!("{run}-{number}"), 1000);
        assert_eq!((start.entry, start.cursor, start.missed), (number + 1, number * 4, Missed::Nothing));
    }
    // A scan of 10,000 batches, a million times, would take minutes; looking up takes a second on a slow machine.
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}

#[test]
fn ids_of_their_own_are_found_without_a_scan_of_the_log() {
    let (memory, index) = (Arc::new(Memory::new(1000)), Arc::<OwnIds>::default());
    let mut log = Log::new(Run::new(7), Ids::Own(Arc::clone(&index)));
    let mut draft = Draft::new(Arc::clone(&memory)).with_own_ids(index);
    for number in 1..=200_000_u64 {
        push_with_id(&mut draft, Some(&format!("topic/{number}")));
        if number % 20 == 0 {
            append(&mut log, &mut draft);
        }
    }
    let start = std::time::Instant::now();
    for n in 0..50_000_u64 {
        let number = 1 + n * 7919 % 200_000;
        let start = log.resume(&format!(" topic/{number}"), 1000);
        assert_eq!((start.entry, start.missed), (number + 1, Missed::Nothing));
    }
    // A scan of 10,000 batches would take minutes.
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
    assert_eq!(log.resume("topic/200001", 1000).missed, Missed::Unknown);
    // What one view has dropped is still known, and so is what a client missed, as long as another view holds it.
    let other: Vec<_> = log.batches.range(8990..9000).cloned().collect();
    log.evict(log.entry_start(180_001));
    assert_eq!(log.resume("topic/179900", 1000).missed, Missed::Records(100));
    drop(other);
    assert_eq!(log.resume("topic/179900", 1000).missed, Missed::Unknown);
    drop(log);
    assert_eq!(memory.held(), 0);
}

#[test]
fn what_is_pending_in_a_segment_is_one_range_up_to_what_is_elsewhere() {
    let folder = Folder::new();
    let (store, ..) = folder.open_with(25);
    let (mut log, mut draft) = (Log::new(Run::new(7), Ids::Run), Draft::new(Arc::new(Memory::new(1000))));
    // Two of ten bytes fill a segment. The fourth is also in memory, the last is there alone.
    for in_memory in [false, false, false, true, false, true] {
        draft.push(Entry::Event, |out| out.extend_from_slice(b"0123456789"));
        let batch = if log.last() < 5 { draft.finish_in(&store, in_memory) } else { draft.finish(None) };
        log.append(Arc::new(batch.expect("has an entry")));
    }
    let range = |log: &Log, cursor, most| log.segment_from(cursor, most).map(|range| (range.position, range.len));
    for (cursor, most, want) in [
        (0, 100, Some((0, 20))),
        (0, 20, Some((0, 20))),
        (0, 15, Some((0, 15))),
        (0, 10, Some((0, 10))),
        (0, 0, None),
        (5, 100, Some((5, 15))),
        (5, 6, Some((5, 6))),
        (10, 100, Some((10, 10))),
        (20, 100, Some((0, 10))), // of the next segment
        (30, 100, None),
        (40, 100, Some((0, 10))),
        (50, 100, None),
        (60, 100, None),
    ] {
        assert_eq!(range(&log, cursor, most), want, "{most} from {cursor} on");
    }
    log.batches[1].lose(&io::ErrorKind::Other.into());
    assert_eq!((range(&log, 0, 100), range(&log, 10, 100)), (Some((0, 10)), None), "a gap is not sent");
    log.refuse_files();
    assert_eq!(range(&log, 0, 100), None);
}

/// Whether what is counted is what there is.
fn assert_counted(log: &Log) {
    assert_eq!(log.cost, log.batches.iter().map(|batch| batch.cost()).sum::<usize>());
    let young = log.batches.iter().filter(|batch| !batch.is_old());
    assert_eq!(log.young, young.map(|batch| batch.memory_cost()).sum::<usize>());
    let mut next = (log.start_offset(), log.first());
    for batch in &log.batches {
        assert_eq!((batch.start(), batch.first()), next);
        next = (batch.end(), batch.last() + 1);
    }
    assert_eq!(next, (log.end_offset(), log.last() + 1));
}

/// A log of a store: batches of one entry of ten bytes, in memory and in one segment.
fn stored(folder: &Folder, batches: usize) -> Log {
    let (store, ..) = folder.open();
    let (mut log, mut draft) = (Log::new(Run::new(7), Ids::Run), Draft::new(Arc::new(Memory::new(1000))));
    for time in 1..=batches as u64 {
        draft.read_at(time / 2);
        draft.push(Entry::Event, |out| chunk::write(out, 5, |out| out.extend_from_slice(b"data\n")));
        log.append(Arc::new(draft.finish_in(&store, true).expect("has an entry")));
    }
    log
}

#[test]
fn as_much_becomes_old_as_memory_demands_in_blocks_that_are_not_too_large() {
    // How many batches, how many may stay in memory, the size of a block; how many stay, and the blocks.
    for (batches, most, block, young, old) in [
        (10, 10, 25, 10, &[][..]),
        (10, 9, 25, 8, &[2]),
        (10, 7, 25, 6, &[2, 2]),
        (10, 9, 20, 8, &[2]),
        (10, 9, 19, 9, &[1]),
        (10, 5, 1000, 0, &[10]),
        (10, 0, 40, 0, &[4, 4, 2]),
        (16, 15, 25, 14, &[2]),
        (17, 16, 25, 7, &[2, 2, 2, 2, 2]), // of many, half becomes old
    ] {
        let folder = Folder::new();
        let mut log = stored(&folder, batches);
        let each = log.batches[0].memory_cost();
        log.age(most * each, block);
        assert_counted(&log);
        let sizes = log.batches.iter().map(|batch| (batch.is_old(), batch.last() - batch.first() + 1));
        let want = old.iter().map(|&size| (true, size)).chain((0..young).map(|_| (false, 1)));
        assert!(sizes.eq(want), "{most} of {batches} in blocks of {block}: {:?}", log.batches);
    }
}

#[test]
fn no_more_is_evicted_than_makes_room_and_what_is_left_of_a_segment_takes_some() {
    const MORE: usize = 5;
    const EACH: usize = 7;
    let folder = Folder::new();
    let log = stored(&folder, 6);
    let mut taken = log.cost + MORE + 7 * EACH;
    for batch in &log.batches {
        let least = taken + batch.start() as usize; // what goes stays in the segment
        assert_eq!(log.start_within(least, MORE, EACH), batch.start());
        assert_eq!(log.start_within(least - 1, MORE, EACH), batch.end());
        taken -= batch.cost() + EACH;
    }
}

#[test]
fn a_view_that_follows_has_what_the_other_has_and_what_goes_before_it() {
    let folder = Folder::new();
    let whole = stored(&folder, 30);
    let each = whole.batches[0].memory_cost();
    let (mut log, mut view) = (Log::new(Run::new(7), Ids::Run), Log::new(Run::new(7), Ids::Run));
    let offset = |entry: u64| 10 * (entry - 1);
    // How many are appended, how many may stay young, up to which they are evicted, from which on the view follows, and
    // the first that it then has.
    for (appended, young, evicted, from, first) in [
        (5, 5, 0, 1, 1),
        (5, 8, 0, 3, 3),
        (0, 4, 0, 3, 3),     // some have become old
        (5, 9, 6, 3, 3),     // it still has what is evicted there
        (0, 9, 0, 1, 7),     // it has dropped what is needed now
        (10, 3, 20, 11, 21), // what it had ends before what is left
        (3, 4, 0, 21, 21),
        (0, 2, 22, 21, 21),
        (2, 0, 28, 21, 29), // what it had beyond its old ones is old and gone
    ] {
        let next = log.last() as usize;
        whole.batches.range(next..next + appended).for_each(|batch| log.append(Arc::clone(batch)));
        log.age(young * each, 20);
        log.evict(offset(evicted + 1));
        view.follow(&log, offset(from));
        assert_counted(&view);
        assert_eq!(view.first(), first, "from {from} on: {view:?}");
        let shared = view.batches.iter().filter(|batch| batch.start() >= log.start_offset());
        let want = log.batches.iter().filter(|batch| batch.end() > offset(from));
        assert!(shared.map(Arc::as_ptr).eq(want.map(Arc::as_ptr)), "from {from}: {view:?} is not {log:?}");
        assert_eq!((view.old_end, view.last_event(), view.last()), (log.old_end, log.last_event(), log.last()));
    }
}

#[test]
fn lost_entries_are_not_among_the_latest() {
    let memory = Arc::new(Memory::new(1000));
    let mut log = Log::new(Run::new(7), Ids::Run);
    log.append(Arc::new(Batch::lost(None, 1..=2, false, Arc::clone(&memory))));
    for lost in [Some(5..=9), None] {
        let mut draft = Draft::new(Arc::clone(&memory)).after(&log);
        (0..2).for_each(|_| draft.push(Entry::Event, |out| out.push(b'x')));
        log.append(Arc::new(draft.finish(None).expect("has entries")));
        if let Some(lost) = lost {
            log.append(Arc::new(Batch::lost(
                log.batches.back().map(|batch| &**batch),
                lost,
                true,
                Arc::clone(&memory),
            )));
        }
    }
    let first: Vec<_> = (0..7).map(|entries| log.first_of_latest(entries)).collect();
    assert_eq!(first, [12, 11, 10, 4, 3, 1, 1]);
    log.evict(log.entry_start(3));
    assert_eq!((log.lost.len(), log.first_of_latest(7)), (1, 3));
    log.evict(log.entry_start(10));
    assert_eq!((log.lost.len(), log.first_of_latest(7)), (0, 10));
    assert_counted(&log);
}

#[test]
fn entries_of_an_old_batch_have_the_times_at_which_they_were_read() {
    let folder = Folder::new();
    let mut log = stored(&folder, 6); // at 0, 1, 1, 2, 2, 3
    let times = |log: &Log, entry: u64| log.time_at(log.entry_start(entry));
    let end = |log: &Log, entry: u64| log.entry_start(entry + 1);
    assert_eq!(times(&log, 2), Some((1, end(&log, 3))));
    log.age(0, 50); // the first five, and the last
    assert_eq!(times(&log, 1), None, "it is not loaded");
    log.prepare(0, true);
    for (entry, time, last) in [(1, 0, 1), (2, 1, 3), (3, 1, 3), (4, 2, 5), (5, 2, 5)] {
        assert_eq!(times(&log, entry), Some((time, end(&log, last))), "entry {entry}");
    }
    assert_eq!(times(&log, 6), None, "it is in another batch");
    log.prepare(log.entry_start(6), true);
    assert_eq!((times(&log, 6), times(&log, 7)), (Some((3, log.end_offset())), None));
}

proptest! {
    #[test]
    fn every_client_reads_every_entry_from_its_start_on(steps in prop::collection::vec(step(), 1..60)) {
        play(steps);
    }

    #[test]
    fn a_client_that_resumes_with_a_repeated_id_loses_nothing(steps in prop::collection::vec(id_step(), 1..40)) {
        play_ids(steps);
    }
}
