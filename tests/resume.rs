//! Resuming (contract §§ 4.1, 4.3, 4.5, 5.1, 5.2): whoever brings a last event ID gets exactly what came after it, or
//! is told how much is missing.

mod common;

use common::{Client, DEADLINE, End, Program};
use rustix::event::{PollFd, PollFlags, poll};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

// Each edge, one client after the other

/// A program that has read the records `1` to `last`, `piece` of them at a time.
struct Fed {
    args: Vec<String>,
    program: Program,
    /// It has read all of them, and is still there.
    first: Client,
    last: u64,
    run: String,
}

/// What a client brings: a request target and field lines.
#[derive(Clone, Debug)]
struct Asking {
    target: String,
    fields: String,
}

/// What comes to a client until the latest record.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    comments: Vec<String>,
    data: Vec<u64>,
}

impl Fed {
    fn new(args: &[&str], last: u64, piece: u64) -> Fed {
        let mut program = Program::start(args);
        let first = program.stream();
        program.told.clear();
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let mut fed = Fed { args, program, first, last: 0, run: String::new() };
        while fed.last < last {
            fed.feed(piece.min(last - fed.last));
        }
        fed
    }

    /// Writes so many more records, and waits until the first client has them: what is written at a time is a batch.
    fn feed(&mut self, records: u64) {
        let new = self.last + 1..=self.last + records;
        self.program.write(new.clone().map(|n| format!("{n}\n")).collect::<String>());
        for n in new {
            assert_eq!(self.first.data(1), [n.to_string()], "sse-pipe {:?}", self.args);
        }
        self.last += records;
        self.run = self.first.last_id().rsplit_once('-').expect("an ID is RUN-N").0.to_owned();
    }

    fn id(&self, n: u64) -> String {
        format!("{}-{n}", self.run)
    }

    fn ask(&self, asking: &Asking) -> Client {
        self.program.stream_with(&asking.target, &asking.fields)
    }

    /// Reads up to the latest record.
    fn read(&self, client: &mut Client) -> Came {
        let mut data: Vec<u64> = Vec::new();
        while data.last() != Some(&self.last) {
            let event = client.next_event();
            let event = event.unwrap_or_else(|| panic!("sse-pipe {:?}: ended after {data:?}: {client:?}", self.args));
            data.push(event.data.parse().expect("is a number"));
            assert_eq!(event.id, self.id(data[data.len() - 1]), "sse-pipe {:?}: {event:?}", self.args);
        }
        Came { comments: std::mem::take(&mut client.comments), data }
    }

    fn check(&self, asking: &Asking, want: Came) {
        let came = self.read(&mut self.ask(asking));
        assert_eq!(came, want, "sse-pipe {:?}, GET {} {:?}", self.args, asking.target, asking.fields);
    }

    /// All from `first` on, and no word of anything missed.
    fn from(&self, first: u64) -> Came {
        Came { comments: vec![], data: (first..=self.last).collect() }
    }
}

fn by_header(id: &str) -> Asking {
    Asking { target: "/events".to_owned(), fields: format!("Last-Event-ID: {id}\r\n") }
}

fn by_query(name: &str, id: &str) -> Asking {
    Asking { target: format!("/events?{name}={id}"), fields: String::new() }
}

#[test]
fn each_id_that_was_ever_given_is_resumed_strictly_after_it_or_with_the_exact_number_of_what_is_missed() {
    // Whole batches are kept. So with batches of 300 more than the history of 10 is held.
    for (piece, threads) in [(1, "1"), (7, "1"), (300, "1"), (64, "3")] {
        let fed = Fed::new(&["--history", "10", "--threads", threads], 1000, piece);
        let mut oldest = BTreeSet::new();
        for n in 0..1000 {
            let asking = by_header(&fed.id(n));
            let came = fed.read(&mut fed.ask(&asking));
            let first = came.data[0];
            let mut want = fed.from(first);
            if first != n + 1 {
                want.comments.push(format!("{} events missed", first.saturating_sub(n + 1)));
                oldest.insert(first);
            }
            let shown = format!("sse-pipe {:?}, {piece} records at a time, GET {asking:?}", fed.args);
            assert!(first > n && came == want, "{shown}:\n  want {want:?}\n  came {came:?}");
            assert!(n + 1 >= 991 || first <= 991, "{shown}: the history is less than 10: {came:?}");
        }
        let shown = format!("sse-pipe {:?}, {piece} records at a time: the oldest that is held: {oldest:?}", fed.args);
        assert!(oldest.first().is_some_and(|&oldest| oldest + piece > 991), "{shown}, more than a batch too many");
        assert_eq!(oldest.len(), 1, "{shown}, by another thread");
    }
}

