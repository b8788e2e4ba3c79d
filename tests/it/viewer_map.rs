//! The built-in page's map under records that lie, are broken, or are many: it draws what is true, says what it does
//! not draw, and stays within its bounds.

use super::viewer_views::{pixels, shows};
use crate::support::browser::Browser::{self, Chromium, Firefox};
use crate::support::browser::{PATIENCE, open_for, report};
use crate::support::places::alone;
use crate::support::program::Program;
use serde_json::json;

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
    let zoomed =
        "(window.zoom ??= [ssePipe.map.bounds.join(), document.querySelector('.leaflet-control-zoom-in').click()][0])
        && document.querySelector('.leaflet-zoom-anim') === null && ssePipe.map.bounds.join() !== zoom";
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

/// 1,000 objects that report once a second, for an hour: by the page's own map, so that the hour need not pass.
#[test]
#[ignore = "needs chromium: tests/run"]
fn a_thousand_objects_for_an_hour_are_drawn_within_50_ms_and_300_mb() {
    let start = "(window.hour = { took: [] }, import('./viewer/map/map.js').then(async ({ PositionMap }) => {
        const place = document.createElement('section');
        place.className = 'view map';
        document.getElementById('map-view').replaceWith(place);
        place.id = 'map-view';
        const map = new PositionMap(place, { first: 0, end: 0, get() {} });
        hour.map = map;
        const frame = () => new Promise(requestAnimationFrame);
        for (let second = 0; second < 3600; second += 1) {
            for (let n = 0; n < 1000; n += 1) {
                const [lat, lon] = [(n * 37) % 140 - 70 + Math.sin(n + second / 300), (n * 71) % 340 - 170 + Math.cos(n * 3 + second / 200)];
                map.add(second * 1000 + n, { time: second * 1000 }, [{ object: 'o' + n, lat, lon, shape: null, part: 0 }]);
            }
            if (second % 10 > 0 && second < 3500) continue;
            map.changed();
            const { times } = map.drawn;
            for (let n = 0; n < 600 && map.drawn.times === times; n += 1) await frame();
            if (map.drawn.times === times) throw new Error('it is not drawn');
            if (second < 100) continue; // the first drawings are those of a page that begins
            hour.took.push(map.drawn.took);
        }
        hour.done = true;
    }).catch((error) => (hour.error = error.stack)), true)";
    let whole = "(() => {
        const { positions, thinned, objects } = hour.map.data;
        const points = objects.reduce((sum, { points }) => sum + points.length, 0);
        const least = Math.min(...objects.map(({ points }) => points.length));
        const heap = performance.memory.usedJSHeapSize;
        const said = document.querySelector('.count:not(:empty)').textContent;
        // One in a hundred may fall into a collection of garbage, or the machine's other work.
        const [usual, late] = [0.5, 0.99].map(part => hour.took.toSorted((a, b) => a - b)[Math.floor(hour.took.length * part)]);
        hour.figures = `${hour.took.length} drawings, half within ${usual.toFixed(1)} ms, 99 % within ${late.toFixed(1)} ms, ${points} points, at least ${least}, ${Math.round(heap / 1e6)} MB`;
        return hour.error ?? (objects.length === 1000 && positions === 3600000 && thinned === positions - points
            && points <= 200000 && least >= 80 && heap < 300e6 && late <= 50 && hour.took.length > 400
            && said === `1,000 objects · 3,600,000 positions · ${thinned.toLocaleString('en')} thinned out` ? 'within' : hour.figures + said);
    })()";
    let _places = alone();
    let mut program = Program::start(&["--at-eof", "serve"]);
    program.write("{\"lat\":1,\"lon\":2}\n");
    let steps = ["ssePipe.map.ready", start, "hour.done || hour.error", whole, "hour.figures"];
    let report = report(open_for(Chromium, &program.url("/#map"), &steps, 4 * PATIENCE));
    let [.., within, figures] = &report.strings("values")[..] else { panic!("no values in {report}") };
    println!("an hour of 1,000 objects: {figures}");
    assert_eq!(*within, "within", "{report}");
}
