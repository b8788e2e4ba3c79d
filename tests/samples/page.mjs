// The page's own modules in Node.js, which takes a .js file for a module only if a package.json says so.

import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const copy = mkdtempSync(join(tmpdir(), "sse-pipe-page-"));
process.on("exit", () => rmSync(copy, { recursive: true }));
cpSync(fileURLToPath(new URL("../../src/viewer", import.meta.url)), copy, { recursive: true });
writeFileSync(join(copy, "package.json"), '{ "type": "module" }');

/** A module of the page, by its path in src/viewer. */
export function pageModule(path) {
  return import(pathToFileURL(join(copy, path)));
}
