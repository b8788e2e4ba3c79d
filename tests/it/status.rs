//! The status line on a terminal (behaviour 2.3): visible while the program runs, and gone without a trace afterwards,
//! even if the terminal's size changes; and only while the screen is ours. The terminal is tmux, which breaks lines
//! again when it becomes narrower.

use crate::support::client::DEADLINE;
use crate::support::files::folder;
use crate::support::program::BINARY;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// This many lines fill the screen before sse-pipe starts, as in a terminal that has been used.
const BEFORE: usize = 30;

/// In this time a status line would have been drawn several times.
const SEVERAL_TIMES: Duration = Duration::from_millis(1200);

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
        let script = format!(
            "exec timeout --foreground 120 /bin/sh -c \"seq {BEFORE}; exec <input; echo started; \
             {environment} '{BINARY}' --port 0 --at-eof exit {args}; echo ended \\$?; exec cat stay\""
        );
        let terminal = Terminal::run(name, &script);
        terminal.wait_until("it has started", |rows| rows.iter().any(|row| row == "started"));
        terminal
    }

    /// A terminal in which a person has typed `line` to a shell that controls jobs.
    fn shell(name: &str, line: &str) -> Terminal {
        let terminal = Terminal::run(name, "exec timeout --foreground 120 env PS1='$ ' bash --norc --noprofile -i");
        terminal.wait_for("$");
        terminal.press(&["-l", line]);
        terminal.press(&["Enter"]);
        terminal
    }

    /// A terminal in which this script runs, in a folder with the pipes `input` and `stay`.
    fn run(name: &str, script: &str) -> Terminal {
        let folder = folder(name);
        let pipe = |name: &str| {
            let path = folder.join(name);
            assert!(Command::new("mkfifo").arg(&path).status().is_ok_and(|status| status.success()), "mkfifo {name}");
            // For reading, too: so it does not wait for a reader.
            OpenOptions::new().read(true).write(true).open(&path).expect("it is ours")
        };
        let (input, stay) = (Some(pipe("input")), Some(pipe("stay")));
        let terminal = Terminal { folder, input, stay };
        terminal.tmux(&["new-session", "-d", "-x", "100", "-y", "20", script]);
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

    /// Presses keys, as tmux calls them; or with `-l` those of a text.
    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Types a text, and holds that it stays, at the end of all rows, as long as a status line would need to erase it.
    fn assert_typed_text_stays(&self, before: &str, text: &str) {
        self.press(&["-l", text]);
        let last = format!("{before}{text}");
        self.wait_for(&last);
        self.assert_stays(&last);
    }

    /// Holds that the last row stays this one.
    #[track_caller]
    fn assert_stays(&self, last: &str) {
        let until = Instant::now() + SEVERAL_TIMES;
        while Instant::now() < until {
            let rows = self.rows(&[]);
            assert_eq!(rows.last().map(String::as_str), Some(last), "{rows:#?}");
        }
    }

    fn write(&self, text: &str) {
        let mut input = self.input.as_ref().expect("is open");
        input.write_all(text.as_bytes()).expect("is taken");
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

/// The row of a terminal of this many columns that shows `status`.
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
        terminal.write("12345678901\n");
        let status = "0 clients · 0 events · 0/s · 1 skipped";
        terminal.wait_for(status);
        for columns in [30, 100] {
            terminal.resize(columns);
            terminal.wait_for(&shown(status, columns));
        }
        // At the end it may stand broken, before it could be drawn again.
        terminal.resize(20);
        let left_out = "sse-pipe: record 1 skipped: its 11 bytes are more than --max-record allows";
        let told = [left_out, "sse-pipe: 0 events to 0 clients, 1 record skipped"];
        assert_told(&terminal.end("ended 1"), &told, "ended 1");
    }
}

#[test]
#[ignore = "needs tmux: tests/run"]
fn with_quiet_there_is_no_status_line() {
    let mut terminal = Terminal::start("status-quiet", "", "--quiet");
    assert_eq!(terminal.end("ended 0"), ["ended 0"]);
}

/// The command of a person who lets sse-pipe read the pipe `input`.
fn typed(args: &str) -> String {
    format!("'{BINARY}' --port 0 --at-eof exit {args}")
}

const STATUS: &str = "0 clients · 0 events · 0/s";

