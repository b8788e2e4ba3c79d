//! A view of the log: the batches that it still holds, oldest first, and the places in them.
//!
//! One view has everything that may still be needed; each worker has its own, with what its clients need. All share the
//! same batches, so appending and evicting cost a pointer, and reading takes no lock.

mod resume;

pub use resume::{Missed, StartingPoint};

use super::batch::{Batch, Gap, Loaded};
use super::id::Run;
use super::own_ids::OwnIds;
use super::segment::Segment;
use crate::wire::chunk;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// Which IDs entries have.
#[derive(Clone, Debug)]
pub enum Ids {
    /// `RUN-N` each.
    Run,
    /// Their own, or else `RUN-N`.
    OwnElseRun(Arc<OwnIds>),
    /// Their own, or else none.
    Own(Arc<OwnIds>),
}

/// This many batches are merged: one by one if they are large, or else all at once.
const FEW: usize = 16;
/// At most this many batches that were read at the same time are looked at together.
const SAME_TIME: usize = 64;

/// A run of batches without a gap.
#[derive(Debug)]
pub struct Log {
    run: Run,
    ids: Ids,
    batches: VecDeque<Arc<Batch>>,
    /// What they cost, in bytes.
    cost: usize,
    /// Offset just after the last byte that was ever appended.
    end_offset: u64,
    /// Number of the last entry that was ever appended; 0 before the first.
    last: u64,
    /// Number of the last entry that is an event; 0 before the first.
    last_event: u64,
    /// Number of the last entry that has an ID from its record; 0 before the first.
    last_own_id: u64,
    /// Where the old batches end: those that a store has merged, and that have nothing in memory.
    old_end: u64,
    /// What the batches after them take in memory, in bytes.
    young: usize,
    /// Numbers of entries that are lost, as far as they are held: the first one and the last.
    lost: VecDeque<(u64, u64)>,
    /// A batch that only a segment has, for a client that can't be sent it from there.
    loaded: Loaded,
    /// Whether nothing can be sent from segments.
    files_refused: bool,
}

/// What is pending in a segment.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// The segment.
    pub segment: &'a Segment,
    /// Where in its file the first byte is.
    pub position: u64,
    /// How many bytes.
    pub len: usize,
}

impl Log {
    /// An empty log of `run`, whose entries have these IDs.
    pub fn new(run: Run, ids: Ids) -> Log {
        Log {
            run,
            ids,
            batches: VecDeque::new(),
            cost: 0,
            end_offset: 0,
            last: 0,
            last_event: 0,
            last_own_id: 0,
            old_end: 0,
            young: 0,
            lost: VecDeque::new(),
            loaded: Loaded::default(),
            files_refused: false,
        }
    }

    /// The same with what a store has from an earlier program: these batches, and the number that was given last.
    pub fn with(mut self, batches: Vec<Batch>, last: u64) -> Log {
        (self.last, self.last_event) = (last, last);
        if let Some(first) = batches.first() {
            self.last = first.first() - 1;
        }
        for batch in batches {
            self.append(Arc::new(batch));
        }
        self
    }

    /// Takes the batch that follows the last one.
    pub fn append(&mut self, batch: Arc<Batch>) {
        debug_assert_eq!((batch.start(), batch.first()), (self.end_offset, self.last + 1), "batches come in order");
        (self.end_offset, self.last, self.last_event) = (batch.end(), batch.last(), batch.last_event());
        self.last_own_id = batch.last_own_id();
        self.push(batch);
    }

    fn push(&mut self, batch: Arc<Batch>) {
        self.cost += batch.cost();
        if batch.is_old() {
            self.old_end = batch.end();
            if batch.gap().is_some() {
                self.lost.push_back((batch.first(), batch.last()));
            }
        } else {
            self.young += batch.memory_cost();
        }
        self.batches.push_back(batch);
    }

    fn has_let_go_of(&mut self, batch: &Batch) {
        self.cost -= batch.cost();
        if !batch.is_old() {
            self.young -= batch.memory_cost();
        }
    }

    /// Drops every batch that is entirely before `offset`.
    pub fn evict(&mut self, offset: u64) {
        while self.batches.front().is_some_and(|batch| batch.end() <= offset) {
            let batch = self.batches.pop_front().expect("there is one");
            self.has_let_go_of(&batch);
        }
        while self.lost.front().is_some_and(|lost| lost.1 < self.first()) {
            self.lost.pop_front();
        }
    }

