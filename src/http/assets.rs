//! The built-in page, whose files are part of the binary.

use super::access::Origins;
use super::tiles::Tiles;

/// A file of the built-in page.
#[derive(Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its media type.
    pub media_type: &'static str,
    /// Its content, as it is sent.
    pub content: &'static [u8],
    /// Whether that is compressed (RFC 9110 § 8.4.1.3).
    pub gzip: bool,
}

/// The page itself.
pub const INDEX: Asset =
    Asset { media_type: "text/html; charset=utf-8", content: include_bytes!("../viewer/index.html"), gzip: false };

/// The origin of the tiles that `index.html` names.
const OPENSTREETMAP: &str = "https://tile.openstreetmap.org";

/// The page's policy (W3C Content Security Policy Level 3): only our own files, and no inline script; and the images of
/// the one map that a person can switch on. Origins that may read may also frame the page.
pub fn content_security_policy(origins: &Origins, tiles: Option<&Tiles>) -> String {
    let images = tiles.map_or_else(|| OPENSTREETMAP.to_owned(), |tiles| tiles.origin.to_string());
    let frames = origins.frame_ancestors();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' {images}; connect-src 'self'; \
         worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {frames}"
    )
}

/// The page with the user's own title, as its title and heading, and tile server.
pub fn index(title: Option<&str>, tiles: Option<&Tiles>) -> String {
    let mut html = std::str::from_utf8(INDEX.content).expect("the page is UTF-8").to_owned();
    // The title comes last: it may contain any of these texts.
    if let Some(tiles) = tiles {
        for (name, text) in [("tiles", &tiles.template), ("tiles-credit", &tiles.credit)] {
            let before = format!("<meta name=\"{name}\" content=\"");
            let start = html.find(&before).expect("the page has it") + before.len();
            let length = html[start..].find('"').expect("it ends");
            html.replace_range(start..start + length, &escape(text));
        }
    }
    if let Some(title) = title.map(escape) {
        html = html.replacen("<title>sse-pipe<", &format!("<title>{title}<"), 1);
        html = html.replacen("<span>sse-pipe<", &format!("<span class=\"own\">{title}<"), 1);
    }
    html
}

/// Text for HTML, also for the value of an attribute in double quotes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";

/// `/viewer/NAME` is the file of that name, or of that name and `.gz`.
macro_rules! assets {
    ($($name:literal: $media_type:expr,)*) => {
        &[$((concat!("/viewer/", $name), $media_type, include_bytes!(concat!("../viewer/", $name)))),*]
    };
}

/// The files that the page is made of: path, media type, content. They share a folder, so they don't hide any file of a
/// user's own page.
const ASSETS: &[(&str, &str, &[u8])] = assets! {
    "bar.js": JAVASCRIPT,
    "controls.js": JAVASCRIPT,
    "dom.js": JAVASCRIPT,
    "frame-scheduler.js": JAVASCRIPT,
    "hub-client.js": JAVASCRIPT,
    "hub/connection.js": JAVASCRIPT,
    "hub/hub.js": JAVASCRIPT,
    "hub/parser.js": JAVASCRIPT,
    "icon.svg": "image/svg+xml",
    "item-buffer.js": JAVASCRIPT,
    "library.js": JAVASCRIPT,
    "log-status.js": JAVASCRIPT,
    "log/expressions.js": JAVASCRIPT,
    "log/filter.js": JAVASCRIPT,
    "log/heights.js": JAVASCRIPT,
    "log/log.js": JAVASCRIPT,
    "log/marks.js": JAVASCRIPT,
    "log/matcher.js": JAVASCRIPT,
    "log/row.js": JAVASCRIPT,
    "map/background.js": JAVASCRIPT,
    "map/graticule.js": JAVASCRIPT,
    "map/map.js": JAVASCRIPT,
    "map/paint.js": JAVASCRIPT,
    "map/silence.js": JAVASCRIPT,
    "map/tracks.js": JAVASCRIPT,
    "map/world.js": JAVASCRIPT,
    "pictures.js": JAVASCRIPT,
    "plot/axes.js": JAVASCRIPT,
    "plot/chart.js": JAVASCRIPT,
    "plot/facts.js": JAVASCRIPT,
    "plot/hand.js": JAVASCRIPT,
    "plot/plot.js": JAVASCRIPT,
    "plot/points.js": JAVASCRIPT,
    "plot/range.js": JAVASCRIPT,
    "plot/series.js": JAVASCRIPT,
    "recognise/course.js": JAVASCRIPT,
    "recognise/degrees.js": JAVASCRIPT,
    "recognise/fields.js": JAVASCRIPT,
    "recognise/found.js": JAVASCRIPT,
    "recognise/geometry.js": JAVASCRIPT,
    "recognise/json.js": JAVASCRIPT,
    "recognise/members.js": JAVASCRIPT,
    "recognise/nmea.js": JAVASCRIPT,
    "recognise/pairs.js": JAVASCRIPT,
    "recognise/plain.js": JAVASCRIPT,
    "recognise/quantity.js": JAVASCRIPT,
    "recognise/recogniser.js": JAVASCRIPT,
    "recognise/roles.js": JAVASCRIPT,
    "recognise/sbs.js": JAVASCRIPT,
    "recognise/table.js": JAVASCRIPT,
    "recognise/time.js": JAVASCRIPT,
    "recognise/wkt.js": JAVASCRIPT,
    "start-hub.js": JAVASCRIPT,
    "text/ansi.js": JAVASCRIPT,
    "text/characters.js": JAVASCRIPT,
    "text/json.js": JAVASCRIPT,
    "text/rendering.js": JAVASCRIPT,
    "vendor/cities.json.gz": JSON,
    "vendor/countries.json.gz": JSON,
    "vendor/land.json.gz": JSON,
    "vendor/leaflet.css.gz": CSS,
    "vendor/leaflet.js.gz": JAVASCRIPT,
    "vendor/licences.txt": "text/plain; charset=utf-8",
    "vendor/uplot.css.gz": CSS,
    "vendor/uplot.js.gz": JAVASCRIPT,
    "viewer.css": CSS,
    "viewer.js": JAVASCRIPT,
    "views.js": JAVASCRIPT,
};

