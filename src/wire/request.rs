//! The head of a request (RFC 9112 §§ 2, 3, 5, 6), read strictly: what the RFC calls invalid is refused.
//!
//! `httparse` checks the syntax of fields. The request line, line ends, `Host` and the message body length are
//! checked here, because there two readers of the same bytes could otherwise disagree on what was asked.

use super::authority::Authority;
use percent_encoding::percent_decode_str;

/// Longest head, request line and field lines together (414 is in RFC 9110 § 15.5, 431 in RFC 6585 § 5).
pub const MAX_HEAD: usize = 16 * 1024;
/// Longest request target.
pub const MAX_TARGET: usize = 8 * 1024;
/// Most field lines in a head.
pub const MAX_FIELDS: usize = 100;
/// Longest method: the longest registered one (`UPDATEREDIRECTREF`) has 17 letters.
const MAX_METHOD: usize = 32;
/// Longest request line, without its line end: all of it, or what has arrived so far.
pub const MAX_LINE: usize = MAX_METHOD + 1 + MAX_TARGET + " HTTP/1.1".len();

/// A well-formed request; others decide whether it is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path of the target as it was sent, `*` for the asterisk form, `/` for CONNECT.
    pub path: String,
    /// The query of the target as it was sent, without its `?`; empty if there is none.
    pub query: String,
    /// HTTP/1.0, or HTTP/1.1 and later.
    pub version: Version,
    /// Who was addressed: the authority of an absolute target, else `Host`. `None` only with HTTP/1.0.
    pub host: Option<Authority>,
    /// `Accept`, several lines joined by commas; empty if there is none.
    pub accept: String,
    /// `Origin`, as it was sent.
    pub origin: Option<String>,
    /// `Last-Event-ID`, or else the query's `last-event-id`, `last_event_id` or `lastEventId` in any case, decoded.
    pub last_event_id: Option<String>,
    /// Whether the query has `notices=event`: the client wants heartbeats and gaps as events.
    pub notices_as_events: bool,
    /// Whether the query has `times=event`: the client wants the times at which events were read, as events.
    pub times_as_events: bool,
    /// The token of `Authorization: Bearer` (RFC 6750 § 2.1).
    pub bearer: Option<String>,
    /// The query's `access_token` (RFC 6750 § 2.3), decoded.
    pub access_token: Option<String>,
    /// Whether it is a CORS preflight (Fetch, "CORS-preflight request").
    pub preflight: bool,
    /// How a page of another site embeds the answer, which it then can't read (W3C Fetch Metadata). Only browsers say
    /// this, and only to `https`, `localhost` and loopback addresses.
    pub embedded: Option<Embedded>,
}

/// How a page embeds something of another site without CORS, and so without an `Origin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Embedded {
    /// As a part of itself: an image, a script, a video, `fetch` with `no-cors`.
    Part,
    /// In a frame.
    Frame,
}

/// The methods that are distinguished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Options,
    Other,
}

/// The two kinds of clients (RFC 9112 § 2.3): only the later one understands chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Version {
    Http10,
    Http11,
}

/// Why a head is refused; each reason has its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// 400, with what is wrong.
    BadRequest(&'static str),
    /// 414.
    TargetTooLong,
    /// 431.
    HeadTooLarge,
    /// 501: an unknown transfer coding (RFC 9112 § 6.1).
    UnknownTransferCoding,
    /// 505.
    Version,
}

impl Invalid {
    /// The status code and one line that says what is wrong.
    pub fn status(self) -> (u16, &'static str) {
        match self {
            Invalid::BadRequest(what) => (400, what),
            Invalid::TargetTooLong => (414, "the request target is longer than 8 KiB"),
            Invalid::HeadTooLarge => (431, "the request head is longer than 16 KiB or has over 100 field lines"),
            Invalid::UnknownTransferCoding => (501, "the only transfer coding known here is chunked"),
            Invalid::Version => (505, "this server speaks HTTP/1.1"),
        }
    }
}

/// RFC 9112 § 2.2.
const ALONE: Invalid = Invalid::BadRequest("a CR stands alone");

