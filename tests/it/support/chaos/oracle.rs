//! What must arrive on one connection (behaviour 4 and 5): where it starts, and then each record once and in order.
//!
//! Where a stream begins depends on how far the program had read at that moment. That can't be known exactly from
//! outside, but the bounds are: what any client had received before the request, and what had been written when the
//! answer arrived. So at first there are several records that may come next; what arrives rules out the others.

use super::records::Id;
use super::script::{Script, shown};
use super::settings::{Ids, Settings};
use std::ops::RangeInclusive;
use std::time::Instant;

/// The last event ID that a client has, and its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastId {
    pub id: String,
    pub number: u64,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    New,
    After(LastId),
    /// What comes after an ID that was never given.
    Unknown,
}

/// What was known as the request was sent.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    /// A record that a client had received.
    pub received: u64,
    /// Whether a client had joined.
    pub joined: bool,
}

/// What the program says was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missed {
    Nothing,
    Records(u64),
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Retry,
    Notice,
    Id,
    Records,
}

/// The event stream of one connection.
pub struct Stream<'a> {
    settings: &'a Settings,
    script: &'a Script,
    asked: Asked,
    before: Before,
    as_events: bool,
    place: Place,
    /// What had been written when the stream began.
    written: u64,
    missed: Missed,
    began: Instant,
    heartbeats: u64,
    /// The records that may come next.
    next: Vec<u64>,
    /// The last event ID that the client has.
    pub last: Option<LastId>,
    /// The ID at the beginning, which some clients take over.
    pub tail_id: Option<LastId>,
}

