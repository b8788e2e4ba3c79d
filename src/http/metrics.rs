//! `/metrics` in Prometheus' text format (exposition formats, version 0.0.4).

use crate::counters::Counters;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Its media type.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Current values, as opposed to counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Connections of any kind.
    pub connections: u64,
    /// Bytes pending for the slowest client.
    pub lag: u64,
    /// Events of the history.
    pub history: u64,
    /// Bytes of memory that the log takes.
    pub log: u64,
}

/// All of them as text.
pub fn text(counters: &Counters, gauges: &Gauges) -> String {
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let clients = counters.streams.load(Ordering::Relaxed) as u64;
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(&str, u64)]| {
        let _ = writeln!(text, "# HELP sse_pipe_{name} {help}\n# TYPE sse_pipe_{name} {kind}"); // to memory
        for (labels, value) in samples {
            let _ = writeln!(text, "sse_pipe_{name}{labels} {value}");
        }
    };
    family("clients", "gauge", "Streams that are open.", &[("", clients)]);
    family("connections", "gauge", "Connections of any kind.", &[("", gauges.connections)]);
    family("clients_total", "counter", "Streams that were opened.", &[("", get(&counters.served))]);
    family("events_total", "counter", "Events that were published.", &[("", get(&counters.events))]);
    family("read_bytes_total", "counter", "Bytes read from standard input.", &[("", get(&counters.bytes_in))]);
    family("written_bytes_total", "counter", "Bytes written to clients.", &[("", get(&counters.bytes_out))]);
    let drops = [("{reason=\"stalled\"}", get(&counters.stalled)), ("{reason=\"behind\"}", get(&counters.behind))];
    family("dropped_total", "counter", "Clients that were dropped, by reason.", &drops);
    let turned_away = [("", get(&counters.turned_away))];
    family("turned_away_total", "counter", "Connections turned away at --max-clients.", &turned_away);
    family("skipped_total", "counter", "Records that were skipped.", &[("", get(&counters.skipped))]);
    family("lag_bytes", "gauge", "Bytes pending for the slowest client.", &[("", gauges.lag)]);
    family("history_events", "gauge", "Past events that a new client may get.", &[("", gauges.history)]);
    family("log_bytes", "gauge", "Memory that the events take.", &[("", gauges.log)]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_its_help_its_type_and_its_samples() {
        let counters = Counters { stalled: 3.into(), ..Counters::default() };
        let text = text(&counters, &Gauges { lag: 17, ..Gauges::default() });
        for want in [
            "# TYPE sse_pipe_dropped_total counter\n",
            "\nsse_pipe_dropped_total{reason=\"stalled\"} 3\nsse_pipe_dropped_total{reason=\"behind\"} 0\n",
            "# HELP sse_pipe_lag_bytes Bytes pending for the slowest client.\n",
            "\nsse_pipe_lag_bytes 17\n",
        ] {
            assert!(text.contains(want), "no {want:?} in {text}");
        }
        assert!(text.ends_with('\n') && !text.contains("\n\n"));
    }
}
