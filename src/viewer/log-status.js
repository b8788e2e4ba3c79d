// What the page says about the log, around its rows: why there are none, how many there are, what is new below.

import { $, setText } from "./dom.js";

const number = new Intl.NumberFormat("en");

const count = (n) => `${number.format(n)} ${n === 1 ? "record" : "records"}`;

/** Why there is nothing yet, and a hint, for each state of the stream. */
const EMPTY = {
  connecting: () => [`Connecting to ${location.host}`, ""],
  live: () => [
    "Connected; waiting for the first event.",
    "The output of the program before the pipe appears here, line by line. If it writes and nothing appears, " +
      "it may block-buffer its output: try stdbuf -oL before it.",
  ],
  reconnecting: () => ["Not connected at the moment.", "The page keeps trying, and continues where it stopped."],
  closed: () => ["The stream was closed before any event arrived.", ""],
  ended: () => ["The stream has ended without an event.", ""],
  refused: (s) =>
    s.status === 200
      ? [
          "Something answers at this address, but not with an event stream.",
          "Is there a proxy or a login page in between?",
        ]
      : ["The server did not let this page read the stream.", s.reason === "" ? "" : "Its reason is shown above."],
};

export class LogStatus {
  #client;
  #log;
  #views;
  #controls;

  constructor(client, views, controls) {
    this.#client = client;
    this.#log = views.log;
    this.#views = views;
    this.#controls = controls;
  }

  /** Call this when anything that it depends on has changed. */
  show() {
    const log = this.#log;
    const { items, status, paused } = this.#client;
    const empty = log.length === 0 && (items.end === status.end || log.complete);
    $("empty").hidden = !empty;
    if (empty) {
      const [what, hint] = this.#whyEmpty();
      setText($("empty").children[0], what);
      setText($("empty").children[1], hint);
    }
    const newer = $("newer");
    const waiting = paused ? status.end - items.end : log.unseen;
    newer.hidden = paused ? waiting === 0 : log.sticky || empty;
    if (paused) setText(newer, `Paused: ${number.format(waiting)} new`);
    else setText(newer, waiting > 0 ? `${number.format(waiting)} new ↓` : "Newest ↓");
    const kept = this.#howMany();
    setText($("kept"), kept);
    if ($("kept").title !== kept) $("kept").title = kept; // it may be cut
  }

  #whyEmpty() {
    const { items, status, paused } = this.#client;
    if (this.#controls.filtering) {
      if (!this.#log.complete) return ["Searching", ""];
      return ["Nothing matches the filter.", "New events that match will appear here."];
    }
    if (paused && status.end > items.end) return ["The display is paused.", "Resume shows what has arrived meanwhile."];
    if (status.events > 0) {
      return status.state.name === "live"
        ? ["Cleared.", "The next event will appear here."]
        : ["The page is empty.", ""];
    }
    return EMPTY[status.state.name](status.state);
  }

  #howMany() {
    const { items, passedBy } = this.#client;
    const parts = [];
    const inLog = !$("log-view").hidden; // plot and map use all records
    const all = number.format(items.length);
    if (inLog && this.#controls.filtering) parts.push(`${number.format(this.#log.length)} of ${all}`);
    else if (inLog && items.first > 0 && items.length > 0) parts.push(`newest ${all}`);
    if (passedBy > 0) parts.push(`${number.format(passedBy)} skipped`);
    for (const [reason, n] of this.#views.reasons) parts.push(`${reason} (${count(n)}: not drawn)`);
    return parts.join("; ");
  }
}
