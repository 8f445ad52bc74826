// The operator's page in a real browser: filter, preview, re-run, result, errors, token.
// Screenshots go to target/page/.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { discard, makeStore, serve, tool } from "./server.js";

const PICTURES = join(import.meta.dirname ?? ".", "../../target/page");
const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

let browser, store, server;

before(async () => {
  mkdirSync(PICTURES, { recursive: true });
  store = makeStore();
  server = await serve(store);
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
});

after(async () => {
  await browser?.close();
  await server?.end();
  discard(store);
});

/** Opens the page as somebody would, and does something there. Nothing may be fetched from outside, or fail in the page. */
async function onPage(options, act) {
  const { url = server.url, viewport = DESKTOP, colorScheme = "light", path = "" } = options;
  const context = await browser.newContext({ viewport, colorScheme, locale: "en-GB", timezoneId: "UTC", deviceScaleFactor: options.scale ?? 1 });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => /Content Security Policy|Refused to/.test(message.text()) && faults.push(message.text()));
  page.on("request", (request) => request.url().startsWith(url) || request.url().startsWith("data:") || faults.push(request.url()));
  await page.goto(url + path);
  await act(page);
  await context.close();
  assert.deepEqual(faults, []);
}

const picture = (page, name) => page.screenshot({ path: join(PICTURES, `${name}.png`) });
const title = (page) => page.locator("#summary h2");
const settled = (page) => page.waitForSelector("body:not(.searching)");

/** What failed in the last day and is not running by now: the demo has re-run it, so one task more is asked for. */
async function somePlan(page) {
  await page.uncheck("[name=skip_active]");
  await page.waitForSelector("#go:not([disabled])");
}

/** As the button has it. */
const planned = async (page) => Number((await page.locator("#go").textContent()).match(/\d+/)[0]);

test("what is shown is what runs, and the result names the new runs", () => onPage({}, async (page) => {
  await page.waitForFunction(() => document.querySelector("#summary h2"));
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

test("the preview follows the form, and the address keeps it", () => onPage({}, async (page) => {
  await somePlan(page);
  await page.fill("[name=task_name]", "nightly-invoices");
  await page.waitForFunction(() => document.querySelector("#go").textContent === "Re-run 1 task");
  await page.getByText("Task and parameters").click();
  await page.waitForFunction(() => /Re-run \d+ runs/.test(document.querySelector("#go").textContent));
  const number = await planned(page);
  await page.reload();
  await page.waitForSelector("#go:not([disabled])");
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
  await page.waitForFunction(() => document.querySelector("#go").textContent === "Re-run 1 run");
  assert.ok(await page.locator(".skipped").getByText("there is no such run").isVisible());
}));

test("nothing that matches, and nothing that is asked for", () => onPage({}, async (page) => {
  await page.fill("[name=task_name]", "no-such-task");
  await page.getByRole("heading", { name: "No run matches" }).waitFor();
  assert.ok(await page.locator("#action").isHidden());
  await picture(page, "desktop-light-empty");
  await page.getByText("By id").click();
  await page.getByRole("heading", { name: "Which runs?" }).waitFor();
}));

test("every run in the store is only meant on purpose", () => onPage({ colorScheme: "dark" }, async (page) => {
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

test("a wrong value is marked at its field", () => onPage({}, async (page) => {
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

test("a plan that has changed meanwhile spawns nothing, and is shown anew", () => onPage({}, async (page) => {
  await page.getByRole("button", { name: "any time" }).click();
  await page.fill("[name=status]", "");
  await page.fill("[name=task_name]", "archive-documents");
  await page.waitForFunction(() => document.querySelector("#go").textContent === "Re-run 1 task");
  tool("rerun", ...store.arguments, "--task", "archive-documents", "--yes", "--json");
  await page.click("#go");
  await page.getByText("The plan has changed").waitFor();
  await picture(page, "desktop-light-changed");
  assert.ok(await page.locator("#action").isHidden());
  assert.ok(await page.locator(".skipped").getByText("pending or running").isVisible());
}));

test("a server that is gone is said to be gone", async () => {
  const other = await serve(store);
  await onPage({ url: other.url }, async (page) => {
    await page.waitForSelector("#summary h2");
    await other.end();
    await page.uncheck("[name=skip_active]");
    await page.getByText("The server can't be reached").waitFor();
    await picture(page, "desktop-light-gone");
    assert.ok(await page.getByRole("button", { name: "Try again" }).isVisible());
  });
});

test("it works with a token, and asks again for a wrong one", async () => {
  const other = await serve(store, { token: "s3cret", flags: ["--require-filter"] });
  await onPage({ url: other.url, colorScheme: "dark" }, async (page) => {
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
    await page.waitForSelector("#go:not([disabled])");
    await page.fill("[name=status]", "");
    await page.getByRole("button", { name: "any time" }).click();
    await page.getByText("this server requires a filter").first().waitFor();
  });
  await other.end();
});

test("the keyboard is enough", () => onPage({}, async (page) => {
  await somePlan(page);
  // From the top of the page again.
  await page.reload();
  await page.waitForSelector("#go:not([disabled])");
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

test("a phone has room for all of it, in light and in dark", async () => {
  for (const colorScheme of ["light", "dark"]) {
    await onPage({ viewport: PHONE, colorScheme, scale: 2 }, async (page) => {
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

test("the API's description is shown without a network", () => onPage({ path: "docs" }, async (page) => {
  await page.getByText("/api/runs/bulk/rerun").first().click();
  await page.getByText("What failed that night").first().waitFor({ state: "attached" });
  await picture(page, "docs");
  assert.equal(await page.locator(".errors-wrapper, .version-pragma__message").count(), 0);
}));
