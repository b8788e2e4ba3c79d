//! The examples, run as a person would run them.

use crate::support::browser::{Browser, open, report};
use crate::support::client::{End, Event};
use crate::support::example::Example;
use crate::support::files::{Folder, at, read};
use crate::support::places::busy;
use crate::support::process::{INSTALL, Process};
use crate::support::program::{BINARY, Program};
use crate::support::servers::Redis;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::spawn;
use std::time::Duration;

fn event(event: &str, data: &str, id: &str) -> Event {
    Event { event: event.to_owned(), data: data.to_owned(), id: id.to_owned() }
}

/// The program that a test needs and tests/run installs.
fn has(program: &str) {
    let found = Command::new("sh").args(["-c", &format!("PATH=$PATH:/usr/sbin command -v {program}")]).output();
    assert!(found.is_ok_and(|output| output.status.success()), "no {program}: {INSTALL}");
}

#[test]
fn a_log_of_json_comes_with_types_of_its_own_though_it_is_rotated() {
    let folder = Folder::new();
    let log = folder.0.join("log");
    let append = |text: &str| {
        let mut file = OpenOptions::new().create(true).append(true).open(&log).expect("the folder is ours");
        file.write_all(text.as_bytes()).expect("there is room");
    };
    append("{\"type\":\"order\",\"n\":1}\n{\"type\":\"visit\",\"n\":2}\n");
    let mut program = Example::start(&format!("json-log.sh {} --port 0", log.display()), &[]);
    let mut client = program.stream();
    let mut next = || {
        let Event { event, data, .. } = client.next_event().expect("it goes on");
        (event, data)
    };
    let pair = |event: &str, data: &str| (event.to_owned(), data.to_owned());
    assert_eq!(next(), pair("order", r#"{"type":"order","n":1}"#));
    assert_eq!(next(), pair("visit", r#"{"type":"visit","n":2}"#));
    append("no JSON\n");
    assert_eq!(next(), pair("", "no JSON"));
    std::fs::rename(&log, folder.0.join("log.1")).expect("the folder is ours");
    append("{\"type\":\"order\",\"n\":3}\n");
    program.wait_for("tail: ");
    assert_eq!(next(), pair("order", r#"{"type":"order","n":3}"#));
}

#[test]
fn satellites_have_a_name_and_a_position() {
    let program = Example::start("satellites.sh | sse-pipe --port 0", &[]);
    let data = program.stream().next_event().expect("it goes on").data;
    assert!(data.contains("\"name\":"), "{data}");
    assert!(member(&data, "lat").abs() <= 90.0 && member(&data, "lon").abs() <= 180.0, "{data}");
}

#[test]
#[ignore = "needs curl: tests/run"]
fn a_relay_keeps_types_and_ids() {
    has("curl");
    let mut origin = Program::start(&["-e", "tick"]);
    let relay = Example::start(&format!("relay.sh {} --port 0", origin.url("/events")), &[]);
    origin.write("one\ntwo\n");
    let (mut near, mut far) = (origin.stream(), relay.stream());
    for _ in 0..2 {
        assert_eq!(far.next_event(), near.next_event());
    }
    origin.write("three\n");
    assert_eq!(far.next_event(), near.next_event());
}

#[test]
#[ignore = "needs curl: tests/run"]
fn a_relay_resumes_a_lost_stream_and_its_clients_continue() {
    has("curl");
    let origin = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
    let url = format!("http://{}/", origin.local_addr().expect("is bound"));
    // One answer, whole but for its end.
    let answer = |events: &str| {
        let (mut socket, _) = origin.accept().expect("the relay comes");
        let mut request = BufReader::new(&socket).lines();
        assert!(request.any(|line| line.is_ok_and(|line| line.is_empty())), "no request");
        let (head, size) = ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", events.len());
        write!(socket, "{head}{size:x}\r\n{events}\r\n").expect("curl takes it");
        socket
    };
    let starting = spawn(move || Example::start(&format!("relay.sh {url} --port 0"), &[]));
    let socket = answer("id: a\ndata: 1\n\nid: b\ndata: 2\n\nid: c\ndata: hal");
    let mut relay = starting.join().expect("it starts");
    let mut client = relay.stream();
    assert_eq!(client.data(2), ["1", "2"]);
    drop(socket);
    relay.wait_for("curl: (18)");
    assert_eq!(client.rest(), (Vec::new(), End::Proper));

    let socket = answer("id: a\ndata: 1\n\nid: b\ndata: 2\n\nid: c\ndata: 3\n\n");
    let line = relay.wait_for("listening on");
    relay.port = line.trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok()).expect("has a port");
    assert_eq!(relay.stream().data(3), ["1", "2", "3"]);
    let mut client = relay.stream_with("/events", "Last-Event-ID: b\r\n");
    assert_eq!(client.next_event(), Some(event("", "3", "c")));
    drop(socket);
}

/// A broker with the topic `orders`, and its address.
#[track_caller]
fn kafka() -> (Process, String) {
    has("kcat");
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-python/bin/python3");
    assert!(python.exists(), "there is no {}: {INSTALL}", python.display());
    let mut command = Command::new(python);
    command.arg("tests/clients/kafka_mock.py");
    let mut kafka = Process::start(command, Duration::from_secs(120));
    let said = kafka.says(|line| line.starts_with("listening at "));
    let broker = said.unwrap_or_else(|| panic!("no broker: {:?}", kafka.told()));
    (kafka, broker.trim_start_matches("listening at ").to_owned())
}

#[test]
#[ignore = "needs kcat and python3: tests/run"]
fn with_a_store_kafka_continues_after_a_kill_without_loss_or_repeat() {
    let (_kafka, broker) = kafka();
    let script = format!("kafka.sh {broker} orders --port 0");
    let folder = Folder::new();
    let store = folder.0.join("store").to_string_lossy().into_owned();
    let mut next = 0;
    for _ in 0..4 {
        let program = Example::start(&script, &[("STORE", &store)]);
        let after = if next == 0 { String::new() } else { format!("Last-Event-ID: {}\r\n", next - 1) };
        let mut client = program.stream_with("/events", &after);
        for _ in 0..15 {
            assert_eq!(client.next_event().expect("it goes on").id, next.to_string());
            next += 1;
        }
        assert_eq!(client.comments, [""; 0]);
        program.kill();
    }
    let args = ["--format", "json", "--id-from", "/offset", "--at-eof", "serve", "--store", &store];
    let program = Program::start_with(&args, Stdio::null());
    let mut client = program.stream();
    let whole: Vec<usize> =
        std::iter::from_fn(|| client.next_event()).map(|event| event.id.parse().expect("an offset")).collect();
    assert!(whole.len() >= next && whole.iter().copied().eq(0..whole.len()), "each is there once: {whole:?}");
}

#[test]
#[ignore = "needs kcat and python3: tests/run"]
fn kafka_comes_with_keys_as_types_and_offsets_as_ids_that_hold_at_every_instance() {
    let (_kafka, broker) = kafka();
    let script = format!("kafka.sh {broker} orders --port 0");

    let message = |number: usize| {
        let key = if number.is_multiple_of(2) { "even" } else { "odd" };
        event(key, &format!("message {number}\nsecond line, ü"), &number.to_string())
    };
    let first = Example::start(&script, &[]);
    let mut client = first.stream();
    (0..20).for_each(|number| assert_eq!(client.next_event(), Some(message(number))));
    let second = Example::start(&script, &[]);
    second.stream().data(20);
    drop(first);
    let mut client = second.stream_with("/events", "Last-Event-ID: 19\r\n");
    (20..40).for_each(|number| assert_eq!(client.next_event(), Some(message(number))));
    assert_eq!(client.comments, [""; 0], "nothing was missed");
}

#[test]
#[ignore = "needs redis-server and python3: tests/run"]
fn a_redis_stream_comes_with_its_ids_which_hold_at_every_instance() {
    has("redis-server");
    let mut redis = Redis::start();
    let script = "redis-stream.py orders | sse-pipe --format sse --at-eof exit --port 0";
    let mut ids: Vec<_> = ["1", "2", "\"zwölf\\nZeilen\""].iter().map(|n| redis.add("orders", "n", n)).collect();
    let first = Example::start(script, &[("REDIS_URL", &redis.url())]);
    let mut client = first.stream();
    let data = [r#"{"n": "1"}"#, r#"{"n": "2"}"#, r#"{"n": "zwölf\nZeilen"}"#];
    for (data, id) in data.iter().zip(&ids) {
        assert_eq!(client.next_event(), Some(event("", data, id)));
    }
    let second = Example::start(script, &[("REDIS_URL", &redis.url())]);
    assert_eq!(second.stream().data(3), data);
    drop(first);
    assert_eq!(client.next_event(), None);
    ids.push(redis.add("orders", "n", "4"));
    let mut client = second.stream_with("/events", &format!("Last-Event-ID: {}\r\n", ids[2]));
    assert_eq!(client.next_event(), Some(event("", r#"{"n": "4"}"#, &ids[3])));
    assert_eq!(client.comments, [""; 0], "nothing was missed");
}

#[test]
#[ignore = "needs redis-server and python3: tests/run"]
fn with_a_store_a_redis_stream_goes_on_after_a_kill_without_loss_or_repeat() {
    has("redis-server");
    let mut redis = Redis::start();
    let (folder, mut ids, mut got) = (Folder::new(), Vec::new(), Vec::new());
    let environment = [("REDIS_URL", redis.url()), ("STORE", folder.0.join("store").to_string_lossy().into_owned())];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let script = "redis-stream.py orders \"$(sse-pipe --store \"$STORE\" --last-id)\" |
        sse-pipe --format sse --store \"$STORE\" --at-eof exit --port 0";
    for round in 0..4 {
        // Some come while nobody is there.
        ids.extend((0..5).map(|n| redis.add("orders", "n", &format!("{round}-{n}"))));
        let program = Example::start(script, &environment);
        let after = got.last().map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        let mut client = program.stream_with("/events", &after);
        ids.extend((5..10).map(|n| redis.add("orders", "n", &format!("{round}-{n}"))));
        while got.len() < ids.len() {
            got.push(client.next_event().expect("it goes on").id);
        }
        assert_eq!((&got, client.comments.len()), (&ids, 0));
        program.kill();
    }
    let program =
        Program::start_with(&["--format", "sse", "--at-eof", "serve", "--store", environment[1].1], Stdio::null());
    let mut client = program.stream();
    let whole: Vec<_> = std::iter::from_fn(|| client.next_event()).map(|event| event.id).collect();
    assert_eq!(whole, ids, "each is there once");
}

#[test]
fn systemd_accepts_the_units() {
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        return eprintln!("not tried: there is no systemd-analyze");
    };
    assert!(version.status.success());
    let folder = Folder::new();
    for name in ["journal.service", "vmstat.service"] {
        let unit = read(&format!("examples/{name}"));
        // The script would have to be installed.
        let script = at("examples/journal.sh");
        let unit = unit.replace("/usr/local/bin/sse-pipe-journal", script.to_str().expect("is text"));
        let path = folder.0.join(name);
        std::fs::write(&path, unit).expect("can be written");
        let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output();
        let output = output.expect("it is there");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !stderr.contains(&format!("{name}:")), "{stderr}");
    }
}

#[test]
fn the_pipe_of_a_unit_ends_with_its_producer() {
    let unit = read("examples/vmstat.service");
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("there is one");
    let pipe = command.strip_prefix("/bin/sh -c '").and_then(|rest| rest.strip_suffix('\'')).expect("is a pipe");
    // `vmstat -n 1` is `head -n 1` here: it ends when it has printed a line.
    let folder = Folder::new();
    symlink("/usr/bin/head", folder.0.join("vmstat")).expect("the folder is ours");
    let binaries = Path::new(BINARY).parent().expect("is in a folder");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("{pipe} --port 0")]);
    command.env("PATH", format!("{}:{}", folder.0.display(), binaries.display()));
    let mut program = Program::start_command(command, Stdio::piped());
    let mut client = program.stream();
    program.write("figures\n");
    assert_eq!(client.rest(), (vec!["figures".to_owned()], End::Proper));
    assert_eq!(program.end().code(), Some(0));
}

#[test]
#[ignore = "needs gpsd and chromium: tests/run"]
fn a_page_with_a_map_shows_the_recorded_track() {
    let _places = busy();
    has("gpspipe");
    let mut command = Command::new("examples/gps-map.sh");
    command.args([BINARY, "--port", "0", "--page", "examples/map.html"]).env("GPS_CYCLE", "0");
    let program = Program::start_command(command, Stdio::null());
    let fixes = recorded_fixes().len();
    let counted = format!("document.getElementById('text').textContent.includes('({fixes} fixes)')");
    let drawn = "document.getElementById('track').getAttribute('points').split(' ').length";
    let inside = "(([x, y]) => x > 0 && x < innerWidth && y > 0 && y < innerHeight)";
    let points = "document.getElementById('track').getAttribute('points').split(' ').map((point) => point.split(','))";
    let track = format!("{drawn} === {fixes} && {points}.every({inside})");
    let report = report(open(Browser::Chromium, &program.url("/"), &[&counted, &track]));
    assert!(!report.to_string().contains("openstreetmap"), "asked for tiles unasked: {report}");
    assert_eq!(program.end().code(), Some(0));
}

/// Latitude and longitude of each fix of the recorded track: `$GPRMC` sentences (NMEA 0183).
fn recorded_fixes() -> Vec<(f64, f64)> {
    let track = std::fs::read_to_string("examples/track.nmea").expect("it is there");
    let degrees = |value: &str, side: &str| {
        let (whole, minutes) = value.split_at(value.find('.').expect("is ddmm.mmmm") - 2);
        let degrees = whole.parse::<f64>().expect("degrees") + minutes.parse::<f64>().expect("minutes") / 60.0;
        if side == "S" || side == "W" { -degrees } else { degrees }
    };
    let sentences = track.lines().filter(|line| line.starts_with("$GPRMC,"));
    let fields = sentences.map(|line| line.split(',').collect::<Vec<_>>());
    fields.map(|fields| (degrees(fields[3], fields[4]), degrees(fields[5], fields[6]))).collect()
}

/// The number behind `"name":` in a JSON text of gpsd's.
#[track_caller]
fn member(json: &str, name: &str) -> f64 {
    let (_, rest) = json.split_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name} in {json}"));
    let end = rest.find([',', '}']).expect("it goes on");
    rest[..end].parse().unwrap_or_else(|_| panic!("{name} is no number in {json}"))
}

#[test]
#[ignore = "needs gpsd: tests/run"]
fn a_recorded_track_comes_through_gpsd_fix_by_fix() {
    assert!(Command::new("gpspipe").arg("-V").output().is_ok(), "no gpspipe: run tests/run, which installs it");
    let mut command = Command::new("examples/gps-map.sh");
    command.args([BINARY, "--port", "0"]).env("GPS_CYCLE", "0");
    let program = Program::start_command(command, Stdio::null());
    let (data, end) = program.stream().rest();
    assert_eq!(end, End::Proper);
    let fixes: Vec<_> = data
        .iter()
        .filter(|json| json.contains("\"class\":\"TPV\""))
        .map(|json| (member(json, "lat"), member(json, "lon")))
        .collect();
    let recorded = recorded_fixes();
    assert!(recorded.len() > 100, "{} recorded", recorded.len());
    assert_eq!(fixes.len(), recorded.len(), "{data:#?}");
    for (nth, (got, want)) in fixes.iter().zip(&recorded).enumerate() {
        assert!((got.0 - want.0).abs() < 1e-6 && (got.1 - want.1).abs() < 1e-6, "fix {nth}: {got:?}, not {want:?}");
    }
    assert_eq!(program.end().code(), Some(0));
}
