//! Notices: comments by which one sse-pipe lets a client, or another sse-pipe, know that events are missing
//! (behaviour 1.4, 3.3, 5.2).
//!
//! All code that writes or reads their wording is here, except in the built-in page, which reads them in JavaScript
//! (`viewer/`).

use super::event;
use std::fmt;

/// A longer comment is not read as a notice.
const LONGEST: usize = 200;

/// Why events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// This many records between the last event ID and the start of the stream are no longer held.
    Missed(u64),
    /// The last event ID is unknown, so the number of missing events is unknown.
    MissedUnknown,
    /// The last event ID was given more than once, and not all events with it are held, so the number is unknown too.
    MissedAmbiguous,
    /// Events of a store are lost (`--store`), and their number is unknown.
    Lost,
    /// A record was skipped; the notice takes its place.
    Skipped {
        /// The number of the record.
        record: u64,
        /// Why it was skipped.
        why: Skipped,
    },
}

/// Why a record was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// It is longer than `--max-record`.
    TooLong {
        /// Its length in bytes.
        size: u64,
        /// `--max-record`, in bytes.
        max: usize,
    },
    /// It should have been a JSON text and was not (`--format json`).
    NotJson {
        /// The line of the input in which it stops being one, from 1.
        line: u64,
        /// The byte of that line, from 1.
        column: u64,
    },
    /// Its event does not fit into `--buffer`.
    TooLarge {
        /// The length of the event in bytes.
        size: usize,
    },
}

impl Notice {
    /// Appends the comment, which can be sent to every client.
    pub fn write_comment(&self, out: &mut Vec<u8>) {
        event::write_comment(out, &self.to_string());
    }

    /// Appends the `gap` event for a page that asked for `?notices=event` (behaviour 4.7).
    pub fn write_event(&self, out: &mut Vec<u8>) {
        let missed = match self {
            Notice::Missed(events) => events.to_string(),
            Notice::MissedUnknown | Notice::MissedAmbiguous | Notice::Lost => "null".to_owned(),
            Notice::Skipped { .. } => "1".to_owned(),
        };
        out.extend_from_slice(format!("event: gap\ndata: {{\"missed\": {missed}}}\n\n").as_bytes());
    }

    /// Whether `comment` is a notice of another sse-pipe.
    pub fn is_in(comment: &str) -> bool {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let missed = || comment.strip_suffix(" events missed").is_some_and(is_number);
        let unknown = || comment.starts_with("events missed, ");
        let skipped = || {
            let rest = comment.strip_prefix("record ").and_then(|rest| rest.split_once(" skipped: "));
            rest.is_some_and(|(record, _)| is_number(record))
        };
        comment.len() <= LONGEST && (missed() || unknown() || skipped())
    }
}

/// The type of the events that say when others were read (behaviour 4.8).
const READ_AT: &[u8] = b"read-at";

/// The event that says that what follows was read at `time`, in milliseconds since 1970.
pub fn read_at(time: u64) -> String {
    format!("event: read-at\ndata: {time}\n\n")
}

/// The time in such an event of another sse-pipe; `None` if it is another event.
pub fn time_in(event: &[u8], data: &[u8], has_id: bool) -> Option<u64> {
    let is_time = event == READ_AT && !has_id && !data.is_empty() && data.iter().all(u8::is_ascii_digit);
    if is_time { std::str::from_utf8(data).ok()?.parse().ok() } else { None }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Missed(events) => write!(f, "{events} events missed"),
            Notice::MissedUnknown => f.write_str("events missed, nobody knows how many: unknown last event ID"),
            Notice::MissedAmbiguous => {
                f.write_str("events missed, nobody knows how many: this last event ID was given more than once")
            }
            Notice::Lost => f.write_str("events missed, nobody knows how many: they are lost"),
            Notice::Skipped { record, why: Skipped::TooLong { size, max } } => {
                write!(f, "record {record} skipped: {size} bytes are more than --max-record {max}")
            }
            Notice::Skipped { record, why: Skipped::TooLarge { size } } => {
                write!(f, "record {record} skipped: as an event of {size} bytes it exceeds --buffer")
            }
            Notice::Skipped { record, why: Skipped::NotJson { line, column } } => {
                write!(f, "record {record} skipped: at line {line}, byte {column} it is not JSON")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notice_is_recognised_and_no_other_comment() {
        let skipped = |why| Notice::Skipped { record: 17, why };
        for notice in [
            Notice::Missed(3),
            Notice::MissedUnknown,
            skipped(Skipped::TooLong { size: u64::MAX, max: usize::MAX }),
            skipped(Skipped::TooLarge { size: usize::MAX }),
            skipped(Skipped::NotJson { line: u64::MAX, column: u64::MAX }),
            Notice::MissedAmbiguous,
            Notice::Lost,
        ] {
            assert!(Notice::is_in(&notice.to_string()), "{notice}");
        }
        let long = format!("events missed, {}", "x".repeat(LONGEST));
        for comment in ["", "ping", " events missed", "x events missed", "3 events missed!", "record skipped: x", &long]
        {
            assert!(!Notice::is_in(comment), "{comment}");
        }
    }
}
