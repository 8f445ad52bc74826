// The tool as npm installs it: found, started, and ended as if nothing stood in between.
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { demo, folder, within } from "./support.mjs";

const FRESH = process.env.BULK_RERUN_TEST_FRESH;
const LAUNCHER = join(FRESH, "node_modules", ".bin", "bulk-rerun");
const VERSION = process.env.BULK_RERUN_TEST_VERSION;

function npx(...words) {
  return spawnSync("npx", ["--offline", "bulk-rerun", ...words], { cwd: FRESH, encoding: "utf8" });
}

function npm(cwd, ...words) {
  return spawnSync("npm", [...words, "--registry", process.env.BULK_RERUN_TEST_REGISTRY], { cwd, encoding: "utf8" });
}

test("npx runs it", (t) => {
  assert.equal(npx("--version").stdout, `bulk-rerun ${VERSION}\n`);
  const store = demo(t);
  const { status, stdout } = npx("rerun", "--store", store, "--status", "failed", "--since", "48h", "--dry-run", "--json");
  assert.equal(status, 0);
  assert.ok(JSON.parse(stdout).planned.length > 0);
});

test("its exit status is the tool's, and it reads standard input", (t) => {
  assert.equal(npx("rerun").status, 2);
  const store = demo(t);
  assert.equal(npx("rerun", "--store", "/nowhere/runs.db", "--all", "--yes").status, 1);
  const words = ["rerun", "--store", store, "--selector", "-", "--json", "--yes"];
  const answer = execFileSync(LAUNCHER, words, { input: '{"ids": ["01HELLO"]}', encoding: "utf8" });
  assert.equal(JSON.parse(answer).skipped[0].reason, "not_found");
});

for (const [signal, ends] of [["SIGTERM", 0], ["SIGINT", 0]]) {
  test(`${signal} reaches the server, which ends in peace`, async (t) => {
    const child = spawn(LAUNCHER, ["serve", "--store", demo(t), "--listen", "127.0.0.1:0"], { detached: true, stdio: ["ignore", "ignore", "pipe"] });
    const ended = new Promise((resolve) => child.on("close", (...how) => resolve(how)));
    const url = await within(child.stderr, /http:\/\/127\.0\.0\.1:\d+/, ended);
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    // Without a terminal, as where a supervisor has started it.
    execFileSync("setsid", ["kill", `-${signal.slice(3)}`, String(child.pid)]);
    assert.deepEqual(await ended, [ends, null]);
    await assert.rejects(fetch(`${url}/healthz`));
  });
}

test("what ends the tool ends what started it", async () => {
  const child = spawn(LAUNCHER, ["demo"], { env: { ...process.env, BULK_RERUN_BINARY: script("kill -KILL $$") }, stdio: "ignore" });
  assert.deepEqual(await new Promise((resolve) => child.on("exit", (...how) => resolve(how))), [null, "SIGKILL"]);
});

test("at a terminal Ctrl-C arrives once", async () => {
  const tool = 'process.on("SIGINT", () => console.log("interrupted")).on("SIGUSR2", () => setTimeout(process.exit, 300)); process.stdin.resume(); console.log(`started by ${process.ppid}.`)';
  const env = { ...process.env, BULK_RERUN_BINARY: script(tool, process.execPath) };
  // `script` gives it a terminal.
  const child = spawn("script", ["-qec", `${LAUNCHER}; true`, "/dev/null"], { env, stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.on("close", (...how) => resolve(how)));
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (said += text));
  const launcher = Number((await within(child.stdout, /(?<=started by )\d+(?=\.)/, ended)));
  // Two signals at nearly the same moment would be one. So the tool has its own first, and what started it comes after.
  process.kill(launcher, "SIGSTOP");
  child.stdin.write("\x03");
  await within(child.stdout, /interrupted/, ended);
  process.kill(launcher, "SIGUSR2");
  process.kill(launcher, "SIGCONT");
  await ended;
  assert.equal(said.match(/interrupted/g).length, 1, said);
});

test("where there is no binary it says what to do, and that helps", (t) => {
  const cwd = folder(t);
  writeFileSync(join(cwd, "package.json"), "{}");
  assert.equal(npm(cwd, "install", "--omit=optional", "bulk-rerun").status, 0);
  const run = () => spawnSync(join(cwd, "node_modules", ".bin", "bulk-rerun"), ["--version"], { encoding: "utf8" });
  const without = run();
  assert.equal(without.status, 1);
  assert.equal(without.stdout, "");
  assert.match(without.stderr, /^bulk-rerun: there is no binary: the package @bulk-rerun\/linux-\S+ is not installed\./);
  const [, ...words] = /npm (install .*)/.exec(without.stderr)[1].split(" ").map((word, at) => (at === 0 ? null : word));
  assert.equal(npm(cwd, "install", ...words).status, 0);
  assert.equal(run().stdout, `bulk-rerun ${VERSION}\n`);
});

test("a binary of one's own that is not there is named", () => {
  const { status, stderr } = spawnSync(LAUNCHER, { env: { ...process.env, BULK_RERUN_BINARY: "/nowhere/bulk-rerun" }, encoding: "utf8" });
  assert.equal(status, 1);
  assert.match(stderr, /^bulk-rerun: \/nowhere\/bulk-rerun can't be run: /);
});

// A tool that does as a line of a script says.
function script(line, interpreter = "/bin/sh") {
  const path = join(FRESH, `tool-${Math.random().toString(36).slice(2)}`);
  writeFileSync(path, `#!${interpreter}\n${line}\n`);
  chmodSync(path, 0o755);
  return path;
}
