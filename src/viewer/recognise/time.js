// Times in records: RFC 3339, also with a blank for the T; without a zone it is the person's own; and seconds,
// milliseconds, microseconds or nanoseconds since the epoch.

const DATE_TIME =
  /^(\d{4})[-/](\d\d?)[-/](\d\d?)[T -](\d\d?):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)? ?(Z|[+-]\d\d:?\d\d)?(?: ?UTC)?$/;
const DATE = /^(?:\d{4}[-/]\d\d?[-/]\d\d?|\d\d?[/.]\d\d?[/.]\d{2,4})$/;
const CLOCK = /^\d\d?:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?$/;

/** A longer text is not a time. */
const MAX_LENGTH = 48;

/** Epochs by their size: from 2001 to 2286. */
const EPOCHS = [1e9, 1e12, 1e15, 1e18];

/** The time that a text is, in ms since the epoch, or null. */
export function dateTime(text) {
  if (text.length < 14 || text.length > MAX_LENGTH) return null;
  const found = DATE_TIME.exec(text);
  if (!found) return null;
  const [year, month, day, hour, minute, second = 0] = found.slice(1, 7).map((part) => Number(part ?? 0));
  if (year < 100) return null; // Go's zero time, which means none, is 0001-01-01
  const ms = found[7] ? Math.floor(Number(`0.${found[7]}`) * 1000 + 1e-6) : 0;
  const zone = found[8] ?? (text.endsWith("UTC") ? "Z" : undefined);
  if (zone === undefined) return new Date(year, month - 1, day, hour, minute, second, ms).getTime();
  const utc = Date.UTC(year, month - 1, day, hour, minute, second, ms);
  if (zone === "Z") return utc;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  return utc - (zone[0] === "-" ? -minutes : minutes) * 60_000;
}

/** A number as a time since the epoch, in ms, or null if it isn't near enough to ours. */
export function epoch(value) {
  const i = EPOCHS.findIndex((least) => value >= least && value < least * 10);
  return i === -1 ? null : (value / 1000 ** i) * 1000;
}

/** A member or a cell under the name of a time. */
export function timeOf(value) {
  if (typeof value === "number") return epoch(value);
  if (typeof value !== "string" || value.length > MAX_LENGTH) return null;
  return /^\d{10,19}(?:\.\d{1,9})?$/.test(value) ? epoch(Number(value)) : dateTime(value);
}

/** Whether a cell is a date without a time of day, or a time of day. */
export function isDate(cell) {
  return cell.length <= 10 && DATE.test(cell);
}

export function isClock(cell) {
  return cell.length <= 24 && CLOCK.test(cell);
}

/** Whether a cell is a part of a time, which may stand among numbers. */
export function isTimePart(cell) {
  return isClock(cell) || isDate(cell) || cell === "AM" || cell === "PM" || dateTime(cell) !== null;
}
