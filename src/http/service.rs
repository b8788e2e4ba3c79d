//! What requests are answered from: the settings, and what is true at the moment.

use super::access::{Hosts, Origins};
use super::metrics::Gauges;
use super::tiles::Tiles;
use super::token::Token;
use crate::counters::Counters;
use crate::log::Log;
use std::time::Duration;

/// What is the same for all requests.
#[derive(Clone, Debug)]
pub struct Service {
    /// Who may read from another origin.
    pub origins: Origins,
    /// Which names we answer to.
    pub hosts: Hosts,
    /// What every client must bring, where it is set.
    pub token: Option<Token>,
    /// Whether events carry IDs.
    pub ids: bool,
    /// How many past events a newcomer gets; `None` for all of the history.
    pub tail: Option<u64>,
    /// The page of the user's own (`--page`).
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
    /// There is none: the built-in one stands at `/`.
    #[default]
    None,
    /// A file, at `/`.
    File,
    /// A folder, whose `index.html` stands at `/`.
    Folder,
}

/// How a client was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// By a Unix socket: no web page comes that way, so that `Host` may say what it likes.
    pub unix_socket: bool,
    /// All places of `--max-clients` were taken. If they still are when it asks for a stream, it is told to come again
    /// later; anything else is answered all the same.
    pub over_limit: bool,
}

/// What is true at the moment of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// The log.
    pub log: &'a Log,
    /// How many past events count as the history.
    pub history: u64,
    /// Where the input is.
    pub phase: Phase,
    /// The `Date`, an IMF-fixdate.
    pub date: &'a str,
    /// The reconnection time that this client is told.
    pub retry: Duration,
    /// Whether more connections want a place than `--max-clients` allows.
    pub crowded: bool,
    /// What has happened so far, for `/metrics`.
    pub counters: &'a Counters,
    /// The same; all 0 without `--metrics`.
    pub gauges: Gauges,
}

/// Where the input is, as the clients are concerned (behaviour 1.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// More may come.
    Live,
    /// No more will come: whoever has everything is closed, and a returning EventSource gets its 204.
    Ended,
    /// No more will come, but streams stay open: without IDs nobody could be recognised (`serve` with `--no-id`).
    EndedOpen,
    /// A signal ends the program: whoever has everything is closed, but not told that there will never be more.
    Stopped,
}

impl Phase {
    /// Whether a stream that has everything is closed.
    pub fn closes_streams(self) -> bool {
        matches!(self, Phase::Ended | Phase::Stopped)
    }
}
