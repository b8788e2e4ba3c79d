//! Who gets in (behaviour 7.1 to 7.3).

use crate::support::program::{Program, run};
use std::process::Stdio;

#[test]
fn it_listens_only_on_loopback_by_default() {
    let program = Program::start(&[]);
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("Linux tells");
    let port = format!(":{:04X}", program.port);
    let listening: Vec<_> = sockets
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1).filter(|_| line.contains(" 00000000:0000 0A ")))
        .filter(|address| address.ends_with(&port))
        .collect();
    assert_eq!(listening, [format!("0100007F{port}")], "127.0.0.1 and nothing else");
}

#[test]
fn each_bind_has_its_line_and_the_same_port() {
    let mut program = Program::start(&["-b", "127.0.0.2", "-b", "127.0.0.3"]);
    let second = program.wait_for("listening");
    assert_eq!(second, format!("sse-pipe: listening on http://127.0.0.3:{}/", program.port));
    for address in ["127.0.0.2", "127.0.0.3"] {
        assert!(std::net::TcpStream::connect((address, program.port)).is_ok(), "{address}");
    }
    assert!(std::net::TcpStream::connect(("127.0.0.1", program.port)).is_err(), "nothing was said of this one");
}

#[test]
fn addresses_that_cover_each_other_are_no_problem() {
    for binds in [&["-b", "0.0.0.0", "-b", "localhost"][..], &["-b", "localhost", "-b", "127.0.0.1"], &["-b", "::"]] {
        let program = Program::start(binds);
        assert_eq!(program.stream().status, 200, "{binds:?}");
    }
}

#[test]
fn a_page_of_another_origin_gets_nothing_and_the_terminal_says_what_would_help() {
    let mut program = Program::start(&[]);
    program.write("secret\n");
    for _ in 0..3 {
        let mut client = program.get("/events", "Origin: https://evil.example\r\n");
        assert_eq!(client.status, 403);
        assert!(!client.content().contains("secret"));
        assert_eq!(client.field("Access-Control-Allow-Origin"), None);
    }
    program.get("/events", "Origin: null\r\n");
    program.get("/events", "Origin: https://a.example\u{1b}[2J\r\n");
    program.close_input();
    program.stream().rest();
    let told = program.end().told;
    let count = |text: &str| told.iter().filter(|line| line.contains(text)).count();
    assert_eq!(count("refused a page of https://evil.example; --cors-origin https://evil.example would let it in"), 1);
    assert_eq!(count("--page FILE"), 1, "{told:?}");
    assert_eq!(count("--cors-origin null"), 1, "{told:?}");
    assert!(!told.concat().contains('\u{1b}'), "{told:?}");
}

