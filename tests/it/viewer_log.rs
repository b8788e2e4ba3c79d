//! The built-in page's log: its rows, what the person can do with them, and floods.

use crate::support::browser::Browser::{self, Chromium, Firefox};
use crate::support::browser::{Report, SEEN, WATCH_FRAMES, open, report};
use crate::support::places::busy;
use crate::support::program::Program;
use serde_json::json;

/// Opens a page that shows these records and goes through the steps.
fn shows(browser: Browser, records: &[u8], options: &[&str], steps: &[&str]) -> Report {
    let _places = busy();
    let mut program = Program::start(&[&["--at-eof", "serve"], options].concat());
    program.write(records);
    program.close_input();
    report(open(browser, &program.url("/"), steps))
}

/// A key, pressed wherever the focus is.
fn press(key: &str) -> String {
    format!(
        "(document.activeElement ?? document.body).dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true, cancelable: true }})), true"
    )
}

/// Types into the filter.
fn filter(text: &str) -> String {
    let text = json!(text);
    format!(
        "(() => {{ const filter = document.getElementById('filter'); filter.value = {text};
        filter.dispatchEvent(new Event('input')); return true; }})()"
    )
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn holds_200_000_events_and_scrolls_through_them() {
    let records: String = (1..=200_000).map(|n| format!("event {n}\n")).collect();
    // To places all over the log, one a frame; each must show its row, and no frame may take long.
    let scroll = "(() => {
        if (window.scrolled) return scrolled.done;
        const log = document.getElementById('log');
        window.scrolled = { n: 0, worst: 0, wrong: [], done: false };
        let before = performance.now();
        const frame = () => {
            const now = performance.now();
            if (scrolled.n > 0) scrolled.worst = Math.max(scrolled.worst, now - before);
            before = now;
            // Every second frame: what was drawn in the one between belongs to the last place.
            if (scrolled.n > 1 && scrolled.n % 2 === 0) {
                const top = Math.round(log.scrollTop / (log.scrollHeight / 200_000));
                const texts = new Set([...document.querySelectorAll('#log .data')].map(data => data.textContent));
                if (!texts.has(`event ${top + 10}`)) scrolled.wrong.push([top, [...texts].slice(0, 3)]);
            }
            scrolled.n += 1;
            if (scrolled.n === 100) { scrolled.done = true; return; }
            if (scrolled.n % 2 === 1) log.scrollTop = (log.scrollHeight * ((scrolled.n * 37) % 97)) / 98;
            requestAnimationFrame(frame);
        };
        log.dispatchEvent(new WheelEvent('wheel', { deltaY: -1 }));
        requestAnimationFrame(frame);
        return false;
    })()";
    let steps = [
        "ssePipe.rows === 200000 && document.querySelectorAll('#log .row').length > 10",
        &format!("{SEEN}.at(-1) === 'event 200000' && document.querySelectorAll('#log .row').length < 120"),
        scroll,
        "scrolled.wrong.length === 0 && scrolled.worst < 500 && !document.getElementById('newer').hidden",
        &press("g"),
        &format!("{SEEN}.at(-1) === 'event 200000' && document.getElementById('newer').hidden"),
        &filter("/^event (1|9)\\d*77$/"),
        "ssePipe.rows > 0 && ssePipe.rows === ssePipe.items.length && ssePipe.items.every(item => /^event (1|9)\\d*77$/.test(item.data))
            && String(ssePipe.rows)",
    ];
    let all = (1..=200_000).map(|n: i32| n.to_string());
    let want = all.filter(|n| n.len() > 2 && (n.starts_with('1') || n.starts_with('9')) && n.ends_with("77")).count();
    let counted = steps[7].replace("ssePipe.rows > 0", &format!("ssePipe.rows === {want}"));
    let steps: Vec<&str> = steps[..7].iter().copied().chain([&counted[..]]).collect();
    shows(Chromium, records.as_bytes(), &["--history", "all"], &steps).assert_value(&want.to_string());
}

