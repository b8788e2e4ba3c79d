//! The built-in page, as people see it in Chromium and in Firefox: events as they arrive, only as text, and requests
//! only to this server. Its plot and map have their own tests, and so does what tabs share.

use crate::support::browser::Browser::{self, Chromium, Firefox};
use crate::support::browser::{Report, open_logged, report};
use crate::support::places::busy;
use crate::support::program::{Ended, Program};
/// The data of all rows of the log.
const VIEWED: &str = "ssePipe.items.map(item => item.data + '\\n').join('')";

fn numbers(from: usize, to: usize) -> String {
    (from..=to).map(|n| format!("event {n}\n")).collect()
}

fn count(ended: &Ended, text: &str) -> usize {
    ended.told.iter().filter(|line| line.contains(text)).count()
}

/// The page and its workers asked only this server, and the policy had nothing to forbid.
fn assert_kept_to_itself(report: &Report, own: &str) {
    let asked = report.asked();
    assert!(asked.len() >= 9 && asked.iter().all(|url| url.starts_with(own)), "{asked:#?}");
    report.assert_no_complaint();
}

/// Records that would be harmful as markup, to the eye, or to a layout.
const HARMFUL: [&str; 8] = [
    r#"<img src=x onerror="document.title='hacked'">"#,
    "<script>document.title='hacked'</script>",
    "</style></div></body><h1>&amp;&lt;</h1><!--",
    "<svg onload=document.title='hacked'>\u{1f4a5}",
    "{\"<img src=x onerror=document.title='hacked'>\": \"<script>document.title='hacked'</script>\"}",
    "to the left \u{202e}thgir eht ot\u{202c} and a bell \u{7}",
    "\u{1b}[31m<b>red</b>\u{1b}[0m \u{1b}]0;hacked\u{7} \u{1b}[2J",
    "replacement \u{fffd} and a lone joiner \u{200d}",
];

/// The built-in page, live to the end; nothing but text, nothing from elsewhere.
fn shows_text_only(browser: Browser, path: &str, options: &[&str]) {
    let _places = busy();
    let all = ["-v", "--retry", "100ms", "-e", "tick"];
    let mut program = Program::start(&[&all, options].concat());
    let live = |n: usize| format!("ssePipe.state === 'live' && ssePipe.events === {n} && ssePipe.rows === {n}");
    let total = 50 + HARMFUL.len();
    let (first, second) = (live(50), live(total));
    // An image that fails tells so later: it has had time until the end was noticed.
    let harmless = "document.title.endsWith('sse-pipe') && document.querySelectorAll(HARM).length === 0
        && [...document.querySelectorAll('#log .row')].every(row => row.dataset.type === 'tick')
        && document.querySelectorAll('#log .row').length > 10
        && [...document.querySelectorAll('#log .data')].every(data => !/[\u{1}-\u{8}\u{1b}\u{202e}]/.test(data.textContent))
        && document.querySelector('#log .ink-1').textContent === '<b>red</b>'
        && document.scrollingElement.scrollWidth <= innerWidth && document.scrollingElement.scrollHeight <= innerHeight
        && ssePipe.gaps === 0 && ssePipe.lastEventId.endsWith('-TOTAL')
        && document.getElementById('events').textContent === 'TOTAL'";
    let harmless = harmless.replace("HARM", "'#log img, #log script, #log svg, #log h1, body > h1'");
    let harmless = harmless.replace("TOTAL", &total.to_string());
    let ended = format!("ssePipe.state === 'ended' && ssePipe.events === {total} && {harmless} && {VIEWED}");
    let mut page = open_logged(browser, &program.url(path), &[&first, &second, &ended]);
    program.wait_for("joined");
    program.write(numbers(1, 50));
    page.wait_for_step(1);
    program.write(HARMFUL.join("\n"));
    program.write("\n");
    page.wait_for_step(2);
    program.close_input();
    let own = program.url("/");
    let end = program.end();
    let report = report(page);
    report.assert_value(&format!("{}{}\n", numbers(1, 50), HARMFUL.join("\n")));
    assert_kept_to_itself(&report, &own);
    assert_eq!((end.code(), count(&end, " joined")), (Some(0), 1), "{:#?}", end.told);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_shows_events_live_and_as_text_only() {
    shows_text_only(Chromium, "/", &[]);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_shows_events_live_and_as_text_only() {
    shows_text_only(Firefox, "/", &[]);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn the_page_is_there_next_to_one_of_ones_own_in_chromium() {
    shows_text_only(Chromium, "/viewer", &["--page", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/page.html")]);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn the_page_is_there_next_to_one_of_ones_own_in_firefox() {
    shows_text_only(Firefox, "/viewer", &["--page", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/page.html")]);
}
