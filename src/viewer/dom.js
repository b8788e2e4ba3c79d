// Small tools for the page's elements and colours.

/** The element with this ID. */
export const $ = (id) => document.getElementById(id);

/** A new element with a class and a text. */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** A new button. */
export function makeButton(className, text, onClick) {
  const button = make("button", className, text);
  button.type = "button";
  if (onClick) button.addEventListener("click", onClick);
  return button;
}

/** Changes an element's text only if it is another one: a screen reader announces every change. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** One of the page's colours, by its name in viewer.css; they change with the system's light and dark. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** How many colours there are for series and tracks: `series-0` and so on. */
export const COLOURS = 8;

/** Calls back when the system changes between light and dark. */
export function onColoursChange(callback) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", callback);
}
