// The plot: a line for each series of numbers that the records carry, drawn by uPlot.
//
// Series that go together share one chart; if their sizes differ much, each gets a strip of its own. The numbers are
// kept in series.js and points.js; facts.js guesses which of them are worth showing; chart.js and axes.js know uPlot.

import { COLOURS, make, makeButton, onColoursChange, setText } from "../dom.js";
import { FrameScheduler } from "../frame-scheduler.js";
import { library } from "../library.js";
import { cut } from "../text/characters.js";
import { formatValue } from "./axes.js";
import { makeChart, MAX_LABEL, newRoom, showBeyond, swatch } from "./chart.js";
import { differ, toShow } from "./facts.js";
import { HELP } from "./hand.js";
import { align, ARRIVAL, ORDER, OWN, within } from "./points.js";
import { outside, readRange } from "./range.js";
import { MAX_REFUSED, nameOf, Series } from "./series.js";

/** The least height of a strip, in px. */
const STRIP = 104;

/** So many series have a place in the legend; the others are a click away. */
const PLACES = 24;

/** As many names are known to the legend before it forgets those that are gone. */
const MAX_KNOWN = 1000;

/** If more than this part of what is in sight came within its first second, order says more than time. */
const BURST = 0.3;

const MINUTE = 60_000;
const WINDOWS = [
  ["10 s", 10_000, "The last 10 seconds"],
  ["1 min", MINUTE, "The last minute"],
  ["5 min", 5 * MINUTE, "The last 5 minutes"],
  ["All", Infinity, "All that came: the older, the fewer points, but every peak"],
];

/** At least this many points must be visible in a window that the person did not choose. */
const ENOUGH = 5;

const LAYOUTS = [
  ["Auto", "auto", "One chart, or one each if their sizes differ much"],
  ["One", "one", "All in one chart"],
  ["Each", "each", "A chart for each"],
];

/** What the x-axis is; the words are those in the address. */
const AXES = [
  ["Own time", "own", "Along the time that the records name"],
  ["Arrival", "arrival", "Along the time at which the records were read"],
  ["Order", "order", "Along the records' numbers"],
];
const AXIS = { own: OWN, arrival: ARRIVAL, order: ORDER };

const number = new Intl.NumberFormat("en");

export class Plot {
  #apart = new Series(); // a line for each device
  #joined = null; // and one for all of them, once there is a device
  #join = false;
  #only = null; // the name of the series that is shown alone
  #before = null; // what #only and #chosen were before the last click in the legend
  #logarithmic = false; // whether the y-axes are
  #logButton;
  #devices = new Set(); // two of them at most
  #readings = 0;
  #timed = 0; // those of them with a time of their own
  #colours = new Map(); // the names of the series' colours
  #chosen = new Map(); // what the person switched on or off
  #side = make("div", "side");
  #legend = make("div", "legend");
  #legendItems = new Map(); // by the name of the series
  #more;
  #open = false; // whether the legend has all series
  #note = make("p", "note");
  #area = make("div", "charts");
  #charts = [];
  #room = newRoom(); // that they share
  #madeFor = ""; // what the charts show; others are made when it changes
  #window = null; // in ms; null: not chosen
  #layout = "auto";
  #along = null; // a word of AXES; null: not chosen
  #axis = "arrival"; // the one that is drawn
  #choices = {};
  #joining;
  #xRange = null; // as the person set it
  #yRanges = new Map(); // by the name of the series, or "" for a chart with several
  #wrong = ""; // what is wrong with a range in the address
  #beside = ""; // on which sides of the x-axis's range there are points
  #held = false; // whether the person holds an axis
  #cursor = null; // the place under the pointer, among those drawn
  #drawn = { xs: [], columns: new Map() };
  #scheduler = new FrameScheduler(() => this.#draw());
  #now;
  #back;
  #automatic;
  #onChoice;

