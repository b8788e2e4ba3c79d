//! A client as its worker has it: the socket, the connection, and how bytes get from the log to the socket.

use super::drain::Returns;
use super::files::Visit;
use super::socket::{Peer, Socket};
use crate::http::connection::{Connection, MAX_SLICES};
use crate::log::Log;
use rustix::io::Errno;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// One client is given at most this much in one turn, so one that is far behind doesn't hold up the others.
const WRITE_BUDGET: usize = 4 << 20;
/// And at most this many writes in one turn: a client that asked for times gets little with each.
const MOST_WRITES: u32 = 64;

/// How soon a client that does not take everything at once is looked at again, even if the kernel does not report that its
/// socket has room.
pub fn until_look(stall: Duration) -> Duration {
    (stall / 3).min(Duration::from_secs(1))
}

/// One client.
pub struct Client {
    pub(super) socket: Socket,
    pub(super) connection: Connection,
    /// Its address; known only if it will be reported.
    pub(super) peer: Option<Box<Peer>>,
    /// The socket took everything that it was given so far.
    pub(super) writable: bool,
    /// How many bytes the kernel still has to send, at least, if it has sent nothing since the last look. Set while the
    /// client is watched: everything was written to its socket, and the kernel could not send that at once.
    unsent: Option<NonZeroU32>,
    /// Whether it is on the ready list.
    pub(super) queued: bool,
    /// Whether the program must wait for it at the end.
    pub(super) owed: bool,
    /// Whether it gets a short answer, and so doesn't count for `--max-clients`.
    pub(super) short: bool,
    /// Set while it has a stream.
    pub(super) stream: Option<Returns>,
    /// Set while it waits for a file, or is sent one.
    pub(super) visit: Option<Box<Visit>>,
}

impl Client {
    /// A client that has just connected and not sent a request yet.
    pub(super) fn new(socket: Socket, connection: Connection, peer: Option<Box<Peer>>) -> Client {
        let (writable, unsent, queued, owed, short, stream, visit) = (true, None, false, false, false, None, None);
        Client { socket, connection, peer, writable, unsent, queued, owed, short, stream, visit }
    }

    /// The piece of its file that it needs now: none before the socket has room, because what it can't take would be
    /// read in vain.
    pub(super) fn poll_content(&mut self, now: Instant) -> Option<(u64, usize)> {
        if self.visit.is_none() || !self.writable {
            return None;
        }
        self.writable = self.socket.has_room();
        if self.writable { self.connection.poll_content(now) } else { None }
    }

    /// When it must be checked, if nothing happens before.
    pub(super) fn due(&self, stall: Duration, now: Instant) -> Option<Instant> {
        let deadline = self.connection.poll_deadline()?;
        let is_slow = !self.writable || self.unsent.is_some();
        Some(if is_slow { deadline.min(now + until_look(stall)) } else { deadline })
    }

    /// There was no event for a while: the client gets a heartbeat if it has everything.
    ///
    /// If the kernel still has something to send, the client is slow or gone, and is watched instead.
    pub(super) fn beat(&mut self, log: &Log, stall: Duration, now: Instant) {
        if self.unsent.is_some() || !self.waits_for_more(log) {
            return;
        }
        self.watch();
        match self.unsent {
            None => self.connection.handle_silence(log),
            Some(_) => self.connection.handle_sending(stall, now),
        }
    }

    /// Whether the kernel has sent everything. If not, a writable edge follows when it has, and the client is watched.
    pub(super) fn has_sent_all(&mut self) -> bool {
        let has_sent_all = self.socket.has_sent_all();
        if has_sent_all || self.unsent.is_some() {
            return has_sent_all;
        }
        self.watch();
        self.socket.has_sent_all()
    }

    fn watch(&mut self) {
        self.unsent = self.socket.unsent(None).and_then(NonZeroU32::new);
    }

