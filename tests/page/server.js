// The tool at work on a demo's store, for a test.

import { execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const TOOL = process.env.BULK_RERUN ?? join(import.meta.dirname ?? ".", "../../target/debug/bulk-rerun");

const environment = ({ BULK_RERUN_TOKEN, BULK_RERUN_STORE, BULK_RERUN_TASKS, ...rest }) => rest;

/** A store with a bad night in it; the one task that the demo re-runs of it is pending. */
export function makeStore() {
  const folder = mkdtempSync(join(tmpdir(), "bulk-rerun-page-"));
  const demo = join(folder, "demo");
  tool("demo", demo);
  // A week is enough for a page; each of its searches would read three months.
  execFileSync("sqlite3", [join(demo, "runwisp.db"), "DELETE FROM runs WHERE julianday('now') - julianday(substr(created_at, 1, 10)) > 8"]);
  return { folder, arguments: ["--store", join(demo, "runwisp.db"), "--tasks", join(demo, "runwisp.toml")] };
}

/** The same store without its task catalogue: every task may run. */
export const withoutTasks = (store) => ({ ...store, arguments: store.arguments.slice(0, 2) });

/** Carries out SQL on the store, as its runner would; answers what it prints. */
export function sql(store, text) {
  // The server may have it locked for a moment.
  return execFileSync("sqlite3", ["-cmd", ".timeout 20000", store.arguments[1], text], { encoding: "utf8" });
}

/** Makes the store one that can only be read. */
export function protect(store) {
  sql(store, "PRAGMA journal_mode = DELETE");
  chmodSync(store.arguments[1], 0o444);
}

/** Runs the tool; answers what it prints. */
export function tool(...words) {
  return execFileSync(TOOL, words, { env: environment(process.env), encoding: "utf8" });
}

/** Serves a store; answers its address once it does, and how to end it. */
export async function serve(store, { token, flags = [], port = 0 } = {}) {
  const env = { ...environment(process.env), ...(token ? { BULK_RERUN_TOKEN: token } : {}) };
  // Permissions count for root too, where it has no capabilities.
  const wrapper = process.getuid() === 0 ? ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--"] : [];
  const [program, ...words] = [...wrapper, TOOL, "serve", ...store.arguments, "--listen", `127.0.0.1:${port}`, ...flags];
  const child = spawn(program, words, { env });
  const url = await new Promise((resolve, reject) => {
    let log = "";
    child.stderr.on("data", (text) => {
      log += text;
      const found = log.match(/serving on (\S+)/);
      if (found) resolve(found[1]);
    });
    child.on("exit", () => reject(new Error(log)));
  });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  return { url, end: () => (child.kill("SIGTERM"), ended) };
}

export const discard = (store) => rmSync(store.folder, { recursive: true });
