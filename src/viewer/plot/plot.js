// The plot: a line for each series of numbers that the records carry, drawn by uPlot.
//
// Series that go together share one chart; if their sizes differ much, each gets a strip of its own. The numbers are
// kept in series.js; facts.js guesses which of them are worth showing; chart.js knows uPlot.

import { COLOURS, make, makeButton, onColoursChange, setText } from "../dom.js";
import { FrameScheduler } from "../frame-scheduler.js";
import { library } from "../library.js";
import { cut } from "../text/characters.js";
import { formatValue } from "./axes.js";
import { makeChart, MAX_LABEL, newRoom, swatch } from "./chart.js";
import { SeriesFacts } from "./facts.js";
import { Series } from "./series.js";

/** The least height of a strip, in px. */
const STRIP = 104;

/** If more than this part of what is in sight came within its first second, order says more than time. */
const BURST = 0.3;

const WINDOWS = [
  ["10 s", 10_000],
  ["1 min", 60_000],
  ["5 min", 300_000],
  ["All", Infinity],
];

export class Plot {
  #series = new Series();
  #facts = new SeriesFacts();
  #colours = new Map(); // the names of the series' colours
  #chosen = new Map(); // what the person switched on or off
  #legend;
  #legendItems = new Map(); // by the name of the series
  #area;
  #charts = [];
  #madeFor = ""; // what the charts show; others are made when it changes
  #window = 60_000;
  #layout = "auto";
  #zoomed = false;
  #cursor = null; // the row under the pointer, among those drawn
  #rows = [0, 0]; // those drawn
  #inOrder = false; // and whether along their order instead of time
  #scheduler = new FrameScheduler(() => this.#draw());
  #now;
  #back;

