//! Whether the program's end agrees with what happened in a round: exit status, summary, drops, memory.

use super::round::Round;
use super::settings::{Ending, Pace};
use super::tally::Tally;
use crate::support::program::Ended;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

const SIGTERM: i32 = 15;
/// Memory beside the buffer and the longest record: the program itself, blocks in hand, threads. At most 8 MiB were seen.
const MEMORY: u64 = 12 << 20;
/// A signal leaves clients about a second; one that is cut off must have had that.
const LAST_SECOND: Duration = Duration::from_millis(900);

pub fn judge(round: &Round, ended: &Ended, tally: &Tally) -> Result<(), String> {
    let (settings, script) = (&round.settings, &round.script);
    let by_signal = matches!(settings.ending, Ending::Serve | Ending::Signal);

    let skipped = script.skipped + u64::from(script.ends_inside_event);
    let code = (!by_signal).then_some(i32::from(skipped > 0));
    let signal = by_signal.then_some(SIGTERM);
    let has_status = (ended.status.code(), ended.status.signal()) == (code, signal);
    ensure(has_status, || format!("want exit status {code:?}, signal {signal:?}"))?;
    let failed = ended.told.iter().any(|line| line.contains("bug") || line.contains("panicked"));
    ensure(!failed, || "it says that it failed".to_owned())?;

    // What the reader has to say may come after it.
    let summary = ended.told.iter().rfind(|line| line.contains(" to ") && line.contains(" client"));
    let summary = Summary::of(summary.map_or("", |line| line));
    let events = if by_signal { round.end_of_all(None).map(|end| end - 1) } else { Some(script.last()) };
    if let Some(events) = events.map(|last| script.events(last)) {
        ensure(summary.events == events, || format!("want a summary of {events} events"))?;
    }
    ensure(by_signal || summary.skipped == skipped, || format!("want a summary of {skipped} records skipped"))?;
    let clients = tally.streams..=tally.connections;
    ensure(clients.contains(&summary.clients), || format!("want a summary of {clients:?} clients"))?;

    // One that left by itself may have been dropped before.
    let (dropped, noticed) = (summary.stalled + summary.behind, tally.stalled + tally.behind);
    let most = noticed + tally.left_early + tally.cut_after_signal;
    ensure((noticed..=most).contains(&dropped), || format!("want {noticed} to {most} clients dropped"))?;
    let kept = settings.pace != Pace::Slowest || summary.behind == 0;
    ensure(kept, || "nobody falls behind where the slowest sets the pace".to_owned())?;
    let cut_off = (noticed + tally.cut_after_signal).saturating_sub(dropped);
    let lived = round.signalled.get().map_or(Duration::ZERO, Instant::elapsed);
    ensure(cut_off == 0 || lived >= LAST_SECOND, || {
        format!("{cut_off} clients were cut off {lived:?} after the signal")
    })?;

    // Of several signals that wait for it the kernel makes one, and the last may come when it has just ended.
    let statistics = ended.told.iter().filter(|line| line.starts_with("sse-pipe: clients: ")).count() as u64;
    let wanted = tally.statistics.saturating_sub(1).min(1)..=tally.statistics;
    ensure(wanted.contains(&statistics), || format!("want {wanted:?} lines of statistics"))?;
    // As read, as data, as text, as an event; what has held one is used again, but not always for the next.
    let most = MEMORY + 4 * script.longest();
    ensure(tally.memory_kib << 10 <= most, || format!("at most {most} bytes beside the buffer are allowed"))
}

fn ensure(holds: bool, what: impl Fn() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// `3 events to 2 clients, 1 dropped (1 stalled, 0 too slow), 1 record skipped`
struct Summary {
    events: u64,
    clients: u64,
    stalled: u64,
    behind: u64,
    skipped: u64,
}

impl Summary {
    fn of(line: &str) -> Summary {
        let before = |what: &str| {
            let number = line.split_once(what)?.0.rsplit([' ', '(']).next()?;
            number.parse().ok()
        };
        let number = |one: &str, several: &str| before(one).or(before(several)).unwrap_or(0);
        Summary {
            events: number(" event to ", " events to "),
            clients: number(" client", " clients"),
            stalled: number(" stalled", " stalled"),
            behind: number(" too slow", " too slow"),
            skipped: number(" record skipped", " records skipped"),
        }
    }
}