#[test]
fn whoever_has_the_latest_id_gets_only_what_is_written_afterwards() {
    let mut fed = Fed::new(&["--history", "10", "--threads", "1"], 1000, 50);
    let latest = fed.id(1000);
    let askings = [by_header(&latest), by_query("last-event-id", &latest), by_header(&format!(" \t{latest} "))];
    let mut clients = askings.map(|asking| {
        let mut client = fed.ask(&asking);
        let chunk = client.next_chunk().map(|chunk| String::from_utf8_lossy(&chunk).into_owned());
        let only_retry = chunk.as_deref().is_some_and(|chunk| chunk.starts_with("retry: ") && chunk.ends_with('\n'));
        assert!(only_retry && chunk.as_ref().is_some_and(|c| c.lines().count() == 1), "{asking:?}: {chunk:?}");
        client
    });
    fed.feed(1);
    for client in &mut clients {
        assert_eq!(fed.read(client), fed.from(1001), "sse-pipe {:?}", fed.args);
    }
}

#[test]
fn an_id_that_one_thread_has_just_given_is_known_to_every_other() {
    let args = ["--threads", "2", "--history", "10"];
    let mut fed = Fed::new(&args, 1, 1);
    for _ in 0..300 {
        // They are connected before, to any thread, so that their requests come in the very moment of the next event.
        let sockets: Vec<_> = (0..8).map(|_| fed.program.connect()).collect();
        fed.feed(1);
        let request = format!("GET /events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {}\r\n\r\n", fed.id(fed.last));
        for mut socket in &sockets {
            socket.write_all(request.as_bytes()).expect("it takes a request");
        }
        for socket in sockets {
            let start = first_chunk(&mut Client::read_head(socket, &request));
            assert_eq!(start, "", "sse-pipe {args:?}, {request:?}, with the ID that another client has just got");
        }
    }
}

#[test]
fn an_id_comes_by_the_header_or_else_by_the_query() {
    let fed = Fed::new(&["--history", "10", "--threads", "1"], 1000, 1);
    let id = fed.id(995);
    let encoded = id.replace('-', "%2D");
    let all_encoded: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let with = |asking: Asking, fields: &str| Asking { fields: fields.to_owned(), ..asking };
    for asking in [
        by_header(&id),
        by_header(&format!("  \t{id} \t")),
        Asking { target: "/events".to_owned(), fields: format!("last-event-id:{id}\r\n") },
        Asking { target: "/".to_owned(), fields: format!("LAST-EVENT-ID: {id}\r\n") },
        Asking { target: format!("/?lastEventId={id}"), fields: "Accept: text/event-stream\r\n".to_owned() },
        by_query("last-event-id", &id),
        by_query("last_event_id", &id),
        by_query("lastEventId", &id),
        by_query("last-event-id", &encoded),
        by_query("last_event_id", &encoded),
        by_query("lastEventId", &all_encoded),
        by_query("lastEventId", &format!("%20{id}+")),
        by_query("x=y&lastEventId", &format!("{id}&notices=comment")),
        // The header wins.
        with(by_query("last-event-id", &fed.id(999)), &by_header(&id).fields),
        with(by_query("lastEventId", "rubbish"), &by_header(&id).fields),
    ] {
        fed.check(&asking, fed.from(996));
    }
    // HTTP/1.0 has neither chunks nor Host.
    let mut client = fed.program.request(&format!("GET /events HTTP/1.0\r\nLast-Event-ID: {id}\r\n\r\n"));
    assert_eq!(fed.read(&mut client), fed.from(996), "{client:?}");
    let mut client = fed.program.request(&format!("GET /events?last_event_id={encoded} HTTP/1.0\r\n\r\n"));
    assert_eq!(fed.read(&mut client), fed.from(996), "{client:?}");
}

