// The one connection that all tabs share, in a SharedWorker (if a browser has none, each tab has a Worker of its own).
//
// It reads the stream, keeps the newest items, and sends each tab what it does not have yet, at the tab's own pace: a
// tab says {want: N}, "from number N on", and gets one message for it, as soon as there is something. So a tab is never
// flooded, one that sleeps costs nothing, and a new one gets what the others have, the first part without asking. While
// none of the tabs that ask keeps up, the stream is not read: the server notices, and so does the program before the
// pipe.
//
//     tab to hub    {want: N}       and {want: null}: nothing for now (paused)
//                   {connect: true} now, without waiting any longer
//                   {bye: true}     the tab is about to go
//                   {alive: true}   the answer to a beat
//     hub to tab    {from, items, status}   items, the first of which has the number `from`
//                   {status}                see status()
//                   {status, beat: true}    the hub lives: a tab that hears nothing starts another
//
// A tab that doesn't answer beats is gone, or frozen: it is forgotten until it says something again.
//
// The tab's side of this is hub-client.js. connection.js and parser.js read the stream.

import { ItemBuffer } from "../item-buffer.js";
import { Connection } from "./connection.js";
import "./parser.js"; // connection.js imports it: this way it is requested at once, not a round trip later

/** One message has at most this many items, and about this much text in UTF-16 units. */
const MAX_MESSAGE = 2_048;
const MAX_MESSAGE_TEXT = 1024 * 1024;

/** A tab is sent items at most once in this many ms, which is as often as it draws. */
const PERIOD = 16;

/** How often the status is sent if it has changed, in ms. */
const REFRESH = 250;

/** How often it beats, in ms, and how many beats a tab may leave without an answer. */
const BEAT = 2_000;
const UNANSWERED = 10;

/** The rate is the average of a span of this many ms. */
const RATE_SPAN = 4_000;

/** What was read this many ms before the connection may still be new: the server's clock may differ that much. */
const CLOCKS_DIFFER = 3_000;

/** How many seconds the figures go back. */
const SECONDS = 60;

const items = new ItemBuffer();
const tabs = new Set();
const figures = { events: 0, gaps: 0, missed: 0, missedUnknown: false };
let liveEvents = 0; // those that were read since we are connected: the rate is theirs, not the history's
let liveSince = 0; // by the server's clock, in ms since the epoch
let resumeReading = null; // called when a tab has made room

// The stream

let readAt = null; // when the server read the events that follow, in ms since the epoch; null: it has not said

const stream = {
  onEvent({ type, data, id }) {
    if (isTime(type, data, id)) {
      readAt = Number(data);
      return;
    }
    figures.events += 1;
    if (readAt === null || readAt > liveSince) liveEvents += 1;
    keep(type, data, id ?? "", false);
  },

  onComment(text) {
    const missed = /^([0-9]+) events? missed/.exec(text);
    if (missed) gap(Number(missed[1]));
    else if (/^record [0-9]+\b.*\bskipped/.test(text)) gap(1);
    else if (/\bevents?\b.*\bmissed\b/.test(text)) gap(null);
    keep("", text, "", true);
  },

  onOverlong() {
    gap(1);
    keep("", "an event too long for this page was skipped", "", true);
  },

  onState(state) {
    if (state.name === "live") {
      readAt = null;
      liveSince = Date.now() + connection.ahead - CLOCKS_DIFFER;
    }
    sendStatus();
  },

  room() {
    for (const tab of tabs) tab.send();
    if (!items.full || ![...tabs].some((tab) => tab.asks) || [...tabs].some((tab) => tab.keepsUp)) return undefined;
    return new Promise((resolve) => {
      resumeReading = resolve;
    });
  },
};

/** Whether an event is the server's word on time (`times=event`), and not one of a producer who gave it this name. */
function isTime(type, data, id) {
  return type === "read-at" && id === null && /^[0-9]{1,15}$/.test(data);
}

function keep(type, data, id, notice) {
  items.push({ time: readAt ?? Date.now(), type, id, data, notice });
}

function gap(missed) {
  figures.gaps += 1;
  if (missed === null) figures.missedUnknown = true;
  else figures.missed += missed;
}

/**
 * The tab's query is passed on to the stream (a tail, a token), except `notices`: this page sees comments as they are,
 * so that a record's event of the type "heartbeat" is not mistaken for one; and the page asks for `times` itself.
 */
function eventsUrl() {
  const pairs = self.location.search.slice(1).split("&");
  const others = pairs.filter((pair) => pair !== "" && !["notices", "times"].includes(pair.split("=")[0]));
  return `../../events?${[...others, "times=event"].join("&")}`;
}

