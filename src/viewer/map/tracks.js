// The map's data: the track of each object, and the GeoJSON shapes. Pure data; it is drawn in map.js.

/** The most objects, and the most positions of each: older ones are thinned out. */
const MAX_OBJECTS = 1_000;
const MAX_POINTS = 4_000;

/** The most shapes. */
const MAX_SHAPES = 1_000;

export class Tracks {
  #onGone;

  /** By name: {name, number, points, changed, drawn}. A point is {lat, lon, n, time}; `n` is the number of its item. */
  objects = new Map();

  /** By part and name, or number of the item: {shape, name, n, time, drawn}, where `shape` is a GeoJSON geometry. */
  shapes = new Map();

  /** How many positions came, and how many of them are of objects that did not fit. */
  positions = 0;
  refused = 0;

  /** The object that moved last. */
  newest = null;

  /** `drawn` is the map's own; `onGone(entry)` is called for an object or a shape that has left. */
  constructor(onGone) {
    this.#onGone = onGone;
  }

  /** Adds the positions of the item with this number, which came at `time`. */
  add(n, time, positions) {
    for (const { object, lat, lon, shape, part } of positions) {
      this.positions += 1;
      if (shape) this.#addShape(object, part, shape, n, time);
      else this.#addPoint(object, { lat, lon, n, time });
    }
  }

  clear() {
    for (const entry of [...this.objects.values(), ...this.shapes.values()]) this.#onGone(entry);
    this.objects.clear();
    this.shapes.clear();
    this.positions = 0;
    this.refused = 0;
    this.newest = null;
  }

  #addPoint(name, point) {
    let object = this.objects.get(name);
    if (!object) {
      if (this.objects.size === MAX_OBJECTS) {
        this.refused += 1;
        return;
      }
      object = { name, number: this.objects.size, points: [], changed: true, drawn: null };
      this.objects.set(name, object);
    }
    object.points.push(point);
    // The older half loses every other point, so that a track keeps its shape, and its beginning.
    if (object.points.length > MAX_POINTS)
      object.points = object.points.filter((_, i) => i > MAX_POINTS / 2 || i % 2 === 0);
    object.changed = true;
    this.newest = object;
  }

  #addShape(name, part, shape, n, time) {
    const key = `${part} ${name === "" ? n : name}`;
    this.#removeShape(key);
    this.shapes.set(key, { shape, name, n, time, drawn: null });
    if (this.shapes.size > MAX_SHAPES) this.#removeShape(this.shapes.keys().next().value);
  }

  #removeShape(key) {
    const shape = this.shapes.get(key);
    if (!shape) return;
    this.#onGone(shape);
    this.shapes.delete(key);
  }
}

/** A track as lists of [lat, lon], cut where it crosses the antimeridian. */
export function pieces(points) {
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
