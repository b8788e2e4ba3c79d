// Which items the log shows: those that match what was typed, and are of the chosen event types.

/** The event type of events without a name, as the standard has it (WHATWG HTML, section 9.2.6). */
export const UNNAMED = "message";

/**
 * A test for items, from what was typed (a text, upper or lower case alike, or `/regular expression/flags`) and the
 * chosen types (none: all). `test` is null where everything passes; `error` says why an expression is none.
 */
export function makeFilter(typed, types) {
  const { find, error } = finder(typed);
  if (error) return { test: () => false, error };
  if (!find && types.size === 0) return { test: null, error: "" };
  const test = (item) => {
    if (types.size > 0 && (item.notice || !types.has(item.type || UNNAMED))) return false;
    return !find || find(item.data) || (item.type !== "" && find(item.type)) || (item.id !== "" && find(item.id));
  };
  return { test, error: "" };
}

function finder(typed) {
  if (typed === "") return { find: null };
  const written = /^\/(.+)\/([a-z]*)$/s.exec(typed);
  try {
    // A regular expression is much faster than lower-casing every text. `g` and `y` would remember where they were.
    const regex = written
      ? new RegExp(written[1], written[2].replace(/[gy]/g, ""))
      : new RegExp(typed.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"), "i");
    return { find: (text) => regex.test(text) };
  } catch (error) {
    return { find: null, error: error.message };
  }
}

/**
 * The numbers of the items that pass a filter, in order. It is brought up to date in pieces, so that 200,000 items
 * don't hold the page up: until then it has what was found so far.
 */
export class View {
  #held;
  #test = null;
  #found = []; // the numbers, where there is a test
  #head = 0; // those before it are not held any more
  #next = 0; // the number of the first item that was not tested yet
  #start = 0; // items before it were there when the log was cleared

  constructor(held) {
    this.#held = held;
  }

  get length() {
    return this.#test ? this.#found.length - this.#head : this.#held.end - this.#from;
  }

  get #from() {
    return Math.max(this.#start, this.#held.first);
  }

  /** Whether all that is held has been tested. */
  get complete() {
    return !this.#test || this.#next >= this.#held.end;
  }

  filter(test) {
    this.#test = test;
    this.#found = [];
    this.#head = 0;
    this.#next = this.#from;
  }

  /** Tests what was not tested yet, for at most so many ms. */
  advance(ms) {
    if (!this.#test) return;
    this.#next = Math.max(this.#next, this.#from);
    const deadline = performance.now() + ms;
    while (this.#next < this.#held.end) {
      const end = Math.min(this.#next + 500, this.#held.end);
      for (; this.#next < end; this.#next += 1) {
        if (this.#test(this.#held.get(this.#next))) this.#found.push(this.#next);
      }
      if (performance.now() > deadline) break;
    }
    while (this.#head < this.#found.length && this.#found[this.#head] < this.#from) this.#head += 1;
    if (this.#head > 100_000) {
      this.#found = this.#found.slice(this.#head);
      this.#head = 0;
    }
  }

  /** The number of the item in this row. */
  at(row) {
    return this.#test ? this.#found[this.#head + row] : this.#from + row;
  }

  /** The first row whose item has this number or a higher one. */
  row(n) {
    if (!this.#test) return Math.min(Math.max(n - this.#from, 0), this.length);
    let low = this.#head;
    let high = this.#found.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#found[middle] < n) low = middle + 1;
      else high = middle;
    }
    return low - this.#head;
  }
}
