// Which items the log shows: those for which every term of the filter holds, and that have one of the chosen event
// types. Pure data, also used by the worker that runs expressions.
//
//     text              the text is in it, in upper or lower case
//     "two words"       the same; text in quotes may have blanks in it, or begin with `!` or `/`
//     /expression/i     the regular expression matches
//     level:error       records of this level
//     !text             not this; also before quotes, expressions and levels

import { withoutSequences } from "../text/ansi.js";

/** The type of events that name none (WHATWG HTML, section 9.2.6). */
export const UNNAMED = "message";

/** A filter is read up to this length: the address may have any. */
export const MAX_FILTER = 1_000;

/** At most this many matches of an expression are marked in one text. */
const MAX_MARKS = 500;

/** The worker tests this many items at a time, of about this many characters. */
const BATCH = 2_000;
const BATCH_TEXT = 1_000_000;

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

/** The level of an item, or "" if its record names none; the page's own notices have none. */
export function levelOf({ notice, data }) {
  if (notice) return "";
  const head = withoutSequences(data.slice(0, HEAD));
  const named = NAMED.exec(head);
  if (named) return LEVEL.get(named[1].toLowerCase()) ?? "";
  const priority = PRIORITY.exec(head);
  if (priority) return LEVEL.get(String(priority[1] % 8));
  const word = /^\s*\{/.test(head) ? null : WORD.exec(head); // in JSON a word may be anything
  return word ? LEVEL.get(word[1].toLowerCase()) : "";
}

/**
 * The terms of a filter, {not, expression, typed} or {not, level}, from what was typed; or what is wrong with it, as
 * `error`. Each expression finds all matches, as a mark needs them; if it was typed as one, it is unknown how long it
 * takes.
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
      terms.push({ not: not !== "", expression: made, typed: expression !== undefined });
    }
  } catch (error) {
    return { terms: [], error: error.message };
  }
  return { terms, error: "" };
}

/**
 * A test for items, from terms and the chosen types (none: all); null if everything passes. What `passes(item)` passes
 * if also the terms `typed` hold, which only a worker may find out; `terms` are all.
 */
export function makeTest(terms, types) {
  if (terms.length === 0 && types.size === 0) return null;
  const typed = terms.filter((term) => term.typed);
  const others = terms.filter((term) => !term.typed);
  const passes = (item) => {
    if (types.size > 0 && (item.notice || !types.has(item.type || UNNAMED))) return false;
    return others.length === 0 || holds(others, item);
  };
  return { passes, typed, terms };
}

/** Whether all terms hold for an item. */
export function holds(terms, item) {
  const data = withoutSequences(item.data);
  return terms.every(({ not, expression, level }) => {
    if (level) return (levelOf(item) === level) !== not;
    const found = matches(expression, data) || matches(expression, item.type) || matches(expression, item.id);
    return found !== not;
  });
}

/** Where expressions match in a text, as [from, to], by their beginnings. */
export function finds(expressions, text) {
  const all = [];
  for (const expression of expressions) {
    let n = 0;
    for (const match of text.matchAll(expression)) {
      if (match[0] !== "") all.push([match.index, match.index + match[0].length]);
      if ((n += 1) === MAX_MARKS) break;
    }
  }
  return all.sort((a, b) => a[0] - b[0]);
}

/** Whether it matches; with `g` it would continue where it stopped the last time. */
function matches(expression, text) {
  expression.lastIndex = 0;
  return expression.test(text);
}

/**
 * The numbers of the items that pass a filter, in order. They are searched in pieces, so that 200,000 items don't block
 * the page: until all are searched, it has what was found so far. With an expression in the filter, a worker searches.
 */
export class FilteredItems {
  #items;
  #test = null;
  #found = []; // the numbers, if there is a test
  #head = 0; // those before it have left the buffer
  #next = 0; // the number of the first item that is not tested yet
  #asking = false; // whether the worker searches
  #expressions;
  #onAnswer;

  /** `onAnswer()` is called when the worker has searched some items. */
  constructor(items, expressions, onAnswer) {
    this.#items = items;
    this.#expressions = expressions;
    this.#onAnswer = onAnswer;
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

  /** Whether the worker must answer before it can continue. */
  get asking() {
    return this.#asking;
  }

  filter(test) {
    this.#test = test;
    this.#asking = false;
    this.#found = [];
    this.#head = 0;
    this.#next = this.#items.first;
  }

  /** Tests what is not tested yet, for at most this many ms, or has the worker test it. */
  advance(ms) {
    if (!this.#test) return;
    const { passes, typed } = this.#test;
    const deadline = performance.now() + ms;
    while (!this.#asking && this.#next < this.#items.end) {
      this.#next = Math.max(this.#next, this.#items.first);
      const end = Math.min(this.#next + (typed.length > 0 ? BATCH : 500), this.#items.end);
      const passed = [];
      let text = 0;
      for (; this.#next < end && text < BATCH_TEXT; this.#next += 1) {
        if (!passes(this.#items.get(this.#next))) continue;
        passed.push(this.#next);
        if (typed.length > 0) text += this.#items.get(this.#next).data.length;
      }
      if (typed.length > 0 && passed.length > 0) this.#ask(passed);
      else this.#found.push(...passed);
      if (performance.now() > deadline) break;
    }
    while (this.#head < this.#found.length && this.#found[this.#head] < this.#items.first) this.#head += 1;
    if (this.#head > 100_000) {
      this.#found = this.#found.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Has the worker test those that have passed; until then they count as not tested. */
  #ask(passed) {
    const test = this.#test;
    const end = this.#next;
    [this.#next] = passed;
    this.#asking = true;
    const request = { test: test.typed, items: passed.map((n) => this.#items.get(n)) };
    this.#expressions.ask(test.terms, request, (answers) => {
      if (test !== this.#test) return;
      this.#found.push(...passed.filter((_, i) => answers[i]));
      this.#next = answers.length < passed.length ? passed[answers.length] : end;
      this.#asking = false;
      this.#onAnswer();
    });
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
