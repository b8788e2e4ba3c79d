//! Real browsers for the tests that need them: Chromium and Firefox, driven by drive.mjs beside this file.

use crate::process::{self, Finished, INSTALL, Process};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Condvar, Mutex, PoisonError};
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

/// Browsers are heavy: two at once are enough for two processors.
pub const PLACES: usize = 2;
static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// So many of the places; free again when dropped.
pub struct Places(usize);

/// Waits for so many of the places.
pub fn places(n: usize) -> Places {
    let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let free = FREED.wait_while(taken, |taken| *taken + n > PLACES);
    *free.unwrap_or_else(PoisonError::into_inner) += n;
    Places(n)
}

impl Drop for Places {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        FREED.notify_all();
    }
}

/// Opens `url` and goes through `steps`, each an expression that has to come true.
pub fn open(browser: Browser, url: &str, steps: &[&str]) -> Process {
    open_for(browser, url, steps, PATIENCE)
}

/// The same for steps that take longer: so many seconds for all of them.
pub fn open_for(browser: Browser, url: &str, steps: &[&str], patience: u32) -> Process {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
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
pub struct Report(pub String);

/// Waits until the steps are done, which must have come true.
pub fn report(browser: Process) -> Report {
    let Finished { command, code, stdout, told } = browser.finish();
    assert_eq!(code, Some(0), "{command}: {stdout} {told:#?}");
    Report(stdout)
}

impl Report {
    /// A member that is a list of strings. (Inside a string its name would stand between `\"` and `\"`.)
    pub fn strings(&self, member: &str) -> Vec<String> {
        let name = format!("\"{member}\":[");
        let start = self.0.find(&name).unwrap_or_else(|| panic!("no {member} in {}", self.0)) + name.len();
        let (mut all, mut at) = (Vec::new(), None);
        let mut bytes = self.0[start..].char_indices();
        while let Some((i, c)) = bytes.next() {
            match (c, at) {
                ('"', None) => at = Some(i + 1),
                ('"', Some(from)) => {
                    all.push(self.0[start + from..start + i].to_owned());
                    at = None;
                }
                ('\\', Some(_)) => drop(bytes.next()),
                (']', None) => return all,
                _ => {}
            }
        }
        panic!("{member} does not end in {}", self.0);
    }

    /// The last step came to this text.
    pub fn assert_value(&self, want: &str) {
        let want = process::json(&[want]);
        let want = format!("\"value\":{},", &want[1..want.len() - 1]);
        assert!(self.0.contains(&want), "wanted {want}, came {}", self.0);
    }

    /// What was answered to requests for the stream.
    pub fn stream_statuses(&self) -> Vec<String> {
        let responses = self.strings("responses");
        let streams = responses.iter().filter(|response| response.contains("/events"));
        streams.map(|response| response.split(' ').next().expect("has a status").to_owned()).collect()
    }
}
