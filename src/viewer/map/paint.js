// Draws tracks and shapes on canvases over the map: what is new is added; all of it is drawn again when the map has
// moved, or when something has left. Leaflet makes the canvases and moves them, and is given nothing of a record.

import { COLOURS, colour } from "../dom.js";
import { FADED } from "./silence.js";
import { STRIDE } from "./tracks.js";

/** A canvas draws no further than this many px beyond its edge: its numbers are not exact enough. */
const FAR = 20_000;

/** Points of shapes that are nearer than this, in px, are drawn once. */
const CELL = 4;

/** The corners of an arrow around its place, in px to the right and ahead. */
const ARROW = [
  [0, 13],
  [8, -9],
  [0, -5],
  [-8, -9],
];

/** How much of its colour is left of what has faded. */
const FAINT = 0.4;

/** Tracks are set off from each other up to this many; with more it only costs time. */
const MAX_HALOS = 100;

const NAMES = ["shapes", "tracks", "heads"];

export class Paint {
  #map;
  #tracks;
  #canvases = {};
  #scale = 1; // px a world
  #origin = { x: 0, y: 0 };

  /** Draws in the panes "shapes", "tracks" and "heads" of a Leaflet map. */
  constructor(map, tracks) {
    this.#map = map;
    this.#tracks = tracks;
    for (const name of NAMES) {
      const canvas = window.L.canvas({ pane: name, padding: 0.3 });
      this.#canvases[name] = canvas;
      // This is where Leaflet would draw its own layers, after each move.
      canvas._updatePaths = () => canvas._postponeUpdatePaths || this.#repaint(name);
      canvas.addTo(map);
    }
  }

  /** Draws what is new. */
  draw() {
    if (this.#tracks.stale) {
      this.repaint();
      return;
    }
    this.#aim();
    this.#drawShapes();
    this.#drawTracks();
    this.#repaint("heads");
  }

  /** Draws everything. */
  repaint() {
    this.#tracks.stale = false;
    for (const name of NAMES) this.#repaint(name);
  }

  #repaint(name) {
    this.#aim();
    const ctx = this.#canvases[name]._ctx;
    ctx.save();
    ctx.resetTransform();
    ctx.clearRect(0, 0, ctx.canvas.width, ctx.canvas.height);
    ctx.restore();
    if (name === "heads") this.#drawHeads();
    if (name === "tracks") {
      for (const track of this.#tracks.objects.values()) track.drawn = 0;
      this.#drawTracks();
    }
    if (name === "shapes") {
      for (const entry of this.#tracks.shapes.values()) entry.drawn = false;
      this.#drawShapes();
    }
  }

  #aim() {
    this.#scale = this.#map.options.crs.scale(this.#map.getZoom());
    this.#origin = this.#map.getPixelOrigin();
  }

