// The pictures of the records, plot and map: searches each record for numbers and positions, and hands them over.
//
// It is loaded a moment after the log, which does not wait for it. recognise/ searches the records.

import { $ } from "./dom.js";
import { PositionMap } from "./map/map.js";
import { Plot } from "./plot/plot.js";
import { twoNumbers } from "./recognise/degrees.js";
import { Recogniser } from "./recognise/recogniser.js";

/** The most reasons that are kept. */
const MAX_REASONS = 20;

export class Pictures {
  #items;
  #recogniser = new Recogniser();
  #latLon; // whether the person says that two numbers are a position

  /** Whether there were records with two numbers, which may be a position. */
  twoNumbersSeen = false;

  /** Why something in records is not shown, and of how many records that is true. */
  reasons = new Map();

  /** Begins with what is in the buffer. `now()` is the server's time, or null while time stands still. */
  constructor(items, { now, latLon, onPlotChoice }) {
    this.#items = items;
    this.#latLon = latLon;
    this.plot = new Plot($("plot-view"), now, onPlotChoice);
    this.map = new PositionMap($("map-view"), items, now);
    for (let n = items.first; n < items.end; n += 1) this.add(n, items.get(n));
  }

  /** Adds an item. One that the page stumbles over is skipped, and the error reported. */
  add(n, item) {
    if (item.notice) return;
    this.map.pass(item);
    try {
      this.#search(n, item);
    } catch (error) {
      reportError(error);
    }
  }

  #search(n, item) {
    const { readings, places, courses, reasons, latLon } = this.#recogniser.read(item.data, item.type);
    if (readings.length > 0) this.plot.add(n + 1, item.time, readings);
    if (places.length > 0) this.map.add(n, item, places);
    if (courses.length > 0) this.map.turn(courses);
    for (const reason of reasons) this.#addReason(reason);
    if (latLon) {
      this.twoNumbersSeen = true;
      if (this.#latLon) this.map.add(n, item, [here(latLon)]);
    }
  }

  #addReason(reason) {
    if (this.reasons.size < MAX_REASONS || this.reasons.has(reason)) {
      this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
    }
  }

  clear() {
    this.#recogniser = new Recogniser();
    this.reasons.clear();
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
      const latLon = item.notice ? null : twoNumbers(item.data);
      if (latLon) this.map.add(n, item, [here(latLon)]);
    }
  }
}

/** A place without a name. */
function here({ lat, lon }) {
  return { object: "", lat, lon, shape: null, part: 0 };
}
