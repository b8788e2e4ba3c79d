//! Listening: from `--bind` and `--port` to sockets that wait for clients, and the addresses to report.

use super::socket::{Listener, SocketFile};
use crate::sanitize::sanitize;
use anyhow::{Context, Result, anyhow, bail};
use mio::net::{TcpListener, UnixListener};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Connections that wait to be accepted; the kernel allows fewer if its own bound is lower.
pub(super) const BACKLOG: i32 = 4096;
/// With port 0 we need a port that is free on every address: this many are tried.
const TRIES: usize = 20;

/// If another program has locked the folder, it is tried again after this time,
const LOCK_RETRY: Duration = Duration::from_millis(10);
/// and this often.
const LOCK_TRIES: usize = 100;

/// One `--bind`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// An IP address, or a host name in lower case.
    Host(String),
    /// `unix:PATH`.
    Unix(PathBuf),
}

/// The listening sockets, and an address to report for each `--bind`.
#[derive(Debug)]
pub struct Listening {
    /// The sockets.
    pub listeners: Vec<Listener>,
    /// One for each `--bind`, in their order.
    pub addresses: Vec<Address>,
}

/// Where clients find us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A URL.
    Url(String),
    /// `unix:PATH`.
    Unix(String),
}

/// Opens the listening sockets for these addresses, all at the same `port` (0: one that is free).
pub fn listen(binds: &[Bind], port: u16) -> Result<Listening> {
    let mut names = Vec::new();
    let mut listeners = Vec::new();
    for bind in binds {
        match bind {
            Bind::Host(name) => names.push((name.as_str(), resolve(name)?)),
            Bind::Unix(path) => listeners.push(open_unix(path).map_err(|error| explain_unix(path, &error))?),
        }
    }
    let mut tries = 0;
    let port = loop {
        tries += 1;
        match open_all(&names, port) {
            Err(Failed { error, .. }) if port == 0 && error.kind() == ErrorKind::AddrInUse && tries < TRIES => {}
            Err(Failed { address, error }) => return Err(explain(address, &error)),
            Ok((opened, port)) => {
                listeners.extend(opened.into_iter().map(Listener::Tcp));
                break port;
            }
        }
    };
    let address = |bind: &Bind| match bind {
        Bind::Host(name) => Address::Url(url(name, port)),
        Bind::Unix(path) => Address::Unix(format!("unix:{}", sanitize(&path.to_string_lossy()))),
    };
    Ok(Listening { listeners, addresses: binds.iter().map(address).collect() })
}

struct Failed {
    address: SocketAddr,
    error: io::Error,
}

/// An address to listen on; one that is `optional` may be missing on this machine.
struct Wanted {
    ip: IpAddr,
    optional: bool,
}

fn resolve(bind: &str) -> Result<Vec<Wanted>> {
    let wanted = |ip| Wanted { ip, optional: false };
    if bind == "localhost" {
        // Browsers try both: if another program had one of them, they would find that instead of us.
        let ipv6 = Wanted { ip: Ipv6Addr::LOCALHOST.into(), optional: true };
        return Ok(vec![wanted(Ipv4Addr::LOCALHOST.into()), ipv6]);
    }
    let bare = bind.strip_prefix('[').and_then(|bind| bind.strip_suffix(']')).unwrap_or(bind);
    if let Ok(ip) = bare.parse() {
        return Ok(vec![wanted(ip)]);
    }
    let unknown = || format!("cannot find the address of --bind {}", sanitize(bind));
    let found = (bind, 0).to_socket_addrs().with_context(unknown)?;
    let found: Vec<_> = found.map(|address| wanted(address.ip())).collect();
    if found.is_empty() {
        bail!(unknown());
    }
    Ok(found)
}

fn open_all(names: &[(&str, Vec<Wanted>)], mut port: u16) -> Result<(Vec<TcpListener>, u16), Failed> {
    let mut opened: Vec<(IpAddr, TcpListener)> = Vec::new();
    let every = |ip: IpAddr| names.iter().any(|(_, wanted)| wanted.iter().any(|wanted| wanted.ip == ip));
    let (every_ipv4, every_ipv6) = (every(Ipv4Addr::UNSPECIFIED.into()), every(Ipv6Addr::UNSPECIFIED.into()));
    for Wanted { ip, optional } in names.iter().flat_map(|(_, wanted)| wanted) {
        // An address that 0.0.0.0 or :: covers is not opened a second time.
        let covered =
            !ip.is_unspecified() && ((every_ipv4 || every_ipv6) && ip.is_ipv4() || every_ipv6 && ip.is_ipv6());
        if covered || opened.iter().any(|(other, _)| other == ip) {
            continue;
        }
        let address = SocketAddr::new(*ip, port);
        match open(address, every_ipv4) {
            Ok(listener) => {
                port = listener.local_addr().map_err(|error| Failed { address, error })?.port();
                opened.push((*ip, listener));
            }
            Err(error) if *optional && is_missing(&error) => {}
            Err(error) => return Err(Failed { address, error }),
        }
    }
    Ok((opened.into_iter().map(|(_, listener)| listener).collect(), port))
}

