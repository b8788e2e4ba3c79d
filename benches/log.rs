//! The log alone: what it costs to append a batch, to find where a client resumes, and to drop old batches.

use divan::{Bencher, black_box};
use sse_pipe::input::encoder::{Encoder, EncoderConfig};
use sse_pipe::input::records::Record;
use sse_pipe::log::batch::{Batch, Draft};
use sse_pipe::log::id::Run;
use sse_pipe::log::memory::{BLOCK, Memory};
use sse_pipe::log::{Ids, Log};
use std::sync::Arc;

fn main() {
    divan::main();
}

/// So many batches, as a trickle makes them (one event each) or a flood (1,000).
const BATCHES: u64 = 1000;

fn batches(run: Run, events: u64) -> Vec<Arc<Batch>> {
    let mut draft = Draft::new(Arc::new(Memory::new(BLOCK)));
    let mut encoder = Encoder::new(EncoderConfig { event: None, ids: Some(run), max_record: 1 << 20, buffer: 1 << 30 });
    let mut batch = || {
        for _ in 0..events {
            encoder.record(Record::Bytes(&[b'x'; 200]), &mut draft).expect("has room");
        }
        Arc::new(draft.finish(None).expect("has entries"))
    };
    (0..BATCHES).map(|_| batch()).collect()
}

fn filled(run: Run, batches: &[Arc<Batch>]) -> Log {
    let mut log = Log::new(run, Ids::Run);
    batches.iter().for_each(|batch| log.append(Arc::clone(batch)));
    log
}

/// 1,000 batches are appended.
#[divan::bench(args = [1, 1000])]
fn append(bencher: Bencher, events: u64) {
    let run = Run::new(0);
    let batches = batches(run, events);
    bencher.counter(BATCHES).bench_local(|| filled(run, &batches));
}

/// A client reconnects: its ID is looked up among 1,000 batches.
#[divan::bench(args = [1, 1000])]
fn resume(bencher: Bencher, events: u64) {
    let run = Run::new(0);
    let log = filled(run, &batches(run, events));
    let mut number = 0;
    let ids: Vec<_> = (1..=BATCHES).map(|nth| format!("{run}-{}", nth * events)).collect();
    bencher.bench_local(|| {
        number = (number + 377) % ids.len();
        log.resume(black_box(&ids[number]), 1000)
    });
}

/// 1,000 batches are let go of, one after the other; the last that holds them goes, and gives its memory back.
#[divan::bench(args = [1, 1000])]
fn evict(bencher: Bencher, events: u64) {
    let run = Run::new(0);
    let fresh = || {
        let batches = batches(run, events);
        let ends: Vec<_> = batches.iter().map(|batch| batch.end()).collect();
        (filled(run, &batches), ends)
    };
    bencher.counter(BATCHES).with_inputs(fresh).bench_local_values(|(mut log, ends)| {
        ends.into_iter().for_each(|end| log.evict(end));
        log
    });
}
