// When objects on the map fade and go: what the address may say, what time it is on the map, and what comes back.

import assert from "node:assert/strict";
import { pageModule } from "./page.mjs";

const { FADED, FRESH, GONE, MapTime, readLimits, stage } = await pageModule("map/silence.js");
const { Tracks } = await pageModule("map/tracks.js");

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

// The address.
const usual = { fade: { ms: 5 * MINUTE, text: "5 min" }, keep: { ms: HOUR, text: "1 h" }, faults: [] };
assert.deepEqual(readLimits([]), usual);
assert.deepEqual(readLimits(["map", "filter=fade", "fader=1s"]), usual);
for (const [word, ms, text] of [
  ["fade=1s", 1_000, "1 s"],
  ["fade=90m", 90 * MINUTE, "90 min"],
  ["fade=1.5h", 1.5 * HOUR, "1.5 h"],
  ["fade=007s", 7_000, "7 s"],
  ["fade=never", Infinity, "ever"],
  ["fade=off", Infinity, "ever"],
]) {
  assert.deepEqual(readLimits(["map", word]), { ...usual, fade: { ms, text } }, word);
}
for (const value of ["", "0s", "0", "5", "-1m", "5M", "5 m", "5min", "1h30m", "1e9s", ".5h", "9999999h", "NaNs", "toString", "x".repeat(30)]) {
  const fault = `keep=${value.length > 20 ? `${"x".repeat(20)}…` : value} is not a time such as 30s, 5m or 1h, or never: 1h counts`;
  assert.deepEqual(readLimits(["fade=2s", `keep=${value}`]), { ...usual, fade: { ms: 2_000, text: "2 s" }, faults: [fault] });
}

// The limits themselves are not yet too long.
for (const [silent, want] of [
  [-1, FRESH],
  [5 * MINUTE, FRESH],
  [5 * MINUTE + 1, FADED],
  [HOUR, FADED],
  [HOUR + 1, GONE],
]) {
  assert.equal(stage(silent, usual), want, `${silent}`);
}
assert.equal(stage(1e15, readLimits(["fade=never", "keep=off"])), FRESH);
assert.equal(stage(2 * HOUR, readLimits(["fade=3h"])), GONE, "it need not fade before");

// The time is that of the events, and then the clock's, if that goes on.
const time = new MapTime();
assert.equal(time.read(null, 0), -Infinity);
time.event(1_000, 10);
assert.deepEqual([time.read(HOUR, 20), time.read(null, 10_000)], [1_000, 1_000], "the history comes; it has ended");
assert.equal(time.read(HOUR, 10_000), HOUR, "it is here");
assert.equal(time.read(null, 20_000), HOUR, "the connection is lost, or the display paused");
time.event(2_000, 20_000);
assert.equal(time.read(HOUR, 20_001), 2_000, "more of the history comes");
time.event(HOUR + 5_000, 30_000);
assert.equal(time.read(HOUR, 40_000), HOUR + 5_000, "the clocks differ");

// Objects.
const left = [];
const tracks = new Tracks(({ name }) => left.push(name));
let n = 0;
const move = (object, time, shape = null) => tracks.add((n += 1), time, [{ object, lat: n % 80, lon: 1, shape, part: 0 }]);
const shown = () => [...tracks.objects.values()].map(({ name, length, stage }) => `${name} ${length} ${stage}`).join(", ");
const line = { type: "LineString", coordinates: [[1, 2], [3, 4]] };
const still = (now) => assert.equal(tracks.age(now), false, "nothing changes by it");

move("a", 0);
move("a", 1_000);
move("b", 2 * MINUTE);
move("b", 2 * MINUTE, line);
move("", 2 * MINUTE, line);
still(5 * MINUTE);
tracks.stale = false;
assert.ok(tracks.age(6 * MINUTE) && tracks.stale);
assert.deepEqual([shown(), tracks.faded], [`a 2 ${FADED}, b 1 ${FRESH}`, 1]);
still(6 * MINUTE);
assert.ok(tracks.age(8 * MINUTE) && tracks.shapes.get("b").faded);
tracks.age(HOUR + 1_001);
assert.deepEqual([shown(), tracks.silent, left], [`b 1 ${FADED}`, { n: 1, more: false }, ["a"]]);
tracks.age(9 * HOUR);
assert.deepEqual([shown(), tracks.silent.n, tracks.faded, tracks.gone], ["", 2, 0, 0]);
assert.deepEqual([...tracks.shapes.values()].map(({ name }) => name), [""], "a shape by itself stays");

