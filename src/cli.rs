//! What was typed: the options as clap reads them, one line of help each. What they mean together is `config`'s.

use crate::feed::pace::Pace;
use crate::input::json::Pointer;
use crate::sanitize::sanitize;
use crate::serve::server::AtEof;
use clap::builder::PossibleValue;
use clap::{CommandFactory, Parser, ValueEnum};
use clap_complete::Shell;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const PIPES: &str = "\
ping localhost | sse-pipe                   # open http://localhost:6502/ and watch
tail -F /var/log/syslog | sse-pipe -e log
vmstat -n 1 | sse-pipe --port 8080          # curl -N http://localhost:8080/";

const ORIGINS: &str =
    "Who may read from another origin: local, *, none, null, or an origin such as https://app.example; repeatable";

/// Pipe anything in; every browser, curl and proxy that connects gets each line as a Server-Sent Event.
#[derive(Debug, Parser)]
#[command(name = "sse-pipe", version, before_help = PIPES, max_term_width = 100, args_override_self = true)]
pub struct Cli {
    /// TCP port; 0 takes a free one
    #[arg(short, long, value_name = "PORT", default_value_t = 6502, value_parser = port)]
    pub port: u16,

    /// Address to listen on: an IP, a host name or unix:PATH; repeatable
    #[arg(short, long, value_name = "ADDR", default_value = "localhost")]
    pub bind: Vec<String>,

    /// Event type of every event that does not bring its own
    #[arg(short, long, value_name = "NAME")]
    pub event: Option<String>,

    /// Who may read from another origin
    #[arg(short = 'o', long, value_name = "ORIGIN", default_value = "local", value_delimiter = ',', help = ORIGINS)]
    pub cors_origin: Vec<String>,

    /// What standard input is: lines, JSON texts however they are laid out, or an event stream itself
    #[arg(short, long, value_name = "FORMAT", default_value = "lines")]
    pub format: Format,

    /// NUL ends a record, not a newline
    #[arg(short = '0', long)]
    pub null: bool,

    /// Records are JSON: take the event type from there, by JSON Pointer such as /type
    #[arg(long, value_name = "POINTER", value_parser = pointer)]
    pub event_from: Option<Pointer>,

    /// Records are JSON: take the ID from there
    #[arg(long, value_name = "POINTER", value_parser = pointer)]
    pub id_from: Option<Pointer>,

    /// Records are JSON: take the data from there
    #[arg(long, value_name = "POINTER", value_parser = pointer)]
    pub data_from: Option<Pointer>,

    /// Send no IDs (smaller; clients then cannot resume)
    #[arg(long)]
    pub no_id: bool,

    /// How many past events a new client gets first [default: all of the history]
    #[arg(short = 'n', long, value_name = "N")]
    pub tail: Option<u64>,

    /// How many past events are kept, or `all` that the buffer holds [default: 1000, and all until the first client
    /// has joined]
    #[arg(long, value_name = "N", value_parser = history)]
    pub history: Option<u64>,

    /// The memory that events may take, history and laggards together
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    pub buffer: u64,

    /// Who sets the pace of reading: the fastest client, the slowest, or the input
    #[arg(long, value_name = "WHO", default_value = "fastest")]
    pub pace: Pace,

    /// A client that takes nothing for so long while events wait for it is dropped
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = stall)]
    pub stall: Duration,

    /// Reconnection time told to clients; in a range each is told its own
    #[arg(long, value_name = "TIME", default_value = "1s-3s", value_parser = time_range)]
    pub retry: (Duration, Duration),

    /// A comment after so long without an event; 0 for none
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = heartbeat)]
    pub heartbeat: Duration,

    /// Read nothing until N clients are connected
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clients)]
    pub wait: usize,

    /// At end of input: wait until clients have everything, exit, or serve the history for ever
    #[arg(long, value_name = "WHAT", default_value = "wait")]
    pub at_eof: AtEof,

    /// A last event of this type at end of input
    #[arg(long, value_name = "NAME")]
    pub end_event: Option<String>,

    /// Serve your own page at /: a file, or a folder with an index.html
    #[arg(long, value_name = "PATH")]
    pub page: Option<PathBuf>,

    /// Open the page in your browser
    #[arg(long)]
    pub open: bool,

    /// Clients must bring the token in this file; SSE_PIPE_TOKEN in the environment does the same
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Another name that this server is known by; repeatable
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,

    /// Connections held at once [default: what the limit on open files allows]
    #[arg(short, long, value_name = "N", value_parser = max_clients)]
    pub max_clients: Option<usize>,

    /// Longest record [default: 16MiB, or the buffer where that is less]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_record: Option<u64>,

    /// Threads that write to clients [default: one a processor]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,

    /// Prometheus text at /metrics
    #[arg(long)]
    pub metrics: bool,

    /// Copy standard input to standard output
    #[arg(short, long)]
    pub tee: bool,

    /// Print the shell's completion script and exit
    #[arg(long, value_name = "SHELL")]
    pub completions: Option<Shell>,

    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say also who joins and leaves
    #[arg(short, long)]
    pub verbose: bool,

    /// What was typed beside the options; there is nothing that it could mean.
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
    let cli = Cli::try_parse_from(args).map_err(|error| {
        if error.use_stderr() {
            usage_error(&one_line(&error))
        } else {
            // A closed standard output is no reason to complain about help.
            let _ = error.print();
            ExitCode::SUCCESS
        }
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

/// Prints what is wrong with the command line, and where help is to be had. Returns the exit status.
pub fn usage_error(why: &str) -> ExitCode {
    // A closed standard error leaves the exit status to tell.
    let _ = writeln!(std::io::stderr(), "sse-pipe: {why} (see sse-pipe --help)");
    ExitCode::from(2)
}

/// clap's command, for the man page's test.
pub fn command() -> clap::Command {
    Cli::command()
}

/// What clap says of an error, without its heading and its usage, on one line.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    // No value begins with a hyphen, and there are no operands that `--` could bring.
    let useless = |line: &str| line.is_empty() || line.starts_with("For more") || line.starts_with("tip: to pass");
    let lines = lines.filter(|line| !useless(line)).map(sanitize);
    lines.collect::<Vec<_>>().join("; ")
}

/// A time beyond this can't be meant, and sums of times must not overflow.
const LONGEST_TIME: Duration = Duration::from_secs(24 * 3600);
/// Heartbeats more often than this would do nothing but heat.
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
        return Err("at least 1ms, or browsers would call without a pause".to_owned());
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
