//! The fuzz targets of `fuzz/`, run on the stored corpus with a stable compiler: each input as it is, and changed a
//! little in many ways, the same ways each time. Long searches are for libFuzzer (see `fuzz/README.md`).

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use crate::support::places::busy;
use crate::support::random::Random;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

#[test]
fn no_request_head_breaks_a_promise() {
    let _places = busy();
    run("request_head", targets::request_head::check, 200_000);
}

#[test]
fn no_event_stream_breaks_a_promise() {
    let _places = busy();
    run("event_stream", targets::event_stream::check, 200_000);
}

#[test]
fn no_json_texts_break_a_promise() {
    run("json_texts", targets::json_texts::check, 200_000);
}

#[test]
fn no_script_makes_a_connection_break_a_promise() {
    let _places = busy();
    run("connection", targets::connection::check, 200_000);
}

#[test]
fn no_change_of_a_store_breaks_a_promise() {
    let _places = busy();
    run("store", targets::store::check, 5_000);
}

#[test]
fn a_store_of_which_any_byte_is_changed_or_missing_is_refused_or_serves_only_what_was_written() {
    let _places = busy();
    let sample = &*targets::store::SAMPLE;
    assert_eq!(targets::store::opens_or_is_refused(&sample.files, true), Some(sample.entries.len()));
    let (mut refused, mut lost, mut whole) = (0, 0, 0);
    for nth in 0..sample.files.len() {
        let (name, content) = &sample.files[nth];
        let mut try_with = |changed: Vec<u8>, what: &str| {
            let mut files = sample.files.clone();
            files[nth].1 = changed;
            let opened = catch_unwind(AssertUnwindSafe(|| targets::store::opens_or_is_refused(&files, true)));
            match opened.unwrap_or_else(|_| panic!("{name}: {what}")) {
                None => refused += 1,
                Some(found) if found < sample.entries.len() => lost += 1,
                Some(_) => whole += 1,
            }
        };
        for at in 0..content.len() {
            try_with(content[..at].to_vec(), &format!("cut to {at} bytes"));
            for flip in [1, 0x20, 0x80] {
                let mut changed = content.clone();
                changed[at] ^= flip;
                try_with(changed, &format!("byte {at} ^ {flip:#x}"));
            }
        }
    }
    println!("{refused} were refused, {lost} have lost something, {whole} are whole");
    assert!(refused > 0 && lost > 0 && whole > 0);
}

/// Runs a target on its corpus, and on this many changed inputs: some seconds' worth.
fn run(target: &str, check: fn(&[u8]), changed: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the corpus is stored") {
        let path = entry.expect("it can be listed").path();
        inputs.push((std::fs::read(&path).expect("it can be read"), path));
    }
    inputs.sort();
    assert!(inputs.len() >= 20, "{}: {} inputs", folder.display(), inputs.len());
    let hold = |bytes: &[u8], path: &Path| {
        if catch_unwind(AssertUnwindSafe(|| check(bytes))).is_err() {
            let whole = if bytes.len() < 1000 { bytes.escape_ascii().to_string() } else { String::new() };
            panic!("{target}: after {} ({} bytes): {whole}", path.display(), bytes.len());
        }
    };
    for (bytes, path) in &inputs {
        hold(bytes, path);
    }
    inputs.retain(|(bytes, _)| bytes.len() <= 1000); // long ones take long
    let mut random = Random(1);
    for nth in 0..changed {
        let (input, path) = &inputs[nth % inputs.len()];
        let other = &inputs[random.below(inputs.len() as u64) as usize].0;
        hold(&change(input, other, &mut random), path);
    }
}

/// One to four changes: a byte is another, goes, comes, or is doubled with what follows; the end is cut; the rest is
/// another input's.
fn change(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut below = |bound: usize| random.below(bound.max(1) as u64) as usize;
    let mut bytes = input.to_vec();
    for _ in 0..=below(4) {
        let at = below(bytes.len() + 1);
        let to = (at + 1 + below(16)).min(bytes.len());
        match below(7) {
            0 if at < bytes.len() => bytes[at] = below(256) as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << below(8),
            2 => drop(bytes.drain(at..to)),
            3 => bytes.insert(at, b"\r\n \t:,\0\x7f\xff"[below(9)]),
            4 => bytes.extend_from_within(at..to),
            5 => bytes.truncate(at),
            _ => {
                let from = below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes
}
