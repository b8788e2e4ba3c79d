// The log: a row for each item that the filter lets through, the newest at the bottom.
//
// Only the rows in sight exist, so that 200,000 scroll as smoothly as 20. A row has one line; a click unfolds it. The
// log sticks to the bottom until the person scrolls up, and moves nothing while they read, select or hold the mouse.

import { Drawing } from "./drawing.js";
import { cut, make, oneLine, unfolded, visible, wholeCharacters } from "./text.js";
import { View } from "./filter.js";

/** An unfolded record shows so much at first, and so much more with each press: megabytes take a browser seconds. */
const FIRST_PART = 20_000;
const NEXT_PART = 200_000;

/** Type and ID are cut to this in a row, and to the second where there is room. */
const MAX_LABEL = 80;
const MAX_TITLE = 1_000;

/** Rows kept above and below those in sight. */
const SPARE = 8;

/** Testing items against a filter may take so many ms of a frame. */
const TEST_TIME = 8;

export class Log {
  #scroller;
  #sheet; // as high as all rows would be
  #held;
  #view;
  #onChange;
  #rows = new Map(); // the elements of the rows in sight, by the number of their item
  #spare = [];
  #open = new Map(); // the heights of the unfolded parts, by the number of their item
  #rowHeight = 0;
  #sticky = true;
  #grabbed = false;
  #anchor = null; // {n, offset}: while not sticky, this item keeps its place on the screen
  #top = 0; // scrollTop as it was last seen or set
  #seen = 0; // the number of the first item that came after the person scrolled up
  #current = null; // the number of the item that the keyboard is at
  #reveal = null; // the number of an item that was just unfolded, to be seen whole
  #padding = 0;
  #drawing = new Drawing(() => this.#draw());