impl<'a> Stream<'a> {
    pub fn new(
        settings: &'a Settings,
        script: &'a Script,
        asked: Asked,
        before: Before,
        as_events: bool,
        last: Option<LastId>,
    ) -> Stream<'a> {
        Stream {
            settings,
            script,
            asked,
            before,
            as_events,
            place: Place::Retry,
            written: 0,
            missed: Missed::Nothing,
            began: Instant::now(),
            heartbeats: 0,
            next: Vec::new(),
            last,
            tail_id: None,
        }
    }

    /// Takes the next block, when this many records have been written so far. Whether it stands for a record.
    pub fn take(&mut self, block: &[u8], written: u64) -> Result<bool, String> {
        if self.place == Place::Retry {
            self.place = Place::Notice;
            self.written = written;
            self.next = self.starts(Missed::Nothing);
            return self.retry(block).map(|()| false);
        }
        if let Some(missed) = self.notice(block) {
            self.next = self.starts(missed);
            if self.place > Place::Notice || self.next.is_empty() {
                return Err(format!("a notice that is not right here: {}; {}", shown(block), self.shown()));
            }
            (self.missed, self.place) = (missed, Place::Id);
            return Ok(false);
        }
        if self.place < Place::Records && block.starts_with(b"id: ") {
            self.place = Place::Records;
            return self.tail_id(block).map(|()| false);
        }
        if block == self.heartbeat() {
            return self.count_heartbeat().map(|()| false);
        }
        if self.place < Place::Records && self.needs_tail_id() {
            return Err(format!("a tail that is cut, and no ID before it, but {}; {}", shown(block), self.shown()));
        }
        self.place = Place::Records;
        self.record(block).map(|()| true)
    }

    fn retry(&self, block: &[u8]) -> Result<(), String> {
        let time = text(block).strip_prefix("retry: ").and_then(|rest| rest.strip_suffix('\n')?.parse().ok());
        let (least, most) = self.settings.retry;
        match time {
            Some(time) if (least..=most).contains(&time) => Ok(()),
            _ => Err(format!("want retry: of {least} to {most} ms, came {}", shown(block))),
        }
    }

    fn record(&mut self, block: &[u8]) -> Result<(), String> {
        let fit: Vec<u64> = self.next.iter().copied().filter(|&number| self.script.is(number, block)).collect();
        let Some(&number) = fit.first() else {
            let difference = self.next.first().map_or(String::new(), |&number| self.script.difference(number, block));
            return Err(format!("want {}\n  came {}\n  {difference}", self.shown(), shown(block)));
        };
        // With an ID there is only one that fits.
        match self.script.id(number) {
            None | Some(Id::None) => {}
            Some(Id::Empty) => self.last = None,
            Some(Id::Own(id)) => self.last = Some(LastId { id: id.clone(), number }),
            Some(Id::Run) => self.last = self.script.run_id(number).map(|id| LastId { id, number }),
        }
        self.next = fit.iter().map(|number| number + 1).collect();
        Ok(())
    }

    /// Whether the connection may have ended with just this of the next block.
    pub fn may_be_cut_with(&self, part: &[u8]) -> Result<(), String> {
        let fits = self.place < Place::Records
            || self.heartbeat().starts_with(part)
            || self.next.iter().any(|&number| self.script.begins(number, part));
        if fits { Ok(()) } else { Err(format!("want {}\n  came, cut off: {}", self.shown(), shown(part))) }
    }

    /// The least and the latest record that may come next.
    pub fn next(&self) -> Option<RangeInclusive<u64>> {
        Some(*self.next.first()?..=*self.next.last()?)
    }

    /// Whether all input had been read when the request was sent: somebody had the last of it already.
    pub fn began_after_the_input(&self) -> bool {
        self.before.received >= self.script.last()
    }

    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// The notice that the stream began with: how many are missed, if that is known.
    pub fn gap(&self) -> Option<Option<u64>> {
        match self.missed {
            Missed::Nothing => None,
            Missed::Records(number) => Some(Some(number)),
            Missed::Unknown => Some(None),
        }
    }

    /// Whether 204 is right, now that all that there is has been written: nothing is left for this client.
    pub fn may_be_over(&self, is_event_source: bool) -> bool {
        let has_ids =
            self.settings.ids != Ids::None && (self.settings.ids != Ids::Own || self.script.last_that_counts(true) > 0);
        if !has_ids {
            return is_event_source; // one that returns looks like a new one
        }
        let latest_start = *self.range(self.script.last(), u64::MAX).end();
        match &self.asked {
            Asked::New | Asked::Unknown => {
                let tail = if self.asked == Asked::New { self.settings.tail.unwrap_or(u64::MAX) } else { u64::MAX };
                let latest_start = latest_start.max((self.script.last() + 1).saturating_sub(tail));
                // One that sends an ID returns, even if nobody knows the ID.
                (is_event_source || self.asked == Asked::Unknown) && self.script.last_that_counts(false) < latest_start
            }
            // By an ID that is no longer held it isn't recognised.
            Asked::After(last) => self.script.last_that_counts(true) < latest_start.max(last.number + 1),
        }
    }

    /// With which records the stream may begin, after this notice.
    fn starts(&self, missed: Missed) -> Vec<u64> {
        let latest = *self.range(self.written, u64::MAX).end();
        match (&self.asked, missed) {
            (Asked::New, Missed::Nothing) => self.range(self.written, self.settings.tail.unwrap_or(u64::MAX)).collect(),
            (Asked::Unknown, Missed::Unknown) => self.range(self.written, u64::MAX).collect(),
            (Asked::After(last), Missed::Nothing) => vec![last.number + 1],
            (Asked::After(last), Missed::Records(number)) => {
                let start = last.number + 1 + number;
                if number > 0 && start <= latest { vec![start] } else { vec![] }
            }
            // An ID of its own is forgotten with its record.
            (Asked::After(last), Missed::Unknown) if self.script.is_own(&last.id) && last.number < latest => {
                self.range(self.written, u64::MAX).collect()
            }
            _ => vec![],
        }
    }

    /// Where a stream begins with the history, or the latest `tail` of it, if `written` records may have been read.
    fn range(&self, written: u64, tail: u64) -> RangeInclusive<u64> {
        let least = (self.before.received + 1).saturating_sub(tail.min(self.settings.most_history(self.before.joined)));
        let history = tail.min(self.settings.least_history());
        let latest = (written + 1).saturating_sub(history).max(self.script.surely_held_from(written));
        least.max(1)..=latest.max(1)
    }

    fn notice(&self, block: &[u8]) -> Option<Missed> {
        let block = text(block);
        let number = |text: &str| text.parse().ok().map(Missed::Records);
        if self.as_events {
            match block.strip_prefix("event: gap\ndata: {\"missed\": ")?.strip_suffix("}\n\n")? {
                "null" => Some(Missed::Unknown),
                missed => number(missed),
            }
        } else if block.starts_with(": events missed, ") {
            Some(Missed::Unknown)
        } else {
            number(block.strip_prefix(": ")?.strip_suffix(" events missed\n")?)
        }
    }

    /// The ID of the record before the tail; the latest that there is, if records bring their own.
    fn tail_id(&mut self, block: &[u8]) -> Result<(), String> {
        let id = text(block).strip_prefix("id: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap_or_default();
        let number = self.script.number(id);
        let cut = self.asked == Asked::New
            && self.settings.tail.is_some_and(|tail| tail < self.settings.most_history(self.before.joined));
        let is_before = |&start: &u64| {
            let is_own = || self.settings.ids != Ids::Run && self.script.own_id_before(start) == number;
            let is_run = || self.settings.ids != Ids::Own && number == Some(start - 1) && !self.script.is_own(id);
            is_run() || is_own()
        };
        let fit: Vec<u64> = self.next.iter().copied().filter(is_before).collect();
        match number {
            Some(number) if cut && self.settings.ids != Ids::None && !fit.is_empty() => {
                self.next = fit;
                self.tail_id = Some(LastId { id: id.to_owned(), number });
                Ok(())
            }
            _ => Err(format!("not the ID before the tail: {}; {}", shown(block), self.shown())),
        }
    }

    /// Whether the history surely has more than the tail.
    fn needs_tail_id(&self) -> bool {
        let start = self.next.first().copied().unwrap_or(0);
        let has_ids = matches!(self.settings.ids, Ids::Run | Ids::OwnElseRun);
        let held_from = *self.range(self.written, u64::MAX).end();
        self.asked == Asked::New && has_ids && self.settings.tail.is_some() && start > held_from
    }

    fn heartbeat(&self) -> &'static [u8] {
        if self.as_events { b"event: heartbeat\ndata: \n\n" } else { b":\n" }
    }

    fn count_heartbeat(&mut self) -> Result<(), String> {
        self.heartbeats += 1;
        let every = self.settings.heartbeat.as_secs_f64();
        let most = if every == 0.0 { 0 } else { (self.began.elapsed().as_secs_f64() / every) as u64 + 2 };
        if self.heartbeats > most {
            return Err(format!("{} heartbeats in {:?}", self.heartbeats, self.began.elapsed()));
        }
        Ok(())
    }

    pub fn shown(&self) -> String {
        let next: Vec<String> = self.next.iter().take(3).map(|&number| self.script.show(number)).collect();
        let more = self.next.len() - next.len();
        format!(
            "record {} (or one of {more} others), {:?} at {:?}, {} written then",
            next.join(" or "),
            self.asked,
            self.place,
            self.written
        )
    }
}

fn text(block: &[u8]) -> &str {
    std::str::from_utf8(block).unwrap_or_default()
}