    /// The same, and a store drops it too.
    pub fn evict_for_good(&mut self, offset: u64) {
        while let Some(batch) = self.batches.front().filter(|batch| batch.end() <= offset).cloned() {
            self.evict(batch.end());
            if let Some(segment) = batch.segment()
                && self
                    .batches
                    .front()
                    .is_none_or(|next| !next.segment().is_some_and(|next| Arc::ptr_eq(next, segment)))
            {
                segment.remove();
            }
        }
    }

    /// If what is in memory takes more than `most` bytes, merges the oldest batches into old ones of about `block`
    /// bytes, which have nothing there, until it takes less. If there are many, it goes down to half, so that this
    /// happens rarely.
    pub fn age(&mut self, most: usize, block: usize) {
        if self.young <= most {
            return;
        }
        let nth = self.batches.partition_point(|batch| batch.end() <= self.old_end);
        let mut young = self.batches.split_off(nth);
        let least = if young.len() > FEW { most / 2 } else { most };
        while self.young > least && !young.is_empty() {
            let mut len = 0;
            let together = young.iter().take_while(|batch| {
                let goes =
                    batch.goes_with(&young[0]) && (len == 0 || len + batch.end() - batch.start() <= block as u64);
                len += batch.end() - batch.start();
                goes
            });
            let together: Vec<_> = young.drain(..together.count()).collect();
            together.iter().for_each(|batch| self.has_let_go_of(batch));
            self.push(Arc::new(Batch::old(&together)));
        }
        self.batches.append(&mut young);
    }

    /// Extends it as far as `other`, another view of the same log, and holds what is after `offset`, as far as either
    /// has it.
    pub fn follow(&mut self, other: &Log, offset: u64) {
        self.evict(offset);
        let goes_on = self.start_offset() <= offset && self.end_offset >= other.start_offset();
        if !goes_on {
            self.clear();
        }
        // A batch that has been merged there since replaces its parts.
        if other.old_end > self.old_end {
            while self.batches.back().is_some_and(|batch| batch.start() >= self.old_end) {
                let batch = self.batches.pop_back().expect("there is one");
                self.has_let_go_of(&batch);
                self.end_offset = batch.start();
            }
            if self.end_offset < other.start_offset() {
                self.clear(); // what it had beyond is evicted everywhere
            }
        }
        let from = if self.batches.is_empty() { offset } else { self.end_offset };
        let nth = other.batches.partition_point(|batch| batch.end() <= from);
        for batch in other.batches.range(nth..) {
            self.push(Arc::clone(batch));
        }
        self.old_end = other.old_end;
        (self.end_offset, self.last, self.last_event) = (other.end_offset, other.last, other.last_event);
        self.last_own_id = other.last_own_id;
    }

    fn clear(&mut self) {
        self.batches.clear();
        self.lost.clear();
        (self.cost, self.young) = (0, 0);
    }

    /// Where the log begins once enough of the oldest batches are evicted for the others and `more` to fit into `most`
    /// bytes, each batch taking `each` bytes in addition to its cost.
    pub fn start_within(&self, most: usize, more: usize, each: usize) -> u64 {
        let mut taken = self.cost + more + (self.batches.len() + 1) * each;
        let mut start = self.start_offset();
        for batch in &self.batches {
            // The evicted part of a segment is freed only with the rest of it.
            let still_there = batch.segment().map_or(0, |segment| segment.position(batch.start()) as usize);
            if taken + still_there <= most {
                break;
            }
            taken -= batch.cost() + each;
            start = batch.end();
        }
        start
    }

    /// Number of the last entry that was ever appended; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Number of the last entry that is an event; 0 before the first.
    pub fn last_event(&self) -> u64 {
        self.last_event
    }

    /// Number of the last entry that has an ID from its record; 0 before the first.
    pub fn last_own_id(&self) -> u64 {
        self.last_own_id
    }

    /// Offset just after the oldest batch; `u64::MAX` if none is held.
    pub fn oldest_end(&self) -> u64 {
        self.batches.front().map_or(u64::MAX, |batch| batch.end())
    }

    /// Offset just after the last byte.
    pub fn end_offset(&self) -> u64 {
        self.end_offset
    }

    /// Offset of the first byte that is held; the end offset if none is.
    pub fn start_offset(&self) -> u64 {
        self.batches.front().map_or(self.end_offset, |batch| batch.start())
    }

    /// Number of the first entry that is held, or of the next to come.
    pub fn first(&self) -> u64 {
        self.batches.front().map_or(self.last + 1, |batch| batch.first())
    }

