//! What is fuzzed: each target takes any bytes and panics if the program would break a promise.
//!
//! They are plain functions. libFuzzer drives them for as long as you like (see README.md in this folder), and
//! `tests/it/fuzz.rs` of the main package runs them over the stored corpus, with a stable compiler.

pub mod connection;
pub mod event_stream;
pub mod json_texts;
pub mod request_head;
pub mod store;
