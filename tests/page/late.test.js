// Answers that arrive late: nothing that has the focus is replaced by one, and no key that was pressed meanwhile is lost.

import assert from "node:assert/strict";
import { test } from "node:test";
import { offered, onPage, settled, stage } from "./browser.js";
import { makeStore, sql, tool, withoutTasks } from "./server.js";

const store = withoutTasks(makeStore());
const insert = (rows) => sql(store, `INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at, params_json) VALUES ${rows.join(",")}`);
const failed = (task, minute, params = "{}", id = task) =>
  `('${id}', '${task}', 'ended', 'failed', 3, 'cron', '2026-01-01T01:${String(minute).padStart(2, "0")}:00.000Z', '${params}')`;
insert([...Array(30).keys()].map((n) => failed(`late-${10 + n}`, n, `{"tenant":${n}}`)));
tool("ledger", "create", ...store.arguments);
const { server } = await stage(store);

const WINDOW = "created_after=2026-01-01T01:00:00.000Z&created_before=2026-01-01T02:00:00.000Z";
const LATE = { path: `#status=failed&search=late-&unique_by=run&${WINDOW}` };
const says = (page, words) => page.locator("#times-words strong", { hasText: words }).waitFor();
const focused = (page) => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);

/** What a test has the answers wait for: of dry runs, those with rows are plans, the others pictures. */
function gates(page) {
  const gate = { plan: null, picture: null };
  const prepare = page.route("**/api/runs/bulk/rerun", async (route) => {
    const { options } = route.request().postDataJSON();
    await gate[options.with_runs ? "plan" : "picture"]?.opens;
    // Whoever asked may not wait any more.
    await route.continue().catch(() => {});
  });
  const close = (name) => {
    let open;
    gate[name] = { opens: new Promise((resolve) => (open = resolve)), asked: page.waitForRequest((asked) => asked.method() === "POST" && Boolean(asked.postDataJSON().options.with_runs) === (name === "plan")) };
    return { asked: gate[name].asked, open: () => ((gate[name] = null), open()) };
  };
  return prepare.then(() => close);
}

test("a key on a handle is heard while the picture is on its way", () => onPage(server.url, LATE, async (page) => {
  await offered(page, "Re-run 30 runs");
  await says(page, /^30 failures/);
  const close = await gates(page);
  const picture = close("picture");
  await page.locator("#times-from").focus();
  await page.keyboard.press("End");
  await picture.asked;
  const moved = await page.inputValue("[name=created_after]");
  assert.notEqual(moved, "2026-01-01T01:00");
  await page.keyboard.press("Home");
  assert.notEqual(await page.inputValue("[name=created_after]"), moved);
  picture.open();
  await says(page, /^30 failures/);
  assert.equal(await focused(page), "times-from");
}));

test("a handle stays where it is dragged to while a plan arrives", () => onPage(server.url, LATE, async (page) => {
  await offered(page, "Re-run 30 runs");
  await says(page, /^30 failures/);
  const close = await gates(page);
  const plan = close("plan");
  await page.fill("[name=search]", "late");
  await plan.asked;
  await page.evaluate(() => document.querySelector("#times").scrollIntoView());
  const { x, y, width } = await page.locator(".chart").boundingBox();
  const handle = page.locator("#times-until");
  const [value, max] = await handle.evaluate(({ value, max }) => [value, max].map(Number));
  const at = (part) => x + 12 + (width - 24) * part;
  await page.mouse.move(at(value / max), y + 40);
  await page.mouse.down();
  await page.mouse.move(at(0.5), y + 40, { steps: 3 });
  const dragged = await handle.inputValue();
  plan.open();
  await settled(page);
  await says(page, /^\d+ failures/);
  assert.equal(await handle.inputValue(), dragged);
  await page.mouse.up();
  assert.equal(await handle.inputValue(), dragged);
  assert.notEqual(await page.inputValue("[name=created_before]"), "2026-01-01T02:00");
}));

