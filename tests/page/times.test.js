// The picture of the night: the runs over time, and the window on it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PHONE, broken, onPage, picture, settled, stage } from "./browser.js";
import { makeStore, sql, withoutTasks } from "./server.js";

const store = withoutTasks(makeStore());
// Every ten minutes from 01:00 to 04:50, two hours' worth of them timeouts; and one on the evening before.
const runs = [...Array(24).keys()].map((n) => {
  const at = `2026-01-02T0${1 + Math.floor(n / 6)}:${n % 6}0:00.000Z`;
  return `('night-${String(n).padStart(2, "0")}', 'night', 'ended', '${n < 12 ? "failed" : "timeout"}', 1, 'cron', '${at}', '{}')`;
});
sql(store, `INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at, params_json) VALUES ${runs.join(",")},
  ('night-99', 'night', 'ended', 'failed', 1, 'cron', '2026-01-01T20:00:00.000Z', '{}')`);
const { server } = await stage(store);

const NIGHT = "#task_name=night&created_after=2026-01-02T00:00:00.000Z&created_before=2026-01-02T06:00:00.000Z";
const says = (page, words) => page.locator("#times-words strong", { hasText: words }).waitFor();
const number = (page) => page.locator("#summary p").textContent();

test("the runs are shown over time, around the window too, and as a table", () => onPage(server.url, { path: NIGHT }, async (page) => {
  await says(page, /^24 failures from 2026-01-02 01:00 to 04:50$/);
  assert.deepEqual(await page.locator("#times-words .kind").allTextContents(), ["failed", "timeout"]);
  assert.equal(await page.locator("#times-bars .kind-2").count(), 12);
  assert.equal(await page.textContent("#times-first"), "2026-01-01 20:00");
  await page.locator("#times summary").click();
  await settled(page);
  const rows = await page.locator("#times-table tbody tr").allTextContents();
  const sums = rows.map((row) => row.slice(16).split("").map(Number).reduce((sum, one) => sum + one));
  assert.equal(sums.reduce((sum, one) => sum + one), 25);
  assert.equal(rows[0], "2026-01-01 20:0010");
  assert.deepEqual(await broken(page), []);
}));

test("a handle is a time field: by keyboard", () => onPage(server.url, { path: NIGHT }, async (page) => {
  await says(page, /^24 failures/);
  const from = page.getByRole("slider", { name: "Window from" });
  const until = page.getByRole("slider", { name: "Window until" });
  await until.focus();
  for (let press = 0; press < 30; press++) await page.keyboard.press("ArrowLeft");
  await says(page, /^About \d+ failures/);
  const end = await until.getAttribute("aria-valuetext");
  await says(page, /^(?!About|24)\d+ failures from 2026-01-02 01:00 to 0\d:\d0$/);
  await settled(page);
  assert.equal((await page.inputValue("[name=created_before]")).slice(0, 13), new Date(Date.parse(`${end.replace(" ", "T")}:00Z`)).toISOString().slice(0, 13));
  // The other end is as it was, the keyboard where it was, and the frame the same.
  assert.equal(await page.inputValue("[name=created_after]"), "2026-01-02T00:00");
  assert.equal(await page.evaluate(() => document.activeElement.id), "times-until");
  assert.equal(await page.textContent("#times-first"), "2026-01-01 20:00");
  const [, selected] = (await number(page)).match(/^(\d+) runs selected/);
  assert.ok(Number(selected) < 24);
  await from.focus();
  await page.keyboard.press("Home");
  await says(page, new RegExp(`^${Number(selected) + 1} failures from 2026-01-01 20:00 to 2026-01-02 0`));
  await page.getByRole("button", { name: "any time" }).click();
  await says(page, /^25 failures/);
  await page.getByText("By id").click();
  assert.ok(await page.locator("#times").isHidden());
}));

test("a handle can be dragged, on a screen of either kind", async () => {
  for (const options of [{}, { colorScheme: "dark" }, { viewport: PHONE }, { viewport: PHONE, colorScheme: "dark" }]) {
    await onPage(server.url, { ...options, path: NIGHT }, async (page) => {
      await says(page, /^24 failures/);
      await page.evaluate(() => document.querySelector("#times").scrollIntoView());
      const { x, y, width } = await page.locator(".chart").boundingBox();
      const [value, max] = await page.locator("#times-from").evaluate((handle) => [Number(handle.value), Number(handle.max)]);
      const at = (part) => x + 12 + (width - 24) * part;
      await page.mouse.move(at(value / max), y + 40);
      await page.mouse.down();
      await page.mouse.move(at(0.8), y + 40, { steps: 5 });
      await page.mouse.up();
      await says(page, /^(?!About|24)\d+ failures from 2026-01-02 0\d:\d0 to 04:50$/);
      await settled(page);
      await picture(page, `${options.viewport ? "phone" : "desktop"}-${options.colorScheme ?? "light"}-times`);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), (options.viewport ?? { width: 1280 }).width);
      assert.deepEqual(await broken(page), []);
    });
  }
});