    /// Looks whether the kernel has sent something to a client that is watched: then the client has its whole time again.
    pub(super) fn look(&mut self, stall: Duration, now: Instant) {
        let Some(before) = self.unsent else { return };
        let Some(unsent) = self.socket.unsent(Some(before)) else { return };
        self.unsent = NonZeroU32::new(unsent);
        if unsent < before.get() {
            self.connection.handle_sending(stall, now);
        }
        if unsent == 0 {
            self.connection.handle_sent();
        }
    }

    /// Writes what is pending, as far as the socket and the budget allow. Returns how many bytes were written.
    pub(super) fn write(&mut self, log: &mut Log, stall: Duration, now: Instant) -> usize {
        let (mut all, mut writes) = (0, 0);
        while self.writable && self.connection.poll_closed().is_none() {
            let Some((asked, result)) = self.write_once(log) else { return all };
            match result {
                Ok(written) => {
                    all += written;
                    self.connection.handle_written(written, log, stall, now);
                    // A full socket is not watched: whether it takes more says enough.
                    let unsent = self.unsent.filter(|_| !self.connection.has_pending(log));
                    self.unsent = unsent.map(|unsent| unsent.saturating_add(written as u32));
                    self.writable = written == asked;
                    writes += 1;
                    if all >= WRITE_BUDGET / 2 || writes == MOST_WRITES {
                        break; // enough for this turn; the ready list has it again
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::OutOfMemory) => {
                    self.connection.handle_written(0, log, stall, now);
                    self.unsent = None;
                    self.writable = false;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.connection.handle_error(),
            }
        }
        all
    }

    /// Writes some of what is pending with one system call. Returns how many bytes were offered, and the result.
    /// `None`: nothing is pending.
    fn write_once(&mut self, log: &mut Log) -> Option<(usize, io::Result<usize>)> {
        if let Some(slice) = self.connection.poll_latest(log) {
            return (!slice.is_empty()).then(|| (slice.len(), self.socket.write(slice)));
        }
        if let Some((cursor, index)) = self.connection.poll_prepare(log) {
            log.prepare(cursor, index);
        }
        self.connection.stage_gap(log);
        self.connection.stage_time(log);
        if let Some(range) = self.connection.poll_segment(log, WRITE_BUDGET) {
            match self.socket.send_file(range.segment.file(), range.position, range.len) {
                // A file of a store may have become shorter, or the disk may fail: what is there is lost from now on.
                Some(result)
                    if may_be_the_file(&result)
                        && self.connection.cursor().is_some_and(|cursor| log.cannot_read(cursor)) =>
                {
                    return Some((0, Err(ErrorKind::Interrupted.into())));
                }
                // The bytes can be read all the same.
                Some(Err(error)) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => log.refuse_files(),
                Some(result) => return Some((range.len, result)),
                None => log.refuse_files(),
            }
        }
        if let Some(cursor) = self.connection.poll_load(log)
            && let Err(error) = log.load(cursor)
        {
            return Some((0, Err(error)));
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let count = self.connection.poll_write(log, &mut slices, WRITE_BUDGET);
        let asked = slices[..count].iter().map(|slice| slice.len()).sum();
        (count > 0).then(|| (asked, self.socket.write_vectored(&slices[..count])))
    }

    /// Whether it is a stream that has everything, so there is nothing to do until there is more.
    pub(super) fn waits_for_more(&self, log: &Log) -> bool {
        self.writable && self.connection.cursor() == Some(log.end_offset()) && !self.connection.has_pending(log)
    }
}

/// Whether sending from a file that can't be read may have caused this error.
fn may_be_the_file(result: &io::Result<usize>) -> bool {
    use ErrorKind::*;
    match result {
        Ok(sent) => *sent == 0,
        Err(error) => !matches!(
            error.kind(),
            WouldBlock | Interrupted | OutOfMemory | BrokenPipe | ConnectionReset | NotConnected
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_client_that_has_nothing_special_is_small() {
        let size = std::mem::size_of::<Client>();
        assert!(size <= 144, "{size} bytes, of which {} are the connection's", std::mem::size_of::<Connection>());
    }
}
