// The positions in records: what the map shows. Pure: no page, no clock.
//
// A record may have members lat/lon (latitude/longitude, lng, long; gpsd's TPV among them), also in nested objects; it
// may be GeoJSON (RFC 7946: a geometry, a Feature or a FeatureCollection); or, if the person says so, two numbers
// "lat,lon". Objects are distinguished by their id, name, mmsi, hex or device.

/** The most positions that are taken from one record. */
const MAX_POSITIONS = 10_000;

/** Objects nested deeper than this are not searched. */
const MAX_DEPTH = 6;

const LATITUDE = ["lat", "latitude", "Lat", "Latitude", "LAT"];
const LONGITUDE = ["lon", "lng", "long", "longitude", "Lon", "Lng", "Longitude", "LON", "LNG"];
const NAMES = ["id", "name", "mmsi", "hex", "device"];
const TWO_NUMBERS = /^\s*([+-]?\d{1,3}(?:\.\d+)?)\s*[,;\t ]\s*([+-]?\d{1,3}(?:\.\d+)?)\s*$/;

/**
 * The positions in a record, a JSON value: a list of {object, lat, lon, shape}. `object` is the name of what is there,
 * or "". `shape` is a GeoJSON geometry if that is more than a point; then lat and lon are those of its first position.
 */
export function findPositions(json) {
  const found = [];
  walk(json, "", 0, found);
  return found;
}

/** The position in a text of two numbers "lat,lon", or null. */
export function twoNumbers(text) {
  const numbers = TWO_NUMBERS.exec(text);
  return numbers && position(Number(numbers[1]), Number(numbers[2]), "");
}

function walk(value, object, depth, found) {
  if (typeof value !== "object" || value === null || depth > MAX_DEPTH || found.length >= MAX_POSITIONS) return;
  if (Array.isArray(value)) {
    for (const member of value) walk(member, object, depth + 1, found);
    return;
  }
  const name = nameOf(value) || object;
  if (isGeometry(value)) {
    geometry(value, name, found);
    return;
  }
  if (value.type === "Feature") {
    const own = nameOf(value.properties ?? {}) || name;
    if (isGeometry(value.geometry)) geometry(value.geometry, own, found);
    return;
  }
  const lat = coordinate(value, LATITUDE);
  const lon = coordinate(value, LONGITUDE);
  const here = lat !== null && lon !== null && position(lat, lon, name);
  if (here) {
    found.push(here);
    return;
  }
  for (const member of Object.values(value)) walk(member, name, depth + 1, found);
}

function position(lat, lon, object, shape = null) {
  // Longitudes up to 360 are in use; a map has them from -180 to 180.
  if (!(Math.abs(lat) <= 90 && Math.abs(lon) <= 360)) return null;
  return { object, lat, lon: lon > 180 ? lon - 360 : lon < -180 ? lon + 360 : lon, shape };
}

/** A member under one of these names that is a number, or a text that is one (as many APIs write coordinates). */
function coordinate(value, names) {
  for (const name of names) {
    const member = value[name];
    if (typeof member === "number" && Number.isFinite(member)) return member;
    if (typeof member === "string" && /^[+-]?\d{1,3}(\.\d+)?$/.test(member.trim())) return Number(member);
  }
  return null;
}

function nameOf(value) {
  for (const name of NAMES) {
    const member = value[name];
    if ((typeof member === "string" && member !== "") || typeof member === "number") return String(member).trim();
  }
  return "";
}

/** The geometries with coordinates, and how deep their positions are in lists (RFC 7946, section 3.1). */
const NESTED = new Map([
  ["Point", 0],
  ["MultiPoint", 1],
  ["LineString", 1],
  ["MultiLineString", 2],
  ["Polygon", 2],
  ["MultiPolygon", 3],
]);

function isGeometry(value) {
  if (typeof value !== "object" || value === null) return false;
  return value.type === "GeometryCollection"
    ? Array.isArray(value.geometries)
    : NESTED.has(value.type) && Array.isArray(value.coordinates);
}

function geometry(value, object, found, depth = 0) {
  if (found.length >= MAX_POSITIONS || depth > MAX_DEPTH) return;
  if (value.type === "GeometryCollection") {
    for (const member of value.geometries) if (isGeometry(member)) geometry(member, object, found, depth + 1);
    return;
  }
  if (value.type === "MultiPoint") {
    for (const point of value.coordinates) push(point, object, null, found);
    return;
  }
  let first = value.coordinates;
  while (Array.isArray(first?.[0])) first = first[0];
  if (value.type === "Point") push(first, object, null, found);
  else if (isWhole(value.coordinates, NESTED.get(value.type))) push(first, object, value, found);
}

/** Whether coordinates are positions this deep in lists, all of numbers: a map library would stumble over others. */
function isWhole(coordinates, nested) {
  if (!Array.isArray(coordinates) || coordinates.length === 0) return false;
  if (nested > 0) return coordinates.every((member) => isWhole(member, nested - 1));
  return coordinates.length >= 2 && coordinates.every(Number.isFinite);
}

function push(point, object, shape, found) {
  if (!Array.isArray(point) || typeof point[0] !== "number" || typeof point[1] !== "number") return;
  const here = position(point[1], point[0], object, shape);
  if (here) found.push(here);
}
