//! Programs of others that a test starts: curl, node, python. Each has a deadline, and none outlives its test.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::spawn;
use std::time::{Duration, Instant};

/// What to do if something is missing that the tests need.
pub const INSTALL: &str = "run tests/run, which installs what the tests need";
/// A program that was asked to end is killed after this.
const GRACE: Duration = Duration::from_secs(10);

/// A running program. It gets SIGTERM when dropped.
pub struct Process {
    shown: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    told: Vec<String>,
    deadline: Instant,
}

/// What a program has left.
#[derive(Debug)]
pub struct Finished {
    pub command: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub told: Vec<String>,
}

impl Process {
    /// Starts `command`, which must have ended after this time.
    #[track_caller]
    pub fn start(mut command: Command, time: Duration) -> Process {
        command.stdin(Stdio::null());
        Process::spawn(command, time)
    }

    /// Starts a `command` that does what lines of its standard input [ask](Self::ask) for. It is expected to end with us.
    #[track_caller]
    pub fn serve(mut command: Command) -> Process {
        command.stdin(Stdio::piped());
        Process::spawn(command, Duration::ZERO)
    }

    #[track_caller]
    fn spawn(mut command: Command, time: Duration) -> Process {
        let shown = format!("{command:?}");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound => panic!("{shown}: {error}; {INSTALL}"),
            _ => panic!("{shown}: {error}"),
        });
        let (mut out, err) = (child.stdout.take().expect("is piped"), child.stderr.take().expect("is piped"));
        let (whole, stdout) = channel();
        spawn(move || {
            let mut bytes = Vec::new();
            let _ = out.read_to_end(&mut bytes);
            let _ = whole.send(String::from_utf8_lossy(&bytes).into_owned());
        });
        let (stdin, stderr) = (child.stdin.take(), lines_of(err));
        Process { shown, child, stdin, stdout, stderr, told: Vec::new(), deadline: Instant::now() + time }
    }

    /// Writes a line to its standard input; what that asks for must be done after this time.
    #[track_caller]
    pub fn ask(&mut self, line: &str, time: Duration) {
        self.told.clear();
        self.deadline = Instant::now() + time;
        let written = self.stdin.as_mut().expect("it is piped").write_all(format!("{line}\n").as_bytes());
        if let Err(error) = written {
            let said = self.output();
            panic!("{}: cannot be asked: {error}; it said {said:?} and {:#?}", self.shown, self.told);
        }
    }

    /// Waits until a line of its standard error is `text`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        if self.says(|line| line == text).is_none() {
            let said = self.output();
            panic!("{}: ended and never said {text:?}; it said {said:?} and {:#?}", self.shown, self.told);
        }
    }

    /// Waits until it says such a line on its standard error; `None` where it ended before.
    #[track_caller]
    pub fn says(&mut self, such: impl Fn(&str) -> bool) -> Option<String> {
        loop {
            match self.stderr.recv_timeout(self.left()) {
                Ok(line) if such(&line) => return Some(line),
                Ok(line) => self.told.push(line),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    let said = self.output();
                    panic!("{}: has not said it in time; it said {said:?} and {:#?}", self.shown, self.told);
                }
            }
        }
    }

    /// What it said on its standard error before what was waited for.
    pub fn told(&self) -> &[String] {
        &self.told
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        send_signal(name, self.child.id());
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn finish(mut self) -> Finished {
        let stdout = self.stdout.recv_timeout(self.left());
        let in_time = stdout.is_ok();
        let stdout = stdout.unwrap_or_else(|_| self.output());
        self.told.extend(self.stderr.iter());
        let (command, told) = (self.shown.clone(), std::mem::take(&mut self.told));
        assert!(in_time, "{command}: has not ended in time; it said {stdout:?} and {told:#?}");
        let code = self.child.wait().expect("it is our child").code();
        Finished { command, code, stdout, told }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Ends it, and returns all of its standard output.
    fn output(&mut self) -> String {
        self.end();
        self.stdout.recv_timeout(GRACE).unwrap_or_default()
    }

    fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        // Its standard error closes when it has ended, and has cleaned up.
        let deadline = Instant::now() + GRACE;
        while let Ok(line) = self.stderr.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.told.push(line);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Its lines as they come.
pub fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    spawn(move || BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    receiver
}

/// Sends a signal to a process.
#[track_caller]
pub fn send_signal(name: &str, pid: u32) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "cannot send {name} to {pid}");
}
