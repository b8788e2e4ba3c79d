//! What kind of client this is: how it asks, how it reads, how long it stays.

use super::framing::Version;
use crate::support::random::Random;
use std::time::Duration;

/// How a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Fast,
    /// At most this many bytes each time.
    Slowly(usize, Duration),
    /// For so long, then not for so long.
    Bursts(Duration, Duration),
    /// Not at all from this time on, for so long.
    Freezes(Duration, Duration),
}

#[derive(Clone, Debug)]
pub struct Habits {
    pub version: Version,
    /// It asks for `text/event-stream`, and reconnects until it gets 204.
    pub is_event_source: bool,
    /// `?notices=event`
    pub as_events: bool,
    /// It takes over an ID without data, as Chromium does.
    pub takes_tail_id: bool,
    pub reading: Reading,
    /// It reads at most this many bytes on one connection.
    pub lives: &'static [u64],
}

/// Reads at most this much at a time.
const ALL: usize = 256 << 10;

impl Habits {
    pub fn choose(random: &mut Random, stall: Duration) -> Habits {
        let ms = Duration::from_millis;
        // For longer than the stall time only if that is short: it may hold up the input.
        let freeze = if stall <= ms(2000) { random.pick(&[ms(300), stall + ms(700)]) } else { ms(600) };
        let reading = [
            Reading::Slowly(random.pick(&[20_000, 100_000]), ms(10)),
            Reading::Bursts(ms(random.within(1..=100)), ms(random.within(1..=400))),
            Reading::Freezes(ms(random.within(0..=500)), freeze),
        ];
        let reading = if random.one_in(2) { Reading::Fast } else { random.pick(&reading) };
        let lives =
            random.pick(&[&[u64::MAX] as &[u64], &[0, 400, 3000, 20_000, u64::MAX], &[3000, 100_000, 1_000_000]]);
        Habits {
            version: random.pick(&[Version::Http11, Version::Http11, Version::Http10]),
            is_event_source: !random.one_in(3),
            as_events: random.one_in(3),
            takes_tail_id: random.one_in(2),
            // One that freezes stays, to see what becomes of it.
            lives: if matches!(reading, Reading::Freezes(..)) { &[u64::MAX] } else { lives },
            reading,
        }
    }

    /// One that asks once, reads as fast as it can, and stays.
    pub fn patient() -> Habits {
        Habits {
            version: Version::Http11,
            is_event_source: false,
            as_events: false,
            takes_tail_id: false,
            reading: Reading::Fast,
            lives: &[u64::MAX],
        }
    }

    /// The request of a client with this last event ID.
    pub fn request(&self, id: Option<&str>, random: &mut Random) -> Vec<u8> {
        let (mut query, mut fields) = (Vec::new(), String::new());
        match id {
            Some(id) if random.one_in(3) => {
                let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
                let name = random.pick(&["last-event-id", "last_event_id", "lastEventID"]);
                query.push(format!("{name}={encoded}"));
            }
            Some(id) => fields += &format!("Last-Event-ID: {id}\r\n"),
            None => {}
        }
        if self.as_events {
            query.push("notices=event".to_owned());
        }
        if self.is_event_source {
            fields += "Accept: text/event-stream\r\n";
        }
        let path = random.pick(&["/events", "/"]);
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let version = match self.version {
            Version::Http10 => "HTTP/1.0\r\n",
            Version::Http11 => "HTTP/1.1\r\nHost: localhost\r\n",
        };
        format!("GET {path}{query} {version}{fields}\r\n").into_bytes()
    }

    /// How many bytes it may read at this moment, on a connection of this age, so long after it has read.
    pub fn may_read(&self, age: Duration, since_read: Duration) -> usize {
        match self.reading {
            Reading::Slowly(_, every) if since_read < every => 0,
            Reading::Slowly(bytes, _) => bytes,
            Reading::Bursts(on, off) if age.as_millis() % (on + off).as_millis() >= on.as_millis() => 0,
            _ => self.may_read_at_the_end(age),
        }
    }

    /// The same after the input's end: everybody hurries then, who is not frozen.
    pub fn may_read_at_the_end(&self, age: Duration) -> usize {
        match self.reading {
            Reading::Freezes(from, time) if (from..from + time).contains(&age) => 0,
            _ => ALL,
        }
    }
}
