// The map's data: the track of each object, and the shapes, within a budget. Pure data; paint.js draws it.
//
// If there is no room, what was heard of least recently makes it: an object's older positions are thinned out, or all
// of it goes.

/** The most objects, and the most positions of one of them and of all together. */
const MAX_OBJECTS = 1_000;
const MAX_TRACK = 4_000;
const MAX_POINTS = 200_000;

/** The most records with shapes, and the most corners of all their shapes. */
const MAX_SHAPES = 1_000;
const MAX_CORNERS = 400_000;

/** How many numbers a position takes: its place on the map (see `place`), latitude, longitude, its item, its time. */
export const STRIDE = 6;

/** Where the Mercator projection of web maps ends. */
const MAX_LATITUDE = 85.0511287798;

/** The way of one object. */
class Track {
  /** The positions, the oldest first: STRIDE numbers each. */
  data = new Float64Array(8 * STRIDE);
  length = 0;

  /** How many of them are on the canvas; and the map's label. */
  drawn = 0;
  label = null;
  box = new Box();

  constructor(name, number) {
    this.name = name;
    this.number = number;
  }

  push(lat, lon, n, time) {
    if (this.data.length === this.length * STRIDE) {
      const data = new Float64Array(this.data.length * 2);
      data.set(this.data);
      this.data = data;
    }
    const [x, y] = place(lon, lat);
    this.data.set([x, y, lat, lon, n, time], this.length * STRIDE);
    this.length += 1;
    this.box.add(lat, lon);
  }

  /** A position. */
  at(i) {
    const [, , lat, lon, n, time] = this.data.subarray(i * STRIDE, (i + 1) * STRIDE);
    return { lat, lon, n, time };
  }

  /** The older half loses every other position, so that the track keeps its shape, and its beginning. */
  thin() {
    const before = this.length;
    let kept = 0;
    for (let i = 0; i < before; i += 1) {
      if (i <= before / 2 && i % 2 === 1) continue;
      for (let j = 0; j < STRIDE; j += 1) this.data[kept * STRIDE + j] = this.data[i * STRIDE + j];
      kept += 1;
    }
    this.length = kept;
    this.drawn = Math.max(this.drawn - (before - kept), 0); // the newer half is where it was, from the end
    return before - kept;
  }
}

/** The least box around some positions. */
export class Box {
  south = Infinity;
  west = Infinity;
  north = -Infinity;
  east = -Infinity;

  add(lat, lon) {
    this.south = Math.min(this.south, lat);
    this.west = Math.min(this.west, lon);
    this.north = Math.max(this.north, lat);
    this.east = Math.max(this.east, lon);
  }

  addBox({ south, west, north, east }) {
    this.add(south, west);
    this.add(north, east);
  }
}

export class Tracks {
  #onGone;
  #number = 0; // of the next object
  #points = 0;
  #corners = 0;

  /** By name, the one heard of last at the end: Tracks. */
  objects = new Map();

  /**
   * By name or number of the item: {name, n, time, parts, corners, box, drawn}. A part is {type, paths}, GeoJSON's type
   * and its lists of positions, each as x, y, x, y (see `place`).
   */
  shapes = new Map();

  /** How many positions came; how many of them were thinned out; how many objects had to go. */
  positions = 0;
  thinned = 0;
  gone = 0;

  /** The object that moved last. */
  newest = null;

  /** Whether anything has left that may be on a canvas. */
  stale = false;

  /** `onGone(track)` is called for an object that has left. */
  constructor(onGone) {
    this.#onGone = onGone;
  }

  /** Adds the positions of the item with this number, which came at `time`. */
  add(n, time, positions) {
    for (const { object, lat, lon, shape, part } of positions) {
      this.positions += 1;
      if (shape) this.#addShape(object, part, shape, n, time);
      else this.#addPoint(object, lat, lon, n, time);
    }
  }

  clear() {
    for (const track of this.objects.values()) this.#onGone(track);
    this.objects.clear();
    this.shapes.clear();
    this.#number = this.#points = this.#corners = this.positions = this.thinned = this.gone = 0;
    this.newest = null;
    this.stale = true;
  }

  /** The least box around everything. */
  get box() {
    const box = new Box();
    for (const one of this.objects.values()) box.addBox(one.box);
    for (const one of this.shapes.values()) box.addBox(one.box);
    return box;
  }

  #addPoint(name, lat, lon, n, time) {
    const track = this.objects.get(name) ?? new Track(name, this.#number++);
    this.objects.delete(name);
    this.objects.set(name, track);
    track.push(lat, lon, n, time);
    this.newest = track;
    this.#points += 1;
    if (track.length > MAX_TRACK) this.#thin(track);
    if (this.objects.size > MAX_OBJECTS) this.#forget(this.objects.values().next().value);
    if (this.#points > MAX_POINTS) this.#makeRoom();
  }

  /** Thins out the track heard of least recently of those that have at least half of their share: there is one. */
  #makeRoom() {
    const share = MAX_POINTS / this.objects.size / 2;
    for (const track of this.objects.values()) if (track.length > share) return this.#thin(track);
  }

  #thin(track) {
    const lost = track.thin();
    this.thinned += lost;
    this.#points -= lost;
  }

  #forget(track) {
    this.objects.delete(track.name);
    this.#points -= track.length;
    this.gone += 1;
    this.stale = true;
    this.#onGone(track);
  }

  /** A record about an object replaces all that an earlier one drew of it. */
  #addShape(name, part, shape, n, time) {
    const key = name === "" ? n : name;
    let entry = this.shapes.get(key);
    if (entry?.n !== n || part === 0) {
      this.#removeShapes(key);
      entry = { name, n, time, parts: [], corners: 0, box: new Box(), drawn: false };
      this.shapes.set(key, entry);
    }
    const { type, coordinates } = shape;
    const paths = pathsOf(coordinates, entry.box);
    const corners = paths.reduce((sum, { length }) => sum + length / 2, 0);
    entry.parts.push({ type, paths });
    entry.corners += corners;
    entry.drawn = false;
    this.#corners += corners;
    while (this.shapes.size > MAX_SHAPES || this.#corners > MAX_CORNERS) {
      this.#removeShapes(this.shapes.keys().next().value);
      this.gone += 1;
    }
  }

  #removeShapes(key) {
    const entry = this.shapes.get(key);
    if (!entry) return;
    this.#corners -= entry.corners;
    this.shapes.delete(key);
    this.stale = true;
  }
}

/** Where a position is on the square that Web Mercator (EPSG:3857) makes of the world: both from 0 to 1. */
export function place(lon, lat) {
  const phi = (Math.max(-MAX_LATITUDE, Math.min(MAX_LATITUDE, lat)) * Math.PI) / 180;
  return [(lon + 180) / 360, 0.5 - Math.log(Math.tan(Math.PI / 4 + phi / 2)) / (2 * Math.PI)];
}

/** The lists of positions in GeoJSON coordinates, as x, y, x, y. Those of a point or of several points are one list. */
function pathsOf(coordinates, box) {
  if (typeof coordinates[0] === "number") coordinates = [coordinates];
  if (typeof coordinates[0][0] !== "number") return coordinates.flatMap((inner) => pathsOf(inner, box));
  const path = new Float64Array(coordinates.length * 2);
  coordinates.forEach(([lon, lat], i) => {
    path.set(place(lon, lat), i * 2);
    box.add(lat, lon);
  });
  return [path];
}
