// Opens a page in a real browser and waits until it says what it should: for tests that must
// know what Chromium and Firefox do, not what the standard says they do.
//
//   node drive.mjs BROWSER URL SECONDS EXPRESSION [--then EXPRESSION]...
//        [--viewport WxH] [--dark] [--screenshot FILE.png]
//   node drive.mjs BROWSER --serve
//
// BROWSER is `chromium` or `firefox` (Debian's, or what $CHROMIUM and $FIREFOX name). The browser
// starts in a fresh profile, opens URL and evaluates EXPRESSION in the page every 50 ms until it is
// truthy; then each `--then` likewise, in order. An exception counts as "not yet", so that an
// expression may also act: `document.querySelector('button').click(), true`. SECONDS bound all of
// this, counted from when the browser is up; it has START_MS of its own to get there. As the n-th
// expression comes true, the line `reached N` goes to standard error, so that a test may act in between.
//
// Some steps are not expressions: `@tab` opens URL in another tab, where the steps continue; `@close` closes that tab and
// goes back to the first; `@swap` goes on in the other of two tabs; `@crash` kills the other one's process, `@freeze` and
// `@thaw` have Chromium freeze it and let it go on; `@hide` puts an empty tab in front of it, and `@show` takes that away
// again. `@phone` makes the window as small as a phone's; `@dark` asks for dark colours (in Chromium); `@heap` comes to
// `heap BYTES`, after a collection of garbage (in Chromium); `@axe` fails if axe-core finds something that people can't
// read or use.
//
// Prints one line of JSON: {ok, value, values, console, requests, responses, network, ms: {start, page, steps}, error},
// where `value` is what the last expression came to, `values` what each came to, `ms.steps` when, `requests` are URLs and
// `responses` a status and the URL, `204 http://…`, as far as the page itself asked. `network` has (in Chromium) the
// URLs that the page and all its workers asked for, from the browser's own log. Exit status 0 if ok, 1 if not, 2 for a
// usage error.
// The browser and its profile are gone when it ends, by SIGTERM too (not by SIGKILL: leave it to its
// own deadline, which is sure).
//
// With --serve the browser stays for several runs, one after the other: no storage, cookie, worker or connection of one is
// there in the next. A line of standard input asks for a run, {url, seconds, steps}; its report is a line of standard error,
// `report ` and the JSON, where `network` is null. After a run that failed, start another browser. It ends with its
// standard input.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import puppeteer from 'puppeteer-core';

const START_MS = 60_000; // Chromium takes about 1 s, Firefox 3 s; a busy machine must not fail a test.
const POLL_MS = 50;

// On top of what puppeteer switches off itself. No test may depend on, or reach, the outside.
const CHROMIUM_FLAGS = [
  '--no-sandbox', // Chromium refuses to run as root with it.
  '--disable-gpu', '--disable-quic', '--no-first-run', '--no-proxy-server', '--no-pings',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  // It asks for these hosts all the same.
  '--host-resolver-rules=MAP *.google.com ~NOTFOUND, MAP *.googleapis.com ~NOTFOUND',
];
const FIREFOX_PREFS = {
  // Puppeteer lets one file:// page read another. People's Firefox doesn't, and an
  // EventSource opened from a file is one of the things tested.
  'security.fileuri.strict_origin_policy': true,
  'network.proxy.type': 0,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'network.trr.mode': 5, // No DNS over HTTPS.
  'app.update.auto': false,
  'browser.region.update.enabled': false,
  'datareporting.usage.uploadEnabled': false,
  'dom.push.connection.enabled': false,
  'extensions.systemAddon.update.enabled': false,
  'services.settings.server': 'data:,#remote-settings-dummy/v1', // Firefox's own word for "none".
  'toolkit.telemetry.server': '',
  'toolkit.telemetry.unified': false,
};

/** Comes to what a page shows, and how often it draws in a second: it may have stopped. */
const STATE = `new Promise((tell) => {
  let frames = -1;
  const frame = () => { frames += 1; requestAnimationFrame(frame); };
  frame();
  setTimeout(() => tell({ frames, hidden: document.hidden, text: document.body?.innerText.slice(0, 500) }), 1000);
})`;

const usage = (why) => { console.error(`drive.mjs: ${why} (its head tells the usage)`); process.exit(2); };
let parsed;
try {
  parsed = parseArgs({ allowPositionals: true, options: {
    then: { type: 'string', multiple: true, default: [] },
    viewport: { type: 'string', default: '1024x768' },
    dark: { type: 'boolean', default: false },
    screenshot: { type: 'string' },
    serve: { type: 'boolean', default: false },
  } });
} catch (e) { usage(e.message); }
const { values: options, positionals: [browserName, ...operands] } = parsed;
const firefox = browserName === 'firefox';
const [, width, height] = /^(\d+)x(\d+)$/.exec(options.viewport) ?? usage('--viewport wants WxH');
if (!firefox && browserName !== 'chromium') usage('the browser is chromium or firefox');
if (operands.length !== (options.serve ? 0 : 3)) usage('BROWSER URL SECONDS EXPRESSION, or BROWSER --serve');
if (!options.serve && !(Number(operands[1]) > 0)) usage('SECONDS is a number above 0');

