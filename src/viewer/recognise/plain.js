// The text of a record as a person sees it: without the sequences of a terminal (ECMA-48) and without marks before it.
//
// One pass over the text; a sequence that never ends costs no more than its bound.

/** CSI sequences; OSC and other strings up to BEL or ST, if they end soon; other escapes. */
const SEQUENCE = /\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|[\]PX^_][^\x07\x1b]{0,2048}(?:\x07|\x1b\\)|[ -/]{0,4}[0-~])/g;

/** The text without terminal sequences, byte order mark and record separator (RFC 7464, section 2.2). */
export function plain(text) {
  const stripped = text.includes("\x1b") ? text.replace(SEQUENCE, "") : text;
  return stripped.replace(/^[\ufeff\x1e]{1,2}/, "");
}

/** The last line in which there is anything: what a program that redraws its line shows in the end. */
export function lastLine(text) {
  const end = text.trimEnd();
  return end.slice(Math.max(end.lastIndexOf("\n"), end.lastIndexOf("\r")) + 1);
}
