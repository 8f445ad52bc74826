// A plan is handed on: as a link that knows its plan, and as commands that do the same.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { broken, offered, onPage, picture, settled, stage } from "./browser.js";
import { makeStore, sql, withoutTasks } from "./server.js";

const store = withoutTasks(makeStore());
const insert = (id, task, params = "{}") => sql(store, `INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at, params_json)
  VALUES ('${id}', '${task}', 'ended', 'failed', 3, 'cron', '2026-01-01T00:00:07.250Z', '${params}')`);
for (const letter of ["a", "b", "c"]) insert(`hand-${letter}`, `hand-${letter} it''s`);
for (const [index, task] of ["bidi-\u202Egnp", "-bidi-flag", "bidi-plain"].entries()) insert(`bidi-${index}`, task);
const { server } = await stage(store);

const untick = (page, name) => page.getByRole("checkbox", { name: `Run ${name}` }).uncheck();
const link = (page) => page.locator("#copy-link").evaluate((button) => button.dataset.link);
const TOOL = process.env.BULK_RERUN ?? join(import.meta.dirname ?? ".", "../../target/debug/bulk-rerun");

/** What a command of the page would do, as a shell reads it. */
function carriedOut(command) {
  const script = `bulk-rerun() { "${TOOL}" "$@" --dry-run --json; }\n${command}`;
  return JSON.parse(execFileSync("bash", ["-c", script], { encoding: "utf8", env: { ...process.env, BULK_RERUN_STORE: "" } }));
}

test("a link has the ticks and the plan with it, and says when it is no longer that plan", async () => {
  let sent;
  await onPage(server.url, { path: "#search=hand-" }, async (page) => {
    await offered(page, "Re-run 3 tasks");
    await untick(page, "hand-b");
    await offered(page, "Re-run 2 tasks");
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: "Copy the link" }).click();
    await page.getByRole("button", { name: "Copied" }).waitFor();
    sent = await page.evaluate(() => navigator.clipboard.readText());
    assert.ok(sent.startsWith(server.url));
    // A reload has the ticks, too, and is nobody's plan.
    await page.reload();
    await offered(page, "Re-run 2 tasks");
    assert.ok(await page.locator("#notice").isHidden());
  });
  const path = sent.slice(server.url.length);
  await onPage(server.url, { path }, async (page) => {
    await offered(page, "Re-run 2 tasks");
    await page.getByText("This is the plan that was sent to you.").waitFor();
    assert.ok(!(await page.getByRole("checkbox", { name: "Run hand-b" }).isChecked()));
    assert.deepEqual(await broken(page), []);
    await picture(page, "desktop-light-sent");
  });
  insert("hand-d", "hand-d");
  await onPage(server.url, { path, colorScheme: "dark" }, async (page) => {
    await offered(page, "Re-run 3 tasks");
    await page.getByText("This is no longer the plan that was sent to you.").waitFor();
    await settled(page);
    assert.deepEqual(await broken(page), []);
    await picture(page, "desktop-dark-no-longer-sent");
    await page.reload();
    await page.getByText("This is no longer the plan that was sent to you.").waitFor();
    // Whoever edits it makes a plan of their own.
    await page.fill("[name=search]", "hand-a");
    await offered(page, "Re-run 1 task");
    assert.ok(await page.locator("#notice").isHidden());
  });
  await onPage(server.url, { path: "#search=hand-&except_group=%5B1%5D" }, async (page) => {
    await page.getByText(/except_group=\[1\], which this form can't hold/).first().waitFor();
    await settled(page);
    assert.ok(await page.locator("#go").isHidden());
  });
});

test("a command means just the plan that is on show", async () => {
  for (const [path, name, number, expected] of [
    ["#search=hand-&status=failed,timeout&created_after=2026-01-01T00:00:07.250Z&created_before=2026-01-01T00:00:07.250Z", "hand-a", 4, /--status failed,timeout \\\n.*--search hand- .*--until 2026-01-01T00:00:07\.250999999Z .*--except-group 'hand-a it'\\''s' hand-a .*--skip-superseded .*--skip-active/s],
    ["#mode=ids&ids=hand-a+hand-c&unique_by=run&skip_active=0&skip_superseded=0", null, 2, /--ids hand-a,hand-c .*--unique-by run/s],
    ["#exit_code_min=3&exit_code_max=3&search=hand-&except_ids=hand-b&limit=9&retries_only=0", null, 3, /--exit-code 3\.\.3 .*--except hand-b .*--limit 9/s],
    ["#search=hand-&except_tasks=hand-b+it's%0A%0A+hand-a+it's", null, 2, /--except-task 'hand-b it'\\''s' .*--except-task 'hand-a it'\\''s'/s],
    // Names that would be unseen, or a flag, are sent as JSON.
    ["#search=bidi-&unique_by=params", "bidi-⟦U+202E⟧gnp", 3, /^printf '%s' '.*\\u202e.*' \|\n  bulk-rerun rerun --store \S+ --selector - --yes$/s],
    ["#search=bidi-", "-bidi-flag", 3, /--selector -/],
  ]) {
    await onPage(server.url, { path }, async (page) => {
      await offered(page);
      if (name) await untick(page, name);
      const left = name ? number - 1 : number;
      await offered(page, new RegExp(`^Re-run ${left} (task|run)s?$`));
      const command = await page.locator("#command pre").textContent();
      assert.match(command, expected);
      const plan = carriedOut(command);
      assert.equal(plan.planned.length, left, command);
      const digest = (await link(page)).match(/plan=([^&]+)/)[1];
      assert.equal(plan.plan, decodeURIComponent(digest), command);
    });
  }
});

test("no command is offered before the page knows the store's name", async () => {
  let answer;
  const prepare = (page) => page.route("**/page/store.json", async (route) => {
    await new Promise((resolve) => (answer = resolve));
    await route.continue();
  });
  await onPage(server.url, { path: "#search=bidi-", prepare }, async (page) => {
    await page.getByRole("button", { name: "Re-run 3 tasks" }).waitFor();
    assert.ok(await page.locator("#hand-on").isHidden());
    answer();
    await offered(page, "Re-run 3 tasks");
    assert.equal(carriedOut(await page.locator("#command pre").textContent()).planned.length, 3);
  });
});

test("a plan of everything says so, and another one is not carried out", () => onPage(server.url, { path: "#status=&skip_active=0" }, async (page) => {
  await settled(page);
  await page.check("#really");
  await offered(page);
  await page.locator("#command summary").click();
  const command = await page.locator("#command pre").textContent();
  assert.match(command, /--all /);
  await picture(page, "desktop-light-command");
  insert("late", "late");
  const script = `bulk-rerun() { "${TOOL}" "$@" --yes --json; }\n${command}`;
  assert.throws(() => execFileSync("bash", ["-c", script], { encoding: "utf8", stdio: "pipe" }), (error) => JSON.parse(error.stdout).status === 409);
}));
