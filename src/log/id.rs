//! Event IDs of our own: `RUN-N`, record `N` of the run `RUN`.
//!
//! The run's token is new at every start, so an ID of an earlier run is never mistaken for one of this run. With a
//! store, a run continues after a restart. IDs consist of `[A-Za-z0-9-]` alone: then `Last-Event-ID` needs no preflight
//! (Fetch, CORS-safelisted headers).

use std::fmt;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^6 tokens, 57 billion: short, because it is on every event, and still enough that no two runs get the same.
const LENGTH: usize = 6;

/// The token of one run of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run([u8; LENGTH]);

impl Run {
    /// The token that belongs to `seed`, which should be random.
    pub fn new(mut seed: u64) -> Run {
        Run(std::array::from_fn(|_| {
            let digit = DIGITS[(seed % 62) as usize];
            seed /= 62;
            digit
        }))
    }

    /// The token that `text` is.
    pub fn parse(text: &str) -> Option<Run> {
        let token: [u8; LENGTH] = text.as_bytes().try_into().ok()?;
        token.iter().all(u8::is_ascii_alphanumeric).then_some(Run(token))
    }

    /// The number in `text` if it is an ID of this run, else `None`. Outer blanks don't count: a header loses them.
    pub fn number(&self, text: &str) -> Option<u64> {
        let number = text.trim_matches([' ', '\t']).strip_prefix(self.as_str())?.strip_prefix('-')?;
        let plain = number.bytes().all(|byte| byte.is_ascii_digit()) && (number == "0" || !number.starts_with('0'));
        if plain { number.parse().ok() } else { None }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the digits are ASCII")
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_as_it_was_given_is_one_of_this_run() {
        let run = Run::new(0x1234_5678_9abc_def0);
        for (rest, want) in [
            ("-0", Some(0)),
            ("-1", Some(1)),
            ("-18446744073709551615", Some(u64::MAX)),
            ("-18446744073709551616", None),
            ("-01", None),
            ("-+1", None),
            ("--1", None),
            ("-", None),
            ("", None),
            ("-1x", None),
            (" -1", None),
        ] {
            assert_eq!(run.number(&format!("{run}{rest}")), want, "{run}{rest}");
        }
        assert_eq!(run.number(&format!(" {run}-7\t")), Some(7), "outer blanks don't count");
        assert_eq!(run.number(&format!("{}-1", Run::new(1))), None, "another run");
    }

    #[test]
    fn tokens_have_no_character_that_would_cost_a_preflight() {
        for seed in (0..1000u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            assert!(Run::new(seed).to_string().bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }
}
