// After the click: the new runs stay in sight, one can be tried first, and a plan that has changed says how.

import assert from "node:assert/strict";
import { test } from "node:test";
import { PHONE, broken, offered, onPage, picture, settled, stage } from "./browser.js";
import { discard, makeStore, serve, sql, tool, withoutTasks } from "./server.js";

const store = withoutTasks(makeStore());
const insert = (...names) => names.forEach((name) => sql(store, `INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at)
  VALUES ('${name}-1', '${name}', 'ended', 'failed', 1, 'cron', '2026-01-01T00:00:00.000Z')`));
insert(...["seen", "rest", "went", "kept"].flatMap((kind) => ["a", "b", "c"].map((letter) => `${kind}-${letter}`)));
tool("ledger", "create", ...store.arguments);
const { server } = await stage(store);

const at = (search) => ({ path: `#search=${search}-&status=failed` });
const stands = (page, words) => page.locator("#stands", { hasText: words }).waitFor();
const spawned = (name) => sql(store, `SELECT id FROM runs WHERE task_name = '${name}' AND id != '${name}-1' ORDER BY id`).trim().split("\n").filter(Boolean);
const end = (name, reason, code) => sql(store, `UPDATE runs SET status = 'ended', end_reason = '${reason}', exit_code = ${code} WHERE id = '${spawned(name).at(-1)}'`);

test("each new run's state is shown as it changes, over a reload too, and what failed again is a click away", async () => {
  for (const options of [{}, { viewport: PHONE, colorScheme: "dark" }]) {
    await onPage(server.url, { ...options, ...at("seen") }, async (page) => {
      await offered(page, "Re-run 3 tasks");
      assert.match(await page.textContent("#runner"), /^RunWisp is not running, as far as can be seen: a re-run starts when RunWisp is started next\.$/);
      await page.click("#go");
      await stands(page, /^0 of 3 succeeded, 3 pending$/);
      end("seen-a", "success", 0);
      await stands(page, /^1 of 3 succeeded, 2 pending$/);
      assert.match(await page.title(), /^1 of 3 succeeded, 2 pending · Bulk re-run: /);
      await page.reload();
      await stands(page, /^1 of 3 succeeded, 2 pending$/);
      end("seen-b", "failed", 7);
      await stands(page, /^1 of 3 succeeded, 1 failed, 1 pending$/);
      await page.locator("#result td").getByText("failed (7)").waitFor();
      await page.locator("#operations, #result").first().scrollIntoViewIfNeeded();
      await page.waitForFunction(() => !document.getAnimations().length);
      assert.deepEqual(await broken(page), []);
      await picture(page, `operation-${options.viewport ? "phone-dark" : "desktop-light"}`);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), (options.viewport ?? { width: 1280 }).width);
      end("seen-c", "success", 0);
      await stands(page, /^2 of 3 succeeded, 1 failed$/);
      await page.getByRole("button", { name: "Re-run the one that failed again" }).click();
      await offered(page, "Re-run 1 run");
      assert.equal(await page.inputValue("[name=ids]"), spawned("seen-b").at(-1));
      assert.match(await page.title(), /^Bulk re-run: /);
    });
    sql(store, "DELETE FROM runs WHERE task_name LIKE 'seen-%' AND id NOT LIKE 'seen-%'");
  }
});

test("who leaves the question and comes back at once is asked again, and heeded", () => onPage(server.url, at("asked"), async (page) => {
  insert("asked-a");
  await page.reload();
  await offered(page, "Re-run 1 task");
  await page.click("#go");
  await stands(page, /1 pending/);
  const takeBack = page.getByRole("button", { name: "Take back what has not begun" });
  await takeBack.click();
  const asked = page.getByRole("dialog", { name: "Take back what has not begun?" });
  await asked.waitFor();
  // The browser tells of the first one's end when the second is open.
  await takeBack.evaluate((button) => {
    document.querySelector("#undo-dialog").close();
    button.click();
  });
  await page.evaluate(() => new Promise((done) => setTimeout(done, 50)));
  await asked.getByRole("button", { name: /^Take back/ }).click();
  await page.getByText("1 run taken back.").waitFor();
}));

test("a store without a ledger: the states are shown all the same, and how to keep one is said", async () => {
  const plain = makeStore();
  const other = await serve(plain);
  await onPage(other.url, { path: "#task_name=nightly-invoices&skip_active=0&skip_superseded=0" }, async (page) => {
    await offered(page, "Re-run 1 task");
    await page.click("#go");
    await stands(page, "0 of 1 succeeded, 1 pending");
    const id = await page.locator("#result code.new").textContent();
    await page.getByText("This store keeps no ledger").waitFor();
    assert.equal(await page.locator("#result p code").textContent(), `bulk-rerun ledger create --store ${plain.arguments[1]}`);
    await picture(page, "desktop-light-no-ledger");
    sql(plain, `UPDATE runs SET status = 'ended', end_reason = 'timeout', exit_code = 124 WHERE id = '${id}'`);
    await stands(page, "0 of 1 succeeded, 1 timeout");
    await page.getByRole("button", { name: "Re-run the one that failed again" }).click();
    // The demo has one of the task pending.
    await page.uncheck("[name=skip_active]");
    await offered(page, "Re-run 1 run");
    assert.ok(await page.locator("#history").isHidden());
  });
  // What the server tells of its store may come after the click.
  let answer;
  const prepare = (page) => page.route("**/page/store.json", async (route) => {
    await new Promise((resolve) => (answer = resolve));
    await route.continue();
  });
  await onPage(other.url, { path: "#task_name=nightly-invoices&skip_active=0&skip_superseded=0", prepare }, async (page) => {
    await page.getByRole("button", { name: "Re-run 1 task" }).click();
    await stands(page, "0 of 1 succeeded, 1 pending");
    answer();
    await page.getByText(`bulk-rerun ledger create --store ${plain.arguments[1]}`).waitFor();
    await page.locator("#result .start").getByText("a re-run starts when RunWisp is started next.").waitFor();
  });
  await other.end();
  discard(plain);
});

