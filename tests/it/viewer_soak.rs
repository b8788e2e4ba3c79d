//! The built-in page over a long time: its memory stays where it is.
//!
//! In short forms, unless `SSE_PIPE_TEST_DAY` names the hours of the day that is simulated (24 take some minutes), and
//! `SSE_PIPE_TEST_SOAK` the minutes of the soak.

use crate::support::browser::Browser::Chromium;
use crate::support::browser::{PATIENCE, Report, open_for, report};
use crate::support::files::at;
use crate::support::places::busy;
use crate::support::program::Program;
use std::io::Write;
use std::time::{Duration, Instant};

/// A number from the environment.
fn setting(name: &str) -> Option<u32> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The heap at each `@heap` step, in MB.
fn heaps(report: &Report) -> Vec<u32> {
    let values = report.strings("values").into_iter().filter_map(|value| value.strip_prefix("heap "));
    values.map(|bytes| (bytes.parse::<f64>().expect("a number") / 1e6).round() as u32).collect()
}

/// A line for each figure, as long as it is high.
fn draw(heaps: &[u32]) {
    for heap in heaps {
        println!("{heap:>5} MB {}", "#".repeat((heap / 4) as usize));
    }
}

/// 100 events a second, handed to a hidden page as its hub would, so that the day need not pass.
#[test]
#[ignore = "needs chromium: tests/run"]
fn a_day_in_a_hidden_tab_leaves_its_memory_flat() {
    let hours = setting("SSE_PIPE_TEST_DAY").unwrap_or(3).max(2);
    let _places = busy();
    let mut program = Program::start(&["--at-eof", "serve"]);
    program.write("{\"lat\":1,\"lon\":2,\"v\":3}\n");
    // Twenty seconds in each message; other tasks run in between. The log is filtered, which keeps numbers too.
    let start = "(window.day = { hour: 0, n: 1 }, day.run = async () => {
        const began = Date.now() - 86400e3;
        const status = { state: { name: 'live' }, events: 0, gaps: 0, missed: 0, rate: 100, seconds: [], lastEventId: '', first: 0, tabs: 1 };
        for (const end = day.n + 360000; day.n < end;) {
            const items = Array.from({ length: 2000 }, (_, i) => {
                const n = day.n + i;
                const data = JSON.stringify({ id: 'o' + n % 300, lat: Math.sin(n / 9e4) * 80, lon: (n / 5e4) % 180, v: n % 977, text: 'record ' + n });
                return { time: began + n * 10, type: n % 5 ? '' : 'type' + n % 25, id: 'run-' + n, data, notice: false };
            });
            const from = day.n;
            day.n += items.length;
            hub.onmessage({ data: { from, items, status: { ...status, events: day.n, end: day.n } } });
            await new Promise(resolve => { const { port1, port2 } = new MessageChannel(); port1.onmessage = resolve; port2.postMessage(0); });
        }
        day.hour += 1;
    }, true)";
    let filter = "(document.getElementById('filter').value = 'record', document.getElementById('filter').dispatchEvent(new Event('input')), true)";
    let mut steps =
        vec!["ssePipe.events === 1 && ssePipe.map && ssePipe.plot", start, filter, "@hide", "document.hidden"];
    let hour: Vec<String> = (1..=hours)
        .map(|n| format!("(day.begun === {n} || (day.begun = {n}, day.run(), true)) && day.hour === {n}"))
        .collect();
    for hour in &hour {
        steps.extend([hour, "@heap"]);
    }
    let all = format!(
        "ssePipe.items.length === 200000 && ssePipe.map.positions === {0} && '{0} events'",
        u64::from(hours) * 360_000 + 1
    );
    steps.extend(["@show", "!document.hidden", all.as_str()]);
    let report = report(open_for(Chromium, &program.url("/"), &steps, PATIENCE * (hours + 1)));
    report.assert_value(&format!("{} events", u64::from(hours) * 360_000 + 1));
    report.assert_no_complaint();
    let heaps = heaps(&report);
    draw(&heaps);
    // The buffers are full after an hour, but for those of the plot: its last series may fill for half a day.
    let (half, last) = (heaps[heaps.len() / 2], heaps[heaps.len() - 1]);
    assert!(last <= half + half / 20 + 3 && last < 300, "{heaps:?} MB, an hour each");
}

