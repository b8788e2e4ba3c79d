//! What a request gets: who it is from, what it asks for, what the log holds for it. A pure decision.
//!
//! Resources and statuses as in the contract's §§ 4 and 6; fields by RFC 9110; what an event stream needs to pass
//! browsers and proxies untouched, by WHATWG HTML § 9.2.

use super::page::{self, Asset};
use crate::access::{Cors, Hosts, Origins};
use crate::log::{Log, Missed, Start};
use crate::wire::accept::{Wanted, wanted};
use crate::wire::request::{Invalid, Method, Request, Version};
use crate::wire::response::{Length, head};
use crate::wire::{chunk, event};
use std::time::Duration;

/// What is the same for all requests.
#[derive(Clone, Debug)]
pub struct Service {
    /// Who may read from another origin.
    pub origins: Origins,
    /// Which names we answer to.
    pub hosts: Hosts,
    /// Whether events carry IDs.
    pub ids: bool,
    /// How many past events a newcomer gets; `None` for all of the history.
    pub tail: Option<u64>,
    /// Whether the person serves a page of their own at `/`.
    pub own_page: bool,
}

/// What is so at the moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
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
}

/// Where the input is, as the clients are concerned (contract 1.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// More may come.
    Live,
    /// No more will come: whoever has everything is closed, and a returning EventSource gets its 204.
    Ended,
    /// No more will come, but streams stay open: without IDs nobody could be recognised (`serve` with `--no-id`).
    EndedOpen,
}

/// What a request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These bytes, head and content, and the close.
    Whole(Vec<u8>),
    /// 204: there is nothing more to come, for an EventSource to stop for good.
    Farewell(Vec<u8>),
    /// The person's own page, which has to be fetched first: [`OwnPage::found`] makes the answer.
    OwnPage(OwnPage),
    /// An event stream.
    Stream(Opening),
}

/// How an event stream begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Head and first chunk.
    pub bytes: Vec<u8>,
    /// Where in the log it starts.
    pub start: Start,
    /// HTTP/1.0 gets no chunks.
    pub version: Version,
    /// Whether the client asked for `text/event-stream`: then it will come back after the end.
    pub event_source: bool,
    /// Whether it brought a last event ID.
    pub returning: bool,
    /// How it is told of what is no record.
    pub notices: Notices,
}

/// How a client is told of what is no record: heartbeats and gaps (contract 4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notices {
    /// As comments, which page code never sees.
    Comments,
    /// As events, for a page's watchdog.
    Events,
}

/// A refusal that the person at the terminal is told of, because the browser says so little.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A page of this origin.
    Origin(String),
    /// A request to this host name.
    Host(String),
}

/// An answer that waits for the person's page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPage {
    method: Method,
    cors: Cors,
}

const PATHS: &str = "/events (the stream), / (the stream or the page, by Accept), /viewer (the page)";

/// Answers a well-formed request.
pub fn answer(request: &Request, service: &Service, moment: &Moment) -> (Answer, Option<Refusal>) {
    let cors = service.origins.judge(request.origin.as_deref(), request.host.as_ref());
    let plain = |status, fields: &[(&str, &str)], text: &str| {
        Answer::Whole(short(status, request.method, moment.date, &cors, fields, text))
    };
    if !service.hosts.allow(request.host.as_ref()) {
        let host = request.host.as_ref().map_or("", |host| host.host.as_str()).to_owned();
        let text = format!("this server is not known as {host}; --allow-host {host} would allow it\n");
        return (plain(421, &[], &text), Some(Refusal::Host(host)));
    }
    if cors == Cors::Refused {
        let origin = request.origin.clone().unwrap_or_default();
        return (plain(403, &[], "pages of this origin may not read here\n"), Some(Refusal::Origin(origin)));
    }
    let answer = match (request.method, request.path.as_str()) {
        (Method::Options, _) => Answer::Whole(preflight(moment.date, &cors)),
        (Method::Connect | Method::Other, _) => {
            plain(405, &[("Allow", "GET, HEAD, OPTIONS")], "only GET, HEAD and OPTIONS\n")
        }
        (_, "/events") => stream(request, service, moment, &cors),
        (_, "/") if wanted(&request.accept) != Wanted::Html => stream(request, service, moment, &cors),
        (method, "/") if service.own_page => Answer::OwnPage(OwnPage { method, cors }),
        (method, "/") => Answer::Whole(asset(page::INDEX, method, moment.date, &cors)),
        (method, path) => match page::asset(path) {
            Some(found) => Answer::Whole(asset(found, method, moment.date, &cors)),
            None => plain(404, &[], &format!("not here; there are {PATHS}\n")),
        },
    };
    (answer, None)
}

/// Answers a head that is no request. Whose page sent it nobody knows; who may read all the same, may.
pub fn refuse(invalid: Invalid, service: &Service, date: &str) -> Vec<u8> {
    let (status, why) = invalid.status();
    short(status, Method::Get, date, &service.origins.judge(None, None), &[], &format!("{why}\n"))
}

/// Answers a client whose head did not come in time (408).
pub fn too_late(date: &str) -> Vec<u8> {
    short(408, Method::Get, date, &Cors::Same, &[], "the request head did not come within 10 s\n")
}

