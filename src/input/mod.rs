//! The input: bytes are split into records, records encoded into entries, entries published in batches.
//!
//! `records`, `line_ends`, `json`, `buffering`, `encoder` and `frame` are pure; `reader` is the thread that blocks on
//! standard input, `format` takes apart what it reads, `tee` is the copy that it passes on.

pub mod buffering;
pub mod encoder;
pub mod format;
pub mod frame;
pub mod json;
pub mod line_ends;
pub mod reader;
pub mod records;
pub mod tee;
