//! Noticing that the program before us block-buffers its output, as most do when they write to a pipe, so that "nothing
//! arrives" (behaviour 1.12). Pure: sizes and times in, a hint out. It never changes the stream.
//!
//! A buffer is a multiple of 4096 bytes. Some programs write it when it is full, in the middle of a record (C's stdio,
//! grep); some when the next part of a record would not fit (Python). Either way each block ends less than a record
//! short of a multiple, again and again, each time after a silence. That is unlikely by chance.

use memchr::memchr_iter;
use std::time::Duration;

/// The size that buffers are multiples of.
const PAGE: usize = 4096;
/// A shorter pause is not a silence: nobody notices such a delay.
const SILENCE: Duration = Duration::from_millis(100);
/// At least this many blocks in a row.
const LEAST_BLOCKS: u32 = 3;
/// Longer records prove nothing: a block of a few of them often ends near a multiple.
const LONGEST_RECORD: usize = PAGE / 4;
/// The hint is given if the blocks would end like this by chance with less than this probability.
const CHANCE: f64 = 1e-6;

/// The reads so far.
#[derive(Debug)]
pub struct Buffering {
    terminator: u8,
    /// How many blocks in a row look like those of a buffer.
    blocks: u32,
    /// The probability of that by chance.
    chance: f64,
}

impl Buffering {
    /// The state before the first read of an input whose records end with `terminator`.
    pub fn new(terminator: u8) -> Buffering {
        Buffering { terminator, blocks: 0, chance: 1.0 }
    }

    /// One read has given `block`, after this silence. Returns whether it is now almost certain that the output is
    /// buffered.
    pub fn read(&mut self, block: &[u8], silence: Duration) -> bool {
        // For a flood, this is all the work.
        let chance = if silence >= SILENCE { chance(block, self.terminator) } else { None };
        match chance {
            Some(chance) => {
                self.blocks += 1;
                self.chance *= chance;
            }
            None => *self = Buffering::new(self.terminator),
        }
        self.blocks >= LEAST_BLOCKS && self.chance <= CHANCE
    }
}

/// The probability of a block of this size by chance; `None` if it doesn't look like a full buffer.
fn chance(block: &[u8], terminator: u8) -> Option<f64> {
    let short = block.len().next_multiple_of(PAGE) - block.len();
    if block.is_empty() || short > LONGEST_RECORD {
        return None;
    }
    let (mut start, mut longest) = (0, 0);
    for end in memchr_iter(terminator, block) {
        longest = longest.max(end + 1 - start);
        start = end + 1;
    }
    let likely = if short == 0 { 1 } else { longest.max(block.len() - start) };
    (longest > 0 && short < likely && likely <= LONGEST_RECORD).then_some(likely as f64 / PAGE as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_millis(200);
    const SHORT: Duration = Duration::from_millis(1);

    /// The number of the read that gives the hint.
    fn hint(blocks: &[(Vec<u8>, Duration)]) -> Option<usize> {
        let mut buffering = Buffering::new(b'\n');
        blocks.iter().position(|(block, silence)| buffering.read(block, *silence)).map(|nth| nth + 1)
    }

    /// What a program writes that prints lines: blocks of at most `size` bytes.
    fn written(lines: impl Iterator<Item = String>, size: usize, whole: bool) -> Vec<Vec<u8>> {
        let (mut blocks, mut block) = (Vec::new(), Vec::new());
        for line in lines {
            if whole && block.len() + line.len() > size {
                blocks.push(std::mem::take(&mut block));
            }
            block.extend_from_slice(line.as_bytes());
            while block.len() >= size {
                let rest = block.split_off(size);
                blocks.push(std::mem::replace(&mut block, rest));
            }
        }
        blocks
    }

    fn lines() -> impl Iterator<Item = String> {
        (0..20_000).map(|n| format!("line {n} {}\n", "x".repeat(n * 7 % 30)))
    }

    fn after(silence: Duration, blocks: Vec<Vec<u8>>) -> Vec<(Vec<u8>, Duration)> {
        blocks.into_iter().map(|block| (block, silence)).collect()
    }

    #[test]
    fn a_full_buffer_is_known_after_some_blocks() {
        assert_eq!(hint(&after(LONG, written(lines(), 4096, false))), Some(3), "C's stdio, grep");
        assert_eq!(hint(&after(LONG, written(lines(), 65536, false))), Some(3), "a larger buffer");
        assert_eq!(hint(&after(LONG, written(lines(), 8192, true))), Some(3), "Python");
        let parts = || lines().flat_map(|line| line.split_inclusive(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(hint(&after(LONG, written(parts(), 8192, true))), Some(3), "Python's print of several things");
        let even = (0..9999).map(|_| "x".repeat(15) + "\n");
        assert_eq!(hint(&after(LONG, written(even, 4096, false))), Some(3), "lines that fit in exactly");
        let long = (0..9999).map(|n| format!("{n:400}\n"));
        assert_eq!(hint(&after(LONG, written(long, 8192, true))), Some(6), "longer lines take longer to tell");
    }

    #[test]
    fn what_flows_is_never_reported() {
        for (size, whole) in [(4096, false), (8192, true), (131_072, false)] {
            let mut blocks = after(SHORT, written(lines(), size, whole));
            blocks[0].1 = LONG; // the program had to start
            assert_eq!(hint(&blocks), None);
            for nth in (3..blocks.len()).filter(|nth| nth % 3 > 0) {
                blocks[nth].1 = LONG; // a busy machine
            }
            assert_eq!(hint(&blocks), None);
        }
    }

    #[test]
    fn what_comes_as_it_is_printed_is_never_reported() {
        let single = lines().map(String::into_bytes).collect();
        assert_eq!(hint(&after(LONG, single)), None, "line by line");
        let bursts = lines().collect::<String>().as_bytes().chunks(777).map(<[u8]>::to_vec).collect();
        assert_eq!(hint(&after(LONG, bursts)), None, "pieces of another size");
        let long = (0..1000).map(|n| format!("{n:4000}\n").into_bytes()).collect();
        assert_eq!(hint(&after(LONG, long)), None, "single long records");
        assert_eq!(hint(&after(LONG, vec![vec![b'x'; 4096]; 99])), None, "no record at all");
        let reports = (0..300).map(|nth| lines().skip(nth).take(100 + nth * 13 % 70).collect::<String>().into_bytes());
        assert_eq!(hint(&after(LONG, reports.collect())), None, "reports of many lines");
    }
}
