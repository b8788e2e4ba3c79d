//! The feed: the way of a batch from the reader to the workers, and what holds the reader back.
//!
//! Forwards go batches, in order, to every worker ([`publisher`]). A batch is with all workers before any client can ask
//! for what comes after it, so that an ID given by one worker is known to all. Backwards go only numbers: where each
//! worker's clients are, and (through the batches that are dropped) how much memory is held ([`gate`]). From them the
//! [`pace`] follows: how far the reader may run ahead.

pub mod gate;
pub mod pace;
pub mod publisher;

use std::io;

/// How the input came to its end.
#[derive(Debug, Default)]
pub struct InputEnd {
    /// It could not be read on.
    pub unreadable: Option<io::Error>,
    /// The copy (`--tee`) could not be written.
    pub tee_failed: bool,
    /// The reader of the copy has gone, and so the whole pipe ends.
    pub tee_gone: bool,
    /// No event had an ID, so a client that returns can't be recognised.
    pub without_ids: bool,
}
