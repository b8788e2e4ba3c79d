//! The end-to-end benchmark: the real program, a producer at its standard input, and clients on loopback that check
//! every byte of every stream. A fault fails the run and says what came.
//!
//!     cargo bench --bench delivery                                             all tables, about 3 minutes
//!     cargo bench --bench delivery -- --clients 1,100 --sizes 200 --seconds 1  some cells
//!     cargo bench --bench delivery -- --only saturated --runs 5 --csv          medians, for `benches/picture.py`
//!     cargo bench --bench delivery -- --only crowd --clients 19900             very many clients
//!
//! The server has one processor for itself, the clients and the producer another. If `clients %` is near 100, they are
//! the limit, and the server may be faster than the figure. 10,000 clients need a higher `ulimit -n`. Linux only,
//! because it reads `/proc`.

mod cells;
mod crowd;
mod server;
mod stream;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use server::Places;
use std::process::ExitCode;
use std::time::Duration;

/// Measures sse-pipe from end to end, and checks every delivery.
#[derive(Parser)]
#[command(name = "delivery")]
struct Options {
    /// Only these tables, in this order
    #[arg(long, value_delimiter = ',', value_name = "TABLE")]
    only: Vec<Table>,
    /// Numbers of clients
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    clients: Vec<usize>,
    /// Sizes of records in bytes
    #[arg(long, value_delimiter = ',', value_name = "BYTES,…")]
    sizes: Vec<usize>,
    /// Events a second, where latency is measured
    #[arg(long, value_delimiter = ',', value_name = "RATE,…")]
    rates: Vec<u32>,
    /// How long each cell is measured
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// How often everything is measured; medians are shown
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Print comma-separated values
    #[arg(long)]
    csv: bool,
    /// What cargo says
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Table {
    /// Deliveries a second at full speed
    Saturated,
    /// Latency at a fixed rate
    Latency,
    /// Clients that wait
    Idle,
    /// From exec to listening
    Start,
    /// Input without a client
    Input,
    /// Two workers beside one
    Workers,
    /// Very many clients
    Crowd,
}

impl Table {
    /// What is measured by default: all that needs no higher limit of open files than the usual one.
    const USUAL: [Table; 6] =
        [Table::Start, Table::Input, Table::Idle, Table::Latency, Table::Saturated, Table::Workers];

    fn title(self) -> &'static str {
        match self {
            Table::Saturated => "Saturated: records come as fast as they are read",
            Table::Latency => "Latency: from when a record is due until a client has all of it",
            Table::Idle => "Clients that wait, with the usual heartbeats",
            Table::Start => "Starting, and size",
            Table::Input => "Input alone, no client",
            Table::Workers => "Two workers beside one, on all processors; clients throttled to cost little",
            Table::Crowd => "Very many clients: one event to all",
        }
    }

    fn columns(self) -> &'static [&'static str] {
        match self {
            Table::Saturated => &["clients", "bytes", "deliveries/s", "CPU ns/delivery", "server %", "clients %"],
            Table::Latency => {
                &["clients", "bytes", "events/s", "p50 µs", "p99 µs", "CPU µs/delivery", "server %", "clients %"]
            }
            Table::Idle => &["clients", "accepted/s", "bytes of memory each", "CPU %"],
            Table::Start => &["ms to listening", "ms of true", "MiB of binary"],
            Table::Input => &["bytes", "GB/s", "GB/s of wc -l", "ratio"],
            Table::Workers => &[
                "clients",
                "bytes",
                "deliveries/s of one",
                "of two",
                "ratio",
                "clients %",
                "CPU ns/delivery of one",
                "of two",
                "busier's part %",
                "ratio of processor time",
            ],
            Table::Crowd => &["clients", "accepted/s", "ms to all", "at most", "MiB of memory"],
        }
    }

    /// Measures all its cells: a row of numbers for each.
    fn measure(self, options: &Options, places: &Places) -> Result<Vec<Vec<f64>>> {
        let time = Duration::from_secs_f64(options.seconds);
        let clients = |usual: &[usize]| chosen(&options.clients, usual);
        let sizes = |usual: &[usize]| chosen(&options.sizes, usual);
        let mut rows = Vec::new();
        match self {
            Table::Saturated => {
                for size in sizes(&[32, 200, 4096]) {
                    for clients in clients(&[1, 100, 1000, 10_000]) {
                        rows.push(cells::saturated(places, clients, size, time)?);
                    }
                }
            }
            Table::Latency => {
                for rate in chosen(&options.rates, &[10, 1000]) {
                    for size in sizes(&[200]) {
                        for clients in clients(&[100, 1000]) {
                            rows.push(cells::latency(places, clients, size, rate, time)?);
                        }
                    }
                }
            }
            Table::Idle => {
                let most = clients(&[10_000]).into_iter().max().unwrap_or(1);
                rows.push(cells::idle(places, most, time)?);
            }
            Table::Start => rows.push(cells::start(places)?),
            Table::Input => {
                for size in sizes(&[200]) {
                    rows.push(cells::input(places, size)?);
                }
            }
            Table::Workers => {
                for size in sizes(&[32, 4096]) {
                    for clients in clients(&[1000]) {
                        rows.push(cells::workers(places, clients, size, time)?);
                    }
                }
            }
            Table::Crowd => {
                for clients in clients(&[100_000]) {
                    rows.push(cells::crowd(places, clients)?);
                }
            }
        }
        Ok(rows)
    }
}

