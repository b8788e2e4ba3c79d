//! What has happened in a round, or in many.

use std::ops::AddAssign;

/// What has happened.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub rounds: u64,
    pub connections: u64,
    pub streams: u64,
    /// Records that came to clients, each compared whole.
    pub records: u64,
    pub bytes: u64,
    /// Streams that went on strictly after a last event ID.
    pub resumed: u64,
    /// Streams that began with the number of what is missed, or with the notice that it is unknown.
    pub gaps: u64,
    pub unknown: u64,
    pub proper_ends: u64,
    pub farewells: u64,
    pub left_early: u64,
    /// Connections that the program cut: of clients that stalled, that fell behind, or at its end.
    pub stalled: u64,
    pub behind: u64,
    pub cut_after_signal: u64,
    /// How often statistics were asked for.
    pub statistics: u64,
    /// The most memory in addition to the buffer, in KiB.
    pub memory_kib: u64,
}

impl AddAssign<&Tally> for Tally {
    fn add_assign(&mut self, other: &Tally) {
        self.rounds += other.rounds;
        self.connections += other.connections;
        self.streams += other.streams;
        self.records += other.records;
        self.bytes += other.bytes;
        self.resumed += other.resumed;
        self.gaps += other.gaps;
        self.unknown += other.unknown;
        self.proper_ends += other.proper_ends;
        self.farewells += other.farewells;
        self.left_early += other.left_early;
        self.stalled += other.stalled;
        self.behind += other.behind;
        self.cut_after_signal += other.cut_after_signal;
        self.statistics += other.statistics;
        self.memory_kib = self.memory_kib.max(other.memory_kib);
    }
}
