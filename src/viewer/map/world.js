// The land, borders and countries of the world, from TopoJSON (a compact form of GeoJSON in which shapes share their
// borders). Pure data; background.js draws it.
//
// Places are those of tracks.js: on the square that Web Mercator makes of the world, both from 0 to 1. What crosses the
// antimeridian continues beyond 0 or 1.

import { place } from "./tracks.js";

/** Rings beyond here are the edge of the map, at the South Pole. */
const BOTTOM = 0.9999;

/**
 * The land, as polygons that are lists of rings, the outer one first; the borders between countries; and the countries,
 * the largest first: name, width and height, and the middle of that width. A ring or border is {path, left, top, right,
 * bottom}, with the path as x, y, x, y. A ring around the South Pole goes eastwards and is `polar`: it ends where it
 * begins, a world further. One that is `cut` has an edge along the antimeridian, and its other part is a polygon too.
 */
export function world(topology) {
  const { scale, translate } = topology.transform;
  // Each point is given by its difference from the one before, in steps of the grid that `transform` describes.
  const arcs = topology.arcs.map((arc) => {
    const path = new Float64Array(arc.length * 2);
    let lon = translate[0];
    let lat = translate[1];
    arc.forEach(([dx, dy], i) => {
      const [x, y] = place((lon += dx * scale[0]), (lat += dy * scale[1]));
      path[i * 2] = x;
      path[i * 2 + 1] = y;
    });
    return path;
  });
  const outlines = ({ type, arcs: shapes }) => (type === "Polygon" ? [shapes] : (shapes ?? []));
  const numbers = (rings) => new Set(rings.flat().map((n) => (n < 0 ? ~n : n)));
  const polygons = topology.objects.land.geometries.flatMap(outlines);
  const states = topology.objects.countries?.geometries ?? [];
  const coastal = numbers(polygons.flat());
  const inland = [...numbers(states.flatMap(outlines).flat())].filter((n) => !coastal.has(n));
  const countries = states.map((country) => {
    const rings = outlines(country).map(([outer]) => line(arcs, outer));
    return { name: country.properties.name, ...widest(rings) };
  });
  return {
    land: polygons.map((rings) => polygon(rings.map((ring) => line(arcs, ring)))).filter(([{ top }]) => top < BOTTOM),
    borders: inland.map((n) => line(arcs, [n])),
    countries: countries.sort((a, b) => b.area - a.area),
  };
}

/** These rings, the holes in the world where the outer one is. */
function polygon([outer, ...holes]) {
  for (const hole of holes) {
    const turn = Math.ceil(outer.left - hole.left - 1e-9);
    hole.path.forEach((x, i) => i % 2 === 0 && (hole.path[i] = x + turn));
  }
  return [outer, ...holes.filter(({ top }) => top < BOTTOM)];
}

/** A ring or border of the arcs with these numbers. ~n is arc n backwards; where two meet, both have the point. */
function line(arcs, numbers) {
  const pieces = numbers.map((n) => arcs[n < 0 ? ~n : n]);
  const path = new Float64Array(pieces.reduce((sum, { length }) => sum + length - 2, 2));
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  let [end, turn, before, cut] = [0, 0, 0, false];
  pieces.forEach((piece, nth) => {
    const backwards = numbers[nth] < 0;
    for (let i = nth === 0 ? 0 : 2; i < piece.length; i += 2) {
      const at = backwards ? piece.length - 2 - i : i;
      if (end > 0 && piece[at] - before > 0.5) turn -= 1;
      if (end > 0 && piece[at] - before < -0.5) turn += 1;
      cut ||= end > 0 && isEdge(piece[at]) && isEdge(before);
      before = piece[at];
      const x = before + turn;
      const y = piece[at + 1];
      path[end] = x;
      path[end + 1] = y;
      end += 2;
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < top) top = y;
      if (y > bottom) bottom = y;
    }
  });
  const polar = Math.abs(path.at(-2) - path[0]) > 0.5;
  if (polar && turn < 0) reverse(path);
  return { path, left, top, right, bottom, polar, cut };
}

/** Whether this is the antimeridian. */
export function isEdge(x) {
  return Math.abs(x - Math.round(x)) < 1e-9;
}

function reverse(path) {
  path.reverse(); // y, x, y, x
  for (let i = 0; i < path.length; i += 2) [path[i], path[i + 1]] = [path[i + 1], path[i]];
}

/** The middle of the widest stretch of the largest of these rings, at the height of its centre of gravity. */
function widest(rings) {
  let best = { area: 0, x: 0, y: 0, width: 0, height: 0 };
  for (const { path, polar, top, bottom } of rings) {
    let [area, moment] = [0, 0];
    for (let i = 0; i + 3 < path.length; i += 2) {
      const cross = path[i] * path[i + 3] - path[i + 2] * path[i + 1];
      area += cross / 2;
      moment += (cross * (path[i + 1] + path[i + 3])) / 6;
    }
    if (polar || Math.abs(area) <= best.area) continue;
    const y = moment / area;
    const crossings = [];
    for (let i = 0; i + 3 < path.length; i += 2) {
      const [above, below] = [path[i + 1], path[i + 3]];
      if (above < y === below < y) continue;
      crossings.push(path[i] + ((y - above) / (below - above)) * (path[i + 2] - path[i]));
    }
    crossings.sort((a, b) => a - b);
    best = { area: Math.abs(area), x: 0, y, width: 0, height: bottom - top };
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const width = crossings[i + 1] - crossings[i];
      if (width > best.width) best = { ...best, x: (crossings[i] + crossings[i + 1]) / 2, width };
    }
  }
  return best;
}
