// How long the operator's page takes: 300,000 runs of which the last day's failures are of 2,000 tasks. From the folder
// tests/page, after `npm ci` there and `cargo build --release`:
//
//     BULK_RERUN=../../target/release/bulk-rerun node ../../benches/page.js
//
// BULK_RERUN_TEST_PAGE=../../src/http/page has the page's files from there, without a build.
//
// Goals: a preview within a second and typing within 50 ms, the picture of the night included.

import { createRequire } from "node:module";
import { join } from "node:path";

const TESTS = join(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "../tests/page");
const { chromium } = createRequire(join(TESTS, "x.js"))("playwright-core");
const { fromFolder } = await import(join(TESTS, "browser.js"));
const { discard, makeStore, serve, sql, withoutTasks } = await import(join(TESTS, "server.js"));

const RUNS = 300_000;
const TASKS = 2_000;
const TIMES = 5;

const store = withoutTasks(makeStore());
sql(store, `PRAGMA synchronous = off; DELETE FROM runs;
  WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n LIMIT ${RUNS})
  INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at, params_json)
  SELECT printf('01JRX3M7ZD7Q8M5T8E%08d', i), printf('task-%04d', i % ${TASKS}), 'ended', iif(i < 3 * ${TASKS}, 'failed', 'success'),
    iif(i < 3 * ${TASKS}, 1, 0), 'cron', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || (60 + i * 1000 / ${TASKS}) || ' seconds'),
    json_object('day', 'monday', 'tenant', i) FROM n`);
// The first are the newest: each task's last three runs failed, within the last hour.
const server = await serve(store);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
await fromFolder(page, server.url);
const isDone = () => !document.body.matches(".searching") && /^Re-run [\d,]+ /.test(document.querySelector("#go").textContent)
  && document.querySelector("#times-words strong")?.textContent.match(/^[\d,]+ failures/);
const median = (numbers) => numbers.sort((one, other) => one - other)[Math.floor(numbers.length / 2)];
const print = (what, numbers, goal) => console.log(`${what.padEnd(64)} ${median(numbers).toFixed(0).padStart(6)} ms   (goal: ${goal})`);

async function several(act) {
  const found = [];
  for (let time = 0; time < TIMES; time++) found.push(await act(time));
  return found;
}

const opened = await several(async () => {
  await page.goto("about:blank");
  const begin = performance.now();
  await page.goto(server.url);
  await page.waitForFunction(isDone);
  return performance.now() - begin;
});
print("the page is opened, up to its plan and picture", opened, "1,000");

await page.evaluate(() => (document.querySelector("#more").open = true));
const PAUSE_MS = 300;
const previews = await several(async (time) => {
  const begin = performance.now();
  const [plan, picture] = [true, false].map((withRuns) => page.waitForResponse((answer) => Boolean(answer.request().postDataJSON()?.options.with_runs) === withRuns));
  await page.fill("[name=search]", time % 2 ? "task-" : "task");
  await (await plan).finished();
  await (await picture).finished();
  await page.waitForFunction(isDone);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))));
  return performance.now() - begin - PAUSE_MS;
});
print("an edit of the form, after the pause of 300 ms", previews, "1,000");

/** How long the page is busy with each key: from the key to the next frame. */
async function typed(selector, text) {
  await page.evaluate(() => {
    window.keys = [];
    addEventListener("keydown", () => {
      const begin = performance.now();
      requestAnimationFrame(() => setTimeout(() => window.keys.push(performance.now() - begin)));
    }, { capture: true });
  });
  await page.focus(selector);
  for (const key of text) {
    await page.keyboard.press(key);
    await page.waitForTimeout(60);
  }
  const keys = await page.evaluate(() => window.keys);
  await page.waitForFunction(isDone);
  return keys;
}

await page.fill("[name=search]", "");
await page.waitForFunction(isDone);
print("a key in the form", await typed("[name=search]", "task-00"), "50");
await page.fill("[name=search]", "");
await page.waitForFunction(isDone);
await page.reload();
await page.waitForFunction(isDone);
print("a key in “Find in these rows”", await typed("#find-rows", "task-19"), "50");
await page.fill("#find-rows", "");
await page.getByRole("button", { name: "Show all" }).click();
print("a key in “Find in these rows”, all of them on show", await typed("#find-rows", "task-19"), "50");
await page.fill("#find-rows", "");
const asked = async (body) => {
  const begin = performance.now();
  const answer = await fetch(`${server.url}api/runs/bulk/rerun`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return [performance.now() - begin, text.length];
};
const match = { match_all: true, filter: { status: "failed,timeout,crashed", created_after: new Date(Date.now() - 24 * 3600e3).toISOString() } };
const plans = await several(() => asked({ ...match, options: { dry_run: true, with_runs: true, skip_active: true, skip_superseded: true } }));
print(`of that the server: the plan (${(plans[0][1] / 1024).toFixed(0)} kB of JSON)`, plans.map(([time]) => time), "–");
const pictures = await several(() => asked({ match_all: true, filter: { ...match.filter, created_after: new Date(Date.now() - 48 * 3600e3).toISOString() }, options: { dry_run: true, times: 120 } }));
print("of that the server: the picture", pictures.map(([time]) => time), "–");
await browser.close();
await server.end();
discard(store);
