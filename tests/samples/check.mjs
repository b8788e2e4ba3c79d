// Feeds each sample, record by record, to the page's recogniser, and compares what it says with expected.json.
//
// expected.json has a line for each way to pipe a sample: "FILE ARGUMENTS" of sse-pipe, and the right picture:
//
//     series    the values of each series by its name; of a device, "device · name". Long ones as
//               {count, first, last, least, greatest}
//     times     the records' own times (those of records with numbers in them; without a zone they are local)
//     objects   the points of each track, [lat, lon], by the name of the object
//     courses   the last course of each object that has one, in degrees, by its name
//     shapes    [name, type] of each shape that is on the map in the end
//     reasons   why something is not shown
//     rows      what stands in the rows of the log, if that is not the records themselves
//     why       a word on a picture that was doubtful
//
// What is missing there must not be in the picture.

import assert from "node:assert/strict";
import { pageModule } from "./page.mjs";
import { expected, keys, output, summary } from "./table.mjs";

const { Recogniser } = await pageModule("recognise/recogniser.js");
const { EventStreamParser } = await pageModule("hub/parser.js");

/** The records that sse-pipe makes of it, as the page gets them: [type, text]. */
function records(bytes, args) {
  if (args === "--format sse") {
    const found = [];
    const onEvent = ({ type, data }) => found.push([type, data]);
    const parser = new EventStreamParser({ onEvent, onComment() {}, onRetry() {} });
    parser.push(bytes);
    return found;
  }
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  const separator = args === "-0" ? "\0" : args === "--format json" ? /\n(?=[{\x1e])/ : "\n";
  const all = text.split(separator);
  if (all.at(-1) === "") all.pop();
  return all.map((record) => ["", record.replace(/\r$/, "").replace(/\r\n?/g, "\n")]);
}

function picture(all) {
  const recogniser = new Recogniser();
  const [series, times, objects, courses, shapes, reasons] = [{}, [], {}, new Map(), new Map(), new Set()];
  all.forEach(([type, text], n) => {
    const said = recogniser.read(text, type);
    for (const { device, time, values } of said.readings) {
      if (time !== null) times.push(time);
      for (const [name, value] of values) (series[device === "" ? name : `${device} · ${name}`] ??= []).push(value);
    }
    for (const { object, lat, lon, shape, part } of said.places) {
      if (shape) shapes.set(`${object === "" ? n : object} ${part}`, [object, shape.type]);
      else (objects[object] ??= []).push([lat, lon]);
    }
    for (const [object, course] of said.courses) courses.set(object, course);
    for (const reason of said.reasons) reasons.add(reason);
  });
  for (const [object, course] of courses) if (course === null) courses.delete(object);
  return { series, times, objects, courses: Object.fromEntries(courses), shapes: [...shapes.values()], reasons: [...reasons] };
}

let failed = 0;
for (const key of keys) {
  const [file, ...args] = key.split(" ");
  const want = { series: {}, times: [], objects: {}, courses: {}, shapes: [], reasons: [], ...expected[key] };
  delete want.why;
  delete want.rows; // tests/browser/samples.mjs looks at them
  want.times = want.times.map((time) => Date.parse(time));
  const got = picture(records(output(file), args.join(" ")));
  for (const [name, values] of Object.entries(want.series)) {
    if (!Array.isArray(values) && got.series[name]) got.series[name] = summary(got.series[name]);
  }
  try {
    if (!(key in expected)) throw new Error("expected.json does not say what it shows");
    assert.deepEqual(got, want); // -0 is 0
  } catch (error) {
    failed += 1;
    console.log(`${key}: ${error.message}\n`);
  }
}
console.log(`${Object.keys(expected).length} samples, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
