//! Event IDs from records: which entry has which, looked up in constant time (behaviour 3.4).
//!
//! One index serves all views of the log. It maps the hash of an ID to a number; the log itself shows whether the entry
//! of that number has that ID, so no ID is kept twice. It changes by whole batches: a batch is added before any client
//! can ask for an ID in it, and removed when no view holds it any more.
//!
//! An ID should be given once. A repeated one means its earliest entry, as long as any entry with it is held: a client
//! that has the ID may have only that entry. When the earliest is gone, the ID still means it, and so a place before
//! everything that is held.
//!
//! With a store the log may be far larger than memory. There the IDs of old batches leave the index: many of them at a
//! time become a sorted table in a file ([`super::store::ids`]). For an ID in a table it is unknown whether an earlier
//! entry, now gone, had it too.

use super::segment::Segment;
use super::store::ids::{IdTable, Place};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::take;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

/// The longest ID, in bytes: a client must send it back in its request head, together with everything else in there.
pub const LONGEST: usize = 4096;
/// What an ID costs in the index, whose table is emptiest just after it has grown, and in its batch.
pub const ID_COST: usize = size_of::<Place>() + ((size_of::<(u64, Known)>() + 1) * 16).div_ceil(7);

/// A table that is this many times too large is made smaller.
const TOO_LARGE: usize = 8;
/// A table of this size or less stays as it is.
const SMALL: usize = 1024;
/// This many IDs of old batches become a table in a file: sorting them takes a millisecond or two, and a
/// lookup some microseconds for each table.
const WORTH_A_TABLE: usize = 1 << 15;

/// Whether a client can send `id` back in `Last-Event-ID`: not blank, not too long, no control characters (RFC 9110 §
/// 5.5).
pub fn can_come_back(id: &str) -> bool {
    let control = |byte: u8| byte.is_ascii_control() && byte != b'\t';
    id.len() <= LONGEST && !trim(id).is_empty() && !id.bytes().any(control)
}

/// The ID as a client sends it back: a header field loses outer blanks (RFC 9110 § 5.5).
pub fn trim(id: &str) -> &str {
    id.trim_matches([' ', '\t'])
}

/// The hash of an ID, in files too.
pub fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    trim(id).hash(&mut hasher);
    hasher.finish()
}

/// The index.
#[derive(Debug, Default)]
pub struct OwnIds {
    entries: Mutex<HashMap<u64, Known>>,
    /// IDs of old batches that will go to a file. They are in `entries` too.
    aged: Mutex<Aged>,
    /// Tables in files.
    tables: RwLock<Vec<Arc<IdTable>>>,
}

/// The IDs of old batches that follow each other in one segment.
#[derive(Debug, Default)]
struct Aged {
    segment: Option<Arc<Segment>>,
    places: Vec<Place>,
    /// The first and the last entry of these batches.
    numbers: Option<(u64, u64)>,
}

/// What is known about an ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The number of the earliest entry that has it. It may be gone, if a later one has the same ID.
    pub entry: u64,
    /// How many entries with it are held; 2^32 of them would take 300 GB.
    held: u32,
    /// Whether it was given more than once.
    pub repeats: bool,
}

impl OwnIds {
    /// What is known in memory about this ID, or, once in 2^64 times, about another.
    pub fn find(&self, id: &str) -> Option<Known> {
        self.entries().get(&hash(id)).copied()
    }

    /// The earliest entry in a file that has this ID, or another of the same hash, and for which `is_meant` holds.
    pub fn find_old(&self, id: &str, is_meant: impl Fn(u64) -> bool) -> Option<u64> {
        let tables = self.tables.read().expect("nobody panics with it").clone();
        let hash = hash(id);
        let mut entries: Vec<u64> = tables.iter().flat_map(|table| table.find(hash)).collect();
        entries.sort_unstable(); // a table that was made again comes after later ones
        entries.into_iter().find(|&entry| is_meant(entry))
    }

    /// The tables of an earlier program in segments of a store.
    pub fn with_tables(tables: Vec<IdTable>) -> OwnIds {
        OwnIds { tables: RwLock::new(tables.into_iter().map(Arc::new).collect()), ..OwnIds::default() }
    }

