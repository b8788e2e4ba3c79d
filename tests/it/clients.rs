//! What client programs and libraries make of a stream: curl, also with HTTP/1.0, npm's eventsource@2, which stores an
//! ID as soon as it reads its line, and PyPI's httpx-sse, which makes an event of a blank line that others ignore.

use crate::support::files::at;
use crate::support::places::busy;
use crate::support::process::{Finished, INSTALL, Process};
use crate::support::program::Program;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::thread::spawn;
use std::time::Duration;

/// How long a client may take for a whole stream, start and end included.
const PATIENCE: Duration = Duration::from_secs(60);
/// `--wait` for all that [`Clients`] starts.
const CLIENTS: &str = "4";

fn curl(url: &str, options: &[&str]) -> Process {
    let mut command = Command::new("curl");
    command.args(["--no-progress-meter", "-N", "--noproxy", "*"]).args(options).arg(url);
    Process::start(command, PATIENCE)
}

fn eventsource(url: &str) -> Process {
    let modules = at("tests/browser/node_modules/eventsource");
    assert!(modules.exists(), "there is no {}: {INSTALL}", modules.display());
    let mut command = Command::new("node");
    command.arg(at("tests/clients/eventsource_client.mjs")).arg(url);
    Process::start(command, PATIENCE)
}

fn httpx_sse(url: &str) -> Process {
    let python = std::env::var_os("SSE_PIPE_TEST_PYTHON").map(PathBuf::from);
    let python = python.unwrap_or_else(|| at("target/test-python/bin/python3"));
    assert!(python.exists(), "there is no {}: {INSTALL}", python.display());
    let mut command = Command::new(python);
    command.arg(at("tests/clients/httpx_sse_client.py")).arg(url);
    Process::start(command, PATIENCE)
}

/// An event that clients should get.
#[derive(Clone, Debug)]
struct Want {
    event: &'static str,
    data: String,
    /// The number in its ID.
    number: usize,
}

/// What comes of these records, numbered from 1.
fn wanted(event: &'static str, records: &[&str]) -> Vec<Want> {
    let numbered = records.iter().zip(1..);
    numbered.map(|(data, number)| Want { event, data: (*data).to_owned(), number }).collect()
}

/// All of them, connected to one program.
struct Clients {
    curls: [Process; 2],
    libraries: [Process; 2],
}

impl Clients {
    fn of(program: &Program) -> Clients {
        let url = program.url("/events");
        Clients {
            curls: [curl(&url, &[]), curl(&url, &["--http1.0"])],
            libraries: [eventsource(&url), httpx_sse(&url)],
        }
    }

    /// Each has got exactly these events up to the proper end of its stream. Returns the comments that each curl got.
    fn got(self, want: &[Want], ids: bool) -> [Vec<String>; 2] {
        let mut run = None;
        let comments = self.curls.map(|curl| {
            let curl = curl.finish();
            assert_eq!(curl.code, Some(0), "{curl:#?}");
            let lines = curl.stdout.split_inclusive('\n');
            let (comments, fields): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with(':'));
            assert!(fields.first().is_some_and(|line| line.starts_with("retry: ")), "{curl:#?}");
            // The first ID tells which run this is.
            let first_id = fields.iter().find_map(|line| line.strip_prefix("id: ")?.rsplit_once('-'));
            let run = run.get_or_insert_with(|| first_id.map_or(String::new(), |(run, _)| run.to_owned()));
            let blocks = want.iter().map(|Want { event, data, number }| {
                let event = if *event == "message" { String::new() } else { format!("event: {event}\n") };
                let data: String = data.split('\n').map(|line| format!("data: {line}\n")).collect();
                let id = if ids { format!("id: {run}-{number}\n") } else { String::new() };
                format!("{event}{data}{id}\n")
            });
            assert_same(&fields[1..].concat(), &blocks.collect::<String>(), &curl);
            comments.into_iter().map(str::to_owned).collect()
        });
        let run = run.expect("there were two");
        for library in self.libraries {
            got_events(library, want, |number| if ids { format!("{run}-{number}") } else { String::new() });
        }
        comments
    }
}

