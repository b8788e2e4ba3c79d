//! The settings of a round.

use crate::support::random::Random;
use std::time::Duration;

/// What standard input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Lines,
    /// `--null`
    Null,
    /// Records are JSON, or not; `--id-from /id`, and `--data-from /data` or not.
    Json {
        data: bool,
    },
    /// `--format sse`
    EventStream,
}

/// Which IDs events have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    None,
    Run,
    OwnElseRun,
    Own,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Fastest,
    Slowest,
    Input,
}

/// How the round ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With the input, `--at-eof wait`.
    Wait,
    /// With the input, `--at-eof exit`.
    Exit,
    /// The input ends, its history is served (`--at-eof serve`), then comes SIGTERM.
    Serve,
    /// By SIGTERM, in the middle.
    Signal,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub format: Format,
    pub ids: Ids,
    pub event: Option<&'static str>,
    pub end_event: Option<&'static str>,
    pub max_record: Option<u64>,
    pub wait: u64,
    pub pace: Pace,
    pub buffer: u64,
    /// `u64::MAX`: all.
    pub history: Option<u64>,
    pub tail: Option<u64>,
    pub stall: Duration,
    pub heartbeat: Duration,
    /// In milliseconds.
    pub retry: (u64, u64),
    pub threads: u64,
    pub ending: Ending,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// By default this many records are kept once a client has joined.
const DEFAULT_HISTORY: u64 = 1000;
/// The default of `--max-record`, if the buffer has room for it.
const DEFAULT_MAX_RECORD: u64 = 16 * MIB;

impl Settings {
    pub fn choose(random: &mut Random) -> Settings {
        let json = [Format::Json { data: false }, Format::Json { data: true }];
        let format = random.pick(&[Format::Lines, Format::Lines, Format::Null, json[0], json[1], Format::EventStream]);
        let no_id = random.one_in(6);
        let ids = match format {
            Format::Json { .. } => Ids::OwnElseRun,
            _ if no_id => Ids::None,
            Format::EventStream => Ids::Own,
            Format::Lines | Format::Null => Ids::Run,
        };
        let buffer = random.pick(&[16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB, 32 * MIB]);
        Settings {
            format,
            ids,
            event: random.pick(&[None, None, Some("greeting")]),
            end_event: random.pick(&[None, None, Some("over")]),
            max_record: random.pick(&[None, None, Some(100), Some(5000), Some(buffer / 2)]),
            wait: random.pick(&[0, 0, 1]),
            pace: random.pick(&[Pace::Fastest, Pace::Slowest, Pace::Input]),
            buffer,
            history: random.pick(&[None, None, Some(0), Some(1), Some(7), Some(300), Some(u64::MAX)]),
            tail: random.pick(&[None, None, None, Some(0), Some(1), Some(5), Some(200)]),
            // A shorter one would also hit clients whose packets are late: a sender with a small window may wait for
            // 200 ms and more.
            stall: random.pick(&[Duration::from_secs(1), Duration::from_secs(1), Duration::from_secs(30)]),
            heartbeat: random.pick(&[Duration::ZERO, Duration::from_millis(10), Duration::from_secs(3600)]),
            retry: random.pick(&[(1, 1), (10, 100), (200, 400)]),
            threads: random.pick(&[1, 2, 3, 5]),
            ending: random.pick(&[Ending::Wait, Ending::Wait, Ending::Exit, Ending::Serve, Ending::Signal]),
        }
    }

    /// The command line without the port.
    pub fn args(&self) -> Vec<String> {
        let ms = |time: Duration| if time.is_zero() { "0".to_owned() } else { format!("{}ms", time.as_millis()) };
        let name = |value: &dyn std::fmt::Debug| format!("{value:?}").to_ascii_lowercase();
        let mut args = Vec::new();
        let flags = [("--null", self.format == Format::Null), ("--no-id", self.ids == Ids::None)];
        args.extend(flags.iter().filter(|(_, given)| *given).map(|(flag, _)| flag.to_string()));
        let history = |entries: u64| if entries == u64::MAX { "all".to_owned() } else { entries.to_string() };
        let options = [
            ("--format", (self.format == Format::EventStream).then(|| "sse".to_owned())),
            ("--id-from", matches!(self.format, Format::Json { .. }).then(|| "/id".to_owned())),
            ("--data-from", (self.format == Format::Json { data: true }).then(|| "/data".to_owned())),
            ("--event", self.event.map(str::to_owned)),
            ("--end-event", self.end_event.map(str::to_owned)),
            ("--max-record", self.max_record.map(|bytes| bytes.to_string())),
            ("--wait", (self.wait > 0).then(|| self.wait.to_string())),
            ("--pace", Some(name(&self.pace))),
            ("--buffer", Some(self.buffer.to_string())),
            ("--history", self.history.map(history)),
            ("--tail", self.tail.map(|entries| entries.to_string())),
            ("--stall", Some(ms(self.stall))),
            ("--heartbeat", Some(ms(self.heartbeat))),
            ("--retry", Some(format!("{}ms-{}ms", self.retry.0, self.retry.1))),
            ("--threads", Some(self.threads.to_string())),
            ("--at-eof", (self.ending != Ending::Signal).then(|| name(&self.ending))),
        ];
        for (option, value) in options {
            args.extend(value.into_iter().flat_map(|value| [option.to_owned(), value]));
        }
        args
    }

    pub fn longest_record(&self) -> u64 {
        self.max_record.unwrap_or(DEFAULT_MAX_RECORD.min(self.buffer))
    }

    /// How many records the history has at least, as far as the buffer holds them.
    pub fn least_history(&self) -> u64 {
        self.history.unwrap_or(DEFAULT_HISTORY)
    }

    /// How many records the history has at most.
    pub fn most_history(&self, has_joined: bool) -> u64 {
        self.history.unwrap_or(if has_joined { DEFAULT_HISTORY } else { u64::MAX })
    }
}
