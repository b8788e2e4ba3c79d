//! Signals: which ones are watched, and how the program dies of one.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

/// What a signal requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To end the program, by this signal.
    End(i32),
    /// For a line of statistics.
    Statistics,
}

/// The signals that are watched from now on: those that end the program, unless they were ignored when it started, and
/// SIGUSR1 (and SIGINFO on systems that have it).
pub fn watch() -> Result<Signals> {
    // If we can't find out what was ignored, SIGHUP keeps its default action: watching it would defeat `nohup`, and if
    // it is not watched it still ends the program, a little more abruptly.
    let ignored = ignored_signals().unwrap_or_else(|| vec![SIGHUP]);
    let ending = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !ignored.contains(signal));
    #[allow(unused_mut)] // on systems without SIGINFO
    let mut wanted: Vec<i32> = ending.chain([SIGUSR1]).collect();
    #[cfg(any(
        target_os = "macos",
        target_os = "freebsd",
        target_os = "dragonfly",
        target_os = "netbsd",
        target_os = "openbsd"
    ))]
    wanted.push(signal_hook::consts::SIGINFO);
    Signals::new(wanted).context("cannot watch signals")
}

/// Calls `handle` for each signal, and never returns. A second one that ends the program does so at once, whatever the
/// program is doing.
pub fn listen(mut signals: Signals, handle: impl Fn(Asked)) {
    let mut ending = false;
    for signal in &mut signals {
        match signal {
            SIGINT | SIGTERM | SIGHUP if ending => die_of(signal),
            SIGINT | SIGTERM | SIGHUP => {
                ending = true;
                handle(Asked::End(signal));
            }
            _ => handle(Asked::Statistics),
        }
    }
}

/// Ends the process by this signal, so that the shell sees it. It returns only for signals that don't end a process.
///
/// Process 1 of a container can't die of a signal's default action: the kernel ignores it there (pid_namespaces(7)). So
/// it exits with the status that a shell shows for that death.
pub fn die_of(signal: i32) {
    if std::process::id() == 1 {
        low_level::exit(128 + signal);
    }
    let _ = low_level::emulate_default_handler(signal);
}

/// Signals that were ignored when we started (`nohup`, a shell's `&`) stay ignored. They are known on Linux only, from
/// `/proc/self/status`: elsewhere, or without `/proc`, it would take unsafe code to ask (`sigaction`).
fn ignored_signals() -> Option<Vec<i32>> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some((1..=64).filter(|signal| mask & (1 << (signal - 1)) != 0).collect())
}
