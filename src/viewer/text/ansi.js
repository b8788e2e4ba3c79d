// What a terminal makes of a text: its colours are kept, its other sequences are dropped, and of a line that is drawn
// again and again the last state is found. ECMA-48, section 8.3.117 (SGR, select graphic rendition), with the colons of
// ISO 8613-6 as well.
//
// rendering.js decides what a pen looks like.

/**
 * CSI sequences; OSC and other strings up to BEL or ST; other escapes. Each character is looked at once or twice: a
 * string ends at the next escape at the latest. What has no end is text.
 */
const SEQUENCE = /\x1b(?:\[([0-?]{0,256}[ -/]{0,8}[@-~])|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]{1,4}[0-~]|[0-OQ-WYZ\\`-~])/g;

/** A number, and its unit if it is short. */
const AMOUNT = /\d[\d.,:]{0,32} ?\p{L}{0,3}(?!\p{L})|\P{L}/gu;

/** Lines longer than this, in UTF-16 units, are not compared. */
const MAX_LINE = 1_000;

/** The text without its sequences. */
export function withoutSequences(text) {
  return text.includes("\x1b") ? text.replace(SEQUENCE, "") : text;
}

/**
 * The pieces of a text between its sequences, as [text, pen]. A pen is {bold, dim, italic, underline, strike, inverse,
 * ink, ground}; a colour is a number for one of the page's own 16, or a text for CSS.
 */
export function* pieces(text) {
  const pen = {};
  let at = 0;
  for (const found of text.matchAll(SEQUENCE)) {
    if (found.index > at) yield [text.slice(at, found.index), { ...pen }];
    at = found.index + found[0].length;
    if (/^[0-9;:]*m$/.test(found[1])) select(pen, found[1].slice(0, -1).split(";"));
  }
  if (text.length > at) yield [text.slice(at), { ...pen }];
}

/**
 * The last state of a line that a program redraws by CR; or null if these are lines of another kind. An event stream
 * has no CR but line ends only: they are states if one begins by erasing the line, or if two of the last three differ
 * in numbers and bars only.
 */
export function lastState(text) {
  const states = [];
  text = text.slice(-4 * MAX_LINE).trimEnd();
  let end = text.length;
  while (states.length < 3 && end > 0) {
    const begin = text.lastIndexOf("\n", end - 1) + 1;
    if (end - begin > MAX_LINE) return null; // the slice may have cut it, too
    if (text.slice(begin, end).trim() !== "") states.push(text.slice(begin, end));
    end = begin - 1;
  }
  if (states.length < 2) return null;
  const bare = states.map((state) => withoutSequences(state).replace(AMOUNT, ""));
  const redrawn = bare[0] === bare[1] || bare[1] === bare[2] || /^(?:\x1b\[[0-2]?K)/.test(states[0]);
  return redrawn ? states[0] : null;
}

/** Changes the pen as the parameters of an SGR sequence say. */
function select(pen, parameters) {
  for (let i = 0; i < parameters.length; i += 1) {
    const [code, ...parts] = parameters[i].split(":").map(Number);
    if (code === 0) for (const name of Object.keys(pen)) delete pen[name];
    else if (code === 1) pen.bold = true;
    else if (code === 2) pen.dim = true;
    else if (code === 3) pen.italic = true;
    else if (code === 4) pen.underline = parts[0] !== 0;
    else if (code === 7) pen.inverse = true;
    else if (code === 9) pen.strike = true;
    else if (code === 21) pen.underline = true;
    else if (code === 22) pen.bold = pen.dim = false;
    else if (code === 23) pen.italic = false;
    else if (code === 24) pen.underline = false;
    else if (code === 27) pen.inverse = false;
    else if (code === 29) pen.strike = false;
    else if (code === 38 || code === 48 || code === 58) {
      // With colons, RGB may have the number of a colour space before it.
      const after = parameters.slice(i + 1, i + 5).map(Number);
      const [kind, ...rest] = parts.length > 0 ? parts : after;
      if (parts.length === 0) i += kind === 5 ? 2 : kind === 2 ? 4 : 0;
      const rgb = parts.length > 4 ? rest.slice(1, 4) : rest.slice(0, 3);
      const ink = kind === 5 ? indexed(rest[0]) : kind === 2 ? `rgb(${rgb.join(" ")})` : undefined;
      if (code === 38) pen.ink = ink;
      if (code === 48) pen.ground = ink; // 58 is the colour of the underline
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