#[test]
fn an_id_that_was_never_given_gets_the_whole_history_and_is_told_that_nobody_knows_what_is_missed() {
    let fed = Fed::new(&["--history", "10", "--threads", "1"], 1000, 50);
    let run = &fed.run;
    let turned: String = run.bytes().map(|byte| char::from(if byte == b'x' { b'y' } else { b'x' })).collect();
    let ids = [
        fed.id(1001),
        fed.id(u64::MAX),
        format!("{run}-18446744073709551616"),
        format!("{run}-1{}", "0".repeat(3000)),
        format!("{turned}-995"),
        format!("x{run}-995"),
        format!("{run}x-995"),
        format!("{run}-0995"),
        format!("{run}-00"),
        format!("{run}-+995"),
        format!("{run}--995"),
        format!("{run}-995x"),
        format!("{run}-995.0"),
        format!("{run}- 995"),
        format!("{run}-"),
        format!("{run}995"),
        run.clone(),
        "-".to_owned(),
        "-995".to_owned(),
        "995".to_owned(),
        "0".to_owned(),
        "null".to_owned(),
        "undefined".to_owned(),
        "é".to_owned(),
    ];
    for id in ids {
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for asking in [by_header(&id), by_query("last-event-id", if id.len() > 1000 { &id } else { &encoded })] {
            let came = fed.read(&mut fed.ask(&asking));
            let shown = format!("sse-pipe {:?}, GET {asking:?}: {came:?}", fed.args);
            assert_eq!(came.data, fed.from(991).data, "{shown}");
            let [notice] = &came.comments[..] else { panic!("{shown}: want one notice") };
            assert!(notice.starts_with("events missed") && notice.contains("unknown"), "{shown}");
        }
    }
}

#[test]
fn an_empty_id_is_none() {
    let fed = Fed::new(&["--history", "10", "--threads", "1"], 1000, 50);
    for asking in [
        by_header(""),
        by_header(" \t "),
        by_query("last-event-id", ""),
        by_query("lastEventId", "&x=y"),
        Asking { target: "/events?last-event-id".to_owned(), fields: String::new() },
        Asking { target: "/events?last-event-i=x".to_owned(), fields: String::new() },
    ] {
        fed.check(&asking, fed.from(991));
    }
}

#[test]
fn without_ids_none_is_asked_for() {
    let mut program = Program::start(&["--no-id", "--history", "2", "--tail", "1"]);
    let mut first = program.stream();
    program.write("a\nb\nc\n");
    first.data(3);
    for fields in ["", "Last-Event-ID: abcdef-1\r\n"] {
        let mut client = program.stream_with("/events", fields);
        assert_eq!(client.data(1), ["c"], "{fields:?}");
        assert_eq!((client.last_id(), client.comments.len()), ("", 0), "{fields:?}");
    }
}

// The tail

/// The first chunk without its first line, the reconnection time.
fn first_chunk(client: &mut Client) -> String {
    let chunk = String::from_utf8(client.next_chunk().expect("a first chunk")).expect("is text");
    let (retry, rest) = chunk.split_once('\n').unwrap_or_else(|| panic!("no line in {chunk:?}"));
    let time = retry.strip_prefix("retry: ").and_then(|ms| ms.parse::<u64>().ok());
    assert!(time.is_some(), "the first line is the reconnection time: {chunk:?}");
    rest.to_owned()
}

#[test]
fn a_newcomer_gets_the_tail_and_where_it_is_cut_the_id_before_it_from_which_nothing_is_lost() {
    for (tail, records, want) in [
        ("3", 100, 98),
        ("3", 4, 2),
        ("3", 3, 1),
        ("3", 2, 1),
        ("3", 0, 1),
        ("0", 100, 101),
        ("0", 1, 2),
        ("0", 0, 1),
        ("1", 1, 1),
        ("19", 100, 82),
        ("20", 100, 81),
        ("21", 100, 81),
        ("5000", 100, 81),
        ("18446744073709551615", 100, 81),
    ] {
        for piece in [1, 9] {
            let args = ["--tail", tail, "--history", "20", "--threads", "1"];
            let mut fed = Fed::new(&args, records, piece);
            let shown = format!("sse-pipe {args:?} after {records} records, {piece} at a time");
            // What the history gives, and no batch beside.
            let cut = want > 1.max((records + 1).saturating_sub(20));
            let id = if cut { fed.id(want - 1) } else { String::new() };
            let start = if cut { format!("id: {id}\n\n") } else { String::new() };
            let mut newcomer = fed.program.stream();
            assert_eq!(first_chunk(&mut newcomer), start, "{shown}: the first chunk after its retry");
            let mut old = fed.program.request("GET /events HTTP/1.0\r\n\r\n");

            // Another is cut before its first event, and comes back at once, or after some more that the history
            // has room for.
            if cut && want <= records {
                fed.check(&by_header(&id), fed.from(want));
            }
            let more = if cut { 20 - (records + 1 - want) } else { 5 };
            fed.feed(more);
            if cut {
                fed.check(&by_header(&id), fed.from(want));
            }
            assert_eq!(fed.read(&mut newcomer), fed.from(want), "{shown}");
            assert_eq!(fed.read(&mut old), fed.from(want), "{shown}, HTTP/1.0");
        }
    }
}

