// Characters of texts: where a text may be cut, and how characters that a person could not see, or that would move
// others about, are shown.

/** `end`, moved so that it does not fall between two surrogates. */
export function wholeCharacters(text, end) {
  if (end >= text.length) return text.length;
  const unit = text.charCodeAt(end - 1);
  return unit >= 0xd800 && unit < 0xdc00 ? end - 1 : end;
}

/** The text, cut to this length. */
export function cut(text, length) {
  return text.length <= length ? text : `${text.slice(0, wholeCharacters(text, length))}…`;
}

/** Names of the characters that turn the direction of the text: nothing may be shown in another place than it has. */
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
