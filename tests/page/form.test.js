// The form, and the links that fill it: what it means is what is asked for, and never more.

import assert from "node:assert/strict";
import { test } from "node:test";
import { offered, onPage, picture, planned, settled, somePlan, stage, title } from "./browser.js";
import { sql } from "./server.js";

const { store, server } = await stage();

test("the preview follows the form, and the address keeps it", () => onPage(server.url, {}, async (page) => {
  await somePlan(page);
  await page.fill("[name=task_name]", "nightly-invoices");
  await offered(page, "Re-run 1 task");
  await page.getByText("Task and parameters").click();
  await offered(page, /^Re-run \d+ runs$/);
  const number = await planned(page);
  await page.reload();
  await offered(page);
  assert.equal(await planned(page), number);
  assert.equal(await page.inputValue("[name=task_name]"), "nightly-invoices");

  await page.getByRole("button", { name: "any time" }).click();
  await page.fill("[name=task_name]", "");
  await page.getByRole("button", { name: "crashed" }).click();
  await settled(page);
  assert.equal(await page.inputValue("[name=status]"), "failed, timeout");
  const runs = await page.locator("#lists td[data-label='Source run'] code").first().textContent();
  await page.getByText("By id").click();
  await page.fill("[name=ids]", `${runs}, 01HELLO`);
  await offered(page, "Re-run 1 run");
  assert.ok(await page.locator(".skipped").getByText("there is no such run").isVisible());
}));

test("a task completes from what failed, also once another one is chosen", () => onPage(server.url, {}, async (page) => {
  await somePlan(page);
  const shown = await page.locator("#lists .name").allTextContents();
  await page.fill("[name=task_name]", "nightly-invoices");
  await offered(page, "Re-run 1 task");
  const tasks = await page.locator("[name=task_name]").evaluate(({ list }) => [...list.options].map(({ value }) => value));
  assert.deepEqual(tasks.sort(), [...new Set(shown)].sort());
  assert.ok(tasks.length > 1);
}));

test("every run in the store is only meant on purpose", () => onPage(server.url, { colorScheme: "dark" }, async (page) => {
  await page.fill("[name=status]", "");
  await page.getByRole("button", { name: "any time" }).click();
  await page.getByText("Yes, from every run in the store").waitFor();
  assert.ok(await page.locator("#go").isDisabled());
  await settled(page);
  await picture(page, "desktop-dark-everything");
  await page.check("#really");
  assert.ok(await page.locator("#go").isEnabled());
  // Another selection is another question.
  await page.fill("[name=task_name]", "x");
  await page.fill("[name=task_name]", "");
  await page.getByText("Yes, from every run in the store").waitFor();
  assert.ok(await page.locator("#go").isDisabled());
}));

test("a wrong value is marked at its field", () => onPage(server.url, {}, async (page) => {
  await page.click("#more summary");
  await page.fill("[name=exit_code_min]", "abc");
  await page.fill("[name=limit]", "0");
  await page.waitForSelector("#exit_code_min-error:not(:empty)");
  await page.waitForSelector("#limit-error:not(:empty)");
  assert.match(await page.locator("#exit_code_min-error").textContent(), /expected an integer/);
  assert.equal(await page.getAttribute("[name=limit]", "aria-invalid"), "true");
  await picture(page, "desktop-light-invalid");
  await page.fill("[name=limit]", "1");
  await page.fill("[name=exit_code_min]", "");
  await page.uncheck("[name=skip_active]");
  await page.waitForFunction(() => /more than the limit/.test(document.querySelector("#limit-error").textContent));
}));

/** What the page says once it has looked. */
async function said(page) {
  await settled(page);
  return { title: await title(page).textContent(), isOpen: await page.locator("#go").isVisible() && await page.locator("#go").isEnabled() };
}

test("a link with a filter that says nothing means every run, and has to be confirmed", async () => {
  for (const blank of ["status=%2C", "status=+%2C+%2C", "task_name=++", "search=+", "triggered_by=%09", "status=%2C&search=++", "except_ids=01X"]) {
    await onPage(server.url, { path: `#${blank}&skip_active=0` }, async (page) => {
      const { isOpen } = await said(page);
      assert.ok(!isOpen, blank);
      assert.ok(await page.getByText("Yes, from every run in the store").isVisible(), blank);
      if (!blank.startsWith("except")) {
        assert.ok(await page.getByText("There is no word in this: it is no condition.").first().isVisible(), blank);
      }
      await page.check("#really");
      await offered(page);
      assert.match(await page.locator("#curl pre").textContent(), /"match_all":true,"filter":\{\}/);
    });
  }
});

