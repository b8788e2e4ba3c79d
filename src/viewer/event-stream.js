// Reads an event stream in a page: WHATWG HTML, section 9.2 (server-sent events), over fetch().
//
// An EventSource would hide what a viewer must show: events whose names it does not know,
// comments, and the status and text of a refusal. What is shown, and how, is left to others.

/** The longest event that is put together, in UTF-16 units; a longer one is left out and told. */
const MAX_EVENT = 64 * 1024 * 1024;

/** Reconnection time until the stream names its own, in ms (9.2.2 leaves the value to us). */
const DEFAULT_RETRY = 2_000;

/** No stream makes us ask more often than this: `retry: 0` must not become a hot loop. */
const MIN_RETRY = 200;

/** Repeated failures stretch the wait by this factor up to this many ms. */
const BACKOFF = 1.5;
const MAX_BACKOFF = 30_000;

/** The longest wait that setTimeout can count; above it fires at once. */
const MAX_TIMEOUT = 2 ** 31 - 1;

/** A connection that brings nothing for so long, not even a heartbeat (15 s), is taken for dead. */
const SILENCE = 45_000;
const MAX_SILENCE = 12 * 60_000;

/** Once heartbeats have shown how far apart they are, three of those times count, but not less than this. */
const HEARTBEATS = 3;
const MIN_SILENCE = 3_000;

/** How often silence is looked for, in ms. */
const SILENCE_CHECK = 1_000;

/** A check that comes so much too late means that the machine slept. */
const SLEPT = 10_000;

/** How much of a refusal's text is read, in bytes, and for how long it is waited for, in ms. */
const MAX_REFUSAL = 4_096;
const REFUSAL_TIME = 5_000;

/** Parsing gives the page its turn after so many ms. */
const TURN = 10;

/**
 * The parser of 9.2.5 and 9.2.6. Bytes go in by `push`, cut anywhere; out come calls:
 *
 * - `onEvent({type, data, id})`: `type` is "" where the stream names none, `id` is null where
 *   this event brought none of its own;
 * - `onComment(text)`, `onRetry(ms)`, `onOverlong()` (an event longer than `maxEvent`).
 *
 * `lastEventId` changes at the blank line, as in the standard, also where there was no data.
 * One departure, which browsers make too: a new connection goes on with the last event ID of
 * the one before, or an event without an ID would forget where to resume.
 */
export class EventStreamParser {
  #decoder = new TextDecoder(); // strips the BOM, substitutes U+FFFD, keeps a cut character
  #on;
  #max;
  #line = []; // the pieces of a line whose end has not come yet
  #lineLength = 0;
  #lineOverlong = false;
  #afterCR = false; // the next LF belongs to a CR that ended the last line
  #type = "";
  #data = [];
  #dataLength = 0;
  #overlong = false;
  #id; // the last event ID buffer
  #ownId = false;

  constructor(on, { lastEventId = "", maxEvent = MAX_EVENT } = {}) {
    this.#on = on;
    this.#max = maxEvent;
    this.#id = lastEventId;
    this.lastEventId = lastEventId;
  }

  push(bytes) {
    const text = this.#decoder.decode(bytes, { stream: true });
    let at = 0;
    if (this.#afterCR && text.length > 0) {
      this.#afterCR = false;
      if (text[0] === "\n") at = 1;
    }
    // The next of each kind is looked up only once it has been passed, or a stream
    // without any CR would be searched to its end for every line.
    let lf = text.indexOf("\n", at);
    let cr = text.indexOf("\r", at);
    while (at < text.length) {
      if (lf !== -1 && lf < at) lf = text.indexOf("\n", at);
      if (cr !== -1 && cr < at) cr = text.indexOf("\r", at);
      const end = lf === -1 ? cr : cr === -1 ? lf : Math.min(lf, cr);
      if (end === -1) break;
      this.#endLine(text.slice(at, end));
      at = end + 1;
      if (end === cr) {
        // A CR ends the line at once: waiting for its LF would hold an event back.
        if (at === text.length) this.#afterCR = true;
        else if (text[at] === "\n") at += 1;
      }
    }
    if (at < text.length) this.#keep(text.slice(at));
  }

  #keep(piece) {
    this.#lineLength += piece.length;
    if (this.#lineOverlong) return;
    this.#line.push(piece);
    if (this.#lineLength > this.#max) {
      this.#lineOverlong = true;
      this.#line = [this.#line[0].slice(0, 1)]; // enough to know a comment by
    }
  }

  #endLine(piece) {
    if (this.#line.length === 0) {
      this.#field(piece);
      return;
    }
    this.#keep(piece);
    const line = this.#line.join("");
    const overlong = this.#lineOverlong;
    this.#line = [];
    this.#lineLength = 0;
    this.#lineOverlong = false;
    if (!overlong) this.#field(line);
    else if (line !== ":") this.#overlong = true;
  }

  #field(line) {
    if (line === "") {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    switch (name) {
      case "":
        this.#on.onComment(value);
        break;
      case "event":
        this.#type = value;
        break;
      case "data":
        this.#dataLength += value.length + 1;
        if (this.#dataLength > this.#max) {
          this.#overlong = true;
          this.#data = [];
        } else if (!this.#overlong) {
          this.#data.push(value);
        }
        break;
      case "id":
        if (!value.includes("\0")) {
          this.#id = value;
          this.#ownId = true;
        }
        break;
      case "retry":
        if (/^[0-9]+$/.test(value)) this.#on.onRetry(Number(value));
        break;
    }
  }

  #dispatch() {
    this.lastEventId = this.#id;
    if (this.#overlong) {
      this.#on.onOverlong();
    } else if (this.#data.length > 0) {
      // An own type that says "message" is the unnamed one (9.2.6).
      const type = this.#type === "message" ? "" : this.#type;
      const data = this.#data.length === 1 ? this.#data[0] : this.#data.join("\n");
      this.#on.onEvent({ type, data, id: this.#ownId ? this.#id : null });
    }
    this.#type = "";
    this.#data = [];
    this.#dataLength = 0;
    this.#overlong = false;
    this.#ownId = false;
  }
}

