//! Who may use the machine: all tests run at once in one process, and some of them would disturb others.
//!
//! A test that keeps a processor busy (a flood, a browser) takes one of a few places. The others take none: they are
//! short, or wait most of the time. What measures times is in another crate: `tests/timing`.

use std::sync::{Condvar, LazyLock, Mutex, PoisonError};
use std::thread::available_parallelism;

/// A place for each processor, and one more: such a test waits now and then. More than eight browsers are too many.
static PLACES: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(1, |n| n.get().min(7)) + 1);

static LINE: Mutex<Line> = Mutex::new(Line { taken: 0, arrived: 0, let_in: 0 });
static CHANGED: Condvar = Condvar::new();

/// Tests that want places, in the order in which they came: one that wants two is not passed by others.
struct Line {
    taken: usize,
    arrived: u64,
    let_in: u64,
}

/// Some of the places; free again when dropped.
#[must_use]
pub struct Places(usize);

/// Waits for this many of the places. A test takes them once, at its start: it would wait for itself otherwise.
pub fn places(n: usize) -> Places {
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    let number = line.arrived;
    line.arrived += 1;
    let free = CHANGED.wait_while(line, |line| line.let_in != number || line.taken + n > *PLACES);
    let mut line = free.unwrap_or_else(PoisonError::into_inner);
    line.let_in += 1;
    line.taken += n;
    CHANGED.notify_all();
    Places(n)
}

/// A place for a test that keeps a processor busy.
pub fn busy() -> Places {
    places(1)
}

impl Drop for Places {
    fn drop(&mut self) {
        LINE.lock().unwrap_or_else(PoisonError::into_inner).taken -= self.0;
        CHANGED.notify_all();
    }
}
