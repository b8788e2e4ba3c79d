// JSON as programs write it: a value alone or after a prefix, with NaN and Infinity, and with integers that a
// double can't hold, which stay texts so that two IDs are two.

/** A prefix longer than this, in UTF-16 units, is a text with something in braces at its end. */
const MAX_PREFIX = 200;

/** More digits than a double keeps. */
const LONG = /\d{16}/;

/** Strings, including an unfinished one, so that each character is read once; and what is between them. */
const TOKEN = /"(?:[^"\\]|\\.)*"?|-?(?:NaN|Infinity|nan|inf)\b|-?\d[\d.eE+-]*/g;

/** The JSON object or array in a text and what comes before it, as {value, prefix}, or null. */
export function findJson(text) {
  const first = text.search(/\S/);
  if (first === -1 || !/[\]}]\s{0,64}$/.test(text.slice(-65))) return null;
  if (text[first] === "{" || text[first] === "[") {
    const value = parse(text);
    if (value !== undefined) return { value, prefix: "" };
  }
  const brace = text.slice(0, MAX_PREFIX).indexOf("{", first + 1);
  if (brace === -1) return null;
  const value = parse(text.slice(brace));
  return value === undefined ? null : { value, prefix: text.slice(first, brace) };
}

function parse(text) {
  try {
    return JSON.parse(LONG.test(text) ? lenient(text) : text);
  } catch {
    if (!/NaN|Infinity|nan|inf/.test(text)) return undefined;
  }
  try {
    return JSON.parse(lenient(text));
  } catch {
    return undefined;
  }
}

function lenient(text) {
  return text.replace(TOKEN, (token) => {
    if (token[0] === '"') return token;
    if (/[nN]/.test(token)) return "null";
    return /^-?\d{16,}$/.test(token) ? `"${token}"` : token;
  });
}
