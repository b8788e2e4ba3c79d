//! What the options mean, checked: every value that can't be meant is refused here, by name and with what would do.

use crate::access::{Hosts, Origin, Origins, Token};
use crate::cli::{self, Cli};
use crate::input::format::{Format, Pointers};
use crate::input::records::Terminator;
use crate::report::{Verbosity, harmless};
use crate::serve::answer::{Own, Service};
use crate::serve::listen::Bind;
use crate::serve::pace::Pace;
use crate::serve::server::AtEof;
use crate::wire::event::FieldValue;
use crate::wire::request::Authority;
use anyhow::{Result, anyhow, bail, ensure};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Default of `--max-record`, where the buffer has room for it.
const MAX_RECORD: u64 = 16 << 20;
/// The least `--buffer`: some short events and their index.
const LEAST_BUFFER: u64 = 4 << 10;
/// The largest `--buffer`, on any machine; where an address has fewer bits, what they reach.
const LARGEST_BUFFER: u64 = 1 << 46;

/// A token's file is read so far; it is one line.
const MAX_TOKEN_FILE: u64 = 4 << 10;

/// How the program is to run.
#[derive(Debug)]
pub struct Config {
    /// What to listen on.
    pub binds: Vec<Bind>,
    /// Port; 0 for one that is free.
    pub port: u16,
    /// What requests get.
    pub service: Service,
    /// The token's file, if others can read it too.
    pub exposed_token_file: Option<PathBuf>,
    /// The person's page, a file or a folder.
    pub page: Option<PathBuf>,
    /// Whether the page is opened in the person's browser.
    pub open: bool,
    /// Event type of every event.
    pub event: Option<FieldValue>,
    /// Event type of a last event.
    pub end_event: Option<FieldValue>,
    /// What standard input is.
    pub format: Format,
    /// Longest record in bytes.
    pub max_record: usize,
    /// The memory that events may take, in bytes.
    pub buffer: usize,
    /// How many past events are kept; `None`: 1000, and all until the first client has joined.
    pub history: Option<u64>,
    /// Whether standard input is copied to standard output.
    pub tee: bool,
    /// Who sets the pace of reading.
    pub pace: Pace,
    /// A client that takes nothing for so long is dropped.
    pub stall: Duration,
    /// Shortest and longest reconnection time.
    pub retry: (Duration, Duration),
    /// A comment after so long without an event.
    pub heartbeat: Option<Duration>,
    /// Nothing is read until so many clients are connected.
    pub wait: usize,
    /// What is done at the end of the input.
    pub at_eof: AtEof,
    /// Connections that are held at once; `None`: as many as the limit on open files allows.
    pub max_clients: Option<usize>,
    /// Threads that write to clients.
    pub threads: usize,
    /// How much the terminal is told.
    pub verbosity: Verbosity,
}

impl Config {
    /// What `cli` means; an error names the option, the value and what would do.
    pub fn new(cli: Cli) -> Result<Config> {
        if let Some(operand) = cli.operands.first() {
            let operand = harmless(&operand.to_string_lossy());
            bail!(
                "unexpected operand '{operand}': sse-pipe reads standard input, as in: {operand} | sse-pipe --port 6502"
            );
        }
        let binds = cli.bind.iter().map(|text| bind(text)).collect::<Result<Vec<_>>>()?;
        ensure!(cli.buffer >= LEAST_BUFFER, "--buffer {}: at least {LEAST_BUFFER} bytes", cli.buffer);
        let buffer = usize::try_from(cli.buffer).ok().filter(|_| cli.buffer <= LARGEST_BUFFER);
        let Some(buffer) = buffer else { bail!("--buffer {}: no machine has so much memory", cli.buffer) };
        let max_record = cli.max_record.unwrap_or(MAX_RECORD.min(cli.buffer));
        ensure!(max_record > 0, "--max-record 0: at least 1 byte");
        ensure!(
            max_record <= cli.buffer,
            "--max-record {max_record}: a record can't be longer than --buffer, {buffer} bytes"
        );
        if let Some(most) = cli.max_clients.filter(|&most| most < cli.wait) {
            bail!("--wait {}: so many can't be connected with --max-clients {most}", cli.wait);
        }
        let origins = origins(&cli.cors_origin)?;
        let (token, exposed_token_file) = token(cli.token_file.as_deref())?;
        let hosts = hosts(&cli.allow_host, &binds, &origins, token.is_some())?;
        let own = match &cli.page {
            None => Own::Nothing,
            Some(path) if path.is_dir() => Own::Folder,
            Some(_) => Own::File,
        };
        Ok(Config {
            service: Service { origins, hosts, token, ids: !cli.no_id, tail: cli.tail, own, metrics: cli.metrics },
            exposed_token_file,
            event: field_value("--event", cli.event.as_deref())?,
            end_event: field_value("--end-event", cli.end_event.as_deref())?,
            format: format(&cli)?,
            max_record: max_record as usize,
            buffer,
            history: cli.history,
            pace: match cli.pace {
                cli::Pace::Fastest => Pace::Fastest,
                cli::Pace::Slowest => Pace::Slowest,
                cli::Pace::Input => Pace::Input,
            },
            stall: cli.stall,
            tee: cli.tee,
            retry: cli.retry,
            heartbeat: Some(cli.heartbeat).filter(|heartbeat| !heartbeat.is_zero()),
            wait: cli.wait,
            at_eof: match cli.at_eof {
                cli::AtEof::Wait => AtEof::Wait,
                cli::AtEof::Exit => AtEof::Exit,
                cli::AtEof::Serve => AtEof::Serve,
            },
            max_clients: cli.max_clients,
            threads: cli.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get())),
            verbosity: match (cli.quiet, cli.verbose) {
                (true, _) => Verbosity::Quiet,
                (_, true) => Verbosity::Verbose,
                _ => Verbosity::Normal,
            },
            binds,
            port: cli.port,
            page: cli.page,
            open: cli.open,
        })
    }
}

