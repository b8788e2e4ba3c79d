//! The scripts of the folder `examples`, run as a person would run them.

use super::files::at;
use super::program::{BINARY, Program};
use std::ops::{Deref, DerefMut};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long an example may take to clear up.
const GRACE: Duration = Duration::from_secs(10);

/// A script of the folder `examples`, that finds sse-pipe and Python's libraries. With all that it has started it is
/// ended when dropped.
pub struct Example(Program);

impl Example {
    /// Starts it, and waits until its sse-pipe listens. `script` may have pipes.
    #[track_caller]
    pub fn start(script: &str, environment: &[(&str, &str)]) -> Example {
        let binaries = Path::new(BINARY).parent().expect("is in a folder");
        Example::start_in(&at(""), binaries, script, environment)
    }

    /// The same in this folder, where the programs of `first` are found before all others.
    #[track_caller]
    pub fn start_in(folder: &Path, first: &Path, script: &str, environment: &[(&str, &str)]) -> Example {
        let mut path = Vec::from([first.to_owned(), at("target/test-python/bin"), at("examples")]);
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let mut command = Command::new("sh");
        command.current_dir(folder);
        command.args(["-c", script]).envs(environment.iter().copied()).process_group(0);
        command.env("PATH", std::env::join_paths(path).expect("has no colons"));
        Example(Program::start_command(command, Stdio::null()))
    }

    /// Ends all of it at once, with no chance to clear up.
    pub fn kill(self) {
        self.send("KILL");
    }

    fn send(&self, signal: &str) {
        // Its group's number is that of the shell, which is still ours: no other can have it.
        let group = format!("-{}", self.pid());
        let _ = Command::new("kill").args(["-s", signal, "--", &group]).stderr(Stdio::null()).status();
    }
}

impl Deref for Example {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.0
    }
}

impl DerefMut for Example {
    fn deref_mut(&mut self) -> &mut Program {
        &mut self.0
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.send("CONT"); // what a test has stopped cannot end, and would bring a SIGHUP on the others
        self.send("TERM");
        self.has_ended_within(GRACE);
        self.send("KILL");
    }
}
