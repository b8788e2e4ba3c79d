//! What the options mean, checked and grouped by the parts of the program that use them. Every invalid value is refused
//! here; the error names it and says what is valid.

use crate::cli::{self, Cli};
use crate::feed::pace::Pace;
use crate::http::access::{Hosts, Origin, Origins};
use crate::http::service::{CustomPage, Service};
use crate::http::tiles::Tiles;
use crate::http::token::Token;
use crate::input::records::Terminator;
use crate::input::source::{Format, Pointers};
use crate::log::store::Options;
use crate::report::Verbosity;
use crate::sanitize::sanitize;
use crate::serve::listen::Bind;
use crate::serve::server::AtEof;
use crate::wire::authority::Authority;
use crate::wire::event::FieldValue;
use anyhow::{Result, anyhow, bail, ensure};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Default of `--max-record`, if the buffer has room for it.
const MAX_RECORD: u64 = 16 << 20;
/// The least `--buffer`: some short events and their index.
const LEAST_BUFFER: u64 = 4 << 10;
/// The largest `--buffer`, on any machine. It is smaller on 32-bit machines: an event may be seven times as long as its
/// record, and that length must not overflow.
const LARGEST_BUFFER: u64 = if usize::BITS < 64 { (usize::MAX / 16) as u64 } else { 1 << 46 };

/// The longest text for the page, in bytes.
const LONGEST_TEXT: usize = 1000;

/// No more than this is read of a token's file: it is one line.
const MAX_TOKEN_FILE: u64 = 4 << 10;

/// How the program runs.
#[derive(Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: Listen,
    /// What requests get.
    pub service: Service,
    /// The user's own page, a file or a folder.
    pub page: Option<PathBuf>,
    /// The token's file, if others can read it too.
    pub exposed_token_file: Option<PathBuf>,
    /// What is read, and what becomes of it.
    pub input: Input,
    /// How events reach clients.
    pub delivery: Delivery,
    /// Where the log outlives the program.
    pub store: Option<Options>,
    /// Whether to print the last ID of the store and exit.
    pub last_id: bool,
    /// What is done at the end of the input.
    pub at_eof: AtEof,
    /// Whether the page is opened in the user's browser.
    pub open: bool,
    /// How much is reported.
    pub verbosity: Verbosity,
}

/// Where the program listens.
#[derive(Debug, PartialEq, Eq)]
pub struct Listen {
    /// The addresses.
    pub binds: Vec<Bind>,
    /// The port; 0 for one that is free.
    pub port: u16,
    /// Connections held at once; `None`: as many as the limit on open files allows.
    pub max_clients: Option<usize>,
}

/// What is read, and what becomes of it.
#[derive(Debug)]
pub struct Input {
    /// What standard input is.
    pub format: Format,
    /// Event type of every event that doesn't have its own.
    pub event: Option<FieldValue>,
    /// Event type of a last event.
    pub end_event: Option<FieldValue>,
    /// Longest record in bytes.
    pub max_record: usize,
    /// Nothing is read until this many clients are connected.
    pub wait: usize,
    /// Whether standard input is copied to standard output.
    pub tee: bool,
}

/// How events reach clients.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The memory that events may take, in bytes.
    pub buffer: usize,
    /// How many past events are kept; `None`: 1000, and all until the first client has joined.
    pub history: Option<u64>,
    /// Who sets the pace of reading.
    pub pace: Pace,
    /// A client that reads nothing for this long while events are pending is dropped.
    pub stall: Duration,
    /// Shortest and longest reconnection time.
    pub retry: (Duration, Duration),
    /// A comment is sent after this time without an event.
    pub heartbeat: Option<Duration>,
    /// Threads that write to clients.
    pub threads: usize,
}

