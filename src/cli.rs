//! What was typed: the options as clap reads them, one line of help each. `config` decides what they mean together.

use crate::feed::pace::Pace;
use crate::input::json::Pointer;
use crate::sanitize::sanitize;
use crate::serve::server::AtEof;
use clap::builder::PossibleValue;
use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, Parser, ValueEnum};
use clap_complete::Shell;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const PIPES: &str = "\
ping localhost | sse-pipe            # then open http://localhost:6502/
journalctl -f | sse-pipe --event log
vmstat -n 1 | sse-pipe --port 8080   # curl -N http://localhost:8080/";

// The headings of `--help` and of the manual's OPTIONS, in their order.
const INPUT: &str = "Input";
const EVENTS: &str = "Events";
const CLIENTS: &str = "Clients";
const DELIVERY: &str = "Delivery";
const HISTORY: &str = "History";
const END: &str = "End of input";
const PAGE: &str = "Page";
const ACCESS: &str = "Access";
const DIAGNOSTICS: &str = "Diagnostics";

/// The options that people use first: `-h` shows these.
const FIRST: [&str; 10] = ["format", "tee", "event", "tail", "at_eof", "page", "open", "port", "bind", "cors_origin"];

const MORE: &str = "All options: sse-pipe --help, man sse-pipe";

/// Pipe anything in; every browser, curl and proxy that connects gets each line as a Server-Sent Event.
// The text of an option is also the beginning of its text in the manual; a test compares them.
#[derive(Debug, Parser)]
#[command(name = "sse-pipe", version, before_help = PIPES, max_term_width = 100, args_override_self = true)]
#[command(disable_help_flag = true, disable_version_flag = true)]
#[allow(rustdoc::bare_urls)] // the texts are for the terminal
pub struct Cli {
    /// Read lines, json texts, or an sse event stream
    #[arg(short, long, value_name = "FORMAT", default_value = "lines", help_heading = INPUT)]
    #[arg(hide_possible_values = true)] // the text has them
    pub format: Format,

    /// End records with NUL instead of newline
    #[arg(short = '0', long, help_heading = INPUT)]
    pub null: bool,

