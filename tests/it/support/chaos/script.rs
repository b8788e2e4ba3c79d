//! The input of a round, and what each of its records must become (behaviour 1 to 4), generated together.

use super::records::{Id, Record, Size, lines};
use super::settings::{Ending, Format, Ids, Settings};
use crate::support::random::Random;
use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};
use std::sync::OnceLock;
use std::time::Duration;

/// More records would make a round too long.
const MOST_RECORDS: u64 = 20_000;

pub struct Script {
    /// All that is written to standard input.
    pub input: Vec<u8>,
    /// Where each record ends in it.
    ends: Vec<usize>,
    pub steps: Vec<Step>,
    /// What each record becomes in the stream, including the end event.
    entries: Vec<Entry>,
    /// The records with these IDs of their own.
    own_ids: HashMap<String, u64>,
    /// What the first records may cost in the log, at most.
    costs: Vec<u64>,
    buffer: u64,
    /// The ID of an event of an event stream that was too long: the next event has it, if it has none itself.
    id_before: Option<Id>,
    /// The token of the run, once it is known.
    run: OnceLock<String>,
    /// Whether the input ends with a part of an event, which is dropped.
    pub ends_inside_event: bool,
    pub skipped: u64,
}

/// What the producer does next.
#[derive(Clone, Debug)]
pub enum Step {
    /// Writes these records, this many bytes at a time.
    Write(Range<u64>, usize),
    Pause(Duration),
    /// Waits until all clients that read as fast as they can have everything.
    Settle,
}

enum Entry {
    Event {
        fields: Vec<u8>,
        id: Id,
    },
    /// A comment in place of a record that is too long, with a size of this range between the texts.
    Skipped {
        before: String,
        size: RangeInclusive<u64>,
        after: String,
    },
}

impl Script {
    pub fn write(settings: &Settings, random: &mut Random) -> Script {
        let mut script = Script {
            input: Vec::new(),
            ends: vec![0],
            steps: Vec::new(),
            entries: Vec::new(),
            own_ids: HashMap::new(),
            costs: vec![0],
            buffer: settings.buffer,
            id_before: None,
            run: OnceLock::new(),
            ends_inside_event: false,
            skipped: 0,
        };
        let bytes = if random.one_in(20) { 30_000_000 } else { random.pick(&[20_000, 300_000, 3_000_000, 6_000_000]) };
        let sizes: Vec<Size> = (0..4).map(|_| Size::choose(random, settings)).collect();
        if settings.format == Format::EventStream && random.one_in(3) {
            script.input.extend("\u{feff}".bytes()); // a byte order mark, which is not part of it
        }
        while script.input.len() < bytes && script.last() < MOST_RECORDS {
            let text = random.pick(&sizes).text(script.last() + 1, random);
            let record = Record::new(settings, script.last() + 1, text, false, random);
            script.add(settings, record);
        }
        if random.one_in(3) && settings.ending != Ending::Signal {
            let number = script.last() + 1;
            let record = Record::new(settings, number, b"the producer died he".to_vec(), true, random);
            script.ends_inside_event = settings.format == Format::EventStream;
            match script.ends_inside_event {
                true => script.input.extend(record.wire),
                false => script.add(settings, record),
            }
        }
        script.plan(random);
        if let Some(name) = settings.end_event {
            let events = script.entries.iter().filter(|entry| matches!(entry, Entry::Event { .. })).count();
            let id = if matches!(settings.ids, Ids::Run | Ids::OwnElseRun) { Id::Run } else { Id::None };
            let fields = format!("event: {name}\ndata: {events}\n").into_bytes();
            script.push(Entry::Event { fields, id });
        }
        script
    }

