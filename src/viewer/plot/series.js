// The plot's data: a table with a row for each record that has numbers in it, and a column for each series. Pure data.
//
// The number of rows is limited. Once the table is full, a quarter of an hour is kept; if that is more than fits, rows
// are merged: of those in the same step of time two remain, with the least and the greatest value of each series. So a
// flood loses its detail evenly, and never its peaks.

/** Rows at most. */
const MAX_ROWS = 40_000;

/** What is older than this, in ms, is dropped first. */
const KEPT = 15 * 60_000;

/** The most series that are kept. */
const MAX_SERIES = 24;

export class Series {
  /** The names of the series, in the order in which they came. */
  names = [];
  #columns = new Map(); // the values of each series by its name; NaN if a record had none
  #times = new Float64Array(1024);
  #length = 0;
  #step = 0; // rows are merged into steps of this many ms; 0: not yet
  #refused = new Set(); // the names of series that did not fit

  get length() {
    return this.#length;
  }

  /** How many series did not fit. */
  get refused() {
    return this.#refused.size;
  }

  /** When the first and the last row came. */
  get span() {
    return this.#length === 0 ? [0, 0] : [this.#times[0], this.#times[this.#length - 1]];
  }

  clear() {
    this.names = [];
    this.#columns.clear();
    this.#refused.clear();
    this.#length = 0;
    this.#step = 0;
  }

  has(name) {
    return this.#columns.has(name);
  }

  /** Adds the numbers of a record that came at `time`, in ms. */
  add(time, pairs) {
    for (const [name] of pairs) {
      if (this.#columns.has(name)) continue;
      if (this.names.length === MAX_SERIES) {
        if (this.#refused.size < 1000) this.#refused.add(name);
        continue;
      }
      this.names.push(name);
      this.#columns.set(name, new Float64Array(this.#times.length).fill(NaN));
    }
    if (this.#length === MAX_ROWS) this.#makeRoom();
    if (this.#length === this.#times.length) this.#grow();
    const row = this.#length;
    this.#times[row] = Math.max(time, row > 0 ? this.#times[row - 1] : time); // a clock may be set back
    for (const values of this.#columns.values()) values[row] = NaN;
    for (const [name, value] of pairs) {
      const values = this.#columns.get(name);
      if (values) values[row] = value;
    }
    this.#length += 1;
  }

  /** The values of a series from one row to before another. */
  values(name, from = 0, to = this.#length) {
    return this.#columns.get(name).subarray(from, to);
  }

  times(from = 0, to = this.#length) {
    return this.#times.subarray(from, to);
  }

  /** The first row that is not before this time. */
  row(time) {
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#times[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The last value of a series, or null. */
  last(name) {
    const values = this.#columns.get(name);
    for (let row = this.#length - 1; row >= 0; row -= 1) if (!Number.isNaN(values[row])) return values[row];
    return null;
  }

  #grow() {
    const size = Math.min(this.#times.length * 4, MAX_ROWS);
    const grown = (old) => {
      const all = new Float64Array(size).fill(NaN);
      all.set(old);
      return all;
    };
    this.#times = grown(this.#times);
    for (const [name, values] of this.#columns) this.#columns.set(name, grown(values));
  }

  #makeRoom() {
    const [first, last] = this.span;
    const old = this.row(last - KEPT);
    if (old >= MAX_ROWS / 8) {
      this.#drop(old);
      return;
    }
    if (last - first <= 0) {
      this.#drop(MAX_ROWS / 4); // all at the same moment: there are no steps to merge
      return;
    }
    // Two rows a step, so half of the table is free afterwards.
    this.#step = Math.max(this.#step, (last - first) / (MAX_ROWS / 4));
    this.#merge();
    if (this.#length > (MAX_ROWS * 3) / 4) this.#drop(MAX_ROWS / 4);
  }

  #drop(rows) {
    this.#times.copyWithin(0, rows, this.#length);
    for (const values of this.#columns.values()) values.copyWithin(0, rows, this.#length);
    this.#length -= rows;
  }

  #merge() {
    const times = this.#times;
    const length = this.#length;
    const columns = [...this.#columns.values()];
    let out = 0;
    for (let from = 0; from < length;) {
      const step = Math.floor(times[from] / this.#step);
      let to = from + 1;
      while (to < length && Math.floor(times[to] / this.#step) === step) to += 1;
      if (to - from <= 2) {
        for (let row = from; row < to; row += 1, out += 1) {
          times[out] = times[row];
          for (const values of columns) values[out] = values[row];
        }
      } else {
        const [begin, end] = [times[from], times[to - 1]];
        for (const values of columns) {
          let least = NaN;
          let greatest = NaN;
          let leastFirst = true;
          for (let row = from; row < to; row += 1) {
            const value = values[row];
            if (Number.isNaN(value)) continue;
            if (!(value >= least)) {
              least = value;
              leastFirst = false;
            }
            if (!(value <= greatest)) {
              greatest = value;
              leastFirst = true;
            }
          }
          values[out] = leastFirst ? least : greatest;
          values[out + 1] = leastFirst ? greatest : least;
        }
        times[out] = begin;
        times[out + 1] = end;
        out += 2;
      }
      from = to;
    }
    this.#length = out;
  }
}