/// The built-in file that is found at `path`, if there is one.
pub fn find(path: &str) -> Option<Asset> {
    if path == "/viewer" {
        return Some(INDEX);
    }
    let plain = |name: &'static str| name.strip_suffix(".gz").unwrap_or(name);
    let (name, media_type, content) = ASSETS.iter().find(|(name, ..)| plain(name) == path)?;
    Some(Asset { media_type, content, gzip: name.ends_with(".gz") })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most that the page may weigh as it is sent, without the map's data: it comes over phone networks too.
    const MOST: usize = 420 * 1000;
    /// The same for that data, which is loaded when the map is opened.
    const MOST_DATA: usize = 350 * 1000;

    #[test]
    fn a_title_is_text_at_both_its_places() {
        let page = index(Some("a </title><b>&amp;\""), None);
        let plain = std::str::from_utf8(INDEX.content).expect("is UTF-8");
        let text = "a &lt;/title&gt;&lt;b&gt;&amp;amp;&quot;";
        assert!(page.contains(&format!("<title>{text}</title>")), "{page}");
        assert!(page.contains(&format!("<span class=\"own\">{text}</span>")), "{page}");
        assert_eq!(page.len(), plain.len() + 2 * (text.len() - "sse-pipe".len()) + " class=\"own\"".len());
    }

    #[test]
    fn a_tile_server_and_its_credit_are_text_in_the_page_and_its_policy() {
        let plain = std::str::from_utf8(INDEX.content).expect("is UTF-8");
        assert!(plain.contains(&format!("<meta name=\"tiles\" content=\"{OPENSTREETMAP}/{{z}}/{{x}}/{{y}}.png\">")));
        let tiles =
            Tiles::parse("http://a.example:81/{z}/{x}/{y}?a=1&b='", "\"><script>&<title>sse-pipe<").expect("is one");
        // A title that looks like a piece of the page changes nothing else.
        let page = index(Some("<meta name=\"tiles\" content=\""), Some(&tiles));
        assert!(
            page.contains("<meta name=\"tiles\" content=\"http://a.example:81/{z}/{x}/{y}?a=1&amp;b='\">"),
            "{page}"
        );
        let credit = "&quot;&gt;&lt;script&gt;&amp;&lt;title&gt;sse-pipe&lt;";
        assert!(page.contains(&format!("<meta name=\"tiles-credit\" content=\"{credit}\">")), "{page}");
        assert!(page.contains("<title>&lt;meta name=&quot;tiles&quot; content=&quot;</title>"), "{page}");
        for (tiles, origin) in [(Some(&tiles), "http://a.example:81"), (None, OPENSTREETMAP)] {
            let policy = content_security_policy(&Origins::default(), tiles);
            assert!(policy.contains(&format!("; img-src 'self' {origin}; ")), "{policy}");
        }
    }

    #[test]
    fn all_assets_together_stay_small() {
        let sizes = ASSETS.iter().map(|(path, _, content)| (path.ends_with(".json.gz"), content.len()));
        let (data, page): (Vec<_>, Vec<_>) = sizes.partition(|(is_data, _)| *is_data);
        let [data, page] = [data, page].map(|part| part.iter().map(|(_, len)| len).sum::<usize>());
        assert!(page + INDEX.content.len() <= MOST, "{page} bytes");
        assert!((1..=MOST_DATA).contains(&data), "{data} bytes");
    }
}