/// Reads the request at the start of `bytes`. Returns it with the length of its head.
///
/// `Ok(None)` asks for more bytes. Empty lines before the request line are skipped (RFC 9112 § 2.2).
// Long because the order of the checks matters: each bound is checked before the part that it bounds is read.
pub fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, Invalid> {
    // No byte beyond the bound is looked at: then a head is refused for the same reason however its bytes are cut.
    let bytes = &bytes[..bytes.len().min(MAX_HEAD)];
    let more = || if bytes.len() == MAX_HEAD { Err(Invalid::HeadTooLarge) } else { Ok(None) };
    let mut start = 0;
    while bytes[start..].starts_with(b"\r\n") {
        start += 2;
    }
    let head = &bytes[start..];
    // A TLS hello or other garbage never has a line end: don't wait for one.
    if head.first().is_some_and(|&byte| byte != b'\r' && !is_token(byte)) {
        return Err(Invalid::BadRequest("the request does not begin with a method"));
    }
    // No byte of a line beyond its bound is looked at either, for the same reason.
    let line = &head[..head.len().min(MAX_LINE + 2)];
    let Some(lf) = memchr::memchr(b'\n', line) else {
        return match memchr::memchr(b'\r', line) {
            Some(cr) if cr + 1 < line.len() => Err(ALONE),
            _ if line.len() == MAX_LINE + 2 => Err(Invalid::TargetTooLong),
            _ => more(),
        };
    };
    let line = head[..lf].strip_suffix(b"\r").ok_or(Invalid::BadRequest("a line ends without CR"))?;
    if memchr::memchr(b'\r', line).is_some() {
        return Err(ALONE);
    }
    let (method, target, version) = request_line(line)?;

    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let (used, fields) = match httparse::parse_headers(&head[lf + 1..], &mut fields) {
        Ok(httparse::Status::Complete(done)) => done,
        Ok(httparse::Status::Partial) => return more(),
        Err(httparse::Error::TooManyHeaders) => return Err(Invalid::HeadTooLarge),
        Err(httparse::Error::HeaderName) => return Err(Invalid::BadRequest("a field name is malformed")),
        Err(_) => return Err(Invalid::BadRequest("a field line is malformed")),
    };
    let used = start + lf + 1 + used;
    if memchr::memchr_iter(b'\n', &bytes[..used]).any(|lf| lf == 0 || bytes[lf - 1] != b'\r') {
        return Err(Invalid::BadRequest("a line ends without CR"));
    }
    let (path, query, target_host) = request_target(target, method)?;
    let mut request = Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        version,
        host: None,
        accept: String::new(),
        origin: None,
        last_event_id: None,
        notices_as_events: query.split('&').any(|pair| pair == "notices=event"),
        times_as_events: query.split('&').any(|pair| pair == "times=event"),
        bearer: None,
        access_token: access_token_in_query(query),
        preflight: false,
        embedded: None,
    };
    read_fields(&mut request, fields)?;
    if let Some(host) = target_host {
        request.host = Some(host); // RFC 9112 § 3.2.2: the absolute target wins
    }
    if request.last_event_id.is_none() {
        request.last_event_id = last_event_id_in_query(query);
    }
    Ok(Some((request, used)))
}

/// The `Origin` of an invalid head, as far as it came: the page that sent it may learn what is wrong.
pub fn origin_of_invalid(bytes: &[u8]) -> Option<&str> {
    let lines = bytes.split(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\r"));
    let mut origins = lines.filter_map(|line| {
        let (name, value) = line.split_at_checked(b"Origin:".len())?;
        name.eq_ignore_ascii_case(b"Origin:").then_some(value)
    });
    match (origins.next(), origins.next()) {
        (Some(origin), None) => std::str::from_utf8(origin.trim_ascii()).ok(),
        _ => None,
    }
}

fn request_line(line: &[u8]) -> Result<(Method, &str, Version), Invalid> {
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Invalid::BadRequest("the request line is not METHOD TARGET VERSION"));
    };
    if method.is_empty() || !method.iter().copied().all(is_token) {
        return Err(Invalid::BadRequest("the method is malformed"));
    }
    if target.len() > MAX_TARGET {
        return Err(Invalid::TargetTooLong);
    }
    let version = match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            match (major, minor) {
                (b'1', b'0') => Version::Http10,
                (b'1', _) => Version::Http11,
                _ => return Err(Invalid::Version),
            }
        }
        _ => return Err(Invalid::BadRequest("the HTTP version is malformed")),
    };
    // No blanks, control characters or anything beyond ASCII; a fragment is never sent (RFC 9112 § 3.2).
    let target = std::str::from_utf8(target).ok().filter(|target| {
        !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\"<>".contains(&byte))
    });
    let target = target.filter(|target| percent_signs_are_encodings(target));
    let target = target.ok_or(Invalid::BadRequest("the request target is malformed"))?;
    let method = match method {
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        b"OPTIONS" => Method::Options,
        b"CONNECT" => match Authority::parse(target) {
            // The authority form contains nothing that matters here: CONNECT is refused like every other method.
            Some(Authority { port: Some(_), .. }) => return Ok((Method::Other, "/", version)),
            _ => return Err(Invalid::BadRequest("CONNECT wants HOST:PORT")),
        },
        _ => Method::Other,
    };
    Ok((method, target, version))
}