test("half a date is no time at all: nothing is searched or run until it is whole", () => onPage(server.url, {}, async (page) => {
  await somePlan(page);
  for (const name of ["created_before", "created_after"]) {
    await page.locator(`[name=${name}]`).focus();
    // One is begun, a whole one loses its month.
    await page.keyboard.press("Backspace");
    if (name === "created_before") await page.keyboard.type("1125");
    await page.waitForSelector(`#${name}-error:not(:empty)`);
    assert.equal(await page.textContent(`#${name}-error`), "this date or time is not complete");
    assert.ok(!(await said(page)).isOpen);
    assert.equal(await page.getAttribute(`[name=${name}]`, "aria-invalid"), "true");
    if (name === "created_before") await picture(page, "desktop-light-half-a-date");
    await page.getByRole("button", { name: "7 d" }).click();
    await offered(page);
  }
}));

test("a link made by hand has what it does not say as the form has it at first", () => onPage(server.url, { path: "#status=failed" }, async (page) => {
  await settled(page);
  assert.ok(await page.isChecked("[name=skip_active]"));
  assert.ok(await page.isChecked("[name=skip_superseded]"));
  assert.ok(await page.isChecked("[name=unique_by][value=task]"));
  assert.equal(await page.inputValue("[name=status]"), "failed");
  assert.equal(await page.inputValue("[name=created_after]"), "");
  // Another one, in the same tab.
  await page.evaluate(() => (location.hash = "#unique_by=run&skip_active=0&task_name=nightly-invoices"));
  await page.waitForFunction(() => document.querySelector("[name=task_name]").value === "nightly-invoices");
  assert.ok(!(await page.isChecked("[name=skip_active]")));
  assert.ok(await page.isChecked("[name=skip_superseded]"));
  assert.equal(await page.inputValue("[name=status]"), "");
}));

test("what a link says and the form can't hold is told, and nothing is searched without it", async () => {
  for (const [link, place] of [
    ["status=failed&created_after=yesterday", "#created_after-error"],
    ["status=failed&stauts=timeout", "#notice"],
    ["status=failed&unique_by=tenant", "#notice"],
    ["status=failed&skip_active=yes", "#notice"],
  ]) {
    await onPage(server.url, { path: `#${link}` }, async (page) => {
      assert.ok(!(await said(page)).isOpen, link);
      assert.match(await page.textContent(place), /which this form can't hold/, link);
      await page.uncheck("[name=skip_active]");
      await offered(page);
    });
  }
});

test("the skip link leads to the preview, and is no saved form", async () => {
  await onPage(server.url, {}, async (page) => {
    await settled(page);
    const before = await page.evaluate(() => location.hash);
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "plan");
    assert.equal(await page.evaluate(() => location.hash), before);
  });
  await onPage(server.url, { path: "#plan" }, async (page) => {
    await settled(page);
    assert.equal(await page.inputValue("[name=status]"), "failed, timeout, crashed");
    assert.ok(await page.isChecked("[name=skip_active]"));
    assert.ok(await page.isChecked("[name=skip_superseded]"));
    // Nor is it one in a page that has been used.
    await page.uncheck("[name=skip_active]");
    await page.evaluate(() => (location.hash = "#plan"));
    await settled(page);
    assert.ok(!(await page.isChecked("[name=skip_active]")));
    assert.ok(await page.isChecked("[name=skip_superseded]"));
  });
});

test("a time copied from a run includes that run, as `from` and as `until`", () => onPage(server.url, { path: "#created_after=2099-01-01T00:00:00.000Z" }, async (page) => {
  const [id, created] = sql(store, `SELECT id, created_at FROM runs WHERE end_reason = 'failed' AND created_at LIKE '%.%'
    AND created_at NOT LIKE '%:00.%' AND created_at NOT LIKE '%.000Z' ORDER BY created_at DESC LIMIT 1`).trim().split("|");
  assert.match(created, /\.\d+Z$/);
  await page.fill("[name=created_after]", created.slice(0, 19));
  await page.fill("[name=created_before]", created.slice(0, 19));
  await page.getByText("Each run").click();
  await page.uncheck("[name=skip_active]");
  await page.uncheck("[name=skip_superseded]");
  await page.locator("#lists code", { hasText: id }).waitFor();
  // So it is when the link is opened again.
  await page.reload();
  await page.locator("#lists code", { hasText: id }).waitFor();
  assert.equal(await page.inputValue("[name=created_before]"), created.slice(0, 19));
}));

test("above the limit the plan stays, and the button does not work", () => onPage(server.url, {}, async (page) => {
  await somePlan(page);
  const number = await planned(page);
  await page.fill("[name=limit]", "2");
  await page.waitForSelector("#limit-error:not(:empty)");
  assert.equal(await page.textContent("#limit-error"), `${number} new runs: ${number - 2} more than the limit`);
  assert.equal(await page.locator("#lists table:not(.skipped) tbody tr").count(), number);
  assert.ok(await page.locator("#go").isDisabled());
  await picture(page, "desktop-light-limit");
  await page.fill("[name=limit]", String(number));
  await offered(page);
  assert.match(await page.locator("#curl pre").textContent(), new RegExp(`"limit":${number}`));
}));
