// The page's script: makes the parts, and connects them.
//
//     hub/, start-hub.js    the worker with the one connection that all tabs share
//     hub-client.js         this tab's items and the state of the stream, from the hub
//     views.js              the tabs, and the view that is shown: log/, plot/ or map/
//     pictures.js           what is in plot and map, by what recognise/ finds in a record (pure)
//     bar.js, controls.js, log-status.js    what is around the views
//     text/                 how the text of a record is shown; all pure but rendering.js
//
// Whatever a record contains is shown as text only.

import { Bar, REFRESH } from "./bar.js";
import { Controls } from "./controls.js";
import { HubClient } from "./hub-client.js";
import { LogStatus } from "./log-status.js";
import { Views } from "./views.js";

let firstRow; // when it was drawn, in ms since the page was requested

/* global hub, startHub */
const client = new HubClient(hub, startHub, {
  ready: () => views.loaded,
  onSkip: () => views.log.cleared(controls.test),
  onRestart: () => views.restart(controls.test),
  onItem(n, item) {
    views.add(n, item);
    if (!item.notice) controls.addType(item);
  },
  onItems() {
    controls.showTypes();
    views.changed();
  },
  onStatus(stateChanged) {
    bar.update(stateChanged);
    if (stateChanged) logStatus.show();
  },
});
const views = new Views(client.items, {
  now: () => (client.status.state.name === "live" && !client.paused ? Date.now() + client.status.ahead : null),
  onRows() {
    if (views.log.length > 0) firstRow ??= performance.now();
    logStatus.show();
  },
  onShow: () => logStatus.show(),
  logWords: {
    get words() {
      return controls.words;
    },
    set words(words) {
      controls.words = words;
    },
  },
});
const controls = new Controls(client, views, () => logStatus.show());
const logStatus = new LogStatus(client, views, controls);
const bar = new Bar(client);

// For tests, and for curious people at the console.
window.ssePipe = Object.freeze({
  get state() {
    return client.status.state.name;
  },
  get events() {
    return client.status.events;
  },
  get gaps() {
    return client.status.gaps;
  },
  get lastEventId() {
    return client.status.lastEventId;
  },
  get tabs() {
    return client.status.tabs;
  },
  get firstRow() {
    return firstRow;
  },
  /** How many events the log has rows for. */
  get rows() {
    return [...views.log.items()].filter((item) => !item.notice).length;
  },
  /** The items of the log's rows. */
  get items() {
    return [...views.log.items()];
  },
  get plot() {
    return views.plot?.data;
  },
  get map() {
    return views.map?.data;
  },
  /** Why something in records is not shown, and of how many records that is true. */
  get reasons() {
    return Object.fromEntries(views.reasons);
  },
});

setInterval(() => {
  bar.refresh();
  logStatus.show();
  views.refresh();
}, REFRESH);
views.readAddress();
if (hub instanceof Worker) client.ask(); // what it has sent so far is lost; a port keeps it until somebody listens
