//! The request head: for any bytes, the strict parser agrees with a plain reading of RFC 9112, and it finds the
//! same however the bytes are cut.

use sse_pipe::wire::authority::Authority;
use sse_pipe::wire::request::{Embedded, MAX_FIELDS, MAX_HEAD, MAX_LINE, MAX_TARGET, Method, Request, Version, parse};

/// Every length of a short input is tried as a cut; of a longer one about so many.
const CUTS: usize = 100;

/// Parses `bytes` whole, cut, and with bytes left over, and compares with the plain reading.
pub fn check(bytes: &[u8]) {
    let whole = parse(bytes);
    let step = bytes.len().div_ceil(CUTS).max(1);
    if let Some(cut) = (0..bytes.len()).step_by(step).map(|n| parse(&bytes[..n])).find(|cut| *cut != Ok(None)) {
        match (&cut, &whole) {
            // Of two things that are wrong another may be seen first; what is answered is the same.
            (Err(cut), Err(whole)) => assert_eq!(cut.status().0, whole.status().0, "{cut:?}, and whole: {whole:?}"),
            _ => assert_eq!(cut, whole, "in pieces it is another request"),
        }
    }
    match &whole {
        Ok(Some((request, used))) => {
            assert!(*used <= bytes.len() && *used <= MAX_HEAD, "{used} of {} bytes", bytes.len());
            assert!(bytes[..*used].ends_with(b"\r\n\r\n"), "a head ends with an empty line");
            assert_eq!(parse(&bytes[..*used]), whole, "what follows the head changes it");
            let plain = read(&bytes[..*used]).expect("it is taken, and yet the plain reading refuses it");
            assert_eq!(members(&request.accept), members(&plain.accept));
            assert_eq!(
                Request { accept: plain.accept.clone(), ..request.clone() },
                plain,
                "the plain reading is another"
            );
        }
        Ok(None) => assert!(bytes.len() < MAX_HEAD, "waits for more than may come"),
        Err(invalid) => {
            assert!((400..=505).contains(&invalid.status().0));
            // The head that stands here may be valid only where a bound is what refused it.
            if let Some(end) = end_of_head(bytes)
                && let Some(request) = read(&bytes[..end])
            {
                panic!("refused ({invalid:?}), and yet it is {request:?}");
            }
        }
    }
}

/// Where the first empty line after the request line ends.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let start = bytes.chunks(2).take_while(|two| two == b"\r\n").count() * 2;
    let end = bytes[start..].windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(start + end + 4)
}

/// A whole head, read line by line as RFC 9112 has it, without a thought of speed. `None`: invalid, or over a bound.
fn read(head: &[u8]) -> Option<Request> {
    if head.len() > MAX_HEAD {
        return None;
    }
    let mut head = head;
    while let Some(rest) = head.strip_prefix(b"\r\n") {
        head = rest; // § 2.2: empty lines before the request line
    }
    let lines = lines(head.strip_suffix(b"\r\n\r\n")?)?;
    let (request_line, field_lines) = lines.split_first()?;
    let parts: Vec<&str> = request_line.split(' ').collect();
    let [method_name, target, version] = parts[..] else { return None };
    let version = match version.as_bytes() {
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Version::Http11,
        _ => return None,
    };
    let method = match method_name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "OPTIONS" => Method::Options,
        name => name.chars().all(is_tchar).then_some(Method::Other).filter(|_| !name.is_empty())?,
    };
    if request_line.len() > MAX_LINE || target.len() > MAX_TARGET || !is_uri(target) || field_lines.len() > MAX_FIELDS {
        return None;
    }
    // § 5: field-name ":" OWS field-value OWS. A line that begins with a blank (obs-fold) has no name.
    let mut fields = Vec::new();
    for line in field_lines {
        let (name, value) = line.split_once(':')?;
        if name.is_empty() || !name.chars().all(is_tchar) || !value.chars().all(is_field_char) {
            return None;
        }
        fields.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t'])));
    }
    let all =
        |name: &str| fields.iter().filter(|(other, _)| other == name).map(|(_, value)| *value).collect::<Vec<_>>();
    // § 3.2: the forms of the target.
    let (absolute, path_and_query) = match target {
        _ if method_name == "CONNECT" => {
            read_authority(target)?.port?;
            (None, "/")
        }
        "*" if method == Method::Options => (None, "*"),
        _ if target.starts_with('/') => (None, target),
        _ => {
            let (scheme, rest) = target.split_once("://")?;
            if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
                return None;
            }
            let authority = rest.split(['/', '?']).next().unwrap_or_default();
            (Some(read_authority(authority)?), &rest[authority.len()..])
        }
    };
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    if path.contains(|c| ENCODED_IN_PATH.contains(c)) {
        return None; // RFC 3986 § 3.3
    }
    let path = if path.is_empty() { "/" } else { path };
    // § 3.2: Host, once; HTTP/1.0 may leave it out.
    let host = match all("host")[..] {
        [] if version == Version::Http10 => None,
        [one] => Some(read_authority(one)?),
        _ => return None,
    };
    // § 6: a body of a length that nobody can doubt.
    let codings = all("transfer-encoding").join(",").to_ascii_lowercase();
    match (&all("content-length")[..], &all("transfer-encoding")[..]) {
        ([], []) => {}
        ([digits], []) if digits.bytes().all(|byte| byte.is_ascii_digit()) => drop(digits.parse::<u64>().ok()?),
        ([], [..]) if version == Version::Http11 && members(&codings) == ["chunked"] => {}
        _ => return None,
    }
    if all("origin").len() > 1 || all("authorization").len() > 1 {
        return None;
    }
    let fetch =
        ["site", "mode", "dest"].map(|name| all(&format!("sec-fetch-{name}")).last().copied().unwrap_or_default());
    let in_query = query.split('&').filter_map(|pair| pair.split_once('='));
    let spellings = ["last-event-id", "last_event_id", "lasteventid"];
    let in_query = in_query.filter(|(name, _)| spellings.contains(&name.to_ascii_lowercase().as_str()));
    Some(Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        version,
        host: absolute.or(host),
        bearer: all("authorization").first().and_then(|credentials| {
            let (scheme, token) = credentials.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| utf8(token.trim_start_matches(' ')))
        }),
        access_token: query.split('&').find_map(|pair| pair.strip_prefix("access_token=")).map(percent_decoded),
        preflight: method == Method::Options
            && !all("origin").is_empty()
            && !all("access-control-request-method").is_empty(),
        accept: utf8(&all("accept").join(",")),
        origin: all("origin").first().map(|&origin| utf8(origin)),
        last_event_id: match all("last-event-id").first() {
            Some(&id) => Some(utf8(id)),
            None => in_query.map(|(_, value)| percent_decoded(&value.replace('+', " "))).next(),
        },
        notices_as_events: query.split('&').any(|pair| pair == "notices=event"),
        times_as_events: query.split('&').any(|pair| pair == "times=event"),
        embedded: match fetch {
            ["cross-site", "no-cors", _] => Some(Embedded::Part),
            ["cross-site", "navigate", "iframe" | "frame" | "fencedframe" | "embed" | "object"] => {
                Some(Embedded::Frame)
            }
            _ => None,
        },
    })
}

