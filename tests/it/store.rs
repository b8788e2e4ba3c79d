//! `--store` (behaviour 5.7): the log in a folder. No matter how the program ends, clients continue where they were,
//! and no ID is given twice.
//!
//! The long form of the kills, with SSE_PIPE_STORE_ROUNDS=200 SSE_PIPE_STORE_CLIENTS=50 before `cargo test --test it
//! store::`.

use crate::support::client::{Client, DEADLINE, Event};
use crate::support::files::Folder;
use crate::support::linux::{self, LYING_KERNEL, REFUSE, in_own_mounts};
use crate::support::places::busy;
use crate::support::program::{BINARY, Program, run};
use crate::support::random::Random;
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::{File, OpenOptions, read, read_dir, read_to_string, write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn store_in(folder: &Folder) -> String {
    folder.0.join("store").to_str().expect("is text").to_owned()
}

/// A program that keeps its events there.
#[track_caller]
fn start(store: &str, args: &[&str]) -> Program {
    Program::start(&[&["--store", store], args].concat())
}

/// A program with an empty input that serves what is there.
#[track_caller]
fn serve(store: &str) -> Program {
    Program::start_with(&["--store", store, "--at-eof", "serve"], Stdio::null())
}

/// A client that has this ID.
#[track_caller]
fn resume(program: &Program, id: &str) -> Client {
    program.stream_with("/events", &format!("Last-Event-ID: {id}\r\n"))
}

/// All events to the end of the stream.
#[track_caller]
fn all(mut client: Client) -> (Vec<Event>, Vec<String>) {
    let events = std::iter::from_fn(|| client.next_event()).collect();
    (events, std::mem::take(&mut client.comments))
}

/// The only file of the store with such an end.
#[track_caller]
fn file(store: &str, end: &str) -> PathBuf {
    let mut paths: Vec<_> =
        read_dir(store).expect("is a folder").map(|entry| entry.expect("can be listed").path()).collect();
    paths.retain(|path| path.to_str().expect("is text").ends_with(end));
    assert_eq!(paths.len(), 1, "{store}: {paths:?}");
    paths.remove(0)
}

/// Writes records one at a time, each in its own batch, and returns their IDs.
#[track_caller]
fn feed(program: &mut Program, client: &mut Client, records: impl IntoIterator<Item = usize>) -> Vec<String> {
    let one = |n: usize| {
        program.write(format!("{n}\n"));
        let event = client.next_event().expect("it goes on");
        assert_eq!(event.data, n.to_string());
        event.id
    };
    records.into_iter().map(one).collect()
}

#[test]
fn history_and_ids_continue_after_every_kind_of_end() {
    let folder = Folder::new();
    let store = store_in(&folder);
    let mut ids = Vec::new();
    for (round, signal) in ["KILL", "TERM", "KILL", "KILL", "INT"].into_iter().enumerate() {
        let mut program = start(&store, &[]);
        let mut client = program.stream();
        let first = round * 10 + 1;
        assert_eq!(client.data(first - 1), (1..first).map(|n| n.to_string()).collect::<Vec<_>>(), "the history");
        ids.extend(feed(&mut program, &mut client, first..first + 10));
        program.signal(signal);
        program.end();
    }
    let mode = std::fs::metadata(&store).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let run = ids[0].strip_suffix("-1").expect("is the first").to_owned();
    assert_eq!(ids, (1..=50).map(|n| format!("{run}-{n}")).collect::<Vec<_>>());
    let program = serve(&store);
    for (nth, id) in ids.iter().enumerate().take(49) {
        let (events, comments) = all(resume(&program, id));
        let came: Vec<_> = events.into_iter().map(|event| event.id).collect();
        assert_eq!((came.as_slice(), comments), (&ids[nth + 1..], vec![]), "after {id}");
    }
    let (events, _) = all(program.stream_with("/events?times=event", ""));
    assert_eq!(events[0].event, "read-at", "the time of the oldest");
    assert_eq!(events.iter().filter(|event| event.event.is_empty()).count(), 50);
    let old = program.request("GET /events HTTP/1.0\r\n\r\n");
    assert_eq!(all(old).0.last().map(|event| event.id.clone()), ids.last().cloned(), "without chunks");
    drop(program);
    let (code, told, errors) = run_store(&store, &["--last-id"]);
    assert_eq!((code, told.trim_end(), errors.as_str()), (Some(0), ids[49].as_str(), ""));
}

#[test]
fn a_signal_that_ends_the_producer_too_leaves_nothing_in_it_that_follows_the_end() {
    let folder = Folder::new();
    let store = store_in(&folder);
    let mut program = start(&store, &["--end-event", "end"]);
    let mut client = program.stream();
    program.write("a\nunfini");
    assert_eq!(client.data(1), ["a"]);
    program.signal_with_producer("TERM");
    assert_eq!(program.end().status.signal(), Some(15));
    let (events, _) = all(serve(&store).stream());
    assert_eq!(events.into_iter().map(|event| event.data).collect::<Vec<_>>(), ["a"]);
}

/// Runs it with an empty input to its end.
#[track_caller]
fn run_store(store: &str, args: &[&str]) -> (Option<i32>, String, String) {
    run(&[&["--port", "0", "--store", store], args].concat(), Stdio::null())
}

/// So many lines are written in each round, at most.
const EACH: u64 = 5000;

/// What a client has got so far, over all restarts.
#[derive(Clone, Debug, Default)]
struct Got {
    first: String,
    last: String,
    events: usize,
    sum: u64,
}

impl Got {
    fn take(&mut self, event: &Event) {
        if self.events == 0 {
            self.first = event.id.clone();
        }
        self.last = event.id.clone();
        self.events += 1;
        self.sum = mix(self.sum, hash(event));
    }
}

fn hash(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&event.id, &event.data).hash(&mut hasher);
    hasher.finish()
}

