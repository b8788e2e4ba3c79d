// The map: a track and a head for each object whose positions the records carry, drawn by Leaflet over the land of
// Natural Earth and a graticule, all of which come with the program. Tiles of OpenStreetMap only where the person
// switches them on.

import { Drawing } from "./drawing.js";
import { AGAIN, COLOURS, colour, library, onColours, own } from "./own.js";
import { cut, make, unfolded } from "./text.js";
import { land } from "./land.js";

/** Objects at most, and positions for each: older ones are thinned out. */
const MAX_OBJECTS = 1_000;
const MAX_POINTS = 4_000;

/** GeoJSON shapes without a name, at most. */
const MAX_SHAPES = 1_000;

/** So many objects have their name beside them. */
const MAX_LABELS = 40;

/** A click finds what is so many px away. */
const NEAR = 14;

/** A single position is shown at this zoom; a track no nearer than the second. */
const ZOOM = 12;
const MAX_ZOOM = 19;

/** Nearer than this the coast of Natural Earth, 1:110 million, begins to be wrong. */
const FADE = 6;

/** Lines of the graticule, in degrees. */
const STEPS = [30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001];

const TILES = "https://tile.openstreetmap.org/{z}/{x}/{y}.png";

const numbers = new Intl.NumberFormat("en");

export class PositionMap {
  #place;
  #held;
  #objects = new Map(); // by name: {name, colour, points, line, head, label, changed, thin}
  #shapes = new Map(); // by name or number: {shape, layer}
  #positions = 0;
  #refused = 0;
  #map = null;
  #making = false;
  #layers = {};
  #mode = "fit"; // "fit": all in sight; "follow": the newest head in the middle; "free": where the person put it
  #newest = null; // the object that moved last
  #drawing = new Drawing(() => this.#draw());
  #readout = make("div", "readout");
  #count = make("span", "count");
  #buttons = {};

