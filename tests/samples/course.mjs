// Where objects are heading, by what their records say: the arrows on the map.

import assert from "node:assert/strict";
import { pageModule } from "./page.mjs";

const { Recogniser } = await pageModule("recognise/recogniser.js");
const { Tracks } = await pageModule("map/tracks.js");

const at = '"lat":1,"lon":2';
const sentence = (text) => {
  const sum = [...text].reduce((sum, letter) => sum ^ letter.charCodeAt(0), 0);
  return `$${text}*${sum.toString(16).toUpperCase().padStart(2, "0")}`;
};
const sbs = (type, speed, track, place) => `MSG,${type},1,1,4CA001,1,2026/01/01,12:00:00.1,2026/01/01,12:00:00.1,,,${speed},${track},${place},,,0,0,0,0`;

const CASES = [
  // Whatever it is called.
  ...["course", "heading", "track", "cog", "COG", "bearing", "hdg", "Heading", "TrueHeading", "true_heading", "courseOverGround", "course_deg", "heading (°)"].map(
    (name) => [`{${at},"${name}":90.5}`, { "": 90.5 }],
  ),
  ...["nav_heading", "mag_heading", "magtrack", "tracks", "trackId", "racecourse", "headings"].map((name) => [`{${at},"${name}":90}`, { "": null }]),
  // Degrees, or none.
  [`{${at},"course":0}`, { "": 0 }],
  [`{${at},"course":"271.5"}`, { "": 271.5 }],
  [`{${at},"course":"271.5°"}`, { "": 271.5 }],
  ...["360", "511", "-1", "1e9", "null", "NaN", '"N"', '""', "[90]", '{"a":90}', "true"].map((value) => [`{${at},"cog":${value}}`, { "": null }]),
  // Over ground before where the bow points; and the other way round while it stands still.
  [`{${at},"heading":10,"cog":20}`, { "": 20 }],
  [`{${at},"heading":10,"cog":360}`, { "": 10 }],
  [`{${at},"heading":10,"cog":20,"sog":0.1}`, { "": 10 }],
  [`{${at},"heading":511,"cog":20,"sog":0.1}`, { "": null }],
  [`{${at},"track":20,"speed":0.02}`, { "": null }],
  [`{${at},"track":20,"speed":-3}`, { "": 20 }],
  [`{${at},"track":20,"speed (km/h)":"0.3"}`, { "": null }],
  [`{${at},"track":20,"speed":"fast"}`, { "": 20 }],
  // Of whom.
  [`{"id":"a",${at},"track":20}`, { a: 20 }],
  [`{"id":"a","heading":20,"position":{${at}}}`, { a: 20 }],
  [`{"id":"a","heading":20,"position":{${at},"bearing":30}}`, { a: 30 }],
  [`{"heading":20,"aircraft":[{"hex":"a1",${at}},{"hex":"a2","track":5,"lat":3,"lon":4}]}`, { a1: null, a2: 5 }],
  [`{"id":"a","way":[{${at},"course":1},{"lat":2,"lon":3,"course":2}]}`, { a: 2 }],
  ['{"type":"Feature","id":"a","properties":{"course":7},"geometry":{"type":"Point","coordinates":[1,2]}}', { a: 7 }],
  ['{"type":"Feature","id":"a","properties":{"course":7},"geometry":{"type":"LineString","coordinates":[[1,2],[3,4]]}}', {}],
  [
    '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"course":7},"geometry":{"type":"Point","coordinates":[1,2]}}]}',
    {},
  ],
  ['{"id":"a","course":20}', {}],
  ["name=a lat=1 lon=2 cog=33 sog=4", { a: 33 }],
  ["name=a lat=1 lon=2 cog=33 sog=0", { a: null }],
  ["name=a lat=1 lon=2", { a: null }],
  ["id,lat,lon,course,speed\nx,1,2,44.5,8", { x: 44.5 }],
  ["id;lat;lon;course\nx;1;2;44,5", { x: 44.5 }],
  ["N48.1 E11.5", { "": null }],
  // NMEA and SBS say it apart from the position, or not at all.
  [sentence("GPRMC,123520.00,A,4807.0390,N,01131.0010,E,022.4,084.4,230326,,,A"), { "": 84.4 }],
  [sentence("GPRMC,123520.00,A,4807.0390,N,01131.0010,E,0.004,084.4,230326,,,A"), { "": null }],
  [sentence("GPRMC,123520.00,A,4807.0390,N,01131.0010,E,0.004,,230326,,,A"), { "": null }],
  [sentence("GPRMC,123520.00,V,,,,,,084.4,230326,,,N"), {}],
  [sentence("GPGGA,123519.00,4807.0380,N,01131.0000,E,1,08,0.9,545.4,M,46.9,M,,"), {}],
  [sentence("GPVTG,054.7,T,034.4,M,005.5,N,010.2,K,A"), { "": 54.7 }],
  [sentence("GPVTG,,T,,M,0.1,N,0.2,K,A"), { "": null }],
  [sentence("GPVTG,054.7,T,034.4,M,005.5,N,010.2,K,A").replace("054", "055"), {}],
  [sbs(3, "", "", "51.5,-0.1"), {}],
  [sbs(4, "451.2", "273.1", ","), { "4CA001": 273.1 }],
  [sbs(2, "0", "273.1", "51.5,-0.1"), { "4CA001": null }],
];
for (const [records, want] of CASES) {
  const recogniser = new Recogniser();
  const said = records.split("\n").map((record) => recogniser.read(record));
  assert.deepEqual(Object.fromEntries(said.at(-1).courses), want, records);
}

// An object keeps its course while nothing else is said of it.
const tracks = new Tracks(() => {});
const recogniser = new Recogniser();
let n = 0;
const course = (record) => {
  const { places, courses } = recogniser.read(record);
  tracks.add((n += 1), 0, places);
  tracks.turn(courses);
  return tracks.objects.get("4CA001")?.course;
};
assert.equal(course(sbs(4, "451.2", "273.1", ",")), undefined, "it is nowhere yet");
assert.equal(course(sbs(3, "", "", "51.5,-0.1")), null);
assert.equal(course(sbs(4, "451.2", "273.1", ",")), 273.1);
assert.equal(course(sbs(3, "", "", "51.6,-0.1")), 273.1);
assert.equal(course(sbs(4, "0", "273.1", ",")), null);