#[test]
fn what_a_page_of_another_site_embeds_is_refused_and_is_not_a_client() {
    for args in [&[][..], &["-o", "*"], &["-o", "null"], &["-o", "https://app.example"], &["-o", "none"]] {
        let mut program = Program::start(&[args, &["--wait", "1", "--page", "Cargo.toml"]].concat());
        program.write("a\n");
        program.close_input(); // which nobody reads before a client has joined
        for (mode, destination) in
            [("no-cors", "image"), ("no-cors", "script"), ("no-cors", "video"), ("navigate", "iframe")]
        {
            for (path, accept) in
                [("/events", "*/*"), ("/", "image/avif,*/*"), ("/events?notices=event", "text/event-stream")]
            {
                let fields = format!(
                    "Accept: {accept}\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: {mode}\r\nSec-Fetch-Dest: {destination}\r\n"
                );
                let mut client = program.get(path, &fields);
                assert_eq!(client.status, 403, "{args:?} {path} {fields}");
                assert!(client.content().contains("may not embed"), "{args:?} {path} {fields}");
            }
        }
        // A link to the page works, and so does a frame of it for its owner to decide on; a part of it is refused.
        for (mode, destination, status) in [
            ("navigate", "document", 200),
            ("navigate", "iframe", 200),
            ("no-cors", "script", 403),
            ("cors", "script", 200),
        ] {
            let fields = format!(
                "Accept: text/html\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: {mode}\r\nSec-Fetch-Dest: {destination}\r\n"
            );
            for path in ["/", "/viewer"] {
                assert_eq!(program.get(path, &fields).status, status, "{args:?} {path} {fields}");
            }
        }
        program.signal("USR1");
        program.wait_for("clients: 0 now, 0 so far; 0 events, 0 bytes read");
        // The person's own browser, by a link, and pages of our own site.
        let mut last = program
            .get("/events", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n");
        assert_eq!((last.status, last.rest().0), (200, vec!["a".to_owned()]), "{args:?}");
        let ended = program.end();
        let told: Vec<_> = ended.told.iter().filter(|line| line.contains("embeds")).collect();
        assert_eq!(told.len(), 1, "{args:?}: once: {:#?}", ended.told);
        assert!(told[0].contains("EventSource") && told[0].contains("--cors-origin"), "{}", told[0]);
    }
    let program = Program::start(&[]);
    for site in ["same-site", "same-origin", "none"] {
        let fields = format!("Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n");
        assert_eq!(program.get("/events", &fields).status, 200, "{site}");
    }
}

#[test]
fn an_allowed_origin_can_read_every_answer() {
    let program = Program::start(&["-o", "local,https://app.example"]);
    for origin in ["http://localhost:3000", "https://app.example"] {
        for (path, status) in [("/events", 200), ("/nowhere", 404), ("/viewer", 200)] {
            let client = program.get(path, &format!("Origin: {origin}\r\n"));
            assert_eq!(client.status, status);
            assert_eq!(client.field("Access-Control-Allow-Origin").as_deref(), Some(origin), "{}", client.head);
            assert_eq!(client.field("Access-Control-Allow-Credentials").as_deref(), Some("true"));
            assert!(client.field("Vary").is_some_and(|vary| vary.contains("Origin")), "{}", client.head);
        }
    }
}

#[test]
fn a_page_of_an_allowed_origin_can_read_what_was_wrong_with_its_request() {
    let program = Program::start(&[]);
    let long = "a".repeat(9000);
    for (target, fields, status) in [
        (format!("/{long}"), String::new(), 414),
        ("/".to_owned(), format!("Cookie: {long}{long}\r\n"), 431),
        ("/".to_owned(), "A : b\r\n".to_owned(), 400),
        ("/".to_owned(), "Transfer-Encoding: gzip, chunked\r\n".to_owned(), 501),
    ] {
        for (origin, allowed) in [("http://localhost:3000", true), ("https://evil.example", false)] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n{fields}\r\n");
            let client = program.request(&head);
            let told = client.field("Access-Control-Allow-Origin");
            assert_eq!((client.status, told), (status, allowed.then(|| origin.to_owned())), "{origin}");
        }
    }
}

#[test]
fn nothing_that_a_request_says_can_harm_a_terminal_or_a_person_who_pastes_from_it() {
    let mut program = Program::start(&[]);
    let evil = [
        "https://a.example;touch$IFS/tmp/pwned",
        "https://$(reboot).example",
        "https://`id`",
        "https://a.example\u{1b}]0;title\u{7}",
        "https://a.example\u{202e}moc.live",
        "https://a.example\u{9b}2J",
        "'; reboot #",
    ];
    for origin in evil {
        let status = program.get("/events", &format!("Origin: {origin}\r\n")).status;
        assert!(matches!(status, 400 | 403), "{origin:?}: {status}");
    }
    for host in ["$(reboot).example", "a;b.example", "a\u{1b}[2J.example"] {
        let answer = program.request(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.status, 400, "{host:?}");
    }
    program.get("/events", "Origin: HTTPS://Shout.Example:443\r\n");
    program.close_input();
    program.stream().rest();
    let told = program.end().told.join("\n");
    let commands: Vec<_> = told.lines().filter(|line| line.contains("--cors-origin ")).collect();
    let want = "sse-pipe: refused a page of https://shout.example; --cors-origin https://shout.example would let it in";
    assert_eq!(commands, [want], "{told}");
    assert_eq!(told.matches("malformed Origin").count(), 1, "once: {told}");
    assert!(!told.contains(['\u{1b}', '\u{7}', '\u{202e}', '\u{9b}']), "{told:?}");
}

#[test]
fn what_a_client_sent_is_cut_where_it_is_shown() {
    let mut program = Program::start(&[]);
    let long = "x".repeat(15_000);
    let origin = |origin: &str| program.get("/events", &format!("Origin: {origin}\r\n")).status;
    assert_eq!(origin(&format!("https://{long}.example")), 403);
    assert_eq!(origin(&format!("https://{long}.example/path")), 403);
    let answer = program.request(&format!("GET / HTTP/1.1\r\nHost: {long}.example\r\n\r\n"));
    assert_eq!(answer.status, 421);
    program.close_input();
    program.stream().rest();
    let told = program.end().told;
    let of = |text: &str| told.iter().filter(|line| line.contains(text)).collect::<Vec<_>>();
    let cut = format!("{}…", "x".repeat(200 - "https://".len()));
    assert_eq!(
        of("refused a page of "),
        [&format!("sse-pipe: refused a page of https://{cut}; --cors-origin with its full name would let it in")]
    );
    assert_eq!(of("malformed Origin").len(), 1);
    assert_eq!(of("refused a request for host x").len(), 1);
    assert!(told.iter().all(|line| line.chars().count() < 400), "{told:#?}");
}

