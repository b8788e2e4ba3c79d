// One chart of the plot, made by uPlot: its axes, lines and title.
//
// Which series it has, and its data, are left to plot.js.

import { colour, make } from "../dom.js";
import { cut } from "../text/characters.js";

/** Names are cut to this in titles and in the legend. */
export const MAX_LABEL = 40;

/** Steps between records in order: there is nothing between two. */
const WHOLE = [1, 10, 100, 1000, 10_000].flatMap((n) => [n, 2 * n, 5 * n]);

const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 5 });
const large = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });

/** A value as the legend and the axis show it. */
export function formatValue(value) {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) >= 1e6 ? large.format(value) : short.format(value);
}

/**
 * Makes a chart in `area` for the series with these names, without data yet. `colourOf(name)` names the colour of a
 * series; `inOrder` has records in order instead of their times along the x-axis, which only the last of the charts
 * shows. `onZoom(zoomed)` and `onPoint(row)` report what the person does in it; the row is null outside.
 */
export function makeChart(area, names, { width, height, inOrder, last, colourOf, onZoom, onPoint }) {
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
    padding: [names.length === 1 ? 24 : 14, 14, last ? 0 : 6, 0],
    scales: { x: { time: !inOrder, auto: false }, y: { range: wideRange } },
    series: [
      {},
      ...names.map((name) => {
        const stroke = colour(colourOf(name));
        const fill = names.length === 1 ? `color-mix(in srgb, ${stroke} 12%, transparent)` : undefined;
        return { label: name, stroke, fill, width: 1.75, spanGaps: true, points: { show: false } };
      }),
    ],
    axes: [
      { ...axis, show: last, size: 34, ...(inOrder ? { incrs: WHOLE } : { values: timeLabels }) },
      { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => formatValue(tick)), space: 34 },
    ],
    cursor: { sync: { key: "plot" }, drag: { x: true, y: false }, points: { size: 7 } },
    hooks: {
      setSelect: [(chart) => chart.select.width > 0 && onZoom(true)],
      setCursor: [(chart) => onPoint(chart.cursor.idx ?? null)],
      ready: [
        (chart) => {
          if (names.length === 1) {
            title.append(swatch(colourOf(names[0])), cut(names[0], MAX_LABEL));
            chart.over.append(title);
          }
          chart.over.addEventListener("dblclick", () => onZoom(false));
        },
      ],
    },
  };
  return new window.uPlot(options, [[], ...names.map(() => [])], area);
}

/** A square of a series' colour. */
export function swatch(name) {
  return make("span", `swatch ${name}`);
}

/** The range of the values with some room around them; a single value is in the middle. */
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
