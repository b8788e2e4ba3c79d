//! The built-in page's plot and map: which numbers and positions it finds in records, and that it draws them.

use crate::support::browser::Browser::{self, Chromium, Firefox};
use crate::support::browser::{Report, open, report};
use crate::support::files::folder;
use crate::support::places::busy;
use crate::support::program::Program;
use serde_json::json;
/// Opens `path` of a page that shows these records and goes through the steps; the page keeps to itself.
pub fn shows(browser: Browser, records: &str, path: &str, steps: &[&str]) -> Report {
    let _places = busy();
    let mut program = Program::start(&["--at-eof", "serve"]);
    program.write(records);
    program.close_input();
    let report = report(open(browser, &program.url(path), steps));
    let own = program.url("/");
    let asked = report.asked();
    assert!(asked.iter().all(|url| url.starts_with(&own)), "{asked:#?}");
    report.assert_no_complaint();
    report
}

/// The values of each series, as `name: value value`, a line each.
const SERIES: &str = "ssePipe.plot.series.map(s => s.name + ': ' + s.values.join(' ')).join('\\n')";

/// The points of each object, as `name: lat lon, lat lon`, a line each.
const OBJECTS: &str = "ssePipe.map.objects
    .map(o => o.name + ': ' + o.points.map(([lat, lon]) => lat + ' ' + lon).join(', ')).join('\\n')";

/// How many pixels of the canvases in here are drawn on with this colour.
pub fn pixels(within: &str, colour: &str) -> String {
    format!(
        "(() => {{
            const pen = document.createElement('canvas').getContext('2d');
            pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--{colour}');
            pen.fillRect(0, 0, 1, 1);
            const [r, g, b] = pen.getImageData(0, 0, 1, 1).data;
            let n = 0;
            for (const canvas of document.querySelectorAll('{within} canvas')) {{
                if (canvas.width === 0 || canvas.height === 0) continue;
                const {{ data }} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
                for (let i = 0; i < data.length; i += 4) {{
                    n += data[i] === r && data[i + 1] === g && data[i + 2] === b && data[i + 3] === 255;
                }}
            }}
            return n;
        }})()"
    )
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn the_plot_has_a_series_for_each_number_that_records_carry() {
    let cases = [
        ("1\n-2.5\n+3e2\n", "value: 1 -2.5 300"),
        ("1,2\n3.5,4\n", "column 1: 1 3.5\ncolumn 2: 2 4"),
        ("1\t2\n3\t4\n", "column 1: 1 3\ncolumn 2: 2 4"),
        ("volts;amps\n1;2\n3;4\n", "volts: 1 3\namps: 2 4"),
        (" r  b   free us\n 1  0 812344  3\n 0  1 812340 12\n", "r: 1 0\nb: 0 1\nfree: 812344 812340\nus: 3 12"),
        ("14:00:01 0.5 1.5\n14:00:02 0.25 2\n", "column 2: 0.5 0.25\ncolumn 3: 1.5 2"),
        ("64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time=0.041 ms\n", "icmp_seq: 1\nttl: 64\ntime: 0.041"),
        ("{\"a\": 1, \"b\": {\"c\": [2, 3]}, \"d\": \"4\"}\n{\"a\": 5}\n", "a: 1 5\nb.c.0: 2\nb.c.1: 3\nd: 4"),
        ("a sentence with 3 words\n<b>7</b>\n8\n", "value: 8"),
    ];
    // By the page's own module, to start one browser instead of many; the last also by the page itself.
    let find = r"import('./viewer/recognise/recogniser.js').then(({ Recogniser }) => RECORDS.map((records) => {
            const recogniser = new Recogniser();
            const found = new Map();
            for (const record of records.split('\n')) {
                for (const [name, value] of recogniser.read(record).readings.flatMap(({ values }) => values)) {
                    found.set(name, [...(found.get(name) ?? []), value]);
                }
            }
            return [...found].map(([name, values]) => `${name}: ${values.join(' ')}`).join('\n');
        }).join('\n\n'))";
    let find = find.replace("RECORDS", &json!(cases.map(|(records, _)| records)).to_string());
    let (records, last) = cases[cases.len() - 1];
    let by_page = format!("ssePipe.plot.rows > 0 && ssePipe.rows === 3 && {SERIES} === '{last}'");
    let report = shows(Chromium, records, "/", &[&by_page, &find]);
    report.assert_value(&cases.map(|(_, want)| want).join("\n\n"));
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn values_that_hardly_differ_or_fill_all_of_a_number_freeze_nothing() {
    let pairs = [
        ["1", "1.0000000000000002"],
        ["9007199254740993000", "9007199254740995000"],
        ["1767268800000000001", "1767268800000000300"],
        ["1e308", "-1e308"],
        ["1.7976931348623157e308", "1.7976931348623155e308"],
        ["5e-324", "1e-323"],
        ["-5e-324", "0"],
        ["1e-20", "1.0000001e-20"],
        ["123456789.000000015", "123456789.00000003"],
    ];
    let show_all = "ssePipe.plot.drawn > 0
        && (document.querySelectorAll('.series[aria-pressed=false]').forEach((series) => series.click()), true)";
    for pairs in pairs.chunks(5) {
        let record = |i: usize| {
            let members: Vec<_> = pairs.iter().enumerate().map(|(n, pair)| format!("\"x{n}\": {}", pair[i])).collect();
            format!("{{{}}}\n", members.join(", "))
        };
        // Along time, and, with many at once, along their order.
        let records = record(0) + &record(1);
        for records in [records.clone(), records.repeat(50)] {
            let n = pairs.len();
            let drawn = format!(
                "ssePipe.plot.drawn === {n} && document.querySelectorAll('#plot-view .uplot').length === {n}
                    && (window.t ??= performance.now()) + 300 < performance.now()"
            );
            let steps = [show_all, &drawn, "String(ssePipe.events)"];
            shows(Chromium, &records, "/#plot", &steps).assert_value(&records.lines().count().to_string());
        }
    }
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn a_hundred_thousand_records_at_once_keep_their_shape_and_their_peaks() {
    // A straight line, but for two records that stand out.
    let value = |n: i32| match n {
        31_339 => -7,
        77_779 => 200_000,
        n => n,
    };
    let records: String = (1..=100_000).map(|n| format!("{}\n", value(n))).collect();
    let shape = "(() => {
        const [{ xs, values }] = ssePipe.plot.series;
        const tenths = Array(10).fill(0);
        xs.forEach((x) => (tenths[Math.min(Math.floor(x / 1e4), 9)] += 1));
        const right = xs.every((x, i) => values[i] === (x === 31339 ? -7 : x === 77779 ? 200000 : x));
        return [
            ssePipe.plot.axis, ssePipe.plot.x.join(' to '), right, xs.includes(31339), xs.includes(77779),
            tenths.every((n) => n > 200), xs.length < 20000,
        ].join(', ');
    })()";
    shows(Chromium, &records, "/#plot", &["ssePipe.plot.rows === 100000 && ssePipe.plot.x[1] === 100000", shape])
        .assert_value("order, 1 to 100000, true, true, true, true, true");
}

