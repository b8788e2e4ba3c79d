// What a record says, as it is gathered: readings of numbers, places on the map, courses, and reasons why something
// that was recognised can't be shown.

import { geometryFault, parts } from "./geometry.js";
import { inRange, wrapped } from "./degrees.js";

/** The most numbers, and the most places, that are taken from one record. */
const MAX_NUMBERS = 256;
const MAX_PLACES = 10_000;

/** Names are cut to this. */
const MAX_NAME = 200;

export class Found {
  #readings = new Map(); // by device
  #points = []; // {object, lat, lon, drawn}, where `drawn` says that it is a geometry's, not a moving object's
  #shapes = []; // {object, lat, lon, shape}
  #courses = new Map(); // by object
  #reasons = new Set();
  #room = MAX_NUMBERS;

  /** Adds a number; if a device has one of this name already, the later one gets a number after it. */
  add(device, time, name, value) {
    if (this.#room === 0) {
      this.addReason(`Only the first ${MAX_NUMBERS} numbers of a record are plotted`);
      return;
    }
    this.#room -= 1;
    let reading = this.#readings.get(device);
    if (!reading) this.#readings.set(device, (reading = { device, time, values: new Map() }));
    reading.time ??= time;
    const short = name.slice(0, MAX_NAME);
    let own = short;
    for (let n = 2; reading.values.has(own); n += 1) own = `${short} ${n}`;
    reading.values.set(own, value);
  }

  /** Adds a position; `fix` says that the record has a fix, and so 0, 0 is meant. */
  addPosition(object, lat, lon, fix = false) {
    if (!inRange(lat, lon)) this.addReason(`${lat}, ${lon} can't be latitude and longitude in degrees`);
    else if (lat === 0 && lon === 0 && !fix) this.addReason("0, 0 without a fix is not a position");
    else if (this.#hasRoom()) this.#points.push({ object, lat, lon: wrapped(lon), drawn: false });
  }

  /** Adds the course of an object, in degrees, or null if it has none. Of several, the last one is used. */
  addCourse(object, course) {
    if (course !== null || !this.#courses.has(object)) this.#courses.set(object, course);
  }

  /** Adds a GeoJSON geometry; `system` is its coordinate reference system if that has no degrees. */
  addGeometry(object, geometry, system = "") {
    for (const part of parts(geometry)) {
      const fault = geometryFault(part, system);
      if (fault === "empty") continue;
      if (fault !== "") this.addReason(fault);
      else if (this.#hasRoom()) this.#place(object, part);
    }
  }

  addReason(reason) {
    this.#reasons.add(reason);
  }

  get hasPlaces() {
    return this.#points.length + this.#shapes.length > 0;
  }

  /** Names what has no name yet. */
  adopt(name) {
    for (const place of [...this.#points, ...this.#shapes]) if (place.object === "") place.object = name;
    const course = this.#courses.get("");
    if (this.#courses.delete("")) this.addCourse(name, course);
    const nameless = this.#readings.get("");
    if (!nameless) return;
    this.#readings.delete("");
    for (const [key, value] of nameless.values) {
      this.#room += 1;
      this.add(name, nameless.time, key, value);
    }
  }

  /** The whole, as recogniser.js returns it; `time` is that of readings that have none of their own. */
  result(time) {
    const readings = [...this.#readings.values()].map((reading) => ({
      device: reading.device,
      time: reading.time ?? time,
      values: [...reading.values],
    }));
    const courses = [...this.#courses];
    return { readings, places: this.#places(), courses, reasons: [...this.#reasons], latLon: null };
  }

  #hasRoom() {
    if (this.#points.length + this.#shapes.length < MAX_PLACES) return true;
    this.addReason(`Only the first ${MAX_PLACES} places of a record are shown`);
    return false;
  }

  #place(object, shape) {
    let first = shape.coordinates;
    while (Array.isArray(first[0])) first = first[0];
    const [lon, lat] = first;
    if (shape.type === "Point") this.#points.push({ object, lat, lon: wrapped(lon), drawn: true });
    else this.#shapes.push({ object, lat, lon: wrapped(lon), shape });
  }

  /**
   * A point continues the track of its object if it is the only place of this object in the record, or one of a list
   * under its name. Geometries that stand side by side are drawn as they are, and never joined.
   */
  #places() {
    const points = this.#points.length > 1 ? distinct(this.#points) : this.#points;
    const counts = new Map(); // of points, by object
    for (const { object } of points) counts.set(object, (counts.get(object) ?? 0) + 1);
    const partsOf = new Map(); // of shapes, by object
    const places = points.map(({ object, lat, lon, drawn }) => {
      const several = counts.get(object) > 1;
      const apart = object === "" ? several || drawn : several && drawn;
      return { object, lat, lon, shape: apart ? { type: "Point", coordinates: [lon, lat] } : null };
    });
    for (const place of [...places, ...this.#shapes]) {
      place.part = 0;
      if (!place.shape) continue;
      place.part = partsOf.get(place.object) ?? 0;
      partsOf.set(place.object, place.part + 1);
    }
    return places.concat(this.#shapes);
  }
}

/** A position that occurs twice counts once, with the name if one of the two has a name. */
function distinct(points) {
  const byPlace = new Map();
  for (const point of points) {
    const key = `${point.lat} ${point.lon}`;
    const same = byPlace.get(key);
    if (!same) byPlace.set(key, [point]);
    else if (point.object === "" || same.some(({ object }) => object === point.object)) continue;
    else if (same.length === 1 && same[0].object === "") same[0] = point;
    else if (same.length < 100) same.push(point);
  }
  return [...byPlace.values()].flat();
}
