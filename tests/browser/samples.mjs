// Pipes each sample of tests/samples into sse-pipe, opens its page in Chromium, and compares what that shows with
// expected.json: the rows of the log, the series of the plot, the objects and shapes of the map, and what it says it
// does not show.
//
//   node samples.mjs SSE-PIPE [KEY]...
//
// Without KEYs, all samples. The form of the table is in tests/samples/check.mjs.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import puppeteer from 'puppeteer-core';
import { expected, keys, output, summary } from '../samples/table.mjs';

const [binary, ...only] = process.argv.slice(2);
const DEADLINE = 20_000; // for one sample
const LONG = 1_000; // series and logs above it are compared in parts
const SCREEN = 60; // rows that are in sight at once

const profile = mkdtempSync(join(tmpdir(), 'sse-pipe-samples-'));
process.on('exit', () => rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--no-proxy-server', '--disable-background-networking'],
  pipe: true,
  networkEnabled: false, // nobody looks at what is asked for, and it costs as much as the page
  userDataDir: profile,
  defaultViewport: { width: 1400, height: 1800 },
  timeout: 60_000,
});

/** What the page shows once the stream is over, or as many rows are there as are wanted. */
const shownFor = (want) => `(() => {
  const { state, events, rows, items, plot, map, reasons } = ssePipe;
  if (!['closed', 'ended'].includes(state) && rows < ${want}) return undefined;
  if (!plot || !map || rows !== events) return undefined;
  const log = document.getElementById('log');
  const seen = [...log.querySelectorAll('.row:not(.notice) .data')].map(data => data.textContent);
  if (Number(log.dataset.rows) !== items.length || (rows > 0 && seen.length === 0)) return undefined;
  if (!document.getElementById('log-view').hidden && rows <= ${SCREEN} && seen.length !== rows) return undefined;
  const series = Object.fromEntries(plot.series.map(({ name, values }) => [name, [...values].filter(v => v != null)]));
  const objects = Object.fromEntries(map.objects.map(({ name, points }) => [name, points]));
  const turned = map.objects.filter(({ course }) => course !== null);
  const courses = Object.fromEntries(turned.map(({ name, course }) => [name, course]));
  const said = document.getElementById('kept').textContent;
  if (!Object.keys(reasons).every(reason => said.includes(reason))) return undefined;
  const tabs = ['plot', 'map'].filter(name => !document.getElementById('tab-' + name).hidden);
  return { seen, rows, series, objects, courses, shapes: map.shapes, reasons: Object.keys(reasons), tabs };
})()`;

/** The rows that records make, where nothing in them is special; or undefined if the table must say it. */
function usualRows(bytes, args) {
  let text;
  try { text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes); } catch { return undefined; }
  if (args.length > 0 || /[^\P{C}\n\t]|\u2028|\u2029/u.test(text)) return undefined;
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line) => (line.length > 600 ? `${line.slice(0, 600)}…` : line).replaceAll('\t', '  '));
}

/** The URLs that a page has been at. */
const had = new Set();

async function shown(page, bytes, args, rows) {
  const program = spawn(binary, ['--port', '0', '--at-eof', 'serve', ...args], { stdio: ['pipe', 'ignore', 'pipe'] });
  try {
    program.stdin.on('error', () => {}); // it says on stderr why
    program.stdin.end(bytes);
    let url;
    const told = [];
    for await (const line of createInterface(program.stderr)) {
      told.push(line);
      if ((url = /http:\/\/\S+/.exec(line)?.[0])) break;
    }
    assert.ok(url, `it names no URL: ${told.join(' ')}`);
    program.stderr.resume();
    // At a port that it had before, a page may find its shared worker, which still has the rows of that sample.
    if (had.has(url)) return await shown(page, bytes, args, rows);
    had.add(url);
    await page.goto(url, { waitUntil: 'domcontentloaded' });
    for (const end = Date.now() + DEADLINE; ;) {
      const found = await page.evaluate(shownFor(rows));
      if (found) return found;
      assert.ok(Date.now() < end, `not all is shown in time: ${await page.evaluate(
        'JSON.stringify([ssePipe.state, ssePipe.events, ssePipe.items.length, document.getElementById("log").dataset.rows])')}`);
      await new Promise((resolve) => { setTimeout(resolve, 30); });
    }
  } finally {
    const gone = program.exitCode === null ? once(program, 'exit') : undefined;
    program.kill('SIGKILL');
    await gone;
  }
}

/** The browser's driver gives 0 for -0. */
const withoutMinusZero = (value) => JSON.parse(JSON.stringify(value));

const sorted = (list) => list.map((one) => JSON.stringify(one)).sort();

async function check(page, key) {
  assert.ok(key in expected, 'expected.json does not say what it shows');
  const [file, ...args] = key.split(' ');
  const bytes = output(file);
  const { series = {}, objects = {}, courses = {}, shapes = [], reasons = [], rows } = withoutMinusZero(expected[key]);
  const want = rows ?? usualRows(bytes, args);
  assert.ok(want, 'expected.json must say what the rows are');
  const got = await shown(page, bytes, args, want.length);
  assert.equal(got.rows, want.length, 'rows');
  assert.deepEqual(got.seen, got.rows <= SCREEN ? want : want.slice(-got.seen.length));
  assert.deepEqual(Object.keys(got.series).sort(), Object.keys(series).sort(), 'names of series');
  for (const [name, values] of Object.entries(series)) {
    if (Array.isArray(values)) assert.deepEqual(got.series[name], values, name);
    else { // thinned out, perhaps
      const { count, ...ends } = summary(got.series[name]);
      assert.ok(count > LONG && count <= values.count, `${count} values`);
      assert.deepEqual({ count: values.count, ...ends }, values, name);
    }
  }
  assert.deepEqual(got.objects, objects, 'objects');
  assert.deepEqual(got.courses, courses, 'courses');
  assert.deepEqual(sorted(got.shapes), sorted(shapes), 'shapes');
  assert.deepEqual(got.reasons.sort(), reasons.sort(), 'reasons');
  const filled = [Object.keys(series).length > 0 && 'plot', Object.keys(objects).length + shapes.length > 0 && 'map'];
  assert.deepEqual(got.tabs, filled.filter(Boolean), 'tabs');
}

const all = only.length > 0 ? only : keys;
const left = [...all];
let failed = 0;

/** One of several pages, each in a window of its own, that go through what is left. */
async function work() {
  const page = await (await browser.createBrowserContext()).newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  for (let key = left.shift(); key !== undefined; key = left.shift()) {
    try {
      await check(page, key);
      assert.deepEqual(complaints, []);
    } catch (error) {
      failed += 1;
      console.log(`${key}: ${error.message}\n`);
    }
    complaints.length = 0;
  }
}

const start = Date.now();
await Promise.all([work(), work(), work()]);
console.log(`${all.length} samples in ${Math.round((Date.now() - start) / 1000)} s, ${failed} failed`);
await browser.close();
process.exit(failed === 0 ? 0 : 1);
