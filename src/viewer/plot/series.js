// The plot's data: the series by their names. Their number is limited; a constant gives way to what is new. Pure data.

import { Facts } from "./facts.js";
import { Points } from "./points.js";

/** The most series that are kept. */
const MAX_SERIES = 128;

/** The most names that are remembered of those that aren't. */
export const MAX_REFUSED = 1000;

/**
 * A constant is dropped if it has been constant for this many values, or has been missing for this many; or if the new
 * name has come more often.
 */
const LONG = 16;
const GONE = 1000;

/** If none is, the next search is after this many values. */
const AGAIN = 100;

/** As many devices, and as many numbers of each, have the names of their series ready. */
const MAX_READY = 1000;
const names = new Map(); // by the name of the device, and by that of the number

/** The name of a device's series. Putting it together each time would cost more than all the rest. */
export function nameOf(device, name) {
  if (device === "") return name;
  let own = names.get(device);
  if (!own) {
    if (names.size === MAX_READY) names.clear();
    names.set(device, (own = new Map()));
  }
  let full = own.get(name);
  if (own.size === MAX_READY) own.clear();
  if (full === undefined) own.set(name, (full = `${device} · ${name}`));
  return full;
}

export class Series {
  #all = new Map(); // {points, facts, heard} by name
  #refused = new Map(); // how often each has come
  #many = false; // there were more of them
  #added = 0;
  #full = 0; // no room until this many have come

  /** How many names there are whose numbers are not kept; MAX_REFUSED means "or more". */
  get refused() {
    return this.#many ? MAX_REFUSED : this.#refused.size;
  }

  /** Adds a number: see Points. */
  add(name, order, arrival, own, value) {
    this.#added += 1;
    const series = this.#all.get(name) ?? this.#make(name);
    if (!series) return;
    series.heard = this.#added;
    series.points.add(order, arrival, own, value);
    series.facts.add(value, arrival, !Number.isNaN(own));
  }

  copy() {
    const copy = new Series();
    for (const [name, { points, facts, heard }] of this.#all) {
      copy.#all.set(name, { points: points.copy(), facts: facts.copy(), heard });
    }
    copy.#refused = new Map(this.#refused);
    [copy.#many, copy.#added, copy.#full] = [this.#many, this.#added, this.#full];
    return copy;
  }

  /** [name, facts] of each, by rank. */
  get ranked() {
    const all = Array.from(this.#all, ([name, { facts }]) => [name, facts, facts.rank]);
    return all.sort((a, b) => a[2] - b[2]);
  }

  facts(name) {
    return this.#all.get(name).facts;
  }

  points(name) {
    return this.#all.get(name).points;
  }

  #make(name) {
    if (this.#all.size === MAX_SERIES) {
      const times = (this.#refused.get(name) ?? 0) + 1;
      if (this.#added < this.#full || !this.#giveWay(times)) {
        this.#refuse(name, times);
        return null;
      }
    }
    this.#refused.delete(name);
    const series = { points: new Points(), facts: new Facts(name), heard: 0 };
    this.#all.set(name, series);
    return series;
  }

  /** Drops the constant that has been missing the longest, for a name that came this many times. */
  #giveWay(times) {
    let oldest = null;
    for (const [name, { facts, heard }] of this.#all) {
      const gone = this.#added - heard > GONE;
      if (!facts.constant || !(facts.n >= LONG || gone || facts.n < times)) continue;
      if (oldest === null || heard < this.#all.get(oldest).heard) oldest = name;
    }
    if (oldest === null) {
      this.#full = this.#added + AGAIN;
      return false;
    }
    this.#all.delete(oldest);
    this.#refuse(oldest, 0);
    return true;
  }

  #refuse(name, times) {
    this.#refused.set(name, times);
    if (this.#refused.size <= MAX_REFUSED) return;
    this.#refused.delete(this.#refused.keys().next().value);
    this.#many = true;
  }
}
