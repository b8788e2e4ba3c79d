// How the text of a record is shown: always as text nodes, never as markup.
//
// JSON is coloured by its tokens, and laid out over lines when it is unfolded (json.js). The colours of a terminal
// become colours, and its other sequences are dropped (ansi.js). What can't be seen is named (characters.js).

import { make } from "../dom.js";
import { lastState, pieces } from "./ansi.js";
import { cut, visible } from "./characters.js";
import { layOut, looksLikeJson, parseJson } from "./json.js";

/** A row shows at most this many characters of a record; a screen is not wider. */
const LINE = 600;

/** At most this many matches of an expression are marked in one text. */
const MAX_MARKS = 500;

const TOKEN = /"(?:[^"\\]|\\.)*"(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b|[{}[\],:]/g;

/** Sequences of a terminal may take this much of a record's beginning before that is a row. */
const MOST = 64 * 1024;

/** A record on one line, up to `room` characters; of a line that was redrawn, the last state. */
export function oneLine(text, room = LINE) {
  const state = looksLikeJson(text) ? null : lastState(text);
  const shown = state === null ? text : `\n${state}`;
  const cutAt = shown.includes("\x1b") ? MOST : room;
  const line = cut(shown, cutAt)
    .replace(/\r\n|\n|\r/g, "⏎")
    .replaceAll("\t", "  ");
  return cutAt === room && looksLikeJson(text) ? coloured(line) : plain(line, room);
}

/** A record over all the lines that it needs. */
export function unfolded(text) {
  return parseJson(text) === undefined ? plain(text) : coloured(layOut(text));
}

/** Puts marks around what the expressions, each with the flag `g`, find in the text that an element shows. */
export function mark(element, expressions) {
  if (expressions.length === 0) return;
  const nodes = [];
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) nodes.push(walker.currentNode);
  const found = expressions.flatMap((expression) => matches(element.textContent, expression));
  found.sort((a, b) => a[0] - b[0]);
  let at = 0; // where the node begins in the text
  let next = 0; // of the matches
  for (let node of nodes) {
    const end = at + node.length;
    while (next < found.length && found[next][0] < end) {
      const [from, to] = [Math.max(found[next][0], at), Math.min(found[next][1], end)];
      if (from < to) {
        const piece = from > at ? node.splitText(from - at) : node;
        if (to < end) node = piece.splitText(to - from);
        const marked = make("mark");
        piece.replaceWith(marked);
        marked.append(piece);
        at = to;
      }
      if (found[next][1] > end) break; // it goes on in the next node
      next += 1;
    }
    at = end;
  }
}

/** Where an expression matches, as [from, to]. */
function matches(text, expression) {
  const all = [];
  for (const match of text.matchAll(expression)) {
    if (match[0] !== "") all.push([match.index, match.index + match[0].length]);
    if (all.length === MAX_MARKS) break;
  }
  return all;
}

function coloured(text) {
  const nodes = document.createDocumentFragment();
  let at = 0;
  TOKEN.lastIndex = 0;
  for (let found = TOKEN.exec(text); found; found = TOKEN.exec(text)) {
    if (found.index > at) nodes.append(visible(text.slice(at, found.index)));
    const [token, colon] = found;
    const first = token[0];
    if (colon !== undefined) nodes.append(make("span", "key", visible(token.slice(0, -colon.length))), colon);
    else if (first === '"') nodes.append(make("span", "string", visible(token)));
    else if (first === "t" || first === "f" || first === "n") nodes.append(make("span", "word", token));
    else if ("{}[],:".includes(first)) nodes.append(make("span", "mark", token));
    else nodes.append(make("span", "number", token));
    at = found.index + token.length;
  }
  if (at < text.length) nodes.append(visible(text.slice(at)));
  return nodes;
}

function plain(text, room = Infinity) {
  const nodes = document.createDocumentFragment();
  for (const [piece, pen] of pieces(text)) {
    nodes.append(painted(visible(cut(piece, room)), pen));
    room -= piece.length;
    if (room <= 0) break;
  }
  return nodes;
}

function painted(text, pen) {
  const names = ["bold", "dim", "italic", "underline", "strike", "inverse"].filter((name) => pen[name]);
  if (typeof pen.ink === "number") names.push(`ink-${pen.ink}`);
  if (typeof pen.ground === "number") names.push(`ground-${pen.ground}`);
  const fixed = typeof pen.ink === "string" || typeof pen.ground === "string";
  if (names.length === 0 && !fixed) return text;
  const span = make("span", names.join(" "), text);
  // Set by script, which a policy against inline styles allows; a value that is no colour is ignored.
  if (typeof pen.ink === "string") span.style.color = pen.ink;
  if (typeof pen.ground === "string") span.style.backgroundColor = pen.ground;
  return span;
}
