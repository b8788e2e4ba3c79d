//! The pipe (behaviour 1): records in, events out, and nothing lost on the way.

use crate::support::client::{DEADLINE, End};
use crate::support::linux::memory_peak;
use crate::support::program::{BINARY, Program, run};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn each_line_becomes_one_event_in_one_chunk_as_soon_as_it_is_written() {
    let mut program = Program::start(&[]);
    let mut client = program.stream();
    assert_eq!(client.next_chunk().as_deref(), Some(&b"retry: 1000\n"[..]), "before any event exists");
    let mut run_token = None;
    for n in 1..=3 {
        program.write(format!("line {n}\n"));
        let chunk = String::from_utf8(client.next_chunk().expect("an event")).expect("is text");
        let (data, id) = chunk.split_once("\nid: ").expect("has an ID");
        let (run, number) = id.strip_suffix("\n\n").and_then(|id| id.split_once('-')).expect("is RUN-N");
        assert_eq!((data, number), (format!("data: line {n}").as_str(), n.to_string().as_str()));
        assert!(run.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{run}");
        assert_eq!(run_token.get_or_insert(run.to_owned()), run, "one run, one token");
    }
}

#[test]
fn line_ends_empty_records_and_text_without_an_end_are_as_promised() {
    for (args, input, want) in [
        (&[][..], &b"a\nb\r\n\nlast"[..], &["a", "b", "", "last"][..]),
        (&[], b"inner\rreturn\n", &["inner\nreturn"]),
        (&["-0"], b"a\nb\r\nc\rd\0e\0", &["a\nb\nc\nd", "e"]),
        (&["--null"], b"\0x", &["", "x"]),
        (&[], b"nul \0 inside\n", &["nul \0 inside"]),
        (&[], b": not a comment\nid: no field\n  blanks  \n", &[": not a comment", "id: no field", "  blanks  "]),
        (&[], "\u{feff}bom é \u{2028}\n".as_bytes(), &["\u{feff}bom é \u{2028}"]),
        (&[], b"\xff\xfe \xf0\x9f\x98 \xed\xa0\x80\n", &["\u{fffd}\u{fffd} \u{fffd} \u{fffd}\u{fffd}\u{fffd}"]),
    ] {
        let mut program = Program::start(args);
        program.write(input);
        program.close_input();
        let (data, end) = program.stream().rest();
        assert_eq!((data, end), (want.iter().map(|s| s.to_string()).collect(), End::Proper), "{args:?} {input:?}");
        assert_eq!(program.end().code(), Some(0));
    }
}

#[test]
fn the_first_record_that_is_not_utf_8_is_reported_once() {
    let mut program = Program::start(&[]);
    program.write(b"good\nbad \xff\nworse \xff\n");
    program.close_input();
    assert_eq!(program.stream().data(3), ["good", "bad \u{fffd}", "worse \u{fffd}"]);
    let ended = program.end();
    let told: Vec<_> = ended.told.iter().filter(|line| line.contains("UTF-8")).collect();
    assert_eq!((ended.code(), told.len()), (Some(0), 1), "{:?}", ended.told);
    assert!(told[0].contains("record 2 "), "{told:?}");
}

#[test]
fn a_record_that_is_too_long_leaves_a_comment_and_the_rest_is_sent() {
    let mut program = Program::start(&["--max-record", "10"]);
    let mut client = program.stream();
    program.write(format!("0123456789\n{}\nafter\r\n", "x".repeat(11)));
    program.close_input();
    assert_eq!(client.rest(), (vec!["0123456789".to_owned(), "after".to_owned()], End::Proper));
    assert!(client.last_id().ends_with("-3"), "it keeps its number: {}", client.last_id());
    assert_eq!(client.comments.len(), 1, "{:?}", client.comments);
    assert!(client.comments[0].contains("record 2 skipped"), "{:?}", client.comments);
    let ended = program.end();
    let told = ended.told.iter().filter(|line| line.contains("record 2 skipped") && line.contains("11 bytes")).count();
    assert_eq!((ended.code(), told), (Some(1), 1), "{:?}", ended.told);
}

#[test]
fn a_stopped_terminal_stops_nothing_and_the_last_line_is_written() {
    let mut command = Command::new(BINARY);
    command.args(["--port", "0", "--max-record", "10", "--at-eof", "exit"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("is piped");
    for _ in 0..20_000 {
        stdin.write_all(b"more than ten bytes\n").expect("it is read, though nobody reads what is told");
    }
    drop(stdin);
    let mut told = String::new();
    child.stderr.take().expect("is piped").read_to_string(&mut told).expect("is text");
    assert_eq!(child.wait().expect("is our child").code(), Some(1));
    let lines: Vec<_> = told.lines().collect();
    let without: usize = lines.iter().filter_map(|line| line.rsplit_once("in time: ")?.1.parse::<usize>().ok()).sum();
    let with = lines.iter().filter(|line| line.contains("skipped: its 19 bytes")).count();
    assert_eq!(with + without, 20_000, "{:?}", &lines[lines.len().saturating_sub(5)..]);
    assert_eq!(lines.last(), Some(&"sse-pipe: 0 events to 0 clients, 20000 records skipped"));
}

#[test]
fn twenty_mebibytes_on_one_line_are_skipped_in_bounded_memory() {
    let mut program = Program::start(&[]);
    let mut client = program.stream();
    for _ in 0..20 {
        program.write(vec![b'x'; 1 << 20]);
    }
    program.write("\nafter\n");
    assert_eq!(client.data(1), ["after"]);
    let peak = memory_peak(program.pid());
    assert!(peak < 64 << 20, "{} MiB at the peak", peak >> 20);
    program.close_input();
    assert_eq!(client.rest(), (vec![], End::Proper));
    assert_eq!(program.end().code(), Some(1));
}

#[test]
fn an_event_that_does_not_fit_the_buffer_is_skipped() {
    let mut program = Program::start(&["-0", "--max-record", "16MiB", "--heartbeat", "0"]);
    let mut client = program.stream();
    program.write(vec![b'\n'; 16 << 20]);
    program.write("\0after\0");
    program.close_input();
    assert_eq!(client.rest(), (vec!["after".to_owned()], End::Proper));
    let [comment] = &client.comments[..] else { panic!("one comment, in its place: {:?}", client.comments) };
    assert!(comment.contains("exceeds --buffer"), "{comment}");
    assert_eq!(program.end().code(), Some(1));
}

#[test]
fn the_largest_record_arrives_whole() {
    let mut program = Program::start(&[]);
    let mut client = program.stream();
    let record: String = "0123456789abcdef".repeat(1 << 20);
    let mut stdin = program.take_stdin();
    let line = format!("{record}\n");
    let writer = std::thread::spawn(move || stdin.write_all(line.as_bytes()));
    let event = client.next_event().expect("an event");
    assert!(event.data == record, "{} bytes came, {} were sent", event.data.len(), record.len());
    writer.join().expect("no panic").expect("all is taken");
    assert_eq!(client.rest(), (vec![], End::Proper));
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn with_the_port_taken_nothing_is_read_and_the_error_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(b"still here\n").expect("fits the pipe");
    drop(writer);
    let (code, stdout, stderr) = run(&["--port", &port], reader.try_clone().expect("is open"));
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    let want = format!(
        "sse-pipe: cannot listen on 127.0.0.1:{port}: address in use (another sse-pipe? choose another port with --port; 0 takes a free one)\n"
    );
    assert_eq!(stderr, want);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).expect("the pipe is open");
    assert_eq!(rest, "still here\n", "the producer's bytes are still in the pipe");
}

#[test]
#[ignore = "needs IPv6: tests/run"]
fn what_the_other_address_of_localhost_has_taken_is_taken() {
    let taken = TcpListener::bind("[::1]:0").expect("a port is free, and IPv6 is there");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let (code, _, stderr) = run(&["--port", &port], Stdio::null());
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("cannot listen on [::1]:"), "{stderr}");
}

#[test]
fn a_directory_as_input_is_an_error_that_is_reported() {
    let (code, _, stderr) = run(&["--port", "0", "--at-eof", "exit"], File::open("/").expect("it is there"));
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("sse-pipe: cannot read standard input: Is a directory"), "{stderr}");
}

