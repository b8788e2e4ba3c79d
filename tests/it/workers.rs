//! The feed and its workers: what an event costs with many threads, and what the buffer holds and takes (behaviour 5.3,
//! 5.4).

use crate::support::linux::memory_peak;
use crate::support::places;
use crate::support::program::{Program, write_alone};
use std::time::{Duration, Instant};

#[test]
fn the_buffer_bounds_all_memory_however_many_threads_there_are() {
    let _places = places::busy();
    let mut program = Program::start(&["--threads", "64", "--buffer", "8MiB", "--history", "all"]);
    let mut stdin = program.take_stdin();
    // Each record is a batch of its own, which costs most: more of them than the buffer holds.
    for nth in 0..40_000 {
        write_alone(&mut stdin, format!("{nth}\n").as_bytes());
    }
    program.wait_for("the buffer is full");
    let peak = memory_peak(program.pid());
    assert!(peak < (8 + 8) << 20, "{peak} bytes at the peak");
}

#[test]
fn the_buffer_holds_what_it_says_whatever_a_producer_writes_at_a_time() {
    const LINE: usize = 200;
    let _places = places::busy();
    for lines in [1, 100, 1000, 2600, 5000] {
        let args = ["--buffer", "8MiB", "--history", "all", "--no-id", "--max-record", "1000"];
        let mut program = Program::start(&args);
        let mut stdin = program.take_stdin();
        rustix::pipe::fcntl_setpipe_size(&stdin, 1 << 20).expect("is allowed");
        let block = format!("{}\n", "x".repeat(LINE - 1)).repeat(lines);
        for _ in 0..(16 << 20) / block.len() {
            write_alone(&mut stdin, block.as_bytes());
        }
        let mut client = program.stream();
        drop(stdin);
        let held = client.rest().0.len() * LINE;
        // A record that is a batch of its own has a fixed cost, larger than itself; an event has some bytes of framing.
        let least = if lines == 1 { 2 << 20 } else { 11 << 19 };
        assert!(held >= least, "{lines} lines at a time: {held} bytes are held, at least {least} should be");
    }
}

#[test]
fn a_stalled_client_does_not_stop_the_input_while_the_buffer_has_room() {
    let _places = places::busy();
    for args in [&["--stall", "1h"][..], &["--stall", "1h", "--pace", "slowest"], &["--stall", "1h", "--tee"]] {
        let mut program = Program::start(args);
        let mut stdin = program.take_stdin();
        let mut stdout = program.take_stdout();
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let stalled = program.stream();
        // More than the kernel's buffers, less than ours.
        let block = format!("{}\n", "x".repeat(1023)).repeat(256);
        let start = Instant::now();
        for _ in 0..(32 << 20) / block.len() {
            write_alone(&mut stdin, block.as_bytes());
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{args:?}: it was held for {:?}", start.elapsed());
        drop((stdin, stalled));
    }
}

#[test]
fn a_client_that_reads_again_gets_everything_that_came_while_it_stalled() {
    let mut program = Program::start(&["--stall", "1h", "--wait", "1", "--no-id"]);
    let mut client = program.stream();
    let mut stdin = program.take_stdin();
    let record = "x".repeat(999);
    const RECORDS: usize = 20_000;
    for nth in 0..RECORDS / 50 {
        let block: String = (0..50).map(|n| format!("{} {record}\n", nth * 50 + n)).collect();
        write_alone(&mut stdin, block.as_bytes());
    }
    drop(stdin);
    for nth in 0..RECORDS {
        let event = client.next_event().unwrap_or_else(|| panic!("the stream ended before {nth}"));
        assert!(event.data.starts_with(&format!("{nth} ")), "{}", &event.data[..20]);
    }
    let _ = client.rest();
    assert_eq!(program.end().code(), Some(0));
}
