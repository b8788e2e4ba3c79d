//! `--open`: the page in the person's browser, here a script in its place.

use crate::support::client::DEADLINE;
use crate::support::linux;
use crate::support::program::{BINARY, Program};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

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
        let mut command = Command::new(BINARY);
        command.args(["--port", "0", "--open"]).args(args).env("PATH", &self.0);
        Program::start_command(command, Stdio::piped())
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
fn says_so_where_nothing_opens_it_and_goes_on() {
    for (test, script, why) in
        [("none", None, "nothing is known"), ("fails", Some("exit 3"), "xdg-open: exit status: 3")]
    {
        let folder = Folder::new(test, script);
        let mut program = folder.start(&[]);
        let line = program.wait_for("--open: ");
        assert!(line.contains(why) && line.contains("open the address yourself"), "{line:?}");
        program.write("one\n");
        assert_eq!(program.stream().data(1), ["one"]);
    }
}
