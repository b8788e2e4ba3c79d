// The map: a track and a head for each object whose positions the records carry, drawn by Leaflet over the land of
// Natural Earth and a graticule, all of which come with the program. Tiles of OpenStreetMap, or of the server that
// --tiles names, are loaded only if the person switches them on.
//
// The positions are kept in tracks.js, and drawn by paint.js; what is under them is drawn by background.js.

import { make, makeButton, onColoursChange, setText } from "../dom.js";
import { FrameScheduler } from "../frame-scheduler.js";
import { assetUrl, library, RETRY_AFTER } from "../library.js";
import { cut } from "../text/characters.js";
import { unfolded } from "../text/rendering.js";
import { Background } from "./background.js";
import { degrees, Graticule } from "./graticule.js";
import { Paint } from "./paint.js";
import { FADED, MapTime, readLimits } from "./silence.js";
import { place, STRIDE, Tracks } from "./tracks.js";
import { world } from "./world.js";

/** The most objects that have their name next to them. */
const MAX_LABELS = 40;

/** A click finds what is at most this many px away. */
const NEAR = 14;

/** A single position is shown at this zoom; a track at most at the second. */
const ZOOM = 12;
const MAX_ZOOM = 19;

/** Where the background is from, at first and when all of it is there. */
const CREDITS = {
  "1:110m": "Coast: Natural Earth 1:110m",
  "1:50m": "Coast: Natural Earth 1:50m · Cities: GeoNames",
};

const number = new Intl.NumberFormat("en");