  /** `held` has the records, to be shown on a click. */
  constructor(element, held) {
    this.#held = held;
    this.#place = make("div", "place");
    this.#place.setAttribute("role", "application");
    this.#place.setAttribute("aria-label", "Map");
    const tools = make("div", "map-tools");
    this.#buttons = {
      fit: this.#button("Fit", "All positions in sight", () => this.#become("fit")),
      follow: this.#button("Follow", "The newest position in the middle", () => this.#become("follow")),
      tiles: this.#button("Streets", "Load map tiles from OpenStreetMap, which then learns where you look", () =>
        this.#tiles(),
      ),
    };
    tools.append(this.#count, ...Object.values(this.#buttons));
    this.#readout.setAttribute("aria-live", "off");
    element.append(this.#place, tools, this.#readout);
    this.#showMode();
    onColours(() => this.#recolour());
    new ResizeObserver(() => this.changed()).observe(this.#place);
  }

  get filled() {
    return this.#positions > 0;
  }

  /** What the map shows, for tests and the curious. */
  get data() {
    return {
      ready: this.#map !== null,
      positions: this.#positions,
      mode: this.#mode,
      tiles: this.#layers.tiles !== undefined && this.#map.hasLayer(this.#layers.tiles),
      shapes: this.#shapes.size,
      bounds: this.#map && (({ _southWest: a, _northEast: b }) => [a.lat, a.lng, b.lat, b.lng])(this.#map.getBounds()),
      objects: [...this.#objects.values()].map(({ name, points }) => ({
        name,
        points: points.map(({ lat, lon }) => [lat, lon]),
        pixel: this.#map && (({ x, y }) => [x, y])(this.#map.latLngToContainerPoint(latLng(points.at(-1)))),
      })),
    };
  }

  /** Adds the positions of the item with this number. */
  add(n, item, positions) {
    this.#load();
    for (const { object, lat, lon, shape } of positions) {
      this.#positions += 1;
      if (shape) {
        this.#addShape(object, shape, n, item);
        continue;
      }
      let known = this.#objects.get(object);
      if (!known) {
        if (this.#objects.size === MAX_OBJECTS) {
          this.#refused += 1;
          continue;
        }
        known = { name: object, colour: `series-${this.#objects.size % COLOURS}`, points: [] };
        this.#objects.set(object, known);
      }
      known.points.push({ lat, lon, n, time: item.time });
      // The older half loses every other point, so that a track keeps its shape, and its beginning.
      if (known.points.length > MAX_POINTS)
        known.points = known.points.filter((_, i) => i > MAX_POINTS / 2 || i % 2 === 0);
      known.changed = true;
      this.#newest = known;
    }
  }

  clear() {
    for (const object of this.#objects.values()) this.#remove(object);
    for (const { layer } of this.#shapes.values()) layer?.remove();
    this.#objects.clear();
    this.#shapes.clear();
    this.#positions = 0;
    this.#refused = 0;
    this.#newest = null;
    this.#map?.closePopup();
    this.changed();
  }

  /** To be called when positions have come, or the map has come into sight. */
  changed() {
    this.#drawing.ask();
  }

  #addShape(object, shape, n, item) {
    const key = object === "" ? n : object;
    this.#shapes.get(key)?.layer?.remove();
    this.#shapes.delete(key);
    this.#shapes.set(key, { shape, name: object, n, time: item.time, layer: null });
    if (this.#shapes.size > MAX_SHAPES) {
      const [oldest, { layer }] = this.#shapes.entries().next().value;
      layer?.remove();
      this.#shapes.delete(oldest);
    }
  }

  // Drawing

  async #draw() {
    if (this.#place.clientWidth === 0 || this.#place.clientHeight === 0) return;
    if (!this.#map) {
      if (!this.#making) await this.#make();
      if (!this.#map) return;
    }
    if (this.#drawing.early) return;
    const start = performance.now();
    this.#map.invalidateSize({ pan: false });
    for (const object of this.#objects.values()) if (object.changed) this.#drawObject(object);
    for (const shape of this.#shapes.values()) if (!shape.layer) this.#drawShape(shape);
    if (this.#mode === "fit") this.#fit();
    if (this.#mode === "follow" && this.#newest)
      this.#map.panTo(latLng(this.#newest.points.at(-1)), { animate: false });
    const objects = this.#objects.size + this.#shapes.size;
    const count = (n, what) => `${numbers.format(n)} ${what}${n === 1 ? "" : "s"}`;
    let told = `${count(objects, "object")} · ${count(this.#positions, "position")}`;
    if (this.#refused > 0) told += ` · ${numbers.format(this.#refused)} of further objects left out`;
    if (this.#count.textContent !== told) this.#count.textContent = told;
    this.#drawing.done(start);
  }

  #drawObject(object) {
    object.changed = false;
    const { L } = window;
    const stroke = colour(object.colour);
    const lines = pieces(object.points);
    const here = latLng(object.points.at(-1));
    if (!object.line) {
      object.halo = L.polyline(lines, {
        color: colour("paper"),
        weight: 6,
        opacity: 0.75,
        interactive: false,
        renderer: this.#layers.tracks,
      }).addTo(this.#map);
      object.line = L.polyline(lines, {
        color: stroke,
        weight: 3,
        interactive: false,
        renderer: this.#layers.tracks,
      }).addTo(this.#map);
      object.head = L.circleMarker(here, {
        radius: 7,
        weight: 3,
        color: colour("paper"),
        fillColor: stroke,
        fillOpacity: 1,
        interactive: false,
        renderer: this.#layers.heads,
      }).addTo(this.#map);
      if (object.name !== "" && this.#objects.size <= MAX_LABELS) {
        // An element, for a text given to Leaflet would be taken as markup.
        const label = make("span", "", cut(object.name, 40));
        object.head.bindTooltip(label, {
          permanent: true,
          direction: "right",
          offset: [3, 0],
          className: "label",
          interactive: false,
        });
      }
    } else {
      object.halo.setLatLngs(lines);
      object.line.setLatLngs(lines);
      object.head.setLatLng(here);
    }
  }

  #drawShape(entry) {
    const stroke = colour("series-0");
    entry.layer = window.L.geoJSON(entry.shape, {
      interactive: false,
      style: {
        color: stroke,
        weight: 2,
        fillColor: stroke,
        fillOpacity: 0.15,
        renderer: this.#layers.tracks,
        interactive: false,
      },
    }).addTo(this.#map);
  }

  #remove(object) {
    for (const layer of [object.halo, object.line, object.head]) layer?.remove();
  }

  #recolour() {
    if (!this.#map) return;
    for (const object of this.#objects.values()) {
      object.halo?.setStyle({ color: colour("paper") });
      object.line?.setStyle({ color: colour(object.colour) });
      object.head?.setStyle({ color: colour("paper"), fillColor: colour(object.colour) });
    }
    for (const { layer } of this.#shapes.values())
      layer?.setStyle({ color: colour("series-0"), fillColor: colour("series-0") });
  }

  /** Moves and zooms only when something has left the sight, so that the map does not tremble. */
  #fit() {
    const { L } = window;
    const bounds = L.latLngBounds([]);
    for (const { points } of this.#objects.values()) for (const point of points) bounds.extend(latLng(point));
    for (const { layer } of this.#shapes.values()) bounds.extend(layer.getBounds());
    if (!bounds.isValid()) return;
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

  #fitted = false;

  #parts = null;

  /** The land and Leaflet. They are asked for with the first position, for the program may soon have ended. */
  #load() {
    if (!this.#parts) {
      this.#parts = Promise.all([fetch(own("vendor/land.json")).then((answer) => answer.json()), library("leaflet")]);
      this.#parts.catch(() => setTimeout(() => (this.#parts = null), AGAIN));
    }
    return this.#parts;
  }

  async #make() {
    this.#making = true;
    try {
      const [topology] = await this.#load();
      this.#makeMap(topology);
    } catch {
      this.#place.textContent = "The map could not be loaded: is the program still running?";
      setTimeout(() => this.changed(), AGAIN + 1);
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
    this.#layers.attribution = L.control
      .attribution({ position: "bottomright", prefix: false })
      .addAttribution("Coast: Natural Earth 1:110m")
      .addTo(map);
    for (const [name, zIndex] of [
      ["land", 210],
      ["graticule", 220],
      ["tracks", 410],
      ["heads", 420],
    ]) {
      map.createPane(name).style.zIndex = String(zIndex);
    }
    map.getPane("land").style.pointerEvents = "none";
    map.getPane("graticule").style.pointerEvents = "none";
    this.#layers.tracks = L.canvas({ pane: "tracks", padding: 0.3 });
    this.#layers.heads = L.canvas({ pane: "heads", padding: 0.3 });
    // Three worlds side by side: a wide screen shows more than one.
    const shape = { type: "MultiPolygon", coordinates: [-360, 0, 360].flatMap((shift) => land(topology, shift)) };
    this.#layers.land = L.geoJSON(shape, {
      interactive: false,
      style: { className: "land", weight: 1, renderer: L.svg({ pane: "land", padding: 0.5 }), pane: "land" },
    }).addTo(map);
    this.#layers.graticule = L.layerGroup().addTo(map);
    this.#layers.lines = L.svg({ pane: "graticule", padding: 0.2 });
    this.#map = map;
    map.on("moveend", () => {
      this.#graticule();
      const near = Math.floor((map.getZoom() - FADE) / 1.25);
      this.#place.dataset.near = String(Math.min(Math.max(near, 0), 3));
    });
    map.on("mousemove", ({ latlng }) => this.#read(latlng));
    map.on("mouseout", () => this.#read(null));
    map.on("click", (event) => this.#click(event));
    // What the person does with the map is theirs; what Leaflet calls by the same name may be ours.
    map.on("dragstart", () => this.#become("free"));
    for (const type of ["wheel", "dblclick", "keydown"]) {
      this.#place.addEventListener(
        type,
        (event) => {
          if (type !== "keydown" || /^(Arrow|[-+=])/.test(event.key)) this.#become("free");
        },
        { passive: true },
      );
    }
    this.#place.querySelector(".leaflet-control-zoom").addEventListener("click", () => this.#become("free"));
    this.#graticule();
  }

  /** Meridians and parallels as far apart as suits the zoom, each with its degrees at the edge. */
  #graticule() {
    const { L } = window;
    const map = this.#map;
    const group = this.#layers.graticule;
    group.clearLayers();
    const sight = map.getBounds();
    const size = map.getSize();
    const wide = ((sight.getEast() - sight.getWest()) / size.x) * 170;
    const step = STEPS.findLast((degrees) => degrees >= wide) ?? STEPS[0];
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const options = {
      className: "graticule",
      weight: 1,
      interactive: false,
      renderer: this.#layers.lines,
      pane: "graticule",
    };
    const label = (at, text, className) => {
      const icon = L.divIcon({ className: `degrees ${className}`, html: make("span", "", text), iconSize: null });
      L.marker(at, { icon, interactive: false, keyboard: false, pane: "graticule" }).addTo(group);
    };
    const far = 90; // so many px beyond the edge, for a drag
    const corner = (x, y) => map.containerPointToLatLng([x, y]);
    const [west, east] = [corner(-far, 0).lng, corner(size.x + far, 0).lng];
    const south = Math.max(corner(0, size.y + far).lat, -85.05);
    const north = Math.min(corner(0, -far).lat, 85.05);
    for (let i = Math.ceil(west / step); i * step <= east; i += 1) {
      L.polyline(
        [
          [south, i * step],
          [north, i * step],
        ],
        options,
      ).addTo(group);
      const lon = ((((i * step + 180) % 360) + 360) % 360) - 180;
      const { x } = map.latLngToContainerPoint([0, i * step]);
      if (x > 60 && x < size.x - 200) label(corner(x, size.y), degrees(lon, digits, "E", "W"), "of-meridian");
    }
    for (let i = Math.ceil(south / step); i * step <= north; i += 1) {
      L.polyline(
        [
          [i * step, west],
          [i * step, east],
        ],
        options,
      ).addTo(group);
      const { y } = map.latLngToContainerPoint([i * step, 0]);
      if (y > 110 && y < size.y - 40) label(corner(0, y), degrees(i * step, digits, "N", "S"), "of-parallel");
    }
  }

  // What the person does

  #button(text, title, act) {
    const button = make("button", "", text);
    button.type = "button";
    button.title = title;
    button.addEventListener("click", act);
    return button;
  }

  #become(mode) {
    this.#mode = mode;
    if (mode === "fit") this.#fitted = false;
    if (mode === "follow" && this.#map && this.#map.getZoom() < ZOOM) this.#map.setZoom(ZOOM, { animate: false });
    this.#showMode();
    this.changed();
  }

  #showMode() {
    for (const mode of ["fit", "follow"]) this.#buttons[mode].setAttribute("aria-pressed", String(this.#mode === mode));
  }

  #tiles() {
    const { L } = window;
    if (!this.#map) return;
    // OpenStreetMap's rules for its tiles want to know which page asks, and the page says nobody else.
    this.#layers.tiles ??= L.tileLayer(TILES, {
      maxZoom: MAX_ZOOM,
      attribution: "© OpenStreetMap contributors",
      referrerPolicy: "strict-origin",
    });
    const on = !this.#map.hasLayer(this.#layers.tiles);
    if (on) this.#layers.tiles.addTo(this.#map);
    else this.#layers.tiles.remove();
    this.#place.classList.toggle("streets", on);
    this.#buttons.tiles.setAttribute("aria-pressed", String(on));
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

  /** Shows the record of the nearest position. */
  #click({ containerPoint }) {
    let best = null;
    let distance = NEAR;
    for (const object of this.#objects.values()) {
      for (const point of object.points) {
        const away = this.#map.latLngToContainerPoint(latLng(point)).distanceTo(containerPoint);
        if (away <= distance) {
          distance = away;
          best = { object, point };
        }
      }
    }
    if (!best) {
      const shape = [...this.#shapes.values()].findLast(({ layer }) =>
        layer?.getBounds().contains(this.#map.containerPointToLatLng(containerPoint)),
      );
      if (shape) this.#popup(this.#map.containerPointToLatLng(containerPoint), shape.name, "", shape);
      return;
    }
    const { object, point } = best;
    const where = `${point.lat.toFixed(6)}, ${point.lon.toFixed(6)}`;
    this.#popup(latLng(point), object.name, where, point);
  }

  #popup(at, name, where, { n, time }) {
    const content = make("div", "record");
    if (name !== "") content.append(make("div", "who", cut(name, 80)));
    content.append(
      make("div", "where", `${where}${where === "" ? "" : " · "}${new Date(time).toLocaleTimeString("en-GB")}`),
    );
    const item = n >= this.#held.first ? this.#held.get(n) : undefined;
    const text = make("pre", "text");
    text.append(item ? unfolded(cut(item.data, 5_000)) : "The record is not held any more.");
    content.append(text);
    window.L.popup({ maxWidth: 420, minWidth: 220, className: "record-popup", autoPan: false })
      .setLatLng(at)
      .setContent(content)
      .openOn(this.#map);
  }
}

function latLng({ lat, lon }) {
  return [lat, lon];
}

/** The track in pieces, cut where it crosses the antimeridian. */
function pieces(points) {
  const all = [];
  let piece = [];
  let before = null;
  for (const point of points) {
    if (before !== null && Math.abs(point.lon - before) > 180) {
      all.push(piece);
      piece = [];
    }
    piece.push([point.lat, point.lon]);
    before = point.lon;
  }
  all.push(piece);
  return all;
}

function degrees(value, digits, positive, negative) {
  const text = Math.abs(value).toFixed(digits);
  const side = Number(text) === 0 ? "" : value > 0 ? ` ${positive}` : ` ${negative}`;
  return `${text}°${side}`;
}
