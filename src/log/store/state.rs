//! `state`: the run, the numbers that were given and reserved, and whether everything is on the disk.

use super::{Tell, Word};
use crate::log::id::Run;
use anyhow::{Result, bail, ensure};
use std::fmt::Write as _;
use std::fs::{File, read_to_string};
use std::io::{ErrorKind, Read};
use std::path::Path;

/// What `state` says.
#[derive(Debug, Default)]
pub(super) struct State {
    /// `None`: there is none, or it is damaged.
    pub(super) run: Option<Run>,
    /// The start of the machine since which the store has been written to; or that it was closed.
    pub(super) boot: String,
    pub(super) reserved: u64,
    pub(super) last: Option<u64>,
    /// Numbers up to here were skipped, after an end that left it open which of them were given; 0 if that never
    /// happened.
    pub(super) passed: u64,
}

/// In place of a boot ID: everything is on the disk.
pub(super) const CLEAN: &str = "closed------------------------------";

impl State {
    pub(super) const MAGIC: &str = "sse-pipe store 1\n";

    pub(super) fn reserved_at() -> u64 {
        (State::MAGIC.len() + line("run", "123456").len() + line("boot", CLEAN).len()) as u64
    }

    pub(super) fn last_at() -> u64 {
        State::reserved_at() + line("reserved", &number(0)).len() as u64
    }

    /// Reads it. `is_new`: there are no segments.
    pub(super) fn read(folder: &Path, is_new: bool, tell: &Tell) -> Result<State> {
        let path = folder.join("state");
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(1 << 10).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if !is_new {
                    tell(Word::Failure(format!("{} is missing: the store continues as a new run", path.display())));
                }
                return Ok(State { boot: CLEAN.to_owned(), ..State::default() });
            }
            Err(error) => bail!("cannot read {}: {error}", path.display()),
        }
        let ours = &State::MAGIC.as_bytes()[..State::MAGIC.len() - 2];
        ensure!(bytes.starts_with(ours), "{} is not a file of sse-pipe; choose another folder", path.display());
        let version = bytes.starts_with(State::MAGIC.as_bytes());
        ensure!(version, "{} is of another version of sse-pipe; choose another folder", path.display());
        let text = String::from_utf8_lossy(&bytes);
        let value = |key: &str| {
            let rest = text.lines().find_map(|text| text.strip_prefix(key)?.strip_prefix(' '))?;
            let (value, _) = rest.rsplit_once(' ')?;
            (line(key, value) == format!("{key} {rest}\n")).then(|| value.to_owned())
        };
        let read = || {
            Some(State {
                run: Some(Run::parse(&value("run")?)?),
                boot: value("boot")?,
                reserved: value("reserved")?.parse().ok()?,
                last: Some(value("last")?.parse().ok()?),
                passed: value("passed")?.parse().ok()?,
            })
        };
        Ok(read().unwrap_or_else(|| {
            tell(Word::Failure(format!("{} is damaged: the store continues as a new run", path.display())));
            State { boot: CLEAN.to_owned(), ..State::default() }
        }))
    }

    /// Whether the machine has stopped since, so that some of it may not be on the disk.
    pub(super) fn may_lack_its_end(&self) -> bool {
        self.boot != CLEAN && (self.boot != boot() || self.boot == NO_BOOT)
    }
}

/// On systems without boot IDs.
const NO_BOOT: &str = "unknown-----------------------------";

/// The ID of this start of the machine.
pub(super) fn boot() -> String {
    let boot = read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot = boot.trim();
    if boot.len() == CLEAN.len() { boot.to_owned() } else { NO_BOOT.to_owned() }
}

/// A number as `state` has it: of fixed length, so that it can be overwritten in place.
pub(super) fn number(n: u64) -> String {
    format!("{n:020}")
}

/// A line of `state`, with its checksum.
pub(super) fn line(key: &str, value: &str) -> String {
    let mut line = format!("{key} {value}");
    let checksum = crc32fast::hash(line.as_bytes());
    let _ = writeln!(line, " {checksum:08x}"); // writing to a string does not fail
    line
}
