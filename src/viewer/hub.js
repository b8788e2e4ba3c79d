// The one connection that all tabs share: a SharedWorker (where a browser has none, each tab has a Worker of its own).
//
// It reads the stream, holds the newest items, and gives each tab what it has not had yet, at the tab's own pace: a
// tab says {want: N}, "from number N on", and gets one message for it, as soon as there is something. So a tab is never
// flooded, one that sleeps costs nothing, and a new one gets what the others have, the first of it unasked. While none of those that ask keeps
// up, the stream is not read on: the server notices, and with it the program before the pipe.
//
//     tab to hub    {want: N}       and {want: null}: nothing for now (paused)
//                   {connect: true} now, whatever is being waited for
//                   {bye: true}     the tab is about to go
//     hub to tab    {from, items, status}   items, the first of which has the number `from`
//                   {status}                see status()

import { Connection } from "./event-stream.js";
import { Held } from "./held.js";

/** One message has at most so many items, and about so much text. */
const MAX_MESSAGE = 2_048;
const MAX_MESSAGE_TEXT = 1024 * 1024;

/** A tab is sent items at most once in so many ms, which is as often as it draws. */
const PERIOD = 16;

/** How often the figures are sent where they have changed, in ms. */
const REFRESH = 250;

/** The rate is that of the last so many ms. */
const RATE_SPAN = 4_000;

/** How many seconds the figures look back. */
const SECONDS = 60;

const held = new Held();
const tabs = new Set();
const figures = { events: 0, gaps: 0, missed: 0, missedUnknown: false };
let roomMade = null; // called when a tab has made room

// The stream

const stream = {
  onEvent({ type, data, id }) {
    figures.events += 1;
    hold(type, data, id ?? "", false);
  },

  onComment(text) {
    const missed = /^([0-9]+) events? missed/.exec(text);
    if (missed) gap(Number(missed[1]));
    else if (/^record [0-9]+\b.*\bleft out/.test(text)) gap(1);
    else if (/\bevents?\b.*\bmissed\b/.test(text)) gap(null);
    hold("", text, "", true);
  },

  onOverlong() {
    gap(1);
    hold("", "an event too long for this page was left out", "", true);
  },

  onState() {
    tellStatus();
  },

  room() {
    for (const tab of tabs) tab.send();
    if (!held.full || ![...tabs].some((tab) => tab.asks) || [...tabs].some((tab) => tab.keepsUp)) return undefined;
    return new Promise((resolve) => {
      roomMade = resolve;
    });
  },
};

function hold(type, data, id, notice) {
  held.push({ time: Date.now(), type, id, data, notice });
}

function gap(missed) {
  figures.gaps += 1;
  if (missed === null) figures.missedUnknown = true;
  else figures.missed += missed;
}

/**
 * The tab's query goes on to the stream (a tail, a token), but for `notices`: this page sees
 * comments as they are, and nobody's own events named "heartbeat" can be taken for one.
 */
function eventsUrl() {
  const query = self.location.search
    .slice(1)
    .split("&")
    .filter((pair) => pair !== "" && pair.split("=")[0] !== "notices")
    .join("&");
  return query === "" ? "../events" : `../events?${query}`;
}

const connection = new Connection(eventsUrl(), stream);

// The tabs

class Tab {
  #port;
  #want = 0; // the number of the next item that it has not got
  #waits = true; // for items
  #sent = -Infinity; // when it last got any
  #timer = 0;
  asks = true; // not paused

  constructor(port) {
    this.#port = port;
    port.onmessage = ({ data }) => this.#take(data);
  }

  /** Whether it is in the newer half of what is held. */
  get keepsUp() {
    return this.asks && this.#want >= held.first + held.length / 2;
  }

  #take({ want, connect, bye }) {
    if (bye) tabs.delete(this);
    if (connect) connection.connect();
    if (want === null) this.asks = this.#waits = false;
    if (typeof want === "number") {
      this.#want = Math.min(want, held.end);
      this.asks = this.#waits = true;
      this.send();
    }
    if (roomMade) {
      const resolve = roomMade;
      roomMade = null;
      resolve(stream.room());
    }
  }

  /** Sends items if the tab waits for any and there are some. */
  send() {
    if (!this.#waits || this.#timer !== 0 || this.#want === held.end) return;
    const wait = this.#sent + PERIOD - performance.now();
    if (wait > 0 && held.end - this.#want < MAX_MESSAGE) {
      this.#timer = setTimeout(() => {
        this.#timer = 0;
        this.send();
      }, wait);
      return;
    }
    const from = Math.max(this.#want, held.first);
    const items = [];
    let text = 0;
    for (let n = from; n < held.end && items.length < MAX_MESSAGE && text < MAX_MESSAGE_TEXT; n += 1) {
      const item = held.get(n);
      items.push(item);
      text += item.data.length;
    }
    this.#want = from + items.length;
    this.#waits = false;
    this.#sent = performance.now();
    this.#port.postMessage({ from, items, status: status() });
  }

  tell(message) {
    this.#port.postMessage(message);
  }
}

function adopt(port) {
  const tab = new Tab(port);
  tabs.add(tab);
  tab.tell({ status: status() });
  tab.send();
}

if ("onconnect" in self) self.onconnect = ({ ports }) => adopt(ports[0]);
else adopt(self);

// The figures

const seconds = new Array(SECONDS).fill(0); // events in each, the oldest first; the last is not over yet
let secondBegan = Date.now();
let eventsBefore = 0; // this second

const samples = [[performance.now(), 0]]; // [time, events], at most RATE_SPAN old but for the first
let rate = 0;

function count() {
  const now = performance.now();
  samples.push([now, figures.events]);
  while (samples.length > 2 && now - samples[1][0] >= RATE_SPAN) samples.shift();
  const [then, before] = samples[0];
  rate = ((figures.events - before) * 1000) / Math.max(now - then, 1000);

  seconds[SECONDS - 1] = figures.events - eventsBefore;
  // A worker that slept has missed some seconds.
  for (let n = 0; Date.now() - secondBegan >= 1000; n += 1) {
    if (n === SECONDS) {
      secondBegan = Date.now();
      break;
    }
    secondBegan += 1000;
    seconds.shift();
    seconds.push(0);
    eventsBefore = figures.events;
  }
}

/**
 * How things stand: the connection's state, `events` in all, `gaps` and what they cost, the `rate` and the events in
 * each of the last 60 `seconds`, the `end` of what is held, and how many `tabs` there are.
 */
function status() {
  const { lastEventId, state } = connection;
  return { ...figures, rate, seconds, lastEventId, state, first: held.first, end: held.end, tabs: tabs.size };
}

let told = "";

function tellStatus() {
  const now = status();
  const text = JSON.stringify(now);
  if (text === told) return;
  told = text;
  for (const tab of tabs) tab.tell({ status: now });
}

setInterval(() => {
  count();
  tellStatus();
}, REFRESH);

connection.connect(); // the first tab joins in a moment