/// The client has got these events, with these IDs, and nothing else.
#[track_caller]
fn got_events(client: Process, want: &[Want], id: impl Fn(usize) -> String) {
    let client = client.finish();
    let line = |want: &Want| json!([want.event, want.data, id(want.number)]).to_string() + "\n";
    let want: String = want.iter().map(line).collect();
    assert_same(&client.stdout, &want, &client);
    assert_eq!(client.code, Some(0), "{client:#?}");
}

/// Shows the first line that differs; thousands of lines show nobody anything.
#[track_caller]
fn assert_same(got: &str, want: &str, client: &Finished) {
    let (mut got, mut want) = (got.split_inclusive('\n'), want.split_inclusive('\n'));
    for number in 1.. {
        match (got.next(), want.next()) {
            (None, None) => return,
            (got, want) => assert_eq!(got, want, "line {number} of {} {:#?}", client.command, client.told),
        }
    }
}

/// Records that are easily got wrong on the way.
const AWKWARD: [&str; 14] = [
    "plain",
    "",
    "",
    " a blank before, one behind ",
    "id: 7",
    ": no comment",
    "data: data: ",
    "\"quoted\" \\ \t tabbed",
    "gr\u{fc}\u{df}e \u{4e16}\u{754c} \u{1f600}\u{200d}\u{1f680}",
    "\u{feff}no byte order mark",
    // Line ends for Python's and JavaScript's own functions, not for an event stream.
    "next line \u{85}, line separator \u{2028}, paragraph \u{2029}, \u{1} \u{1e}",
    "\0",
    "",
    "last",
];

/// Runs sse-pipe with these options and this input for all clients at once.
fn all_get(options: &[&str], input: &[u8], want: &[Want], status: i32) -> [Vec<String>; 2] {
    let retry: &[&str] = if options.contains(&"--retry") { &[] } else { &["--retry", "50ms"] };
    let mut program = Program::start(&[&["--wait", CLIENTS], retry, options].concat());
    let clients = Clients::of(&program);
    program.write(input);
    program.close_input();
    let comments = clients.got(want, !options.contains(&"--no-id"));
    let ended = program.end();
    assert_eq!(ended.code(), Some(status), "{options:?}: {:#?}", ended.told);
    comments
}

#[test]
#[ignore = "needs curl, node and python3: tests/run"]
fn every_client_makes_one_event_of_each_line_and_nothing_else() {
    let input = AWKWARD.join("\n");
    for (event, options) in [
        ("message", &[][..]),
        ("message", &["--no-id"]),
        ("message", &["--retry", "20ms-200ms"]),
        ("tick", &["-e", "tick"]),
        ("tick", &["-e", "tick", "--no-id", "--heartbeat", "10ms"]),
    ] {
        all_get(options, input.as_bytes(), &wanted(event, &AWKWARD), 0);
    }
}

#[test]
#[ignore = "needs curl, node and python3: tests/run"]
fn every_client_gets_thousands_of_events_in_order() {
    let _places = busy();
    let records: Vec<String> = (1..=5000).map(|n| format!("event {n}")).collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    all_get(&[], (records.join("\n") + "\n").as_bytes(), &wanted("message", &records), 0);
}

#[test]
#[ignore = "needs curl, node and python3: tests/run"]
fn every_client_makes_one_event_of_a_record_with_many_lines() {
    let records = ["one\ntwo", "\n", "cr\rlf\ncrlf\r\nend", "\n\nafter\n\n", "", "\r", "id: 7\nevent: x\n\ndata: y"];
    let input = records.map(|record| format!("{record}\0")).concat();
    let got = records.map(|record| record.replace("\r\n", "\n").replace('\r', "\n"));
    let want = wanted("message", &got.each_ref().map(String::as_str));
    all_get(&["-0"], input.as_bytes(), &want, 0);
    all_get(&["-0", "--no-id"], input.as_bytes(), &want, 0);
}

#[test]
#[ignore = "needs curl, node and python3: tests/run"]
fn no_client_makes_an_event_of_a_skipped_record() {
    let input = b"eleven char\none\nlong, too long\nlonger still and last but one\ntwo\nmuch too long at the end";
    let want = [("one", 2), ("two", 5)].map(|(data, number)| Want { event: "message", data: data.into(), number });
    for ids in [&[][..], &["--no-id"]] {
        let comments = all_get(&[&["--max-record", "10"], ids].concat(), input, &want, 1);
        for comments in comments {
            let left_out = |(line, number): (&String, usize)| line.contains(&format!("record {number} skipped"));
            assert!(comments.len() == 4 && comments.iter().zip([1, 3, 4, 6]).all(left_out), "{comments:#?}");
        }
    }
}

