//! Which pages may read: decisions about `Origin` (Fetch, CORS protocol) and `Host`, and what follows from them.
//!
//! There are two ways in to guard. A page of another origin may read only if that origin is allowed: CORS. And if the
//! owner of a DNS name suddenly points it at this machine ("rebinding"), the browser takes a page under that name for
//! one of the same origin; its `Host` gives it away. A token (`token`), if set, protects against both.

use crate::wire::authority::Authority;
use std::fmt;

/// Which origins may read, from `--cors-origin`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// `*`: any.
    pub any: bool,
    /// `local`: pages that are served on this machine.
    pub local: bool,
    /// `null`: pages opened as files (and, unfortunately, every sandboxed frame).
    pub null: bool,
    /// Listed origins.
    pub listed: Vec<Origin>,
}

/// A tuple origin: `scheme://host[:port]`, in lower case, without the scheme's default port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    authority: Authority,
}

/// What CORS says to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cors {
    /// Served, with an `Access-Control-Allow-Origin` that lets the page read: this origin, or `*`.
    Allowed(String),
    /// Served; the request is not from another origin.
    Same,
    /// To be answered with 403.
    Refused,
}

impl Origins {
    /// Judges a request with this `Origin` field, addressed to `host`.
    pub fn judge(&self, origin: Option<&str>, host: Option<&Authority>) -> Cors {
        if self.any {
            return Cors::Allowed("*".to_owned());
        }
        let Some(text) = origin else {
            // A single origin is always sent: then a cache may keep one answer for all.
            return match (self.listed.as_slice(), self.local, self.null) {
                ([only], false, false) => Cors::Allowed(only.to_string()),
                _ => Cors::Same,
            };
        };
        let allowed = match Origin::parse(text) {
            None => text == "null" && self.null,
            Some(origin) => {
                self.local && origin.is_local()
                    || self.listed.contains(&origin)
                    || host.is_some_and(|host| origin.is_at(host))
            }
        };
        if allowed { Cors::Allowed(text.to_owned()) } else { Cors::Refused }
    }
}

impl Origins {
    /// The origins that may frame the page, as sources of a content security policy (CSP Level 3, section 2.3.1). A
    /// policy can't name IPv6 addresses, or loopback addresses other than 127.0.0.1; for `null` it can name files.
    pub fn frame_ancestors(&self) -> String {
        const LOCAL: [&str; 3] = ["localhost", "*.localhost", "127.0.0.1"];
        let mut sources = vec!["'self'".to_owned()];
        if self.any {
            sources.push("*".to_owned());
        }
        if self.any || self.null {
            sources.push("file:".to_owned());
        }
        if self.local {
            sources
                .extend(["http", "https"].iter().flat_map(|scheme| LOCAL.map(|host| format!("{scheme}://{host}:*"))));
        }
        sources.extend(self.listed.iter().map(Origin::to_string));
        sources.join(" ")
    }
}

impl Cors {
    /// The fields of every answer, including refusals for other reasons: otherwise the page could not read them.
    pub fn fields(&self) -> Vec<(&'static str, &str)> {
        match self {
            Cors::Allowed(any) if any == "*" => vec![("Access-Control-Allow-Origin", "*")],
            Cors::Allowed(origin) => vec![
                ("Access-Control-Allow-Origin", origin),
                ("Access-Control-Allow-Credentials", "true"),
                ("Vary", "Origin"),
            ],
            Cors::Same | Cors::Refused => vec![("Vary", "Origin")],
        }
    }
}

impl Origin {
    /// Reads `scheme://host[:port]`; `None` if it is something else (`null`, or with a path).
    pub fn parse(text: &str) -> Option<Origin> {
        let (scheme, rest) = text.split_once("://")?;
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(letter) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let mut authority = Authority::parse(rest)?;
        authority.port = authority.port.filter(|&port| Some(port) != default_port(&scheme));
        Some(Origin { scheme, authority })
    }

    /// The host of it.
    pub fn host(&self) -> &str {
        &self.authority.host
    }

    fn is_local(&self) -> bool {
        default_port(&self.scheme).is_some() && is_loopback(&self.authority.host)
    }

    /// Whether `host` is the host of this origin. The scheme doesn't matter, because a proxy in front may add TLS.
    fn is_at(&self, host: &Authority) -> bool {
        let default = default_port(&self.scheme);
        default.is_some()
            && host.host == self.authority.host
            && host.port.or(default) == self.authority.port.or(default)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority.host)?;
        self.authority.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Which names this server answers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// Any name: if everybody may read, there is nothing to protect.
    pub any: bool,
    /// Names in addition to those that no public page can have, in lower case.
    pub names: Vec<String>,
}

impl Hosts {
    /// Whether a request addressed to `host` is meant for us; without one (HTTP/1.0) it is.
    pub fn allow(&self, host: Option<&Authority>) -> bool {
        let Some(Authority { host, .. }) = host else { return true };
        self.any
            || is_ip_literal(host)
            || !host.contains('.')
            || is_loopback(host)
            || self.names.iter().any(|name| name == host.strip_suffix('.').unwrap_or(host))
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

fn is_ip_literal(host: &str) -> bool {
    host.starts_with('[') || host.parse::<core::net::Ipv4Addr>().is_ok()
}

fn is_loopback(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    name == "localhost"
        || name.ends_with(".localhost")
        || host.parse::<core::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']')?.parse::<core::net::Ipv6Addr>().ok())
            .is_some_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Authority {
        Authority::parse(text).expect("is a host")
    }

