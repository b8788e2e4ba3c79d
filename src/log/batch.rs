//! A batch: what the reader publishes at a time, some entries encoded back to back, immutable from then on.

use super::memory::{Block, Memory};
use super::own_ids::{Drafted, Held, OwnIds};
use super::segment::{Segment, Segments};
use std::borrow::Cow;
use std::io;
use std::sync::Arc;

/// Some entries of the log, back to back. Each entry is one whole chunk.
#[derive(Debug)]
pub struct Batch {
    /// Offset of the first byte in the log.
    start: u64,
    /// Number of the first entry; the log's first is 1.
    first: u64,
    /// How many bytes its entries have.
    len: usize,
    /// Where each entry ends; and the entries themselves, unless a segment has them.
    block: Block,
    /// When it was read, in milliseconds since 1970.
    time: u64,
    segment: Option<Arc<Segment>>,
    /// Number of the latest entry up to here that is an event and no comment; 0 where there is none yet.
    last_event: u64,
    /// IDs that records brought with them, where they may.
    own_ids: Option<Held>,
    /// Number of the latest entry up to here that has such an ID; 0 where there is none yet.
    last_own_id: u64,
    /// Where its memory is counted, and goes back to.
    memory: Arc<Memory>,
}

impl Drop for Batch {
    fn drop(&mut self) {
        let cost = self.cost();
        self.memory.give_back(std::mem::take(&mut self.block), cost);
    }
}

/// What an entry costs beside its bytes: its place in the index.
pub const INDEX_COST: usize = size_of::<u32>();
/// What a batch costs beside its entries: itself, three blocks of the allocator's, and its places in the lists of
/// the reader and of some workers. It counts where every record is a batch of its own.
pub const BATCH_COST: usize = size_of::<Batch>() + 160;

impl Batch {
    /// Offset in the log of the first byte.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Offset in the log just after the last byte.
    pub fn end(&self) -> u64 {
        self.start + self.len as u64
    }

    /// Number of the first entry.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Number of the last entry.
    pub fn last(&self) -> u64 {
        self.first + self.block.ends.len() as u64 - 1
    }

    /// Number of the latest entry up to the end of this batch that is an event; 0 where there is none yet.
    pub fn last_event(&self) -> u64 {
        self.last_event
    }

    /// Number of the latest entry up to the end of this batch that has an ID of its own; 0 where there is none yet.
    pub fn last_own_id(&self) -> u64 {
        self.last_own_id
    }

    /// Number of the latest entry of this batch that is before `entry` and has an ID of its own.
    pub fn own_id_before(&self, entry: u64) -> Option<u64> {
        self.own_ids.as_ref()?.before(entry)
    }

    /// Makes the IDs that its records brought known; before any client can ask for what is in it. Returns the number of
    /// the first entry whose ID another entry has already.
    pub fn enter_own_ids(&mut self) -> Option<u64> {
        self.own_ids.as_mut().and_then(Held::enter)
    }

