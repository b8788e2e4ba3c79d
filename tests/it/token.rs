//! The token (behaviour 7.4): required for every resource, passed on by every page, and never shown where it need not
//! be.

use crate::support::client::Client;
use crate::support::files::folder;
use crate::support::program::{BINARY, Program, run};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// With what a URL has to encode.
const TOKEN: &str = "s3cret/+~token=";
const IN_URL: &str = "s3cret%2F%2B~token%3D";

/// sse-pipe with the token in its environment.
fn start(args: &[&str]) -> Program {
    let mut command = Command::new(BINARY);
    command.args(["--port", "0"]).args(args).env("SSE_PIPE_TOKEN", TOKEN);
    Program::start_command(command, Stdio::piped())
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[test]
fn every_resource_asks_for_the_token() {
    let mut program = start(&[]);
    program.write("secret record\n");
    for path in
        ["/", "/events", "/viewer", "/viewer/viewer.js", "/viewer/icon.svg", "/nowhere", "/access_token=wrong/events"]
    {
        for (query, fields) in [
            ("", String::new()),
            ("?access_token=", String::new()),
            ("?access_token=s3cret/+~token", String::new()),
            ("?access_token=s3cret/+~token==", String::new()),
            ("", bearer("wrong")),
            ("", bearer("")),
            ("", format!("Authorization: Basic {TOKEN}\r\n")),
            ("", "Accept: text/html\r\n".to_owned()),
        ] {
            let mut client = program.get(&format!("{path}{query}"), &fields);
            assert_eq!(client.status, 401, "{path}{query} {fields}");
            assert!(client.field("WWW-Authenticate").is_some_and(|value| value.starts_with("Bearer")), "{client:?}");
            let content = client.content();
            assert!(!content.contains("secret record") && !content.contains("s3cret"), "{content}");
        }
    }
    for method in ["HEAD", "POST", "OPTIONS"] {
        let client = program.request(&format!("{method} /events HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(client.status, 401, "{method}");
    }
    assert_eq!(program.stream_with("/events", &bearer(TOKEN)).data(1), ["secret record"]);
}

#[test]
fn with_the_token_all_is_as_ever() {
    let mut program = start(&[]);
    program.write("hello\n");
    let in_query = format!("/events?a=b&access_token={IN_URL}");
    let in_path = format!("/access_token={IN_URL}/events");
    for (path, fields) in [
        (in_query.as_str(), String::new()),
        ("/events?access_token=s3cret/+~token=", String::new()),
        (in_path.as_str(), String::new()),
        ("/events", bearer(TOKEN)),
        ("/events", format!("authorization: bearer {TOKEN}\r\n")),
        ("/events?access_token=wrong", bearer(TOKEN)),
        (in_query.as_str(), format!("Authorization: Basic {TOKEN}\r\n")), // a proxy's own
    ] {
        assert_eq!(program.stream_with(path, &fields).data(1), ["hello"], "{path} {fields}");
    }
    for (path, status) in [("/viewer", 200), ("/viewer/viewer.css", 200), ("/nowhere", 404)] {
        assert_eq!(program.get(path, &bearer(TOKEN)).status, status, "{path}");
        assert_eq!(program.get(&format!("/access_token={IN_URL}{path}"), "").status, status, "{path}");
    }
}

#[test]
fn a_preflight_needs_no_token() {
    let program = start(&[]);
    let preflight = |origin: &str| {
        program.request(&format!(
            "OPTIONS /events HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: GET\r\n\
             Access-Control-Request-Headers: authorization\r\n\r\n"
        ))
    };
    let client = preflight("http://localhost:3000");
    assert_eq!(client.status, 204);
    assert!(client.field("Access-Control-Allow-Headers").is_some_and(|names| names.contains("Authorization")));
    assert_eq!(preflight("https://evil.example").status, 403, "who may not read is not told more");
}

#[test]
fn a_page_of_an_allowed_origin_can_read_that_the_token_is_missing() {
    let program = start(&[]);
    let client = program.get("/events", "Origin: http://localhost:3000\r\n");
    assert_eq!(
        (client.status, client.field("Access-Control-Allow-Origin").as_deref()),
        (401, Some("http://localhost:3000"))
    );
    let other = program.get("/events", &format!("Origin: https://evil.example\r\n{}", bearer(TOKEN)));
    assert_eq!(other.status, 403, "the token is no matter of origins");
}

#[test]
fn with_a_token_any_host_will_do() {
    let program = start(&[]);
    let get = |token: &str| program.request(&format!("GET /events HTTP/1.1\r\nHost: any.example\r\n{token}\r\n"));
    assert_eq!(get(&bearer(TOKEN)).status, 200);
    assert_eq!(get("").status, 401);
}

#[test]
fn a_page_is_sent_to_where_its_relative_urls_carry_the_token() {
    let program = start(&[]);
    let get = |path: &str, fields: &str| -> Client { program.get(path, &format!("Accept: text/html\r\n{fields}")) };
    for (path, location) in [
        (format!("/?access_token={IN_URL}"), format!("./access_token={IN_URL}/")),
        (format!("/viewer?x=y&access_token={IN_URL}"), format!("./access_token={IN_URL}/viewer?x=y")),
    ] {
        let client = get(&path, "");
        assert_eq!((client.status, client.field("Location")), (307, Some(location)), "{path}");
    }
    for path in [format!("/access_token={IN_URL}/"), format!("/access_token={IN_URL}/viewer?x=y")] {
        let client = get(&path, "");
        assert_eq!((client.status, client.field("Referrer-Policy").as_deref()), (200, Some("no-referrer")), "{path}");
    }
    assert_eq!(get("/", &bearer(TOKEN)).status, 200, "what sends the field once sends it always");
}

#[test]
fn the_listening_line_shows_a_url_that_carries_it_and_no_other_line_shows_it() {
    let mut program = start(&["-v"]);
    let listening = format!("sse-pipe: listening on http://localhost:{}/?access_token={IN_URL}", program.port);
    assert_eq!(program.told, [listening]);
    for _ in 0..2 {
        assert_eq!(program.get("/events", "").status, 401);
    }
    program.stream_with(&format!("/events?access_token={IN_URL}"), "");
    program.get(&format!("/events?access_token={IN_URL}"), "Origin: https://evil.example\r\n");
    let mut client = program.stream_with("/events", &bearer(TOKEN));
    program.write("a\n");
    program.close_input();
    client.rest();
    let told = program.end().told;
    assert!(!told[1..].concat().contains("s3cret"), "{told:#?}");
    assert_eq!(told.iter().filter(|line| line.contains("without the token")).count(), 1, "once: {told:#?}");
}

#[test]
fn a_token_comes_from_a_file_too_and_one_that_others_can_read_is_warned_of() {
    let file = folder("token-file").join("token");
    let path = file.to_str().expect("is text");
    for (mode, warned) in [(0o600, false), (0o640, true), (0o604, true)] {
        std::fs::write(&file, "from-a-file\n").expect("can be written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("is ours");
        let mut program = Program::start(&["--token-file", path]);
        assert_eq!(program.get("/events", "").status, 401);
        program.write("a\n");
        program.close_input();
        assert_eq!(program.stream_with("/events", &bearer("from-a-file")).rest().0, ["a"]);
        let told = program.end().told;
        assert_eq!(told.iter().any(|line| line.contains("others can read it")), warned, "{mode:o}: {told:#?}");
    }
}

#[test]
fn a_token_that_cannot_be_meant_is_refused_and_not_shown() {
    let folder = folder("bad-tokens");
    let file = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, content).expect("can be written");
        path.to_str().expect("is text").to_owned()
    };
    for (path, part) in [
        (file("empty", b""), "empty"),
        (file("blank", b" \n\n"), "empty"),
        (file("lines", b"tok1\ntok2\n"), "one line"),
        (file("blank-inside", b"tok en\n"), "one line"),
        (file("binary", b"tok\xff"), "cannot read"),
        (file("long", &[b'a'; 5000]), "4 KiB"),
        (folder.join("missing").to_str().expect("is text").to_owned(), "No such file"),
    ] {
        let (code, _, stderr) = run(&["--port", "0", "--token-file", &path], Stdio::null());
        assert_eq!(code, Some(2), "{path}: {stderr}");
        assert!(stderr.contains("--token-file") && stderr.contains(part) && !stderr.contains("tok1"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    for (value, part) in [("", "empty"), ("two words", "one line")] {
        let output =
            Command::new(BINARY).args(["--port", "0"]).env("SSE_PIPE_TOKEN", value).stdin(Stdio::null()).output();
        let output = output.expect("it starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{value:?}: {stderr}");
        assert!(
            stderr.contains("SSE_PIPE_TOKEN") && stderr.contains(part) && !stderr.contains("two words"),
            "{stderr}"
        );
    }
}