#[test]
fn a_returning_client_gets_no_tail() {
    let fed = Fed::new(&["--tail", "2", "--history", "20", "--threads", "1"], 100, 1);
    fed.check(&by_header(&fed.id(90)), fed.from(91));
    let came = fed.read(&mut fed.ask(&by_header("another-7")));
    assert_eq!((came.data[0], came.comments.len()), (81, 1), "sse-pipe {:?}: {came:?}", fed.args);
    let came = fed.read(&mut fed.ask(&by_header(&fed.id(50))));
    assert_eq!(came, Came { comments: vec!["30 events missed".to_owned()], ..fed.from(81) }, "{:?}", fed.args);
}

#[test]
fn the_very_first_client_is_given_the_tail_of_all_that_came_before_it() {
    let mut program = Program::start(&["--tail", "3"]);
    let input: String = (1..=5000).map(|n| format!("{n}\n")).collect();
    program.write(&input);
    program.close_input();
    program.wait_for("over after 5000 events");
    let mut first = program.stream();
    let start = first_chunk(&mut first);
    let id = start.strip_prefix("id: ").and_then(|id| id.strip_suffix("\n\n")).expect("an ID, as the tail is cut");
    assert!(id.ends_with("-4997"), "{start:?}");
    assert_eq!(first.data(3), ["4998", "4999", "5000"]);
}

// Records that were left out

#[test]
fn a_record_that_was_left_out_counts_and_its_comment_comes_again() {
    let args = ["--max-record", "10", "--threads", "1"];
    let mut program = Program::start(&args);
    let mut first = program.stream();
    let long = "x".repeat(11);
    program.write(format!("1\n2\n{long}\n4\n5\n"));
    assert_eq!(first.data(4), ["1", "2", "4", "5"]);
    program.write(format!("{long}\n"));
    program.wait_for("record 6");
    let run = first.last_id().strip_suffix("-5").expect("record 3 counts").to_owned();
    let comment = |n: u64| format!("record {n} left out: 11 bytes are more than --max-record 10");
    let chunk = |n: u64| format!(": {}\n", comment(n));
    let event = |n: u64| format!("data: {n}\nid: {run}-{n}\n\n");
    for (id, want) in [
        (0, vec![event(1), event(2), chunk(3), event(4), event(5), chunk(6)]),
        (1, vec![event(2), chunk(3), event(4), event(5), chunk(6)]),
        (2, vec![chunk(3), event(4), event(5), chunk(6)]),
        (3, vec![event(4), event(5), chunk(6)]), // an ID that nobody was given, and yet one of ours
        (4, vec![event(5), chunk(6)]),
        (5, vec![chunk(6)]),
        (6, vec![]),
    ] {
        let mut client = program.stream_with("/events", &format!("Last-Event-ID: {run}-{id}\r\n"));
        assert_eq!(first_chunk(&mut client), "", "sse-pipe {args:?}, after {run}-{id}");
        for want in want {
            let came = client.next_chunk().map(|chunk| String::from_utf8_lossy(&chunk).into_owned());
            assert_eq!(came.as_deref(), Some(&*want), "sse-pipe {args:?}, after {run}-{id}");
        }
    }
    program.write("7\n");
    let mut latest = program.stream_with("/events", &format!("Last-Event-ID: {run}-6\r\n"));
    assert_eq!(latest.next_event().map(|event| (event.data, event.id)), Some(("7".into(), format!("{run}-7"))));
    assert_eq!(latest.comments, [] as [&str; 0]);
    program.close_input();
    drop(first);
    assert_eq!(latest.rest(), (vec![], End::Proper));
    assert_eq!(program.end().code(), Some(1), "something was left out");
}

#[test]
fn records_that_were_left_out_count_among_the_missed() {
    let args = ["--max-record", "10", "--history", "2", "--threads", "1"];
    let mut program = Program::start(&args);
    let mut first = program.stream();
    for n in 1..=20 {
        program.write(if n % 5 == 0 { "x".repeat(99) + "\n" } else { format!("{n}\n") });
        match n % 5 {
            0 => drop(program.wait_for(&format!("record {n} "))),
            _ => assert_eq!(first.data(1), [n.to_string()]),
        }
    }
    program.write("21\n22\n");
    assert_eq!(first.data(2), ["21", "22"]);
    let run = first.last_id().strip_suffix("-22").expect("all count").to_owned();
    let mut client = program.stream_with("/events", &format!("Last-Event-ID: {run}-2\r\n"));
    let event = client.next_event().expect("an event");
    // It may begin with the comment of record 20, where that is still held with the two of the history.
    let number: u64 = event.data.parse().expect("is a number");
    let left_out = client.comments.iter().filter(|comment| comment.starts_with("record ")).count() as u64;
    let missed = number - 1 - 2 - left_out;
    assert_eq!(client.comments[0], format!("{missed} events missed"), "sse-pipe {args:?}: {:?}", client.comments);
    assert_eq!(event.id, format!("{run}-{number}"));
}

