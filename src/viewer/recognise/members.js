// What a JSON value says: its numbers, also those in texts and in nested objects ("load.1"), and its positions: members
// lat and lon, and GeoJSON (RFC 7946).
//
// Each object in it may have a name, which applies to everything in it. One without a name takes the name next to it.

import { courseOf } from "./course.js";
import { degrees } from "./degrees.js";
import { isGeometry, systemOf } from "./geometry.js";
import { quantity } from "./quantity.js";
import { nameIn, role } from "./roles.js";
import { timeOf } from "./time.js";

/** Objects nested deeper than this are not searched, and at most this many members and list items in all. */
const MAX_DEPTH = 8;
const MAX_MEMBERS = 50_000;

/** A list with more numbers in it is data of another kind: bytes, samples, a spectrum. */
const MAX_LIST = 8;

/** What `json` says, added to `found`; `name` is what the text before it names. Returns its time, or null. */
export function readJson(json, found, name = "", time = null) {
  const walk = new Walk(found);
  walk.value(json, {
    path: "",
    device: name,
    object: name,
    time,
    course: null, // that of an object applies to everything in it
    listed: false, // somewhere in a list
    item: false, // a member of one
    depth: 0,
    measured: true, // not in a list with too many numbers
    system: "", // of the coordinates, if they are not degrees
  });
  walk.end();
  return time ?? walk.time;
}

class Walk {
  #found;
  #members = MAX_MEMBERS;
  #names = new Set(); // those outside lists
  #number = ""; // the ID of the record, if that is a number
  #nameless = false; // whether a position has no name
  time = null; // the first outside lists

  constructor(found) {
    this.#found = found;
  }

  value(value, scope) {
    if (typeof value === "number" || typeof value === "string") this.#measure(value, scope.path, scope);
    else if (typeof value === "object" && value !== null && scope.depth <= MAX_DEPTH && this.#members > 0) {
      if (Array.isArray(value)) this.#list(value, scope);
      else this.#object(value, scope);
    }
  }

  /** Call this after the last value. */
  end() {
    if (!this.#found.hasPlaces) return;
    if (this.#number !== "") this.#found.adopt(this.#number);
    else if (this.#names.size === 1 && this.#nameless) this.#found.adopt([...this.#names][0]);
  }

  #measure(value, path, { device, time, measured }) {
    if (!measured) return;
    const found = typeof value === "number" ? { value, unit: "" } : quantity(value.trim());
    if (!found || !Number.isFinite(found.value)) return; // 1e999 is JSON, too
    const name = path === "" ? "value" : path;
    this.#found.add(device, time, found.unit === "" ? name : `${name} (${found.unit})`, found.value);
  }

  #list(list, scope) {
    const measured = scope.measured && !hasMany(list);
    for (let i = 0; i < list.length && this.#members > 0; i += 1) {
      this.#members -= 1;
      const path = join(scope.path, i);
      this.value(list[i], { ...scope, path, course: null, listed: true, item: true, depth: scope.depth + 1, measured });
    }
  }

  #object(object, outer) {
    const scope = { ...outer, depth: outer.depth + 1 };
    if (object.crs) scope.system = systemOf(object.crs) || scope.system;
    if (object.type === "FeatureCollection" && Array.isArray(object.features)) {
      // The name of a collection is not that of what is in it.
      const inside = { ...scope, path: "", device: "", object: "", listed: true };
      for (const feature of object.features) if (this.#members > 0) this.#feature(feature, inside);
      return;
    }
    if (object.type === "Feature") {
      this.#feature(object, scope);
      return;
    }
    const roles = this.#roles(object, scope);
    if (isGeometry(object)) {
      this.#found.addGeometry(scope.object, object, scope.system);
      return;
    }
    if (roles.position) {
      if (scope.object === "") this.#nameless = true;
      this.#found.addPosition(scope.object, roles.lat, roles.lon, object.mode >= 2);
      this.#found.addCourse(scope.object, scope.course);
    }
    this.#inside(object, scope, roles);
  }

  #inside(object, scope, { nameKey, timeKey, position }) {
    for (const [key, member] of Object.entries(object)) {
      if (this.#members <= 0) return;
      this.#members -= 1;
      if (key === nameKey || key === timeKey || key === "crs") continue;
      const { kind, number } = role(key);
      // What identifies or locates something is not a measurement.
      if (kind === "id" || (position && (kind === "lat" || kind === "lon"))) continue;
      if (kind === "name" && number && typeof member !== "object") continue;
      if (typeof member === "number" || typeof member === "string") {
        this.#measure(member, join(scope.path, key), scope);
      } else if (typeof member === "object" && member !== null) {
        this.value(member, { ...scope, path: join(scope.path, key), item: false });
      }
    }
  }

  #feature(feature, outer) {
    if (typeof feature !== "object" || feature === null) return;
    this.#members -= 1;
    const properties = typeof feature.properties === "object" ? (feature.properties ?? {}) : {};
    const scope = { ...outer, depth: outer.depth + 1 };
    this.#roles(feature, scope);
    const roles = this.#roles(properties, scope);
    // In a collection, nothing distinguishes those without a name.
    const apart = scope.object !== "" || !scope.listed;
    if (isGeometry(feature.geometry)) {
      this.#found.addGeometry(scope.object, feature.geometry, scope.system);
      if (apart && feature.geometry.type === "Point") this.#found.addCourse(scope.object, scope.course);
    }
    if (apart) this.#inside(properties, scope, roles);
  }

