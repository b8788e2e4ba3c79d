//! What the built-in page's map shows under the data: coasts, borders and names, which come with the program.

use super::viewer_views::{pixels, shows};
use crate::support::browser::Browser::{self, Chromium, Firefox};
use crate::support::browser::{open_logged, report};
use crate::support::client::DEADLINE;
use crate::support::map::by_itself;
use crate::support::places::busy;
use crate::support::process::Process;
use crate::support::program::Program;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;
use std::time::Duration;

/// Where there is nothing but sea, or nothing but land: latitude and longitude from and to, along a row or a column of
/// pixels. All of them cross the antimeridian, or lie at it or at a pole. And from how near they can be told from what is
/// around.
const PLAIN: &str = "[
    ['sea', [40, 150], [40, 230], 1],
    ['sea', [-60, 100], [-60, 280], 1],
    ['sea', [76, 165], [76, 225], 2],
    ['sea', [48, 180], [20, 180], 1],
    ['sea', [-24, 180], [-76, 180], 1],
    ['sea', [-24, 179.99], [-76, 179.99], 1],
    ['sea', [42, 50], [42, 51], 5], // the Caspian Sea, a hole in the land
    ['land', [67.4, 176], [67.4, 183], 4],
    ['land', [67.6, 180], [67.2, 180], 6],
    ['land', [71.2, 179.2], [71.2, 181.5], 6],
    ['land', [-84.9, 172], [-84.9, 188], 3],
    ['land', [-84.85, 180], [-85, 180], 6],
    ['land', [-82, 20], [-82, 140], 1],
    ['land', [-75, 100], [-84, 100], 1],
]";