    /// Adds a record, unless it's just about as large as the buffer: how much a place in the log costs is not promised.
    fn add(&mut self, settings: &Settings, record: Record) {
        let Record { wire, name, data, id } = record;
        let number = self.last() + 1;
        let name = name.as_deref().or(settings.event).map(|name| format!("event: {name}\n"));
        let mut fields = name.unwrap_or_default().into_bytes();
        for line in lines(&data) {
            fields.extend([b"data: ", String::from_utf8_lossy(line).as_bytes(), b"\n"].concat());
        }
        let size = fields.len() as u64;
        let is_too_long = data.len() as u64 > settings.longest_record();
        if !is_too_long && (settings.buffer - 1000..=settings.buffer).contains(&size) {
            return;
        }
        self.input.extend(wire);
        self.ends.push(self.input.len());
        let mut id = id.or(self.id_before.take());
        if is_too_long && settings.format == Format::EventStream {
            self.id_before = id.take();
        }
        let id = match (settings.ids, id) {
            (Ids::None, _) | (Ids::Own, None) => Id::None,
            (Ids::Run, _) | (Ids::OwnElseRun, None) => Id::Run,
            (_, Some(id)) => id,
        };
        let before = |what: &str| format!(": record {number} skipped: {what}");
        if is_too_long {
            let size = data.len() as u64;
            let after = format!(" bytes are more than --max-record {}\n", settings.longest_record());
            return self.push(Entry::Skipped { before: before(""), size: size..=size, after });
        }
        if size > settings.buffer {
            let after = " bytes it exceeds --buffer\n".to_owned();
            return self.push(Entry::Skipped { before: before("as an event of "), size: size..=size + 100, after });
        }
        if let Id::Own(id) = &id {
            self.own_ids.insert(id.clone(), number);
        }
        self.push(Entry::Event { fields, id });
    }

    fn push(&mut self, entry: Entry) {
        let size = match &entry {
            Entry::Event { fields, .. } => fields.len() as u64,
            Entry::Skipped { .. } => 100,
        };
        self.skipped += u64::from(matches!(entry, Entry::Skipped { .. }));
        // A block of memory is filled to three eighths at least; then there are its ID, its chunk, its place in the index.
        self.costs.push(self.costs[self.entries.len()] + size * 8 / 3 + 600);
        self.entries.push(entry);
    }

    /// Bursts, pauses, and moments in which everybody catches up.
    fn plan(&mut self, random: &mut Random) {
        let all = self.ends.len() as u64 - 1;
        let (mut next, mut left) = (1, Duration::from_millis(1500));
        while next <= all {
            let most = random.pick(&[1, 1, 3, 30, 500, 5000]);
            let end = (next + random.within(1..=most)).min(all + 1);
            let least = self.bytes(&(next..end)).len() / 1000; // or it would take too long
            let piece = random.pick(&[1, 7, 100, 997, 4096, 1 << 20]).max(least);
            self.steps.push(Step::Write(next..end, piece));
            next = end;
            let pause = Duration::from_millis(random.pick(&[0, 0, 1, 5, 30, 150])).min(left);
            left -= pause;
            // Not after the last one, which may be unfinished.
            self.steps.push(if next <= all && random.one_in(4) { Step::Settle } else { Step::Pause(pause) });
            if self.steps.len() > 300 {
                self.steps.push(Step::Write(next..all + 1, 1 << 20));
                next = all + 1;
            }
        }
    }