/// The lines of a head, a byte a `char`, for field values may have bytes beyond ASCII. `None` where a CR or an LF
/// stands alone.
fn lines(head: &[u8]) -> Option<Vec<String>> {
    let text: String = head.iter().copied().map(char::from).collect();
    let lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
    lines.iter().all(|line| !line.contains(['\r', '\n'])).then_some(lines)
}

/// § 3.2: `uri-host [ ":" port ]`. Of names those that DNS or a hosts file can have; brackets hold IPv6 addresses.
fn read_authority(text: &str) -> Option<Authority> {
    let (host, port) = match text.rfind(':') {
        Some(colon) if !text[colon..].contains(']') => (&text[..colon], &text[colon + 1..]),
        _ => (text, ""),
    };
    let is_address = |inner: &str| inner.parse::<std::net::Ipv6Addr>().is_ok();
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let good = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => is_address(inner),
        None => !host.is_empty() && host.chars().all(is_name),
    };
    let port = match port {
        "" => None,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    good.then(|| Authority { host: host.to_ascii_lowercase(), port })
}

/// RFC 9110 § 5.6.2.
fn is_tchar(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// RFC 9110 § 5.5: VCHAR, obs-text, blanks.
fn is_field_char(c: char) -> bool {
    c == '\t' || (c >= ' ' && c != '\x7f')
}

/// What no URI has, and browsers do not encode in a query (WHATWG URL § 1.3, query percent-encode set).
const NOT_ENCODED: &str = "\\^`{|}";
/// What they encode in a path (path percent-encode set), or make `/` of it; `^` not always.
const ENCODED_IN_PATH: &str = "\\`{}";

/// RFC 3986 § 2: reserved, unreserved, and `%` with two digits; the `#` of a fragment is never sent. And what browsers
/// send beside.
fn is_uri(text: &str) -> bool {
    let is_hex = |rest: &str| rest.chars().take(2).filter(char::is_ascii_hexdigit).count() == 2;
    let good = |c: char| c.is_ascii_alphanumeric() || "-._~:/?[]@!$&'()*+,;=%".contains(c) || NOT_ENCODED.contains(c);
    text.chars().all(good) && text.match_indices('%').all(|(at, _)| is_hex(&text[at + 1..]))
}

/// What a list-based field lists (RFC 9110 § 5.6.1): empty members don't count.
fn members(list: &str) -> Vec<&str> {
    list.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty()).collect()
}

/// A text of one byte a `char`, read as UTF-8.
fn utf8(text: &str) -> String {
    let bytes: Vec<u8> = text.chars().map(|c| c as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let hex = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok();
        let is_hex = after.len() >= 2 && after[..2].iter().all(u8::is_ascii_hexdigit);
        let decoded = if first == b'%' && is_hex { hex(&after[..2]) } else { None };
        bytes.push(decoded.unwrap_or(first));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
