//! The splitter of JSON texts: however the bytes are cut, it finds the same texts, and up to the first mistake the same
//! as serde_json.
//!
//! The first two bytes say how long a text may be, and where the input is cut.

use serde::de::IgnoredAny;
use sse_pipe::input::json_texts::JsonTexts;
use sse_pipe::input::records::Record;

/// What came out, with its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Text(Vec<u8>),
    TooLong(u64),
    NotJson,
}

/// Splits an input whole and in pieces, and compares with serde_json.
pub fn check(bytes: &[u8]) {
    let Some(([max, cuts], input)) = bytes.split_first_chunk() else { return };
    let max = if *max < 128 { usize::from(*max).max(1) } else { 1 << 20 };
    let (mut texts, mut found, mut places) = (JsonTexts::new(max), Vec::new(), Vec::new());
    let (mut rest, mut cuts) = (input, u32::from(*cuts) + 1);
    while !rest.is_empty() {
        cuts = cuts.wrapping_mul(0x9e37_79b9); // another length each time, many of them short
        let length = 1 + (cuts >> 16) as usize % [1, 3, 9, 100, 10_000][(cuts >> 8) as usize % 5];
        let (piece, after) = rest.split_at(length.min(rest.len()));
        texts.push(piece, |record| take(record, &mut found, &mut places));
        rest = after;
    }
    texts.finish(|record| take(record, &mut found, &mut places));
    let (mut texts, mut whole, mut whole_places) = (JsonTexts::new(max), Vec::new(), Vec::new());
    texts.push(input, |record| take(record, &mut whole, &mut whole_places));
    texts.finish(|record| take(record, &mut whole, &mut whole_places));
    assert_eq!((&found, &places), (&whole, &whole_places), "in pieces and whole: {}", input.escape_ascii());
    for (line, column) in places {
        let line = input.split(|&byte| byte == b'\n').nth(line as usize - 1).expect("there is such a line");
        assert!((1..=line.len() as u64 + 1).contains(&column), "{column}: {}", input.escape_ascii());
    }
    let json = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    if json.contains(&0x1e) || json.windows(3).any(|three| three == b"\xef\xbb\xbf") {
        return; // which serde_json has no word for
    }
    let (want, is_whole) = read(json);
    let same = found.iter().zip(&want).take_while(|(found, _)| **found != Found::NotJson);
    for (found, want) in same.clone() {
        let want = if want.len() > max { Found::TooLong(want.len() as u64) } else { Found::Text(want.clone()) };
        // Nesting that is too deep has no end.
        let is_same = *found == want || matches!((found, &want), (Found::TooLong(a), Found::TooLong(b)) if a <= b);
        assert!(is_same, "{found:?} is not {want:?}: {}", input.escape_ascii());
        if *found != want {
            return;
        }
    }
    let same = same.count();
    let first_not = found.iter().position(|found| *found == Found::NotJson);
    match (is_whole, first_not) {
        (true, None) => assert_eq!(same, found.len().max(want.len()), "{}", input.escape_ascii()),
        (true, Some(_)) => panic!("serde_json has no objection: {}", input.escape_ascii()),
        // A number before what can't come after it is none here.
        (false, Some(nth)) => assert!(nth == want.len() || nth + 1 == want.len(), "{}", input.escape_ascii()),
        (false, None) => {
            assert!(found.iter().any(|found| matches!(found, Found::TooLong(_))), "{}", input.escape_ascii())
        }
    }
}

fn take(record: Record, found: &mut Vec<Found>, places: &mut Vec<(u64, u64)>) {
    found.push(match record {
        Record::Bytes(text) => Found::Text(text.to_vec()),
        Record::TooLong { size } => Found::TooLong(size),
        Record::NotJson { line, column } => {
            places.push((line, column));
            Found::NotJson
        }
    });
}

/// The texts up to the first mistake, without whitespace outside of strings, and whether there is none.
fn read(input: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut stream = serde_json::Deserializer::from_slice(input).into_iter::<IgnoredAny>();
    let (mut texts, mut start) = (Vec::new(), 0);
    while let Some(next) = stream.next() {
        if next.is_err() {
            return (texts, false);
        }
        texts.push(compact(&input[start..stream.byte_offset()]));
        start = stream.byte_offset();
    }
    (texts, true)
}

fn compact(text: &[u8]) -> Vec<u8> {
    let (mut in_string, mut escaped, mut compact) = (false, false, Vec::new());
    for &byte in text {
        if in_string || !b" \t\r\n".contains(&byte) {
            compact.push(byte);
        }
        in_string ^= byte == b'"' && !escaped;
        escaped = in_string && byte == b'\\' && !escaped;
    }
    compact
}
