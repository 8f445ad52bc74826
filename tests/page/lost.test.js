// A re-run whose answer gets lost on its way: what the page then says, and that it is carried out once.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { PHONE, offered, onPage, picture, planned, settled, somePlan, stage } from "./browser.js";
import { proxy } from "./proxy.js";
import { sql } from "./server.js";

let front;

// Before the server ends.
after(() => front?.end());

const { store, server } = await stage();
front = await proxy(server.url);

const runs = () => Number(sql(store, "SELECT count(*) FROM runs"));
const heading = (page, name) => page.locator("#result").getByRole("heading", { name });

/** Another second: what was created before a click is told apart from what came of it by the clock. */
const aWhile = () => new Promise((resolve) => setTimeout(resolve, 3500));

/** A click on the button, and what the proxy does with it. */
async function clicked(page, way) {
  await aWhile();
  await somePlan(page);
  const number = await planned(page);
  const before = runs();
  front.way = way;
  front.reruns = 0;
  await page.click("#go");
  return { number, before };
}

test("an answer that is lost: the new runs are looked for, and a browser that sends again starts none", async () => {
  for (const way of ["lose", "cut", "late"]) {
    await onPage(front.url, {}, async (page) => {
      const { number, before } = await clicked(page, way);
      await heading(page, `${number} new runs found`).waitFor();
      assert.equal(runs(), before + number, way);
      // Chromium did send it again, and the server heeded the first one.
      if (way === "lose") assert.ok(front.reruns > 1, `${front.reruns} POSTs`);
      assert.equal(await page.locator("#result code.new").count(), number);
      const newest = sql(store, `SELECT id FROM runs ORDER BY id DESC LIMIT ${number}`).trim().split("\n").sort();
      assert.deepEqual((await page.locator("#result code.new").allTextContents()).sort(), newest);
      assert.match(await page.locator("#result").textContent(), new RegExp(`was lost\\. ${number} runs of these tasks were created since: as many as were asked for`));
      assert.ok(await page.locator("#go").isHidden());
      await picture(page, `desktop-light-lost-${way}`);
    });
  }
});

test("a request that never came: nothing is found, and it is not offered again as if nothing had happened", () => onPage(front.url, {}, async (page) => {
  const { number, before } = await clicked(page, "drop");
  await page.getByText(/No run of its \d+ tasks was created since\. It may still be under way/).waitFor();
  assert.ok(await heading(page, "The outcome is not known").isVisible());
  assert.equal(runs(), before);
  await picture(page, "desktop-light-lost-nothing");
  front.way = "pass";
  await page.getByRole("button", { name: "Select again" }).click();
  await settled(page);
  assert.match(await page.textContent("#standing"), /What became of the re-run at \d\d:\d\d:\d\d is not known/);
  assert.ok(await page.locator("#go").isDisabled());
  await picture(page, "desktop-light-lost-again");
  await page.setViewportSize(PHONE);
  await page.locator("#plan").scrollIntoViewIfNeeded();
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), PHONE.width);
  await picture(page, "phone-light-lost-again");
  // Not even a reload forgets it.
  await page.reload();
  await heading(page, "The outcome is not known").waitFor();
  await page.getByRole("button", { name: "Select again" }).click();
  await settled(page);
  assert.ok(await page.locator("#go").isDisabled());
  await page.getByText(/Yes, though what became of the re-run/).click();
  await page.click("#go");
  await heading(page, `${number} new runs spawned`).waitFor();
  await page.getByRole("button", { name: "Select again" }).click();
  await offered(page);
  assert.equal(await page.textContent("#standing"), "");
}));

test("whoever goes on while the new runs are looked for is not called back", () => onPage(front.url, {}, async (page) => {
  await clicked(page, "drop");
  await heading(page, "The outcome is not known").waitFor();
  await page.getByText("No run of its").waitFor();
  const held = [];
  await page.route("**/rerun", (route) => (route.request().postDataJSON().options.unique_by === "run" ? held.push(route) : route.continue()));
  await page.getByRole("button", { name: "Look again" }).click();
  await page.getByText("Looking…").waitFor();
  await page.getByRole("button", { name: "Select again" }).click();
  await settled(page);
  const answered = page.waitForResponse((response) => response.request().postDataJSON()?.options.unique_by === "run");
  for (const route of held) await route.continue();
  await (await answered).finished();
  await page.evaluate(() => new Promise(requestAnimationFrame));
  assert.ok(await page.locator("#plan").isVisible());
  assert.match(await page.textContent("#standing"), /is not known/);
  front.way = "pass";
}));

test("an answer that does not come: one need not wait for it, and a reload does not forget the click", () => onPage(front.url, {
  prepare: async (page) => (await aWhile(), page.clock.install()),
}, async (page) => {
  await page.clock.runFor(400);
  await page.uncheck("[name=skip_active]");
  await page.clock.runFor(400);
  await offered(page);
  const number = await planned(page);
  front.way = "hang";
  await page.click("#go");
  await page.clock.runFor(31_000);
  await page.getByText("No answer yet").waitFor();
  assert.ok(await page.locator("#selection").evaluate((form) => form.inert));
  await page.reload();
  await heading(page, /new runs found|not known/).waitFor();
  front.way = "pass";
  // The server may still be at it.
  while (!(await heading(page, `${number} new runs found`).isVisible())) {
    await page.getByRole("button", { name: "Look again" }).click();
    await aWhile();
  }
}));

test("one that waits no longer sees what there is", () => onPage(front.url, {
  prepare: async (page) => (await aWhile(), page.clock.install()),
}, async (page) => {
  await page.clock.runFor(400);
  await page.fill("[name=task_name]", "nightly-invoices");
  await page.uncheck("[name=skip_active]");
  await page.clock.runFor(400);
  await offered(page, "Re-run 1 task");
  front.way = "hang";
  await page.click("#go");
  await page.clock.runFor(31_000);
  await page.getByRole("button", { name: "Stop waiting" }).click();
  await heading(page, /new run found|not known/).waitFor();
  while (!(await heading(page, "1 new run found").isVisible())) {
    await page.getByRole("button", { name: "Look again" }).click();
    await aWhile();
  }
  assert.match(await page.locator("#result").textContent(), /1 run of this task was created since/);
  front.way = "pass";
}));
