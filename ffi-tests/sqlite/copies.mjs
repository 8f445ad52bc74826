// better-sqlite3's copy of SQLite and the system's, which koffi calls: as copies.py does it, in Node. copies.mjs LIBRARY STORE
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

// An import knows nothing of NODE_PATH.
const require = createRequire(import.meta.url);
const [library, original, given] = process.argv.slice(2);

function others(store, sql) {
  return spawnSync("sqlite3", ["-batch", store, sql], { encoding: "utf8" });
}

function assertLocked(store) {
  assert.match(others(store, "BEGIN IMMEDIATE; ROLLBACK").stderr, /locked/, "the holder has lost its lock");
}

function load(Database, where, folder) {
  const store = join(folder, "runs.db");
  const loading = new Database(where.startsWith("store") ? store : join(folder, "side.db"));
  loading.pragma("user_version");
  if (where === "attached") {
    loading.prepare("ATTACH ? AS store").run(store);
    loading.pragma("store.user_version");
  }
  let refused = false;
  try {
    loading.loadExtension(library);
  } catch (error) {
    assert.match(error.message, /already in use with another copy of SQLite/);
    refused = true;
  }
  if (where === "store, closed") loading.close();
  return refused ? "refused" : where;
}

/** A connection through the system's copy. */
function connect(koffi, store) {
  const sqlite = koffi.load("libsqlite3.so.0");
  const open = sqlite.func("int sqlite3_open(const char *path, _Out_ void **connection)");
  const exec = sqlite.func("int sqlite3_exec(void *connection, const char *sql, void *callback, void *context, void *message)");
  const close = sqlite.func("int sqlite3_close(void *connection)");
  const opened = [null];
  assert.equal(open(store, opened), 0);
  return {
    exec: (sql) => assert.equal(exec(opened[0], sql, null, null, null), 0, sql),
    close: () => assert.equal(close(opened[0]), 0),
  };
}

function run({ where, holder, begin, when }, folder) {
  const koffi = require("koffi");
  const Database = require("better-sqlite3");
  const core = koffi.load(library);
  const Text = koffi.disposable("Text", "str", core.func("void bulk_rerun_string_free(void *text)"));
  koffi.opaque("bulk_rerun_plugin");
  const open = core.func("bulk_rerun_plugin *bulk_rerun_open(const char *config_json, _Out_ Text *error_json)");
  const close = core.func("void bulk_rerun_close(bulk_rerun_plugin *plugin)");
  const callOn = core.func("Text bulk_rerun_call(bulk_rerun_plugin *plugin, const char *request_json)");
  assert.ok(Text);

  const store = join(folder, "runs.db");
  let plugin = null;
  let triggered = 0;
  const call = () => {
    const error = [null];
    plugin ??= open(JSON.stringify({ store, busy_timeout_ms: 20 }), error);
    const request = JSON.stringify({ match_all: true, filter: { status: "failed" } });
    return JSON.parse(plugin === null ? error[0] : callOn(plugin, request));
  };

  if (when === "after the library") {
    triggered = call().triggered.length;
    assert.equal(triggered, 2);
  }
  const loaded = where === null ? null : load(Database, where, folder);
  const holding = holder === "libsqlite3" ? connect(koffi, store) : new Database(store);
  holding.exec(`${begin}; UPDATE runs SET exit_code = 5 WHERE id = 'c1'`);
  assertLocked(store);
  for (let i = 0; i < 2; i++) {
    const answer = call();
    if (loaded === "store" && answer.status === 503) continue;
    assert.equal(answer.status, 500, JSON.stringify(answer));
    assert.match(answer.detail, /store_open_in_process.*load_extension/s);
  }
  assertLocked(store);
  if (plugin !== null) close(plugin);
  assertLocked(store);
  holding.exec("COMMIT");
  holding.close();
  const seen = others(store, "SELECT count(*) FROM runs; SELECT exit_code FROM runs WHERE id = 'c1'; PRAGMA integrity_check");
  assert.equal(seen.stdout, `${4 + triggered}\n5\nok\n`);
}

if (given !== undefined) {
  run(JSON.parse(given), original);
} else {
  for (const where of [null, "store", "store, closed", "attached", "elsewhere"]) {
    for (const holder of ["better-sqlite3", "libsqlite3"]) {
      // To have the store open through two copies is the host's own doing: nobody can mend that.
      if (holder === "libsqlite3" && (where === "store" || where === "attached")) continue;
      for (const begin of ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"]) {
        for (const when of ["before the library", "after the library"]) {
          // Each in a process of its own: the library goes with one copy of SQLite for as long as that lives.
          const folder = mkdtempSync(join(tmpdir(), "copies-"));
          copyFileSync(original, join(folder, "runs.db"));
          const self = fileURLToPath(import.meta.url);
          const arguments_ = [self, library, folder, JSON.stringify({ where, holder, begin, when })];
          console.log(where, holder, begin, when);
          execFileSync(process.execPath, arguments_, { stdio: "inherit" });
          rmSync(folder, { recursive: true });
        }
      }
    }
  }
}