/** The form is edited, and `act` done before its plan arrives; `rows` are there then. */
async function whileAPlanArrives(page, label, act) {
  const close = await gates(page);
  const plan = close("plan");
  await page.evaluate(() => {
    const box = document.querySelector("[name=skip_active]");
    box.checked = !box.checked;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await plan.asked;
  await act();
  plan.open();
  await offered(page, label);
}

test("who is in the plan's rows stays there when another plan arrives, and what was opened stays open", () => onPage(server.url, LATE, async (page) => {
  await offered(page, "Re-run 30 runs");
  const params = page.locator(".planned .params").nth(4);
  await params.locator("summary").focus();
  await page.keyboard.press("Enter");
  await whileAPlanArrives(page, "Re-run 31 runs", () => insert([failed("late-00", 5)]));
  assert.match(await focused(page), /^tenant: 4/);
  await page.getByText('{"tenant":4}').waitFor();

  // Somebody is typing, in the midst of what is there.
  const field = page.locator("#find-rows");
  await field.fill("late1");
  await page.keyboard.press("ArrowLeft");
  await whileAPlanArrives(page, "Re-run 32 runs", async () => {
    insert([failed("late-01", 5)]);
    await page.keyboard.down("-");
  });
  await page.keyboard.up("-");
  await page.keyboard.type("2");
  assert.equal(await field.inputValue(), "late-21");
  assert.equal(await focused(page), "find-rows");
  assert.equal(await page.locator(".planned tbody tr").count(), 1);

  // Fewer than are worth a search: the field goes, but not from under somebody's hands.
  sql(store, "DELETE FROM runs WHERE id LIKE 'late-0%'");
  await whileAPlanArrives(page, "Re-run 15 runs", () => sql(store, "UPDATE runs SET end_reason = 'success' WHERE task_name LIKE 'late-%' AND json_extract(params_json, '$.tenant') >= 15"));
  assert.equal(await focused(page), "find-rows");
}));

/** Two runs for each of three hundred tasks, of which every fiftieth succeeded, and one that runs. */
const prepare = () => sql(store, `WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 300)
  INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at, params_json)
  SELECT 'long-' || i || '-' || tenant, 'long-' || printf('%03d', i), 'ended', iif(i % 50, 'failed', 'success'), 1, 'cron', '2026-01-01T00:00:00.000Z', json_object('tenant', tenant)
  FROM n, (SELECT 1 AS tenant UNION SELECT 2);
  INSERT INTO runs (id, task_name, status, triggered_by, created_at, params_json) VALUES ('long-active', 'long-299', 'running', 'cron', '2025-01-01T00:00:00.000Z', '{"tenant":2}')`);

test("who is far down in a long list, or on a button of it, is there when another plan arrives", () => onPage(server.url, { path: "#status=failed&search=long-&skip_active=0", prepare }, async (page) => {
  await offered(page, "Re-run 294 tasks");
  await page.getByRole("button", { name: "Show all 294" }).click();
  const far = page.getByRole("checkbox", { name: "Run long-280," });
  await far.focus();
  await page.keyboard.press("Space");
  await offered(page, "Re-run 293 tasks");
  assert.equal(await page.evaluate(() => document.activeElement.labels.length + document.activeElement.getAttribute("aria-label")), "0Run long-280, long-280-2");
  assert.ok(!(await far.isChecked()));
  // A row that tells something else by now.
  await page.locator(".planned tr", { hasText: "long-004" }).getByRole("button", { name: "one run for each" }).focus();
  await whileAPlanArrives(page, "Re-run 292 tasks", () => insert([failed("long-004", 0, '{"tenant":1}', "long-000").replace("2026", "2025")]));
  assert.equal(await page.evaluate(() => document.activeElement.closest("tr").querySelector("[data-label=Task]").textContent), "long-004");
  assert.equal(await focused(page), "one run for each");
  // One that is left alone, with the word of what keeps it.
  await page.locator(".skipped").getByText("long-active").waitFor();
  await page.locator(".skipped tr", { hasText: "long-299" }).getByRole("button", { name: "one run for each" }).focus();
  await page.evaluate(() => (window.words = document.activeElement.closest("tr")));
  const close = await gates(page);
  const plan = close("plan");
  await page.keyboard.down("Space");
  await page.evaluate(() => document.querySelector("[name=search]").dispatchEvent(new Event("input", { bubbles: true })));
  await plan.asked;
  plan.open();
  await offered(page);
  assert.ok(await page.evaluate(() => window.words.isConnected && window.words.textContent.includes("long-active")));
  // The key is let go only now, and heard.
  await page.keyboard.up("Space");
  await page.waitForFunction(() => document.querySelector("[name=unique_by][value=params]").checked);
  assert.equal(await focused(page), "plan");
}));

test("where a button goes that has the focus, the keyboard stays on what it was about", () => onPage(server.url, { path: "#ids=late-10&mode=ids" }, async (page) => {
  await offered(page, "Re-run 1 task");
  await page.click("#go");
  await page.getByRole("button", { name: "Take back what has not begun" }).focus();
  sql(store, "UPDATE runs SET status = 'running' WHERE status = 'pending'");
  await page.locator("#stands", { hasText: "1 running" }).waitFor();
  assert.ok(await page.getByRole("button", { name: "Take back what has not begun" }).isHidden());
  assert.equal(await page.evaluate(() => document.activeElement.id), "result");
  // The list of what was re-run is looked at once more.
  await page.getByText("What was re-run").click();
  await page.locator("#operations a").first().focus();
  sql(store, "UPDATE runs SET status = 'ended', end_reason = 'success' WHERE status = 'running'");
  await page.getByText("What was re-run").evaluate((summary) => (summary.parentElement.open = false));
  await page.getByText("What was re-run").evaluate((summary) => (summary.parentElement.open = true));
  await page.locator("#operations a").first().focus();
  await page.locator(".became", { hasText: "1 of 1 succeeded" }).waitFor();
  assert.match(await page.evaluate(() => document.activeElement.getAttribute("href")), /^#operation=/);
}));
