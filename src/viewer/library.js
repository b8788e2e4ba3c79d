// What the page loads from its own server later than itself: the vendored libraries and their data. The URLs are
// relative, so that the page works under any path that a proxy puts in front.

/** The URL of a file in the folder of this one. */
export function assetUrl(path) {
  return new URL(path, import.meta.url);
}

/** After a failure, a library is requested again at most once in this many ms. */
export const RETRY_AFTER = 5_000;

const loaded = new Map();

/** Loads a vendored library, script and style, unless it is there already. */
export function library(name) {
  if (!loaded.has(name)) {
    const both = Promise.all([put("script", name), put("link", name)]);
    both.catch(() => setTimeout(() => loaded.delete(name), RETRY_AFTER)); // the caller reports it to the person
    loaded.set(name, both);
  }
  return loaded.get(name);
}

function put(tag, name) {
  const element = document.createElement(tag);
  const done = new Promise((resolve, reject) => {
    element.onload = resolve;
    element.onerror = () => reject(new Error(`${name} could not be loaded: is the program still running?`));
  });
  if (tag === "script") {
    element.src = assetUrl(`vendor/${name}.js`);
  } else {
    element.rel = "stylesheet";
    element.href = assetUrl(`vendor/${name}.css`);
  }
  // Before the page's own style, which has the last word.
  document.head.prepend(element);
  return done;
}
