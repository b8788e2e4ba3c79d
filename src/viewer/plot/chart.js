// One chart of the plot, made by uPlot: its axes, lines and title.
//
// Which series it has, and its data, are left to plot.js.

import { colour, make } from "../dom.js";
import { cut } from "../text/characters.js";
import { ANY_STEP, formatValue, logTicks, numberLabels, numberTicks, timeLabels, timeTicks } from "./axes.js";
import { takeHold } from "./hand.js";
import { isRange, rangeOf, rounded } from "./range.js";

/** Names are cut to this in titles and in the legend. */
export const MAX_LABEL = 40;

/** The least room for a tick and its label along each axis, in px. */
const X_SPACE = 92;
const Y_SPACE = 34;

/** The room at the right of a chart, the usual one for the values at its left, and what their digits take, in px. */
const RIGHT = 26;
const VALUES = 64;
const DIGIT = 7.5;

/** If no more than this are visible, each point is drawn: one alone doesn't make a line. */
const FEW = 40;

/**
 * Makes a chart in `area` for the series with these names, without data yet. `colourOf(name)` names the colour of a
 * series; `inOrder` has records in order instead of their times along the x-axis, which only the last of the charts
 * shows; `logarithmic` has all values above 0 on a logarithmic axis. `room` is what newRoom() made for all of them.
 * `yRange()` is the range of its y-axis if a person set one. `onRange(axis, range)`, `onHold(held)` (see hand.js) and
 * `onPoint(row)` report what the person does in it; the row is null outside.
 */
export function makeChart(area, names, options) {
  const { width, height, inOrder, logarithmic, last, room, colourOf, yRange, onRange, onHold, onPoint } = options;
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const axis = {
    font,
    stroke: colour("quiet"),
    grid: { stroke: colour("line"), width: 1 },
    ticks: { stroke: colour("line"), width: 1, size: 5 },
    incrs: ANY_STEP,
  };
  const title = make("div", "chart-title");
  const beyond = [make("div", "beyond above", "↑ more above"), make("div", "beyond below", "↓ more below")];
  const inWords = {
    x: (range) => (inOrder ? numberLabels(range) : timeLabels(range).map((time) => time.replace("\n", " "))).join(" – "),
    y: (range) => numberLabels(range).join(" – "),
  };
  const setup = {
    width,
    height,
    ms: 1,
    legend: { show: false },
    padding: [names.length === 1 ? 24 : 14, RIGHT, last ? 0 : 6, 0],
    scales: {
      x: { time: false, auto: false },
      y: {
        distr: logarithmic ? 3 : 1,
        range: (_, least, greatest) => rangeOf(yRange(), least, greatest, logarithmic),
      },
    },
    series: [
      {},
      ...names.map((name) => {
        const stroke = colour(colourOf(name));
        const fill = names.length === 1 ? `color-mix(in srgb, ${stroke} 12%, transparent)` : undefined;
        return { label: name, stroke, fill, width: 1.75, spanGaps: true, points: { show: few, size: 6 } };
      }),
    ],
    axes: [
      {
        ...axis,
        show: last,
        size: (_, labels) => (labels?.some((label) => label.includes("\n")) ? 48 : 34),
        splits: ({ width }, _, min, max) => {
          const n = Math.max(1, Math.floor((width - VALUES) / X_SPACE));
          return inOrder ? numberTicks(min, max, n, true) : timeTicks(min, max, n);
        },
        values: (chart, ticks) => whole(chart, ticks, inOrder ? numberLabels(ticks) : timeLabels(ticks), room),
      },
      {
        ...axis,
        size: (_, labels) => {
          const longest = Math.max(0, ...(labels ?? []).map((label) => label.length));
          room.values = Math.max(room.values, longest * DIGIT + 16);
          return room.values;
        },
        splits: ({ height }, _, min, max) => {
          const n = Math.max(3, Math.floor((height - 34) / Y_SPACE));
          return (logarithmic ? logTicks : numberTicks)(min, max, n);
        },
        values: (_, ticks) => (logarithmic ? ticks.map(formatValue) : numberLabels(ticks)),
      },
    ],
    cursor: {
      sync: { key: "plot" },
      drag: { x: true, y: false, setScale: false },
      points: { size: 7 },
      dataIdx: nearest,
      bind: { dblclick: () => null },
    },
    hooks: {
      setSelect: [
        (chart) => {
          const { left, width } = chart.select;
          if (width === 0) return;
          const range = rounded([left, left + width].map((place) => chart.posToVal(place, "x")));
          chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          if (isRange(range, "x")) onRange("x", range);
        },
      ],
      setCursor: [(chart) => onPoint(chart.cursor.idx ?? null)],
      ready: [
        (chart) => {
          if (names.length === 1) {
            title.append(swatch(colourOf(names[0])), cut(names[0], MAX_LABEL));
            chart.over.append(title);
          }
          chart.over.append(...beyond);
          showBeyond(chart, [false, false]);
          chart.over.addEventListener("dblclick", () => onRange("x", null));
          const elements = [...chart.root.querySelectorAll(".u-axis")];
          for (const axis of last ? ["x", "y"] : ["y"]) {
            const whose = names.length === 1 ? ` of ${cut(names[0], MAX_LABEL)}` : "";
            takeHold(chart, elements.shift(), axis, {
              name: axis === "x" ? "x-axis" : `y-axis${whose}`,
              logarithmic: logarithmic && axis === "y",
              label: inWords[axis],
              onHold,
              onRange: (range) => onRange(axis, range),
            });
          }
        },
      ],
    },
  };
  return new window.uPlot(setup, [[], ...names.map(() => [])], area);
}

/** Says whether there are points above and below what a chart has a place for. */
export function showBeyond(chart, beyond) {
  chart.over.querySelectorAll(".beyond").forEach((element, i) => (element.hidden = !beyond[i]));
}

/** Labels along the x-axis, without the last if it would be cut. */
function whole({ width, scales: { x } }, ticks, labels, room) {
  if (ticks.length < 2) return labels;
  const toEdge = ((x.max - ticks.at(-1)) / (x.max - x.min)) * (width - room.values - RIGHT) + RIGHT;
  return (labels.at(-1).split("\n")[0].length * DIGIT) / 2 > toEdge ? [...labels.slice(0, -1), ""] : labels;
}

/** Whether the points of a series are drawn, by the first and the last in sight. */
function few(chart, series, first, last) {
  return last - first < FEW;
}

/** The point of a series that is next to a place on the x-axis: not all series have one there. */
function nearest(chart, series, at) {
  const values = chart.data[series];
  for (let away = 0; away < values.length; away += 1) {
    for (const i of [at - away, at + away]) if (values[i] !== null && values[i] !== undefined) return i;
  }
  return at;
}

/** The room at the left of charts that stand above each other: as much as one of them needs. */
export function newRoom() {
  return { values: VALUES };
}

/** A square of a series' colour. */
export function swatch(name) {
  return make("span", `swatch ${name}`);
}
