// What the map shows under the data: the land, the borders and names of countries, and large cities, on two canvases
// that are redrawn when the view changes, and at no other time. Leaflet makes the canvases and moves them.
//
// It begins with coasts at 1:110 million, and `sharpen` replaces them by those at 1:50 million and all the rest.

import { colour, onColoursChange } from "../dom.js";
import { place } from "./tracks.js";
import { isEdge } from "./world.js";

/** At a nearer zoom than this the coast begins to be wrong, and fades: at 1:110 million, and at 1:50 million. */
const FADE = { coarse: 6, fine: 7.5 };

/** Over this many zooms. */
const FADING = 2.5;

/** Zooms at which borders, names of countries, and cities of a million appear. */
const BORDERS = 2;
const COUNTRIES = 2;
const MILLION = 5;

/** A country's name is at most this much wider than the country. */
const MAX_WIDER = 2;

/** What a name keeps clear around it, in px. */
const CLEAR = { country: 7, city: 3 };

export class Background {
  #map;
  #canvases = {};
  #world;
  #cities = [];
  #fine = false;

  /** Draws in the panes "land" and "names" of a Leaflet map. `world` is as world.js makes it. */
  constructor(map, world) {
    this.#map = map;
    this.#world = world;
    this.#add("land", 0.5, () => this.#paintLand());
    this.#add("names", 0.2, () => this.#paintNames());
    onColoursChange(() => this.#repaint());
  }

  /** Goes on with a finer world, and cities: [name, longitude, latitude, thousands of people], the largest first. */
  sharpen(world, cities) {
    this.#world = world;
    this.#cities = cities.map(([name, lon, lat, size]) => ({ name, place: place(lon, lat), size }));
    this.#fine = true;
    this.#repaint();
  }

  #add(pane, padding, paint) {
    const canvas = window.L.canvas({ pane, padding });
    this.#canvases[pane] = canvas;
    // This is where Leaflet would draw its own layers, after each move.
    canvas._updatePaths = () => canvas._postponeUpdatePaths || paint();
    canvas.addTo(this.#map);
  }

  #repaint() {
    this.#paintLand();
    this.#paintNames();
  }

  /** "1:110m" or "1:50m". */
  get scale() {
    return this.#fine ? "1:50m" : "1:110m";
  }

  /** What is left of the coast at this zoom, from 1 to 0. */
  get #strength() {
    const fade = this.#fine ? FADE.fine : FADE.coarse;
    return Math.min(Math.max(1 - (this.#map.getZoom() - fade) / FADING, 0), 1);
  }

  /** An empty canvas, and how its pixels are those of the world. */
  #begin(pane) {
    const { _ctx: ctx, _bounds: bounds } = this.#canvases[pane];
    ctx.save();
    ctx.resetTransform();
    ctx.clearRect(0, 0, ctx.canvas.width, ctx.canvas.height);
    ctx.restore();
    return { ctx, bounds, scale: this.#map.options.crs.scale(this.#map.getZoom()), origin: this.#map.getPixelOrigin() };
  }

  #paintLand() {
    const view = this.#begin("land");
    const { ctx, bounds, scale, origin } = view;
    const strength = this.#strength;
    if (strength === 0) return;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bounds.min.x, -origin.y, bounds.getSize().x, scale); // nothing is beyond the map's ends
    ctx.clip();
    ctx.globalAlpha = strength;
    Object.assign(ctx, { lineJoin: "round", lineWidth: 1, fillStyle: colour("land"), strokeStyle: colour("coast") });
    // Many small paths take a fraction of the time of one with all of them. But where the antimeridian cuts the land,
    // its parts are one path, or there would be a seam.
    const parts = { land: new Path2D(), coast: new Path2D() };
    const draw = ({ land, coast }) => {
      ctx.fill(land, "evenodd");
      ctx.stroke(coast);
    };
    for (const polygon of this.#world.land) {
      const [outer] = polygon;
      const worlds = turns(view, outer);
      if (Math.max(outer.right - outer.left, outer.bottom - outer.top) * scale < 1 || worlds.length === 0) continue;
      if (outer.polar || outer.cut) trace(view, polygon, worlds, parts);
      else {
        for (const turn of worlds) {
          const paths = { land: new Path2D(), coast: new Path2D() };
          trace(view, polygon, [turn], paths);
          draw(paths);
        }
      }
    }
    draw(parts);
    if (this.#map.getZoom() >= BORDERS) {
      ctx.strokeStyle = colour("border");
      for (const border of this.#world.borders) {
        for (const turn of turns(view, border)) {
          ctx.beginPath();
          for (const { x, y } of points(view, border.path, turn)) ctx.lineTo(x, y);
          ctx.stroke();
        }
      }
    }
    ctx.restore();
  }

