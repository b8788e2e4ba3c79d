// The pairs in a line: name=1, name: 1, name:1, name="1", any number of them, after blanks, commas, semicolons or line
// ends, among other words, as ping, logfmt and Arduino sketches write them. What is in quotes is read as a value or not
// at all.
//
// The line is read once from left to right: every pattern is sticky and bounded.

/** The most pairs that are taken from one line. */
const MAX_PAIRS = 64;

/** A name with its sign. A path may have / in it; blanks are only around =. */
const NAME = /([\p{L}_@%][\p{L}\p{M}\w.@%/#-]{0,79})(?: {0,4}=(?!=) {0,4}|:[ \t]{0,8})/uy;

/** A bare value; of a degree or a part in a hundred, the sign may stand apart. */
const VALUE = /[^\s,;"()[\]{}|]{1,80}(?: (?:%|°[CFK]?)(?=[\s,;|]|$))?/y;

/** What separates words. */
const BETWEEN = /[\s,;|]/;

/** The pairs of a text, as [name, text]. */
export function pairs(text) {
  const found = [];
  let at = 0;
  let unclosed = false; // no quote is closed after here
  while (at < text.length && found.length < MAX_PAIRS) {
    if (BETWEEN.test(text[at])) {
      at += 1;
      continue;
    }
    NAME.lastIndex = at;
    const name = NAME.exec(text);
    if (name) at = NAME.lastIndex;
    if (text[at] === '"' && !unclosed) {
      const end = closing(text, at);
      unclosed = end === -1;
      if (!unclosed) {
        if (name) found.push([name[1], text.slice(at + 1, end).trim()]);
        at = end + 1;
        continue;
      }
    }
    VALUE.lastIndex = at;
    const value = name ? VALUE.exec(text) : null;
    if (value) {
      const next = text[VALUE.lastIndex];
      if (next === undefined || BETWEEN.test(next) || next === ")" || next === "]" || next === "}") {
        found.push([name[1], value[0]]);
        at = VALUE.lastIndex;
      }
    }
    // A name without a value may be followed directly by another name: "Mem: free=1".
    if (!name || !BETWEEN.test(text[at - 1])) while (at < text.length && !BETWEEN.test(text[at])) at += 1;
  }
  return found;
}

/** Where the string that begins at `at` is closed, or -1. */
function closing(text, at) {
  for (let i = at + 1; i < text.length; i += 1) {
    if (text[i] === "\\") i += 1;
    else if (text[i] === '"') return i;
  }
  return -1;
}