impl Config {
    /// What `cli` means. An error names the option and the value, and says what is valid.
    pub fn new(cli: Cli) -> Result<Config> {
        if let Some(operand) = cli.operands.first() {
            let typed: Vec<_> = cli.operands.iter().map(|operand| operand.to_string_lossy()).collect();
            let (shown, typed) = (sanitize(&typed[0]), sanitize(&typed.join(" ")));
            let pipe = match shown.parse::<u16>() {
                Ok(port) => format!("PROGRAM | sse-pipe --port {port}"),
                Err(_) if Path::new(operand).is_file() => format!("tail -F {shown} | sse-pipe"),
                Err(_) => format!("{typed} | sse-pipe"),
            };
            bail!("unexpected operand '{shown}': sse-pipe reads standard input, as in: {pipe}");
        }
        let listen = listen(&cli)?;
        let delivery = delivery(&cli)?;
        let input = input(&cli, delivery.buffer)?;
        let (service, exposed_token_file) = service(&cli, &listen.binds)?;
        let size = delivery.buffer as u64;
        let store = cli.store.map(|folder| Options { folder, size, sync: cli.store_sync });
        Ok(Config {
            store,
            last_id: cli.last_id,
            listen,
            service,
            exposed_token_file,
            input,
            delivery,
            at_eof: cli.at_eof,
            open: cli.open,
            verbosity: match (cli.quiet, cli.verbose) {
                (true, _) => Verbosity::Quiet,
                (_, true) => Verbosity::Verbose,
                _ => Verbosity::Normal,
            },
            page: cli.page,
        })
    }
}

fn listen(cli: &Cli) -> Result<Listen> {
    let binds = cli.bind.iter().map(|text| bind(text)).collect::<Result<Vec<_>>>()?;
    if let Some(most) = cli.max_clients.filter(|&most| most < cli.wait) {
        bail!("--wait {}: that many clients cannot connect with --max-clients {most}", cli.wait);
    }
    Ok(Listen { binds, port: cli.port, max_clients: cli.max_clients })
}

fn delivery(cli: &Cli) -> Result<Delivery> {
    ensure!(cli.buffer >= LEAST_BUFFER, "--buffer {}: at least {LEAST_BUFFER} bytes", cli.buffer);
    let buffer = usize::try_from(cli.buffer).ok().filter(|_| cli.buffer <= LARGEST_BUFFER);
    let Some(buffer) = buffer else { bail!("--buffer {}: no machine has that much memory", cli.buffer) };
    Ok(Delivery {
        buffer,
        history: cli.history.or(cli.store.as_ref().map(|_| u64::MAX)),
        pace: cli.pace,
        stall: cli.stall,
        retry: cli.retry,
        heartbeat: Some(cli.heartbeat).filter(|heartbeat| !heartbeat.is_zero()),
        threads: cli.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get())),
    })
}

fn input(cli: &Cli, buffer: usize) -> Result<Input> {
    let max_record = cli.max_record.unwrap_or(MAX_RECORD.min(cli.buffer));
    ensure!(max_record > 0, "--max-record 0: at least 1 byte");
    ensure!(
        max_record <= cli.buffer,
        "--max-record {max_record}: a record can't be longer than --buffer, {buffer} bytes"
    );
    Ok(Input {
        format: format(cli)?,
        event: field_value("--event", cli.event.as_deref())?,
        end_event: field_value("--end-event", cli.end_event.as_deref())?,
        max_record: max_record as usize,
        wait: cli.wait,
        tee: cli.tee,
    })
}

/// What requests get; and the token's file, if others can read it.
fn service(cli: &Cli, binds: &[Bind]) -> Result<(Service, Option<PathBuf>)> {
    let origins = origins(&cli.cors_origin)?;
    let (token, exposed_token_file) = token(cli.token_file.as_deref())?;
    let hosts = hosts(&cli.allow_host, binds, &origins, token.is_some())?;
    let page = match &cli.page {
        None => CustomPage::None,
        Some(path) => {
            let shown = sanitize(&path.to_string_lossy());
            let help = "a page is a file, or a folder with an index.html";
            let metadata = std::fs::metadata(path).map_err(|error| anyhow!("--page '{shown}': {error}; {help}"))?;
            if metadata.is_dir() { CustomPage::Folder } else { CustomPage::File }
        }
    };
    let service = Service {
        origins,
        hosts,
        token,
        ids: !cli.no_id,
        tail: cli.tail,
        page,
        title: page_text("--title", cli.title.as_deref())?,
        tiles: tiles(cli.tiles.as_deref(), page_text("--tiles-credit", cli.tiles_credit.as_deref())?)?,
        metrics: cli.metrics,
    };
    Ok((service, exposed_token_file))
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
        ensure!(!cli.null, "--null with --format sse: an event stream has lines; omit --null");
        return Ok(Format::EventStream { ids: !cli.no_id });
    }
    ensure!(
        !cli.no_id || cli.id_from.is_none(),
        "--no-id with --id-from: events have either no IDs or those of their records; omit one of the options"
    );
    let [event, id, data] = pointers.map(|(_, pointer)| pointer.clone());
    let pointers = given.map(|_| Pointers { event, id, data });
    if cli.format == cli::Format::Json {
        ensure!(!cli.null, "--null with --format json: a JSON text ends by itself; omit --null");
        return Ok(Format::JsonTexts(pointers));
    }
    let terminator = if cli.null { Terminator::Null } else { Terminator::Newline };
    Ok(match pointers {
        None => Format::Lines(terminator),
        Some(pointers) => Format::Json(terminator, pointers),
    })
}

