// The newest items of the stream, each with its number in the order in which they came. The hub has such a buffer, and
// every tab has one.
//
// An item is an event, or a notice (a comment from the server that reports what is missing):
// {time, type, id, data, notice}, where `time` is when the server read it, in ms since the epoch.

/** The most items that are kept. */
export const MAX_ITEMS = 200_000;

/** The most text that is kept, in UTF-16 units: 200,000 records of 16 MiB would not fit in any tab. */
export const MAX_TEXT = 64 * 1024 * 1024;

export class ItemBuffer {
  #items = [];
  #head = 0; // items before it are gone; the array is cut now and then, not at every push
  #text = 0;
  #slack = 1;

  /** The number that the next item gets. */
  end = 0;

  get length() {
    return this.#items.length - this.#head;
  }

  /** The number of the oldest item that is kept. */
  get first() {
    return this.end - this.length;
  }

  /** Whether the next item may push out an old one. */
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

  /** While a person reads among the old items, twice as much is kept before they go. */
  set reading(reading) {
    this.#slack = reading ? 2 : 1;
    this.#trim();
  }

  /** Drops everything, and continues counting at `end`. */
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
