//! What the built-in page recognises in records, by its own modules in Node.js: `tests/samples/expected.json` says what
//! each sample shows; and what that may cost.

use crate::support::files::at;
use crate::support::process::Process;
use std::process::Command;
use std::time::Duration;

/// Runs a script in `tests/samples`, which must find nothing wrong.
#[track_caller]
fn passes(script: &str) {
    let mut command = Command::new("node");
    command.arg(at("tests/samples").join(script));
    let finished = Process::start(command, Duration::from_secs(300)).finish();
    assert_eq!(finished.code, Some(0), "{finished:#?}");
}

#[test]
#[ignore = "needs node: tests/run"]
fn each_sample_shows_what_the_table_says() {
    passes("check.mjs");
}

#[test]
#[ignore = "needs node: tests/run"]
fn no_record_freezes_the_page_and_usual_ones_cost_at_most_50_microseconds() {
    passes("bounds.mjs");
}

#[test]
#[ignore = "needs node: tests/run"]
fn sequences_of_a_terminal_become_colours_or_go_and_cost_little() {
    passes("text.mjs");
}
