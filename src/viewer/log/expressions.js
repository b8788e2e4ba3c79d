// Runs regular expressions in a worker of their own (matcher.js), and ends it if one takes too long: so no expression
// hangs the page. Plain texts never do, and are not handled here.

/** A single text may take this long, in ms: with a busy machine in mind. */
const LIMIT = 2_000;

/** The time is counted in steps of this many ms, not measured: a machine that slept or a busy page must not end an expression. */
const STEP = 100;

export class Expressions {
  #worker = null;
  #asked = []; // {of, request, onAnswer}, in order
  #ready = false; // it is loaded, which may take any time
  #waited = 0; // for the answer, in ms
  #clock = 0;

  /** Called with `of` of what was asked, and with what is wrong with its expressions. Other requests are repeated. */
  onRefuse = () => {};

  /** Starts the worker now: later the program may be gone, and the file of the worker with it. */
  start() {
    if (this.#worker) return;
    this.#ready = false;
    this.#waited = 0;
    this.#worker = new Worker(new URL("matcher.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = () => this.#refuse("Expressions can't be used: the page could not load a part of itself");
  }

  /**
   * Asks `{test: terms, items}`, whether the terms hold for each item, or `{mark: expressions, items}`, where they
   * match in each text. `onAnswer()` is called with answers for the first items, at least one.
   */
  ask(of, request, onAnswer) {
    this.#asked.push({ of, request, onAnswer });
    this.start();
    if (this.#ready) this.#worker.postMessage(request);
    if (this.#clock === 0) this.#clock = setInterval(() => this.#tick(), STEP);
  }

  #receive({ ready, answers, error }) {
    this.#waited = 0;
    if (ready) {
      this.#ready = true; // only now is it sure to receive requests
      for (const { request } of this.#asked) this.#worker.postMessage(request);
    } else if (error) this.#refuse(error);
    else this.#asked.shift().onAnswer(answers);
  }

  #tick() {
    if (this.#asked.length === 0) {
      clearInterval(this.#clock);
      this.#clock = 0;
    } else if (this.#ready) {
      this.#waited += STEP;
      if (this.#waited > LIMIT) this.#refuse(`This expression takes more than ${LIMIT / 1000} seconds on one record`);
    }
  }

  /** The worker is not usable any more. */
  #refuse(why) {
    this.#worker.terminate();
    this.#worker = null;
    const [wrong, ...others] = this.#asked.splice(0);
    if (!wrong) return; // it was started ahead
    for (const { of, request, onAnswer } of others) if (of !== wrong.of) this.ask(of, request, onAnswer);
    this.onRefuse(wrong.of, why);
  }
}
