// Sentences of NMEA 0183 that say where a receiver is, GGA, RMC and GLL, or where it is heading, RMC and VTG, with
// their checksum.

import { courseOf } from "./course.js";
import { inRange } from "./degrees.js";

const SENTENCE = /^\$[A-Z]{2}(GGA|RMC|GLL|VTG),([^*]{0,120})\*([0-9A-F]{2})\s{0,4}$/i;

/** Whether a line is such a sentence; then adds what it says to `found`. Returns {time}, or null. */
export function readNmea(line, found) {
  const parts = line.length > 140 || line[0] !== "$" ? null : SENTENCE.exec(line);
  if (!parts) return null;
  let sum = 0;
  for (let i = 1; line[i] !== "*"; i += 1) sum ^= line.charCodeAt(i);
  if (sum !== Number.parseInt(parts[3], 16)) {
    found.addReason("An NMEA sentence has a wrong checksum");
    return { time: null };
  }
  const cells = parts[2].split(",");
  const type = parts[1].toUpperCase();
  if (type === "GGA") {
    if (Number(cells[5]) > 0 && place(cells, 1, found)) add(found, null, "altitude (m)", cells[8]);
    return { time: null };
  }
  if (type === "GLL") {
    if (cells[5] !== "V") place(cells, 0, found);
    return { time: null };
  }
  if (type === "VTG") {
    if (cells[1] === "T") turn(cells[0], cells[4], found);
    return { time: null };
  }
  const time = timeOf(cells[0], cells[8]);
  if (cells[1] === "A" && place(cells, 2, found)) {
    add(found, time, "speed (kn)", cells[6]);
    add(found, time, "course (°)", cells[7]);
    turn(cells[7], cells[6], found);
  }
  return { time };
}

/** Adds the course; its cell is empty while the receiver stands still. */
function turn(course, speed, found) {
  found.addCourse("", courseOf({ course, speed }));
}

/** Adds the position whose four cells begin at `at`. */
function place(cells, at, found) {
  const lat = angle(cells[at], 2, cells[at + 1], "NS");
  const lon = angle(cells[at + 2], 3, cells[at + 3], "EW");
  if (lat === null || lon === null || !inRange(lat, lon)) return false;
  found.addPosition("", lat, lon, true);
  return true;
}

/** Degrees with this many digits, then minutes, as ddmm.mmmm. */
function angle(text, digits, letter, letters) {
  if (!/^\d{4,5}(?:\.\d{1,8})?$/.test(text ?? "") || !letter || !letters.includes(letter)) return null;
  const value = Number(text.slice(0, digits)) + Number(text.slice(digits)) / 60;
  return Number((letter === letters[1] ? -value : value).toFixed(8));
}

/** hhmmss.ss and ddmmyy, in UTC; recordings may be of the last century. */
function timeOf(clock, date) {
  if (!/^\d{6}(?:\.\d{1,4})?$/.test(clock ?? "") || !/^\d{6}$/.test(date ?? "")) return null;
  const two = (text, at) => Number(text.slice(at, at + 2));
  const year = two(date, 4) + (two(date, 4) < 80 ? 2000 : 1900);
  const minute = Date.UTC(year, two(date, 2) - 1, two(date, 0), two(clock, 0), two(clock, 2));
  return minute + Number(clock.slice(4)) * 1000;
}

function add(found, time, name, text) {
  if (text !== undefined && text !== "" && Number.isFinite(Number(text))) found.add("", time, name, Number(text));
}
