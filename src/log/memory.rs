//! The memory of batches: how much of it is held, and blocks that came back and can be filled again.
//!
//! Under a flood a thousand batches a second come and go. Fresh memory would cost a page fault for every 4 KiB and
//! would be in no cache; a block that has just been sent is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// The usual size of a block: what a read of 1 MiB becomes, with the chunks and fields of records of some 100 bytes.
pub const BLOCK: usize = 5 << 18;
/// So many spare blocks are kept: what reader and workers may have in hand at the same time.
const SPARES: usize = 4;

/// The memory of all batches of a log.
#[derive(Debug)]
pub struct Memory {
    /// What the batches that are alive cost, in bytes.
    held: AtomicUsize,
    /// The size of a block: what a batch under a flood has for its entries.
    block: usize,
    /// Empty blocks, the latest used last.
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Memory {
    /// Nothing is held yet; blocks will have `block` bytes.
    pub fn new(block: usize) -> Memory {
        Memory { held: AtomicUsize::new(0), block, spare: Mutex::default() }
    }

    /// What the batches that are alive cost, in bytes, their index included.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    /// The size of a block in bytes.
    pub fn block(&self) -> usize {
        self.block
    }

    /// An empty block.
    pub fn take(&self) -> Vec<u8> {
        let spare = self.spare().pop();
        spare.unwrap_or_else(|| Vec::with_capacity(self.block))
    }

    /// A batch of this cost has come to life.
    pub fn count(&self, cost: usize) {
        self.held.fetch_add(cost, Ordering::Relaxed);
    }

    /// A batch of this cost is over; its bytes may be a block that serves again.
    pub fn give_back(&self, mut bytes: Vec<u8>, cost: usize) {
        // Smaller ones were copies, larger ones were made for one large record.
        if (self.block..=2 * self.block).contains(&bytes.capacity()) {
            bytes.clear();
            let mut spare = self.spare();
            if spare.len() < SPARES {
                spare.push(bytes);
            }
        }
        self.held.fetch_sub(cost, Ordering::SeqCst); // the reader may wait for it
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().expect("nobody panics with it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_serves_again_and_no_more_than_a_few_are_kept() {
        let memory = Memory::new(100);
        let blocks: Vec<_> = (0..10).map(|_| memory.take()).collect();
        let first = blocks[0].as_ptr();
        for mut block in blocks.into_iter().rev() {
            block.push(1);
            memory.count(7);
            memory.give_back(block, 7);
        }
        assert_eq!((memory.held(), memory.spare().len()), (0, SPARES));
        memory.give_back(vec![1; 99], 0); // a copy
        memory.give_back(vec![1; 201], 0); // a large record's
        assert!(memory.spare().iter().all(|block| block.is_empty() && (100..=200).contains(&block.capacity())));
        let again: Vec<_> = (0..SPARES).map(|_| memory.take()).collect();
        assert!(again.iter().all(|block| block.as_ptr() != first), "the first came back last, when there were enough");
        assert!(memory.spare().is_empty());
    }
}
