// What makes room on the map: the object heard of least recently, or the older positions of one that has many.

import assert from "node:assert/strict";
import { pageModule } from "./page.mjs";

const { Tracks } = await pageModule("map/tracks.js");

const gone = [];
let tracks = new Tracks(({ name }) => gone.push(name));
let n = 0;
const move = (object, times = 1) => {
  for (let i = 0; i < times; i += 1) {
    n += 1;
    tracks.add(n, n * 1000, [{ object, lat: (n % 160) - 80, lon: (n % 340) - 170, shape: null, part: 0 }]);
  }
};
const held = () => [...tracks.objects.values()].reduce((sum, { length }) => sum + length, 0);

// One object more than there is room for: the one that was quiet for the longest time goes, whenever it came.
for (let i = 0; i < 1_000; i += 1) move(`o${i}`);
move("o0");
move("new");
assert.deepEqual([gone, tracks.gone, tracks.objects.size], [["o1"], 1, 1_000]);
assert.ok(tracks.objects.has("o0") && tracks.stale);

// A track keeps its beginning, its end, and its order.
tracks.clear();
move("long", 9_000);
const { long } = { long: tracks.objects.get("long") };
assert.ok(long.length > 2_000 && long.length <= 4_000, `${long.length}`);
assert.equal(tracks.thinned, 9_000 - long.length);
const numbers = Array.from({ length: long.length }, (_, i) => long.at(i).n);
assert.deepEqual([numbers[0], numbers.at(-1)], [n - 8_999, n]);
assert.ok(numbers.every((number, i) => i === 0 || number > numbers[i - 1]));

// All together: the quiet ones are thinned out first, but never to nothing.
tracks.clear();
for (let i = 0; i < 100; i += 1) move(`quiet${i}`, 3_000);
assert.ok(held() <= 200_000);
const loud = tracks.objects.get("quiet99").length;
assert.equal(loud, 3_000, "the latest has all of its own");
assert.ok(tracks.objects.get("quiet0").length >= 500);
assert.equal(held() + tracks.thinned, tracks.positions);

// Shapes: by record, and by all their corners together.
tracks = new Tracks(() => {});
const line = (corners) => ({ type: "LineString", coordinates: Array.from({ length: corners }, (_, i) => [i % 180, i % 90]) });
const draw = (object, shape, part = 0) => tracks.add(n, 0, [{ object, lat: 0, lon: 0, shape, part }]);
for (n = 0; n < 1_001; n += 1) draw("", line(2));
assert.deepEqual([tracks.shapes.size, tracks.gone, tracks.shapes.has(0)], [1_000, 1, false]);
for (let i = 0; i < 6; i += 1) draw(`s${i}`, line(100_000));
assert.deepEqual([...tracks.shapes.keys()], ["s2", "s3", "s4", "s5"]);