  /** The names that have room, the important ones first. */
  #paintNames() {
    const view = this.#begin("names");
    const { ctx, bounds, scale } = view;
    const zoom = this.#map.getZoom();
    const taken = [];
    const free = (box) =>
      taken.every((one) => box.left > one.right || box.right < one.left || box.top > one.bottom || box.bottom < one.top);
    /** Writes a name at the first of these places, {x, y} of its left end, that is free. */
    const write = (name, width, clear, places) => {
      for (const { x, y } of places) {
        const box = { left: x - clear, right: x + width + clear, top: y - 7 - clear, bottom: y + 7 + clear };
        if (!free(box)) continue;
        taken.push(box);
        ctx.strokeText(name, x, y);
        ctx.fillText(name, x, y);
        return true;
      }
      return false;
    };
    /** Calls back with each pixel in sight that shows this place of the world. */
    const each = ([x, y], callback) => {
      for (const turn of turns(view, { left: x, right: x, top: y, bottom: y })) {
        callback(Math.round((x + turn) * scale - view.origin.x), Math.round(y * scale - view.origin.y));
      }
    };
    Object.assign(ctx, { textBaseline: "middle", lineJoin: "round", lineWidth: 3, strokeStyle: colour("land") });
    const family = getComputedStyle(this.#map.getContainer()).fontFamily;

    ctx.font = `11.5px ${family}`;
    ctx.fillStyle = colour("quiet");
    const least = 1000 / 4 ** (zoom - MILLION);
    for (const city of this.#cities) {
      if (city.size < least) break;
      each(city.place, (x, y) => {
        city.width ??= Math.ceil(ctx.measureText(city.name).width);
        const dot = { left: x - 4, right: x + 4, top: y - 4, bottom: y + 4 };
        if (!free(dot)) return;
        const sides = [x + 6, x - 6 - city.width].map((left) => ({ x: left, y }));
        if (!write(city.name, city.width, CLEAR.city, sides)) return;
        taken.push(dot);
        ctx.beginPath();
        ctx.arc(x, y, 2.5, 0, 7);
        ctx.stroke();
        ctx.fill();
      });
    }
    if (zoom < COUNTRIES || this.#strength === 0) return;
    ctx.font = `600 12px ${family}`;
    for (const country of this.#world.countries) {
      country.textWidth ??= Math.ceil(ctx.measureText(country.name).width);
      if (country.textWidth > country.width * scale * MAX_WIDER) continue;
      each([country.x, country.y], (x, y) => {
        const rows = [0, -17, 17, -34, 34].filter((down) => Math.abs(down) < (country.height * scale) / 4);
        const left = Math.round(x - country.textWidth / 2);
        write(country.name, country.textWidth, CLEAR.country, rows.map((down) => ({ x: left, y: y + down })));
      });
    }
  }
}

/** Adds a polygon in each of these worlds to two paths. Where the antimeridian cuts the land there is no coast. */
function trace(view, polygon, worlds, { land, coast }) {
  const { bounds, scale, origin } = view;
  const { bounds: around, PolyUtil } = window.L;
  // What the clipping adds along the edge is out of sight.
  const sight = around(bounds.min.subtract([9, 9]), bounds.max.add([9, 9]));
  for (const ring of polygon) {
    let paths = worlds.map((turn) => points(view, ring.path, turn));
    if (ring.polar) {
      // One path through all the worlds, closed below the map.
      const path = paths.flat();
      const below = scale * 1.01 - origin.y;
      paths = [[...path, { x: path.at(-1).x, y: below }, { x: path[0].x, y: below }]];
    }
    for (const path of paths) {
      const clipped = PolyUtil.clipPolygon(path, sight);
      let joined = false;
      clipped.forEach((point, i) => {
        land[i === 0 ? "moveTo" : "lineTo"](point.x, point.y);
        const next = clipped[(i + 1) % clipped.length];
        const along = ring.cut && [point, next].every(({ x }) => isEdge((x + origin.x) / scale));
        if (!along && !joined) coast.moveTo(point.x, point.y);
        if (!along) coast.lineTo(next.x, next.y);
        joined = !along;
      });
      land.closePath();
    }
  }
}

/** By how many worlds this box must be shifted to be visible: none, one or several numbers. */
function turns({ bounds, scale, origin }, { left, right, top, bottom }) {
  const { min, max } = bounds;
  if (bottom * scale < min.y + origin.y || top * scale > max.y + origin.y) return [];
  const first = Math.ceil((min.x + origin.x) / scale - right);
  const last = Math.floor((max.x + origin.x) / scale - left);
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => first + i);
}

/** The points of a path, in px, shifted by this many worlds. Those less than a px apart are one. */
function points({ scale, origin }, path, turn) {
  const found = [];
  let [x0, y0] = [Infinity, Infinity];
  for (let i = 0; i < path.length; i += 2) {
    const x = (path[i] + turn) * scale - origin.x;
    const y = path[i + 1] * scale - origin.y;
    if (i > 0 && i < path.length - 2 && Math.abs(x - x0) < 1 && Math.abs(y - y0) < 1) continue;
    found.push({ x, y });
    [x0, y0] = [x, y];
  }
  return found;
}
