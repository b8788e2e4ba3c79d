// Geometries of GeoJSON (RFC 7946, section 3.1): which of them a map can show. What they look like is left to the map.

/** How deep the positions of each type are in lists. */
const NESTED = new Map([
  ["Point", 0],
  ["MultiPoint", 1],
  ["LineString", 1],
  ["MultiLineString", 2],
  ["Polygon", 2],
  ["MultiPolygon", 3],
]);

/** Collections deeper than this are not searched; a shape with more positions is too large to draw. */
const MAX_DEPTH = 6;
const MAX_POSITIONS = 100_000;

/** EPSG codes of the systems in degrees that are in use around the world; they differ by metres. */
const IN_DEGREES = new Set([4326, 4979, 4258, 4937, 4269, 4267, 4283, 7844, 4617, 4674, 4167, 4171, 4289, 4312, 4314]);

export function isGeometry(value) {
  if (typeof value !== "object" || value === null) return false;
  return value.type === "GeometryCollection"
    ? Array.isArray(value.geometries)
    : NESTED.has(value.type) && Array.isArray(value.coordinates);
}

/** The geometries in one, each with its type and coordinates only. */
export function* parts(geometry, depth = 0) {
  if (geometry.type !== "GeometryCollection") yield { type: geometry.type, coordinates: geometry.coordinates };
  else if (depth < MAX_DEPTH) {
    for (const member of geometry.geometries) if (isGeometry(member)) yield* parts(member, depth + 1);
  }
}

/** Why a geometry can't be shown; "" if it can, "empty" if there is nothing in it. */
export function geometryFault({ type, coordinates }, system) {
  if (coordinates.length === 0) return "empty";
  if (system !== "") return `Coordinates in ${system} are not degrees`;
  const state = { positions: 0, inRange: true };
  if (!isWhole(coordinates, NESTED.get(type), state)) return `The coordinates of a ${type} are not as RFC 7946 has them`;
  if (!state.inRange) return "Coordinates beyond 90 and 360 are not degrees";
  return state.positions > MAX_POSITIONS ? `A ${type} with more than ${MAX_POSITIONS} positions is too large` : "";
}

/** The system that a `crs` member (of GeoJSON before RFC 7946) or an SRID names, if it has no degrees; or "". */
export function systemOf(crs) {
  const name = typeof crs === "number" ? `EPSG:${crs}` : crs?.properties?.name;
  if (typeof name !== "string") return "";
  const code = /EPSG:{1,2}(?:[\d.]{0,8}:)?(\d{1,6})$/.exec(name.slice(-40));
  return !code || code[1] === "0" || IN_DEGREES.has(Number(code[1])) ? "" : `EPSG:${code[1]}`;
}

/** Whether coordinates are positions this deep in lists, all of numbers: a map library would stumble over others. */
function isWhole(coordinates, nested, state) {
  if (!Array.isArray(coordinates) || coordinates.length === 0) return false;
  if (nested > 0) {
    for (const member of coordinates) {
      if (!isWhole(member, nested - 1, state)) return false;
      if (state.positions > MAX_POSITIONS) return true;
    }
    return true;
  }
  if (coordinates.length < 2 || coordinates.length > 8 || !coordinates.every(Number.isFinite)) return false;
  state.positions += 1;
  if (Math.abs(coordinates[0]) > 360 || Math.abs(coordinates[1]) > 90) state.inRange = false;
  return true;
}
