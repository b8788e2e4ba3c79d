// The ranges and ticks of a chart's axes. uPlot looks for ticks in a loop that never ends if the step between them is
// lost beside the values, so it is given ranges that are wide enough, and ticks whose number is bounded. Pure.

/** uPlot takes any step as found, and leaves the ticks to us. */
export const ANY_STEP = [Infinity];

/** A range is at least this wide, as a part of its greatest value: a double has 16 digits, six are left for ticks. */
export const LEAST_WIDTH = 1e-9;

/** The difference of two values up to this is still a number. */
export const GREATEST = 8.9e307;

/** The range of values with some room around them; a single value is in the middle. */
export function wideRange(least, greatest) {
  if (least === null || !(least <= greatest)) return [0, 1];
  const [from, to] = [clamp(least), clamp(greatest)];
  const size = Math.max(Math.abs(from), Math.abs(to));
  const width = to - from;
  const room = Math.max(width > 0 ? width * 0.08 : size * 0.1 || 1, (size * LEAST_WIDTH - width) / 2, 1e-300);
  // A line above zero does not start below it.
  return [from >= 0 && from < room ? 0 : clamp(from - room), clamp(to + room)];
}

/** The least value on a logarithmic axis: below it, doubles lose digits. */
const LEAST = 1e-300;

/** The range of values above 0 in whole powers of ten. */
export function logRange(least, greatest) {
  if (least === null || !(least <= greatest)) return [1, 10];
  const from = Math.floor(Math.log10(Math.max(least, LEAST)));
  const to = Math.min(Math.max(Math.ceil(Math.log10(clamp(greatest))), from + 1), 308);
  return [10 ** from, to === 308 ? GREATEST : 10 ** to];
}

/**
 * About `n` powers of ten from `min` to `max` at most; with 2 and 5 of each if there is room; round numbers if there
 * are hardly any of these.
 */
export function logTicks(min, max, n) {
  const [from, to] = [min, max].map((end) => Math.floor(Math.log10(end) + 1e-9));
  const step = Math.max(1, Math.ceil((to - from) / n));
  const between = (to - from + 1) * 3 <= n + 2 ? [1, 2, 5] : [1];
  const ticks = [];
  for (let power = from; power <= to; power += step) ticks.push(...between.map((m) => Number(`${m}e${power}`)));
  const within = ticks.filter((tick) => tick >= min * (1 - 1e-9) && tick <= max);
  return within.length > 1 ? within : numberTicks(min, max, n);
}

/** A value as it is drawn. */
export function clamp(value) {
  return Math.min(Math.max(value, -GREATEST), GREATEST);
}

/** At most `n` round numbers from `min` to `max`; `whole` says that there is nothing between two. */
export function numberTicks(min, max, n, whole = false) {
  const raw = (max - min) / n;
  const power = 10 ** Math.floor(Math.log10(raw));
  let step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  if (whole) step = Math.max(step, 1);
  return step > 0 ? upTo(max, n, (i) => Number(((Math.ceil(min / step) + i) * step).toPrecision(15))) : [];
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500, SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 15 * SECOND, 30 * SECOND],
  ...[MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE],
  ...[HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR],
];
const DAY = 24 * HOUR;
const YEAR = 365.25 * DAY;

/** Round times from `min` to `max`, in ms since the epoch, about `n`. */
export function timeTicks(min, max, n) {
  const raw = (max - min) / n;
  const date = new Date(min);
  const [year, month, day] = [date.getFullYear(), date.getMonth(), date.getDate()];
  const midnight = new Date(year, month, day).getTime();
  const step = STEPS.find((s) => s >= raw);
  if (step) {
    const first = midnight + Math.ceil((min - midnight) / step) * step;
    return upTo(max, n, (i) => first + i * step);
  }
  const at = (y, m, d) => {
    const midnight = new Date(2000, m, d);
    midnight.setFullYear(y + midnight.getFullYear() - 2000); // also the years before 100
    return midnight.getTime();
  };
  const atLeast = (sizes, unit) => sizes.find((size) => size * unit >= raw);
  const days = atLeast([1, 2, 4, 7, 14], DAY);
  const months = atLeast([1, 3, 6], YEAR / 12);
  const years = atLeast([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000], YEAR);
  const nth = days
    ? (i) => new Date(year, month, day + i * days).getTime()
    : months
      ? (i) => at(year, (Math.floor(month / months) + i) * months, 1)
      : (i) => at((Math.floor(year / years) + i) * years, 0, 1);
  return upTo(max, n + 1, nth).filter((tick) => tick >= min);
}

/** The first values of `nth` up to `max`, at most two more than `n`. */
function upTo(max, n, nth) {
  const ticks = [];
  for (let i = 0; i <= n + 1; i += 1) {
    const tick = nth(i);
    if (!(tick <= max)) break;
    ticks.push(tick);
  }
  return ticks;
}

/** 14:05:30, 5 Jan or 2026 at each tick, as short as the step allows, with the day below where it begins. */
export function timeLabels(ticks) {
  const two = (n) => String(n).padStart(2, "0");
  const step = ticks[1] - ticks[0];
  let before = new Date();
  return ticks.map((tick) => {
    const t = new Date(tick);
    const day = t.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
    const year = t.getFullYear();
    const otherYear = year !== before.getFullYear();
    const otherDay = otherYear || t.toDateString() !== before.toDateString();
    before = t;
    if (step > 360 * DAY) return String(year);
    if (step > 27 * DAY) return `${day.split(" ")[1]}${otherYear ? `\n${year}` : ""}`;
    if (step > HOUR * 22) return `${day}${otherYear ? `\n${year}` : ""}`;
    let text = `${two(t.getHours())}:${two(t.getMinutes())}`;
    if (!(step >= MINUTE)) text += `:${two(t.getSeconds())}`;
    if (step < SECOND) text += `.${String(t.getMilliseconds()).padStart(3, "0")}`;
    return otherDay ? `${text}\n${day}${otherYear ? ` ${year}` : ""}` : text;
  });
}

const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 5 });
const large = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
const scientific = new Intl.NumberFormat("en", { notation: "scientific", maximumSignificantDigits: 5 });

/** A value as the legend shows it. */
export function formatValue(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 1e15 || (size < 1e-6 && size > 0)) return scientific.format(value);
  return size >= 1e6 ? large.format(value) : short.format(value);
}

/** The values at the ticks, with as many digits as are needed to distinguish them. */
export function numberLabels(ticks) {
  const size = Math.max(...ticks.map(Math.abs));
  const digits = Math.ceil(Math.log10(size / (ticks[1] - ticks[0]))) + 1;
  if (!(digits > 4)) return ticks.map(formatValue);
  const notation = size >= 1e15 || size < 1e-6 ? "scientific" : "standard";
  const format = new Intl.NumberFormat("en", { notation, maximumSignificantDigits: Math.min(digits, 17) });
  return ticks.map((tick) => format.format(tick));
}
