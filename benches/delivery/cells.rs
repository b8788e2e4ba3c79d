//! What is measured: one function for each table. Each starts its own server, and fails if a single delivery fails.

use crate::crowd::{Care, Crowd};
use crate::server::{BINARY, Place, Places, Server, cpu};
use crate::stream::Stream;
use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, getrlimit};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The programs are started this often; the median is used.
const STARTS: usize = 21;
/// The heartbeats are 15 s apart unless told otherwise: this sees one of them, and is the least.
const IDLE: Duration = Duration::from_secs(15);
/// So much input without a client.
const INPUT: u64 = 512 << 20;
/// Clients that are throttled look for something to read so often.
const THROTTLE: Duration = Duration::from_millis(20);
/// A crowd gets this many events, each when all have had the one before.
const EVENTS: u64 = 9;

/// How long a turn of the clients may wait while something else is done.
const SHORT: Duration = Duration::from_millis(5);

/// Processor time of the server and of this program, and the time on the wall.
struct Clock {
    server: Duration,
    workers: Vec<Duration>,
    own: Duration,
    wall: Instant,
}

impl Clock {
    fn start(server: &Server) -> Result<Clock> {
        let workers = server.workers()?;
        Ok(Clock { server: server.cpu()?, workers, own: cpu(std::process::id())?, wall: Instant::now() })
    }

    /// What went by until `end`.
    fn stop(&self, server: &Server, end: Instant) -> Result<Spent> {
        let workers =
            server.workers()?.into_iter().zip(&self.workers).map(|(now, before)| (now - *before).as_secs_f64());
        Ok(Spent {
            wall: (end - self.wall).as_secs_f64(),
            server: (server.cpu()? - self.server).as_secs_f64(),
            workers: workers.collect(),
            own: (cpu(std::process::id())? - self.own).as_secs_f64(),
        })
    }
}

/// Seconds on the wall; of processor time of the server, of each of its workers, and of this program.
struct Spent {
    wall: f64,
    server: f64,
    workers: Vec<f64>,
    own: f64,
}

/// Someone writes as fast as it is taken: deliveries a second, and what each of them costs.
pub fn saturated(places: &Places, clients: usize, size: usize, time: Duration) -> Result<Vec<f64>> {
    let stream = Stream::of_records(size)?;
    // By default one that is 64 MiB behind the fastest is dropped, and these are to get everything, however unevenly the
    // one thread that reads for all of them comes to each.
    let args = ["--pace", "slowest"];
    let (spent, deliveries) = flood(places, Place::Own, &args, clients, &stream, Care::Every, time)?;
    Ok(vec![
        clients as f64,
        size as f64,
        deliveries / spent.wall,
        spent.server * 1e9 / deliveries,
        spent.server / spent.wall * 100.0,
        spent.own / spent.wall * 100.0,
    ])
}

/// The same with one worker and with two, on all processors. The clients cost as little as clients can, but they and the
/// producer need a part of two processors, which the second worker cannot have. So beside the ratio of what was delivered
/// stands how much less processor time the busier worker needed for a delivery than the only one: the ratio where there
/// are processors for all, if nobody waits for a lock.
pub fn workers(places: &Places, clients: usize, size: usize, time: Duration) -> Result<Vec<f64>> {
    let stream = Stream::of_records(size)?;
    let measure = |threads: &str| {
        let args = ["--threads", threads, "--pace", "slowest"]; // they are too slow to keep up otherwise
        flood(places, Place::All, &args, clients, &stream, Care::Sampled, time)
    };
    let (one, by_one) = measure("1")?;
    let (two, by_two) = measure("2")?;
    let busier = two.workers.iter().copied().fold(0.0, f64::max);
    Ok(vec![
        clients as f64,
        size as f64,
        by_one / one.wall,
        by_two / two.wall,
        (by_two / two.wall) / (by_one / one.wall),
        (one.own / one.wall).max(two.own / two.wall) * 100.0,
        one.server * 1e9 / by_one,
        two.server * 1e9 / by_two,
        busier / two.workers.iter().sum::<f64>() * 100.0,
        (one.workers[0] / by_one) / (busier / by_two),
    ])
}