    /// The number of the last entry.
    pub fn last(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The bytes of these records.
    pub fn bytes(&self, records: &Range<u64>) -> &[u8] {
        // What comes after the last record, the rest of an event, goes with it.
        let end = if records.end as usize == self.ends.len() {
            self.input.len()
        } else {
            self.ends[records.end as usize - 1]
        };
        &self.input[self.ends[records.start as usize - 1]..end]
    }

    /// Whether `block` is what record `number` becomes.
    pub fn is(&self, number: u64, block: &[u8]) -> bool {
        match self.entry(number) {
            None => false,
            Some(Entry::Event { fields, id }) => {
                block.strip_prefix(fields.as_slice()).is_some_and(|rest| self.is_id(number, id, rest))
            }
            Some(Entry::Skipped { before, size, after }) => {
                let stated = block.strip_prefix(before.as_bytes()).and_then(|rest| rest.strip_suffix(after.as_bytes()));
                let stated = stated.and_then(|stated| std::str::from_utf8(stated).ok()?.parse().ok());
                stated.is_some_and(|stated: u64| size.contains(&stated))
            }
        }
    }

    /// Whether `rest` is what comes after the data: the ID and the blank line.
    fn is_id(&self, number: u64, id: &Id, rest: &[u8]) -> bool {
        match id {
            Id::None => rest == b"\n",
            Id::Empty => rest == b"id: \n\n",
            Id::Own(id) => rest == format!("id: {id}\n\n").as_bytes(),
            Id::Run => {
                let run =
                    rest.strip_prefix(b"id: ").and_then(|rest| rest.strip_suffix(format!("-{number}\n\n").as_bytes()));
                run.and_then(|run| std::str::from_utf8(run).ok()).is_some_and(|run| self.is_run(run))
            }
        }
    }

    /// Whether this is the token of the run. The first to be seen is the one.
    fn is_run(&self, run: &str) -> bool {
        let plain = !run.is_empty() && run.bytes().all(|byte| byte.is_ascii_alphanumeric());
        plain && self.run.get_or_init(|| run.to_owned()) == run
    }

    /// Whether a connection that was cut may have had just that of record `number`.
    pub fn begins(&self, number: u64, part: &[u8]) -> bool {
        let text = self.text(number);
        let common = text.len().min(part.len());
        text[..common] == part[..common]
    }

    /// Where `block` differs from what record `number` becomes, for a person to read.
    pub fn difference(&self, number: u64, block: &[u8]) -> String {
        let text = self.text(number);
        let at = text.iter().zip(block).take_while(|(want, came)| want == came).count();
        let around = |bytes: &[u8]| shown(&bytes[at.saturating_sub(40)..bytes.len().min(at + 40)]);
        format!("from byte {at} on they differ: want {}, came {}", around(text), around(block))
    }

    /// What record `number` becomes, without its ID or size.
    fn text(&self, number: u64) -> &[u8] {
        match self.entry(number) {
            None => b"",
            Some(Entry::Event { fields, .. }) => fields,
            Some(Entry::Skipped { before, .. }) => before.as_bytes(),
        }
    }

    /// What record `number` becomes, for a person to read.
    pub fn show(&self, number: u64) -> String {
        match self.entry(number) {
            None => format!("{number}: nothing, there are {}", self.last()),
            Some(Entry::Event { fields, id }) => format!("{number}: {} with ID {id:?}", shown(fields)),
            Some(Entry::Skipped { before, size, after }) => format!("{number}: {before}{size:?}{after}"),
        }
    }

    /// The ID of record `number`: what it does to a client's last event ID, if anything.
    pub fn id(&self, number: u64) -> Option<&Id> {
        match self.entry(number)? {
            Entry::Event { id: Id::None, .. } | Entry::Skipped { .. } => None,
            Entry::Event { id, .. } => Some(id),
        }
    }

    /// The text of `RUN-N`, once the run is known.
    pub fn run_id(&self, number: u64) -> Option<String> {
        Some(format!("{}-{number}", self.run.get()?))
    }

    /// The record that has this ID.
    pub fn number(&self, id: &str) -> Option<u64> {
        let run =
            || id.rsplit_once('-').filter(|(run, _)| self.is_run(run)).and_then(|(_, number)| number.parse().ok());
        self.own_ids.get(id).copied().or_else(run)
    }

    /// Whether a record has this ID of its own.
    pub fn is_own(&self, id: &str) -> bool {
        self.own_ids.contains_key(id)
    }

    /// The latest record before `number` with an ID of its own.
    pub fn own_id_before(&self, number: u64) -> Option<u64> {
        (1..number).rev().find(|&earlier| matches!(self.id(earlier), Some(Id::Own(_))))
    }

    /// The last record by which a client can be recognised (events with an ID), or that is an event at all.
    pub fn last_that_counts(&self, has_ids: bool) -> u64 {
        let counts = |&number: &u64| match self.entry(number) {
            Some(Entry::Event { id, .. }) => !has_ids || matches!(id, Id::Run | Id::Own(_)),
            _ => false,
        };
        (1..=self.last()).rev().find(counts).unwrap_or(0)
    }

    /// How many of the first `number` records are events.
    pub fn events(&self, number: u64) -> u64 {
        let entries = &self.entries[..(number as usize).min(self.ends.len() - 1)];
        entries.iter().filter(|entry| matches!(entry, Entry::Event { .. })).count() as u64
    }

    /// The size of the longest record.
    pub fn longest(&self) -> u64 {
        self.ends.windows(2).map(|ends| ends[1] - ends[0]).max().unwrap_or(0) as u64
    }

    /// From which record on the buffer surely holds everything up to `last`. A part of it is left to what is in hand.
    pub fn surely_held_from(&self, last: u64) -> u64 {
        let least = self.costs[last as usize].saturating_sub(self.buffer / 8 * 5);
        self.costs.partition_point(|&cost| cost < least) as u64 + 1
    }

    fn entry(&self, number: u64) -> Option<&Entry> {
        self.entries.get((number as usize).checked_sub(1)?)
    }
}

/// Bytes for a person to read: their beginning and their end, if there are many.
pub fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 150;
    let escaped = |bytes: &[u8]| bytes.escape_ascii().to_string();
    match bytes.len() {
        0..=MOST => format!("\"{}\"", escaped(bytes)),
        len => format!("\"{}\" … \"{}\" ({len} bytes)", escaped(&bytes[..100]), escaped(&bytes[len - 50..])),
    }
}