fn mix(sum: u64, hash: u64) -> u64 {
    sum.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(hash)
}

#[test]
fn killed_at_any_moment_it_repeats_and_loses_nothing() {
    let _places = busy();
    let number = |name: &str, or: usize| std::env::var(name).ok().map_or(or, |n| n.parse().expect("a number"));
    let (rounds, clients) = (number("SSE_PIPE_STORE_ROUNDS", 6), number("SSE_PIPE_STORE_CLIENTS", 8));
    let folder = Folder::new();
    let store = store_in(&folder);
    let mut random = Random::new();
    let seed = random.0;
    let mut got: Vec<Got> = vec![Got::default(); clients];
    for round in 0..rounds {
        let mut program = start(&store, &["--buffer", "1GiB"]);
        let mut stdin = program.take_stdin();
        let kill_after = random.within(0..=EACH) as usize;
        let producer = thread::spawn(move || {
            for n in 0..EACH {
                // Now a line, now a block of them: batches of every size.
                if writeln!(stdin, "{round} {n} {}", "x".repeat(n as usize * 7 % 100)).is_err() {
                    return None;
                }
            }
            Some(stdin) // it stays open
        });
        let most = AtomicUsize::new(0);
        let signal = if round % 4 == 3 { "TERM" } else { "KILL" };
        thread::scope(|scope| {
            for got in &mut got {
                let most = &most;
                let mut client = if got.events == 0 { program.stream() } else { resume(&program, &got.last) };
                scope.spawn(move || {
                    let mut new = 0;
                    while let Some(event) = client.next_event() {
                        got.take(&event);
                        new += 1;
                        most.fetch_max(new, Ordering::Relaxed);
                    }
                    let notices: Vec<_> = client.comments.iter().filter(|comment| !comment.is_empty()).collect();
                    assert!(notices.is_empty(), "SSE_PIPE_SEED={seed}, round {round}: {notices:?}");
                });
            }
            while most.load(Ordering::Relaxed) < kill_after {
                thread::yield_now();
            }
            program.signal(signal);
        });
        program.end();
        producer.join().expect("it has not panicked");
    }
    let program = Program::start_with(&["--store", &store, "--buffer", "1GiB", "--at-eof", "serve"], Stdio::null());
    let mut client = program.stream();
    let (mut ids, mut hashes) = (HashMap::new(), vec![0]);
    while let Some(event) = client.next_event() {
        hashes.push(hash(&event));
        let before = ids.insert(event.id.clone(), ids.len());
        assert_eq!(before, None, "SSE_PIPE_SEED={seed}: {event:?}: this ID was given twice");
    }
    assert_eq!(client.comments, Vec::<String>::new(), "SSE_PIPE_SEED={seed}");
    for (nth, got) in got.iter().enumerate().filter(|(_, got)| got.events > 0) {
        let start = ids[&got.first];
        let want = hashes[start + 1..][..got.events].iter().fold(0, |sum, hash| mix(sum, *hash));
        assert!(got.sum == want, "SSE_PIPE_SEED={seed}: client {nth}: {got:?} is not what was written");
    }
    println!("{rounds} rounds, {clients} clients, {} events, the first client has {}", ids.len(), got[0].events);
}

