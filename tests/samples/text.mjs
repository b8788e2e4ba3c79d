// What the page makes of the sequences of a terminal: the pieces and pens of a text, the last state of a line that is
// redrawn, what the filter finds; and what that costs.

import assert from "node:assert/strict";
import { pageModule } from "./page.mjs";

const { lastState, pieces, withoutSequences } = await pageModule("text/ansi.js");
const { holds, makeTest, readFilter } = await pageModule("log/filter.js");

/** Text and pen of each piece. */
const PIECES = [
  ["plain", [["plain", {}]]],
  ["\x1b[31mred\x1b[0m plain", [["red", { ink: 1 }], [" plain", {}]]],
  ["\x1b[1;38;5;208mb\x1b[m", [["b", { bold: true, ink: "rgb(255 135 0)" }]]],
  ["\x1b[38;2;10;20;30mrgb", [["rgb", { ink: "rgb(10 20 30)" }]]],
  ["\x1b[38:2::10:20:30mcolon", [["colon", { ink: "rgb(10 20 30)" }]]],
  ["\x1b[38:2:10:20:30mcolon", [["colon", { ink: "rgb(10 20 30)" }]]],
  ["\x1b[48:5:1;4mcolon", [["colon", { ground: 1, underline: true }]]],
  ["\x1b[4:3mcurly\x1b[4:0mnot", [["curly", { underline: true }], ["not", { underline: false }]]],
  ["\x1b[9mstrike\x1b[29;5mblink", [["strike", { strike: true }], ["blink", { strike: false }]]],
  ["\x1b[58;2;31;32;33;1mline", [["line", { bold: true }]]], // an underline's colour holds no other parameters
  ["\x1b[58:5:31mline", [["line", {}]]],
  ["\x1b[91;102mbright", [["bright", { ink: 9, ground: 10 }]]],
  ["a \x1b[01;31m\x1b[Ktest\x1b[m\x1b[K.", [["a ", {}], ["test", { ink: 1, bold: true }], [".", {}]]],
  ["\x1b[2K\x1b[1G3/10\x1b[K", [["3/10", {}]]],
  ["\x1b[?25lwork\x1b[?25h\x1b[1A\x1b[2Kup\x1b(Bx", [["work", {}], ["up", {}], ["x", {}]]],
  ["\x1b[>4;2mno colour", [["no colour", {}]]],
  ["\x1b]8;id=1;http://a.example/b\x1b\\link\x1b]8;;\x1b\\ end", [["link", {}], [" end", {}]]],
  ["\x1b]8;;http://a.example/b\x07link\x1b]8;;\x07", [["link", {}]]],
  ["\x1b]0;title\x07\x1bP1;2q" + "#".repeat(100_000) + "\x1b\\after", [["after", {}]]],
  ["\x1b[31", [["\x1b[31", {}]]], // no end: nothing is dropped
  ["\x1b[38;5;999mx\x1b[38mx", [["x", { ink: undefined }], ["x", { ink: undefined }]]],
];
for (const [text, want] of PIECES) {
  assert.deepEqual([...pieces(text)], want, JSON.stringify(text.slice(0, 100)));
  assert.equal(withoutSequences(text), want.map(([piece]) => piece).join(""));
}

/** The last state of a line that was redrawn; null if these are lines. */
const STATES = [
  [" 10%\n 20%\n100%", "100%"],
  ["\n\x1b[K- building\n\x1b[K\\ building\n\x1b[Kbuilt", "\x1b[Kbuilt"],
  ["12.5MiB 0:00:01 [12.5MiB/s] [=> ] 10% ETA 0:00:09\n 130kB 0:00:10 [ 1kB/s] [=========>] 90% ETA 0:00:01", " 130kB 0:00:10 [ 1kB/s] [=========>] 90% ETA 0:00:01"],
  ["get 1 of 3\nget 2 of 3\n\x1b[32mdone\x1b[0m\n", "\x1b[32mdone\x1b[0m"],
  ["one line", null],
  ["one line\n", null],
  ["Traceback:\n  File a, line 1\n  in main", null],
  ["Left\n\ndata: Right\nevent: evil\nid: 9", null],
  ["1\n" + "2".repeat(2_000), null],
  ["", null],
  ["\n\n", null],
];
for (const [text, want] of STATES) assert.equal(lastState(text), want, JSON.stringify(text.slice(0, 100)));

const item = { data: "\x1b[31mred\x1b[0m and \x1b[1mbo\x1b[22mld", type: "", id: "", notice: false };
for (const [typed, want] of [["red and bold", true], ["/^red/", true], ["/bold$/", true], ["[31m", false], ["31", false]]) {
  const test = makeTest(readFilter(typed).terms, new Set());
  assert.equal(test.passes(item) && holds(test.typed, item), want, typed);
}

// Each in time that grows with the length: a million characters within half a second.
for (const piece of ["\x1b", "\x1b[", "\x1b[1;", "\x1b]", "\x1b]8;;", "\x1bP", "\x1b(", "\x1b]\x1b[", "\x1b[m", "\n", "1\n", "1a", "a 1", "\x1b[K\n"]) {
  for (const before of ["", "\x1b]", "\x1b["]) {
    const text = before + piece.repeat(1_000_000 / piece.length);
    const start = process.cpuUsage();
    withoutSequences(text);
    for (const one of pieces(text)) void one;
    lastState(text);
    const { user, system } = process.cpuUsage(start);
    assert.ok(user + system < 500_000, `${JSON.stringify(before + piece)} took ${(user + system) / 1000} ms`);
  }
}
const long = "\x1b]" + "a".repeat(16 * 1024 * 1024);
assert.equal(withoutSequences(long), long, "a string without an end is text");
