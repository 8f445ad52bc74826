// Somebody on call, at the page, at three in the morning: what is wanted then, and in how many steps it is had. A step is a
// click, or a text that is typed. The same at a terminal is in tests/command_line_night.rs; the list's eighth is for cron.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PHONE, offered, onPage, picture, settled, stage, title } from "./browser.js";
import { postgres } from "./postgres.js";
import { makeStore, serve, sql, tool, withoutTasks } from "./server.js";

const TASKS = ["backup", "import", "mail", "report", "search-index", "sync"];
const ROWS = "INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at, params_json)";
const at = (minutes) => `strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-5 hours', '+${minutes} minutes')`;
const row = (id, task, minutes, end = "failed", params = "{}") => `('${id}', '${task}', 'ended', '${end}', ${end === "failed" ? 1 : 0}, 'cron', ${at(minutes)}, '${params}')`;

/** Six tasks failed, one after the other, and the invoices of 39 tenants; those of the fortieth, which came last, did not. */
function badNight() {
  sql(store, `DELETE FROM runs; DELETE FROM bulk_rerun_operations; DELETE FROM bulk_rerun_runs; ${ROWS} VALUES ${[
    ...TASKS.map((task, number) => row(`${task}-1`, task, number)),
    ...[...Array(40).keys()].map((tenant) => row(`invoice-${tenant}`, "invoices", 60 + tenant, tenant === 39 ? "success" : "failed", `{"day":"monday","tenant":${tenant}}`)),
  ].join(",")}`);
}

const store = withoutTasks(makeStore());
tool("ledger", "create", ...store.arguments);
badNight();
const { server } = await stage(store);

const pending = (place = store) => sql(place, "SELECT task_name FROM runs WHERE status = 'pending' ORDER BY task_name").trim().split("\n").filter(Boolean);
const end = (task, reason) => sql(store, `UPDATE runs SET status = 'ended', end_reason = '${reason}', exit_code = ${reason === "success" ? 0 : 3} WHERE status = 'pending' AND task_name = '${task}'`);
const stands = (page, words) => page.locator("#stands", { hasText: words }).waitFor();

/** Opens the page, and does there what somebody would in so many steps. */
const inSteps = (steps, options, act, url = server.url) => onPage(url, options, async (page) => {
  let taken = 0;
  const step = (act) => (...words) => ((taken += 1), act(...words));
  await act(page, {
    clicks: step((name, role = "button") => (role === "text" ? page.getByText(name) : page.getByRole(role, { name, exact: true })).click()),
    types: step((label, text) => page.getByLabel(label, { exact: true }).fill(text)),
    enters: step(async (text) => {
      await page.keyboard.type(text);
      await page.keyboard.press("Enter");
    }),
  });
  assert.equal(taken, steps);
});

test("task 1: what failed, and from when to when: no step", () => inSteps(0, {}, async (page) => {
  await offered(page, "Re-run 6 tasks");
  const [from, to] = sql(store, "SELECT substr(min(created_at), 12, 5), substr(max(created_at), 12, 5) FROM runs WHERE end_reason = 'failed'").trim().split("|");
  // With its day where that is not today.
  await page.locator("#times-words strong", { hasText: new RegExp(`^45 failures from (\\S+ )?${from} to (\\S+ )?${to}$`) }).waitFor();
  assert.deepEqual(await page.locator(".planned [data-label=Task]").allTextContents(), TASKS);
  await picture(page, "night-1-what-failed");
}));

test("task 2: all but two tasks: 3 steps", () => inSteps(3, {}, async (page, { clicks }) => {
  await offered(page, "Re-run 6 tasks");
  await clicks(/^Run report,/, "checkbox");
  await clicks(/^Run sync,/, "checkbox");
  await offered(page, "Re-run 4 tasks");
  await clicks("Re-run 4 tasks");
  await stands(page, "0 of 4 succeeded, 4 pending");
  assert.deepEqual(pending(), TASKS.filter((task) => !["report", "sync"].includes(task)));
}));

test("task 3: one task for 39 of 40 tenants, their parameters seen first: 3 steps", () => inSteps(3, {}, async (page, { clicks, types }) => {
  badNight();
  await types("Task", "invoices");
  await page.getByRole("heading", { name: "Nothing to re-run" }).waitFor();
  await settled(page);
  assert.match(await page.locator(".skipped tbody").textContent(), /succeeded since.*1 of 39 sets of parameters/);
  await clicks("one run for each");
  await offered(page, "Re-run 39 runs");
  const tenants = [...Array(39).keys()];
  assert.deepEqual(await page.locator(".planned .params summary").allTextContents(), tenants.map((tenant) => `tenant: ${tenant}, day: monday`).sort((one, other) => order(one, other)));
  await picture(page, "night-3-tenants");
  await clicks("Re-run 39 runs");
  await stands(page, "0 of 39 succeeded, 39 pending");
  // Whose each is can still be seen.
  await page.locator("#result tr", { hasText: /invoice-7\D/ }).getByText("tenant: 7, day: monday").waitFor();
  const started = sql(store, "SELECT json_extract(params_json, '$.tenant') FROM runs WHERE status = 'pending'").trim().split("\n").map(Number);
  assert.deepEqual(started.sort((one, other) => one - other), tenants);
}));

