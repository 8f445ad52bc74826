// The examples of the package's page, as they are.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { demo, pending, serve, sql, TOKEN, TOOL } from "./support.mjs";

const blocks = [...readFileSync(join("node_modules", "bulk-rerun", "README.md"), "utf8").matchAll(/```js\n(.*?)```/gs)].map(([, code]) => code);

function run(code, env = {}) {
  const program = "readme-example.mjs";
  writeFileSync(program, code);
  return spawnSync(process.execPath, [program], { env: { ...process.env, ...env }, encoding: "utf8" });
}

test("all of them are tried", () => assert.equal(blocks.length, 3));

test("over HTTP", async (t) => {
  const store = demo(t);
  const url = await serve(t, store, "--ledger");
  const before = pending(store);
  // The new runs have ended before anybody looks: a trigger is the worker.
  sql(store, "CREATE TRIGGER worker AFTER INSERT ON bulk_rerun_operations BEGIN UPDATE runs SET status = 'ended', end_reason = 'success' WHERE status = 'pending' AND triggered_by = 'api'; END");
  const { stdout, stderr, status } = run(blocks[0].replace("http://127.0.0.1:9477", url), { BULK_RERUN_TOKEN: TOKEN });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^[\w-]+: \d+ failed$/m);
  assert.match(stdout, /^started \d+ runs$/m);
  assert.ok(pending(store) <= before);
});

test("in the own process", (t) => {
  const store = demo(t);
  const before = pending(store);
  const { stdout, stderr, status } = run(blocks[1].replace("runs.db", store));
  assert.equal(status, 0, stderr);
  const lines = stdout.trim().split("\n");
  assert.ok(lines.length > 3);
  for (const line of lines) assert.match(line, /^[\w-]+: 01\w{24}$/);
  assert.equal(pending(store), before + lines.length);
});

test("a runner of one's own", () => {
  const { stdout, stderr } = run(blocks[2]);
  assert.equal(stdout, "[ { task_name: 'backup', run_id: '2', rerun_of: '1' } ]\n", stderr);
});

test("the commands are the tool's", (t) => {
  const store = demo(t);
  const page = readFileSync(join("node_modules", "bulk-rerun", "README.md"), "utf8");
  const commands = [...page.matchAll(/^npx bulk-rerun (.*--store runs\.db.*)$/gm)].map(([, words]) => words.replace("runs.db", store).split(" "));
  assert.equal(commands.length, 2);
  for (const words of commands) execFileSync(TOOL, words, { stdio: "pipe" });
});
