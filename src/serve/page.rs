//! The pages: the built-in one, whose files are part of the binary.

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

/// Nothing but our own files, and no script that stands in the page (W3C Content Security Policy Level 3).
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The built-in file that is found at `path`, if there is one.
pub fn asset(path: &str) -> Option<Asset> {
    const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
    let (media_type, content): (_, &[u8]) = match path {
        "/viewer" => return Some(INDEX),
        "/viewer.css" => ("text/css; charset=utf-8", include_bytes!("../viewer/viewer.css")),
        "/viewer.js" => (JAVASCRIPT, include_bytes!("../viewer/viewer.js")),
        "/event-stream.js" => (JAVASCRIPT, include_bytes!("../viewer/event-stream.js")),
        "/icon.svg" => ("image/svg+xml", include_bytes!("../viewer/icon.svg")),
        _ => return None,
    };
    Some(Asset { media_type, content })
}
