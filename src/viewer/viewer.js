// The page's script: takes items from the hub, hands them to the views, and keeps the bar and the controls.
//
// How the stream is read and shared among tabs is in hub.js; the views are in log.js, plot.js and map.js. Whatever a
// record contains is shown as text only.

import { makeFilter, UNNAMED } from "./filter.js";
import { Held } from "./held.js";
import { Log } from "./log.js";
import { PositionMap } from "./map.js";
import { Numbers } from "./numbers.js";
import { Plot } from "./plot.js";
import { findPositions, twoNumbers } from "./positions.js";
import { cut, make, parseJson } from "./text.js";

/** How often what stands around the views is refreshed, in ms. */
const REFRESH = 250;

/** An attempt without an answer for so long gets an explanation. */
const SLOW_ANSWER = 5_000;

/** So many event types are told apart, and so many get a chip. */
const MAX_TYPES = 200;
const MAX_CHIPS = 12;

/** Records longer than this are not searched for numbers and positions. */
const MAX_SEARCHED = 256 * 1024;

/** Labels of chips are cut to this. */
const MAX_LABEL = 40;

const $ = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat("en");

const held = new Held();
const log = new Log($("log"), held, () => {
  if (log.length > 0) firstRow ??= performance.now();
  showAround();
});
const plot = new Plot($("plot-view"), () => status.state.name === "live" && !paused);
const map = new PositionMap($("map-view"), held);
const views = { log, plot, map };
let numbersIn = new Numbers();

/** How the hub says that things stand. */
let status = {
  state: { name: "connecting" },
  events: 0,
  gaps: 0,
  missed: 0,
  missedUnknown: false,
  rate: 0,
  seconds: [],
  lastEventId: "",
  first: 0,
  end: 0,
  tabs: 0,
};
let firstRow; // when it was drawn, in ms since the page was asked for
let since = Date.now(); // when the state last changed
let paused = false;
let passed = 0; // items that went by while the page had no eye for them
const types = new Map(); // how many events there were of each type
const chosen = new Set(); // the types that the log is limited to

// The hub, which join.js has joined already

/* global hub */
hub.onmessage = ({ data }) => {
  const before = status.state;
  status = data.status;
  if (data.items) {
    try {
      take(data.from, data.items);
    } finally {
      ask(); // a record that the page stumbles over is held already: the next one comes
    }
  }
  if (performance.now() - figuresShown > REFRESH) showFigures();
  if (JSON.stringify(before) !== JSON.stringify(status.state)) {
    since = Date.now();
    showState();
    showAround();
  }
};

function take(from, items) {
  if (from < held.end) items = items.slice(held.end - from); // asked for twice, as after Clear
  if (from > held.end) {
    // The hub holds only so much, too: what went by meanwhile is not to be had any more.
    passed += from - held.end;
    held.clear(from);
    log.cleared(currentFilter().test);
  }
  let newType = false;
  for (const item of items) {
    held.push(item);
    if (item.notice) continue;
    search(held.end - 1, item);
    const type = item.type || UNNAMED;
    const count = types.get(type);
    if (count !== undefined) types.set(type, count + 1);
    else if (types.size < MAX_TYPES) {
      types.set(type, 1);
      newType = true;
    }
  }
  if (newType) showTypes();
  showTabs();
  views[view].changed();
}

/** Looks for numbers and positions in an item. */
function search(n, item) {
  if (item.data.length > MAX_SEARCHED) return;
  const json = parseJson(item.data);
  const pairs = numbersIn.find(item.data, json);
  if (pairs.length > 0) plot.add(item.time, pairs);
  if (json !== undefined) {
    const positions = findPositions(json);
    if (positions.length > 0) map.add(n, item, positions);
  } else if (pairs.length === 2) {
    const position = twoNumbers(item.data);
    if (position) {
      pairsSeen = true;
      if (latLon) map.add(n, item, [position]);
    }
  }
}

let pairsSeen = false; // records with two numbers that may be a position
let latLon = false; // and the person says that they are

function ask() {
  hub.postMessage({ want: paused ? null : held.end });
}

