//! What the tests share: the real binary, started and watched, and a raw client that checks every byte.
//!
//! No port is guessed: the program is started with `--port 0` and tells which one it took. No time is slept for:
//! what is waited for is read, with a deadline. Whatever fails prints the command, the expectation and what came.
#![allow(dead_code)] // each test file uses its part

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

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
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

impl Program {
    /// Starts `sse-pipe --port 0` with more arguments and waits until it listens.
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
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("standard input is still open");
        stdin.write_all(bytes.as_ref()).unwrap_or_else(|error| panic!("{}: cannot write: {error}", self.command));
    }

    /// Its standard input, to be written by another thread.
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

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot send {name}");
    }

    /// Waits until it has ended by itself.
    pub fn end(self) -> Ended {
        self.end_within(DEADLINE)
    }

    /// Waits at most so long until it has ended by itself.
    pub fn end_within(mut self, time: Duration) -> Ended {
        if !self.has_ended_within(time) {
            panic!("{}: has not ended in {time:?}; it said {:#?}", self.command, self.told);
        }
        let status = self.child.wait().expect("it is our child");
        Ended { status, told: std::mem::take(&mut self.told) }
    }

    /// Waits at most so long until it, and what it has started, says no more: its standard error is closed then.
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
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// A connection to it.
    pub fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address()).unwrap_or_else(|e| panic!("{}: {e}", self.command));
        socket.set_read_timeout(Some(DEADLINE)).expect("is valid");
        socket.set_write_timeout(Some(DEADLINE)).expect("is valid");
        socket
    }

    /// Asks for `/events` and reads the head, which must be a 200.
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
pub fn run(args: &[&str], input: impl Into<Stdio>) -> (Option<i32>, String, String) {
    let output = Command::new(BINARY).args(args).stdin(input).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The content of the first fenced block of this language.
pub fn fenced<'a>(markdown: &'a str, language: &str) -> &'a str {
    let start = format!("\n```{language}\n");
    let (_, block) = markdown.split_once(&start).unwrap_or_else(|| panic!("there is no block {language}"));
    let end = block.find("\n```").expect("a block ends");
    &block[..=end]
}

/// The processor time that it has used, in ticks of 10 ms.
pub fn ticks(program: &Program) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", program.pid())).expect("Linux tells");
    let fields: Vec<_> = stat.rsplit(") ").next().expect("has a name").split(' ').collect();
    fields[11].parse::<u64>().expect("is a number") + fields[12].parse::<u64>().expect("is a number")
}

/// A fresh folder for the files of one test.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder); // of an earlier run
    std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    folder
}

fn lines_of(stderr: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// One event as a browser dispatches it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub event: String,
    pub data: String,
    pub id: String,
}

/// A client that has its answer's head. It checks the chunked framing to the byte, and parses the event stream
/// plainly, as the standard has it (WHATWG HTML § 9.2.6, for streams whose lines end with LF).
pub struct Client {
    pub status: u16,
    pub head: String,
    socket: TcpStream,
    /// Bytes that were read and not used yet.
    raw: Vec<u8>,
    chunked: bool,
    /// The content of each chunk so far that was not taken yet.
    chunks: VecDeque<Vec<u8>>,
    /// Content whose last line is not complete.
    text: String,
    pending: Event,
    has_data: bool,
    last_id: String,
    pub comments: Vec<String>,
    pub retry: Option<u64>,
    ended: Option<End>,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With the last-chunk, or with the close where there are no chunks.
    Proper,
    /// In the middle.
    Cut,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} and then {:?}", self.head, String::from_utf8_lossy(&self.raw))
    }
}

impl Client {
    /// Reads the head of an answer.
    pub fn read_head(mut socket: TcpStream, request: &str) -> Client {
        let mut raw = Vec::new();
        let mut block = [0; 4096];
        let end = loop {
            if let Some(at) = raw.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            match socket.read(&mut block) {
                Ok(0) => panic!("{request:?}: the connection was closed after {:?}", String::from_utf8_lossy(&raw)),
                Ok(n) => raw.extend_from_slice(&block[..n]),
                Err(error) => panic!("{request:?}: {error} after {:?}", String::from_utf8_lossy(&raw)),
            }
        };
        let head = String::from_utf8(raw.drain(..end).collect()).expect("a head is text");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let chunked = head.to_ascii_lowercase().contains("\r\ntransfer-encoding: chunked\r\n");
        Client {
            status: status.unwrap_or_else(|| panic!("no status in {head:?}")),
            head,
            socket,
            raw,
            chunked,
            chunks: VecDeque::new(),
            text: String::new(),
            pending: Event::default(),
            has_data: false,
            last_id: String::new(),
            comments: Vec::new(),
            retry: None,
            ended: None,
        }
    }

