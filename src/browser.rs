//! `--open`: the page in the person's browser.
//!
//! The `open` crate finds the program that opens an address. It runs in its own process group (Ctrl-C is for the pipe,
//! not for a browser that it started) and without our standard streams. A thread waits for it, so that it leaves no
//! zombie; the program itself never waits here.
//!
//! Everybody on the machine can read the arguments of a process. So an address with the token is never an argument: the
//! browser opens a file that only its user can read, and that leads there.

use crate::report::Report;
use crate::sanitize::sanitize;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The browser has this long to read the file, even if it must be started first, on a slow machine. People wait longer
/// than this for a page before they look at the terminal.
const HANDOVER_TIME: Duration = Duration::from_secs(20);
/// A shell's exit status if there is no such program (POSIX, 2.8.2).
const NO_SUCH_PROGRAM: i32 = 127;

/// What to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its address.
    pub url: String,
    /// Whether the address is secret: it contains the token.
    pub secret: bool,
}

/// Opens `page`. If that fails, or if `has_come` says after a while that no client has connected, the terminal says so,
/// and everything else continues. The browser gets the soft limit on open files that we had at the start, `files`;
/// `None`: none.
///
/// Keep what is returned as long as the program runs: dropping it removes the file that leads to the page, if it is
/// still there.
pub fn open(
    page: Page,
    files: Option<u64>,
    has_come: impl Fn() -> bool + Send + 'static,
    report: &Arc<Report>,
) -> Option<Handover> {
    // "Every address" is one to listen on, not one to go to.
    let url = page.url.replace("://0.0.0.0:", "://localhost:").replace("://[::]:", "://localhost:");
    let failed = |report: &Report, why: &dyn std::fmt::Display| {
        report.error(format_args!("--open: {why}; please open the address yourself"));
    };
    let handover = match page.secret.then(|| Handover::new(&url)).transpose() {
        Ok(handover) => handover,
        Err(error) => {
            failed(report, &format_args!("cannot make a file that leads to the page: {error}"));
            return None;
        }
    };
    let target = handover.as_ref().map_or_else(|| url.into(), |handover| handover.path.clone().into_os_string());
    let (reporter, is_open) = (Arc::clone(report), Arc::new(AtomicBool::new(true)));
    let to_fail = Arc::clone(&is_open);
    let opening = thread::Builder::new().name("open".into()).spawn(move || {
        if let Err(why) = open_target(&target, files) {
            to_fail.store(false, Ordering::Relaxed);
            failed(&reporter, &why);
        }
    });
    if let Err(error) = opening {
        failed(report, &error);
        return None;
    }
    if let Some(path) = handover.as_ref().map(|handover| handover.path.clone()) {
        let reporter = Arc::clone(report);
        // Without a thread, the file is removed with the program.
        let _ = thread::Builder::new().name("handover".into()).spawn(move || {
            thread::sleep(HANDOVER_TIME);
            drop(Handover { path });
            if is_open.load(Ordering::Relaxed) && !has_come() {
                // A browser in a sandbox (a snap) reads no files but those in its own folders.
                failed(
                    &reporter,
                    &"no client has connected yet, perhaps because the browser may not read other programs' files",
                );
            }
        });
    }
    handover
}

/// The first command that succeeds; why the last one did not.
fn open_target(target: &OsStr, files: Option<u64>) -> Result<(), String> {
    let mut why = "found no program that opens an address".to_owned();
    for command in open::commands(target) {
        let name = sanitize(&command.get_program().to_string_lossy());
        match beside_us(&command, files).status() {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) if status.code() == Some(NO_SUCH_PROGRAM) => {}
            Ok(status) => why = format!("{name}: {status}"),
            Err(error) => why = format!("{name}: {error}"),
        }
    }
    Err(why)
}

/// `command` as it is run, without what belongs to this program.
///
/// A shell between us and the command sets the limit. Lowering our own for a moment would make threads fail that open
/// files then; setting the child's once it runs would be a race; setting it between fork and exec needs unsafe code.
/// Nothing is inserted into the shell's script: number, program and arguments are its parameters.
fn beside_us(command: &Command, files: Option<u64>) -> Command {
    const SCRIPT: &str = r#"ulimit -S -n "$0"; exec "$@""#;
    let mut shell = Command::new("/bin/sh");
    let files = files.map_or("unlimited".to_owned(), |files| files.to_string());
    shell.args(["-c", SCRIPT, &files]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.env_remove("SSE_PIPE_TOKEN");
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    shell
}

/// A file that leads a browser to an address. Only its owner can read it. Gone when dropped.
#[derive(Debug)]
pub struct Handover {
    path: PathBuf,
}

impl Handover {
    /// In the user's folder for short-lived files, or else in the shared one; never a file that already exists.
    fn new(url: &str) -> io::Result<Handover> {
        let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute());
        let name = format!("sse-pipe-{:016x}.html", RandomState::new().hash_one(std::process::id()));
        let make = |folder: PathBuf| {
            let handover = Handover { path: folder.join(&name) };
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&handover.path)?;
            file.write_all(leading_to(url).as_bytes())?;
            Ok(handover)
        };
        own.and_then(|folder| make(folder).ok()).map_or_else(|| make(std::env::temp_dir()), Ok)
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path); // it may be gone already; nobody else has a file of this name
    }
}

/// A page that leads to `url` at once, and by a link if the browser does not.
fn leading_to(url: &str) -> String {
    let url = url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={url}">
<title>sse-pipe</title>
<p><a href="{url}">sse-pipe</a>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_not_markup_in_the_file_that_leads_there() {
        let page = leading_to(r#"http://a"<b>&c/"#);
        assert_eq!(page.matches(r#"="http://a&quot;&lt;b>&amp;c/">"#).count(), 1, "{page}");
        assert_eq!(page.matches(r#"url=http://a&quot;&lt;b>&amp;c/">"#).count(), 1, "{page}");
    }
}
