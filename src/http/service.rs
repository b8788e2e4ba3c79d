//! What answers depend on: the settings, and the current state.

use super::access::{Hosts, Origins};
use super::metrics::Gauges;
use super::tiles::Tiles;
use super::token::Token;
use crate::counters::Counters;
use crate::log::Log;
use std::time::Duration;

/// The same for all requests.
#[derive(Clone, Debug)]
pub struct Service {
    /// Who may read from another origin.
    pub origins: Origins,
    /// Which host names we answer to.
    pub hosts: Hosts,
    /// The token that every client must send, if one is set.
    pub token: Option<Token>,
    /// Whether events have IDs.
    pub ids: bool,
    /// How many past events a new client gets; `None` for all of the history.
    pub tail: Option<u64>,
    /// The user's own page (`--page`).
    pub page: CustomPage,
    /// The built-in page's title, if it has one of its own.
    pub title: Option<String>,
    /// The tile server of its map, if that is one of the user's own.
    pub tiles: Option<Tiles>,
    /// Whether there is `/metrics`.
    pub metrics: bool,
}

/// The user's own page (`--page`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CustomPage {
    /// There is none: the built-in one is at `/`.
    #[default]
    None,
    /// A file, at `/`.
    File,
    /// A folder, whose `index.html` is at `/`.
    Folder,
}

/// How a client was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// By a Unix socket: no web page can use one, so any `Host` is fine.
    pub unix_socket: bool,
    /// All places of `--max-clients` were taken. If they still are when it asks for a stream, it is asked to come again
    /// later; anything else is answered as usual.
    pub over_limit: bool,
}

/// The state at the time of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// The log.
    pub log: &'a Log,
    /// How many past events are the history.
    pub history: u64,
    /// The phase of the input.
    pub phase: Phase,
    /// The `Date`, an IMF-fixdate.
    pub date: &'a str,
    /// The reconnection time for this client.
    pub retry: Duration,
    /// Whether there are more connections than `--max-clients` allows.
    pub crowded: bool,
    /// What has happened so far, for `/metrics`.
    pub counters: &'a Counters,
    /// The same; all 0 without `--metrics`.
    pub gauges: Gauges,
}

/// The phase of the input, from the clients' view (behaviour 1.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// More may come.
    Live,
    /// No more will come: clients that have everything are closed, and a returning EventSource gets its 204.
    Ended,
    /// No more will come, but streams stay open: without IDs no client could be recognised (`serve` with `--no-id`).
    EndedOpen,
    /// A signal ends the program: clients that have everything are closed, but get no 204.
    Stopped,
}

impl Phase {
    /// Whether a stream that has everything is closed.
    pub fn closes_streams(self) -> bool {
        matches!(self, Phase::Ended | Phase::Stopped)
    }
}
