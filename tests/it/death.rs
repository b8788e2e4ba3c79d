//! A thread that dies ends the program with an error: it never lives on by half (what is left would keep its clients
//! and its port, and serve nobody). No input is known that kills one, so the kernel below is made to lie to it.

use crate::support::client::End;
use crate::support::files::{at, folder};
use crate::support::program::{BINARY, Ended, Program};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// The kernel that lies.
static LYING_KERNEL: LazyLock<PathBuf> = LazyLock::new(|| {
    let library = folder("lying-kernel").join("library.so");
    let mut cc = Command::new("cc"); // without which Rust could not link either
    cc.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]).args([&library, &at("tests/faults/lying-kernel.c")]);
    let status = cc.arg("-ldl").status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{cc:?}: {status:?}");
    library
});

fn start() -> Program {
    let mut command = Command::new(BINARY);
    command.args(["--port", "0", "--threads", "2"]).env("LD_PRELOAD", &*LYING_KERNEL);
    Program::start_command(command, Stdio::piped())
}

/// Starts it with a client on each thread, does it in, and tells how it ended; the clients must see the end.
fn ends(kill: impl FnOnce(&mut Program)) -> Ended {
    let mut program = start();
    let mut clients = [program.stream(), program.stream()];
    program.write("a\n");
    clients.iter_mut().for_each(|client| assert_eq!(client.data(1), ["a"]));
    kill(&mut program);
    clients.iter_mut().for_each(|client| assert_eq!(client.rest().1, End::Cut));
    program.end()
}

/// Its last word is an error, and tells who died of what.
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
fn nothing_dies_where_nothing_lies() {
    let mut program = start();
    let mut client = program.stream();
    program.write("a lie\n");
    assert_eq!(client.data(1), ["a lie"]);
    program.close_input();
    assert_eq!(client.rest(), (vec![], End::Proper));
    assert_eq!(program.end().code(), Some(0));
}
