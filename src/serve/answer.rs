//! What a request gets: who it is from, what it asks for, what the log holds for it. A pure decision.
//!
//! Resources and statuses as in the contract's §§ 4 and 6; fields by RFC 9110; what an event stream needs to pass
//! browsers and proxies untouched, by WHATWG HTML § 9.2.

use super::metrics::{self, Metrics};
use super::page::{self, Asset};
use crate::access::{Cors, Hosts, Origins, Token};
use crate::log::{Log, Missed, Start};
use crate::wire::accept::{Wanted, wanted};
use crate::wire::request::{Invalid, Method, Request, Version, origin_of_invalid};
use crate::wire::response::{Length, head};
use crate::wire::{chunk, event};
use httpdate::HttpDate;
use percent_encoding::percent_decode_str;
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
    /// What the person serves beside the stream.
    pub own: Own,
    /// Whether there is `/metrics`.
    pub metrics: bool,
}

/// The person's own page (`--page`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Own {
    /// There is none: the built-in one stands at `/`.
    #[default]
    Nothing,
    /// A file, at `/`.
    File,
    /// A folder, whose `index.html` stands at `/`.
    Folder,
}

/// Seconds after which a client that was turned away may ask again.
const RETRY_AFTER: &str = "10";
/// The same for an EventSource, which would give up for good at a 503.
const RETRY_LATER: &[u8] = b"retry: 10000\n";

/// How a client came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entrance {
    /// By a Unix socket: no web page comes that way, so that `Host` may say what it likes.
    pub unix: bool,
    /// Beyond `--max-clients`: it is told to come again later.
    pub full: bool,
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
    /// Something that has to be looked for first: [`Lookup::answer`] makes the answer.
    Lookup(Lookup),
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
    /// A request without the token.
    Token,
}

/// An answer that waits for something from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// What is to be looked for.
    pub wanted: Outside,
    method: Method,
    cors: Cors,
    query: String,
    if_none_match: Option<String>,
    if_modified_since: Option<String>,
}

/// What is found outside, by the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outside {
    /// The file of `--page FILE`.
    OwnPage,
    /// A file of `--page DIR`, by the path of the target.
    OwnFile(String),
    /// What `/metrics` tells.
    Metrics,
}

/// What came of a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A file; its content is asked for in pieces.
    File {
        /// Its media type.
        media_type: String,
        /// Its length in bytes.
        length: u64,
        /// Its `ETag`.
        entity_tag: String,
        /// Its `Last-Modified`.
        modified: HttpDate,
    },
    /// The metrics.
    Metrics(Metrics),
    /// A folder, asked for without the slash at its end.
    Folder,
    /// Nothing, and why.
    Missing(String),
    /// Something that we may not read.
    Forbidden,
    /// There are no files left to open it with.
    Busy,
}

/// Tells whoever missed them what paths there are.
fn not_here(why: &str, service: &Service) -> String {
    let metrics = if service.metrics { ", /metrics" } else { "" };
    let files = if service.own == Own::Folder { ", and the files of --page" } else { "" };
    let paths = "/events (the stream), / (the stream or the page, by Accept), /viewer (the page)";
    format!("not here{why}; there are {paths}{metrics}{files}\n")
}