fn leaves_no_streaks(browser: Browser) {
    let body = format!(
        "const faults = [];
        let looked = 0;
        const ground = document.createElement('canvas').getContext('2d');
        ground.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--land');
        ground.fillRect(0, 0, 1, 1);
        const colour = ground.getImageData(0, 0, 1, 1).data.slice(0, 3);
        const check = (scale) => {{
            const {{ width, height }} = canvas('land');
            const {{ data }} = canvas('land').getContext('2d').getImageData(0, 0, width, height);
            const box = canvas('land').getBoundingClientRect();
            const ratio = width / box.width;
            for (const [want, from, to, least] of {PLAIN}) {{
                // In each world that can be seen.
                for (const turn of [-720, -360, 0, 360, 720]) {{
                    if (map.getZoom() < least) continue;
                    const [a, b] = [from, to].map(([lat, lon]) => map.latLngToContainerPoint([lat, lon + turn]));
                    const steps = Math.min(Math.ceil(a.distanceTo(b)), 30000);
                    let alpha = null; // all of it is as opaque
                    for (let i = 0; i <= steps; i += 1) {{
                        const x = Math.round((a.x + ((b.x - a.x) * i) / steps - box.left) * ratio);
                        const y = Math.round((a.y + ((b.y - a.y) * i) / steps - box.top) * ratio);
                        if (x < 0 || y < 0 || x >= width || y >= height) continue;
                        looked += 1;
                        const at = (y * width + x) * 4;
                        const found = data[at + 3] === 0 ? 'sea' : [...colour, alpha ??= data[at + 3]].every((c, n) => Math.abs(c - data[at + n]) < 4) ? 'land' : 'a line';
                        if (found === want) continue;
                        faults.push(`${{scale}}, zoom ${{map.getZoom()}} at ${{map.getCenter()}}: ${{found}} in the ${{want}} from ${{from}} to ${{to}}, at px ${{x}} ${{y}}`);
                        break;
                    }}
                }}
            }}
        }};
        const round = (scale) => {{
            for (const zoom of [1, 1.25, 2, 3.5, 5, 6.75, 8]) {{
                for (const [lat, lon] of [[0, 180], [0, -179.9], [0, 0], [67.4, 179.9], [71.2, 180], [42, 410.5], [-70, 180], [-84.8, -180], [-82, 100], [-84, 540]]) {{
                    map.setView([lat, lon], zoom, {{ animate: false }});
                    check(scale);
                }}
            }}
        }};
        round('1:110m');
        sharpen();
        round('1:50m');
        return faults.length > 0 ? faults.length + ' faults\\n' + faults.slice(0, 30).join('\\n') : looked > 100000 ? 'none' : looked + ' pixels';"
    );
    let _places = busy();
    assert_eq!(by_itself(browser, &body), "none");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_leaves_no_streaks_at_the_antimeridian_and_the_poles() {
    leaves_no_streaks(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_leaves_no_streaks_at_the_antimeridian_and_the_poles() {
    leaves_no_streaks(Firefox);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn names_of_countries_and_of_large_cities_do_not_cover_each_other() {
    // Each name with its box in px, as it is written on the canvas.
    let body = "const written = [];
        const write = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
            written.push({ text, left: x, right: x + this.measureText(text).width, top: y - 6, bottom: y + 6 });
            write.call(this, text, x, y);
        };
        sharpen();
        const faults = [];
        const views = [
            [2, [20, 0], ['Brazil', 'Canada', 'China'], ['Luxembourg', 'Paris']],
            [5, [50, 10], ['Germany', 'Poland', 'Berlin', 'London'], ['Vatican', 'Leipzig']],
            [7, [40, -4], ['Spain', 'Madrid', 'Valladolid'], ['Luxembourg']],
            [6, [-17, 180], ['Suva'], []],
            [8, [14.5, 121], ['Manila'], ['Quezon City']],
            [8, [-4.3, 15.3], ['Kinshasa', 'Brazzaville'], []],
            [11, [52.5, 13.4], ['Berlin'], []],
            [12, [41.9, 12.5], ['Rome'], ['Italy', 'Vatican']],
        ];
        for (const [zoom, centre, wanted, unwanted] of views) {
            written.length = 0;
            map.setView(centre, zoom, { animate: false });
            const seen = written.map(({ text }) => text);
            for (const name of wanted) if (!seen.includes(name)) faults.push(`no ${name} at zoom ${zoom}: ${seen}`);
            for (const name of unwanted) if (seen.includes(name)) faults.push(`${name} at zoom ${zoom}`);
            written.forEach((a, i) => written.slice(0, i).forEach((b) => {
                if (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom) faults.push(`${a.text} over ${b.text} at zoom ${zoom}`);
            }));
        }
        return faults.join('\\n') || 'none';";
    let _places = busy();
    assert_eq!(by_itself(Chromium, body), "none");
}

/// What the page asks for below `viewer/vendor/`, so far.
const DATA: &str = "performance.getEntriesByType('resource').map(({ name }) => /vendor\\/(.*)\\.json$/.exec(name)?.[1])
    .filter(Boolean).toSorted().join(' ')";

fn sharpens_what_it_opened_with(browser: Browser) {
    // The ship is in the middle of the longest border that is a parallel.
    let records = "{\"id\":\"west\",\"lat\":52,\"lon\":-125}\n{\"id\":\"east\",\"lat\":46,\"lon\":-95}\n{\"id\":\"here\",\"lat\":49,\"lon\":-110}\n";
    let land = "new Set([-1, 0, 1].map((dy) => {
        const [x, y] = ssePipe.map.objects[2].pixel;
        const canvas = document.querySelector('.leaflet-land-pane canvas');
        const [box, map] = [canvas, document.querySelector('.leaflet-container')].map((element) => element.getBoundingClientRect());
        const ratio = canvas.width / box.width;
        const at = [map.left + x - box.left, map.top + y - box.top + dy].map((px) => Math.round(px * ratio));
        return canvas.getContext('2d').getImageData(...at, 1, 1).data.join();
    }))";
    let coarse = format!("ssePipe.map?.positions === 3 && {DATA} === 'land' && 'coarse'");
    let names = "(() => {
        const canvas = document.querySelector('.leaflet-names-pane canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return data.some((value, i) => i % 4 === 3 && value > 0);
    })()";
    let over = "['names', 'shapes', 'tracks', 'heads'].map((name) => Number(getComputedStyle(document.querySelector(`.leaflet-${name}-pane`)).zIndex))
        .every((z, i, all) => i === 0 || z > all[0])";
    let said = "document.querySelector('.leaflet-control-attribution').textContent";
    let steps = [
        "ssePipe.rows === 3",
        &coarse,
        // The answer is held until the test has seen the coarse map.
        "(() => {
            const get = window.fetch;
            const going = new Promise((resolve) => (window.go = resolve));
            window.fetch = (...request) => going.then(() => get(...request));
            document.getElementById('tab-map').click();
            return true;
        })()",
        "ssePipe.map?.ready && ssePipe.map.background",
        said,
        &format!("{land}.size === 1 && {} > 9999", pixels(".leaflet-land-pane", "land")),
        "(go(), ssePipe.map.background === '1:50m')",
        &format!("{DATA} === 'cities countries land'"),
        &format!("{land}.size > 1"),
        names,
        over,
        said,
    ];
    let report = shows(browser, records, "/#log", &steps);
    report.assert_value("Coast: Natural Earth 1:50m · Cities: GeoNames");
    assert_eq!(report.strings("values")[1..3], ["1:110m", "Coast: Natural Earth 1:110m"], "{report}");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_opens_the_map_with_coarse_coasts_and_sharpens_them() {
    sharpens_what_it_opened_with(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_opens_the_map_with_coarse_coasts_and_sharpens_them() {
    sharpens_what_it_opened_with(Firefox);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn coasts_that_could_not_be_loaded_are_tried_again_when_the_map_moves() {
    let records = "{\"lat\":45,\"lon\":-5}\n{\"lat\":36,\"lon\":12}\n";
    let fail = "ssePipe.map?.positions === 2 && !document.getElementById('tab-map').hidden && (() => {
        const get = window.fetch;
        window.failed = 0;
        window.fetch = (url) => {
            if (!String(url).endsWith('countries.json') || failed > 0) return get(url);
            failed += 1;
            return Promise.reject(new TypeError('refused'));
        };
        document.getElementById('tab-map').click();
        return true;
    })()";
    let steps = [
        fail,
        "failed === 1 && ssePipe.map.ready && ssePipe.map.background",
        "window.way = window.way === 'in' ? 'out' : 'in', document.querySelector(`.leaflet-control-zoom-${way}`).click(),
            ssePipe.map.background === '1:50m' && 'fine'",
    ];
    let report = shows(Chromium, records, "/#log", &steps);
    report.assert_value("fine");
    assert_eq!(report.strings("values")[0], "1:110m", "{report}");
}

#[test]
#[ignore = "needs curl: tests/run"]
fn the_map_s_data_is_sent_compressed() {
    let program = Program::start(&[]);
    for (name, start) in
        [("land", "{\"type\":\"Topology\""), ("countries", "{\"type\":\"Topology\""), ("cities", "[[\"")]
    {
        let path = format!("/viewer/vendor/{name}.json");
        let client = program.get(&path, "Accept-Encoding: gzip\r\n");
        assert_eq!(client.field("Content-Encoding").as_deref(), Some("gzip"), "{client:?}");
        assert_eq!(client.field("Content-Type").as_deref(), Some("application/json"), "{client:?}");
        let mut command = Command::new("curl");
        command.args(["-sf", "--compressed", &program.url(&path)]);
        let text = Process::start(command, Duration::from_secs(20)).finish().stdout;
        let sent: usize = client.field("Content-Length").and_then(|length| length.parse().ok()).expect("has a length");
        assert!(text.starts_with(start) && text.len() > 2 * sent, "{name}: {sent} of {} bytes", text.len());
    }
    let client = program.get("/viewer/viewer.js", "Accept-Encoding: gzip\r\n");
    assert_eq!(client.field("Content-Encoding"), None, "{client:?}");
}

/// A tile server that answers every request with the same picture, and says what was requested.
fn tile_server() -> (SocketAddr, Receiver<String>) {
    const PICTURE: &str = "<svg xmlns='http://www.w3.org/2000/svg' width='256' height='256'><rect width='256' height='256' fill='red'/></svg>";
    let listener = TcpListener::bind("127.0.0.1:0").expect("can listen");
    let address = listener.local_addr().expect("has one");
    let (requested, requests) = channel();
    spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            socket.set_read_timeout(Some(DEADLINE)).expect("can be set");
            let mut lines = BufReader::new(&socket).lines().map_while(Result::ok);
            let Some(line) = lines.next() else { continue };
            lines.find(String::is_empty); // the end of the head
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: image/svg+xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                PICTURE.len()
            );
            let _ = socket.write_all((head + PICTURE).as_bytes());
            if requested.send(line).is_err() {
                return;
            }
        }
    });
    (address, requests)
}

