// The log: a row for each item that passes the filter, the newest at the bottom.
//
// Only the rows in sight exist, so that 200,000 scroll as smoothly as 20. A row has one line, unless long ones are
// wrapped (heights.js); a click unfolds it. The log sticks to the bottom until the person scrolls up, and does not move
// while they read, select or hold the mouse. What is in a row is in row.js.

import { make } from "../dom.js";
import { FrameScheduler } from "../frame-scheduler.js";
import { Expressions } from "./expressions.js";
import { FilteredItems, levelOf } from "./filter.js";
import { Marks } from "./marks.js";
import { fillRow, makeRow } from "./row.js";

/** Rows that exist above and below those in sight. */
const SPARE = 8;

/** Testing items against a filter may take this many ms of a frame. */
const TEST_TIME = 8;

export class Log {
  #scroller;
  #sheet; // as high as all rows would be
  #items;
  #filtered; // the items that have rows
  #onChange;
  #rows = new Map(); // the elements of the rows in sight, by the number of their item
  #spare = [];
  #open = new Map(); // the heights of the unfolded parts, by the number of their item
  #rowHeight = 0;
  #sticky = true;
  #grabbed = false;
  #anchor = null; // {n, offset}: while not sticky, this item keeps its place on the screen
  #lastTop = 0; // scrollTop as it was last seen or set
  #seen = 0; // the number of the first item that came after the person scrolled up
  #current = null; // the number of the item that the keyboard has selected
  #reveal = null; // the number of an item that was just unfolded and must be seen whole
  #padding = 0;
  #wrap = false; // whether long rows are wrapped
  #heights = null; // how much higher than one line the rows are, while they are wrapped
  #remeasure = false; // whether the rows in sight may have got other heights
  #room; // how much of a record a row shows, if not as usual
  #expressions = new Expressions();
  #marks = new Marks(this.#expressions);
  #scheduler = new FrameScheduler(() => this.#draw());

  /** Called with a level if the person wants only records of it. */
  onLevel = () => {};