/// What was spent, and on how many deliveries.
fn flood(
    places: &Places,
    place: Place,
    args: &[&str],
    clients: usize,
    stream: &Stream,
    care: Care,
    time: Duration,
) -> Result<(Spent, f64)> {
    places.take_clients_place(place)?;
    let mut server = Server::start(&[&["--heartbeat", "0"], args].concat(), places, place)?;
    let mut crowd = Crowd::join(server.address, clients, stream, care)?;
    let mut stdin = server.stdin.take().context("was not taken yet")?;
    stdin.write_all(&stream.records)?; // buffers grow to what they will need
    crowd.read_until(stream.period)?;

    let clock = Clock::start(&server)?;
    let records = stream.records.clone();
    let producer = thread::spawn(move || -> Result<(ChildStdin, u64)> {
        let end = Instant::now() + time;
        let mut periods = 0;
        while Instant::now() < end {
            stdin.write_all(&records)?;
            periods += 1;
        }
        Ok((stdin, periods))
    });
    let wait = if care == Care::Sampled { Duration::ZERO } else { SHORT };
    while !producer.is_finished() {
        crowd.turn(Some(wait), |_, _, _| {})?;
        if care == Care::Sampled {
            thread::sleep(THROTTLE);
        }
    }
    let (stdin, periods) = producer.join().expect("the producer does not panic")?;
    let events = (periods + 1) * stream.period;
    while !crowd.has(events) {
        crowd.turn(None, |_, _, _| {})?;
        if care == Care::Sampled {
            thread::sleep(THROTTLE);
        }
    }
    let spent = clock.stop(&server, crowd.latest)?;
    crowd.take_care();
    drop(stdin);
    crowd.finish(events)?;
    server.end()?;
    Ok((spent, (periods * stream.period * clients as u64) as f64))
}

/// This many records a second: from the moment when a record was due until a client has it whole.
pub fn latency(places: &Places, clients: usize, size: usize, rate: u32, time: Duration) -> Result<Vec<f64>> {
    places.take_clients_place(Place::Own)?;
    let stream = Stream::of_records(size)?;
    let mut server = Server::start(&["--heartbeat", "0"], places, Place::Own)?;
    let mut crowd = Crowd::join(server.address, clients, &stream, Care::Every)?;
    let mut stdin = server.stdin.take().context("was not taken yet")?;
    let record = |nth: u64| {
        let nth = (nth % stream.period) as usize;
        &stream.records[nth * stream.line()..(nth + 1) * stream.line()]
    };
    stdin.write_all(record(0))?;
    crowd.read_until(1)?;

    let count = u64::from((f64::from(rate) * time.as_secs_f64()) as u32).max(2);
    let apart = Duration::from_secs(1) / rate;
    let mut taken: Vec<u32> = Vec::with_capacity((count * clients as u64) as usize);
    let clock = Clock::start(&server)?;
    let start = Instant::now() + apart;
    let due = |event: u64| start + apart * (event - 1) as u32;
    thread::scope(|scope| -> Result<()> {
        let stdin = &mut stdin;
        let record = &record;
        let producer = scope.spawn(move || -> Result<()> {
            wake_in_time();
            for event in 1..=count {
                thread::sleep(due(event).saturating_duration_since(Instant::now()));
                stdin.write_all(record(event))?;
            }
            Ok(())
        });
        let mut read = || -> Result<()> {
            while !crowd.has(count + 1) {
                crowd.turn(None, |now, before, after| {
                    for event in before / stream.chunk as u64..after / stream.chunk as u64 {
                        let late = now.saturating_duration_since(due(event)).as_nanos();
                        taken.push(late.try_into().unwrap_or(u32::MAX));
                    }
                })?;
            }
            Ok(())
        };
        let result = read();
        if result.is_err() {
            server.kill(); // which ends the producer
        }
        result.and(producer.join().expect("the producer does not panic"))
    })?;
    let spent = clock.stop(&server, crowd.latest)?;
    drop(stdin);
    crowd.finish(count + 1)?;
    server.end()?;
    taken.sort_unstable();
    ensure!(taken.len() as u64 == count * clients as u64, "{} deliveries were timed", taken.len());
    let quantile = |of: f64| f64::from(taken[((taken.len() - 1) as f64 * of) as usize]) / 1e3;
    Ok(vec![
        clients as f64,
        size as f64,
        f64::from(rate),
        quantile(0.5),
        quantile(0.99),
        spent.server * 1e6 / taken.len() as f64,
        spent.server / spent.wall * 100.0,
        spent.own / spent.wall * 100.0,
    ])
}

/// A sleep ends when it should, not up to 50 µs later.
fn wake_in_time() {
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}

