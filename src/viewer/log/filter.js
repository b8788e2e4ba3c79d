// Which items the log shows: those that match the text of the filter, and have one of the chosen event types. Pure
// data.

import { withoutSequences } from "../text/ansi.js";

/** The type of events that name none (WHATWG HTML, section 9.2.6). */
export const UNNAMED = "message";

/**
 * A test for items, from what was typed (a text, in upper or lower case, or `/regular expression/flags`) and the chosen
 * types (none: all). `test` is null if everything passes; `error` says what is wrong with a regular expression.
 */
export function makeFilter(typed, types) {
  const { find, error } = finder(typed);
  if (error) return { test: () => false, error };
  if (!find && types.size === 0) return { test: null, error: "" };
  const test = (item) => {
    if (types.size > 0 && (item.notice || !types.has(item.type || UNNAMED))) return false;
    return !find || find(withoutSequences(item.data)) || (item.type !== "" && find(item.type)) || (item.id !== "" && find(item.id));
  };
  return { test, error: "" };
}

function finder(typed) {
  if (typed === "") return { find: null };
  const expression = /^\/(.+)\/([a-z]*)$/s.exec(typed);
  try {
    // A regular expression is much faster than lower-casing every text. With `g` or `y` it would remember its place.
    const regex = expression
      ? new RegExp(expression[1], expression[2].replace(/[gy]/g, ""))
      : new RegExp(typed.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"), "i");
    return { find: (text) => regex.test(text) };
  } catch (error) {
    return { find: null, error: error.message };
  }
}

/**
 * The numbers of the items that pass a filter, in order. They are searched in pieces, so that 200,000 items don't block
 * the page: until all are searched, it has what was found so far.
 */
export class FilteredItems {
  #items;
  #test = null;
  #found = []; // the numbers, if there is a test
  #head = 0; // those before it have left the buffer
  #next = 0; // the number of the first item that is not tested yet

  constructor(items) {
    this.#items = items;
  }

  get length() {
    return this.#test ? this.#found.length - this.#head : this.#items.end - this.#items.first;
  }

  /** Whether the whole buffer has been tested. */
  get complete() {
    return !this.#test || this.#next >= this.#items.end;
  }

  filter(test) {
    this.#test = test;
    this.#found = [];
    this.#head = 0;
    this.#next = this.#items.first;
  }

  /** Tests what is not tested yet, for at most this many ms. */
  advance(ms) {
    if (!this.#test) return;
    this.#next = Math.max(this.#next, this.#items.first);
    const deadline = performance.now() + ms;
    while (this.#next < this.#items.end) {
      const end = Math.min(this.#next + 500, this.#items.end);
      for (; this.#next < end; this.#next += 1) {
        if (this.#test(this.#items.get(this.#next))) this.#found.push(this.#next);
      }
      if (performance.now() > deadline) break;
    }
    while (this.#head < this.#found.length && this.#found[this.#head] < this.#items.first) this.#head += 1;
    if (this.#head > 100_000) {
      this.#found = this.#found.slice(this.#head);
      this.#head = 0;
    }
  }

  /** The number of the item in this row. */
  at(row) {
    return this.#test ? this.#found[this.#head + row] : this.#items.first + row;
  }

  /** The first row whose item has this number or a higher one. */
  row(n) {
    if (!this.#test) return Math.min(Math.max(n - this.#items.first, 0), this.length);
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
