//! The protocols, pure: bytes in, bytes out. Nothing here uses a socket, a file, a clock or a thread.
//!
//! `event`, `chunk` and `utf8` write what clients read, `event_stream` reads it as they do; `request`, `accept` and
//! `response` are the two kinds of HTTP heads.

pub mod accept;
pub mod authority;
pub mod chunk;
pub mod event;
pub mod event_stream;
pub mod notice;
pub mod request;
pub mod response;
pub mod utf8;