#[test]
fn one_process_at_a_time_has_it_and_what_belongs_to_others_is_refused_and_left_alone() {
    let folder = Folder::new();
    let store = store_in(&folder);
    let program = start(&store, &[]);
    let (code, _, errors) = run_store(&store, &[]);
    let want = format!("sse-pipe: --store {store}: it is in use by process {}\n", program.pid());
    assert_eq!((code, errors), (Some(1), want));
    drop(program);
    let (code, told, errors) = run_store(&store, &["--last-id"]);
    assert_eq!((code, told.as_str(), errors.as_str()), (Some(1), "", ""), "there is none");
    let (code, told, errors) = run(&["--store", "/no/such/folder", "--last-id"], Stdio::null());
    assert_eq!((code, told.as_str(), errors.as_str()), (Some(1), "", ""), "there is no store");

    let notes = folder.0.join("notes");
    std::fs::create_dir(&notes).expect("a folder");
    write(notes.join("mine.txt"), "hello").expect("can be written");
    let (code, _, errors) = run_store(notes.to_str().expect("is text"), &[]);
    assert!(code == Some(1) && errors.contains("mine.txt is not a file of sse-pipe"), "{errors}");
    assert_eq!(read_dir(&notes).expect("is a folder").count(), 1, "nothing was added");

    for (name, bytes, want) in [
        ("state", &b"sse-pipe store 2\nwhatever\n"[..], "is of another version"),
        ("state", b"a state of somebody else", "is not a file of sse-pipe"),
        ("00000000000000000001.chunks", b"GIF89a", "is not a file of sse-pipe"),
        ("00000000000000000001.index", b"sse-pipe index 2\nwhatever", "is of another version"),
        ("00000000000000000001.ids", b"sse-pipe ids 2\n\0whatever", "is of another version"),
        ("00000000000000000001.ids", b"GIF89a", "is not a file of sse-pipe"),
    ] {
        let folder = Folder::new();
        let path = folder.0.join(name);
        if !name.ends_with("chunks") && name != "state" {
            write(path.with_extension("chunks"), "2\r\na\n\r\n").expect("can be written");
        }
        write(&path, bytes).expect("can be written");
        let (code, _, errors) = run_store(folder.0.to_str().expect("is text"), &[]);
        assert!(code == Some(1) && errors.contains(want) && errors.contains(name), "{name}: {errors}");
        assert_eq!(read(&path).expect("is still there"), bytes);
    }
    let (code, _, errors) = run_store("/no/such/folder", &[]);
    assert!(code == Some(1) && errors.contains("--store /no/such/folder: cannot make this folder"), "{errors}");
    let (code, _, errors) = run(&["--last-id"], Stdio::null());
    assert!(code == Some(2) && errors.contains("--store"), "{errors}");
}

/// A store with ten events, and their IDs.
#[track_caller]
fn of_ten(store: &str) -> Vec<String> {
    let mut program = start(store, &[]);
    let mut client = program.stream();
    let ids = feed(&mut program, &mut client, 1..=10);
    program.signal("KILL");
    program.end();
    ids
}

fn cut(path: &Path, by: u64) {
    let file = OpenOptions::new().write(true).open(path).expect("can be opened");
    let len = file.metadata().expect("is a file").len();
    file.set_len(len - by).expect("can be cut");
}

#[test]
fn a_torn_end_is_cut_and_reported_and_its_ids_are_never_given_again() {
    // What is cut of the events; and of the index, as a power cut may take less or more of it.
    for (chunks, index) in [(3, 0), (40, 0), (40, 56), (40, 112), (100, 3 * 56 + 7), (3, 5 * 56)] {
        let folder = Folder::new();
        let store = store_in(&folder);
        let ids = of_ten(&store);
        cut(&file(&store, ".chunks"), chunks);
        cut(&file(&store, ".index"), index);
        let mut program = start(&store, &[]);
        assert!(
            program.told.iter().any(|line| line.contains(".chunks: it ends inside a record")),
            "{:?}",
            program.told
        );
        assert!(program.told.iter().any(|line| line.contains("records lost: ")), "{:?}", program.told);
        let mut client = program.stream();
        program.write("new\n");
        let mut events = Vec::new();
        while events.last().is_none_or(|event: &Event| event.data != "new") {
            events.push(client.next_event().expect("it goes on"));
        }
        let new = events.pop().expect("there is one");
        assert!(!ids.contains(&new.id), "{chunks}, {index}: {new:?} was given before");
        assert!((5..10).contains(&events.len()), "{chunks}, {index}: {events:?}");
        let lost = 10 - events.len();
        assert_eq!(client.comments, [format!("{lost} events missed")], "{chunks}, {index}");
        // A client that had the last one.
        let mut client = resume(&program, &ids[9]);
        assert_eq!(client.next_event(), Some(new), "{chunks}, {index}");
        program.signal("TERM");
        assert_eq!(program.end().code(), None);
    }
}

/// `state` as if the machine had been restarted since. That the store was closed before stays in it.
fn after_another_boot(store: &str) {
    let path = Path::new(store).join("state");
    let text = read_to_string(&path).expect("is text");
    let changed = text.lines().map(|line| match line.strip_prefix("boot ") {
        Some(boot) if !boot.starts_with("closed") => {
            let line = "boot 00000000-0000-0000-0000-000000000000";
            format!("{line} {:08x}\n", crc32fast::hash(line.as_bytes()))
        }
        _ => format!("{line}\n"),
    });
    write(&path, changed.collect::<String>()).expect("can be written");
}