// The bar

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
  const { text, button, detail } = STATES[status.state.name](status.state);
  $("connection").dataset.state = status.state.name;
  setText($("state"), text);
  setText($("again"), button || "");
  $("again").hidden = !button;
  showDetail(detail ?? "");
  showWhen();
}

function showDetail(text) {
  setText($("detail"), text);
  $("detail").hidden = text === "";
  $("detail").dataset.state = status.state.name;
}

/** The part of the state that changes every second, kept out of what a screen reader announces. */
function showWhen() {
  const { name, at } = status.state;
  const seconds = at ? Math.max(1, Math.ceil((at - Date.now()) / 1000)) : 0;
  let text = "";
  if (name === "reconnecting") text = at ? `in ${numbers.format(seconds)} s` : "now";
  if (name === "closed") text = at ? `asking for more in ${numbers.format(seconds)} s` : "asking for more";
  setText($("when"), text);
  if (name === "connecting" && Date.now() - since > SLOW_ANSWER) {
    showDetail(
      "No answer yet. A browser opens at most six connections to one address: is it open in many other pages?",
    );
  }
}

let figuresShown = -Infinity;

function showFigures() {
  figuresShown = performance.now();
  const { events, rate, gaps, missed, missedUnknown } = status;
  setText($("events"), numbers.format(events));
  setText($("rate"), rate >= 10 || rate === 0 ? numbers.format(Math.round(rate)) : rate.toFixed(1));
  showSpark();
  $("gaps-figure").hidden = gaps === 0;
  const some = missedUnknown ? (missed ? `${numbers.format(missed)}+` : "unknown") : numbers.format(missed);
  setText($("gaps"), some);
  $("gaps-figure").title = `${numbers.format(gaps)} ${gaps === 1 ? "gap" : "gaps"} in the stream`;
}

let spark = "";

/** A line over the events of each second, from the left edge to the right. */
function showSpark() {
  const { seconds } = status;
  const most = Math.max(...seconds, 1);
  const step = 120 / Math.max(seconds.length - 1, 1);
  const points = seconds.map((n, i) => `${(i * step).toFixed(1)} ${(25 - (n / most) * 23).toFixed(1)}`);
  const line = points.join("L");
  if (line === spark || points.length === 0) return;
  spark = line;
  const [area, edge] = $("spark").children;
  area.setAttribute("d", `M0 26L${line}L120 26Z`);
  edge.setAttribute("d", `M${line}`);
  $("spark").parentElement.title = `Up to ${numbers.format(most)} a second in the last minute`;
}

// Around the log

const EMPTY = {
  connecting: () => [`Connecting to ${location.host}`, ""],
  live: () => [
    "Connected; waiting for the first event.",
    "What the program before the pipe writes appears here, line by line. If it writes and nothing comes, " +
      "it may be holding its output back: try stdbuf -oL before it.",
  ],
  reconnecting: () => ["Not connected at the moment.", "The page keeps trying and goes on where it stopped."],
  closed: () => ["The stream was closed before any event came.", ""],
  ended: () => ["The stream has ended; no event came.", ""],
  refused: (s) =>
    s.status === 200
      ? [
          "Something answers at this address, but not with an event stream.",
          "Is there a proxy or a login page in between?",
        ]
      : ["The server did not let this page read the stream.", s.reason === "" ? "" : "Its reason stands above."],
};

function emptyText() {
  const { error } = currentFilter();
  if (error) return ["That is no regular expression.", error];
  if ($("filter").value !== "" || chosen.size > 0) {
    if (!log.complete) return ["Searching", ""];
    return ["Nothing matches the filter.", "New events that match will appear here."];
  }
  if (paused && status.end > held.end) return ["The display is paused.", "Resume shows what has come meanwhile."];
  if (status.events > 0) {
    return status.state.name === "live" ? ["Cleared.", "The next event will appear here."] : ["The page is empty.", ""];
  }
  return EMPTY[status.state.name](status.state);
}

