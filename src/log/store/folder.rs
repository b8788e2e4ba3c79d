//! The folder of a store: what is in it, and which process has it.

use super::PRIVATE;
use super::state::number;
use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions, read_dir};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The numbers of the first entries of the segments in the folder. Other files are refused, except those that a file
/// system itself makes.
pub(super) fn segments(folder: &Path) -> Result<Vec<u64>> {
    let mut firsts = Vec::new();
    let entries = read_dir(folder).with_context(|| format!("--store {}: cannot read it", folder.display()))?;
    for entry in entries {
        let name = entry.with_context(|| format!("--store {}: cannot read it", folder.display()))?.file_name();
        let name = name.to_string_lossy();
        let segment = name.split_once('.').filter(|(first, _)| first.len() == number(0).len());
        let first = segment.and_then(|(first, kind)| Some((first.parse::<u64>().ok()?, kind)));
        match first {
            Some((first, "chunks")) => firsts.push(first),
            Some((_, "index" | "ids")) => {}
            _ if ["lock", "state", "state.new", "lost+found"].contains(&&*name) || name.starts_with('.') => {}
            _ => bail!("{} is not a file of sse-pipe; choose another folder", folder.join(&*name).display()),
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Locks the folder for this process.
pub(super) fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(PRIVATE).open(&path);
    let mut file = open.with_context(|| format!("cannot write {}", path.display()))?;
    if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        ensure!(error == rustix::io::Errno::WOULDBLOCK, "cannot lock {}: {error}", path.display());
        let mut pid = String::new();
        let _ = file.take(20).read_to_string(&mut pid);
        let by = if pid.trim().is_empty() { "another process".to_owned() } else { format!("process {}", pid.trim()) };
        bail!("--store {}: it is in use by {by}", folder.display());
    }
    let pid = format!("{}\n", std::process::id());
    file.set_len(0)
        .and_then(|()| file.write_all(pid.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file)
}
