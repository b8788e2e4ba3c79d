//! Real browsers for the tests that need them: Chromium and Firefox, driven by tests/browser/drive.mjs.

use super::files::at;
use super::process::{Finished, INSTALL, Process};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a browser may take for all that a test asks of it, once it has started.
pub const PATIENCE: u32 = 60;
/// What drive.mjs takes beyond that, at most.
pub const BEYOND: u32 = 75;

/// In the built-in page, the data of the rows that stand on the screen now, from the top.
pub const SEEN: &str = "[...document.querySelectorAll('#log .row')].map(row => row.querySelector('.data').textContent)";

/// Frames drawn late, in ms: the page's own clock, kept while the events come.
pub const WATCH_FRAMES: &str = "(() => {
    if (window.frames_) return true;
    window.frames_ = { worst: 0, n: 0 };
    let before = performance.now();
    const frame = () => {
        const now = performance.now();
        frames_.worst = Math.max(frames_.worst, now - before);
        frames_.n += 1;
        before = now;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    return true;
})()";

/// Which browser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Browser {
    Chromium,
    Firefox,
}

/// Running browsers that no test uses at the moment: to start one takes a second, or four for Firefox.
static IDLE: Mutex<Vec<(Browser, Process)>> = Mutex::new(Vec::new());

/// A page that a browser shows, and the steps that it is led through.
pub struct Page {
    driver: Process,
    /// The browser, if other tests may have it afterwards.
    shared: Option<Browser>,
}

/// Opens `url` and goes through `steps`, each an expression that has to come true.
#[track_caller]
pub fn open(browser: Browser, url: &str, steps: &[&str]) -> Page {
    open_for(browser, url, steps, PATIENCE)
}

/// The same for steps that take longer: this many seconds for all of them.
#[track_caller]
pub fn open_for(browser: Browser, url: &str, steps: &[&str], patience: u32) -> Page {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let found = idle.iter().position(|(which, _)| *which == browser).map(|nth| idle.swap_remove(nth).1);
    drop(idle);
    let mut driver = found.unwrap_or_else(|| {
        let mut command = command(browser);
        command.arg("--serve");
        Process::serve(command)
    });
    let run = json!({ "url": url, "seconds": patience, "steps": steps });
    driver.ask(&run.to_string(), Duration::from_secs((patience + BEYOND).into()));
    Page { driver, shared: Some(browser) }
}

/// [`open`] so that the report has what the page's workers ask for too, if the browser's log says that (Chromium).
#[track_caller]
pub fn open_logged(browser: Browser, url: &str, steps: &[&str]) -> Page {
    match browser {
        Browser::Chromium => open_apart(browser, url, steps),
        Browser::Firefox => open(browser, url, steps),
    }
}

/// [`open`] in a browser of its own, which a step may harm.
#[track_caller]
pub fn open_apart(browser: Browser, url: &str, steps: &[&str]) -> Page {
    let mut command = command(browser);
    command.args([url, &PATIENCE.to_string(), steps[0]]);
    for step in &steps[1..] {
        command.args(["--then", step]);
    }
    Page { driver: Process::start(command, Duration::from_secs((PATIENCE + BEYOND).into())), shared: None }
}

/// drive.mjs with this browser.
#[track_caller]
fn command(browser: Browser) -> Command {
    let folder = at("tests/browser");
    let (name, variable, path) = match browser {
        Browser::Chromium => ("chromium", "CHROMIUM", "/usr/bin/chromium"),
        Browser::Firefox => ("firefox", "FIREFOX", "/usr/bin/firefox-esr"),
    };
    let binary = std::env::var_os(variable).map_or_else(|| PathBuf::from(path), PathBuf::from);
    assert!(binary.exists(), "there is no {} ({name}; {variable} names another): {INSTALL}", binary.display());
    let modules = folder.join("node_modules/puppeteer-core");
    assert!(modules.exists(), "there is no {}: {INSTALL}", modules.display());
    let mut command = Command::new("node");
    command.arg(folder.join("drive.mjs")).arg(name);
    command
}

impl Page {
    /// Waits until this many steps have come true.
    #[track_caller]
    pub fn wait_for_step(&mut self, n: usize) {
        let reached = format!("reached {n}");
        if self.shared.is_none() {
            return self.driver.wait_for(&reached);
        }
        // A report before that is one of a failure.
        let line = self.driver.says(|line| line == reached || line.starts_with("report "));
        assert_eq!(line.as_deref(), Some(&*reached), "{:#?}", self.driver.told());
    }
}

/// What came of the steps: drive.mjs's report, checked for success.
pub struct Report(Value);

/// Waits until the steps are done, which must have come true.
#[track_caller]
pub fn report(page: Page) -> Report {
    let Page { mut driver, shared } = page;
    let report = match shared {
        Some(_) => driver.says(|line| line.starts_with("report ")).map(|line| line["report ".len()..].to_owned()),
        None => None,
    };
    let Some(report) = report else {
        let Finished { command, code, stdout, told } = driver.finish();
        assert_eq!(code, Some(0), "{command}: {stdout} {told:#?}");
        return Report::parse(&stdout);
    };
    let report = Report::parse(&report);
    assert_eq!(report.0["ok"], true, "{report} {:#?}", driver.told());
    IDLE.lock().unwrap_or_else(PoisonError::into_inner).push((shared.expect("it is"), driver));
    report
}

impl Report {
    #[track_caller]
    fn parse(json: &str) -> Report {
        Report(json.parse().unwrap_or_else(|error| panic!("{error} in {json}")))
    }

    /// The strings in a member that is a list.
    #[track_caller]
    pub fn strings(&self, member: &str) -> Vec<&str> {
        match self.0[member].as_array() {
            Some(list) => list.iter().filter_map(Value::as_str).collect(),
            None => panic!("no {member} in {self}"),
        }
    }

    /// The last step came to this text.
    #[track_caller]
    pub fn assert_value(&self, want: &str) {
        assert_eq!(self.0["value"], want, "{self}");
    }

    /// What was answered to requests for the stream.
    #[track_caller]
    pub fn stream_statuses(&self) -> Vec<&str> {
        let responses = self.strings("responses").into_iter();
        let streams = responses.filter(|response| response.contains("/events"));
        streams.map(|response| response.split(' ').next().expect("has a status")).collect()
    }

    /// What the page asked for; its workers too, after [`open_logged`] in Chromium.
    #[track_caller]
    pub fn asked(&self) -> Vec<&str> {
        self.strings(if self.0["network"].is_null() { "requests" } else { "network" })
    }

    /// The browser had nothing to forbid, and no script failed.
    #[track_caller]
    pub fn assert_no_complaint(&self) {
        let console = self.strings("console");
        let bad = |line: &&&str| line.to_lowercase().contains("security") || line.starts_with("pageerror");
        assert_eq!(console.iter().find(bad), None, "{console:#?}");
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