fn chosen<T: Copy>(by_the_person: &[T], usual: &[T]) -> Vec<T> {
    if by_the_person.is_empty() { usual.to_vec() } else { by_the_person.to_vec() }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("delivery: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    ensure!(options.runs > 0 && options.seconds > 0.0, "--runs and --seconds must be more than 0");
    ensure!(!options.rates.contains(&0) && !options.clients.contains(&0), "--rates and --clients must be more than 0");
    stream::check_the_check()?;
    raise_file_limit();
    let places = Places::find()?;
    if !places.are_apart() {
        eprintln!("delivery: there is but one processor; server and clients share it");
    }
    let tables = chosen(&options.only, &Table::USUAL);
    let mut runs = vec![Vec::new(); tables.len()];
    for run in 1..=options.runs {
        // Interleaved, so that a slow minute of the machine does not meet one table alone.
        for (runs, table) in runs.iter_mut().zip(&tables) {
            runs.push(table.measure(options, &places)?);
            if run == options.runs {
                print(*table, &medians(runs), options.csv);
            }
        }
    }
    Ok(())
}

/// Row by row and column by column, the median of all runs.
fn medians(runs: &[Vec<Vec<f64>>]) -> Vec<Vec<f64>> {
    let cell =
        |row: usize, column: usize| cells::median(&mut runs.iter().map(|it| it[row][column]).collect::<Vec<_>>());
    let rows = runs[0].iter().enumerate();
    rows.map(|(row, columns)| (0..columns.len()).map(|column| cell(row, column)).collect()).collect()
}

fn print(table: Table, rows: &[Vec<f64>], csv: bool) {
    if csv {
        println!("{}", table.columns().join(","));
        for row in rows {
            println!("{}", row.iter().map(f64::to_string).collect::<Vec<_>>().join(","));
        }
        return println!();
    }
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|&value| human(value)).collect()).collect();
    let width = |nth: usize| {
        let cells = rows.iter().map(|row| row[nth].chars().count());
        cells.chain([table.columns()[nth].chars().count()]).max().unwrap_or(0)
    };
    let line = |cells: Vec<String>| println!("| {} |", cells.join(" | "));
    let padded = |nth: usize, text: &str| format!("{text:>width$}", width = width(nth));
    println!("{}\n", table.title());
    line(table.columns().iter().enumerate().map(|(nth, text)| padded(nth, text)).collect());
    line((0..table.columns().len()).map(|nth| "-".repeat(width(nth) - 1) + ":").collect());
    for row in &rows {
        line(row.iter().enumerate().map(|(nth, text)| padded(nth, text)).collect());
    }
    println!();
}

/// Three significant digits, with a comma at each thousand.
fn human(value: f64) -> String {
    if value < 100.0 && value.fract() != 0.0 {
        let places = if value < 10.0 { 2 } else { 1 };
        return format!("{value:.places$}");
    }
    let mut text = format!("{value:.0}");
    for at in (1..text.len()).rev().filter(|at| (text.len() - at) % 3 == 0).collect::<Vec<_>>() {
        text.insert(at, ',');
    }
    text
}

/// Each client is an open file here, too.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused, connecting will say what is missing.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