#[test]
#[ignore = "needs tmux: tests/run"]
fn a_background_job_erases_nothing() {
    let terminal = Terminal::shell("status-background", &typed("--max-record 10 <input &"));
    terminal.wait_until("it listens", |rows| rows.iter().any(|row| row.contains("listening on")));
    terminal.press(&["Enter"]); // a prompt below the message
    terminal.wait_for("$");
    terminal.assert_typed_text_stays("$ ", "precious");
    // A message is printed where the cursor is, as every background job's.
    terminal.write("12345678901\n");
    let message = "$ precioussse-pipe: record 1 skipped: its 11 bytes are more than --max-record allows";
    terminal.wait_for(message);
    terminal.assert_stays(message);
}

#[test]
#[ignore = "needs tmux: tests/run"]
fn a_status_line_goes_into_the_background_with_ctrl_z_and_comes_back_with_fg() {
    let mut terminal = Terminal::shell("status-jobs", &typed("<input"));
    terminal.wait_for(STATUS);
    for _ in 0..2 {
        terminal.press(&["C-z"]);
        terminal.wait_for("$");
        terminal.press(&["-l", "bg"]);
        terminal.press(&["Enter"]);
        terminal.wait_for("$");
        terminal.assert_typed_text_stays("$ ", "precious");
        terminal.press(&["C-u"]);
        terminal.press(&["-l", "fg"]);
        terminal.press(&["Enter"]);
        terminal.wait_for(STATUS);
    }
    terminal.press(&["C-z"]);
    terminal.wait_for("$");
    terminal.press(&["-l", "fg"]);
    terminal.press(&["Enter"]);
    terminal.wait_for(STATUS);
    terminal.input = None;
    terminal.wait_until("it has ended", |rows| rows.iter().any(|row| row.ends_with("0 events to 0 clients")));
    // The terminal's echo of Ctrl-Z may come before or after the line is written once more: what is above stays as it is.
    let rows = terminal.rows(&[]);
    let last = rows.iter().rposition(|row| row.ends_with(" fg")).expect("it was typed");
    assert!(!rows[last..].iter().any(|row| row == STATUS), "{rows:#?}");
}

/// What it says if standard input is a terminal.
const ALONE: [&str; 2] = [
    "sse-pipe: reading the keyboard: each line is sent to all clients; Ctrl-D ends",
    "sse-pipe: it is made for pipes: ping localhost | sse-pipe (help: sse-pipe -h)",
];

#[test]
#[ignore = "needs tmux: tests/run"]
fn alone_in_a_terminal_it_says_what_it_is_for_and_has_no_status_line() {
    let terminal = Terminal::shell("status-keyboard", &typed(""));
    terminal.wait_for(ALONE[1]);
    assert!(terminal.rows(&[]).ends_with(&ALONE.map(str::to_owned)), "{:#?}", terminal.rows(&[]));
    terminal.assert_typed_text_stays("", "half a record");
}

#[test]
#[ignore = "needs tmux: tests/run"]
fn there_is_no_status_line_with_tee() {
    let terminal = Terminal::shell("status-tee", &typed("--tee <input"));
    terminal.wait_until("it listens", |rows| rows.last().is_some_and(|row| row.contains("listening on")));
    terminal.write("half a record");
    terminal.wait_for("half a record");
    terminal.assert_stays("half a record");
}

#[test]
#[ignore = "needs tmux: tests/run"]
fn a_terminal_that_stops_background_jobs_that_write_does_not_stop_it() {
    let line = format!("stty tostop; {}", typed("--bind unix:s <input &"));
    let terminal = Terminal::shell("status-tostop", &line);
    terminal.wait_for("$");
    // It serves, though it could not say yet where.
    let deadline = Instant::now() + DEADLINE;
    let mut client = loop {
        match UnixStream::connect(terminal.folder.join("s")) {
            Ok(client) => break client,
            Err(error) => assert!(Instant::now() < deadline, "{error}: {:#?}", terminal.rows(&[])),
        }
    };
    client.set_read_timeout(Some(DEADLINE)).expect("is valid");
    client.write_all(b"GET /events HTTP/1.0\r\n\r\n").expect("it takes a request");
    terminal.write("one\n");
    let mut got = String::new();
    while !got.contains("data: one\n") {
        let mut block = [0; 1000];
        let n = client.read(&mut block).unwrap_or_else(|error| panic!("{error} after {got:?}"));
        assert!(n > 0, "closed after {got:?}");
        got += std::str::from_utf8(&block[..n]).expect("is text");
    }
    terminal.assert_typed_text_stays("$ ", "precious");
    terminal.press(&["C-u"]);
    terminal.press(&["-l", "fg"]);
    terminal.press(&["Enter"]);
    terminal.wait_for("1 client · 1 event · 0/s");
    let rows = terminal.rows(&[]);
    assert!(rows.iter().any(|row| row == "sse-pipe: listening on unix:s"), "{rows:#?}");
}
