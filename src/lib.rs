//! sse-pipe reads records from standard input and sends each one as a Server-Sent Event to every connected client.
//!
//! The house, from the ground up; a room uses rooms below it, never above:
//!
//! - [`wire`]: the protocols, pure
//! - [`log`]: what was read, encoded once, kept once
//! - [`access`]: who may read
//! - [`input`]: from bytes to records to batches
//! - [`serve`]: from requests and batches to bytes on sockets
//! - [`report`]: what the terminal is told
//! - [`open`]: the page in the person's browser
//! - [`cli`], [`config`]: what was typed, and what it means
//!
//! This file puts them together.

pub mod access;
pub mod cli;
pub mod config;
pub mod input;
pub mod log;
pub mod open;
pub mod report;
pub mod serve;
pub mod wire;

use crate::config::Config;
use crate::input::encoder::Encoding;
use crate::input::format::{Format, Pointers};
use crate::input::reader::{Reader, Reading};
use crate::input::tee::Tee;
use crate::log::batch::Draft;
use crate::log::id::Run;
use crate::log::memory::{BLOCK, Memory};
use crate::log::{Ids, Log};
use crate::report::{Report, harmless};
use crate::serve::Counters;
use crate::serve::attendance::Attendance;
use crate::serve::feed::{Feed, Publisher};
use crate::serve::folder;
use crate::serve::listen::{Address, Listening, listen};
use crate::serve::server::{self, Notice, Outcome, Room, Server};
use crate::serve::shared::Shared;
use crate::serve::worker::Worker;
use anyhow::{Context, Result};
use std::hash::{BuildHasher, RandomState};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// The kernel's table of open files has room for so many from the start, at 8 bytes each.
const FILES_AT_ONCE: usize = 16 * 1024;

/// Runs the program. Exit status: 0 the run was whole, 1 something failed or was left out, 2 usage.
pub fn main() -> ExitCode {
    let config = match cli::parse(std::env::args_os()) {
        Ok(config) => config,
        Err(status) => return status,
    };
    let files = raise_file_limit();
    make_room_for_files(files);
    let report = match Report::start(config.verbosity) {
        Ok(report) => Arc::new(report),
        Err(_) => return ExitCode::FAILURE, // not even a thread, and nobody to tell
    };
    let result = run(config, files, &report);
    if let Err(error) = &result {
        report.error(format_args!("{error:#}"));
    }
    report.flush();
    match result {
        Ok((Outcome::Served, true)) => ExitCode::SUCCESS,
        Ok((Outcome::Signal(signal), _)) => {
            // So that the shell sees it. It returns only for signals that don't end a process.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            ExitCode::FAILURE
        }
        Ok((Outcome::Served, false)) | Err(_) => ExitCode::FAILURE,
    }
}

