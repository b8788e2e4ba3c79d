// A row of the log: the line of an item, and under it, once it is unfolded, all of it.
//
// log.js decides where a row is and whether it is unfolded; text/ decides how its text is shown.

import { make, makeButton } from "../dom.js";
import { withoutSequences } from "../text/ansi.js";
import { cut, visible, wholeCharacters } from "../text/characters.js";
import { levelOf } from "./filter.js";
import { oneLine, unfolded } from "../text/rendering.js";

/** An unfolded record shows this much at first, and this much more with each press: megabytes make a browser slow. */
const FIRST_PART = 20_000;
const NEXT_PART = 200_000;

/** Type and ID are cut to this in a row, and to the second if there is space. */
const MAX_LABEL = 80;
const MAX_TITLE = 1_000;

/** An empty row; `fillRow` fills it, also a second time. */
export function makeRow() {
  const row = make("div", "row");
  const line = make("div", "line");
  const fold = makeButton("fold");
  fold.tabIndex = -1; // the keyboard goes from row to row, and unfolds with Enter
  fold.setAttribute("aria-label", "Unfold");
  const level = makeButton("level");
  level.tabIndex = -1; // there the keyboard has a key
  line.append(level, fold, make("time"), make("span", "id"), make("span", "type"), make("span", "data"));
  row.append(line);
  return row;
}

/**
 * Shows an item, the one with the number `n`. Its line has at most `room` characters, or as many as a screen is wide.
 * `mark()` gets each element whose text must be marked; `onResize()` is called when an unfolded row has become
 * higher.
 */
export function fillRow(element, n, item, { current, open, mark, room, onResize }) {
  const [line] = element.children;
  const [level, fold, time, id, type, data] = line.children;
  element.dataset.n = n;
  element.id = `row-${n}`;
  element.classList.toggle("notice", item.notice);
  element.classList.toggle("current", current);
  showLevel(level, levelOf(item));
  time.textContent = clock(item.time);
  id.textContent = cut(item.id.slice(item.id.lastIndexOf("-") + 1), MAX_LABEL);
  type.textContent = cut(item.type, MAX_LABEL);
  type.hidden = item.type === "";
  element.dataset.type = cut(item.type, MAX_TITLE);
  element.dataset.id = cut(item.id, MAX_TITLE);
  data.replaceChildren(oneLine(item.data, room));
  mark(data);
  while (element.children.length > 1) element.lastChild.remove();
  fold.setAttribute("aria-expanded", String(open));
  element.classList.toggle("open", open);
  if (open) element.append(makeDetail(item, mark, onResize));
}

function showLevel(element, level) {
  if (element.dataset.level === level) return;
  element.dataset.level = level;
  element.setAttribute("aria-label", `Only level ${level}`);
  element.title = `Level ${level}: show only these (key: l)`;
}

/** What is under the line of an unfolded row. */
function makeDetail(item, mark, onResize) {
  const detail = make("div", "detail");
  const facts = make("div", "facts");
  const fact = (name, value) => {
    const pair = make("span", "fact");
    pair.append(make("span", "name", name), " ", make("span", "value", value));
    facts.append(pair);
  };
  fact("Time", new Date(item.time).toISOString());
  if (item.type !== "") fact("Type", cut(item.type, MAX_TITLE));
  if (item.id !== "") fact("ID", cut(item.id, MAX_TITLE));
  fact("Length", `${item.data.length.toLocaleString("en")} ${item.data.length === 1 ? "character" : "characters"}`);
  const copy = makeButton("copy", "Copy", () => {
    copyText(item.data).then(
      () => (copy.textContent = "Copied"),
      () => (copy.textContent = "The browser does not allow it"),
    );
  });
  facts.append(copy);
  const text = make("pre", "text");
  text.tabIndex = 0; // so that the keyboard can scroll it
  // JSON is laid out, and colours are shown, as a whole or not at all if it is too long.
  const whole = item.data.length <= FIRST_PART;
  const all = whole ? item.data : withoutSequences(item.data);
  let shown = wholeCharacters(all, FIRST_PART);
  text.append(whole ? unfolded(all) : visible(all.slice(0, shown)));
  mark(text);
  detail.append(facts, text);
  if (shown < all.length) {
    const more = makeButton("more");
    const label = () => {
      const rest = all.length - shown;
      const [next, most] = [Math.min(rest, NEXT_PART), all.length].map((n) => n.toLocaleString("en"));
      more.textContent = `Show ${next} more of ${most} characters`;
      more.hidden = rest === 0;
    };
    more.addEventListener("click", () => {
      const next = wholeCharacters(all, shown + NEXT_PART);
      text.append(visible(all.slice(shown, next)));
      shown = next;
      label();
      onResize();
    });
    label();
    detail.append(more);
  }
  return detail;
}

/** Without HTTPS, and from another machine, browsers offer only the old way to the clipboard. */
async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = make("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("not allowed");
}

/** The time of day, to the millisecond. */
function clock(ms) {
  const t = new Date(ms);
  const two = (n) => String(n).padStart(2, "0");
  const ms3 = String(t.getMilliseconds()).padStart(3, "0");
  return `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}.${ms3}`;
}
