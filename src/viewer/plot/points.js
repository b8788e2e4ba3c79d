// The points of one series, the newest as they came, and the older the coarser. Pure data.
//
// They stand in levels of the same size. When one is full, its older half moves to the next: of four points the least
// and the greatest remain, as they came. So each doubling of a series costs the same little memory, nothing that is
// kept is moved, and no peak is lost.

import { clamp } from "./axes.js";

/** The most points of a level. */
const SIZE = 2048;

/** Of this many points two remain. */
const MERGED = 4;

/** What is known of a point, in this order: the number of its record, when that was read, its own time, the value. */
export const ORDER = 0;
export const ARRIVAL = 1;
export const OWN = 2; // NaN: it has none
const VALUE = 3;
const WIDTH = 4;

export class Points {
  #levels = []; // {data, n}: the newest first

  /** Times are in ms since the epoch. */
  add(order, arrival, own, value) {
    this.#push(0, order, arrival, own, value);
  }

  copy() {
    const copy = new Points();
    copy.#levels = this.#levels.map(({ data, n }) => ({ data: data.slice(), n }));
    return copy;
  }

  /** The points along one of ORDER, ARRIVAL and OWN, those whose `by` is at least `since`, as {xs, ys}. */
  along(axis, by = axis, since = -Infinity) {
    const [xs, ys] = [[], []];
    let sorted = true;
    for (const { data, n } of this.#levels.toReversed()) {
      for (let at = 0; at < n * WIDTH; at += WIDTH) {
        const x = data[at + axis];
        if (Number.isNaN(x) || !(data[at + by] >= since)) continue;
        sorted &&= xs.length === 0 || x >= xs[xs.length - 1];
        xs.push(x);
        ys.push(data[at + VALUE]);
      }
    }
    if (sorted) return { xs, ys };
    const places = Array.from(xs, (_, i) => i).sort((a, b) => xs[a] - xs[b]);
    return { xs: places.map((i) => xs[i]), ys: places.map((i) => ys[i]) };
  }

  #push(k, order, arrival, own, value) {
    const level = (this.#levels[k] ??= { data: new Float64Array(16 * WIDTH), n: 0 });
    if (level.n === SIZE) this.#merge(k);
    const at = level.n * WIDTH;
    if (at === level.data.length) {
      const data = new Float64Array(Math.min(at * 4, SIZE * WIDTH));
      data.set(level.data);
      level.data = data;
    }
    const { data } = level;
    data[at + ORDER] = order;
    data[at + ARRIVAL] = arrival;
    data[at + OWN] = own;
    data[at + VALUE] = value;
    level.n += 1;
  }

  #merge(k) {
    const { data } = this.#levels[k];
    for (let from = 0; from < SIZE / 2; from += MERGED) {
      let [least, greatest] = [from, from];
      for (let i = from + 1; i < from + MERGED; i += 1) {
        if (data[i * WIDTH + VALUE] < data[least * WIDTH + VALUE]) least = i;
        if (data[i * WIDTH + VALUE] >= data[greatest * WIDTH + VALUE]) greatest = i; // of equal ones first and last
      }
      for (const i of [Math.min(least, greatest), Math.max(least, greatest)]) {
        const at = i * WIDTH;
        this.#push(k + 1, data[at + ORDER], data[at + ARRIVAL], data[at + OWN], data[at + VALUE]);
      }
    }
    data.copyWithin(0, (SIZE / 2) * WIDTH);
    this.#levels[k].n = SIZE / 2;
  }
}

/** The points from one x to another, and one more on either side, so that a line continues to the edge. */
export function within({ xs, ys }, from, to) {
  const first = xs.findIndex((x) => x >= from);
  const last = xs.findLastIndex((x) => x <= to);
  const [begin, end] = [first === -1 ? xs.length - 1 : first - 1, last + 2];
  return { xs: xs.slice(Math.max(begin, 0), end), ys: ys.slice(Math.max(begin, 0), end) };
}

/** The most cells of a table, about, whose rows and columns both grow with the number of series. */
const MAX_CELLS = 600_000;

/** But a series has at least this many points. */
const LEAST_POINTS = 100;

/** Series of points on one x-axis, as uPlot needs them: {xs, columns}, with null where a series has no point. */
export function align(all) {
  const series = all.map((points) => thin(points, Math.max(LEAST_POINTS, MAX_CELLS / all.length ** 2)));
  const xs = [];
  const columns = series.map(() => []);
  const at = series.map(() => 0);
  for (;;) {
    let x = Infinity;
    for (let i = 0; i < series.length; i += 1) if (series[i].xs[at[i]] < x) x = series[i].xs[at[i]];
    if (x === Infinity) return { xs, columns };
    xs.push(x);
    for (let i = 0; i < series.length; i += 1) {
      columns[i].push(series[i].xs[at[i]] === x ? clamp(series[i].ys[at[i]]) : null);
      if (series[i].xs[at[i]] === x) at[i] += 1;
    }
  }
}

/** About this many points: of those that stand together, the least and the greatest. */
function thin({ xs, ys }, most) {
  if (xs.length <= most) return { xs, ys };
  const size = Math.ceil((2 * xs.length) / most);
  const kept = [];
  for (let from = 0; from < xs.length; from += size) {
    let [least, greatest] = [from, from];
    for (let i = from + 1; i < Math.min(from + size, xs.length); i += 1) {
      if (ys[i] < ys[least]) least = i;
      if (ys[i] >= ys[greatest]) greatest = i;
    }
    kept.push(Math.min(least, greatest));
    if (least !== greatest) kept.push(Math.max(least, greatest));
  }
  return { xs: kept.map((i) => xs[i]), ys: kept.map((i) => ys[i]) };
}
