//! The real binary, started and watched. No port is guessed: it is started with `--port 0` and says which one it took.
//! Every wait is a read with a deadline. Every failure prints the command, the expectation and what arrived.

use super::client::{Client, DEADLINE};
use super::process::{lines_of, send_signal};
use rustix::io::ioctl_fionread;
use socket2::{Domain, Socket, Type};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_sse-pipe");

/// A running sse-pipe. It is killed when dropped.
pub struct Program {
    command: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stderr: Receiver<String>,
    /// All lines of standard error so far.
    pub told: Vec<String>,
    /// The port that it took; 0 where the first address is a Unix socket.
    pub port: u16,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub told: Vec<String>,
}

impl Ended {
    #[track_caller]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

impl Program {
    /// Starts `sse-pipe --port 0` with more arguments and waits until it listens.
    #[track_caller]
    pub fn start(args: &[&str]) -> Program {
        Program::start_with(args, Stdio::piped())
    }

    /// The same with a standard input of the test's choice.
    pub fn start_with(args: &[&str], stdin: Stdio) -> Program {
        let mut command = Command::new(BINARY);
        command.args(["--port", "0"]).args(args);
        Program::start_command(command, stdin)
    }

    /// Starts any command that becomes sse-pipe, and waits until it listens.
    #[track_caller]
    pub fn start_command(mut command: Command, stdin: Stdio) -> Program {
        let shown = format!("{command:?}");
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        let stdin = child.stdin.take();
        let stderr = lines_of(child.stderr.take().expect("is piped"));
        let mut program = Program { command: shown, child, stdin, stderr, told: Vec::new(), port: 0 };
        let line = program.wait_for("listening on ");
        if line.contains("http://") {
            let port = line.rsplit(':').next().and_then(|rest| rest.split('/').next()?.parse().ok());
            program.port = port.unwrap_or_else(|| panic!("{}: no port in {line:?}", program.command));
        }
        program
    }

    /// Its process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port)
    }

    /// Writes to its standard input.
    #[track_caller]
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("standard input is still open");
        if let Err(error) = stdin.write_all(bytes.as_ref()) {
            panic!("{}: cannot write: {error}", self.command);
        }
    }

    /// Its standard input, to be written by another thread.
    #[track_caller]
    pub fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("standard input is still open")
    }

    /// Its standard output.
    pub fn take_stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("standard output was not taken yet")
    }

    /// Ends its input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Waits until a line of standard error contains `text`, and returns it.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.stderr.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.told.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("{}: never said {text:?} ({error}); it said {:#?}", self.command, self.told),
            }
        }
    }

    /// Whether a line of standard error has contained `text` so far.
    pub fn has_told(&mut self, text: &str) -> bool {
        self.told.extend(self.stderr.try_iter());
        self.told.iter().any(|line| line.contains(text))
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        send_signal(name, self.pid());
    }

    /// A signal ends it and its producer at the same time, as Ctrl-C does: when it looks, both the end of its input and
    /// the signal are there.
    pub fn signal_with_producer(&mut self, name: &str) {
        self.signal("STOP");
        self.close_input();
        self.signal(name);
        self.signal("CONT");
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn end(self) -> Ended {
        self.end_within(DEADLINE)
    }

    /// Waits at most this long until it has ended by itself.
    pub fn end_within(mut self, time: Duration) -> Ended {
        if !self.has_ended_within(time) {
            panic!("{}: has not ended in {time:?}; it said {:#?}", self.command, self.told);
        }
        let status = self.child.wait().expect("it is our child");
        Ended { status, told: std::mem::take(&mut self.told) }
    }

    /// Waits at most this long until it, and what it has started, says no more: its standard error is closed then.
    pub fn has_ended_within(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            match self.stderr.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.told.push(line),
                Err(error) => return error == RecvTimeoutError::Disconnected,
            }
        }
    }

    /// Whether it still runs.
    #[track_caller]
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// A connection to it.
    pub fn connect(&self) -> TcpStream {
        let socket = match TcpStream::connect(self.address()) {
            Ok(socket) => socket,
            Err(error) => panic!("{}: {error}", self.command),
        };
        socket.set_read_timeout(Some(DEADLINE)).expect("is valid");
        socket.set_write_timeout(Some(DEADLINE)).expect("is valid");
        socket
    }

    /// A connection from `source`, any address of 127.0.0.0/8, for which the kernel keeps no more than about `bytes`:
    /// what is not read there is soon felt.
    #[track_caller]
    pub fn connect_from(&self, source: Ipv4Addr, bytes: usize) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(bytes).expect("is valid");
        socket.bind(&SocketAddr::from((source, 0)).into()).expect("all of 127.0.0.0/8 is ours");
        if let Err(error) = socket.connect(&self.address().into()) {
            panic!("{}: {error}", self.command);
        }
        let socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(DEADLINE)).expect("is valid");
        socket
    }

    /// Asks for `/events` and reads the head, which must be a 200.
    #[track_caller]
    pub fn stream(&self) -> Client {
        self.stream_with("/events", "")
    }

    /// Asks for `path` with more field lines and reads the head, which must be a 200.
    pub fn stream_with(&self, path: &str, fields: &str) -> Client {
        let client = self.get(path, fields);
        assert_eq!(client.status, 200, "{}: GET {path} {fields:?}: {client:?}", self.command);
        client
    }

    /// Asks for `path` and reads the head.
    pub fn get(&self, path: &str, fields: &str) -> Client {
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: localhost:{}\r\n{fields}\r\n", self.port))
    }

    /// Asks for `path` again and again until the answer has this status.
    #[track_caller]
    pub fn get_until(&self, path: &str, status: u16) -> Client {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let client = self.get(path, "");
            if client.status == status {
                return client;
            }
            assert!(Instant::now() < deadline, "{}: GET {path} is never {status}: {client:?}", self.command);
        }
    }

    /// Sends these very bytes and reads the head of the answer.
    #[track_caller]
    pub fn request(&self, request: &str) -> Client {
        let mut socket = self.connect();
        socket.write_all(request.as_bytes()).expect("it takes a request");
        Client::read_head(socket, request)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs sse-pipe with these arguments and this input to its end: exit status, standard output, standard error.
#[track_caller]
pub fn run(args: &[&str], input: impl Into<Stdio>) -> (Option<i32>, String, String) {
    let output = Command::new(BINARY).args(args).stdin(input).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Writes this and waits until it has been read, so that it is a batch of its own.
#[track_caller]
pub fn write_alone(stdin: &mut ChildStdin, bytes: &[u8]) {
    stdin.write_all(bytes).expect("it reads on");
    let start = Instant::now();
    while ioctl_fionread(&*stdin).expect("is a pipe") > 0 {
        assert!(start.elapsed() < DEADLINE, "it does not read");
        std::thread::yield_now();
    }
}
