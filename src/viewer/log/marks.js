// The marks around what the filter finds in the rows. Where there are expressions, they come a moment after the text.

import { make } from "../dom.js";
import { finds } from "./filter.js";

export class Marks {
  #terms = [];
  #mark = []; // the expressions of the terms
  #typed = false; // whether a person typed any of them: only a worker may run it
  #expressions;
  #waiting = new Map(); // the texts of elements that must be marked: as many as there are visible rows
  #asking = false;

  constructor(expressions) {
    this.#expressions = expressions;
  }

  /** Sets the terms, by which the elements must be filled again; returns whether anything is or was marked. */
  set(terms) {
    const before = this.#mark.length;
    const shown = terms.filter(({ not, expression }) => !not && expression);
    this.#terms = terms;
    this.#mark = shown.map(({ expression }) => expression);
    this.#typed = shown.some(({ typed }) => typed);
    this.#waiting.clear();
    this.#asking = false;
    return before + this.#mark.length > 0;
  }

  /** Marks the text of an element that was filled just now. */
  put(element) {
    if (this.#mark.length === 0) return;
    const text = element.textContent;
    if (!this.#typed) {
      mark(element, finds(this.#mark, text));
      return;
    }
    this.#waiting.set(element, text);
    queueMicrotask(() => this.#ask());
  }

  #ask() {
    if (this.#asking || this.#waiting.size === 0) return;
    this.#asking = true;
    const terms = this.#terms;
    const asked = [...this.#waiting];
    this.#waiting.clear();
    this.#expressions.ask(terms, { mark: this.#mark, items: asked.map(([, text]) => text) }, (answers) => {
      if (terms !== this.#terms) return;
      this.#asking = false;
      asked.forEach(([element, text], i) => {
        if (this.#waiting.has(element)) return; // filled again since
        if (i < answers.length) mark(element, answers[i]);
        else this.#waiting.set(element, text);
      });
      this.#ask();
    });
  }
}

/** Puts marks around these parts, [from, to], of the text that an element shows. */
function mark(element, found) {
  if (found.length === 0) return;
  const nodes = [];
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) nodes.push(walker.currentNode);
  let at = 0; // where the node begins in the text
  let next = 0; // of those found
  for (let node of nodes) {
    const end = at + node.length;
    while (next < found.length && found[next][0] < end) {
      const [from, to] = [Math.max(found[next][0], at), Math.min(found[next][1], end)];
      if (from < to) {
        const piece = from > at ? node.splitText(from - at) : node;
        if (to < end) node = piece.splitText(to - from);
        const marked = make("mark");
        piece.replaceWith(marked);
        marked.append(piece);
        at = to;
      }
      if (found[next][1] > end) break; // it continues in the next node
      next += 1;
    }
    at = end;
  }
}