#[test]
fn after_a_power_cut_numbers_are_skipped_and_a_notice_says_that_the_gap_is_unknown() {
    let folder = Folder::new();
    let store = store_in(&folder);
    let ids = of_ten(&store);
    // The disk has only half of it, and no part of `state` that was not waited for.
    let chunks = file(&store, ".chunks");
    let half = read(&chunks).expect("can be read").len() as u64 / 2;
    cut(&chunks, half);
    cut(&file(&store, ".index"), 5 * 56);
    after_another_boot(&store);
    // A start without an event in between does not forget it, no matter how it ends.
    for signal in ["KILL", "TERM"] {
        let program = start(&store, &[]);
        program.signal(signal);
        program.end();
    }
    let mut program = start(&store, &[]);
    let mut client = resume(&program, &ids[2]);
    program.write("new\n");
    let mut events = Vec::new();
    while events.last().is_none_or(|event: &Event| event.data != "new") {
        events.push(client.next_event().expect("it goes on"));
    }
    assert_eq!(client.comments, ["events missed, nobody knows how many: they are lost"]);
    let number = |id: &str| id.rsplit_once('-').expect("RUN-N").1.parse::<u64>().expect("a number");
    let new = &events.last().expect("there is one").id;
    assert!(number(new) > 1 << 20 && new.split('-').next() == ids[0].split('-').next(), "{new} after {ids:?}");
    assert_eq!(events[0].id, ids[3]);
    // A tail counts events, not numbers.
    let mut client = program.stream_with("/events", "");
    assert_eq!(client.data(2), ["1", "2"]);
    program.signal("TERM");
    program.end();
    // A machine that is restarted after a proper end is not a reason to skip numbers.
    after_another_boot(&store);
    let mut program = start(&store, &["--tail", "3"]);
    let mut client = program.stream();
    let before = [client.next_event(), client.next_event(), client.next_event()];
    assert_eq!(before[2].as_ref().map(|event| &event.id), Some(new), "{before:?}");
    let next = feed(&mut program, &mut client, [7]);
    assert_eq!(number(&next[0]), number(new) + 1);
}

#[test]
fn a_missing_index_is_rebuilt_and_a_missing_state_begins_a_new_run() {
    let folder = Folder::new();
    let store = store_in(&folder);
    let ids = of_ten(&store);
    std::fs::remove_file(file(&store, ".index")).expect("can be removed");
    let program = serve(&store);
    assert!(program.told.iter().any(|line| line.contains("is rebuilt; records: 10")), "{:?}", program.told);
    assert_eq!(all(program.stream()).0.into_iter().map(|event| event.id).collect::<Vec<_>>(), ids);
    assert_eq!(all(resume(&program, &ids[6])).0.len(), 3);
    drop(program);
    std::fs::remove_file(Path::new(&store).join("state")).expect("can be removed");
    let mut program = start(&store, &[]);
    let mut client = resume(&program, &ids[6]);
    let history = client.data(10);
    assert_eq!((history.len(), client.comments.len()), (10, 1), "it is unknown: {:?}", client.comments);
    let new = feed(&mut program, &mut client, [11]);
    assert_ne!(new[0].split('-').next(), ids[0].split('-').next(), "another run");
}

#[test]
fn a_missing_index_of_a_large_segment_is_rebuilt_for_this_start_and_the_next() {
    let folder = Folder::new();
    let store = store_in(&folder);
    let path = folder.0.join("input");
    let records: String = (0..3000).map(|n| format!("{n:0>9} {}\n", "x".repeat(1000))).collect();
    write(&path, &records).expect("can be written");
    let args = ["--port", "0", "--store", &store, "--at-eof", "exit"];
    let (code, _, errors) = run(&args, File::open(&path).expect("is there"));
    assert_eq!(code, Some(0), "{errors}");
    std::fs::remove_file(file(&store, ".index")).expect("can be removed");
    for rebuilt in [true, false] {
        let program = serve(&store);
        let told = program.told.iter().any(|line| line.contains("is rebuilt; records: 3000"));
        assert_eq!(told, rebuilt, "{:?}", program.told);
        let (events, comments) = all(program.stream());
        assert!(events.iter().map(|event| event.data.as_str()).eq(records.lines()), "{} events", events.len());
        assert!(comments.is_empty(), "{comments:?}");
    }
}