/// Rows of one to some four lines. They scroll as smoothly as rows of one line, whichever way: what stands on the screen
/// moves by as much as was scrolled, one row ends where the next begins, and the last is at the bottom.
fn scrolls_through_200_000_wrapped_rows(browser: Browser) {
    let record = |n: usize| format!("event {n} {}\n", "abcd-".repeat((n * 37) % 60));
    let records: String = (1..=200_000).map(record).collect();
    let rows = "[...document.querySelectorAll('#log .row')]";
    let fits = format!(
        "{rows}.every((row, i, all) => i === 0
            || Math.abs(row.getBoundingClientRect().top - all[i - 1].getBoundingClientRect().bottom) < 0.6)"
    );
    let fits = &format!("{fits} && new Set({rows}.map(row => row.offsetHeight)).size > 1");
    let at_end = "Math.abs(document.querySelector('#log .row:last-child').getBoundingClientRect().bottom
            - document.getElementById('log').getBoundingClientRect().bottom) < 12";
    let end = &format!("{SEEN}.at(-1).startsWith('event 200000 ') && {at_end}");
    // From places all over the log up by a bit at a time, each twice: at the first the rows are new. No row may jump.
    let scroll = "(() => {
        if (window.scrolled) return scrolled.done;
        const log = document.getElementById('log');
        window.scrolled = { n: 0, worst: 0, wrong: [], done: false };
        const places = () => new Map([...log.querySelectorAll('.row')].map(row => [row.id, row.getBoundingClientRect().top]));
        let before = performance.now();
        let old = null;
        const frame = () => {
            const now = performance.now();
            if (scrolled.n > 0) scrolled.worst = Math.max(scrolled.worst, now - before);
            before = now;
            if (scrolled.n % 2 === 0 && old) {
                const seen = [...places()].filter(([id, top]) => old.has(id) && top > 0 && top < 600);
                const moved = seen.map(([id, top]) => top - old.get(id));
                const least = Math.min(...moved);
                // Firefox itself scrolls to half px or so, far down; but all rows together.
                if (seen.length === 0 || Math.max(...moved) - least > 0.6 || Math.abs(least - 150) > 2) {
                    scrolled.wrong.push([scrolled.n, seen, moved]);
                }
                old = null;
            }
            scrolled.n += 1;
            if (scrolled.n === 160) { scrolled.done = true; return; }
            if (scrolled.n % 8 === 1) log.scrollTop = Math.round((log.scrollHeight * ((scrolled.n * 37) % 97)) / 98) + 1000;
            else if (scrolled.n % 2 === 1) { old = places(); log.scrollTop -= 150; }
            requestAnimationFrame(frame);
        };
        log.dispatchEvent(new WheelEvent('wheel', { deltaY: -1 }));
        requestAnimationFrame(frame);
        return false;
    })()";
    let key = |key: &str, times: usize| {
        format!("(() => {{ for (let i = 0; i < {times}; i += 1) {{ {}; }} return true; }})()", press(key))
    };
    let in_sight = "(() => { const [row, log] = [document.querySelector('.row.current'), document.getElementById('log')]
        .map(element => element.getBoundingClientRect()); return row.top >= log.top - 1 && row.bottom <= log.bottom + 1; })()";
    let steps = [
        "ssePipe.rows === 200000 && document.querySelector('#log.wrap .row') !== null",
        end,
        fits,
        scroll,
        "(() => {
            if (scrolled.wrong.length > 0 || scrolled.worst >= 500) throw new Error(JSON.stringify(scrolled));
            return true;
        })()",
        fits,
        &press("g"),
        end,
        // Fewer lines, other heights.
        &filter("/^event \\d*77 /"),
        &format!("ssePipe.rows === 2000 && {SEEN}.at(-1).startsWith('event 199977 ') && {at_end}"),
        fits,
        "document.getElementById('log').focus(), true",
        &key("ArrowUp", 30),
        &format!("document.querySelector('.row.current .data').textContent.startsWith('event 197077 ') && {in_sight}"),
        &press("Enter"),
        &format!("document.querySelector('.row.open .text') !== null && {fits}"),
        &press("w"),
        &format!(
            "document.querySelector('.wrap') === null && new Set({rows}.map(row => row.firstChild.offsetHeight)).size === 1 && {}",
            came_to("location.hash", "#log&filter=%2F%5Eevent%20%5Cd*77%20%2F")
        ),
        &press("w"),
        &format!(
            "document.querySelector('.wrap') !== null && {fits} && {}",
            came_to("location.hash", "#log&filter=%2F%5Eevent%20%5Cd*77%20%2F&wrap")
        ),
    ];
    let _places = busy();
    let mut program = Program::start(&["--at-eof", "serve", "--history", "all"]);
    program.write(records.as_bytes());
    program.close_input();
    report(open(browser, &program.url("/#wrap"), &steps));
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_scrolls_through_200_000_wrapped_rows() {
    scrolls_through_200_000_wrapped_rows(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_scrolls_through_200_000_wrapped_rows() {
    scrolls_through_200_000_wrapped_rows(Firefox);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn rows_that_are_too_high_together_have_fewer_lines() {
    // In a narrow window they would be 19 million px high with all their lines, which not every browser can scroll.
    let records: String = (1..=30_000).map(|n| format!("event {n} {}\n", "abcd-".repeat(200))).collect();
    let steps = [
        "document.getElementById('log-view').style.right = '600px', true",
        "ssePipe.rows === 30000 && document.querySelector('#log.wrap .row') !== null",
        &format!("{SEEN}.at(-1).startsWith('event 30000 ') && document.getElementById('log').scrollHeight < 16.1e6"),
        "document.getElementById('log').scrollHeight > 4e6 && document.querySelector('#log .row').offsetHeight > 100",
    ];
    let _places = busy();
    let mut program = Program::start(&["--at-eof", "serve", "--history", "all"]);
    program.write(records.as_bytes());
    program.close_input();
    report(open(Chromium, &program.url("/#wrap"), &steps));
}

/// A filter, unfolding, pause, clear and save: what a person does with a log.
fn can_be_worked_with(browser: Browser) {
    let _places = busy();
    let mut program = Program::start(&["-e", "tick"]);
    let unfolded = "(() => {
        const text = document.querySelector('#log .row.open .text').textContent;
        return text.includes('\\n  \"a\": 1.10,\\n  \"list\": [1, 2]') && document.querySelector('#log .open .key').textContent === '\"a\"';
    })()";
    let saved = "(() => {
        const make = URL.createObjectURL;
        URL.createObjectURL = (blob) => { blob.text().then((text) => (window.saved = text)); return make(blob); };
        HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download; };
        document.getElementById('save').click();
        return true;
    })()";
    let saved_right = "saved.split('\\n').length === 4 && savedAs.endsWith('.ndjson')
        && saved.trim().split('\\n').map(JSON.parse).every((event, i) => event.event === 'tick'
            && event.data === ['apple', 'Banana', '{\"a\":1.10,\"list\":[1,2],\"c\":{\"d\":null}}'][i]
            && event.id.endsWith(`-${i + 1}`) && !Number.isNaN(Date.parse(event.time)))";
    let rows = |n: usize| format!("ssePipe.rows === {n}");
    let steps = [
        &rows(3),
        &filter("BAN"),
        &format!("{SEEN}.join() === 'Banana'"),
        &filter("/^a/"),
        &format!("{SEEN}.join() === 'apple'"),
        &filter("/(/"),
        // It says what is wrong, and keeps the last filter.
        &format!(
            "{SEEN}.join() === 'apple' && document.getElementById('filter').getAttribute('aria-invalid') === 'true'
                && /unterminated/i.test(document.getElementById('filter-error').textContent)"
        ),
        &filter(""),
        &rows(3),
        "document.querySelectorAll('#log .row .line')[2].click(), true",
        unfolded,
        saved,
        saved_right,
        &press(" "),
        "document.getElementById('pause').textContent === 'Resume'", // step 15: the test writes
        "ssePipe.events === 4 && ssePipe.rows === 3 && document.getElementById('newer').textContent === 'Paused: 1 new'",
        &press(" "),
        &format!("{} && {SEEN}.at(-1) === 'later'", rows(4)),
        "document.getElementById('clear').click(), ssePipe.rows === 0 && ssePipe.events === 4", // step 19: the test writes
        &format!("{SEEN}.join() === 'after all' && 'after all'"),
    ];
    let mut page = open(browser, &program.url("/"), &steps);
    program.write("apple\nBanana\n{\"a\":1.10,\"list\":[1,2],\"c\":{\"d\":null}}\n");
    page.wait_for_step(15);
    program.write("later\n");
    page.wait_for_step(19);
    program.write("after all\n");
    report(page).assert_value("after all");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_filters_unfolds_pauses_clears_and_saves() {
    can_be_worked_with(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_filters_unfolds_pauses_clears_and_saves() {
    can_be_worked_with(Firefox);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn every_term_of_the_filter_must_hold() {
    let records = [
        r#"{"level":"warn","path":"/var/log/mail"}"#,
        "warn: a disk is full",
        "Warn: the a disk",
        "!bang 50% (a|b) / [c]",
        "a  \"b",
    ];
    // The rows that are left, by their first letters.
    let left = "ssePipe.items.map(item => item.data.slice(0, 2)).join(' ')";
    let cases = [
        ("WARN", "{\" wa Wa"),
        ("warn disk", "wa Wa"),
        ("\tdisk   warn ", "wa Wa"),
        ("warn !disk", "{\""),
        ("!warn", "!b a "),
        ("\"a disk\" !\"the a\"", "wa"),
        ("\"a disk\" !\"the", "wa"),
        ("/^warn/", "wa"),
        ("/^WARN/i !/full$/", "Wa"),
        ("/is full|a disk/ warn", "wa Wa"),
        ("/[ /]disk/", "wa Wa"),
        ("/var/log", "{\""),
        ("/var/log/mail", "{\""),
        ("\"level\":\"warn\"", "{\""),
        ("\"!bang\"", "!b"),
        ("!\"!bang\" !warn", "a "),
        ("50% (a|b) [c]", "!b"),
        ("/", "{\" !b"),
        ("a\\b", ""),
        ("! \"", "{\" wa Wa !b a "),
        ("   ", "{\" wa Wa !b a "),
    ];
    let pairs: Vec<_> = cases.iter().flat_map(|(typed, want)| [filter(typed), came_to(left, want)]).collect();
    let steps: Vec<&str> = ["ssePipe.rows === 5"].into_iter().chain(pairs.iter().map(String::as_str)).collect();
    shows(Chromium, (records.join("\n") + "\n").as_bytes(), &[], &steps);
}

/// Waits until an expression comes to this text.
fn came_to(expression: &str, want: &str) -> String {
    format!("{expression} === {} && 'so it is'", json!(want))
}

/// The texts that are marked in the rows on the screen.
const MARKED: &str = "[...document.querySelectorAll('#log mark')].map(mark => mark.textContent).join()";

fn marks_and_hides_nothing(browser: Browser) {
    let records = b"{\"word\":\"words\",\"n\":1}\nno w\x1b[31mor\x1b[md\nother\n";
    let all = came_to(MARKED, "word,word,w,or,d");
    let steps = [
        "ssePipe.rows === 3",
        &filter("WORD"),
        &format!("ssePipe.rows === 2 && {all}"),
        &press("m"),
        &format!(
            "ssePipe.rows === 3 && document.getElementById('mark').getAttribute('aria-pressed') === 'true' && {all}"
        ),
        // What matches at several places, or nothing at all, is marked once or not.
        &filter("words !other /\"w/ /x*/ /1|2/"),
        &format!("ssePipe.rows === 3 && {}", came_to(MARKED, "\"w,\"w,ords,1")),
        "document.querySelector('#log .row .line').click(), true",
        &came_to(
            "[...document.querySelectorAll('.row.open .text mark')].map(mark => mark.textContent).join()",
            "\"w,\"w,ords,1",
        ),
        "document.querySelector('.row.open .text').textContent === '{\\n  \"word\": \"words\",\\n  \"n\": 1\\n}'",
        &filter(""),
        &came_to(MARKED, ""),
    ];
    shows(browser, records, &[], &steps);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_marks_and_hides_nothing() {
    marks_and_hides_nothing(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_marks_and_hides_nothing() {
    marks_and_hides_nothing(Firefox);
}

/// An expression that would take for ever, from the address or typed, is refused; the page stays alive meanwhile, and the
/// last filter stays.
fn refuses_an_expression_that_takes_for_ever(browser: Browser) {
    let _places = busy();
    let mut program = Program::start(&["--at-eof", "serve"]);
    program.write(format!("{}!\nplain\nother\n", "a".repeat(60)));
    let error = "document.getElementById('filter-error').textContent";
    let refused =
        |stays: &str| came_to(error, &format!("This expression takes more than 2 seconds on one record: {stays}"));
    let aaa = format!("{}!", "a".repeat(60));
    let rows = |want: &str| came_to(&format!("{SEEN}.join()"), want);
    let all = rows(&format!("{aaa},plain,other"));
    let valid = format!("{error} === '' && document.getElementById('filter').getAttribute('aria-invalid') === 'false'");
    // What is marked is another text than what is searched: here it ends in an arrow.
    let steps = [
        WATCH_FRAMES,
        &format!("{} && {all} && frames_.n > 30", refused("nothing is filtered")),
        &filter("plain"),
        &format!("{valid} && {}", rows("plain")),
        &filter("/(a+)+$/"),
        "location.hash === '#log&filter=%2F(a%2B)%2B%24%2F'",
        &format!("{} && {}", refused("the last filter stays"), rows("plain")),
        // Not tried once more with another word after it; tried again after another.
        &format!("{} && {}", filter("/(a+)+$/ plain"), refused("the last filter stays")),
        &filter("/^pl(a+)+in$/"),
        &format!("{valid} && {} && {}", rows("plain"), came_to(MARKED, "plain")),
        &press("m"),
        &filter("/(\\w+)+$/ !/(\\w|a)+!$/"),
        &format!("{} && {all} && {}", refused("the last filter stays"), came_to(MARKED, "plain")),
        &press("m"),
        &filter("/^(x+)+$/"),
        &format!("{valid} && {}", rows("")),
        "'the next record'",
        &format!("{} && ssePipe.rows === 1", refused("the last filter stays")),
        &filter("next"),
        "ssePipe.rows === 1 && frames_.n > 200",
    ];
    let mut page = open(browser, &program.url("/#log&filter=/(a%2B)%2B$/"), &steps);
    page.wait_for_step(steps.len() - 3);
    program.write(format!("{}! next\n", "x".repeat(60)));
    report(page).assert_no_complaint();
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_refuses_an_expression_that_takes_for_ever() {
    refuses_an_expression_that_takes_for_ever(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_refuses_an_expression_that_takes_for_ever() {
    refuses_an_expression_that_takes_for_ever(Firefox);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn expressions_still_work_after_the_program_has_gone() {
    let _places = busy();
    let mut program = Program::start(&["--at-eof", "exit"]);
    let loaded = "performance.getEntriesByType('resource').some(({ name }) => name.endsWith('/matcher.js'))";
    let steps = [
        &format!("ssePipe.rows === 2 && {loaded}"),
        // It has answered, so it has all its files.
        &filter("/^b/"),
        &came_to(MARKED, "b"),
        "ssePipe.state === 'reconnecting'",
        &filter("/^a.*e$/"),
        &came_to(&format!("{SEEN}.join()"), "apple"),
        &came_to(MARKED, "apple"),
    ];
    let mut page = open(Chromium, &program.url("/"), &steps);
    program.write("apple\nbanana\n");
    page.wait_for_step(3);
    program.close_input();
    program.end();
    report(page);
}

fn has_its_filter_in_the_address(browser: Browser) {
    let _places = busy();
    let mut program = Program::start(&["--at-eof", "serve"]);
    program.write("50% & a=b #1\n50% & a=b #2\nother\n");
    program.close_input();
    let typed = "a=b !\"#2\" /0% &/";
    let encoded = "#log&filter=a%3Db%20!%22%232%22%20%2F0%25%20%26%2F";
    let value = came_to("document.getElementById('filter').value", typed);
    let left = came_to(&format!("{SEEN}.join()"), "50% & a=b #1");
    let all = came_to("String(ssePipe.rows)", "3");
    let go = |hash: &str| format!("location.hash = {}, true", json!(hash));
    // None of these is an address that the page writes.
    let broken = ["#filter=%E0%A4%A", "#filter=%", "#&&=&filter&filter=&__proto__=1&<b>", "#filter=%00%0A"];
    let broken = broken.map(|hash| [go(hash), came_to("String(ssePipe.events)", "3")]);
    let long = "location.hash = '#filter=!' + 'x'.repeat(1e6), true".to_owned();
    let pressed = "document.getElementById('mark').getAttribute('aria-pressed') === 'true'";
    let steps: Vec<String> = [
        all.clone(),
        filter(typed),
        left.clone(),
        came_to("location.hash", encoded),
        "window.before = true, location.reload(), true".into(),
        "window.before !== true".into(),
        format!("{value} && {left}"),
        press("m"),
        came_to("location.hash", &format!("{encoded}&mark")),
        "window.before = true, location.reload(), true".into(),
        "window.before !== true".into(),
        format!("{pressed} && {all} && {value}"),
        go("#log"),
        format!("!({pressed}) && {all} && {}", came_to("document.getElementById('filter').value", "")),
        go("#filter=/(/"),
        format!("{all} && document.getElementById('filter').getAttribute('aria-invalid') === 'true'"),
        "window.before = true, location.reload(), true".into(),
        "window.before !== true".into(),
        format!("{all} && document.getElementById('filter').value === '/(/'"),
        go(encoded),
        format!("{value} && {left}"),
    ]
    .into_iter()
    .chain(broken.into_iter().flatten())
    .chain([long, format!("document.getElementById('filter').value.length === 1000 && {all}")])
    .chain([filter("\u{fffd}").replace("\u{fffd}", "\\ud800"), came_to("location.hash", "#log&filter=%EF%BF%BD")])
    .chain([filter(""), came_to("location.hash", "")])
    .collect();
    let report = report(open(browser, &program.url("/"), &steps.iter().map(String::as_str).collect::<Vec<_>>()));
    report.assert_no_complaint();
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_has_its_filter_in_the_address() {
    has_its_filter_in_the_address(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_has_its_filter_in_the_address() {
    has_its_filter_in_the_address(Firefox);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn levels_are_a_tint_that_filters_by_them() {
    let cases = [
        ("2026-11-26T02:00:03Z ERROR db: refused", "error"),
        ("Warning: it is hot", "warn"),
        ("[info] ready", "info"),
        ("a notice of it", "info"),
        ("kernel: panic: not syncing", "fatal"),
        ("<Critical> <trace>", "fatal"),
        ("ts=1 level=debug msg=\"an error\"", "debug"),
        ("severity='TRACE' x", "trace"),
        (r#"{"level":"warn","msg":"fatal"}"#, "warn"),
        (r#"{"log.level": "Error"}"#, "error"),
        (r#"{"level":10}"#, "trace"),
        (r#"{"a":1,"level":60}"#, "fatal"),
        (r#"{"level":"7"}"#, "debug"),
        ("level=4", "warn"),
        ("<165>1 2003-10-11T22:14:15.003Z host app - - - error", "info"),
        ("\x1b[31mERR\x1b[0m \x1b[1merror\x1b[0m", "error"),
        ("\x1b[2mlevel\x1b[0m=\x1b[33mwarn\x1b[0m", "warn"),
        ("error.log pre-error /info errors error=0 myerror x.debug", ""),
        (r#"{"error":null,"msg":"an error"}"#, ""),
        ("level=35 level=3.5", ""),
        ("plain", ""),
    ];
    let records: String = cases.iter().map(|(record, _)| format!("{record}\n")).collect();
    // Far from the beginning it is not looked for, and a long record takes no time.
    let long = format!("{}error\n", "level= \"level\": <1 ".repeat(200_000));
    let tints = "[...document.querySelectorAll('#log .level')].map(level => level.dataset.level).join()";
    let want = cases.iter().map(|&(_, level)| level).chain([""]).collect::<Vec<_>>().join(",");
    let click = |row: usize| format!("document.querySelectorAll('#log .level')[{row}].click(), true");
    let value = |want: &str| came_to("document.getElementById('filter').value", want);
    let count = |level: &str| cases.iter().filter(|&&(_, of)| of == level).count();
    let steps = [
        &format!("ssePipe.rows === {}", cases.len() + 1),
        &came_to(tints, &want),
        // The colour is at the row's start, and not in the text.
        "new Set([...document.querySelectorAll('#log .data')].slice(0, 8).map(data => getComputedStyle(data).color)).size === 1
            && document.querySelector('#log .level').getBoundingClientRect().left < 5
            && getComputedStyle(document.querySelector('#log [data-level=\"\"]')).visibility === 'hidden'",
        &filter("!hot"),
        &click(0),
        &format!("ssePipe.rows === {} && {}", count("error"), value("!hot level:error")),
        &came_to("location.hash", "#log&filter=!hot%20level%3Aerror"),
        "document.querySelector('.row.open') === null",
        &filter("level:warn !hot"),
        &format!("ssePipe.rows === {}", count("warn") - 1),
        // Both keys are for the row, even if it is drawn only after them.
        &format!(
            "document.getElementById('log').focus(), {}, {}, {}",
            filter("level:debug"), press("ArrowUp"), press("l")
        ),
        &value(""),
        &filter("level:warn !hot"),
        &format!("ssePipe.rows === {}", count("warn") - 1),
        &press("ArrowUp"),
        &press("l"),
        &format!("ssePipe.rows === {} && {}", cases.len(), value("!hot")),
        &filter("!level:error !LEVEL:warn"),
        &format!("ssePipe.rows === {}", cases.len() + 1 - count("error") - count("warn")),
        &filter("\"level:error\""),
        "ssePipe.rows === 0",
    ];
    shows(Chromium, (records + &long).as_bytes(), &[], &steps);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn event_types_are_chips_that_limit_the_log() {
    let _places = busy();
    // An event type for each record is not an option yet; the last event brings a second one.
    let mut program = Program::start(&["--end-event", "done", "--at-eof", "serve"]);
    program.write("one\ntwo\n");
    program.close_input();
    let click = |name: &str| {
        format!("[...document.querySelectorAll('.chip')].find(chip => chip.textContent === '{name}').click(), true")
    };
    let steps = [
        "ssePipe.rows === 3 && document.querySelectorAll('.chip').length === 2",
        &click("done"),
        "ssePipe.items.map(item => item.data).join() === '2'",
        &click("message"),
        "ssePipe.rows === 3",
        &click("done"),
        &format!("{SEEN}.join(' ') === 'one two' && 'one two'"),
    ];
    report(open(Chromium, &program.url("/"), &steps)).assert_value("one two");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn the_keyboard_goes_from_row_to_row() {
    let steps = [
        "ssePipe.rows === 3 && (document.getElementById('log').focus(), true)",
        &press("ArrowUp"),
        &press("ArrowUp"),
        "document.querySelector('.row.current .data').textContent === 'two'
            && document.getElementById('log').getAttribute('aria-activedescendant') === document.querySelector('.row.current').id",
        &press("Enter"),
        "document.querySelector('.row.open .text').textContent === 'two'",
        &press("ArrowLeft"),
        "document.querySelector('.row.open') === null",
        &press("/"),
        "document.activeElement.id === 'filter' && 'filter'",
    ];
    shows(Chromium, b"one\ntwo\nthree\n", &[], &steps).assert_value("filter");
}

/// A button pressed or a pointer moved over the log.
fn point(kind: &str, button: i32, buttons: u32) -> String {
    format!(
        "document.getElementById('log').dispatchEvent(
            new PointerEvent('{kind}', {{ bubbles: true, button: {button}, buttons: {buttons} }})), true"
    )
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn a_press_whose_end_is_never_told_does_not_hold_the_log() {
    let _places = busy();
    let mut program = Program::start(&[]);
    let steps = [
        &format!("{SEEN}.join() === 'one'"),
        &point("pointerdown", 2, 2), // step 2: the test writes; a menu swallows what comes after it
        &format!("{SEEN}.join() === 'one,two'"),
        &point("pointerdown", 0, 1),
        &point("pointermove", -1, 0), // step 5: the test writes
        &format!("{SEEN}.join() === 'one,two,three'"),
        &point("pointerdown", 0, 1),
        "document.getElementById('log').dispatchEvent(new DragEvent('dragend', { bubbles: true })), true", // step 8
        &format!("{SEEN}.join() === 'one,two,three,four'"),
        &point("pointerdown", 0, 1),
        &filter("three"),
        &format!("{SEEN}.join() === 'three' && 'three'"),
    ];
    let mut page = open(Chromium, &program.url("/"), &steps);
    program.write("one\n");
    for (step, record) in [(2, "two\n"), (5, "three\n"), (8, "four\n")] {
        page.wait_for_step(step);
        program.write(record);
    }
    report(page).assert_value("three");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn a_machine_that_slept_while_the_page_drew_does_not_put_the_next_drawing_off() {
    let _places = busy();
    let mut program = Program::start(&[]);
    // An hour goes by as the next row is put in.
    let sleep = "(() => {
        const now = performance.now.bind(performance);
        const put = Node.prototype.insertBefore;
        let slept = 0;
        performance.now = () => now() + slept;
        Node.prototype.insertBefore = function (...all) { slept = 3_600_000; return put.apply(this, all); };
        return true;
    })()";
    let seen = |records: &str| format!("{SEEN}.join() === '{records}' && 'seen'");
    let steps = [&seen("one"), sleep, &seen("one,two"), &seen("one,two,three")];
    let mut page = open(Chromium, &program.url("/"), &steps);
    program.write("one\n");
    page.wait_for_step(2);
    program.write("two\n");
    page.wait_for_step(3);
    program.write("three\n");
    report(page).assert_value("seen");
}

fn takes_what_is_long_or_broken(browser: Browser) {
    let mut records = vec![b'x'; 5 << 20];
    records.extend_from_slice(b"\nbad \xff utf-8 \xf0\x9f\nlast\n");
    let steps = [
        "ssePipe.rows === 3 && ssePipe.items[0].data.length === 5 * 1024 * 1024",
        "ssePipe.items[1].data === 'bad \u{fffd} utf-8 \u{fffd}'",
        "document.querySelectorAll('#log .row')[0].querySelector('.data').textContent.length < 1000",
        "document.querySelectorAll('#log .row .line')[0].click(), true",
        "document.querySelector('.row.open .text').textContent.length === 20000",
        "document.querySelector('.row.open .more').click(), document.querySelector('.row.open .text').textContent.length === 220000",
        "document.querySelector('#log .row.open').offsetHeight < innerHeight && document.scrollingElement.scrollHeight <= innerHeight
            && document.scrollingElement.scrollWidth <= innerWidth && 'whole'",
    ];
    shows(browser, &records, &[], &steps).assert_value("whole");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_takes_a_line_of_5_mib_and_invalid_utf_8() {
    takes_what_is_long_or_broken(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_takes_a_line_of_5_mib_and_invalid_utf_8() {
    takes_what_is_long_or_broken(Firefox);
}

/// Six events a second apart, long ago, of which some have the name of what tells times.
fn shows_when_events_were_read(browser: Browser) {
    let first = 1_767_268_800_250u64;
    let timed = |n: u64| format!("event: read-at\ndata: {}\n\ndata: {n}\n\n", first + n * 1000);
    let mut records: String = (0..6).map(timed).collect();
    records += "event: read-at\ndata: noon\n\nevent: read-at\ndata: 5\nid: own\n\n";
    let want = (0..6).map(|n| format!("{} {n}", first + n * 1000)).collect::<Vec<_>>().join(", ");
    let last = first + 5000;
    let want = format!("{want}, {last} noon, {last} 5");
    let save = "(() => {
        const make = URL.createObjectURL;
        URL.createObjectURL = (blob) => { blob.text().then((text) => (window.saved = text)); return make(blob); };
        HTMLAnchorElement.prototype.click = () => {};
        document.getElementById('save').click();
        return true;
    })()";
    let steps = [
        "ssePipe.events === 8 && ssePipe.rows === 8",
        save,
        "saved.trim().split('\\n').map(JSON.parse).map(({ time, data }) => `${Date.parse(time)} ${data}`).join(', ')
            === ssePipe.items.map(({ time, data }) => `${time} ${data}`).join(', ')",
        "[...document.querySelectorAll('#log time')].every((time, i) => time.textContent
            === `${new Date(ssePipe.items[i].time).toTimeString().slice(0, 8)}.250`)",
        "ssePipe.items.map(({ time, data }) => `${time} ${data}`).join(', ')",
    ];
    shows(browser, records.as_bytes(), &["--format", "sse"], &steps).assert_value(&want);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_shows_when_events_of_the_history_were_read() {
    shows_when_events_were_read(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_shows_when_events_of_the_history_were_read() {
    shows_when_events_were_read(Firefox);
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn the_rate_is_that_of_live_events_and_not_of_the_history() {
    let _places = busy();
    let mut program = Program::start(&["--format", "sse"]);
    program.write("event: read-at\ndata: 1767268800250\n\n".to_owned() + &"data: old\n\n".repeat(40));
    let rate = "document.getElementById('rate').textContent";
    // The rate and the line are drawn four times a second.
    let still = format!(
        "ssePipe.rows === 40 && (window.most = Math.max(window.most ?? 0, {rate}), window.from ??= performance.now())
            && from + 700 < performance.now() && `at most ${{most}}`"
    );
    let goes = format!("ssePipe.rows === 80 && {rate} !== '0' && String(ssePipe.events)");
    let mut page = open(Chromium, &program.url("/"), &[&still, &goes]);
    page.wait_for_step(1);
    program.write("event: read-at\ndata: 99999999999999\n\n".to_owned() + &"data: new\n\n".repeat(40));
    assert_eq!(report(page).strings("values"), ["at most 0", "80"]);
}

/// What grep, gcc, a progress bar and a link write.
const TERMINAL: &[u8] = b"This is a \x1b[01;31m\x1b[Ktest\x1b[m\x1b[K.\n\
    \x1b[2K\x1b[1G\x1b[38:2::10:20:30mcolon\x1b[0m \x1b[4:3mcurly\x1b[0m \x1b[9mstrike\x1b[0m\n\
    see \x1b]8;;http://a.example/\x1b\\the \x1b[1mmanual\x1b[0m\x1b]8;;\x1b\\ now\n\
    \x1b[?25l 10%\r 20%\r100%\x1b[?25h\n\
    [\x1b[32mok\x1b[0m] listed [1]\n";

fn shows_what_a_terminal_would(browser: Browser) {
    let rows = "[...document.querySelectorAll('#log .row .data')].map(data => data.textContent).join('\\n')";
    let all = "This is a test.\\ncolon curly strike\\nsee the manual now\\n⏎100%\\n[ok] listed [1]";
    let pens = "document.querySelector('.ink-1.bold').textContent === 'test'
        && getComputedStyle([...document.querySelectorAll('#log .data span')].find(s => s.textContent === 'colon')).color === 'rgb(10, 20, 30)'
        && document.querySelector('.underline').textContent === 'curly' && document.querySelector('.strike').textContent === 'strike'
        && document.querySelector('#log .data .bold:not(.ink-1)').textContent === 'manual' && document.querySelector('#log a') === null";
    let steps = [
        &format!("ssePipe.rows === 5 && {rows} === '{all}'"),
        pens,
        &filter("a test."),
        &format!("{rows} === 'This is a test.'"),
        &filter("/^see the manual/"),
        &format!("{rows} === 'see the manual now'"),
        &filter("100%"),
        &format!("{rows} === '⏎100%'"),
        "document.querySelector('#log .row .line').click(), true",
        "document.querySelector('#log .detail .text').textContent === ' 10%\\n 20%\\n100%' && 'unfolded'",
    ];
    shows(browser, TERMINAL, &[], &steps).assert_value("unfolded");
}

#[test]
#[ignore = "needs chromium: tests/run"]
fn chromium_shows_colours_drops_other_sequences_and_filters_the_text() {
    shows_what_a_terminal_would(Chromium);
}

#[test]
#[ignore = "needs firefox: tests/run"]
fn firefox_shows_colours_drops_other_sequences_and_filters_the_text() {
    shows_what_a_terminal_would(Firefox);
}
