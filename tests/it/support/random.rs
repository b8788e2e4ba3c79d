//! Numbers that look random: xorshift64 by George Marsaglia.

use std::hash::{BuildHasher, RandomState};

/// A sequence of numbers; the same seed, which is not 0, makes the same sequence.
pub struct Random(pub u64);

impl Random {
    /// Seeded anew each time, or by SSE_PIPE_SEED; a failing test prints the seed.
    pub fn new() -> Random {
        let seed = std::env::var("SSE_PIPE_SEED").ok().and_then(|seed| seed.parse().ok());
        Random(seed.unwrap_or_else(|| RandomState::new().hash_one(0)) | 1)
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

    /// Fills a block whose length is a multiple of 8.
    pub fn fill(&mut self, block: &mut [u8]) {
        for eight in block.chunks_exact_mut(8) {
            eight.copy_from_slice(&self.number().to_le_bytes());
        }
    }
}
