//! The pages: the built-in one, whose files are part of the binary, and the way of a token from page to page.
//!
//! A page brings more URLs than the one that was opened: styles, scripts and what they import, workers, the stream.
//! Where a token is set, each of them must carry it. A query does not pass on to relative URLs, and a cookie would
//! go to every port of the host. So the token may also stand in front of any path, as a segment of its own:
//! `/access_token=TOKEN/events` is `/events`. A document that is asked for with `?access_token=TOKEN` is redirected
//! there (307, a relative `Location`), and from then on every relative URL carries the token by itself: in the
//! built-in page, in a person's own, in module imports and workers, below a proxy's sub-path. No page needs to know
//! of it; all that it takes is that its URLs are relative.

use crate::access::Token;
use percent_encoding::percent_decode_str;

/// What begins the segment that carries a token.
const TOKEN_SEGMENT: &str = "/access_token=";

/// A file of the built-in page.
#[derive(Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its media type.
    pub media_type: &'static str,
    /// Its content.
    pub content: &'static [u8],
}

/// The page itself.
pub const INDEX: Asset =
    Asset { media_type: "text/html; charset=utf-8", content: include_bytes!("../viewer/index.html") };

/// Nothing but our own files, and no script that stands in the page (W3C Content Security Policy Level 3); and the
/// images of the one map that a person may switch on.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' https://tile.openstreetmap.org; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// `/viewer/NAME` is the file of that name.
macro_rules! assets {
    ($($name:literal: $media_type:expr,)*) => {
        &[$((concat!("/viewer/", $name), $media_type, include_bytes!(concat!("../viewer/", $name)))),*]
    };
}

/// The files that the page is made of: path, media type, content. They share a folder, so that nothing of a page of
/// one's own is hidden by them.
const ASSETS: &[(&str, &str, &[u8])] = assets! {
    "drawing.js": JAVASCRIPT,
    "event-stream.js": JAVASCRIPT,
    "filter.js": JAVASCRIPT,
    "held.js": JAVASCRIPT,
    "hub.js": JAVASCRIPT,
    "icon.svg": "image/svg+xml",
    "join.js": JAVASCRIPT,
    "land.js": JAVASCRIPT,
    "log.js": JAVASCRIPT,
    "map.js": JAVASCRIPT,
    "numbers.js": JAVASCRIPT,
    "own.js": JAVASCRIPT,
    "plot.js": JAVASCRIPT,
    "positions.js": JAVASCRIPT,
    "series.js": JAVASCRIPT,
    "text.js": JAVASCRIPT,
    "vendor/land.json": "application/json",
    "vendor/leaflet.css": CSS,
    "vendor/leaflet.js": JAVASCRIPT,
    "vendor/licences.txt": "text/plain; charset=utf-8",
    "vendor/uplot.css": CSS,
    "vendor/uplot.js": JAVASCRIPT,
    "viewer.css": CSS,
    "viewer.js": JAVASCRIPT,
};

/// The path behind a segment that carries this token, if the path begins with one.
pub fn behind_token<'a>(path: &'a str, token: &Token) -> Option<&'a str> {
    let rest = path.strip_prefix(TOKEN_SEGMENT)?;
    let (segment, path) = rest.split_at(rest.find('/')?);
    let segment: Vec<u8> = percent_decode_str(segment).collect();
    token.is(&segment).then_some(path)
}

/// Where `path` is found behind a segment that carries the token: a reference relative to `path` itself, with what
/// else the query had.
pub fn location_behind_token(path: &str, query: &str, token: &Token) -> String {
    let up = match path.matches('/').count() {
        0 | 1 => "./".to_owned(),
        depth => "../".repeat(depth - 1),
    };
    let rest: Vec<_> = query.split('&').filter(|pair| !pair.starts_with("access_token=") && !pair.is_empty()).collect();
    let mark = if rest.is_empty() { "" } else { "?" };
    format!("{up}{}{}{path}{mark}{}", &TOKEN_SEGMENT[1..], token.in_url(), rest.join("&"))
}

/// The built-in file that is found at `path`, if there is one.
pub fn asset(path: &str) -> Option<Asset> {
    if path == "/viewer" {
        return Some(INDEX);
    }
    let (_, media_type, content) = ASSETS.iter().find(|(name, ..)| *name == path)?;
    Some(Asset { media_type, content })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most that the whole page may weigh: it comes over phone networks too.
    const MOST: usize = 450 * 1000;

    #[test]
    fn all_assets_together_stay_small() {
        let size: usize = ASSETS.iter().map(|(_, _, content)| content.len()).sum();
        assert!(size + INDEX.content.len() <= MOST, "{size} bytes");
    }

    #[test]
    fn a_token_in_front_of_a_path_opens_what_is_behind_it() {
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
