//! Real browsers for the tests that need them: Chromium and Firefox, driven by tests/browser/drive.mjs.

use super::files::at;
use super::process::{Finished, INSTALL, Process};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// How long a browser may take for all that a test asks of it, once it has started.
pub const PATIENCE: u32 = 60;
/// What drive.mjs takes beyond that, at most.
pub const BEYOND: u32 = 75;

/// Which browser.
#[derive(Clone, Copy, Debug)]
pub enum Browser {
    Chromium,
    Firefox,
}

/// Opens `url` and goes through `steps`, each an expression that has to come true.
#[track_caller]
pub fn open(browser: Browser, url: &str, steps: &[&str]) -> Process {
    open_for(browser, url, steps, PATIENCE)
}

/// The same for steps that take longer: this many seconds for all of them.
pub fn open_for(browser: Browser, url: &str, steps: &[&str], patience: u32) -> Process {
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
    command.arg(folder.join("drive.mjs")).args([name, url, &patience.to_string(), steps[0]]);
    for step in &steps[1..] {
        command.args(["--then", step]);
    }
    Process::start(command, Duration::from_secs((patience + BEYOND).into()))
}

/// What came of the steps: drive.mjs's report, checked for success.
pub struct Report(Value);

/// Waits until the steps are done, which must have come true.
#[track_caller]
pub fn report(browser: Process) -> Report {
    let Finished { command, code, stdout, told } = browser.finish();
    assert_eq!(code, Some(0), "{command}: {stdout} {told:#?}");
    Report(stdout.parse().unwrap_or_else(|error| panic!("{command}: {error} in {stdout}")))
}

impl Report {
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

    /// What the page asked for; in Chromium its workers as well.
    pub fn asked(&self, browser: Browser) -> Vec<&str> {
        self.strings(if matches!(browser, Browser::Chromium) { "network" } else { "requests" })
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
