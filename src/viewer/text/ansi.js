// The colours of a terminal in a text: ECMA-48, section 8.3.117 (SGR, select graphic rendition).
//
// What a pen looks like is left to rendering.js.

const SGR = /\x1b\[([0-9;:]*)m/g;

/**
 * The pieces of a text between its SGR sequences, as [text, pen]. A pen is {bold, dim, italic, underline, inverse, ink,
 * ground}; a colour is a number for one of the page's own 16, or a text for CSS.
 */
export function* pieces(text) {
  const pen = {};
  let at = 0;
  for (const found of text.matchAll(SGR)) {
    if (found.index > at) yield [text.slice(at, found.index), { ...pen }];
    at = found.index + found[0].length;
    select(pen, found[1].split(/[;:]/).map(Number));
  }
  if (text.length > at) yield [text.slice(at), { ...pen }];
}

/** Changes the pen as the parameters of an SGR sequence say. */
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