    /// Skip records longer than this [default: 16MiB, or the buffer if that is less]
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = INPUT)]
    pub max_record: Option<u64>,

    /// Copy standard input to standard output
    #[arg(short, long, help_heading = INPUT)]
    pub tee: bool,

    /// Set the type of events that don't have their own
    #[arg(short, long, value_name = "NAME", help_heading = EVENTS)]
    pub event: Option<String>,

    /// Take the event type from JSON records, by JSON Pointer such as /type
    #[arg(long, value_name = "POINTER", value_parser = pointer, help_heading = EVENTS)]
    pub event_from: Option<Pointer>,

    /// Take the ID from JSON records, by JSON Pointer
    #[arg(long, value_name = "POINTER", value_parser = pointer, help_heading = EVENTS)]
    pub id_from: Option<Pointer>,

    /// Take the data from JSON records, by JSON Pointer
    #[arg(long, value_name = "POINTER", value_parser = pointer, help_heading = EVENTS)]
    pub data_from: Option<Pointer>,

    /// Send no IDs; clients then cannot resume
    #[arg(long, help_heading = EVENTS)]
    pub no_id: bool,

    /// Limit the connections held at once [default: what the limit on open files allows]
    #[arg(short, long, value_name = "N", value_parser = max_clients, help_heading = CLIENTS)]
    pub max_clients: Option<usize>,

    /// Read nothing until N clients are connected
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clients, help_heading = CLIENTS)]
    pub wait: usize,

    /// Set the reconnection time of clients; in a range, each client gets its own
    #[arg(long, value_name = "TIME", default_value = "1s-3s", value_parser = time_range, help_heading = CLIENTS)]
    pub retry: (Duration, Duration),

    /// Send a comment after this long without an event; 0 for none
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = heartbeat, help_heading = CLIENTS)]
    pub heartbeat: Duration,

    /// Choose who sets the pace of reading: the fastest client, the slowest, or the input
    #[arg(long, value_name = "WHO", default_value = "fastest", help_heading = DELIVERY, hide_possible_values = true)]
    pub pace: Pace,

    /// Limit the memory for events
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size, help_heading = DELIVERY)]
    pub buffer: u64,

    /// Drop clients that read nothing for this long while events are pending
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = stall, help_heading = DELIVERY)]
    pub stall: Duration,

    /// Set the number of threads that write to clients [default: one per processor]
    #[arg(long, value_name = "N", value_parser = threads, help_heading = DELIVERY)]
    pub threads: Option<usize>,

    /// Send new clients N past events [default: all]
    #[arg(short = 'n', long, value_name = "N", value_parser = tail, help_heading = HISTORY)]
    pub tail: Option<u64>,

    /// Keep N past events, or all that the buffer holds [default: 1000, and all until the first client has
    /// joined]
    #[arg(long, value_name = "N", value_parser = history, help_heading = HISTORY)]
    pub history: Option<u64>,

    /// Keep the events in this folder, so that history and IDs survive a restart
    #[arg(long, value_name = "DIR", help_heading = HISTORY)]
    pub store: Option<PathBuf>,

    /// Send no event before it is on the disk
    #[arg(long, requires = "store", help_heading = HISTORY)]
    pub store_sync: bool,

    /// Print the last ID in the store and exit
    #[arg(long, requires = "store", help_heading = HISTORY)]
    pub last_id: bool,

    /// Wait for clients, exit, or serve the history
    #[arg(long, value_name = "WHAT", default_value = "wait", help_heading = END, hide_possible_values = true)]
    pub at_eof: AtEof,

    /// Send a last event of this type
    #[arg(long, value_name = "NAME", help_heading = END)]
    pub end_event: Option<String>,

    /// Serve a page of your own: a file or a folder
    #[arg(long, value_name = "PATH", help_heading = PAGE)]
    pub page: Option<PathBuf>,

    /// Set the title of the built-in page
    #[arg(long, value_name = "TEXT", help_heading = PAGE)]
    pub title: Option<String>,

    /// Load the map's streets from this tile server, as in https://tiles.example/{z}/{x}/{y}.png
    #[arg(long, value_name = "URL", help_heading = PAGE)]
    pub tiles: Option<String>,

    /// Set the text by which the map credits that server
    #[arg(long, value_name = "TEXT", help_heading = PAGE)]
    pub tiles_credit: Option<String>,

    /// Open the page in your browser
    #[arg(long, help_heading = PAGE)]
    pub open: bool,

    /// Listen on this TCP port
    #[arg(short, long, value_name = "PORT", default_value_t = 6502, value_parser = port, help_heading = ACCESS)]
    pub port: u16,

    /// Listen on an IP address, a host name or unix:PATH; repeatable
    #[arg(short, long, value_name = "ADDR", default_value = "localhost", help_heading = ACCESS)]
    pub bind: Vec<String>,

    /// Let pages of this origin read, or local, *, none, null; repeatable
    #[arg(short = 'o', long, value_name = "ORIGIN", default_value = "local", value_delimiter = ',')]
    #[arg(help_heading = ACCESS)]
    pub cors_origin: Vec<String>,

    /// Accept this name as the server's own; repeatable
    #[arg(long, value_name = "NAME", help_heading = ACCESS)]
    pub allow_host: Vec<String>,

    /// Require the token in this file; SSE_PIPE_TOKEN in the environment does the same
    #[arg(long, value_name = "FILE", help_heading = ACCESS)]
    pub token_file: Option<PathBuf>,

    /// Serve metrics for Prometheus at /metrics
    #[arg(long, help_heading = DIAGNOSTICS)]
    pub metrics: bool,

    /// Print errors only
    #[arg(short, long, conflicts_with = "verbose", help_heading = DIAGNOSTICS)]
    pub quiet: bool,

    /// Also print a line for each client that joins or leaves
    #[arg(short, long, help_heading = DIAGNOSTICS)]
    pub verbose: bool,

    /// Print the completion script for a shell and exit
    #[arg(long, value_name = "SHELL", help_heading = DIAGNOSTICS)]
    pub completions: Option<Shell>,

    /// Print all options and exit; -h prints the most used ones
    #[arg(short, long, action = ArgAction::Help, help_heading = DIAGNOSTICS)]
    help: Option<bool>,

    /// Print the version and exit
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = DIAGNOSTICS)]
    version: Option<bool>,

    /// What was typed apart from the options; always an error.
    #[arg(hide = true)]
    pub operands: Vec<OsString>,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Format {
    Lines,
    Json,
    Sse,
}

impl ValueEnum for Pace {
    fn value_variants<'a>() -> &'a [Pace] {
        &[Pace::Fastest, Pace::Slowest, Pace::Input]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Pace::Fastest => "fastest",
            Pace::Slowest => "slowest",
            Pace::Input => "input",
        }))
    }
}

impl ValueEnum for AtEof {
    fn value_variants<'a>() -> &'a [AtEof] {
        &[AtEof::Wait, AtEof::Exit, AtEof::Serve]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            AtEof::Wait => "wait",
            AtEof::Exit => "exit",
            AtEof::Serve => "serve",
        }))
    }
}

