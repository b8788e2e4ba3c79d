// An axis that a person can take hold of: a drag along it, with a mouse or a finger, sets its range, a double click or
// tap gives it back, and so do keys.

import { make } from "../dom.js";
import { changed, isRange, rounded } from "./range.js";

/** A pointer that moves less than this, in px, only taps. */
const TAP = 5;

/** Two taps within this many ms are a double one. */
const DOUBLE = 400;

/** A key moves the range by this part of it, or makes it this much wider. */
const MOVE = 0.1;
const WIDER = 1.25;

export const HELP = "Drag along an axis for a range; a double click gives it back. Keys on an axis: arrows, + − and 0.";

/**
 * Makes the element of an axis of a chart one to take hold of. `axis` is `x` or `y`; `label(from, to)` is a range in
 * words. `onHold(held)` is called at a drag's begin and end: until then the chart must not change. `onRange(range)` is
 * called with a new range, or null for an automatic one.
 */
export function takeHold(chart, element, axis, { name, logarithmic, label, onHold, onRange }) {
  const brush = make("div", `brush ${axis}`);
  let [start, end] = [0, null]; // where a drag began on the screen and where it is, unless it may become a tap
  let listening = new AbortController();
  let tapped = -Infinity; // when it was tapped
  const along = axis === "x" ? ["left", "width", "clientX"] : ["top", "height", "clientY"];

  element.classList.add("hand", axis);
  element.tabIndex = 0;
  element.setAttribute("role", "group");
  element.setAttribute("aria-label", name);
  element.title = `${name}. ${HELP}`;

  const valueAt = (place) => chart.posToVal(place - chart.over.getBoundingClientRect()[along[0]], axis);
  const set = (range) => {
    const round = rounded(range, logarithmic);
    if (isRange(round, axis)) onRange(round);
  };
  const dragged = () => {
    const [a, b] = [valueAt(start), valueAt(end)];
    return a < b ? [a, b] : [b, a];
  };
  const show = () => {
    const origin = chart.over.getBoundingClientRect()[along[0]];
    brush.style[along[0]] = `${Math.min(start, end) - origin}px`;
    brush.style[along[1]] = `${Math.abs(end - start)}px`;
    brush.replaceChildren(make("span", "", label(rounded(dragged(), logarithmic))));
    chart.over.append(brush);
  };
  const moved = (event) => {
    if (end === null && Math.abs(event[along[2]] - start) < TAP) return;
    end = event[along[2]];
    show();
  };
  const stopped = (event) => {
    const { type, timeStamp } = event;
    if (type === "pointerup") moved(event);
    const range = end === null ? null : dragged();
    const tap = range === null && type === "pointerup";
    listening.abort();
    brush.remove();
    onHold(false);
    if (range && type === "pointerup") set(range);
    else if (tap && timeStamp - tapped < DOUBLE) onRange(null);
    else if (tap) tapped = timeStamp;
  };
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    [start, end] = [event[along[2]], null];
    onHold(true);
    listening.abort();
    listening = new AbortController();
    // Also what happens beyond the axis: so a range may be wider than it was.
    const { signal } = listening;
    window.addEventListener("pointermove", moved, { signal });
    for (const type of ["pointerup", "pointercancel", "blur"]) window.addEventListener(type, stopped, { signal });
  });
  element.addEventListener("keydown", (event) => {
    const { key, ctrlKey, metaKey, altKey } = event;
    if (ctrlKey || metaKey || altKey) return;
    const [less, more] = axis === "x" ? ["ArrowLeft", "ArrowRight"] : ["ArrowDown", "ArrowUp"];
    const { min, max } = chart.scales[axis];
    const now = (move, wider) => set(changed([min, max], move, wider, logarithmic));
    if (key === less) now(-MOVE, 1);
    else if (key === more) now(MOVE, 1);
    else if (key === "+" || key === "=") now(0, 1 / WIDER);
    else if (key === "-") now(0, WIDER);
    else if (key === "0") onRange(null);
    else return;
    event.preventDefault();
  });
}
