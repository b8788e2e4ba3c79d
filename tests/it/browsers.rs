//! What people see in Chromium and Firefox on a page of their own: those that README and docs/own-pages.md show. The
//! built-in page has its own tests: viewer*.rs.

use crate::support::browser::Browser::{self, Chromium, Firefox};
use crate::support::browser::{BEYOND, PATIENCE, open, report};
use crate::support::files::{fenced, folder, read};
use crate::support::places::{busy, places};
use crate::support::process::Process;
use crate::support::program::{BINARY, Ended, Program};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The page of docs/own-pages.md, as people copy it.
const PAGE: &str = include_str!("../browser/page.html");

/// Inserted before a page's own script: records which event sources it made, when, and what happened to them.
const SPY: &str = r#"<script>
  window.made = [];
  window.EventSource = class extends EventSource {
    constructor(url) {
      super(url);
      this.at = performance.now();
      this.errors = [];
      this.addEventListener("error", () => this.errors.push(this.readyState));
      made.push(this);
    }
  };
</script>
"#;

/// The lines that the page shows.
const SHOWN: &str = "document.getElementById('log').textContent";
/// How many these are.
const LINES: &str = "document.getElementById('log').textContent.split('\\n').length - 1";
/// The data of all rows of the built-in page's log.
const VIEWED: &str = "ssePipe.items.map(item => item.data + '\\n').join('')";

/// A copy of the page, for a server at this port and with [`SPY`]. Gone when dropped.
struct Page(PathBuf);