// Under load

/// Numbers that look random.
struct Random(u64);

impl Random {
    /// Seeded anew each time, or by SSE_PIPE_SEED; a failing test prints the seed.
    fn new() -> Random {
        use std::hash::BuildHasher;
        let seed = std::env::var("SSE_PIPE_SEED").ok().and_then(|seed| seed.parse().ok());
        Random(seed.unwrap_or_else(|| std::hash::RandomState::new().hash_one(0)) | 1)
    }

    /// The next number below `end` (xorshift64).
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What happens in one test under load.
struct Load {
    args: &'static [&'static str],
    clients: usize,
    drivers: usize,
    /// Records are written for so long.
    time: Duration,
    /// Records a second; `None`: as fast as they are taken.
    rate: Option<f64>,
    /// Bytes that are added to each record.
    padding: u64,
    /// A client stays away for at most so many records.
    away: u64,
}

/// What the writer tells the clients.
#[derive(Default)]
struct Written {
    records: AtomicU64,
    /// The number of all records, once it is known.
    all: AtomicU64,
}

/// What has happened to all clients together.
#[derive(Debug, Default)]
struct Tally {
    connections: u64,
    events: u64,
    /// Resumes with a last event ID that missed nothing.
    whole: u64,
    /// Resumes that were told of a gap.
    gaps: u64,
    /// Connections that were cut within an event.
    cut_within: u64,
}

impl Load {
    fn padding(&self, n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (self.padding + 1)
    }

    /// Writes records in bursts until the time is over.
    fn write(&self, mut input: impl Write, mut random: Random, written: &Written) {
        let (start, mut n, mut block) = (Instant::now(), 0, Vec::new());
        while start.elapsed() < self.time {
            block.clear();
            for _ in 0..=random.below(400) {
                n += 1;
                writeln!(block, "{n} {:x<1$}", "", self.padding(n) as usize).expect("memory takes it");
            }
            input.write_all(&block).expect("the program reads on");
            written.records.store(n, Ordering::SeqCst);
            if let Some(rate) = self.rate {
                // No waiting for anything: this is what makes the load.
                std::thread::sleep(Duration::from_secs_f64(n as f64 / rate).saturating_sub(start.elapsed()));
            }
        }
        written.all.store(n, Ordering::SeqCst);
    }

    /// Runs it all; the program ends by itself when every client has everything and its 204.
    fn run(&self) -> Tally {
        let mut random = Random::new();
        let seed = random.0;
        let shown = format!("sse-pipe {:?}, SSE_PIPE_SEED={seed}", self.args);
        let mut program = Program::start(self.args);
        let input = program.take_stdin();
        let written = Written::default();
        let deadline = Instant::now() + self.time + DEADLINE;
        let mut seeds: Vec<u64> = (0..=self.drivers).map(|_| random.below(u64::MAX) | 1).collect();
        let tallies: Vec<Result<Tally, String>> = std::thread::scope(|scope| {
            let (written, address) = (&written, program.address());
            let seed = seeds.pop().expect("one for each, and one more");
            scope.spawn(move || self.write(input, Random(seed), written));
            let drivers: Vec<_> = seeds
                .iter()
                .map(|&seed| {
                    let clients = (0..self.clients / self.drivers).map(|_| Puller::new(address)).collect();
                    let driver = Driver { load: self, clients, written, random: Random(seed), tally: Tally::default() };
                    scope.spawn(move || driver.drive(deadline))
                })
                .collect();
            drivers.into_iter().map(|driver| driver.join().expect("no panic")).collect()
        });
        let mut sum = Tally::default();
        for tally in tallies {
            let tally = tally.unwrap_or_else(|error| panic!("{shown}: {error}"));
            sum.connections += tally.connections;
            sum.events += tally.events;
            sum.whole += tally.whole;
            sum.gaps += tally.gaps;
            sum.cut_within += tally.cut_within;
        }
        let ended = program.end();
        assert_eq!(ended.code(), Some(0), "{shown}: {ended:?}");
        let dropped = ended.told.iter().any(|line| line.contains("dropped"));
        assert!(!dropped, "{shown}: the log holds it for all of them: {:?}", ended.told);
        println!("{shown}: {sum:?}, {:?}", ended.told);
        sum
    }
}

