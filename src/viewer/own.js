// What this page asks of its own server besides the stream: always by relative URL, so that it goes where the page came
// from, whatever stands in front of the path.

/** The URL of a file that stands beside this one. */
export function own(path) {
  return new URL(path, import.meta.url);
}

/** After a failure a library is asked for again, but not more often than once in so many ms. */
export const AGAIN = 5_000;

const loaded = new Map();

/** Loads a vendored library, script and style, unless it is there already. */
export function library(name) {
  if (!loaded.has(name)) {
    const both = Promise.all([put("script", name), put("link", name)]);
    both.catch(() => setTimeout(() => loaded.delete(name), AGAIN)); // whoever waits for it tells the person
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
    element.src = own(`vendor/${name}.js`);
  } else {
    element.rel = "stylesheet";
    element.href = own(`vendor/${name}.css`);
  }
  // Before the page's own style, which has the last word.
  document.head.prepend(element);
  return done;
}

/** The page's own colours, by their names in viewer.css; they change with the system's light and dark. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** So many colours are there for series and tracks, `series-0` and so on. */
export const COLOURS = 8;

/** Calls back when the system changes between light and dark. */
export function onColours(callback) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", callback);
}
