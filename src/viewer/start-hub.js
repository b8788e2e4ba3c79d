// Starts the hub (hub/hub.js), or joins the one that other tabs have started, before anything else: while the rest of
// the page loads, the events already come.
//
// This is a classic script, because a module would wait until the page is parsed, and often until it is drawn.

/** The hub, started or joined. It gets the page's query, which is for the stream. */
const startHub = (() => {
  const url = new URL(`hub/hub.js${location.search}`, document.currentScript.src);
  const options = { type: "module", name: "sse-pipe 4" }; // use another name if its messages change
  return () => {
    try {
      return new SharedWorker(url, options).port;
    } catch {
      return new Worker(url, options); // then each tab has its own
    }
  };
})();

const hub = startHub();
