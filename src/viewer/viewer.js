// The page's script: takes events from the connection and shows them.
//
// First the bounds, then what is kept, then the log, then the bar and the controls. How a stream
// is read and kept up is in event-stream.js. Whatever a record contains is shown as text only.

import { Connection } from "./event-stream.js";

/** Rows in the log, and as many items waiting to become rows: the newest win. */
const MAX_ROWS = 2_000;

/** Text held by them, in UTF-16 units; 2,000 records of 16 MiB would not fit any tab. */
const MAX_TEXT = 32 * 1024 * 1024;

/** A row shows so much of its data at first. */
const CUT_LENGTH = 2_000;
const CUT_LINES = 40;

/** One press on "show more" lays out at most so much; a browser takes seconds for megabytes. */
const MORE_LENGTH = 200_000;

/** Names and IDs are cut to this in a row, and to the second in a tooltip. */
const MAX_LABEL = 80;
const MAX_TITLE = 1_000;

/** Drawing takes at most one part in so many of the time: a flood is drawn less often. */
const DRAW_SHARE = 4;

/** The rate is that of the last so many ms; figures are refreshed so often. */
const RATE_SPAN = 4_000;
const REFRESH = 250;

/** An attempt without an answer for so long gets an explanation. */
const SLOW_ANSWER = 5_000;

const $ = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat("en");
const count = (n, one, many = `${one}s`) => `${numbers.format(n)} ${n === 1 ? one : many}`;

// What is kept

/** The newest items, bounded in number and in text. `push` returns those that had to go. */
class Newest {
  #items = [];
  #head = 0; // those before it have gone; cut off now and then, not at every push
  #text = 0;
  events = 0;

  get length() {
    return this.#items.length - this.#head;
  }