  /** `onChange` is called when rows, or whether it sticks, have changed. */
  constructor(scroller, held, onChange) {
    this.#scroller = scroller;
    this.#held = held;
    this.#view = new View(held);
    this.#onChange = onChange;
    this.#sheet = make("div", "sheet");
    scroller.append(this.#sheet);
    this.#listen();
  }

  /** How many rows there are. */
  get length() {
    return this.#view.length;
  }

  /** Whether what is held has been searched to its end. */
  get complete() {
    return this.#view.complete;
  }

  get sticky() {
    return this.#sticky;
  }

  /** How many rows came since the person scrolled up. */
  get unseen() {
    return this.#sticky ? 0 : this.length - this.#view.row(this.#seen);
  }

  /** The items of all rows. */
  *items() {
    for (let row = 0; row < this.length; row += 1) yield this.#held.get(this.#view.at(row));
  }

  /** To be called when items have come or gone, or the log has come into sight. */
  changed() {
    this.#drawing.ask();
  }

  filter(test) {
    this.#grabbed = false; // who types holds nothing any more
    this.#view.filter(test);
    this.#anchor = null;
    this.#view.advance(TEST_TIME);
    this.changed();
  }

  /** To the newest, and stay there. */
  follow() {
    this.#grabbed = false;
    this.#stick(true);
    this.changed();
  }

  /** After `held` was cleared. */
  cleared(test) {
    this.#open.clear();
    this.#current = null;
    this.filter(test);
    this.follow();
  }

  // Places

  /** Where a row begins, in px from the top of the sheet. */
  #place(row) {
    let place = row * this.#rowHeight;
    for (const [n, height] of this.#open) {
      const opened = this.#view.row(n);
      if (opened < row && this.#view.at(opened) === n) place += height;
    }
    return place;
  }

  /** The row at a place. */
  #rowAt(place) {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#place(middle + 1) <= place) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // Drawing

  #draw() {
    // Out of sight the observer of its size asks again; what the person holds, #letGo() does.
    if (this.#scroller.clientHeight === 0 || this.#grabbed) return;
    const start = performance.now();
    this.#view.advance(TEST_TIME);
    if (!this.#view.complete) this.changed();
    // The first rows never wait: it is the browser's first layout that made the empty log slow.
    if (this.#sticky && this.#rows.size > 0 && this.#drawing.early) return;
    this.#layOut();
    this.#onChange();
    this.#drawing.done(start);
  }

  #layOut() {
    if (this.#rowHeight === 0) this.#measure();
    for (const n of this.#open.keys()) if (n < this.#held.first) this.#open.delete(n);
    const view = this.#scroller.clientHeight;
    let height = this.#place(this.length);
    this.#setHeight(height);
    let top = this.#wantedTop(height, view);
    const [from, to] = this.#inSight(top, view);
    this.#show(from, to);
    // What was unfolded has its true height only now.
    const measured = this.#place(this.length);
    if (measured !== height) {
      height = measured;
      this.#setHeight(height);
      top = this.#wantedTop(height, view);
    }
    if (this.#reveal !== null) top = this.#revealed(top, view);
    let place = this.#place(from);
    for (let row = from; row < to; row += 1) {
      const n = this.#view.at(row);
      this.#rows.get(n).style.transform = `translateY(${place}px)`;
      place += this.#rowHeight + (this.#open.get(n) ?? 0);
    }
    if (Math.abs(this.#scroller.scrollTop - top) >= 1) this.#scroller.scrollTop = top;
    this.#top = this.#scroller.scrollTop;
    this.#scroller.dataset.rows = this.length;
  }

  #setHeight(height) {
    this.#sheet.style.height = `${height}px`;
  }

  #wantedTop(height, view) {
    const most = Math.max(height - view + this.#padding, 0);
    if (this.#sticky) return most;
    if (!this.#anchor) this.#dropAnchor();
    const { n, offset } = this.#anchor;
    return Math.min(this.#place(this.#view.row(n)) + offset, most);
  }

  /** Remembers what stands at the top of the screen. */
  #dropAnchor() {
    const top = this.#scroller.scrollTop;
    const row = Math.min(this.#rowAt(top), Math.max(this.length - 1, 0));
    this.#anchor = { n: this.#view.at(row) ?? 0, offset: top - this.#place(row) };
  }

  /** `top`, moved as far as it takes to see the whole of what was just unfolded. */
  #revealed(top, view) {
    const n = this.#reveal;
    this.#reveal = this.#anchor = null;
    const begin = this.#place(this.#view.row(n));
    const end = begin + this.#rowHeight + (this.#open.get(n) ?? 0);
    return Math.min(Math.max(top, end - view + this.#padding), begin);
  }

  #inSight(top, view) {
    const from = Math.max(this.#rowAt(top) - SPARE, 0);
    const to = Math.min(this.#rowAt(top + view) + 1 + SPARE, this.length);
    return [from, to];
  }

  #show(from, to) {
    const wanted = new Set();
    for (let row = from; row < to; row += 1) wanted.add(this.#view.at(row));
    for (const [n, element] of this.#rows) {
      if (wanted.has(n)) continue;
      this.#rows.delete(n);
      this.#spare.push(element);
    }
    // In the document they stand in their order, for whoever selects text or has it read out.
    let next = this.#sheet.firstChild;
    for (const n of wanted) {
      let element = this.#rows.get(n);
      if (!element) {
        element = this.#spare.pop() ?? makeRow();
        this.#fill(element, n);
        this.#rows.set(n, element);
      }
      if (element === next) next = next.nextSibling;
      else this.#sheet.insertBefore(element, next);
    }
    for (const element of this.#spare) element.remove();
    this.#spare.length = 0;
    for (const [n, element] of this.#rows) {
      if (this.#open.has(n)) this.#open.set(n, element.lastChild.offsetHeight);
    }
  }

  #fill(element, n) {
    const item = this.#held.get(n);
    const [line] = element.children;
    const [fold, time, id, type, data] = line.children;
    element.dataset.n = n;
    element.id = `row-${n}`;
    element.classList.toggle("notice", item.notice);
    element.classList.toggle("current", n === this.#current);
    time.textContent = clock(item.time);
    id.textContent = cut(item.id.slice(item.id.lastIndexOf("-") + 1), MAX_LABEL);
    type.textContent = cut(item.type, MAX_LABEL);
    type.hidden = item.type === "";
    element.dataset.type = cut(item.type, MAX_TITLE);
    element.dataset.id = cut(item.id, MAX_TITLE);
    data.replaceChildren(oneLine(item.data));
    while (element.children.length > 1) element.lastChild.remove();
    const open = this.#open.has(n);
    fold.setAttribute("aria-expanded", String(open));
    element.classList.toggle("open", open);
    if (open) element.append(makeDetail(item, () => this.changed()));
  }

  #measure() {
    const probe = makeRow();
    this.#sheet.append(probe);
    this.#rowHeight = probe.firstChild.offsetHeight;
    probe.remove();
    const style = getComputedStyle(this.#scroller);
    this.#padding = Number.parseFloat(style.paddingTop) + Number.parseFloat(style.paddingBottom);
  }

  #refill(n) {
    const element = this.#rows.get(n);
    if (element) this.#fill(element, n);
    this.changed();
  }

  // What the person does

  unfold(n, open = !this.#open.has(n)) {
    if (open) {
      this.#open.set(n, 0);
      this.#stick(false); // opened to be read: it must not run away
      this.#reveal = n;
    } else {
      this.#open.delete(n);
    }
    this.#refill(n);
  }

  #stick(sticky) {
    if (sticky === this.#sticky) return;
    this.#sticky = sticky;
    this.#anchor = null;
    this.#seen = this.#held.end;
    this.#held.reading = !sticky;
    this.#onChange();
  }

  /** Takes the keyboard to a row. */
  #go(row) {
    if (this.length === 0) return;
    const n = this.#view.at(Math.min(Math.max(row, 0), this.length - 1));
    const before = this.#current;
    this.#current = n;
    this.#scroller.setAttribute("aria-activedescendant", `row-${n}`);
    this.#stick(false);
    const top = this.#place(this.#view.row(n));
    const { clientHeight, scrollTop } = this.#scroller;
    if (top < scrollTop) this.#scroller.scrollTop = top;
    else if (top + this.#rowHeight > scrollTop + clientHeight - this.#padding) {
      this.#scroller.scrollTop = top + this.#rowHeight - clientHeight + this.#padding;
    }
    this.#top = this.#scroller.scrollTop;
    this.#anchor = null;
    if (before !== null) this.#rows.get(before)?.classList.remove("current");
    this.#rows.get(n)?.classList.add("current");
    this.changed();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.#scroller) return;
    const row = this.#current === null ? this.length : this.#view.row(this.#current);
    if (event.key === "ArrowDown") this.#go(row + 1);
    else if (event.key === "ArrowUp") this.#go(row - 1);
    else if (event.key === "Home") this.#go(0);
    else if (event.key === "End") this.follow();
    else if (event.key === "Enter" && this.#current !== null) this.unfold(this.#current);
    else if (event.key === "ArrowRight" && this.#current !== null) this.unfold(this.#current, true);
    else if (event.key === "ArrowLeft" && this.#current !== null) this.unfold(this.#current, false);
    else return;
    event.preventDefault();
  }

  #letGo() {
    if (!this.#grabbed) return;
    this.#grabbed = false;
    if (selectedIn(this.#scroller)) this.#stick(false); // to be copied
    this.changed();
  }

  #listen() {
    const scroller = this.#scroller;
    // A wheel counts before it has moved anything: while rows come every frame, its first small
    // step would be undone by the next.
    scroller.addEventListener(
      "wheel",
      (event) => {
        if (event.deltaY < 0 && scroller.scrollTop > 0 && !event.target.closest(".detail")) this.#stick(false);
      },
      { passive: true },
    );
    scroller.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = scroller;
      const moved = scrollTop - this.#top;
      if (Math.abs(moved) < 1) return;
      this.#top = scrollTop;
      const below = scrollHeight - scrollTop - clientHeight;
      if (below <= 4 && moved > 0) this.#stick(true);
      else if (below > 4 && moved < 0) this.#stick(false);
      this.#anchor = null;
      this.changed();
    });
    scroller.addEventListener("pointerdown", ({ button }) => {
      if (button === 0) this.#grabbed = true;
    });
    // A menu, a drag of what was selected or a scroll bar may swallow the end of it; whoever moves without a button
    // pressed holds nothing.
    for (const type of ["pointerup", "pointercancel", "contextmenu", "dragend", "blur"]) {
      window.addEventListener(type, () => this.#letGo());
    }
    window.addEventListener("pointermove", ({ buttons }) => {
      if (buttons === 0) this.#letGo();
    });
    scroller.addEventListener("click", (event) => {
      const line = event.target.closest(".line");
      if (line && !selectedIn(scroller)) this.unfold(Number(line.parentElement.dataset.n));
    });
    scroller.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => {
      this.#rowHeight = 0;
      this.changed();
    }).observe(scroller);
  }
}

function selectedIn(element) {
  const selection = getSelection();
  return !selection.isCollapsed && element.contains(selection.anchorNode);
}

function makeRow() {
  const row = make("div", "row");
  const line = make("div", "line");
  const fold = make("button", "fold");
  fold.type = "button";
  fold.tabIndex = -1; // the keyboard goes from row to row, and unfolds with Enter
  fold.setAttribute("aria-label", "Unfold");
  line.append(fold, make("time"), make("span", "id"), make("span", "type"), make("span", "data"));
  row.append(line);
  return row;
}

/** What stands under an unfolded row. */
function makeDetail(item, onChange) {
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
  const copy = make("button", "copy", "Copy");
  copy.type = "button";
  copy.addEventListener("click", () => {
    copyText(item.data).then(
      () => (copy.textContent = "Copied"),
      () => (copy.textContent = "The browser does not allow it"),
    );
  });
  facts.append(copy);
  const text = make("pre", "text");
  text.tabIndex = 0; // so that the keyboard can scroll it
  let shown = wholeCharacters(item.data, FIRST_PART);
  // JSON is laid out whole, or not at all where it is too long.
  text.append(shown === item.data.length ? unfolded(item.data) : visible(item.data.slice(0, shown)));
  detail.append(facts, text);
  if (shown < item.data.length) {
    const more = make("button", "more");
    more.type = "button";
    const label = () => {
      const rest = item.data.length - shown;
      const [next, all] = [Math.min(rest, NEXT_PART), item.data.length].map((n) => n.toLocaleString("en"));
      more.textContent = `Show ${next} more of ${all} characters`;
      more.hidden = rest === 0;
    };
    more.addEventListener("click", () => {
      const next = wholeCharacters(item.data, shown + NEXT_PART);
      text.append(visible(item.data.slice(shown, next)));
      shown = next;
      label();
      onChange();
    });
    label();
    detail.append(more);
  }
  return detail;
}

/** Without HTTPS, and on another machine than one's own, browsers have no clipboard but the old way. */
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

function clock(ms) {
  const t = new Date(ms);
  const two = (n) => String(n).padStart(2, "0");
  const ms3 = String(t.getMilliseconds()).padStart(3, "0");
  return `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}.${ms3}`;
}
