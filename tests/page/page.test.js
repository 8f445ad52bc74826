// The operator's page in a real browser: filter, preview, re-run, result.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PHONE, offered, onPage, picture, planned, settled, somePlan, stage, title } from "./browser.js";
import { serve, sql, tool } from "./server.js";

const { store, server } = await stage();

test("what is shown is what runs, and the result names the new runs", () => onPage(server.url, {}, async (page) => {
  await somePlan(page);
  const number = await planned(page);
  assert.equal(await page.locator("#go").textContent(), `Re-run ${number} tasks`);
  assert.equal(await title(page).textContent(), `${number} new runs`);
  const tasks = await page.locator("#lists table:not(.skipped) td[data-label=Task]").allTextContents();
  assert.equal(tasks.length, number);
  assert.match(await page.locator("#summary p").textContent(), /^\d+ runs selected\. Left alone: .*\d+ succeeded since/);
  assert.ok(await page.locator(".skipped").getByText("a long-running service").isVisible());
  await picture(page, "desktop-light-preview");

  await page.click("#curl summary");
  const command = await page.locator("#curl pre").textContent();
  assert.match(command, /^curl -sS 'http:.*\/api\/runs\/bulk\/rerun' .*"expect_plan":"sha256:/s);

  await page.click("#go");
  await page.waitForSelector("#result:not([hidden])");
  assert.equal(await page.locator("#result h2").textContent(), `${number} new runs spawned`);
  const ids = await page.locator("#result code.new").allTextContents();
  assert.equal(new Set(ids).size, number);
  assert.equal(await page.evaluate(() => document.activeElement.id), "result");
  await picture(page, "desktop-light-result");
  const there = JSON.parse(tool("rerun", ...store.arguments, "--ids", ids.join(","), "--dry-run", "--json"));
  assert.deepEqual(there.planned.map((plan) => plan.task_name), tasks);

  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy the new ids" }).click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), ids.join("\n"));
  await page.getByRole("button", { name: "Select again" }).click();
  await page.waitForSelector("#plan:not([hidden])");
}));

test("all of its scripts are asked for at once: none waits for another one to name it", () => onPage(server.url, {}, async (page) => {
  await settled(page);
  const files = (texts) => [...new Set(texts.map((text) => text.split("/").pop()).filter((name) => name.endsWith(".js")))].sort();
  const loaded = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name));
  const named = await page.locator("link[rel=modulepreload], script").evaluateAll((all) => all.map(({ href, src }) => href ?? src));
  assert.deepEqual(files(named), files(loaded));
}));

test("nothing that matches, and nothing that is asked for", () => onPage(server.url, {}, async (page) => {
  await page.fill("[name=task_name]", "no-such-task");
  await page.getByRole("heading", { name: "No run matches" }).waitFor();
  assert.ok(await page.locator("#action").isHidden());
  await picture(page, "desktop-light-empty");
  await page.getByText("By id").click();
  await page.getByRole("heading", { name: "Which runs?" }).waitFor();
}));

test("a plan that has changed meanwhile spawns nothing, and is shown anew", () => onPage(server.url, {}, async (page) => {
  await page.getByRole("button", { name: "any time" }).click();
  await page.fill("[name=status]", "");
  await page.fill("[name=task_name]", "archive-documents");
  await offered(page, "Re-run 1 task");
  tool("rerun", ...store.arguments, "--task", "archive-documents", "--yes", "--json");
  await page.click("#go");
  await page.getByText("The plan has changed").waitFor();
  await picture(page, "desktop-light-changed");
  assert.ok(await page.locator("#action").isHidden());
  assert.ok(await page.locator(".skipped").getByText("pending or running").isVisible());
  assert.equal(await page.evaluate(() => document.activeElement.id), "plan");
}));

test("a server that is gone is said to be gone", async () => {
  const other = await serve(store);
  await onPage(other.url, {}, async (page) => {
    await settled(page);
    await other.end();
    await page.uncheck("[name=skip_active]");
    await page.getByText("The server can't be reached").waitFor();
    await picture(page, "desktop-light-gone");
    assert.ok(await page.getByRole("button", { name: "Try again" }).isVisible());
  });
});

test("a phone has room for all of it, in light and in dark", async () => {
  for (const colorScheme of ["light", "dark"]) {
    await onPage(server.url, { viewport: PHONE, colorScheme, scale: 2 }, async (page) => {
      await somePlan(page);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), PHONE.width);
      await picture(page, `phone-${colorScheme}-form`);
      await page.locator("#lists").scrollIntoViewIfNeeded();
      await page.evaluate(() => document.querySelector("#plan").scrollIntoView());
      await picture(page, `phone-${colorScheme}-preview`);
      assert.ok(await page.locator("#go").isVisible());
      await page.click("#go");
      await page.waitForSelector("#result:not([hidden])");
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), PHONE.width);
      await picture(page, `phone-${colorScheme}-result`);
    });
  }
});

test("after a re-run an edit of the form brings the preview back", () => onPage(server.url, {}, async (page) => {
  await somePlan(page);
  await page.click("#go");
  await page.waitForSelector("#result:not([hidden])");
  await page.fill("[name=task_name]", "nightly-invoices");
  await offered(page, "Re-run 1 task");
  assert.ok(await page.locator("#go").isVisible());
  assert.ok(await page.locator("#result").isHidden());
}));

test("lines of one task are told apart by when their runs were created", () => onPage(server.url, { path: "#task_name=nightly-invoices&status=failed&unique_by=run&skip_active=0&skip_superseded=0" }, async (page) => {
  await offered(page);
  const ids = await page.locator("#lists td[data-label='Source run'] code").allTextContents();
  const times = await page.locator("#lists td[data-label='Created'] time").evaluateAll((times) => times.map((time) => time.dateTime));
  assert.ok(ids.length > 1 && new Set(times).size > 1);
  for (const [index, id] of ids.entries()) {
    // The demo's older runs have the time as Go writes it: "2026-09-02 04:00:00.5 +0200 CEST m=+1.5".
    const created = sql(store, `SELECT created_at FROM runs WHERE id = '${id}'`).trim();
    const [, day, time, hours, minutes] = created.match(/^(\S{10})[ T](\d\d:\d\d:\d\d)(?:\.\d+)? ?(?:([+-]\d\d):?(\d\d))?/);
    const instant = Date.parse(`${day}T${time}${hours ? `${hours}:${minutes}` : "Z"}`);
    assert.ok(Math.abs(Date.parse(times[index]) - instant) < 2000, `${times[index]} is not ${created}`);
  }
}));

test("without a clipboard the text alone is copied, or else selected", () => onPage(server.url, {}, async (page) => {
  await somePlan(page);
  await page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
  const selected = () => page.evaluate(() => {
    const field = document.activeElement;
    return field.value.slice(field.selectionStart, field.selectionEnd);
  });
  await page.evaluate(() => (document.execCommand = () => false));
  await page.click("#curl summary");
  await page.locator("#curl").getByRole("button", { name: "Copy" }).click();
  assert.equal(await selected(), await page.locator("#curl pre").textContent());
  await page.click("#go");
  await page.waitForSelector("#result:not([hidden])");
  await page.getByRole("button", { name: "Copy the new ids" }).click();
  assert.equal(await selected(), (await page.locator("#result code.new").allTextContents()).join("\n"));
  assert.ok(await page.getByRole("button", { name: "Press Ctrl+C" }).isVisible());
  await picture(page, "desktop-light-copy");
}));