const home = mkdtempSync(join(tmpdir(), 'sse-pipe-drive-'));
// A killed browser may still be writing for a moment: hence retries.
const clean = () => rmSync(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });

/** What came of a run. */
const blank = () => ({
  ok: false, value: null, values: [], console: [], requests: [], responses: [], network: null, ms: {}, error: null,
});
const complete = (report, error) => JSON.stringify({ ...report, ok: error === undefined, error: error ?? null });

// The one way out. Puppeteer kills the browser's process group in its own `exit` listener; ours, added after it, runs
// after it.
let ended = false;
function end(report, error) {
  if (ended) return;
  ended = true;
  process.once('exit', clean);
  const over = () => process.exit(error === undefined ? 0 : 1);
  if (options.serve) return process.stderr.write(error === undefined ? '' : `${error}\n`, over);
  // A pipe takes 64 KiB at once: the rest must be read first.
  process.stdout.write(`${complete(report, error)}\n`, over);
}
let running = blank();
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => end(running, `ended by ${signal}`));

const netLog = join(home, 'network.json');

// The URLs in Chromium's network log that somebody of this origin asked for: one event a line, complete once it ended.
function asked(origin) {
  const urls = [];
  for (const line of readFileSync(netLog, 'utf8').split('\n')) {
    const initiator = /"initiator":"([^"]*)"/.exec(line)?.[1];
    const wanted = /"url":"([^"]*)"/.exec(line)?.[1];
    if (initiator === origin && wanted !== undefined && !wanted.startsWith('blob:')) urls.push(wanted);
  }
  return urls;
}

const started = performance.now();
const browser = await puppeteer.launch({
  browser: firefox ? 'firefox' : 'chrome',
  executablePath: firefox ? process.env.FIREFOX || '/usr/bin/firefox-esr' : process.env.CHROMIUM || '/usr/bin/chromium',
  args: firefox ? [] : [...CHROMIUM_FLAGS, ...(options.serve ? [] : [`--log-net-log=${netLog}`])],
  // Firefox can't have this by WebDriver BiDi; 0 is dark, 1 is light.
  extraPrefsFirefox: { ...FIREFOX_PREFS, 'layout.css.prefers-color-scheme.content-override': options.dark ? 0 : 1 },
  pipe: !firefox, // A Chromium on a pipe also ends when this process is killed outright.
  userDataDir: join(home, 'profile'),
  // Nothing of the caller's settings, display or proxies; Firefox refuses a HOME not its user's.
  env: {
    PATH: process.env.PATH, HOME: home, TMPDIR: home, LANG: 'C.UTF-8', MOZ_CRASHREPORTER_DISABLE: '1',
    ...(process.env.FONTCONFIG_FILE && { FONTCONFIG_FILE: process.env.FONTCONFIG_FILE }), // for pictures
    MOZ_REMOTE_SETTINGS_DEVTOOLS: '1', // Without it a released Firefox ignores services.settings.server.
  },
  defaultViewport: null, // Firefox does not apply it to its first page.
  timeout: START_MS,
  handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false, // end() does it.
}).catch((e) => {
  end(running, `${browserName} did not start: ${e.message}`);
  return new Promise(() => {});
});
const start = Math.round(performance.now() - started);