/// A client that comes back with its last event ID, again and again, and checks what it gets.
struct Puller {
    address: std::net::SocketAddr,
    connection: Option<Connection>,
    /// It comes back when so many records are written, or all.
    returns: u64,
    /// Number of the last event, once there was one.
    last: Option<u64>,
    /// The last event ID, as the client would send it.
    last_id: String,
    done: bool,
}

/// One connection of it: a chunked event stream, parsed as it comes.
struct Connection {
    socket: TcpStream,
    /// It is killed after so many more bytes.
    life: usize,
    place: Place,
    /// What is not yet complete: the head, a chunk-size.
    partial: Vec<u8>,
    /// The line of the event stream that is not yet complete.
    line: Vec<u8>,
    data: Vec<u8>,
    id: Vec<u8>,
    has_data: bool,
    events: u64,
    missed: Option<u64>,
}

/// Where the parser stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    ChunkSize,
    /// So many bytes of chunk-data are left.
    ChunkData(usize),
    /// So many bytes of the CRLF after it are left.
    AfterData(usize),
    /// The last-chunk has been read.
    End,
    /// It was told that there is no more.
    Farewell,
}

struct Driver<'a> {
    load: &'a Load,
    clients: Vec<Puller>,
    written: &'a Written,
    random: Random,
    tally: Tally,
}

impl Driver<'_> {
    /// Drives its clients until all have everything.
    fn drive(mut self, deadline: Instant) -> Result<Tally, String> {
        let mut block = vec![0; 64 * 1024];
        while self.clients.iter().any(|client| !client.done) {
            if Instant::now() > deadline {
                let late: Vec<_> = self.clients.iter().filter(|client| !client.done).map(Puller::shown).collect();
                return Err(format!("not done in time: {late:#?}"));
            }
            self.connect()?;
            for nth in self.readable() {
                let client = &mut self.clients[nth];
                client
                    .read(&mut block, self.load, self.written, &mut self.tally)
                    .map_err(|error| format!("{error}\n  {}\n  {:?}", client.shown(), self.tally))?;
                self.kill(nth);
            }
        }
        Ok(self.tally)
    }

    /// Connects those that want to come back.
    fn connect(&mut self) -> Result<(), String> {
        let records = self.written.records.load(Ordering::SeqCst);
        let over = self.written.all.load(Ordering::SeqCst) > 0;
        for client in &mut self.clients {
            if !client.done && client.connection.is_none() && (over || records >= client.returns) {
                // Some within the head, some within the first events, most later.
                let life = match self.random.below(8) {
                    0 => self.random.below(500),
                    1 => self.random.below(5000),
                    _ => self.random.below(400_000),
                };
                client.connect(life as usize + 1).map_err(|error| format!("{error}\n  {}", client.shown()))?;
                self.tally.connections += 1;
            }
        }
        Ok(())
    }

    /// Waits a moment for bytes, and tells which clients have some.
    fn readable(&self) -> Vec<usize> {
        let with = |(nth, client): (usize, &'_ Puller)| client.connection.is_some().then_some(nth);
        let some: Vec<usize> = self.clients.iter().enumerate().filter_map(with).collect();
        let socket = |&nth: &usize| &self.clients[nth].connection.as_ref().expect("is filtered").socket;
        let mut fds: Vec<_> = some.iter().map(|nth| PollFd::new(socket(nth), PollFlags::IN)).collect();
        let moment = rustix::event::Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
        poll(&mut fds, Some(&moment)).expect("sockets can be polled");
        some.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty()).map(|(&nth, _)| nth).collect()
    }

    /// Kills a connection whose life is over, one way or the other.
    fn kill(&mut self, nth: usize) {
        let client = &mut self.clients[nth];
        let Some(connection) = client.connection.take_if(|connection| connection.life == 0) else { return };
        self.tally.cut_within += u64::from(connection.has_data || !connection.line.is_empty());
        if self.random.below(2) == 0 {
            rustix::net::sockopt::set_socket_linger(&connection.socket, Some(Duration::ZERO)).expect("is a socket");
        }
        if self.random.below(2) == 0 {
            client.returns = self.written.records.load(Ordering::SeqCst) + self.random.below(self.load.away + 1);
        }
    }
}

impl Puller {
    fn new(address: std::net::SocketAddr) -> Puller {
        Puller { address, connection: None, returns: 0, last: None, last_id: String::new(), done: false }
    }