/** The rows come by their source runs' ids, bytewise. */
const order = (one, other) => {
  const [a, b] = [one, other].map((text) => `invoice-${text.match(/\d+/)[0]}`);
  return a < b ? -1 : Number(a > b);
};

test("one tenant's row that is not ticked is that tenant's, and nobody else's: 4 steps", () => inSteps(4, { path: "#task_name=invoices&status=failed&unique_by=params" }, async (page, { clicks, types }) => {
  badNight();
  await page.reload();
  await offered(page, "Re-run 39 runs");
  await types("Find in these rows", "tenant\":7}");
  await clicks(/^Run invoices, invoice-7$/, "checkbox");
  await offered(page, "Re-run 38 runs");
  await types("Find in these rows", "");
  assert.equal(await page.locator(".planned :checked").count(), 38);
  await clicks("Re-run 38 runs");
  await stands(page, "0 of 38 succeeded");
  assert.equal(sql(store, "SELECT count(*) FROM runs WHERE status = 'pending' AND json_extract(params_json, '$.tenant') = 7").trim(), "0");
}));

test("task 4: one first, and then the rest: 2 steps", () => inSteps(2, {}, async (page, { clicks }) => {
  badNight();
  await page.reload();
  await offered(page, "Re-run 6 tasks");
  await clicks("Try one first");
  await stands(page, "0 of 1 succeeded, 1 pending");
  assert.deepEqual(pending(), ["backup"]);
  end("backup", "success");
  await stands(page, "1 of 1 succeeded");
  await picture(page, "night-4-one-first");
  await clicks("Re-run the rest (5)");
  await stands(page, "0 of 5 succeeded, 5 pending");
  assert.deepEqual(pending(), TASKS.slice(1));
}));

test("task 5: did they succeed, and the one that did not once more: 3 steps", () => inSteps(3, {}, async (page, { clicks }) => {
  badNight();
  await page.reload();
  await offered(page, "Re-run 6 tasks");
  await clicks("Re-run 6 tasks");
  await stands(page, "0 of 6 succeeded, 6 pending");
  for (const task of TASKS) end(task, task === "mail" ? "failed" : "success");
  await stands(page, "5 of 6 succeeded, 1 failed");
  await page.waitForFunction(() => document.title.startsWith("5 of 6 succeeded, 1 failed"));
  await picture(page, "night-5-came-out");
  await clicks("Re-run the one that failed again");
  await offered(page, "Re-run 1 run");
  await clicks("Re-run 1 run");
  await stands(page, "0 of 1 succeeded, 1 pending");
  assert.deepEqual(pending(), ["mail"]);
}));

test("task 6: a wrong one is taken back: at once in 2 steps, later in 4", async () => {
  await inSteps(4, {}, async (page, { clicks }) => {
    badNight();
    await page.reload();
    await offered(page, "Re-run 6 tasks");
    await clicks("Try one first");
    await stands(page, "1 pending");
    await clicks("Take back what has not begun");
    await clicks("Take back");
    await page.getByText("1 run taken back.").waitFor();
    assert.deepEqual(pending(), []);
    await clicks("Re-run the rest (5)");
    await stands(page, "5 pending");
  });
  await inSteps(4, {}, async (page, { clicks }) => {
    await page.locator("#history").waitFor();
    await settled(page);
    await clicks("What was re-run", "text");
    const newest = page.locator("#operations a").first();
    await newest.waitFor();
    await clicks(await newest.textContent(), "link");
    await clicks("Take back what has not begun");
    await clicks("Take back");
    await page.getByText("5 runs taken back.").waitFor();
    assert.deepEqual(pending(), []);
  });
});

test("task 7: a colleague did it already: no step", () => inSteps(0, {}, async (page) => {
  badNight();
  tool("rerun", ...store.arguments, "--status", "failed", "--since", "24h", "--except-task", "invoices", "--actor", "anna", "--yes", "--json");
  await page.reload();
  await page.getByRole("heading", { name: "Nothing to re-run" }).waitFor();
  await page.locator("#recent", { hasText: /re-run .*, by anna/ }).waitFor();
  assert.equal(await page.locator(".skipped").getByText("pending or running").count(), 6);
  await picture(page, "night-7-anna-did");
}));

