//! Sockets of both kinds, TCP and Unix: listeners, sockets of clients, and a client's address.

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::SockRef;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The kernel holds at most this many unsent bytes for a client: the rest waits in the log, which all clients share.
/// Without a bound, it would hold megabytes for each client and, with thousands of them, use all its memory for
/// sockets. Half of this costs a tenth of the speed with 10,000 clients; twice as much gains 1 %.
pub const UNSENT: u32 = 256 << 10;
/// What the kernel takes at once may go beyond its bound, but not by so much.
const MOST_UNSENT: u32 = 4 * UNSENT;
/// How exact [`Socket::unsent`] is, in bytes.
const BLOCK: u32 = 4 << 10;

/// A listening socket.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// A client's socket.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An address and port.
    Tcp(SocketAddr),
    /// The Unix socket; clients there have no address.
    Unix,
}

/// What a failed `accept` means for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptFailure {
    /// No client waits.
    NobodyWaits,
    /// The next client is gone, or its network is: the one after it may be fine.
    OneClient,
    /// No more files can be opened, by us or perhaps by any program on the machine.
    OutOfFiles,
    /// The same would happen again at once: no memory, a firewall, or something unknown.
    Lasting,
}

impl AcceptFailure {
    /// What `error` means, by accept(2). Linux also reports there what has already happened to the new connection.
    pub fn of(error: &io::Error) -> AcceptFailure {
        match Errno::from_io_error(error) {
            Some(Errno::AGAIN) => AcceptFailure::NobodyWaits,
            Some(Errno::MFILE | Errno::NFILE) => AcceptFailure::OutOfFiles,
            Some(
                Errno::INTR
                | Errno::CONNABORTED
                | Errno::CONNRESET
                | Errno::PROTO
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::TIMEDOUT,
            ) => AcceptFailure::OneClient,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Some(Errno::NONET | Errno::OPNOTSUPP) => AcceptFailure::OneClient,
            _ => AcceptFailure::Lasting,
        }
    }
}

/// The file of a listening Unix socket: gone when this is dropped, unless another program has put its own there.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and number of the file.
    identity: (u64, u64),
}

impl SocketFile {
    /// The file that has just been made at `path`.
    pub fn new(path: &Path) -> io::Result<SocketFile> {
        Ok(SocketFile { path: path.to_owned(), identity: identity(path)? })
    }

    /// Gives the same file the name `path` as well, unless there is a file of that name.
    pub fn link(&self, path: &Path) -> io::Result<SocketFile> {
        std::fs::hard_link(&self.path, path)?;
        Ok(SocketFile { path: path.to_owned(), identity: self.identity })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // If it fails, the folder is not ours any more; the next program that listens there replaces the dead
            // socket.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Listener {
    /// Accepts the next client that waits.
    pub fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Listener::Tcp(listener) => listener.accept().map(|(socket, peer)| (Socket::Tcp(socket), Peer::Tcp(peer))),
            Listener::Unix(listener, _) => listener.accept().map(|(socket, _)| (Socket::Unix(socket), Peer::Unix)),
        }
    }

    /// What a poll watches.
    pub fn source(&mut self) -> &mut dyn Source {
        match self {
            Listener::Tcp(listener) => listener,
            Listener::Unix(listener, _) => listener,
        }
    }
}

impl Socket {
    /// Whether the kernel has sent everything that was written, or can't tell. If not, a writable edge follows when it
    /// has.
    pub fn has_sent_all(&self) -> bool {
        !self.bound_unsent(1) || self.has_room()
    }

    /// A lower bound of the bytes that the kernel still has to send, less than 4 KiB too low; 0 only if it has sent all.
    /// `before` is returned if it is such a bound, however low. `None`: it can't tell.
    ///
    /// What was sent and is not acknowledged doesn't count. But nothing more is sent to a peer that has no room
    /// (RFC 9293 § 3.8.6), or acknowledges nothing any more (RFC 5681 § 3.1). While a socket holds two thirds of what it
    /// may hold in all, it doesn't say how much of that is unsent, and the bound is too high.
    pub fn unsent(&self, before: Option<NonZeroU32>) -> Option<u32> {
        // A socket has room while less than half of its bound is unsent.
        let is_below = |bytes: u32| self.bound_unsent(bytes.saturating_mul(2).max(1)).then(|| self.has_room());
        let unsent = if is_below(0)? {
            0
        } else if let Some(before) = before
            && !is_below(before.get())?
        {
            before.get()
        } else {
            let (mut least, mut below) = (0, MOST_UNSENT / BLOCK);
            while below - least > 1 {
                let middle = u32::midpoint(least, below);
                if is_below(middle * BLOCK)? { below = middle } else { least = middle }
            }
            (least * BLOCK).max(1)
        };
        self.bound_unsent(UNSENT);
        Some(unsent)
    }

    /// From now on the socket has room only while less than this is unsent. Whether the system can do that.
    fn bound_unsent(&self, bytes: u32) -> bool {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Socket::Tcp(socket) = self {
            return SockRef::from(socket).set_tcp_notsent_lowat(bytes).is_ok();
        }
        let _ = bytes;
        false
    }