/// RFC 3986 § 2.1: `%` is followed by two hexadecimal digits.
fn percent_signs_are_encodings(target: &str) -> bool {
    let digits = |rest: &str| rest.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    target.split('%').skip(1).all(digits)
}

/// The forms of RFC 9112 § 3.2 except CONNECT's: path, query and, in the absolute form, the authority.
fn request_target(target: &str, method: Method) -> Result<(&str, &str, Option<Authority>), Invalid> {
    const BAD: Invalid = Invalid::BadRequest("the request target is malformed");
    if target == "*" {
        return if method == Method::Options { Ok(("*", "", None)) } else { Err(BAD) };
    }
    let (origin_form, host) = if target.starts_with('/') {
        (target, None)
    } else if let Some((scheme, rest)) = target.split_once("://") {
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(BAD);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let host = Authority::parse(&rest[..end]).ok_or(BAD)?;
        (&rest[end..], Some(host))
    } else {
        return Err(BAD);
    };
    let (path, query) = origin_form.split_once('?').unwrap_or((origin_form, ""));
    // No URI has these characters, and browsers encode them in a path or replace them by `/` (WHATWG URL § 1.3). But
    // browsers send all of them unencoded in a query, `[`, `]` and `|` in both, and until 2023 `^` in a path. There
    // they are harmless.
    if path.contains(['\\', '`', '{', '}']) {
        return Err(BAD);
    }
    Ok((if path.is_empty() { "/" } else { path }, query, host))
}

fn read_fields(request: &mut Request, fields: &[httparse::Header]) -> Result<(), Invalid> {
    let (mut host, mut length, mut coding, mut accept) = (None, None, None, None);
    let (mut site, mut mode, mut destination): (&[u8], &[u8], &[u8]) = (b"", b"", b"");
    let mut authorized = false;
    for field in fields {
        let text = || String::from_utf8_lossy(field.value).into_owned();
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("Host") {
            if host.replace(text()).is_some() {
                return Err(Invalid::BadRequest("there is more than one Host"));
            }
        } else if is("Content-Length") {
            if length.replace(text()).is_some() {
                return Err(Invalid::BadRequest("there is more than one Content-Length"));
            }
        } else if is("Transfer-Encoding") {
            join(&mut coding, &text());
        } else if is("Accept") {
            join(&mut accept, &text());
        } else if is("Access-Control-Request-Method") {
            request.preflight = request.method == Method::Options;
        } else if is("Authorization") {
            if std::mem::replace(&mut authorized, true) {
                return Err(Invalid::BadRequest("there is more than one Authorization"));
            }
            request.bearer = bearer(&text());
        } else if is("Origin") {
            if request.origin.replace(text()).is_some() {
                return Err(Invalid::BadRequest("there is more than one Origin"));
            }
        } else if is("Last-Event-ID") && request.last_event_id.is_none() {
            request.last_event_id = Some(text());
        } else if is("Sec-Fetch-Site") {
            site = field.value;
        } else if is("Sec-Fetch-Mode") {
            mode = field.value;
        } else if is("Sec-Fetch-Dest") {
            destination = field.value;
        }
    }
    request.embedded = embedded(site, mode, destination);
    request.accept = accept.unwrap_or_default();
    request.preflight &= request.origin.is_some();
    request.host = match host {
        Some(host) => Some(Authority::parse(&host).ok_or(Invalid::BadRequest("Host is malformed"))?),
        None if request.version == Version::Http10 => None,
        None => return Err(Invalid::BadRequest("Host is missing")),
    };
    body(length.as_deref(), coding.as_deref(), request.version)
}