impl Page {
    fn new(test: &str, browser: Browser) -> Page {
        // Two runs of these tests at once don't share it.
        let name = format!("{test}-{browser:?}-{}.html", std::process::id());
        let page = Page(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        page.write(0);
        page
    }

    fn write(&self, port: u16) {
        assert_eq!((PAGE.matches("localhost:6502").count(), PAGE.matches("<script>").count()), (1, 1));
        let page = PAGE.replace("localhost:6502", &format!("localhost:{port}"));
        let page = page.replace("<script>", &format!("{SPY}<script>"));
        std::fs::write(&self.0, page).unwrap_or_else(|error| panic!("{}: {error}", self.0.display()));
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("is text")
    }

    fn file_url(&self) -> String {
        format!("file://{}", self.path())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn numbers(from: usize, to: usize) -> String {
    (from..=to).map(|n| format!("event {n}\n")).collect()
}

fn count(ended: &Ended, text: &str) -> usize {
    ended.told.iter().filter(|line| line.contains(text)).count()
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_shows_the_short_page_of_readme() {
    let _places = busy();
    let file = folder("short-page").join("page.html");
    std::fs::write(&file, fenced(&read("README.md"), "html")).expect("the folder is ours");
    let page = file.to_str().expect("is text");
    let mut program = Program::start(&["-v", "--retry", "100ms", "--page", page]);
    let open_page = open(Chromium, &program.url("/"), &[&format!("{LINES} === 2 && {SHOWN}")]);
    program.write("one\n");
    program.wait_for("joined");
    program.write("<b>two</b>\n");
    program.close_input();
    report(open_page).assert_value("one\n<b>two</b>\n");
    assert_eq!(program.end().code(), Some(0));
}

/// 500 events over one connection, while the page is open; then the end, one return, its 204, and peace.
fn shows_everything_once_and_stops_at_the_end(browser: Browser, mut program: Program, url: &str) {
    let steps: Vec<String> = (1..=5).map(|n| format!("{LINES} === {}", n * 100)).collect();
    let mut steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    // A page that wanted to return would do so after a second.
    let peace = format!("(window.over ??= performance.now()) + 1500 < performance.now() && {SHOWN}");
    steps.extend(["made.length === 1 && made[0].readyState === EventSource.CLOSED", peace.as_str()]);
    let mut page = open(browser, url, &steps);
    program.wait_for("joined");
    for n in 1..=5 {
        program.write(numbers(n * 100 - 99, n * 100));
        page.wait_for_step(n);
    }
    program.close_input();
    let ended = program.end();
    let report = report(page);
    report.assert_value(&numbers(1, 500));
    assert_eq!(report.stream_statuses(), ["200", "204"], "{report}");
    assert_eq!(ended.code(), Some(0), "{:#?}", ended.told);
    // The 204 is not a stream, so nobody reconnected.
    let counts = [count(&ended, " joined"), count(&ended, " reconnected"), count(&ended, "has everything")];
    assert_eq!(counts, [1, 0, 1], "{:#?}", ended.told);
}

fn served_by_us(browser: Browser) {
    let _places = busy();
    let page = Page::new("served", browser);
    let program = Program::start(&["-v", "--retry", "100ms", "--end-event", "end", "--page", page.path()]);
    page.write(program.port);
    let url = program.url("/");
    shows_everything_once_and_stops_at_the_end(browser, program, &url);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_shows_a_page_of_ones_own_that_is_served_by_us_to_the_end() {
    served_by_us(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_shows_a_page_of_ones_own_that_is_served_by_us_to_the_end() {
    served_by_us(Firefox);
}

fn opened_as_a_file(browser: Browser) {
    let _places = busy();
    let page = Page::new("file", browser);
    let program = Program::start(&["-v", "--retry", "100ms", "--end-event", "end", "--cors-origin", "null"]);
    page.write(program.port);
    shows_everything_once_and_stops_at_the_end(browser, program, &page.file_url());
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_shows_a_page_that_is_opened_as_a_file_where_that_is_allowed() {
    opened_as_a_file(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_shows_a_page_that_is_opened_as_a_file_where_that_is_allowed() {
    opened_as_a_file(Firefox);
}

fn refused_as_a_file(browser: Browser) {
    let _places = busy();
    let page = Page::new("refused", browser);
    let mut program = Program::start(&["-v"]);
    page.write(program.port);
    program.write("secret\n");
    // It asks again after a second, and is refused again.
    let twice = "made.length >= 2 && made[1].readyState === EventSource.CLOSED && ('shown: ' + LOG)";
    let report = report(open(browser, &page.file_url(), &[&twice.replace("LOG", SHOWN)]));
    report.assert_value("shown: ");
    program.signal("TERM");
    let ended = program.end();
    let helps = ended.told.iter().filter(|line| line.contains("--cors-origin null") && line.contains("--page"));
    assert_eq!((helps.count(), count(&ended, "joined")), (1, 0), "{:#?}", ended.told);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_shows_nothing_in_a_page_opened_as_a_file_and_the_terminal_says_once_what_helps() {
    refused_as_a_file(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_shows_nothing_in_a_page_opened_as_a_file_and_the_terminal_says_once_what_helps() {
    refused_as_a_file(Firefox);
}

fn survives_a_restart(browser: Browser) {
    let _places = busy();
    let page = Page::new("restart", browser);
    let options = ["-v", "--retry", "100ms", "--cors-origin", "null"];
    let mut first = Program::start(&options);
    let port = first.port;
    page.write(port);
    let refused = match browser {
        Chromium => "made[0].errors.length >= 3", // the browser continues by itself
        // The browser gives up, and the page has begun again twice: the waits grow.
        Firefox => "made.length === 3 && made[1].at - made[0].at > 1000 && made[2].at - made[1].at > 2000",
    };
    let shown = numbers(1, 5);
    let (one, both) = (format!("{LINES} === 3"), format!("{LINES} >= 5 && {SHOWN}"));
    let mut open_page = open(browser, &page.file_url(), &[&one, refused, &both]);
    first.wait_for("joined");
    first.write(numbers(1, 3));
    open_page.wait_for_step(1);
    first.signal("KILL");
    first.end();
    open_page.wait_for_step(2);
    // The page has to find the second where the first was.
    let mut command = Command::new(BINARY);
    command.args(["--port", &port.to_string()]).args(options);
    let mut second = Program::start_command(command, Stdio::piped());
    second.write(numbers(4, 5));
    let report = report(open_page);
    report.assert_value(&shown);
    assert_eq!(second.wait_for("reconnected").matches("unknown").count(), 1, "{:#?}", second.told);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_shows_the_next_run_in_a_page_that_is_still_open() {
    survives_a_restart(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_shows_the_next_run_in_a_page_that_is_still_open() {
    survives_a_restart(Firefox);
}

/// A page of one's own, the built-in one and curl, at the same time.
fn together(own: Browser, built_in: Browser) {
    let _places = places(2);
    let page = Page::new("together", own);
    let mut program =
        Program::start(&["-v", "--retry", "100ms", "--end-event", "end", "--wait", "3", "--page", page.path()]);
    page.write(program.port);
    let records: String = (1..=1000).map(|n| format!("{n} \u{e9}\u{4e16}\u{1f600} <b>\n")).collect();
    program.write(&records);
    program.close_input();
    let shown = format!("made[0].readyState === EventSource.CLOSED && {SHOWN}");
    let viewed = format!("ssePipe.state === 'ended' && ssePipe.events === 1001 && ssePipe.rows === 1001 && {VIEWED}");
    let mut curl = Command::new("curl");
    curl.args(["-sN", &program.url("/")]);
    let curl = Process::start(curl, Duration::from_secs((PATIENCE + BEYOND).into()));
    let one = open(own, &program.url("/"), &[&shown]);
    let two = open(built_in, &program.url("/viewer"), &[&viewed]);
    let curl = curl.finish();
    report(one).assert_value(&records);
    report(two).assert_value(&format!("{records}1000\n"));
    let data = curl.stdout.lines().filter_map(|line| line.strip_prefix("data: "));
    let data: String = data.map(|line| format!("{line}\n")).collect();
    assert_eq!((curl.code, data), (Some(0), format!("{records}1000\n")), "{}", curl.command);
    let ended = program.end();
    assert_eq!((ended.code(), count(&ended, " joined")), (Some(0), 3), "{:#?}", ended.told);
}

#[test]
#[ignore = "needs chromium, firefox and curl: tests/run"]
fn a_page_in_chromium_and_the_built_in_one_in_firefox_and_curl_get_the_same() {
    together(Chromium, Firefox);
}

#[test]
#[ignore = "needs chromium, firefox and curl: tests/run"]
fn a_page_in_firefox_and_the_built_in_one_in_chromium_and_curl_get_the_same() {
    together(Firefox, Chromium);
}

/// The built-in page with a token: nothing that it loads is refused, and the token goes nowhere else.
fn with_token(browser: Browser) {
    let _places = busy();
    let mut command = Command::new(BINARY);
    command.args(["--port", "0", "-v", "--retry", "100ms"]).env("SSE_PIPE_TOKEN", "s3cret/+~token=");
    let mut program = Program::start_command(command, Stdio::piped());
    let url = program.told[0].split(' ').next_back().expect("a URL").to_owned();
    program.write("first\n");
    program.close_input();
    // Only a 204 makes it say so.
    let ended = format!("ssePipe.state === 'ended' && ssePipe.events === 1 && {VIEWED}");
    let report = report(open(browser, &url, &[&ended]));
    report.assert_value("first\n");
    let responses = report.strings("responses");
    assert!(responses.len() >= 5 && !responses.iter().any(|response| response.starts_with('4')), "{responses:#?}");
    // The stream is asked for by a worker of the page, out of the driver's sight: what the server says of it counts.
    let end = program.end();
    let counts = [" joined", " reconnected", "has everything", "without the token"].map(|text| count(&end, text));
    assert_eq!((end.code(), counts), (Some(0), [1, 0, 1, 0]), "{:#?}", end.told);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_shows_the_built_in_page_at_the_url_with_the_token() {
    with_token(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_shows_the_built_in_page_at_the_url_with_the_token() {
    with_token(Firefox);
}

/// A user's own page of several files that know nothing about a token, if one is required.
fn own_folder_with_token(browser: Browser) {
    let _places = busy();
    let folder = folder(&format!("own-folder-{browser:?}"));
    std::fs::create_dir(folder.join("sub")).expect("can be made");
    for (name, content) in [
        (
            "index.html",
            "<!doctype html><link rel=stylesheet href=sub/a.css><p id=log></p><script type=module src=a.js></script>",
        ),
        ("sub/a.css", "#log { background: url(b.svg); color: rgb(1, 2, 3) }"),
        ("sub/b.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("a.js", "import { show } from './sub/b.js'; new EventSource('events').onmessage = show;"),
        ("sub/b.js", "export const show = (event) => { document.getElementById('log').textContent += event.data; };"),
    ] {
        std::fs::write(folder.join(name), content).expect("can be written");
    }
    let mut command = Command::new(BINARY);
    command.args(["--port", "0", "--page"]).arg(&folder).env("SSE_PIPE_TOKEN", "s3cret/+~token=");
    let mut program = Program::start_command(command, Stdio::piped());
    let url = program.told[0].split(' ').next_back().expect("a URL").to_owned();
    program.write("first\n");
    let shown = format!("getComputedStyle(document.getElementById('log')).color === 'rgb(1, 2, 3)' && {SHOWN}");
    let report = report(open(browser, &url, &[&shown]));
    report.assert_value("first");
    let responses = report.strings("responses");
    for name in ["a.css", "b.svg", "a.js", "b.js"] {
        let got = responses.iter().filter(|response| response.starts_with("200 ") && response.ends_with(name)).count();
        assert_eq!(got, 1, "{name}: {responses:#?}");
    }
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_shows_a_folder_of_ones_own_at_the_url_with_the_token() {
    own_folder_with_token(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_shows_a_folder_of_ones_own_at_the_url_with_the_token() {
    own_folder_with_token(Firefox);
}

/// A page of another site: `127.0.0.1` is one for `localhost`, and a local page that may read by CORS.
const EMBEDDING: &str = r#"<!doctype html>
<title>Another site</title>
<body>
<script>
  const at = "http://localhost:PORT/events?";
  window.done = [];
  for (const [tag, attribute] of [["img", "src"], ["script", "src"], ["video", "src"], ["link", "href"],
      ["iframe", "src"], ["object", "data"], ["embed", "src"]]) {
    const element = document.createElement(tag);
    if (tag === "link") element.rel = "stylesheet";
    element.onerror = element.onload = () => done.push(tag);
    element[attribute] = at + tag;
    document.body.append(element);
  }
  fetch(at + "fetch", { mode: "no-cors" }).then((answer) => answer.text()).then(() => done.push("fetch"));
  const source = new EventSource(at + "source");
  source.onmessage = (event) => { window.got = event.data; source.close(); };
</script>
"#;

fn embedded_by_another_site(browser: Browser) {
    let _places = busy();
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("embedding-{browser:?}-{}.html", std::process::id()));
    let page = Page(path);
    std::fs::write(&page.0, EMBEDDING).expect("can be written");
    let site = Program::start(&["--page", page.path()]);
    let mut program = Program::start(&["-v", "--wait", "1"]);
    std::fs::write(&page.0, EMBEDDING.replace("PORT", &program.port.to_string())).expect("can be written");
    program.write("for those who may read\n");
    // All that it embeds has failed, the EventSource got its event; then it follows a link.
    let over = "['img', 'script', 'video', 'link', 'fetch'].every(tag => done.includes(tag)) && got";
    let link = format!("got && (location.href = 'http://localhost:{}/'), true", program.port);
    let arrived = "location.hostname === 'localhost' && document.title";
    let url = format!("http://127.0.0.1:{}/", site.port);
    let report = report(open(browser, &url, &[over, &link, arrived]));
    for tag in ["img", "script", "video", "link", "iframe", "object", "embed", "fetch"] {
        let url = program.url(&format!("/events?{tag}"));
        assert!(report.strings("requests").contains(&url.as_str()), "{browser:?} did not ask for {url}: {report}");
        assert!(!report.strings("responses").contains(&format!("200 {url}").as_str()), "{tag}: {report}");
    }
    program.close_input();
    let ended = program.end();
    assert_eq!(count(&ended, "refused what a page of another site embeds"), 1, "{:#?}", ended.told);
    // The page's EventSource, and that of the page behind the link, if there was time.
    assert!(matches!(count(&ended, " joined"), 1 | 2), "{:#?}", ended.told);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_makes_no_client_of_what_another_site_embeds() {
    embedded_by_another_site(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_makes_no_client_of_what_another_site_embeds() {
    embedded_by_another_site(Firefox);
}
