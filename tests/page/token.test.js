// The page where a token is asked for, and where the store can only be read.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { offered, onPage, picture, settled, somePlan, stage, title } from "./browser.js";
import { discard, makeStore, protect, serve } from "./server.js";

const { store, server } = await stage();

test("it works with a token, and asks again for a wrong one", async () => {
  const other = await serve(store, { token: "s3cret", flags: ["--require-filter"] });
  await onPage(other.url, { colorScheme: "dark" }, async (page) => {
    await page.getByText("This server asks for a token").waitFor();
    await picture(page, "desktop-dark-token");
    await page.keyboard.type("wrong");
    await page.keyboard.press("Enter");
    await page.getByText("The token was not accepted").waitFor();
    await page.keyboard.type("s3cret");
    await page.keyboard.press("Enter");
    await somePlan(page);
    await page.click("#curl summary");
    assert.match(await page.locator("#curl pre").textContent(), /Bearer \$BULK_RERUN_TOKEN/);
    assert.ok(!(await page.content()).includes("s3cret"));
    await page.reload();
    await offered(page);
    await page.fill("[name=status]", "");
    await page.getByRole("button", { name: "any time" }).click();
    await page.getByText("this server requires a filter").first().waitFor();
  });
  await other.end();
});

test("a token that no header can carry is told, and another one can be entered", async () => {
  const other = await serve(store, { token: "it's" });
  await onPage(other.url, {}, async (page) => {
    await page.getByText("This server asks for a token").waitFor();
    await page.fill("#token", "it’s");
    await page.keyboard.press("Enter");
    await page.getByText("A token can't have “’” in it").waitFor();
    await picture(page, "desktop-light-token-unfit");
    await page.fill("#token", "it's");
    await page.keyboard.press("Enter");
    await somePlan(page);
  });
  await other.end();
});

test("the token's dialog can be left, and does not come back by itself", async () => {
  const other = await serve(store, { token: "s3cret" });
  const isOpen = (page) => page.locator("#token-dialog").evaluate((dialog) => dialog.open);
  await onPage(other.url, {}, async (page) => {
    for (const leave of [() => page.keyboard.press("Escape"), () => page.getByRole("button", { name: "Cancel" }).click()]) {
      await page.waitForSelector("#token-dialog[open]");
      await leave();
      await settled(page);
      assert.equal(await title(page).textContent(), "A token is needed");
      // Whatever is asked for meanwhile.
      await page.fill("[name=task_name]", "x");
      await settled(page);
      assert.equal(await isOpen(page), false);
      await page.getByRole("button", { name: "Enter a token" }).click();
    }
    await picture(page, "desktop-light-token-again");
    // A wrong one, and then left: the wrong one is not what closed it.
    await page.fill("#token", "wrong");
    await page.keyboard.press("Enter");
    await page.getByText("The token was not accepted").waitFor();
    await page.keyboard.press("Escape");
    await settled(page);
    assert.equal(await isOpen(page), false);
    await page.getByRole("button", { name: "Token", exact: true }).click();
    await page.fill("#token", "s3cret");
    await page.keyboard.press("Enter");
    await page.fill("[name=task_name]", "");
    await somePlan(page);
  });
  await other.end();
});

test("a token that may only preview says so, and the button does not work", async () => {
  const file = join(store.folder, "tokens");
  writeFileSync(file, "anna:horse\nscreen:battery:preview\n");
  const other = await serve(store, { flags: ["--token-file", file] });
  await onPage(other.url, {}, async (page) => {
    await page.getByText("This server asks for a token").waitFor();
    await page.keyboard.type("battery");
    await page.keyboard.press("Enter");
    await page.getByText("Your token may only preview: previews work, re-runs don't.").waitFor();
    await page.uncheck("[name=skip_active]");
    await settled(page);
    assert.match(await title(page).textContent(), /^\d+ new runs?$/);
    assert.ok(await page.getByText("Your token may only preview.", { exact: true }).isVisible());
    assert.ok(await page.locator("#go").isDisabled());
    await picture(page, "desktop-light-previews-only");
    await page.getByRole("button", { name: "Token", exact: true }).click();
    await page.fill("#token", "horse");
    await page.keyboard.press("Enter");
    await offered(page);
    assert.ok(!(await page.getByText("Your token may only preview").isVisible()));
  });
  await other.end();
});

test("a store that can only be read says so as long as the page is open, and the button does not work", async () => {
  const still = makeStore();
  protect(still);
  const other = await serve(still);
  await onPage(other.url, {}, async (page) => {
    await page.uncheck("[name=skip_active]");
    await page.getByText("This store can't be written.", { exact: true }).waitFor();
    for (const task of ["x", "nightly-invoices", ""]) {
      await page.fill("[name=task_name]", task);
      await settled(page);
      assert.ok(await page.getByText("This store can't be written: previews work, re-runs don't.").isVisible());
    }
    assert.match(await title(page).textContent(), /^\d+ new runs$/);
    assert.ok(await page.locator("#go").isDisabled());
    await picture(page, "desktop-light-read-only");
  });
  await other.end();
  discard(still);
});
