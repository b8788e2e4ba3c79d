//! What people and clients see of sse-pipe, tried with the real binary: a module for each matter, and what they share in
//! [`support`]. `behaviour 5.4` is a clause of `docs/behaviour.md`.

mod access;
mod browsers;
mod buffering;
mod clients;
mod crowd;
mod death;
mod delivery;
mod documents;
mod endings;
mod examples;
mod faults;
mod fleet;
mod formats;
mod fuzz;
mod metrics;
mod notices;
mod open;
mod own_ids;
mod pace;
mod page;
mod pipe;
mod proxies;
mod relay;
mod requests;
mod resume;
mod status;
mod support;
mod tee;
mod token;
mod unix;
mod viewer;
mod viewer_connection;
mod viewer_log;
mod viewer_views;
mod wire;
