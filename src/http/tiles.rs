//! The server of the tiles that the button Streets of the built-in page switches on, if it is one of the person's own.

use super::access::Origin;

/// The longest template, in bytes.
const LONGEST: usize = 1000;

/// Where tiles come from, and what is said about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiles {
    /// The URL of a tile, with `{z}`, `{x}` and `{y}` for the zoom, column and row.
    pub template: String,
    /// Whom the map credits; may be empty.
    pub credit: String,
    /// The template's origin, as a content security policy can name it.
    pub origin: Origin,
}

impl Tiles {
    /// Reads a template; otherwise says what is wrong with it.
    pub fn parse(template: &str, credit: &str) -> Result<Tiles, String> {
        if template.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes"));
        }
        let (start, authority) = match template.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (scheme.len() + "://".len(), rest),
            _ => return Err("it does not begin with http:// or https://".to_owned()),
        };
        let end = start + authority.find(['/', '?', '#']).unwrap_or(authority.len());
        let (before, path) = template.split_at(end);
        let origin = Origin::parse(before).filter(|origin| is_host_source(origin.host()));
        let Some(origin) = origin else {
            // That is why no IPv6 address will do (CSP Level 3, section 2.3.1).
            let host = &before[start..];
            return Err(format!("'{host}' is not a host that the page's content security policy can name"));
        };
        let mut rest = path.to_owned();
        for placeholder in ["{z}", "{x}", "{y}"] {
            if !rest.contains(placeholder) {
                return Err(format!("it has no {placeholder} after the host"));
            }
            rest = rest.replace(placeholder, "");
        }
        match rest.chars().find(|&char| !is_in_uri(char)) {
            None => Ok(Tiles { template: template.to_owned(), credit: credit.to_owned(), origin }),
            Some('{' | '}') => Err("it has braces beyond {z}, {x} and {y}".to_owned()),
            Some(char) => Err(format!("it has {char:?}, which a URL for tiles does not")),
        }
    }
}

/// Whether a source of a content security policy may have this host: names and IPv4 addresses.
fn is_host_source(host: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    host.split('.').all(|label| !label.is_empty() && label.bytes().all(letter))
}

/// Whether the path or query of a URI may have this character (RFC 3986 §§ 3.3, 3.4), or `%` before two digits.
fn is_in_uri(char: char) -> bool {
    char.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=:@/?".contains(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_an_origin_that_the_policy_can_name() {
        for (template, want) in [
            ("https://tiles.example/{z}/{x}/{y}.png", "https://tiles.example"),
            ("https://Tiles.Example:443/{z}/{x}/{y}.png", "https://tiles.example"),
            ("http://localhost:8080/styles/a%20b/{z}/{x}/{y}@2x.png?key=a;b,'c'", "http://localhost:8080"),
            ("http://192.0.2.1?{y}&{x}&{z}&{z}", "http://192.0.2.1"),
        ] {
            let tiles = Tiles::parse(template, "").unwrap_or_else(|why| panic!("{template}: {why}"));
            assert_eq!((tiles.origin.to_string().as_str(), tiles.template.as_str()), (want, template));
        }
    }

    #[test]
    fn what_is_no_template_is_refused_with_the_reason() {
        let long = format!("https://a/{{z}}/{{x}}/{{y}}/{}", "a".repeat(LONGEST));
        for (template, want) in [
            ("", "begin with"),
            ("tiles.example/{z}/{x}/{y}.png", "begin with"),
            ("//tiles.example/{z}/{x}/{y}.png", "begin with"),
            ("ftp://tiles.example/{z}/{x}/{y}.png", "begin with"),
            ("javascript://a/{z}/{x}/{y}", "begin with"),
            ("https:///{z}/{x}/{y}.png", "''"),
            ("https://a;script-src *//{z}/{x}/{y}.png", "'a;script-src *'"),
            ("https://*/{z}/{x}/{y}.png", "'*'"),
            ("https://a b/{z}/{x}/{y}.png", "'a b'"),
            ("https://a,b/{z}/{x}/{y}.png", "'a,b'"),
            ("https://me@a/{z}/{x}/{y}.png", "'me@a'"),
            ("https://a_b/{z}/{x}/{y}.png", "'a_b'"),
            ("https://a./{z}/{x}/{y}.png", "'a.'"),
            ("https://[::1]/{z}/{x}/{y}.png", "'[::1]'"),
            ("https://{s}.tiles.example/{z}/{x}/{y}.png", "'{s}.tiles.example'"),
            ("https://a:99999/{z}/{x}/{y}.png", "'a:99999'"),
            ("https://a/{z}/{x}.png", "no {y}"),
            ("https://a/{x}/{y}.png", "no {z}"),
            ("https://a", "no {z}"),
            ("https://a/{s}/{z}/{x}/{y}.png", "braces"),
            ("https://a/{z}/{x}/{-y}.png", "no {y}"),
            ("https://a/{z}/{x}/{y}}.png", "braces"),
            ("https://a/{z}/{x}/{y}.png#{z}", "'#'"),
            ("https://a/{z}/{x}/{y}\"><script>", "'\"'"),
            ("https://a/{z}/{x}/{y}<b", "'<'"),
            ("https://a/{z}/{x}/{y} b", "' '"),
            ("https://a/{z}/{x}/{y}\nb", "'\\n'"),
            ("https://a/{z}/{x}/{y}\\", "'\\\\'"),
            ("https://a/{z}/{x}/{y}ä", "'ä'"),
            (long.as_str(), "longer"),
        ] {
            let why = Tiles::parse(template, "").expect_err(template);
            assert!(why.contains(want), "{template}: {why}");
        }
    }
}