#[test]
fn the_buffer_bounds_it_on_disk_and_what_goes_is_counted() {
    let folder = Folder::new();
    let store = store_in(&folder);
    let mut program = start(&store, &["--buffer", "256KiB"]);
    let mut client = program.stream();
    let line = "x".repeat(1000);
    let mut first = String::new();
    let size = |store: &str| -> u64 {
        read_dir(store)
            .expect("is there")
            .map(|entry| entry.and_then(|entry| entry.metadata()).map_or(0, |m| m.len()))
            .sum()
    };
    for n in 0..2000 {
        program.write(format!("{line}\n"));
        let event = client.next_event().expect("it goes on");
        if n == 0 {
            first = event.id;
        }
        if n > 300 && n % 10 == 0 {
            // What goes makes room for a part of it, not for one record or for everything.
            let files = read_dir(&store).expect("is there").count();
            assert!((192 << 10..300 << 10).contains(&size(&store)), "{n}: {} bytes", size(&store));
            assert!(files < 25, "{n}: {files} files, which are open");
        }
    }
    program.signal("KILL");
    program.end();
    let program = start(&store, &["--buffer", "256KiB"]);
    let mut client = resume(&program, &first);
    let next = client.next_event().expect("there is history");
    let number: u64 = next.id.rsplit_once('-').expect("RUN-N").1.parse().expect("a number");
    assert!((1700..1990).contains(&number), "{next:?}");
    assert_eq!(client.comments, [format!("{} events missed", number - 2)]);
}

#[test]
fn own_ids_are_known_after_a_restart_and_say_where_to_continue() {
    let folder = Folder::new();
    let store = store_in(&folder);
    let events = |from: usize, to: usize| (from..to).map(|n| format!("id: k-{n}\ndata: {n}\n\n")).collect::<String>();
    for (from, to) in [(0, 50), (50, 120), (120, 121)] {
        let path = folder.0.join("input");
        write(&path, events(from, to)).expect("can be written");
        let args = ["--port", "0", "--format", "sse", "--at-eof", "exit", "--store", &store];
        let (code, _, errors) = run(&args, File::open(&path).expect("is there"));
        assert_eq!(code, Some(0), "{errors}");
        let (code, told, _) = run(&["--last-id", "--store", &store], Stdio::null());
        assert_eq!((code, told), (Some(0), format!("k-{}\n", to - 1)));
    }
    // Also while it is in use, and if its index is missing or its end is torn.
    let program = start(&store, &["--format", "sse"]);
    let last_id = || run(&["--last-id", "--store", &store], Stdio::null());
    assert_eq!(last_id(), (Some(0), "k-120\n".to_owned(), String::new()));
    drop(program);
    let index = file(&store, ".index");
    let rows = read(&index).expect("can be read");
    std::fs::remove_file(&index).expect("can be removed");
    assert_eq!(last_id(), (Some(0), "k-120\n".to_owned(), String::new()));
    write(&index, &rows[..rows.len() - 60]).expect("can be written");
    assert_eq!(last_id(), (Some(0), "k-120\n".to_owned(), String::new()));
    let chunks = read(file(&store, ".chunks")).expect("can be read");
    cut(&file(&store, ".chunks"), 3);
    assert_eq!(last_id(), (Some(0), "k-119\n".to_owned(), String::new()));
    write(file(&store, ".chunks"), chunks).expect("can be written");
    let args = ["--store", &store, "--format", "sse", "--at-eof", "serve"];
    let program = Program::start_with(&args, Stdio::null());
    for n in [0, 49, 50, 118] {
        let (events, comments) = all(resume(&program, &format!("k-{n}")));
        assert_eq!((events.len(), comments.as_slice()), (120 - n, [].as_slice()), "after k-{n}");
        assert_eq!(events[0].id, format!("k-{}", n + 1));
    }
    let mut command = Command::new("cat");
    command.arg(file(&store, ".chunks"));
    let text = command.output().expect("cat is there").stdout;
    assert!(
        String::from_utf8_lossy(&text).contains("\ndata: 7\nid: k-7\n"),
        "{BINARY} wrote something that can't be read"
    );
}

#[test]
fn an_own_id_given_again_after_a_restart_stands_for_the_earliest_that_the_folder_has() {
    let folder = Folder::new();
    let store = store_in(&folder);
    let feed = |ids: &[&str]| {
        let path = folder.0.join("input");
        let events = ids.iter().map(|id| format!("id: {id}\ndata: of {id}\n\n")).collect::<String>();
        write(&path, events).expect("can be written");
        let args = ["--port", "0", "--format", "sse", "--at-eof", "exit", "--store", &store];
        let (code, _, errors) = run(&args, File::open(&path).expect("is there"));
        assert_eq!(code, Some(0), "{errors}");
    };
    feed(&["a", "b", "c"]);
    feed(&["d"]); // those before are old now, and have a table at its end
    assert!(read(file(&store, ".ids")).expect("is there").starts_with(b"sse-pipe ids 1\n"));
    feed(&["b", "e"]);
    let program = Program::start_with(&["--store", &store, "--format", "sse", "--at-eof", "serve"], Stdio::null());
    for (id, want) in [("b", &["c", "d", "b", "e"][..]), ("d", &["b", "e"]), ("c", &["d", "b", "e"])] {
        let (events, comments) = all(resume(&program, id));
        assert_eq!(events.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), want, "after {id}");
        assert_eq!(comments, Vec::<String>::new());
    }
}

