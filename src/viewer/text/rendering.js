// How the text of a record is shown: always as text nodes, never as markup.
//
// JSON is coloured by its tokens, and laid out over lines when it is unfolded (json.js). The colours of a terminal
// become colours (ansi.js). What can't be seen is named (characters.js).

import { make } from "../dom.js";
import { pieces } from "./ansi.js";
import { cut, visible } from "./characters.js";
import { layOut, looksLikeJson, parseJson } from "./json.js";

/** A row shows at most this many characters of a record; a screen is not wider. */
const LINE = 600;

const TOKEN = /"(?:[^"\\]|\\.)*"(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b|[{}[\],:]/g;

/** A record on one line, as far as a screen can show it. */
export function oneLine(text) {
  const line = cut(text, LINE)
    .replace(/\r\n|\n|\r/g, "⏎")
    .replaceAll("\t", "  ");
  return looksLikeJson(text) ? coloured(line) : plain(line);
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

function plain(text) {
  const nodes = document.createDocumentFragment();
  for (const [piece, pen] of pieces(text)) nodes.append(painted(visible(piece), pen));
  return nodes;
}

function painted(text, pen) {
  const names = ["bold", "dim", "italic", "underline", "inverse"].filter((name) => pen[name]);
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
