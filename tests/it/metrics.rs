//! `/metrics` (behaviour 6.5), as Prometheus reads it.

use crate::support::client::DEADLINE;
use crate::support::program::Program;
use std::collections::BTreeMap;
use std::time::Instant;

/// Reads `/metrics`: each sample by its name with its labels. Every line has to be one that Prometheus takes.
#[track_caller]
fn metrics(program: &Program) -> BTreeMap<String, u64> {
    let mut client = program.get("/metrics", "Accept: text/plain;version=0.0.4;q=0.5\r\n");
    assert_eq!(client.status, 200);
    assert_eq!(client.field("Content-Type").as_deref(), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = client.content();
    let mut family = String::new();
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            family = name.to_owned();
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            assert_eq!(name.split('{').next(), Some(family.as_str()), "a sample stands below its type: {line}");
            let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            assert!(samples.insert(name.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    samples
}

/// Asks until a sample has this value.
#[track_caller]
fn until(program: &Program, name: &str, want: u64) -> BTreeMap<String, u64> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let samples = metrics(program);
        if samples[name] == want {
            return samples;
        }
        assert!(Instant::now() < deadline, "{name} is never {want}: {samples:#?}");
    }
}

#[test]
fn tells_what_is_so_and_what_was() {
    let mut program = Program::start(&["--metrics", "--history", "2", "--max-clients", "3", "--max-record", "10"]);
    let mut client = program.stream();
    let mut other = program.stream();
    program.write("one\n");
    client.data(1);
    program.write("two\n");
    client.data(1);
    program.write("three\n");
    assert_eq!(other.data(3), ["one", "two", "three"]);
    client.data(1);
    program.write("far too long a record\n");
    let samples = until(&program, "sse_pipe_skipped_total", 1);
    for (name, want) in [
        ("sse_pipe_clients", 2),
        ("sse_pipe_clients_total", 2),
        ("sse_pipe_events_total", 3),
        ("sse_pipe_dropped_total{reason=\"stalled\"}", 0),
        ("sse_pipe_dropped_total{reason=\"behind\"}", 0),
        ("sse_pipe_history_events", 2),
    ] {
        assert_eq!(samples[name], want, "{name}: {samples:#?}");
    }
    assert!(samples["sse_pipe_connections"] >= 3, "two streams and the one that asks: {samples:#?}");
    assert!(samples["sse_pipe_read_bytes_total"] >= 14 && samples["sse_pipe_log_bytes"] > 0, "{samples:#?}");
    until(&program, "sse_pipe_lag_bytes", 0);
    let third = program.get_until("/events", 200);
    program.get_until("/events", 503);
    let full = metrics(&program); // told although it is full
    assert!(full["sse_pipe_turned_away_total"] >= 1, "{full:#?}");
    drop((third, other));
    until(&program, "sse_pipe_clients", 1);
    assert!(metrics(&program)["sse_pipe_written_bytes_total"] > 100);
}

#[test]
fn is_not_there_unless_wanted() {
    let program = Program::start(&[]);
    let mut client = program.get("/metrics", "");
    let content = client.content();
    assert_eq!(client.status, 404);
    assert!(!content.contains("/metrics"), "{content}");
    let with = Program::start(&["--metrics"]);
    assert!(with.get("/nowhere", "").content().contains("/metrics"), "it is named where it is");
    let head = with.request("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").content();
    assert_eq!(head, "");
    assert_eq!(with.get("/metrics", "Origin: https://evil.example\r\n").status, 403);
}
