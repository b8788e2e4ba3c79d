// The plot: a line for each series of numbers that the records carry, drawn by uPlot.
//
// Series that go together share one chart; where their sizes differ much, each gets a strip of its own. Which are shown
// at first is a guess (a counter or a clock tells little); the legend, which is the person's, overrules it.

import { Drawing } from "./drawing.js";
import { COLOURS, colour, library, onColours } from "./own.js";
import { Series } from "./series.js";
import { cut, make } from "./text.js";

/** Series shown at first, at most. */
const MAX_SHOWN = 6;

/** Sizes that differ by more than this don't share a chart. */
const APART = 12;

/** The least height of a strip, in px. */
const STRIP = 104;

/** More than so much of what is in sight came within its first second: time says little, the order more. */
const BURST = 0.3;

/** Names are cut to this in the legend. */
const MAX_LABEL = 40;

const WINDOWS = [
  ["10 s", 10_000],
  ["1 min", 60_000],
  ["5 min", 300_000],
  ["All", Infinity],
];

/** Steps between records in order: there is none between two. */
const WHOLE = [1, 10, 100, 1000, 10_000].flatMap((n) => [n, 2 * n, 5 * n]);

const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 5 });
const large = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });

function shown(value) {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) >= 1e6 ? large.format(value) : short.format(value);
}

export class Plot {
  #series = new Series();
  #facts = new Map(); // for each series {n, last, delta, steady, clock, least, greatest}
  #colours = new Map(); // the names of their colours
  #chosen = new Map(); // what the person switched on or off
  #legend;
  #items = new Map(); // the legend's elements
  #area;
  #charts = [];
  #made = ""; // what the charts were made for; others are made when it changes
  #window = 60_000;
  #layout = "auto";
  #zoomed = false;
  #cursor = null; // the row under the pointer, among those drawn
  #rows = [0, 0]; // those drawn
  #drawing = new Drawing(() => this.#draw());
  #live = () => true;
  #back;

  /** `live` says whether time goes on at the right edge. */
  constructor(element, live) {
    this.#live = live;
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
    this.#back = make("button", "small", "Back to live");
    this.#back.type = "button";
    this.#back.hidden = true;
    this.#back.addEventListener("click", () => this.#zoom(false));
    tools.append(this.#back);
    const side = make("div", "side");
    side.append(tools, this.#legend);
    element.append(this.#area, side);
    new ResizeObserver(() => this.changed()).observe(this.#area);
    onColours(() => {
      this.#made = "";
      this.#zoom(false);
    });
  }

  /** Whether any record carried numbers. */
  get filled() {
    return this.#series.length > 0;
  }

  /** The series as they are drawn from, for tests and the curious. */
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
    library("uplot"); // now, for the program may soon have ended
    this.#series.add(time, pairs);
    for (const [name, value] of pairs) {
      const facts = this.#facts.get(name);
      if (!facts) {
        if (this.#facts.size < this.#series.names.length) {
          this.#facts.set(name, {
            n: 1,
            last: value,
            delta: 0,
            steady: true,
            clock: isClock(value, time),
            least: value,
            greatest: value,
          });
        }
        continue;
      }
      const delta = value - facts.last;
      if (facts.n === 1) facts.delta = delta;
      else if (facts.steady && Math.abs(delta - facts.delta) > 1e-9) facts.steady = false;
      facts.n += 1;
      facts.last = value;
      facts.clock &&= isClock(value, time);
      facts.least = Math.min(facts.least, value);
      facts.greatest = Math.max(facts.greatest, value);
    }
  }

  clear() {
    this.#series.clear();
    this.#facts.clear();
    this.#colours.clear();
    this.#items.clear();
    this.#legend.replaceChildren();
    this.#zoom(false);
  }

  /** To be called when numbers have come, when time has gone on, or when the plot has come into sight. */
  changed() {
    this.#drawing.ask();
  }

  // What is shown

  /** The names of the series that are shown. */
  get #shown() {
    const guessed = this.#guessed();
    return this.#series.names.filter((name) => this.#chosen.get(name) ?? guessed.has(name));
  }

