//! Limits of the machine: open files, and how many clients fit into them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The kernel's table of open files has room for this many from the start, at 8 bytes each.
const TABLE_SIZE: usize = 16 * 1024;

/// Beyond `--max-clients` this many more connections are accepted, and each is asked to come again later.
const TURNED_AWAY: usize = 64;
/// Files that the program may have open, apart from clients, listeners and those of each worker: the standard streams,
/// polls, wakers, the pipe for signals, and some to spare.
const OWN_FILES: usize = 16;
/// Files that the log may have open: its segments.
const SEGMENTS: usize = 20;
/// Files that a store has open: its segments with their indexes and IDs, also those of a smaller buffer before, and two
/// of its own.
pub const OF_STORE: usize = 80;
/// With fewer files than this there are none for segments: clients need them more.
const FEW_FILES: usize = 256;
/// A worker's poll and its waker.
const FILES_OF_WORKER: usize = 2;

/// How many connections fit into the limit on open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Those that are served.
    pub clients: usize,
    /// Those beyond, which are asked to come again later.
    pub turned_away: usize,
    /// Whether there are files for the segments of the log too.
    pub segments: bool,
}

impl Capacity {
    /// What a limit of this many open files leaves for clients, with this many listeners and workers.
    pub fn within(files: usize, listeners: usize, workers: usize) -> Capacity {
        let turned_away = TURNED_AWAY.min(files / 8);
        let segments = files >= FEW_FILES;
        let own = OWN_FILES + if segments { SEGMENTS } else { 0 } + listeners + FILES_OF_WORKER * workers;
        Capacity { clients: files.saturating_sub(own + turned_away).max(1), turned_away, segments }
    }
}

/// The soft limit on open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimit {
    /// As it was when the program started; `None`: unlimited.
    pub inherited: Option<u64>,
    /// As it is now.
    pub files: usize,
}

/// Raises the limit on open files as far as possible: each client is one.
pub fn raise_file_limit() -> FileLimit {
    let limit = getrlimit(Resource::Nofile);
    // If all are refused, the old limit stays; running out of files is handled.
    let _ = higher_limits(limit)
        .into_iter()
        .find(|&current| setrlimit(Resource::Nofile, Rlimit { current, ..limit }).is_ok());
    let now = getrlimit(Resource::Nofile).current;
    let files = now.map_or(usize::MAX, |files| files.try_into().unwrap_or(usize::MAX));
    FileLimit { inherited: limit.current, files }
}

/// The limits to try in turn: the hard limit, and if that is refused, less. macOS refuses "unlimited", which
/// its hard limit says; some versions cut larger numbers to what they allow, others refuse more than OPEN_MAX, 10240.
fn higher_limits(limit: Rlimit) -> Vec<Option<u64>> {
    let lower = [1 << 20, 1 << 16, 10_240].map(Some);
    let is_less = |a: Option<u64>, b: Option<u64>| a.unwrap_or(u64::MAX) < b.unwrap_or(u64::MAX);
    let lower = lower.into_iter().filter(|&files| is_less(files, limit.maximum));
    [limit.maximum].into_iter().chain(lower).filter(|&files| is_less(limit.current, files)).collect()
}

/// Makes the kernel's table of our files large while there is only one thread. Later, on Linux, each doubling of it
/// would stop the thread that accepts until no processor uses the old table any more: 5 to 10 ms.
pub fn enlarge_file_table(limit: usize) {
    let last = i32::try_from(limit.min(TABLE_SIZE)).unwrap_or(i32::MAX) - 1;
    // The table stays as it is when this file is closed. If it is refused, the table grows later.
    let _ = rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), last);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_refused_is_asked_for_again_lower_but_never_below_what_there_is() {
        for (current, maximum, want) in [
            (Some(256), None, vec![None, Some(1 << 20), Some(1 << 16), Some(10_240)]),
            (Some(1024), Some(524_288), vec![Some(524_288), Some(1 << 16), Some(10_240)]),
            (Some(1024), Some(4096), vec![Some(4096)]),
            (Some(20_000), None, vec![None, Some(1 << 20), Some(1 << 16)]),
            (Some(4096), Some(4096), vec![]),
            (None, None, vec![]),
        ] {
            assert_eq!(higher_limits(Rlimit { current, maximum }), want, "{current:?} of {maximum:?}");
        }
    }

    #[test]
    fn there_is_room_for_what_the_limit_on_open_files_leaves() {
        for (files, clients, turned_away, segments) in [
            (1024, 1024 - 36 - 2 - 4 - 64, 64, true),
            (1 << 20, (1 << 20) - 106, 64, true),
            (255, 255 - 16 - 2 - 4 - 31, 31, false),
            (64, 34, 8, false),
            (8, 1, 1, false),
        ] {
            let capacity = Capacity { clients, turned_away, segments };
            assert_eq!(Capacity::within(files, 2, 2), capacity, "{files} files");
        }
    }
}
