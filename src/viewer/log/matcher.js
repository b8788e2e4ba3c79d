// The worker in which the regular expressions run that a person typed, or that the address has. One such as /(a+)+$/
// may take forever on a text, and nothing can interrupt it but the end of its worker: expressions.js sees to that.

import { finds, holds } from "./filter.js";

/** It answers after this many ms with what it has, so that the wait for an answer is one for a single text. */
const SLICE = 50;

onmessage = ({ data: { test, mark, items } }) => {
  const end = performance.now() + SLICE;
  const answers = [];
  try {
    for (const item of items) {
      answers.push(test ? holds(test, item) : finds(mark, item));
      if (performance.now() > end) break;
    }
    postMessage({ answers });
  } catch (error) {
    postMessage({ error: error.message }); // such as too much recursion
  }
};

postMessage({ ready: true });