export class PositionMap {
  #place;
  #items;
  #now;
  #time = new MapTime();
  #words = []; // those of the address that set limits
  #limits = readLimits([]); // how long an object may be silent
  #tracks = new Tracks((track) => {
    track.label?.remove();
    track.label = null;
  });
  #map = null;
  #paint = null;
  #making = false;
  #loading = null; // a promise of the land and Leaflet
  #layers = {};
  #background;
  #sharpening = null; // a promise of a finer background
  #graticule;
  #mode = "fit"; // "fit": all in sight; "follow": the newest head in the middle; "free": where the person put it
  #fitted = false; // once since "fit" was chosen
  #drawn = { times: 0, took: 0 };
  #scheduler = new FrameScheduler(() => this.#draw());
  #readout = make("div", "readout");
  #count = make("span", "count");
  #fault = make("span", "count fault");
  #buttons = {};

  /**
   * `items` is the buffer with the records, which are shown on a click; `now()` is the server's time, or null if time
   * doesn't go on.
   */
  constructor(element, items, now = () => null) {
    this.#items = items;
    this.#now = now;
    this.#place = make("div", "place");
    this.#place.setAttribute("role", "application");
    this.#place.setAttribute("aria-label", "Map");
    const tools = make("div", "map-tools");
    this.#buttons = {
      fit: makeButton("", "Fit", () => this.#setMode("fit")),
      follow: makeButton("", "Follow", () => this.#setMode("follow")),
      tiles: makeButton("", "Streets", () => this.#toggleTiles()),
    };
    this.#buttons.fit.title = "All positions in sight";
    this.#buttons.follow.title = "The newest position in the middle";
    this.#buttons.tiles.title = `Load map tiles from ${new URL(setting("tiles")).host}, which then learns where you look`;
    this.#fault.setAttribute("role", "status");
    tools.append(this.#count, this.#fault, ...Object.values(this.#buttons));
    this.#readout.setAttribute("aria-live", "off");
    element.append(this.#place, tools, this.#readout);
    this.#showMode();
    onColoursChange(() => this.#paint?.repaint());
    new ResizeObserver(() => this.changed()).observe(this.#place);
  }

  get filled() {
    return this.#tracks.positions > 0;
  }

  /** How many times it was drawn, and how long that took the last time, in ms. */
  get drawn() {
    return { ...this.#drawn };
  }

  /** What the map shows, for tests and curious people. */
  get data() {
    const { objects, positions, shapes, thinned, gone, silent } = this.#tracks;
    const points = (track) => Array.from({ length: track.length }, (_, i) => track.at(i));
    return {
      ready: this.#map !== null,
      positions,
      thinned,
      gone,
      silent: silent.n,
      mode: this.#mode,
      background: this.#background?.scale,
      tiles: this.#layers.tiles !== undefined && this.#map.hasLayer(this.#layers.tiles),
      shapes: [...shapes.values()].flatMap(({ name, parts }) => parts.map(({ type }) => [name, type])),
      bounds: this.#map && (({ _southWest: a, _northEast: b }) => [a.lat, a.lng, b.lat, b.lng])(this.#map.getBounds()),
      objects: [...objects.values()]
        .toSorted((a, b) => a.number - b.number)
        .map((track) => ({
          name: track.name,
          faded: track.stage === FADED,
          course: track.course,
          points: points(track).map(({ lat, lon }) => [lat, lon]),
          pixel: this.#map && (({ x, y }) => [x, y])(this.#map.latLngToContainerPoint(head(track))),
        })),
    };
  }

  /** The words of the address that set how long an object may be silent, as they stand there. */
  get words() {
    return this.#words;
  }

  set words(words) {
    this.#words = words.filter((word) => /^(?:fade|keep)=/.test(word));
    this.#limits = readLimits(words);
    this.#tracks.limits = this.#limits;
    setText(this.#fault, this.#limits.faults.join("; "));
    this.changed();
  }

  /** Call this before each item is added, one without a position too: it says what time it is. */
  pass(item) {
    this.#time.event(item.time, performance.now());
  }

  /** Adds the positions of the item with this number. */
  add(n, item, positions) {
    this.#load();
    this.#tracks.add(n, item.time, positions);
  }

  /** Sets the courses of objects: see Recogniser.read(). */
  turn(courses) {
    this.#tracks.turn(courses);
  }

  clear() {
    this.#tracks.clear();
    this.#map?.closePopup();
    this.changed();
  }

  /** Call this when positions have come, or the map has come into sight. */
  changed() {
    this.#scheduler.request();
  }

  /** Call this from time to time while the map is visible: objects fade. */
  refresh() {
    if (this.#age()) this.changed();
  }

  #age() {
    return this.#tracks.age(this.#time.read(this.#now(), performance.now()));
  }

  // Drawing

  async #draw() {
    if (this.#place.clientWidth === 0 || this.#place.clientHeight === 0) return;
    if (!this.#map) {
      if (!this.#making) await this.#make();
      if (!this.#map) return;
    }
    if (this.#scheduler.tooEarly) return;
    const start = performance.now();
    this.#map.invalidateSize({ pan: false });
    this.#age();
    const { newest } = this.#tracks;
    if (this.#mode === "fit") this.#fit();
    if (this.#mode === "follow" && newest) this.#map.panTo(head(newest), { animate: false });
    this.#paint.draw();
    this.#label();
    this.#showCount();
    this.#scheduler.done(start);
    this.#drawn = { times: this.#drawn.times + 1, took: performance.now() - start };
  }

  #showCount() {
    const { objects, shapes, positions, thinned, gone, faded, silent } = this.#tracks;
    const { fade, keep } = this.#limits;
    const count = (n, what) => `${number.format(n)} ${what}${n === 1 ? "" : "s"}`;
    const parts = [count(objects.size + shapes.size, "object"), count(positions, "position")];
    if (faded > 0) parts.push(`${number.format(faded)} faded, silent for over ${fade.text}`);
    if (silent.n > 0) {
      const n = silent.more ? `${number.format(silent.n)} or more objects` : count(silent.n, "object");
      parts.push(`${n} gone, silent for over ${keep.text}`);
    }
    if (thinned > 0) parts.push(`${number.format(thinned)} thinned out`);
    if (gone > 0) parts.push(`${count(gone, "object")} made room`);
    setText(this.#count, parts.join(" · "));
  }

  #label() {
    for (const track of this.#tracks.objects.values()) {
      if (track.label) {
        track.label.getElement().classList.toggle("faded", track.stage === FADED);
        track.label.options.offset = [track.course === null ? 3 : 9, 0]; // next to an arrow to the right, too
        track.label.setLatLng(head(track));
      } else if (track.name !== "" && this.#tracks.objects.size <= MAX_LABELS) {
        track.label = window.L.tooltip({
          permanent: true,
          direction: "right",
          offset: [3, 0],
          className: "label",
          interactive: false,
        })
          .setLatLng(head(track))
          .setContent(make("span", "", cut(track.name, 40))) // an element: Leaflet would take a text as markup
          .addTo(this.#map);
      }
    }
  }

  /** Moves and zooms only when something is out of sight, so that the map does not tremble. */
  #fit() {
    const { L } = window;
    const { south, west, north, east } = this.#tracks.box;
    if (south > north) return;
    const bounds = L.latLngBounds([south, west], [north, east]);
    const sight = this.#map.getBounds();
    const area = (b) => Math.max(b.getEast() - b.getWest(), b.getNorth() - b.getSouth());
    const small = area(bounds) < area(sight) / 5 && this.#map.getZoom() < ZOOM;
    if (this.#fitted && sight.pad(-0.03).contains(bounds) && !small) return;
    this.#fitted = true;
    const single = area(bounds) < 1e-9;
    if (single) this.#map.setView(bounds.getCenter(), ZOOM, { animate: false });
    else
      this.#map.fitBounds(bounds.pad(0.08), {
        animate: false,
        maxZoom: MAX_ZOOM - 1,
        paddingTopLeft: [24, 48],
        paddingBottomRight: [80, 24],
      });
  }

  /** The coarse land and Leaflet. They are requested with the first position, because the program may end soon. */
  #load() {
    if (!this.#loading) {
      this.#loading = Promise.all([data("land"), library("leaflet")]);
      this.#loading.catch(() => setTimeout(() => (this.#loading = null), RETRY_AFTER));
    }
    return this.#loading;
  }

  /** The map is there at once, and gets its finer background later; without the program it keeps the coarse one. */
  async #sharpen() {
    if (this.#sharpening) return;
    this.#sharpening = Promise.all([data("countries"), data("cities")]);
    try {
      const [topology, cities] = await this.#sharpening;
      this.#background.sharpen(world(topology), cities);
      this.#showCredit();
    } catch {
      setTimeout(() => (this.#sharpening = null), RETRY_AFTER);
    }
  }

  async #make() {
    this.#making = true;
    try {
      const [topology] = await this.#load();
      this.#makeMap(topology);
    } catch {
      this.#place.textContent = "The map could not be loaded: is the program still running?";
      setTimeout(() => this.changed(), RETRY_AFTER + 1);
    }
    this.#making = false;
  }

  #makeMap(topology) {
    const { L } = window;
    this.#place.textContent = "";
    const map = L.map(this.#place, {
      attributionControl: false,
      zoomControl: false,
      minZoom: 1,
      maxZoom: MAX_ZOOM,
      worldCopyJump: true,
      zoomSnap: 0.25,
      fadeAnimation: false,
    }).setView([25, 0], 2);
    L.control.zoom({ position: "topleft" }).addTo(map);
    L.control.scale({ position: "bottomright", imperial: false, maxWidth: 120 }).addTo(map);
    this.#layers.attribution = L.control.attribution({ position: "bottomright", prefix: false }).addTo(map);
    for (const [name, zIndex] of [
      ["land", 210],
      ["graticule", 220],
      ["names", 230],
      ["shapes", 400],
      ["tracks", 410],
      ["heads", 420],
    ]) {
      map.createPane(name).style.zIndex = String(zIndex);
    }
    for (const name of ["land", "graticule", "names"]) map.getPane(name).style.pointerEvents = "none";
    this.#background = new Background(map, world(topology));
    this.#showCredit();
    this.#graticule = new Graticule(map);
    this.#map = map;
    this.#paint = new Paint(map, this.#tracks);
    this.#addListeners(map);
    this.#graticule.draw();
    this.#sharpen();
  }

  #addListeners(map) {
    map.on("moveend", () => {
      this.#graticule.draw();
      this.#sharpen();
    });
    map.on("mousemove", ({ latlng }) => this.#read(latlng));
    map.on("mouseout", () => this.#read(null));
    map.on("click", (event) => this.#click(event));
    // A map that the person has moved is left where it is. Leaflet's own events for a move may also come from us.
    map.on("dragstart", () => this.#setMode("free"));
    for (const type of ["wheel", "dblclick", "keydown"]) {
      this.#place.addEventListener(
        type,
        (event) => {
          if (type !== "keydown" || /^(Arrow|[-+=])/.test(event.key)) this.#setMode("free");
        },
        { passive: true },
      );
    }
    // Before Leaflet's buttons, which let no click through.
    const buttons = this.#place.querySelector(".leaflet-control-zoom");
    buttons.addEventListener("click", () => this.#setMode("free"), { capture: true });
  }

  // What the person does

  #setMode(mode) {
    this.#mode = mode;
    if (mode === "fit") this.#fitted = false;
    if (mode === "follow" && this.#map && this.#map.getZoom() < ZOOM) this.#map.setZoom(ZOOM, { animate: false });
    this.#showMode();
    this.changed();
  }

  #showMode() {
    for (const mode of ["fit", "follow"]) this.#buttons[mode].setAttribute("aria-pressed", String(this.#mode === mode));
  }

  #toggleTiles() {
    const { L } = window;
    if (!this.#map) return;
    // OpenStreetMap's rules for its tiles require a referrer, which the page sends nowhere else.
    this.#layers.tiles ??= L.tileLayer(setting("tiles"), {
      maxZoom: MAX_ZOOM,
      attribution: make("span", "", setting("tiles-credit")).innerHTML, // Leaflet takes a text as markup
      referrerPolicy: "strict-origin",
    });
    const on = !this.#map.hasLayer(this.#layers.tiles);
    if (on) this.#layers.tiles.addTo(this.#map);
    else this.#layers.tiles.remove();
    this.#place.classList.toggle("streets", on);
    this.#showCredit();
    this.#buttons.tiles.setAttribute("aria-pressed", String(on));
  }

  /** Where the background comes from, while it can be seen; tiles have a credit of their own. */
  #showCredit() {
    const { attribution } = this.#layers;
    for (const credit of Object.values(CREDITS)) attribution.removeAttribution(credit);
    if (!this.#place.classList.contains("streets")) attribution.addAttribution(CREDITS[this.#background.scale]);
  }

  #read(at) {
    if (at === null) {
      this.#readout.textContent = "";
      return;
    }
    const digits = Math.min(6, Math.max(2, Math.round(this.#map.getZoom() / 3)));
    const { lat, lng } = at.wrap();
    this.#readout.textContent = `${degrees(lat, digits, "N", "S")} ${degrees(lng, digits, "E", "W")}`;
  }

  /** Shows the record of the nearest position, or of the smallest shape. */
  #click({ latlng }) {
    const world = this.#map.options.crs.scale(this.#map.getZoom());
    const [x, y] = place(latlng.lng, latlng.lat);
    const near = NEAR / world;
    let best = null;
    let distance = near;
    for (const track of this.#tracks.objects.values()) {
      for (let i = 0; i < track.length; i += 1) {
        const away = Math.hypot(track.data[i * STRIDE] - x, track.data[i * STRIDE + 1] - y);
        if (away > distance) continue;
        distance = away;
        best = { name: track.name, ...track.at(i), course: i === track.length - 1 ? track.course : null };
      }
    }
    if (best) {
      const heading = best.course === null ? "" : ` · ${Math.round(best.course) % 360}°`;
      this.#popup([best.lat, best.lon], best.name, `${best.lat.toFixed(6)}, ${best.lon.toFixed(6)}${heading}`, best);
      return;
    }
    let area = Infinity;
    for (const shape of this.#tracks.shapes.values()) {
      const { south, west, north, east } = shape.box;
      const [[left, top], [right, bottom]] = [place(west, north), place(east, south)];
      const inside = x >= left - near && x <= right + near && y >= top - near && y <= bottom + near;
      if (!inside || (right - left) * (bottom - top) > area) continue;
      area = (right - left) * (bottom - top);
      best = shape;
    }
    if (best) this.#popup(latlng, best.name, "", best);
  }

  #popup(at, name, where, { n, time }) {
    const content = make("div", "record");
    if (name !== "") content.append(make("div", "who", cut(name, 80)));
    content.append(
      make("div", "where", `${where}${where === "" ? "" : " · "}${new Date(time).toLocaleTimeString("en-GB")}`),
    );
    const item = n >= this.#items.first ? this.#items.get(n) : undefined;
    const text = make("pre", "text");
    text.append(item ? unfolded(cut(item.data, 5_000)) : "The record is not held any more.");
    content.append(text);
    window.L.popup({ maxWidth: 420, minWidth: 220, className: "record-popup", autoPan: false })
      .setLatLng(at)
      .setContent(content)
      .openOn(this.#map);
  }
}

/** What the page's head says, because the person may have set it. */
function setting(name) {
  return document.querySelector(`meta[name="${name}"]`).content;
}

/** A file of the map's data. */
function data(name) {
  return fetch(assetUrl(`vendor/${name}.json`)).then((answer) => answer.json());
}

/** Where an object is now. */
function head(track) {
  const { lat, lon } = track.at(track.length - 1);
  return [lat, lon];
}
