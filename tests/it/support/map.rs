//! The built-in page's map without the page, for tests of its background.

use super::browser::{Browser, open, report};
use super::program::Program;

/// A map of 1024 by 768 px with nothing but the background, by the page's own modules; then `BODY`, which has `map`,
/// `coarse`, `sharpen()` and `canvas(pane)`, and comes to what is found.
const ALONE: &str = "(window.alone = {}, Promise.all(
    ['map/background.js', 'map/world.js', 'library.js'].map((name) => import('./viewer/' + name)),
).then(async ([{ Background }, { world }, { library }]) => {
    await library('leaflet');
    const data = (name) => fetch('viewer/vendor/' + name + '.json').then((answer) => answer.json());
    const [land, countries, cities] = await Promise.all(['land', 'countries', 'cities'].map(data));
    const place = document.createElement('div');
    Object.assign(place.style, { position: 'fixed', left: '0', top: '0', width: '1024px', height: '768px', zIndex: '9' });
    document.body.append(place);
    const map = window.L.map(place, { zoomSnap: 0.25, fadeAnimation: false }).setView([25, 0], 2);
    for (const pane of ['land', 'names']) map.createPane(pane);
    const background = new Background(map, world(land));
    const sharpen = () => background.sharpen(world(countries), cities);
    const canvas = (pane) => place.querySelector(`.leaflet-${pane}-pane canvas`);
    BODY
}).then((found) => (alone.found = found), (error) => (alone.found = error.stack)), true)";

/// What the body, a function's, comes to in this browser.
#[track_caller]
pub fn by_itself(browser: Browser, body: &str) -> String {
    let program = Program::start(&[]);
    let steps = ["ssePipe.state === 'live'", &ALONE.replace("BODY", body), "alone.found"];
    let report = report(open(browser, &program.url("/"), &steps));
    report.assert_no_complaint();
    report.strings("values").last().copied().unwrap_or_default().to_owned()
}
