//! The feed: how batches get from the reader to the workers, and what holds the reader back.
//!
//! Batches go forwards, in order, to every worker ([`publisher`]). All workers have a batch before any client can ask
//! for what comes after it, so an ID given by one worker is known to all. Only numbers go backwards: where each
//! worker's clients are, and (through the batches that are dropped) how much memory is held ([`gate`]). The [`pace`]
//! follows from them: how far the reader may run ahead.

pub mod gate;
pub mod pace;
pub mod publisher;

use std::io;

/// How the input ended.
#[derive(Debug, Default)]
pub struct InputEnd {
    /// It could not be read any further.
    pub unreadable: Option<io::Error>,
    /// The copy (`--tee`) could not be written.
    pub tee_failed: bool,
    /// The reader of the copy is gone, so the whole pipe ends.
    pub tee_gone: bool,
    /// No event had an ID, so a client that returns can't be recognised.
    pub without_ids: bool,
}