    /// Number of the first of the latest `entries` entries, as far as they are held.
    pub fn first_of_latest(&self, entries: u64) -> u64 {
        let mut first = (self.last + 1).saturating_sub(entries);
        for &(lost, last) in self.lost.iter().rev() {
            if last < first {
                break;
            }
            first = first.saturating_sub(last - lost + 1); // they don't count
        }
        self.first().max(first)
    }

    /// Offset of entry `number`, which is held, or the end offset for the next to come.
    pub fn entry_start(&self, number: u64) -> u64 {
        match self.batches.get(self.batches.partition_point(|batch| batch.last() < number)) {
            Some(batch) => batch.entry_start(number.max(batch.first())),
            None => self.end_offset,
        }
    }

    /// Whether there is no event from `entry` on (comments don't count).
    pub fn is_last_event_before(&self, entry: u64) -> bool {
        self.last_event < entry
    }

    /// What to write from `cursor` on, if that is entirely in the latest batch: for a client that keeps up it is, and
    /// no search is needed. `None`: it is elsewhere, or in a segment.
    #[inline]
    pub fn latest_from(&self, cursor: u64) -> Option<&[u8]> {
        let batch = self.batches.back()?;
        let skip = cursor.checked_sub(batch.start())?;
        batch.bytes()?.get(skip as usize..)
    }

    /// What to write from `cursor` on: slices in order, each to the end of its batch, up to the first batch that a
    /// segment has and that is not loaded.
    pub fn from(&self, cursor: u64) -> impl Iterator<Item = &[u8]> {
        self.between(cursor, self.end_offset)
    }

    /// The same, up to `until`.
    pub fn between(&self, cursor: u64, until: u64) -> impl Iterator<Item = &[u8]> {
        debug_assert!(cursor >= self.start_offset(), "what is gone is never skipped");
        let nth = self.batches.partition_point(|batch| batch.end() <= cursor);
        self.batches.range(nth..).take_while(move |batch| batch.start() < until).map_while(move |batch| {
            let (from, to) = (cursor.max(batch.start()), until.min(batch.end()));
            self.bytes_of(batch)?.get((from - batch.start()) as usize..(to - batch.start()) as usize)
        })
    }

    /// When the entry at `cursor` was read, in milliseconds since 1970, and the offset up to which all that follows was
    /// read at the same time, as far as this is checked. `None` at the end, or if it is not loaded.
    pub fn time_at(&self, cursor: u64) -> Option<(u64, u64)> {
        let nth = self.batches.partition_point(|batch| batch.end() <= cursor);
        let batch = self.batches.get(nth)?;
        if batch.is_old() {
            let times = &self.loaded_of(batch)?.index.times;
            let within = cursor - batch.start();
            let mut after = times.iter().skip_while(|&&(end, _)| u64::from(end) <= within);
            let &(end, time) = after.next()?;
            let end = after.take_while(|next| next.1 == time).last().map_or(end, |same| same.0);
            return Some((time, batch.start() + u64::from(end)));
        }
        let time = batch.time();
        let same =
            self.batches.range(nth..).take(SAME_TIME).take_while(|batch| !batch.is_old() && batch.time() == time);
        Some((time, same.last()?.end()))
    }

    /// What is lost at `cursor`. A client that is inside it can't continue.
    pub fn gap_at(&self, cursor: u64) -> Option<Gap> {
        if self.old_end <= cursor {
            return None;
        }
        self.batches.get(self.batches.partition_point(|batch| batch.end() <= cursor))?.gap()
    }

    /// Makes sure that what is at `cursor` can be sent: an old batch is checked when it is first needed, and becomes a
    /// gap if it is damaged. `index`: the times and ends of its entries are needed too.
    pub fn prepare(&mut self, cursor: u64, index: bool) {
        if self.old_end <= cursor {
            return;
        }
        let Some(batch) = self.batches.get(self.batches.partition_point(|batch| batch.end() <= cursor)) else { return };
        let is_needed = batch.is_old() && batch.gap().is_none() && (index || !batch.is_sound());
        if is_needed && self.loaded_of(batch).is_none() {
            let _ = batch.load(&mut self.loaded); // if this fails, it is a gap
        }
    }

    /// What is at `cursor` could not be sent from its segment. Returns whether that was because it can't be read; then
    /// it is a gap.
    pub fn cannot_read(&self, cursor: u64) -> bool {
        let batch = self.batches.get(self.batches.partition_point(|batch| batch.end() <= cursor));
        batch.is_some_and(|batch| batch.load(&mut Loaded::default()).is_err() && batch.gap().is_some())
    }

