// The land of the world, from TopoJSON (a compact form of GeoJSON in which shapes share their borders).

/** The rings of all polygons of the object `land`, as a GeoJSON MultiPolygon has them, moved by so many degrees. */
export function land(topology, shift) {
  const { scale, translate } = topology.transform;
  // Each point is told by its difference to the one before, in steps of the grid that `transform` describes.
  const arcs = topology.arcs.map((arc) => {
    let x = 0;
    let y = 0;
    return arc.map(([dx, dy]) => [(x += dx) * scale[0] + translate[0] + shift, (y += dy) * scale[1] + translate[1]]);
  });
  // ~n is arc n backwards; where two arcs meet, both have the point.
  const piece = (n) => (n < 0 ? arcs[~n].toReversed() : arcs[n]);
  const ring = (numbers) => numbers.flatMap((n, i) => (i === 0 ? piece(n) : piece(n).slice(1)));
  return topology.objects.land.geometries.flatMap(({ type, arcs: shapes }) =>
    (type === "Polygon" ? [shapes] : shapes).map((rings) => rings.map(ring)),
  );
}
