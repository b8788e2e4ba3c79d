// What named texts say, the cells of a table's row or the pairs of a line: numbers, and a position if two of them are
// latitude and longitude, with a course perhaps.

import { courseOf } from "./course.js";
import { degrees } from "./degrees.js";
import { quantity } from "./quantity.js";
import { nameIn, role } from "./roles.js";
import { timeOf } from "./time.js";
import { readWkt } from "./wkt.js";

/**
 * Adds what `fields`, a list of [name, text] or [name, text, quantity], say to `found`. `time` and `label`, the name of
 * the row, are what is known already; `comma` says whether a comma may be the decimal sign. Returns the time, or null.
 */
export function readFields(fields, found, { time = null, label = "", comma = false } = {}) {
  let [rank, device, number] = [Infinity, "", ""];
  let [lat, lon, fix] = [null, null, false];
  const numbers = [];
  const motion = { course: null, heading: null, speed: null };
  const wkt = [];
  for (const [name, text, known] of fields) {
    const is = role(name);
    if (is.kind === "name") {
      const candidate = nameIn(text, is);
      if (is.rank === 0 && /^\d{1,20}$/.test(candidate)) number = candidate;
      else if (candidate !== "" && is.rank < rank) [rank, device] = [is.rank, candidate];
      if (candidate !== "") continue;
    }
    if (is.kind === "time") {
      const own = timeOf(text);
      time ??= own;
      if (own !== null) continue;
    }
    const measured = known ?? quantity(text, comma);
    if (is.kind === "lat") lat ??= degrees(text, "NS") ?? plainNumber(measured);
    if (is.kind === "lon") lon ??= degrees(text, "EW") ?? plainNumber(measured);
    if (Object.hasOwn(motion, is.kind)) motion[is.kind] ??= measured?.value ?? null;
    if (measured && is.kind !== "id") numbers.push([name, is.kind, measured]);
    else if (/^[A-Z]/i.test(text)) wkt.push(text);
    if (name === "mode" && Number(text) >= 2) fix = true;
  }
  const position = lat !== null && lon !== null;
  // A number as an ID counts records and names nothing, except for something with a position.
  if (number !== "" && position) device = number;
  if (device === "") device = label;
  for (const text of wkt) readWkt(text, found, device);
  if (position) {
    found.addPosition(device, lat, lon, fix);
    found.addCourse(device, courseOf(motion));
  }
  for (const [name, kind, { value, unit }] of numbers) {
    if (position && (kind === "lat" || kind === "lon")) continue;
    found.add(device, time, unit === "" ? name : `${name} (${unit})`, value);
  }
  return time;
}

function plainNumber(measured) {
  return measured?.unit === "" ? measured.value : null;
}
