// Well-known text (OGC 06-103r4, section 7), also with PostGIS's SRID before it, as GeoJSON. Curves have no
// counterpart there.

import { systemOf } from "./geometry.js";

/** Each type, what it is in GeoJSON, and how deep its positions are in parentheses. */
const TYPES = new Map([
  ["POINT", ["Point", 1]],
  ["LINESTRING", ["LineString", 1]],
  ["POLYGON", ["Polygon", 2]],
  ["TRIANGLE", ["Polygon", 2]],
  ["MULTIPOINT", ["MultiPoint", 2]],
  ["MULTILINESTRING", ["MultiLineString", 2]],
  ["MULTIPOLYGON", ["MultiPolygon", 3]],
  ["POLYHEDRALSURFACE", ["MultiPolygon", 3]],
  ["TIN", ["MultiPolygon", 3]],
]);
const CURVES = /^(?:CIRCULARSTRING|COMPOUNDCURVE|CURVEPOLYGON|MULTICURVE|MULTISURFACE)$/;
const START = /^\s{0,8}(?:SRID=(\d{1,6});\s{0,8})?([A-Z]{3,18}?)(?:\s{0,8}(?:ZM|Z|M))?\s{0,8}(?:\(|EMPTY)/i;

/** Collections are at most this deep in each other. */
const MAX_DEPTH = 6;

/** Whether a text begins as WKT does. */
export function looksLikeWkt(text) {
  const type = START.exec(text.slice(0, 64))?.[2].toUpperCase();
  return type !== undefined && (TYPES.has(type) || CURVES.test(type) || type === "GEOMETRYCOLLECTION");
}

/** Whether a text is WKT; then adds its geometry to `found`, under this name. */
export function readWkt(text, found, object = "") {
  if (!looksLikeWkt(text)) return false;
  const start = START.exec(text.slice(0, 64));
  const reader = new Reader(text, text.indexOf(start[2]));
  const geometry = reader.geometry(0);
  const system = start[1] === undefined ? "" : systemOf(Number(start[1]));
  if (reader.curve !== "") found.addReason(`The map can't show ${reader.curve}; ST_CurveToLine converts it to lines`);
  else if (geometry === null || !reader.ended) return false;
  else found.addGeometry(object, geometry, system);
  return true;
}

const WORD = /\s{0,8}([A-Z]{3,18}?)(?:\s{0,8}(?:ZM|Z|M))?\s{0,8}(?=\(|EMPTY)/iy;
const SPACE = /\s*/y;
const NUMBERS = /\s*([-+\d.eE]{1,40}(?:\s+[-+\d.eE]{1,40}|\s+nan){1,3})\s*/iy;

class Reader {
  #text;
  #at;
  curve = "";

  constructor(text, at) {
    this.#text = text;
    this.#at = at;
  }

  get ended() {
    this.#take(SPACE);
    return this.#at === this.#text.length;
  }

  /** The geometry that begins here, or null if there is none. */
  geometry(depth) {
    const type = this.#take(WORD)?.[1].toUpperCase();
    if (type === undefined || depth > MAX_DEPTH) return null;
    if (CURVES.test(type)) {
      this.curve = type;
      return null;
    }
    const empty = this.#takeWord("EMPTY");
    if (type === "GEOMETRYCOLLECTION") {
      const geometries = empty ? [] : this.#list(() => this.geometry(depth + 1));
      return geometries && { type: "GeometryCollection", geometries };
    }
    const known = TYPES.get(type);
    if (!known) return null;
    const [name, nested] = known;
    const coordinates = empty ? [] : this.#nested(nested);
    if (coordinates === null) return null;
    // The parentheses around a point's position, or those around each of several points, are not lists.
    if (name === "Point") return { type: name, coordinates: coordinates[0] ?? [] };
    if (name !== "MultiPoint") return { type: name, coordinates };
    const points = coordinates.map((point) => (Array.isArray(point[0]) ? point[0] : point));
    return { type: name, coordinates: points.filter((point) => point.length > 0) };
  }

  /** Lists this deep in each other, of positions. */
  #nested(depth) {
    if (depth === 0) return this.#position();
    return this.#list(() => {
      // MULTIPOINT (1 2, 3 4) and MULTIPOINT ((1 2), (3 4)) are the same.
      this.#take(SPACE);
      if (depth === 2 && this.#text[this.#at] !== "(") return this.#takeWord("EMPTY") ? [] : this.#position();
      return this.#nested(depth - 1);
    });
  }

  #list(member) {
    this.#take(SPACE);
    if (this.#text[this.#at] !== "(") return null;
    this.#at += 1;
    const list = [];
    for (;;) {
      const value = member();
      if (value === null) return null;
      list.push(value);
      this.#take(SPACE);
      const sign = this.#text[this.#at];
      this.#at += 1;
      if (sign === ")") return list;
      if (sign !== ",") return null;
    }
  }

  #position() {
    const found = this.#take(NUMBERS);
    if (!found) return null;
    // A measure (M) or a height that is not a number says nothing on a map.
    const numbers = found[1].split(/\s+/).slice(0, 2).map(Number);
    return numbers.every(Number.isFinite) ? numbers : null;
  }

  #take(pattern) {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found) this.#at = pattern.lastIndex;
    return found;
  }

  #takeWord(word) {
    this.#take(SPACE);
    if (this.#text.slice(this.#at, this.#at + word.length).toUpperCase() !== word) return false;
    this.#at += word.length;
    return true;
  }
}