    /// Whether tables have the IDs of all these entries.
    pub fn have_tables_of(&self, numbers: RangeInclusive<u64>) -> bool {
        let tables = self.tables.read().expect("nobody panics with it");
        let (mut next, last) = numbers.into_inner();
        while let Some(table) = tables.iter().find(|table| table.numbers().contains(&next)).filter(|_| next <= last) {
            next = table.numbers().end().saturating_add(1);
        }
        next > last
    }

    /// Takes over the IDs of old batches, which are in the index: entries `first` to `last`, which `segment` has. Once
    /// there are enough of them they go to its files. If that fails, they are unknown from then on.
    pub fn age<'a>(&self, segment: &Arc<Segment>, (first, last): (u64, u64), ids: impl Iterator<Item = &'a Held>) {
        let mut aged = self.aged.lock().expect("nobody panics with it");
        if aged.segment.as_ref().is_some_and(|other| !Arc::ptr_eq(other, segment)) {
            self.write(take(&mut *aged));
        }
        aged.segment = Some(Arc::clone(segment));
        aged.numbers = Some((aged.numbers.map_or(first, |(first, _)| first), last));
        let mut entries = self.entries();
        for place in ids.flat_map(|held| held.places.iter()) {
            hold(&mut entries, place);
            aged.places.push(*place);
        }
        drop(entries);
        if aged.places.len() >= WORTH_A_TABLE {
            self.write(take(&mut *aged));
        }
    }

    /// No more batches become old: the IDs of those that have go to files now.
    pub fn close(&self) {
        self.write(take(&mut *self.aged.lock().expect("nobody panics with it")));
    }

    fn write(&self, aged: Aged) {
        let Aged { segment: Some(segment), mut places, numbers: Some((first, last)) } = aged else { return };
        let table = (!places.is_empty()).then(|| segment.add_ids(first..=last, &mut places));
        let mut tables = self.tables.write().expect("nobody panics with it");
        tables.retain(|table| !table.is_removed());
        tables.extend(table.and_then(Result::ok).map(Arc::new));
        drop(tables);
        self.let_go_of(&places);
    }

    fn let_go_of(&self, places: &[Place]) {
        let mut entries = self.entries();
        for place in places {
            let Some(known) = entries.get_mut(&place.hash) else { continue };
            known.held -= 1;
            if known.held == 0 {
                entries.remove(&place.hash);
            }
        }
        if entries.capacity() > SMALL && entries.capacity() / TOO_LARGE > entries.len() {
            let least = entries.len() * 2;
            entries.shrink_to(least);
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.entries.lock().expect("nobody panics with it")
    }
}

/// Notes that one more entry with this ID is held. Returns what is known about it.
fn hold<'a>(entries: &'a mut HashMap<u64, Known>, place: &Place) -> &'a mut Known {
    let known = entries.entry(place.hash).or_insert(Known { entry: place.entry, held: 0, repeats: false });
    known.held += 1;
    known.repeats |= known.entry != place.entry;
    known
}

/// The IDs of a batch that is being filled.
#[derive(Debug)]
pub struct Drafted {
    index: Arc<OwnIds>,
    places: Vec<Place>,
}

impl Drafted {
    /// No IDs yet, for a log with this index.
    pub fn new(index: Arc<OwnIds>) -> Drafted {
        Drafted { index, places: Vec::new() }
    }

    /// Entry `entry`, which comes after all that have been noted, has this ID.
    pub fn note(&mut self, entry: u64, id: &str) {
        self.places.push(Place { hash: hash(id), entry });
    }

    /// The memory that they will take, in the batch and in the index.
    pub fn cost(&self) -> usize {
        self.places.len() * ID_COST
    }

    /// Returns the IDs of the finished batch, and continues with none.
    pub fn finish(&mut self) -> Held {
        let places = self.places.as_slice().into();
        let held = Held { index: Arc::clone(&self.index), places, entered: false };
        self.places.clear();
        held
    }
}

/// The IDs of a batch. They leave the index with it.
#[derive(Debug)]
pub struct Held {
    index: Arc<OwnIds>,
    /// In the order of the entries.
    places: Box<[Place]>,
    /// Whether they are in the index.
    entered: bool,
}

impl Held {
    /// Enters them into the index. Returns the number of the first entry whose ID is there already.
    pub fn enter(&mut self) -> Option<u64> {
        if self.places.is_empty() || std::mem::replace(&mut self.entered, true) {
            return None;
        }
        let mut entries = self.index.entries();
        let mut first_repeat = None;
        for place in &self.places {
            if hold(&mut entries, place).held > 1 {
                first_repeat = first_repeat.or(Some(place.entry));
            }
        }
        first_repeat
    }

