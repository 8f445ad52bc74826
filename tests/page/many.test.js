// 2,000 rows whose names are as bad as a store may hold: the page stays as wide as its window, and each can be told apart.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PHONE, broken, offered, onPage, picture, settled, stage } from "./browser.js";
import { makeStore, sql, withoutTasks } from "./server.js";

/** Markup, what turns text around, no blank to break at, nothing at all, and what has no width. */
const KINDS = {
  markup: "'<img src=x onerror=alert(1)><b>' || i || '</b>&amp;</td></tr>'",
  bidi: "char(0x202E) || 'gnp.' || i || char(0x2066) || ' דוח'",
  long: "printf('%.*c', 246, 'W') || printf('%04d', i)",
  wide: "replace(printf('%.*c', 100, '-'), '-', '㍿') || i",
  marks: "'Z' || replace(printf('%.*c', 60, '-'), '-', char(0x0335, 0x0321, 0x0353)) || i",
  blank: "printf('%.*c', 1 + i / 10, ' ')",
  unseen: "'pay' || char(0x200B, 0xAD, 0x2060) || i || char(10) || 'x'",
  path: "'https://example.org/' || replace(printf('%.*c', 60, '-'), '-', 'a/') || i",
  number: "'-' || i",
  plain: "'task-' || i",
};

const store = withoutTasks(makeStore());
const kinds = Object.values(KINDS);
sql(store, `DELETE FROM runs; WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n LIMIT 2000)
  INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at, params_json)
  SELECT 'id-' || i, CASE i % ${kinds.length} ${kinds.map((name, kind) => `WHEN ${kind} THEN ${name}`).join(" ")} END, 'ended',
    iif(i % 7, 'failed', 'timeout'), i % 300, 'cron', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || (i / 4) || ' minutes'),
    json_object('text', ${KINDS.markup} || ${KINDS.long} || ${KINDS.bidi}, 'n', i) FROM n;
  INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at)
  VALUES ('empty', '', 'ended', 'failed', 1, 'cron', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 minutes'))`);
const { server } = await stage(store);

/** What is wider than its window, or than the cell that it is in. */
const overflow = (page) => page.evaluate(() => {
  const faults = [];
  if (document.documentElement.scrollWidth > innerWidth) faults.push(`the page: ${document.documentElement.scrollWidth} of ${innerWidth}`);
  for (const cell of document.querySelectorAll("#lists td, #lists summary, #result td")) {
    const { right } = cell.getBoundingClientRect();
    if (right > innerWidth + 1 || (cell.scrollWidth > cell.clientWidth + 1 && cell.clientWidth)) faults.push(cell.textContent.slice(0, 40));
  }
  return faults;
});

// As wide as a desktop, the same at 200 %, and a phone.
for (const [name, options] of [
  ["desktop", {}],
  ["200-percent", { viewport: { width: 640, height: 400 }, scale: 2 }],
  ["phone-dark", { viewport: PHONE, colorScheme: "dark" }],
]) {
  test(`2,000 rows with hostile names fit: ${name}`, () => onPage(server.url, options, async (page) => {
    await page.evaluate(() => (window.alert = () => (document.title = "alerted")));
    await offered(page, "Re-run 2,000 tasks");
    assert.deepEqual(await overflow(page), []);
    assert.equal(await page.locator("#lists img, #lists b").count(), 0);
    const names = await page.locator("#lists .planned [data-label=Task] .name").allTextContents();
    assert.equal(new Set(names).size, 200);
    for (const name of names) assert.doesNotMatch(name, /[\u200B\u00AD\u2060\u202E\u2066\n]|^ | $/);
    // The one without a name can't be started, and says why.
    await page.locator(".skipped").getByText("empty").first().waitFor();
    await picture(page, `many-${name}`);
    await page.locator("#lists").evaluate((lists) => lists.scrollIntoView());
    await picture(page, `many-${name}-rows`);
    const params = page.locator(".planned .params").nth(2);
    await params.locator("summary").click();
    await params.locator("pre").waitFor();
    assert.deepEqual(await overflow(page), []);
    await page.getByRole("button", { name: "Show all 2,000" }).click();
    assert.equal(await page.locator("#lists .planned tbody tr").count(), 2000);
    assert.deepEqual(await overflow(page), []);
    await picture(page, `many-${name}-all`);
    if (name === "desktop") {
      await page.fill("#find-rows", "<img src=x");
      // The first ones at once, the others in the next pause.
      await page.waitForFunction(() => document.querySelectorAll("#lists .planned tbody tr").length === 200);
      await settled(page);
      assert.deepEqual(await broken(page), []);
      await page.click("#go");
      await page.locator("#stands", { hasText: "2,000 pending" }).waitFor();
      assert.deepEqual(await overflow(page), []);
      await picture(page, `many-${name}-result`);
      sql(store, "DELETE FROM runs WHERE status = 'pending'");
    }
    assert.notEqual(await page.title(), "alerted");
  }));
}
