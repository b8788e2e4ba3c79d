// What is known of each series as a whole, and so which series are worth showing at first. Pure data.
//
// It is a guess: a counter, a clock or an ID tells a person little. The legend, which is theirs, overrules it.

/** Series shown at first, at most. */
const MAX_SHOWN = 6;

/** Series whose sizes differ by more than this factor do not share a chart. */
const APART = 12;

/** Names of numbers that identify or locate something. */
const NOT_MEASURED = /(^|\.)(id|mmsi|lat|lon|lng|long|latitude|longitude)$/i;

export class SeriesFacts {
  #facts = new Map(); // by name: {n, last, delta, steady, clock, least, greatest}

  clear() {
    this.#facts.clear();
  }

  /** Adds a value of a series, from a record that came at `time`, in ms. */
  add(name, value, time) {
    const facts = this.#facts.get(name);
    if (!facts) {
      this.#facts.set(name, {
        n: 1,
        last: value,
        delta: 0,
        steady: true,
        clock: isClock(value, time),
        least: value,
        greatest: value,
      });
      return;
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

  /** The series to show until the person chooses: the first that seem to measure something, or else the first. */
  toShow(names) {
    const measured = names.filter((name) => {
      const { steady, clock } = this.#facts.get(name);
      return !steady && !clock && !NOT_MEASURED.test(name);
    });
    return (measured.length > 0 ? measured : names).slice(0, MAX_SHOWN);
  }

  /** Whether one chart would make some of these series look flat. */
  differ(names) {
    const sizes = names.map((name) => {
      const { least, greatest } = this.#facts.get(name);
      return Math.max(Math.abs(least), Math.abs(greatest));
    });
    const some = sizes.filter((size) => size > 0);
    return Math.max(...some) > APART * Math.min(...some);
  }
}

/** Whether a value says what time it is: seconds or milliseconds since the epoch, within two days of ours. */
function isClock(value, time) {
  const near = 2 * 86_400_000;
  return Math.abs(value * 1000 - time) < near || Math.abs(value - time) < near;
}
