//! The status line on a terminal (behaviour 2.3): in view while the program runs, and gone without a trace afterwards,
//! however the terminal's size changes. The terminal is tmux, which breaks lines anew where it becomes narrower.

use crate::support::client::DEADLINE;
use crate::support::files::folder;
use crate::support::program::BINARY;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// So many lines fill the screen before sse-pipe starts, as in a terminal that has been used.
const BEFORE: usize = 30;

/// A tmux of our own with sse-pipe in it. It ends with the program inside, which ends when its two inputs do: at the
/// latest when this is dropped, or dies.
struct Terminal {
    folder: PathBuf,
    /// What sse-pipe reads.
    input: Option<File>,
    /// What keeps the terminal there when sse-pipe has ended.
    stay: Option<File>,
}

impl Terminal {
    /// A terminal of 100 columns in which sse-pipe runs with these arguments, and with more in its environment.
    fn start(name: &str, environment: &str, args: &str) -> Terminal {
        let folder = folder(name);
        let pipe = |name: &str| {
            let path = folder.join(name);
            assert!(Command::new("mkfifo").arg(&path).status().is_ok_and(|status| status.success()), "mkfifo {name}");
            // For reading, too: so it does not wait for a reader.
            OpenOptions::new().read(true).write(true).open(&path).expect("it is ours")
        };
        let (input, stay) = (Some(pipe("input")), Some(pipe("stay")));
        let terminal = Terminal { folder, input, stay };
        let script = format!(
            "exec timeout --foreground 120 /bin/sh -c \"seq {BEFORE}; exec <input; echo started; \
             {environment} '{BINARY}' --port 0 --at-eof exit {args}; echo ended \\$?; exec cat stay\""
        );
        terminal.tmux(&["new-session", "-d", "-x", "100", "-y", "20", &script]);
        terminal.wait_until("it has started", |rows| rows.iter().any(|row| row == "started"));
        terminal
    }

    /// What a command of tmux prints. Its socket is named within the folder, for the name of one can't be long.
    #[track_caller]
    fn tmux(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-S", "socket", "-f", "/dev/null"]).args(args).current_dir(&self.folder);
        let output = command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").env("SHELL", "/bin/sh").output();
        let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(output.status.success(), "{command:?}: {output:?}");
        String::from_utf8(output.stdout).expect("is text")
    }

    fn resize(&self, columns: usize) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", "20"]);
    }

    /// All rows, those that have left the screen and those that are on it; with `-J` broken lines are whole again.
    fn rows(&self, how: &[&str]) -> Vec<String> {
        let all = self.tmux(&[&["capture-pane", "-p", "-S", "-"], how].concat());
        all.lines().map(|row| row.trim_end().to_owned()).filter(|row| !row.is_empty()).collect()
    }

    /// Waits until the last row is this one.
    #[track_caller]
    fn wait_for(&self, last: &str) {
        self.wait_until(last, |rows| rows.last().is_some_and(|row| row == last));
    }

    #[track_caller]
    fn wait_until(&self, what: &str, is_so: impl Fn(&[String]) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let rows = self.rows(&[]);
            if is_so(&rows) {
                return;
            }
            assert!(Instant::now() < deadline, "waited for {what:?}, but the rows are {rows:#?}");
        }
    }

    /// Ends the input, and returns the lines that are left with `last`, without those from before sse-pipe.
    fn end(&mut self, last: &str) -> Vec<String> {
        self.input = None;
        self.wait_for(last);
        self.resize(100);
        let lines = self.rows(&["-J"]);
        let (before, after) = lines.split_at(BEFORE + 1);
        let numbers = (1..=BEFORE).map(|n| n.to_string());
        assert_eq!(before, numbers.chain(["started".to_owned()]).collect::<Vec<_>>(), "{lines:#?}");
        after.to_vec()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        (self.input, self.stay) = (None, None);
        // Sooner than by itself; it may be gone already.
        let mut command = Command::new("tmux");
        let _ = command.args(["-S", "socket", "kill-server"]).current_dir(&self.folder).output();
    }
}

/// The row of a terminal of so many columns that shows `status`.
fn shown(status: &str, columns: usize) -> String {
    match status.chars().count() < columns {
        true => status.to_owned(),
        false => status.chars().take(columns - 2).collect::<String>() + "…",
    }
}

/// These lines are the listening line, `more`, and `ended`.
#[track_caller]
fn assert_told(lines: &[String], more: &[&str], ended: &str) {
    assert!(lines[0].starts_with("sse-pipe: listening on http://localhost:"), "{lines:#?}");
    assert_eq!(lines[1..], [more, &[ended]].concat());
}

#[test]
#[ignore = "needs tmux: tests/run"]
fn a_status_line_leaves_no_trace_however_often_the_terminal_becomes_narrower_and_wider() {
    for environment in ["TERM=xterm-256color", "NO_COLOR=1"] {
        let mut terminal = Terminal::start("status", environment, "--max-record 10");
        let status = "0 clients · 0 events · 0/s";
        terminal.wait_for(status);
        for columns in [40, 16, 100, 30, 25, 26, 27, 60, 16, 20, 100, 17] {
            terminal.resize(columns);
            terminal.wait_for(&shown(status, columns));
        }
        // A line that is told takes its place, and it stands below.
        terminal.resize(100);
        let mut input = terminal.input.as_ref().expect("is open");
        input.write_all(b"12345678901\n").expect("is taken");
        let status = "0 clients · 0 events · 0/s · 1 left out";
        terminal.wait_for(status);
        for columns in [30, 100] {
            terminal.resize(columns);
            terminal.wait_for(&shown(status, columns));
        }
        // At the end it may stand broken, before it could be drawn anew.
        terminal.resize(20);
        let left_out = "sse-pipe: record 1 left out: its 11 bytes are more than --max-record allows";
        let told = [left_out, "sse-pipe: 0 events to 0 clients, 1 record left out"];
        assert_told(&terminal.end("ended 1"), &told, "ended 1");
    }
}

#[test]
#[ignore = "needs tmux: tests/run"]
fn quiet_there_is_no_status_line() {
    let mut terminal = Terminal::start("status-quiet", "", "--quiet");
    assert_eq!(terminal.end("ended 0"), ["ended 0"]);
}
