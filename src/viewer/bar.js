// The bar at the top: the address, the state of the stream, and its figures.

import { $, setText } from "./dom.js";

/** How often the figures are refreshed, in ms. */
export const REFRESH = 250;

/** An attempt that has had no answer for this many ms gets an explanation. */
const SLOW_ANSWER = 5_000;

const number = new Intl.NumberFormat("en");

const STATES = {
  connecting: () => ({ text: "Connecting" }),
  live: () => ({ text: "Live" }),
  reconnecting: (s) => ({ text: "Reconnecting", button: s.at && "Now", detail: s.reason }),
  closed: (s) => ({ text: "Stream closed", button: s.at && "Ask now" }),
  ended: () => ({ text: "The stream has ended", button: "Connect again" }),
  refused: (s) => ({
    text: s.status === 200 ? "Not an event stream" : `Refused: ${s.status} ${s.statusText}`.trim(),
    button: "Try again",
    detail: s.reason,
  }),
};

export class Bar {
  #client;
  #stateSince = Date.now();
  #figuresShown = -Infinity; // when
  #spark = ""; // the line as it is drawn

  constructor(client) {
    this.#client = client;
    if (document.title === "sse-pipe") document.title = `${location.host} – sse-pipe`; // or it is --title
    // Without the part of the path that only this page needs, such as a token.
    const path = location.pathname.replace(/\/access_token=[^/]*/, "").replace(/\/(viewer)?$/, "");
    setText($("address"), location.host + path);
    $("again").addEventListener("click", () => client.connect());
  }

  /** Call this after each report of the hub. */
  update(stateChanged) {
    if (performance.now() - this.#figuresShown > REFRESH) this.#showFigures();
    if (stateChanged) {
      this.#stateSince = Date.now();
      this.#showState();
    }
  }

  /** Call this from time to time: it shows seconds that pass. */
  refresh() {
    this.#showFigures();
    this.#showWhen();
  }

  #showState() {
    const { state } = this.#client.status;
    const { text, button, detail } = STATES[state.name](state);
    $("connection").dataset.state = state.name;
    setText($("state"), text);
    setText($("again"), button || "");
    $("again").hidden = !button;
    this.#showDetail(detail ?? "");
    this.#showWhen();
  }

  #showDetail(text) {
    setText($("detail"), text);
    $("detail").hidden = text === "";
    $("detail").dataset.state = this.#client.status.state.name;
  }

  /** The part of the state that changes every second, kept out of what a screen reader announces. */
  #showWhen() {
    const { name, at } = this.#client.status.state;
    const seconds = at ? Math.max(1, Math.ceil((at - Date.now()) / 1000)) : 0;
    let text = "";
    if (name === "reconnecting") text = at ? `in ${number.format(seconds)} s` : "now";
    if (name === "closed") text = at ? `asking for more in ${number.format(seconds)} s` : "asking for more";
    setText($("when"), text);
    if (name === "connecting" && Date.now() - this.#stateSince > SLOW_ANSWER) {
      this.#showDetail(
        "No answer yet. A browser opens at most six connections to one address: is it open in many other pages?",
      );
    }
  }

  #showFigures() {
    this.#figuresShown = performance.now();
    const { events, rate, gaps, missed, missedUnknown } = this.#client.status;
    setText($("events"), number.format(events));
    setText($("rate"), rate >= 10 || rate === 0 ? number.format(Math.round(rate)) : rate.toFixed(1));
    this.#showSpark();
    $("gaps-figure").hidden = gaps === 0;
    const some = missedUnknown ? (missed ? `${number.format(missed)}+` : "unknown") : number.format(missed);
    setText($("gaps"), some);
    $("gaps-figure").title = `${number.format(gaps)} ${gaps === 1 ? "gap" : "gaps"} in the stream`;
  }

  /** A line through the events of each second, from the left edge to the right. */
  #showSpark() {
    const { seconds } = this.#client.status;
    const most = Math.max(...seconds, 1);
    const step = 120 / Math.max(seconds.length - 1, 1);
    const points = seconds.map((n, i) => `${(i * step).toFixed(1)} ${(25 - (n / most) * 23).toFixed(1)}`);
    const line = points.join("L");
    if (line === this.#spark || points.length === 0) return;
    this.#spark = line;
    const [area, edge] = $("spark").children;
    area.setAttribute("d", `M0 26L${line}L120 26Z`);
    edge.setAttribute("d", `M${line}`);
    $("spark").parentElement.title = `Up to ${number.format(most)} a second in the last minute`;
  }
}
