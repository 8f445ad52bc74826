// What was re-run, as the page lists it where the store has a ledger; and how it is undone.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PHONE, broken, offered, onPage, picture, planned, settled, somePlan, stage } from "./browser.js";
import { makeStore, serve, sql, tool } from "./server.js";

const store = makeStore();
tool("ledger", "create", ...store.arguments.slice(0, 2));
const { server } = await stage(store);

const pending = (name) => Number(sql(store, `SELECT count(*) FROM runs WHERE task_name = '${name}' AND status = 'pending'`));
const list = (page) => page.locator("#history > summary").click();
const first = (page) => page.locator("#operations > ul > li").first();

/** Re-runs a task's newest run, and answers the operation's id. */
function rerun(task, ...flags) {
  return JSON.parse(tool("rerun", ...store.arguments, "--task", task, "--yes", "--json", ...flags)).operation_id;
}

test("what the page re-runs is listed, and its undo asks first", () => onPage(server.url, {}, async (page) => {
  await list(page);
  await page.getByText("Nothing yet.").waitFor();
  await somePlan(page);
  const number = await planned(page);
  await page.click("#go");
  await page.waitForSelector("#result:not([hidden])");
  const ids = await page.locator("#result code.new").allTextContents();
  const line = first(page).locator("summary");
  await line.waitFor();
  assert.match(await line.textContent(), new RegExp(`^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d · http · ${number} new runs$`));
  await line.click();
  await first(page).getByText(`${number} pending`).waitFor();
  assert.deepEqual(await first(page).locator("code.new").allTextContents(), ids);

  // One that a worker has begun, and one that it has done.
  sql(store, `UPDATE runs SET status = 'running' WHERE id = '${ids[0]}';
    UPDATE runs SET status = 'ended', end_reason = 'failed', exit_code = 3 WHERE id = '${ids[1]}'`);
  await picture(page, "desktop-light-history");
  const undo = first(page).getByRole("button", { name: "Undo…" });
  for (const leave of [() => page.keyboard.press("Escape"), () => page.getByRole("button", { name: "Keep" }).click()]) {
    await undo.click();
    await page.getByRole("dialog", { name: "Take back what has not begun?" }).waitFor();
    await leave();
    assert.equal(sql(store, "SELECT count(*) FROM bulk_rerun_operations WHERE undone_at IS NOT NULL").trim(), "0");
  }
  await undo.click();
  await picture(page, "desktop-light-undo");
  await page.getByRole("button", { name: "Take back" }).click();
  await first(page).getByText(`${number - 2} runs taken back, 2 kept.`).waitFor();
  assert.match(await first(page).locator(".operation > p").textContent(), new RegExp(`1 failed, 1 running, ${number - 2} undone`));
  assert.ok(await first(page).getByText("failed (exit code 3)").isVisible());
  assert.match(await line.textContent(), /new runs · undone$/);
  assert.equal(await undo.count(), 0);
  assert.match(await page.evaluate(() => document.activeElement.textContent), /taken back/);
  await picture(page, "desktop-light-undone");
}));

test("who, why and how many are told, the newest first, and the plan follows an undo", () => onPage(server.url, {}, async (page) => {
  const words = "disk\u202Efull <b>";
  rerun("archive-documents", "--reason", words, "--actor", "אנה");
  await page.fill("[name=status]", "");
  await page.getByRole("button", { name: "any time" }).click();
  await page.fill("[name=task_name]", "archive-documents");
  await settled(page);
  assert.deepEqual(await page.locator(".skipped tbody td:last-child").allTextContents(), ["pending or running"]);
  await list(page);
  const line = first(page).locator("summary");
  await line.waitFor();
  assert.match(await line.textContent(), /· אנה · 1 new run · disk⟦U\+202E⟧full <b>$/);
  for (const part of await line.locator("bdi").all()) {
    assert.match(await part.evaluate((element) => getComputedStyle(element).unicodeBidi), /isolate/);
  }
  await line.click();
  await first(page).getByRole("button", { name: "Undo…" }).click();
  await page.getByRole("button", { name: "Take back" }).click();
  await first(page).getByText("1 run taken back.").waitFor();
  assert.equal(pending("archive-documents"), 0);
  await offered(page, "Re-run 1 task");
}));

