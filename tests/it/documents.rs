//! The documents against the program: `--help` and the manual name the same options with the same defaults, and the
//! commands that README, `docs/` and `--help` show do what they say. `mandoc -T lint` checks the manual's syntax.

use crate::support::example::Example;
use crate::support::files::{Folder, at, commands, documents, fenced, read};
use crate::support::program::{BINARY, Program, run};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

/// Options of other programs that the documents mention.
const OF_OTHERS: [&str; 5] = ["--bench", "--line-buffered", "--path", "--release", "--unix-socket"];

#[test]
fn the_manual_has_the_options_of_help_in_its_order_and_words() {
    let (help, manual) = (options_in_help(&help()), options_in_manual(&read("man/sse-pipe.1")));
    let heads = |options: &[Described]| options.iter().map(|it| (it.heading.clone(), it.option.clone())).collect();
    let (ours, theirs): (Vec<_>, Vec<_>) = (heads(&help), heads(&manual));
    assert_eq!(theirs, ours, "the manual, and --help");
    for (help, manual) in help.iter().zip(&manual) {
        let rest = manual.text.strip_prefix(&help.text);
        let rest =
            rest.unwrap_or_else(|| panic!("{}: {:?}, and in the manual {:?}", help.option, help.text, manual.text));
        assert!(rest.starts_with([' ', '.', ',', ';', ':']), "{}: {:?}{rest:?}", help.option, help.text);
    }
}

#[test]
fn the_short_help_fits_a_terminal() {
    let output = Command::new(BINARY).arg("-h").env("COLUMNS", "80").output().expect("it starts");
    let short = String::from_utf8(output.stdout).expect("is text");
    let lines: Vec<_> = short.lines().collect();
    // The prompt has a line, too.
    assert!(lines.len() < 24 && lines.iter().all(|line| line.len() <= 80), "{} lines:\n{short}", lines.len());
    let all = options_in_help(&help());
    let shown = options_in_help(&short);
    assert_eq!(shown.len(), 10, "{shown:#?}");
    for option in shown {
        assert!(all.iter().any(|it| (&it.option, &it.text) == (&option.option, &option.text)), "{option:?}");
    }
    assert_eq!(lines.last(), Some(&"All options: sse-pipe --help, man sse-pipe"));
    assert_eq!(lines[..3], help().lines().take(3).collect::<Vec<_>>(), "the pipes");
}

#[test]
fn no_document_mentions_an_option_that_does_not_exist() {
    let mut known: BTreeSet<String> = OF_OTHERS.map(str::to_owned).into();
    known.extend(options_in_help(&help()).iter().flat_map(|option| mentioned(&option.option)));
    let manual = ("man/sse-pipe.1".to_owned(), plain(&read("man/sse-pipe.1")));
    for (file, text) in documents().into_iter().chain([manual]) {
        let strange: Vec<_> = mentioned(&text).difference(&known).cloned().collect();
        assert!(strange.is_empty(), "{file} mentions {strange:?}, which --help does not print");
    }
}

#[test]
fn readme_is_short() {
    assert!(read("README.md").lines().count() <= 200);
}

#[test]
fn the_event_stream_that_readme_shows_is_the_one_that_comes() {
    let readme = read("README.md");
    let shown = fenced(&readme, "console");
    let (started, rest) = shown.split_once("\n").expect("two commands");
    let (told, stream) = rest.split_once("$ curl -N http://localhost:6502/\n").expect("asked by curl");
    let (stream, summary) = stream.split_at(stream.rfind("sse-pipe: ").expect("a summary"));
    let pipe = started.strip_prefix("$ ").and_then(|line| line.strip_suffix(" &")).expect("in the background");
    let (producer, ours) = pipe.split_once(" | sse-pipe ").expect("a pipe");

    let records = Command::new("sh").args(["-c", producer]).output().expect("a shell").stdout;
    let mut program = Program::start(&ours.split_whitespace().collect::<Vec<_>>());
    program.write(records);
    program.close_input();
    program.wait_for("waiting for a first client");
    let came = program.stream_with("/", "Accept: */*\r\n").content();
    let port = program.port.to_string();
    let ended = program.end();

    assert_eq!(came.replace(run_token(&came), "RUN"), stream.replace(run_token(stream), "RUN"), "the stream: {pipe}");
    let told_now = ended.told.join("\n").replace(&port, "6502") + "\n";
    assert_eq!(told_now, format!("{told}{summary}"), "standard error: {pipe}");
    assert_eq!(ended.code(), Some(0), "exit status: {pipe}");
}