/// Answers a well-formed request.
pub fn answer(request: &Request, entrance: Entrance, service: &Service, moment: &Moment) -> (Answer, Option<Refusal>) {
    let cors = service.origins.judge(request.origin.as_deref(), request.host.as_ref());
    let plain = |status, fields: &[(&str, &str)], text: &str| {
        Answer::Whole(short(status, request.method, moment.date, &cors, fields, text))
    };
    if !entrance.unix && !service.hosts.allow(request.host.as_ref()) {
        let host = request.host.as_ref().map_or("", |host| host.host.as_str()).to_owned();
        let text = format!("this server is not known as {host}; --allow-host {host} would allow it\n");
        return (plain(421, &[], &text), Some(Refusal::Host(host)));
    }
    if cors == Cors::Refused {
        let origin = request.origin.clone().unwrap_or_default();
        return (plain(403, &[], "pages of this origin may not read here\n"), Some(Refusal::Origin(origin)));
    }
    if request.preflight {
        return (Answer::Whole(preflight(moment.date, &cors)), None);
    }
    let Some((path, way)) = unlock(request, service.token.as_ref()) else {
        let text = "a token is needed: Authorization: Bearer TOKEN, or ?access_token=TOKEN\n";
        let challenge = [("WWW-Authenticate", "Bearer realm=\"sse-pipe\"")];
        return (plain(401, &challenge, text), Some(Refusal::Token));
    };
    let lookup = |wanted: Outside| {
        Answer::Lookup(Lookup {
            wanted,
            method: request.method,
            cors: cors.clone(),
            query: request.query.clone(),
            if_none_match: request.if_none_match.clone(),
            if_modified_since: request.if_modified_since.clone(),
        })
    };
    // A page whose URLs would not carry the token is sent to where they do.
    let document = |answer: Answer| match (way, &service.token) {
        (Way::Query, Some(token)) => {
            let location = page::location_behind_token(path, &request.query, token);
            plain(307, &[("Location", location.as_str()), ("Vary", "Accept")], "the page is there\n")
        }
        _ => answer,
    };
    let wanted = wanted(&request.accept);
    let turned_away = entrance.full && wanted != Wanted::EventStream;
    // `/%65vents` is `/events` (RFC 3986 § 6.2.2.2).
    let name = percent_decode_str(path).decode_utf8_lossy();
    let answer = match (request.method, name.as_ref()) {
        (Method::Options, _) => Answer::Whole(preflight(moment.date, &cors)),
        (Method::Other, _) => plain(405, &[("Allow", "GET, HEAD, OPTIONS")], "only GET, HEAD and OPTIONS\n"),
        (_, "/events") if !turned_away => stream(request, &name, entrance, service, moment, &cors),
        (_, "/") if !turned_away && wanted != Wanted::Html => stream(request, &name, entrance, service, moment, &cors),
        (_, "/metrics") if service.metrics => lookup(Outside::Metrics), // wanted most when it is full
        _ if entrance.full => plain(503, &[("Retry-After", RETRY_AFTER)], "too many clients; come again later\n"),
        (_, "/") if service.own == Own::File => document(lookup(Outside::OwnPage)),
        (_, "/") if service.own == Own::Folder => document(lookup(Outside::OwnFile("/".to_owned()))),
        (method, "/" | "/viewer") => document(Answer::Whole(asset(page::INDEX, method, moment.date, &cors))),
        (method, name) => match page::asset(name) {
            Some(found) => Answer::Whole(asset(found, method, moment.date, &cors)),
            None if service.own == Own::Folder => match name.ends_with('/') || name.ends_with(".html") {
                true => document(lookup(Outside::OwnFile(path.to_owned()))),
                false => lookup(Outside::OwnFile(path.to_owned())),
            },
            None => plain(404, &[], &not_here("", service)),
        },
    };
    (answer, None)
}

/// How the token came, where one is asked for.
#[derive(Clone, Copy)]
enum Way {
    /// In front of the path or in a field (or there is none): it comes with what a page asks for as well.
    Lasting,
    /// In the query, which relative URLs don't take on.
    Query,
}

/// The path that is meant, without the token; `None` when the token is missing or wrong.
fn unlock<'a>(request: &'a Request, token: Option<&Token>) -> Option<(&'a str, Way)> {
    let path = request.path.as_str();
    let Some(token) = token else { return Some((path, Way::Lasting)) };
    let is = |text: &Option<String>| text.as_ref().is_some_and(|text| token.is(text.as_bytes()));
    if let Some(path) = page::behind_token(path, token) {
        return Some((path, Way::Lasting));
    }
    match (is(&request.bearer), is(&request.access_token)) {
        (true, _) => Some((path, Way::Lasting)),
        (false, true) => Some((path, Way::Query)),
        (false, false) => None,
    }
}

/// Answers a head that is no request, `sent` so far. The page that sent it may read why, if it may read at all.
pub fn refuse(invalid: Invalid, sent: &[u8], service: &Service, date: &str) -> Vec<u8> {
    let (status, why) = invalid.status();
    let cors = match service.origins.judge(origin_of_invalid(sent), None) {
        Cors::Refused => Cors::Same, // as if nobody had asked: a 403 would say less
        cors => cors,
    };
    short(status, Method::Get, date, &cors, &[], &format!("{why}\n"))
}

