//! The input: bytes are split into records, records encoded into entries, entries published in batches.
//!
//! `records`, `json`, `buffering` and `encoder` are pure; `reader` is the thread that blocks on standard input, `format`
//! takes apart what it reads, `tee` is the copy that it passes on.

pub mod buffering;
pub mod encoder;
pub mod format;
pub mod json;
pub mod reader;
pub mod records;
pub mod tee;