/// What the fields `Sec-Fetch-Site`, `-Mode` and `-Dest` mean together.
fn embedded(site: &[u8], mode: &[u8], destination: &[u8]) -> Option<Embedded> {
    match (site, mode, destination) {
        (b"cross-site", b"no-cors", _) => Some(Embedded::Part),
        (b"cross-site", b"navigate", b"iframe" | b"frame" | b"fencedframe" | b"embed" | b"object") => {
            Some(Embedded::Frame)
        }
        _ => None, // a link that a person follows is a navigation too
    }
}

/// RFC 9110 § 5.3: several lines of a list-based field are one list.
fn join(list: &mut Option<String>, line: &str) {
    match list {
        None => *list = Some(line.to_owned()),
        Some(list) => list.extend([",", line]),
    }
}

/// The token of `Bearer TOKEN` (RFC 6750 § 2.1); another scheme has none.
fn bearer(credentials: &str) -> Option<String> {
    let (scheme, token) = credentials.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim_start_matches(' ').to_owned())
}

/// RFC 9112 § 6.3. A body is read and ignored. But one whose length two readers could understand differently is
/// refused: that is how requests are smuggled.
fn body(length: Option<&str>, coding: Option<&str>, version: Version) -> Result<(), Invalid> {
    match (length, coding) {
        (Some(_), Some(_)) => Err(Invalid::BadRequest("there is a Content-Length beside a Transfer-Encoding")),
        (Some(length), None) => {
            let good = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
            match good && length.parse::<u64>().is_ok() {
                true => Ok(()),
                false => Err(Invalid::BadRequest("Content-Length is malformed")),
            }
        }
        (None, Some(_)) if version == Version::Http10 => {
            Err(Invalid::BadRequest("HTTP/1.0 knows no Transfer-Encoding"))
        }
        (None, Some(coding)) => {
            // Empty elements of a list don't count (RFC 9110 § 5.6.1.2). Blanks are SP and HTAB (§ 5.6.3); other
            // whitespace of UTF-8 is part of a name.
            let mut codings = coding
                .split(',')
                .map(|coding| coding.trim_matches([' ', '\t']))
                .filter(|coding| !coding.is_empty())
                .rev();
            let last = codings.next().unwrap_or_default();
            if !last.eq_ignore_ascii_case("chunked") || codings.clone().any(|c| c.eq_ignore_ascii_case("chunked")) {
                return Err(Invalid::BadRequest("Transfer-Encoding does not end with one chunked"));
            }
            match codings.next() {
                None => Ok(()),
                Some(_) => Err(Invalid::UnknownTransferCoding),
            }
        }
        (None, None) => Ok(()),
    }
}

fn last_event_id_in_query(query: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        ["last-event-id", "last_event_id", "lasteventid"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
            .then(|| percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
    })
}

/// RFC 6750 § 2.3. A token has no blanks, so `+` is itself.
fn access_token_in_query(query: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("access_token="))?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