#[test]
fn the_tables_of_own_ids_are_bounded_on_disk_and_go_with_their_segments() {
    let folder = Folder::new();
    let store = store_in(&folder);
    let args = ["--store", &store, "--buffer", "256KiB", "--format", "json", "--id-from", "/id", "--metrics"];
    let mut program = Program::start(&args);
    const RECORDS: usize = 20_000;
    program.write((0..RECORDS).map(|n| format!("{{\"id\":\"k-{n}\"}}\n")).collect::<String>());
    let read_all = format!("\nsse_pipe_events_total {RECORDS}\n");
    let deadline = Instant::now() + DEADLINE;
    while !program.get("/metrics", "").content().contains(&read_all) {
        assert!(Instant::now() < deadline, "not all is read");
    }
    program.signal("KILL");
    program.end();
    let files = || read_dir(&store).expect("is there").map(|entry| entry.expect("can be listed"));
    let size: u64 = files().map(|entry| entry.metadata().expect("is there").len()).sum();
    assert!(size < 300 << 10, "{size} bytes");
    let names = |kind: &str| files().filter(|entry| entry.path().extension().is_some_and(|of| of == kind)).count();
    assert!(0 < names("ids") && names("ids") <= names("chunks"), "{:?}", files().collect::<Vec<_>>());
    let program = Program::start(&args);
    let mut client = resume(&program, "k-0");
    let oldest: usize = client.next_event().expect("there is history").id[2..].parse().expect("a number");
    assert_eq!(client.comments.len(), 1, "k-0 is not held any more: {:?}", client.comments);
    for n in [oldest, (oldest + RECORDS) / 2, RECORDS - 2] {
        let mut client = resume(&program, &format!("k-{n}"));
        assert_eq!(client.next_event().expect("it is held").id, format!("k-{}", n + 1));
        assert_eq!(client.comments, Vec::<String>::new(), "after k-{n}");
    }
}

/// The long form: SSE_PIPE_STORE_MIB=2048.
#[test]
fn own_ids_take_neither_memory_nor_time_that_grows_with_the_store() {
    let _places = busy();
    let mib: usize = std::env::var("SSE_PIPE_STORE_MIB").map_or(64, |mib| mib.parse().expect("a number"));
    let folder = Folder::new();
    let store = store_in(&folder);
    let args = ["--store", &store, "--buffer", "8GiB", "--format", "json", "--id-from", "/id"];
    let mut program = Program::start(&[&args[..], &["--at-eof", "serve", "--metrics"]].concat());
    let mut stdin = program.take_stdin();
    let records = (mib << 20) / 100;
    let mut block = String::new();
    for n in 0..records {
        block += &format!("{{\"id\":\"k-{n}\",\"text\":\"{}\"}}\n", "x".repeat(20));
        if block.len() > 1 << 20 || n + 1 == records {
            stdin.write_all(block.as_bytes()).expect("it reads");
            block.clear();
        }
    }
    drop(stdin);
    let read = format!("\nsse_pipe_events_total {records}\n");
    let deadline = Instant::now() + DEADLINE * 10;
    while !program.get("/metrics", "").content().contains(&read) {
        assert!(Instant::now() < deadline, "not all is read");
    }
    let young = linux::memory_peak(program.pid());
    program.signal("KILL"); // the latest IDs have no table
    program.end();
    let begun = Instant::now();
    let mut program = Program::start(&args);
    let started = begun.elapsed();
    let looked_up = Instant::now();
    for nth in 0..50 {
        // Some are at the end, where what has a table ends.
        let n = if nth < 25 { records - 1 - nth * 1000 } else { (nth * 7919 * 101) % records };
        let mut client = resume(&program, &format!("k-{n}"));
        if n + 1 < records {
            assert_eq!(client.next_event().expect("it is held").id, format!("k-{}", n + 1), "after k-{n}");
            assert_eq!(client.comments, Vec::<String>::new());
        }
    }
    let looked_up = looked_up.elapsed() / 50;
    let mut client = resume(&program, "k-none");
    client.next_event().expect("it gets all");
    assert_eq!(client.comments.len(), 1, "its ID is none: {:?}", client.comments);
    // What comes now is known, too, beside what was.
    let mut client = resume(&program, &format!("k-{}", records - 1));
    program.write("{\"id\":\"new\"}\n");
    assert_eq!(client.next_event().expect("it is new").id, "new");
    let peak = linux::memory_peak(program.pid());
    println!(
        "{mib} MiB, {records} IDs: listens after {started:?}; {} KiB, {} while written; {looked_up:?} for a resume",
        peak >> 10,
        young >> 10
    );
    assert!(peak < 32 << 20 && young < 32 << 20, "{peak} and {young} bytes");
    assert!(started < Duration::from_secs(2), "{started:?}");
}

