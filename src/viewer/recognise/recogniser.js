// What the records of a stream say: numbers for the plot, places for the map. Pure: no page, no clock.
//
//     plain.js, json.js               the text without what a terminal makes of it; JSON in it
//     members.js, geometry.js         JSON: numbers and positions in it; GeoJSON
//     table.js, pairs.js, fields.js   lines: columns with a heading; name=1; what their names say
//     wkt.js, nmea.js, sbs.js         shapes and positions in lines
//     quantity.js, time.js, degrees.js, course.js, roles.js    a number, a time, a coordinate, a course, a name
//     found.js                        gathers it
//
// Each part reads a text once, with bounded patterns: a record costs time in proportion to its length.

import { position, twoNumbers } from "./degrees.js";
import { readFields } from "./fields.js";
import { Found } from "./found.js";
import { findJson } from "./json.js";
import { readJson } from "./members.js";
import { readNmea } from "./nmea.js";
import { pairs } from "./pairs.js";
import { lastLine, plain } from "./plain.js";
import { quantity } from "./quantity.js";
import { role } from "./roles.js";
import { readSbs } from "./sbs.js";
import { Table } from "./table.js";
import { dateTime, timeOf } from "./time.js";
import { readWkt } from "./wkt.js";

/** Records longer than this, in UTF-16 units, are not searched, and lines longer than the second are not measurements. */
const MAX_RECORD = 4 * 1024 * 1024;
const MAX_LINE = 16 * 1024;

/** So many types of events have headings of their own. */
const MAX_TYPES = 64;

const NOTHING = Object.freeze({ readings: [], places: [], courses: [], reasons: [], latLon: null });

/** One word with a letter in it, Prometheus's labels included, and what follows it. */
const LABELLED = /^([^\s"=,;|{}]{1,200}(?:\{[^{}]{0,2000}\})?)(?:\s{1,16}\|)?\s{1,64}(\S.{0,80})$/;

export class Recogniser {
  #tables = new Map(); // by event type

  /**
   * What a record says, by its text and the type of its event:
   *
   * - `readings`: [{device, time, values}]. `device` names what the numbers are of, "" if nothing does; `time` is the
   *   record's own, in ms since the epoch, or null; `values` are [name, number].
   * - `places`: [{object, lat, lon, shape, part}]. `object` is the name of what is there, or "". Without a shape it is
   *   where the object is now; `shape` is a GeoJSON geometry (type and coordinates only, all checked, never a
   *   collection) that stands by itself: `part` counts the shapes of this object in the record.
   * - `courses`: [[object, course]], in degrees, or null if the record says that it has none; also of objects without
   *   a place in this record.
   * - `reasons`: why something that was recognised can't be shown, a sentence each.
   * - `latLon`: {lat, lon} of a line of two numbers that may be a position, if the person says so; or null.
   */
  read(text, type = "") {
    if (text.length > MAX_RECORD) {
      if (!/^[\ufeff\x1e\s]{0,8}(?:[[{]|SRID=|[A-Z]{3,18}\s?\()/.test(text)) return NOTHING;
      return { ...NOTHING, reasons: [`Records over ${MAX_RECORD / 1024 / 1024} MiB are not searched`] };
    }
    const clean = plain(text);
    const found = new Found();
    const json = findJson(clean);
    if (json) {
      const { name, time } = prefixed(json.prefix);
      return found.result(readJson(json.value, found, name, time));
    }
    if (readWkt(clean, found)) return found.result(null);
    return clean.length > MAX_LINE ? NOTHING : this.#readLine(clean, type === "message" ? "" : type, found);
  }

  #readLine(text, type, found) {
    const line = lastLine(text).trim();
    if (line === "") return NOTHING;
    const sentence = readNmea(line, found) ?? readSbs(line, found);
    if (sentence) return found.result(sentence.time);
    const here = position(line);
    if (here) {
      found.addPosition("", here.lat, here.lon);
      found.addCourse("", null);
      return found.result(null);
    }
    const value = quantity(line);
    if (value) {
      add(found, "", null, type === "" ? "value" : type, value);
      return found.result(null);
    }
    const table = this.#table(type);
    const labelled = readLabelled(line, found);
    if (labelled) return found.result(labelled.time);
    const row = table.row(line);
    if (row) {
      const result = found.result(readFields(row.fields, found, row));
      return result.places.length === 0 ? { ...result, latLon: twoNumbers(line) } : result;
    }
    const fields = pairs(text);
    const time = readFields(fields, found);
    const result = found.result(time);
    if (result.readings.length === 0 && result.places.length === 0) table.head(line);
    return result;
  }

  #table(type) {
    let table = this.#tables.get(type);
    if (!table) {
      if (this.#tables.size === MAX_TYPES) this.#tables.clear();
      this.#tables.set(type, (table = new Table()));
    }
    return table;
  }
}

/** What comes before JSON: one word names what it is about, a time is its time. */
function prefixed(prefix) {
  let [name, time] = ["", null];
  const words = prefix.split(/[\s|]+/).filter((word) => word !== "");
  for (const word of words) {
    const own = dateTime(word.replace(/(\.\d{9})\d*/, "$1"));
    if (own !== null) time ??= own;
    else if (name === "") name = word.replace(/:$/, "");
    else return { name: "", time };
  }
  return { name, time };
}

/** A word and a number, with a time since the epoch after it perhaps (MQTT, Graphite, Prometheus). */
function readLabelled(line, found) {
  const parts = LABELLED.exec(line);
  if (!parts || !/\p{L}/u.test(parts[1]) || dateTime(parts[1]) !== null) return null;
  const name = parts[1].replace(/:$/, "");
  const rest = parts[2].trim();
  const value = quantity(rest, true);
  const is = role(name);
  if (value && (is.kind === "id" || (is.kind === "name" && is.number))) return { time: null };
  if (value) {
    add(found, "", null, name, value);
    return { time: null };
  }
  const [number, epoch, more] = rest.split(/\s+/);
  const time = more === undefined && epoch !== undefined ? timeOf(epoch) : null;
  const timed = time === null ? null : quantity(number);
  if (!timed) return null;
  add(found, "", time, name, timed);
  return { time };
}

function add(found, device, time, name, { value, unit }) {
  found.add(device, time, unit === "" ? name : `${name} (${unit})`, value);
}
