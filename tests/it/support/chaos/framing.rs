//! An answer, split as it arrives: head, chunks (RFC 9112 § 7.1), and blocks of the event stream. A block is a comment
//! line, the line `retry`, or the fields up to a blank line.

use super::script::shown;
use memchr::memmem;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
}

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// The head of a stream.
    Stream,
    /// The head of 204.
    NoContent,
    Block(Vec<u8>),
    /// The last-chunk.
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    /// The first chunk has several blocks, each other has one.
    FirstChunk,
    Chunk,
    Over,
}

/// An answer, as far as it has come.
pub struct Answer {
    version: Version,
    place: Place,
    bytes: Vec<u8>,
    used: usize,
    /// Blocks of the first chunk.
    waiting: Vec<Vec<u8>>,
}

impl Answer {
    pub fn new(version: Version) -> Answer {
        Answer { version, place: Place::Head, bytes: Vec::new(), used: 0, waiting: Vec::new() }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.used);
        self.used = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether the head has come.
    pub fn has_head(&self) -> bool {
        self.place != Place::Head
    }

    /// What has come of the next block, and is not complete.
    pub fn rest(&self) -> &[u8] {
        let rest = &self.bytes[self.used..];
        match (self.version, self.place) {
            (_, Place::Head | Place::FirstChunk | Place::Over) => b"",
            (Version::Http10, Place::Chunk) => rest,
            (Version::Http11, Place::Chunk) => memmem::find(rest, b"\r\n").map_or(b"", |end| {
                let content = &rest[end + 2..];
                content.strip_suffix(b"\r").unwrap_or(content) // of the CRLF after it, or it is never compared
            }),
        }
    }

    /// The next part, once it is complete.
    pub fn next(&mut self) -> Result<Option<Part>, String> {
        if !self.waiting.is_empty() {
            return Ok(Some(Part::Block(self.waiting.remove(0))));
        }
        let rest = &self.bytes[self.used..];
        match (self.place, self.version) {
            (Place::Head, _) => self.head(),
            (Place::Over, _) if rest.is_empty() => Ok(None),
            (Place::Over, _) => Err(format!("bytes after the end: {}", shown(rest))),
            (_, Version::Http10) => {
                let Some(len) = block(rest) else { return Ok(None) };
                let block = rest[..len].to_vec();
                self.used += len;
                self.place = Place::Chunk;
                Ok(Some(Part::Block(block)))
            }
            (_, Version::Http11) => self.chunk(),
        }
    }

    fn head(&mut self) -> Result<Option<Part>, String> {
        let Some(end) = memmem::find(&self.bytes, b"\r\n\r\n") else { return Ok(None) };
        let head = String::from_utf8_lossy(&self.bytes[..end + 2]).into_owned();
        self.used = end + 4;
        let chunked = head.contains("\r\nTransfer-Encoding: chunked\r\n");
        let is_stream = head.contains("\r\nContent-Type: text/event-stream\r\n");
        match head.split_once("\r\n").map(|(status, _)| status) {
            Some("HTTP/1.1 200 OK") if is_stream && chunked == (self.version == Version::Http11) => {
                self.place = Place::FirstChunk;
                Ok(Some(Part::Stream))
            }
            Some("HTTP/1.1 204 No Content") if !chunked => {
                self.place = Place::Over;
                Ok(Some(Part::NoContent))
            }
            _ => Err(format!("an unexpected head: {head:?}")),
        }
    }

    fn chunk(&mut self) -> Result<Option<Part>, String> {
        let rest = &self.bytes[self.used..];
        let Some(end) = memmem::find(rest, b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size) = size else { return Err(format!("a chunk-size that is none: {}", shown(&rest[..end]))) };
        let start = end + 2;
        let Some(crlf) = rest.get(start + size..start + size + 2) else { return Ok(None) };
        if crlf != b"\r\n" {
            return Err(format!("a chunk of {size} bytes with {} after it: {}", shown(crlf), shown(&rest[start..])));
        }
        let mut chunk = &rest[start..start + size];
        self.used += start + size + 2;
        if size == 0 {
            self.place = Place::Over;
            return Ok(Some(Part::Last));
        }
        let whole = chunk;
        while let Some(len) = block(chunk) {
            self.waiting.push(chunk[..len].to_vec());
            chunk = &chunk[len..];
        }
        let is_first = std::mem::replace(&mut self.place, Place::Chunk) == Place::FirstChunk;
        if !chunk.is_empty() || (self.waiting.len() > 1 && !is_first) {
            return Err(format!("a chunk that is not one whole event or comment: {}", shown(whole)));
        }
        self.next()
    }
}

/// How long the block is at the beginning of `text`, if it is complete.
fn block(text: &[u8]) -> Option<usize> {
    let is_line = text.starts_with(b":") || text.starts_with(b"retry: ");
    let end: &[u8] = if is_line { b"\n" } else { b"\n\n" };
    Some(memmem::find(text, end)? + end.len())
}
