//! The input: bytes are split into records, records encoded into entries, entries published in batches.
//!
//! Pure: `records`, `line_ends` and `json_texts` (bytes to records), `json`, `encoder` and `frame` (records to
//! entries), `buffering` and `hints`. `source` says which format does what, `publish` hands entries to the feed,
//! `reader` is the thread that blocks on standard input, `tee` the copy for standard output, `pipe` what both need from
//! the kernel.

pub mod buffering;
pub mod encoder;
pub mod frame;
pub mod hints;
pub mod json;
pub mod json_texts;
pub mod line_ends;
pub mod pipe;
pub mod publish;
pub mod reader;
pub mod records;
pub mod source;
pub mod tee;
