//! Where a client starts, and the IDs with which it resumes.

use super::{Ids, Log};
use crate::log::own_ids::{self, Known, OwnIds};
use crate::wire::{chunk, event};

/// Where a client starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartingPoint {
    /// Its cursor, always at the start of an entry or at the end offset.
    pub cursor: u64,
    /// Number of the entry there (or of the next to come, at the end).
    pub entry: u64,
    /// What it missed.
    pub missed: Missed,
}

/// What a client that reconnected missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// Nothing.
    Nothing,
    /// This many records, which are not held any more.
    Records(u64),
    /// Its last event ID is not of this run, so this is unknown.
    Unknown,
    /// Its last event ID was given more than once, and an event with it is not held any more, so this is unknown.
    Ambiguous,
}

impl Log {
    /// Where a client without a last event ID starts: with the latest `entries` entries.
    pub fn start_new(&self, entries: u64) -> StartingPoint {
        self.start_at(self.first_of_latest(entries), Missed::Nothing)
    }

    /// Where a client with this `last_event_id` starts: strictly after the earliest event with that ID, or with all
    /// that is held if that is too old, or with the latest `history` entries if it is not of this run.
    pub fn resume(&self, last_event_id: &str, history: u64) -> StartingPoint {
        let first = self.first();
        match self.known(last_event_id) {
            None => self.start_at(self.first_of_latest(history), Missed::Unknown),
            Some((number, _)) if number + 1 >= first => self.start_at(number + 1, Missed::Nothing),
            Some((_, true)) => self.start_at(first, Missed::Ambiguous),
            Some((number, false)) => self.start_at(first, Missed::Records(first - number - 1)),
        }
    }

    fn start_at(&self, entry: u64, missed: Missed) -> StartingPoint {
        StartingPoint { cursor: self.entry_start(entry), entry, missed }
    }

    /// The number of the earliest entry with this ID, as far as it is known, and whether the ID was given more than
    /// once.
    fn known(&self, id: &str) -> Option<(u64, bool)> {
        let own = match &self.ids {
            Ids::Run => None,
            Ids::OwnElseRun(index) | Ids::Own(index) => self.known_own(index, id),
        };
        own.or_else(|| Some((self.run.number(id)?, false))).filter(|&(number, _)| number <= self.last)
    }

    fn known_own(&self, index: &OwnIds, id: &str) -> Option<(u64, bool)> {
        // An entry that is not held here any more can't be compared; then the hash must suffice.
        let is_gone = |known: &Known| known.entry < self.first();
        let known = index.find(id).filter(|known| is_gone(known) || self.has_own_id(known.entry, id));
        if known.is_none_or(|known| !is_gone(&known))
            && let Some(number) = index.find_old(id, |number| self.has_own_id(number, id))
        {
            return Some((known.map_or(number, |known| known.entry.min(number)), false));
        }
        known.map(|known| (known.entry, known.repeats))
    }

    /// Whether entry `number` is held and has this ID.
    fn has_own_id(&self, number: u64, id: &str) -> bool {
        number >= self.first() && self.own_id(number).is_some_and(|own| own_ids::trim(&own) == own_ids::trim(id))
    }

    /// The ID of entry `number`, if it is held.
    fn own_id(&self, number: u64) -> Option<String> {
        let batch = self.batches.get(self.batches.partition_point(|batch| batch.last() < number))?;
        let (start, end) = batch.entry_around(batch.entry_start(number.max(batch.first())))?;
        // A segment that can't be read counts as evicted.
        let entry = batch.read(start, end).ok()?;
        event::id(&entry[chunk::data(&entry)]).map(str::to_owned)
    }

    /// The ID with which a client that has everything before `entry` resumes; it may then get a little more than
    /// necessary. `None` if none is known.
    pub fn id_before(&self, entry: u64) -> Option<String> {
        let run_id = || Some(format!("{}-{}", self.run, entry - 1));
        match self.ids {
            Ids::Run => run_id(),
            Ids::OwnElseRun(_) => self.own_id_before(entry).or_else(run_id),
            Ids::Own(_) => self.own_id_before(entry),
        }
    }

    /// The ID of the latest entry before `entry` that has one from its record, as far as it is held.
    fn own_id_before(&self, entry: u64) -> Option<String> {
        let nth = self.batches.partition_point(|batch| batch.last() < entry - 1);
        let own = self.batches.get(nth).and_then(|batch| batch.own_id_before(entry, self.run));
        let earlier = || Some(self.batches.get(nth.checked_sub(1)?)?.last_own_id());
        self.own_id(own.or_else(earlier).filter(|&number| number >= self.first())?)
    }

    /// Whether any entry so far has an ID.
    pub fn has_ids(&self) -> bool {
        match self.ids {
            Ids::Run | Ids::OwnElseRun(_) => true,
            Ids::Own(_) => self.last_own_id > 0,
        }
    }

    /// Whether no event from `entry` on has an ID.
    pub fn is_last_id_before(&self, entry: u64) -> bool {
        self.last_id_before(entry).is_some()
    }

    /// The number of the last event that has an ID, if it is before `entry`; 0 if none has one.
    pub fn last_id_before(&self, entry: u64) -> Option<u64> {
        let last = match self.ids {
            Ids::Run | Ids::OwnElseRun(_) => self.last_event,
            Ids::Own(_) => self.last_own_id,
        };
        (last < entry).then_some(last)
    }

    /// Whether this is the ID of the last event that has an ID; others may have it too.
    pub fn is_last_id(&self, id: &str) -> bool {
        self.is_last_id_before(self.last_own_id + 1) && self.has_own_id(self.last_own_id, id)
    }
}
