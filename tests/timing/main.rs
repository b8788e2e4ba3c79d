//! Tests whose bounds are times: a crate of their own, so that the many others are over when they run. One runs at a
//! time. Some compare with what else the same machine does in that time, or take the best of several tries.

#[path = "../it/support/mod.rs"]
#[allow(dead_code)] // what only the other tests use
mod support;

mod page;
mod program;

use std::sync::{Mutex, MutexGuard, PoisonError};

static MACHINE: Mutex<()> = Mutex::new(());

/// Waits until no other test of this crate runs.
fn alone() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}
