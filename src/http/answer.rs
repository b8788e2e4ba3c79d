//! What a request gets: who sent it, what it asks for, and which module answers it. A pure decision.
//!
//! Resources and statuses as in behaviour 4 and 6; fields by RFC 9110.

use super::access::Cors;
use super::assets::{self, Asset};
use super::file::{FileRequest, Target};
use super::metrics;
use super::replies::Replies;
use super::service::{Accepted, CustomPage, RequestContext, Service};
use super::stream::{self, Opening};
use super::token::{self, Way};
use crate::wire::accept::{Wanted, wanted};
use crate::wire::request::{Embedded, Method, Request};
use percent_encoding::percent_decode_str;

/// Seconds after which a client that was turned away may ask again.
pub(super) const RETRY_AFTER: &str = "10";

/// What a request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These bytes, head and content, and then the close.
    Whole(Vec<u8>),
    /// The same, for a client that would have had a stream if there were not too many.
    TurnedAway(Vec<u8>),
    /// This head, and content that is part of the binary.
    Asset(Vec<u8>, &'static [u8]),
    /// 204: nothing more will come, and an EventSource stops for good.
    Farewell {
        /// The answer.
        bytes: Vec<u8>,
        /// For one that may be new, or may have been given no ID: the number of the last event that has one.
        nameless: Option<u64>,
    },
    /// A file, which must be looked up first.
    File(FileRequest),
    /// An event stream.
    Stream(Opening),
}

/// A refusal that is reported on the terminal, because the browser says so little.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A page of this origin.
    Origin(String),
    /// A request to this host name.
    Host(String),
    /// A request that a page of another site embeds.
    Embedded,
    /// A request without the token.
    Token,
}

/// Answers a well-formed request.
pub fn answer(
    request: &Request,
    accepted: Accepted,
    service: &Service,
    context: &RequestContext,
) -> (Answer, Option<Refusal>) {
    let cors = service.origins.judge(request.origin.as_deref(), request.host.as_ref());
    let replies = Replies { method: request.method, date: context.date, cors: &cors };
    let text = |status, fields: &[(&str, &str)], text: &str| Answer::Whole(replies.text(status, fields, text));
    if !accepted.unix_socket && !service.hosts.allow(request.host.as_ref()) {
        let host = request.host.as_ref().map_or("", |host| host.host.as_str()).to_owned();
        let why = format!("this server is not known as {host}; --allow-host {host} would allow it\n");
        return (text(421, &[], &why), Some(Refusal::Host(host)));
    }
    if cors == Cors::Refused {
        let origin = request.origin.clone().unwrap_or_default();
        return (text(403, &[], "pages of this origin may not read here\n"), Some(Refusal::Origin(origin)));
    }
    let embedded = || {
        let why =
            "pages of other sites may not embed this; EventSource, fetch and the attribute crossorigin ask for it\n";
        (text(403, &[], why), Some(Refusal::Embedded))
    };
    // The page could not read it, whatever CORS says; but a stream would be sent and counted as a client.
    if request.embedded == Some(Embedded::Part) {
        return embedded();
    }
    if request.preflight {
        return (Answer::Whole(replies.preflight()), None);
    }
    let Some((path, way)) = token::unlock(request, service.token.as_ref()) else {
        let why = "a token is needed: Authorization: Bearer TOKEN, or ?access_token=TOKEN\n";
        let challenge = [("WWW-Authenticate", "Bearer realm=\"sse-pipe\"")];
        return (text(401, &challenge, why), Some(Refusal::Token));
    };
    match (resource(request, path, way, accepted, service, context, &replies), request.embedded) {
        (Answer::Stream(_) | Answer::Farewell { .. }, Some(Embedded::Frame)) => embedded(),
        (answer, _) => (answer, None),
    }
}

/// Answers a request that may read, for what is at `path`.
fn resource(
    request: &Request,
    path: &str,
    way: Way,
    accepted: Accepted,
    service: &Service,
    context: &RequestContext,
    replies: &Replies,
) -> Answer {
    let text = |status, fields: &[(&str, &str)], text: &str| Answer::Whole(replies.text(status, fields, text));
    let stream = |name: &str| stream::answer(request, name, accepted, service, context, replies);
    let file = |target: Target| {
        let (method, cors, query) = (request.method, replies.cors.clone(), request.query.clone());
        Answer::File(FileRequest { target, method, cors, query })
    };
    // A page whose URLs would lack the token is redirected to an address where they have it.
    let document = |answer: Answer| match (way, &service.token) {
        (Way::Query, Some(token)) => {
            let location = token::location_behind_token(path, &request.query, token);
            text(307, &[("Location", location.as_str()), ("Vary", "Accept")], "the page is there\n")
        }
        _ => answer,
    };
    let policy = assets::content_security_policy(&service.origins, service.tiles.as_ref());
    let asset = |asset: Asset| {
        let content = if request.method == Method::Head { &[] } else { asset.content };
        Answer::Asset(replies.asset_head(&asset, asset.content.len(), &policy), content)
    };
    let index = || match (&service.title, &service.tiles) {
        (None, None) => asset(assets::INDEX),
        (title, tiles) => {
            let html = assets::index(title.as_deref(), tiles.as_ref());
            let mut bytes = replies.asset_head(&assets::INDEX, html.len(), &policy);
            if request.method != Method::Head {
                bytes.extend_from_slice(html.as_bytes());
            }
            Answer::Whole(bytes)
        }
    };
    // `/%65vents` is `/events` (RFC 3986 § 6.2.2.2).
    let name = percent_decode_str(path).decode_utf8_lossy();
    match (request.method, name.as_ref()) {
        (Method::Options, _) => Answer::Whole(replies.preflight()),
        (Method::Other, _) => text(405, &[("Allow", "GET, HEAD, OPTIONS")], "only GET, HEAD and OPTIONS are allowed\n"),
        (_, "/events") => stream("/events"),
        (_, "/") if wanted(&request.accept) != Wanted::Html => stream("/"),
        (_, "/metrics") if service.metrics => {
            let fields = [("Content-Type", metrics::MEDIA_TYPE), ("Cache-Control", "no-store")];
            let content = metrics::text(context.counters, &context.gauges);
            Answer::Whole(replies.whole(200, &fields, content.as_bytes()))
        }
        (_, "/") if service.page == CustomPage::File => document(file(Target::Page)),
        (_, "/") if service.page == CustomPage::Folder => document(file(Target::InFolder("/".to_owned()))),
        (_, "/" | "/viewer") => document(index()),
        (_, name) => match assets::find(name) {
            Some(found) => asset(found),
            None if service.page == CustomPage::Folder => match name.ends_with('/') || name.ends_with(".html") {
                true => document(file(Target::InFolder(path.to_owned()))),
                false => file(Target::InFolder(path.to_owned())),
            },
            None => text(404, &[], &not_here("", service)),
        },
    }
}

/// For a client that asks for another path: the paths that exist.
pub(super) fn not_here(why: &str, service: &Service) -> String {
    let metrics = if service.metrics { ", /metrics" } else { "" };
    let files = if service.page == CustomPage::Folder { ", and the files of --page" } else { "" };
    let paths = "/events (the stream), / (the stream or the page, by Accept), /viewer (the page)";
    format!("not found{why}; there are {paths}{metrics}{files}\n")
}
