//! The last ID in a store, for a producer that must continue after it.

use super::Tell;
use super::folder::segments;
use super::reading::{WINDOW, read_up_to};
use super::state::State;
use crate::log::rows::{self, Next, ROW, Row};
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// The last ID that an event in the store has; `None` if no event has one. Nothing is changed, and another process may
/// be using the store: in a pipe it is started at the same time.
pub fn last_id(folder: &Path) -> Result<Option<String>> {
    if !folder.exists() {
        return Ok(None);
    }
    State::read(folder, true, &(Arc::new(|_| {}) as Tell))?;
    for first in segments(folder)?.into_iter().rev() {
        let chunks = folder.join(format!("{first:020}.chunks"));
        if let Some(id) = last_id_in(&chunks).with_context(|| format!("cannot read {}", chunks.display()))? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The same for a segment.
fn last_id_in(chunks: &Path) -> io::Result<Option<String>> {
    let file = match File::open(chunks) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None), // it has just been removed
        file => file?,
    };
    let index = File::open(chunks.with_extension("index")).ok();
    let rows = index.as_ref().map_or(0, |index| index.metadata().map_or(0, |metadata| metadata.len() / ROW as u64));
    let mut end = file.metadata()?.len();
    // From the last row backwards; before the first one is the header.
    for nth in (1..rows).rev() {
        let mut bytes = [0; ROW];
        let read = index.as_ref().map(|index| index.read_exact_at(&mut bytes, nth * ROW as u64));
        let Some(row) = Row::decode(&bytes).filter(|row| matches!(read, Some(Ok(()))) && row.position < end) else {
            continue;
        };
        if let Some(id) = last_id_between(&file, row.position, end)? {
            return Ok(Some(id));
        }
        end = row.position;
    }
    last_id_between(&file, 0, end)
}

/// The same for the bytes between these positions; an entry begins at the first one.
fn last_id_between(file: &File, mut at: u64, end: u64) -> io::Result<Option<String>> {
    let (mut window, mut wanted, mut id) = (Vec::new(), WINDOW, None);
    while at < end {
        window.resize(wanted.min((end - at) as usize), 0);
        let read = read_up_to(file, &mut window, at)?;
        let mut bytes = &window[..read];
        while !bytes.is_empty() {
            match rows::next(bytes) {
                Next::Entry(len) => {
                    id = rows::any_id(&bytes[..len]).map(str::to_owned).or(id);
                    (bytes, at) = (&bytes[len..], at + len as u64);
                }
                Next::Part(least) if at + least as u64 <= end && (bytes.len() < read || least > read) => {
                    wanted = WINDOW.max(least);
                    break;
                }
                Next::Part(_) | Next::Damage => return Ok(id),
            }
        }
        if read == 0 {
            break;
        }
    }
    Ok(id)
}
