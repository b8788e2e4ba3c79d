// The numbers in records, each with a name: what the plot draws. Pure: no page, no clock.
//
// A record may be a bare number ("value"); columns separated by commas, semicolons, tabs or spaces (named by a heading
// such as vmstat's or a CSV file's, if one came before); a JSON object with numbers, also in nested ones ("user.id",
// "load.0"); or a text with name=number in it, as ping and logfmt write.

/** The most numbers that are taken from one record. */
const MAX_NUMBERS = 32;

/** Texts longer than this, in UTF-16 units, are not measurements. */
const MAX_LENGTH = 16_384;

/** Objects nested deeper than this are not searched. */
const MAX_DEPTH = 6;

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?%?$/;
const PAIR = /(?:^|[\s,;([])([A-Za-z_][\w.-]*)=([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.:/-])/g;

/** Times and dates, which are often before the columns. */
const TIME = /^(?:\d{4}-\d\d-\d\d(?:[T ].*)?|\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?|\d{1,2}\/\d{1,2}\/\d{2,4}|[AP]M)$/;

/** Finds the numbers of the records of one stream; it remembers the heading of columns. */
export class Numbers {
  #heading = null; // the names of the columns, from the last line that may be a heading

  /** The numbers of a record, as [name, value] pairs; `json` is its value if it is a JSON object or array. */
  find(text, json) {
    if (json !== undefined) return members(json);
    if (text.length > MAX_LENGTH) return [];
    const cells = columns(text);
    if (cells.length === 1) {
      const value = number(cells[0]);
      return value === null ? pairs(text) : [["value", value]];
    }
    const found = this.#columns(cells);
    if (found.length > 0) return found;
    this.#heading = null;
    const named = pairs(text);
    if (named.length === 0 && cells.every((cell) => cell !== "" && cell.length <= 40)) this.#heading = cells;
    return named;
  }

  #columns(cells) {
    const values = cells.map(number);
    const heading = this.#heading?.length === cells.length ? this.#heading : null;
    const numeric = values.filter((value) => value !== null).length;
    // Without a heading, only times may be between the numbers: with other words it is a sentence.
    const rest = cells.filter((cell, i) => values[i] === null && cell !== "" && !TIME.test(cell)).length;
    if (numeric === 0 || (rest > 0 && (!heading || numeric < rest))) return [];
    const found = [];
    values.forEach((value, i) => {
      if (value !== null && found.length < MAX_NUMBERS) found.push([heading ? heading[i] : `column ${i + 1}`, value]);
    });
    return distinct(found);
  }
}

/** The cells of a line, split at the separator that is in it. */
function columns(text) {
  const line = text.trim();
  for (const separator of ["\t", ";", ","]) {
    if (line.includes(separator)) return line.split(separator).map((cell) => cell.trim());
  }
  return line.split(/ +/);
}

/** The number that a cell is, or null. */
function number(cell) {
  if (!NUMBER.test(cell)) return null;
  const value = Number(cell.endsWith("%") ? cell.slice(0, -1) : cell);
  return Number.isFinite(value) ? value : null;
}

function pairs(text) {
  const found = [];
  for (const [, name, value] of text.matchAll(PAIR)) {
    if (found.length === MAX_NUMBERS) break;
    found.push([name, Number(value)]);
  }
  return distinct(found);
}

function members(json) {
  const found = [];
  const walk = (value, name, depth) => {
    if (found.length >= MAX_NUMBERS) return;
    if (typeof value === "number" && Number.isFinite(value)) {
      found.push([name || "value", value]);
    } else if (typeof value === "object" && value !== null && depth < MAX_DEPTH) {
      // The coordinates of a geometry are not measurements; the map shows them.
      if (Array.isArray(value.coordinates) && typeof value.type === "string") return;
      for (const [key, member] of Object.entries(value)) walk(member, name === "" ? key : `${name}.${key}`, depth + 1);
    }
  };
  walk(json, "", 0);
  return found;
}

/** If numbers have the same name, the later ones get a number after it. */
function distinct(found) {
  const seen = new Map();
  return found.map(([name, value]) => {
    const n = (seen.get(name) ?? 0) + 1;
    seen.set(name, n);
    return [n === 1 ? name : `${name} ${n}`, value];
  });
}
