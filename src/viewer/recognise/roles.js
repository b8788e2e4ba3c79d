// What the name of a member or a column says about its value.

import { quantity } from "./quantity.js";

/**
 * Names of what distinguishes objects; the first one present is used. Case, blanks, _ and - make no difference. A
 * number can be an ID, but under the other names it is a measurement.
 */
const NAMES = [
  ...["id", "name", "mmsi", "hex", "icao", "icao24", "imei", "callsign", "tid", "vehicleid", "vehicle", "deviceid"],
  ...["device", "devicename", "sensorid", "sensor", "sensorname", "stationid", "station", "nodeid", "node"],
  ...["topic", "host", "hostname", "instance"],
];
const RANKS = new Map(NAMES.map((name, i) => [name, i]));
const MAY_BE_NUMBER = /id$|^(?:mmsi|hex|icao|icao24|imei)$/;

/** Names are cut to this. */
const MAX_NAME = 200;

const LATITUDE = new Set(["lat", "latitude"]);
const LONGITUDE = new Set(["lon", "lng", "long", "longitude"]);
const TIME = /(?:^|[_.@\s-])(?:time|timestamp|ts|date|datetime|now|zeit)(?:_utc)?$|[a-z]Timestamp$/i;
/** Over ground, from true north; and where the bow points. A unit may stand at their end. */
const COURSE = new Set(["course", "courseoverground", "cog", "track", "truetrack"]);
const HEADING = new Set(["heading", "trueheading", "hdg", "truehdg", "bearing"]);
const SPEED = new Set(["speed", "speedoverground", "sog", "groundspeed", "gs", "spd", "velocity", "vel"]);
const UNIT = /\(?(?:°|deg(?:rees)?|kn|kts?|knots|km\/?h|kph|mph|mps|m\/s)\)?$/;
const IDENTIFIER = /(?:^|[\s_.-])(?:p?id|P?ID)$|[a-z](?:Id|ID)$/;

/** As many names are remembered. */
const MAX_KNOWN = 4096;
const known = new Map();

/**
 * The role of a name: {kind, rank, number}. `kind` is "name", "lat", "lon", "time", "course", "heading", "speed", "id"
 * (an identifier that isn't the name of an object: not a measurement) or ""; the least `rank` among names counts,
 * `number` says if a number will do.
 */
export function role(key) {
  let found = known.get(key);
  if (found) return found;
  found = find(key);
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(key, found);
  return found;
}

/** The name that a value under a name's role is, or "". */
export function nameIn(value, { number }) {
  const text = typeof value === "number" ? String(value) : typeof value === "string" ? value.trim() : "";
  if (!number && quantity(text) !== null) return "";
  return text.slice(0, MAX_NAME);
}

function find(key) {
  const text = key.slice(0, 64);
  const simple = text.toLowerCase().replace(/[\s_-]/g, "");
  const kind = (kind, rank = 0) => ({ kind, rank, number: kind === "name" && MAY_BE_NUMBER.test(simple) });
  if (RANKS.has(simple)) return kind("name", RANKS.get(simple));
  if (LATITUDE.has(simple)) return kind("lat");
  if (LONGITUDE.has(simple)) return kind("lon");
  if (TIME.test(text)) return kind("time");
  const bare = simple.replace(UNIT, "");
  if (COURSE.has(bare)) return kind("course");
  if (HEADING.has(bare)) return kind("heading");
  if (SPEED.has(bare)) return kind("speed");
  return kind(IDENTIFIER.test(text) ? "id" : "");
}
