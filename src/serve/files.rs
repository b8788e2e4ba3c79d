//! The user's own page (`--page`): a file, or a folder. No request can get outside the folder.
//!
//! Files are read again for each request, so a person who edits a page just reloads it.
//!
//! A disk may be slow, or never answer, and no stream may wait for it. So only one thread touches the files of a page,
//! the [`PageReader`]: it looks up, reads pieces, and closes. Workers send it jobs, each up to a bound of its own
//! ([`Files`]), and the replies arrive in their inboxes, for a [`Place`] that no other client can have.

use super::inbox::{Inbox, WorkerMessage};
use crate::http::file::{Found, Target};
use crate::http::service::CustomPage;
use percent_encoding::percent_decode_str;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Media type of a page whose name does not show it.
const HTML: &str = "text/html; charset=utf-8";
/// At most this many look-ups of a worker wait for the disk; another request gets 503.
const MOST_LOOK_UPS: usize = 1024;
/// And this many pieces, which bounds their memory; other clients wait for their turn.
const MOST_PIECES: usize = 8;
/// A file that is replaced during a look-up is looked up again, but not forever.
const TRIES: usize = 3;

/// The client that something is for: the one that had this key at the time of this ticket. Tickets are unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    worker: usize,
    pub(super) key: usize,
    ticket: u64,
}

/// What the page reader must do.
#[derive(Debug)]
pub enum Job {
    /// Look for a file, and open it.
    LookUp(Place, Target),
    /// Read a piece of a file, from where and how long.
    Read(Place, OpenFile, u64, usize),
    /// Close a file: that may take time too.
    Close(File),
}

/// What it answers.
#[derive(Debug)]
pub struct Reply {
    pub(super) to: Place,
    pub(super) file: Option<OpenFile>,
    pub(super) outcome: Outcome,
}

/// The result of a job.
#[derive(Debug)]
pub enum Outcome {
    /// The result of a look-up.
    Found(Found),
    /// The bytes that were read; none if there are no more, or they can't be read.
    Piece(Vec<u8>),
}

/// An open file. No matter where it is dropped, the page reader closes it.
#[derive(Debug)]
pub struct OpenFile {
    file: Option<File>,
    jobs: Sender<Job>,
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            let _ = self.jobs.send(Job::Close(file)); // it fails only at the end of the program
        }
    }
}

/// What a client and the page reader have to do with each other.
#[derive(Debug)]
pub struct Visit {
    pub(super) to: Place,
    /// Its file, while no job has it.
    pub(super) file: Option<OpenFile>,
}

/// How a worker reaches the page reader.
#[derive(Debug)]
pub struct Files {
    worker: usize,
    /// None if there is no page.
    jobs: Option<Sender<Job>>,
    next_ticket: u64,
    /// How much of each kind is under way.
    look_ups: usize,
    pieces: usize,
    /// The pieces that wait for that, by clients of which some may be gone.
    waiting: VecDeque<(Place, u64, usize)>,
}

impl Files {
    /// For this worker.
    pub fn new(worker: usize, jobs: Option<Sender<Job>>) -> Files {
        Files { worker, jobs, next_ticket: 0, look_ups: 0, pieces: 0, waiting: VecDeque::new() }
    }

    /// Has a file looked up for the client with this key; `None` if too much is under way already.
    pub fn look_up(&mut self, key: usize, target: Target) -> Option<Box<Visit>> {
        let jobs = self.jobs.as_ref().filter(|_| self.look_ups < MOST_LOOK_UPS)?;
        let to = Place { worker: self.worker, key, ticket: self.next_ticket };
        self.next_ticket += 1;
        self.look_ups += 1;
        let _ = jobs.send(Job::LookUp(to, target)); // if the page reader is gone, the program is ending
        Some(Box::new(Visit { to, file: None }))
    }

    /// Has this piece of a client's file read, as soon as it is its turn.
    pub fn read(&mut self, visit: &mut Visit, at: u64, length: usize) {
        if self.pieces < MOST_PIECES {
            self.start(visit.to, visit.file.take(), at, length);
        } else {
            self.waiting.push_back((visit.to, at, length));
        }
    }

