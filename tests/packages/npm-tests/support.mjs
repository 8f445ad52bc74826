// What the tests have in common: the demo's store, a real server on it, and SQLite's own shell.
import { execFileSync, spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

export const TOOL = process.env.BULK_RERUN_TEST_TOOL;
export const TOKEN = "correct-horse-battery";

/** A folder for the length of a test. */
export function folder(test) {
  const path = mkdtempSync(join(tmpdir(), "bulk-rerun-npm-"));
  test.after(() => rmSync(path, { recursive: true }));
  return path;
}

let made;

/** A store with a bad night in it, with or without a ledger. */
export function demo(test, { ledger = true } = {}) {
  if (!made) {
    made = mkdtempSync(join(tmpdir(), "bulk-rerun-npm-"));
    execFileSync(TOOL, ["demo", made], { stdio: "pipe" });
    process.on("exit", () => rmSync(made, { recursive: true }));
  }
  const store = join(folder(test), "runwisp.db");
  copyFileSync(join(made, "runwisp.db"), store);
  if (ledger) execFileSync(TOOL, ["ledger", "create", "--store", store], { stdio: "pipe" });
  return store;
}

/** What SQLite says; one line for each row. */
export function sql(store, statement) {
  return execFileSync("sqlite3", [store, statement], { encoding: "utf8" }).trim();
}

/** How many runs are there that nobody has begun. */
export function pending(store) {
  return Number(sql(store, "SELECT count(*) FROM runs WHERE status = 'pending'"));
}

/** `bulk-rerun serve` on a store, until the test is over; answers its URL. */
export async function serve(test, store, ...flags) {
  const arguments_ = ["serve", "--store", store, "--listen", "127.0.0.1:0", ...flags];
  const server = spawn(TOOL, arguments_, { env: { ...process.env, BULK_RERUN_TOKEN: TOKEN }, stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((resolve) => server.on("exit", resolve));
  test.after(async () => {
    server.kill();
    await ended;
  });
  return within(server.stderr, /http:\/\/127\.0\.0\.1:\d+/, ended);
}

/** The first match in what a stream says. */
export async function within(stream, pattern, ended) {
  let said = "";
  stream.setEncoding("utf8");
  return new Promise((resolve, reject) => {
    ended?.then(() => reject(new Error(`it has ended, and said: ${said}`)));
    stream.on("data", (text) => {
      said += text;
      const found = pattern.exec(said);
      if (found) resolve(found[0]);
    });
  });
}

function listening(test, server) {
  test.after(() => new Promise((resolve) => {
    server.closeAllConnections?.();
    server.close(resolve);
  }));
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`)));
}

/** A server that is not ours. */
export function other(test, answer) {
  return listening(test, createServer(answer));
}

/** A way to the server on which the connection is lost, so many times: what was asked arrives, and its answer does not. */
export function losing(test, url, times) {
  let left = times;
  const { hostname, port } = new URL(url);
  return listening(test, createTcpServer((client) => {
    const server = connect(Number(port), hostname);
    client.pipe(server);
    server.on("data", (answer) => {
      if (left === 0) return client.write(answer);
      left -= 1;
      return client.destroy();
    });
    for (const [one, end] of [[client, server], [server, client]]) {
      one.on("error", () => {});
      one.on("close", () => end.destroy());
    }
  }));
}

/** Holds the store's write lock until it is let go. */
export async function locked(store) {
  const shell = spawn("sqlite3", [store], { stdio: ["pipe", "pipe", "inherit"] });
  shell.stdin.write("BEGIN IMMEDIATE; SELECT 'locked';\n");
  await within(shell.stdout, /locked/);
  return () => new Promise((resolve) => {
    shell.on("exit", resolve);
    shell.stdin.end("COMMIT;\n");
  });
}
