// The plan's rows: what is told of each, and how one is left out.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PHONE, broken, offered, onPage, picture, planned, settled, stage } from "./browser.js";
import { makeStore, sql, withoutTasks } from "./server.js";

const store = withoutTasks(makeStore());
const insert = (rows) => sql(store, `INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at, params_json) VALUES ${rows.join(",")}`);
const failed = (id, task, minute, params) =>
  `('${id}', '${task}', 'ended', 'failed', 3, 'cron', '2026-01-01T01:${String(minute).padStart(2, "0")}:00.000Z', '${params}')`;
insert(["a", "b", "c"].map((tenant, index) => failed(`tick-${tenant}`, `tick-${tenant}`, index, "{}")));
// One of the demo's many ids may have "sets" in it; none has a hyphen.
insert([0, 1, 2, 3, 4].map((n) => failed(`sets-${n}`, "sets-of", n * 10, `{"day":"monday","tenant":${n}}`)));
insert([...Array(25).keys()].map((n) => failed(`many-${String(n).padStart(2, "0")}`, `many-${String(n).padStart(2, "0")}`, n, "{}")));
const { server } = await stage(store);

const at = (search, more = "") => `#search=${search}${more}`;
const box = (page, name) => page.getByRole("checkbox", { name: `Run ${name},` });

test("a row that is not ticked is not run, and stays so while the plan is made anew", () => onPage(server.url, { path: at("tick-") }, async (page) => {
  await offered(page, "Re-run 3 tasks");
  await box(page, "tick-b").focus();
  await page.keyboard.press("Space");
  await offered(page, "Re-run 2 tasks");
  assert.ok(!(await box(page, "tick-b").isChecked()));
  // The keyboard is still where it was.
  assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), /^Run tick-b,/);
  assert.match(await page.textContent("#summary p"), /1 left out by hand/);
  assert.match(await page.locator("#curl pre").textContent(), /"except_groups":\[\{"task_name":"tick-b","rerun_of":"tick-b"\}\]/);
  await page.fill("[name=search]", "tick");
  await offered(page, "Re-run 2 tasks");
  assert.ok(!(await box(page, "tick-b").isChecked()));
  await picture(page, "desktop-light-rows-ticked");
  assert.deepEqual(await broken(page), []);

  // A newer failure of its task leaves it out as before, and it can be ticked again.
  insert([failed("tick-b2", "tick-b", 30, "{}")]);
  await page.uncheck("[name=skip_active]");
  await page.locator("#lists code", { hasText: "tick-b2" }).waitFor();
  assert.ok(!(await box(page, "tick-b").isChecked()));
  await box(page, "tick-b").check();
  await offered(page, "Re-run 3 tasks");
  await box(page, "tick-b").uncheck();
  await offered(page, "Re-run 2 tasks");

  await page.getByRole("checkbox", { name: "All rows" }).check();
  await offered(page, "Re-run 3 tasks");
  await page.getByRole("checkbox", { name: "All rows" }).uncheck();
  await page.getByRole("heading", { name: "Nothing to re-run" }).waitFor();
  await box(page, "tick-c").check();
  await offered(page, "Re-run 1 task");
  await page.click("#go");
  await page.waitForSelector("#result:not([hidden])");
  assert.equal(await page.textContent("#result h2"), "1 new run spawned");
  assert.equal(sql(store, "SELECT group_concat(task_name) FROM runs WHERE task_name LIKE 'tick-%' AND status = 'pending'").trim(), "tick-c");
  assert.equal(await page.locator("#result .skipped").getByText("left out by hand").count(), 2);
}));

test("a row tells when, how and how often; and where one run stands for several sets of parameters", () => onPage(server.url, { path: at("sets-") }, async (page) => {
  await offered(page, "Re-run 1 task");
  const cell = (name) => page.locator(`.planned tbody tr`).first().locator(`[data-label="${name}"]`);
  assert.equal(await cell("Created").textContent(), "2026-01-01 01:00:00 – 01:40:00");
  assert.equal(await cell("Ended").textContent(), "failed (3)");
  assert.equal(await cell("Runs").textContent(), "5");
  assert.match(await cell("Source run").textContent(), /1 of 5 sets of parameters/);
  await picture(page, "desktop-light-rows-sets");
  await page.getByRole("button", { name: "one run for each" }).click();
  await offered(page, "Re-run 5 runs");
  // What tells the rows apart comes first, and all of it is there.
  const params = page.locator(".planned .params");
  assert.equal(await params.nth(3).locator("summary").textContent(), "tenant: 3, day: monday");
  await params.nth(3).locator("summary").click();
  await params.nth(3).getByText('{"day":"monday","tenant":3}').waitFor();
  assert.equal(await page.getByText("sets of parameters").count(), 0);
  assert.deepEqual(await broken(page), []);
  await picture(page, "desktop-light-rows-parameters");
  // The newest succeeded: nothing by task, and the page says that there is more to it.
  sql(store, "UPDATE runs SET end_reason = 'succeeded' WHERE id = 'sets-4'");
  await page.fill("[name=status]", "failed");
  await page.getByText("Each task").click();
  await page.getByRole("heading", { name: "Nothing to re-run" }).waitFor();
  await page.locator(".skipped").getByText("1 of 4 sets of parameters").waitFor();
  await page.locator(".skipped").getByRole("button", { name: "one run for each" }).click();
  await offered(page, "Re-run 4 runs");
}));

test("many rows can be searched, and what is found be left out together", async () => {
  for (const options of [{}, { viewport: PHONE, colorScheme: "dark" }]) {
    await onPage(server.url, { ...options, path: at("many-") }, async (page) => {
      await offered(page, "Re-run 25 tasks");
      await page.fill("#find-rows", "many-1");
      assert.equal(await page.locator(".planned tbody tr").count(), 10);
      assert.equal(await planned(page), 25);
      await page.getByRole("checkbox", { name: "10 of 25 rows" }).uncheck();
      await offered(page, "Re-run 15 tasks");
      assert.equal(await page.inputValue("#find-rows"), "many-1");
      await page.fill("#find-rows", "");
      assert.equal(await page.locator(".planned tbody tr").count(), 25);
      assert.equal(await page.locator(".planned :checked").count(), 15);
      await settled(page);
      assert.deepEqual(await broken(page), []);
      await page.evaluate(() => document.querySelector("#plan").scrollIntoView());
      await picture(page, options.viewport ? "phone-dark-rows-many" : "desktop-light-rows-many");
      if (options.viewport) assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), PHONE.width);
    });
  }
});
