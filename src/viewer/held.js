// What a page holds of the stream: the newest items, each with its number in the order in which they came.
//
// An item is an event, or a notice (a comment of the server's, which tells of what is missing):
// {time, type, id, data, notice}, where `time` is when it came in ms since the epoch.

/** So many items are held at most. */
export const MAX_ITEMS = 200_000;

/** So much text, in UTF-16 units; 200,000 records of 16 MiB would not fit any tab. */
export const MAX_TEXT = 64 * 1024 * 1024;

export class Held {
  #items = [];
  #head = 0; // those before it have gone; cut off now and then, not at every push
  #text = 0;
  #slack = 1;

  /** The number that the next item gets. */
  end = 0;

  get length() {
    return this.#items.length - this.#head;
  }

  /** The number of the oldest item that is held. */
  get first() {
    return this.end - this.length;
  }

  /** Whether the next item may cost an old one its place. */
  get full() {
    return this.length >= MAX_ITEMS || this.#text >= MAX_TEXT;
  }

  get(n) {
    return this.#items[this.#head + n - this.first];
  }

  push(item) {
    this.#items.push(item);
    this.end += 1;
    this.#text += size(item);
    this.#trim();
  }

  /** While somebody reads among the old ones, twice as much is held before they go. */
  set reading(reading) {
    this.#slack = reading ? 2 : 1;
    this.#trim();
  }

  /** Lets everything go, and counts on from `end`. */
  clear(end = this.end) {
    this.#items = [];
    this.#head = 0;
    this.#text = 0;
    this.end = end;
  }

  #trim() {
    while (this.length > MAX_ITEMS * this.#slack || (this.#text > MAX_TEXT * this.#slack && this.length > 1)) {
      this.#text -= size(this.#items[this.#head]);
      this.#items[this.#head] = undefined;
      this.#head += 1;
    }
    if (this.#head > MAX_ITEMS / 2) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }
}

function size(item) {
  return item.data.length + item.type.length + item.id.length;
}
