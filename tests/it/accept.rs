//! Errors while a client is accepted: they don't affect the next client. An error that lasts is reported as what it is,
//! and does not keep a processor busy.

use crate::support::client::End;
use crate::support::linux::LYING_KERNEL;
use crate::support::linux::cpu_time;
use crate::support::program::{BINARY, Program};
use rustix::io::Errno;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// sse-pipe on a kernel whose accept fails this often, with this error.
fn start(errno: Errno, times: usize) -> Program {
    let mut command = Command::new(BINARY);
    command.args(["--port", "0"]).env("LD_PRELOAD", &*LYING_KERNEL);
    command.env("SSE_PIPE_TEST_ACCEPT", format!("{} {times}", errno.raw_os_error()));
    Program::start_command(command, Stdio::piped())
}

#[test]
fn a_client_whose_network_fails_as_it_comes_is_passed_over() {
    for errno in [Errno::CONNABORTED, Errno::PROTO, Errno::NETDOWN, Errno::HOSTUNREACH, Errno::TIMEDOUT] {
        let mut program = start(errno, 5);
        program.write("a\n");
        assert_eq!(program.stream().data(1), ["a"]);
        program.close_input();
        let ended = program.end();
        assert_eq!(ended.code(), Some(0), "{errno:?}");
        assert!(!ended.told.concat().contains("cannot accept"), "{errno:?}: {:#?}", ended.told);
    }
}

#[test]
fn an_error_that_lasts_is_reported_keeps_no_processor_busy_and_leaves_signals_alone() {
    for (errno, text) in [
        (Errno::PERM, "sse-pipe: cannot accept more clients for now: Operation not permitted (os error 1)"),
        (
            Errno::CONNABORTED,
            "sse-pipe: cannot accept more clients for now: Software caused connection abort (os error 103)",
        ),
        (Errno::NOMEM, "sse-pipe: cannot accept more clients for now: Cannot allocate memory (os error 12)"),
        (
            Errno::MFILE,
            "sse-pipe: cannot accept more clients for now: Too many open files (os error 24) (see ulimit -n)",
        ),
    ] {
        let mut program = start(errno, usize::MAX / 2);
        let _waiting = program.connect();
        assert_eq!(program.wait_for("cannot accept"), text);
        let (before, until) = (cpu_time(program.pid()), Instant::now() + Duration::from_secs(1));
        while Instant::now() < until {
            std::thread::yield_now();
        }
        let used = cpu_time(program.pid()) - before;
        assert!(used < Duration::from_millis(100), "{errno:?}: {used:?} in a second");
        program.signal("TERM");
        assert!(program.end().told.last().is_some_and(|line| line.contains("0 events to 0 clients")), "{errno:?}");
    }
}

#[test]
fn when_what_lasted_is_over_clients_are_taken() {
    // The kernel's lie ends after one try; the next is half a second later.
    let mut program = start(Errno::NOMEM, 1);
    program.write("a\n");
    let mut client = program.stream();
    assert_eq!(client.data(1), ["a"]);
    program.close_input();
    assert_eq!(client.rest().1, End::Proper);
}
