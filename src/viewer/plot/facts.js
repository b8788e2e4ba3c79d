// What is known of a series as a whole, and so which are worth showing at first. Pure data.
//
// It is a guess: a constant, a counter, a clock or an ID says little to a person. The legend, which is theirs,
// overrules it.

/** Series shown at first, at most. */
const MAX_SHOWN = 6;

/** Series whose sizes differ by more than this factor do not share a chart. */
const APART = 12;

/** Names of numbers that identify or locate something. */
const NOT_MEASURED = /(^|\.)(id|mmsi|lat|lon|lng|long|latitude|longitude)$/i;

export class Facts {
  n = 0;
  timed = 0; // those with a time of their own
  last = null;
  least = Infinity;
  greatest = -Infinity;
  notAbove = 0; // how many are 0 or less, which a logarithmic axis can't show
  #named;
  #delta = 0;
  #steady = true;
  #clock = true;

  constructor(name) {
    this.#named = !NOT_MEASURED.test(name);
  }

  copy() {
    const copy = new Facts("");
    Object.assign(copy, this);
    [copy.#named, copy.#delta, copy.#steady, copy.#clock] = [this.#named, this.#delta, this.#steady, this.#clock];
    return copy;
  }

  /** Adds a value of a record that was read at `time`, in ms; `timed` says whether it has a time of its own. */
  add(value, time, timed) {
    const delta = value - this.last;
    if (this.n === 1) this.#delta = delta;
    else if (this.n > 1 && Math.abs(delta - this.#delta) > 1e-6 * Math.abs(delta || this.#delta)) this.#steady = false;
    this.#clock &&= isClock(value, time);
    this.n += 1;
    if (timed) this.timed += 1;
    if (value <= 0) this.notAbove += 1;
    this.last = value;
    this.least = Math.min(this.least, value);
    this.greatest = Math.max(this.greatest, value);
  }

  get constant() {
    return this.least === this.greatest;
  }

  /** What seems to be measured comes first, then what varies at all, then constants. */
  get rank() {
    return this.constant ? 2 : this.#steady || this.#clock || !this.#named ? 1 : 0;
  }
}

/** The names to show until the person chooses, of [name, facts] by rank: the first of the best rank. */
export function toShow(series) {
  const best = series.filter(([, { rank }]) => rank === series[0][1].rank);
  return best.slice(0, MAX_SHOWN).map(([name]) => name);
}

/** Whether one chart would make some of these look flat. */
export function differ(facts) {
  const sizes = facts.map(({ least, greatest }) => Math.max(Math.abs(least), Math.abs(greatest)));
  const some = sizes.filter((size) => size > 0);
  return Math.max(...some) > APART * Math.min(...some);
}

/** Whether a value says what time it is: seconds or milliseconds since the epoch, within two days of ours. */
function isClock(value, time) {
  const near = 2 * 86_400_000;
  return Math.abs(value * 1000 - time) < near || Math.abs(value - time) < near;
}
