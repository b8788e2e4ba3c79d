//! Content negotiation for `/` (RFC 9110 § 12.5.1): does the client want a page or the stream?

/// What a client asks for with its `Accept` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `text/event-stream` by name: an EventSource.
    EventStream,
    /// `text/html` by name: a browser's address bar.
    Html,
    /// Anything else, as curl's `*/*`, or nothing at all.
    Anything,
}

/// Reads the value of `Accept`; several field lines must be joined by commas before.
///
/// A media range counts only if it names the type and has a quality value above 0. If both are named, the higher
/// quality value wins, and at a tie the stream, because only a program would name it.
pub fn wanted(accept: &str) -> Wanted {
    let (mut stream, mut html) = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let quality = parts.find_map(|parameter| parameter.strip_prefix("q=").or(parameter.strip_prefix("Q=")));
        let quality = quality.map_or(1000, thousandths);
        if media_type.eq_ignore_ascii_case("text/event-stream") {
            stream = stream.max(quality);
        } else if media_type.eq_ignore_ascii_case("text/html") {
            html = html.max(quality);
        }
    }
    match (stream, html) {
        (0, 0) => Wanted::Anything,
        (stream, html) if stream >= html => Wanted::EventStream,
        _ => Wanted::Html,
    }
}

/// A quality value (RFC 9110 § 12.4.2) in thousandths; anything else counts as 0, "not acceptable".
fn thousandths(quality: &str) -> u16 {
    match quality.parse::<f32>() {
        Ok(quality) if (0.0..=1.0).contains(&quality) => (quality * 1000.0).round() as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_an_event_source_from_an_address_bar_from_curl() {
        for (accept, want) in [
            ("", Wanted::Anything),
            ("*/*", Wanted::Anything),
            ("text/*", Wanted::Anything),
            ("application/json", Wanted::Anything),
            ("text/event-stream", Wanted::EventStream),
            ("Text/Event-Stream", Wanted::EventStream),
            (" text/event-stream ; charset=utf-8", Wanted::EventStream),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Wanted::Html),
            ("text/html;q=0.5, text/event-stream;q=0.4", Wanted::Html),
            ("text/html;q=0.4, text/event-stream;q=0.5", Wanted::EventStream),
            ("text/html, text/event-stream", Wanted::EventStream),
            ("text/event-stream;q=0, text/html;q=0.1", Wanted::Html),
            ("text/event-stream;q=0", Wanted::Anything),
            ("text/html;q=nonsense", Wanted::Anything),
            ("text/html;q=7", Wanted::Anything),
            (",,;;,text/html", Wanted::Html),
        ] {
            assert_eq!(wanted(accept), want, "Accept: {accept}");
        }
    }
}