  #guessed() {
    const { names } = this.#series;
    const told = names.filter((name) => {
      const facts = this.#facts.get(name);
      return (
        facts && !facts.steady && !facts.clock && !/(^|\.)(id|mmsi|lat|lon|lng|long|latitude|longitude)$/i.test(name)
      );
    });
    return new Set((told.length > 0 ? told : names).slice(0, MAX_SHOWN));
  }

  /** Whether one chart would make some of these lines flat. */
  #differ(names) {
    const sizes = names.map((name) => {
      const { least, greatest } = this.#facts.get(name);
      return Math.max(Math.abs(least), Math.abs(greatest));
    });
    const some = sizes.filter((size) => size > 0);
    return Math.max(...some) > APART * Math.min(...some);
  }

  // Drawing

  async #draw() {
    const { clientWidth: width, clientHeight: height } = this.#area;
    if (width === 0 || height === 0 || !this.filled) return;
    if (this.#drawing.early) return;
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
    const apart = this.#layout === "each" || (this.#layout === "auto" && names.length > 1 && this.#differ(names));
    const groups = names.length === 0 ? [] : apart ? names.map((name) => [name]) : [names];
    const [first, last] = this.#series.span;
    const end = this.#live() ? Math.max(Date.now(), last) : last;
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
    this.#drawing.done(start);
  }

  #inOrder = false;

  /** Makes the charts where they are others than before, and gives them their size. */
  #make(groups, inOrder, width, height) {
    const each = heightOfEach(groups.length, height);
    const made = JSON.stringify([groups, inOrder]);
    if (made !== this.#made) {
      this.#made = made;
      for (const chart of this.#charts) chart.destroy();
      this.#area.replaceChildren();
      this.#charts = groups.map((group, i) => this.#chart(group, inOrder, width, each, i === groups.length - 1));
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

  #chart(group, inOrder, width, height, last) {
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = {
      font,
      stroke: colour("quiet"),
      grid: { stroke: colour("line"), width: 1 },
      ticks: { stroke: colour("line"), width: 1, size: 5 },
    };
    const title = make("div", "chart-title");
    const options = {
      width,
      height,
      ms: 1,
      legend: { show: false },
      padding: [group.length === 1 ? 24 : 14, 14, last ? 0 : 6, 0],
      scales: { x: { time: !inOrder, auto: false }, y: { range: wideRange } },
      series: [
        {},
        ...group.map((name) => {
          const stroke = colour(this.#colourOf(name));
          const fill = group.length === 1 ? `color-mix(in srgb, ${stroke} 12%, transparent)` : undefined;
          return { label: name, stroke, fill, width: 1.75, spanGaps: true, points: { show: false } };
        }),
      ],
      axes: [
        { ...axis, show: last, size: 34, ...(inOrder ? { incrs: WHOLE } : { values: timeLabels }) },
        { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => shown(tick)), space: 34 },
      ],
      cursor: { sync: { key: "plot" }, drag: { x: true, y: false }, points: { size: 7 } },
      hooks: {
        setSelect: [(chart) => chart.select.width > 0 && this.#zoom(true)],
        setCursor: [(chart) => this.#point(chart.cursor.idx ?? null)],
        ready: [
          (chart) => {
            if (group.length === 1) {
              title.append(swatch(this.#colourOf(group[0])), cut(group[0], MAX_LABEL));
              chart.over.append(title);
            }
            chart.over.addEventListener("dblclick", () => this.#zoom(false));
          },
        ],
      },
    };
    return new window.uPlot(options, [[], ...group.map(() => [])], this.#area);
  }

  /** A series gets its colour when it is first shown, so that those in sight differ as long as there are enough. */
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
      let item = this.#items.get(name);
      if (!item) {
        item = this.#makeItem(name);
        this.#items.set(name, item);
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
      const text = shown(value);
      if (item.lastChild.textContent !== text) item.lastChild.textContent = text;
    }
  }

  #makeItem(name) {
    const item = make("button", "series");
    item.type = "button";
    item.title = `Show or hide ${cut(name, 1000)}`;
    item.append(swatch(""), make("span", "name", cut(name, MAX_LABEL)), make("span", "value"));
    item.addEventListener("click", () => {
      this.#chosen.set(name, !this.#shown.includes(name));
      if (this.#zoomed) this.#zoom(false);
      this.changed();
    });
    return item;
  }

  /** One of some values, as a row of buttons. */
  #choice(label, options, now, set) {
    const group = make("div", "choice");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", label);
    for (const [text, value] of options) {
      const button = make("button", "", text);
      button.type = "button";
      button.setAttribute("aria-pressed", String(value === now));
      button.addEventListener("click", () => {
        for (const other of group.children) other.setAttribute("aria-pressed", String(other === button));
        set(value);
        this.#zoom(false);
      });
      group.append(button);
    }
    return group;
  }
}

/** How high each of so many charts is, in px. */
function heightOfEach(n, height) {
  return n > 1 ? Math.max(STRIP, Math.floor(height / n)) : height;
}

/** A square of the series' colour. */
function swatch(name) {
  return make("span", `swatch ${name}`);
}

/** Whether a value says what time it is: seconds or milliseconds since the epoch, within two days of ours. */
function isClock(value, time) {
  const near = 2 * 86_400_000;
  return Math.abs(value * 1000 - time) < near || Math.abs(value - time) < near;
}

/** The range of the values with some room around them; a single value stands in the middle. */
function wideRange(_, least, greatest) {
  if (least === null) return [0, 1];
  const room = greatest > least ? (greatest - least) * 0.08 : Math.abs(least) * 0.1 || 1;
  const low = least - room;
  // A line above zero does not start below it.
  return [least >= 0 && low < 0 ? 0 : low, greatest + room];
}

/** 14:05:30 at each tick, as short as the step allows. */
function timeLabels(_, ticks, __, ___, step) {
  const two = (n) => String(n).padStart(2, "0");
  return ticks.map((tick) => {
    const t = new Date(tick);
    const clock = `${two(t.getHours())}:${two(t.getMinutes())}`;
    if (step >= 60_000) return clock;
    const seconds = `${clock}:${two(t.getSeconds())}`;
    return step >= 1000 ? seconds : `${seconds}.${String(t.getMilliseconds()).padStart(3, "0")}`;
  });
}