/// Serves standard input as `config` says, with at most so many open `files`. Tells how it ended, and whether the run
/// was whole.
fn run(config: Config, files: usize, report: &Arc<Report>) -> Result<(Outcome, bool)> {
    let run = Run::new(RandomState::new().hash_one(std::process::id()));
    let poll = mio::Poll::new().context("cannot wait for clients")?;
    let waker = Arc::new(mio::Waker::new(poll.registry(), server::WAKER).context("cannot wait for clients")?);
    let (sender, notices) = channel();
    let notifier = Notifier { sender, waker: Arc::clone(&waker) };
    watch_signals(&notifier)?;

    let Listening { listeners, addresses } = listen(&config.binds, config.port)?;
    let counters = Arc::new(Counters::default());
    // Small beside the buffer, for the log lets go of whole batches.
    let memory = Arc::new(Memory::new(BLOCK.min(config.buffer / 8)));
    let feed = Arc::new(Feed::new(config.pace, config.buffer, Arc::clone(&memory), config.wait, config.threads));
    let shared = Arc::new(Shared {
        service: config.service,
        page: config.page,
        history: config.history,
        heartbeat: config.heartbeat,
        stall: config.stall,
        retry: config.retry,
        feed: Arc::clone(&feed),
        counters: Arc::clone(&counters),
        attendance: Mutex::new(Attendance::new(config.retry.1)),
        report: Arc::clone(report),
        loads: (0..config.threads).map(|_| AtomicUsize::new(0)).collect(),
        ending: AtomicUsize::new(0),
        watched: AtomicBool::new(false),
        server: waker,
    });

    let own_ids = Arc::default();
    let (ids, run_ids) = match &config.format {
        Format::Json(_, Pointers { id: Some(_), .. }) => (Ids::OwnElseRun(Arc::clone(&own_ids)), true),
        Format::EventStream { .. } => (Ids::Own(Arc::clone(&own_ids)), false),
        Format::Lines(_) | Format::Json(..) => (Ids::Run, shared.service.ids),
    };
    let mut inboxes = Vec::new();
    for index in 0..config.threads {
        let (worker, inbox) =
            Worker::new(index, Log::new(run, ids.clone()), Arc::clone(&shared)).context("cannot start a worker")?;
        inboxes.push(inbox);
        notifier.spawn("worker", move || Some(Notice::Died(died("a worker", worker.run()))))?;
    }
    let in_url = shared.service.token.as_ref().map(|token| format!("?access_token={}", token.in_url()));
    let mut room = Room::within(files, listeners.len(), config.threads);
    let most = room.clients;
    room.clients = config.max_clients.unwrap_or(most);
    let server = Server::new(poll, listeners, inboxes.clone(), notices, Arc::clone(&shared), room, config.at_eof)?;
    let shown = addresses.into_iter().map(|address| match address {
        Address::Url(url) => format!("{url}{}", in_url.as_deref().unwrap_or_default()),
        Address::Unix(path) => path,
    });
    let addresses: Vec<_> = shown.collect();
    for address in &addresses {
        report.say(format_args!("listening on {address}"));
    }
    if room.clients > most {
        let wanted = room.clients;
        let text = format!("--max-clients {wanted}: the limit on open files has room for {most} (see ulimit -n)");
        report.error(text);
    }
    if let Some(path) = config.exposed_token_file {
        let path = harmless(&path.to_string_lossy());
        report.error(format_args!("--token-file {path}: others can read it; chmod 600 {path} would help"));
    }
    if config.open
        && let Some(url) = addresses.iter().find(|address| address.starts_with("http"))
    {
        open::in_browser(url, report);
    }
    if let Some(path) = shared.page.as_deref()
        && let Some(why) = folder::what_is_missing(path, shared.service.own)
    {
        let path = harmless(&path.to_string_lossy());
        report.error(format_args!("--page {path}: {why}; it is looked for again whenever it is asked for"));
    }
    report.keep_status(Arc::clone(&counters).status());
    if std::io::stdin().is_terminal() {
        report.say("reading from the keyboard; each line is an event, Ctrl-D ends");
    }

    let encoding = Encoding {
        event: config.event,
        ids: run_ids.then_some(run),
        max_record: config.max_record,
        buffer: config.buffer,
    };
    let tee = config.tee.then(Tee::stdout).transpose().context("--tee: cannot use standard output")?;
    let keeps_all = config.history.is_none_or(|entries| entries == u64::MAX);
    let reading = Reading { format: config.format, encoding, end_event: config.end_event, tee, keeps_all };
    let draft = match ids {
        Ids::Run => Draft::new(memory),
        Ids::OwnElseRun(index) | Ids::Own(index) => Draft::new(memory).with_own_ids(index),
    };
    let reader = Reader::new(reading, draft, Publisher::new(feed, inboxes), Arc::clone(&counters), Arc::clone(report));
    notifier.spawn("reader", move || Some(Notice::InputOver(reader.run())))?;

    let (outcome, whole) = server.run()?;
    report.flush(); // so that there is room for the last line
    report.say(counters.summary());
    let lost = [&counters.left_out, &counters.lost_upstream].map(|counter| counter.load(Ordering::Relaxed));
    let complete = whole && lost == [0, 0];
    Ok((outcome, complete))
}