  #drawTracks() {
    const { _ctx: ctx, _bounds: bounds } = this.#canvases.tracks;
    const [paper, colours] = [colour("paper"), palette()];
    const haloed = this.#tracks.objects.size <= MAX_HALOS;
    ctx.lineJoin = "round";
    const stroke = (track, from, width, style, cap) => {
      ctx.beginPath();
      this.#line(ctx, bounds, track.data, STRIDE, from, track.length);
      Object.assign(ctx, { lineWidth: width, strokeStyle: style, lineCap: cap });
      ctx.stroke();
    };
    for (const track of this.#tracks.objects.values()) {
      const from = Math.max(track.drawn - 1, 0);
      if (track.drawn === track.length || track.length < 2) continue;
      const alpha = track.stage === FADED ? FAINT : 1;
      if (haloed) {
        ctx.globalAlpha = 0.75 * alpha;
        stroke(track, from, 6, paper, "butt");
      }
      ctx.globalAlpha = alpha;
      stroke(track, Math.max(from - 1, 0), 3, colours[track.number % COLOURS], "round");
      track.drawn = track.length;
    }
    ctx.globalAlpha = 1;
  }

  #drawHeads() {
    const { _ctx: ctx, _bounds: bounds } = this.#canvases.heads;
    const colours = palette();
    Object.assign(ctx, { lineWidth: 3, lineJoin: "round", strokeStyle: colour("paper") });
    for (const { data, length, number, stage, course } of this.#tracks.objects.values()) {
      const [x, y] = this.#at(data, (length - 1) * STRIDE);
      if (!bounds.contains([x, y])) continue;
      ctx.globalAlpha = stage === FADED ? FAINT : 1;
      ctx.fillStyle = colours[number % COLOURS];
      ctx.beginPath();
      if (course === null) {
        ctx.arc(x, y, 7, 0, 7);
        ctx.fill();
        ctx.stroke();
      } else {
        arrow(ctx, x, y, course);
        ctx.stroke(); // around it: there is nothing to spare of its corners
        ctx.fill();
      }
    }
    ctx.globalAlpha = 1;
  }

  #drawShapes() {
    const { _ctx: ctx, _bounds: bounds } = this.#canvases.shapes;
    const style = colour("series-0");
    let alpha = 1;
    const fill = () => {
      ctx.globalAlpha = 0.15 * alpha;
      ctx.fill("evenodd");
      ctx.globalAlpha = alpha;
    };
    Object.assign(ctx, { lineWidth: 2, lineJoin: "round", lineCap: "round", strokeStyle: style, fillStyle: style });
    const taken = new Set(); // cells
    for (const entry of this.#tracks.shapes.values()) {
      if (entry.drawn) continue;
      entry.drawn = true;
      ctx.globalAlpha = alpha = entry.faded ? FAINT : 1;
      for (const { type, paths } of entry.parts) {
        if (type.endsWith("Point")) {
          for (const path of paths) {
            for (let i = 0; i < path.length; i += 2) {
              const [x, y] = this.#at(path, i);
              const cell = Math.floor(x / CELL) * 1e6 + Math.floor(y / CELL);
              if (!bounds.contains([x, y]) || taken.has(cell)) continue;
              taken.add(cell);
              ctx.beginPath();
              ctx.arc(x, y, 5, 0, 7);
              fill();
              ctx.stroke();
            }
          }
          continue;
        }
        ctx.beginPath();
        for (const path of paths) {
          if (type.endsWith("Polygon")) this.#ring(ctx, bounds, path);
          else this.#line(ctx, bounds, path, 2, 0, path.length / 2);
        }
        if (type.endsWith("Polygon")) fill();
        ctx.stroke();
      }
    }
    ctx.globalAlpha = 1;
  }

  /** The place of the numbers at `i`, in px of the map's pane. */
  #at(data, i) {
    return [data[i] * this.#scale - this.#origin.x, data[i + 1] * this.#scale - this.#origin.y];
  }

  /**
   * A path through the points [from, to), of which each takes `stride` numbers. Those less than a px apart are one;
   * where it crosses the antimeridian, and out of sight, it is cut.
   */
  #line(ctx, bounds, data, stride, from, to) {
    const { min, max } = bounds;
    const [scale, left, top] = [this.#scale, this.#origin.x, this.#origin.y];
    let [x0, y0, joined] = [0, 0, false];
    for (let i = from; i < to; i += 1) {
      const x = data[i * stride] * scale - left;
      const y = data[i * stride + 1] * scale - top;
      if (i > from) {
        if (i < to - 1 && Math.abs(x - x0) < 1 && Math.abs(y - y0) < 1) continue;
        const crosses = stride === STRIDE && Math.abs(x - x0) > scale / 2;
        const outside =
          Math.min(x, x0) > max.x || Math.max(x, x0) < min.x || Math.min(y, y0) > max.y || Math.max(y, y0) < min.y;
        if (crosses || outside) joined = false;
        else if (Math.max(Math.abs(x), Math.abs(y), Math.abs(x0), Math.abs(y0)) > FAR) {
          const { point, LineUtil } = window.L;
          const inside = LineUtil.clipSegment(point(x0, y0), point(x, y), bounds);
          joined = false;
          if (inside) {
            ctx.moveTo(inside[0].x, inside[0].y);
            ctx.lineTo(inside[1].x, inside[1].y);
          }
        } else {
          if (!joined) ctx.moveTo(x0, y0);
          ctx.lineTo(x, y);
          joined = true;
        }
      }
      [x0, y0] = [x, y];
    }
  }

  /** A closed path. */
  #ring(ctx, bounds, data) {
    const { point, bounds: around, PolyUtil } = window.L;
    let points = [];
    let far = false;
    let before = null;
    for (let i = 0; i < data.length; i += 2) {
      const [x, y] = this.#at(data, i);
      if (before && Math.abs(x - before.x) < 1 && Math.abs(y - before.y) < 1) continue;
      before = point(x, y);
      points.push(before);
      far ||= Math.max(Math.abs(x), Math.abs(y)) > FAR;
    }
    // What the clipping adds along the edge is out of sight.
    if (far) points = PolyUtil.clipPolygon(points, around(bounds.min.subtract([9, 9]), bounds.max.add([9, 9])));
    points.forEach(({ x, y }, i) => (i === 0 ? ctx.moveTo(x, y) : ctx.lineTo(x, y)));
    ctx.closePath();
  }
}

/** The path of an arrow in this direction, in degrees from north: the projection keeps angles. */
function arrow(ctx, x, y, course) {
  const angle = (course * Math.PI) / 180;
  const [sin, cos] = [Math.sin(angle), Math.cos(angle)];
  for (const [right, ahead] of ARROW) ctx.lineTo(x + right * cos + ahead * sin, y + right * sin - ahead * cos);
  ctx.closePath();
}

/** The colours of tracks. */
function palette() {
  return Array.from({ length: COLOURS }, (_, i) => colour(`series-${i}`));
}