test("task 9: a job of PostgreSQL's, with a token, from a phone: 2 steps", async (context) => {
  const database = await postgres(context, "que-2.4.sql");
  database.sql(`INSERT INTO que_jobs (job_class, error_count, expired_at, job_schema_version, run_at, args)
    SELECT 'Invoice', 15, now(), 2, now() - interval '2 hours', jsonb_build_array(n) FROM generate_series(1, 3) n`);
  const other = await serve({ arguments: ["--store", database.url] }, { token: "s3cret" });
  context.after(other.end);
  await inSteps(2, { viewport: PHONE, colorScheme: "dark", scale: 2 }, async (page, { clicks, enters }) => {
    await page.getByText("This server asks for a token").waitFor();
    await enters("s3cret");
    await offered(page, "Re-run 1 task");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), PHONE.width);
    await picture(page, "night-9-phone");
    await clicks("Re-run 1 task");
    await stands(page, "0 of 1 succeeded, 1 pending");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), PHONE.width);
    assert.equal(database.sql("SELECT args FROM que_jobs WHERE expired_at IS NULL").trim(), "[3]");
  }, other.url);
});

test("task 10: the selection is shared: 1 step, and 1 of the colleague's", async () => {
  badNight();
  let link;
  await inSteps(1, {}, async (page, { clicks }) => {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await offered(page, "Re-run 6 tasks");
    await clicks("Copy the link");
    await page.getByRole("button", { name: "Copied" }).waitFor();
    link = await page.evaluate(() => navigator.clipboard.readText());
  });
  await inSteps(1, { path: link.slice(server.url.length) }, async (page, { clicks }) => {
    await offered(page, "Re-run 6 tasks");
    await page.getByText("This is the plan that was sent to you.").waitFor();
    await clicks("Re-run 6 tasks");
    await stands(page, "6 pending");
  });
  await inSteps(0, { path: link.slice(server.url.length) }, async (page) => {
    await page.getByText("This is no longer the plan that was sent to you.").waitFor();
  });
});

test("task 11: 2,000 tasks in the plan, without some of them: 3 steps", () => inSteps(3, {}, async (page, { clicks, types }) => {
  badNight();
  sql(store, `DELETE FROM runs; WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n LIMIT 2000)
    ${ROWS} SELECT 'run-' || i, 'task-' || printf('%04d', i), 'ended', 'failed', 1, 'cron', ${at(0)}, '{}' FROM n`);
  await page.reload();
  await offered(page, "Re-run 2,000 tasks");
  await types("Find in these rows", "task-19");
  await clicks(/^100 of 2,000 rows/, "checkbox");
  await offered(page, "Re-run 1,900 tasks");
  await picture(page, "night-11-many");
  await clicks("Re-run 1,900 tasks");
  await stands(page, "0 of 1,900 succeeded, 1,900 pending");
  assert.deepEqual([pending().length, pending().filter((task) => task.startsWith("task-19")).length], [1900, 0]);
}));

test("task 12: the store is busy, the token wrong, the server started anew: nothing is lost, and 1 step more each", async () => {
  badNight();
  const file = join(store.folder, "tokens");
  writeFileSync(file, "anna:horse\n");
  const flags = ["--token-file", file, "--busy-timeout", "200ms"];
  let other = await serve(store, { flags });
  const { port } = new URL(other.url);
  await inSteps(5, {}, async (page, { clicks, enters }) => {
    await page.getByText("This server asks for a token").waitFor();
    await enters("hrose");
    await page.getByText("The token was not accepted").waitFor();
    await page.fill("#token", "");
    await enters("horse");
    await offered(page, "Re-run 6 tasks");

    const writer = await locked();
    await clicks("Re-run 6 tasks");
    await page.locator("#notice", { hasText: /busy|in use/ }).waitFor();
    await picture(page, "night-12-busy");
    await writer.release();
    assert.deepEqual(pending(), []);

    await other.end();
    await clicks("Try again");
    await page.getByText("The server can't be reached").waitFor();
    other = await serve(store, { flags, port });
    await clicks("Try again");
    await offered(page, "Re-run 6 tasks");
    assert.equal(await title(page).textContent(), "6 new runs");
  }, other.url);
  await other.end();
});

/** Somebody else holds the store's write lock. */
async function locked() {
  const writer = spawn("sqlite3", [store.arguments[1]], { stdio: ["pipe", "pipe", "inherit"] });
  writer.stdin.write("BEGIN IMMEDIATE;\n.print has it\n");
  await new Promise((resolve) => writer.stdout.once("data", resolve));
  const ended = new Promise((resolve) => writer.on("exit", resolve));
  return { release: () => (writer.stdin.end("ROLLBACK;\n"), ended) };
}
