//! What the person at the terminal is told: one line each, on standard error, by a thread of its own.
//!
//! A terminal may stand still (Ctrl-S, a pipe that nobody reads). Then lines wait, and in the end are left out; whoever
//! reports never waits.

use std::collections::HashSet;
use std::fmt::Display;
use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// So many lines may wait for the terminal.
const WAITING_LINES: usize = 1024;
/// So many different refusals are told of; their texts come from outside, and memory must stay bounded.
const TOLD_REFUSALS: usize = 256;
/// So long the last lines may take at the end.
const FLUSH_TIME: Duration = Duration::from_millis(500);
/// So much of a text from outside is shown.
const SHOWN_CHARS: usize = 200;

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only (`-q`).
    Quiet,
    /// Errors, what listens, what was refused, the summary.
    Normal,
    /// Also each client that joins or leaves (`-v`).
    Verbose,
}

/// The way to standard error.
#[derive(Debug)]
pub struct Report {
    verbosity: Verbosity,
    lines: SyncSender<Line>,
    told: Mutex<HashSet<String>>,
}

enum Line {
    Text(String),
    Flush(SyncSender<()>),
}

impl Report {
    /// Starts the thread that writes.
    pub fn start(verbosity: Verbosity) -> std::io::Result<Report> {
        let (lines, receiver) = sync_channel(WAITING_LINES);
        std::thread::Builder::new().name("report".into()).spawn(move || write_lines(&receiver))?;
        Ok(Report { verbosity, lines, told: Mutex::default() })
    }

    /// Something failed or was left out: told always.
    pub fn error(&self, text: impl Display) {
        self.line(Verbosity::Quiet, text);
    }

    /// Something that one wants to know: told unless quiet.
    pub fn say(&self, text: impl Display) {
        self.line(Verbosity::Normal, text);
    }

    /// A detail: told when verbose.
    pub fn detail(&self, text: impl Display) {
        self.line(Verbosity::Verbose, text);
    }

    /// Whether details are told.
    pub fn is_verbose(&self) -> bool {
        self.verbosity == Verbosity::Verbose
    }

    /// Says `text` the first time that it comes with this `key`.
    pub fn say_once(&self, key: &str, text: impl Display) {
        let mut told = self.told.lock().expect("nobody panics with it");
        if told.len() < TOLD_REFUSALS && told.insert(key.to_owned()) {
            self.say(text);
        }
    }

    /// Waits until all that was said is written, for a short time at most.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.lines.try_send(Line::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_TIME);
        }
    }

    fn line(&self, least: Verbosity, text: impl Display) {
        if self.verbosity >= least {
            // A full queue means a terminal that stands still; there is nobody to tell.
            let _ = self.lines.try_send(Line::Text(format!("sse-pipe: {text}\n")));
        }
    }
}

/// Makes a text from outside harmless on a terminal: no controls, nothing that turns the direction, not too long.
pub fn harmless(text: &str) -> String {
    let mut shown = String::new();
    for char in text.chars().take(SHOWN_CHARS) {
        match char {
            '\'' | '"' | '\\' => shown.push(char), // special to Rust's eyes alone
            _ => shown.extend(char.escape_debug()),
        }
    }
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

fn write_lines(lines: &Receiver<Line>) {
    // A closed standard error is no reason to stop: what can't be written is lost.
    let mut stderr = std::io::stderr();
    for line in lines {
        match line {
            Line::Text(text) => drop(stderr.write_all(text.as_bytes())),
            Line::Flush(done) => drop(done.send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_can_do_nothing_to_a_terminal() {
        for (text, want) in [
            ("https://a.example", "https://a.example"),
            ("a\x1b[2J\r\nsse-pipe: forged", r"a\u{1b}[2J\r\nsse-pipe: forged"),
            ("\u{202e}gpj", r"\u{202e}gpj"),
            ("é 'quoted' \"\\", "é 'quoted' \"\\"),
        ] {
            assert_eq!(harmless(text), want);
        }
        assert_eq!(harmless(&"x".repeat(1000)).chars().count(), SHOWN_CHARS + 1);
    }
}
