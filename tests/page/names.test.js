// Names that a store may hold and an eye can't read: they are shown for what they are, and change nothing around them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { offered, onPage, picture, stage } from "./browser.js";
import { makeStore, sql, withoutTasks } from "./server.js";

/** Name, and what is to be seen. */
const NAMES = [
  ["pay-\u202Esecioni\u202C", "pay-⟦U+202E⟧secioni⟦U+202C⟧"],
  ["pay\u200Binvoices", "pay⟦U+200B⟧invoices"],
  ["pay\u00ADinvoices", "pay⟦U+00AD⟧invoices"],
  ["pay\u2066invoices", "pay⟦U+2066⟧invoices"],
  ["pay\u3164invoices", "pay⟦U+3164⟧invoices"],
  ["pay\u00A0invoices", "pay⟦U+00A0⟧invoices"],
  ["pay\ninvoices", "pay⟦U+000A⟧invoices"],
  ["pay-invoices ", "pay-invoices⟦U+0020⟧"],
  ["pay\u{E0041}invoices", "pay⟦U+E0041⟧invoices"],
  // What can be read stays as it is.
  ["דוח 2", "דוח 2"],
  ["支払い é", "支払い é"],
  ["<b>bold</b> & co", "<b>bold</b> & co"],
];

const store = withoutTasks(makeStore());
// Their ids would turn around what follows them.
for (const [index, [name]] of NAMES.entries()) {
  sql(store, `INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at)
    VALUES ('names-${index}\u202E', '${name}', 'ended', 'failed', 1, 'cron', '2026-01-01T00:00:0${index % 10}.000Z')`);
}
const { server } = await stage(store);

test("what can't be seen in a name is shown, on the plan and on the result", () => onPage(server.url, { path: "#search=names-&skip_active=0" }, async (page) => {
  await offered(page);
  const shown = async (place) => (await page.locator(`${place} td[data-label=Task]`).allTextContents()).sort();
  const expected = NAMES.map(([, seen]) => seen).sort();
  assert.deepEqual(await shown("#lists"), expected);
  assert.equal(await page.locator("#lists td[data-label='Source run'] code").first().textContent().then((id) => id.replace(/\d+/, "N")), "names-N⟦U+202E⟧");
  await picture(page, "desktop-light-names");
  // Each text keeps its direction to itself, and the lines are in the page's own.
  for (const part of await page.locator("#lists td :is(.name, code)").all()) {
    const { unicodeBidi } = await part.evaluate((element) => ({ unicodeBidi: getComputedStyle(element).unicodeBidi }));
    assert.match(unicodeBidi, /isolate/);
  }
  // A command that is copied means the same, and has nothing unseen in it.
  await page.fill("[name=task_name]", NAMES[0][0]);
  await offered(page, "Re-run 1 task");
  const command = await page.locator("#curl pre").textContent();
  assert.match(command, /"task_name":"pay-\\u202esecioni\\u202c"/);
  assert.doesNotMatch(command, /[\u202A-\u202E\u2066-\u2069]/);

  await page.fill("[name=task_name]", "");
  await offered(page, `Re-run ${NAMES.length} tasks`);
  await page.click("#go");
  await page.waitForSelector("#result:not([hidden])");
  assert.deepEqual(await shown("#result"), expected);
  await picture(page, "desktop-light-names-result");
}));

test("a link's own words can't turn a message around", () => onPage(server.url, { path: "#status=failed&skip_active=%E2%80%AEyes" }, async (page) => {
  await page.waitForSelector("#notice:not([hidden])");
  assert.match(await page.textContent("#notice"), /skip_active=⟦U\+202E⟧yes, which this form can't hold/);
  assert.doesNotMatch(await page.locator("main").textContent(), /\u202E/);
}));