#[test]
fn the_documents_show_the_page_that_the_browsers_are_tested_with() {
    let document = read("docs/own-pages.md");
    assert_eq!(fenced(&document, "html"), read("tests/browser/page.html"), "own-pages.md and tests/browser/page.html");
}

#[test]
fn no_document_refers_to_a_file_or_a_section_that_does_not_exist() {
    let sections = |text: &str| -> Vec<String> {
        let headings = text.lines().filter_map(|line| line.strip_prefix("## "));
        headings.map(|heading| heading.to_lowercase().replace(' ', "-")).collect()
    };
    let others = ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(|file| (file.to_owned(), read(file)));
    for (file, text) in documents().into_iter().chain(others) {
        let folder = at(&file).parent().expect("is in a folder").to_owned();
        let links = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
        let pictures = text.split("src").skip(1).filter_map(|rest| rest.split('"').nth(1));
        for link in links.chain(pictures.filter(|path| path.contains('/'))).filter(|link| !link.contains("://")) {
            let (path, section) = link.split_once('#').map_or((link, None), |(path, section)| (path, Some(section)));
            let target = if path.is_empty() { at(&file) } else { folder.join(path) };
            assert!(target.exists(), "{file} refers to {link}: no such file");
            if let Some(section) = section {
                let text = std::fs::read_to_string(&target).expect("is text");
                assert!(sections(&text).iter().any(|name| name == section), "{file} refers to {link}: no such section");
            }
        }
    }
}

#[test]
fn the_documented_balancer_is_the_one_of_the_fleet() {
    let scaling = read("docs/scaling.md");
    let fleet = read("examples/fleet.sh");
    let (_, shown) = scaling.split_once("\nbackend events\n    balance ").expect("it is shown");
    let shown = format!("    balance {}", shown.split("    server ").next().expect("there is a first part"));
    assert!(shown.lines().count() > 3 && fleet.contains(&shown), "not in examples/fleet.sh: {shown}");
}

/// The producers that the documents' pipes begin with: here each prints one record, and no end.
const PRODUCERS: [&str; 7] = ["curl", "date", "journalctl", "make", "redis-stream.py", "tail", "vmstat"];
/// The record.
const RECORD: &str = r#"{"SYSLOG_IDENTIFIER":"cron"}"#;

/// A folder with a program for each producer, `sse-pipe` on a free port, and a browser that opens nothing.
fn producers() -> Folder {
    let folder = Folder::new();
    let write = |name: &str, script: &str| {
        // Written by a process of its own: a program that a fork of another test's holds open could not be started.
        let write = "printf '#!/bin/sh\n%s\n' \"$2\" >\"$1\" && chmod 755 \"$1\"";
        let status = Command::new("sh").args(["-c", write, "sh", name, script]).current_dir(&folder.0).status();
        assert!(status.is_ok_and(|status| status.success()), "{name}");
    };
    for name in PRODUCERS {
        let record = match name {
            "curl" | "redis-stream.py" => format!("event: cron\\ndata: {RECORD}\\n\\n"),
            _ => format!("{RECORD}\\n"),
        };
        write(name, &format!("printf '{record}'; exec sleep 60"));
    }
    write("sse-pipe", &format!("exec '{BINARY}' \"$@\" --port 0"));
    write("xdg-open", "");
    std::fs::write(folder.0.join("page.html"), fenced(&read("README.md"), "html")).expect("the folder is ours");
    folder
}

#[test]
fn every_pipe_in_the_documents_sends_what_its_producer_prints() {
    let mut tried = 0;
    for (file, text) in documents() {
        for pipe in commands(&text).into_iter().filter(|command| command.contains("| sse-pipe")) {
            let (producer, ours) = pipe.split_once("| sse-pipe").expect("has one");
            assert!(PRODUCERS.iter().any(|name| producer.contains(name)), "{file}: {pipe}: no producer to try it with");
            let folder = producers();
            let program = Example::start_in(&folder.0, &folder.0, pipe, &[]);
            let event = program.stream().next_event().unwrap_or_else(|| panic!("{file}: {pipe}: no event"));
            let typed = ours.contains("--event-from") || ours.contains("--format sse");
            assert_eq!(
                (event.event.as_str(), event.data.as_str()),
                (if typed { "cron" } else { "" }, RECORD),
                "{pipe}"
            );
            tried += 1;
        }
    }
    assert!(tried > 6, "{tried} pipes found");
}

