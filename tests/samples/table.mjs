// The samples and expected.json: for each way to pipe a sample, what comes out of the pipe, and the right picture.

import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";

const here = new URL(".", import.meta.url);

/** The right pictures, by "FILE ARGUMENTS". */
export const expected = JSON.parse(readFileSync(new URL("expected.json", here), "utf8"));

/** The keys of the table, and samples that it does not have yet. */
export const keys = [
  ...Object.keys(expected),
  ...readdirSync(here).filter((name) => /\.(txt|sh)$/.test(name) && !(name in expected)),
];

/** What a program before the pipe writes. */
export function output(file) {
  const path = new URL(file, here);
  if (!file.endsWith(".sh")) return readFileSync(path);
  const script = `sse-pipe() { cat; }; sleep() { :; }; ${readFileSync(path, "utf8")}`;
  return execFileSync("bash", ["-c", script], { maxBuffer: 64 * 1024 * 1024 });
}

/** Of many values, what is compared. */
export function summary(values) {
  const [least, greatest] = [Math.min, Math.max].map((one) => values.reduce((a, b) => one(a, b)));
  return { count: values.length, first: values[0], last: values.at(-1), least, greatest };
}
