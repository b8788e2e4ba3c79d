// The graticule of the map: meridians and parallels as far apart as suits the zoom, each with its degrees at the edge.

import { make } from "../dom.js";

/** The distances between lines, in degrees. */
const STEPS = [30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001];

/** Lines are drawn this many px beyond the edge, for a drag. */
const BEYOND = 90;

export class Graticule {
  #map;
  #group;
  #renderer;

  /** Draws in the pane "graticule" of a Leaflet map. */
  constructor(map) {
    const { L } = window;
    this.#map = map;
    this.#group = L.layerGroup().addTo(map);
    this.#renderer = L.svg({ pane: "graticule", padding: 0.2 });
  }

  /** Call this when the map has been moved or zoomed. */
  draw() {
    const { L } = window;
    const map = this.#map;
    const group = this.#group;
    group.clearLayers();
    const sight = map.getBounds();
    const size = map.getSize();
    const wide = ((sight.getEast() - sight.getWest()) / size.x) * 170;
    const step = STEPS.findLast((degrees) => degrees >= wide) ?? STEPS[0];
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const options = {
      className: "graticule",
      weight: 1,
      interactive: false,
      renderer: this.#renderer,
      pane: "graticule",
    };
    const label = (at, text, className) => {
      const icon = L.divIcon({ className: `degrees ${className}`, html: make("span", "", text), iconSize: null });
      L.marker(at, { icon, interactive: false, keyboard: false, pane: "graticule" }).addTo(group);
    };
    const corner = (x, y) => map.containerPointToLatLng([x, y]);
    const [west, east] = [corner(-BEYOND, 0).lng, corner(size.x + BEYOND, 0).lng];
    const south = Math.max(corner(0, size.y + BEYOND).lat, -85.05);
    const north = Math.min(corner(0, -BEYOND).lat, 85.05);
    for (let i = Math.ceil(west / step); i * step <= east; i += 1) {
      L.polyline(
        [
          [south, i * step],
          [north, i * step],
        ],
        options,
      ).addTo(group);
      const lon = ((((i * step + 180) % 360) + 360) % 360) - 180;
      const { x } = map.latLngToContainerPoint([0, i * step]);
      if (x > 60 && x < size.x - 200) label(corner(x, size.y), degrees(lon, digits, "E", "W"), "of-meridian");
    }
    for (let i = Math.ceil(south / step); i * step <= north; i += 1) {
      L.polyline(
        [
          [i * step, west],
          [i * step, east],
        ],
        options,
      ).addTo(group);
      const { y } = map.latLngToContainerPoint([i * step, 0]);
      if (y > 110 && y < size.y - 40) label(corner(0, y), degrees(i * step, digits, "N", "S"), "of-parallel");
    }
  }
}

/** 52.10° N, with this many digits. */
export function degrees(value, digits, positive, negative) {
  const text = Math.abs(value).toFixed(digits);
  const side = Number(text) === 0 ? "" : value > 0 ? ` ${positive}` : ` ${negative}`;
  return `${text}°${side}`;
}