#[test]
#[ignore = "needs curl: tests/run"]
fn the_documented_ways_to_resume_with_curl_get_what_came_after() {
    let mut program = Program::start(&["--at-eof", "serve"]);
    program.write("one\ntwo\n");
    let mut client = program.stream();
    let first = client.next_event().expect("there is one").id;
    assert_eq!(client.data(1), ["two"]);
    program.close_input();
    let document = read("docs/own-pages.md");
    let asked: Vec<_> = commands(&document).into_iter().filter(|command| command.starts_with("curl ")).collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    for command in asked {
        assert!(command.contains("R4dzFG-1"), "{command}");
        let typed = command.replace("R4dzFG-1", &first).replace("6502", &program.port.to_string());
        let output = Command::new("sh").args(["-c", &typed]).output().expect("a shell");
        let stream = String::from_utf8_lossy(&output.stdout);
        let data: Vec<_> = stream.lines().filter(|line| line.starts_with("data: ")).collect();
        assert_eq!(data, ["data: two"], "{typed}: {stream}");
    }
}

/// What takes minutes is not run here, but its parts must exist.
#[test]
fn the_other_commands_in_the_documents_name_what_exists() {
    let manifest = read("Cargo.toml");
    for (file, text) in documents() {
        for command in commands(&text).into_iter().filter(|command| !command.contains("| sse-pipe")) {
            for part in command.split(" && ") {
                let words: Vec<_> = part.split_whitespace().collect();
                let exists = match words.as_slice() {
                    ["curl", ..] => true, // tried above
                    ["cargo", "bench", "--bench", name, ..] => manifest.contains(&format!("name = \"{name}\"")),
                    ["cargo", "test"] | ["cargo", "install", "--path", "."] => true,
                    ["while", "date;", "do", "sleep", "1;", "done", "|", "cargo", "run", "--release"] => true,
                    [path] => at(path).exists(),
                    _ => false,
                };
                assert!(exists, "{file}: {part}");
            }
        }
    }
}

#[test]
fn help_begins_with_three_pipes_that_the_program_accepts() {
    let help = help();
    let pipes: Vec<_> = help.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(pipes.len(), 3, "the lines before the first empty one: {pipes:#?}");
    for pipe in pipes {
        let typed = pipe.split(" #").next().expect("there is a first part").trim();
        let (producer, ours) = typed.split_once("| sse-pipe").unwrap_or_else(|| panic!("no pipe: {pipe:?}"));
        assert!(!producer.trim().is_empty(), "nothing is piped: {pipe:?}");
        let mut args: Vec<_> = ours.split_whitespace().collect();
        // Any port is as good for the program, and a test takes none that others may have.
        match args.iter().position(|&arg| arg == "--port" || arg == "-p") {
            Some(at) => {
                let port = args.get(at + 1).unwrap_or_else(|| panic!("no port: {pipe:?}"));
                assert!(port.parse::<u16>().is_ok(), "no port: {pipe:?}");
                args[at + 1] = "0";
            }
            None => args.extend(["--port", "0"]),
        }
        args.extend(["--at-eof", "exit"]);
        let (status, stdout, stderr) = run(&args, Stdio::null());
        assert_eq!((status, stdout.as_str()), (Some(0), ""), "{pipe:?}, run as {args:?}: {stderr}");
    }
}

#[test]
fn completions_name_every_option_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (status, script, stderr) = run(&["--completions", shell], Stdio::null());
        assert_eq!((status, stderr.as_str()), (Some(0), ""), "{shell}");
        for option in options_in_help(&help()) {
            let name = option.option.split_once("--").expect("has a long name").1;
            let name = name.split(' ').next().expect("there is a first part");
            assert!(script.contains(name), "{shell} has no {name}");
        }
        if shell == "bash" {
            let mut check = Command::new("bash").args(["-n"]).stdin(Stdio::piped()).spawn().expect("there is a bash");
            check.stdin.take().expect("is piped").write_all(script.as_bytes()).expect("it reads");
            assert!(check.wait().is_ok_and(|status| status.success()), "bash can read it");
        }
    }
}

/// An option as it is described: under which heading, such as `Access`; `-p --port PORT = 6502`; and in which words.
#[derive(Debug)]
struct Described {
    heading: String,
    option: String,
    text: String,
}