    /// A job is done. It may be another client's turn: take the file from its visit.
    pub fn finish(&mut self, outcome: &Outcome, mut file: impl FnMut(Place) -> Option<OpenFile>) {
        match outcome {
            Outcome::Found(_) => self.look_ups -= 1,
            Outcome::Piece(_) => self.pieces -= 1,
        }
        while self.pieces < MOST_PIECES
            && let Some((to, at, length)) = self.waiting.pop_front()
        {
            self.start(to, file(to), at, length);
        }
    }

    fn start(&mut self, to: Place, file: Option<OpenFile>, at: u64, length: usize) {
        if let (Some(jobs), Some(file)) = (&self.jobs, file) {
            self.pieces += 1;
            let _ = jobs.send(Job::Read(to, file, at, length)); // as above
        }
    }
}

/// The thread that touches the user's own page.
#[derive(Debug)]
pub struct PageReader {
    page: PathBuf,
    jobs: Receiver<Job>,
    to_jobs: Sender<Job>,
}

impl PageReader {
    /// A reader of this page, and the sender of its jobs.
    pub fn new(page: PathBuf) -> (PageReader, Sender<Job>) {
        let (to_jobs, jobs) = channel();
        (PageReader { page, jobs, to_jobs: to_jobs.clone() }, to_jobs)
    }

    /// Works until the program ends.
    pub fn run(self, inboxes: &[Inbox]) {
        for job in &self.jobs {
            let reply = match job {
                Job::Close(file) => {
                    drop(file);
                    continue;
                }
                Job::LookUp(to, target) => {
                    let (found, file) = look_up(&self.page, &target);
                    let file = file.map(|file| OpenFile { file: Some(file), jobs: self.to_jobs.clone() });
                    Reply { to, file, outcome: Outcome::Found(found) }
                }
                Job::Read(to, file, at, length) => {
                    let piece = file.file.as_ref().map(|file| read(file, at, length)).unwrap_or_default();
                    Reply { to, file: Some(file), outcome: Outcome::Piece(piece) }
                }
            };
            let inbox = &inboxes[reply.to.worker];
            inbox.put(WorkerMessage::File(reply));
            inbox.wake();
        }
    }
}

/// A piece of a file; shorter at its end, or if it can't be read.
fn read(file: &File, at: u64, length: usize) -> Vec<u8> {
    let mut piece = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut piece[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    piece.truncate(filled);
    piece
}

/// Finds the file of `--page` that is requested, and opens it.
fn look_up(page: &Path, target: &Target) -> (Found, Option<File>) {
    match target {
        Target::Page => page_file(page),
        Target::InFolder(path) => file_in(page, path),
    }
}

/// Finds the one file of `--page FILE`.
fn page_file(page: &Path) -> (Found, Option<File>) {
    match open(CWD, page, Links::Followed).map_err(io::Error::from) {
        Ok(Opened::File(file, length)) => {
            let media_type = media_type(page).unwrap_or_else(|| HTML.to_owned());
            (Found::File { media_type, length }, Some(file))
        }
        Ok(Opened::Folder) => (Found::Missing("it is a folder".to_owned()), None),
        Ok(Opened::Other) => (Found::Missing(NO_FILE.to_owned()), None),
        Err(error) => (trouble(&error), None),
    }
}

/// Finds `path`, that of a request target, in the folder of `--page DIR`.
fn file_in(folder: &Path, path: &str) -> (Found, Option<File>) {
    let missing = |why: &str| (Found::Missing(why.to_owned()), None);
    let Some(mut relative) = relative(path) else { return missing("no such file") };
    let of_folder = path.ends_with('/');
    if of_folder {
        relative.push("index.html");
    }
    match open_below(folder, &relative) {
        Ok((Opened::File(file, length), name)) => {
            let media_type = media_type(&name).unwrap_or_else(|| "application/octet-stream".to_owned());
            (Found::File { media_type, length }, Some(file))
        }
        // Without the slash at its end, the page's relative URLs would mean something else.
        Ok((Opened::Folder, _)) if !of_folder => (Found::Folder, None),
        Ok((Opened::Folder, _)) => missing("no such file"),
        Ok((Opened::Other, _)) => missing(NO_FILE),
        Err(error) => (trouble(&error), None),
    }
}

/// Why there would be nothing at `/` at the moment.
pub fn what_is_missing(page: &Path, kind: CustomPage) -> Option<String> {
    let (found, _) = match kind {
        CustomPage::None => return None,
        CustomPage::File => page_file(page),
        CustomPage::Folder => file_in(page, "/"),
    };
    match found {
        Found::File { .. } => None,
        Found::Missing(why) if kind == CustomPage::Folder => Some(format!("no index.html: {why}")),
        Found::Missing(why) => Some(why),
        Found::Folder => Some("it is a folder now".to_owned()),
        Found::Forbidden => Some("permission denied".to_owned()),
        Found::Busy => Some("too many open files".to_owned()),
    }
}

/// A request's path as a path below the folder; `None` if it can't be one. Each segment is decoded once. A decoded
/// segment with a slash, a NUL, a backslash (the slash of another system) or a dot at its beginning is refused.
fn relative(path: &str) -> Option<PathBuf> {
    let segments = path.strip_prefix('/')?.strip_suffix('/').unwrap_or(&path[1..]);
    let mut relative = PathBuf::new();
    if segments.is_empty() {
        return (path == "/").then_some(relative);
    }
    for segment in segments.split('/') {
        let segment: Vec<u8> = percent_decode_str(segment).collect();
        if segment.is_empty() || segment[0] == b'.' || segment.iter().any(|byte| b"/\\\0".contains(byte)) {
            return None;
        }
        relative.push(OsStr::from_bytes(&segment));
    }
    Some(relative)
}

/// What was opened.
enum Opened {
    /// A regular file, and its length.
    File(File, u64),
    /// A folder, which stays closed.
    Folder,
    /// Anything else, which stays closed too: opening a FIFO would release its writer, and a device may do anything.
    Other,
}

const NO_FILE: &str = "it is not a regular file";

/// Whether a link is followed when a file is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    Followed,
    Refused,
}