    /// When it was read, in milliseconds since 1970.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// All bytes, unless a segment has them.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.segment.is_none().then_some(&self.block.bytes)
    }

    /// Where its memory is counted.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The segment that has its bytes.
    pub fn segment(&self) -> Option<&Arc<Segment>> {
        self.segment.as_ref()
    }

    /// The bytes from this offset in the log up to that one, wherever they are.
    pub fn read(&self, start: u64, end: u64) -> io::Result<Cow<'_, [u8]>> {
        match &self.segment {
            None => Ok(Cow::Borrowed(&self.block.bytes[(start - self.start) as usize..(end - self.start) as usize])),
            Some(segment) => {
                let mut bytes = vec![0; (end - start) as usize];
                segment.read(start, &mut bytes)?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// The memory that it takes, in bytes, its index included.
    pub fn cost(&self) -> usize {
        let own_ids = self.own_ids.as_ref().map_or(0, Held::cost);
        let in_segment = if self.segment.is_some() { self.len } else { 0 };
        in_segment + self.block.cost() + own_ids + BATCH_COST
    }

    /// Offset in the log at which entry `number` of this batch begins.
    pub fn entry_start(&self, number: u64) -> u64 {
        match (number - self.first) as usize {
            0 => self.start,
            nth => self.start + u64::from(self.block.ends[nth - 1]),
        }
    }

    /// The entry that the byte at offset `at` is part of: where it begins and ends in the log.
    pub fn entry_around(&self, at: u64) -> (u64, u64) {
        let within = at - self.start;
        let nth = self.block.ends.partition_point(|&end| u64::from(end) <= within);
        let start = if nth == 0 { 0 } else { self.block.ends[nth - 1] };
        (self.start + u64::from(start), self.start + u64::from(self.block.ends[nth]))
    }
}

/// A batch while it is being filled.
#[derive(Debug)]
pub struct Draft {
    start: u64,
    first: u64,
    block: Block,
    time: u64,
    last_event: u64,
    own_ids: Option<Drafted>,
    last_own_id: u64,
    memory: Arc<Memory>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An event.
    Event,
    /// A comment in the place of a record that could not be sent.
    Comment,
}

impl Draft {
    /// The first batch of a log, empty.
    pub fn new(memory: Arc<Memory>) -> Draft {
        let block = memory.take();
        Draft { start: 0, first: 1, block, time: 0, last_event: 0, own_ids: None, last_own_id: 0, memory }
    }

    /// The same for a log whose records may bring IDs of their own.
    pub fn with_own_ids(self, index: Arc<OwnIds>) -> Draft {
        Draft { own_ids: Some(Drafted::new(index)), ..self }
    }

    /// What is added from now on was read at `time`, in milliseconds since 1970. A batch has one time: the draft is empty.
    pub fn read_at(&mut self, time: u64) {
        debug_assert!(self.is_empty(), "what was read before is published before");
        self.time = time;
    }

    /// Adds the entry that `write` appends, whole chunks and at least one byte.
    #[inline]
    pub fn push(&mut self, entry: Entry, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.block.bytes);
        let end = u32::try_from(self.block.bytes.len()).expect("whoever fills a batch stops long before 4 GiB");
        debug_assert!(end > self.block.ends.last().copied().unwrap_or(0), "an entry has bytes");
        self.block.ends.push(end);
        if entry == Entry::Event {
            self.last_event = self.next() - 1;
        }
    }

    /// The last entry has brought this ID with it.
    pub fn note_own_id(&mut self, id: &str) {
        let entry = self.next() - 1;
        if let Some(own_ids) = &mut self.own_ids {
            own_ids.note(entry, id);
            self.last_own_id = entry;
        }
    }

    /// Whether any entry of the log so far has brought an ID with it.
    pub fn has_own_ids(&self) -> bool {
        self.last_own_id > 0
    }

    /// Number of the entry that comes next.
    #[inline]
    pub fn next(&self) -> u64 {
        self.first + self.block.ends.len() as u64
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.block.ends.is_empty()
    }

    /// Whether an entry of `size` bytes fits. In an empty draft any does, and makes it larger where it has to.
    pub fn fits(&self, size: usize) -> bool {
        self.has_room(size) || self.is_empty()
    }

    /// Whether there is room for so many bytes.
    #[inline]
    pub fn has_room(&self, size: usize) -> bool {
        let own_ids = self.own_ids.as_ref().map_or(0, Drafted::cost); // they may cost more than short events
        self.block.bytes.len() + size + own_ids <= self.block.bytes.capacity().min(self.memory.block())
    }

    /// The memory that the finished batch will take, in bytes.
    pub fn cost(&self) -> usize {
        let block = match self.memory.is_well_filled(&self.block) {
            true => self.block.cost(),
            false => self.memory.cost_of_copy(&self.block),
        };
        let own_ids = self.own_ids.as_ref().map_or(0, Drafted::cost);
        block + own_ids + BATCH_COST
    }

    /// How many bytes have been filled in.
    pub fn len(&self) -> usize {
        self.block.bytes.len()
    }

    /// Takes what was filled in as a batch, and goes on with an empty draft behind it. `None` when there is nothing. The
    /// bytes go to `segments`, if there are any and they take them.
    pub fn finish(&mut self, segments: Option<&mut Segments>) -> Option<Batch> {
        if self.is_empty() {
            return None;
        }
        let len = self.len();
        let segment = segments.and_then(|segments| segments.append(self.start, &self.block.bytes));
        // A flood fills drafts, and each goes out as it is. A trickle makes small batches, which may be kept for long:
        // they are copies, so that they take what they are counted for, and the draft serves again.
        let block = match self.memory.is_well_filled(&self.block) {
            _ if segment.is_some() => Block { bytes: Vec::new(), ends: self.block.ends.as_slice().into() },
            true => {
                let next = self.memory.take_after(&self.block);
                std::mem::replace(&mut self.block, next)
            }
            false => self.memory.copy(&self.block),
        };
        let batch = Batch {
            start: self.start,
            first: self.first,
            len,
            block,
            time: self.time,
            segment,
            last_event: self.last_event,
            own_ids: self.own_ids.as_mut().map(Drafted::finish),
            last_own_id: self.last_own_id,
            memory: Arc::clone(&self.memory),
        };
        self.memory.count(batch.cost());
        self.start = batch.end();
        self.first = batch.last() + 1;
        self.block.bytes.clear();
        self.block.ends.clear();
        if self.block.bytes.capacity() > 2 * self.memory.block() {
            self.block = self.memory.take(); // one large record had made it grow
        }
        Some(batch)
    }
}
