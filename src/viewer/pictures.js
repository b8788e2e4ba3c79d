// The pictures of the records, plot and map: searches each record for numbers and positions, and hands them over.
//
// It is loaded a moment after the log, which does not wait for it. How records are searched is in recognise/.

import { $ } from "./dom.js";
import { PositionMap } from "./map/map.js";
import { Plot } from "./plot/plot.js";
import { Numbers } from "./recognise/numbers.js";
import { findPositions, twoNumbers } from "./recognise/positions.js";
import { parseJson } from "./text/json.js";

/** Records longer than this, in UTF-16 units, are not searched. */
const MAX_SEARCHED = 256 * 1024;

export class Pictures {
  #items;
  #numbers = new Numbers();
  #latLon; // whether the person says that two numbers are a position

  /** Whether there were records with two numbers, which may be a position. */
  twoNumbersSeen = false;

  /** Begins with what is in the buffer. `isLive()` says whether time goes on in the plot. */
  constructor(items, { isLive, latLon }) {
    this.#items = items;
    this.#latLon = latLon;
    this.plot = new Plot($("plot-view"), isLive);
    this.map = new PositionMap($("map-view"), items);
    for (let n = items.first; n < items.end; n += 1) this.add(n, items.get(n));
  }

  /** Adds an item. One that the page stumbles over is skipped, and the error reported. */
  add(n, item) {
    if (item.notice || item.data.length > MAX_SEARCHED) return;
    try {
      this.#search(n, item);
    } catch (error) {
      reportError(error);
    }
  }

  #search(n, item) {
    const json = parseJson(item.data);
    const pairs = this.#numbers.find(item.data, json);
    if (pairs.length > 0) this.plot.add(item.time, pairs);
    if (json !== undefined) {
      const positions = findPositions(json);
      if (positions.length > 0) this.map.add(n, item, positions);
    } else if (pairs.length === 2) {
      const position = twoNumbers(item.data);
      if (position) {
        this.twoNumbersSeen = true;
        if (this.#latLon) this.map.add(n, item, [position]);
      }
    }
  }

  clear() {
    this.#numbers = new Numbers();
    this.twoNumbersSeen = false;
    this.plot.clear();
    this.map.clear();
  }

  set latLon(on) {
    this.#latLon = on;
    this.map.clear();
    if (!on) return;
    for (let n = this.#items.first; n < this.#items.end; n += 1) {
      const item = this.#items.get(n);
      const position = item.notice ? null : twoNumbers(item.data);
      if (position) this.map.add(n, item, [position]);
    }
  }
}