fn open(address: SocketAddr, every_ipv4: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `::` alone means IPv4 as well, except on OpenBSD, which refuses that; together with `0.0.0.0` it can't.
        let only_v6 = every_ipv4 || !address.ip().is_unspecified();
        socket.set_only_v6(only_v6).or_else(|error| if only_v6 { Err(error) } else { Ok(()) })?;
    }
    socket.set_reuse_address(true)?; // or a restart would have to wait for old connections to be forgotten
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// A socket that no program listens on any more is replaced; any other file stays as it is.
///
/// The file appears when we listen, so a script can wait for it and connect: the socket is bound to another name in the
/// same folder, and then gets its own name as well (a link, which unlike a renamed file replaces nothing).
fn open_unix(path: &Path) -> io::Result<Listener> {
    let address = SockAddr::unix(path)?;
    let (socket, file) = match listen_aside(path, &address) {
        // The longer name is too long for an address, or the file system has no links: then the file appears a moment
        // too early.
        Err(error) if error.kind() != ErrorKind::AddrInUse => listen_at(path, &address)?,
        result => result?,
    };
    Ok(Listener::Unix(UnixListener::from_std(socket.into()), file))
}

fn listen_aside(path: &Path, address: &SockAddr) -> io::Result<(Socket, SocketFile)> {
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
    let random = RandomState::new().hash_one(std::process::id()) as u32;
    let aside = path.with_file_name(format!(".{name}.{random:08x}"));
    let (socket, aside) = bind_unix(&aside, &SockAddr::unix(&aside)?)?; // its file is gone at the end of this function
    socket.listen(BACKLOG)?;
    let linked = aside.link(path).or_else(|error| {
        if error.kind() != ErrorKind::AlreadyExists {
            return Err(error);
        }
        let _alone = lock_folder(path);
        remove_stale(path, address)?;
        aside.link(path)
    });
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(ErrorKind::AddrInUse.into()),
        linked => Ok((socket, linked?)),
    }
}

fn listen_at(path: &Path, address: &SockAddr) -> io::Result<(Socket, SocketFile)> {
    let (socket, file) = bind_unix(path, address).or_else(|error| {
        if error.kind() != ErrorKind::AddrInUse {
            return Err(error);
        }
        let _alone = lock_folder(path);
        remove_stale(path, address)?;
        bind_unix(path, address)
    })?;
    socket.listen(BACKLOG)?;
    Ok((socket, file))
}

fn bind_unix(path: &Path, address: &SockAddr) -> io::Result<(Socket, SocketFile)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(address)?;
    Ok((socket, SocketFile::new(path)?))
}

/// If several programs found the same dead socket, each would remove what another had just put in its place. So they
/// take turns: while this file is open it is ours. `None`: we could not get it, and they may collide.
fn lock_folder(path: &Path) -> Option<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = File::open(folder).ok()?;
    // Every user that can read a folder can lock it, so we don't wait long.
    for _ in 0..LOCK_TRIES {
        match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_RETRY),
            result => return result.is_ok().then_some(folder),
        }
    }
    None
}

/// Removes the socket at `path` if no program listens there any more. Any other file is an address in use.
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    if !is_stale(path, address) {
        return Err(ErrorKind::AddrInUse.into());
    }
    std::fs::remove_file(path)
}

fn is_stale(path: &Path, address: &SockAddr) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    let refused = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?; // a program that is too busy to accept us is alive
        socket.connect(address)
    };
    is_socket && refused().is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn explain_unix(path: &Path, error: &io::Error) -> anyhow::Error {
    let shown = sanitize(&path.to_string_lossy());
    match error.kind() {
        ErrorKind::AddrInUse => match std::fs::symlink_metadata(path) {
            Ok(metadata) if metadata.file_type().is_socket() => {
                anyhow!("cannot listen on unix:{shown}: another program already listens there")
            }
            _ => anyhow!("cannot listen on unix:{shown}: there is a file of this name, and it is not a socket"),
        },
        _ => anyhow!("cannot listen on unix:{shown}: {error}"),
    }
}

/// Whether the machine has no such address, or doesn't know this kind of address.
fn is_missing(error: &io::Error) -> bool {
    let unsupported = [Errno::AFNOSUPPORT, Errno::PROTONOSUPPORT].map(|no| no.raw_os_error());
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error().is_some_and(|no| unsupported.contains(&no))
}

fn explain(address: SocketAddr, error: &io::Error) -> anyhow::Error {
    let (what, help) = match error.kind() {
        ErrorKind::AddrInUse => {
            ("address in use", " (another sse-pipe? choose another port with --port; 0 takes a free one)")
        }
        ErrorKind::AddrNotAvailable => ("no such address on this machine", " (see --bind)"),
        ErrorKind::PermissionDenied => {
            ("permission denied", " (ports below 1024 need privileges; choose another port with --port)")
        }
        _ => return anyhow!("cannot listen on {address}: {error}"),
    };
    anyhow!("cannot listen on {address}: {what}{help}")
}

fn url(name: &str, port: u16) -> String {
    match name.parse::<Ipv6Addr>() {
        Ok(ip) => format!("http://[{ip}]:{port}/"),
        Err(_) => format!("http://{name}:{port}/"),
    }
}
