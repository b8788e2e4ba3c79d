//! Numbers that look random: xorshift64 by George Marsaglia.

use std::hash::{BuildHasher, RandomState};
use std::ops::RangeInclusive;

/// A sequence of numbers; the same seed, which is not 0, makes the same sequence.
pub struct Random(pub u64);

impl Random {
    /// Seeded differently each time, or by SSE_PIPE_SEED; a failing test prints the seed.
    pub fn new() -> Random {
        let seed = std::env::var("SSE_PIPE_SEED").ok().and_then(|seed| seed.parse().ok());
        Random(seed.unwrap_or_else(|| RandomState::new().hash_one(0)) | 1)
    }

    /// The sequence of this seed, which may be any; those of neighbours have nothing in common (SplitMix64's mixing).
    pub fn seeded(seed: u64) -> Random {
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Random((mixed ^ mixed >> 31) | 1)
    }

    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// The next number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// A number of this range.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    /// Once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn pick<T: Clone>(&mut self, some: &[T]) -> T {
        some[self.below(some.len() as u64) as usize].clone()
    }

    /// Fills a block whose length is a multiple of 8.
    pub fn fill(&mut self, block: &mut [u8]) {
        for eight in block.chunks_exact_mut(8) {
            eight.copy_from_slice(&self.number().to_le_bytes());
        }
    }
}
