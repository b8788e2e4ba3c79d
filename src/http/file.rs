//! A file of the user's own page (`--page`): what must be looked up for a request, and the answer once that is done.
//!
//! The owner of the files (`serve::files`) does the look-up, which may take time.

use super::access::Cors;
use super::answer::{RETRY_AFTER, not_here};
use super::replies::Replies;
use super::service::Service;
use crate::wire::request::Method;
use crate::wire::response::Length;

/// A request for a file. The owner of the files looks it up; [`FileRequest::answer`] makes the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRequest {
    /// Which file.
    pub target: Target,
    pub(super) method: Method,
    pub(super) cors: Cors,
    pub(super) query: String,
}

/// Which file is requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The one of `--page FILE`.
    Page,
    /// One of `--page DIR`, by the path of the request target.
    InFolder(String),
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A file; its content is read in pieces.
    File {
        /// Its media type.
        media_type: String,
        /// Its length in bytes.
        length: u64,
    },
    /// A folder, requested without the slash at its end.
    Folder,
    /// Nothing, and why.
    Missing(String),
    /// A file that we may not read.
    Forbidden,
    /// There are no file descriptors left to open it, or too many others wait for the disk.
    Busy,
}

impl FileRequest {
    /// The answer for what was found: its head, or all of it; and how many bytes of content must be read.
    pub fn answer(&self, found: Found, service: &Service, date: &str) -> (Vec<u8>, u64) {
        let replies = Replies { method: self.method, date, cors: &self.cors };
        let path = match &self.target {
            Target::InFolder(path) => path,
            Target::Page => "/",
        };
        let text = match found {
            Found::File { media_type, length } => {
                let mut fields = vec![
                    ("Content-Type", media_type.as_str()),
                    ("Cache-Control", "no-cache"),
                    ("Referrer-Policy", "no-referrer"), // the URL may carry the token
                ];
                if path == "/" {
                    fields.push(("Vary", "Accept"));
                }
                let content = if self.method == Method::Head { 0 } else { length };
                return (replies.head(200, Length::Bytes(length), &fields), content);
            }
            Found::Folder => {
                let name = path.rsplit('/').next().unwrap_or_default();
                let mark = if self.query.is_empty() { "" } else { "?" };
                let location = format!("./{name}/{mark}{}", self.query);
                replies.text(307, &[("Location", &location)], "this is a folder\n")
            }
            Found::Missing(why) if self.target == Target::Page => {
                replies.text(404, &[], &format!("the page can't be read: {why}\n"))
            }
            Found::Missing(why) => replies.text(404, &[], &not_here(&format!(" ({why})"), service)),
            Found::Forbidden => replies.text(403, &[], "this server may not read that file\n"),
            Found::Busy => replies.text(503, &[("Retry-After", RETRY_AFTER)], "too much is open at the moment\n"),
        };
        (text, 0)
    }

    /// The answer if the disk is too slow.
    pub fn too_late(&self, date: &str) -> Vec<u8> {
        let replies = Replies { method: self.method, date, cors: &self.cors };
        replies.text(503, &[("Retry-After", RETRY_AFTER)], "the disk does not answer at the moment\n")
    }
}
