//! Unix sockets (`--bind unix:PATH`): the same stream, a file that appears and disappears, and no file of another
//! program lost.

use crate::support::client::DEADLINE;
use crate::support::files::folder;
use crate::support::linux::LYING_KERNEL;
use crate::support::process::send_signal;
use crate::support::program::{BINARY, Program, run};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Starts sse-pipe on this Unix socket.
fn start(path: &Path, args: &[&str]) -> Program {
    let mut command = Command::new(BINARY);
    command.args(["--bind", &bind(path)]).args(args);
    Program::start_command(command, Stdio::piped())
}

/// A program that is killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn bind(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// Sends a request and reads the answer to its end.
#[track_caller]
fn ask(path: &Path, request: &str) -> String {
    let mut socket = UnixStream::connect(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    socket.set_read_timeout(Some(DEADLINE)).expect("is valid");
    socket.write_all(request.as_bytes()).expect("it takes a request");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{request:?}: {error} after {answer:?}"));
    answer
}

#[test]
fn serves_the_stream_to_users_who_can_open_the_file_by_any_host() {
    let path = folder("unix-serves").join("s.sock");
    let mut program = start(&path, &["-v"]);
    assert_eq!(program.told, [format!("sse-pipe: listening on {}", bind(&path))]);
    program.write("hello\n".repeat(1000));
    program.close_input();
    let whole = ask(&path, "GET /events HTTP/1.1\r\nHost: rebound.example\r\n\r\n");
    assert!(whole.starts_with("HTTP/1.1 200 "), "{whole}");
    assert_eq!(whole.matches("data: hello\n").count(), 1000);
    assert!(whole.ends_with("\r\n0\r\n\r\n"), "and its end");
    let ended = program.end();
    assert_eq!(ended.code(), Some(0), "{:#?}", ended.told);
    assert!(ended.told.iter().any(|line| line.contains("client of the Unix socket joined")), "{:#?}", ended.told);
    assert!(!path.exists(), "its file is gone");
}

#[test]
fn a_page_of_another_origin_is_refused_here_too() {
    let path = folder("unix-origin").join("s.sock");
    let _program = start(&path, &[]);
    let answer = ask(&path, "GET /events HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[test]
fn listens_on_a_socket_and_a_port() {
    let path = folder("unix-beside").join("s.sock");
    let mut program = Program::start(&["--bind", "localhost", "--bind", &bind(&path)]);
    program.write("a\n");
    assert_eq!(program.stream().data(1), ["a"]);
    let mut socket = UnixStream::connect(&path).expect("it listens");
    socket.set_read_timeout(Some(DEADLINE)).expect("is valid");
    socket.write_all(b"GET /events HTTP/1.0\r\n\r\n").expect("it takes a request");
    let mut got = String::new();
    while !got.contains("data: a\n") {
        let mut block = [0; 1000];
        let n = socket.read(&mut block).unwrap_or_else(|error| panic!("{error} after {got:?}"));
        assert!(n > 0, "closed after {got:?}");
        got += std::str::from_utf8(&block[..n]).expect("is text");
    }
}

#[test]
fn a_socket_that_no_program_listens_on_is_replaced() {
    let path = folder("unix-stale").join("s.sock");
    let mut killed = start(&path, &[]);
    killed.signal("KILL");
    while killed.is_running() {
        std::thread::yield_now();
    }
    assert!(path.exists(), "nobody could take it away");
    let program = start(&path, &[]);
    assert!(ask(&path, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 404 "));
    program.signal("TERM");
    program.end();
    assert!(!path.exists(), "its file is gone after a signal, too");
}

#[test]
fn what_is_in_use_or_no_socket_is_left_alone_and_named() {
    let folder = folder("unix-in-use");
    let (live, full, file) = (folder.join("live"), folder.join("full"), folder.join("file"));
    let _live = start(&live, &[]);
    let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).expect("a socket");
    listener.bind(&socket2::SockAddr::unix(&full).expect("is short")).expect("is free");
    listener.listen(0).expect("can listen");
    let _waiting = UnixStream::connect(&full).expect("there is one place"); // and nobody accepts
    std::fs::write(&file, "precious").expect("can be written");
    let link = folder.join("link");
    std::os::unix::fs::symlink(folder.join("nothing"), &link).expect("can be made");
    let long = folder.join("x".repeat(110));
    for (path, text) in [
        (&live, "another program already listens there"),
        (&full, "another program already listens there"),
        (&file, "there is a file of this name, and it is not a socket"),
        (&link, "there is a file of this name, and it is not a socket"),
        (&folder.join("missing/s.sock"), "No such file"),
        (&long, "SUN_LEN"),
    ] {
        let (code, _, stderr) = run(&["--bind", &bind(path)], Stdio::null());
        assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(stderr.contains(&format!("cannot listen on {}", bind(path))) && stderr.contains(text), "{stderr}");
    }
    assert!(ask(&live, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 404 "), "it lives on");
    assert_eq!(std::fs::read_to_string(&file).expect("is there"), "precious");
    assert!(std::fs::symlink_metadata(&full).is_ok_and(|full| full.file_type().is_socket()));
}

#[test]
fn the_file_of_one_that_came_later_is_not_removed() {
    let path = folder("unix-later").join("s.sock");
    let program = start(&path, &[]);
    std::fs::remove_file(&path).expect("is there");
    let _later = UnixListener::bind(&path).expect("is free");
    program.signal("INT");
    program.end();
    assert!(path.exists(), "it is another's now");
}

#[test]
fn one_address_that_cannot_be_had_takes_the_others_file_along() {
    let path = folder("unix-along").join("s.sock");
    let args = ["--bind", &bind(&path), "--bind", "192.0.2.1", "--port", "0"];
    let (code, _, stderr) = run(&args, Stdio::null());
    assert_eq!(code, Some(1), "{stderr}");
    assert!(!path.exists(), "nothing is left behind");
}

#[test]
fn the_file_appears_when_somebody_listens_on_it() {
    let folder = folder("unix-appears");
    let path = folder.join("s.sock");
    for round in 0..30 {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "umask 027; exec \"$@\"", "sh", BINARY, "--at-eof", "exit", "--bind", &bind(&path)]);
        // Every other one with time between its steps.
        let slow = if round % 2 == 0 { "SSE_PIPE_TEST_SLOW" } else { "SSE_PIPE_TEST_FAST" };
        command.env("LD_PRELOAD", &*LYING_KERNEL).env(slow, "");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = Killed(command.spawn().expect("it starts"));
        let deadline = Instant::now() + DEADLINE;
        while !path.exists() {
            assert!(Instant::now() < deadline, "round {round}: it is never there");
        }
        let connected = UnixStream::connect(&path);
        assert!(connected.is_ok(), "round {round}: {connected:?}");
        let mode = std::fs::metadata(&path).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o750, "as the umask says");
        drop(child.0.stdin.take());
        assert!(child.0.wait().is_ok_and(|status| status.success()));
        let left: Vec<_> = std::fs::read_dir(&folder).expect("is ours").collect();
        assert!(left.is_empty(), "round {round}: {left:?}");
    }
}

#[test]
fn of_many_that_find_a_dead_socket_one_wins_and_the_others_say_so() {
    let path = folder("unix-race").join("s.sock");
    for round in 0..5 {
        drop(UnixListener::bind(&path).expect("is free")); // dead
        let start = |_| {
            let mut command = Command::new(BINARY);
            command.args(["--bind", &bind(&path)]).env("LD_PRELOAD", &*LYING_KERNEL).env("SSE_PIPE_TEST_SLOW", "");
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
            Killed(command.spawn().expect("it starts"))
        };
        let mut children: Vec<_> = (0..6).map(start).collect();
        // The winner's first line and the losers' only one.
        let lines: Vec<String> = children
            .iter_mut()
            .map(|child| {
                let mut line = String::new();
                BufReader::new(child.0.stderr.take().expect("is piped")).read_line(&mut line).expect("is text");
                line
            })
            .collect();
        let winners: Vec<_> = (0..6).filter(|&n| lines[n].contains("listening on unix:")).collect();
        let losers = lines.iter().filter(|line| line.contains("another program already listens there")).count();
        assert_eq!((winners.len(), losers), (1, 5), "round {round}: {lines:#?}");
        assert!(UnixStream::connect(&path).is_ok(), "round {round}: the winner is reached");
        for (n, child) in children.iter_mut().enumerate() {
            if winners.contains(&n) {
                send_signal("TERM", child.0.id());
            }
            child.0.wait().expect("it is our child");
        }
        assert!(!path.exists());
    }
}

#[test]
fn a_path_as_long_as_an_address_may_be_will_do() {
    let folder = folder("unix-long");
    let room = 107 - folder.as_os_str().len() - "//s".len();
    let deep = folder.join("x".repeat(room));
    std::fs::create_dir(&deep).expect("can be made");
    let path = deep.join("s");
    for _ in 0..2 {
        let mut killed = start(&path, &[]);
        assert!(ask(&path, "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 404 "));
        killed.signal("KILL"); // so that the second finds a dead socket here, too
        while killed.is_running() {
            std::thread::yield_now();
        }
    }
}
