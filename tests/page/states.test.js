// The whole way through the page by keyboard alone, with what is focused always in sight, and axe in every state on it. In
// Firefox too: `npm run firefox`.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PHONE, broken, isFirefox, offered, onPage, picture, settled, stage } from "./browser.js";
import { makeStore, serve, sql, tool, withoutTasks } from "./server.js";

const store = withoutTasks(makeStore());
sql(store, "DELETE FROM runs");
const insert = (task, ...sets) => sets.forEach((set) => sql(store, `INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at, params_json)
  VALUES ('${task}-${set}', '${task}', 'ended', 'failed', 3, 'cron', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-${set} hours'), '{"tenant":${set}}')`));
for (let task = 10; task < 35; task++) insert(`task-${task}`, 2);
insert("invoices", 1, 2, 3);
tool("ledger", "create", ...store.arguments);
const tokens = join(store.folder, "tokens");
writeFileSync(tokens, "anna:horse\nscreen:battery:preview\n");
const { server } = await stage(store, { flags: ["--token-file", tokens] });

/** What has the focus, if it can be seen: not behind the bar, not outside the window, and marked as focused. */
const focus = (page) => page.evaluate(() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const name = at.getAttribute("aria-label") ?? at.labels?.[0]?.textContent.trim() ?? at.textContent.trim();
  const box = at.getBoundingClientRect();
  const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  const top = document.elementFromPoint(x, y);
  // A whole section may be higher than the window.
  const isSection = at.matches("section, [tabindex='-1'], pre");
  const isOver = top && !at.contains(top) && !top.contains(at) && !at.labels?.[0]?.contains(top) && !top.closest(".chart");
  const fault = isSection ? null : !top ? "outside" : isOver ? `behind ${top.tagName} ${top.id}` : null;
  // A handle's knob, and a part of a date, are marked by the browser's own rules.
  const place = at.closest(".modes label") ?? at;
  const isMarked = isSection || at.matches("[type=range], [type=datetime-local]") || getComputedStyle(place).outlineStyle !== "none";
  return { id: at.id || at.name, name, fault: fault ?? (isMarked ? null : "not marked") };
});

/** Presses Tab up to what is called so (by id, field or name); everything on the way can be seen. */
async function reach(page, wanted, key = "Tab") {
  const isIt = (at) => at && (wanted instanceof RegExp ? wanted.test(at.name) : at.id === wanted || at.name === wanted);
  const stops = [];
  for (let press = 0; press < 150; press++) {
    await page.keyboard.press(key);
    // It scrolls there.
    let at = await focus(page);
    for (let look = 0; at?.fault && look < 20; look++) {
      await page.waitForTimeout(50);
      at = await focus(page);
    }
    if (at) assert.equal(at.fault, null, `${at.id} ${at.name}`);
    stops.push(at?.id || at?.name);
    if (isIt(at)) return;
  }
  assert.fail(`${wanted} is not among ${stops}`);
}

/** At the top of the page again: beyond its last stop a browser without a window of its own may have none. */
const fromTheTop = (page) => page.locator(".skip").focus();

async function clean(page, state) {
  await settled(page);
  assert.deepEqual(await broken(page), [], state);
}

const stands = (page, words) => page.locator("#stands", { hasText: words }).waitFor();
const press = (page, ...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());

// One of them is enough for a second browser.
const WAYS = [["light", {}], ["dark, on a phone", { colorScheme: "dark", viewport: PHONE }]].slice(0, isFirefox ? 1 : 2);

