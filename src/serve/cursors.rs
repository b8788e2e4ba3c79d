//! Where a worker's streams are in the log: how many there are, the fastest and the slowest of them.

/// Where a worker's streams are, updated as they move: if only one has moved, looking at all of them would cost more
/// than the rest of the turn.
#[derive(Debug, Default)]
pub struct Cursors {
    /// How many streams there are.
    pub streams: usize,
    /// The largest cursor, or one that has just left.
    pub fastest: u64,
    /// The smallest cursor, or a smaller one.
    pub slowest: u64,
    /// Whether these must be made exact at the end of the turn.
    pub recount: bool,
}

impl Cursors {
    /// A stream begins.
    pub fn join(&mut self, cursor: u64) {
        self.fastest = if self.streams == 0 { cursor } else { self.fastest.max(cursor) };
        self.slowest = if self.streams == 0 { cursor } else { self.slowest.min(cursor) };
        self.streams += 1;
    }

    /// A stream has moved on.
    pub fn advance(&mut self, before: u64, after: u64) {
        self.fastest = self.fastest.max(after);
        self.recount |= before == self.slowest && after > before;
    }

    /// Looks at all streams.
    pub fn count(&mut self, cursors: impl Iterator<Item = u64>) {
        *self = Cursors::default();
        cursors.for_each(|cursor| self.join(cursor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_hold_whoever_moves_and_are_exact_when_the_slowest_does() {
        let mut all = vec![5, 9, 9, 7];
        let mut cursors = Cursors::default();
        all.iter().for_each(|&cursor| cursors.join(cursor));
        assert_eq!((cursors.streams, cursors.fastest, cursors.slowest), (4, 9, 5));
        for (nth, to) in [(1, 12), (3, 8), (0, 6), (2, 9), (0, 20), (3, 20), (2, 20), (1, 20)] {
            let before = std::mem::replace(&mut all[nth], to);
            cursors.advance(before, to);
            if std::mem::take(&mut cursors.recount) {
                cursors.count(all.iter().copied());
            }
            let (most, least) = (all.iter().max().copied(), all.iter().min().copied());
            assert_eq!((Some(cursors.fastest), Some(cursors.slowest)), (most, least), "{all:?}");
        }
        cursors.count([].into_iter());
        assert_eq!(cursors.streams, 0);
    }
}