#[test]
fn however_many_are_refused_the_terminal_is_not_flooded() {
    let mut program = Program::start(&[]);
    for n in 0..300 {
        assert_eq!(program.get("/events", &format!("Origin: https://{n}.example\r\n")).status, 403);
    }
    program.close_input();
    program.stream().rest();
    let told = program.end().told;
    assert_eq!(told.iter().filter(|line| line.contains("refused a page")).count(), 256);
    assert_eq!(
        told.iter().filter(|line| line.contains("no more refusals will be reported")).count(),
        1,
        "and that is told"
    );
}

#[test]
fn an_origin_that_may_read_gets_the_fields_of_cors() {
    for (args, origin, status, allowed) in [
        (&[][..], "http://127.0.0.1:80", 200, Some("http://127.0.0.1:80")),
        (&["-o", "*"], "https://any.example", 200, Some("*")),
        (&["-o", "null"], "null", 200, Some("null")),
        (&["-o", "none"], "http://localhost:1", 403, None),
        (&["-o", "https://app.example"], "http://localhost:1", 403, None),
    ] {
        let program = Program::start(args);
        let client = program.get("/events", &format!("Origin: {origin}\r\n"));
        let got = (client.status, client.field("Access-Control-Allow-Origin"));
        assert_eq!(got, (status, allowed.map(str::to_owned)), "{args:?} {origin}");
        let own = program.get("/events", &format!("Origin: http://localhost:{}\r\n", program.port));
        assert_eq!(own.status, 200, "its own origin is never another");
        assert_eq!(program.stream().status, 200, "curl sends no Origin");
    }
}

#[test]
fn a_preflight_is_answered_for_those_who_may_read() {
    let program = Program::start(&[]);
    let preflight = |origin: &str| {
        let fields = format!(
            "Origin: {origin}\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: last-event-id\r\n"
        );
        program.request(&format!("OPTIONS /events HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"))
    };
    let client = preflight("http://localhost:3000");
    assert_eq!(client.status, 204);
    for (name, value) in [
        ("Access-Control-Allow-Origin", "http://localhost:3000"),
        ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
        ("Access-Control-Allow-Headers", "Last-Event-ID, Cache-Control, Authorization"),
    ] {
        assert_eq!(client.field(name).as_deref(), Some(value), "{}", client.head);
    }
    assert!(client.field("Access-Control-Max-Age").is_some());
    assert_eq!(preflight("https://evil.example").status, 403);
}