  /** The name, the time and the position of an object; the first two, and its course, are also set in its scope. */
  #roles(object, scope) {
    const roles = { nameKey: null, timeKey: null, lat: null, lon: null, position: false };
    let [rank, name, number] = [Infinity, "", ""];
    const motion = { course: null, heading: null, speed: null };
    for (const key of Object.keys(object)) {
      const found = role(key);
      if (found.kind === "") continue;
      const value = object[key];
      if (found.kind === "name" && found.rank < rank) {
        const candidate = nameIn(value, found);
        if (candidate === "") continue;
        if (found.rank === 0 && scope.depth === 1 && /^\d{1,20}$/.test(candidate)) number = candidate;
        else [roles.nameKey, rank, name] = [key, found.rank, candidate];
      } else if (found.kind === "lat") roles.lat ??= degrees(value, "NS");
      else if (found.kind === "lon") roles.lon ??= degrees(value, "EW");
      else if (Object.hasOwn(motion, found.kind)) motion[found.kind] ??= value;
      else if (found.kind === "time" && roles.timeKey === null) {
        const time = timeOf(value);
        if (time === null) continue;
        roles.timeKey = key;
        scope.time = time;
        if (!scope.listed) this.time ??= time;
      }
    }
    if (motion.course !== null || motion.heading !== null) scope.course = courseOf(motion);
    roles.position = roles.lat !== null && roles.lon !== null;
    // A number as the ID of a whole record counts records and names nothing, except for something with a position.
    if (number !== "" && (roles.position || isGeometry(object))) name = number;
    else if (number !== "" && name === "") this.#number = number;
    if (name !== "") {
      scope.object = scope.device = name;
      // Its place in a list means nothing any more, and may change.
      if (scope.item) scope.path = "";
      if (!scope.listed) this.#names.add(name);
    }
    return roles;
  }
}

function join(path, key) {
  return path === "" ? String(key) : `${path}.${key}`;
}

/** Whether there are more numbers in a list than make series. Objects with their own name are counted separately. */
function hasMany(list) {
  let n = 0;
  const count = (value, depth) => {
    if (n > MAX_LIST || depth > MAX_DEPTH) return;
    if (typeof value === "number" || typeof value === "string") n += 1;
    else if (typeof value === "object" && value !== null) {
      if (!Array.isArray(value) && Object.keys(value).some((key) => role(key).kind === "name")) return;
      for (const member of Object.values(value)) count(member, depth + 1);
    }
  };
  count(list, 0);
  return n > MAX_LIST;
}