test("axe finds nothing on the list, nor in its question, and a phone has room for it", async () => {
  rerun("archive-documents");
  for (const options of [{}, { colorScheme: "dark" }, { viewport: PHONE }]) {
    await onPage(server.url, options, async (page) => {
      await list(page);
      await first(page).locator("summary").click();
      const undo = first(page).getByRole("button", { name: "Undo…" });
      await undo.waitFor();
      await settled(page);
      assert.deepEqual(await broken(page), []);
      await page.locator("#history").evaluate((list) => list.scrollIntoView());
      await picture(page, `history-${options.colorScheme ?? "light"}-${options.viewport ? "phone" : "desktop"}`);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), (options.viewport ?? { width: 1280 }).width);
      // By keyboard alone.
      await undo.focus();
      await page.keyboard.press("Enter");
      await page.getByRole("dialog").waitFor();
      assert.deepEqual(await broken(page), []);
      await page.keyboard.press("Escape");
      assert.match(await page.evaluate(() => document.activeElement.textContent), /Undo/);
    });
  }
});

test("a token for previews looks, and is not offered an undo; who has another one is", async () => {
  const id = rerun("nightly-invoices");
  const file = join(store.folder, "tokens");
  writeFileSync(file, "anna:horse\nscreen:battery:preview\n");
  const other = await serve(store, { flags: ["--token-file", file, "--wire", "camel"] });
  await onPage(other.url, {}, async (page) => {
    await page.getByText("This server asks for a token").waitFor();
    assert.ok(await page.locator("#history").isHidden());
    await page.keyboard.type("battery");
    await page.keyboard.press("Enter");
    await list(page);
    await first(page).locator("summary").click();
    await first(page).getByText("1 pending").waitFor();
    assert.equal(await page.getByRole("button", { name: "Undo…" }).count(), 0);
    await page.getByRole("button", { name: "Token", exact: true }).click();
    await page.fill("#token", "horse");
    await page.keyboard.press("Enter");
    await first(page).locator("details:not([open]) summary").click();
    await first(page).getByRole("button", { name: "Undo…" }).click();
    // Somebody else was quicker.
    await fetch(`${other.url}api/runs/bulk/operations/${id}/undo`, { method: "POST", headers: { Authorization: "Bearer horse" } });
    await page.getByRole("button", { name: "Take back" }).click();
    await first(page).getByText("Nothing was left to take back.").waitFor();
    assert.ok(await first(page).getByText("1 undone").isVisible());
  });
  await other.end();
});

test("what can't be told or undone is said", () => onPage(server.url, {}, async (page) => {
  rerun("nightly-invoices");
  await list(page);
  await first(page).locator("summary").click();
  await first(page).getByRole("button", { name: "Undo…" }).click();
  sql(store, "CREATE TRIGGER stays BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'runs stay'); END");
  await page.getByRole("button", { name: "Take back" }).click();
  await first(page).getByRole("alert").getByText("runs stay").waitFor();
  assert.ok(await first(page).getByText("1 pending").isVisible());
  sql(store, "DROP TRIGGER stays");
  await first(page).getByRole("button", { name: "Undo…" }).click();
  tool("ledger", "drop", ...store.arguments.slice(0, 2));
  await page.getByRole("button", { name: "Take back" }).click();
  await first(page).getByRole("alert").getByText("the store has no ledger").first().waitFor();
  await page.reload();
  await page.waitForSelector("#store bdi");
  assert.ok(await page.locator("#history").isHidden());
}));
