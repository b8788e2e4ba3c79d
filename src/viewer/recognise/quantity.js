// A number in a text, with the unit that may stand after it. Durations become seconds, so that 900ms and 1.2s are on
// one line.

/** A longer text is not a number; this limits what each pattern here must read. */
const MAX_LENGTH = 48;

const NUMBER = /^([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?)( ?)([%‰°µμΩ\p{L}][%°µμΩ\p{L}/²³]{0,7})?$/u;
const DECIMAL_COMMA = /^([+-]?\d+),(\d+)( ?[%‰°µμΩ\p{L}][%°µμΩ\p{L}/²³]{0,7})?$/u;
const NOTHING = /^(?:[+-]?(?:nan|inf|infinity)|null|none|n\/a|-{1,3}|)$/i;

const SECONDS = new Map([
  ["ns", 1e-9],
  ["us", 1e-6],
  ["µs", 1e-6],
  ["μs", 1e-6],
  ["ms", 1e-3],
  ["s", 1],
  ["m", 60],
  ["h", 3600],
  ["d", 86_400],
]);
const COMPOUND = /^(?:\d+d)?(?:\d+h)?(?:\d+m)?(?:\d+(?:\.\d+)?s)?$/;
const PART = /(\d+(?:\.\d+)?)([dhms])/g;

/** The number that a text is, as {value, unit}, or null; `comma` says whether a comma may be the decimal sign. */
export function quantity(text, comma = false) {
  if (text.length === 0 || text.length > MAX_LENGTH) return null;
  const c = text.charCodeAt(0);
  if (!((c >= 48 && c <= 57) || c === 43 || c === 45 || c === 46)) return null;
  const found = NUMBER.exec(text);
  if (!found) {
    const decimal = comma ? DECIMAL_COMMA.exec(text) : null;
    return decimal ? quantity(`${decimal[1]}.${decimal[2]}${decimal[3] ?? ""}`) : compound(text);
  }
  const value = Number(found[1]);
  const unit = found[3] ?? "";
  if (!Number.isFinite(value) || /^e\d/i.test(unit)) return null;
  // A single m may be metres.
  if (unit !== "" && unit !== "m" && SECONDS.has(unit)) return { value: seconds(value, SECONDS.get(unit)), unit: "s" };
  return { value, unit };
}

/** Whether a text means that a number is missing. */
export function isMissing(text) {
  return text.length <= 9 && NOTHING.test(text);
}

function compound(text) {
  if (!COMPOUND.test(text)) return null;
  let sum = 0;
  for (const [, n, unit] of text.matchAll(PART)) sum += Number(n) * SECONDS.get(unit);
  return { value: sum, unit: "s" };
}

/** Without the dust of binary fractions: 12.5 ms is 0.0125 s. */
function seconds(value, factor) {
  return Number((value * factor).toPrecision(15));
}
