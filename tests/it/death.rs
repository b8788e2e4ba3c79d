//! A thread that dies ends the program with an error: it never stays half alive (what is left would keep its clients
//! and its port, and serve nobody). No known input kills one, so the test makes the kernel lie to it.

use crate::support::client::End;
use crate::support::linux::LYING_KERNEL;
use crate::support::program::{BINARY, Ended, Program};
use std::io::Write;
use std::process::{Command, Stdio};

fn start() -> Program {
    let mut command = Command::new(BINARY);
    command.args(["--port", "0", "--threads", "2"]).env("LD_PRELOAD", &*LYING_KERNEL);
    Program::start_command(command, Stdio::piped())
}

/// Starts it with a client on each thread, makes it fail, and returns how it ended; the clients must see the end.
fn ends(kill: impl FnOnce(&mut Program)) -> Ended {
    let mut program = start();
    let mut clients = [program.stream(), program.stream()];
    program.write("a\n");
    clients.iter_mut().for_each(|client| assert_eq!(client.data(1), ["a"]));
    kill(&mut program);
    clients.iter_mut().for_each(|client| assert_eq!(client.rest().1, End::Cut));
    program.end()
}

/// Its last message is an error that says what failed and why.
#[track_caller]
fn is_told(ended: &Ended, what: &str) {
    assert_eq!(ended.code(), Some(1), "{:?}", ended.told);
    assert_eq!(ended.told.iter().filter(|line| line.starts_with("sse-pipe: ") && line.contains(what)).count(), 1);
}

/// A request that is read by one of the workers, which believes what the kernel says of it.
#[track_caller]
fn request(program: &Program, lie: &str) {
    let text = format!("GET /events HTTP/1.1\r\nHost: localhost\r\nX: {lie}\r\n\r\n");
    program.connect().write_all(text.as_bytes()).expect("it takes a request");
}

#[test]
fn a_worker_that_panics_ends_the_program_with_an_error() {
    let ended = ends(|program| request(program, "lie: length"));
    is_told(&ended, "the worker failed; this is a bug");
}

#[test]
fn a_worker_that_can_wait_for_nothing_ends_the_program_with_an_error() {
    let ended = ends(|program| request(program, "lie: poll"));
    is_told(&ended, "a worker failed: Bad file descriptor");
}

#[test]
fn a_reader_that_panics_ends_the_program_with_an_error() {
    let ended = ends(|program| program.write("lie: length\n"));
    is_told(&ended, "the reader failed; this is a bug");
}

#[test]
fn a_clock_out_of_range_harms_nobody() {
    for (clock, date) in [
        ("-1", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("-9000000000000000000", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("253402300800", "Fri, 31 Dec 9999 23:59:59 GMT"),
        ("9000000000000000000", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] {
        let mut command = Command::new(BINARY);
        command.args(["--port", "0"]).env("LYING_CLOCK", clock).env("LD_PRELOAD", &*LYING_KERNEL);
        let mut program = Program::start_command(command, Stdio::piped());
        let mut client = program.stream();
        assert_eq!(client.field("Date").as_deref(), Some(date), "at {clock}");
        program.write("a\n");
        assert_eq!(client.data(1), ["a"], "at {clock}");
    }
}

#[test]
fn options_at_both_ends_of_their_ranges_harm_nobody() {
    for options in [
        "--stall 100ms --heartbeat 10ms --retry 1ms",
        "--stall 24h --heartbeat 24h --retry 1ms-24h",
        "--history 0 --tail 0",
        "--history 18446744073709551615 --tail 18446744073709551615",
        "--history 0 --tail 18446744073709551615",
        "--buffer 4KiB --max-record 1",
        "--buffer 70368744177664 --max-record 70368744177664",
        "--max-clients 1 --wait 1",
        "--max-clients 18446744073709551615 --metrics",
        "--threads 1024",
    ] {
        let mut program = Program::start(&options.split(' ').collect::<Vec<_>>());
        let mut client = program.stream();
        program.write("a\n");
        assert_eq!(client.data(1), ["a"], "{options}");
        let run = client.last_id().split('-').next().expect("has a run").to_owned();
        drop(client);
        for number in ["0", "1", "2", "18446744073709551615", "18446744073709551616"] {
            let id = format!("Last-Event-ID: {run}-{number}\r\n");
            assert!([200, 503].contains(&program.get("/events", &id).status), "{options} {id}");
        }
        program.signal("USR1");
        program.wait_for("clients: ");
        program.close_input();
        program.signal("TERM");
        let told = program.end().told;
        assert!(!told.iter().any(|line| line.contains("bug") || line.contains("panicked")), "{options}: {told:#?}");
    }
}

#[test]
fn nothing_dies_where_nothing_lies() {
    let mut program = start();
    let mut client = program.stream();
    program.write("a lie\n");
    assert_eq!(client.data(1), ["a lie"]);
    program.close_input();
    assert_eq!(client.rest(), (vec![], End::Proper));
    assert_eq!(program.end().code(), Some(0));
}