/// The way to the server: a notice, and a bell.
#[derive(Clone)]
struct Notifier {
    sender: Sender<Notice>,
    waker: Arc<mio::Waker>,
}

impl Notifier {
    fn notify(&self, notice: Notice) {
        // Either fails only when the server is gone, and the program with it.
        let _ = self.sender.send(notice);
        let _ = self.waker.wake();
    }

    /// Starts a thread whose last word goes to the server; a panic is one too, so that no thread dies unnoticed.
    fn spawn(&self, name: &'static str, body: impl FnOnce() -> Option<Notice> + Send + 'static) -> Result<()> {
        let notifier = self.clone();
        let thread = move || {
            let last_word = LastWord { notifier, name };
            if let Some(notice) = body() {
                last_word.notifier.notify(notice);
            }
        };
        thread::Builder::new().name(name.into()).spawn(thread).with_context(|| format!("cannot start the {name}"))?;
        Ok(())
    }
}

struct LastWord {
    notifier: Notifier,
    name: &'static str,
}

impl Drop for LastWord {
    fn drop(&mut self) {
        if thread::panicking() {
            self.notifier.notify(Notice::Died(format!("the {} failed; this is a bug", self.name)));
        }
    }
}

fn died(who: &str, result: std::io::Result<()>) -> String {
    match result {
        Ok(()) => format!("{who} stopped; this is a bug"),
        Err(error) => format!("{who} failed: {error}"),
    }
}

/// Signals come to the server as notices. A second one ends the program at once, whatever it is doing.
fn watch_signals(notifier: &Notifier) -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    let ignored = ignored_signals();
    let ending = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !ignored.contains(signal));
    #[allow(unused_mut)] // where there is no SIGINFO
    let mut wanted: Vec<i32> = ending.chain([SIGUSR1]).collect();
    #[cfg(any(target_os = "macos", target_os = "freebsd", target_os = "netbsd", target_os = "openbsd"))]
    wanted.push(signal_hook::consts::SIGINFO);
    let mut signals = signal_hook::iterator::Signals::new(wanted).context("cannot watch signals")?;
    let to_server = notifier.clone();
    notifier.spawn("signals", move || {
        let mut ending = false;
        for signal in &mut signals {
            match signal {
                SIGINT | SIGTERM | SIGHUP if ending => {
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
                SIGINT | SIGTERM | SIGHUP => {
                    ending = true;
                    to_server.notify(Notice::Signal(signal));
                }
                _ => to_server.notify(Notice::Statistics),
            }
        }
        None
    })
}

/// Signals that were ignored when we started (`nohup`, a shell's `&`) stay ignored. Known on Linux only, from
/// `/proc/self/status`: elsewhere it would take unsafe code to ask.
fn ignored_signals() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    (1..=64).filter(|signal| mask & (1 << (signal - 1)) != 0).collect()
}

/// Each client is an open file: as many as we may have. Tells how many files that are.
fn raise_file_limit() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused, what there is has to do; running out of files is provided for.
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| files.try_into().unwrap_or(usize::MAX))
}

/// Makes the kernel's table of our files large while there is one thread only. Later, on Linux, each doubling of it
/// would stop the thread that accepts until every processor has let go of the old table: 5 to 10 ms.
fn make_room_for_files(limit: usize) {
    let last = i32::try_from(limit.min(FILES_AT_ONCE)).unwrap_or(i32::MAX) - 1;
    // The table stays as it is when this file is closed. Where that is refused, the table grows later.
    let _ = rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), last);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_thread_that_dies_is_told_to_the_server_which_ends_the_program() {
        let poll = mio::Poll::new().expect("can wait");
        let waker = Arc::new(mio::Waker::new(poll.registry(), server::WAKER).expect("can wake"));
        let (sender, notices) = channel();
        let notifier = Notifier { sender, waker };
        notifier.spawn("worker", || panic!("this is a test")).expect("can start");
        match notices.recv_timeout(Duration::from_secs(30)) {
            Ok(Notice::Died(text)) => assert_eq!(text, "the worker failed; this is a bug"),
            other => panic!("{other:?}"),
        }
    }
}
