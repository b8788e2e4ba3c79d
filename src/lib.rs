//! sse-pipe reads records from standard input and sends each one as a Server-Sent Event to every connected client.
//!
//! The API is unstable: it exists for this crate's own tests, benchmarks and fuzz targets. The promises are about the
//! program: `docs/behaviour.md` and the manual.
//!
//! # The house
//!
//! From the ground up; a room uses rooms on floors below it, never above, and no two depend on each other
//! (`.ci/floors` checks it):
//!
//! | floor | rooms | |
//! |---|---|---|
//! | 0 | [`wire`] | the protocols, without I/O: events, chunks, requests, notices |
//! | 0 | [`sanitize`], [`counters`], [`limits`] | text for a terminal; counts; the limit on open files |
//! | 1 | [`log`], [`report`] | what was read, encoded once, kept once; the way to standard error |
//! | 2 | [`feed`] | from the reader to the workers, and what holds it back |
//! | 2 | [`http`] | what a request gets, and a connection's life, without I/O |
//! | 3 | [`input`] | from bytes to records to batches |
//! | 3 | [`serve`] | what has sockets and threads |
//! | 4 | [`cli`], [`config`] | what was typed, and what it means |
//! | 5 | [`run`], [`signals`], [`browser`] | putting the parts together |
//!
//! # The path of a record
//!
//! 1. `input::reader` waits at `feed::gate` until the pace allows it, then reads what one `read` gives.
//! 2. `input::source` splits it: `input::records` into lines, and `input::json` or `wire::event_stream` into parts.
//! 3. `input::encoder` writes each record into a `log::batch::Draft` as its final bytes: one event, one chunk.
//! 4. `input::publish` has `feed::publisher` make room in the shared log (by evicting old batches, if necessary) and
//!    finish the batch. A large batch for many streams goes into a `log::segment`, a file in memory; with a store,
//!    every batch goes into one in its folder (`log::store`).
//! 5. `feed::gate` appends the batch, an `Arc`, to the shared log; the workers that have streams are woken.
//! 6. `serve::worker` follows: its own `log::Log` gets the pointer, and every stream goes on its ready list.
//! 7. `http::connection` says which slices of the log, or which part of a segment, are pending from the client's cursor
//!    on.
//! 8. `serve::client` writes them with one system call (`sendfile` for a segment: nothing is copied); the cursor moves
//!    by what the socket took.
//! 9. At the end of the turn the worker trims its log to what its clients need, and reports their cursors to the gate,
//!    which trims the shared log to clients and history.
//! 10. When the batch is no longer held anywhere, its memory returns to `log::memory`, and the gate may let the reader
//!     continue.
//!
//! # The path of a request
//!
//! 1. `serve::server` accepts, gives the socket to the least loaded worker's inbox, and wakes it.
//! 2. `serve::worker` registers the socket and makes a `http::connection::Connection`, a value.
//! 3. It reads into a scratch buffer; `wire::request` parses the head, strictly.
//! 4. `http::answer` asks `http::access` (Host, Origin) and `http::token` whether the client may read at all,
//! 5. then gives the request to the room that answers: `stream`, `assets`, `metrics`, `replies`;
//! 6. a separate thread, `serve::files`, looks up and reads a file of `--page`; `http::file` makes the answer.
//! 7. A stream starts where `resume` or `start_new` of the shared log says; `feed::gate`'s admission keeps that place
//!    from being evicted meanwhile.
//! 8. Head and first chunk are staged in the connection, and sent before anything from the log.
//! 9. An answer is closed in stages: when the kernel has sent it, the write side; then whatever the client sends is
//!    read and ignored until it closes.
//! 10. `serve::drain` knows which clients must still get something, so that the program doesn't end too early; and at
//!     the end the workers wait until all that was sent is acknowledged.

pub mod browser;
pub mod cli;
pub mod config;
pub mod counters;
pub mod feed;
pub mod http;
pub mod input;
pub mod limits;
pub mod log;
pub mod report;
pub mod run;
pub mod sanitize;
pub mod serve;
pub mod signals;
pub mod wire;

use crate::config::Config;
use crate::log::store::{self, Options};
use crate::report::Report;
use crate::serve::server::Finish;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

/// The program. Exit status: 0 the run was whole, 1 something failed or was skipped, 2 usage.
pub fn main() -> ExitCode {
    let config = match cli::parse(std::env::args_os()) {
        Ok(cli) => Config::new(cli).map_err(|error| cli::usage_error(&error.to_string())),
        Err(status) => Err(status),
    };
    let config = match config {
        Ok(config) => config,
        Err(status) => return status,
    };
    let limit = limits::raise_file_limit();
    limits::enlarge_file_table(limit.files);
    let report = match Report::start(config.verbosity) {
        Ok(report) => Arc::new(report),
        Err(_) => return ExitCode::FAILURE, // no thread can be started, so this can't be reported either
    };
    if let Some(options) = config.store.clone().filter(|_| config.last_id) {
        return last_id(&options, &report);
    }
    let result = run::run(config, limit, &report);
    if let Err(error) = &result {
        report.error(format_args!("{error:#}"));
    }
    report.flush();
    match result {
        Ok((Finish::Served, true)) => ExitCode::SUCCESS,
        Ok((Finish::Signal(signal), _)) => {
            signals::die_of(signal);
            ExitCode::FAILURE
        }
        Ok((Finish::Served, false)) | Err(_) => ExitCode::FAILURE,
    }
}

/// Prints the last ID in a store (`--last-id`).
fn last_id(options: &Options, report: &Report) -> ExitCode {
    let id = store::last_id(&options.folder).unwrap_or_else(|error| {
        report.error(format_args!("{error:#}"));
        None
    });
    report.flush();
    match id.map(|id| writeln!(std::io::stdout(), "{id}")) {
        Some(Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
