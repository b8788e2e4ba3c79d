// How the text of a record is shown: always as text nodes, never as markup.
//
// JSON is coloured by its tokens and laid out over lines where it is unfolded, without being read into numbers and back
// (1.10 stays 1.10). The colours of a terminal (ECMA-48, select graphic rendition) become colours. Other control
// characters are shown as their pictures, and those that turn the direction of the text by their names, so that nothing
// that is shown stands in another place than it has.

/** A line is searched for tokens up to here; a screen shows less. */
const LINE = 600;

const TOKEN = /"(?:[^"\\]|\\.)*"(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b|[{}[\],:]/g;

/** Whether a text looks like a JSON object or array; that a screenful of it is coloured wrong does no harm. */
export function looksLikeJson(text) {
  return /^\s*[[{]/.test(text) && /[\]}]\s*$/.test(text.slice(-20));
}

/** A value if the text is a JSON object or array, or undefined. */
export function parseJson(text) {
  if (!looksLikeJson(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The nodes of a record on one line, as far as a screen can show it. */
export function oneLine(text) {
  const cut = text.length > LINE ? `${text.slice(0, wholeCharacters(text, LINE))}…` : text;
  const line = cut.replace(/\r\n|\n|\r/g, "⏎").replaceAll("\t", "  ");
  return looksLikeJson(text) ? coloured(line) : plain(line);
}

/** The nodes of a record over all the lines that it takes. */
export function unfolded(text) {
  return parseJson(text) === undefined ? plain(text) : coloured(layOut(text));
}

/** `end`, moved so that it does not fall between two surrogates. */
export function wholeCharacters(text, end) {
  if (end >= text.length) return text.length;
  const unit = text.charCodeAt(end - 1);
  return unit >= 0xd800 && unit < 0xdc00 ? end - 1 : end;
}

/** The text, cut to so much. */
export function cut(text, length) {
  return text.length <= length ? text : `${text.slice(0, wholeCharacters(text, length))}…`;
}

/** An element with a class and a text. */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

// JSON

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

/** Valid JSON over lines; a list or an object without others in it stays on one line where it is short. */
function layOut(text) {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
  const out = [];
  let depth = 0;
  const newLine = () => out.push("\n", "  ".repeat(depth));
  for (let i = 0; i < tokens.length; i += 1) {
    const token = tokens[i];
    if (token === "{" || token === "[") {
      const short = shortList(tokens, i);
      if (short > 0) {
        out.push(spaced(tokens.slice(i, short)));
        i = short - 1;
      } else {
        depth += 1;
        out.push(token);
        newLine();
      }
    } else if (token === "}" || token === "]") {
      depth -= 1;
      newLine();
      out.push(token);
    } else {
      out.push(token);
      if (token === ",") newLine();
      if (token === ":") out.push(" ");
    }
  }
  return out.join("");
}

/** Where the list that begins at `i` ends, if it fits on a line and has no other in it; otherwise 0. */
function shortList(tokens, i) {
  let length = 0;
  for (let j = i + 1; j < tokens.length && length < 64; j += 1) {
    if (tokens[j] === "{" || tokens[j] === "[") return 0;
    if (tokens[j] === "}" || tokens[j] === "]") return i > 0 || j === i + 1 ? j + 1 : 0;
    length += tokens[j].length + 1;
  }
  return 0;
}

function spaced(tokens) {
  return tokens.map((token) => (token === "," || token === ":" ? `${token} ` : token)).join("");
}

// Other text

const SGR = /\x1b\[([0-9;:]*)m/g;

function plain(text) {
  const nodes = document.createDocumentFragment();
  if (!text.includes("\x1b[")) {
    nodes.append(visible(text));
    return nodes;
  }
  const pen = {};
  let at = 0;
  const put = (end) => {
    if (end > at) nodes.append(painted(visible(text.slice(at, end)), pen));
  };
  for (const found of text.matchAll(SGR)) {
    put(found.index);
    at = found.index + found[0].length;
    select(pen, found[1].split(/[;:]/).map(Number));
  }
  put(text.length);
  return nodes;
}

/** What a sequence of SGR parameters makes of the pen: {bold, dim, italic, underline, inverse, ink, ground}. */
function select(pen, codes) {
  for (let i = 0; i < codes.length; i += 1) {
    const code = codes[i];
    if (code === 0) for (const name of Object.keys(pen)) delete pen[name];
    else if (code === 1) pen.bold = true;
    else if (code === 2) pen.dim = true;
    else if (code === 3) pen.italic = true;
    else if (code === 4) pen.underline = true;
    else if (code === 7) pen.inverse = true;
    else if (code === 22) pen.bold = pen.dim = false;
    else if (code === 23) pen.italic = false;
    else if (code === 24) pen.underline = false;
    else if (code === 27) pen.inverse = false;
    else if (code === 38 || code === 48) {
      const which = code === 38 ? "ink" : "ground";
      if (codes[i + 1] === 5) {
        pen[which] = indexed(codes[i + 2]);
        i += 2;
      } else if (codes[i + 1] === 2) {
        pen[which] = `rgb(${codes.slice(i + 2, i + 5).join(" ")})`;
        i += 4;
      }
    } else if (code === 39) delete pen.ink;
    else if (code === 49) delete pen.ground;
    else if (code >= 30 && code <= 37) pen.ink = code - 30;
    else if (code >= 90 && code <= 97) pen.ink = code - 82;
    else if (code >= 40 && code <= 47) pen.ground = code - 40;
    else if (code >= 100 && code <= 107) pen.ground = code - 92;
  }
}

/** One of the 256 colours: the first 16 are the page's own (a number), the others are fixed. */
function indexed(n) {
  if (!(n >= 0 && n < 256)) return undefined;
  if (n < 16) return n;
  if (n >= 232) return `rgb(${[0, 0, 0].fill(8 + (n - 232) * 10).join(" ")})`;
  const level = (part) => (part === 0 ? 0 : 55 + 40 * part);
  return `rgb(${level(Math.floor((n - 16) / 36))} ${level(Math.floor((n - 16) / 6) % 6)} ${level((n - 16) % 6)})`;
}

function painted(text, pen) {
  const names = ["bold", "dim", "italic", "underline", "inverse"].filter((name) => pen[name]);
  if (typeof pen.ink === "number") names.push(`ink-${pen.ink}`);
  if (typeof pen.ground === "number") names.push(`ground-${pen.ground}`);
  const coloured = typeof pen.ink === "string" || typeof pen.ground === "string";
  if (names.length === 0 && !coloured) return text;
  const span = make("span", names.join(" "), text);
  // Set by script, which a policy against inline styles allows; a value that is no colour is ignored.
  if (typeof pen.ink === "string") span.style.color = pen.ink;
  if (typeof pen.ground === "string") span.style.backgroundColor = pen.ground;
  return span;
}

const DIRECTION = {
  "\u202a": "LRE",
  "\u202b": "RLE",
  "\u202c": "PDF",
  "\u202d": "LRO",
  "\u202e": "RLO",
  "\u2066": "LRI",
  "\u2067": "RLI",
  "\u2068": "FSI",
  "\u2069": "PDI",
};

/** The text with a picture for each control character but tab and line feed, and a name for each turn of direction. */
export function visible(text) {
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, (c) => {
    const code = c.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    return DIRECTION[c] ? `⟨${DIRECTION[c]}⟩` : `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}
