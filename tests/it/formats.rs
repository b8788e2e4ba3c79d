//! Formats (behaviour 3.1 to 3.3): JSON records with parts of their event, and an event stream as input.

use crate::support::client::{End, Event};
use crate::support::places::busy;
use crate::support::program::{Program, run};
use std::io::Write;
use std::process::Stdio;

/// What one client gets from this input: the stream without its first chunk, the messages, and the exit status.
fn sent(args: &[&str], input: impl AsRef<[u8]>) -> (Vec<String>, Vec<String>, Option<i32>) {
    let mut program = Program::start(&[&["--wait", "1", "--at-eof", "exit"], args].concat());
    let mut client = program.stream();
    client.next_chunk().expect("the first chunk");
    let mut stdin = program.take_stdin();
    let input = input.as_ref().to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input).expect("it reads"));
    let mut chunks = Vec::new();
    while let Some(chunk) = client.next_chunk() {
        chunks.push(String::from_utf8(chunk).expect("an event stream is UTF-8"));
    }
    writer.join().expect("all was written");
    assert_eq!(client.rest().1, End::Proper, "sse-pipe {args:?}");
    let ended = program.end();
    let mut told = ended.told.clone();
    told.retain(|line| !line.contains("listening on") && !line.ends_with("the incoming event stream has ended"));
    (chunks, told, ended.code())
}