/// What a program that could not write has left: its events, and those of the next one. Each has come before or is new, in
/// order, and where some are missing there is a notice.
#[track_caller]
fn goes_on(store: &str, given: &[String]) {
    let mut program = start(store, &[]);
    let mut client = program.stream();
    program.write("new\n");
    let (mut came, mut missed) = (Vec::new(), 0);
    loop {
        let event = client.next_event().expect("it goes on");
        for notice in client.comments.drain(..) {
            let number = notice.strip_suffix(" events missed").and_then(|number| number.parse::<usize>().ok());
            missed += number.unwrap_or_else(|| panic!("a number is known: {notice}"));
        }
        if event.data == "new" {
            assert!(!given.contains(&event.id), "{event:?} was given before");
            break;
        }
        came.push(event.id);
    }
    assert!(came.is_sorted_by_key(|id| given.iter().position(|other| other == id)), "{came:?}");
    assert!(came.iter().all(|id| given.contains(id)), "{came:?} are not {given:?}");
    assert_eq!(came.len() + missed, given.len(), "what is missing is counted");
    assert!(missed > 0, "nothing is missing: the test is none");
}

#[test]
fn on_a_full_disk_streams_continue_and_when_there_is_room_again_so_does_the_store() {
    if !in_own_mounts("store::on_a_full_disk_streams_continue_and_when_there_is_room_again_so_does_the_store") {
        return;
    }
    let folder = Folder::new();
    linux::run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=200k", "none"]).arg(&folder.0));
    let store = store_in(&folder);
    let mut program = start(&store, &["--at-eof", "exit", "--buffer", "16MiB"]);
    let mut client = program.stream();
    let mut given = Vec::new();
    let mut one = |program: &mut Program, client: &mut Client| {
        program.write(format!("{}\n", "x".repeat(1000)));
        given.push(client.next_event().expect("it goes on").id);
    };
    (0..400).for_each(|_| one(&mut program, &mut client));
    let line = program.wait_for("cannot write it");
    assert!(line.contains("No space left on device"), "{line}");
    // Room for everything that is written until its message that it works again arrives.
    linux::run(Command::new("mount").args(["-o", "remount,size=256m"]).arg(&folder.0));
    let deadline = Instant::now() + DEADLINE;
    while !program.has_told("it can be written again") {
        assert!(Instant::now() < deadline, "it never is: {:?}", program.told);
        one(&mut program, &mut client);
        std::thread::yield_now();
    }
    one(&mut program, &mut client);
    program.close_input();
    assert_eq!(client.rest().0, Vec::<String>::new());
    let ended = program.end();
    assert_eq!(ended.code(), Some(1), "{:?}", ended.told);
    let reports = ended.told.iter().filter(|line| line.contains("cannot write it")).count();
    assert_eq!(reports, 1, "reported once: {:?}", ended.told);
    goes_on(&store, &given);
}

#[test]
fn writes_that_fail_or_come_short_leave_nothing_but_gaps() {
    for errno in [Errno::IO, Errno::NOSPC] {
        let folder = Folder::new();
        let store = store_in(&folder);
        let mut command = Command::new(BINARY);
        command.args(["--port", "0", "--store", &store]).env("LD_PRELOAD", &*LYING_KERNEL);
        command.env("SSE_PIPE_TEST_PWRITE", format!("{} 150", errno.raw_os_error()));
        let mut program = Program::start_command(command, Stdio::piped());
        let mut client = program.stream();
        let given = feed(&mut program, &mut client, 0..100);
        program.wait_for("cannot write it");
        program.signal("KILL");
        program.end();
        goes_on(&store, &given);
    }
}

#[test]
fn what_the_disk_cannot_read_any_more_is_a_gap_and_all_else_is_served() {
    const RECORDS: usize = 20_000; // 4 MiB: some blocks of 256 KiB
    let folder = Folder::new();
    let store = store_in(&folder);
    let path = folder.0.join("input");
    let records: String = (0..RECORDS).map(|n| format!("{n:0>9} {}\n", "x".repeat(170))).collect();
    write(&path, &records).expect("can be written");
    let (code, _, errors) = run(
        &["--port", "0", "--at-eof", "exit", "--store", &store, "--buffer", "64MiB"],
        File::open(&path).expect("is there"),
    );
    assert_eq!(code, Some(0), "{errors}");
    let bad = read(file(&store, ".chunks")).expect("can be read").len() / 2;
    let mut command = Command::new(&*REFUSE);
    command.args([
        "broken-sendfile",
        BINARY,
        "--port",
        "0",
        "--store",
        &store,
        "--buffer",
        "64MiB",
        "--at-eof",
        "serve",
    ]);
    command.env("LD_PRELOAD", &*LYING_KERNEL).env("SSE_PIPE_TEST_PREAD", format!("{} {bad}", Errno::IO.raw_os_error()));
    let program = Program::start_command(command, Stdio::null());
    for path in ["/events", "/events?times=event"] {
        gets_all_but_a_gap(program.stream_with(path, ""), &records);
    }
    program.signal("TERM");
    let ended = program.end();
    let reports: Vec<_> = ended.told.iter().filter(|line| line.contains("records lost: ")).collect();
    assert!(reports.len() == 1 && reports[0].contains(".chunks: from byte "), "{:?}", ended.told);
}

