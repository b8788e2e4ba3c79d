//! The examples, run as a person would.

mod common;

use common::{BINARY, End, Program};
use std::process::{Command, Stdio};

/// Latitude and longitude of each fix of the recorded track: `$GPRMC` sentences (NMEA 0183).
fn recorded_fixes() -> Vec<(f64, f64)> {
    let track = std::fs::read_to_string("examples/track.nmea").expect("it is there");
    let degrees = |value: &str, side: &str| {
        let (whole, minutes) = value.split_at(value.find('.').expect("is ddmm.mmmm") - 2);
        let degrees = whole.parse::<f64>().expect("degrees") + minutes.parse::<f64>().expect("minutes") / 60.0;
        if side == "S" || side == "W" { -degrees } else { degrees }
    };
    let sentences = track.lines().filter(|line| line.starts_with("$GPRMC,"));
    let fields = sentences.map(|line| line.split(',').collect::<Vec<_>>());
    fields.map(|fields| (degrees(fields[3], fields[4]), degrees(fields[5], fields[6]))).collect()
}

/// The number behind `"name":` in a JSON text of gpsd's.
fn member(json: &str, name: &str) -> f64 {
    let (_, rest) = json.split_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name} in {json}"));
    let end = rest.find([',', '}']).expect("it goes on");
    rest[..end].parse().unwrap_or_else(|_| panic!("{name} is no number in {json}"))
}

#[test]
fn a_recorded_track_comes_through_gpsd_fix_by_fix() {
    assert!(Command::new("gpspipe").arg("-V").output().is_ok(), "no gpspipe: run tests/run, which installs it");
    let mut command = Command::new("examples/gps-map.sh");
    command.args([BINARY, "--port", "0"]).env("GPS_CYCLE", "0");
    let program = Program::start_command(command, Stdio::null());
    let (data, end) = program.stream().rest();
    assert_eq!(end, End::Proper);
    let fixes: Vec<_> = data
        .iter()
        .filter(|json| json.contains("\"class\":\"TPV\""))
        .map(|json| (member(json, "lat"), member(json, "lon")))
        .collect();
    let recorded = recorded_fixes();
    assert!(recorded.len() > 100, "{} recorded", recorded.len());
    assert_eq!(fixes.len(), recorded.len(), "{data:#?}");
    for (nth, (got, want)) in fixes.iter().zip(&recorded).enumerate() {
        assert!((got.0 - want.0).abs() < 1e-6 && (got.1 - want.1).abs() < 1e-6, "fix {nth}: {got:?}, not {want:?}");
    }
    assert_eq!(program.end().code(), Some(0));
}