const connection = new Connection(eventsUrl(), stream);

// The tabs

class Tab {
  #port;
  #want = 0; // the number of the first item that this tab lacks
  #waits = true; // for items
  #lastSent = -Infinity; // when it was last sent any
  #timer = 0;
  #unanswered = 0; // beats
  asks = true; // not paused

  constructor(port) {
    this.#port = port;
    port.onmessage = ({ data }) => this.#take(data);
  }

  /** Whether it is in the newer half of the buffer. */
  get keepsUp() {
    return this.asks && this.#want >= items.first + items.length / 2;
  }

  #take({ want, connect, bye }) {
    this.#unanswered = 0;
    if (bye) tabs.delete(this);
    else tabs.add(this);
    if (connect) connection.connect();
    if (want === null) this.asks = this.#waits = false;
    if (typeof want === "number") {
      this.#want = Math.min(want, items.end);
      this.asks = this.#waits = true;
    }
    this.send();
    resume();
  }

  /** Sends items if the tab waits for any and there are some. */
  send() {
    if (!this.#waits || this.#timer !== 0 || this.#want === items.end) return;
    const wait = this.#lastSent + PERIOD - performance.now();
    if (wait > 0 && items.end - this.#want < MAX_MESSAGE) {
      this.#timer = setTimeout(() => {
        this.#timer = 0;
        this.send();
      }, wait);
      return;
    }
    const from = Math.max(this.#want, items.first);
    const batch = [];
    let text = 0;
    for (let n = from; n < items.end && batch.length < MAX_MESSAGE && text < MAX_MESSAGE_TEXT; n += 1) {
      const item = items.get(n);
      batch.push(item);
      text += item.data.length;
    }
    this.#want = from + batch.length;
    this.#waits = false;
    this.#lastSent = performance.now();
    this.#port.postMessage({ from, items: batch, status: status() });
  }

  sendStatus(status, beat = false) {
    this.#port.postMessage({ status, beat });
  }

  beat(status) {
    this.sendStatus(status, true);
    this.#unanswered += 1;
    if (this.#unanswered > UNANSWERED) tabs.delete(this);
  }
}

/** Reads on, if the tabs have made room. */
function resume() {
  const resolve = resumeReading;
  resumeReading = null;
  resolve?.(stream.room());
}

function adopt(port) {
  const tab = new Tab(port);
  tabs.add(tab);
  tab.sendStatus(status());
  tab.send();
}

if ("onconnect" in self) self.onconnect = ({ ports }) => adopt(ports[0]);
else adopt(self);

// The figures

const seconds = new Array(SECONDS).fill(0); // events in each, the oldest first; the last is not over yet
let secondBegan = Date.now();
let eventsBefore = 0; // this second

const samples = [[performance.now(), 0]]; // [time, events], at most RATE_SPAN old, except the first
let rate = 0;

function count() {
  const now = performance.now();
  samples.push([now, liveEvents]);
  while (samples.length > 2 && now - samples[1][0] >= RATE_SPAN) samples.shift();
  const [then, before] = samples[0];
  rate = ((liveEvents - before) * 1000) / Math.max(now - then, 1000);

  seconds[SECONDS - 1] = liveEvents - eventsBefore;
  // A worker that was asleep has missed some seconds.
  for (let n = 0; Date.now() - secondBegan >= 1000; n += 1) {
    if (n === SECONDS) {
      secondBegan = Date.now();
      break;
    }
    secondBegan += 1000;
    seconds.shift();
    seconds.push(0);
    eventsBefore = liveEvents;
  }
}

/**
 * The state of the connection, and by how many ms the server's clock is `ahead`; how many `events` there were; how many
 * `gaps`, and how many events were `missed` in them; the `rate` of live events, and how many there were in each of the
 * last 60 `seconds`; the `first` and the `end` of the buffer; how many `tabs` there are.
 */
function status() {
  const { lastEventId, state, ahead } = connection;
  return { ...figures, rate, seconds, lastEventId, state, ahead, first: items.first, end: items.end, tabs: tabs.size };
}

let lastStatus = ""; // that was sent, as JSON

function sendStatus() {
  const now = status();
  const text = JSON.stringify(now);
  if (text === lastStatus) return;
  lastStatus = text;
  for (const tab of tabs) tab.sendStatus(now);
}

setInterval(() => {
  count();
  sendStatus();
}, REFRESH);

setInterval(() => {
  const now = status();
  for (const tab of tabs) tab.beat(now);
  resume(); // the one that it waited for may be gone
}, BEAT);

connection.connect(); // the first tab joins in a moment