    /// The value of a field of the head; values of several lines joined by commas.
    pub fn field(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let values: Vec<_> = lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The content of the next chunk (or, without chunks, of the next read); `None` at the end.
    pub fn next_chunk(&mut self) -> Option<Vec<u8>> {
        self.next_chunk_within(DEADLINE).unwrap_or_else(|| panic!("nothing came in {DEADLINE:?}: {self:?}"))
    }

    /// The same, or outer `None` when nothing has come within this time.
    pub fn next_chunk_within(&mut self, time: Duration) -> Option<Option<Vec<u8>>> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(chunk) = self.chunks.pop_front() {
                return Some(Some(chunk));
            }
            if self.ended.is_some() {
                return Some(None);
            }
            self.take_chunks();
            if !self.chunks.is_empty() || self.ended.is_some() {
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.socket.set_read_timeout(Some(left)).expect("is not zero");
            let mut block = [0; 64 * 1024];
            match self.socket.read(&mut block) {
                Ok(0) => self.ended = Some(if self.chunked || !self.raw.is_empty() { End::Cut } else { End::Proper }),
                Ok(n) => self.raw.extend_from_slice(&block[..n]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.ended = Some(End::Cut),
                Err(error) => panic!("{error}: {self:?}"),
            }
        }
    }

    fn take_chunks(&mut self) {
        if !self.chunked {
            if !self.raw.is_empty() {
                self.chunks.push_back(std::mem::take(&mut self.raw));
            }
            return;
        }
        let mut used = 0;
        loop {
            let rest = &self.raw[used..];
            let Some(cr) = rest.iter().position(|&byte| byte == b'\r') else { break };
            let size = std::str::from_utf8(&rest[..cr]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
            let size = size.unwrap_or_else(|| panic!("no chunk-size: {:?}", String::from_utf8_lossy(&rest[..cr])));
            if rest.len() < cr + 2 + size + 2 {
                break;
            }
            assert_eq!(&rest[cr..cr + 2], b"\r\n", "after the chunk-size");
            assert_eq!(&rest[cr + 2 + size..cr + 4 + size], b"\r\n", "after the chunk-data");
            used += cr + 4 + size;
            if size == 0 {
                assert_eq!(used, self.raw.len(), "nothing comes after the last-chunk");
                self.ended = Some(End::Proper);
                break;
            }
            self.chunks.push_back(rest[cr + 2..cr + 2 + size].to_vec());
        }
        self.raw.drain(..used);
    }

    /// The next event; `None` at the end.
    pub fn next_event(&mut self) -> Option<Event> {
        let next = self.next_event_within(DEADLINE);
        assert!(next.is_some() || self.ended.is_some(), "nothing came in {DEADLINE:?}: {self:?}");
        next
    }

    /// The same; also `None` when a part of it has not come within this time after the part before.
    pub fn next_event_within(&mut self, time: Duration) -> Option<Event> {
        loop {
            while let Some(at) = self.text.find('\n') {
                let line: String = self.text.drain(..=at).collect();
                if let Some(event) = self.line(&line[..line.len() - 1]) {
                    return Some(event);
                }
            }
            let chunk = self.next_chunk_within(time)??;
            self.text.push_str(std::str::from_utf8(&chunk).expect("an event stream is UTF-8"));
        }
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.pending);
            if std::mem::take(&mut self.has_data) {
                let data = event.data.strip_suffix('\n').expect("each data line ends with one").to_owned();
                return Some(Event { data, id: self.last_id.clone(), ..event });
            }
            return None;
        }
        if let Some(comment) = line.strip_prefix(':') {
            self.comments.push(comment.strip_prefix(' ').unwrap_or(comment).to_owned());
            return None;
        }
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no space after the colon: {line:?}"));
        match name {
            "data" => {
                self.has_data = true;
                self.pending.data += value;
                self.pending.data.push('\n');
            }
            "event" => self.pending.event = value.to_owned(),
            "id" => self.last_id = value.to_owned(),
            "retry" => self.retry = Some(value.parse().expect("retry is a number")),
            _ => panic!("an unknown field: {line:?}"),
        }
        None
    }

    /// The data of the next `n` events.
    pub fn data(&mut self, n: usize) -> Vec<String> {
        (0..n).map(|_| self.next_event().unwrap_or_else(|| panic!("the stream ended: {self:?}")).data).collect()
    }

    /// Everything to the end: the data of all events, and how it ended. Our side is closed then, as clients do.
    pub fn rest(&mut self) -> (Vec<String>, End) {
        let mut all = Vec::new();
        while let Some(event) = self.next_event() {
            all.push(event.data);
        }
        let _ = self.socket.shutdown(std::net::Shutdown::Both); // fails where the peer was faster
        (all, self.ended.expect("there is no more"))
    }

    /// The whole content of a short answer.
    pub fn content(&mut self) -> String {
        let mut all = Vec::new();
        while let Some(chunk) = self.next_chunk() {
            all.extend(chunk);
        }
        String::from_utf8(all).expect("is text")
    }

    /// The last ID that came.
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// The socket, to be treated badly.
    pub fn into_socket(self) -> TcpStream {
        self.socket
    }

    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }
}
