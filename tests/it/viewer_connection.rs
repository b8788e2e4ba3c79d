//! The built-in page's connection: shared by all tabs, watched, and restored after restarts and behind a proxy.

use crate::support::browser::Browser::{self, Chromium, Firefox};
use crate::support::browser::{open, open_apart, open_logged, report};
use crate::support::files::Folder;
use crate::support::places::busy;
use crate::support::program::{BINARY, Program};
use crate::support::servers::{Proxy, Server};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The data of all rows.
const DATA: &str = "ssePipe.items.map(item => item.data).join(' ')";

fn count(told: &[String], text: &str) -> usize {
    told.iter().filter(|line| line.contains(text)).count()
}

/// Three tabs: each has all events, old and new, and the server one client.
fn tabs_share_one_connection(browser: Browser) {
    let _places = busy();
    let mut program = Program::start(&["-v", "--retry", "100ms"]);
    let has = |tabs: usize, events: &str| format!("ssePipe.tabs === {tabs} && {DATA} === '{events}' && ssePipe.state");
    let steps = [
        &has(1, "one two"),
        "@tab",
        &has(2, "one two"), // step 3: the test writes
        &has(2, "one two three"),
        "@close",
        &has(1, "one two three"), // step 6: the test writes
        &has(1, "one two three four"),
    ];
    let mut page = open(browser, &program.url("/"), &steps);
    program.write("one\ntwo\n");
    page.wait_for_step(3);
    program.write("three\n");
    page.wait_for_step(6);
    program.write("four\n");
    report(page).assert_value("live");
    program.signal("TERM");
    let told = program.end().told;
    assert_eq!(count(&told, " joined"), 1, "{told:#?}");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_has_one_connection_for_all_tabs() {
    tabs_share_one_connection(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_has_one_connection_for_all_tabs() {
    tabs_share_one_connection(Firefox);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn a_record_that_was_skipped_is_a_gap() {
    let _places = busy();
    let mut program = Program::start(&["--max-record", "10"]);
    program.write("one\nmore than ten bytes\nthree\n");
    let counted = "ssePipe.events === 2 && ssePipe.gaps === 1 && 'one gap'";
    report(open(Chromium, &program.url("/"), &[counted])).assert_value("one gap");
}

/// Passes connections on to `port`; those that there are fall silent, without an end, when told so.
struct Relay {
    port: u16,
    silenced: Arc<AtomicBool>,
}

impl Relay {
    fn to(port: u16) -> Relay {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
        let own = listener.local_addr().expect("has one").port();
        let silenced = Arc::new(AtomicBool::new(false));
        let silence = Arc::clone(&silenced);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
                let old = !silence.load(Ordering::SeqCst); // made before: it will fall silent
                pass(client.try_clone().expect("is open"), server.try_clone().expect("is open"), None);
                pass(server, client, old.then(|| Arc::clone(&silence)));
            }
        });
        Relay { port: own, silenced }
    }

    fn silence(&self) {
        self.silenced.store(true, Ordering::SeqCst);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, silence: Option<Arc<AtomicBool>>) {
    std::thread::spawn(move || {
        let mut block = [0; 16 * 1024];
        while let Ok(n @ 1..) = from.read(&mut block) {
            let silent = silence.as_ref().is_some_and(|silence| silence.load(Ordering::SeqCst));
            if !silent && to.write_all(&block[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}

fn notices_silence(browser: Browser) {
    let _places = busy();
    let mut program = Program::start(&["-v", "--heartbeat", "200ms", "--retry", "100ms"]);
    let relay = Relay::to(program.port);
    let first = format!(
        "ssePipe.state === 'live' && {DATA} === 'one two' && (window.t ??= performance.now()) + 1000 < performance.now()"
    );
    let reconnects =
        "ssePipe.state === 'reconnecting' && /heartbeat/.test(document.getElementById('detail').textContent)";
    let again = format!("ssePipe.state === 'live' && ssePipe.gaps === 0 && {DATA}");
    let again = format!("{DATA} === 'one two three four' && {again}");
    let mut page = open(browser, &format!("http://localhost:{}/", relay.port), &[&first, reconnects, &again]);
    program.write("one\ntwo\n");
    page.wait_for_step(1); // and some heartbeats have come
    relay.silence();
    program.write("three\nfour\n");
    report(page).assert_value("one two three four");
    program.wait_for("reconnected");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_notices_a_silent_connection_and_continues_without_loss() {
    notices_silence(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_notices_a_silent_connection_and_continues_without_loss() {
    notices_silence(Firefox);
}

/// A port at which the program's page is, and the stream as `answer` has it.
fn beside(program: &Program, answer: fn(&mut TcpStream, &mut BufReader<TcpStream>)) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
    let port = listener.local_addr().expect("has one").port();
    let server = program.port;
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut reader = BufReader::new(client.try_clone().expect("is open"));
                while !head.ends_with(b"\r\n\r\n") && reader.read_until(b'\n', &mut head).is_ok_and(|n| n > 0) {}
                if head.starts_with(b"GET /events") {
                    answer(&mut client, &mut reader);
                } else if let Ok(mut page) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) {
                    let _ = page.write_all(&head);
                    let _ = std::io::copy(&mut page, &mut client);
                }
            });
        }
    });
    port
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn shows_a_refusal_and_why_and_asks_no_more_until_the_person_does() {
    let _places = busy();
    let program = Program::start(&[]);
    let port = beside(&program, |client, _| {
        let answer = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nnot for <b>you";
        let _ = client.write_all(answer.as_bytes());
    });
    let refused = "ssePipe.state === 'refused' && document.getElementById('state').textContent + ': '
        + document.getElementById('detail').textContent + ' ' + document.getElementById('again').textContent";
    let page = open(Chromium, &format!("http://localhost:{port}/"), &[refused]);
    report(page).assert_value("Refused: 403 Forbidden: not for <b>you Try again");
}

/// A real nginx, with one `location` that leads to a server at `upstream`.
fn nginx(upstream: u16) -> Server {
    Proxy::Nginx.start_as(|port| {
        let location = format!("location /deep/live/ {{ proxy_pass http://127.0.0.1:{upstream}/; }}");
        format!("server {{ listen 127.0.0.1:{port}; {location} }}\n")
    })
}

/// Under a proxy's sub-path: all of the page works there, and it lives through a restart, for which the proxy says 502.
fn works_under_a_sub_path(browser: Browser) {
    let _places = busy();
    let options = ["-v", "--retry", "100ms"];
    let mut first = Program::start(&options);
    let nginx = nginx(first.port);
    let positions = "{\"lat\": 1, \"lon\": 2, \"depth\": 3}\n";
    let reconnecting = "ssePipe.state === 'reconnecting' && /502/.test(document.getElementById('detail').textContent)
        && /^in \\d+ s$|^now$/.test(document.getElementById('when').textContent)";
    let again = "ssePipe.state === 'live' && ssePipe.events === 2 && ssePipe.gaps === 1 && 'live again'";
    let steps = ["ssePipe.state === 'live' && ssePipe.map.ready && ssePipe.plot.rows === 1", reconnecting, again];
    let url = format!("http://localhost:{}/deep/live/#map", nginx.address().port());
    let mut page = open_logged(browser, &url, &steps);
    first.write(positions);
    page.wait_for_step(1);
    first.signal("KILL");
    let port = first.port;
    first.end();
    page.wait_for_step(2);
    let mut command = Command::new(BINARY);
    command.args(["--port", &port.to_string()]).args(options);
    let mut second = Program::start_command(command, Stdio::piped());
    second.write(positions);
    let report = report(page);
    report.assert_value("live again");
    let own = format!("http://localhost:{}/deep/live/", nginx.address().port());
    let asked = report.asked();
    assert!(asked.len() > 9 && asked.iter().all(|url| url.starts_with(&own)), "{asked:#?}");
}

#[test]
#[ignore = "needs chromium and nginx: tests/run"]
fn chromium_shows_the_page_under_a_sub_path_of_nginx_and_through_a_restart() {
    works_under_a_sub_path(Chromium);
}

#[test]
#[ignore = "needs firefox and nginx: tests/run"]
fn firefox_shows_the_page_under_a_sub_path_of_nginx_and_through_a_restart() {
    works_under_a_sub_path(Firefox);
}

/// With a store an open page lives through restarts without a gap: log, plot, and map are whole, and it says so.
fn is_whole_after_restarts_with_a_store(browser: Browser) {
    let _places = busy();
    let folder = Folder::new();
    let store = folder.0.join("store");
    let options = ["-v", "--retry", "100ms", "--store", store.to_str().expect("is text")];
    let records = |numbers: RangeInclusive<u32>| -> String {
        numbers.map(|n| format!("{{\"id\":\"ship\",\"lat\":{n},\"lon\":5,\"depth\":{n}}}\n")).collect()
    };
    let whole = |n: u32| {
        let depths = (1..=n).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let track = (1..=n).map(|n| format!("{n} 5")).collect::<Vec<_>>().join(", ");
        format!(
            "ssePipe.state === 'live' && ssePipe.events === {n} && ssePipe.gaps === 0
            && ssePipe.plot.series.some(s => s.name === 'ship · depth' && s.values.join(' ') === '{depths}')
            && ssePipe.map.objects.map(o => o.name + ': ' + o.points.map(p => p.join(' ')).join(', ')).join('; ')
                === 'ship: {track}' && ssePipe.map.ready
            && ssePipe.rows === {n} && ssePipe.items.length === {n} && document.getElementById('state').textContent"
        )
    };
    let gone = "ssePipe.state === 'reconnecting'";
    let steps = [&whole(3), gone, &whole(6), gone, &whole(8)];
    let mut program = Program::start(&options);
    let port = program.port;
    let mut page = open(browser, &program.url("/#map"), &steps);
    program.write(records(1..=3));
    page.wait_for_step(1);
    for (signal, noticed, first, last, shown) in [("KILL", 2, 4, 6, 3), ("TERM", 4, 7, 8, 5)] {
        program.signal(signal);
        program.end();
        page.wait_for_step(noticed);
        // What comes before the page is back is there for it, too.
        let mut command = Command::new(BINARY);
        command.args(["--port", &port.to_string()]).args(options);
        program = Program::start_command(command, Stdio::piped());
        program.write(records(first..=last));
        page.wait_for_step(shown);
    }
    report(page).assert_value("Live");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_is_whole_after_restarts_with_a_store() {
    is_whole_after_restarts_with_a_store(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_is_whole_after_restarts_with_a_store() {
    is_whole_after_restarts_with_a_store(Firefox);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn time_goes_on_in_the_plot_by_the_clock_of_the_server() {
    let _places = busy();
    // What answers the stream lives in another time than the page.
    const LAST: u64 = 1_767_268_800_000;
    let program = Program::start(&[]);
    let port = beside(&program, |client, reader| {
        let timed = |n: u64| format!("event: read-at\ndata: {}\n\ndata: {n}\n\n", LAST - (9 - n) * 1000);
        let events: String = (0..10).map(timed).collect();
        let fields = "Content-Type: text/event-stream\r\nDate: Thu, 01 Jan 2026 12:00:02 GMT";
        let _ = client.write_all(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{events}").as_bytes());
        let _ = reader.read(&mut [0]); // until the page is closed
    });
    let goes_on = format!(
        "ssePipe.state === 'live' && ssePipe.plot.axis === 'arrival' && ssePipe.plot.x[1] > {LAST} + 2000
            && ssePipe.plot.x[1] < {LAST} + 60000 && ssePipe.plot.x[1] - ssePipe.plot.x[0] === 60000
            && ssePipe.plot.series[0].xs.join() === Array.from({{ length: 10 }}, (_, i) => {LAST} - (9 - i) * 1000).join()
            && String(ssePipe.events)"
    );
    report(open(Chromium, &format!("http://localhost:{port}/#plot"), &[&goes_on])).assert_value("10");
}

/// The worker with the connection lives in the process of the tab that started it: with that tab, it is gone.
#[test]
#[ignore = "needs chromium: tests/run"]
fn a_tab_starts_over_when_the_one_with_the_connection_crashes() {
    let _places = busy();
    let mut program = Program::start(&["-v", "--retry", "100ms"]);
    let has = |tabs: usize, events: &str| {
        format!("ssePipe.tabs === {tabs} && {DATA} === '{events}' && ssePipe.state === 'live' && ssePipe.events")
    };
    let map = "!document.getElementById('map-view').hidden && ssePipe.map.positions";
    let (one, two) = ("{\"lat\":1,\"lon\":2}", "{\"lat\":3,\"lon\":4}");
    let steps = [
        &has(1, one),
        "@tab",
        &has(2, one),
        &format!("{map} === 1"),
        // What it says may be over in no time.
        "(window.said = [], new MutationObserver(() => said.push(document.getElementById('detail').textContent))
            .observe(document.getElementById('detail'), { childList: true }), true)",
        "@crash", // step 6: the test writes
        "said.some(text => text.includes('restarting it'))",
        &has(1, &format!("{one} {two}")),
        &format!("{map} === 2 && 'as before'"),
    ];
    let mut page = open_apart(Chromium, &program.url("/#map"), &steps);
    program.write(format!("{one}\n"));
    page.wait_for_step(6);
    program.write(format!("{two}\n"));
    report(page).assert_value("as before");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn a_tab_that_crashed_is_forgotten_and_a_frozen_one_until_it_thaws() {
    let _places = busy();
    let mut program = Program::start(&["-v", "--retry", "100ms"]);
    let has = |tabs: usize, events: &str| format!("ssePipe.tabs === {tabs} && {DATA} === '{events}' && ssePipe.state");
    let steps = [
        &has(1, "one"),
        "@tab",
        &has(2, "one"),
        "@swap",
        "@freeze",
        &has(1, "one"), // step 6: the test writes
        &has(1, "one two"),
        "@thaw",
        &has(2, "one two"),
        "@swap",
        &has(2, "one two"),
        "@swap",
        "@crash",
        &has(1, "one two"),
    ];
    let mut page = open_apart(Chromium, &program.url("/"), &steps);
    program.write("one\n");
    page.wait_for_step(6);
    program.write("two\n");
    report(page).assert_value("live");
}

/// The program is killed and started again with its store: the page says that it reconnects, and then continues without a
/// gap and without a repeat.
fn a_page_goes_on_over_a_kill(browser: Browser) {
    let _places = busy();
    let folder = Folder::new();
    let store = folder.0.join("store").to_string_lossy().into_owned();
    let mut program = Program::start(&["--store", &store, "--retry", "100ms"]);
    let port = program.port.to_string();
    let has = |events: &str, rows: usize| {
        format!("{DATA} === '{events}' && ssePipe.plot.rows === {rows} && ssePipe.state === 'live'")
    };
    let (before, after) = (has("1 2", 2), has("1 2 3 4", 4));
    let whole = format!("{after} && ssePipe.events === 4 && ssePipe.gaps === 0 && 'whole'");
    let steps = [before.as_str(), "ssePipe.state === 'reconnecting'", &whole];
    let mut page = open(browser, &program.url("/#plot"), &steps);
    program.write("1\n2\n");
    page.wait_for_step(1);
    program.signal("KILL");
    program.end();
    page.wait_for_step(2);
    let mut program = Program::start(&["--port", &port, "--store", &store, "--retry", "100ms"]);
    program.write("3\n4\n");
    report(page).assert_value("whole");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_s_page_goes_on_over_a_kill() {
    a_page_goes_on_over_a_kill(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_s_page_goes_on_over_a_kill() {
    a_page_goes_on_over_a_kill(Firefox);
}
