// What the recogniser costs: no text of a record's length freezes the page, and usual records cost next to nothing, with
// the plot's points of them.
// In time of the processor, so that a busy machine changes little.

import { pageModule } from "./page.mjs";

const { Recogniser } = await pageModule("recognise/recogniser.js");
const { nameOf, Series } = await pageModule("plot/series.js");

/** The most that a text of this length may take, and a usual record of some 200 characters, in ms. */
const LENGTH = 16_000;
const LONGEST = 50;
const USUAL = 0.05;

/** What the patterns look for, and the beginnings of it: repeated, each tempts some pattern to read a text again. */
const PIECES = [
  ...["1", "1.", ".1", "1e", "-", "+1", "1,", "1 ", "1\t", "1;", "1|", "1:", "1/", "1h", "1_", "12:00 ", "2026-01-01 "],
  ...["a", "a=", "a=1", "a: ", "a:", "a.", "a-", "_", "@", "%", "°", "µ", "a ", "a,", "a=1 ", "a:1,", "A(", "é"],
  ...['"', '\\"', '"a" ', '"a",', '="', "\\", '""', '"\\', "'", "[", "{", "(", "]", "}", ")", "{}", "a{", '{"a":', "[1,"],
  ...["NaN", "NaN,", "Infinity", "-Infinity", "nan ", "null ", "1".repeat(17) + ".", " ", "\t", "\n", "\r", "\n1", "#", "# "],
  ...["POINT", "POINT ", "POINT(", "POINT(1 ", "(1 2,", "MULTIPOINT ", "GEOMETRYCOLLECTION(", "EMPTY", "SRID=1;", "Z "],
  ...["N51 ", "51°30'", "E", "S1W1", "$GPGGA,", "*", "MSG,", "MSG,3,", "\x1b", "\x1b[", "\x1b[1;", "\x1b]8;;", "\x1b(", "\ufeff", "\x1e"],
];
const AROUND = [
  ["", ""],
  ["a=", ""],
  ["a=", "x"],
  ["1", "x"],
  ['"', ""],
  ["{", "}"],
  ['{"a":NaN,"', "}"],
  ["[", "]"],
  ['{"a":"', '"}'],
  ['{"lat":"', '","lon":"1"}'],
  ["x {", "}"],
  ["POINT (", ")"],
  ["POLYGON ((", "))"],
  ["$GPGGA,", "*00"],
  ["MSG,", ""],
  ["N", "E"],
  ["\x1b[", "m"],
  ["a 1 ", ""],
];

/** The time of the processor that this takes, in ms. */
function cost(run) {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

let failed = 0;
let greatest = [0, ""];
for (const piece of PIECES) {
  for (const [before, after] of AROUND) {
    const text = before + piece.repeat(LENGTH / piece.length) + after;
    const name = JSON.stringify(`${before}${piece}…${after}`);
    const recogniser = new Recogniser();
    let took = cost(() => recogniser.read(text));
    // Once more, if something else got in between.
    if (took > LONGEST) took = Math.min(took, cost(() => recogniser.read(text)));
    if (took > greatest[0]) greatest = [took, name];
    if (took > LONGEST) {
      failed += 1;
      console.log(`${name} takes ${took.toFixed(1)} ms`);
    }
  }
}
console.log(`${PIECES.length * AROUND.length} texts of ${LENGTH} characters; ${greatest[1]} takes most: ${greatest[0].toFixed(1)} ms`);

const USUAL_RECORDS = {
  "a JSON object": (n) =>
    `{"time":"2026-01-01T12:00:${10 + (n % 50)}Z","sensor":"kitchen","temp":${n / 7},"hum":45.1,"pressure":1013.2,"battery":"98%","status":{"ok":true,"code":200,"load":[0.1,0.2,0.3]},"note":"nothing to report today"}`,
  "a position": (n) =>
    `{"class":"TPV","device":"/dev/ttyACM0","mode":3,"time":"2026-01-01T12:00:00.000Z","ept":0.005,"lat":${51 + n / 1e6},"lon":-0.1200,"altHAE":80.1,"altMSL":35.0,"epx":3.1,"epy":4.1,"epv":7.0,"track":84.4,"speed":1.52}`,
  "a Feature": (n) =>
    `{"type":"Feature","id":"bus-${n % 10}","properties":{"line":"61","delay":${n % 100},"speed":31.5,"next":"Central station"},"geometry":{"type":"Point","coordinates":[9.96,53.54]},"foreign":"some more text here"}`,
  "logfmt": (n) =>
    `ts=2026-01-01T12:00:00Z level=info caller=server.go:112 msg="request done" method=GET path=/api/v1/items/${n} duration=12.5ms status=200 bytes=1234 remote=192.0.2.1 user_agent="curl/8.5.0 (x86_64-linux)"`,
  "columns": (n) => `2026-01-01 12:00:00;${Array.from({ length: 25 }, (_, i) => `${n + i}.12`).join(";")}`,
  "vmstat": (n) => ` 1  0      0 ${812340 + n}  94520 3562340    0    0    12    ${n}  310  520  3  1 96  0  0 `.repeat(2),
  "a line of a log": (n) =>
    `192.0.2.${n % 250} - - [01/Jan/2026:12:00:00 +0000] "GET /a/rather/long/path/to/a/page.html?with=a&query=${n} HTTP/1.1" 200 612 "https://example.org/somewhere" "Mozilla/5.0 (X11; Linux x86_64) Gecko"`,
  "coloured text": (n) => `\x1b[36mINFO\x1b[0m[${n}] request \x1b[36mstatus\x1b[0m=200 \x1b[36mms\x1b[0m=12 `.repeat(3),
  "WKT": (n) => `LINESTRING (${Array.from({ length: 12 }, (_, i) => `${n % 90}.0${i} ${i}.25001`).join(", ")})`,
  "SBS": (n) => `MSG,3,1,1,4CA001,1,2026/01/01,12:00:00.100,2026/01/01,12:00:00.100,,${n},,,51.50011,-0.12001,,,0,0,0,0`,
};
for (const [name, make] of Object.entries(USUAL_RECORDS)) {
  const records = Array.from({ length: 5000 }, (_, n) => make(n));
  const recogniser = new Recogniser();
  const length = Math.round(records.reduce((sum, { length }) => sum + length, 0) / records.length);
  const [apart, joined] = [new Series(), new Series()];
  const draw = (record, n) => {
    for (const { device, time, values } of recogniser.read(record).readings) {
      for (const [name, value] of values) {
        apart.add(nameOf(device, name), n, n, time ?? NaN, value);
        joined.add(name, n, n, time ?? NaN, value);
      }
    }
  };
  // The best of three: something else may get in between.
  const each = Math.min(...[1, 2, 3].map(() => cost(() => records.forEach(draw)))) / records.length;
  console.log(`${name}, ${length} characters: ${(each * 1000).toFixed(1)} µs`);
  if (each > USUAL) failed += 1;
}
process.exitCode = failed === 0 ? 0 : 1;