fn bind(text: &str) -> Result<Bind> {
    if let Some(path) = text.strip_prefix("unix:") {
        ensure!(!path.is_empty(), "--bind 'unix:': a path is missing, as in unix:/run/user/1000/events.sock");
        return Ok(Bind::Unix(path.into()));
    }
    let name = !text.is_empty() && !text.contains([':', '/', ' ']);
    let ip = text.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    let shown = sanitize(text);
    ensure!(name || ip, "--bind '{shown}': an address is an IP, a host name or unix:PATH; set the port with --port");
    Ok(Bind::Host(text.to_ascii_lowercase()))
}

fn field_value(flag: &str, text: Option<&str>) -> Result<Option<FieldValue>> {
    let Some(text) = text else { return Ok(None) };
    match FieldValue::new(text) {
        Some(value) => Ok(Some(value)),
        None if text.is_empty() => bail!("{flag} '': an event type must not be empty; omit {flag} for the default one"),
        None => bail!("{flag} '{}': an event type is one line, without a line break", sanitize(text)),
    }
}

fn origins(texts: &[String]) -> Result<Origins> {
    let mut origins = Origins::default();
    for text in texts {
        match text.trim() {
            "*" => origins.any = true,
            "local" => origins.local = true,
            "null" => origins.null = true,
            "none" => ensure!(texts.len() == 1, "--cors-origin none: cannot be combined with other origins"),
            text => match Origin::parse(text) {
                Some(origin) => origins.listed.push(origin),
                None => {
                    // With a path it is a page's address, mostly.
                    let origin = text.match_indices('/').nth(2).and_then(|(path, _)| Origin::parse(&text[..path]));
                    let example = origin.map(|origin| format!("; try --cors-origin {origin}")).unwrap_or_default();
                    let help = "an origin is scheme://host[:port] without a path, or local, null, none, *";
                    bail!("--cors-origin '{}': {help}{example}", sanitize(text))
                }
            },
        }
    }
    Ok(origins)
}

/// A text that the page shows, without the blanks around it.
fn page_text(flag: &str, text: Option<&str>) -> Result<Option<String>> {
    let Some(text) = text else { return Ok(None) };
    let shown = sanitize(text);
    let text = text.trim();
    ensure!(!text.is_empty(), "{flag} '{shown}': it is empty; omit {flag} for the default");
    ensure!(!text.chars().any(char::is_control), "{flag} '{shown}': it is one line, without control characters");
    ensure!(text.len() <= LONGEST_TEXT, "{flag} '{shown}': it is at most {LONGEST_TEXT} bytes long");
    Ok(Some(text.to_owned()))
}

fn tiles(template: Option<&str>, credit: Option<String>) -> Result<Option<Tiles>> {
    let Some(template) = template else {
        ensure!(credit.is_none(), "--tiles-credit without --tiles: it credits the server that --tiles names");
        return Ok(None);
    };
    let help = "a tile server is given as in https://tiles.example/{z}/{x}/{y}.png";
    match Tiles::parse(template, &credit.unwrap_or_default()) {
        Ok(tiles) => Ok(Some(tiles)),
        Err(why) => bail!("--tiles '{}': {}; {help}", sanitize(template), sanitize(&why)),
    }
}

