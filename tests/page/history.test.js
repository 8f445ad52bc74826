// What was re-run, as the page lists it where the store has a ledger; and how it is taken back.

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
const undo = (page) => page.getByRole("button", { name: "Take back what has not begun" });
const takeBack = (page) => page.getByRole("button", { name: "Take back", exact: true }).click();
const stands = (page, words) => page.locator("#stands", { hasText: words }).waitFor();

/** Re-runs a task's newest run, and answers the operation's id. */
function rerun(task, ...flags) {
  return JSON.parse(tool("rerun", ...store.arguments, "--task", task, "--yes", "--json", ...flags)).operation_id;
}

test("what the page re-runs is listed, and taking back asks first", () => onPage(server.url, {}, async (page) => {
  await list(page);
  await page.getByText("Nothing yet.").waitFor();
  await somePlan(page);
  const number = await planned(page);
  await page.click("#go");
  await stands(page, `0 of ${number} succeeded, ${number} pending`);
  const ids = await page.locator("#result code.new").allTextContents();
  const line = first(page).locator("a");
  await line.waitFor();
  assert.match(await line.textContent(), new RegExp(`^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d · http · ${number} new runs$`));

  // One that a worker has begun, and one that it has done.
  sql(store, `UPDATE runs SET status = 'running' WHERE id = '${ids[0]}';
    UPDATE runs SET status = 'ended', end_reason = 'failed', exit_code = 3 WHERE id = '${ids[1]}'`);
  for (const leave of [() => page.keyboard.press("Escape"), () => page.getByRole("button", { name: "Keep" }).click()]) {
    await undo(page).click();
    await page.getByRole("dialog", { name: "Take back what has not begun?" }).waitFor();
    await leave();
    assert.equal(sql(store, "SELECT count(*) FROM bulk_rerun_operations WHERE undone_at IS NOT NULL").trim(), "0");
  }
  await undo(page).click();
  await picture(page, "desktop-light-undo");
  await takeBack(page);
  await page.getByText(`${number - 2} runs taken back, 2 kept.`).waitFor();
  await stands(page, `0 of ${number} succeeded, 1 failed, 1 running, ${number - 2} undone`);
  assert.ok(await page.locator("#result td").getByText("failed (3)").isVisible());
  assert.ok(await undo(page).isHidden());
  assert.match(await page.evaluate(() => document.activeElement.textContent), /taken back/);
  await picture(page, "desktop-light-undone");
  // What became of it is told by the list, too; and a line of it leads back here.
  await page.reload();
  await list(page);
  await first(page).getByText(`0 of ${number} succeeded, 1 failed, 1 running, ${number - 2} undone`).waitFor();
  assert.match(await line.textContent(), /new runs · undone$/);
  await page.getByRole("button", { name: "Select again" }).click();
  await settled(page);
  await line.click();
  await stands(page, "1 failed, 1 running");
}));

test("who, why and how many are told, the newest first, and the plan follows what was taken back", () => onPage(server.url, {}, async (page) => {
  const words = "disk\u202Efull <b>";
  rerun("archive-documents", "--reason", words, "--actor", "אנה");
  const active = sql(store, "SELECT id FROM runs WHERE task_name = 'archive-documents' AND status = 'pending'").trim();
  await page.fill("[name=status]", "");
  await page.getByRole("button", { name: "any time" }).click();
  await page.fill("[name=task_name]", "archive-documents");
  await settled(page);
  // Which run keeps it from being started, and whose it is.
  await page.locator(".skipped").getByText(`pending or running as ${active}`).waitFor();
  await page.locator("#recent").getByText(/^This was re-run (just now|\d+ minutes? ago), by אנה: what became of it$/).waitFor();
  await picture(page, "desktop-light-recent");
  await list(page);
  const line = first(page).locator("a");
  await line.waitFor();
  assert.match(await line.textContent(), /· אנה · 1 new run · disk⟦U\+202E⟧full <b>$/);
  for (const part of await line.locator("bdi").all()) {
    assert.match(await part.evaluate((element) => getComputedStyle(element).unicodeBidi), /isolate/);
  }
  await line.click();
  await undo(page).click();
  await takeBack(page);
  await page.getByText("1 run taken back.").waitFor();
  assert.equal(pending("archive-documents"), 0);
  await page.getByRole("button", { name: "Select again" }).click();
  await offered(page, "Re-run 1 task");
  assert.equal(await page.textContent("#recent"), "");
}));