/// Very many clients: how fast they join, how soon an event is with the last of them, and what memory the server takes.
pub fn crowd(places: &Places, clients: usize) -> Result<Vec<f64>> {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    ensure!((clients as u64) < files, "{clients} clients want `ulimit -n` above that; it is {files}");
    places.take_clients_place(Place::Own)?;
    let stream = Stream::of_records(200)?;
    let mut server = Server::start(&["--heartbeat", "0"], places, Place::Own)?;
    let start = Instant::now();
    let mut crowd = Crowd::join(server.address, clients, &stream, Care::Every)?;
    let joining = crowd.latest - start;
    let mut stdin = server.stdin.take().context("was not taken yet")?;
    let mut taken = Vec::new();
    for (event, record) in (1..=EVENTS).zip(stream.records.chunks(stream.line())) {
        let start = Instant::now();
        stdin.write_all(record)?;
        crowd.read_until(event)?;
        taken.push((crowd.latest - start).as_secs_f64() * 1e3);
    }
    let memory = server.resident()? as f64 / f64::from(1 << 20);
    drop(stdin);
    crowd.finish(EVENTS)?;
    server.end()?;
    let worst = taken.iter().copied().fold(0.0, f64::max);
    Ok(vec![clients as f64, clients as f64 / joining.as_secs_f64(), median(&mut taken), worst, memory])
}

/// Clients that only wait: how fast they join, what memory each takes, and what they cost with heartbeats.
pub fn idle(places: &Places, clients: usize, time: Duration) -> Result<Vec<f64>> {
    places.take_clients_place(Place::Own)?;
    let stream = Stream::of_heartbeats();
    let mut server = Server::start(&[], places, Place::Own)?;
    // A few may come and go, so that what is set up once is not counted.
    drop(Crowd::join(server.address, 1, &stream, Care::Every)?);
    let (before, start) = (server.resident()?, Instant::now());
    let mut crowd = Crowd::join(server.address, clients, &stream, Care::Every)?;
    let joining = crowd.latest - start;
    let memory = server.resident()?.saturating_sub(before) as f64 / clients as f64;

    let clock = Clock::start(&server)?;
    let end = Instant::now() + time.max(IDLE);
    while let Some(rest) = end.checked_duration_since(Instant::now()) {
        crowd.turn(Some(rest), |_, _, _| {})?;
    }
    let spent = clock.stop(&server, Instant::now())?;
    crowd.read_until(1)?; // where joining was quick, the heartbeat is just on its way
    let heartbeats = crowd.fewest();
    server.stdin = None;
    crowd.finish(heartbeats)?;
    server.end()?;
    Ok(vec![clients as f64, clients as f64 / joining.as_secs_f64(), memory, spent.server / spent.wall * 100.0])
}

/// From exec to listening, and what `true` takes from exec to its end; the size of the binary.
pub fn start(places: &Places) -> Result<Vec<f64>> {
    places.take_clients_place(Place::Own)?;
    let (mut own, mut least) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let mut command = Command::new("true");
        let start = Instant::now();
        places.spawn(&mut command, Place::Own)?.wait()?;
        least.push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        let server = Server::start(&[], places, Place::Own)?;
        own.push(start.elapsed().as_secs_f64() * 1e3);
        server.end()?;
    }
    let size = fs::metadata(BINARY)?.len() as f64 / f64::from(1 << 20);
    Ok(vec![median(&mut own), median(&mut least), size])
}

/// Records without a client, from a file that is in memory, beside `wc -l`.
pub fn input(places: &Places, size: usize) -> Result<Vec<f64>> {
    places.take_clients_place(Place::Own)?;
    let file = Scratch::fill(size, INPUT)?;
    let time = |program: &str, args: &[&str]| -> Result<f64> {
        let mut command = Command::new(program);
        command.args(args).stdin(File::open(&file.0)?).stdout(Stdio::null()).stderr(Stdio::piped());
        let start = Instant::now();
        let output = places.spawn(&mut command, Place::Own)?.wait_with_output()?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(fs::metadata(&file.0)?.len() as f64 / 1e9 / start.elapsed().as_secs_f64())
    };
    let (mut own, mut counting) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        own.push(time(BINARY, &["--port", "0", "--at-eof", "exit"])?);
        counting.push(time("wc", &["-l"])?);
    }
    let (own, counting) = (median(&mut own), median(&mut counting));
    Ok(vec![size as f64, own, counting, own / counting])
}

/// A file for a while.
struct Scratch(PathBuf);

impl Scratch {
    fn fill(size: usize, most: u64) -> Result<Scratch> {
        let scratch = Scratch(Path::new(env!("CARGO_TARGET_TMPDIR")).join("delivery-input"));
        let records = Stream::of_records(size)?.records;
        let mut file = File::create(&scratch.0).with_context(|| format!("{}", scratch.0.display()))?;
        for _ in 0..most / records.len() as u64 {
            file.write_all(&records)?;
        }
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The middle one.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
