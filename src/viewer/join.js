// Joins the hub (hub.js), first of all that the page does: while the rest loads, the events come.

/** The hub, given the page's query, which is for the stream. Its name changes with what is said to it. */
function join() {
  const url = new URL(`hub.js${location.search}`, import.meta.url);
  const options = { type: "module", name: "sse-pipe 1" };
  try {
    return new SharedWorker(url, options).port;
  } catch {
    return new Worker(url, options); // no tabs share it then
  }
}

export const hub = join();
