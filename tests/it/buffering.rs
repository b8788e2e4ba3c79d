//! The hint if "nothing arrives" (behaviour 1.12): given for programs that block-buffer their output, and for no
//! others.

use crate::support::client::Client;
use crate::support::files::folder;
use crate::support::program::Program;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

const HINT: &str = "block-buffers its output";

/// A producer in a shell, killed with all that it started when dropped.
struct Producer(Child);

impl Drop for Producer {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

/// `producer | sse-pipe`, as a shell would have it: no word to Python about buffering.
fn pipe(producer: &str, args: &[&str]) -> (Producer, Program) {
    let mut command = Command::new("sh");
    command.args(["-c", producer]).env_remove("PYTHONUNBUFFERED").process_group(0);
    let mut producer = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect("a shell");
    let stdin = producer.stdout.take().expect("is piped");
    (Producer(producer), Program::start_with(args, stdin.into()))
}

/// A Python program that prints a line each millisecond or so.
const PYTHON: &str = "python3 -c '\nimport time, itertools\nfor n in itertools.count():\n    print(\"a line of text with a number:\", n, time.time())\n    time.sleep(0.002)\n'";

#[test]
#[ignore = "needs python3: tests/run"]
fn it_is_given_for_python_that_prints_in_a_loop() {
    let (_producer, mut program) = pipe(PYTHON, &[]);
    let told = program.wait_for(HINT);
    for help in ["stdbuf -oL PROGRAM", "grep --line-buffered", "python -u"] {
        assert!(told.contains(help), "{told}");
    }
    let mut client = program.stream();
    client.data(500); // some blocks more
    program.signal("TERM");
    let told = &mut program.told;
    assert_eq!(told.iter().filter(|line| line.contains(HINT)).count(), 1, "once: {told:#?}");
}

#[test]
#[ignore = "needs python3: tests/run"]
fn it_is_given_for_grep() {
    let python = PYTHON.replace("python3", "python3 -u");
    let (_producer, mut program) = pipe(&format!("{python} | grep text"), &[]);
    program.wait_for(HINT);
}

#[test]
#[ignore = "needs python3: tests/run"]
fn it_is_given_for_an_event_stream_too() {
    let awk = r#"{ print "id: " NR "\ndata: " $0 "\n" }"#;
    let python = PYTHON.replace("python3", "python3 -u");
    let (_producer, mut program) = pipe(&format!("{python} | awk '{awk}'"), &["--format", "sse"]);
    program.wait_for(HINT);
}

#[test]
fn it_is_not_given_for_what_is_only_large() {
    let file = folder("buffering-large").join("lines");
    let lines: String = (0..300_000).map(|n| format!("line {n} of a large file\n")).collect();
    std::fs::write(&file, lines).expect("can be written");
    let cat = format!("cat '{}'", file.display());
    let rest = format!("tail -c 3000000 '{}'", file.display());
    for producer in ["seq 1000000", cat.as_str(), rest.as_str(), "seq 1000000 | grep 1", "seq 300000 | tee /dev/null"] {
        let (_producer, program) = pipe(producer, &["--at-eof", "exit"]);
        let told = program.end().told;
        assert!(told.iter().any(|line| line.contains("events to")), "{producer}: {told:#?}");
        assert!(!told.iter().any(|line| line.contains(HINT)), "{producer}: {told:#?}");
    }
}

/// Whether this client gets `n` events of a program that gives no hint meanwhile.
#[track_caller]
fn unhinted(program: &mut Program, client: &mut Client, n: usize) {
    client.data(n);
    program.signal("USR1");
    program.wait_for("clients: ");
    assert!(!program.told.iter().any(|line| line.contains(HINT)), "{:#?}", program.told);
}

#[test]
fn it_is_not_given_for_a_log_that_is_followed() {
    let file = folder("buffering-followed").join("log");
    let mut log = std::fs::File::create(&file).expect("can be written");
    let (_producer, mut program) = pipe(&format!("exec tail -n +1 -F '{}'", file.display()), &[]);
    let mut client = program.stream();
    // Some lines at a time, as servers log, and each time a silence before.
    for burst in 1..=12_usize {
        let lines = burst * burst % 90 + 1;
        let text: String =
            (0..lines).map(|n| format!("a line of some length, number {n} of burst {burst}\n")).collect();
        sleep(Duration::from_millis(120)); // the silence itself, which the hint looks at
        log.write_all(text.as_bytes()).expect("can be written");
        unhinted(&mut program, &mut client, lines);
    }
}

#[test]
#[ignore = "needs python3: tests/run"]
fn it_is_not_given_for_a_fast_even_stream_or_a_slow_one() {
    for (pause, lines) in [("0.0005", 3000), ("0.15", 12)] {
        let python = PYTHON.replace("python3", "python3 -u").replace("0.002", pause);
        let (_producer, mut program) = pipe(&python, &[]);
        let mut client = program.stream();
        unhinted(&mut program, &mut client, lines);
    }
}
