//! The chaos of real life (behaviour 1 to 5): clients that read fast, slowly, in bursts or not at all, that are cut off
//! at any byte and reconnect, over random settings and input, with signals meanwhile. Each byte that arrives is
//! compared with what must arrive.
//!
//! A failure prints the seed of its round. To play that round, and those after it, for half an hour:
//!
//! ```sh
//! SSE_PIPE_CHAOS_SECONDS=1800 SSE_PIPE_CHAOS_SEED=17 cargo test --test it chaos -- --nocapture
//! ```
//!
//! Without either it lasts half a minute: 10 seconds from a seed that is always the same, then 20 from a new one. The seed
//! decides the settings, the input and what every client will do; how far they get depends on the machine, so a rare
//! fault may need several tries of its round. If the oracle may have judged too strictly, `docs/behaviour.md` decides.

use crate::support::chaos::round::play;
use crate::support::chaos::tally::Tally;
use crate::support::random::Random;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// So many rounds are played at the same time: each of them mostly waits.
const LANES: usize = 2;

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value}: want a number")))
}

/// Reports also when the tests' output is captured.
fn report(text: &str) {
    let _ = writeln!(std::io::stderr(), "chaos: {text}");
}

/// Plays the round of this seed, and those after it, for this long.
fn play_from(first: u64, time: Duration) -> Tally {
    report(&format!("from SSE_PIPE_CHAOS_SEED={first} on, for {time:?}"));
    let (start, next, failed) = (Instant::now(), AtomicU64::new(first), AtomicBool::new(false));
    let lane = || {
        let mut sum = Tally::default();
        while start.elapsed() < time && !failed.load(Ordering::SeqCst) {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            match play(seed) {
                Ok(tally) => sum += &tally,
                Err(fault) => {
                    failed.store(true, Ordering::SeqCst);
                    return Err(format!("SSE_PIPE_CHAOS_SEED={seed}, after {:?}: {fault}", start.elapsed()));
                }
            }
        }
        Ok(sum)
    };
    let lanes: Vec<_> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().map(|lane| lane.join().expect("a round that panics has said why")).collect()
    });
    let mut sum = Tally::default();
    for tally in lanes {
        sum += &tally.unwrap_or_else(|fault| panic!("{fault}"));
    }
    report(&format!("{sum:?}"));
    sum
}

#[test]
fn in_the_chaos_of_real_life_every_client_gets_exactly_what_it_must() {
    let new_seed = || Random::new().below(1 << 32);
    let seconds = Duration::from_secs;
    let parts = match (variable("SSE_PIPE_CHAOS_SEED"), variable("SSE_PIPE_CHAOS_SECONDS")) {
        (None, None) => vec![(1, seconds(10)), (new_seed(), seconds(20))],
        (seed, time) => vec![(seed.unwrap_or_else(new_seed), seconds(time.unwrap_or(60)))],
    };
    for (seed, time) in parts {
        let sum = play_from(seed, time);
        assert!(sum.records > 0, "too little happened to test anything: {sum:?}");
    }
}
