// Lines of columns: CSV (RFC 4180) and its kin with semicolons, tabs or bars, and what programs such as vmstat print
// with blanks. A heading before them names the columns.

import { isMissing, quantity } from "./quantity.js";
import { role } from "./roles.js";
import { dateTime, isClock, isDate, isTimePart } from "./time.js";
import { looksLikeWkt } from "./wkt.js";

const SEPARATORS = ["\t", ";", "|", ","];

/** Lines with more cells than this are not tables; a longer cell is not a heading. */
const MAX_CELLS = 256;
const MAX_HEADING = 60;

/** As many headings are remembered, by separator and number of cells. */
const MAX_HEADINGS = 16;

export class Table {
  #headings = new Map();

  /** What a line says as a row: {fields, time, label, comma} as readFields() takes them; or null. */
  row(line) {
    const { cells, separator } = split(line);
    if (cells.length < 2 || cells.length > MAX_CELLS) return null;
    const comma = separator !== ",";
    const heading = this.#headings.get(separator + cells.length);
    const quantities = cells.map((cell) => quantity(cell, comma));
    const { time, timed } = timeOfCells(cells, quantities);
    const isText = (i) => quantities[i] === null && !timed.has(i) && !isMissing(cells[i]);
    let [numbers, words] = [0, 0];
    for (let i = 0; i < cells.length; i += 1) {
      if (quantities[i] !== null) numbers += 1;
      else if (isText(i) && /\p{L}/u.test(cells[i])) words += 1;
    }
    if (numbers === 0 && !(heading && cells.some(looksLikeWkt))) return null;
    // Without a heading, other words make it a sentence; and of one that looks like a row of blanks, too many do.
    if (heading ? separator === " " && numbers < words : words > 0) return null;
    const label = heading ? rowLabel(cells, heading, separator, timed, isText) : -1;
    const fields = [];
    for (let i = 0; i < cells.length; i += 1) {
      if (i === label || timed.has(i) || isMissing(cells[i])) continue;
      fields.push([heading ? heading[i] : `column ${i + 1}`, cells[i], quantities[i]]);
    }
    return { fields, time, label: cells[label] ?? "", comma };
  }

  /** Takes a line without numbers as the heading of the rows that follow, if it can be one. */
  head(line) {
    let { cells, separator } = split(line.replace(/^#\s{0,8}/, ""));
    if (separator === " " && cells[0].endsWith(":")) cells = cells.slice(1); // iostat names the table
    if (cells.length < 2 || cells.length > MAX_CELLS) return;
    if (!cells.every((cell) => cell !== "" && cell.length <= MAX_HEADING && quantity(cell) === null)) return;
    const key = separator + cells.length;
    // The line of units below a heading has the same cell twice.
    if (this.#headings.has(key) && new Set(cells).size < cells.length) return;
    this.#headings.delete(key);
    this.#headings.set(key, cells);
    if (this.#headings.size > MAX_HEADINGS) this.#headings.delete(this.#headings.keys().next().value);
  }
}

/**
 * Which column names the row of a table that has no name: an identifier, or the first column of a terminal's table; or
 * -1.
 */
function rowLabel(cells, names, separator, timed, isText) {
  const identifier = names.findIndex((name) => role(name).kind === "id");
  if (identifier !== -1) return identifier;
  const first = cells.findIndex((_, i) => !timed.has(i));
  if (separator !== " " || first === -1) return -1;
  return isText(first) || (/^[cg]pu$/i.test(names[first]) && /^\d{1,6}$/.test(cells[first])) ? first : -1;
}

/** The first time in a row, in one cell or in two, and the cells that are parts of times. */
function timeOfCells(cells, quantities) {
  const timed = new Set();
  let time = null;
  for (let i = 0; i < cells.length; i += 1) {
    if (quantities[i] !== null) continue;
    const both = isDate(cells[i]) && i + 1 < cells.length && isClock(cells[i + 1]);
    const found = dateTime(both ? `${cells[i]} ${cells[i + 1]}` : cells[i]);
    if (found === null && !isTimePart(cells[i])) continue;
    time ??= found;
    timed.add(i);
    if (both) timed.add((i += 1));
  }
  return { time, timed };
}

/** The cells of a line, at the separator that is in it. */
export function split(line) {
  const quoted = line.includes('"');
  const outside = quoted ? withoutQuoted(line) : line;
  const separator = SEPARATORS.find((one) => outside.includes(one)) ?? " ";
  const words = separator === " " || (separator === "," && / /.test(line)) ? line.trim().split(/\s+/) : null;
  if (separator === " ") return { cells: words, separator };
  // 12,5 45,1 are two numbers with decimal commas.
  if (words && words.every((word) => quantity(word, true) !== null)) return { cells: words, separator: " " };
  if (!quoted) return { cells: line.split(separator).map((cell) => cell.trim()), separator };
  return { cells: quotedCells(line, separator), separator };
}

function withoutQuoted(line) {
  return line
    .split('"')
    .filter((_, i) => i % 2 === 0)
    .join("");
}

/** RFC 4180, section 2: a cell may be in quotes; a quote in it is doubled. */
function quotedCells(line, separator) {
  const cells = [];
  let cell = "";
  line.split('"').forEach((piece, i) => {
    if (i % 2 === 1) {
      cell += piece;
      return;
    }
    const parts = piece.split(separator);
    // Nothing between two quotes: it was a doubled one.
    if (piece === "" && i > 0) cell += '"';
    cell += parts[0];
    for (const part of parts.slice(1)) {
      cells.push(cell);
      cell = part;
    }
  });
  cells.push(cell);
  return cells.map((one) => one.replace(/"$/, "").trim());
}