impl Described {
    fn new(heading: &str, head: &str, default: Option<&str>, text: &str) -> Described {
        let head: Vec<_> = head.split([' ', ',', '<', '>']).filter(|word| !word.is_empty()).collect();
        let default = default.map(|default| format!(" = {default}")).unwrap_or_default();
        Described { heading: heading.to_owned(), option: head.join(" ") + &default, text: text.trim_end().to_owned() }
    }
}

/// clap's: a line `Access:`, and under it `  -p, --port <PORT>  Text [default: 6502]`, further lines of text far to the
/// right.
#[track_caller]
fn options_in_help(help: &str) -> Vec<Described> {
    let mut options: Vec<(&str, String)> = Vec::new();
    let mut heading = "";
    for line in help.lines() {
        let text = line.trim_start();
        match line.len() - text.len() {
            0 => heading = line.strip_suffix(':').unwrap_or(heading),
            ..=6 if text.starts_with('-') => options.push((heading, text.to_owned())),
            _ => {
                let (_, option) = options.last_mut().unwrap_or_else(|| panic!("no option before {line:?}"));
                *option += " ";
                *option += text;
            }
        }
    }
    let one = |(heading, option): &(&str, String)| {
        let (head, text) = option.split_once("  ").unwrap_or_else(|| panic!("no text: {option}"));
        let default = text.split_once("[default: ").and_then(|(_, rest)| Some(rest.split_once(']')?.0));
        Described::new(heading, head, default, text.trim_start().split(" [").next().expect("there is a first part"))
    };
    options.iter().map(one).collect()
}

/// mdoc's: `.Ss Access`, and under it `.It Fl p , Fl -port Ar PORT`, and in the text below that `The default is` and
/// `.Ql 6502 .`.
#[track_caller]
fn options_in_manual(manual: &str) -> Vec<Described> {
    let (_, section) = manual.split_once("\n.Sh OPTIONS\n").expect("the manual has a section OPTIONS");
    let section = section.split("\n.Sh ").next().expect("there is a first part");
    let groups = section.split("\n.Ss ").skip(1).map(|group| group.split_once('\n').expect("has lines"));
    let one = |heading: &str, item: &str| {
        let (head, text) = item.split_once('\n').unwrap_or((item, ""));
        let default = text.split_once("The default is\n").and_then(|(_, rest)| rest.lines().next());
        let default = default.map(|line| line.trim_start_matches(".Ql ").trim_end_matches(['.', ' ']));
        let head = format!("-{head}").replace("Fl ", "-").replace("Ar ", "");
        Described::new(heading, &head, default, &rendered(text))
    };
    groups.flat_map(|(heading, items)| items.split("\n.It Fl ").skip(1).map(move |item| one(heading, item))).collect()
}

/// Running text of mdoc, without the macros that it needs here.
fn rendered(mdoc: &str) -> String {
    let mut text = String::new();
    for line in mdoc.lines() {
        let (macro_name, words) = match line.strip_prefix('.') {
            Some(line) => line.split_once(' ').unwrap_or((line, "")),
            None => ("", line),
        };
        for word in words.split(' ').filter(|word| !word.is_empty()) {
            let is_punctuation = !macro_name.is_empty() && [".", ",", ";", ":"].contains(&word);
            if !is_punctuation && !text.is_empty() {
                text.push(' ');
            }
            if macro_name == "Fl" && !is_punctuation {
                text.push('-');
            }
            text += word;
        }
    }
    text
}

/// The manual's text without comments, and its options as one types them.
fn plain(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with(".\\\""));
    lines.map(|line| line.replace("\\-", "-").replace("Fl -", "--") + "\n").collect()
}

/// All `--options` in a text.
fn mentioned(text: &str) -> BTreeSet<String> {
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '-';
    let words = text.split(|char| !is_part(char)).map(|word| word.trim_end_matches('-'));
    words.filter(|word| word.strip_prefix("--").is_some_and(|name| !name.starts_with('-'))).map(str::to_owned).collect()
}

/// The run's token in the first `id` of a stream.
#[track_caller]
fn run_token(stream: &str) -> &str {
    let id = stream.lines().find_map(|line| line.strip_prefix("id: ")).unwrap_or_else(|| panic!("no id: {stream}"));
    id.split_once('-').unwrap_or_else(|| panic!("not RUN-N: {id}")).0
}

fn help() -> String {
    let (status, stdout, stderr) = run(&["--help"], Stdio::null());
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "sse-pipe --help");
    stdout
}
