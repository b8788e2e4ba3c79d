//! The user's own page (`--page`): a file, or a folder of files out of which there is no way.
//!
//! Read afresh for each request, so that whoever edits a page has but to reload it.

use crate::http::file::{Found, Target};
use crate::http::service::CustomPage;
use percent_encoding::percent_decode_str;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// Media type of a page whose name does not tell.
const HTML: &str = "text/html; charset=utf-8";

/// Looks for what a request wants of `--page`; a file is opened, to be read as the client takes it.
pub fn look_up(page: &Path, target: &Target) -> (Found, Option<File>) {
    match target {
        Target::Page => page_file(page),
        Target::InFolder(path) => file_in(page, path),
    }
}

/// Looks for the one file of `--page FILE`.
fn page_file(page: &Path) -> (Found, Option<File>) {
    let media_type = media_type(page).unwrap_or_else(|| HTML.to_owned());
    look(page.to_owned(), media_type)
}

/// Looks for `path`, that of a request target, in the folder of `--page DIR`.
fn file_in(folder: &Path, path: &str) -> (Found, Option<File>) {
    let Some(relative) = relative(path) else { return (Found::Missing("no such file".to_owned()), None) };
    let found = inside(folder, &relative).and_then(|found| {
        if !found.is_dir() {
            return Ok(if path.ends_with('/') { None } else { Some(found) });
        }
        // Without the slash at its end, the page's relative URLs would mean something else.
        if path.ends_with('/') { inside(folder, &relative.join("index.html")).map(Some) } else { Ok(None) }
    });
    match found {
        Ok(Some(found)) => {
            let media_type = media_type(&found).unwrap_or_else(|| "application/octet-stream".to_owned());
            look(found, media_type)
        }
        Ok(None) if !path.ends_with('/') => (Found::Folder, None),
        Ok(None) => (Found::Missing("no such file".to_owned()), None),
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

/// A request's path as a path below the folder; `None` if it can't be one. Each segment is decoded once, and what it
/// then has in it means nothing: a slash, a NUL, a backslash (another system's slash), a dot at its beginning.
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

/// What `relative` is in the end, all links followed. It has to be below the folder, and no dotfile there either.
fn inside(folder: &Path, relative: &Path) -> io::Result<PathBuf> {
    let found = folder.join(relative).canonicalize()?;
    let folder = folder.canonicalize()?;
    let hidden = |part: Component| part.as_os_str().as_bytes().starts_with(b".");
    match found.strip_prefix(&folder) {
        Ok(below) if !below.components().any(hidden) => Ok(found),
        _ => Err(ErrorKind::NotFound.into()),
    }
}

fn look(path: PathBuf, media_type: String) -> (Found, Option<File>) {
    match open(&path) {
        Ok((file, length)) => (Found::File { media_type, length }, Some(file)),
        Err(error) => (trouble(&error), None),
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    // Opening a FIFO would wait for its other end; reading one might never end.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok((file, metadata.len())),
        false => Err(io::Error::new(ErrorKind::NotFound, "it is no regular file")),
    }
}

fn trouble(error: &io::Error) -> Found {
    const NO_FILES: [rustix::io::Errno; 2] = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    if error.raw_os_error().is_some_and(|no| NO_FILES.iter().any(|errno| errno.raw_os_error() == no)) {
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
