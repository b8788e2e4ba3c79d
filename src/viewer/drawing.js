// When a view is drawn: at the next frame after something has changed, but never so often that the page has no time for
// anything else.

/** Drawing takes at most one part in so many of the time: a flood is drawn less often. */
const SHARE = 4;

/** No drawing is put off for longer than this, in ms: it is a machine that slept or was busy that took the time. */
const LONGEST_WAIT = 500;

export class Drawing {
  #draw;
  #frame = 0;
  #due = 0; // when the next drawing is due at the earliest

  /** `draw` is called in a frame, once for all calls of `ask()` since the last one. */
  constructor(draw) {
    this.#draw = draw;
  }

  ask() {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  /** Whether it is too early to draw again; then the next frame is asked for. */
  get early() {
    const early = performance.now() < this.#due;
    if (early) this.ask();
    return early;
  }

  /** To be called after a drawing that began at `start`. */
  done(start) {
    const took = performance.now() - start;
    this.#due = start + Math.min(took * SHARE, took + LONGEST_WAIT);
  }
}