#[test]
fn json_records_bring_type_id_and_data() {
    let all = &["--event-from", "/type", "--id-from", "/id", "--data-from", "/data"][..];
    for (args, record, want) in [
        (all, r#"{"type":"x","id":"k-1","data":"text"}"#, "event: x\ndata: text\nid: k-1\n\n"),
        (
            all,
            r#"{"data":"two\nlines\r\nand\rmore","id":7,"type":"x"}"#,
            "event: x\ndata: two\ndata: lines\ndata: and\ndata: more\nid: 7\n\n",
        ),
        (
            all,
            r#" { "type" : true , "id" : 1.50 , "data" : { "a" : [ 1 , "b c" ] } } "#,
            "event: true\ndata: {\"a\":[1,\"b c\"]}\nid: 1.50\n\n",
        ),
        (all, r#"{"type":"\u0041\ud83d\ude00","id":"é\"","data":"\ud800"}"#, "event: A😀\ndata: \u{fffd}\nid: é\"\n\n"),
        (
            &["--event-from", "/a/0/b~1c"],
            r#"{"a":[{"b/c":"x"}]}"#,
            "event: x\ndata: {\"a\":[{\"b/c\":\"x\"}]}\nid: RUN-1\n\n",
        ),
        (&["--id-from", "/id"], r#"{ "id":"k-1" }"#, "data: { \"id\":\"k-1\" }\nid: k-1\n\n"),
        (&["--data-from", "/0"], "[\"only this\", 1]", "data: only this\nid: RUN-1\n\n"),
        (&["--data-from", "/d", "-e", "name"], r#"{"d":1}"#, "event: name\ndata: 1\nid: RUN-1\n\n"),
        (&["--event-from", "/t", "-e", "name"], r#"{"t":"own"}"#, "event: own\ndata: {\"t\":\"own\"}\nid: RUN-1\n\n"),
        (&["--event-from", "/t", "--no-id"], r#"{"t":"own"}"#, "event: own\ndata: {\"t\":\"own\"}\n\n"),
        (&["--data-from", "", "--id-from", ""], "\"s\"", "data: s\nid: s\n\n"),
        (&["--data-from", "/d"], "{\"d\":\"\\u00ff\u{e9}\"}", "data: ÿé\nid: RUN-1\n\n"),
        (all, r#"{"type":"x","id":"k","data":""}"#, "event: x\ndata: \nid: k\n\n"),
        (&["--data-from", ""], r#""""#, "data: \nid: RUN-1\n\n"),
        (all, r#"{"type":"null","id":"null","data":"null"}"#, "event: null\ndata: null\nid: null\n\n"),
    ] {
        let (chunks, told, status) = sent(args, format!("{record}\n"));
        let chunks: Vec<_> = chunks.iter().map(|chunk| without_run(chunk)).collect();
        assert_eq!(chunks, [want], "{args:?} {record}");
        assert_eq!((told.as_slice(), status), (&["sse-pipe: 1 event to 1 client".to_owned()][..], Some(0)), "{record}");
    }
    let (chunks, _, _) = sent(&["-0", "--data-from", "/d"], "{\n\"d\":\n1}\0{\"d\":2}\0");
    let data: Vec<_> = chunks.iter().map(|chunk| chunk.lines().next().unwrap_or_default()).collect();
    assert_eq!(data, ["data: 1", "data: 2"], "records that end with NUL");
}

#[test]
fn what_a_record_lacks_has_its_default_and_is_reported_once_and_counted() {
    let args = &["--event-from", "/type", "--id-from", "/id", "--data-from", "/data", "-e", "other"];
    for (record, event, data, id, why) in [
        (
            r#"{"type":"x","id":1}"#,
            "x",
            r#"{"type":"x","id":1}"#,
            "1",
            "nothing at '/data' that can be data; it is sent whole",
        ),
        (r#"{"type":"x","id":1,"data":null}"#, "x", r#"{"type":"x","id":1,"data":null}"#, "1", "'/data'"),
        (r#"{"type":"","id":"","data":""}"#, "other", "", "RUN-1", "'/type'"),
        (r#"{"type":"x","data":1}"#, "x", "1", "RUN-1", "nothing at '/id' that can be an ID; it gets the default"),
        (r#"{"type":"x","data":1,"id":""}"#, "x", "1", "RUN-1", "'/id'"),
        (r#"{"type":"x","data":1,"id":null}"#, "x", "1", "RUN-1", "'/id'"),
        (r#"{"type":"x","data":1,"id":"a\u0000b"}"#, "x", "1", "RUN-1", "'/id'"),
        (r#"{"type":"x","data":1,"id":"a\nb"}"#, "x", "1", "RUN-1", "'/id'"),
        (r#"{"type":"x","data":1,"id":"a\rb"}"#, "x", "1", "RUN-1", "'/id'"),
        (r#"{"type":"x","data":1,"id":" "}"#, "x", "1", "RUN-1", "'/id'"),
        (r#"{"data":1,"id":"k"}"#, "other", "1", "k", "nothing at '/type' that can be an event type"),
        (r#"{"type":"a\nb","data":1,"id":"k"}"#, "other", "1", "k", "'/type'"),
        (r#"{"type":"a\r\ndata: forged","data":1,"id":"k"}"#, "other", "1", "k", "'/type'"),
        (r#"{"type":"","data":1,"id":"k"}"#, "other", "1", "k", "'/type'"),
        (r#"{"type":null,"data":1,"id":"k"}"#, "other", "1", "k", "'/type'"),
        ("[]", "other", "[]", "RUN-1", "'/type'"),
        ("7", "other", "7", "RUN-1", "'/type'"),
        (
            r#"{"type":"x","data":1,"id":"k"} x"#,
            "other",
            r#"{"type":"x","data":1,"id":"k"} x"#,
            "RUN-1",
            "is not JSON; it is sent whole, with",
        ),
        (
            r#"{"type":"x","data":1,"id":"k""#,
            "other",
            r#"{"type":"x","data":1,"id":"k""#,
            "RUN-1",
            "is not JSON; it is sent whole, with",
        ),
        ("type=x", "other", "type=x", "RUN-1", "is not JSON; it is sent whole, with"),
        ("", "other", "", "RUN-1", "is not JSON; it is sent whole, with"),
    ] {
        let (chunks, mut told, status) = sent(args, format!("{record}\n{record}\n{record}\n"));
        told.retain(|line| !line.contains(" has the ID of an earlier record"));
        let want = format!("event: {event}\ndata: {data}\nid: {id}\n\n");
        assert_eq!(without_run(&chunks[0]), want, "{record:?}");
        assert_eq!(chunks.len(), 3, "nothing is lost: {record:?}");
        assert_eq!(told.len(), 2, "told once, and at the end: {told:#?}");
        assert!(told[0].starts_with("sse-pipe: record 1 ") && told[0].contains(why), "{record:?}: {told:#?}");
        assert_eq!(told[1], "sse-pipe: 3 events to 1 client, 3 records incomplete");
        assert_eq!(status, Some(0), "all was sent: {record:?}");
    }
}

#[test]
fn no_record_is_too_hostile() {
    let _places = busy();
    let args = &["--event-from", "/type", "--id-from", "/a/b/c", "--data-from", "/data"];
    let deep = 300_000;
    let long = "x".repeat(10 << 20);
    let records = [
        format!("{{\"type\":\"deep\",\"skipped\":{}{}}}", "[".repeat(deep), "]".repeat(deep)),
        format!("{{\"type\":\"deeper\",\"a\":{}1{}}}", "{\"b\":".repeat(deep), "}".repeat(deep)),
        "[".repeat(deep),
        "{\"a\":".repeat(deep),
        format!("{{\"type\":\"long\",\"data\":\"{long}\"}}"),
        format!("{{\"type\":\"escaped\",\"data\":\"{long}\\u0041\"}}"),
        format!("{{\"type\":\"long ID\",\"data\":1,\"a\":{{\"b\":{{\"c\":\"{long}\"}}}}}}"),
        format!("{{\"type\":\"{long}\",\"data\":\"a long type\"}}"),
        format!("{{\"{long}\":1,\"type\":\"long name\",\"data\":1}}"),
        "{\"type\":\"last\",\"a\":{\"b\":{\"c\":\"k\"}},\"data\":\"the end\"}".to_owned(),
    ];
    let (chunks, told, status) = sent(args, records.join("\n") + "\n");
    assert_eq!(chunks.len(), records.len(), "{told:#?}");
    let fields: Vec<_> = chunks.iter().map(|chunk| chunk.split_once('\n').expect("has a line")).collect();
    let events: Vec<_> = fields.iter().map(|(first, _)| &first[..first.len().min(20)]).collect();
    let want = ["event: deep", "event: deeper", &records[2][..14], &records[3][..14], "event: long", "event: escaped"];
    assert_eq!(events[..2], want[..2]);
    assert!(chunks[2].starts_with(&format!("data: {}", want[2])) && chunks[3].starts_with("data: {\"a\":{\"a\":"));
    assert_eq!(events[4..6], want[4..6]);
    assert!(fields[4].1.starts_with(&format!("data: {long}\n")));
    assert!(fields[5].1.starts_with(&format!("data: {long}A\n")));
    assert!(events[6] == "event: long ID" && without_run(fields[6].1) == "data: 1\nid: RUN-7\n\n");
    assert!(chunks[7].starts_with(&format!("event: {long}\ndata: a long type\n")));
    assert_eq!(events[8], "event: long name");
    assert_eq!(chunks[9], "event: last\ndata: the end\nid: k\n\n");
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_eq!(told[1], "sse-pipe: 10 events to 1 client, 9 records incomplete");
    assert_eq!(status, Some(0));
}

#[test]
fn json_that_is_not_utf_8_is_repaired_first() {
    let (chunks, told, _) = sent(&["--data-from", "/d", "--event-from", "/e"], b"{\"e\":\"\xff\",\"d\":\"caf\xe9\"}\n");
    assert_eq!(without_run(&chunks[0]), "event: \u{fffd}\ndata: caf\u{fffd}\nid: RUN-1\n\n");
    assert!(told.len() == 2 && told[0].contains("record 1 is not valid UTF-8"), "{told:#?}");
}

#[test]
fn an_event_stream_goes_out_with_its_own_types_and_ids() {
    for (args, stream, want) in [
        (&[][..], &b"event: x\ndata: a\nid: 1\n\n"[..], &["event: x\ndata: a\nid: 1\n\n"][..]),
        (
            &[],
            b"\xef\xbb\xbfid:1\r\ndata:a\r\ndata: b\r\r\n:c\nunknown: d\nretry: 5\ndata\n\n",
            &["data: a\ndata: b\nid: 1\n\n", "data: \n\n"],
        ),
        (
            &["-e", "other"],
            b"data: a\n\nevent: x\ndata: b\n\n",
            &["event: other\ndata: a\n\n", "event: x\ndata: b\n\n"],
        ),
        (&["--no-id"], b"id: 1\ndata: a\n\n", &["data: a\n\n"]),
        // Each event has the last event ID that it has for a page at the origin.
        (
            &[],
            b"id: 1\n\ndata: a\n\ndata: b\n\nid\ndata: c\n\nid: 2\0\ndata: d\n\n",
            &["data: a\nid: 1\n\n", "data: b\n\n", "data: c\nid: \n\n", "data: d\n\n"],
        ),
        (&[], b"data: \xff\nevent: \xf0\x9f\x98\nid: \xc0\n\n", &["event: \u{fffd}\ndata: \u{fffd}\nid: \u{fffd}\n\n"]),
    ] {
        let (chunks, told, status) = sent(&[&["--format", "sse"], args].concat(), stream);
        assert_eq!(chunks, want, "{args:?} {:?}", stream.escape_ascii().to_string());
        let repaired = usize::from(std::str::from_utf8(stream).is_err());
        assert_eq!((told.len(), status), (1 + repaired, Some(0)), "{told:#?}");
    }
}

#[test]
fn what_is_missing_in_an_event_stream_is_reported() {
    let (chunks, told, status) = sent(&["-f", "sse"], "data: a\n\nid: 2\ndata: cut off\n");
    assert_eq!(chunks, ["data: a\n\n"]);
    assert!(told.len() == 2 && told[0].contains("ended inside an event"), "{told:#?}");
    assert_eq!(status, Some(1));

    let long = "x".repeat(101);
    let stream = format!("data: {long}\n\nid: 1\ndata: a\n\n:{long}\nunknown: {long}\ndata: b\n\n");
    let (chunks, told, status) = sent(&["-f", "sse", "--max-record", "100"], stream);
    let left_out = ": record 1 skipped: 101 bytes are more than --max-record 100\n";
    assert_eq!(chunks, [left_out, "data: a\nid: 1\n\n", "data: b\n\n"]);
    assert!(told.len() == 2 && told[0].contains("record 1 skipped: its 101 bytes"), "{told:#?}");
    assert_eq!(status, Some(1));

    let (chunks, told, status) =
        sent(&["-f", "sse"], format!("id: {}\ndata: a\n\nid: \x07\ndata: b\n\n", "x".repeat(5000)));
    assert_eq!(chunks, ["data: a\n\n", "data: b\n\n"], "what no header could bring back");
    assert!(told.len() == 2 && told[1].ends_with("2 records incomplete") && status == Some(0), "{told:#?}");
}

#[test]
fn an_input_that_is_something_else_gets_one_line_that_says_what_takes_it() {
    let utf_16: Vec<u8> = "\u{feff}a,b\r\n1,2\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (args, input, hint) in [
        (&["-f", "sse"][..], &b"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n{\"a\":4}\n"[..], "like JSON lines; --format lines"),
        (&["-f", "sse"], b"one\n", "like plain lines; --format lines"),
        (&["-f", "sse"], b"{\n  \"a\": 1\n}\n", "like JSON over several lines; --format json"),
        (&["--event-from", "/a"], b"{\n  \"a\": 1\n}\n", "the lines of one JSON text; --format json"),
        (&[], &utf_16, "is UTF-16, not UTF-8; put iconv -f utf-16 -t utf-8"),
        (&["-f", "sse"], &utf_16, "is UTF-16, not UTF-8; put iconv -f utf-16 -t utf-8"),
    ] {
        let (_, told, status) = sent(args, input);
        let hints = told.iter().filter(|line| line.contains(hint)).count();
        let all = told.iter().filter(|line| line.contains("--format") || line.contains("iconv")).count();
        assert_eq!((hints, all, status), (1, 1, Some(0)), "{args:?} {}: {told:#?}", input.escape_ascii());
    }
    // At once, not at the end of what may never end.
    let mut program = Program::start(&["-f", "sse"]);
    program.write("one\ntwo\nthree\n");
    program.wait_for("looks like plain lines; --format lines");
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    for (args, told) in [
        (&["--no-id", "--id-from", "/id"][..], "--no-id with --id-from"),
        (&["--format", "sse", "-0"], "--null with --format sse"),
        (&["--format", "sse", "--event-from", "/a"], "--event-from with --format sse"),
        (&["-f", "sse", "--id-from", "/a"], "--id-from with --format sse"),
        (&["-f", "sse", "--data-from", ""], "--data-from with --format sse"),
        (&["--format", "xml"], "'xml'"),
        (&["--format", "json", "-0"], "--null with --format json"),
        (&["--event-from", "type"], "begins with a slash, such as /type"),
        (&["--id-from", "/a~2"], "~0"),
    ] {
        let (status, stdout, stderr) = run(args, Stdio::null());
        assert_eq!((status, stdout.as_str()), (Some(2), ""), "{args:?}: {stderr}");
        assert!(stderr.contains(told) && stderr.lines().count() == 1, "{args:?}: {stderr}");
    }
    for args in [
        &["-f", "sse", "--no-id"][..],
        &["-f", "json", "--id-from", "/a"],
        &["-f", "sse", "-e", "x"],
        &["-0", "--id-from", "/a"],
        &["-f", "lines", "-0"],
    ] {
        let (status, _, stderr) = run(&[&["--port", "0", "--at-eof", "exit"], args].concat(), Stdio::null());
        assert_eq!(status, Some(0), "{args:?}: {stderr}");
    }
}

#[test]
fn json_texts_are_records_however_they_are_laid_out() {
    let pretty = "\u{feff}{\n  \"kind\": \"Pod\",\n  \"n\" : 1.50,\n  \"kind\": [ \"a b\\n\", {\n} ]\n}\n";
    let compact = r#"{"kind":"Pod","n":1.50,"kind":["a b\n",{}]}"#;
    for (args, input, want) in [
        (&[][..], pretty, &[&*format!("data: {compact}\nid: RUN-1\n\n")][..]),
        (
            &[],
            "{}[1,\n2]\"x\" 3 ",
            &[
                "data: {}\nid: RUN-1\n\n",
                "data: [1,2]\nid: RUN-2\n\n",
                "data: \"x\"\nid: RUN-3\n\n",
                "data: 3\nid: RUN-4\n\n",
            ],
        ),
        (
            &["--event-from", "/t", "--id-from", "/id"],
            "\x1e{\"t\": \"x\",\r\n \"id\": 7}\n\x1e{\"id\":8}\n",
            &["event: x\ndata: {\"t\":\"x\",\"id\":7}\nid: 7\n\n", "data: {\"id\":8}\nid: 8\n\n"],
        ),
        (
            &["--data-from", "/d", "--no-id"],
            "{\"d\": {\n\"a\": \"\" }} {\"d\": \"\"}",
            &["data: {\"a\":\"\"}\n\n", "data: \n\n"],
        ),
        (&["--no-id"], "42", &["data: 42\n\n"]),
        (&[], "", &[]),
    ] {
        let (chunks, told, status) = sent(&[&["-f", "json"], args].concat(), input);
        let chunks: Vec<_> = chunks.iter().map(|chunk| without_run(chunk)).collect();
        assert_eq!(
            (chunks, status),
            (want.iter().map(|chunk| chunk.to_string()).collect(), Some(0)),
            "{args:?} {input:?}: {told:#?}"
        );
    }
    let mut program = Program::start(&["-f", "json"]);
    let mut client = program.stream();
    for n in 0..3 {
        program.write(format!("{{\n\"n\": {n}\n"));
        program.write("}"); // without a newline behind it
        assert_eq!(client.next_event().map(|event| event.data), Some(format!("{{\"n\":{n}}}")));
    }
}

#[test]
fn what_is_not_a_json_text_is_skipped_and_named_with_its_place() {
    let input = "{\"a\":1}\n{\n  \"a\": NaN,\n  \"b\": 2\n}\n{\"a\":2}\n";
    let (chunks, told, status) = sent(&["-f", "json", "--no-id"], input);
    assert_eq!(
        chunks,
        ["data: {\"a\":1}\n\n", ": record 2 skipped: at line 3, byte 8 it is not JSON\n", "data: {\"a\":2}\n\n"]
    );
    assert!(told.len() == 2 && told[0].contains("record 2 skipped: at line 3, byte 8 of the input"), "{told:#?}");
    assert!(told[1].contains("2 events") && told[1].contains("1 record skipped"), "{told:#?}");
    assert_eq!(status, Some(1));

    let (chunks, told, status) = sent(&["-f", "json", "--no-id"], "plain line\n".repeat(100) + "[1,");
    assert_eq!((chunks.len(), status), (101, Some(1)));
    assert_eq!(told.len(), 11, "ten of them, and the last line: {told:#?}");
    assert!(told[9].ends_with("(more are only counted)") && told[10].contains("101 records skipped"), "{told:#?}");

    let (chunks, told, status) =
        sent(&["-f", "json", "--no-id", "--max-record", "7"], "{\n \"a\": 1\n}\n[1,2, 34]\n5 ");
    assert_eq!(
        chunks,
        ["data: {\"a\":1}\n\n", ": record 2 skipped: 8 bytes are more than --max-record 7\n", "data: 5\n\n"],
        "{told:#?}"
    );
    assert_eq!(status, Some(1));
}

#[test]
fn a_byte_order_mark_or_rs_before_a_json_record_harms_nothing() {
    let args = &["--data-from", "/d", "--no-id"];
    let (chunks, told, _) = sent(args, "\u{feff}{\"d\":1}\n\x1e{\"d\":2}\n\u{feff}\x1e{\"d\":3}\n");
    assert_eq!(chunks, ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"], "{told:#?}");
    let (chunks, ..) =
        sent(&["--event-from", "/t", "--no-id"], "\u{feff}{\"t\":\"x\"}\n\x1e{\"t\":\"y\"}\n\x1eno JSON\n");
    let want = ["event: x\ndata: {\"t\":\"x\"}\n\n", "event: y\ndata: {\"t\":\"y\"}\n\n", "data: \x1eno JSON\n\n"];
    assert_eq!(chunks, want, "it is no part of the JSON text, and so not of the data");
}

#[test]
fn an_event_is_sent_as_soon_as_it_is_complete() {
    let mut program = Program::start(&["-f", "sse"]);
    let mut client = program.stream();
    for n in 0..3 {
        program.write(format!("id: {n}\ndata: {n}\n"));
        program.write("\n");
        let want = Event { event: String::new(), data: n.to_string(), id: n.to_string() };
        assert_eq!(client.next_event(), Some(want));
    }
}

/// The same with `RUN-` in the place of this run's token.
fn without_run(chunk: &str) -> String {
    let lines = chunk.split_inclusive('\n').map(|line| match line.strip_prefix("id: ") {
        Some(id) if id.len() > 7 && id.as_bytes()[6] == b'-' => format!("id: RUN{}", &id[6..]),
        _ => line.to_owned(),
    });
    lines.collect()
}
