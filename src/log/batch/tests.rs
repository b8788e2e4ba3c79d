//! Drafts, and what their batches cost.

use super::*;
use crate::log::own_ids::ID_COST;
use crate::log::store::tests::Folder;
use crate::log::view::Ids;

fn push(draft: &mut Draft, size: usize) {
    draft.push(Entry::Event, |out| out.resize(out.len() + size, b'x'));
}

fn draft(block: usize) -> Draft {
    Draft::new(Arc::new(Memory::new(block))).with_own_ids(Arc::default())
}

#[test]
fn a_draft_is_full_before_its_block_would_grow() {
    let mut draft = draft(1000);
    assert!(draft.fits(5000), "a record of any size fits into an empty one");
    push(&mut draft, 400);
    assert!(draft.fits(600) && draft.has_room(600) && !draft.fits(601));
    draft.note_own_id("a");
    assert!(draft.fits(600 - ID_COST) && !draft.fits(601 - ID_COST));
}

#[test]
fn what_a_draft_promises_to_cost_its_batch_costs() {
    let memory = Arc::new(Memory::new(100 << 10));
    for (entries, size, id) in [(1, 10, false), (3, 1000, true), (1, 90 << 10, true), (1, 500 << 10, false)] {
        let mut draft = Draft::new(Arc::clone(&memory)).with_own_ids(Arc::default());
        for _ in 0..entries {
            push(&mut draft, size);
            if id {
                draft.note_own_id("a");
            }
        }
        let cost = draft.cost();
        let batch = draft.finish(None).expect("has entries");
        assert_eq!((batch.cost(), memory.held()), (cost, cost), "{entries} of {size} bytes");
        drop(batch);
        assert_eq!(memory.held(), 0);
    }
}

#[test]
fn one_large_record_leaves_no_large_block_and_small_ones_keep_theirs() {
    let mut draft = draft(1000);
    let place = draft.block.bytes.as_ptr();
    push(&mut draft, 10);
    draft.finish(None).expect("has an entry");
    assert_eq!(draft.block.bytes.as_ptr(), place);
    push(&mut draft, 5000);
    draft.finish(None).expect("has an entry");
    assert!(draft.block.bytes.capacity() <= 2000, "{}", draft.block.bytes.capacity());
}

#[test]
fn a_draft_after_a_log_continues_what_is_counted() {
    let mut before = draft(1000);
    let mut log = Log::new(Run::new(1), Ids::Run);
    push(&mut before, 10);
    push(&mut before, 10);
    before.note_own_id("a");
    log.append(Arc::new(before.finish(None).expect("has entries")));
    let mut after = draft(1000).after(&log);
    assert!(after.has_own_ids());
    after.push(Entry::Comment, |out| out.push(b'x'));
    let batch = after.finish(None).expect("has an entry");
    assert_eq!((batch.start(), batch.first(), batch.last()), (20, 3, 3));
    assert_eq!((batch.last_event(), batch.last_own_id()), (2, 2));
}

#[test]
fn an_old_batch_costs_its_bytes_on_the_disk_and_those_of_its_ids() {
    for (ids, places) in [([true, false, true], 3), ([false, false, false], 0)] {
        let folder = Folder::new();
        let (store, ..) = folder.open();
        let mut draft = draft(1000);
        for id in ids {
            push(&mut draft, 100);
            if id {
                draft.note_own_id("a");
            }
        }
        let batch = Arc::new(draft.finish_in(&store, true).expect("has entries"));
        assert_eq!(Batch::old(&[batch]).cost(), 300 + places * PLACE + BATCH_COST);
    }
}

#[test]
fn a_log_of_any_size_is_a_bounded_number_of_old_batches() {
    for log in [0, 1 << 20, OLD_BATCH * MOST_OLD, 1 << 40, usize::MAX] {
        let size = old_batch_size(log);
        assert!(size >= OLD_BATCH && log / size <= MOST_OLD, "{log}: {size}");
    }
    assert_eq!(old_batch_size(OLD_BATCH * MOST_OLD), OLD_BATCH);
}
