//! The built-in page's map under records that lie, are broken, or are many: it draws what is true, says what it does
//! not draw, and stays within its bounds.

use super::viewer_views::{pixels, shows};
use crate::support::browser::Browser::{self, Chromium, Firefox};
use crate::support::browser::{open, report};
use crate::support::places::busy;
use crate::support::program::Program;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is on the map: `name type` of each shape, and `name: lat lon, lat lon` of each object.
const ON_MAP: &str = "[...ssePipe.map.shapes.map(s => s.join(' ').trim()),
    ...ssePipe.map.objects.map(o => o.name + ': ' + o.points.map(p => p.join(' ')).join(', '))].join('\\n')";

fn draws_no_bad_shape(browser: Browser) {
    let records = [
        r#"{"type":"LineString","coordinates":[[1,1],[1e18,0]]}"#,
        r#"{"type":"LineString","coordinates":[[1,1],[1,1e308]]}"#,
        r#"{"type":"Polygon","coordinates":[[[0,40],[9,40],[9,null],[0,40]]]}"#,
        r#"{"type":"MultiPolygon","coordinates":[[[[0,40],[9,40],["9",50],[0,40]]]]}"#,
        r#"{"type":"Feature","properties":null,"geometry":{"type":"Polygon","features":[null],"coordinates":[[[0,40],[9,40],[9,50],[0,40]]]}}"#,
        r#"{"type":"Polygon","geometry":7,"features":[null],"coordinates":[[[20,40],[29,40],[29,50],[20,40]]]}"#,
        r#"{"type":"MultiLineString","geometries":[null],"coordinates":[[[30,0],[40,5]],[[30,5],[40,0]]]}"#,
        r#"{"id":"ship","lat":50,"lon":-5}"#,
    ];
    let want = "Polygon\nPolygon\nMultiLineString\nship: 50 -5";
    let said = "document.getElementById('kept').textContent";
    let drawn = format!("ssePipe.map.ready && ssePipe.rows === 8 && {ON_MAP} === '{}'", want.replace('\n', "\\n"));
    // Of each shape that is right there is something on the canvas, after the person has moved the map too.
    let ink = format!("{} > 500", pixels(".leaflet-shapes-pane", "series-0"));
    // While the map still goes where all is in sight, Leaflet takes no click.
    let zoomed = "document.querySelector('.leaflet-zoom-anim') === null
        && (window.zoom ??= [ssePipe.map.bounds.join(), document.querySelector('.leaflet-control-zoom-in').click()][0])
        && ssePipe.map.bounds.join() !== zoom";
    let whole = format!(
        "!document.getElementById('kept').hidden && document.querySelector('.count:not(:empty)').textContent + '; ' + {said}"
    );
    shows(browser, &(records.join("\n") + "\n"), "/#map", &[&drawn, &ink, zoomed, &ink, &whole]).assert_value(
        "4 objects · 4 positions; Coordinates beyond 90 and 360 are not degrees (2 records: not drawn); \
         The coordinates of a Polygon are not as RFC 7946 has them (1 record: not drawn); \
         The coordinates of a MultiPolygon are not as RFC 7946 has them (1 record: not drawn)",
    );
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_draws_no_bad_shape_and_all_others() {
    draws_no_bad_shape(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_draws_no_bad_shape_and_all_others() {
    draws_no_bad_shape(Firefox);
}

/// The person's zoom stays, whatever comes.
#[test]
#[ignore = "needs chromium: tests/run"]
fn the_buttons_that_zoom_leave_the_map_to_the_person() {
    let _places = busy();
    let mut program = Program::start(&[]);
    let fit = "[...document.querySelectorAll('.map-tools button')].find(button => button.textContent === 'Fit')";
    let bounds = "ssePipe.map.bounds.join()";
    let steps = [
        &format!("ssePipe.map?.ready && ssePipe.map.positions === 2 && {fit}.getAttribute('aria-pressed') === 'true'"),
        "document.querySelector('.leaflet-control-zoom-in').click(), true",
        &format!("{fit}.getAttribute('aria-pressed') === 'false'"),
        "(window.t ??= performance.now()) + 400 < performance.now() && document.querySelector('.leaflet-zoom-anim') === null",
        &format!("(window.zoomed = {bounds}, true)"), // step 5: the test writes
        &format!(
            "document.querySelector('.count:not(:empty)').textContent === '3 objects · 3 positions' && {bounds} === zoomed && 'as it was'"
        ),
    ];
    let mut page = open(Chromium, &program.url("/#map"), &steps);
    program.write("{\"id\":\"a\",\"lat\":50,\"lon\":-5}\n{\"id\":\"b\",\"lat\":10,\"lon\":20}\n");
    page.wait_for_step(5);
    program.write("{\"id\":\"c\",\"lat\":-40,\"lon\":90}\n");
    report(page).assert_value("as it was");
}

/// These records as an event stream, each read this many minutes ago.
fn read_ago(records: &[(u64, &str)]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("is after 1970").as_millis() as u64;
    let event = |(n, (ago, record)): (usize, &(u64, &str))| {
        format!("event: read-at\ndata: {}\n\ndata: {record}\nid: {now}-{n}\n\n", now - ago * 60_000)
    };
    records.iter().enumerate().map(event).collect()
}

/// What the map says is on it.
const SAID: &str = "document.querySelector('.map-tools .count').textContent";

/// Whether what is said is this; and each object with the number of its points, `~` before those that have faded.
fn says(said: &str, objects: &str) -> String {
    format!(
        "{SAID} === '{said}'
            && ssePipe.map.objects.map(o => (o.faded ? '~' : '') + o.name + o.points.length).join(' ') === '{objects}'"
    )
}

/// Has the page's clock go on by this many minutes at once.
fn pass(minutes: u32) -> String {
    format!("(({{ now }}) => (Date.now = () => now() + {minutes} * 60000))({{ now: Date.now }}), true")
}

/// The weight of the label with this name.
fn label(name: &str) -> String {
    format!(
        "(({{ fontWeight }}) => fontWeight)(getComputedStyle(
            [...document.querySelectorAll('.leaflet-tooltip.label')].find(label => label.textContent === '{name}')))"
    )
}

fn objects_that_fall_silent_fade_and_go(browser: Browser) {
    let _places = busy();
    let mut program = Program::start(&["--format", "sse"]);
    let old = [
        (150, r#"{"type":"LineString","coordinates":[[20,1],[24,2]]}"#),
        (125, r#"{"id":"gone","lat":1,"lon":1}"#),
        (122, r#"{"id":"gone","lat":2,"lon":2}"#),
        (50, r#"{"id":"faded","lat":2,"lon":4}"#),
        (7, r#"{"id":"faded","lat":3,"lon":7}"#),
        (6, r#"{"id":"fresh","lat":6,"lon":3}"#),
        (0, r#"{"id":"fresh","lat":7,"lon":6}"#),
    ];
    program.write(read_ago(&old));
    let first = says(
        "3 objects · 7 positions · 1 faded, silent for over 5 min · 1 object gone, silent for over 1 h",
        "~faded2 fresh2",
    );
    let ink = |series: u32| pixels(".leaflet-tracks-pane", &format!("series-{series}"));
    // "gone" was the first object, and so on: only what is fresh has its whole colour. The shape has it, too.
    let colours = format!(
        "{} === 0 && {} === 0 && {} > 50 && {} > 50 && {} < {}",
        ink(0),
        ink(1),
        ink(2),
        pixels(".leaflet-shapes-pane", "series-0"),
        label("faded"),
        label("fresh")
    );
    // It is back, without its old track, and with its old colour.
    let back = says("4 objects · 8 positions · 1 faded, silent for over 5 min", "gone1 ~faded2 fresh2");
    let back_ink = format!("{} > 50", pixels(".leaflet-heads-pane", "series-0"));
    let steps = [
        &first,
        &colours,
        &back,
        &back_ink,
        &pass(6),
        &says("4 objects · 8 positions · 3 faded, silent for over 5 min", "~gone1 ~faded2 ~fresh2"),
        &format!("{} === 0", pixels(".leaflet-heads-pane", "series-2")),
        &pass(60),
        &says("1 object · 8 positions · 3 objects gone, silent for over 1 h", ""),
        "document.querySelector('.leaflet-tooltip.label') === null",
        "location.hash = '#map&fade=10m&keep=never', true",
        &says("4 objects · 8 positions · 3 faded, silent for over 10 min", "~gone1 ~faded2 ~fresh2"),
    ];
    let mut page = open(browser, &program.url("/#map"), &steps);
    page.wait_for_step(2);
    program.write(read_ago(&[(0, r#"{"id":"gone","lat":4,"lon":5}"#)]));
    report(page).assert_no_complaint();
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn objects_that_fall_silent_fade_and_go_in_chromium() {
    objects_that_fall_silent_fade_and_go(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn objects_that_fall_silent_fade_and_go_in_firefox() {
    objects_that_fall_silent_fade_and_go(Firefox);
}

fn an_arrow_shows_where_an_object_is_heading(browser: Browser) {
    let records = [
        r#"{"id":"east","lat":0,"lon":-30,"course":90}"#,
        r#"{"id":"south-west","lat":1,"lon":0,"course":225}"#,
        r#"{"id":"stands","lat":0,"lon":30,"course":90,"speed":0.1}"#,
    ];
    // In these directions, from its place: whether there is anything 11 px away.
    let shape = "((name) => {
        const [x, y] = ssePipe.map.objects.find(object => object.name === name).pixel;
        const map = document.querySelector('.leaflet-container').getBoundingClientRect();
        const canvas = document.querySelector('.leaflet-heads-pane canvas');
        const box = canvas.getBoundingClientRect();
        const scale = canvas.width / box.width;
        return [0, 45, 90, 135, 180, 225, 270, 315].filter((course) => {
            const [dx, dy] = [11 * Math.sin(course * Math.PI / 180), -11 * Math.cos(course * Math.PI / 180)];
            const at = [map.left + x + dx - box.left, map.top + y + dy - box.top].map(px => Math.round(px * scale));
            return canvas.getContext('2d').getImageData(...at, 1, 1).data[3] > 0;
        }).join();
    })";
    // Its point, and the two corners behind it.
    let shapes = format!(
        "ssePipe.map.ready && ['east', 'south-west', 'stands'].map({shape}).join(' ') === '90,225,315 0,90,225 '"
    );
    shows(browser, &(records.join("\n") + "\n"), "/#map", &[&shapes]);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn an_arrow_shows_where_an_object_is_heading_in_chromium() {
    an_arrow_shows_where_an_object_is_heading(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn an_arrow_shows_where_an_object_is_heading_in_firefox() {
    an_arrow_shows_where_an_object_is_heading(Firefox);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn of_a_stream_that_has_ended_nothing_goes_any_more() {
    let _places = busy();
    let mut program = Program::start(&["--format", "sse", "--at-eof", "serve", "--retry", "100ms"]);
    let records = [
        (400, r#"{"id":"a","lat":1,"lon":1}"#),
        (310, r#"{"id":"b","lat":2,"lon":2}"#),
        (300, r#"{"id":"c","lat":3,"lon":3}"#),
        (300, r#"{"type":"Polygon","coordinates":[[[5,5],[6,5],[6,6],[5,5]]]}"#),
        (300, "no position"),
    ];
    program.write(read_ago(&records));
    program.close_input();
    // It is as it was when the last record was read, and so it stays.
    let said = "3 objects · 4 positions · 1 faded, silent for over 5 min · 1 object gone, silent for over 1 h";
    let last = says(said, "~b1 c1");
    let later = format!("(window.t ??= performance.now()) + 1500 < performance.now() && {last}");
    let steps = ["ssePipe.state === 'ended' && ssePipe.map.ready", &last, &pass(200), &later];
    report(open(Chromium, &program.url("/#map"), &steps)).assert_no_complaint();
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn how_long_objects_may_be_silent_is_set_in_the_address_and_nonsense_there_is_reported() {
    let _places = busy();
    let mut program = Program::start(&[]);
    program.write("{\"id\":\"a\",\"lat\":1,\"lon\":2}\n");
    let fault = "document.querySelector('.map-tools .fault').textContent";
    let show = |view: &str| format!("document.getElementById('tab-{view}').click(), true");
    let steps = [
        // Short times, by the real clock.
        &says("1 object · 1 position · 1 faded, silent for over 0.2 s", "~a1"),
        "document.querySelector('.leaflet-tooltip.label.faded') !== null",
        "@axe",
        "location.hash = '#map&fade=0.2s&keep=0.4s', true",
        &says("0 objects · 1 position · 1 object gone, silent for over 0.4 s", ""),
        &show("log"),
        &show("map"),
        "location.hash === '#map&fade=0.2s&keep=0.4s'",
        "location.hash = '#map&fade=5x&keep=', true",
        &format!(
            "{fault} === 'fade=5x is not a time such as 30s, 5m or 1h, or never: 5m counts; '
                + 'keep= is not a time such as 30s, 5m or 1h, or never: 1h counts'"
        ),
        &says("1 object · 1 position", "a1"),
        &show("log"),
        &show("map"),
        "location.hash === '#map&fade=5x&keep='",
        "@axe",
        "location.hash = '#map', true",
        &format!("{fault} === ''"),
        &pass(300),
        &says("0 objects · 1 position · 1 object gone, silent for over 1 h", ""),
        "document.getElementById('clear').click(), true",
        "document.getElementById('tab-map').hidden",
    ];
    report(open(Chromium, &program.url("/#map&fade=0.2s&keep=off"), &steps)).assert_no_complaint();
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn a_word_in_the_address_that_every_object_knows_names_no_view() {
    let words = ["toString", "__proto__", "hasOwnProperty", "valueOf&map", "constructor"];
    let steps: Vec<String> = std::iter::once("ssePipe.rows === 2 && ssePipe.map.ready === false".to_owned())
        .chain(words.iter().map(|word| {
            format!(
                "(location.hash = '{word}', true) && document.querySelectorAll('#log .row').length === 2
                    && document.getElementById('log-view').hidden === {} && '{word}'",
                word.contains("map")
            )
        }))
        .collect();
    let mut steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    steps.insert(5, "document.getElementById('tab-log').click(), true");
    shows(Chromium, "one\n{\"lat\":1,\"lon\":2}\n", "/#constructor", &steps).assert_value("constructor");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn shapes_stand_side_by_side_until_a_record_about_the_same_object_replaces_them() {
    let multi = |name: &str, parts: usize| {
        let geometries: Vec<_> = (0..parts).map(|n| json!({"type": "Point", "coordinates": [n + 1, 5]})).collect();
        let whole = json!({"type": "GeometryCollection", "geometries": geometries});
        format!("{}\n", json!({"type": "Feature", "id": name, "properties": {}, "geometry": whole}))
    };
    let line = |x: f64| format!("{{\"type\":\"LineString\",\"coordinates\":[[{x},1],[2,2]]}}\n");
    // The second record has the number 1 and no name; "1" is also a name.
    let records = multi("zone", 3) + &line(1.0) + &line(1.5) + &multi("zone", 2) + &multi("1", 2);
    let want = "LineString LineString zone Point zone Point 1 Point 1 Point";
    let found = "ssePipe.map.ready && ssePipe.rows === 5 && ssePipe.map.objects.length === 0
        && ssePipe.map.shapes.map(s => s.join(' ').trim()).join(' ')";
    shows(Chromium, &records, "/#map", &[found]).assert_value(want);
}