    fn shown(&self) -> String {
        let connection = self.connection.as_ref().map(|c| {
            let (head, line) = (String::from_utf8_lossy(&c.partial), String::from_utf8_lossy(&c.line));
            format!("{:?}, {} events, missed {:?}, {head:?}, {line:?}", c.place, c.events, c.missed)
        });
        format!("a client whose last event is {:?}, ID {:?}: {connection:?}", self.last, self.last_id)
    }

    fn connect(&mut self, life: usize) -> Result<(), String> {
        let mut socket = TcpStream::connect(self.address).map_err(|error| format!("cannot connect: {error}"))?;
        let last_event_id = match &*self.last_id {
            "" => String::new(),
            id => format!("Last-Event-ID: {id}\r\n"),
        };
        let accept = "Accept: text/event-stream\r\n";
        write!(socket, "GET /events HTTP/1.1\r\nHost: localhost\r\n{accept}{last_event_id}\r\n")
            .map_err(|error| format!("cannot ask: {error}"))?;
        socket.set_nonblocking(true).expect("is a socket");
        self.connection = Some(Connection {
            socket,
            life,
            place: Place::Head,
            partial: Vec::new(),
            line: Vec::new(),
            data: Vec::new(),
            id: Vec::new(),
            has_data: false,
            events: 0,
            missed: None,
        });
        Ok(())
    }