/** Opens the page in this tab and goes through the steps. */
async function run(first, { url, seconds, steps }) {
  const report = running = blank();
  Object.assign(report.ms, { start, steps: [] });
  const context = first.browserContext();
  let page = first;
  let other; // The tab that was there before the latest.
  let cover; // The empty tab in front.
  let opening; // Only its failure counts: a page that streams, or waits for one of six connections, may never be loaded.
  let last; // What was tried last, for the error.

  async function watch(tab) {
    await tab.setViewport({ width: Number(width), height: Number(height) });
    tab.on('console', (message) => report.console.push(`${message.type()}: ${message.text()}`));
    // In Firefox also what the browser itself has to say, as "can’t establish a connection".
    tab.on('pageerror', (e) => report.console.push(`pageerror: ${e.message}`));
    tab.on('request', (request) => report.requests.push(request.url()));
    tab.on('response', (response) => report.responses.push(`${response.status()} ${response.url()}`));
    if (options.dark && !firefox) await tab.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
  }
  function go(tab) {
    opening = new Promise((_, reject) => {
      tab.goto(url, { timeout: 0, waitUntil: 'domcontentloaded' }).catch(reject);
    });
    opening.catch(() => {}); // perhaps after the last step
  }
  // Evaluated by the debugger, not as a function made in the page: a page's Content-Security-Policy
  // without 'unsafe-eval' would forbid that (it does forbid puppeteer's own waitForFunction).
  let over = false;
  async function poll(wanted) {
    while (!over) {
      last = { wanted };
      try {
        last.value = await page.evaluate(`location.href === 'about:blank' ? undefined : (${wanted}\n)`);
        if (last.value) return report.values.push(report.value = last.value);
      } catch (e) { last.exception = e.message; }
      await sleep(POLL_MS);
    }
  }
  async function lifecycle(state) {
    const session = await other.createCDPSession();
    await session.send('Page.setWebLifecycleState', { state });
  }
  const acts = {
    async '@tab'() { other = page; page = await context.newPage(); await watch(page); go(page); },
    async '@swap'() { [page, other] = [other, page]; await page.bringToFront(); },
    async '@crash'() { await other.goto('chrome://crash').catch(() => {}); },
    async '@freeze'() { await lifecycle('frozen'); },
    async '@thaw'() { await lifecycle('active'); },
    async '@close'() { await page.close(); page = first; await page.bringToFront(); },
    async '@hide'() { cover = await context.newPage(); await cover.bringToFront(); },
    async '@show'() { await cover.close(); await page.bringToFront(); },
    async '@phone'() { await page.setViewport({ width: 390, height: 844 }); },
    async '@dark'() { await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]); },
    async '@heap'() {
      const session = await page.createCDPSession();
      await session.send('HeapProfiler.enable');
      await session.send('HeapProfiler.collectGarbage');
      const { usedSize, backingStorageSize = 0 } = await session.send('Runtime.getHeapUsage');
      await session.detach();
      return `heap ${usedSize + backingStorageSize}`;
    },
    async '@axe'() {
      await page.evaluate(readFileSync(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8'));
      const found = await page.evaluate(`axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] })
        .then(({ violations, passes }) => ({
          wrong: violations.flatMap(({ id, nodes }) => nodes
            .map((node) => id + ' ' + node.target + ' ' + node.failureSummary)),
          right: passes.map(({ id }) => id),
        }))`);
      if (found.wrong.length > 0) throw new Error(found.wrong.join('; ').replaceAll('\n', ' '));
      if (!found.right.includes('color-contrast')) throw new Error('axe-core saw no text');
    },
  };
  const opened = performance.now();
  async function goThrough() {
    await watch(page);
    go(page);
    for (const wanted of steps) {
      if (wanted in acts) { last = { wanted }; report.values.push((await acts[wanted]()) ?? wanted); }
      else await Promise.race([poll(wanted), opening]);
      report.ms.steps.push(Math.round(performance.now() - opened));
      process.stderr.write(`reached ${report.values.length}\n`);
    }
  }
  let error = await Promise.race([
    goThrough().then(() => undefined, (e) => `${url}: ${e.message.split('\n', 1)}`),
    sleep(seconds * 1000).then(() => `not truthy within ${seconds} s: ${last?.wanted}`
      + (last?.exception ? `\nexception: ${last.exception}` : `\nvalue: ${JSON.stringify(last?.value)}`)),
  ]);
  over = true;
  if (error !== undefined) {
    const state = await Promise.race([page.evaluate(STATE), sleep(5000)]).catch((e) => e.message);
    error += `\npage: ${JSON.stringify(state)}`;
  }
  report.ms.page = Math.round(performance.now() - opened);
  return { report, error, page };
}

async function once() {
  const [url, seconds, expression] = operands;
  const [first] = await browser.pages();
  let { report, error, page } = await run(first, { url, seconds: Number(seconds), steps: [expression, ...options.then] });
  if (options.screenshot) { // Of a failure too: it often says why.
    const png = await Promise.race([page.screenshot().catch((e) => e), sleep(10_000)]);
    if (png instanceof Uint8Array) writeFileSync(options.screenshot, png);
    else error ??= `no screenshot: ${png?.message ?? 'nothing within 10 s'}`;
  }
  if (!firefox) {
    await Promise.race([browser.close(), sleep(10_000)]);
    try { report.network = asked(new URL(url).origin); } catch (e) { error ??= `no network log: ${e.message}`; }
  }
  end(report, error);
}

/** A tab that knows nothing of earlier runs, and what closes it. */
async function fresh(url) {
  if (firefox) {
    const context = await browser.createBrowserContext();
    return { tab: await context.newPage(), close: () => context.close() };
  }
  // A context costs Chromium as much as the page: a window, and another process.
  const before = await browser.pages();
  const tab = await browser.newPage();
  const session = await tab.createCDPSession();
  await session.send('Network.clearBrowserCache');
  await session.send('Network.clearBrowserCookies');
  await session.send('Storage.clearDataForOrigin', { origin: new URL(url).origin, storageTypes: 'all' });
  await session.detach();
  const added = async () => (await browser.pages()).filter((page) => !before.includes(page));
  return { tab, close: async () => { for (const page of await added()) await page.close(); } };
}

async function serve() {
  for await (const line of createInterface(process.stdin)) {
    const wanted = JSON.parse(line);
    const { tab, close } = await fresh(wanted.url);
    const { report, error } = await run(tab, wanted);
    if (error === undefined) await close();
    process.stderr.write(`report ${complete(report, error)}\n`);
  }
  end(running);
}
await (options.serve ? serve() : once());