    /// The index that they are in.
    pub fn index(&self) -> &Arc<OwnIds> {
        &self.index
    }

    /// The number of the latest entry before `entry` that has an ID.
    pub fn before(&self, entry: u64) -> Option<u64> {
        let nth = self.places.partition_point(|place| place.entry < entry);
        self.places[..nth].last().map(|place| place.entry)
    }

    /// The memory that they take in the batch and in the index.
    pub fn cost(&self) -> usize {
        self.places.len() * ID_COST
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.entered {
            return;
        }
        self.index.let_go_of(&self.places);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(index: &Arc<OwnIds>, ids: &[(u64, &str)]) -> Held {
        let mut drafted = Drafted::new(Arc::clone(index));
        for (entry, id) in ids {
            drafted.note(*entry, id);
        }
        let mut held = drafted.finish();
        held.enter();
        assert_eq!(drafted.cost(), 0);
        held
    }

    #[test]
    fn an_id_stands_for_its_earliest_entry_while_any_with_it_is_held() {
        let index = Arc::default();
        let first = held(&index, &[(1, "a"), (2, "b"), (4, "c")]);
        let mut second = Drafted::new(Arc::clone(&index));
        for (entry, id) in [(5, "e"), (6, "a"), (7, "a"), (8, "d")] {
            second.note(entry, id);
        }
        let mut second = second.finish();
        assert_eq!(index.find("d"), None, "it is not entered");
        assert_eq!((second.enter(), second.enter()), (Some(6), None), "the first repeat, once");
        let find = |id: &str| index.find(id).map(|known| (known.entry, known.repeats));
        let once = |entry| Some((entry, false));
        assert_eq!(["a", " b\t", "c", "d", "x"].map(find), [Some((1, true)), once(2), once(4), once(8), None]);
        assert_eq!(
            [1, 2, 3, 4, 5, 99].map(|entry| first.before(entry)),
            [None, Some(1), Some(2), Some(2), Some(4), Some(4)]
        );
        drop(first);
        assert_eq!(["a", "b", "c", "d"].map(find), [Some((1, true)), None, None, once(8)], "a is known to be gone");
        drop(second);
        assert!(index.entries().is_empty());
        let mut never_entered = Drafted::new(Arc::clone(&index));
        let third = held(&index, &[(9, "a")]);
        never_entered.note(10, "a");
        drop(never_entered.finish());
        assert_eq!(find("a"), once(9), "what was not entered takes nothing out");
        drop(third);
    }

    #[test]
    fn what_it_costs_is_what_it_is_counted_for() {
        let index = Arc::default();
        let mut batches: Vec<Held> = Vec::new();
        for n in 0..2000 {
            let ids: Vec<_> = (0..50).map(|nth| (n * 50 + nth, format!("id {}", n * 50 + nth))).collect();
            let ids: Vec<_> = ids.iter().map(|(entry, id)| (*entry, id.as_str())).collect();
            batches.push(held(&index, &ids));
            let counted: usize = batches.iter().map(Held::cost).sum();
            // hashbrown keeps at most 7 of 8 buckets full; capacity() tells those that may be.
            let table = index.entries().capacity() * 8 / 7 * (size_of::<(u64, Known)>() + 1);
            let own = batches.len() * 50 * size_of::<Place>();
            assert!(table + own <= counted + 4096, "{n}: {table} and {own} bytes are counted as {counted}");
        }
        batches.drain(..1990);
        assert_eq!(index.entries().len(), 500);
        assert!(index.entries().capacity() <= SMALL * TOO_LARGE, "{}", index.entries().capacity());
    }

    #[test]
    fn an_id_that_no_header_could_bring_back_is_none() {
        for (id, good) in [
            ("0-1526985054069", true),
            ("topic/3:17", true),
            ("é, \"x\" \\", true),
            (" a\tb ", true),
            ("", false),
            (" \t", false),
            ("a\0", false),
            ("a\nb", false),
            ("a\rb", false),
            ("a\x7f", false),
            ("\x1b[0m", false),
        ] {
            assert_eq!(can_come_back(id), good, "{id:?}");
        }
        assert!(can_come_back(&"x".repeat(LONGEST)) && !can_come_back(&"x".repeat(LONGEST + 1)));
    }
}
