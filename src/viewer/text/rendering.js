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
  // Set by script, which a policy against inline styles allows; a value that is not a colour is ignored.
  if (typeof pen.ink === "string") span.style.color = pen.ink;
  if (typeof pen.ground === "string") span.style.backgroundColor = pen.ground;
  return span;
}