/// The button of the plot with this text.
fn button(text: &str) -> String {
    format!("[...document.querySelectorAll('#plot-view button')].find((button) => button.textContent === '{text}')")
}

/// The names of the series that are shown, and the x-axis.
const SHOWN: &str =
    "[ssePipe.plot.axis, ...ssePipe.plot.series.filter(({ shown }) => shown).map(({ name }) => name)].join(', ')";

fn draws_a_line_for_each_device(browser: Browser) {
    let from = 1_767_268_800;
    let record = |n: i32| {
        let device = ["kitchen", "cellar"][n as usize % 2];
        format!("{{\"sensor\": \"{device}\", \"time\": {}, \"temp\": {}}}\n", from + n * 3600, (n * 7) % 11)
    };
    // As they were measured, and the last first.
    let records: String = (0..6).map(record).chain((6..10).rev().map(record)).collect();
    let own = format!(
        "{SHOWN} === 'own, kitchen · temp, cellar · temp' && ssePipe.plot.x.join() === '{}000,{}000'
            && ssePipe.plot.series[0].xs.every((x, i) => x === ({from} + i * 7200) * 1000)",
        from,
        from + 9 * 3600
    );
    let press = |text: &str| format!("{}.focus(), {}.click(), true", button(text), button(text));
    let is = |what: &str| format!("{SHOWN} === '{what}' && ssePipe.plot.drawn === 1 && location.hash");
    let steps = [
        &own,
        &press("Order"),
        &format!("{} === '#plot&order'", is("order, kitchen · temp, cellar · temp")),
        "ssePipe.plot.x.join() === '1,10' && ssePipe.plot.series[0].xs.join() === '1,3,5,8,10'",
        &press("Join devices"),
        &format!("{} === '#plot&order&joined'", is("order, temp")),
        "ssePipe.plot.series[0].values.length === 10",
        &press("Arrival"),
        &is("arrival, temp"),
    ];
    shows(browser, &records, "/#plot", &steps).assert_value("#plot&arrival&joined");
    let by_address = is("own, temp");
    shows(browser, &records, "/#plot&own&joined", &[&by_address]).assert_value("#plot&own&joined");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_draws_each_device_along_its_own_time_until_the_person_chooses() {
    draws_a_line_for_each_device(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_draws_each_device_along_its_own_time_until_the_person_chooses() {
    draws_a_line_for_each_device(Firefox);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn what_varies_has_a_place_in_the_legend_before_constants_and_the_others_are_a_key_away() {
    // 140 constants, and after them, in order and name, what varies.
    let constants: String = (0..140).map(|n| format!("\"c{n}\": {n}, ")).collect();
    let records: String =
        (0..40).map(|n| format!("{{{constants}\"temp\": {}, \"hum\": {}}}\n", n % 7, n % 5)).collect();
    let legend = "[...document.querySelectorAll('.series')]";
    let first = format!(
        "{SHOWN} === 'order, temp, hum' && {legend}.length === 24
            && {legend}.slice(0, 2).map((item) => item.querySelector('.name').textContent).join() === 'temp,hum'"
    );
    let note = "document.querySelector('#plot-view .note').textContent";
    let steps = [
        &first,
        &format!("{note} === '14 further series are not kept: too many.'"),
        &format!("{}.getAttribute('aria-expanded') === 'false'", button("104 more series")),
        &format!("{}.focus(), document.activeElement.click(), true", button("104 more series")),
        &format!("{legend}.length === 128 && document.activeElement.getAttribute('aria-expanded') === 'true'"),
        &format!("{legend}.at(-1).focus(), document.activeElement.click(), true"),
        "ssePipe.plot.series.filter(({ shown }) => shown).length === 3",
        &format!("{}.click(), true", button("Fewer series")),
        &format!("{legend}.length === 25 && {legend}.at(-1).getAttribute('aria-pressed')"),
    ];
    shows(Chromium, &records, "/#plot", &steps).assert_value("true");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn names_that_come_once_give_way_to_what_varies() {
    let once: String = (0..1500).map(|n| format!("{{\"request {n}\": {n}}}\n")).collect();
    let records: String = (0..300).map(|n| format!("{{\"temp\": {}}}\n", n % 7)).collect();
    let steps = [
        &format!("ssePipe.plot.rows === 1800 && {SHOWN} === 'order, temp'"),
        "ssePipe.plot.series[0].values.length > 150 && ssePipe.plot.series.length === 128
            && document.querySelector('#plot-view .note').textContent",
    ];
    shows(Chromium, &(once + &records), "/#plot", &steps)
        .assert_value("1,000 or more further series are not kept: too many.");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn the_legend_shows_all_of_names_that_differ_at_their_ends() {
    let record = |n: i32| {
        format!("{{\"sensor\":\"/dev/serial/by-id/{}\",\"temperature\":{n},\"humidity\":{}}}\n", n % 2, n * 7 % 11)
    };
    let records: String = (0..20).map(record).collect();
    let fits = "[...document.querySelectorAll('.series')].map((item) => {
        const [name, value] = [item.querySelector('.name'), item.querySelector('.value')].map((part) => [part, part.getBoundingClientRect()]);
        return name[0].scrollWidth <= name[0].clientWidth && name[1].right <= value[1].left
            && value[1].right <= document.querySelector('.side').getBoundingClientRect().right;
    }).join()";
    shows(Chromium, &records, "/#plot", &["ssePipe.plot.drawn > 0", fits]).assert_value("true,true,true,true");
}

fn draws_the_plot(browser: Browser) {
    let records: String = (0..500).map(|n| format!("{{\"wave\": {}}}\n", (n % 50) * (n % 7))).collect();
    let drawn = format!("{} > 300", pixels("#plot-view", "series-0"));
    let value = "ssePipe.plot.series[0].values.length === 500 && document.querySelector('.series .value').textContent";
    let last = (499 % 50) * (499 % 7);
    let steps = ["!document.getElementById('plot-view').hidden && ssePipe.plot.drawn === 1", &drawn, value];
    shows(browser, &records, "/#plot", &steps).assert_value(&last.to_string());
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_draws_the_plot() {
    draws_the_plot(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_draws_the_plot() {
    draws_the_plot(Firefox);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn the_legend_switches_series_and_the_keyboard_views() {
    let records: String = (0..100).map(|n| format!("{{\"a\": {}, \"b\": {}}}\n", n % 9, 1000 - n % 7)).collect();
    let steps = [
        "document.dispatchEvent(new KeyboardEvent('keydown', { key: '2' })), ssePipe.plot.drawn === 2",
        "document.querySelector('.series').click(), true",
        "ssePipe.plot.drawn === 1 && ssePipe.plot.series.map(s => s.shown).join() === 'false,true'",
        "document.dispatchEvent(new KeyboardEvent('keydown', { key: '1' })), !document.getElementById('log-view').hidden",
        "document.getElementById('tab-map').hidden && location.hash === ''",
        "document.dispatchEvent(new KeyboardEvent('keydown', { key: '3' })), !document.getElementById('log-view').hidden
            && 'no map without positions'",
    ];
    // The key goes to whatever has the focus; the page hears it on its way up.
    let steps: Vec<String> = steps
        .iter()
        .map(|step| {
            step.replace("document.dispatch", "document.body.dispatch").replace("{ key:", "{ bubbles: true, key:")
        })
        .collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    shows(Chromium, &records, "/", &steps).assert_value("no map without positions");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn a_drag_zooms_the_plot_and_a_button_leads_back() {
    let records: String = (0..200).map(|n| format!("{}\n", (n * 37) % 101)).collect();
    let drag = "(() => {
        const over = document.querySelector('#plot-view .u-over');
        const box = over.getBoundingClientRect();
        const at = (type, x, target = over) => target.dispatchEvent(new MouseEvent(type, {
            bubbles: true, button: 0, clientX: box.left + x, clientY: box.top + 50, movementX: 1,
        }));
        at('mouseenter', 100); at('mousemove', 100); at('mousedown', 100);
        at('mousemove', 180); at('mousemove', 260); at('mouseup', 260, document);
        return true;
    })()";
    let back = "[...document.querySelectorAll('#plot-view button')].find(b => b.textContent === 'Back to live')";
    let (zoomed, gone) = (format!("!{back}.hidden"), format!("{back}.click(), {back}.hidden && 'live'"));
    let steps = ["ssePipe.plot.drawn === 1", drag, &zoomed, &gone];
    shows(Chromium, &records, "/#plot", &steps).assert_value("live");
}

/// A drag along an axis, `x` or `y`, from one part of its length to another; both are counted from the low end. Or taps, if
/// they are the same.
fn drag(axis: &str, from: f64, to: f64) -> String {
    format!(
        "(() => {{
            const axis = document.querySelector('.hand.{axis}');
            const {{ left, bottom, width, height }} = axis.getBoundingClientRect();
            const at = (type, part) => axis.dispatchEvent(new PointerEvent(type, {{
                bubbles: true, isPrimary: true, button: 0, buttons: 1,
                clientX: left + width * ('{axis}' === 'x' ? part : 0.5),
                clientY: bottom - height * ('{axis}' === 'y' ? part : 0.5),
            }}));
            at('pointerdown', {from}); at('pointermove', ({from} + {to}) / 2); at('pointermove', {to});
            const said = document.querySelector('.brush')?.textContent ?? '';
            at('pointerup', {to});
            return said || 'a tap';
        }})()"
    )
}

/// A key on an axis.
fn key_on(axis: &str, key: &str) -> String {
    format!(
        "(() => {{
            const axis = document.querySelector('.hand.{axis}');
            axis.focus();
            return !document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true, cancelable: true }}));
        }})()"
    )
}

