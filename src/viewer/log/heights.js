// How much higher than a row of one line each row of the log is, while long ones are wrapped. Before a row is drawn
// this is estimated from the length of its text; from then on it is known. Pure data.
//
// The heights of items are summed up in blocks by their numbers, and the sums of blocks again, so that the place of any
// of 200,000 rows costs no more than a look at one block.

/** A wrapped row shows at most this many characters of a record. */
export const WRAPPED = 2_000;

/** The most lines of a row; fewer if all rows together would be higher than a browser can scroll. */
const MAX_LINES = 32;

/** The greatest height of all rows, in px: Firefox scrolls up to 17.9 million. */
const MAX_HEIGHT = 16e6;

/** A block has 2 to the power of this many items. */
const BLOCK = 8;

export class Heights {
  #items;
  #filtered;
  #measured = new Map(); // by the number of the item
  #prune = 1_000; // with more of them, those of items that are gone are dropped
  #columns; // how many characters are in a line
  #line; // the height of a line
  #origin; // the number of the first block in #before
  #before = [0]; // the height of the blocks from the origin to each block
  #head = { first: -1, height: 0 }; // the height of what is left of the first block

  /** The most lines of a row. */
  lines = MAX_LINES;

  /** `items` is the buffer, `filtered` the items that have rows. */
  constructor(items, filtered) {
    this.#items = items;
    this.#filtered = filtered;
  }

  /** Starts over, with this many characters in a line of this height. */
  reset(columns, line) {
    this.#columns = Math.max(columns, 1);
    this.#line = line;
    this.lines = MAX_LINES;
    this.#measured.clear();
    this.refiltered();
  }

  /** Call this after other items have got rows. */
  refiltered() {
    this.#origin = this.#items.first >> BLOCK;
    this.#before = [0];
    this.#head.first = -1;
  }

  /** Whether all rows, of which one of one line has this height, are too high: then they have fewer lines from now on. */
  shrink(rowHeight) {
    if (this.lines === 1 || this.#filtered.length * rowHeight + this.before(this.#filtered.length) <= MAX_HEIGHT) return false;
    this.lines >>= 1;
    this.#measured.clear();
    this.refiltered();
    return true;
  }

  /** Of the row of this item. */
  of(n) {
    return this.#measured.get(n) ?? this.#estimate(n);
  }

  /** Sets what was measured; returns whether it is another height than it was taken for. */
  set(n, height) {
    if (this.of(n) === height) return false;
    this.#measured.set(n, height);
    const block = n >> BLOCK;
    this.#before.length = Math.min(this.#before.length, Math.max(block - this.#origin, 0) + 1);
    if (block === this.#items.first >> BLOCK) this.#head.first = -1;
    if (this.#measured.size > this.#prune) {
      for (const known of this.#measured.keys()) if (known < this.#items.first) this.#measured.delete(known);
      this.#prune = 2 * this.#measured.size + 1_000;
    }
    return true;
  }

  /** Of all rows before this one. */
  before(row) {
    const { first } = this.#items;
    const n = row < this.#filtered.length ? this.#filtered.at(row) : this.#filtered.tested;
    const [head, block] = [first >> BLOCK, n >> BLOCK];
    if (block <= head) return this.#sum(0, row);
    if (this.#head.first !== first) {
      this.#head = { first, height: this.#sum(0, this.#filtered.row((head + 1) << BLOCK)) };
    }
    const between = this.#until(block) - this.#until(head + 1);
    return this.#head.height + between + this.#sum(this.#filtered.row(block << BLOCK), row);
  }

  /** The height from the origin to this block. */
  #until(block) {
    while (this.#before.length <= block - this.#origin) {
      const next = this.#origin + this.#before.length - 1;
      const [from, to] = [next, next + 1].map((k) => this.#filtered.row(k << BLOCK));
      this.#before.push(this.#before.at(-1) + this.#sum(from, to));
    }
    return this.#before[block - this.#origin];
  }

  #sum(from, to) {
    let sum = 0;
    for (let row = from; row < to; row += 1) sum += this.of(this.#filtered.at(row));
    return sum;
  }

  #estimate(n) {
    const item = this.#items.get(n);
    if (!item) return 0; // it has left the buffer since the rows were drawn
    const { data, type } = item;
    const label = type === "" ? 0 : Math.min(type.length, 24) + 3;
    const lines = Math.ceil(Math.min(data.length, WRAPPED) / Math.max(this.#columns - label, 1));
    return (Math.min(Math.max(lines, 1), this.lines) - 1) * this.#line;
  }
}
