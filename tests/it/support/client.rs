//! A raw client of an event stream. It checks the chunked framing to the byte, and parses the stream plainly, as the
//! standard describes it.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

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
    #[track_caller]
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
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
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
        match self.next_chunk_within(DEADLINE) {
            Some(chunk) => chunk,
            None => panic!("nothing came in {DEADLINE:?}: {self:?}"),
        }
    }

    /// The same, or outer `None` when nothing has come within this time.
    #[track_caller]
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
                Err(error) if error.kind() == ErrorKind::Interrupted => {} // the tests' own process was stopped
                Err(error) => panic!("{error}: {self:?}"),
            }
        }
    }

    #[track_caller]
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
    #[track_caller]
    pub fn next_event(&mut self) -> Option<Event> {
        let next = self.next_event_within(DEADLINE);
        assert!(next.is_some() || self.ended.is_some(), "nothing came in {DEADLINE:?}: {self:?}");
        next
    }

    /// The same; also `None` when a part of it has not come within this time after the part before. A heartbeat is no
    /// part of it.
    #[track_caller]
    pub fn next_event_within(&mut self, time: Duration) -> Option<Event> {
        let mut deadline = Instant::now() + time;
        loop {
            while let Some(at) = self.text.find('\n') {
                let line: String = self.text.drain(..=at).collect();
                if let Some(event) = self.line(&line[..line.len() - 1]) {
                    return Some(event);
                }
            }
            let chunk = self.next_chunk_within(deadline.saturating_duration_since(Instant::now()))??;
            if chunk.iter().any(|byte| !b":\n".contains(byte)) {
                deadline = Instant::now() + time;
            }
            self.text.push_str(std::str::from_utf8(&chunk).expect("an event stream is UTF-8"));
        }
    }

    #[track_caller]
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
        let mut all = Vec::with_capacity(n);
        while all.len() < n {
            match self.next_event() {
                Some(event) => all.push(event.data),
                None => panic!("the stream ended after {} of {n} events: {self:?}", all.len()),
            }
        }
        all
    }

    /// Everything to the end: the data of all events, and how it ended. Our side is closed then, as clients do.
    #[track_caller]
    pub fn rest(&mut self) -> (Vec<String>, End) {
        let mut all = Vec::new();
        while let Some(event) = self.next_event() {
            all.push(event.data);
        }
        let _ = self.socket.shutdown(std::net::Shutdown::Both); // fails where the peer was faster
        (all, self.ended.expect("there is no more"))
    }

    /// The whole content of a short answer.
    #[track_caller]
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
}
