//! The input: bytes are split into records, records encoded into entries, entries published in batches.
//!
//! `records` and `encoder` are pure; `reader` is the thread that blocks on
//! standard input, `tee` the copy that it passes on.

pub mod encoder;
pub mod reader;
pub mod records;
pub mod tee;
