//! The answer that is an event stream: where in the log it starts, its head, and its first chunk (behaviour 4, 5.2); or
//! 204, if nothing more will come (behaviour 1.8).
//!
//! What an event stream needs to pass browsers and proxies untouched is in WHATWG HTML § 9.2.

use super::answer::{Answer, RETRY_AFTER};
use super::replies::Replies;
use super::service::{Accepted, Phase, RequestContext, Service};
use crate::log::{Missed, StartingPoint};
use crate::wire::accept::{Wanted, wanted};
use crate::wire::chunk;
use crate::wire::notice::Notice;
use crate::wire::request::{Method, Request, Version};
use crate::wire::response::Length;

/// For an EventSource beyond `--max-clients`, which would give up for good at a 503.
const RETRY_LATER: &[u8] = b"retry: 10000\n";

/// How an event stream begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Head and first chunk.
    pub bytes: Vec<u8>,
    /// Where in the log it starts.
    pub start: StartingPoint,
    /// HTTP/1.0 clients get no chunks.
    pub version: Version,
    /// Whether the client asked for `text/event-stream`: then it will return after the end.
    pub event_source: bool,
    /// Whether it sent a last event ID.
    pub returning: bool,
    /// The form in which it gets heartbeats and gaps.
    pub notices: NoticeForm,
    /// Whether it gets the times at which events were read (behaviour 4.8).
    pub times: bool,
}

/// The form in which a client gets what is not a record: heartbeats and gaps (behaviour 4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeForm {
    /// As comments, which page code never sees.
    Comments,
    /// As events, for a page's watchdog.
    Events,
}

/// Answers a request for the event stream at `path`.
pub fn answer(
    request: &Request,
    path: &str,
    accepted: Accepted,
    service: &Service,
    context: &RequestContext,
    replies: &Replies,
) -> Answer {
    let event_source = wanted(&request.accept) == Wanted::EventStream;
    let RequestContext { log, history, .. } = *context;
    let last_event_id = request.last_event_id.as_deref().filter(|id| service.ids && !id.trim().is_empty());
    let returning = last_event_id.is_some();
    let start = match last_event_id {
        Some(id) => log.resume(id, history),
        None => log.start_new(service.tail.unwrap_or(history).min(history)),
    };
    if request.method == Method::Get && is_over(service, context, &start, event_source, last_event_id) {
        let has_ids = service.ids && log.has_ids();
        let nameless = if returning || !has_ids { None } else { log.last_id_before(start.entry) };
        return Answer::Farewell { bytes: replies.head(204, Length::NoContent, &[]), nameless };
    }
    if accepted.over_limit && !event_source {
        let fields = [("Retry-After", RETRY_AFTER)];
        return Answer::TurnedAway(replies.text(503, &fields, "too many clients; come again later\n"));
    }
    let mut fields = vec![
        ("Content-Type", "text/event-stream"),
        ("Cache-Control", "no-store, no-transform"),
        ("X-Accel-Buffering", "no"),
    ];
    if path == "/" {
        fields.push(("Vary", "Accept"));
    }
    let mut bytes = replies.head(200, Length::Stream(request.version), &fields);
    if request.method == Method::Head {
        return Answer::Whole(bytes);
    }
    let mut content = |content: &[u8]| match request.version {
        Version::Http11 => chunk::write(&mut bytes, content.len(), |out| out.extend_from_slice(content)),
        Version::Http10 => bytes.extend_from_slice(content),
    };
    if accepted.over_limit {
        content(RETRY_LATER);
        if request.version == Version::Http11 {
            bytes.extend_from_slice(chunk::LAST_CHUNK);
        }
        return Answer::TurnedAway(bytes);
    }
    let notices = if request.notices_as_events { NoticeForm::Events } else { NoticeForm::Comments };
    content(&first_chunk(service, context, &start, returning, notices));
    let times = request.times_as_events;
    Answer::Stream(Opening { bytes, start, version: request.version, event_source, returning, notices, times })
}

/// Whether the client has everything, and nothing more will come.
fn is_over(
    service: &Service,
    context: &RequestContext,
    start: &StartingPoint,
    event_source: bool,
    last_event_id: Option<&str>,
) -> bool {
    let log = context.log;
    if context.phase != Phase::Ended {
        return false;
    }
    if !(service.ids && log.has_ids()) {
        return event_source; // without IDs one that returns looks like a new one, and must not get everything twice
    }
    let has_all = match (last_event_id, start.missed) {
        // It has the last ID that it can have.
        (Some(id), _) if log.is_last_id(id) => true,
        (Some(_), Missed::Nothing | Missed::Records(_)) => log.is_last_id_before(start.entry),
        _ => log.is_last_event_before(start.entry),
    };
    has_all && (event_source || last_event_id.is_some())
}

/// `retry`, a notice of what was missed, and for a new client with a shorter `--tail` the ID after which it starts.
/// No needless blank line: some client libraries make an event of each.
fn first_chunk(
    service: &Service,
    context: &RequestContext,
    start: &StartingPoint,
    returning: bool,
    notices: NoticeForm,
) -> Vec<u8> {
    let mut first = format!("retry: {}\n", context.retry.as_millis()).into_bytes();
    let notice = match start.missed {
        Missed::Nothing => None,
        Missed::Records(n) => Some(Notice::Missed(n)),
        Missed::Unknown => Some(Notice::MissedUnknown),
        Missed::Ambiguous => Some(Notice::MissedAmbiguous),
    };
    match (notice, notices) {
        (None, _) => {}
        (Some(notice), NoticeForm::Comments) => notice.write_comment(&mut first),
        (Some(notice), NoticeForm::Events) => notice.write_event(&mut first),
    }
    let whole_history = context.log.first_of_latest(context.history);
    if !returning
        && service.ids
        && start.entry > whole_history
        && let Some(id) = context.log.id_before(start.entry)
    {
        first.extend_from_slice(format!("id: {id}\n\n").as_bytes());
    }
    first
}
