//! The heads of answers (RFC 9110 § 15, RFC 9112 § 4).
//!
//! Every answer is the last on its connection, so every head says `Connection: close`.

use super::request::Version;

/// How the length of the content is given (RFC 9112 § 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// This number of bytes.
    Bytes(u64),
    /// Chunks, or to the close of the connection for a client that knows no chunks.
    Stream(Version),
    /// None can be: 204.
    NoContent,
}

/// A head, complete with its empty line. `date` is an IMF-fixdate; `fields` are name and value pairs, and
/// values come from us or are checked, so that none has a line end in it.
pub fn head(status: u16, date: &str, length: Length, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} {}\r\nDate: {date}\r\nConnection: close\r\n", reason(status));
    match length {
        Length::Bytes(n) => head.push_str(&format!("Content-Length: {n}\r\n")),
        Length::Stream(Version::Http11) => head.push_str("Transfer-Encoding: chunked\r\n"),
        Length::Stream(Version::Http10) | Length::NoContent => {}
    }
    for (name, value) in fields {
        debug_assert!(!value.contains(['\r', '\n']), "{name}: {value:?}");
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("X-Content-Type-Options: nosniff\r\n\r\n");
    head.into_bytes()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "", // RFC 9112 § 4: the reason phrase may be empty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_long_the_content_is_as_the_client_understands_it() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let text = |length| String::from_utf8(head(200, date, length, &[("Vary", "Accept")])).expect("is ASCII");
        let start = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\n";
        let end = "Vary: Accept\r\nX-Content-Type-Options: nosniff\r\n\r\n";
        assert_eq!(text(Length::Bytes(5)), format!("{start}Content-Length: 5\r\n{end}"));
        assert_eq!(text(Length::Stream(Version::Http11)), format!("{start}Transfer-Encoding: chunked\r\n{end}"));
        assert_eq!(text(Length::Stream(Version::Http10)), format!("{start}{end}"));
        assert_eq!(text(Length::NoContent), format!("{start}{end}"));
    }
}