#[test]
fn damage_in_a_store_too_large_to_be_checked_at_the_start_is_a_gap_for_every_client_that_comes_there() {
    let folder = Folder::new();
    let store = store_in(&folder);
    let path = folder.0.join("input");
    let records: String = (0..40_000).map(|n| format!("{n:0>9} {}\n", "x".repeat(1000))).collect(); // 40 MiB
    write(&path, &records).expect("can be written");
    let args = ["--port", "0", "--store", &store, "--buffer", "1GiB", "--at-eof"];
    let (code, _, errors) = run(&[&args[..], &["exit"]].concat(), File::open(&path).expect("is there"));
    assert_eq!(code, Some(0), "{errors}");
    let chunks = OpenOptions::new().write(true).open(file(&store, ".chunks")).expect("can be opened");
    let middle = chunks.metadata().expect("is a file").len() / 2;
    chunks.write_all_at(b"yyy", middle).expect("can be written");
    for request in ["/events HTTP/1.1", "/events?times=event HTTP/1.1", "/events HTTP/1.0"] {
        let program = Program::start_with(&[&args[2..], &["serve"]].concat(), Stdio::null());
        gets_all_but_a_gap(program.request(&format!("GET {request}\r\nHost: localhost\r\n\r\n")), &records);
    }
}

/// Reads all of these records from a server that has lost less than half of them, each beginning with its number.
#[track_caller]
fn gets_all_but_a_gap(mut client: Client, records: &str) {
    let (mut records, mut lost) = (records.lines(), 0);
    let all = records.clone().count();
    while records.clone().next().is_some() {
        let event = client.next_event().expect("it goes on");
        if event.event == "read-at" {
            continue;
        }
        for notice in client.comments.drain(..) {
            let number = notice.strip_suffix(" events missed").and_then(|number| number.parse::<usize>().ok());
            let number = number.unwrap_or_else(|| panic!("a number is known: {notice}"));
            lost += number;
            assert!(number > 0 && records.nth(number - 1).is_some(), "{notice}");
        }
        assert_eq!(Some(event.data.as_str()), records.next());
    }
    assert!(lost > 0 && lost < all / 2, "{lost} lost");
}

/// The long form: SSE_PIPE_STORE_MIB=2048.
#[test]
fn neither_memory_nor_the_time_to_start_grows_with_the_store() {
    let _places = busy();
    const CLIENTS: usize = 100;
    let mib: usize = std::env::var("SSE_PIPE_STORE_MIB").map_or(160, |mib| mib.parse().expect("a number"));
    let folder = Folder::new();
    let store = store_in(&folder);
    // Half of it in batches as small as they come from a slow producer, half in a flood.
    let mut program = start(&store, &["--buffer", "8GiB", "--at-eof", "exit"]);
    let mut stdin = program.take_stdin();
    let lines = (mib << 20) / 280;
    let line = |n: usize| format!("{n:0>9} {}\n", "x".repeat(230));
    for n in 0..20_000 {
        stdin.write_all(line(n).as_bytes()).expect("it reads");
    }
    let mut block = String::new();
    for n in 20_000..lines {
        block += &line(n);
        if block.len() > 1 << 20 || n + 1 == lines {
            stdin.write_all(block.as_bytes()).expect("it reads");
            block.clear();
        }
    }
    drop(stdin);
    let pid = program.pid();
    let young = linux::memory(pid);
    assert_eq!(program.end_within(DEADLINE * 10).code(), Some(0));
    let begun = Instant::now();
    let program = Program::start_with(&["--store", &store, "--buffer", "8GiB", "--at-eof", "serve"], Stdio::null());
    let started = begun.elapsed();
    thread::scope(|scope| {
        for nth in 0..CLIENTS {
            let mut client = program.stream_with(if nth % 10 == 0 { "/events?times=event" } else { "/events" }, "");
            scope.spawn(move || {
                let begun = Instant::now();
                // All of them begin; some read to the end.
                let mut next = 0;
                while nth < 4 || begun.elapsed() < Duration::from_secs(2) {
                    let Some(event) = client.next_event() else { break };
                    if event.event.is_empty() {
                        assert_eq!(event.data[..9].parse(), Ok(next));
                        next += 1;
                    }
                }
                assert!(nth >= 4 || next == lines, "client {nth}: {next} of {lines} events");
            });
        }
    });
    let peak = linux::memory_peak(program.pid());
    println!(
        "{mib} MiB: listens after {started:?}; {} KiB with {CLIENTS} clients, {} while written",
        peak >> 10,
        young >> 10
    );
    assert!(peak < 64 << 20 && young < 64 << 20, "{peak} and {young} bytes");
    assert!(started < Duration::from_secs(1), "{started:?}");
}