/** Everything outside the rows that depends on them. */
function showAround() {
  $("pause").setAttribute("aria-pressed", String(paused));
  setText($("pause"), paused ? "Resume" : "Pause");
  $("held").hidden = !paused;
  const empty = (log.length === 0 && held.end === status.end) || (log.length === 0 && log.complete);
  $("empty").hidden = !empty;
  if (empty) {
    const [what, hint] = emptyText();
    setText($("empty").children[0], what);
    setText($("empty").children[1], hint);
  }
  const newer = $("newer");
  const waiting = paused ? status.end - held.end : log.unseen;
  newer.hidden = paused ? waiting === 0 : log.sticky || empty;
  if (paused) setText(newer, `Paused: ${numbers.format(waiting)} new`);
  else setText(newer, waiting > 0 ? `${numbers.format(waiting)} new ↓` : "Newest ↓");
  let kept = "";
  if ($("filter").value !== "" || chosen.size > 0)
    kept = `${numbers.format(log.length)} of ${numbers.format(held.length)}`;
  else if (held.first > 0 && held.length > 0) kept = `newest ${numbers.format(held.length)}`;
  if (passed > 0) kept += `${kept === "" ? "" : "; "}${numbers.format(passed)} passed by`;
  setText($("kept"), kept);
}

let chips = "";

function showTypes() {
  const several = types.size > 1;
  $("types").hidden = !several;
  const names = [...types.keys()].slice(0, MAX_CHIPS);
  if (!several || names.join("\n") === chips) return;
  chips = names.join("\n");
  $("types").replaceChildren(
    ...names.map((name) => {
      const chip = make("button", "chip", cut(name, MAX_LABEL));
      chip.type = "button";
      chip.setAttribute("aria-pressed", String(chosen.has(name)));
      chip.title = `Only events of type ${cut(name, 1000)}`;
      chip.addEventListener("click", () => {
        if (!chosen.delete(name)) chosen.add(name);
        chip.setAttribute("aria-pressed", String(chosen.has(name)));
        refilter();
      });
      return chip;
    }),
  );
}

function currentFilter() {
  return makeFilter($("filter").value, chosen);
}

function refilter() {
  const { test, error } = currentFilter();
  $("filter").setAttribute("aria-invalid", String(error !== ""));
  log.filter(test);
  showAround();
}

// Views

let view = "log";
let wished = ""; // a view that the address asks for, before there is anything in it

function show(name) {
  view = name;
  wished = "";
  for (const other of Object.keys(views)) {
    $(`${other}-view`).hidden = other !== name;
    $(`tab-${other}`).setAttribute("aria-selected", String(other === name));
    $(`tab-${other}`).tabIndex = other === name ? 0 : -1;
  }
  $("find").hidden = $("kept").hidden = name !== "log";
  showAround();
  views[name].changed();
}

/** The address after `#` names a view, and `latlon` where two numbers are a position: it can be passed on. */
function readHash() {
  const words = location.hash.slice(1).split("&");
  setLatLon(words.includes("latlon"));
  wished = words.find((word) => word in views) ?? "log";
  showTabs();
}

function writeHash() {
  const words = [view === "log" ? "" : view, latLon ? "latlon" : ""].filter((word) => word !== "");
  history.replaceState(null, "", words.length > 0 ? `#${words.join("&")}` : location.pathname + location.search);
}

function go(name) {
  if ($(`tab-${name}`).hidden) return;
  show(name);
  writeHash();
}

/** Plot and map are there once there is something in them. */
function showTabs() {
  $("tab-plot").hidden = !plot.filled;
  $("tab-map").hidden = !map.filled;
  $("latlon").hidden = !pairsSeen;
  $("latlon").setAttribute("aria-pressed", String(latLon));
  if (wished !== "" && !$(`tab-${wished}`).hidden) show(wished);
}

function setLatLon(on) {
  if (on === latLon) return;
  latLon = on;
  map.clear();
  if (!on) return;
  for (let n = held.first; n < held.end; n += 1) {
    const item = held.get(n);
    const position = item.notice ? null : twoNumbers(item.data);
    if (position) map.add(n, item, [position]);
  }
}

// Controls

function pause(on) {
  paused = on;
  ask();
  if (!on) log.follow();
  showAround();
}