impl OwnPage {
    /// The answer, once the page was read: its content and media type, or why it could not be.
    pub fn found(self, page: Result<(Vec<u8>, &str), String>, date: &str) -> Vec<u8> {
        match page {
            Err(why) => short(404, self.method, date, &self.cors, &[], &format!("{why}\n")),
            Ok((content, media_type)) => {
                let fields = [("Content-Type", media_type), ("Cache-Control", "no-cache"), ("Vary", "Accept")];
                whole(200, self.method, date, &self.cors, &fields, &content)
            }
        }
    }
}

fn stream(request: &Request, service: &Service, moment: &Moment, cors: &Cors) -> Answer {
    let event_source = wanted(&request.accept) == Wanted::EventStream;
    let Moment { log, history, .. } = *moment;
    let last_event_id = request.last_event_id.as_deref().filter(|id| service.ids && !id.trim().is_empty());
    let start = match last_event_id {
        Some(id) => log.resume(id, history),
        None => log.start_new(service.tail.unwrap_or(history).min(history)),
    };
    if moment.phase == Phase::Ended && request.method == Method::Get {
        let has_all = match (last_event_id, start.missed) {
            // It has all that it will ever be recognised by.
            (Some(_), Missed::Nothing | Missed::Records(_)) => log.is_last_id_before(start.entry),
            _ => log.is_last_event_before(start.entry),
        };
        let is_over = if service.ids && log.has_ids() {
            has_all && (event_source || last_event_id.is_some())
        } else {
            event_source // Without IDs one that returns can't be told from a new one; it must not get everything twice.
        };
        if is_over {
            let fields = cors.fields();
            return Answer::Farewell(head(204, moment.date, Length::NoContent, &fields));
        }
    }
    let mut fields = vec![
        ("Content-Type", "text/event-stream"),
        ("Cache-Control", "no-store, no-transform"),
        ("X-Accel-Buffering", "no"),
    ];
    fields.extend(cors.fields());
    if request.path == "/" {
        fields.push(("Vary", "Accept"));
    }
    let mut bytes = head(200, moment.date, Length::Stream(request.version), &fields);
    if request.method == Method::Head {
        return Answer::Whole(bytes);
    }
    let notices = if request.notices_as_events { Notices::Events } else { Notices::Comments };
    let first = first_chunk(service, moment, &start, last_event_id.is_none(), notices);
    match request.version {
        Version::Http11 => chunk::write(&mut bytes, first.len(), |out| out.extend_from_slice(&first)),
        Version::Http10 => bytes.extend_from_slice(&first),
    }
    let returning = last_event_id.is_some();
    Answer::Stream(Opening { bytes, start, version: request.version, event_source, returning, notices })
}

/// `retry`, a notice of what was missed, and for a newcomer whose tail is cut the ID that it starts after.
/// No needless blank line: some client libraries make an event of each.
fn first_chunk(service: &Service, moment: &Moment, start: &Start, newcomer: bool, notices: Notices) -> Vec<u8> {
    let mut first = format!("retry: {}\n", moment.retry.as_millis()).into_bytes();
    let missed = match start.missed {
        Missed::Nothing => None,
        Missed::Records(n) => Some((format!("{n} events missed"), n.to_string())),
        Missed::Unknown => {
            let why = "events missed, nobody knows how many: unknown last event ID";
            Some((why.to_owned(), "null".to_owned()))
        }
    };
    match (missed, notices) {
        (None, _) => {}
        (Some((words, _)), Notices::Comments) => event::write_comment(&mut first, &words),
        (Some((_, number)), Notices::Events) => {
            first.extend_from_slice(format!("event: gap\ndata: {{\"missed\": {number}}}\n\n").as_bytes());
        }
    }
    let whole_history = moment.log.first_of_latest(moment.history);
    if newcomer
        && service.ids
        && start.entry > whole_history
        && let Some(id) = moment.log.id_before(start.entry)
    {
        first.extend_from_slice(format!("id: {id}\n\n").as_bytes());
    }
    first
}

fn preflight(date: &str, cors: &Cors) -> Vec<u8> {
    let mut fields = vec![
        ("Allow", "GET, HEAD, OPTIONS"),
        ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
        ("Access-Control-Allow-Headers", "Last-Event-ID, Cache-Control, Authorization"),
        ("Access-Control-Max-Age", "600"),
    ];
    fields.extend(cors.fields());
    head(204, date, Length::NoContent, &fields)
}

fn asset(asset: Asset, method: Method, date: &str, cors: &Cors) -> Vec<u8> {
    let fields = [
        ("Content-Type", asset.media_type),
        ("Content-Security-Policy", page::CONTENT_SECURITY_POLICY),
        ("Cache-Control", "no-cache"),
        ("Vary", "Accept"),
    ];
    whole(200, method, date, cors, &fields, asset.content)
}

/// One line of plain text.
fn short(status: u16, method: Method, date: &str, cors: &Cors, fields: &[(&str, &str)], text: &str) -> Vec<u8> {
    let mut all = vec![("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")];
    all.extend_from_slice(fields);
    whole(status, method, date, cors, &all, text.as_bytes())
}

fn whole(status: u16, method: Method, date: &str, cors: &Cors, fields: &[(&str, &str)], content: &[u8]) -> Vec<u8> {
    let fields: Vec<_> = fields.iter().copied().chain(cors.fields()).collect();
    let mut bytes = head(status, date, Length::Bytes(content.len()), &fields);
    if method != Method::Head {
        bytes.extend_from_slice(content);
    }
    bytes
}