#[test]
fn a_rebound_name_is_refused() {
    let mut program = Program::start(&["--allow-host", "app.example", "-o", "local,https://page.example"]);
    let get = |host: &str| program.request(&format!("GET /events HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    for host in ["localhost", "127.0.0.1:6502", "[::1]", "x.localhost", "upstream", "app.example:80", "page.example"] {
        assert_eq!(get(host).status, 200, "{host}");
    }
    let mut refused = get("rebound.example");
    assert_eq!(refused.status, 421);
    assert!(refused.content().contains("--allow-host rebound.example"));
    assert_eq!(get("rebound.example").status, 421);
    program.wait_for("refused a request for host rebound.example; --allow-host rebound.example would let it in");
    program.close_input();
    let told = program.end().told;
    assert_eq!(told.iter().filter(|line| line.contains("rebound.example")).count(), 1, "once: {told:?}");
    let open = Program::start(&["-o", "*"]);
    let client = open.request("GET /events HTTP/1.1\r\nHost: rebound.example\r\n\r\n");
    assert_eq!(client.status, 200, "where everybody may read, there is nothing to protect");
}

#[test]
fn an_invalid_value_is_a_usage_error_that_names_it() {
    for (args, parts) in [
        (&["--port", "70000"][..], &["70000", "--port", "65535"][..]),
        (&["--port", "x"], &["'x'", "--port"]),
        (&["--event", "two\nlines"], &["--event", "two\\nlines", "line break"]),
        (&["--event", ""], &["--event", "not be empty"]),
        (&["--end-event", "a\rb"], &["--end-event", "line break"]),
        (
            &["--cors-origin", "https://a.example/path"],
            &["--cors-origin", "https://a.example/path", "without a path", "try --cors-origin https://a.example"],
        ),
        (&["--cors-origin", "none,local"], &["--cors-origin", "none"]),
        (&["--retry", "3s-1s"], &["--retry", "3s-1s", "shorter"]),
        (&["--retry", "0"], &["--retry"]),
        (&["--heartbeat", "soon"], &["--heartbeat", "soon", "15s"]),
        (&["--heartbeat", "99999999999999999999s"], &["--heartbeat"]),
        (&["--max-record", "1 elephant"], &["--max-record", "16MiB"]),
        (&["--max-record", "999999999999999GiB"], &["--max-record"]),
        (&["--max-record", "0"], &["--max-record"]),
        (&["--max-record", "65MiB"], &["--max-record", "buffer"]),
        (&["--threads", "0"], &["--threads"]),
        (&["--max-clients", "2", "--wait", "3"], &["--wait 3", "--max-clients 2"]),
        (&["--max-clients", "0"], &["--max-clients", "1 or more"]),
        (&["--at-eof", "explode"], &["--at-eof", "wait", "exit", "serve"]),
        (&["--allow-host", "http://a.example/"], &["--allow-host", "without scheme"]),
        (&["--completions", "tcsh"], &["--completions", "tcsh", "bash"]),
        (&["--bind", ""], &["--bind"]),
        (&["--bind", "unix:"], &["--bind", "path"]),
        (&["--bind", "127.0.0.1:80"], &["--bind", "127.0.0.1:80", "--port"]),
        (&["--wait=-1"], &["--wait", "0 or more"]),
        (&["--heartbeat", "1ns"], &["--heartbeat", "1ns", "10ms"]),
        (&["--retry", "48h"], &["--retry", "48h", "at most 24h"]),
        (&["\u{1b}[31mred"], &["\\u{1b}[31mred"]),
        (&["--quiet", "--verbose"], &["--quiet", "--verbose"]),
        (&["--nonsense"], &["--nonsense"]),
        (&["--opne"], &["--opne", "'--open'"]),
        (&["--tail", "x"], &["--tail", "'x'", "a number of events"]),
        (&["--page", "no/such.html"], &["--page 'no/such.html'", "a file, or a folder with an index.html"]),
        (&["--title", " "], &["--title ' '", "it is empty"]),
        (&["--title", "two\nlines"], &["--title 'two\\nlines'", "one line, without control characters"]),
        (&["--title", "a\u{1b}[2J"], &["--title 'a\\u{1b}[2J'", "without control characters"]),
        (&["--title", &"a".repeat(1001)], &["--title", "at most 1000 bytes"]),
        (
            &["--tiles", "https://a.example/{x}/{y}.png"],
            &["--tiles 'https://a.example/{x}/{y}.png': it has no {z}", "{z}/{x}/{y}.png"],
        ),
        (&["--tiles", "a.example/{z}/{x}/{y}.png"], &["--tiles", "https://"]),
        (&["--tiles", "https://a;script-src */{z}/{x}/{y}"], &["--tiles", "'a;script-src *' is not a host"]),
        (&["--tiles", "https://a/{z}/{x}/{y}\"><b>"], &["--tiles", "'\"'"]),
        (&["--tiles", "https://a/{z}/{x}/{y}\u{1b}[2J"], &["--tiles", "y}\\u{1b}[2J'"]),
        (&["--tiles-credit", "me"], &["--tiles-credit without --tiles"]),
        (&["--tiles", "https://a/{z}/{x}/{y}", "--tiles-credit", "\n"], &["--tiles-credit '\\n'", "it is empty"]),
        (&["--token-file", "no/such"], &["--token-file 'no/such'", "openssl rand -hex 16 >FILE"]),
        (&["mygis"], &["mygis | sse-pipe (see"]),
        (&["ping", "localhost"], &["'ping'", "ping localhost | sse-pipe"]),
        (&["Cargo.toml"], &["tail -F Cargo.toml | sse-pipe"]),
        (&["8080"], &["PROGRAM | sse-pipe --port 8080"]),
        (&["--store-sync"], &["were not provided: --store"]),
    ] {
        let (code, stdout, stderr) = run(args, Stdio::null());
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}: {stderr}");
        assert!(stderr.starts_with("sse-pipe: ") && stderr.lines().count() == 1, "{args:?}: {stderr:?}");
        for part in parts {
            assert!(stderr.contains(part), "{args:?}: no {part:?} in {stderr:?}");
        }
    }
}

#[test]
fn an_address_that_cannot_be_had_is_named() {
    for (bind, text) in [
        ("192.0.2.1", "cannot listen on 192.0.2.1:0: no such address on this machine (see --bind)"),
        ("no-such-host.invalid", "cannot find the address of --bind no-such-host.invalid"),
    ] {
        let (code, _, stderr) = run(&["--port", "0", "--bind", bind], Stdio::null());
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(text), "{stderr}");
    }
}

#[test]
fn quiet_says_nothing_but_errors() {
    let (code, _, stderr) = run(&["--port", "0", "-q", "--at-eof", "exit"], Stdio::null());
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}