function follow() {
  if (paused) pause(false);
  else log.follow();
  $("log").focus({ preventScroll: true });
}

function clear() {
  held.clear(status.end);
  passed = 0;
  types.clear();
  chosen.clear();
  chips = "";
  showTypes();
  numbersIn = new Numbers();
  pairsSeen = false;
  plot.clear();
  map.clear();
  log.cleared(currentFilter().test);
  show("log");
  showTabs();
  ask();
  showAround();
}

/** The events of the log's rows as NDJSON: time, ID and type where there are such, and the data as a string. */
function save() {
  const parts = [];
  for (const { time, id, type, data, notice } of log.items()) {
    if (notice) continue;
    const event = {
      time: new Date(time).toISOString(),
      ...(id !== "" && { id }),
      ...(type !== "" && { event: type }),
      data,
    };
    parts.push(`${JSON.stringify(event)}\n`);
  }
  const link = make("a");
  link.href = URL.createObjectURL(new Blob(parts, { type: "application/x-ndjson" }));
  const now = new Date().toISOString().slice(0, 19).replaceAll(":", "");
  link.download = `${location.host.replace(/[^\w.-]+/g, "-")}-${now}.ndjson`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

$("pause").addEventListener("click", () => pause(!paused));
$("clear").addEventListener("click", clear);
$("save").addEventListener("click", save);
$("again").addEventListener("click", () => hub.postMessage({ connect: true }));
$("newer").addEventListener("click", follow);
$("filter").addEventListener("input", refilter);
for (const name of Object.keys(views)) $(`tab-${name}`).addEventListener("click", () => go(name));
$("latlon").addEventListener("click", () => {
  setLatLon(!latLon);
  showTabs();
  if (latLon) show("map");
  else if (view === "map" && !map.filled) show("log");
  writeHash();
});
window.addEventListener("hashchange", readHash);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const filter = $("filter");
  if (event.key === "Escape" && event.target === filter) {
    filter.value = "";
    refilter();
    $("log").focus({ preventScroll: true });
  } else if (event.target.closest("input, textarea, select")) {
    return; // there a key means what it always means
  } else if (event.key === " " && !event.repeat && !event.target.closest("button, a, summary")) {
    pause(!paused);
  } else if (["1", "2", "3"].includes(event.key)) {
    go(Object.keys(views)[Number(event.key) - 1]);
  } else if (event.key === "/") {
    go("log");
    filter.focus();
    filter.select();
  } else if (event.key === "g") {
    go("log");
    follow();
  } else {
    return;
  }
  event.preventDefault();
});

// A page that goes to sleep and comes back asks on from where it was.
window.addEventListener("pagehide", () => hub.postMessage({ bye: true }));
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
window.addEventListener("online", () => {
  if (status.state.name === "reconnecting") hub.postMessage({ connect: true });
});
document.addEventListener("visibilitychange", () => views[view].changed());

// For tests, and for the curious at the console.
window.ssePipe = Object.freeze({
  get state() {
    return status.state.name;
  },
  get events() {
    return status.events;
  },
  get gaps() {
    return status.gaps;
  },
  get lastEventId() {
    return status.lastEventId;
  },
  get tabs() {
    return status.tabs;
  },
  get firstRow() {
    return firstRow;
  },
  /** How many events the log has rows for. */
  get rows() {
    return [...log.items()].filter((item) => !item.notice).length;
  },
  /** The items of the log's rows. */
  get items() {
    return [...log.items()];
  },
  get plot() {
    return plot.data;
  },
  get map() {
    return map.data;
  },
});

document.title = `${location.host} – sse-pipe`;
// Without what stands in the path for this page alone, be it a token.
setText(
  $("address"),
  location.host + location.pathname.replace(/\/access_token=[^/]*/, "").replace(/\/(viewer)?$/, ""),
);
setInterval(() => {
  showFigures();
  showWhen();
  showAround();
  if (view === "plot" && !document.hidden) plot.changed(); // time goes on
}, REFRESH);
readHash();
if (hub instanceof Worker) ask(); // what it has sent by now is lost; a port keeps it for whoever listens
