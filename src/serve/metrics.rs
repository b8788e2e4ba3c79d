//! `/metrics` in Prometheus' text format (exposition formats, version 0.0.4).

use std::fmt::Write;

/// Its media type.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is so at the moment, and what has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Streams that are open.
    pub clients: u64,
    /// Connections of any kind.
    pub connections: u64,
    /// Streams that were opened.
    pub served: u64,
    /// Events that were published.
    pub events: u64,
    /// Bytes read from standard input.
    pub bytes_in: u64,
    /// Bytes written to clients.
    pub bytes_out: u64,
    /// Clients dropped because they took nothing for too long.
    pub stalled: u64,
    /// Clients dropped because they fell behind what the log holds.
    pub behind: u64,
    /// Connections turned away because there were too many.
    pub turned_away: u64,
    /// Records that were left out.
    pub left_out: u64,
    /// Bytes that wait for the slowest client.
    pub lag: u64,
    /// Events of the history.
    pub history: u64,
    /// Bytes of memory that the log takes.
    pub log: u64,
}

impl Metrics {
    /// All of them as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(&str, u64)]| {
            let _ = writeln!(text, "# HELP sse_pipe_{name} {help}\n# TYPE sse_pipe_{name} {kind}"); // to memory
            for (labels, value) in samples {
                let _ = writeln!(text, "sse_pipe_{name}{labels} {value}");
            }
        };
        family("clients", "gauge", "Streams that are open.", &[("", self.clients)]);
        family("connections", "gauge", "Connections of any kind.", &[("", self.connections)]);
        family("clients_total", "counter", "Streams that were opened.", &[("", self.served)]);
        family("events_total", "counter", "Events that were published.", &[("", self.events)]);
        family("read_bytes_total", "counter", "Bytes read from standard input.", &[("", self.bytes_in)]);
        family("written_bytes_total", "counter", "Bytes written to clients.", &[("", self.bytes_out)]);
        let drops = [("{reason=\"stalled\"}", self.stalled), ("{reason=\"behind\"}", self.behind)];
        family("dropped_total", "counter", "Clients that were dropped, by reason.", &drops);
        let turned_away = [("", self.turned_away)];
        family("turned_away_total", "counter", "Connections turned away at --max-clients.", &turned_away);
        family("left_out_total", "counter", "Records that were left out.", &[("", self.left_out)]);
        family("lag_bytes", "gauge", "Bytes that wait for the slowest client.", &[("", self.lag)]);
        family("history_events", "gauge", "Past events that a new client may get.", &[("", self.history)]);
        family("log_bytes", "gauge", "Memory that the events take.", &[("", self.log)]);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_its_help_its_type_and_its_samples() {
        let text = Metrics { stalled: 3, lag: 17, ..Metrics::default() }.text();
        for want in [
            "# TYPE sse_pipe_dropped_total counter\n",
            "\nsse_pipe_dropped_total{reason=\"stalled\"} 3\nsse_pipe_dropped_total{reason=\"behind\"} 0\n",
            "# HELP sse_pipe_lag_bytes Bytes that wait for the slowest client.\n",
            "\nsse_pipe_lag_bytes 17\n",
        ] {
            assert!(text.contains(want), "no {want:?} in {text}");
        }
        assert!(text.ends_with('\n') && !text.contains("\n\n"));
    }
}
