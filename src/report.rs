//! Messages to the person at the terminal: one line each, on standard error, written by a separate thread.
//!
//! On a terminal a status line stays below them, and is gone at the end. It is drawn only while the terminal is ours:
//! in the background (`&`; Ctrl-Z and `bg`) the rows belong to the shell and to what a person types.
//!
//! A terminal may be stopped (Ctrl-S, a pipe that is not read). Then lines wait, and too many are skipped; the caller
//! never waits. The same holds for a terminal that stops each background job that writes (`stty tostop`): a stopped
//! server serves no client, so lines wait until it is in the foreground.

use console::{Term, truncate_str};
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, tcgetattr, tcgetpgrp};
use std::collections::HashSet;
use std::fmt::Display;
use std::io::{Write, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The most lines that may wait for the terminal.
const WAITING_LINES: usize = 1024;
/// At most this many different refusals are reported: their texts come from outside, and memory must stay bounded.
const TOLD_REFUSALS: usize = 256;
/// The longest time for the last lines at the end.
const FLUSH_TIME: Duration = Duration::from_secs(1);
/// A full queue is tried again after this time.
const FLUSH_RETRY: Duration = Duration::from_millis(10);
/// How often the status line is redrawn, and how often we check whether we may write to the terminal again.
const STATUS_TIME: Duration = Duration::from_millis(250);
/// Removes the status line: erases from the start of the cursor's row to the end of the screen. The cursor is always at
/// the start of the line. So if the terminal has become narrower, whether it cuts the line or breaks it into several
/// rows, all of it is after the cursor.
const TAKE_BACK: &str = "\r\x1b[999M";
/// What does not fit a row is cut off (DECAWM).
const NO_WRAP: &str = "\x1b[?7l";
/// What does not fit a row continues in the next, as usual.
const WRAP: &str = "\x1b[?7h";

/// How much is reported.
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
    /// How many lines found the queue full since this was last reported.
    lost: Arc<AtomicU64>,
    reported: Mutex<HashSet<String>>,
}

enum Line {
    Text(String),
    Status(Status),
    Flush(SyncSender<()>),
}

/// What the status line says at the moment, given the time since it was last asked.
pub type Status = Box<dyn FnMut(Duration) -> String + Send>;

impl Report {
    /// Starts the thread that writes.
    pub fn start(verbosity: Verbosity) -> std::io::Result<Report> {
        let (lines, receiver) = sync_channel(WAITING_LINES);
        let lost = Arc::<AtomicU64>::default();
        let lost_too = Arc::clone(&lost);
        std::thread::Builder::new().name("report".into()).spawn(move || write_lines(&receiver, &lost_too))?;
        Ok(Report { verbosity, lines, lost, reported: Mutex::default() })
    }

    /// Something failed or was skipped: always reported.
    pub fn error(&self, text: impl Display) {
        self.line(Verbosity::Quiet, text);
    }

    /// Something worth knowing: reported unless quiet.
    pub fn say(&self, text: impl Display) {
        self.line(Verbosity::Normal, text);
    }

    /// A detail: reported if verbose.
    pub fn detail(&self, text: impl Display) {
        self.line(Verbosity::Verbose, text);
    }

    /// Whether details are reported.
    pub fn is_verbose(&self) -> bool {
        self.verbosity == Verbosity::Verbose
    }

    /// Says `text` the first time that it comes with this `key`.
    pub fn say_once(&self, key: &str, text: impl Display) {
        let mut reported = self.reported.lock().expect("nobody panics with it");
        if reported.len() < TOLD_REFUSALS && reported.insert(key.to_owned()) {
            self.say(text);
            if reported.len() == TOLD_REFUSALS {
                self.say("no more refusals will be reported");
            }
        }
    }

    /// Keeps a status line in view from now on, if standard error is a terminal, while it is ours, and unless quiet.
    pub fn keep_status(&self, status: Status) {
        if self.verbosity > Verbosity::Quiet && Term::stderr().is_term() {
            let _ = self.lines.try_send(Line::Status(status));
        }
    }

    /// Waits until all lines are written and the status line is gone, for a short time at most.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        let deadline = Instant::now() + FLUSH_TIME;
        while self.lines.try_send(Line::Flush(done.clone())).is_err() {
            if Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(FLUSH_RETRY);
        }
        let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }

    fn line(&self, least: Verbosity, text: impl Display) {
        if self.verbosity >= least {
            // A full queue means a terminal that has stopped: nothing waits for it.
            if self.lines.try_send(Line::Text(format!("sse-pipe: {text}\n"))).is_err() {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn write_lines(lines: &Receiver<Line>, lost: &AtomicU64) {
    let mut terminal = Term::stderr();
    let mut status: Option<(Status, String)> = None;
    loop {
        let line = match &status {
            None => lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(_) => lines.recv_timeout(STATUS_TIME),
        };
        while would_stop_us() {
            std::thread::sleep(STATUS_TIME);
        }
        let left_out = lost.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            let _ = writeln!(terminal, "sse-pipe: lines skipped here, because nobody read them in time: {left_out}");
        }
        // Between this look and the write a person may press Ctrl-Z, then type bg; no program can exclude that.
        let ours = status.is_some() && is_in_foreground();
        // A closed standard error is no reason to stop: what can't be written is lost.
        let _ = match line {
            Ok(Line::Text(text)) => match &status {
                Some((_, shown)) if ours => terminal.write_str(&format!("{TAKE_BACK}{text}{}", kept(&terminal, shown))),
                _ => terminal.write_all(text.as_bytes()),
            },
            Ok(Line::Status(new)) => {
                status = Some((new, String::new()));
                Ok(())
            }
            Ok(Line::Flush(done)) => {
                status = None;
                let cleared = if ours { terminal.write_str(TAKE_BACK) } else { Ok(()) };
                let _ = done.send(()); // or the caller has given up
                cleared
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Some((status, shown)) = &mut status {
                    *shown = status(STATUS_TIME); // the rate is counted on, shown or not
                }
                match &status {
                    Some((_, shown)) if ours => terminal.write_str(&format!("{TAKE_BACK}{}", kept(&terminal, shown))),
                    _ => Ok(()),
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
    }
}

/// Whether the terminal is ours at the moment: our process group is its foreground group.
fn is_in_foreground() -> bool {
    tcgetpgrp(stderr()).is_ok_and(|foreground| foreground == getpgrp())
}

/// Whether a write would stop us by SIGTTOU: we are in the background of a terminal that is set so (`stty tostop`).
fn would_stop_us() -> bool {
    tcgetpgrp(stderr()).is_ok_and(|foreground| foreground != getpgrp())
        && tcgetattr(stderr()).is_ok_and(|terminal| terminal.local_modes.contains(LocalModes::TOSTOP))
}

/// The status line as it is written, cut to the terminal's width and never wrapped: over a slow network the terminal
/// may be narrower already than is known here.
fn kept(terminal: &Term, status: &str) -> String {
    let (_, columns) = terminal.size();
    let shown = truncate_str(status, usize::from(columns).saturating_sub(1), "…");
    format!("{NO_WRAP}{shown}{WRAP}\r")
}