test("one is tried first, then the rest in one click; the one that was tried is not run twice", () => onPage(server.url, at("rest"), async (page) => {
  await page.getByText("Each run", { exact: true }).click();
  await page.uncheck("[name=skip_active]");
  await page.uncheck("[name=skip_superseded]");
  await offered(page, "Re-run 3 runs");
  await page.getByRole("button", { name: "Try one first" }).click();
  await stands(page, "0 of 1 succeeded, 1 pending");
  assert.deepEqual(["a", "b", "c"].map((letter) => spawned(`rest-${letter}`).length), [1, 0, 0]);
  // It fails again: by its words it is selected now, as a run of its own.
  end("rest-a", "failed", 1);
  await stands(page, "0 of 1 succeeded, 1 failed");
  await page.waitForFunction(() => !document.getAnimations().length);
  assert.deepEqual(await broken(page), []);
  await picture(page, "desktop-light-tried");
  await page.getByRole("button", { name: "Re-run the rest (2)" }).click();
  await stands(page, "0 of 2 succeeded, 2 pending");
  assert.deepEqual(["a", "b", "c"].map((letter) => spawned(`rest-${letter}`).length), [1, 1, 1]);
  // Nor is it when one selects again; it is there to be ticked.
  await page.getByRole("button", { name: "Select again" }).click();
  await settled(page);
  await page.getByText(/2 left out by hand/).waitFor();
}));

test("of the rest, what is active by then is skipped, and what was not on show is not run", () => onPage(server.url, at("kept"), async (page) => {
  await offered(page, "Re-run 3 tasks");
  await page.fill("[name=limit]", "2");
  await settled(page);
  assert.equal(await page.textContent("#limit-error"), "3 new runs: 1 more than the limit");
  assert.equal(await page.textContent("#binding"), "1 more than the limit.");
  assert.ok(await page.locator("#go").isDisabled());
  await page.click("#one");
  await stands(page, "0 of 1 succeeded, 1 pending");
  tool("rerun", ...store.arguments, "--task", "kept-b", "--yes", "--json");
  await page.getByRole("button", { name: "Re-run the rest (2)" }).click();
  await page.waitForFunction(() => !document.querySelector("#rest"));
  await stands(page, "0 of 1 succeeded, 1 pending");
  assert.deepEqual(["a", "b", "c"].map((letter) => spawned(`kept-${letter}`).length), [1, 1, 1]);
  await page.locator("#result .skipped").getByText("pending or running").waitFor();
}));

test("a plan that has changed meanwhile says what came and what went, and spawns nothing", () => onPage(server.url, at("went"), async (page) => {
  await offered(page, "Re-run 3 tasks");
  insert("went-d");
  tool("rerun", ...store.arguments, "--task", "went-b", "--yes", "--json");
  await page.click("#go");
  await page.getByText("The plan has changed").waitFor();
  await settled(page);
  const notice = await page.textContent("#notice");
  assert.match(notice, /Came: went-d \(went-d-1\)/);
  assert.match(notice, /Went: went-b \(pending or running\)/);
  assert.deepEqual(await broken(page), []);
  await picture(page, "desktop-light-came-and-went");
  assert.deepEqual(["a", "b", "c", "d"].map((letter) => spawned(`went-${letter}`).length), [0, 1, 0, 0]);
  // The same for one that is tried: the first row is another one by now.
  sql(store, "UPDATE runs SET end_reason = 'success' WHERE task_name = 'went-a'");
  await page.click("#one");
  await page.getByText("Went: went-a").waitFor();
  await offered(page, "Re-run 2 tasks");
  assert.deepEqual(["a", "b", "c", "d"].map((letter) => spawned(`went-${letter}`).length), [0, 1, 0, 0]);
}));

test("the button stays on screen in a long list, and the plan comes before it on a phone", async () => {
  const long = withoutTasks(makeStore());
  sql(long, `WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 150)
    INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at)
    SELECT 'long-' || i, 'long-' || printf('%03d', i), 'ended', 'failed', 1, 'cron', '2026-01-01T00:00:00.000Z' FROM n`);
  const other = await serve(long);
  for (const viewport of [undefined, PHONE]) {
    await onPage(other.url, { ...(viewport ? { viewport } : {}), path: "#search=long-" }, async (page) => {
      await offered(page, "Re-run 150 tasks");
      const isInView = () => page.locator("#go").evaluate((go) => {
        const { top, bottom } = go.getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight && document.elementFromPoint(go.getBoundingClientRect().left + 20, (top + bottom) / 2) === go;
      });
      for (const row of ["long-002", "long-075", "long-148"]) {
        await page.getByRole("checkbox", { name: `Run ${row},` }).scrollIntoViewIfNeeded();
        assert.ok(await isInView(), row);
      }
      await picture(page, `bar-${viewport ? "phone" : "desktop"}`);
      if (viewport) {
        const [list, bar] = await page.evaluate(() => ["#lists", "#action"].map((place) => document.querySelector(place).getBoundingClientRect().top));
        assert.ok(list < bar);
      }
    });
  }
  await other.end();
  discard(long);
});