  /** `onChange` is called when rows, or whether it sticks, have changed. */
  constructor(scroller, items, onChange) {
    this.#scroller = scroller;
    this.#items = items;
    this.#filtered = new FilteredItems(items, this.#expressions, () => {
      this.#filtered.advance(TEST_TIME);
      this.changed();
    });
    this.#onChange = onChange;
    this.#sheet = make("div", "sheet");
    scroller.append(this.#sheet);
    this.#addListeners();
  }

  /** How many rows there are. */
  get length() {
    return this.#filtered.length;
  }

  /** Whether all items have been searched. */
  get complete() {
    return this.#filtered.complete;
  }

  get sticky() {
    return this.#sticky;
  }

  /** How many rows came since the person scrolled up. */
  get unseen() {
    return this.#sticky ? 0 : this.length - this.#filtered.row(this.#seen);
  }

  /** The items of all rows. */
  *items() {
    for (let row = 0; row < this.length; row += 1) yield this.#items.get(this.#filtered.at(row));
  }

  /** Call this when items have come or gone, or the log has come into sight. */
  changed() {
    this.#scheduler.request();
  }

  filter(test) {
    this.#grabbed = false; // a person who types does not hold the mouse any more
    this.#filtered.filter(test);
    this.#heights?.refiltered();
    this.#anchor = null;
    this.#filtered.advance(TEST_TIME);
    this.changed();
  }

  /** Marks what these terms find in the rows. */
  mark(terms) {
    if (!this.#marks.set(terms)) return;
    for (const [n, element] of this.#rows) this.#fill(element, n);
  }

  /** What runs the expressions of the filter. */
  get expressions() {
    return this.#expressions;
  }

  /** Wraps long rows, or not. */
  async wrap(on) {
    if (on === this.#wrap) return;
    this.#wrap = on;
    const { Heights, WRAPPED } = await import("./heights.js");
    this.#room = on ? WRAPPED : undefined;
    if (on !== this.#wrap || on === (this.#heights !== null)) return; // pressed again meanwhile
    if (!this.#sticky) this.#anchor ?? this.#dropAnchor();
    this.#heights = on ? new Heights(this.#items, this.#filtered) : null;
    this.#scroller.classList.toggle("wrap", on);
    this.#rowHeight = 0; // measure it again
    for (const [n, element] of this.#rows) this.#fill(element, n);
    this.changed();
  }

  /** Goes to the newest row, and stays there. */
  follow() {
    this.#grabbed = false;
    this.#stick(true);
    this.changed();
  }

  /** Call this after the buffer was cleared. */
  cleared(test) {
    this.#open.clear();
    this.#current = null;
    this.filter(test);
    this.follow();
  }

  // Places

  /** Where a row begins, in px from the top of the sheet. */
  #placeOf(row) {
    let place = row * this.#rowHeight;
    for (const [n, height] of this.#open) {
      const opened = this.#filtered.row(n);
      if (opened < row && this.#filtered.at(opened) === n) place += height;
    }
    return place + (this.#heights?.before(row) ?? 0);
  }

  /** The height of the line of an item. */
  #lineHeight(n) {
    return this.#rowHeight + (this.#heights?.of(n) ?? 0);
  }

  /** The row at a place. */
  #rowAt(place) {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#placeOf(middle + 1) <= place) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // Drawing

  #draw() {
    // Out of sight, the observer of its size calls again; while the person holds it, #letGo() does.
    if (this.#scroller.clientHeight === 0 || this.#grabbed) return;
    const start = performance.now();
    this.#filtered.advance(TEST_TIME);
    if (!this.#filtered.complete && !this.#filtered.asking) this.changed();
    // The first rows never wait: if the empty log was slow, it was because of the browser's first layout.
    if (this.#sticky && this.#rows.size > 0 && this.#scheduler.tooEarly) return;
    this.#layOut();
    this.#onChange();
    this.#scheduler.done(start);
  }

  #layOut() {
    if (this.#rowHeight === 0) this.#measure();
    for (const n of this.#open.keys()) if (n < this.#items.first) this.#open.delete(n);
    const view = this.#scroller.clientHeight;
    while (this.#heights?.shrink(this.#rowHeight));
    if (this.#heights) this.#scroller.style.setProperty("--lines", this.#heights.lines);
    let top, from, to;
    // Only once it is shown does what was unfolded or wrapped have its true height.
    for (let tries = 0; tries < 3; tries += 1) {
      const height = this.#placeOf(this.length);
      this.#setHeight(height);
      top = this.#wantedTop(height, view);
      [from, to] = this.#inSight(top, view);
      if (!this.#show(from, to)) break;
    }
    if (this.#reveal !== null) top = this.#revealed(top, view);
    let place = this.#placeOf(from);
    for (let row = from; row < to; row += 1) {
      const n = this.#filtered.at(row);
      this.#rows.get(n).style.transform = `translateY(${place}px)`;
      place += this.#lineHeight(n) + (this.#open.get(n) ?? 0);
    }
    if (Math.abs(this.#scroller.scrollTop - top) >= 1) this.#scroller.scrollTop = top;
    this.#lastTop = this.#scroller.scrollTop;
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
    return Math.min(this.#placeOf(this.#filtered.row(n)) + offset, most);
  }

  /** Remembers which item is at the top of the screen. */
  #dropAnchor() {
    const top = this.#scroller.scrollTop;
    const row = Math.min(this.#rowAt(top), Math.max(this.length - 1, 0));
    this.#anchor = { n: this.#filtered.at(row) ?? 0, offset: top - this.#placeOf(row) };
  }

  /** `top`, moved so far that the whole of what was just unfolded is in sight. */
  #revealed(top, view) {
    const n = this.#reveal;
    this.#reveal = this.#anchor = null;
    const begin = this.#placeOf(this.#filtered.row(n));
    const end = begin + this.#lineHeight(n) + (this.#open.get(n) ?? 0);
    return Math.min(Math.max(top, end - view + this.#padding), begin);
  }

  #inSight(top, view) {
    const from = Math.max(this.#rowAt(top) - SPARE, 0);
    const to = Math.min(this.#rowAt(top + view) + 1 + SPARE, this.length);
    return [from, to];
  }

  /** Puts these rows into the document; returns whether they have other heights than they were taken for. */
  #show(from, to) {
    const fresh = [];
    const wanted = new Set();
    for (let row = from; row < to; row += 1) wanted.add(this.#filtered.at(row));
    for (const [n, element] of this.#rows) {
      if (wanted.has(n)) continue;
      this.#rows.delete(n);
      this.#spare.push(element);
    }
    // In the document they are in order, for people who select text or have it read out.
    let next = this.#sheet.firstChild;
    for (const n of wanted) {
      let element = this.#rows.get(n);
      if (!element) {
        element = this.#spare.pop() ?? makeRow();
        this.#fill(element, n);
        this.#rows.set(n, element);
        fresh.push(n);
      }
      if (element === next) next = next.nextSibling;
      else this.#sheet.insertBefore(element, next);
    }
    for (const element of this.#spare) element.remove();
    this.#spare.length = 0;
    let surprise = false;
    for (const [n, element] of this.#rows) {
      if (!this.#open.has(n)) continue;
      const height = element.lastChild.offsetHeight;
      surprise ||= height !== this.#open.get(n);
      this.#open.set(n, height);
    }
    if (!this.#heights) return surprise;
    for (const n of this.#remeasure ? this.#rows.keys() : fresh) {
      const height = this.#rows.get(n).firstChild.offsetHeight; // whole px, see viewer.css
      if (this.#heights.set(n, height - this.#rowHeight)) surprise = true;
    }
    this.#remeasure = false;
    return surprise;
  }

  #fill(element, n) {
    fillRow(element, n, this.#items.get(n), {
      current: n === this.#current,
      open: this.#open.has(n),
      mark: (part) => this.#marks.put(part),
      room: this.#room,
      onResize: () => this.changed(),
    });
  }

  #measure() {
    const probe = makeRow();
    this.#sheet.append(probe);
    this.#rowHeight = probe.firstChild.offsetHeight;
    if (this.#heights) {
      const data = probe.firstChild.lastChild;
      const text = make("span", "", "x".repeat(100));
      const width = data.clientWidth;
      data.append(text);
      text.style.whiteSpace = "pre";
      const hundred = text.getBoundingClientRect().width;
      this.#heights.reset(Math.floor((100 * width) / hundred), Number.parseFloat(getComputedStyle(data).lineHeight));
      this.#remeasure = true;
    }
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
      this.#stick(false); // a person reads it: it must not move away
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
    this.#seen = this.#items.end;
    this.#items.reading = !sticky;
    this.#onChange();
  }

  /** Selects a row by the keyboard. */
  #go(row) {
    if (this.length === 0) return;
    const n = this.#filtered.at(Math.min(Math.max(row, 0), this.length - 1));
    const before = this.#current;
    this.#current = n;
    this.#scroller.setAttribute("aria-activedescendant", `row-${n}`);
    this.#stick(false);
    const top = this.#placeOf(this.#filtered.row(n));
    const { clientHeight, scrollTop } = this.#scroller;
    if (top < scrollTop) this.#scroller.scrollTop = top;
    else if (top + this.#lineHeight(n) > scrollTop + clientHeight - this.#padding) {
      this.#scroller.scrollTop = top + this.#lineHeight(n) - clientHeight + this.#padding;
    }
    this.#lastTop = this.#scroller.scrollTop;
    this.#anchor = null;
    if (before !== null) this.#rows.get(before)?.classList.remove("current");
    this.#rows.get(n)?.classList.add("current");
    this.changed();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.#scroller) return;
    const row = this.#current === null ? this.length : this.#filtered.row(this.#current);
    if (event.key === "ArrowDown") this.#go(row + 1);
    else if (event.key === "ArrowUp") this.#go(row - 1);
    else if (event.key === "Home") this.#go(0);
    else if (event.key === "End") this.follow();
    else if (event.key === "l" && this.#current !== null) this.#chooseLevel();
    else if (event.key === "Enter" && this.#current !== null) this.unfold(this.#current);
    else if (event.key === "ArrowRight" && this.#current !== null) this.unfold(this.#current, true);
    else if (event.key === "ArrowLeft" && this.#current !== null) this.unfold(this.#current, false);
    else return;
    event.preventDefault();
  }

  /** As a click on the level of the row that the keyboard has selected. */
  #chooseLevel() {
    const item = this.#items.get(this.#current); // its row may be drawn only in the next frame
    const level = item && levelOf(item);
    if (level) this.onLevel(level);
  }

  #letGo() {
    if (!this.#grabbed) return;
    this.#grabbed = false;
    if (selectedIn(this.#scroller)) this.#stick(false); // the person is about to copy it
    this.changed();
  }

  #addListeners() {
    const scroller = this.#scroller;
    // A wheel counts before it has moved anything: while rows come in every frame, its first small step would be undone
    // by the next.
    scroller.addEventListener(
      "wheel",
      (event) => {
        if (event.deltaY < 0 && scroller.scrollTop > 0 && !event.target.closest(".detail")) this.#stick(false);
      },
      { passive: true },
    );
    scroller.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = scroller;
      const moved = scrollTop - this.#lastTop;
      if (Math.abs(moved) < 1) return;
      this.#lastTop = scrollTop;
      const below = scrollHeight - scrollTop - clientHeight;
      if (below <= 4 && moved > 0) this.#stick(true);
      else if (below > 4 && moved < 0) this.#stick(false);
      this.#anchor = null;
      this.changed();
    });
    scroller.addEventListener("pointerdown", ({ button }) => {
      if (button === 0) this.#grabbed = true;
    });
    // A menu, a drag of the selection or a scroll bar may swallow the end of it; a pointer that moves without a button
    // pressed holds nothing.
    for (const type of ["pointerup", "pointercancel", "contextmenu", "dragend", "blur"]) {
      window.addEventListener(type, () => this.#letGo());
    }
    window.addEventListener("pointermove", ({ buttons }) => {
      if (buttons === 0) this.#letGo();
    });
    scroller.addEventListener("click", (event) => {
      const line = event.target.closest(".line");
      const level = event.target.closest(".level")?.dataset.level;
      if (level) this.onLevel(level);
      else if (line && !selectedIn(scroller)) this.unfold(Number(line.parentElement.dataset.n));
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