fn format(cli: &Cli) -> Result<Format> {
    let pointers = [("--event-from", &cli.event_from), ("--id-from", &cli.id_from), ("--data-from", &cli.data_from)];
    let given = pointers.iter().find(|(_, pointer)| pointer.is_some());
    if cli.format == cli::Format::Sse {
        if let Some((flag, _)) = given {
            bail!(
                "{flag} with --format sse: the events of a stream have their parts already; {flag} is for JSON records"
            );
        }
        ensure!(!cli.null, "--null with --format sse: an event stream has lines; leave --null out");
        return Ok(Format::EventStream { ids: !cli.no_id });
    }
    ensure!(
        !cli.no_id || cli.id_from.is_none(),
        "--no-id with --id-from: IDs are either left out or taken from the records; leave one of them out"
    );
    let terminator = if cli.null { Terminator::Null } else { Terminator::Newline };
    Ok(match given {
        None => Format::Lines(terminator),
        Some(_) => {
            let [event, id, data] = pointers.map(|(_, pointer)| pointer.clone());
            Format::Json(terminator, Pointers { event, id, data })
        }
    })
}

fn bind(text: &str) -> Result<Bind> {
    if let Some(path) = text.strip_prefix("unix:") {
        ensure!(!path.is_empty(), "--bind 'unix:': a path is missing, as in unix:/run/user/1000/events.sock");
        return Ok(Bind::Unix(path.into()));
    }
    let name = !text.is_empty() && !text.contains([':', '/', ' ']);
    let ip = text.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    let shown = harmless(text);
    ensure!(
        name || ip,
        "--bind '{shown}': an address is an IP, a host name or unix:PATH; for the port there is --port"
    );
    Ok(Bind::Host(text.to_ascii_lowercase()))
}

fn field_value(flag: &str, text: Option<&str>) -> Result<Option<FieldValue>> {
    let Some(text) = text else { return Ok(None) };
    match FieldValue::new(text) {
        Some(value) => Ok(Some(value)),
        None if text.is_empty() => bail!("{flag} '': an event type is not empty; leave {flag} out for the default one"),
        None => bail!("{flag} {text:?}: an event type is one line, without a line break"),
    }
}

fn origins(texts: &[String]) -> Result<Origins> {
    let mut origins = Origins::default();
    for text in texts {
        match text.trim() {
            "*" => origins.any = true,
            "local" => origins.local = true,
            "null" => origins.null = true,
            "none" => ensure!(texts.len() == 1, "--cors-origin none: nothing can stand beside it"),
            text => match Origin::parse(text) {
                Some(origin) => origins.listed.push(origin),
                None => {
                    let help = "an origin is scheme://host[:port] without a path, or local, null, none, *";
                    bail!("--cors-origin '{text}': {help}")
                }
            },
        }
    }
    Ok(origins)
}

/// The token of `--token-file` or else of `SSE_PIPE_TOKEN`; and its file, if others can read it.
fn token(file: Option<&Path>) -> Result<(Option<Token>, Option<PathBuf>)> {
    const WANTED: &str = "a token is one line of letters, digits and -._~+/, with = at its end";
    let Some(path) = file else {
        let Some(text) = std::env::var_os("SSE_PIPE_TOKEN") else { return Ok((None, None)) };
        ensure!(!text.is_empty(), "SSE_PIPE_TOKEN is empty: {WANTED}; unset it to ask for none");
        // It is not shown: it may be right but for a blank.
        let Some(token) = text.to_str().and_then(Token::new) else { bail!("SSE_PIPE_TOKEN: {WANTED}") };
        return Ok((Some(token), None));
    };
    let shown = harmless(&path.to_string_lossy());
    let read = || -> std::io::Result<(String, std::fs::Metadata)> {
        let mut text = String::new();
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        file.take(MAX_TOKEN_FILE).read_to_string(&mut text)?;
        Ok((text, metadata))
    };
    let (text, metadata) = read().map_err(|error| anyhow!("--token-file '{shown}': cannot read it: {error}"))?;
    ensure!(text.len() < MAX_TOKEN_FILE as usize, "--token-file '{shown}': it is longer than 4 KiB; {WANTED}");
    ensure!(!text.trim_end().is_empty(), "--token-file '{shown}': it is empty; {WANTED}");
    let Some(token) = Token::new(text.trim_end()) else { bail!("--token-file '{shown}': {WANTED}") };
    let exposed = metadata.is_file() && metadata.permissions().mode() & 0o044 != 0;
    Ok((Some(token), exposed.then(|| path.to_owned())))
}

fn hosts(allowed: &[String], binds: &[Bind], origins: &Origins, has_token: bool) -> Result<Hosts> {
    let mut names: Vec<String> = origins.listed.iter().map(|origin| origin.host().to_owned()).collect();
    names.extend(binds.iter().filter_map(|bind| match bind {
        Bind::Host(name) => Some(name.clone()),
        Bind::Unix(_) => None,
    }));
    for name in allowed {
        match Authority::parse(name) {
            Some(Authority { host, port: None }) => names.push(host),
            _ => bail!("--allow-host '{name}': a name is one such as app.example, without scheme, port and path"),
        }
    }
    let own = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    names.extend([format!("{own}.local"), own]);
    Ok(Hosts { any: origins.any || has_token, names })
}
