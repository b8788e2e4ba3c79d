//! Event IDs that records bring with them: which entry has which, looked up in constant time (behaviour 3.4).
//!
//! One index serves all views of the log. It knows an ID by its hash and tells a number; whether the entry of that
//! number has that ID, the log itself tells, so that no ID is kept twice. It changes with whole batches: a batch is
//! entered before any client can ask for what is in it, and taken out when nobody holds it any more. Of entries with
//! the same ID the latest counts.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};

/// The longest ID, in bytes: a client has to bring it back in its request head, beside all else that stands there.
pub const LONGEST: usize = 4096;
/// What an ID costs in the index, whose table is at its emptiest when it has just grown, and in its batch.
pub const ID_COST: usize = size_of::<Place>() + ((size_of::<Place>() + 1) * 16).div_ceil(7);

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
    entries: Mutex<HashMap<u64, u64>>,
}

/// That an entry has an ID.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u64,
    entry: u64,
}

impl OwnIds {
    /// The number of the latest entry that has this ID, or, once in 2^64 times, of one that has another.
    pub fn find(&self, id: &str) -> Option<u64> {
        self.entries().get(&self.hash(id)).copied()
    }

    fn hash(&self, id: &str) -> u64 {
        self.keys.hash_one(trim(id))
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
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
        let held = Held { index: Arc::clone(&self.index), places: self.places.as_slice().into() };
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
}

impl Held {
    /// Enters them into the index.
    pub fn enter(&self) {
        if !self.places.is_empty() {
            self.index.entries().extend(self.places.iter().map(|place| (place.hash, place.entry)));
        }
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
        if self.places.is_empty() {
            return;
        }
        let mut entries = self.index.entries();
        for place in &self.places {
            if entries.get(&place.hash) == Some(&place.entry) {
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
        let held = drafted.finish();
        held.enter();
        assert_eq!(drafted.cost(), 0);
        held
    }

    #[test]
    fn an_id_is_found_at_its_latest_entry_while_that_is_held() {
        let index = Arc::default();
        let first = held(&index, &[(1, "a"), (2, "b"), (4, "c")]);
        let second = held(&index, &[(5, "a"), (6, "a"), (7, "d")]);
        let find = |id: &str| index.find(id);
        assert_eq!(["a", " b\t", "c", "d", "e"].map(find), [Some(6), Some(2), Some(4), Some(7), None]);
        assert_eq!(
            [1, 2, 3, 4, 5, 99].map(|entry| first.before(entry)),
            [None, Some(1), Some(2), Some(2), Some(4), Some(4)]
        );
        drop(first);
        assert_eq!(["a", "b", "c", "d"].map(find), [Some(6), None, None, Some(7)]);
        drop(second);
        assert!(index.entries().is_empty());
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
            let table = index.entries().capacity() * 8 / 7 * (size_of::<Place>() + 1);
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