/// The records of all samples, a line each.
fn samples() -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(at("tests/samples")).expect("is a folder").map(|file| file.expect("is there").path());
    let mut texts: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    texts.sort();
    let lines = texts.iter().flat_map(|path| {
        let text = std::fs::read(path).expect("is readable");
        text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>()
    });
    lines.collect()
}

/// Everything at once: 500 records a second, of 1,000 objects that move, of colours and of every sample, while a person
/// goes through the views, filters, unfolds, pauses, and looks away.
#[test]
#[ignore = "needs chromium: tests/run"]
fn a_soak_with_everything_at_once_is_bounded_and_exact() {
    const RATE: usize = 500;
    let seconds = setting("SSE_PIPE_TEST_SOAK").map_or(15, |minutes| minutes * 60);
    let _places = busy();
    let mut program = Program::start(&["--wait", "1", "--at-eof", "serve"]);
    let key = |key: &str| {
        format!(
            "document.body.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true, cancelable: true }})), true"
        )
    };
    let filter = |text: &str| {
        format!(
            "(document.getElementById('filter').value = '{text}', document.getElementById('filter').dispatchEvent(new Event('input')), true)"
        )
    };
    let pause = "(window.until ??= performance.now() + 1000) < performance.now() && (window.until = undefined, true)";
    let click = |id: &str| format!("document.getElementById('{id}').click(), true");
    let round = [
        key("2"),
        pause.to_owned(),
        key("3"),
        pause.to_owned(),
        key("1"),
        filter("/o[0-9]*7/"),
        pause.to_owned(),
        "(document.querySelector('#log .row .line')?.click(), true)".to_owned(),
        filter(""),
        click("pause"),
        pause.to_owned(),
        click("pause"),
        key("g"),
        "@hide".to_owned(),
        "@heap".to_owned(),
        "@show".to_owned(),
    ];
    let total = RATE * seconds as usize;
    let all = format!(
        "ssePipe.events === {total} && ssePipe.items.at(-1)?.data === 'the end' && ssePipe.state !== 'live' && 'exact'"
    );
    let mut steps = vec!["ssePipe.state === 'live' && ssePipe.map"];
    // A round takes some 5 s; the last ones may come after the records.
    for _ in 0..seconds.div_ceil(5) {
        steps.extend(round.iter().map(String::as_str));
    }
    steps.push(&all);
    let mut page = open_for(Chromium, &program.url("/"), &steps, 4 * PATIENCE + 2 * seconds);
    page.wait_for_step(1);
    let samples = samples();
    let mut input = program.take_stdin();
    let start = Instant::now();
    let mut sent = 0;
    while sent < total {
        let due = ((start.elapsed().as_secs_f64() * RATE as f64) as usize).min(total);
        for n in sent..due {
            let record = match n % 4 {
                _ if n == total - 1 => b"the end".to_vec(),
                0 => samples[n / 4 % samples.len()].clone(),
                1 => format!("\u{1b}[3{}mcolour {n}\u{1b}[0m \u{1b}[Kof=o{n} v={}", n % 8, n % 100).into_bytes(),
                _ => {
                    let (object, at) = (n % 1_000, n as f64 / 1e4);
                    let (lat, lon) = (object as f64 / 10.0 - 50.0 + at.sin(), object as f64 / 5.0 - 100.0 + at.cos());
                    format!("{{\"id\":\"o{object}\",\"lat\":{lat},\"lon\":{lon},\"speed\":{}}}", n % 37).into_bytes()
                }
            };
            input.write_all(&[&record[..], b"\n"].concat()).expect("it reads on");
        }
        sent = due;
        std::thread::sleep(Duration::from_millis(10)); // sets the rate, waits for nothing
    }
    drop(input);
    let report = report(page);
    report.assert_value("exact");
    report.assert_no_complaint();
    let heaps = heaps(&report);
    draw(&heaps);
    assert!(heaps.iter().all(|heap| *heap < 400), "{heaps:?} MB");
    let (half, last) = (heaps[heaps.len() / 2], heaps[heaps.len() - 1]);
    // By half of a long soak, all buffers are full.
    assert!(seconds < 1_200 || last <= half + half / 4, "{heaps:?} MB");
}