fn asks_its_tile_server_once_streets_is_pressed(browser: Browser) {
    let _places = busy();
    let (address, requests) = tile_server();
    let template = format!("http://{address}/a/{{z}}/{{x}}/{{y}}.svg?key='&quot;");
    let credit = "<b>Me</b> & \"you\"";
    let mut program = Program::start(&["--at-eof", "serve", "--tiles", &template, "--tiles-credit", credit]);
    let policy = program.get("/viewer", "").field("Content-Security-Policy").expect("has one");
    assert!(policy.contains(&format!("; img-src 'self' http://{address}; ")), "{policy}");
    program.write("{\"lat\":-0.01,\"lon\":0.01}\n");
    program.close_input();
    let said = "document.querySelector('.leaflet-control-attribution').textContent";
    let press =
        "[...document.querySelectorAll('.map-tools button')].find((button) => button.textContent === 'Streets')";
    let shown = "['.leaflet-land-pane', '.leaflet-names-pane'].map((pane) => getComputedStyle(document.querySelector(pane)).display).join()";
    let steps = [
        "ssePipe.map?.background === '1:50m'",
        &format!(
            "!{said}.includes('Me') && {shown} === 'block,block' && document.querySelectorAll('.leaflet-tile').length === 0"
        ),
        &format!("{press}.title"),
        &format!("{press}.click(), true"),
        "ssePipe.map.tiles",
        "[...document.querySelectorAll('.leaflet-tile-loaded')].filter((tile) => tile.naturalWidth === 256).length >= 4",
        &format!("document.querySelector('.leaflet-control-attribution b') === null && {shown} === 'none,none'"),
        said,
    ];
    let report = report(open_logged(browser, &program.url("/#map"), &steps));
    report.assert_no_complaint();
    report.assert_value(credit); // and none of the background, which is hidden
    let title = format!("Load map tiles from {address}, which then learns where you look");
    assert_eq!(report.strings("values")[0], title, "{report}");
    let own = program.url("/");
    let tiles = format!("http://{address}/a/12/20");
    let others: Vec<_> = report.asked().into_iter().filter(|url| !url.starts_with(&own)).collect();
    assert!(others.len() >= 4 && others.iter().all(|url| url.starts_with(&tiles)), "{others:#?}");
    let requests: Vec<String> = requests.try_iter().collect();
    let middle = "GET /a/12/2048/2048.svg?key=%27&quot; HTTP/1.1";
    assert!(requests.iter().any(|line| line.replace('\'', "%27") == middle), "{requests:#?}");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_asks_its_tile_server_once_streets_is_pressed() {
    asks_its_tile_server_once_streets_is_pressed(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_asks_its_tile_server_once_streets_is_pressed() {
    asks_its_tile_server_once_streets_is_pressed(Firefox);
}
