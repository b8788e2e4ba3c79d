//! The memory of batches: how much of it is held, and blocks that were returned and can be filled again.
//!
//! Under a flood, a thousand batches come and go every second. Fresh memory would cost a page fault for every 4 KiB and
//! would not be in a cache; a block that has just been sent is. A block is as large as the latest batches, so that a
//! batch that is kept for a long time takes hardly more than its bytes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// The usual size of a block: what a read of 1 MiB becomes, with the chunks and fields of records of some 100 bytes.
pub const BLOCK: usize = 5 << 18;
/// Spare blocks are kept up to the size of this many usual ones: as many as reader and workers may be using at a time.
const SPARES: usize = 4;
/// Blocks are filled to at least this many eighths; otherwise their content is copied to a smaller one.
const WELL_FILLED: usize = 3;
/// Sizes of blocks are multiples of this, so that a returned one can be used for another batch.
const STEP: usize = 64 << 10;
/// Smaller blocks are left to the allocator.
const LEAST: usize = 16 << 10;

/// Room for the entries of a batch.
#[derive(Debug, Default)]
pub struct Block {
    /// The entries, back to back.
    pub bytes: Vec<u8>,
    /// Where each of them ends.
    pub ends: Vec<u32>,
}

impl Block {
    /// What it takes, in bytes.
    pub fn cost(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

/// The largest block that is well filled with this many bytes.
fn most_for(len: usize) -> usize {
    len / WELL_FILLED * 8
}

/// The memory of all batches of a log.
#[derive(Debug)]
pub struct Memory {
    /// What the live batches cost, in bytes.
    held: AtomicUsize,
    /// The largest size of a usual block: what a batch under a flood has for its entries.
    block: usize,
    /// The size in bytes of the largest of the latest batches that filled blocks.
    latest: AtomicUsize,
    /// Empty blocks, the latest used last.
    spare: Mutex<Vec<Block>>,
    /// Whether batches can't be in files: the system refuses such files, or sending from them, or has few files.
    files_refused: AtomicBool,
}

impl Memory {
    /// Nothing is held yet; blocks will have `block` bytes.
    pub fn new(block: usize) -> Memory {
        Memory {
            held: AtomicUsize::new(0),
            block,
            latest: AtomicUsize::new(block),
            spare: Mutex::default(),
            files_refused: AtomicBool::new(false),
        }
    }

    /// What the live batches cost, in bytes, including their index.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    /// The largest size of a usual block in bytes.
    pub fn block(&self) -> usize {
        self.block
    }

    /// An empty block of the largest usual size, to be filled.
    pub fn take(&self) -> Block {
        self.take_of(self.block, 2 * self.block)
    }

    /// An empty block for the batch that comes after one that has filled `block`: about as large as the latest ones, or
    /// of the largest usual size if that one was full.
    pub fn take_after(&self, block: &Block) -> Block {
        let (len, capacity) = (block.bytes.len(), block.bytes.capacity());
        let was_full = capacity - len < capacity / 16;
        let before = self.latest.load(Ordering::Relaxed);
        let latest = if was_full { self.block } else { len.max(before - before / 8) };
        self.latest.store(latest, Ordering::Relaxed);
        let size = (latest + latest / 8).next_multiple_of(STEP).min(self.block);
        if size == self.block { self.take() } else { self.take_of(size, size + STEP) }
    }

    /// Whether `block` is worth keeping as it is. Never one that has grown for a large record: it may take twice as
    /// much as is in it, and so more than the buffer.
    pub fn is_well_filled(&self, block: &Block) -> bool {
        let (len, capacity) = (block.bytes.len(), block.bytes.capacity());
        len >= LEAST && capacity <= most_for(len) && capacity <= 2 * self.block
    }

    /// What a copy of what is in `block` takes at most, in bytes.
    pub fn cost_of_copy(&self, block: &Block) -> usize {
        let (len, ends) = (block.bytes.len(), block.ends.len() * size_of::<u32>());
        if self.is_copied_to_a_spare(len) { most_for(len) + 2 * ends } else { len + ends }
    }

    /// A copy of what is in `block`.
    pub fn copy(&self, block: &Block) -> Block {
        let len = block.bytes.len();
        let mut copy = match self.is_copied_to_a_spare(len) {
            true => self.take_of(len, most_for(len)),
            false => Block::default(), // as large as it has to be, and no larger
        };
        copy.bytes.reserve_exact(len);
        copy.bytes.extend_from_slice(&block.bytes);
        if copy.ends.capacity() > 2 * block.ends.len() {
            copy.ends = Vec::new(); // it was the index of far smaller entries
        }
        copy.ends.reserve_exact(block.ends.len());
        copy.ends.extend_from_slice(&block.ends);
        copy
    }

    fn is_copied_to_a_spare(&self, len: usize) -> bool {
        (LEAST..=self.block).contains(&len)
    }

    /// An empty block with room for at least `least` bytes, and at most `most`.
    fn take_of(&self, least: usize, most: usize) -> Block {
        let mut spare = self.spare();
        match spare.iter().rposition(|block| (least..=most).contains(&block.bytes.capacity())) {
            Some(nth) => spare.remove(nth),
            None => {
                drop(spare);
                Block { bytes: Vec::with_capacity(least), ends: Vec::new() }
            }
        }
    }

    /// From now on all batches stay in our own memory: the system refuses files in memory, or sending from them, or has
    /// few files.
    pub fn refuse_files(&self) {
        self.files_refused.store(true, Ordering::Relaxed);
    }

    /// Whether [`Memory::refuse_files`] was called.
    pub fn are_files_refused(&self) -> bool {
        self.files_refused.load(Ordering::Relaxed)
    }

    /// A batch of this cost has been made.
    pub fn count(&self, cost: usize) {
        self.held.fetch_add(cost, Ordering::Relaxed);
    }

    /// A batch of this cost is gone; its block may be used again.
    pub fn give_back(&self, mut block: Block, cost: usize) {
        // Smaller ones are not worth keeping, larger ones were made for one large record.
        if (LEAST.min(self.block)..=2 * self.block).contains(&block.bytes.capacity()) {
            block.bytes.clear();
            block.ends.clear();
            let mut spare = self.spare();
            spare.push(block);
            let mut kept: usize = spare.iter().map(|block| block.bytes.capacity()).sum();
            while kept > SPARES * self.block {
                kept -= spare.remove(0).bytes.capacity();
            }
        }
        self.held.fetch_sub(cost, Ordering::SeqCst); // the reader may wait for it
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Block>> {
        self.spare.lock().expect("nobody panics with it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(mut block: Block, len: usize) -> Block {
        block.bytes.resize(len, 1);
        block.ends.push(len as u32);
        block
    }

    #[test]
    fn a_block_serves_again_and_no_more_than_a_few_are_kept() {
        let memory = Memory::new(100);
        let blocks: Vec<_> = (0..10).map(|_| memory.take()).collect();
        let first = blocks[0].bytes.as_ptr();
        for block in blocks {
            memory.count(7);
            memory.give_back(filled(block, 1), 7);
        }
        assert_eq!((memory.held(), memory.spare().len()), (0, SPARES));
        memory.give_back(filled(Block::default(), 50), 0); // a copy
        memory.give_back(filled(Block::default(), 201), 0); // a large record's
        assert!(memory.spare().iter().all(|block| block.bytes.is_empty() && block.ends.is_empty()));
        let again: Vec<_> = (0..SPARES).map(|_| memory.take()).collect();
        assert!(again.iter().all(|block| block.bytes.as_ptr() != first), "the first came back first, and had to go");
        assert!(memory.spare().is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded_by_its_size() {
        let memory = Memory::new(100);
        for size in [100, 100, 100, 100, 200] {
            memory.give_back(Block { bytes: Vec::with_capacity(size), ends: Vec::new() }, 0);
        }
        let kept: Vec<_> = memory.spare().iter().map(|block| block.bytes.capacity()).collect();
        assert_eq!(kept, [100, 100, 200], "the latest ones");
    }

    #[test]
    fn blocks_are_as_large_as_the_latest_batches_were() {
        const MIB: usize = 1 << 20;
        let memory = Memory::new(BLOCK);
        let mut block = memory.take();
        // A producer that always writes as much: the blocks become well filled.
        for _ in 0..20 {
            block = memory.take_after(&filled(block, MIB / 2));
        }
        assert!((MIB / 2..MIB * 2 / 3).contains(&block.bytes.capacity()), "{}", block.bytes.capacity());
        let full = block.bytes.capacity();
        block = memory.take_after(&filled(block, full));
        assert_eq!(block.bytes.capacity(), BLOCK, "then it writes more");
        block = memory.take_after(&filled(block, BLOCK - 100));
        block = memory.take_after(&filled(block, MIB / 2));
        assert!(block.bytes.capacity() > MIB, "one smaller batch means little");
    }

    #[test]
    fn a_block_that_came_back_serves_a_batch_of_about_its_size_and_no_smaller_one() {
        let memory = Memory::new(BLOCK);
        let mut latest = filled(memory.take(), BLOCK / 2);
        for _ in 0..20 {
            latest = filled(memory.take_after(&latest), BLOCK / 2);
        }
        memory.give_back(memory.take(), 0);
        let block = memory.take_after(&latest);
        assert!(block.bytes.capacity() < BLOCK, "it would take more than is in it");
        let place = block.bytes.as_ptr();
        memory.give_back(block, 0);
        assert_eq!(memory.take_after(&latest).bytes.as_ptr(), place);
    }

    #[test]
    fn what_fills_a_block_badly_is_copied_to_one_that_came_back() {
        let memory = Memory::new(1 << 20);
        let draft = filled(memory.take(), 300 << 10);
        assert!(!memory.is_well_filled(&draft) && memory.is_well_filled(&filled(memory.take(), 700 << 10)));
        let copy = memory.copy(&draft);
        assert!(memory.is_well_filled(&copy) && copy.cost() <= memory.cost_of_copy(&draft));
        assert_eq!((&copy.bytes, &copy.ends), (&draft.bytes, &draft.ends));
        let place = copy.bytes.as_ptr();
        memory.give_back(copy, 0);
        let smaller = filled(memory.take(), 200 << 10);
        assert_eq!(memory.copy(&smaller).bytes.as_ptr(), place, "well filled, it serves again");
        let small = filled(memory.take(), 100);
        assert!(!memory.is_well_filled(&small));
        let large = filled(Block { bytes: Vec::with_capacity(4 << 20), ends: Vec::new() }, 3 << 20);
        assert!(!memory.is_well_filled(&large));
        for block in [small, large] {
            let want = block.bytes.len() + size_of::<u32>();
            assert_eq!((memory.copy(&block).cost(), memory.cost_of_copy(&block)), (want, want), "as small as can be");
        }
    }

    #[test]
    fn a_copy_costs_no_more_than_was_promised_whatever_its_block_was_used_for() {
        let memory = Memory::new(1 << 20);
        let mut draft = filled(memory.take(), 300 << 10);
        draft.ends = vec![1; 1000];
        let promised = memory.cost_of_copy(&draft);
        for (ends, cost) in [(2000, promised), (2001, promised - 4000), (500_000, promised - 4000)] {
            let bytes = Vec::with_capacity(most_for(300 << 10));
            memory.give_back(Block { bytes, ends: Vec::with_capacity(ends) }, 0);
            assert_eq!(memory.copy(&draft).cost(), cost, "after one with {ends} entries");
        }
    }
}
