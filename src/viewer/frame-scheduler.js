// When a view is drawn: in the next frame after something has changed, but never so often that the page has no time for
// anything else.

/** Drawing takes at most one part in this many of the time: in a flood, a view is drawn less often. */
const SHARE = 4;

/** No drawing is put off for longer than this, in ms: if one took long, the machine was asleep or busy. */
const LONGEST_WAIT = 500;

export class FrameScheduler {
  #draw;
  #frame = 0;
  #due = 0; // the earliest time of the next drawing

  /** `draw` is called in a frame, once for all calls of `request()` since the last one. */
  constructor(draw) {
    this.#draw = draw;
  }

  request() {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  /** Whether it is too early to draw again; then the next frame is requested. */
  get tooEarly() {
    const early = performance.now() < this.#due;
    if (early) this.request();
    return early;
  }

  /** Call this after a drawing that began at `start`. */
  done(start) {
    const took = performance.now() - start;
    this.#due = start + Math.min(took * SHARE, took + LONGEST_WAIT);
  }
}