/// The ranges of the plot's axes, the x-axis first, and the address.
fn ranges(want: &str) -> String {
    format!("JSON.stringify([ssePipe.plot.x, ...ssePipe.plot.y]) + location.hash === {}", json!(want))
}

/// Which marks say that points are outside, and what stands under the legend.
fn says(beyond: &str, note: &str) -> String {
    format!(
        "[...document.querySelectorAll('.beyond:not([hidden])')].map(mark => mark.textContent).join() === '{beyond}'
            && document.querySelector('#plot-view .note').textContent === {}",
        json!(note)
    )
}

const RELOAD: &str = "window.before = true, location.reload(), true";

fn takes_ranges_by_hand(browser: Browser) {
    let _places = busy();
    let mut program = Program::start(&["--at-eof", "serve"]);
    // 0 to 99, and one that stands out.
    program
        .write((1..=100).map(|n| format!("{{\"a b\":{}}}\n", if n == 50 { 250 } else { n - 1 })).collect::<String>());
    let hidden = |text: &str| format!("{}.hidden", button(text));
    let first = ranges("[[1,100],[0,270]]#plot&order");
    let middle = ranges("[[1,100],[54,216]]#plot&order&y.a%20b=54..216");
    let steps = [
        &format!("{first} && {} && {}", says("", ""), hidden("Auto range")),
        // What is said while the axis is held, and afterwards.
        &format!("{} === '54 – 216'", drag("y", 0.2, 0.8)),
        &format!("{middle} && {} && !{}", says("↑ more above,↓ more below", ""), hidden("Auto range")),
        RELOAD,
        &format!("window.before === undefined && {middle} && {}", says("↑ more above,↓ more below", "")),
        // Beyond the upper end: so a range gets wider.
        &format!("{} && true", drag("y", 0.5, 1.5)),
        &format!("{} && {}", ranges("[[1,100],[135,297]]#plot&order&y.a%20b=135..297"), says("↓ more below", "")),
        &drag("y", 0.5, 0.5),
        &drag("y", 0.5, 0.5),
        &format!("{first} && {}", says("", "")),
        // Keys.
        &key_on("y", "ArrowUp"),
        &ranges("[[1,100],[27,297]]#plot&order&y.a%20b=27..297"),
        &key_on("y", "+"),
        &ranges("[[1,100],[54,270]]#plot&order&y.a%20b=54..270"),
        &key_on("y", "-"),
        &ranges("[[1,100],[27,297]]#plot&order&y.a%20b=27..297"),
        &key_on("y", "0"),
        &first,
        // The x-axis, and from there with the button.
        &drag("x", 0.25, 0.5),
        &format!(
            "{} && {} && {}",
            "ssePipe.plot.x.map(Math.round).join() === '26,51' && /^#plot&order&x=[\\d.]+$/.test(location.hash)",
            says("", "There are more points before and after this part of the x-axis."),
            "document.querySelector('[aria-label=Window] [aria-pressed=true]') === null"
        ),
        RELOAD,
        "window.before === undefined && ssePipe.plot.x.map(Math.round).join() === '26,51'",
        &key_on("x", "ArrowRight"),
        "ssePipe.plot.x.map(Math.round).join() === '28,53'",
        &format!("{}.click(), true", button("Back to live")),
        &format!("{first} && {}", hidden("Back to live")),
        // Whatever comes, the range stays.
        "location.hash = '#plot&order&y=0..200&x=1..90', true",
        &format!(
            "{} && {}",
            ranges("[[1,90],[0,200]]#plot&order&y=0..200&x=1..90"),
            says("↑ more above", "There are more points after this part of the x-axis.")
        ),
        &format!("{}.click(), true", button("Back to live")),
        &ranges("[[1,100],[0,200]]#plot&order&y=0..200"),
        &format!("{} && ssePipe.plot.x[1] === 101", ranges("[[1,101],[0,200]]#plot&order&y=0..200")),
        &says("↑ more above,↓ more below", ""),
        &format!("{}.click(), true", button("Auto range")),
        "ssePipe.plot.y[0][0] < -70 && location.hash === '#plot&order'",
    ];
    let mut page = open(browser, &program.url("/#plot&order"), &steps);
    page.wait_for_step(steps.len() - 4);
    program.write("{\"a b\":-70}\n");
    report(page).assert_no_complaint();
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_takes_ranges_by_hand() {
    takes_ranges_by_hand(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_takes_ranges_by_hand() {
    takes_ranges_by_hand(Firefox);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn ranges_in_the_address_are_for_their_charts_and_say_what_is_wrong_with_them() {
    let records: String = (1..=40).map(|n| format!("{{\"a\":{n},\"b\":{}}}\n", n * 1000)).collect();
    let go = |hash: &str| format!("location.hash = {}, true", json!(hash));
    let wrong =
        |word: &str| says("", &format!("“{word}” in the address is not a range such as 0..100: it is ignored."));
    let automatic = "ssePipe.plot.x.join() === '1,40' && ssePipe.plot.y[0][0] === 0 && ssePipe.plot.y[0][1] > 40";
    let mut steps = vec![
        // Apart, each has its own; one for the chart of both is not theirs.
        ranges("[[1,40],[0,43.12],[-5,5000]]#plot&y=1..2&y.b=-5..5000"),
        // In one chart, it is the other way round.
        format!("{}.click(), true", button("One")),
        ranges("[[1,40],[1,2]]#plot&y=1..2&y.b=-5..5000"),
        go("#plot&only=b&y.b=-5..5000"),
        format!("ssePipe.plot.y.join() === '-5,5000' && {}", says("↑ more above", "")),
        // A logarithmic axis begins above 0, or has no place for a range at all.
        go("#plot&only=a&y=-3..20&logarithmic"),
        ranges("[[1,40],[1,20]]#plot&only=a&y=-3..20&logarithmic"),
        says("↑ more above", "A logarithmic axis begins above 0: not where the range does."),
        go("#plot&only=a&y=-3..0&logarithmic"),
        ranges("[[1,40],[1,100]]#plot&only=a&y=-3..0&logarithmic"),
        go("#plot&only=a&y=5..7&logarithmic"),
        ranges("[[1,40],[5,7]]#plot&only=a&y=5..7&logarithmic"),
        drag("y", 0.0, 1.5),
        "ssePipe.plot.y[0].join() === '5,8.28' && location.hash.endsWith('&y.a=5..8.28')".to_owned(),
    ];
    for word in
        ["y=", "y=5", "y=7..5", "y=<b>..2", "x=0..1e99", "y.b=1..1", "y.%E0%A4%A=2..1", "y=NaN..1", "y=0..1e999"]
    {
        let encoded = word.replace('<', "%3C").replace('>', "%3E");
        steps.push(go(&format!("#plot&only=a&{word}")));
        steps.push(format!("{automatic} && ({} || {})", wrong(word), wrong(&encoded)));
    }
    // It says so until a range is set.
    steps.extend([key_on("y", "+"), says("↑ more above,↓ more below", "")]);
    shows(Chromium, &records, "/#plot&y=1..2&y.b=-5..5000", &steps.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn the_map_has_a_track_for_each_object_whose_positions_records_carry() {
    let cases = [
        ("{\"lat\": 48.123456, \"lon\": 11.654321}\n{\"lat\": 48.2, \"lon\": 11.7}\n", ": 48.123456 11.654321, 48.2 11.7"),
        ("{\"id\": 7, \"pos\": {\"latitude\": -33.856789, \"longitude\": 151.215312}}\n", "7: -33.856789 151.215312"),
        ("{\"name\": \"A\", \"lat\": \"1.5\", \"lng\": \"2.5\"}\n{\"name\": \"B\", \"lat\": 3, \"lng\": 4}\n", "A: 1.5 2.5\nB: 3 4"),
        ("{\"class\":\"TPV\",\"device\":\"/dev/ttyS0\",\"mode\":3,\"lat\":46.498,\"lon\":7.567,\"alt\":1343}\n{\"class\":\"SKY\"}\n",
            "/dev/ttyS0: 46.498 7.567"),
        ("{\"type\": \"Point\", \"coordinates\": [11.5, 48.25]}\n", ": [11.5,48.25]"),
        ("{\"type\": \"Feature\", \"properties\": {\"name\": \"<b>bus</b>\"},
            \"geometry\": {\"type\": \"Point\", \"coordinates\": [11.5, 48.25, 520]}}\0", "<b>bus</b>: 48.25 11.5"),
        ("{\"type\": \"FeatureCollection\", \"features\": [
            {\"type\": \"Feature\", \"id\": \"a\", \"properties\": {}, \"geometry\": {\"type\": \"Point\", \"coordinates\": [1, 2]}},
            {\"type\": \"Feature\", \"id\": \"b\", \"properties\": null, \"geometry\": {\"type\": \"MultiPoint\", \"coordinates\": [[3, 4], [5, 6]]}}]}\0",
            "a: 2 1\nb: [[3,4],[5,6]]"),
        ("{\"aircraft\": [{\"hex\": \"3c6444\", \"lat\": 50.1, \"lon\": 8.6}, {\"hex\": \"4b1812\", \"lat\": 47.4, \"lon\": 188.5}]}\n",
            "3c6444: 50.1 8.6\n4b1812: 47.4 -171.5"),
        ("{\"lat\": 91, \"lon\": 0}\n{\"lat\": null, \"lon\": 5}\n{\"lat\": 9, \"lon\": 10}\n", ": 9 10"),
    ];
    let find = r"import('./viewer/recognise/recogniser.js').then(({ Recogniser }) => RECORDS.map((records) => {
            const recogniser = new Recogniser();
            const found = new Map();
            for (const record of records.split(records.endsWith('\0') ? '\0' : '\n')) {
                for (const { object, lat, lon, shape } of recogniser.read(record).places) {
                    const what = shape ? JSON.stringify(shape.coordinates) : `${lat} ${lon}`;
                    found.set(object, [...(found.get(object) ?? []), what]);
                }
            }
            return [...found].map(([name, points]) => `${name}: ${points.join(', ')}`).join('\n');
        }).join('\n\n'))";
    let find = find.replace("RECORDS", &json!(cases.map(|(records, _)| records)).to_string());
    let (records, first) = cases[0];
    let by_page = format!("ssePipe.map.positions === 2 && {OBJECTS} === '{first}'");
    let report = shows(Chromium, records, "/", &[&by_page, &find]);
    report.assert_value(&cases.map(|(_, want)| want).join("\n\n"));
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn shapes_that_are_none_and_lists_without_a_bottom_stop_neither_map_nor_log() {
    let deep = |n: usize, open: &str, close: &str| format!("{}1{}", open.repeat(n), close.repeat(n));
    let collection = "{\"type\":\"GeometryCollection\",\"geometries\":[";
    let records = [
        format!("{{\"type\":\"Polygon\",\"coordinates\":{}}}", deep(50_000, "[", "]")),
        deep(5_000, collection, "]}"),
        "{\"type\":\"MultiPoint\",\"geometries\":[]}".to_owned(),
        "{\"type\":\"GeometryCollection\",\"coordinates\":[],\"geometries\":{}}".to_owned(),
        "{\"type\":\"Polygon\",\"coordinates\":[1,2]}".to_owned(),
        "{\"type\":\"LineString\",\"coordinates\":[[[1,2],[3,4]]]}".to_owned(),
        "{\"lat\":1,\"lon\":2}".to_owned(),
    ];
    let all = format!("ssePipe.rows === {} && ssePipe.map.ready && ssePipe.map.positions === 1", records.len());
    let drawn = "document.querySelector('.map-tools .count').textContent";
    let drawn = format!("{drawn} === '1 object · 1 position' && {drawn}");
    shows(Chromium, &(records.join("\n") + "\n"), "/#map", &[&all, &drawn]).assert_value("1 object · 1 position");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn what_is_recognised_and_not_drawn_is_said() {
    let records = "SRID=3857;POINT(1000 2000)\nSRID=3857;LINESTRING(1 2, 3 4)\n{\"lat\": 0, \"lon\": 0}\n";
    let said = "document.getElementById('kept').textContent";
    let said = format!(
        "ssePipe.events === 3 && document.getElementById('tab-map').hidden && {said}.includes('0, 0') && {said}"
    );
    shows(Chromium, records, "/", &[&said]).assert_value(
        "Coordinates in EPSG:3857 are not degrees (2 records: not drawn); \
         0, 0 without a fix is not a position (1 record: not drawn)",
    );
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn large_records_are_on_plot_and_map_and_larger_ones_are_said() {
    let record = |pad: usize| format!("{{\"pad\":\"{}\",\"lat\":1,\"lon\":2,\"temp\":3}}\n", "x".repeat(pad));
    let records = record(300 * 1024) + &record(4 * 1024 * 1024);
    let all = "ssePipe.rows === 2 && ssePipe.plot.rows === 1 && ssePipe.map.positions === 1";
    let said = "document.getElementById('kept').textContent";
    shows(Chromium, &records, "/", &[all, said])
        .assert_value("Records over 4 MiB are not searched (1 record: not drawn)");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn a_map_that_could_not_be_loaded_is_there_once_it_can() {
    let _places = busy();
    let mut program = Program::start(&[]);
    let fail = "ssePipe.state === 'live' && (() => {
        const get = window.fetch;
        window.fetch = () => { window.fetch = get; return Promise.reject(new TypeError('refused')); };
        return true;
    })()";
    let told = "document.querySelector('#map-view .place').textContent.startsWith('The map could not be loaded')";
    let mut page = open(Chromium, &program.url("/#map"), &[fail, told, "ssePipe.map.ready && 'ready'"]);
    page.wait_for_step(1);
    program.write("{\"lat\": 1, \"lon\": 2}\n"); // and no more, which would have it asked for again
    report(page).assert_value("ready");
}

fn draws_the_map(browser: Browser) {
    let records: String = (0..200)
        .map(|n| f64::from(n) / 1000.0)
        .map(|t| format!("{{\"name\": \"one\", \"lat\": {:.6}, \"lon\": {:.6}}}\n", 54.3 + t, 10.1 + t * t))
        .collect();
    let track = format!("{} > 200", pixels("#map-view", "series-0"));
    // The head stands where its position is: its colour is there, and not 30 px beside it.
    let head = "(() => {
        const [x, y] = ssePipe.map.objects[0].pixel;
        const map = document.querySelector('.leaflet-container').getBoundingClientRect();
        const canvas = document.querySelector('.leaflet-heads-pane canvas');
        const box = canvas.getBoundingClientRect();
        const scale = canvas.width / box.width;
        const alpha = (dx) => canvas.getContext('2d')
            .getImageData(Math.round((map.left + x + dx - box.left) * scale), Math.round((map.top + y - box.top) * scale), 1, 1).data[3];
        return alpha(0) === 255 && alpha(30) === 0;
    })()";
    let whole = "ssePipe.map.background === '1:50m' && document.querySelectorAll('.graticule').length > 2
        && document.querySelector('.leaflet-tooltip').textContent === 'one' && !ssePipe.map.tiles
        && String(ssePipe.map.objects[0].points.length)";
    let steps = ["ssePipe.map.ready && ssePipe.map.positions === 200", &track, head, whole];
    shows(browser, &records, "/#map", &steps).assert_value("200");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_draws_the_map_without_asking_anybody_else() {
    draws_the_map(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_draws_the_map_without_asking_anybody_else() {
    draws_the_map(Firefox);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn a_click_on_the_map_shows_the_record_as_text() {
    let records = "{\"name\": \"<img src=x onerror=alert(1)>\", \"lat\": 10, \"lon\": 20, \"course\": 359.6, \"note\": \"here\"}\n";
    let click = "(() => {
        const [x, y] = ssePipe.map.objects[0].pixel;
        const map = document.querySelector('.leaflet-container');
        const box = map.getBoundingClientRect();
        for (const type of ['mousemove', 'mousedown', 'mouseup', 'click']) {
            map.dispatchEvent(new MouseEvent(type, { bubbles: true, clientX: box.left + x + 4, clientY: box.top + y, detail: 1 }));
        }
        return document.querySelector('.leaflet-popup .who') !== null;
    })()";
    let told = "document.querySelector('.leaflet-popup img') === null
        && document.querySelector('.leaflet-popup .who').textContent + ' ' + document.querySelector('.leaflet-popup .where').textContent.split(' · ').slice(0, 2)
        + ' ' + document.querySelector('.leaflet-popup .text').textContent.includes('\"note\": \"here\"')
        + ' ' + /° N .*° E/.test(document.querySelector('.readout').textContent)";
    let steps = [
        "ssePipe.map.ready && ssePipe.map.objects[0].pixel",
        "(window.t ??= performance.now()) + 300 < performance.now()",
        click,
        told,
    ];
    shows(Chromium, records, "/#map", &steps)
        .assert_value("<img src=x onerror=alert(1)> 10.000000, 20.000000,0° true true");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn two_numbers_are_a_position_where_the_person_says_so() {
    let records = "48.1,11.5\n48.2,11.6\n";
    let steps = [
        "ssePipe.events === 2 && ssePipe.map.positions === 0 && !document.getElementById('latlon').hidden",
        "document.getElementById('latlon').click(), true",
        "ssePipe.map.positions === 2 && location.hash === '#map&latlon'",
        OBJECTS,
        "document.getElementById('latlon').click(), true",
        "ssePipe.map.positions === 0 && !document.getElementById('log-view').hidden && 'off'",
    ];
    shows(Chromium, records, "/", &steps).assert_value("off");
    let by_address = format!("ssePipe.map.ready && {OBJECTS}");
    shows(Chromium, records, "/#map&latlon", &[&by_address]).assert_value(": 48.1 11.5, 48.2 11.6");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn plot_and_map_can_be_opened_after_the_program_has_ended() {
    let _places = busy();
    let mut program = Program::start(&["--retry", "100ms"]);
    let steps = [
        // The page has all of its parts: those of plot and map come when the log is there.
        "ssePipe.plot && ssePipe.map && ssePipe.state === 'live' && ssePipe.events === 1",
        "ssePipe.state === 'ended'",
        "document.getElementById('tab-map').click(), ssePipe.map.ready",
        "document.getElementById('tab-plot').click(), true",
        "ssePipe.plot.drawn === 1 && 'both'",
    ];
    let mut page = open(Chromium, &program.url("/"), &steps);
    program.write("{\"lat\": 1, \"lon\": 2, \"depth\": 3}\n");
    page.wait_for_step(1);
    program.close_input();
    assert_eq!(program.end().code(), Some(0));
    page.wait_for_step(2);
    report(page).assert_value("both");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn people_can_read_and_use_every_view_in_light_and_in_dark() {
    let _places = busy();
    let mut program = Program::start(&["--at-eof", "serve"]);
    for n in 0..12 {
        program.write(format!(
            "{{\"id\":\"o{}\",\"lat\":5{}.5,\"lon\":{n}.25,\"speed\":{n},\"ok\":true}}\n",
            n % 3,
            n % 9
        ));
        program.write(format!("\u{1b}[3{}mcoloured {n}\u{1b}[0m\n", n % 8));
    }
    let show = |view: &str| format!("document.getElementById('tab-{view}').click(), true");
    let (log, plot, map) = (show("log"), show("plot"), show("map"));
    let steps = [
        "ssePipe.events === 24 && document.querySelectorAll('#log .row').length > 10",
        "[...document.querySelectorAll('#log .row .line')].find(line => line.textContent.includes('lat')).click(), true",
        "document.querySelector('#log .row.open') !== null",
        "@axe",
        &plot,
        "document.querySelector('#plot-view canvas') !== null",
        "location.hash = '#plot&only=o1%20%C2%B7%20speed&y=2..5&x=bad', true",
        "document.querySelectorAll('.beyond:not([hidden])').length === 2
            && document.querySelector('.note').textContent.startsWith('“x=bad”')",
        "@axe",
        &map,
        "document.querySelector('#map-view canvas') !== null",
        "@axe",
        "@dark",
        "matchMedia('(prefers-color-scheme: dark)').matches",
        "@axe",
        &plot,
        "@axe",
        &log,
        "document.querySelector('#log .row.open') !== null",
        "@axe",
        "(() => { const filter = document.getElementById('filter'); filter.value = 'o1';
            filter.dispatchEvent(new Event('input')); return true; })()",
        "document.querySelectorAll('#log .row').length < 10",
        "document.getElementById('pause').click(), true",
        "@axe",
        "'all of it'",
    ];
    report(open(Chromium, &program.url("/"), &steps)).assert_value("all of it");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn a_logarithmic_axis_has_whole_powers_of_ten_and_counts_what_it_has_no_place_for() {
    let scales = "JSON.stringify(ssePipe.plot.y)";
    let dropped = "[...document.querySelectorAll('.series .dropped')].map(dropped => dropped.textContent).join()";
    let press =
        "[...document.querySelectorAll('.plot-tools button')].find(b => b.textContent === 'Log axis').click(), true";
    // The values of one series, the range of its axis, and what is not drawn.
    let cases = [
        ("0.02 7 -1 0 30000 0", "[[0.01,100000]]", "3 ≤ 0"),
        ("5 6 7", "[[1,10]]", ""),
        ("1000 1000.5 1000", "[[1000,10000]]", ""),
        ("0 -1 -2", "[[1,10]]", "3 ≤ 0"),
        ("1e-320 1e308 -1e308 2", "[[1e-300,8.9e+307]]", "1 ≤ 0"),
    ];
    for (values, range, count) in cases {
        let records: String = values.split(' ').map(|value| format!("{{\"a\":{value}}}\n")).collect();
        let steps = [
            &format!("{scales} === '{range}' && {dropped} === '{count}' && location.hash === '#plot&logarithmic'"),
            press,
            &format!("{scales} !== '{range}' && {dropped} === '' && location.hash === '#plot'"),
            press,
            &format!("{scales} === '{range}' && {dropped} === '{count}' && location.hash === '#plot&logarithmic'"),
        ];
        shows(Chromium, &records, "/#plot&logarithmic", &steps);
    }
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn a_double_click_on_the_legend_shows_one_series_alone() {
    let records: String =
        (0..100).map(|n| format!("{{\"a\": {}, \"b &\": {}, \"c\": {}}}\n", n % 9, n % 7, n % 5)).collect();
    let shown = |want: &str| format!("ssePipe.plot.series.filter(s => s.shown).map(s => s.name).join() === '{want}'");
    let click = |series: usize, detail: u32| {
        format!(
            "document.querySelectorAll('.series')[{series}].dispatchEvent(new MouseEvent('click', {{ bubbles: true, detail: {detail} }})), true"
        )
    };
    let key = "document.querySelectorAll('.series')[2].dispatchEvent(new KeyboardEvent('keydown', { bubbles: true, key: 'o' })), true";
    let steps = [
        &shown("a,b &,c"),
        &click(1, 1),
        &click(1, 2),
        &format!("{} && location.hash === '#plot&only=b%20%26'", shown("b &")),
        "window.before = true, location.reload(), true",
        &format!("window.before === undefined && ssePipe.plot.drawn === 1 && {}", shown("b &")),
        // One more beside it.
        &click(0, 1),
        &format!("{} && location.hash === '#plot'", shown("a,b &")),
        key,
        &shown("c"),
        &click(2, 1),
        &click(2, 2),
        &shown("a,b &,c"),
        "location.hash = '#plot&only=%E0%A4%A', true",
        &shown("a,b &,c"),
        "location.hash = '#plot&only=nobody', true",
        &shown("a,b &,c"),
    ];
    shows(Chromium, &records, "/#plot", &steps);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn on_a_phone_the_state_stands_beside_its_dot() {
    let _places = busy();
    let mut program = Program::start(&["--at-eof", "serve", "--retry", "100ms"]);
    program.write("1\n");
    program.close_input();
    let beside = "(() => {
        const [dot, again] = ['.dot', '#again'].map(one => document.querySelector(one).getBoundingClientRect());
        const [line] = document.getElementById('state').getClientRects();
        return innerWidth < 400 && again.width > 0
            && (dot.right < line.left && dot.top > line.top && dot.bottom < line.bottom ? 'beside' : 'apart');
    })()";
    let report = report(open(Chromium, &program.url("/"), &["ssePipe.state === 'ended'", "@phone", beside]));
    report.assert_value("beside");
}

/// What a person can see of a title.
const TITLES: &str = "document.title + '|' + document.querySelector('h1').textContent";

#[test]
#[ignore = "needs chromium: tests/run"]
fn a_title_is_the_page_s_title_and_heading_and_never_markup() {
    let _places = busy();
    let title = "Ä <b>&amp;</title><script>window.hit = 1</script> \u{202e}\"'$1";
    let program = Program::start(&["--title", &format!(" {title} ")]);
    let bold = "document.querySelector('h1 b, head b, h1 script') === null && window.hit === undefined";
    let same = format!("{TITLES} === {}", json!(format!("{title}|{title}")));
    let narrow = "document.querySelector('h1').getBoundingClientRect().right < innerWidth / 2
        && document.querySelector('h1 span').offsetWidth > 0";
    let steps = ["ssePipe.state === 'live'", &same, bold, narrow];
    let report = report(open(Chromium, &program.url("/viewer"), &steps));
    report.assert_no_complaint();
}

/// Pages of the origins that may read may frame the page, which is live there; others may not.
fn is_framed_by_those_that_may_read(browser: Browser) {
    let _places = busy();
    let page = folder(&format!("framed-{browser:?}")).join("page.html");
    std::fs::write(&page, "nothing yet").expect("can write");
    let mut host = Program::start(&["--page", page.to_str().expect("is text")]);
    let own = host.url("/");
    let own = own.trim_end_matches('/');
    let start = |origin: &str| Program::start(&["-v", "-b", "127.0.0.1", "-o", origin]);
    let refused = ["none", "null", "http://localhost:1"].map(start);
    let mut allowed = ["local", "*", own].map(start);
    let frames: String = refused
        .iter()
        .chain(&allowed)
        .map(|program| format!("<iframe src=\"{}\"></iframe>", program.url("/")))
        .collect();
    let script = "<script>new EventSource('events').onmessage = () => { window.done = true; };</script>";
    std::fs::write(&page, format!("<!doctype html>{frames}{script}")).expect("can write");
    let steps = ["frames.length === 6", "window.done"];
    let mut opened = open(browser, &format!("{own}/"), &steps);
    opened.wait_for_step(1);
    for program in &mut allowed {
        program.wait_for("joined");
    }
    host.write("done\n");
    let report = report(opened);
    let requests = report.strings("requests");
    for (programs, want) in [(&refused, false), (&allowed, true)] {
        for program in programs {
            let script = program.url("/viewer/viewer.js");
            assert_eq!(requests.contains(&script.as_str()), want, "{script}: {requests:#?}");
        }
    }
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_frames_the_page_for_those_that_may_read() {
    is_framed_by_those_that_may_read(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_frames_the_page_for_those_that_may_read() {
    is_framed_by_those_that_may_read(Firefox);
}
