// Lines in the BaseStation format of dump1090 and its kin (port 30003): what an aircraft says of itself.

import { courseOf } from "./course.js";
import { dateTime } from "./time.js";

/** The numbers in a line, by their cells. */
const NUMBERS = [
  [11, "altitude (ft)"],
  [12, "speed (kn)"],
  [13, "track (°)"],
  [16, "climb (ft/min)"],
];

/** Whether a line is such a message; then adds what it says to `found`. Returns {time}, or null. */
export function readSbs(line, found) {
  if (!line.startsWith("MSG,") || line.length > 400) return null;
  const cells = line.split(",");
  if (cells.length < 17 || !/^[0-9A-F]{6}$/i.test(cells[4])) return null;
  const time = dateTime(`${cells[6]} ${cells[7]}`);
  const number = (i) => (/^-?\d{1,7}(?:\.\d{1,12})?$/.test(cells[i]) ? Number(cells[i]) : null);
  for (const [i, name] of NUMBERS) if (number(i) !== null) found.add(cells[4], time, name, number(i));
  if (number(13) !== null) found.addCourse(cells[4], courseOf({ course: number(13), speed: number(12) }));
  if (number(14) !== null && number(15) !== null) found.addPosition(cells[4], number(14), number(15));
  return { time };
}