  /**
   * `now()` is the time at the right edge, or null if that is the last value's; `onChoice()` is called when the person
   * has changed `words`.
   */
  constructor(element, now, onChoice) {
    this.#now = now;
    this.#onChoice = onChoice;
    this.#legend.setAttribute("role", "group");
    this.#legend.setAttribute("aria-label", "Series");
    this.#choices = {
      window: choice("Window", WINDOWS, (window) => this.#choose(() => this.#setX(() => (this.#window = window)))),
      layout: choice("Charts", LAYOUTS, (layout) => this.#choose(() => (this.#layout = layout))),
      along: choice("Along the x-axis", AXES, (along) => this.#choose(() => this.#setX(() => (this.#along = along)))),
    };
    this.#joining = makeButton("small", "Join devices", () => this.#choose(() => (this.#join = !this.#join)));
    this.#joining.title = "One line for what all devices name alike";
    this.#logButton = makeButton("small", "Log axis", () => this.#choose(() => (this.#logarithmic = !this.#logarithmic)));
    this.#logButton.title = "Logarithmic y-axis: values of 0 and less are not drawn";
    this.#back = makeButton("small", "Back to live", () => this.#setRange("x", [], null));
    this.#automatic = makeButton("small", "Auto range", () => this.#choose(() => this.#yRanges.clear()));
    this.#automatic.title = "Give back the ranges of the y-axes";
    this.#joining.hidden = true;
    const tools = make("div", "plot-tools");
    tools.append(...Object.values(this.#choices).map(({ group }) => group), this.#logButton, this.#joining, this.#automatic, this.#back);
    this.#more = makeButton("small more", "", () => {
      this.#open = !this.#open;
      this.#showLegend(true);
    });
    this.#side.append(tools, this.#note, this.#legend, this.#more, make("p", "note", HELP));
    element.append(this.#area, this.#side);
    new ResizeObserver(() => this.changed()).observe(this.#area);
    onColoursChange(() => {
      this.#madeFor = "";
      this.changed();
    });
    this.#showChoices(MINUTE);
  }

  /** Whether any record had numbers in it. */
  get filled() {
    return this.#readings > 0;
  }

  /** The series and what is drawn of them, for tests and curious people. */
  get data() {
    const shown = this.#shown;
    return {
      drawn: this.#charts.length,
      axis: this.#axis,
      rows: this.#readings,
      refused: this.#series.refused,
      x: this.#charts[0] && [this.#charts[0].scales.x.min, this.#charts[0].scales.x.max],
      y: this.#charts.map(({ scales: { y } }) => [y.min, y.max]),
      series: this.#series.ranked.map(([name, { last }]) => {
        const { ys, xs } = this.#series.points(name).along(AXIS[this.#axis]);
        return { name, shown: shown.includes(name), last, values: ys, xs };
      }),
    };
  }

  /** Adds the readings of the record with this number, which was read at `time`. */
  add(n, time, readings) {
    library("uplot"); // now, because the program may end soon
    for (const { device, time: own, values } of readings) {
      this.#readings += 1;
      if (own !== null) this.#timed += 1;
      if (device !== "") {
        this.#joined ??= this.#apart.copy();
        if (this.#devices.size < 2) this.#devices.add(device);
      }
      for (const [name, value] of values) {
        this.#apart.add(nameOf(device, name), n, time, own ?? NaN, value);
        this.#joined?.add(name, n, time, own ?? NaN, value);
      }
    }
  }

  clear() {
    this.#apart = new Series();
    this.#joined = null;
    this.#devices.clear();
    this.#readings = this.#timed = 0;
    this.#colours.clear();
    this.#xRange = null;
    this.#forgetLegend();
    this.changed();
  }

  /** Call this when numbers have come, when time has gone on, or when the plot has come into sight. */
  changed() {
    this.#scheduler.request();
  }

  // What is shown

  /** What the person chose, as words for the address. */
  get words() {
    const only = this.#only === null ? "" : `only=${encode(this.#only)}`;
    const words = [this.#along ?? "", this.#join ? "joined" : "", this.#logarithmic ? "logarithmic" : "", only];
    if (this.#xRange) words.push(`x=${this.#xRange.join("..")}`);
    for (const [name, range] of this.#yRanges) words.push(`y${name && `.${encode(name)}`}=${range.join("..")}`);
    return words.filter((word) => word !== "");
  }

  set words(words) {
    this.#along = words.find((word) => Object.hasOwn(AXIS, word)) ?? null;
    this.#join = words.includes("joined");
    this.#logarithmic = words.includes("logarithmic");
    this.#only = decode(words.find((word) => word.startsWith("only="))?.slice("only=".length));
    this.#readRanges(words);
    this.#forgetLegend();
    this.changed();
  }

  #readRanges(words) {
    this.#xRange = null;
    this.#yRanges.clear();
    this.#wrong = "";
    for (const word of words) {
      const [, axis, name, text] = /^([xy])(?:\.([^=]*))?=(.*)$/s.exec(word) ?? [];
      if (axis === undefined) continue;
      const range = readRange(text, axis);
      if (!range) this.#wrong = `“${cut(word, MAX_LABEL)}” in the address is not a range such as 0..100: it is ignored.`;
      else if (axis === "x") this.#xRange = range;
      else this.#yRanges.set(decode(name) ?? "", range);
    }
  }

  /** Sets the range of the x-axis, or of the y-axis of the chart of these series; null gives it back. */
  #setRange(axis, names, range) {
    this.#choose(() => {
      this.#wrong = "";
      if (axis === "x") {
        this.#xRange = range;
        if (range) this.#along = this.#axis; // it is one on this axis
      } else if (range) {
        this.#yRanges.set(names.length === 1 ? names[0] : "", range);
      } else {
        this.#yRanges.delete(names[0]);
        if (this.#charts.length === 1) this.#yRanges.delete("");
      }
    });
  }

  /** The range of the y-axis of a chart of these series, if the person set one. */
  #yRange(names) {
    const own = names.length === 1 ? this.#yRanges.get(names[0]) : undefined;
    return own ?? (this.#charts.length <= 1 ? this.#yRanges.get("") : undefined);
  }

  #setX(set) {
    this.#xRange = null;
    set();
  }

  #choose(set) {
    const join = this.#join;
    set();
    if (this.#join !== join) this.#forgetLegend();
    this.changed();
    this.#onChoice();
  }

  get #series() {
    return (this.#join && this.#joined) || this.#apart;
  }

  /** The names of the series that are shown. */
  get #shown() {
    const ranked = this.#series.ranked;
    if (ranked.some(([name]) => name === this.#only)) return [this.#only];
    const guessed = toShow(ranked);
    return ranked.map(([name]) => name).filter((name) => this.#chosen.get(name) ?? guessed.includes(name));
  }

  /** Which axis and window show most, until the person chooses. */
  #bestView(names) {
    const all = names.map((name) => this.#series.points(name).along(ARRIVAL).xs);
    const xs = all.reduce((a, b) => (b.length > a.length ? b : a), []);
    const last = xs.at(-1);
    const fits = (window) => last - xs[0] <= window || xs.at(-ENOUGH) >= last - window;
    let window = fits(MINUTE) ? MINUTE : fits(5 * MINUTE) ? 5 * MINUTE : Infinity;
    const sight = xs.filter((x) => x >= last - window);
    const atOnce = sight.filter((x) => x < sight[0] + 1000).length;
    const burst = atOnce > 2 ? atOnce > BURST * sight.length : atOnce > 1 && atOnce === sight.length;
    const facts = names.map((name) => this.#series.facts(name));
    const timed = facts.reduce((sum, one) => sum + one.timed - one.n / 2, 0) >= 0; // most of them
    const timedNames = names.filter((_, i) => facts[i].timed > 0);
    const times = timedNames.map((name) => this.#series.points(name).along(OWN).xs);
    const [oldest, newest] = [Math.min(...times.map((xs) => xs[0])), Math.max(...times.map((xs) => xs.at(-1)))];
    const best = timed && oldest < newest ? "own" : burst ? "order" : "arrival";
    const axis = this.#along === "own" && this.#timed === 0 ? best : (this.#along ?? best);
    // What was not live is shown as a whole.
    if (axis === "own" && (burst || Math.abs(newest - last) > MINUTE)) window = Infinity;
    return { axis, window: this.#window ?? window };
  }

  // Drawing

  async #draw() {
    const { clientWidth: width, clientHeight: height } = this.#area;
    if (width === 0 || height === 0 || !this.filled) return;
    if (this.#held || this.#scheduler.tooEarly) return;
    try {
      await library("uplot");
    } catch (error) {
      this.#area.textContent = error.message;
      return;
    }
    const start = performance.now();
    const names = this.#shown;
    this.#showLegend();
    const { axis, window } = this.#bestView(names);
    this.#axis = axis;
    const facts = names.map((name) => this.#series.facts(name));
    const apart = this.#layout === "each" || (this.#layout === "auto" && names.length > 1 && differ(facts));
    const groups = names.length === 0 ? [] : apart ? names.map((name) => [name]) : [names];
    const { xs, columns, edges } = this.#inSight(names, axis, window);
    if (this.#logarithmic) for (const column of columns) dropNotAbove(column);
    this.#drawn = { xs, columns: new Map(names.map((name, i) => [name, columns[i]])) };
    this.#make(groups, axis === "order", width, height);
    const before = this.#room.values;
    groups.forEach((group, i) => {
      const chart = this.#charts[i];
      chart.batch(() => {
        chart.setData([xs, ...group.map((name) => this.#drawn.columns.get(name))], false);
        chart.setScale("x", { min: edges[0], max: edges[1] });
      });
      const { min, max } = chart.scales.y;
      const shown = group.map((name) => this.#drawn.columns.get(name));
      showBeyond(chart, this.#yRange(group) ? outside(shown, xs, edges, [min, max]) : [false, false]);
    });
    this.#showChoices(window);
    if (this.#room.values !== before) for (const chart of this.#charts) chart.redraw(false, true);
    this.#scheduler.done(start);
  }

  /** The points that are in sight, on one x-axis, and its edges. */
  #inSight(names, axis, window) {
    const by = axis === "own" ? OWN : ARRIVAL;
    const points = names.map((name) => this.#series.points(name));
    const ends = points.map((one) => one.along(by).xs).filter((xs) => xs.length > 0);
    const first = Math.min(...ends.map((xs) => xs[0]));
    const last = Math.max(...ends.map((xs) => xs.at(-1)));
    if (this.#xRange) return this.#inRange(points, AXIS[axis]);
    if (ends.length === 0) return { ...align(points.map(() => ({ xs: [], ys: [] }))), edges: [0, 1] };
    // The right edge follows the time as long as there is something to see.
    const ended = this.#window === null && this.#now() === null;
    const now = this.#now() ?? last;
    const end = now - last < (window === Infinity ? (last - first) / 4 : window) ? Math.max(now, last) : last;
    // A window that was not chosen is not wider than the data at the end.
    const begin = window === Infinity || (ended && last - first < window) ? first : end - window;
    const aligned = align(points.map((one) => one.along(AXIS[axis], by, begin)));
    const { xs } = aligned;
    if (axis !== "order") return { ...aligned, edges: end > begin ? [begin, end] : [begin - 500, begin + 500] };
    const [least, greatest] = [xs[0] ?? 0, xs.at(-1) ?? 1];
    return { ...aligned, edges: greatest > least ? [least, greatest] : [least - 1, least + 1] };
  }

  /** The points of the part of the x-axis that the person set. */
  #inRange(points, axis) {
    const [from, to] = this.#xRange;
    const all = points.map((one) => one.along(axis));
    const before = all.some(({ xs }) => xs[0] < from);
    const after = all.some(({ xs }) => xs.at(-1) > to);
    this.#beside = [before ? "before" : "", after ? "after" : ""].filter((side) => side !== "").join(" and ");
    return { ...align(all.map((one) => within(one, from, to))), edges: this.#xRange };
  }

  /** Makes new charts if they must show something else than before, and gives all their size. */
  #make(groups, inOrder, width, height) {
    const each = heightOfEach(groups.length, height);
    const madeFor = JSON.stringify([groups, inOrder, this.#logarithmic]);
    if (madeFor !== this.#madeFor) {
      this.#madeFor = madeFor;
      for (const chart of this.#charts) chart.destroy();
      this.#area.replaceChildren();
      this.#room = newRoom();
      this.#charts = groups.map((names, i) =>
        makeChart(this.#area, names, {
          width,
          height: each,
          inOrder,
          logarithmic: this.#logarithmic,
          last: i === groups.length - 1,
          room: this.#room,
          colourOf: (name) => this.#colourOf(name),
          yRange: () => this.#yRange(names),
          onRange: (axis, range) => this.#setRange(axis, names, range),
          onHold: (held) => this.#hold(held),
          onPoint: (at) => this.#point(at),
        }),
      );
    }
    this.#resize(height);
  }

  #resize(height) {
    const each = heightOfEach(this.#charts.length, height);
    const inner = this.#area.clientWidth; // a scroll bar may have come
    for (const chart of this.#charts) {
      if (chart.width !== inner || chart.height !== each) chart.setSize({ width: inner, height: each });
    }
  }

  /** A series gets its colour when it is first shown, one that no other visible series has, while there are any. */
  #colourOf(name) {
    if (!this.#colours.has(name)) {
      const taken = this.#shown.map((other) => this.#colours.get(other));
      const free = Array.from({ length: COLOURS }, (_, i) => `series-${i}`).find((own) => !taken.includes(own));
      this.#colours.set(name, free ?? `series-${this.#colours.size % COLOURS}`);
    }
    return this.#colours.get(name);
  }

  /** While the person holds an axis, what it measures must not change. */
  #hold(held) {
    this.#held = held;
    if (!held) this.changed();
  }

  // Beside the charts

  #showChoices(window) {
    this.#choices.window.show(this.#xRange ? null : window);
    this.#choices.layout.show(this.#layout);
    this.#choices.along.show(this.#axis);
    this.#choices.along.offer("own", this.#timed > 0);
    this.#logButton.setAttribute("aria-pressed", String(this.#logarithmic));
    this.#joining.hidden = this.#devices.size < 2;
    this.#joining.setAttribute("aria-pressed", String(this.#join));
    this.#back.hidden = this.#xRange === null;
    this.#automatic.hidden = this.#yRanges.size === 0;
    const notes = this.#wrong === "" ? [] : [this.#wrong];
    const below = [...this.#yRanges.values()].some(([from]) => from <= 0);
    if (this.#logarithmic && below) notes.push("A logarithmic axis begins above 0: not where the range does.");
    if (this.#xRange && this.#beside) notes.push(`There are more points ${this.#beside} this part of the x-axis.`);
    if (this.#axis === "own" && this.#timed < this.#readings) {
      notes.push(`${number.format(this.#readings - this.#timed)} readings without a time of their own are not drawn.`);
    }
    const { refused } = this.#series;
    const many = `${number.format(refused)}${refused === MAX_REFUSED ? " or more" : ""}`;
    if (refused > 0) notes.push(`${many} further series are not kept: too many.`);
    setText(this.#note, notes.join(" "));
  }

  #point(at) {
    if (at === this.#cursor) return;
    this.#cursor = at;
    this.#showLegend();
  }

  #forgetLegend() {
    this.#legendItems.clear();
    this.#legend.replaceChildren();
  }

  /** `anew` says that it may change under the pointer and the focus. */
  #showLegend(anew = false) {
    const shown = this.#shown;
    const all = this.#series.ranked.map(([name]) => name);
    const first = all.filter((name, i) => i < PLACES || shown.includes(name));
    const names = this.#open ? all : first;
    const hidden = all.length - first.length;
    this.#more.hidden = hidden === 0;
    this.#more.setAttribute("aria-expanded", String(this.#open));
    setText(this.#more, this.#open ? "Fewer series" : `${hidden} more series`);
    for (const name of names) this.#showItem(name, shown.includes(name));
    const items = names.map((name) => this.#legendItems.get(name));
    const now = [...this.#legend.children];
    const same = items.length === now.length && items.every((item, i) => item === now[i]);
    if (!anew && this.#legend.matches(":hover, :focus-within")) {
      // Nothing moves away under the pointer or the focus.
      this.#legend.append(...items.filter((item) => !item.isConnected));
    } else if (!same) {
      this.#legend.replaceChildren(...items);
    }
    if (this.#legendItems.size > MAX_KNOWN) this.#forgetThoseNotIn(all);
  }

  #forgetThoseNotIn(names) {
    const there = new Set(names);
    for (const known of [this.#legendItems, this.#colours, this.#chosen]) {
      for (const name of known.keys()) if (!there.has(name)) known.delete(name);
    }
  }

  #showItem(name, on) {
    let item = this.#legendItems.get(name);
    if (!item) {
      item = this.#makeItem(name);
      this.#legendItems.set(name, item);
    }
    if (item.getAttribute("aria-pressed") !== String(on)) {
      item.setAttribute("aria-pressed", String(on));
      item.firstChild.className = `swatch ${on ? this.#colourOf(name) : ""}`;
    }
    const { notAbove } = this.#series.facts(name);
    const dropped = on && this.#logarithmic && notAbove > 0;
    setText(item.children[2], dropped ? `${number.format(notAbove)} ≤ 0` : "");
    setText(item.lastChild, formatValue(this.#value(name)));
  }

  /** The value of a series at the pointer, or before it; otherwise the last. */
  #value(name) {
    const column = this.#drawn.columns.get(name);
    if (this.#cursor === null || !column) return this.#series.facts(name).last;
    let i = this.#cursor;
    while (i > 0 && column[i] === null) i -= 1;
    return column[i] ?? this.#series.facts(name).last;
  }

  #toggle(name) {
    this.#before = { only: this.#only, chosen: this.#chosen };
    const shown = this.#shown;
    this.#chosen = new Map(this.#chosen);
    if (shown.includes(this.#only)) for (const [other] of this.#series.ranked) this.#chosen.set(other, shown.includes(other));
    this.#chosen.set(name, !shown.includes(name));
    this.#choose(() => (this.#only = null));
  }

  /** Shows this series alone; or, if it was alone, those that were there before. */
  #alone(name) {
    const { only, chosen } = this.#before;
    this.#chosen = only === name ? new Map() : chosen;
    this.#choose(() => (this.#only = only === name ? null : name));
  }

  #makeItem(name) {
    const item = makeButton("series", "");
    item.addEventListener("click", ({ detail }) => (detail === 2 ? this.#alone(name) : this.#toggle(name)));
    item.addEventListener("keydown", ({ key, ctrlKey, metaKey, altKey }) => {
      if (key !== "o" || ctrlKey || metaKey || altKey) return;
      this.#before = { only: this.#only, chosen: this.#chosen };
      this.#alone(name);
    });
    item.title = `Show or hide ${cut(name, 1000)}; a double click (key: o) shows it alone, another all again`;
    item.append(swatch(""), make("span", "name", cut(name, MAX_LABEL)));
    const dropped = make("span", "dropped");
    dropped.title = "Not drawn: a logarithmic axis has no place for them";
    item.append(dropped, make("span", "value"));
    return item;
  }
}

/** One of some values, as a row of buttons: show(value) presses its button, offer(value, on) takes it away. */
function choice(label, options, set) {
  const group = make("div", "choice");
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", label);
  const buttons = options.map(([text, value, title]) => {
    const button = makeButton("", text, () => set(value));
    button.title = title;
    return button;
  });
  group.append(...buttons);
  const show = (now) => {
    options.forEach(([, value], i) => buttons[i].setAttribute("aria-pressed", String(value === now)));
  };
  const offer = (value, on) => {
    const offered = buttons.filter((button, i) => on || options[i][1] !== value);
    if (group.children.length !== offered.length) group.replaceChildren(...offered);
  };
  return { group, show, offer };
}

/** A part of the address as a text; null if there is none, or if it is not encoded as it should be. */
function decode(part) {
  try {
    return part === undefined ? null : decodeURIComponent(part);
  } catch {
    return null;
  }
}

/** A name as a part of the address, where no lone surrogate can be. */
function encode(name) {
  return encodeURIComponent(name.replace(/\p{Cs}/gu, "\ufffd"));
}

/** Takes the values of 0 and less out of a column. */
function dropNotAbove(column) {
  for (let i = 0; i < column.length; i += 1) if (column[i] <= 0) column[i] = null;
}

/** How high each of this many charts is, in px. */
function heightOfEach(n, height) {
  return n > 1 ? Math.max(STRIP, Math.floor(height / n)) : height;
}
