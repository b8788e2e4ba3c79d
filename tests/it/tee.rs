//! `--tee` (behaviour 1.7): standard input is passed on, byte for byte.

use crate::support::client::End;
use crate::support::places::busy;
use crate::support::program::{BINARY, Program};
use crate::support::random::Random;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const BLOCK: usize = 1 << 16;

#[test]
fn random_bytes_come_out_as_they_went_in() {
    let _places = busy();
    const BLOCKS: usize = (1 << 30) / BLOCK;
    let mut command = Command::new(BINARY);
    command.args(["--port", "0", "-q", "--tee", "--at-eof", "exit"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let (mut stdin, mut stdout) = (child.stdin.take().expect("is piped"), child.stdout.take().expect("is piped"));
    let writer = std::thread::spawn(move || {
        let (mut random, mut block) = (Random(1), vec![0; BLOCK]);
        for _ in 0..BLOCKS {
            random.fill(&mut block);
            stdin.write_all(&block).expect("it is read");
        }
    });
    let (mut random, mut want, mut got) = (Random(1), vec![0; BLOCK], vec![0; BLOCK]);
    for nth in 0..BLOCKS {
        random.fill(&mut want);
        stdout.read_exact(&mut got).unwrap_or_else(|error| panic!("{command:?}: block {nth}: {error}"));
        assert!(got == want, "{command:?}: block {nth} differs");
    }
    assert_eq!(stdout.read(&mut got).expect("is open"), 0, "{command:?}: and nothing more");
    writer.join().expect("no panic");
    assert!(child.wait().expect("is our child").success(), "{command:?}");
}

#[test]
fn standard_output_is_closed_at_the_end_of_input_whatever_clients_still_have_to_get() {
    let mut program = Program::start(&["--tee"]);
    let mut stdout = program.take_stdout();
    program.write("a\nb\0\r\n\nlast");
    program.close_input();
    let mut text = String::new();
    stdout.read_to_string(&mut text).expect("it is closed"); // would stand for ever otherwise
    assert_eq!(text, "a\nb\0\r\n\nlast");
    assert!(program.is_running(), "it still waits for its first client");
    assert_eq!(program.stream().data(4), ["a", "b\0", "", "last"]);
}

#[test]
fn a_record_is_passed_on_as_soon_as_it_is_read_and_skipped_records_too() {
    let mut program = Program::start(&["--tee", "--max-record", "3"]);
    let mut stdout = program.take_stdout();
    for text in ["a\n", "too long\n", "half", " a line\n"] {
        program.write(text);
        let mut got = vec![0; text.len()];
        stdout.read_exact(&mut got).expect("it comes");
        assert_eq!(got, text.as_bytes());
    }
}

#[test]
fn when_the_reader_of_standard_output_goes_the_run_ends() {
    let mut program = Program::start(&["--tee"]);
    let mut client = program.stream();
    let mut page = program.stream_with("/events", "Accept: text/event-stream\r\n");
    let mut stdout = program.take_stdout();
    program.write("a\n");
    stdout.read_exact(&mut [0; 2]).expect("it comes");
    drop(stdout);
    program.write("b\n");
    let want = (vec!["a".to_owned(), "b".to_owned()], End::Proper);
    assert_eq!((client.rest(), page.rest()), (want.clone(), want), "clients get what was read");
    let start = Instant::now();
    assert_eq!(program.end().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(2), "and no goodbye is waited for: {:?}", start.elapsed());
}

#[test]
fn when_the_reader_of_standard_output_goes_a_half_read_record_is_not_a_record() {
    let mut program = Program::start(&["--tee"]);
    let mut client = program.stream();
    let mut stdout = program.take_stdout();
    program.write("one\n");
    stdout.read_exact(&mut [0; 4]).expect("it comes");
    drop(stdout);
    // A program that another test is just starting may hold the pipe for a moment, so the first half may still fit in.
    let mut stdin = program.take_stdin();
    let writer = std::thread::spawn(move || while stdin.write_all(b"half").is_ok() {});
    assert_eq!(client.rest(), (vec!["one".to_owned()], End::Proper));
    assert_eq!(program.end().code(), Some(0));
    writer.join().expect("no panic");
}

#[test]
fn a_full_disk_is_reported_and_clients_are_still_served() {
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" --port 0 --tee >/dev/full", BINARY]);
    let mut program = Program::start_command(command, Stdio::piped());
    let mut client = program.stream();
    program.write("a\n");
    program.wait_for("cannot write standard output: No space left on device");
    program.write("b\n");
    program.close_input();
    assert_eq!(client.rest(), (vec!["a".to_owned(), "b".to_owned()], End::Proper));
    assert_eq!(program.end().code(), Some(1));
}

#[test]
fn a_standard_output_that_blocks_stops_the_reading_and_never_the_clients() {
    let mut program = Program::start(&["--tee"]);
    let stdout = program.take_stdout(); // nobody reads it: what is read fills the pipe, and then all waits
    let mut client = program.stream();
    let mut stdin = program.take_stdin();
    let line = format!("{}\n", "x".repeat(999));
    let writer = std::thread::spawn(move || (0..20_000).all(|_| stdin.write_all(line.as_bytes()).is_ok()));
    let got = client.data(1000).len();
    assert_eq!(got, 1000, "the client has what was read");
    program.signal("USR1");
    let line = program.wait_for("events");
    let read = line.split(" bytes read").next().and_then(|start| start.rsplit(' ').next()?.parse::<u64>().ok());
    assert!(read < Some(5_000_000), "and no more is read: {line}");
    drop(client); // or the end would wait for it
    drop(stdout);
    assert!(!writer.join().expect("no panic"), "then the run ends, and the producer's pipe with it");
}

#[test]
fn a_closed_standard_output_is_a_failure_to_write_and_no_more() {
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" --port 0 >&-", BINARY]);
    let mut program = Program::start_command(command, Stdio::piped());
    program.write("a\n");
    assert_eq!(program.stream().data(1), ["a"], "without --tee nobody needs it");
    let sink = File::options().write(true).open("/dev/null").expect("is there");
    let mut command = Command::new(BINARY);
    command.args(["--port", "0", "-q", "--tee", "--at-eof", "exit"]).stdin(Stdio::null());
    assert!(command.stdout(sink).status().expect("it starts").success());
}
