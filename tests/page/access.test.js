// The page by keyboard and for a screen reader.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PHONE, broken, offered, onPage, picture, settled, somePlan, stage } from "./browser.js";
import { discard, makeStore, serve, sql, withoutTasks } from "./server.js";

const { store, server } = await stage();

test("the keyboard is enough", () => onPage(server.url, {}, async (page) => {
  await somePlan(page);
  // From the top of the page again.
  await page.reload();
  await offered(page);
  const seen = [];
  for (let press = 0; press < 60 && !seen.includes("go"); press++) {
    await page.keyboard.press("Tab");
    seen.push(await page.evaluate(() => document.activeElement.id || document.activeElement.name));
  }
  for (const stop of ["status", "created_after", "task_name", "unique_by", "skip_active", "limit", "go"]) {
    assert.ok(seen.includes(stop), `${stop} is not among ${seen}`);
  }
  await picture(page, "desktop-light-focus");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#result:not([hidden])");
}));

test("the API's description is shown without a network", () => onPage(server.url, { path: "docs" }, async (page) => {
  await page.getByText("/api/runs/bulk/rerun").first().click();
  await page.getByText("What failed that night").first().waitFor({ state: "attached" });
  await picture(page, "docs");
  assert.equal(await page.locator(".errors-wrapper, .version-pragma__message").count(), 0);
  // Swagger UI's own: its grey, its buttons in a button, and a level of headings that it leaves out.
  const own = /^(color-contrast|nested-interactive|heading-order):/;
  assert.deepEqual((await broken(page)).filter((rule) => !own.test(rule)), []);
}));

test("axe finds nothing on the page, whatever it shows", async () => {
  for (const options of [{}, { colorScheme: "dark" }, { viewport: PHONE }]) {
    await onPage(server.url, options, async (page) => {
      await somePlan(page);
      await page.click("#curl summary");
      assert.deepEqual(await broken(page), []);
      await page.fill("[name=limit]", "1");
      await page.waitForSelector("#limit-error:not(:empty)");
      await settled(page);
      assert.deepEqual(await broken(page), []);
      await page.fill("[name=limit]", "");
      await page.fill("[name=status]", " , ");
      await page.getByRole("button", { name: "any time" }).click();
      await settled(page);
      await page.getByText("Yes, from every run in the store").waitFor();
      assert.deepEqual(await broken(page), []);
      await page.getByRole("button", { name: "24 h" }).click();
      await page.fill("[name=status]", "failed");
      await offered(page);
      await page.click("#go");
      await page.waitForSelector("#result:not([hidden])");
      await settled(page);
      assert.deepEqual(await broken(page), []);
    });
  }
});

test("the rest of a long list is read on where it begins", async () => {
  const long = withoutTasks(makeStore());
  sql(long, `WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 250)
    INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at)
    SELECT 'many-' || i, 'many-' || printf('%03d', i), 'ended', 'failed', 1, 'cron', '2026-01-01T00:00:00.000Z' FROM n`);
  const other = await serve(long);
  await onPage(other.url, { path: "#search=many-" }, async (page) => {
    await page.getByRole("button", { name: "Show all 250" }).click();
    assert.match(await page.evaluate(() => document.activeElement.textContent), /^many-201/);
    assert.equal(await page.locator("#lists tbody tr").count(), 250);
  });
  await other.end();
  discard(long);
});
