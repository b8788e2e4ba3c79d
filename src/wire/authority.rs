//! The authority of a URI, as `Host` and an absolute request target have it (RFC 9110 § 7.2, RFC 9112 § 3.2).

/// `uri-host [ ":" port ]` (RFC 9112 § 3.2), in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// The port, if there is one.
    pub port: Option<u16>,
}

impl Authority {
    /// Reads `HOST`, `HOST:PORT` or `[IPV6]:PORT`; `None` if it is something else (with user information, a path, two
    /// hosts). Names consist of letters, digits, `-`, `.`, `_` and `~`: no DNS name has more.
    pub fn parse(text: &str) -> Option<Authority> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']')?;
                address.parse::<core::net::Ipv6Addr>().ok()?;
                let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
                (&text[..address.len() + 2], port)
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if host.is_empty() || !(host.starts_with('[') || host.bytes().all(name)) {
            return None;
        }
        let port = match port {
            None | Some("") => None, // RFC 3986 § 3.2.3: the port may be empty
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
        };
        Some(Authority { host: host.to_ascii_lowercase(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_host_with_or_without_a_port_and_nothing_else() {
        let authority = |host: &str, port| Some(Authority { host: host.to_owned(), port });
        for (text, want) in [
            ("LocalHost", authority("localhost", None)),
            ("a.example:6502", authority("a.example", Some(6502))),
            ("a:", authority("a", None)),
            ("127.0.0.1:0", authority("127.0.0.1", Some(0))),
            ("[::1]", authority("[::1]", None)),
            ("[::1]:65535", authority("[::1]", Some(65535))),
            ("", None),
            (":80", None),
            ("a:65536", None),
            ("a:-1", None),
            ("a:+1", None),
            ("a:b", None),
            ("a/b", None),
            ("me@a", None),
            ("a b", None),
            ("::1", None),
            ("[::1", None),
            ("[a]", None),
            ("[::1]80", None),
        ] {
            assert_eq!(Authority::parse(text), want, "{text:?}");
        }
    }
}
