// JSON in records: whether a text is JSON, its value, and its layout over lines, for which it is not read into numbers
// and back (1.10 stays 1.10).

/** Whether a text looks like a JSON object or array. A wrong guess only colours a row wrong. */
export function looksLikeJson(text) {
  return /^\s*[[{]/.test(text) && /[\]}]\s*$/.test(text.slice(-20));
}

/** The value of a text that is a JSON object or array, or undefined. */
export function parseJson(text) {
  if (!looksLikeJson(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Valid JSON over lines; a list or an object without another in it stays on one line if it is short. */
export function layOut(text) {
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

/** Where the list that begins at `i` ends, if it fits on a line and contains no other; otherwise 0. */
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