/// The token of `--token-file` or else of `SSE_PIPE_TOKEN`; and its file, if others can read it.
fn token(file: Option<&Path>) -> Result<(Option<Token>, Option<PathBuf>)> {
    const WANTED: &str = "a token is one line of letters, digits and -._~+/, and = at its end only";
    let Some(path) = file else {
        let Some(text) = std::env::var_os("SSE_PIPE_TOKEN") else { return Ok((None, None)) };
        ensure!(!text.is_empty(), "SSE_PIPE_TOKEN is empty: {WANTED}; unset it to require none");
        // The value is not shown: it may be the right token with one blank too many.
        let Some(token) = text.to_str().and_then(Token::new) else { bail!("SSE_PIPE_TOKEN: {WANTED}") };
        return Ok((Some(token), None));
    };
    let shown = sanitize(&path.to_string_lossy());
    let read = || -> std::io::Result<(String, std::fs::Metadata)> {
        let mut text = String::new();
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        file.take(MAX_TOKEN_FILE).read_to_string(&mut text)?;
        Ok((text, metadata))
    };
    let (text, metadata) = read().map_err(|error| {
        let help = "to make one: (umask 077; openssl rand -hex 16 >FILE)";
        anyhow!("--token-file '{shown}': cannot read it: {error}; {help}")
    })?;
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
            _ => {
                let help = "a host is a name such as app.example, without scheme, port or path";
                bail!("--allow-host '{}': {help}", sanitize(name))
            }
        }
    }
    let own = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    names.extend([format!("{own}.local"), own]);
    Ok(Hosts { any: origins.any || has_token, names })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The configuration of these arguments.
    fn config(args: &str) -> Result<Config> {
        let args = ["sse-pipe"].into_iter().chain(args.split_whitespace());
        Config::new(cli::parse(args.map(Into::into)).unwrap_or_else(|_| panic!("clap takes them")))
    }

    #[test]
    fn without_options_it_is_what_the_manual_says() {
        let Config { listen, service, input, delivery, at_eof, verbosity, page, open, .. } =
            config("").expect("is valid");
        assert_eq!(listen, Listen { binds: vec![Bind::Host("localhost".to_owned())], port: 6502, max_clients: None });
        assert_eq!(service.origins, Origins { local: true, ..Origins::default() });
        assert!(!service.hosts.any && service.ids && !service.metrics && service.tail.is_none());
        assert_eq!((service.page, page, open), (CustomPage::None, None, false));
        assert!(matches!(input.format, Format::Lines(Terminator::Newline)));
        assert_eq!((input.event, input.end_event, input.wait, input.tee), (None, None, 0, false));
        assert_eq!(input.max_record, 16 << 20);
        let seconds = Duration::from_secs;
        assert_eq!((delivery.buffer, delivery.history, delivery.pace), (64 << 20, None, Pace::Fastest));
        assert_eq!((delivery.stall, delivery.heartbeat), (seconds(30), Some(seconds(15))));
        assert_eq!(delivery.retry, (seconds(1), seconds(3)));
        assert!(delivery.threads > 0);
        assert_eq!((at_eof, verbosity), (AtEof::Wait, Verbosity::Normal));
    }

    #[test]
    fn each_option_arrives_where_it_is_needed() {
        type Check = fn(&Config) -> bool;
        let checks: &[(&str, Check)] = &[
            ("--port 0 --bind unix:/s --bind Box", |c| {
                c.listen.port == 0 && c.listen.binds == [Bind::Unix("/s".into()), Bind::Host("box".to_owned())]
            }),
            ("--bind Box", |c| c.service.hosts.names.iter().any(|name| name == "box")),
            ("-m 5 --wait 5", |c| (c.listen.max_clients, c.input.wait) == (Some(5), 5)),
            ("--event a --end-event b", |c| {
                c.input.event == FieldValue::new("a") && c.input.end_event == FieldValue::new("b")
            }),
            ("--cors-origin local,https://a.example", |c| {
                c.service.origins.local
                    && c.service.origins.listed == [Origin::parse("https://a.example").expect("is one")]
                    && c.service.hosts.names.iter().any(|name| name == "a.example")
            }),
            ("--cors-origin *", |c| c.service.origins.any && c.service.hosts.any),
            ("--cors-origin null", |c| c.service.origins.null && !c.service.origins.local),
            ("--cors-origin none", |c| c.service.origins == Origins::default()),
            ("--allow-host App.Example", |c| c.service.hosts.names.iter().any(|name| name == "app.example")),
            ("--null", |c| matches!(c.input.format, Format::Lines(Terminator::Null))),
            ("--format sse --no-id", |c| matches!(c.input.format, Format::EventStream { ids: false })),
            ("--format sse", |c| matches!(c.input.format, Format::EventStream { ids: true })),
            ("--format json", |c| matches!(c.input.format, Format::JsonTexts(None))),
            ("--format json --id-from /id", |c| {
                matches!(&c.input.format, Format::JsonTexts(Some(Pointers { id: Some(_), event: None, data: None })))
            }),
            ("--id-from /id", |c| {
                matches!(&c.input.format, Format::Json(_, Pointers { id: Some(_), event: None, data: None }))
            }),
            ("--no-id --tail 3 --metrics", |c| !c.service.ids && c.service.tail == Some(3) && c.service.metrics),
            ("--buffer 4KiB", |c| (c.delivery.buffer, c.input.max_record) == (4096, 4096)),
            ("--buffer 4KiB --max-record 1", |c| c.input.max_record == 1),
            ("--history all", |c| c.delivery.history == Some(u64::MAX)),
            ("--pace slowest --at-eof serve", |c| (c.delivery.pace, c.at_eof) == (Pace::Slowest, AtEof::Serve)),
            ("--stall 100ms --heartbeat 0 --threads 7", |c| {
                c.delivery.stall == Duration::from_millis(100)
                    && c.delivery.heartbeat.is_none()
                    && c.delivery.threads == 7
            }),
            ("--retry 5s", |c| c.delivery.retry == (Duration::from_secs(5), Duration::from_secs(5))),
            ("--tee --open", |c| c.input.tee && c.open),
            ("--title Box", |c| c.service.title.as_deref() == Some("Box")),
            ("--tiles http://a/{z}/{x}/{y} --tiles-credit Me", |c| {
                c.service.tiles == Tiles::parse("http://a/{z}/{x}/{y}", "Me").ok() && c.service.tiles.is_some()
            }),
            ("--page /", |c| c.service.page == CustomPage::Folder && c.page.as_deref() == Some(Path::new("/"))),
            ("-q", |c| c.verbosity == Verbosity::Quiet),
            ("-v", |c| c.verbosity == Verbosity::Verbose),
        ];
        for (args, holds) in checks {
            let config = config(args).unwrap_or_else(|error| panic!("{args}: {error}"));
            assert!(holds(&config), "{args}: {config:?}");
        }
    }

    #[test]
    fn what_is_invalid_is_refused_by_name() {
        for (args, want) in [
            ("x", "unexpected operand 'x'"),
            ("--bind unix:", "--bind 'unix:'"),
            ("--bind a:80", "--bind 'a:80'"),
            ("--buffer 4095", "--buffer 4095"),
            ("--buffer 18446744073709551615", "--buffer 18446744073709551615"),
            ("--max-record 0", "--max-record 0"),
            ("--buffer 1MiB --max-record 2MiB", "--max-record 2097152"),
            ("--wait 3 -m 2", "--wait 3"),
            ("--cors-origin http://a/", "--cors-origin 'http://a/'"),
            ("--cors-origin none,local", "--cors-origin none"),
            ("--allow-host http://a", "--allow-host 'http://a'"),
            ("--format sse --null", "--null with --format sse"),
            ("--format json --null", "--null with --format json"),
            ("--format sse --data-from /a", "--data-from with --format sse"),
            ("--no-id --id-from /a", "--no-id with --id-from"),
            ("--tiles http://a/{z}/{x}", "--tiles 'http://a/{z}/{x}': it has no {y}"),
            ("--token-file /no/such/file", "--token-file '/no/such/file'"),
        ] {
            let error = config(args).err().unwrap_or_else(|| panic!("{args} is taken")).to_string();
            assert!(error.starts_with(want), "{args}: {error}");
        }
    }
}
