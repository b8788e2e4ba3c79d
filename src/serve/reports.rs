//! What the terminal says about clients: which join, which leave and why, which are refused and what would help.

use super::shared::Shared;
use super::socket::Peer;
use crate::http::access::Origin;
use crate::http::answer::Refusal;
use crate::http::connection::CloseReason;
use crate::log::Missed;
use crate::report::Report;
use crate::sanitize::sanitize;
use std::sync::atomic::Ordering;

/// A stream began.
pub fn joined(shared: &Shared, peer: Option<&Peer>, returning: bool, missed: Missed) {
    shared.counters.joined.store(true, Ordering::SeqCst);
    shared.counters.served.fetch_add(1, Ordering::Relaxed);
    shared.counters.streams.fetch_add(1, Ordering::Relaxed);
    if let Some(peer) = peer {
        let came = if returning { "reconnected" } else { "joined" };
        let missed = match missed {
            Missed::Nothing => String::new(),
            Missed::Records(n) => format!(" and missed {n} events"),
            Missed::Unknown => " with an ID that is unknown here".to_owned(),
            Missed::Ambiguous => " with an ID that was given more than once".to_owned(),
        };
        shared.report.detail(format_args!("client {peer} {came}{missed}"));
    }
    shared.notify_server();
}

/// A stream is over.
pub fn left(shared: &Shared, peer: Option<&Peer>, reason: CloseReason) {
    let counters = &shared.counters;
    counters.streams.fetch_sub(1, Ordering::Relaxed);
    match reason {
        CloseReason::Stalled => _ = counters.stalled.fetch_add(1, Ordering::Relaxed),
        CloseReason::Behind => _ = counters.behind.fetch_add(1, Ordering::Relaxed),
        _ => {}
    }
    if let Some(peer) = peer {
        shared.report.detail(format_args!("client {peer} {reason}"));
    }
}

/// A client that asked for a stream was asked to come again later.
pub fn turned_away(shared: &Shared) {
    shared.counters.turned_away.fetch_add(1, Ordering::Relaxed);
    full(shared);
}

/// `--max-clients` is reached; reported once.
pub fn full(shared: &Shared) {
    let clients = shared.max_clients;
    let are = if clients == 1 { "client is" } else { "clients are" };
    let text = format!("{clients} {are} connected; more are turned away (see --max-clients)");
    shared.report.say_once("full", text);
}

/// A request was refused: reported once for each page, host or kind.
pub fn refused(report: &Report, refusal: &Refusal) {
    match refusal {
        Refusal::Origin(origin) if origin == "null" => report.say_once(
            "origin null",
            "refused a page that was opened as a file (Origin: null); serve it with --page FILE, or allow all such pages with --cors-origin null",
        ),
        // Only a valid origin is put in a command that a person may paste into a shell.
        Refusal::Origin(text) => match Origin::parse(text) {
            Some(origin) => {
                let (origin, value) = shown(&origin.to_string());
                let told = format!("refused a page of {origin}; --cors-origin {value} would let it in");
                report.say_once(&format!("origin {origin}"), told);
            }
            None => {
                let told = format!("refused a page with a malformed Origin, which no browser sends: {}", sanitize(text));
                report.say_once("no origin", told);
            }
        },
        Refusal::Host(host) => {
            let (host, value) = shown(host);
            let text = format!("refused a request for host {host}; --allow-host {value} would let it in");
            report.say_once(&format!("host {host}"), text);
        }
        Refusal::Embedded => report.say_once(
            "embedded",
            "refused what a page of another site embeds (an image, a script, a frame), because the page could not read it; EventSource and fetch work, if --cors-origin allows its origin",
        ),
        Refusal::Token => report.say_once("token", "refused a request without the token; the URL on the listening line contains it"),
    }
}

/// A name from outside, as it is shown and as the value of an option; a long one is cut.
fn shown(name: &str) -> (String, String) {
    let shown = sanitize(name);
    let value = if shown == name { shown.clone() } else { "with its full name".to_owned() };
    (shown, value)
}