for (const [name, options] of WAYS) {
  test(`the way from the token to the result: ${name}`, () => onPage(server.url, options, async (page) => {
    sql(store, "DELETE FROM runs WHERE status <> 'ended' OR id NOT LIKE '%-%'; DELETE FROM bulk_rerun_runs; DELETE FROM bulk_rerun_operations");
    await page.waitForSelector("#token-dialog[open]");
    await clean(page, "the token");
    await page.keyboard.type("wrong");
    await press(page, "Enter");
    await page.getByText("The token was not accepted").waitFor();
    await clean(page, "a wrong token");
    await press(page, "Escape");
    await page.getByText("A token is needed").waitFor();
    await clean(page, "no token");
    await reach(page, "Enter a token");
    await press(page, "Enter");
    await page.keyboard.type("battery");
    await press(page, "Enter");
    await page.getByText("Your token may only preview: previews work").waitFor();
    await clean(page, "previews only");
    await fromTheTop(page);
    await reach(page, "token-button");
    await press(page, "Enter");
    await page.keyboard.type("horse");
    await press(page, "Enter");
    await offered(page, "Re-run 26 tasks");

    // The form: what is wrong, what is everything, what is nothing.
    await fromTheTop(page);
    await reach(page, "limit");
    await page.keyboard.type("x");
    await page.waitForSelector("#limit-error:not(:empty)");
    await clean(page, "a wrong limit");
    await press(page, "Backspace");
    await page.keyboard.type("2");
    await page.getByText("24 more than the limit").first().waitFor();
    await clean(page, "over the limit");
    await press(page, "Backspace");
    await offered(page, "Re-run 26 tasks");
    await fromTheTop(page);
    await reach(page, "task_name");
    await page.keyboard.type("no-such-task");
    await page.getByRole("heading", { name: "No run matches" }).waitFor();
    await clean(page, "nothing");
    await press(page, "Control+a", "Delete");
    await offered(page, "Re-run 26 tasks");
    await fromTheTop(page);
    await reach(page, "status");
    await press(page, "Control+a", "Delete");
    await reach(page, "any time");
    await press(page, "Enter");
    await page.getByText("Yes, from every run in the store").waitFor();
    await clean(page, "everything");
    await reach(page, "really");
    await press(page, "Space");
    await offered(page);
    await fromTheTop(page);
    await reach(page, "mode");
    await press(page, "ArrowRight");
    await page.getByRole("heading", { name: "Which runs?" }).waitFor();
    await clean(page, "no ids");
    await reach(page, "ids");
    await page.keyboard.type("invoices-1 nobody");
    await offered(page, "Re-run 1 task");
    await clean(page, "ids");
    await fromTheTop(page);
    await reach(page, "mode");
    await press(page, "ArrowLeft");
    await reach(page, "failed");
    await press(page, "Enter");
    await reach(page, "24 h");
    await press(page, "Enter");
    await offered(page, "Re-run 26 tasks");
    await reach(page, /^More filters$/);
    await press(page, "Enter");
    await reach(page, "exit_code_min");

    // The picture, and the rows.
    await reach(page, "times-from");
    await press(page, "End");
    await page.waitForFunction(() => document.querySelector("[name=created_after]").value.length > 0);
    await settled(page);
    // The picture comes after the plan.
    await page.waitForFunction(() => !document.querySelector("#times-words").textContent.startsWith("About"));
    await press(page, "Home");
    await offered(page, "Re-run 26 tasks");
    await reach(page, /^As a table$/);
    await press(page, "Enter");
    await clean(page, "the table of times");
    await reach(page, "one run for each");
    await press(page, "Enter");
    await offered(page, "Re-run 28 runs");
    assert.equal((await focus(page)).id, "plan");
    await reach(page, /^All rows$/);
    await reach(page, "find-rows");
    await page.keyboard.type("task-1");
    await page.getByText("10 of 28 rows").waitFor();
    await clean(page, "rows that were looked for");
    await press(page, "Control+a", "Delete");
    await reach(page, /^Run task-11,/);
    await press(page, "Space");
    await offered(page, "Re-run 27 runs");
    assert.match((await focus(page)).name, /^Run task-11,/);
    await reach(page, /^tenant: 2$/);
    await press(page, "Enter");
    await clean(page, "one row left out, and the parameters of one");
    await reach(page, "Copy the link");
    await reach(page, /curl command$/);
    await press(page, "Enter");
    await clean(page, "commands");

    // One first, the rest, what came of it, and back.
    await reach(page, "one", "Shift+Tab");
    await press(page, "Enter");
    await stands(page, "0 of 1 succeeded, 1 pending");
    assert.equal((await focus(page)).id, "result");
    await clean(page, "one first");
    sql(store, "UPDATE runs SET status = 'ended', end_reason = 'failed', exit_code = 9 WHERE status = 'pending'");
    await stands(page, "0 of 1 succeeded, 1 failed");
    await clean(page, "one that failed again");
    await reach(page, "rest");
    await press(page, "Enter");
    await stands(page, "26 pending");
    await clean(page, "the rest");
    await picture(page, `states-${options.viewport ? "phone-dark" : "desktop-light"}-rest`);
    await reach(page, "Take back what has not begun");
    await press(page, "Enter");
    await page.getByRole("dialog", { name: "Take back what has not begun?" }).waitFor();
    await clean(page, "the question");
    await press(page, "Escape");
    assert.equal((await focus(page)).name, "Take back what has not begun");
    await press(page, "Enter", "Enter");
    await page.getByText("26 runs taken back.").waitFor();
    await clean(page, "taken back");
    await reach(page, /^What was re-run$/);
    await press(page, "Enter");
    await page.locator("#operations a").nth(1).waitFor();
    await clean(page, "the list of re-runs");
    await reach(page, /2026|20\d\d-|ago/);
    await press(page, "Enter");
    await stands(page, "26 undone");
    await clean(page, "an earlier re-run");
    await fromTheTop(page);
    await reach(page, "Select again");
    await press(page, "Enter");
    await settled(page);
    await clean(page, "selected again");
  }));
}

test("what changes meanwhile is told where the keyboard is, and axe finds nothing on it", () => onPage(server.url, { path: "#task_name=meanwhile" }, async (page) => {
  await page.waitForSelector("#token-dialog[open]");
  await page.keyboard.type("horse");
  await press(page, "Enter");
  await page.getByRole("heading", { name: "No run matches" }).waitFor();
  insert("meanwhile", 1);
  await reach(page, "any time");
  await press(page, "Enter");
  await offered(page, "Re-run 1 task");
  tool("rerun", ...store.arguments, "--task", "meanwhile", "--yes", "--json");
  await reach(page, "go");
  await press(page, "Enter");
  await page.getByText("The plan has changed").waitFor();
  await settled(page);
  assert.equal((await focus(page)).id, "plan");
  await clean(page, "a plan that has changed");
}));

test("axe finds nothing where the server is gone", async () => {
  const other = await serve(store);
  await onPage(other.url, { path: "#task_name=none" }, async (page) => {
    await page.getByRole("heading", { name: "No run matches" }).waitFor();
    await other.end();
    await reach(page, "status");
    await page.keyboard.type("timeout");
    await page.getByText("The server can't be reached").waitFor();
    await clean(page, "no server");
    await reach(page, "Try again");
  });
});
