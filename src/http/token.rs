//! The token that clients must send (RFC 6750), and how it gets from page to page.
//!
//! A page has more URLs than the one that was opened: styles, scripts and what they import, workers, the stream. If a
//! token is set, each of them must have it. Relative URLs don't inherit a query, and a cookie would go to every port of
//! the host. So the token may also come before any path, as a segment of its own: `/access_token=TOKEN/events` is
//! `/events`. A document that is requested with `?access_token=TOKEN` is redirected there (307, a relative `Location`),
//! and from then on every relative URL has the token by itself: in the built-in page, in a user's own, in module
//! imports and workers, below a proxy's sub-path. Pages need not know about it, as long as their URLs are relative.

use crate::wire::request::Request;
use constant_time_eq::constant_time_eq;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::fmt;

/// The beginning of the segment that has a token.
const TOKEN_SEGMENT: &str = "/access_token=";

/// The token that clients must send. `Debug` doesn't show it, so that no log ever does.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token of the characters that a `Bearer` field can have (`b64token`, RFC 6750 § 2.1); `None` for any other.
    pub fn new(text: &str) -> Option<Token> {
        let body = text.trim_end_matches('=');
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        (!body.is_empty() && body.bytes().all(good)).then(|| Token(text.to_owned()))
    }

    /// Whether this is it; the time that this takes reveals at most its length.
    pub fn is(&self, text: &[u8]) -> bool {
        constant_time_eq(self.0.as_bytes(), text)
    }

    /// The form for a URL, in a path or a query.
    pub fn in_url(&self) -> String {
        const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
        utf8_percent_encode(&self.0, RESERVED).to_string()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How the client sent the token, if one is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Before the path or in a field (or none is required): the requests of a page have it too.
    Lasting,
    /// In the query, which relative URLs don't inherit.
    Query,
}

/// The path without the token; `None` if the token is missing or wrong.
pub fn unlock<'a>(request: &'a Request, token: Option<&Token>) -> Option<(&'a str, Way)> {
    let path = request.path.as_str();
    let Some(token) = token else { return Some((path, Way::Lasting)) };
    let is = |text: &Option<String>| text.as_ref().is_some_and(|text| token.is(text.as_bytes()));
    if let Some(path) = behind_token(path, token) {
        return Some((path, Way::Lasting));
    }
    match (is(&request.bearer), is(&request.access_token)) {
        (true, _) => Some((path, Way::Lasting)),
        (false, true) => Some((path, Way::Query)),
        (false, false) => None,
    }
}

/// The path after a segment that has this token, if the path begins with one.
pub fn behind_token<'a>(path: &'a str, token: &Token) -> Option<&'a str> {
    let rest = path.strip_prefix(TOKEN_SEGMENT)?;
    let (segment, path) = rest.split_at(rest.find('/')?);
    let segment: Vec<u8> = percent_decode_str(segment).collect();
    token.is(&segment).then_some(path)
}

/// Where `path` is below a segment that has the token: a reference relative to `path` itself, with the rest of the
/// query.
pub fn location_behind_token(path: &str, query: &str, token: &Token) -> String {
    let up = match path.matches('/').count() {
        0 | 1 => "./".to_owned(),
        depth => "../".repeat(depth - 1),
    };
    let rest: Vec<_> = query.split('&').filter(|pair| !pair.starts_with("access_token=") && !pair.is_empty()).collect();
    let mark = if rest.is_empty() { "" } else { "?" };
    format!("{up}{}{}{path}{mark}{}", &TOKEN_SEGMENT[1..], token.in_url(), rest.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_a_field_can_carry_and_equals_itself_alone() {
        for text in ["a", "0123456789abcdef", "a-._~+/b", "YWJj=", "YWI=="] {
            let token = Token::new(text).unwrap_or_else(|| panic!("is one: {text}"));
            assert!(token.is(text.as_bytes()));
            assert!(!token.is(b"") && !token.is(&text.as_bytes()[1..]) && !token.is(format!("{text}x").as_bytes()));
            assert!(!format!("{token:?}").contains(text) || text == "a", "{token:?}");
        }
        for text in ["", "=", "a b", "a\n", "é", "a=b", "a,b", "a%20b"] {
            assert!(Token::new(text).is_none(), "{text:?}");
        }
        assert_eq!(Token::new("a+/-b=").expect("is one").in_url(), "a%2B%2F-b%3D");
    }

    #[test]
    fn a_token_before_a_path_opens_what_is_after_it() {
        let token = Token::new("a/b=").expect("is one");
        for (path, want) in [
            ("/access_token=a%2Fb%3D/", Some("/")),
            ("/access_token=a%2fb=/viewer/viewer.css", Some("/viewer/viewer.css")),
            ("/access_token=a%2Fb%3D//x", Some("//x")),
            ("/access_token=a%2Fb%3D", None),
            ("/access_token=/", None),
            ("/access_token=a/b=/", None),
            ("/viewer", None),
            ("/x/access_token=a%2Fb%3D/", None),
        ] {
            assert_eq!(behind_token(path, &token), want, "{path}");
        }
    }

    #[test]
    fn a_page_is_sent_there_by_a_relative_reference() {
        let token = Token::new("a/b").expect("is one");
        for (path, query, want) in [
            ("/", "access_token=a%2Fb", "./access_token=a%2Fb/"),
            ("/viewer", "access_token=a/b&x=y", "./access_token=a%2Fb/viewer?x=y"),
            ("/sub/a.html", "n=1&access_token=a/b&m", "../access_token=a%2Fb/sub/a.html?n=1&m"),
        ] {
            assert_eq!(location_behind_token(path, query, &token), want, "{path}?{query}");
        }
    }
}
