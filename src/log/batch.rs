//! A batch: what the reader publishes at a time. Its entries are encoded back to back, and never change again.

use super::id::Run;
use super::memory::{Block, Memory};
use super::own_ids::{Drafted, Held, OwnIds};
use super::rows::{self, Index, Row};
use super::segment::{Segment, Segments};
use super::store::Store;
use super::store::ids::PLACE;
use super::view::Log;
use std::borrow::Cow;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Some entries of the log, back to back. Each entry is one whole chunk.
///
/// In a log that a store keeps ([`Store`]), old batches are merged into larger ones that have neither bytes nor index
/// in memory. They are read again when a client needs them. And there may be gaps: batches whose entries are lost.
#[derive(Debug)]
pub struct Batch {
    /// Offset of the first byte in the log.
    start: u64,
    /// Number of the first entry; the log's first is 1.
    first: u64,
    /// Number of the last entry.
    last: u64,
    /// How many bytes its entries have. A gap has as many as the entries that were there before, or one.
    len: usize,
    /// Where each entry ends, unless it is an old one; and the entries themselves, unless only a segment has them.
    block: Block,
    /// When it was read, in milliseconds since 1970.
    time: u64,
    segment: Option<Arc<Segment>>,
    /// More about it, in a log that a store keeps.
    stored: Option<Box<Stored>>,
    /// Number of the latest entry up to here that is an event, not a comment; 0 if there is none yet.
    last_event: u64,
    /// IDs from records, if records can have IDs.
    own_ids: Option<Held>,
    /// Number of the latest entry up to here that has such an ID; 0 if there is none yet.
    last_own_id: u64,
    /// Counts its memory, and takes it back.
    memory: Arc<Memory>,
}

/// More about a batch, in a log that a store keeps.
#[derive(Debug)]
struct Stored {
    /// Its rows in the index of its segment.
    rows: Range<u64>,
    /// Whether it has neither bytes nor index in memory.
    is_old: bool,
    /// Whether its bytes are known to be right: this program has written or checked them.
    is_sound: AtomicBool,
    /// Whether its entries are lost.
    is_lost: AtomicBool,
    /// Whether the number of lost entries is unknown.
    of_unknown_number: bool,
}

/// What is lost in a gap, for a client that reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where in the log it begins and ends.
    pub start: u64,
    /// Where in the log it ends.
    pub end: u64,
    /// How many records are lost; `None` if that is unknown.
    pub records: Option<u64>,
}

/// The bytes of a batch that has none in memory, and its index; or nothing.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Where the batch begins in the log.
    pub start: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its index, if it is an old one.
    pub index: Index,
}

impl Drop for Batch {
    fn drop(&mut self) {
        let cost = self.cost();
        self.memory.give_back(std::mem::take(&mut self.block), cost);
    }
}

/// What an entry costs in addition to its bytes: its place in the index.
pub const INDEX_COST: usize = size_of::<u32>();
/// What a batch costs in addition to its entries: itself, three blocks of the allocator, and its places in the lists of
/// the reader and of some workers. This matters if every record is its own batch.
pub const BATCH_COST: usize = size_of::<Batch>() + 160;

/// Old batches are merged up to this size: a client that looks for one event reads a whole batch.
pub const OLD_BATCH: usize = 256 << 10;
/// And into at most this many: each takes some memory, and a large store must not take more.
const MOST_OLD: usize = 8192;