#[test]
#[ignore = "needs curl, node and python3: tests/run"]
fn every_client_sees_the_end_event_last() {
    let mut want = wanted("message", &["one", "two"]);
    want.push(Want { event: "end", data: "2".into(), number: 3 });
    all_get(&["--end-event", "end"], b"one\ntwo\n", &want, 0);
}

#[test]
#[ignore = "needs curl, node and python3: tests/run"]
fn no_client_makes_an_event_of_a_heartbeat() {
    const BEATS: usize = 3;
    let mut program = Program::start(&["-v", "--retry", "50ms", "--heartbeat", "50ms"]);
    let clients = Clients::of(&program);
    (0..CLIENTS.parse().expect("is a number")).for_each(|_| drop(program.wait_for("joined")));
    let mut raw = program.stream();
    let records = ["one", "two", "three"];
    for record in records {
        // Time enough for the others to get some too: each counts from the same event.
        let mut beats = 0;
        while beats < BEATS {
            let chunk = raw.next_chunk().expect("the stream goes on");
            beats += usize::from(chunk.starts_with(b":"));
        }
        program.write(format!("{record}\n"));
    }
    program.close_input();
    drop(raw); // it would be waited for
    for comments in clients.got(&wanted("message", &records), true) {
        assert!(comments.len() >= BEATS && comments.iter().all(|line| line == ":\n"), "{comments:#?}");
    }
    assert_eq!(program.end().code(), Some(0));
}

/// A proxy that cuts its n-th connection after as many bytes of the answer's content as `cuts` has there (or at the
/// next place where the client can stand it); those beyond are left alone.
fn cutting_proxy(server: SocketAddr, cuts: Vec<usize>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
    let address = listener.local_addr().expect("is bound");
    // It ends with the test's process. One connection after the other: its client has no two at once.
    spawn(move || {
        for cut in cuts.into_iter().map(Some).chain(std::iter::repeat(None)) {
            let Ok((client, _)) = listener.accept() else { return };
            // A connection that fails is one that does not reconnect: the test will notice.
            let _ = forward(&client, server, cut);
        }
    });
    address
}

/// Takes one request to the server and its answer back: all, or at least `cut` bytes of the content.
fn forward(mut client: &TcpStream, server: SocketAddr, cut: Option<usize>) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    for socket in [client, &server] {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
    }
    server.write_all(&head(client)?)?;
    client.write_all(&head(&server)?)?;
    let Some(cut) = cut else { return std::io::copy(&mut server, &mut client).map(drop) };
    let mut content = vec![0; cut];
    server.read_exact(&mut content)?;
    while has_half_an_event(&content) {
        let at = content.len();
        content.push(0);
        server.read_exact(&mut content[at..])?;
    }
    client.write_all(&content)
}

/// Whether a cut here would leave eventsource@2 with data, and not yet the blank line. It keeps such data for its next
/// connection, and puts them before those of the event that comes first there: no server can help it.
fn has_half_an_event(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    let open = text.rsplit("\n\n").next().expect("has a last part");
    open.split_once("data: ").is_some_and(|(_, data)| data.contains('\n'))
}

/// Reads up to the blank line, and not a byte further.
fn head(mut socket: &TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}

#[test]
#[ignore = "needs node: tests/run"]
fn an_eventsource_loses_and_repeats_nothing_wherever_a_connection_is_cut_that_it_can_survive() {
    let records: Vec<String> = (1..=300).map(|n| format!("event {n}")).collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    let mut program = Program::start(&["-v", "--retry", "1ms"]);
    // The first is long enough for the client to be told its reconnection time.
    let cuts: Vec<usize> = (1..=150).rev().collect();
    let proxy = cutting_proxy(program.address(), cuts.clone());
    let client = eventsource(&format!("http://{proxy}/events"));
    program.write(records.join("\n") + "\n");
    let run = program.stream().next_event().expect("there are events").id;
    let run = run.strip_suffix("-1").expect("is the first");
    cuts.iter().for_each(|_| drop(program.wait_for("reconnected")));
    program.close_input();
    got_events(client, &wanted("message", &records), |number| format!("{run}-{number}"));
    assert_eq!(program.end().code(), Some(0));
}
