// The map's data: the track of each object, and the shapes, within a budget. Pure data; paint.js draws it.
//
// If there is no room, the objects that have been silent the longest make room: an object's older positions are thinned
// out, or all of it goes.
//
// An object that is silent for too long (silence.js) is put away, with its track and the shapes under its name. It is
// there again if the time on the map turns out to be an earlier one, or if other limits are set; but once it has spoken
// after such a silence, its track starts again. Shapes by themselves don't move, and stay.

import { FADED, FRESH, GONE, readLimits, stage } from "./silence.js";

/** The most objects, and the most positions of one of them and of all together. */
const MAX_OBJECTS = 1_000;
const MAX_TRACK = 4_000;
const MAX_POINTS = 200_000;

/** The most records with shapes, and the most corners of all their shapes. */
const MAX_SHAPES = 1_000;
const MAX_CORNERS = 400_000;

/** The most names that are remembered of objects that are gone. */
const MAX_DEPARTED = 10_000;

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

  /** When its newest position was read; and what silence has made of it. */
  time = -Infinity;
  stage = FRESH;

  /** Where it is heading, in degrees; null: not known. */
  course = null;

  /** The shapes under its name while it is put away. */
  shapes = null;

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
    this.time = time;
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
  #limits = readLimits([]);
  #away = new Map(); // those that are put away, by name: Tracks, the one heard of last at the end
  #departed = new Set(); // the names of those of them that made room
  #forgotten = false; // whether there were more of these

  /** By name, the one heard of last at the end: Tracks. */
  objects = new Map();

  /**
   * By name or number of the item: {name, n, time, parts, corners, box, drawn, faded}. A part is {type, paths},
   * GeoJSON's type and its lists of positions, each as x, y, x, y (see `place`).
   */
  shapes = new Map();

  /** How many positions came; how many of them were thinned out; how many objects had to make room. */
  positions = 0;
  thinned = 0;
  gone = 0;

  /** How many of the objects have faded. */
  faded = 0;

  /** The object that moved last. */
  newest = null;

  /** Whether anything has left that may be on a canvas. */
  stale = false;

  /** `onGone(track)` is called for an object that has left, or is put away. */
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

  /** Sets the courses of objects that are there: [[name, course]]. */
  turn(courses) {
    for (const [name, course] of courses) {
      const track = this.objects.get(name) ?? this.#away.get(name);
      if (track) track.course = course;
    }
  }

  clear() {
    for (const track of this.objects.values()) this.#onGone(track);
    this.objects.clear();
    this.shapes.clear();
    this.#away.clear();
    this.#departed.clear();
    this.#forgotten = false;
    this.#number = this.#points = this.#corners = this.positions = this.thinned = this.gone = this.faded = 0;
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

  // Silence

  /** How long an object may be silent: see readLimits(). */
  set limits(limits) {
    const same = limits.keep.ms === this.#limits.keep.ms;
    this.#limits = limits;
    if (same) return;
    // How long those were silent is not known any more: they made room.
    this.gone += this.#departed.size;
    this.#departed.clear();
    this.#forgotten = false;
  }

  /** How many objects are not there because they were silent for too long, as {n, more}: `more` if it is the least. */
  get silent() {
    return { n: this.#away.size + this.#departed.size, more: this.#forgotten };
  }

  /** Sets the time on the map to `now`. Returns whether this makes an object fade, go or return. */
  age(now) {
    const back = [...this.#away.values()].filter((track) => this.#stage(track, now) !== GONE);
    for (const track of back) this.#show(track);
    // They were silent for longer than the others.
    if (back.length > 0) this.objects = new Map([...back.map((track) => [track.name, track]), ...this.objects]);
    let changed = back.length > 0;
    this.faded = 0;
    for (const track of this.objects.values()) {
      const before = track.stage;
      track.stage = this.#stage(track, now);
      if (track.stage === FADED) this.faded += 1;
      if (track.stage === before) continue;
      changed = true;
      const shapes = this.shapes.get(track.name);
      if (shapes) shapes.faded = track.stage === FADED;
      if (track.stage === GONE) this.#putAway(track);
    }
    this.stale ||= changed;
    return changed;
  }

  #stage(track, now) {
    const shapes = this.shapes.get(track.name) ?? track.shapes;
    return stage(now - Math.max(track.time, shapes?.time ?? -Infinity), this.#limits);
  }

  #putAway(track) {
    this.objects.delete(track.name);
    this.#away.set(track.name, track);
    track.shapes = this.shapes.get(track.name) ?? null;
    this.shapes.delete(track.name);
    this.#onGone(track);
  }

  /** Takes a track back; the caller puts it among the objects. */
  #show(track) {
    this.#away.delete(track.name);
    if (this.shapes.has(track.name)) this.#dropShapes(track);
    else if (track.shapes) this.shapes.set(track.name, track.shapes);
    track.shapes = null;
    track.stage = FRESH;
    track.drawn = 0;
  }

  /** The track that continues with a position of this time; a new one if there is none, or if it had gone. */
  #trackAt(name, time) {
    this.#departed.delete(name);
    const track = this.objects.get(name) ?? this.#away.get(name);
    if (!track) return new Track(name, this.#number++);
    if (this.#stage(track, time) === GONE) {
      this.#drop(track);
      this.#removeShapes(name);
      return new Track(name, track.number);
    }
    if (this.#away.has(name)) this.#show(track);
    return track;
  }

  // Room

  #addPoint(name, lat, lon, n, time) {
    const track = this.#trackAt(name, time);
    this.objects.delete(name);
    this.objects.set(name, track);
    track.push(lat, lon, n, time);
    this.newest = track;
    this.#points += 1;
    if (track.length > MAX_TRACK) this.#thin(track);
    if (this.objects.size + this.#away.size > MAX_OBJECTS) this.#forget(time);
    if (this.#points > MAX_POINTS) this.#makeRoom(time);
  }

  /** Thins out the track heard of least recently of those that have at least half of their share: there is one. */
  #makeRoom(time) {
    if (this.#away.size > 0) return this.#forget(time);
    const share = MAX_POINTS / this.objects.size / 2;
    for (const track of this.objects.values()) if (track.length > share) return this.#thin(track);
  }

  #thin(track) {
    const lost = track.thin();
    this.thinned += lost;
    this.#points -= lost;
  }

  /** Drops what was heard of least recently: of those that are put away if there are any. */
  #forget(time) {
    const [track] = this.#away.size > 0 ? this.#away.values() : this.objects.values();
    const silent = this.#away.has(track.name) || this.#stage(track, time) === GONE;
    this.#drop(track);
    if (!silent) {
      this.gone += 1;
      return;
    }
    this.#removeShapes(track.name);
    this.#departed.add(track.name);
    if (this.#departed.size <= MAX_DEPARTED) return;
    this.#departed.delete(this.#departed.values().next().value);
    this.#forgotten = true;
  }

  #drop(track) {
    if (this.#away.delete(track.name)) this.#dropShapes(track);
    if (this.objects.delete(track.name)) this.#onGone(track);
    this.#points -= track.length;
    this.stale = true;
  }

  /** Those that were put away with it. */
  #dropShapes(track) {
    this.#corners -= track.shapes?.corners ?? 0;
    track.shapes = null;
  }

  /** A record about an object replaces all that an earlier one drew of it. */
  #addShape(name, part, shape, n, time) {
    const key = name === "" ? n : name;
    let entry = this.shapes.get(key);
    if (entry?.n !== n || part === 0) {
      this.#removeShapes(key);
      entry = { name, n, time, parts: [], corners: 0, box: new Box(), drawn: false, faded: false };
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
      if (this.#away.size > 0) {
        this.#forget(time); // with its shapes, which count among the corners
        continue;
      }
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
