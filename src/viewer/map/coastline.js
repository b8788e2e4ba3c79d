// The land of the world, from TopoJSON (a compact form of GeoJSON in which shapes share their borders). Pure data; it
// is drawn in map.js.

/** The rings of all polygons of the object `land`, as a GeoJSON MultiPolygon has them, shifted by this many degrees. */
export function land(topology, shift) {
  const { scale, translate } = topology.transform;
  // Each point is given by its difference from the one before, in steps of the grid that `transform` describes.
  const arcs = topology.arcs.map((arc) => {
    let x = 0;
    let y = 0;
    return arc.map(([dx, dy]) => [(x += dx) * scale[0] + translate[0] + shift, (y += dy) * scale[1] + translate[1]]);
  });
  // ~n is arc n backwards; where two arcs meet, both have the point.
  const piece = (n) => (n < 0 ? arcs[~n].toReversed() : arcs[n]);
  const ring = (numbers) => numbers.flatMap((n, i) => (i === 0 ? piece(n) : piece(n).slice(1)));
  return topology.objects.land.geometries.flatMap(({ type, arcs: shapes }) =>
    (type === "Polygon" ? [shapes] : shapes).map((rings) => rings.map((numbers) => unbroken(ring(numbers)))),
  );
}

/** A ring that continues beyond 180° where it crosses the antimeridian; one around the South Pole is closed there. */
function unbroken(ring) {
  let turn = 0;
  const whole = ring.map(([x, y], i) => {
    const step = i === 0 ? 0 : x - ring[i - 1][0];
    if (step > 180) turn -= 360;
    if (step < -180) turn += 360;
    return [x + turn, y];
  });
  const [first, last] = [whole[0][0], whole.at(-1)[0]];
  if (Math.abs(last - first) > 180) whole.push([last, -90], [first, -90]);
  return whole;
}
