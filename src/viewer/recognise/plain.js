// The text of a record as a person sees it: without the sequences of a terminal and without marks before it.

import { withoutSequences } from "../text/ansi.js";

/** The text without terminal sequences, byte order mark and record separator (RFC 7464, section 2.2). */
export function plain(text) {
  return withoutSequences(text).replace(/^[\ufeff\x1e]{1,2}/, "");
}

/** The last line in which there is anything: what a program that redraws its line shows in the end. */
export function lastLine(text) {
  const end = text.trimEnd();
  return end.slice(Math.max(end.lastIndexOf("\n"), end.lastIndexOf("\r")) + 1);
}