#[test]
fn an_empty_or_closed_input_is_an_empty_run() {
    let (code, stdout, stderr) = run(&["--port", "0", "--at-eof", "exit"], Stdio::null());
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{stderr}");
    assert!(stderr.ends_with("sse-pipe: 0 events to 0 clients\n"), "{stderr}");
    let closed = Command::new("sh").args(["-c", "exec \"$0\" --port 0 --at-eof exit -q <&-", BINARY]).output();
    let closed = closed.expect("sh is there");
    assert_eq!((closed.status.code(), closed.stderr), (Some(0), vec![]));
}

#[test]
fn an_input_that_somebody_made_non_blocking_is_waited_for() {
    // What a program leaves behind that sets O_NONBLOCK on the pipe it shares with us.
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&reader, true).expect("is a pipe");
    let program = Program::start_with(&[], reader.into());
    let mut client = program.stream();
    client.next_chunk().expect("the first chunk");
    for n in ["one", "two"] {
        writer.write_all(format!("{n}\n").as_bytes()).expect("it is read");
        assert_eq!(client.data(1), [n]);
    }
    drop(writer);
    assert_eq!(client.rest(), (vec![], End::Proper));
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn nothing_is_read_until_n_clients_are_connected() {
    let mut program = Program::start(&["--wait", "2", "--no-id"]);
    program.write("one\n");
    let mut first = program.stream();
    first.next_chunk().expect("the first chunk");
    let early = first.next_chunk_within(Duration::from_millis(100));
    assert_eq!(early, None, "one client is not enough");
    let mut second = program.stream();
    assert_eq!((first.data(1), second.data(1)), (vec!["one".to_owned()], vec!["one".to_owned()]));
}

#[test]
fn standard_output_stays_empty() {
    let mut program = Program::start(&["-v"]);
    let mut stdout = program.take_stdout();
    program.write("a\n");
    program.close_input();
    program.stream().rest();
    program.end_within(DEADLINE);
    let mut text = String::new();
    stdout.read_to_string(&mut text).expect("is open");
    assert_eq!(text, "");
}
