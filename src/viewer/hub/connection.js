// A connection to an event stream that is kept up: WHATWG HTML, section 9.2 (server-sent events), over fetch().
//
// An EventSource would hide what a viewer must show: events whose names it does not know, comments, and the status and
// text of a refusal. The bytes are read in parser.js; others decide what is shown, and how.

import { EventStreamParser } from "./parser.js";

/** The reconnection time until the stream names its own, in ms (9.2.2 leaves the value to us). */
const DEFAULT_RETRY = 2_000;

/** No stream makes us reconnect more often than this, in ms: `retry: 0` must not become a hot loop. */
const MIN_RETRY = 200;

/** Repeated failures stretch the wait by this factor up to this many ms. */
const BACKOFF = 1.5;
const MAX_BACKOFF = 30_000;

/** The longest wait that setTimeout can count, in ms; with more it fires at once. */
const MAX_TIMEOUT = 2 ** 31 - 1;

/** A connection on which nothing comes for this many ms, not even a heartbeat (15 s), is taken for dead. */
const SILENCE = 45_000;
const MAX_SILENCE = 12 * 60_000;

/** Once the interval of heartbeats is known, the limit is this many intervals, but at least this many ms. */
const HEARTBEATS = 3;
const MIN_SILENCE = 3_000;

/** How often the watchdog looks for silence, in ms. */
const SILENCE_CHECK = 1_000;

/** A check that comes this many ms late means that the machine was asleep. */
const SLEPT = 10_000;

/** A server's clock that differs by less than this, in ms, is taken for ours: its Date has whole seconds. */
const SAME_CLOCK = 3_000;

/** How much of a refusal's text is read, in bytes, and how long we wait for it, in ms. */
const MAX_REFUSAL = 4_096;
const REFUSAL_TIME = 5_000;

/** Parsing lets other work run after this many ms. */
const TURN = 10;

/**
 * Connects, resumes after the last event ID, and reports its true state.
 *
 * Calls `onEvent`, `onComment`, `onOverlong` as the parser does; `room()` after every piece of the stream, and reads on
 * when its promise is resolved; and `onState(state)`, where `state.name` is
 *
 * - `connecting`: the first attempt, or one that the person asked for;
 * - `live`: the answer is an event stream;
 * - `reconnecting`: it failed because of `state.reason`, and the next attempt is at `state.at` (ms since the epoch;
 *   null during an attempt);
 * - `closed`: the stream was closed properly. The next attempt is at `state.at`, as with an EventSource, because only
 *   204 means that nothing more will come;
 * - `ended`: 204; no further attempts;
 * - `refused`: `state.status`, `state.statusText` and `state.reason` say why; no further attempts.
 */
export class Connection {
  #url;
  #on;
  #lastEventId = "";
  #parser = null;
  #retry = DEFAULT_RETRY;
  #failures = 0;
  #abort = null; // of the current attempt
  #timer = 0; // of the next attempt
  #lastHeard = 0; // when something last came
  #silence = SILENCE;
  #fellSilent = false;
  #closedProperly = false; // the last stream
  #lastCheck = 0;
  #waitsForRoom = false; // then the silence is ours

  /** By how many ms the server's clock is ahead of ours. */
  ahead = 0;