test("axe finds nothing on the list, nor on a re-run and its question, and a phone has room for it", async () => {
  const id = rerun("archive-documents");
  for (const options of [{}, { colorScheme: "dark" }, { viewport: PHONE }]) {
    await onPage(server.url, { ...options, path: `#operation=${id}` }, async (page) => {
      await list(page);
      await first(page).getByText("0 of 1 succeeded, 1 pending").waitFor();
      await undo(page).waitFor();
      await settled(page);
      assert.deepEqual(await broken(page), []);
      await page.locator("#history").evaluate((list) => list.scrollIntoView());
      await picture(page, `history-${options.colorScheme ?? "light"}-${options.viewport ? "phone" : "desktop"}`);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), (options.viewport ?? { width: 1280 }).width);
      // By keyboard alone.
      await undo(page).focus();
      await page.keyboard.press("Enter");
      await page.getByRole("dialog").waitFor();
      assert.deepEqual(await broken(page), []);
      await page.keyboard.press("Escape");
      assert.match(await page.evaluate(() => document.activeElement.textContent), /Take back/);
    });
  }
});

test("a token for previews looks, and is not offered to take back; who has another one is", async () => {
  const id = rerun("nightly-invoices");
  const file = join(store.folder, "tokens");
  writeFileSync(file, "anna:horse\nscreen:battery:preview\n");
  const other = await serve(store, { flags: ["--token-file", file, "--wire", "camel"] });
  await onPage(other.url, { path: `#operation=${id}` }, async (page) => {
    await page.getByText("This server asks for a token").waitFor();
    assert.ok(await page.locator("#history").isHidden());
    await page.keyboard.type("battery");
    await page.keyboard.press("Enter");
    await stands(page, "0 of 1 succeeded, 1 pending");
    assert.ok(await undo(page).isHidden());
    await page.getByRole("button", { name: "Token", exact: true }).click();
    await page.fill("#token", "horse");
    await page.keyboard.press("Enter");
    await undo(page).click();
    // Somebody else was quicker.
    await fetch(`${other.url}api/runs/bulk/operations/${id}/undo`, { method: "POST", headers: { Authorization: "Bearer horse" } });
    await takeBack(page);
    await page.getByText("Nothing was left to take back.").waitFor();
    await stands(page, "0 of 1 succeeded, 1 undone");
  });
  await other.end();
});

test("what can't be told or taken back is said", async () => {
  await onPage(server.url, { path: "#operation=01HELLO" }, async (page) => {
    await page.getByRole("alert").getByText("the ledger has no operation").waitFor();
    await page.getByRole("button", { name: "Select runs" }).click();
    await settled(page);
    assert.ok(await page.locator("#plan").isVisible());
  });
  await onPage(server.url, { path: `#operation=${rerun("nightly-invoices")}` }, async (page) => {
    await undo(page).click();
    sql(store, "CREATE TRIGGER stays BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'runs stay'); END");
    await takeBack(page);
    await page.getByRole("alert").getByText("runs stay").waitFor();
    await stands(page, "0 of 1 succeeded, 1 pending");
    sql(store, "DROP TRIGGER stays");
    await undo(page).click();
    tool("ledger", "drop", ...store.arguments.slice(0, 2));
    await takeBack(page);
    await page.getByRole("alert").getByText("the store has no ledger").first().waitFor();
    await page.reload();
    await page.waitForSelector("#store bdi");
    assert.ok(await page.locator("#history").isHidden());
  });
});
