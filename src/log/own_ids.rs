//! Event IDs that records bring with them: which entry has which, looked up in constant time (behaviour 3.4).
//!
//! One index serves all views of the log. It knows an ID by its hash and tells a number; whether the entry of that
//! number has that ID, the log itself tells, so that no ID is kept twice. It changes with whole batches: a batch is
//! entered before any client can ask for what is in it, and taken out when nobody holds it any more.
//!
//! An ID should be given once. One that was given more often stands for its earliest entry, for as long as any entry
//! with it is held: a client that has the ID may have that entry only. When the earliest is gone, the ID still stands
//! for it, and so for a place before all that is held.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};

/// The longest ID, in bytes: a client has to bring it back in its request head, beside all else that stands there.
pub const LONGEST: usize = 4096;
/// What an ID costs in the index, whose table is at its emptiest when it has just grown, and in its batch.
pub const ID_COST: usize = size_of::<Place>() + ((size_of::<(u64, Known)>() + 1) * 16).div_ceil(7);

/// A table that has become so many times too large is made smaller.
const TOO_LARGE: usize = 8;
/// A table as small as this stays as it is.
const SMALL: usize = 1024;

/// Whether `id` can come back in `Last-Event-ID`: not blank, not too long, no control characters (RFC 9110 § 5.5).
pub fn can_come_back(id: &str) -> bool {
    let control = |byte: u8| byte.is_ascii_control() && byte != b'\t';
    id.len() <= LONGEST && !trim(id).is_empty() && !id.bytes().any(control)
}

/// The ID as it comes back: a header field loses outer blanks (RFC 9110 § 5.5).
pub fn trim(id: &str) -> &str {
    id.trim_matches([' ', '\t'])
}

/// The index.
#[derive(Debug, Default)]
pub struct OwnIds {
    /// Keys that nobody outside knows, so that nobody can make IDs that meet.
    keys: RandomState,
    entries: Mutex<HashMap<u64, Known>>,
}

/// What is known of an ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The number of the earliest entry that has it. It may be gone, if a later one has the same ID.
    pub entry: u64,
    /// How many entries with it are held; 2^32 of them would take 300 GB.
    held: u32,
    /// Whether it was given more than once.
    pub repeats: bool,
}

/// That an entry has an ID.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u64,
    entry: u64,
}

impl OwnIds {
    /// What is known of this ID, or, once in 2^64 times, of another.
    pub fn find(&self, id: &str) -> Option<Known> {
        self.entries().get(&self.hash(id)).copied()
    }

    fn hash(&self, id: &str) -> u64 {
        self.keys.hash_one(trim(id))
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.entries.lock().expect("nobody panics with it")
    }
}

/// The IDs of a batch that is being filled.
#[derive(Debug)]
pub struct Drafted {
    index: Arc<OwnIds>,
    places: Vec<Place>,
}

impl Drafted {
    /// No IDs yet, of a log with this index.
    pub fn new(index: Arc<OwnIds>) -> Drafted {
        Drafted { index, places: Vec::new() }
    }

    /// Entry `entry`, which comes after all that have been noted, has this ID.
    pub fn note(&mut self, entry: u64, id: &str) {
        self.places.push(Place { hash: self.index.hash(id), entry });
    }

    /// The memory that they will take in the batch and in the index.
    pub fn cost(&self) -> usize {
        self.places.len() * ID_COST
    }

    /// The IDs of the finished batch; goes on with none.
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
        for &Place { hash, entry } in &self.places {
            let known = entries.entry(hash).or_insert(Known { entry, held: 0, repeats: false });
            if known.held > 0 {
                known.repeats = true;
                first_repeat = first_repeat.or(Some(entry));
            }
            known.held += 1;
        }
        first_repeat
    }

    /// The IDs of all of these, which are in the index, held once more, for a batch that takes the place of theirs.
    pub fn again<'a>(all: impl Iterator<Item = &'a Held>) -> Option<Held> {
        let mut all = all.peekable();
        let index = Arc::clone(&all.peek()?.index);
        let places: Box<[Place]> = all.flat_map(|held| held.places.iter().copied()).collect();
        let mut entries = index.entries();
        for place in &places {
            let known = entries.entry(place.hash).or_insert(Known { entry: place.entry, held: 0, repeats: false });
            known.held += 1;
        }
        drop(entries);
        Some(Held { index, places, entered: true })
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
        let mut entries = self.index.entries();
        for place in &self.places {
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
