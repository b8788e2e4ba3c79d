//! HTTP, pure: what a request gets, and a connection's life as a value. Nothing here uses a socket, a file, a clock or
//! a thread.
//!
//! `answer` decides which module answers a request: `stream` (the event stream), `assets` (the built-in page; `tiles`: its
//! map's tile server), `file` (the user's own page), `metrics`, `replies` (everything short). `access` and `token` decide
//! who may read, `service` has what all of them need. `connection` drives it all, from the first byte of a request to the
//! close.

pub mod access;
pub mod answer;
pub mod assets;
pub mod connection;
pub mod file;
pub mod metrics;
pub mod replies;
pub mod service;
pub mod stream;
pub mod tiles;
pub mod token;