/**
 * An event stream that is kept up: connects, resumes, and says truthfully how things stand.
 *
 * Calls `onEvent`, `onComment`, `onOverlong` as the parser does; `room()` after every piece of the
 * stream, and reads on when its promise is kept; and `onState(state)`, where `state.name` is
 *
 * - `connecting`: the first attempt, or one that the person asked for;
 * - `live`: answered with an event stream;
 * - `reconnecting`: it failed for `state.reason` and is tried again at `state.at`
 *   (ms since the epoch; null while an attempt is under way);
 * - `closed`: the stream was closed properly and is asked again at `state.at`, as an
 *   EventSource does, for only 204 means that nothing more will come;
 * - `ended`: 204; no further attempts;
 * - `refused`: `state.status`, `state.statusText` and `state.reason` tell why; no further attempts.
 */
export class Connection {
  #url;
  #on;
  #lastEventId = "";
  #parser = null;
  #retry = DEFAULT_RETRY;
  #failures = 0;
  #abort = null; // of the attempt under way
  #timer = 0; // of the attempt to come
  #heard = 0; // when something last came
  #silence = SILENCE;
  #fellSilent = false;
  #closed = false; // the last stream came to its proper end
  #checked = 0;
  #waits = false; // for room: then the silence is ours

  constructor(url, on) {
    this.#url = url;
    this.#on = on;
    this.state = { name: "connecting" };
    this.#checked = Date.now();
    setInterval(() => this.#watch(), SILENCE_CHECK);
  }

  get lastEventId() {
    return this.#parser?.lastEventId ?? this.#lastEventId;
  }

  /** Connects now, whatever was being waited for. Does nothing while connected or connecting. */
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
    // One timer for the whole wait: chained short ones are slowed down in a hidden tab.
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
    this.#heard = Date.now();
    let answered = false;
    let next;
    try {
      const response = await fetch(this.#url, {
        headers: this.#headers(),
        cache: "no-store",
        signal: abort.signal,
      });
      answered = true;
      this.#heard = Date.now();
      next = await this.#take(response, abort);
    } catch {
      const reason = this.#fellSilent
        ? `Nothing came for ${Math.round(this.#silence / 1000)} s, not even a heartbeat.`
        : answered
          ? "The connection was cut."
          : this.#closed
            ? "The stream was closed properly, and now there is no answer: the program seems to have ended."
            : "There is no answer. Is the program still running?";
      // Silence may also mean a server without heartbeats: asked ever less often.
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
      // Header values are bytes to fetch(), and the standard wants the ID's UTF-8.
      const bytes = new TextEncoder().encode(this.#lastEventId);
      headers["Last-Event-ID"] = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
    }
    return headers;
  }

  /** Deals with one answer to its end; returns what is to be done next. */
  async #take(response, abort) {
    const { status } = response;
    if (status === 204) return () => this.#become({ name: "ended" });
    if (status === 200) {
      const type = response.headers.get("Content-Type") ?? "";
      if (/^text\/event-stream\s*(;|$)/i.test(type.trim())) {
        this.#closed = false;
        await this.#read(response);
        this.#closed = true;
        return () => this.#again("closed", this.#retry, "");
      }
      abort.abort();
      const reason = `The answer is ${type || "of no known type"}, not an event stream.`;
      return () => this.#become({ name: "refused", status, statusText: response.statusText, reason });
    }
    const text = await refusalText(response, abort);
    const told = `${status} ${response.statusText}`.trim();
    if (isPassing(status)) {
      const seconds = Number(response.headers.get("Retry-After"));
      const wait = seconds > 0 ? seconds * 1000 : 0;
      return () => this.#failed(text ? `${told}: ${text}` : `The answer was ${told}.`, wait);
    }
    return () => this.#become({ name: "refused", status, statusText: response.statusText, reason: text });
  }

  async #read(response) {
    let before = Date.now(); // when something last came, for the time between two heartbeats
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
          else this.#silence = Math.max(HEARTBEATS * quiet, MIN_SILENCE); // a heartbeat: silence means something here
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
      this.#heard = Date.now();
      this.#parser.push(value);
      const room = this.#on.room();
      if (room) {
        this.#waits = true;
        await room;
        this.#waits = false;
        this.#heard = Date.now();
      }
      if (performance.now() - turn > TURN) {
        // A flood resolves reads without ever leaving the microtasks, and nothing would be drawn.
        await nextTurn();
        turn = performance.now();
      }
    }
  }

  #watch() {
    const now = Date.now();
    // A check that comes late itself means that the page slept: what has come meanwhile
    // may still wait to be read, so it gets one more round.
    const slept = now - this.#checked > SLEPT;
    this.#checked = now;
    if (!this.#abort || this.#waits || slept || now - this.#heard < this.#silence) return;
    this.#fellSilent = true;
    this.#abort.abort();
  }
}

/** Whether a status speaks of a bad moment (most come from a proxy) and not of a refusal. */
function isPassing(status) {
  return status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 505);
}

/** The text of a refusal, cut to what can be shown; "" where it is made for other eyes (HTML). */
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
    // What has come of the text is told; the status matters more.
  }
  clearTimeout(timer);
  abort.abort();
  return text.trim();
}

/** Lets the page do other things; by message, because timers are slowed down in a hidden tab. */
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
