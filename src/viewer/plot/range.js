// The ranges of axes that a person sets by hand: how they stand in the address, how keys change them, and what a
// logarithmic axis makes of them. Pure.

import { GREATEST, LEAST_WIDTH, logRange, wideRange } from "./axes.js";

const NUMBER = String.raw`[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:e[-+]?\d+)?`;
const RANGE = new RegExp(`^(${NUMBER})\\.\\.(${NUMBER})$`, "i");

/** The last time that a date can name, in ms: no x-axis goes beyond, and a part of it is at least 1 wide. */
const LAST_TIME = 8.64e15;

/** FROM..TO as a range for an axis, `x` or `y`; null if it is not a range. */
export function readRange(text, axis) {
  const [, from, to] = RANGE.exec(text) ?? [];
  const range = [Number(from), Number(to)];
  return isRange(range, axis) ? range : null;
}

/** Whether an axis can have this range: wide enough for its ticks, and not too wide for a number. */
export function isRange([from, to], axis) {
  const size = Math.max(Math.abs(from), Math.abs(to));
  const [least, greatest] = axis === "x" ? [1, LAST_TIME] : [Math.max(size * LEAST_WIDTH, 1e-300), GREATEST];
  return to - from >= least && size <= greatest;
}

/** The range as round as a person can choose it with a pointer: a hundredth of it matters, or three digits do. */
export function rounded(range, logarithmic) {
  if (logarithmic) return range.map((value) => Number(value.toPrecision(3)));
  const unit = 10 ** Math.floor(Math.log10(range[1] - range[0]) - 2);
  return range.map((value) => Number((Math.round(value / unit) * unit).toPrecision(15)) + 0); // no -0
}

/** The range moved by this part of its width, and then made this much wider. */
export function changed([from, to], move, wider, logarithmic) {
  if (logarithmic) return changed([Math.log10(from), Math.log10(to)], move, wider, false).map((power) => 10 ** power);
  const half = (to - from) / 2;
  const middle = from + half + (to - from) * move;
  return [middle - half * wider, middle + half * wider];
}

/** The range of a y-axis for these values: the one set by hand, if there is one and the axis has a place for it. */
export function rangeOf(hand, least, greatest, logarithmic) {
  const automatic = (logarithmic ? logRange : wideRange)(least, greatest);
  if (!hand || (logarithmic && hand[1] <= 1e-300)) return automatic;
  const [from, to] = hand;
  return logarithmic && from <= 0 ? [Math.min(automatic[0], to / 10), to] : hand;
}

/** Which values of columns are outside a range, as [above, below], among those whose x is in sight. */
export function outside(columns, xs, [first, last], [from, to]) {
  let [above, below] = [false, false];
  for (const column of columns) {
    for (let i = 0; i < column.length; i += 1) {
      if (column[i] === null || xs[i] < first || xs[i] > last) continue;
      if (column[i] > to) above = true;
      else if (column[i] < from) below = true;
    }
  }
  return [above, below];
}