  constructor(url, on) {
    this.#url = url;
    this.#on = on;
    this.state = { name: "connecting" };
    this.#lastCheck = Date.now();
    setInterval(() => this.#checkSilence(), SILENCE_CHECK);
  }

  get lastEventId() {
    return this.#parser?.lastEventId ?? this.#lastEventId;
  }

  /** Connects now, without waiting any longer. Does nothing while connected or connecting. */
  connect() {
    if (this.#abort) return;
    clearTimeout(this.#timer);
    if (this.state.name !== "reconnecting" && this.state.name !== "closed") {
      this.#failures = 0;
      this.#become({ name: "connecting" });
    } else {
      this.#become({ ...this.state, at: null });
    }
    this.#attempt();
  }

  #become(state) {
    this.state = state;
    this.#on.onState(state);
  }

  #again(name, wait, reason) {
    this.#become({ name, reason, at: Date.now() + wait });
    // One timer for the whole wait: a chain of short ones is slowed down in a hidden tab.
    this.#timer = setTimeout(() => this.connect(), wait);
  }

  #failed(reason, atLeast = 0) {
    const slowest = Math.max(MAX_BACKOFF, this.#retry);
    const wait = Math.min(this.#retry * BACKOFF ** this.#failures, slowest);
    this.#failures += 1;
    this.#again("reconnecting", Math.min(Math.max(wait, atLeast), MAX_TIMEOUT), reason);
  }

  async #attempt() {
    const abort = new AbortController();
    this.#abort = abort;
    this.#fellSilent = false;
    this.#lastHeard = Date.now();
    let answered = false;
    let next;
    try {
      const response = await fetch(this.#url, {
        headers: this.#headers(),
        cache: "no-store",
        signal: abort.signal,
      });
      answered = true;
      this.#lastHeard = Date.now();
      const ahead = Date.parse(response.headers.get("Date")) - this.#lastHeard;
      this.ahead = Math.abs(ahead) >= SAME_CLOCK ? ahead : 0;
      next = await this.#take(response, abort);
    } catch {
      const reason = this.#fellSilent
        ? `Nothing arrived for ${Math.round(this.#silence / 1000)} s, not even a heartbeat.`
        : answered
          ? "The connection was cut."
          : this.#closedProperly
            ? "The stream was closed properly, and now there is no answer: the program seems to have ended."
            : "There is no answer. Is the program still running?";
      // Silence may also mean a server without heartbeats: it is asked less and less often.
      if (this.#fellSilent) this.#silence = Math.min(this.#silence * 2, MAX_SILENCE);
      next = () => this.#failed(reason);
    }
    this.#lastEventId = this.lastEventId;
    this.#parser = null;
    this.#abort = null;
    next();
  }

  #headers() {
    const headers = { Accept: "text/event-stream" };
    if (this.#lastEventId !== "") {
      // For fetch(), header values are bytes, and the standard asks for the ID in UTF-8.
      const bytes = new TextEncoder().encode(this.#lastEventId);
      headers["Last-Event-ID"] = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
    }
    return headers;
  }

  /** Handles one answer to its end; returns what must be done next. */
  async #take(response, abort) {
    const { status } = response;
    if (status === 204) return () => this.#become({ name: "ended" });
    if (status === 200) {
      const type = response.headers.get("Content-Type") ?? "";
      if (/^text\/event-stream\s*(;|$)/i.test(type.trim())) {
        this.#closedProperly = false;
        await this.#read(response);
        this.#closedProperly = true;
        return () => this.#again("closed", this.#retry, "");
      }
      abort.abort();
      const reason = `The answer is ${type || "of unknown type"}, not an event stream.`;
      return () => this.#become({ name: "refused", status, statusText: response.statusText, reason });
    }
    const text = await refusalText(response, abort);
    const answer = `${status} ${response.statusText}`.trim();
    if (isTemporary(status)) {
      const seconds = Number(response.headers.get("Retry-After"));
      const wait = seconds > 0 ? seconds * 1000 : 0;
      return () => this.#failed(text ? `${answer}: ${text}` : `The answer was ${answer}.`, wait);
    }
    return () => this.#become({ name: "refused", status, statusText: response.statusText, reason: text });
  }

  async #read(response) {
    let before = Date.now(); // when an event or a comment last came, for the time between two heartbeats
    const proven = () => {
      this.#failures = 0;
      before = Date.now();
    };
    this.#parser = new EventStreamParser(
      {
        onEvent: (event) => {
          proven();
          this.#on.onEvent(event);
        },
        onComment: (text) => {
          const quiet = Date.now() - before;
          proven();
          if (text.trim() !== "") this.#on.onComment(text);
          else this.#silence = Math.max(HEARTBEATS * quiet, MIN_SILENCE); // a heartbeat: here silence means something
        },
        onRetry: (ms) => {
          this.#retry = Math.min(Math.max(ms, MIN_RETRY), MAX_TIMEOUT);
        },
        onOverlong: () => {
          proven();
          this.#on.onOverlong();
        },
      },
      { lastEventId: this.#lastEventId },
    );
    this.#become({ name: "live" });
    const reader = response.body.getReader();
    let turn = performance.now();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.#lastHeard = Date.now();
      this.#parser.push(value);
      const room = this.#on.room();
      if (room) {
        this.#waitsForRoom = true;
        await room;
        this.#waitsForRoom = false;
        this.#lastHeard = Date.now();
      }
      if (performance.now() - turn > TURN) {
        // In a flood, reads resolve without ever leaving the microtasks, and nothing would be drawn.
        await nextTurn();
        turn = performance.now();
      }
    }
  }

  /** The watchdog. */
  #checkSilence() {
    const now = Date.now();
    // A check that is late itself means that the machine was asleep. What came in the meantime may still have to be
    // read, so the connection gets one more round.
    const slept = now - this.#lastCheck > SLEPT;
    this.#lastCheck = now;
    if (!this.#abort || this.#waitsForRoom || slept || now - this.#lastHeard < this.#silence) return;
    this.#fellSilent = true;
    this.#abort.abort();
  }
}

/** Whether a status means a temporary failure (most come from a proxy) and not a refusal. */
function isTemporary(status) {
  return status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 505);
}

/** The text of a refusal, cut to what can be shown; "" if it is not plain text (HTML). */
async function refusalText(response, abort) {
  const type = response.headers.get("Content-Type") ?? "";
  if (!response.body || !/^(text\/plain|application\/(problem\+)?json)\b/i.test(type)) {
    abort.abort();
    return "";
  }
  const timer = setTimeout(() => abort.abort(), REFUSAL_TIME);
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  let text = "";
  let size = 0;
  try {
    while (size < MAX_REFUSAL) {
      const { done, value } = await reader.read();
      if (done) break;
      const part = value.subarray(0, MAX_REFUSAL - size);
      size += part.length;
      text += decoder.decode(part, { stream: true });
    }
  } catch {
    // The part that has come is shown; the status matters more.
  }
  clearTimeout(timer);
  abort.abort();
  return text.trim();
}

/** Lets other work run; by message, because timers are slowed down in a hidden tab. */
function nextTurn() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