/// Answers a client whose head did not come in time (408).
pub fn too_late(date: &str) -> Vec<u8> {
    short(408, Method::Get, date, &Cors::Same, &[], "the request head did not come within 10 s\n")
}

impl Lookup {
    /// The answer, once it was looked for; and how many bytes of content are to be fetched for it.
    pub fn answer(self, found: Found, service: &Service, date: &str) -> (Vec<u8>, u64) {
        let short = |status, fields: &[(&str, &str)], text: &str| {
            (short(status, self.method, date, &self.cors, fields, text), 0)
        };
        let path = match &self.wanted {
            Outside::OwnFile(path) => path,
            Outside::OwnPage | Outside::Metrics => "/",
        };
        match found {
            Found::File { media_type, length, entity_tag, modified } => {
                let last_modified = modified.to_string();
                let mut fields = vec![
                    ("ETag", entity_tag.as_str()),
                    ("Last-Modified", &last_modified),
                    ("Cache-Control", "no-cache"), // kept, but never used without asking
                ];
                fields.extend(self.cors.fields());
                if path == "/" {
                    fields.push(("Vary", "Accept"));
                }
                if self.is_fresh(&entity_tag, modified) {
                    return (head(304, date, Length::NoContent, &fields), 0);
                }
                fields.push(("Content-Type", &media_type));
                fields.push(("Referrer-Policy", "no-referrer")); // the URL may carry the token
                let content = if self.method == Method::Head { 0 } else { length };
                (head(200, date, Length::Bytes(length), &fields), content)
            }
            Found::Folder => {
                let name = path.rsplit('/').next().unwrap_or_default();
                let mark = if self.query.is_empty() { "" } else { "?" };
                let location = format!("./{name}/{mark}{}", self.query);
                short(307, &[("Location", &location)], "this is a folder\n")
            }
            Found::Metrics(metrics) => {
                let fields = [("Content-Type", metrics::MEDIA_TYPE), ("Cache-Control", "no-store")];
                (whole(200, self.method, date, &self.cors, &fields, metrics.text().as_bytes()), 0)
            }
            Found::Missing(why) if self.wanted == Outside::OwnPage => {
                short(404, &[], &format!("the page can't be read: {why}\n"))
            }
            Found::Missing(why) => short(404, &[], &not_here(&format!(" ({why})"), service)),
            Found::Forbidden => short(403, &[], "this server may not read that file\n"),
            Found::Busy => short(503, &[("Retry-After", RETRY_AFTER)], "too much is open at the moment\n"),
        }
    }

    /// Whether the client has it already (RFC 9110 § 13.2.2). Tags are compared weakly; a date counts only without.
    fn is_fresh(&self, entity_tag: &str, modified: HttpDate) -> bool {
        let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(tags), _) => tags.split(',').any(|tag| tag.trim() == "*" || opaque(tag) == opaque(entity_tag)),
            (None, Some(date)) => date.parse::<HttpDate>().is_ok_and(|date| modified <= date),
            (None, None) => false,
        }
    }
}

fn stream(
    request: &Request,
    path: &str,
    entrance: Entrance,
    service: &Service,
    moment: &Moment,
    cors: &Cors,
) -> Answer {
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
    if path == "/" {
        fields.push(("Vary", "Accept"));
    }
    let mut bytes = head(200, moment.date, Length::Stream(request.version), &fields);
    if request.method == Method::Head {
        return Answer::Whole(bytes);
    }
    let mut content = |content: &[u8]| match request.version {
        Version::Http11 => chunk::write(&mut bytes, content.len(), |out| out.extend_from_slice(content)),
        Version::Http10 => bytes.extend_from_slice(content),
    };
    if entrance.full {
        content(RETRY_LATER);
        if request.version == Version::Http11 {
            bytes.extend_from_slice(chunk::LAST_CHUNK);
        }
        return Answer::Whole(bytes);
    }
    let notices = if request.notices_as_events { Notices::Events } else { Notices::Comments };
    content(&first_chunk(service, moment, &start, last_event_id.is_none(), notices));
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
        ("Referrer-Policy", "no-referrer"), // the URL may carry the token
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
    let mut bytes = head(status, date, Length::Bytes(content.len() as u64), &fields);
    if method != Method::Head {
        bytes.extend_from_slice(content);
    }
    bytes
}
