// Which items the log shows: those for which every term of the filter holds, and that have one of the chosen event
// types. Pure data.
//
//     text              the text is in it, in upper or lower case
//     "two words"       the same; what stands in quotes may have blanks in it, or begin with `!` or `/`
//     /expression/i     the regular expression matches
//     level:error       records of this level
//     !text             not this; also before quotes, expressions and levels

import { withoutSequences } from "../text/ansi.js";

/** The type of events that name none (WHATWG HTML, section 9.2.6). */
export const UNNAMED = "message";

/** A filter is read up to this length: the address may have any. */
export const MAX_FILTER = 1_000;

/** Slashes and quotes have a meaning only if a blank or nothing follows: `/var/log` and `"level":"warn"` are texts. */
const TERM = /(!?)(?:\/((?:\\.|[^\\])+?)\/([dgimsuvy]*)(?!\S)|"([^"]+)"(?!\S)|"([^"]*)$|(\S+))/gs;

/** The levels by their names in logs; 10 to 60 are pino's numbers, 0 to 7 those of syslog (RFC 5424, 6.2.1). */
const LEVELS = {
  fatal: ["fatal", "critical", "crit", "panic", "emerg", "emergency", "alert", "60", "0", "1", "2"],
  error: ["error", "err", "50", "3"],
  warn: ["warn", "warning", "40", "4"],
  info: ["info", "notice", "information", "30", "5", "6"],
  debug: ["debug", "20", "7"],
  trace: ["trace", "10"],
};
const LEVEL = new Map(Object.entries(LEVELS).flatMap(([level, names]) => names.map((name) => [name, level])));

/** A level is looked for in this much of a record's beginning. */
const HEAD = 2_000;

/** A member or a pair that names the level; the priority of a syslog line; a word that is not part of a name. */
const NAMED = /(?:"(?:log\.)?(?:level|lvl|severity)"\s{0,4}:\s{0,4}"?|(?:^|[\s,;{[(])(?:level|lvl|severity)=["']?)([a-z]+|\d+)(?![\w-]|\.\d)/i;
const PRIORITY = /^<(\d{1,3})>/;
const WORD =
  /(?:^|[^\w./=-])(fatal|critical|panic|error|warn|warning|notice|info|debug|trace)(?![\w/=-]|\.\w|"\s?:)/i;

/** The level of a record, or "" if it names none. */
export function levelOf(text) {
  const head = withoutSequences(text.slice(0, HEAD));
  const named = NAMED.exec(head);
  if (named) return LEVEL.get(named[1].toLowerCase()) ?? "";
  const priority = PRIORITY.exec(head);
  if (priority) return LEVEL.get(String(priority[1] % 8));
  const word = /^\s*\{/.test(head) ? null : WORD.exec(head); // in JSON a word may be anything
  return word ? LEVEL.get(word[1].toLowerCase()) : "";
}

/**
 * The terms of a filter, {not, expression} or {not, level}, from what was typed; or what is wrong with it, as `error`.
 * Each expression finds all matches, as a mark needs them.
 */
export function readFilter(typed) {
  const terms = [];
  try {
    for (const [, not, expression, flags, quoted, unclosed, text] of typed.slice(0, MAX_FILTER).matchAll(TERM)) {
      const literal = quoted ?? unclosed ?? text;
      if (literal === "" || text === "!") continue; // more of it is being typed
      const level = /^level:(\w+)$/i.exec(text)?.[1].toLowerCase();
      if (Object.hasOwn(LEVELS, level)) {
        terms.push({ not: not !== "", level });
        continue;
      }
      // A regular expression is much faster than lower-casing every text.
      const made =
        expression === undefined
          ? new RegExp(literal.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"), "gi")
          : new RegExp(new RegExp(expression, flags), `${flags.replace(/[gy]/g, "")}g`);
      terms.push({ not: not !== "", expression: made });
    }
  } catch (error) {
    return { terms: [], error: error.message };
  }
  return { terms, error: "" };
}

/** A test for items, from terms and the chosen types (none: all); null if everything passes. */
export function makeTest(terms, types) {
  if (terms.length === 0 && types.size === 0) return null;
  return (item) => {
    if (types.size > 0 && (item.notice || !types.has(item.type || UNNAMED))) return false;
    if (terms.length === 0) return true;
    const data = withoutSequences(item.data);
    return terms.every(({ not, expression, level }) => {
      if (level) return (!item.notice && levelOf(item.data) === level) !== not;
      const found = matches(expression, data) || matches(expression, item.type) || matches(expression, item.id);
      return found !== not;
    });
  };
}

/** Whether it matches; with `g` it would go on where it stopped the last time. */
function matches(expression, text) {
  expression.lastIndex = 0;
  return expression.test(text);
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

  /** The number of the first item that is not tested yet. */
  get tested() {
    return this.#test ? this.#next : this.#items.end;
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
