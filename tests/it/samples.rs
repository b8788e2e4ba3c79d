//! What the built-in page shows of the samples in `tests/samples`, according to the table `expected.json`: in a real
//! browser, and with the page's own modules in Node.js, where its cost is measured too.

use crate::support::files::at;
use crate::support::places::busy;
use crate::support::process::Process;
use crate::support::program::BINARY;
use std::process::Command;
use std::time::Duration;

/// Runs a script in `tests/samples`, which must find nothing wrong.
#[track_caller]
fn passes(script: &str) {
    finds_nothing(&format!("samples/{script}"), &[]);
}

#[track_caller]
fn finds_nothing(script: &str, arguments: &[&str]) {
    let mut command = Command::new("node");
    command.arg(at("tests").join(script)).args(arguments);
    let finished = Process::start(command, Duration::from_secs(300)).finish();
    assert_eq!(finished.code, Some(0), "{finished:#?}");
}

#[test]
#[ignore = "needs node: tests/run"]
fn each_sample_shows_what_the_table_says() {
    passes("check.mjs");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_shows_of_each_sample_what_the_table_says() {
    let _places = busy();
    finds_nothing("browser/samples.mjs", &[BINARY]);
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

#[test]
#[ignore = "needs node: tests/run"]
fn on_the_map_what_was_heard_of_least_recently_makes_room() {
    passes("map.mjs");
}

#[test]
#[ignore = "needs node: tests/run"]
fn records_say_where_objects_are_heading() {
    passes("course.mjs");
}

#[test]
#[ignore = "needs node: tests/run"]
fn on_the_map_what_is_silent_for_too_long_fades_goes_and_comes_back() {
    passes("silence.mjs");
}

#[test]
#[ignore = "needs node: tests/run"]
fn ranges_set_by_hand_are_round_can_be_written_and_read_and_have_ticks() {
    passes("range.mjs");
}
