// The views and their tabs: the log, and the plot and the map once there is something in them. One of them is shown.
//
// What a view shows is left to the view; what plot and map are given, to pictures.js.

import { $ } from "./dom.js";
import { Log } from "./log/log.js";

/** In the order of their tabs. */
const NAMES = ["log", "plot", "map"];

/** Plot and map are loaded once the log is drawn, so that they don't delay its first row, or after this many ms. */
const LOG_ALONE = 1000;

/** The address is written after this many ms in which nothing was typed. */
const TYPING = 250;

export class Views {
  #items;
  #onShow;
  #pictures = null; // until they are loaded
  #shown = "log";
  #wanted = ""; // the view that the address names, until there is something in it
  #logWords; // the log's part of the address
  #writing = 0; // the timer until the address is written
  #latLon = false; // whether the person says that two numbers are a position

  /**
   * `items` is the buffer. `now()` is the server's time, or null while time stands still in plot and map; `onRows()` is
   * called when the log's rows have changed, `onShow()` when another view is shown. `logWords` has `words`, what the
   * person chose in the log, as words for the address.
   */
  constructor(items, { now, onRows, onShow, logWords }) {
    this.#items = items;
    this.#logWords = logWords;
    this.#onShow = onShow;
    const drawn = new Promise((resolve) => {
      this.log = new Log($("log"), items, () => {
        onRows();
        resolve();
      });
      setTimeout(resolve, LOG_ALONE);
    });
    this.loaded = drawn.then(() => this.#load(now));
    for (const name of NAMES) $(`tab-${name}`).addEventListener("click", () => this.go(name));
    $("latlon").addEventListener("click", () => this.#toggleLatLon());
    window.addEventListener("hashchange", () => this.readAddress());
    document.addEventListener("visibilitychange", () => this.#view(this.#shown).changed());
  }

  async #load(now) {
    this.log.expressions.start();
    document.head.append($("later").content); // requests all modules of plot and map at once
    const { Pictures } = await import("./pictures.js");
    this.#pictures = new Pictures(this.#items, {
      now,
      latLon: this.#latLon,
      onPlotChoice: () => this.#writeAddress(),
    });
    this.plot.words = this.map.words = addressWords();
    this.#showTabs();
  }

  get plot() {
    return this.#pictures?.plot;
  }

  get map() {
    return this.#pictures?.map;
  }

  /** The name of the view that is shown. */
  get shown() {
    return this.#shown;
  }

  /** Why something in records is on neither plot nor map, and of how many records that is true. */
  get reasons() {
    return this.#pictures?.reasons ?? new Map();
  }

  /** Hands over an item that has come. */
  add(n, item) {
    this.#pictures?.add(n, item);
  }

  /** Call this after the last of some items. */
  changed() {
    this.#showTabs();
    this.#view(this.#shown).changed();
  }

  /** Call this from time to time: plot and map depend on the time. */
  refresh() {
    if (document.hidden) return;
    if (this.#shown === "plot") this.plot.changed();
    if (this.#shown === "map") this.map.refresh();
  }

  /** Empties all views, and shows the log through this filter. */
  clear(test) {
    this.#pictures?.clear();
    this.log.cleared(test);
    this.#show("log");
    this.#showTabs();
  }

  /** Empties all views; the one that is shown now is shown again once there is something in it. */
  restart(test) {
    const shown = this.#shown;
    this.clear(test);
    this.#wanted = shown;
  }

  /** Shows the view of the tab with this number, the first is 1, if there is something in it. */
  goToTab(number) {
    this.go(NAMES[number - 1]);
  }

  /** Shows a view, if there is something in it, and notes it in the address. */
  go(name) {
    if ($(`tab-${name}`).hidden) return;
    this.#show(name);
    this.#writeAddress();
  }

  /**
   * After `#`, the address names a view, and says `latlon` if two numbers are a position, and what log, plot and map
   * show: it can be passed on.
   */
  readAddress() {
    const words = addressWords();
    this.#setLatLon(words.includes("latlon"));
    this.#logWords.words = words;
    if (this.#pictures) this.plot.words = this.map.words = words;
    this.#wanted = words.find((word) => NAMES.includes(word)) ?? "log";
    this.#showTabs();
  }

  /** Call this when the log's words have changed; a person may type fast, and browsers don't let an address. */
  wordsChanged() {
    clearTimeout(this.#writing);
    this.#writing = setTimeout(() => this.#writeAddress(), TYPING);
  }

  #writeAddress() {
    clearTimeout(this.#writing);
    const log = this.#logWords.words;
    const view = this.#shown === "log" && log.length === 0 ? "" : this.#shown;
    const own = [view, this.#latLon ? "latlon" : ""].filter((word) => word !== "");
    const words = [...own, ...log, ...(this.plot?.words ?? []), ...(this.map?.words ?? [])];
    history.replaceState(null, "", words.length > 0 ? `#${words.join("&")}` : location.pathname + location.search);
  }

  #view(name) {
    return name === "log" ? this.log : this.#pictures[name];
  }

  #show(name) {
    this.#shown = name;
    this.#wanted = "";
    for (const other of NAMES) {
      $(`${other}-view`).hidden = other !== name;
      $(`tab-${other}`).setAttribute("aria-selected", String(other === name));
      $(`tab-${other}`).tabIndex = other === name ? 0 : -1;
    }
    $("find").hidden = name !== "log";
    this.#onShow();
    this.#view(name).changed();
  }

  #showTabs() {
    $("tab-plot").hidden = !this.plot?.filled;
    $("tab-map").hidden = !this.map?.filled;
    $("latlon").hidden = !this.#pictures?.twoNumbersSeen;
    $("latlon").setAttribute("aria-pressed", String(this.#latLon));
    if (this.#wanted !== "" && !$(`tab-${this.#wanted}`).hidden) this.#show(this.#wanted);
  }

  #toggleLatLon() {
    this.#setLatLon(!this.#latLon);
    this.#showTabs();
    if (this.#latLon) this.#show("map");
    else if (this.#shown === "map" && !this.map.filled) this.#show("log");
    this.#writeAddress();
  }

  #setLatLon(on) {
    if (on === this.#latLon) return;
    this.#latLon = on;
    if (this.#pictures) this.#pictures.latLon = on;
  }
}

/** What comes after `#` in the address. */
function addressWords() {
  return location.hash.slice(1).split("&");
}
