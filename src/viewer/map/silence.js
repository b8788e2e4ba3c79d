// How long an object on the map may be silent before it fades, and before it goes; and what time it is there. Pure.

/** What silence makes of an object. */
export const FRESH = 0;
export const FADED = 1;
export const GONE = 2;

/** The defaults, in the words of the address. */
const USUAL = { fade: "5m", keep: "1h" };

const SPAN = /^(\d{1,6}(?:\.\d{1,3})?)([smh])$/;
const UNITS = { s: [1_000, "s"], m: [60_000, "min"], h: [3_600_000, "h"] };

/** Once no event has come for this many ms, the clock says what time it is: the history is here. */
const QUIET = 500;

/** Longer values in the address are cut when they are shown. */
const MAX_SHOWN = 20;

/** What becomes of an object that has been silent for this many ms. */
export function stage(silent, { fade, keep }) {
  if (silent > keep.ms) return GONE;
  return silent > fade.ms ? FADED : FRESH;
}

/**
 * The limits that words of the address set: {fade, keep, faults}. `fade` and `keep` are {ms, text}, where ms may be
 * Infinity; `faults` has a sentence for each word that sets none, because then the default is used.
 */
export function readLimits(words) {
  const limits = { faults: [] };
  for (const [name, usual] of Object.entries(USUAL)) {
    const value = words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1) ?? usual;
    const span = readSpan(value);
    limits[name] = span ?? readSpan(usual);
    if (span) continue;
    const shown = value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}…` : value;
    limits.faults.push(`${name}=${shown} is not a time such as 30s, 5m or 1h, or never: ${usual} counts`);
  }
  return limits;
}

/** A time such as 90s, 5m or 1h as {ms, text}, or null. */
function readSpan(text) {
  if (text === "never" || text === "off") return { ms: Infinity, text: "ever" };
  const [, n, letter] = SPAN.exec(text) ?? [];
  if (n === undefined || Number(n) === 0) return null;
  const [ms, unit] = UNITS[letter];
  return { ms: Number(n) * ms, text: `${Number(n)} ${unit}` };
}

/**
 * The time on the map: when the newest event was read. While none arrives, it follows the server's clock if the stream
 * is open. Otherwise it stands still, so that what a stream had in the end stays.
 *
 * So a history passes as it was, however fast it comes; and it is not the clock that decides about a stream that ended
 * long ago.
 */
export class MapTime {
  #time = -Infinity;
  #came = -Infinity;

  /** Call this for each event: the server read it at `time`, and it has been here since `at`, by a clock of this page. */
  event(time, at) {
    this.#time = time;
    this.#came = at;
  }

  /** What time it is, `at` this time of the page's clock; `now` is the server's, or null while time stands still. */
  read(now, at) {
    if (now !== null && at - this.#came >= QUIET) this.#time = Math.max(this.#time, now);
    return this.#time;
  }
}