/// A `tchar` of RFC 9110 § 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses a head whole, and again byte by byte, which must come to the same; then with bytes left over.
    fn read(head: &str) -> Result<Request, Invalid> {
        let bytes = head.as_bytes();
        let whole = parse(bytes);
        let steps = (1..=bytes.len()).map(|n| parse(&bytes[..n])).find(|step| *step != Ok(None));
        assert_eq!(steps.unwrap_or(Ok(None)), whole, "byte by byte: {head:?}");
        let (request, used) = whole?.unwrap_or_else(|| panic!("is not whole: {head:?}"));
        assert_eq!(used, bytes.len(), "{head:?}");
        let more = [bytes, b"GET /next HTTP/1.1\r\n\r\n"].concat();
        assert_eq!(parse(&more).map(|read| read.map(|(_, used)| used)), Ok(Some(used)), "left over: {head:?}");
        Ok(request)
    }

    fn get(fields: &str) -> Result<Request, Invalid> {
        read(&format!("GET /events HTTP/1.1\r\nHost: localhost:6502\r\n{fields}\r\n"))
    }

    #[test]
    fn reads_what_the_rest_of_the_program_wants_to_know() {
        let request = read(
            "GET /events?a=b HTTP/1.1\r\nhost:LocalHost:6502\r\nAccept: text/html\r\naccept:  text/event-stream \r\n\
             Origin: null\r\nLast-Event-ID: r-7\r\n\r\n",
        );
        let want = Request {
            method: Method::Get,
            path: "/events".into(),
            query: "a=b".into(),
            version: Version::Http11,
            host: Some(Authority { host: "localhost".into(), port: Some(6502) }),
            accept: "text/html,text/event-stream".into(),
            origin: Some("null".into()),
            last_event_id: Some("r-7".into()),
            notices_as_events: false,
            times_as_events: false,
            bearer: None,
            access_token: None,
            preflight: false,
            embedded: None,
        };
        assert_eq!(request, Ok(want));
    }

    #[test]
    fn knows_what_a_page_of_another_site_embeds() {
        for (site, mode, destination, want) in [
            ("cross-site", "no-cors", "image", Some(Embedded::Part)),
            ("cross-site", "no-cors", "script", Some(Embedded::Part)),
            ("cross-site", "no-cors", "empty", Some(Embedded::Part)),
            ("cross-site", "no-cors", "", Some(Embedded::Part)),
            ("cross-site", "navigate", "iframe", Some(Embedded::Frame)),
            ("cross-site", "navigate", "object", Some(Embedded::Frame)),
            ("cross-site", "navigate", "document", None),
            ("cross-site", "navigate", "", None),
            ("cross-site", "cors", "empty", None),
            ("cross-site", "websocket", "empty", None),
            ("same-site", "no-cors", "image", None),
            ("same-origin", "no-cors", "image", None),
            ("same-origin", "navigate", "iframe", None),
            ("none", "navigate", "document", None),
            ("", "no-cors", "image", None),
        ] {
            let fields =
                format!("Sec-Fetch-Site: {site}\r\nsec-fetch-mode: {mode}\r\nSec-Fetch-Dest: {destination}\r\n");
            assert_eq!(get(&fields).expect("is valid").embedded, want, "{site} {mode} {destination}");
        }
    }

    #[test]
    fn takes_the_last_event_id_from_the_query_if_no_field_has_one() {
        for (query, field, want) in [
            ("last-event-id=r-1", "", Some("r-1")),
            ("x&last_event_id=r-2", "", Some("r-2")),
            ("lastEventId=a%20b+%C3%A9", "", Some("a b é")),
            ("lastEventID=r-5", "", Some("r-5")),
            ("Last-Event-ID=r-6", "", Some("r-6")),
            ("LAST_EVENT_ID=r-7&lasteventid=r-8", "", Some("r-7")),
            ("last-eventid=r-9&lastEvent_Id=r-9&xlastEventId=r-9", "", None),
            ("lastEventId=r-3", "Last-Event-ID: r-4\r\n", Some("r-4")),
            ("last", "", None),
        ] {
            let request = read(&format!("GET /?{query} HTTP/1.1\r\nHost: a\r\n{field}\r\n")).expect("is valid");
            assert_eq!(request.last_event_id.as_deref(), want, "{query} {field}");
        }
    }

    #[test]
    fn notices_are_wanted_as_events_only_where_the_query_says_so() {
        for (query, want) in
            [("notices=event", true), ("a=b&notices=event", true), ("notices=events", false), ("", false)]
        {
            let request = read(&format!("GET /events?{query} HTTP/1.1\r\nHost: a\r\n\r\n")).expect("is valid");
            assert_eq!(request.notices_as_events, want, "{query}");
        }
    }

    #[test]
    fn takes_a_token_from_the_field_or_the_query() {
        for (query, field, bearer, in_query) in [
            ("access_token=a%2Bb+c%2F%3D", "", None, Some("a+b+c/=")),
            ("x=y&access_token=", "", None, Some("")),
            ("xaccess_token=a", "Authorization: Basic YTpi\r\n", None, None),
            ("", "authorization: bearer  T \r\n", Some("T"), None),
            ("", "Authorization: Bearer\r\n", None, None),
            ("access_token=q", "Authorization: Bearer b\r\n", Some("b"), Some("q")),
        ] {
            let request = read(&format!("GET /?{query} HTTP/1.1\r\nHost: a\r\n{field}\r\n")).expect("is valid");
            let got = (request.bearer.as_deref(), request.access_token.as_deref());
            assert_eq!(got, (bearer, in_query), "{query} {field}");
        }
    }

    #[test]
    fn a_preflight_is_an_options_request_with_an_origin_that_names_a_method() {
        for (line, fields, want) in [
            ("OPTIONS / HTTP/1.1", "Origin: https://a\r\nAccess-Control-Request-Method: GET\r\n", true),
            ("OPTIONS / HTTP/1.1", "Access-Control-Request-Method: GET\r\n", false),
            ("OPTIONS / HTTP/1.1", "Origin: https://a\r\n", false),
            ("GET / HTTP/1.1", "Origin: https://a\r\nAccess-Control-Request-Method: GET\r\n", false),
        ] {
            let request = read(&format!("{line}\r\nHost: a\r\n{fields}\r\n")).expect("is valid");
            assert_eq!(request.preflight, want, "{line} {fields}");
        }
    }

    #[test]
    fn methods_targets_and_versions() {
        use Method::*;
        for (line, method, path, host) in [
            ("GET / HTTP/1.1", Get, "/", "h"),
            ("HEAD /a?b?c HTTP/1.1", Head, "/a", "h"),
            ("OPTIONS * HTTP/1.1", Options, "*", "h"),
            ("get / HTTP/1.1", Other, "/", "h"),
            ("BREW /pot HTTP/1.9", Other, "/pot", "h"),
            ("GET /a[1]^|?[b] HTTP/1.1", Get, "/a[1]^|", "h"),
            ("GET http://Other:80/x?y HTTP/1.1", Get, "/x", "other"),
            ("GET http://other?y HTTP/1.1", Get, "/", "other"),
            ("CONNECT other:443 HTTP/1.1", Other, "/", "h"),
        ] {
            let request = read(&format!("{line}\r\nHost: h\r\n\r\n")).unwrap_or_else(|e| panic!("{line}: {e:?}"));
            let got = (request.method, request.path.as_str(), request.host.expect("has a host").host);
            assert_eq!(got, (method, path, host.to_owned()), "{line}");
        }
        let old = read("GET / HTTP/1.0\r\n\r\n").expect("HTTP/1.0 may leave out Host");
        assert_eq!((old.version, old.host), (Version::Http10, None));
        assert!(read("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n").is_ok(), "empty lines may come first");
    }

    #[test]
    fn refuses_what_the_rfc_calls_invalid() {
        let lines = [
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            " GET / HTTP/1.1",
            "GET /",
            "GET",
            "GET / http/1.1",
            "GET / HTTP/1",
            "GET / HTTP/11",
            "GET / HTTP/1.x",
            "GET / HTTP/x.1",
            "GET\t/ HTTP/1.1",
            "G{T / HTTP/1.1",
            "GET /#a HTTP/1.1",
            "GET /é HTTP/1.1",
            "GET /\u{1} HTTP/1.1",
            "GET /% HTTP/1.1",
            "GET /?a=%2 HTTP/1.1",
            "GET /%g0 HTTP/1.1",
            "GET /a\\b HTTP/1.1",
            "GET /`a HTTP/1.1",
            "GET /{a} HTTP/1.1",
            "GET http://[h]/ HTTP/1.1",
            "GET http://h[/ HTTP/1.1",
            "GET http://h|/ HTTP/1.1",
            "POST a/b HTTP/1.1",
            "GET * HTTP/1.1",
            "GET a/b HTTP/1.1",
            "GET ftp://h/ HTTP/1.1",
            "GET http:/// HTTP/1.1",
            "GET http://u@h/ HTTP/1.1",
            "CONNECT / HTTP/1.1",
            "CONNECT h HTTP/1.1",
            "BREW h:443 HTTP/1.1",
            "BREW * HTTP/1.1",
        ];
        for line in lines {
            let got = read(&format!("{line}\r\nHost: h\r\n\r\n"));
            assert!(matches!(got, Err(Invalid::BadRequest(_))), "{line}: {got:?}");
        }
        let fields = [
            "",
            "Host: a\r\nHost: a\r\n",
            "Host: \r\n",
            "Host: a b\r\n",
            "Host: a,b\r\n",
            "Host: u@a\r\n",
            "Host: a/b\r\n",
            "Host: a:b\r\n",
            "Host: a:70000\r\n",
            "Host: [::1\r\n",
            "Host: [x]\r\n",
            "Host: ::1\r\n",
            "Host : a\r\n",
            "Host: a\r\nA B: c\r\n",
            "Host: a\r\n: c\r\n",
            "Host: a\r\nA: b\r\n folded\r\n",
            "Host: a\r\nA: b\0\r\n",
            "Host: a\r\nA: b\rc\r\n",
            "Host: a\nA: b\r\n",
            "Host: a\r\nA: b\n",
            "Host: a\r\nno colon\r\n",
            "Host: a\r\nContent-Length: \r\n",
            "Host: a\r\nContent-Length: +1\r\n",
            "Host: a\r\nContent-Length: 1, 1\r\n",
            "Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
            "Host: a\r\nContent-Length: 99999999999999999999\r\n",
            "Host: a\r\nTransfer-Encoding: \r\n",
            "Host: a\r\nTransfer-Encoding: chunked, gzip\r\n",
            "Host: a\r\nTransfer-Encoding: chunked, chunked\r\n",
            "Host: a\r\nTransfer-Encoding: \u{a0}chunked\r\n",
            "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Host: a\r\nOrigin: a\r\nOrigin: b\r\n",
        ];
        for fields in fields {
            let got = read(&format!("GET / HTTP/1.1\r\n{fields}\r\n"));
            assert!(matches!(got, Err(Invalid::BadRequest(_))), "{fields:?}: {got:?}");
        }
        let old = read("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert!(matches!(old, Err(Invalid::BadRequest(_))));
        assert_eq!(get("Transfer-Encoding: gzip, chunked\r\n"), Err(Invalid::UnknownTransferCoding));
        assert_eq!(
            get("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"),
            Err(Invalid::UnknownTransferCoding)
        );
        assert!(get("Transfer-Encoding: ,, Chunked ,\r\n").is_ok());
        assert!(get("Transfer-Encoding: Chunked\r\n").is_ok() && get("Content-Length: 5\r\n").is_ok());
        assert_eq!(read("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Err(Invalid::Version));
        assert!(matches!(parse(b"\x16\x03\x01\x02\x00"), Err(Invalid::BadRequest(_))), "a TLS hello");
        assert_eq!(parse(b"GET /\rX"), Err(ALONE), "no line end can mend it, so none is waited for");
    }

    #[test]
    fn finds_the_origin_of_what_is_not_a_request() {
        for (head, want) in [
            ("GET / HTTP/1.1\r\norigin: https://a.example \r\nA : b\r\n\r\n", Some("https://a.example")),
            ("GET / HTTP/1.1\r\nOrigin: https://a.example", None),
            ("GET / HTTP/1.1\r\nOrigin: a\r\nOrigin: b\r\n", None),
            ("GET / HTTP/1.1\r\nX-Origin: a\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(origin_of_invalid(head.as_bytes()), want, "{head:?}");
        }
    }

    #[test]
    fn bounds_hold_at_both_ends() {
        let target = |n: usize| read(&format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(n - 1)));
        assert!(target(8000).is_ok(), "RFC 9112, section 3, recommends that");
        assert!(target(MAX_TARGET).is_ok());
        let longest = format!("UPDATEREDIRECTREF /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(MAX_TARGET - 1));
        assert!(read(&longest).is_ok());
        assert_eq!(target(MAX_TARGET + 1), Err(Invalid::TargetTooLong));
        assert_eq!(parse(&[b'a'; MAX_HEAD]), Err(Invalid::TargetTooLong));
        let method = format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", "A".repeat(MAX_LINE));
        assert_eq!(read(&method), Err(Invalid::TargetTooLong), "too long a line, whole or in pieces");

        let head = |n: usize| {
            let start = "GET / HTTP/1.1\r\nHost: h\r\nA: ";
            parse(format!("{start}{}\r\n\r\n", "a".repeat(n - start.len() - 4)).as_bytes())
        };
        assert!(matches!(head(MAX_HEAD), Ok(Some((_, MAX_HEAD)))));
        assert_eq!(head(MAX_HEAD + 1), Err(Invalid::HeadTooLarge));
        let malformed = format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n: b\r\n\r\n", "a".repeat(MAX_HEAD));
        for bytes in [malformed.as_bytes(), &malformed.as_bytes()[..MAX_HEAD]] {
            assert_eq!(parse(bytes), Err(Invalid::HeadTooLarge), "whole or in pieces");
        }

        let fields = |n: usize| get(&"A: b\r\n".repeat(n - 1));
        assert!(fields(MAX_FIELDS).is_ok());
        assert_eq!(fields(MAX_FIELDS + 1), Err(Invalid::HeadTooLarge));
    }
}
