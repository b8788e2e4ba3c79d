//! The documents against the program: `--help`, the manual and README name the same options with the same defaults,
//! and what they show to be typed does what they say. The manual's syntax is `mandoc -T lint`'s business.

use crate::support::files::{at, fenced, read};
use crate::support::program::{Program, run};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

/// Options of other programs that the documents mention.
const OF_OTHERS: [&str; 5] = ["--bench", "--line-buffered", "--path", "--release", "--unix-socket"];

#[test]
fn the_manual_has_the_options_of_help_with_their_defaults() {
    same("man/sse-pipe.1", &options_in_manual(&read("man/sse-pipe.1")));
}

#[test]
fn readme_has_the_options_of_help_with_their_defaults() {
    same("README.md", &options_in_table(&read("README.md")));
}

#[test]
fn no_document_mentions_an_option_that_does_not_exist() {
    let mut known: BTreeSet<String> = OF_OTHERS.map(str::to_owned).into();
    known.extend(options_in_help(&help()).iter().flat_map(|option| mentioned(option)));
    for file in ["man/sse-pipe.1", "README.md"] {
        let strange: Vec<_> = mentioned(&plain(&read(file))).difference(&known).cloned().collect();
        assert!(strange.is_empty(), "{file} mentions {strange:?}, which --help does not print");
    }
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
    program.wait_for("waiting for the first client");
    let came = program.stream_with("/", "Accept: */*\r\n").content();
    let port = program.port.to_string();
    let ended = program.end();

    assert_eq!(came.replace(run_token(&came), "RUN"), stream.replace(run_token(stream), "RUN"), "the stream: {pipe}");
    let told_now = ended.told.join("\n").replace(&port, "6502") + "\n";
    assert_eq!(told_now, format!("{told}{summary}"), "standard error: {pipe}");
    assert_eq!(ended.code(), Some(0), "exit status: {pipe}");
}

#[test]
fn readme_shows_the_page_that_the_browsers_are_tested_with() {
    let readme = read("README.md");
    assert_eq!(fenced(&readme, "html"), read("tests/browser/page.html"), "README.md and tests/browser/page.html");
}

#[test]
fn readme_shows_no_file_and_no_section_that_is_not_there() {
    let readme = read("README.md");
    let headings = readme.lines().filter_map(|line| line.strip_prefix("## "));
    let sections: Vec<String> = headings.map(|heading| heading.to_lowercase().replace(' ', "-")).collect();
    let links = readme.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    for link in links.filter(|link| !link.contains("://")) {
        let exists = match link.strip_prefix('#') {
            Some(section) => sections.iter().any(|name| name == section),
            None => at(link).exists(),
        };
        assert!(exists, "README.md refers to {link}, and there is no such thing");
    }
}

#[test]
fn the_balancer_that_readme_shows_is_the_one_of_the_fleet() {
    let readme = read("README.md");
    let fleet = read("examples/fleet.sh");
    let (_, shown) = readme.split_once("\nbackend events\n    balance ").expect("README shows it");
    let shown = format!("    balance {}", shown.split("    server ").next().expect("there is a first part"));
    assert!(shown.lines().count() > 3 && fleet.contains(&shown), "not in examples/fleet.sh: {shown}");
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
            let name = option.split_once("--").expect("has a long name").1;
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

/// Fails with what is only in `--help`, and what only in this file.
#[track_caller]
fn same(file: &str, found: &BTreeSet<String>) {
    let help = options_in_help(&help());
    let missing: Vec<_> = help.difference(found).collect();
    let strange: Vec<_> = found.difference(&help).collect();
    assert!(missing.is_empty() && strange.is_empty(), "--help alone has {missing:#?}\n{file} alone has {strange:#?}");
}

/// An option as it is compared: `-p --port PORT = 6502`.
fn option(head: &str, default: Option<&str>) -> String {
    let head: Vec<_> = head.split([' ', ',', '<', '>']).filter(|word| !word.is_empty()).collect();
    match default {
        Some(default) => format!("{} = {default}", head.join(" ")),
        None => head.join(" "),
    }
}

/// clap's: `  -p, --port <PORT>  Text [default: 6502]`, further lines of text far to the right.
#[track_caller]
fn options_in_help(help: &str) -> BTreeSet<String> {
    let (_, list) = help.split_once("\nOptions:\n").expect("help has a list of options");
    let mut options: Vec<String> = Vec::new();
    for line in list.lines() {
        let text = line.trim_start();
        if text.starts_with('-') && line.len() - text.len() <= 6 {
            options.push(text.to_owned());
        } else if let Some(option) = options.last_mut() {
            *option += " ";
            *option += text;
        }
    }
    let default = |text: &str| Some(text.split_once("[default: ")?.1.split_once(']')?.0.to_owned());
    options.iter().map(|text| option(text.split("  ").next().unwrap_or(text), default(text).as_deref())).collect()
}

/// mdoc's: `.It Fl p , Fl -port Ar PORT`, and in the text below it `The default is` and `.Ql 6502 .`.
#[track_caller]
fn options_in_manual(manual: &str) -> BTreeSet<String> {
    let (_, section) = manual.split_once("\n.Sh OPTIONS\n").expect("the manual has a section OPTIONS");
    let section = section.split("\n.Sh ").next().expect("there is a first part");
    let items = section.split("\n.It Fl ").skip(1);
    let one = |item: &str| {
        let (head, text) = item.split_once('\n').unwrap_or((item, ""));
        let default = text.split_once("The default is\n").and_then(|(_, rest)| rest.lines().next());
        let default = default.map(|line| line.trim_start_matches(".Ql ").trim_end_matches(['.', ' ']));
        option(&format!("-{head}").replace("Fl ", "-").replace("Ar ", ""), default)
    };
    items.map(one).collect()
}

/// README's: a row ``| `-p`, `--port PORT` | `6502` | text |``.
fn options_in_table(readme: &str) -> BTreeSet<String> {
    let rows = readme.lines().filter(|line| line.starts_with("| `-"));
    let one = |row: &str| {
        let row = row.replace('`', "");
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        option(cells[1], Some(cells[2]).filter(|default| !default.is_empty()))
    };
    rows.map(one).collect()
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