/// How large old batches are in a log of this many bytes.
pub fn old_batch_size(log: usize) -> usize {
    OLD_BATCH.max(log / MOST_OLD)
}

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
        self.last
    }

    /// Number of the latest entry up to the end of this batch that is an event; 0 if there is none yet.
    pub fn last_event(&self) -> u64 {
        self.last_event
    }

    /// Number of the latest entry up to the end of this batch that has an ID of its own; 0 if there is none yet.
    pub fn last_own_id(&self) -> u64 {
        self.last_own_id
    }

    /// Number of the latest entry of this batch that is before `entry` and has an ID of its own.
    pub fn own_id_before(&self, entry: u64, run: Run) -> Option<u64> {
        if self.is_old() && (self.first..entry).contains(&self.last_own_id) {
            return Some(self.last_own_id);
        }
        match &self.own_ids {
            Some(held) => held.before(entry),
            None => self.load_own_ids(run).into_iter().map(|(number, _)| number).take_while(|n| *n < entry).last(),
        }
    }

    /// The IDs from the records of an old batch, and their numbers; none if it can't be read.
    fn load_own_ids(&self, run: Run) -> Vec<(u64, String)> {
        let mut loaded = Loaded::default();
        if self.last_own_id < self.first || !self.is_old() || self.load(&mut loaded).is_err() {
            return Vec::new();
        }
        let (mut ids, mut start) = (Vec::new(), 0);
        for (&end, number) in loaded.index.ends.iter().zip(self.first..) {
            let entry = &loaded.bytes[start as usize..end as usize];
            ids.extend(rows::own_id(entry, run, number).map(|id| (number, id.to_owned())));
            start = end;
        }
        ids
    }

    /// Adds the IDs from its records to the index, before any client can ask for one of them. Returns the number of the
    /// first entry whose ID another entry already has.
    pub fn enter_own_ids(&mut self) -> Option<u64> {
        self.own_ids.as_mut().and_then(Held::enter)
    }

    /// When it was read, in milliseconds since 1970.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// All bytes, unless only a segment has them.
    pub fn bytes(&self) -> Option<&[u8]> {
        (!self.block.bytes.is_empty()).then_some(&self.block.bytes)
    }

    /// Whether its index is not in memory either.
    pub fn is_old(&self) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.is_old)
    }

    /// Whether its bytes can be sent from its segment as they are.
    pub fn is_sound(&self) -> bool {
        self.stored.as_ref().is_none_or(|stored| stored.is_sound.load(Ordering::Relaxed)) && self.gap().is_none()
    }

    /// What is lost, if it is a gap.
    pub fn gap(&self) -> Option<Gap> {
        let stored = self.stored.as_ref().filter(|stored| stored.is_lost.load(Ordering::Relaxed))?;
        let records = (!stored.of_unknown_number).then(|| self.last - self.first + 1);
        Some(Gap { start: self.start, end: self.end(), records })
    }

    /// Its bytes can't be read: it is a gap from now on. A batch that no store keeps has none.
    pub fn lose(&self, error: &io::Error) {
        if let (Some(stored), Some(segment)) = (&self.stored, &self.segment)
            && !stored.is_lost.swap(true, Ordering::Relaxed)
        {
            segment.report_damage(segment.position(self.start), self.last - self.first + 1, error);
        }
    }

    /// Reads its bytes from its segment, and checks them, if it is an old one. If that fails, it is a gap from now on.
    pub fn load(&self, loaded: &mut Loaded) -> io::Result<()> {
        let result = self.try_load(loaded);
        if let Err(error) = &result {
            loaded.bytes.clear();
            self.lose(error);
        }
        result
    }

    fn try_load(&self, loaded: &mut Loaded) -> io::Result<()> {
        let Some(segment) = self.segment.as_ref().filter(|_| self.gap().is_none()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        loaded.start = self.start;
        loaded.bytes.clear();
        loaded.bytes.resize(self.len, 0);
        loaded.index = Index::default();
        segment.read(self.start, &mut loaded.bytes)?;
        if let Some(stored) = self.stored.as_ref().filter(|stored| stored.is_old) {
            let rows = segment.rows(stored.rows.clone())?;
            let index = rows::check(&loaded.bytes, segment.position(self.start), self.first..self.last + 1, &rows);
            loaded.index = index.map_err(|at| io::Error::other(format!("it is damaged from byte {at} on")))?;
            stored.is_sound.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Where each of its entries ends, counted from its first byte.
    fn with_ends<T>(&self, body: impl FnOnce(&[u32]) -> T) -> Option<T> {
        if !self.is_old() {
            return (!self.block.ends.is_empty()).then(|| body(&self.block.ends));
        }
        let mut loaded = Loaded::default();
        self.load(&mut loaded).ok()?;
        Some(body(&loaded.index.ends))
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
        match (self.bytes(), &self.segment) {
            (Some(bytes), _) => Ok(Cow::Borrowed(&bytes[(start - self.start) as usize..(end - self.start) as usize])),
            (None, Some(segment)) => {
                let mut bytes = vec![0; (end - start) as usize];
                segment.read(start, &mut bytes)?;
                Ok(Cow::Owned(bytes))
            }
            (None, None) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The memory that it takes, in bytes, its index included.
    pub fn cost(&self) -> usize {
        let own_ids = self.own_ids.as_ref().map_or(0, Held::cost);
        let in_segment = if self.segment.is_some() && self.block.bytes.is_empty() { self.len } else { 0 };
        // Those of an old batch are in a file.
        let has_old_ids = self.is_old() && self.last_own_id >= self.first;
        let old_ids = if has_old_ids { (self.last - self.first + 1) as usize * PLACE } else { 0 };
        in_segment + self.block.cost() + own_ids + old_ids + BATCH_COST
    }

    /// The memory that it takes without its bytes in a segment, in bytes.
    pub fn memory_cost(&self) -> usize {
        self.block.cost() + BATCH_COST
    }

    /// Offset in the log at which entry `number` of this batch begins; that of the batch if it is a gap.
    pub fn entry_start(&self, number: u64) -> u64 {
        match (number - self.first) as usize {
            0 => self.start,
            nth => self.start + self.with_ends(|ends| u64::from(ends[nth - 1])).unwrap_or(0),
        }
    }

    /// The entry that the byte at offset `at` is part of: where it begins and ends in the log. `None` in a gap.
    pub fn entry_around(&self, at: u64) -> Option<(u64, u64)> {
        self.with_ends(|ends| self.entry_within(ends, at))
    }

    /// The same, for a batch whose entries end there.
    pub fn entry_within(&self, ends: &[u32], at: u64) -> (u64, u64) {
        let within = at - self.start;
        let nth = ends.partition_point(|&end| u64::from(end) <= within);
        let start = if nth == 0 { 0 } else { ends[nth - 1] };
        (self.start + u64::from(start), self.start + u64::from(ends[nth]))
    }

    /// Whether `next`, which follows it, can be merged with it into one old batch: both are in the same segment.
    pub fn goes_with(&self, next: &Batch) -> bool {
        match (&self.segment, &next.segment) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }

    /// Merges these batches, which follow each other and go together ([`Batch::goes_with`]), into one that has nothing
    /// in memory. If no segment has their bytes, it is a gap.
    pub fn old(batches: &[Arc<Batch>]) -> Batch {
        let (first, last) = (&batches[0], &batches[batches.len() - 1]);
        let row = |batch: &Batch| batch.stored.as_ref().map_or(0..0, |stored| stored.rows.clone());
        let is_lost = first.segment.is_none();
        let stored = Stored {
            rows: row(first).start..row(last).end,
            is_old: true,
            is_sound: true.into(),
            is_lost: is_lost.into(),
            of_unknown_number: false,
        };
        if let Some(segment) = &first.segment {
            let mut own_ids = batches.iter().filter_map(|batch| batch.own_ids.as_ref()).peekable();
            if let Some(index) = own_ids.peek().map(|held| Arc::clone(held.index())) {
                index.age(segment, (first.first, last.last), own_ids);
            }
        }
        let batch = Batch {
            start: first.start,
            first: first.first,
            last: last.last,
            len: (last.end() - first.start) as usize,
            block: Block::default(),
            time: first.time,
            segment: first.segment.clone(),
            stored: Some(Box::new(stored)),
            last_event: last.last_event,
            own_ids: None,
            last_own_id: last.last_own_id,
            memory: Arc::clone(&first.memory),
        };
        batch.memory.count(batch.cost());
        batch
    }

    /// A batch of an earlier program in a store: these rows of the index of `segment`, the first and the last of which
    /// are given. It begins at `start` of the log.
    pub fn restored(
        start: u64,
        segment: Arc<Segment>,
        rows: Range<u64>,
        (first, last): (&Row, &Row),
        memory: Arc<Memory>,
    ) -> Batch {
        let stored =
            Stored { rows, is_old: true, is_sound: false.into(), is_lost: false.into(), of_unknown_number: false };
        let batch = Batch {
            start,
            first: first.first,
            last: last.last(),
            len: (last.end() - first.position) as usize,
            block: Block::default(),
            time: first.time,
            segment: Some(segment),
            stored: Some(Box::new(stored)),
            last_event: last.last_event,
            own_ids: None,
            last_own_id: last.last_own_id,
            memory,
        };
        batch.memory.count(batch.cost());
        batch
    }

    /// The entries of these numbers are lost, and maybe more, or fewer, if `of_unknown_number`. It comes after
    /// `before`, or is the first of a log.
    pub fn lost(
        before: Option<&Batch>,
        numbers: std::ops::RangeInclusive<u64>,
        of_unknown_number: bool,
        memory: Arc<Memory>,
    ) -> Batch {
        let stored =
            Stored { rows: 0..0, is_old: true, is_sound: false.into(), is_lost: true.into(), of_unknown_number };
        let batch = Batch {
            start: before.map_or(0, Batch::end),
            first: *numbers.start(),
            last: *numbers.end(),
            len: 1, // it is never sent, but has a place in the log
            block: Block::default(),
            time: before.map_or(0, Batch::time),
            segment: None,
            stored: Some(Box::new(stored)),
            last_event: before.map_or(0, Batch::last_event),
            own_ids: None,
            last_own_id: before.map_or(0, Batch::last_own_id),
            memory,
        };
        batch.memory.count(batch.cost());
        batch
    }

    /// Searches a batch of an earlier program in a store for the IDs from its records, and adds them to the index,
    /// unless tables have them.
    pub fn find_own_ids(&self, index: &Arc<OwnIds>, run: Run) {
        let is_known = index.have_tables_of(self.first..=self.last);
        let Some(segment) = self.segment.as_ref().filter(|_| !is_known) else { return };
        let mut drafted = Drafted::new(Arc::clone(index));
        self.load_own_ids(run).iter().for_each(|(number, id)| drafted.note(*number, id));
        if drafted.cost() > 0 {
            index.age(segment, (self.first, self.last), std::iter::once(&drafted.finish()));
        }
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
    /// A comment in place of a record that could not be sent.
    Comment,
}

impl Draft {
    /// The first batch of a log, empty.
    pub fn new(memory: Arc<Memory>) -> Draft {
        let block = memory.take();
        Draft { start: 0, first: 1, block, time: 0, last_event: 0, own_ids: None, last_own_id: 0, memory }
    }

    /// The same for the batch that follows those in `log`.
    pub fn after(self, log: &Log) -> Draft {
        let (start, first) = (log.end_offset(), log.last() + 1);
        Draft { start, first, last_event: log.last_event(), last_own_id: log.last_own_id(), ..self }
    }

    /// The same for a log whose records may have IDs of their own.
    pub fn with_own_ids(self, index: Arc<OwnIds>) -> Draft {
        Draft { own_ids: Some(Drafted::new(index)), ..self }
    }

    /// What is added from now on was read at `time`, in milliseconds since 1970. A batch has one time: the draft is
    /// empty.
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

    /// The last entry has this ID from its record.
    pub fn note_own_id(&mut self, id: &str) {
        let entry = self.next() - 1;
        if let Some(own_ids) = &mut self.own_ids {
            own_ids.note(entry, id);
            self.last_own_id = entry;
        }
    }

    /// Whether any entry of the log so far has an ID from its record.
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

    /// Whether an entry of `size` bytes fits. In an empty draft any does; the draft grows if it must.
    pub fn fits(&self, size: usize) -> bool {
        self.has_room(size) || self.is_empty()
    }

    /// Whether there is room for this many bytes.
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

    /// Returns what was filled in as a batch, and continues with an empty draft after it. `None` if there is nothing.
    /// The bytes go to `segments`, if there are any and they accept them.
    pub fn finish(&mut self, segments: Option<&mut Segments>) -> Option<Batch> {
        if self.is_empty() {
            return None;
        }
        let segment = segments.and_then(|segments| segments.append(self.start, &self.block.bytes));
        let in_memory = segment.is_none();
        Some(self.batch(segment, None, in_memory))
    }

    /// The same in a log that `store` keeps: it gets the batch before any client can. The bytes also stay in memory if
    /// they are wanted there, or if the store can't take them.
    pub fn finish_in(&mut self, store: &Store, in_memory: bool) -> Option<Batch> {
        if self.is_empty() {
            return None;
        }
        let row = Row {
            first: self.first,
            entries: self.block.ends.len() as u32,
            len: self.len() as u32,
            position: 0,
            time: self.time,
            last_event: self.last_event,
            last_own_id: self.last_own_id,
            checksum: 0,
        };
        Some(match store.append(self.start, row, &self.block.bytes) {
            Some((segment, row)) => {
                let stored = Stored {
                    rows: row..row + 1,
                    is_old: false,
                    is_sound: true.into(),
                    is_lost: false.into(),
                    of_unknown_number: false,
                };
                self.batch(Some(segment), Some(Box::new(stored)), in_memory)
            }
            None => self.batch(None, None, true),
        })
    }

    fn batch(&mut self, segment: Option<Arc<Segment>>, stored: Option<Box<Stored>>, in_memory: bool) -> Batch {
        let (len, last) = (self.len(), self.next() - 1);
        // A flood fills drafts, and each becomes a batch as it is. A trickle makes small batches, which may be kept for
        // a long time: they are copies, so that they take the memory that is counted, and the draft is used again.
        let block = match self.memory.is_well_filled(&self.block) {
            _ if !in_memory => Block { bytes: Vec::new(), ends: self.block.ends.as_slice().into() },
            true => {
                let next = self.memory.take_after(&self.block);
                std::mem::replace(&mut self.block, next)
            }
            false => self.memory.copy(&self.block),
        };
        let batch = Batch {
            start: self.start,
            first: self.first,
            last,
            len,
            block,
            time: self.time,
            segment,
            stored,
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
            self.block = self.memory.take(); // it had grown for one large record
        }
        batch
    }
}

#[cfg(test)]
mod tests;