    #[test]
    fn origins_are_judged_as_the_behaviour_document_says() {
        let listed = |texts: &[&str]| texts.iter().map(|text| Origin::parse(text).expect("is one")).collect();
        let local = Origins { local: true, ..Origins::default() };
        let null = Origins { null: true, ..Origins::default() };
        let one = Origins { listed: listed(&["https://app.example"]), ..Origins::default() };
        let two = Origins { listed: listed(&["https://a.example", "http://b.example:81"]), ..local.clone() };
        let none = Origins::default();
        let any = Origins { any: true, ..Origins::default() };
        let me = "http://box.example:6502";
        for (origins, origin, want) in [
            (&local, Some("http://localhost:3000"), "http://localhost:3000"),
            (&local, Some("https://app.localhost"), "https://app.localhost"),
            (&local, Some("http://127.8.9.1"), "http://127.8.9.1"),
            (&local, Some("http://[::1]:80"), "http://[::1]:80"),
            (&local, Some("ftp://localhost"), "403"),
            (&local, Some("http://localhost.evil.example"), "403"),
            (&local, Some("http://notlocalhost"), "403"),
            (&local, Some("https://evil.example"), "403"),
            (&local, Some("null"), "403"),
            (&local, Some(""), "403"),
            (&local, Some("http://localhost:3000/"), "403"),
            (&local, Some(me), me),
            (&local, Some("https://box.example:6502"), "https://box.example:6502"),
            (&local, Some("http://box.example"), "403"),
            (&local, None, "same"),
            (&null, Some("null"), "null"),
            (&null, Some("http://localhost"), "403"),
            (&one, Some("https://app.example"), "https://app.example"),
            (&one, Some("https://app.example:443"), "https://app.example:443"),
            (&one, Some("http://app.example"), "403"),
            (&one, Some("http://localhost"), "403"),
            (&one, Some("null"), "403"),
            (&one, None, "https://app.example"),
            (&two, Some("http://b.example:81"), "http://b.example:81"),
            (&two, Some("http://localhost"), "http://localhost"),
            (&two, None, "same"),
            (&none, Some("http://localhost"), "403"),
            (&none, Some("http://evil.example:6502"), "403"),
            (&none, Some(me), me),
            (&none, None, "same"),
            (&any, Some("https://evil.example"), "*"),
            (&any, Some("null"), "*"),
            (&any, None, "*"),
        ] {
            let got = match origins.judge(origin, Some(&host("box.example:6502"))) {
                Cors::Allowed(origin) => origin,
                Cors::Same => "same".to_owned(),
                Cors::Refused => "403".to_owned(),
            };
            assert_eq!(got, want, "{origins:?} asked by {origin:?}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_a_host_and_at_most_a_port() {
        for text in ["a+b-1.c://a", "http://a", "http://a:1", "http://[::1]:1"] {
            assert!(Origin::parse(text).is_some(), "{text}");
        }
        for text in ["", "null", "a", "a:1", "://a", "1a://a", "a_b://a", "http://", "http://a/", "http://a:b"] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }

    #[test]
    fn pages_of_any_origin_may_read_but_not_with_credentials() {
        assert_eq!(Cors::Allowed("*".to_owned()).fields(), [("Access-Control-Allow-Origin", "*")]);
        let one = Cors::Allowed("https://a.example".to_owned());
        assert!(one.fields().contains(&("Access-Control-Allow-Credentials", "true")));
    }

    #[test]
    fn those_that_may_read_may_frame_the_page() {
        let listed = vec![Origin::parse("https://app.example:81").expect("is one")];
        let local = "http://localhost:* http://*.localhost:* http://127.0.0.1:* \
            https://localhost:* https://*.localhost:* https://127.0.0.1:*";
        for (origins, want) in [
            (Origins::default(), "'self'".to_owned()),
            (Origins { local: true, ..Origins::default() }, format!("'self' {local}")),
            (Origins { any: true, ..Origins::default() }, "'self' * file:".to_owned()),
            (Origins { null: true, listed, ..Origins::default() }, "'self' file: https://app.example:81".to_owned()),
        ] {
            assert_eq!(origins.frame_ancestors(), want, "{origins:?}");
        }
    }

    #[test]
    fn the_servers_own_origin_is_never_other_with_default_ports_too() {
        let none = Origins::default();
        for (origin, addressed, own) in [
            ("http://box", "box:80", true),
            ("http://box", "box", true),
            ("https://box", "box", true),
            ("https://box", "box:80", false),
            ("http://box:81", "box", false),
        ] {
            let got = none.judge(Some(origin), Some(&host(addressed))) != Cors::Refused;
            assert_eq!(got, own, "{origin} at {addressed}");
        }
    }

    #[test]
    fn only_names_that_no_public_page_can_have_are_ours() {
        let hosts = Hosts { any: false, names: vec!["box.local".into(), "app.example".into()] };
        for (text, want) in [
            ("127.0.0.1:6502", true),
            ("192.168.1.7", true),
            ("[::1]:6502", true),
            ("localhost:6502", true),
            ("localhost.", true),
            ("a.localhost", true),
            ("box", true),
            ("box.local", true),
            ("app.example", true),
            ("app.example.:1", true),
            ("rebound.example", false),
            ("localhost.evil.example", false),
            ("1.2.3.4.example", false),
            ("999.1.1.1", false),
        ] {
            assert_eq!(hosts.allow(Some(&host(text))), want, "Host: {text}");
        }
        assert!(hosts.allow(None), "HTTP/1.0 may leave it out");
        assert!(Hosts { any: true, names: Vec::new() }.allow(Some(&host("rebound.example"))));
    }
}