  /** `now()` is the time at the right edge, or null if that is the last value's. */
  constructor(element, now) {
    this.#now = now;
    this.#area = make("div", "charts");
    this.#legend = make("div", "legend");
    this.#legend.setAttribute("role", "group");
    this.#legend.setAttribute("aria-label", "Series");
    const tools = make("div", "plot-tools");
    tools.append(
      this.#choice("Window", WINDOWS, this.#window, (window) => (this.#window = window)),
      this.#choice(
        "Charts",
        [
          ["Auto", "auto"],
          ["One", "one"],
          ["Each", "each"],
        ],
        this.#layout,
        (layout) => (this.#layout = layout),
      ),
    );
    this.#back = makeButton("small", "Back to live", () => this.#zoom(false));
    this.#back.hidden = true;
    tools.append(this.#back);
    const side = make("div", "side");
    side.append(tools, this.#legend);
    element.append(this.#area, side);
    new ResizeObserver(() => this.changed()).observe(this.#area);
    onColoursChange(() => {
      this.#madeFor = "";
      this.#zoom(false);
    });
  }

  /** Whether any record had numbers in it. */
  get filled() {
    return this.#series.length > 0;
  }

  /** The series that are drawn, for tests and curious people. */
  get data() {
    return {
      drawn: this.#charts.length,
      order: this.#inOrder,
      rows: this.#series.length,
      refused: this.#series.refused,
      series: this.#series.names.map((name) => ({
        name,
        shown: this.#shown.includes(name),
        last: this.#series.last(name),
        values: [...this.#series.values(name)].filter((value) => !Number.isNaN(value)),
      })),
    };
  }

  add(time, pairs) {
    library("uplot"); // now, because the program may end soon
    this.#series.add(time, pairs);
    for (const [name, value] of pairs) if (this.#series.has(name)) this.#facts.add(name, value, time);
  }

  clear() {
    this.#series.clear();
    this.#facts.clear();
    this.#colours.clear();
    this.#legendItems.clear();
    this.#legend.replaceChildren();
    this.#zoom(false);
  }

  /** To be called when numbers have come, when time has gone on, or when the plot has come into sight. */
  changed() {
    this.#scheduler.request();
  }

  // What is shown

  /** The names of the series that are shown. */
  get #shown() {
    const guessed = this.#facts.toShow(this.#series.names);
    return this.#series.names.filter((name) => this.#chosen.get(name) ?? guessed.includes(name));
  }

  // Drawing

  async #draw() {
    const { clientWidth: width, clientHeight: height } = this.#area;
    if (width === 0 || height === 0 || !this.filled) return;
    if (this.#scheduler.tooEarly) return;
    try {
      await library("uplot");
    } catch (error) {
      this.#area.textContent = error.message;
      return;
    }
    const start = performance.now();
    const names = this.#shown;
    this.#showLegend(names);
    if (this.#zoomed) {
      this.#resize(height);
      return;
    }
    const apart = this.#layout === "each" || (this.#layout === "auto" && names.length > 1 && this.#facts.differ(names));
    const groups = names.length === 0 ? [] : apart ? names.map((name) => [name]) : [names];
    const [first, last] = this.#series.span;
    const end = Math.max(this.#now() ?? last, last);
    const begin = this.#window === Infinity ? first : end - this.#window;
    const from = this.#series.row(begin);
    const to = this.#series.length;
    this.#rows = [from, to];
    const burst = this.#series.row(this.#series.times()[Math.min(from, to - 1)] + 1000) - from;
    const inOrder = to - from > 2 && burst > BURST * (to - from);
    this.#inOrder = inOrder;
    this.#make(groups, inOrder, width, height);
    const times = inOrder
      ? Array.from({ length: to - from }, (_, i) => from + i + 1)
      : Array.from(this.#series.times(from, to));
    const edges = inOrder ? [from + 1, Math.max(to, from + 2)] : [begin, Math.max(end, begin + 1)];
    groups.forEach((group, i) => {
      const values = group.map((name) =>
        Array.from(this.#series.values(name, from, to), (value) => (Number.isNaN(value) ? null : value)),
      );
      const chart = this.#charts[i];
      chart.batch(() => {
        chart.setData([times, ...values], false);
        chart.setScale("x", { min: edges[0], max: edges[1] });
      });
    });
    this.#scheduler.done(start);
  }

  /** Makes new charts if they must show something else than before, and gives all their size. */
  #make(groups, inOrder, width, height) {
    const each = heightOfEach(groups.length, height);
    const madeFor = JSON.stringify([groups, inOrder]);
    if (madeFor !== this.#madeFor) {
      this.#madeFor = madeFor;
      for (const chart of this.#charts) chart.destroy();
      this.#area.replaceChildren();
      const room = newRoom();
      this.#charts = groups.map((names, i) =>
        makeChart(this.#area, names, {
          width,
          height: each,
          inOrder,
          last: i === groups.length - 1,
          room,
          colourOf: (name) => this.#colourOf(name),
          onZoom: (zoomed) => this.#zoom(zoomed),
          onPoint: (row) => this.#point(row),
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

  /** A series gets its colour when it is first shown, so that those in sight differ while there are enough colours. */
  #colourOf(name) {
    if (!this.#colours.has(name)) this.#colours.set(name, `series-${this.#colours.size % COLOURS}`);
    return this.#colours.get(name);
  }

  #zoom(zoomed) {
    this.#zoomed = zoomed;
    this.#back.hidden = !zoomed;
    this.changed();
  }

  // The legend

  #point(row) {
    if (row === this.#cursor) return;
    this.#cursor = row;
    this.#showLegend(this.#shown);
  }

  #showLegend(names) {
    for (const name of this.#series.names) {
      let item = this.#legendItems.get(name);
      if (!item) {
        item = this.#makeItem(name);
        this.#legendItems.set(name, item);
        this.#legend.append(item);
      }
      const on = names.includes(name);
      if (item.getAttribute("aria-pressed") !== String(on)) {
        item.setAttribute("aria-pressed", String(on));
        item.firstChild.className = `swatch ${on ? this.#colourOf(name) : ""}`;
      }
      let value = this.#series.last(name);
      if (this.#cursor !== null) {
        const [from, to] = this.#rows;
        value = this.#series.values(name, from, to)[this.#cursor];
        if (Number.isNaN(value)) value = null;
      }
      setText(item.lastChild, formatValue(value));
    }
  }

  #makeItem(name) {
    const item = makeButton("series", "", () => {
      this.#chosen.set(name, !this.#shown.includes(name));
      if (this.#zoomed) this.#zoom(false);
      this.changed();
    });
    item.title = `Show or hide ${cut(name, 1000)}`;
    item.append(swatch(""), make("span", "name", cut(name, MAX_LABEL)), make("span", "value"));
    return item;
  }

  /** One of some values, as a row of buttons. */
  #choice(label, options, now, set) {
    const group = make("div", "choice");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", label);
    for (const [text, value] of options) {
      const button = makeButton("", text, () => {
        for (const other of group.children) other.setAttribute("aria-pressed", String(other === button));
        set(value);
        this.#zoom(false);
      });
      button.setAttribute("aria-pressed", String(value === now));
      group.append(button);
    }
    return group;
  }
}

/** How high each of this many charts is, in px. */
function heightOfEach(n, height) {
  return n > 1 ? Math.max(STRIP, Math.floor(height / n)) : height;
}