/// Reads the command line. `Err` is the exit status after help, version, completions or a usage error, which have been
/// printed.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = Cli::try_parse_from(&args).map_err(|error| {
        if error.use_stderr() {
            return usage_error(&one_line(&error));
        }
        // A closed standard output is no reason to complain about help.
        let _ = match error.kind() {
            ErrorKind::DisplayHelp if !args.iter().any(|arg| arg == "--help") => short_help().print_help(),
            _ => error.print(),
        };
        ExitCode::SUCCESS
    })?;
    if let Some(shell) = cli.completions {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command(), "sse-pipe", &mut script);
        // A closed standard output is no reason to complain here either.
        let _ = std::io::stdout().write_all(&script);
        return Err(ExitCode::SUCCESS);
    }
    Ok(cli)
}

/// Prints what is wrong with the command line, and where to find help. Returns the exit status.
pub fn usage_error(why: &str) -> ExitCode {
    // If standard error is closed, only the exit status is left.
    let _ = writeln!(std::io::stderr(), "sse-pipe: {why} (see sse-pipe --help)");
    ExitCode::from(2)
}

/// clap's command, for the test of the man page.
pub fn command() -> clap::Command {
    Cli::command()
}

/// What `-h` prints: it fits a terminal of 80 columns and 24 lines.
fn short_help() -> clap::Command {
    let first = |arg: clap::Arg| {
        let hidden = !FIRST.contains(&arg.get_id().as_str());
        arg.help_heading(None).hide(hidden)
    };
    command().about(None).help_template("{before-help}{all-args}{after-help}").after_help(MORE).mut_args(first)
}

/// What clap says about an error, without its heading and its usage, on one line.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    // No value begins with a hyphen, and there are no operands, which `--` would allow.
    let useless = |line: &str| line.is_empty() || line.starts_with("For more") || line.starts_with("tip: to pass");
    let lines = lines.filter(|line| !useless(line)).map(sanitize);
    lines.collect::<Vec<_>>().join("; ").replace(":; ", ": ")
}

/// A longer time is a mistake, and sums of times must not overflow.
const LONGEST_TIME: Duration = Duration::from_secs(24 * 3600);
/// More frequent heartbeats would only heat the processor.
const LEAST_HEARTBEAT: Duration = Duration::from_millis(10);
/// The shortest `--stall`.
const LEAST_STALL: Duration = Duration::from_millis(100);
/// More threads than any machine has processors.
const MOST_THREADS: usize = 1024;

fn time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time > LONGEST_TIME => Err("at most 24h".to_owned()),
        Ok(time) => Ok(time),
        Err(_) => Err("a time is 500ms, 15s or 2m".to_owned()),
    }
}

fn heartbeat(text: &str) -> Result<Duration, String> {
    match time(text) {
        _ if text == "0" => Ok(Duration::ZERO),
        Ok(time) if time < LEAST_HEARTBEAT => Err("at least 10ms, or 0 for none".to_owned()),
        time => time,
    }
}

fn stall(text: &str) -> Result<Duration, String> {
    match time(text) {
        Ok(time) if time < LEAST_STALL => Err("at least 100ms, or a busy machine would drop good clients".to_owned()),
        time => time,
    }
}

fn time_range(text: &str) -> Result<(Duration, Duration), String> {
    let (shortest, longest) = text.split_once('-').unwrap_or((text, text));
    let range = (time(shortest.trim())?, time(longest.trim())?);
    if range.0 < Duration::from_millis(1) {
        return Err("at least 1ms, or browsers would reconnect without a pause".to_owned());
    }
    if range.0 <= range.1 { Ok(range) } else { Err("the range begins with the shorter time: 1s-3s".to_owned()) }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "a port is a number from 0 to 65535".to_owned())
}

fn clients(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "a number of clients, 0 or more".to_owned())
}

fn max_clients(text: &str) -> Result<usize, String> {
    let clients = text.parse().ok().filter(|&clients| clients > 0);
    clients.ok_or_else(|| "a number of clients, 1 or more".to_owned())
}

fn threads(text: &str) -> Result<usize, String> {
    let threads = text.parse().ok().filter(|threads| (1..=MOST_THREADS).contains(threads));
    threads.ok_or_else(|| format!("a number of threads, 1 to {MOST_THREADS}"))
}

fn tail(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "a number of events, 0 or more".to_owned())
}

fn history(text: &str) -> Result<u64, String> {
    if text == "all" {
        return Ok(u64::MAX);
    }
    text.parse().map_err(|_| "a history is a number of events, or all".to_owned())
}

fn pointer(text: &str) -> Result<Pointer, String> {
    Pointer::parse(text).map_err(str::to_owned)
}

fn size(text: &str) -> Result<u64, String> {
    parse_size::parse_size(text).map_err(|_| "a size is 64KiB, 16MiB, 1GB or plain bytes".to_owned())
}
