// The tab's side of the talk with the hub: asks it for items, keeps the newest, and knows the state of the stream.
//
// The messages are described in hub/hub.js. What is shown of the items and the state is left to the other modules.

import { ItemBuffer } from "./item-buffer.js";

export class HubClient {
  #port;
  #on;

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
   * `port` is the hub. Calls `onItem(n, item)` for each item that came and `onItems()` after the last of a message,
   * `onSkip()` after items were missed and those before them dropped, and `onStatus(stateChanged)` after each report.
   * After a message it asks for the next one, but not before the promise of `ready()` is settled.
   */
  constructor(port, on) {
    this.#port = port;
    this.#on = on;
    port.onmessage = ({ data }) => this.#receive(data);
    window.addEventListener("pagehide", () => port.postMessage({ bye: true }));
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
    this.#port.postMessage({ want: this.#paused ? null : this.items.end });
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

  /** Drops all items, those that the hub still has among them. `ask()` then asks for new ones. */
  clear() {
    this.items.clear(this.status.end);
    this.passedBy = 0;
  }

  #receive({ status, from, items }) {
    const before = this.status.state;
    this.status = status;
    if (items) {
      try {
        this.#take(from, items);
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
    if (from < this.items.end) items = items.slice(this.items.end - from); // asked for twice, as after Clear
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