  push(item) {
    this.#items.push(item);
    this.#text += size(item);
    if (!item.notice) this.events += 1;
    const gone = [];
    while (this.length > MAX_ROWS || (this.#text > MAX_TEXT && this.length > 1)) {
      const old = this.#items[this.#head];
      this.#items[this.#head] = undefined;
      this.#head += 1;
      this.#text -= size(old);
      if (!old.notice) this.events -= 1;
      gone.push(old);
    }
    if (this.#head > MAX_ROWS) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return gone;
  }

  /** Hands out everything, oldest first, and is empty then. */
  take() {
    const items = this.list();
    this.#items = [];
    this.#head = 0;
    this.#text = 0;
    this.events = 0;
    return items;
  }

  list() {
    return this.#items.slice(this.#head);
  }
}

function size(item) {
  return item.data.length + item.type.length + (item.id?.length ?? 0);
}

// The log

/**
 * Items become rows once per frame. They are held back while the person has paused, has
 * scrolled up to read, or holds the mouse or a finger in the log, so that nothing moves then.
 */
const log = {
  element: $("log"),
  seq: 0, // of the newest item
  drawn: 0, // of the newest item that has been in the log
  cleared: 0, // events that had come when it was last cleared
  recent: new Newest(), // the newest of all, for when the filter changes
  shown: new Newest(), // those with a row
  fresh: new Newest(), // those that wait for one
  unseen: 0, // how many events came to `fresh`, also if they had to go again
  filter: "",
  paused: false,
  sticky: true, // at the bottom, and to stay there
  grabbed: false,
  top: 0, // scrollTop as last seen
  frame: 0,
  notBefore: 0, // when the next drawing is due at the earliest

  get held() {
    return this.paused || !this.sticky || this.grabbed;
  },

  add(item) {
    item.seq = this.seq += 1;
    item.time = Date.now();
    this.recent.push(item);
    if (!matches(item, this.filter)) return;
    this.fresh.push(item);
    if (!item.notice) this.unseen += 1;
    this.schedule();
  },

  schedule() {
    if (this.frame === 0 && !this.held) this.frame = requestAnimationFrame(() => this.draw());
  },

  draw() {
    this.frame = 0;
    if (this.held || this.fresh.length === 0) return;
    const start = performance.now();
    if (start < this.notBefore) {
      this.schedule();
      return;
    }
    const items = this.fresh.take();
    const rows = document.createDocumentFragment();
    for (const item of items) {
      item.row = makeRow(item);
      rows.append(item.row);
      for (const old of this.shown.push(item)) old.row.remove();
    }
    this.drawn = items.at(-1).seq;
    this.unseen = 0;
    this.element.append(rows);
    this.toBottom();
    showAround();
    const took = performance.now() - start;
    this.notBefore = start + took * DRAW_SHARE;
  },

  toBottom() {
    this.element.scrollTop = this.element.scrollHeight;
    this.top = this.element.scrollTop;
  },

  /** Rows for what is kept and matches; what is held back stays so. */
  refilter(filter) {
    this.filter = filter.toLowerCase();
    const border = this.held ? this.drawn : Infinity;
    const all = new Map();
    for (const item of [...this.shown.take(), ...this.recent.list(), ...this.fresh.take()]) all.set(item.seq, item);
    const rows = [];
    this.unseen = 0;
    for (const item of [...all.values()].sort((a, b) => a.seq - b.seq)) {
      if (!matches(item, this.filter)) continue;
      if (item.seq > border) {
        this.fresh.push(item);
        if (!item.notice) this.unseen += 1;
      } else {
        this.shown.push(item);
      }
    }
    for (const item of this.shown.list()) rows.push((item.row ??= makeRow(item)));
    if (!this.held) this.drawn = this.seq;
    this.element.replaceChildren(...rows);
    if (this.sticky) this.toBottom();
    showAround();
  },

  clear() {
    this.recent.take();
    this.shown.take();
    this.fresh.take();
    this.unseen = 0;
    this.cleared = stream.events;
    this.drawn = this.seq;
    this.element.replaceChildren();
    this.sticky = true;
    showAround();
  },

  follow() {
    this.sticky = true;
    this.toBottom();
    this.schedule();
    showAround();
  },

  hold() {
    this.sticky = false;
    showAround();
  },
};

function matches(item, filter) {
  return (
    filter === "" ||
    item.data.toLowerCase().includes(filter) ||
    item.type.toLowerCase().includes(filter) ||
    (item.id !== null && item.id.toLowerCase().includes(filter))
  );
}

function makeRow(item) {
  const row = make("div", item.notice ? "row notice" : "row");
  row.dataset.seq = item.seq;
  const time = make("time", "", clock(item.time));
  time.title = new Date(item.time).toString();
  const id = make("span", "id");
  if (item.id !== null) {
    id.textContent = cut(item.id.slice(item.id.lastIndexOf("-") + 1), MAX_LABEL);
    id.title = cut(item.id, MAX_TITLE);
    row.dataset.id = id.title;
  }
  const body = make("div", "body");
  if (item.type !== "") {
    const chip = make("span", "chip", cut(item.type, MAX_LABEL));
    chip.title = cut(item.type, MAX_TITLE);
    row.dataset.type = chip.title;
    body.append(chip, " ");
  }
  const first = firstPart(item.data);
  const data = make("span", "data", item.data.slice(0, first));
  body.append(data);
  if (first < item.data.length) body.append(makeMore(item.data, data, first));
  row.append(time, id, body);
  return row;
}

/** The button behind data that was cut. It puts in the rest, or the next part of very much. */
function makeMore(text, data, first) {
  const more = make("button", "more");
  more.type = "button";
  let shown = first;
  const label = () => {
    const rest = text.length - shown;
    if (rest === 0) more.textContent = "Show less";
    else if (rest <= MORE_LENGTH) more.textContent = `Show all ${count(text.length, "character")}`;
    else more.textContent = `Show ${numbers.format(MORE_LENGTH)} more of ${count(text.length, "character")}`;
  };
  more.addEventListener("click", () => {
    if (shown === text.length) {
      shown = first;
      data.textContent = text.slice(0, first);
    } else {
      const next = text.length - shown <= MORE_LENGTH ? text.length : wholeCharacters(text, shown + MORE_LENGTH);
      data.append(document.createTextNode(text.slice(shown, next)));
      shown = next;
      log.hold(); // opened to be read: it must not run away
    }
    label();
  });
  label();
  return more;
}

/** How much of the data a row shows at first. */
function firstPart(text) {
  let end = wholeCharacters(text, CUT_LENGTH);
  let line = -1;
  for (let n = 0; n < CUT_LINES; n += 1) {
    line = text.indexOf("\n", line + 1);
    if (line === -1 || line >= end) return end;
  }
  return line;
}

/** `end`, moved so that it does not fall between two surrogates. */
function wholeCharacters(text, end) {
  if (end >= text.length) return text.length;
  const unit = text.charCodeAt(end - 1);
  return unit >= 0xd800 && unit < 0xdc00 ? end - 1 : end;
}

function cut(text, length) {
  return text.length <= length ? text : `${text.slice(0, wholeCharacters(text, length))}…`;
}

function clock(ms) {
  const t = new Date(ms);
  const two = (n) => String(n).padStart(2, "0");
  return `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}.${String(t.getMilliseconds()).padStart(3, "0")}`;
}

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

// The stream

const stream = {
  events: 0,
  gaps: 0, // notices that something is missing
  missed: 0, // how many events those name
  missedUnknown: false, // whether one could not say how many
  since: Date.now(), // when the state last changed

  onEvent({ type, data, id }) {
    stream.events += 1;
    log.add({ type, data, id, notice: false });
  },

  onComment(text) {
    const missed = /^([0-9]+) events? missed/.exec(text);
    if (missed) stream.gap(Number(missed[1]));
    else if (/^record [0-9]+\b.*\bleft out/.test(text)) stream.gap(1);
    else if (/\bevents?\b.*\bmissed\b/.test(text)) stream.gap(null);
    log.add({ type: "", data: text, id: null, notice: true });
  },

  onOverlong() {
    stream.gap(1);
    log.add({ type: "", data: "an event too long for this page was left out", id: null, notice: true });
  },

  onState() {
    stream.since = Date.now();
    showState();
    showAround();
  },

  gap(missed) {
    stream.gaps += 1;
    if (missed === null) stream.missedUnknown = true;
    else stream.missed += missed;
  },
};

/**
 * The page's query goes on to the stream (a token, a tail), but for `notices`: this page sees
 * comments as they are, and heartbeats sent as events would drown the log.
 */
function eventsUrl() {
  const query = location.search
    .slice(1)
    .split("&")
    .filter((pair) => pair !== "" && pair.split("=")[0] !== "notices")
    .join("&");
  return query === "" ? "events" : `events?${query}`;
}

const connection = new Connection(eventsUrl(), stream);

// The bar and what stands around the log

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

function showState() {
  const { state } = connection;
  const { text, button, detail } = STATES[state.name](state);
  $("connection").dataset.state = state.name;
  setText($("state"), text);
  setText($("again"), button || "");
  $("again").hidden = !button;
  showDetail(detail ?? "");
  showWhen();
}

function showDetail(text) {
  setText($("detail"), text);
  $("detail").hidden = text === "";
  $("detail").dataset.state = connection.state.name;
}

/** The part of the state that changes every second, kept out of what a screen reader announces. */
function showWhen() {
  const { name, at } = connection.state;
  const seconds = at ? Math.max(1, Math.ceil((at - Date.now()) / 1000)) : 0;
  let text = "";
  if (name === "reconnecting") text = at ? `in ${numbers.format(seconds)} s` : "now";
  if (name === "closed") text = at ? `asking in ${numbers.format(seconds)} s whether there is more` : "asking whether there is more";
  setText($("when"), text);
  if (name === "connecting" && Date.now() - stream.since > SLOW_ANSWER) {
    showDetail("No answer yet. A browser opens at most six connections to one address: is this page open in many tabs?");
  }
}

/** Everything outside the rows that depends on them. */
function showAround() {
  $("pause").setAttribute("aria-pressed", String(log.paused));
  setText($("pause"), log.paused ? "Resume" : "Pause");
  $("held").hidden = !log.paused;
  showFigures();
}

const EMPTY = {
  connecting: () => [`Connecting to ${location.host}`, ""],
  live: () => [
    "Connected; waiting for the first event.",
    "What the program before the pipe writes appears here, line by line. If it writes and nothing comes, it may be holding its output back: try stdbuf -oL before it.",
  ],
  reconnecting: () => ["Not connected at the moment.", "The page keeps trying and goes on where it stopped."],
  closed: () => ["The stream was closed before any event came.", ""],
  ended: () => ["The stream has ended; no event came.", ""],
  refused: (s) =>
    s.status === 200
      ? ["Something answers at this address, but not with an event stream.", "Is there a proxy or a login page in between?"]
      : ["The server did not let this page read the stream.", s.reason === "" ? "" : "Its reason stands above."],
};

function emptyText() {
  if (log.filter !== "") return [`Nothing matches “${cut($("filter").value, MAX_LABEL)}”.`, "New events that match will appear here."];
  if (log.paused && log.unseen > 0) return ["The display is paused.", "Resume shows what has come meanwhile."];
  if (stream.events > 0) {
    return connection.state.name === "live" ? ["Cleared.", "The next event will appear here."] : ["The log is empty.", ""];
  }
  return EMPTY[connection.state.name](connection.state);
}

const samples = [[performance.now(), 0]]; // [time, events], at most RATE_SPAN old but for the first

function rate() {
  const now = performance.now();
  samples.push([now, stream.events]);
  while (samples.length > 2 && now - samples[1][0] >= RATE_SPAN) samples.shift();
  const [then, before] = samples[0];
  const perSecond = ((stream.events - before) * 1000) / Math.max(now - then, 1000);
  return perSecond >= 10 || perSecond === 0 ? numbers.format(Math.round(perSecond)) : perSecond.toFixed(1);
}

function showFigures() {
  setText($("events"), numbers.format(stream.events));
  if (stream.gaps > 0) {
    const missed = stream.missedUnknown ? (stream.missed ? `${numbers.format(stream.missed)}+ missed` : "number unknown") : `${numbers.format(stream.missed)} missed`;
    setText($("gaps"), `${numbers.format(stream.gaps)} (${missed})`);
    $("gaps-figure").hidden = false;
  }

  const rows = log.shown.length;
  $("empty").hidden = rows > 0 || log.frame !== 0; // a frame that is due brings rows
  if (rows === 0) {
    const [what, hint] = emptyText();
    setText($("empty").children[0], what);
    setText($("empty").children[1], hint);
  }

  const newer = $("newer");
  const waiting = log.unseen;
  newer.hidden = log.paused ? waiting === 0 : log.sticky;
  if (log.paused) setText(newer, `Paused: ${numbers.format(waiting)} new`);
  else setText(newer, waiting > 0 ? `${numbers.format(waiting)} new ↓` : "Newest ↓");

  let kept = "";
  if (log.filter !== "") {
    kept = `${numbers.format(log.shown.events)} matching`;
  } else {
    const left = stream.events - log.cleared - log.shown.events - log.fresh.events;
    if (left > 0) kept = `newest ${numbers.format(log.shown.events)}; ${numbers.format(left)} older left behind`;
  }
  setText($("kept"), kept);
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Controls

function pause(on) {
  log.paused = on;
  if (!on) log.follow();
  showAround();
}

$("pause").addEventListener("click", () => pause(!log.paused));
$("clear").addEventListener("click", () => log.clear());
$("again").addEventListener("click", () => connection.connect());
$("newer").addEventListener("click", () => {
  if (log.paused) pause(false);
  else log.follow();
  log.element.focus({ preventScroll: true });
});
$("filter").addEventListener("input", (event) => log.refilter(event.target.value));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const filter = $("filter");
  if (event.key === "Escape" && event.target === filter) {
    filter.value = "";
    log.refilter("");
    log.element.focus({ preventScroll: true });
    event.preventDefault();
  } else if (event.target.closest("input, button, summary, a")) {
    return; // there a key means what it always means
  } else if (event.key === " " && !event.repeat) {
    pause(!log.paused);
    event.preventDefault();
  } else if (event.key === "/") {
    filter.focus();
    filter.select();
    event.preventDefault();
  }
});

// Whether the person reads further up or wants to see the newest. A wheel counts before it has
// moved anything: while rows come every frame, its first small step would be undone by the next.
log.element.addEventListener(
  "wheel",
  (event) => {
    if (event.deltaY < 0 && log.sticky && log.element.scrollTop > 0) log.hold();
  },
  { passive: true },
);
log.element.addEventListener("scroll", () => {
  const { scrollTop, scrollHeight, clientHeight } = log.element;
  const below = scrollHeight - scrollTop - clientHeight;
  const up = scrollTop < log.top - 1;
  log.top = scrollTop;
  if (below <= 4 && !up && !log.sticky) log.follow();
  else if (below > 4 && up && log.sticky) log.hold();
});
log.element.addEventListener("pointerdown", () => {
  log.grabbed = true;
});
for (const type of ["pointerup", "pointercancel", "blur"]) {
  window.addEventListener(type, () => {
    if (!log.grabbed) return;
    log.grabbed = false;
    log.schedule();
  });
}
new ResizeObserver(() => {
  if (log.sticky) log.toBottom();
}).observe(log.element);

window.addEventListener("online", () => {
  if (connection.state.name === "reconnecting") connection.connect();
});

// For tests, and for the curious at the console.
window.ssePipe = Object.freeze({
  get state() {
    return connection.state.name;
  },
  get events() {
    return stream.events;
  },
  get gaps() {
    return stream.gaps;
  },
  get lastEventId() {
    return connection.lastEventId;
  },
  get rows() {
    return log.element.querySelectorAll(".row:not(.notice)").length;
  },
});

setText($("address"), location.host);
setInterval(() => {
  setText($("rate"), rate());
  showWhen();
  showFigures();
}, REFRESH);
connection.connect();
