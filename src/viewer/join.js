// Joins the hub (hub.js), first of all that the page does: while the rest loads, the events come.
//
// A classic script, for a module would wait until the page is parsed, and often until it is drawn.

/** The hub, given the page's query, which is for the stream. Its name changes with what is said to it. */
const hub = (() => {
  const url = new URL(`hub.js${location.search}`, document.currentScript.src);
  const options = { type: "module", name: "sse-pipe 2" };
  try {
    return new SharedWorker(url, options).port;
  } catch {
    return new Worker(url, options); // no tabs share it then
  }
})();