/// The flags to open a folder only as a place to open files in.
#[cfg(any(target_os = "linux", target_os = "android"))]
const THROUGH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const THROUGH: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens the target of `relative` with all links followed, and also returns its name. It must be below the folder, and
/// must not be a dotfile there either.
///
/// First the links are resolved, and the result is checked; then it is opened folder by folder without following links.
/// If a link was replaced meanwhile, that fails, so it never leads outside.
fn open_below(folder: &Path, relative: &Path) -> io::Result<(Opened, PathBuf)> {
    let mut tries = TRIES;
    loop {
        tries -= 1;
        let found = folder.join(relative).canonicalize()?;
        let folder = folder.canonicalize()?;
        let hidden = |part: Component| part.as_os_str().as_bytes().starts_with(b".");
        let below = found.strip_prefix(&folder).ok().filter(|below| !below.components().any(hidden));
        let Some(below) = below else { return Err(ErrorKind::NotFound.into()) };
        match open_without_links(&folder, below) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::MLINK) if tries > 0 => {}
            result => return Ok((result?, found)),
        }
    }
}

/// Opens `below` in the folder. No part of either path may be a link.
fn open_without_links(folder: &Path, below: &Path) -> Result<Opened, Errno> {
    let Some(name) = below.file_name() else { return Ok(Opened::Folder) };
    let mut at = openat(CWD, folder, THROUGH, Mode::empty())?;
    for part in below.parent().iter().flat_map(|parent| parent.components()) {
        at = openat(&at, part.as_os_str(), THROUGH | OFlags::NOFOLLOW, Mode::empty())?;
    }
    open(at, Path::new(name), Links::Refused)
}

/// Checks what this is, and opens it if it is a regular file.
fn open(folder: impl AsFd, name: &Path, links: Links) -> Result<Opened, Errno> {
    let (at_flags, flags) = match links {
        Links::Followed => (AtFlags::empty(), OFlags::empty()),
        Links::Refused => (AtFlags::SYMLINK_NOFOLLOW, OFlags::NOFOLLOW),
    };
    let seen = statat(&folder, name, at_flags)?;
    match FileType::from_raw_mode(seen.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Ok(Opened::Folder),
        _ => return Ok(Opened::Other),
    }
    // If it has become something else by now, we don't wait for it, and it does not become our terminal.
    let flags = flags | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(&folder, name, flags, Mode::empty())?;
    let opened = fstat(&file)?;
    if (opened.st_dev, opened.st_ino) != (seen.st_dev, seen.st_ino) {
        return Err(Errno::NOENT);
    }
    Ok(Opened::File(file.into(), u64::try_from(opened.st_size).unwrap_or_default()))
}

