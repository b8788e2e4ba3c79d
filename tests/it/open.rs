//! `--open`: the page in the person's browser, here a script in its place.

use crate::support::browser::Browser::{self, Chromium, Firefox};
use crate::support::browser::{self, report};
use crate::support::client::DEADLINE;
use crate::support::linux;
use crate::support::places::busy;
use crate::support::program::{BINARY, Program};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const TOKEN: &str = "s3cret";
/// The script of a browser that records how it was started.
const TELLS: &str = "echo \"$@\" >opened; ulimit -S -n >files; echo ${SSE_PIPE_TOKEN-none} >token";

/// A folder for a test's own `xdg-open`, the only program in its PATH. Gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str, script: Option<&str>) -> Folder {
        let folder = Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("open-{test}-{}", std::process::id())));
        std::fs::create_dir_all(&folder.0).expect("it can be made");
        if let Some(script) = script {
            let path = folder.0.join("xdg-open");
            std::fs::write(&path, format!("#!/bin/sh\ncd '{}'\n{script}\n", folder.0.display())).expect("is written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("is ours");
        }
        folder
    }

    fn start(&self, args: &[&str]) -> Program {
        self.start_command(Command::new(BINARY), args)
    }

    /// The same by a command that becomes sse-pipe.
    fn start_command(&self, mut command: Command, args: &[&str]) -> Program {
        command.args(["--port", "0", "--open"]).args(args);
        command.env("PATH", &self.0).env("XDG_RUNTIME_DIR", &self.0);
        Program::start_command(command, Stdio::piped())
    }

    /// sse-pipe with a token, and the file that its browser was to open.
    fn start_with_token(&self) -> (Program, PathBuf) {
        let mut command = Command::new(BINARY);
        command.env("SSE_PIPE_TOKEN", TOKEN);
        let program = self.start_command(command, &[]);
        let opened = PathBuf::from(self.wait_for("opened").trim_end());
        (program, opened)
    }

    /// What the script has written, once it has.
    #[track_caller]
    fn wait_for(&self, name: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            match std::fs::read_to_string(self.0.join(name)) {
                Ok(text) if text.ends_with('\n') => return text,
                _ => std::thread::yield_now(),
            }
        }
        panic!("{name} was not written in {DEADLINE:?}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn opens_the_page_and_leaves_no_zombie() {
    let folder = Folder::new("page", Some("echo \"$@\" >opened"));
    let program = folder.start(&[]);
    assert_eq!(folder.wait_for("opened"), format!("{}\n", program.url("/")));
    let deadline = Instant::now() + DEADLINE;
    while !linux::children(program.pid()).is_empty() {
        assert!(Instant::now() < deadline, "a child was not waited for");
        std::thread::yield_now();
    }
}

#[test]
fn goes_to_this_machine_where_it_listens_on_every_address() {
    let folder = Folder::new("every", Some("echo \"$@\" >opened"));
    let program = folder.start(&["--bind", "0.0.0.0"]);
    assert_eq!(folder.wait_for("opened"), format!("{}\n", program.url("/")));
}

#[test]
fn a_browser_that_stays_holds_nothing_up_and_is_out_of_reach_of_ctrl_c() {
    // It waits until the test has written to the fifo, as a browser that runs in the foreground would.
    let script = "/usr/bin/mkfifo go; read -r _ _ _ _ group _ </proc/$$/stat; echo $$ $group >opened; read -r _ <go; echo survived >after";
    let folder = Folder::new("stays", Some(script));
    let mut program = folder.start(&[]);
    let told = folder.wait_for("opened");
    let (pid, group) = told.trim().split_once(' ').expect("two numbers");
    assert_eq!(pid, group, "Ctrl-C is for the pipe's group");
    program.write("one\n");
    let mut client = program.stream();
    assert_eq!(client.data(1), ["one"]);
    program.signal("INT");
    client.rest();
    let ended = program.end();
    assert_eq!(ended.code(), None, "it died of the signal: {:#?}", ended.told);
    std::fs::write(folder.0.join("go"), "\n").expect("the script reads it");
    folder.wait_for("after");
}