    /// Reads what is there, within the connection's life.
    fn read(&mut self, block: &mut [u8], load: &Load, written: &Written, tally: &mut Tally) -> Result<(), String> {
        let Some(mut connection) = self.connection.take() else { return Ok(()) };
        let most = block.len().min(connection.life);
        let n = match connection.socket.read(&mut block[..most]) {
            Ok(n) => n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                self.connection = Some(connection);
                return Ok(());
            }
            Err(error) => {
                self.connection = Some(connection);
                return Err(format!("the program cut a connection: {error}"));
            }
        };
        connection.life -= n;
        let result = self.take(&mut connection, &block[..n], load, tally);
        let place = connection.place;
        let over = n == 0 || matches!(place, Place::End | Place::Farewell);
        if result.is_err() || !over {
            self.connection = Some(connection);
            return result;
        }
        // Only at the end of the input does a stream end.
        let all = written.all.load(Ordering::SeqCst);
        match place {
            Place::End | Place::Farewell if all == 0 || self.last != Some(all) => {
                Err(format!("{place:?} after {:?} of {all} (0: not known yet) records", self.last))
            }
            Place::End => Ok(()), // it comes back, as an EventSource does
            Place::Farewell => {
                self.done = true;
                Ok(())
            }
            _ => {
                self.connection = Some(connection);
                Err("the program closed a stream in the middle".to_owned())
            }
        }
    }

    fn take(&mut self, on: &mut Connection, bytes: &[u8], load: &Load, tally: &mut Tally) -> Result<(), String> {
        let mut at = 0;
        // Plain loops over indexes: they are fast without optimization, too.
        while at < bytes.len() {
            match on.place {
                Place::Head => {
                    on.partial.push(bytes[at]);
                    at += 1;
                    if on.partial.ends_with(b"\r\n\r\n") {
                        on.place = match &on.partial[..13] {
                            b"HTTP/1.1 200 " => Place::ChunkSize,
                            b"HTTP/1.1 204 " => Place::Farewell,
                            _ => return Err("an answer that is neither 200 nor 204".to_owned()),
                        };
                        on.partial.clear();
                    }
                }
                Place::ChunkSize => {
                    on.partial.push(bytes[at]);
                    at += 1;
                    if let Some(size) = on.partial.strip_suffix(b"\r\n") {
                        let size = std::str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
                        let size = size.ok_or("a chunk-size that is none")?;
                        on.place = if size == 0 { Place::AfterData(2) } else { Place::ChunkData(size) };
                        on.partial.clear();
                        if size == 0 {
                            on.partial.push(b'0'); // the last-chunk: nothing comes after its CRLF
                        }
                    }
                }
                Place::ChunkData(left) => {
                    let end = bytes.len().min(at + left);
                    on.place = match left - (end - at) {
                        0 => Place::AfterData(2),
                        left => Place::ChunkData(left),
                    };
                    while at < end {
                        let start = at;
                        while at < end && bytes[at] != b'\n' {
                            at += 1;
                        }
                        if at == end {
                            on.line.extend_from_slice(&bytes[start..end]);
                        } else if on.line.is_empty() {
                            self.line(on, &bytes[start..at], load, tally)?;
                            at += 1;
                        } else {
                            let mut line = std::mem::take(&mut on.line);
                            line.extend_from_slice(&bytes[start..at]);
                            self.line(on, &line, load, tally)?;
                            at += 1;
                        }
                    }
                }
                Place::AfterData(left) => {
                    if bytes[at] != b"\r\n"[2 - left] {
                        return Err("a chunk that does not end with CRLF".to_owned());
                    }
                    at += 1;
                    on.place = match left - 1 {
                        0 if on.partial.is_empty() => Place::ChunkSize,
                        0 => Place::End,
                        left => Place::AfterData(left),
                    };
                }
                Place::End | Place::Farewell => return Err("bytes after the end".to_owned()),
            }
        }
        Ok(())
    }

    /// A line of the event stream is complete.
    fn line(&mut self, on: &mut Connection, line: &[u8], load: &Load, tally: &mut Tally) -> Result<(), String> {
        if line.is_empty() {
            return if std::mem::take(&mut on.has_data) { self.event(on, load, tally) } else { Ok(()) };
        }
        if let Some(data) = line.strip_prefix(b"data: ") {
            if std::mem::replace(&mut on.has_data, true) {
                return Err("two data lines".to_owned());
            }
            on.data.clear();
            on.data.extend_from_slice(data);
        } else if let Some(id) = line.strip_prefix(b"id: ") {
            on.id.clear();
            on.id.extend_from_slice(id);
        } else if let Some(comment) = line.strip_prefix(b": ") {
            let text = String::from_utf8_lossy(comment);
            let missed = text.strip_suffix(" events missed").and_then(|n| n.parse().ok()).filter(|&n: &u64| n > 0);
            if on.events > 0 || on.missed.is_some() || self.last.is_none() || missed.is_none() {
                return Err(format!("a comment that makes no sense here: {text:?}"));
            }
            on.missed = missed;
        } else if !line.starts_with(b"retry: ") {
            return Err(format!("an unexpected line: {:?}", String::from_utf8_lossy(line)));
        }
        Ok(())
    }

    /// An event is complete, with its blank line: only now it counts.
    fn event(&mut self, on: &mut Connection, load: &Load, tally: &mut Tally) -> Result<(), String> {
        let (mut n, mut at) = (0, 0);
        while at < on.data.len() && on.data[at].is_ascii_digit() {
            n = n * 10 + u64::from(on.data[at] - b'0');
            at += 1;
        }
        let missed = on.missed.filter(|_| on.events == 0).unwrap_or(0);
        let wrong = match self.last {
            Some(last) => n != last + 1 + missed,
            None => n == 0, // a newcomer begins with the history
        };
        let whole = on.data.len() == at + 1 + load.padding(n) as usize;
        let of_n = on.id.rsplit(|&byte| byte == b'-').next().is_some_and(|digits| *digits == on.data[..at]);
        if wrong || !whole || !of_n {
            let (data, id) = (String::from_utf8_lossy(&on.data), String::from_utf8_lossy(&on.id));
            return Err(format!("after {:?}, {missed} missed, came data {data:?} with ID {id:?}", self.last));
        }
        if on.events == 0 && self.last.is_some() {
            *if missed > 0 { &mut tally.gaps } else { &mut tally.whole } += 1;
        }
        self.last = Some(n);
        on.events += 1;
        tally.events += 1;
        self.last_id.clear();
        self.last_id.push_str(std::str::from_utf8(&on.id).map_err(|_| "an ID that is not ASCII")?);
        Ok(())
    }
}

#[test]
fn clients_that_are_killed_at_random_under_load_get_each_event_once() {
    let load = Load {
        args: &["--threads", "2", "--history", "all", "--buffer", "64MiB", "--retry", "300ms", "--heartbeat", "0"],
        clients: 200,
        drivers: 4,
        time: Duration::from_secs(10),
        rate: Some(5000.0),
        padding: 40,
        away: 2500,
    };
    let tally = load.run();
    assert_eq!(tally.gaps, 0, "all is held: {tally:?}");
    assert!(tally.whole > 500 && tally.cut_within > 100, "too little happened to test anything: {tally:?}");
}

#[test]
fn where_the_log_is_small_each_hole_is_announced_with_its_size() {
    let load = Load {
        args: &["--threads", "2", "--buffer", "256KiB", "--pace", "slowest", "--retry", "300ms", "--heartbeat", "0"],
        clients: 40,
        drivers: 2,
        time: Duration::from_secs(3),
        rate: None,
        padding: 150,
        away: 3000,
    };
    let tally = load.run();
    assert!(tally.gaps > 10 && tally.whole > 10, "too little happened to test anything: {tally:?}");
}