// Back, if it was not that late: with all there was of it.
tracks.age(3 * MINUTE);
assert.deepEqual([shown(), tracks.shapes.size, tracks.silent.n], [`a 2 ${FRESH}, b 1 ${FRESH}`, 2, 0]);
tracks.age(9 * HOUR);
tracks.limits = readLimits(["keep=never"]);
assert.ok(tracks.age(9 * HOUR));
assert.equal(shown(), `a 2 ${FADED}, b 1 ${FADED}`);
tracks.limits = readLimits([]);
tracks.age(9 * HOUR);

// It speaks again: anew, in its colour. Whether it was seen to go makes no difference.
move("b", 9 * HOUR);
still(9 * HOUR);
assert.deepEqual([shown(), tracks.shapes.size, tracks.silent.n], [`b 1 ${FRESH}`, 1, 1]);
assert.equal(tracks.objects.get("b").number, 1);
move("b", 9 * HOUR + 1);
move("b", 10 * HOUR + 2, line);
move("b", 10 * HOUR + 2);
assert.equal(shown(), `b 3 ${FRESH}`, "the shape was a word of it");
move("b", 11 * HOUR + 3);
assert.deepEqual([shown(), tracks.shapes.size], [`b 1 ${FRESH}`, 1]);

// What has gone makes room before all others, and is still counted as what it is; until it is back.
tracks.clear();
left.length = 0;
for (let i = 0; i < 600; i += 1) move(`old${i}`, 0);
tracks.age(2 * HOUR);
for (let i = 0; i < 600; i += 1) move(`new${i}`, 2 * HOUR);
still(2 * HOUR);
assert.deepEqual([tracks.objects.size, tracks.silent.n, tracks.gone], [600, 600, 0]);
move("old0", 2 * HOUR);
move("old599", 2 * HOUR);
assert.deepEqual([tracks.objects.size, tracks.silent.n, tracks.gone], [602, 598, 0]);
for (let i = 0; i < 1_000; i += 1) move(`newer${i}`, 2 * HOUR);
assert.deepEqual([tracks.objects.size, tracks.silent.n, tracks.gone], [1_000, 598, 602], "the others made room");
// Nobody looked in between.
for (let i = 0; i < 12_000; i += 1) move(`last${i}`, 3 * HOUR + 1 + i * HOUR);
assert.deepEqual([tracks.gone, tracks.silent], [602, { n: 10_000, more: true }]);
tracks.age(13_000 * HOUR);
assert.deepEqual([tracks.objects.size, tracks.silent], [0, { n: 11_000, more: true }]);
tracks.limits = readLimits(["fade=1s"]);
assert.equal(tracks.silent.n, 11_000);
tracks.limits = readLimits(["keep=2h"]);
assert.deepEqual([tracks.gone, tracks.silent], [10_602, { n: 1_000, more: false }], "it is not known how long they were silent");
tracks.limits = readLimits([]);

// So do the shapes of what has gone: those that are there stay.
tracks.clear();
const long = { type: "LineString", coordinates: Array.from({ length: 100_000 }, (_, i) => [i % 180, i % 90]) };
for (const name of ["a", "b", "c", "d"]) {
  move(name, 0);
  move(name, 0, long);
}
tracks.age(2 * HOUR);
move("", 2 * HOUR, long);
move("", 2 * HOUR, long);
assert.deepEqual([tracks.shapes.size, tracks.silent.n, tracks.gone], [2, 4, 0]);
for (let i = 0; i < 4; i += 1) move("", 2 * HOUR, long);
assert.deepEqual([tracks.shapes.size, tracks.silent.n, tracks.gone], [4, 4, 2]);

// And points: of what has gone, none is kept before others are thinned out.
tracks.clear();
for (let i = 0; i < 49; i += 1) for (let k = 0; k < 4_000; k += 1) move(`o${i}`, 0);
tracks.age(2 * HOUR);
for (let i = 0; i < 3; i += 1) for (let k = 0; k < 4_000; k += 1) move(`p${i}`, 2 * HOUR);
assert.deepEqual([tracks.thinned, tracks.silent.n, tracks.objects.size], [0, 49, 3]);