#[test]
fn says_so_if_nothing_opens_it_and_continues() {
    for (test, script, why) in
        [("none", None, "found no program"), ("fails", Some("exit 3"), "xdg-open: exit status: 3")]
    {
        let folder = Folder::new(test, script);
        let mut program = folder.start(&[]);
        let line = program.wait_for("--open: ");
        assert!(line.contains(why) && line.contains("open the address yourself"), "{line:?}");
        program.write("one\n");
        assert_eq!(program.stream().data(1), ["one"]);
    }
}

#[test]
fn the_token_reaches_the_browser_by_a_file_that_only_its_person_can_read() {
    let folder = Folder::new("token", Some(TELLS));
    let (program, opened) = folder.start_with_token();
    assert!(!opened.to_string_lossy().contains(TOKEN), "everybody can read arguments: {opened:?}");
    assert_eq!(folder.wait_for("token"), "none\n", "nor is it in the environment");
    assert_eq!(opened.parent(), Some(folder.0.as_path()), "XDG_RUNTIME_DIR");
    let mode = std::fs::metadata(&opened).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let page = std::fs::read_to_string(&opened).expect("is ours");
    assert!(page.contains(&format!("url={}\"", program.url(&format!("/?access_token={TOKEN}")))), "{page}");
    program.signal("TERM");
    program.end();
    assert!(!opened.exists(), "it is gone");
}

fn the_file_leads_to_the_page(browser: Browser) {
    let _place = busy();
    let folder = Folder::new(&format!("leads-{browser:?}"), Some(TELLS));
    let (mut program, opened) = folder.start_with_token();
    program.write("one\n");
    let url = format!("file://{}", opened.display());
    let there = "location.pathname.startsWith('/access_token=') && ssePipe.items.length === 1";
    report(browser::open(browser, &url, &[there]));
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn the_file_leads_chromium_to_the_page() {
    the_file_leads_to_the_page(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn the_file_leads_firefox_to_the_page() {
    the_file_leads_to_the_page(Firefox);
}

#[test]
fn a_browser_that_does_not_come_is_reported_and_the_file_for_it_removed() {
    let folder = Folder::new("nobody", Some(TELLS));
    let (mut program, opened) = folder.start_with_token();
    let line = program.wait_for("--open: ");
    assert!(line.contains("no client has connected yet") && line.contains("open the address yourself"), "{line}");
    assert!(!opened.exists());
    program.write("one\n");
    assert_eq!(program.stream_with("/events", &format!("Authorization: Bearer {TOKEN}\r\n")).data(1), ["one"]);
}

#[test]
fn a_file_that_cannot_be_made_is_reported_and_nothing_is_opened() {
    let folder = Folder::new("nowhere", Some(TELLS));
    let mut command = Command::new("/bin/sh");
    let nowhere = folder.0.join("nowhere");
    command.args(["-c", "TMPDIR=$1 XDG_RUNTIME_DIR=$1; export TMPDIR XDG_RUNTIME_DIR; shift; exec \"$0\" \"$@\""]);
    command.args([BINARY.as_ref(), nowhere.as_os_str()]).env("SSE_PIPE_TOKEN", TOKEN);
    let mut program = folder.start_command(command, &[]);
    let line = program.wait_for("--open: ");
    assert!(line.contains("No such file") && line.contains("open the address yourself"), "{line}");
    program.write("one\n");
    assert_eq!(program.stream_with("/events", &format!("Authorization: Bearer {TOKEN}\r\n")).data(1), ["one"]);
    assert!(!folder.0.join("opened").exists());
}

#[test]
fn the_browser_has_the_limit_on_open_files_that_we_had() {
    let folder = Folder::new("files", Some(TELLS));
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -S -n 333; exec \"$0\" \"$@\"", BINARY]);
    let _program = folder.start_command(command, &[]);
    assert_eq!(folder.wait_for("files"), "333\n");
}
