//! Signals in special places: as process 1 of a PID namespace, as in a container, which the default action of a signal
//! does not end; and without `/proc`.

use crate::support::client::End;
use crate::support::linux;
use crate::support::process::send_signal;
use crate::support::program::{BINARY, Program};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

/// sse-pipe as process 1 of a namespace of its own, and its process ID seen from here.
fn start() -> (Program, u32) {
    let mut command = linux::unshare("--pid --fork --kill-child=KILL");
    command.args(["env", "--default-signal", BINARY, "--port", "0"]);
    let program = Program::start_command(command, Stdio::piped());
    let children = linux::children(program.pid());
    let [pid] = children[..] else { panic!("unshare has one child, but: {children:?}") };
    (program, pid)
}

#[test]
#[ignore = "needs unshare: tests/run"]
fn it_serves_and_ends_by_a_signal_as_process_1() {
    for (name, status) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let (mut program, pid) = start();
        let mut client = program.stream();
        program.write("a\nb\n");
        assert_eq!(client.data(1), ["a"]);
        send_signal(name, pid);
        assert_eq!(client.rest(), (vec!["b".to_owned()], End::Proper));
        let ended = program.end();
        assert_eq!(ended.code(), Some(status), "SIG{name}: {:?}", ended.status);
        assert_eq!(ended.told.last().map(String::as_str), Some("sse-pipe: 2 events to 1 client"));
    }
}

#[test]
#[ignore = "needs unshare: tests/run"]
fn a_second_signal_ends_it_at_once_as_process_1_too() {
    let (mut program, pid) = start();
    let mut reader = program.stream();
    let _stuck = program.stream(); // it reads no more, and so the first signal would take a second
    let line = format!("{}\n", "x".repeat(999));
    for _ in 0..20_000 {
        program.write(&line);
        assert_eq!(reader.data(1).len(), 1);
    }
    send_signal("INT", pid);
    send_signal("TERM", pid);
    // Of one that ends after the first signal's second, this would be the first.
    assert_eq!(program.end().code(), Some(143));
}

#[test]
#[ignore = "needs unshare: tests/run"]
fn nohup_works_where_it_is_unknown_what_was_ignored() {
    // An empty /proc simulates systems without one.
    let mut command = linux::unshare("--mount");
    command.args(["sh", "-c", "mount -t tmpfs none /proc && trap '' HUP && exec \"$0\" --port 0", BINARY]);
    let mut program = Program::start_command(command, Stdio::piped());
    let mut client = program.stream();
    program.signal("HUP");
    program.write("still here\n");
    assert_eq!(client.data(1), ["still here"]);
    program.signal("TERM");
    assert_eq!(client.rest(), (vec![], End::Proper));
    assert_eq!(program.end().status.signal(), Some(15));
}
