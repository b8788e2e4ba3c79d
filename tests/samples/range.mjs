// The ranges of axes that a person sets by hand: what the address may have, what keys and pointers make of them, and what
// a logarithmic axis does.

import assert from "node:assert/strict";
import { pageModule } from "./page.mjs";

const { changed, isRange, outside, rangeOf, readRange, rounded } = await pageModule("plot/range.js");
const { logTicks, numberLabels, numberTicks, timeTicks } = await pageModule("plot/axes.js");
const { within } = await pageModule("plot/points.js");

const READ = [
  ["0..100", [0, 100]],
  ["-5..-1.5", [-5, -1.5]],
  ["+.5..1e3", [0.5, 1000]],
  ["1e-7..2E+21", [1e-7, 2e21]],
  ["1767268800000..1767268860000", [1767268800000, 1767268860000]],
];
for (const [text, want] of READ) {
  assert.deepEqual(readRange(text, "y"), want, text);
  assert.deepEqual(readRange(want.join(".."), "y"), want, `what is written of ${text}`);
}
for (const text of ["", "5", "5..", "..5", "5..5", "6..5", "a..b", "0..Infinity", "NaN..1", "0x1..2", "1..2..3", " 1..2", "1...2.",
  "0..1e308", "-1e999..0", "1..1.0000000001", "0..1e-301", "1".repeat(400) + "..2", "0,100"]) {
  assert.equal(readRange(text, "y"), null, text);
}
for (const [text, valid] of [["0..1", true], ["0..0.9", false], ["-8.64e15..8.64e15", true], ["0..8.65e15", false]]) {
  assert.equal(readRange(text, "x") !== null, valid, text);
}

// As the screen's pixels are: a third digit changes what is seen, more do not.
const ROUND = [
  [[0.123456, 99.98765], false, [0.1, 100]],
  [[-0.0001, 12.3456], false, [0, 12.3]],
  [[1000.001234, 1000.00567], false, [1000.00123, 1000.00567]],
  [[1767268800000.4, 1767268860123.4], false, [1767268800000, 1767268860100]],
  [[0.00123456, 98765], true, [0.00123, 98800]],
];
for (const [range, logarithmic, want] of ROUND) assert.deepEqual(rounded(range, logarithmic), want, String(range));

const CHANGED = [
  [[0, 10], 0.1, 1, false, [1, 11]],
  [[0, 10], 0, 2, false, [-5, 15]],
  [[1, 100], 0.5, 1, true, [10, 1000]],
  [[1, 100], 0, 2, true, [0.1, 1000]],
];
for (const [range, move, wider, logarithmic, want] of CHANGED) {
  const got = rounded(changed(range, move, wider, logarithmic), logarithmic);
  assert.deepEqual(got, want, `${range} ${move} ${wider} ${logarithmic}`);
}
// A key goes on as long as the axis can take it, and comes back from there.
for (const [start, logarithmic] of [[[0, 1], false], [[3, 1e9], false], [[-1e300, 1e300], false], [[1, 10], true]]) {
  for (const axis of ["x", "y"]) {
    for (const wider of [1.25, 1 / 1.25]) {
      let range = start;
      for (let i = 0; i < 5000; i += 1) {
        const next = rounded(changed(range, 0, wider, logarithmic), logarithmic);
        if (!isRange(next, axis)) break;
        range = next;
      }
      if (!isRange(range, axis)) continue;
      const back = rounded(changed(range, 0, 1 / wider, logarithmic), logarithmic);
      assert.ok(isRange(back, axis), `${start} ${axis} ${wider} ${logarithmic}: ${range} to ${back}`);
    }
  }
}

const OF = [
  [undefined, 0, 100, false, [0, 108]],
  [[-5, 5], 2, 8, false, [-5, 5]],
  [[-5, 5], null, null, false, [-5, 5]],
  [[3, 40], 2, 8, true, [3, 40]],
  [[-5, 40], 2, 8, true, [1, 40]],
  [[0, 0.5], 2, 8, true, [0.05, 0.5]],
  [[-5, 0], 2, 8, true, [1, 10]],
  [[-5, -1], 2, 8, true, [1, 10]],
];
for (const [hand, least, greatest, logarithmic, want] of OF) {
  const got = rangeOf(hand, least, greatest, logarithmic);
  assert.deepEqual(got, want, `${hand} ${logarithmic}`);
}

const columns = [[1, null, 3, 99], [null, -2, null, 5]];
assert.deepEqual(outside(columns, [0, 1, 2, 3], [0, 2], [0, 10]), [false, true]); // 99 is out of sight
assert.deepEqual(outside(columns, [0, 1, 2, 3], [0, 3], [-2, 10]), [true, false]);
assert.deepEqual(outside([[null]], [0], [0, 3], [-2, 10]), [false, false]);

const points = { xs: [1, 2, 3, 4, 5], ys: [10, 20, 30, 40, 50] };
for (const [from, to, want] of [[2.5, 3.5, [2, 3, 4]], [2, 3, [1, 2, 3, 4]], [-9, 9, [1, 2, 3, 4, 5]], [6, 9, [5]], [-9, 0, [1]], [2.2, 2.4, [2, 3]]]) {
  assert.deepEqual(within(points, from, to).xs, want, `${from}..${to}`);
}
assert.deepEqual(within({ xs: [], ys: [] }, 0, 1), { xs: [], ys: [] });

// Every range that the address may have has ticks that are in it, and not too many.
for (const [from, to] of [[0, 1], [5, 7], [3, 40], [0.001, 0.0011], [1, 1 + 1.1e-9], [1e-9, 8e307], [2e307, 8e307], [99, 101], [1, 1000]]) {
  for (const ticks of from > 0 ? [logTicks(from, to, 9), numberTicks(from, to, 9)] : [numberTicks(from, to, 9)]) {
    assert.ok(ticks.length > 0 && ticks.length < 40, `${from}..${to}: ${ticks}`);
    assert.ok(ticks.every((tick) => tick >= from * (1 - 1e-6) && tick <= to * (1 + 1e-6)), `${from}..${to}: ${ticks}`);
    if (ticks.length > 1) assert.equal(new Set(numberLabels(ticks)).size, ticks.length, `${from}..${to}: ${ticks}`);
  }
}
assert.deepEqual(logTicks(5, 70, 9), [5, 10, 20, 50]);
for (const [from, to] of [[-8.64e15, 8.64e15], [0, 1], [1767268800000, 1767268800001], [8.64e15 - 1, 8.64e15]]) {
  assert.ok(timeTicks(from, to, 9).length < 20, `${from}..${to}`);
}
