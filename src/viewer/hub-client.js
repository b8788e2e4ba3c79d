// The tab's side of the talk with the hub: asks it for items, keeps the newest, and knows the state of the stream.
//
// The messages are described in hub/hub.js. What is shown of the items and the state is left to the other modules.

import { ItemBuffer } from "./item-buffer.js";

/** How often the hub is listened for, in ms; after this many times without a word from it, it is gone. */
const CHECK = 1_000;
const MISSED = 8;

export class HubClient {
  #start;
  #port;
  #on;
  #missed = 0; // checks without a word
  #before = 0; // how many items the hubs before this one had: the numbers continue
  #fresh = false; // this hub has said nothing yet, and there was one before it

  /** The newest items. */
  items = new ItemBuffer();

  /** What the hub last reported: see status() in hub/hub.js. */
  status = {
    state: { name: "connecting" },
    events: 0,
    gaps: 0,
    missed: 0,
    missedUnknown: false,
    rate: 0,
    seconds: [],
    lastEventId: "",
    ahead: 0,
    first: 0,
    end: 0,
    tabs: 0,
  };

  /** How many items the hub dropped before this tab asked for them. */
  passedBy = 0;

  #paused = false;

  /**
   * `port` is the hub, and `start()` returns another if it is gone: its process may crash. Calls `onItem(n, item)` for
   * each item that came and `onItems()` after the last of a message, `onSkip()` after items were missed and those
   * before them dropped, `onRestart()` before the items of another hub, and `onStatus(stateChanged)` after each report.
   * After a message it asks for the next one, but not before the promise of `ready()` is settled.
   */
  constructor(port, start, on) {
    this.#start = start;
    this.#on = on;
    this.#listen(port);
    // Counted, not timed: in a tab that was hidden or frozen, what the hub said may still have to be read.
    setInterval(() => {
      this.#missed += 1;
      if (this.#missed > MISSED) this.#restart();
    }, CHECK);
    window.addEventListener("pagehide", () => this.#port.postMessage({ bye: true }));
    // A page that the browser had put to sleep starts over.
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) location.reload();
    });
    window.addEventListener("online", () => {
      if (this.status.state.name === "reconnecting") this.connect();
    });
  }

  /** Asks for what comes after the newest item, or for nothing while paused. */
  ask() {
    this.#port.postMessage({ want: this.#paused ? null : this.items.end - this.#before });
  }

  /** Has the stream connected now. */
  connect() {
    this.#port.postMessage({ connect: true });
  }

  get paused() {
    return this.#paused;
  }

  pause(on) {
    this.#paused = on;
    this.ask();
  }

  /** Drops all items, including those that the hub still has. `ask()` then asks for new ones. */
  clear() {
    this.items.clear(this.status.end);
    this.passedBy = 0;
  }

  #listen(port) {
    this.#port = port;
    this.#missed = 0;
    port.onmessage = ({ data }) => this.#receive(data);
  }

  /** The hub is gone, or hangs: joins or starts another. Until that says something, the page stays as it is. */
  #restart() {
    const old = this.#port;
    old.onmessage = null;
    old.postMessage({ bye: true });
    if (old instanceof Worker) old.terminate();
    this.#listen(this.#start());
    this.#fresh = true;
    if (this.#paused) this.ask();
    const reason = "The part of this page that reads the stream has stopped: restarting it.";
    this.status = { ...this.status, state: { name: "reconnecting", reason, at: null } };
    this.#on.onStatus(true);
  }

  #receive({ status, from, items, beat }) {
    this.#missed = 0;
    if (beat) this.#port.postMessage({ alive: true });
    if (this.#fresh) {
      this.#fresh = false;
      this.#before = this.items.end;
      this.passedBy = 0;
      this.items.clear();
      this.#on.onRestart();
    }
    const before = this.status.state;
    this.status = { ...status, first: status.first + this.#before, end: status.end + this.#before };
    if (items) {
      try {
        this.#take(from + this.#before, items);
      } finally {
        // If the page stumbles over a record, that one is in the buffer already: the next one comes.
        this.#on.ready().then(
          () => this.ask(),
          () => this.ask(),
        );
      }
    }
    this.#on.onStatus(JSON.stringify(before) !== JSON.stringify(status.state));
  }

  #take(from, items) {
    if (from < this.items.end) items = items.slice(this.items.end - from); // requested twice, as after Clear
    if (from > this.items.end) {
      this.passedBy += from - this.items.end;
      this.items.clear(from);
      this.#on.onSkip();
    }
    for (const item of items) {
      this.items.push(item);
      this.#on.onItem(this.items.end - 1, item);
    }
    this.#on.onItems();
  }
}