    /// From now on the close waits at most this long, in whole seconds, until the peer has acknowledged everything;
    /// with no time, it discards what was not sent and resets the connection.
    pub fn linger(&self, time: Duration) {
        if let Socket::Tcp(socket) = self {
            let socket = SockRef::from(socket);
            // Neither can fail on a socket of this kind. Not every system waits if the socket is non-blocking.
            let _ = socket.set_nonblocking(time.is_zero());
            let _ = socket.set_linger(Some(time));
        }
    }

    /// Closes one direction or both.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Socket::Tcp(socket) => socket.shutdown(how),
            Socket::Unix(socket) => socket.shutdown(how),
        }
    }

    /// Whether it would take bytes now.
    pub fn has_room(&self) -> bool {
        let socket = match self {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        };
        // If the question fails, the next write will show why.
        poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::OUT)], Some(&Timespec::default())) != Ok(0)
    }

    /// Sends bytes of a file without copying them (`sendfile(2)`). `None`: the system does not do that, and nothing was
    /// sent.
    pub fn send_file(&self, file: &File, position: u64, len: usize) -> Option<io::Result<usize>> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            use rustix::io::Errno;
            let mut from = position;
            let result = match self {
                Socket::Tcp(socket) => rustix::fs::sendfile(socket, file, Some(&mut from), len),
                Socket::Unix(socket) => rustix::fs::sendfile(socket, file, Some(&mut from), len),
            };
            match result {
                // A sandbox, or a kernel that can't send to this kind of socket.
                Err(Errno::PERM | Errno::NOSYS | Errno::ACCESS | Errno::INVAL | Errno::OPNOTSUPP) => None,
                result => Some(result.map_err(Into::into)),
            }
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        {
            let _ = (file, position, len);
            None
        }
    }

    /// What a poll watches.
    pub fn source(&mut self) -> &mut dyn Source {
        match self {
            Socket::Tcp(socket) => socket,
            Socket::Unix(socket) => socket,
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.read(buffer),
            Socket::Unix(socket) => socket.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.write(bytes),
            Socket::Unix(socket) => socket.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.write_vectored(slices),
            Socket::Unix(socket) => socket.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) => address.fmt(f),
            Peer::Unix => f.write_str("of the Unix socket"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn what_is_unsent_falls_while_the_client_reads() {
        let listener = TcpListener::bind("127.0.0.1:0".parse().expect("is an address")).expect("listens");
        let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        client.set_recv_buffer_size(16 << 10).expect("is valid");
        client.connect(&listener.local_addr().expect("has an address").into()).expect("connects");
        let mut client = std::net::TcpStream::from(client);
        let mut socket = Socket::Tcp(listener.accept().expect("is there").0);
        let unsent = |socket: &Socket, before: Option<u32>| {
            socket.unsent(before.and_then(NonZeroU32::new)).expect("Linux can tell")
        };
        assert_eq!(unsent(&socket, None), 0);
        let written = socket.write(&vec![b'x'; 100_000]).expect("there is room");
        let first = unsent(&socket, None);
        assert!(first > 0 && first as usize <= written, "{first} of {written} bytes");
        for before in [first, first - 3000] {
            assert_eq!(unsent(&socket, Some(before)), before, "nobody has read");
        }
        assert!(!socket.has_sent_all());

        client.read_exact(&mut vec![0; written / 2]).expect("comes");
        let second = unsent(&socket, Some(first));
        assert!(second < first, "{second} after {first}");
        client.read_exact(&mut vec![0; written - written / 2]).expect("comes");
        assert_eq!((unsent(&socket, Some(second)), socket.has_sent_all()), (0, true));
        unsent(&socket, None);
        let Socket::Tcp(tcp) = &socket else { unreachable!("is TCP") };
        assert_eq!(SockRef::from(tcp).tcp_notsent_lowat().expect("is known"), UNSENT, "as it was");

        let (unix, _other) = UnixStream::pair().expect("a pair");
        assert_eq!(Socket::Unix(unix).unsent(None), None, "it can't tell");
    }

    #[test]
    fn a_failed_accept_is_the_fault_of_a_client_of_files_or_of_something_that_lasts() {
        use AcceptFailure::*;
        for (errno, want) in [
            (Errno::AGAIN, NobodyWaits),
            (Errno::INTR, OneClient),
            (Errno::CONNABORTED, OneClient),
            (Errno::PROTO, OneClient),
            (Errno::NETDOWN, OneClient),
            (Errno::NOPROTOOPT, OneClient),
            (Errno::HOSTDOWN, OneClient),
            (Errno::HOSTUNREACH, OneClient),
            (Errno::NETUNREACH, OneClient),
            (Errno::TIMEDOUT, OneClient),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            (Errno::NONET, OneClient),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            (Errno::OPNOTSUPP, OneClient),
            (Errno::MFILE, OutOfFiles),
            (Errno::NFILE, OutOfFiles),
            (Errno::PERM, Lasting),
            (Errno::NOBUFS, Lasting),
            (Errno::NOMEM, Lasting),
            (Errno::BADF, Lasting),
            (Errno::INVAL, Lasting),
        ] {
            assert_eq!(AcceptFailure::of(&errno.into()), want, "{errno:?}");
        }
        assert_eq!(AcceptFailure::of(&io::Error::other("of no number")), Lasting);
    }
}