fn trouble(error: &io::Error) -> Found {
    // AGAIN: another program has a lease on it.
    const BUSY: [Errno; 3] = [Errno::MFILE, Errno::NFILE, Errno::AGAIN];
    if error.raw_os_error().is_some_and(|no| BUSY.iter().any(|errno| errno.raw_os_error() == no)) {
        return Found::Busy;
    }
    match error.kind() {
        ErrorKind::PermissionDenied => Found::Forbidden,
        _ => Found::Missing(error.to_string()),
    }
}

fn media_type(path: &Path) -> Option<String> {
    let guessed = match mime_guess::from_path(path).first_raw()? {
        "application/javascript" => "text/javascript", // RFC 9239 § 6
        guessed => guessed,
    };
    let charset = if guessed.starts_with("text/") { "; charset=utf-8" } else { "" };
    Some(format!("{guessed}{charset}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_name_is_a_path_below_the_folder() {
        for (path, want) in [
            ("/", Some("")),
            ("/a", Some("a")),
            ("/a/b.css", Some("a/b.css")),
            ("/a/", Some("a")),
            ("/a%20b", Some("a b")),
            ("/%61", Some("a")),
            ("/a.b./c..d", Some("a.b./c..d")),
            ("/%25", Some("%")),
            ("/%252e%252e/x", Some("%2e%2e/x")), // decoded once, it is but a strange name
            ("", None),
            ("*", None),
            ("//", None),
            ("//a", None),
            ("/a//b", None),
            ("/a//", None),
            ("/.", None),
            ("/..", None),
            ("/../a", None),
            ("/a/..", None),
            ("/a/../..", None),
            ("/a/%2e%2e/b", None),
            ("/.%2E/b", None),
            ("/%2e/b", None),
            ("/.git/config", None),
            ("/a/.env", None),
            ("/%2fetc/passwd", None),
            ("/a%2f..%2fb", None),
            ("/a%5c..%5cb", None),
            ("/a%00.html", None),
            ("/...", None),
        ] {
            assert_eq!(relative(path), want.map(PathBuf::from), "{path}");
        }
    }

    #[test]
    fn each_trouble_has_its_answer() {
        let of = |error: rustix::io::Errno| trouble(&io::Error::from(error));
        assert!(matches!(of(rustix::io::Errno::NOENT), Found::Missing(_)));
        assert!(matches!(of(rustix::io::Errno::NOTDIR), Found::Missing(_)));
        assert!(matches!(of(rustix::io::Errno::LOOP), Found::Missing(_)));
        assert!(matches!(of(rustix::io::Errno::NAMETOOLONG), Found::Missing(_)));
        assert!(matches!(of(rustix::io::Errno::ACCESS), Found::Forbidden));
        assert!(matches!(of(rustix::io::Errno::MFILE), Found::Busy));
    }

    #[test]
    fn media_types_are_those_that_browsers_want() {
        for (name, want) in [
            ("a.html", Some(HTML)),
            ("a.css", Some("text/css; charset=utf-8")),
            ("a.js", Some("text/javascript; charset=utf-8")),
            ("a.mjs", Some("text/javascript; charset=utf-8")),
            ("a.json", Some("application/json")),
            ("a.geojson", Some("application/geo+json")),
            ("a.svg", Some("image/svg+xml")),
            ("a.png", Some("image/png")),
            ("a.webp", Some("image/webp")),
            ("a.wasm", Some("application/wasm")),
            ("a.woff2", Some("font/woff2")),
            ("a.txt", Some("text/plain; charset=utf-8")),
            ("a.webmanifest", Some("application/manifest+json")),
            ("LICENSE", None),
        ] {
            assert_eq!(media_type(Path::new(name)).as_deref(), want, "{name}");
        }
    }
}