    /// From now on nothing is sent from segments, and nothing new goes there: the system refuses.
    pub fn refuse_files(&mut self) {
        self.files_refused = true;
        if let Some(memory) = self.batches.back().map(|batch| batch.memory()) {
            memory.refuse_files();
        }
    }

    /// What is pending from `cursor` on in one segment, at most `most` bytes. `None`: what comes next is in our own
    /// memory.
    pub fn segment_from(&self, cursor: u64, most: usize) -> Option<Range<'_>> {
        if self.files_refused || most == 0 {
            return None;
        }
        let nth = self.batches.partition_point(|batch| batch.end() <= cursor);
        let mut batches = self.batches.range(nth..);
        let first = batches.next()?;
        let segment = first.segment().filter(|_| first.bytes().is_none() && first.is_sound())?;
        let mut end = first.end();
        for batch in batches {
            let is_there = || batch.segment().is_some_and(|other| Arc::ptr_eq(segment, other));
            if end - cursor >= most as u64 || !is_there() || batch.bytes().is_some() || !batch.is_sound() {
                break;
            }
            end = batch.end();
        }
        Some(Range { segment, position: segment.position(cursor), len: ((end - cursor) as usize).min(most) })
    }

    /// Loads the batch at `cursor` into our own memory if a segment has it, for clients that can't be sent it from
    /// there: one batch at a time, which they share.
    pub fn load(&mut self, cursor: u64) -> io::Result<()> {
        let nth = self.batches.partition_point(|batch| batch.end() <= cursor);
        let Some(batch) = self.batches.get(nth) else { return Ok(()) };
        if batch.segment().is_none() || self.bytes_of(batch).is_some() {
            return Ok(());
        }
        batch.load(&mut self.loaded)
    }

    fn loaded_of(&self, batch: &Batch) -> Option<&Loaded> {
        let is_loaded = !self.loaded.bytes.is_empty() && batch.start() == self.loaded.start;
        // One of its parts may have been loaded before they were merged.
        let is_whole = self.loaded.bytes.len() as u64 == batch.end() - batch.start();
        let has_index = !batch.is_old() || !self.loaded.index.ends.is_empty();
        (is_loaded && is_whole && has_index).then_some(&self.loaded)
    }

    fn bytes_of<'a>(&'a self, batch: &'a Batch) -> Option<&'a [u8]> {
        batch.bytes().or_else(|| Some(self.loaded_of(batch)?.bytes.as_slice()))
    }

    /// The entry that the byte at `cursor` is part of, from its first byte to its last: where it begins in the
    /// log, and its bytes. `None` at the end, or if it is in a segment that is not loaded.
    pub fn entry_at(&self, cursor: u64) -> Option<(u64, &[u8])> {
        debug_assert!(cursor >= self.start_offset(), "what is gone is never skipped");
        let batch = self.batches.get(self.batches.partition_point(|batch| batch.end() <= cursor))?;
        let bytes = self.bytes_of(batch)?;
        let (start, end) = match batch.is_old() {
            true => batch.entry_within(&self.loaded_of(batch)?.index.ends, cursor),
            false => batch.entry_around(cursor)?,
        };
        Some((start, &bytes[(start - batch.start()) as usize..(end - batch.start()) as usize]))
    }

    /// What an HTTP/1.0 client is sent from `cursor` on, the events without their chunk framing: for each entry the
    /// offset of the first byte and the bytes.
    pub fn payloads_from(&self, mut cursor: u64) -> impl Iterator<Item = (u64, &[u8])> {
        std::iter::from_fn(move || {
            let (start, entry) = self.entry_at(cursor)?;
            let data = chunk::data(entry);
            let from = (start + data.start as u64).max(cursor);
            let bytes = &entry[(from - start) as usize..data.end.max((from - start) as usize)];
            cursor = start + entry.len() as u64;
            Some((from, bytes))
        })
    }

    /// The cursor of an HTTP/1.0 client after `written` bytes of what [`Log::payloads_from`] gave.
    pub fn after_payload(&self, cursor: u64, written: u64) -> u64 {
        let (mut left, mut cursor) = (written, cursor);
        while let Some((start, entry)) = self.entry_at(cursor) {
            let data = chunk::data(entry);
            let from = (start + data.start as u64).max(cursor);
            let rest = (start + data.end as u64).saturating_sub(from);
            if left < rest {
                return from + left;
            }
            left -= rest;
            cursor = start + entry.len() as u64;
        }
        cursor
    }
}

#[cfg(test)]
mod tests;
