// The library in this process, on the demo's store and on a host of our own.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { attach, BulkRerunError, libraryPath, open } from "bulk-rerun/library";
import { demo, folder, pending, sql } from "./support.mjs";

const failed = { match_all: true, filter: { is_failure: true, created_after: new Date(Date.now() - 2 * 86_400_000) } };

function opened(t, config = {}) {
  const store = demo(t);
  const host = open({ store, ...config });
  t.after(() => host.close());
  return { store, host };
}

test("a re-run carries out its plan", (t) => {
  const { store, host } = opened(t);
  const before = pending(store);
  const plan = host.plan(failed);
  assert.equal(pending(store), before);
  const answer = host.rerun({ ...failed, options: { expect_plan: plan.plan } });
  assert.deepEqual(answer.triggered.map((run) => run.rerun_of), plan.planned.map((run) => run.rerun_of));
  assert.equal(pending(store), before + answer.triggered.length);
  assert.throws(() => host.rerun({ ...failed, options: { expect_plan: "sha256:0" } }), { name: "BulkRerunError", status: 409 });
});

test("a predicate keeps and drops", (t) => {
  const { host } = opened(t);
  const { triggered } = host.rerun(failed, (run) => run.task_name === "vacuum-analytics" && run.exit_code === 124);
  assert.deepEqual(triggered.map((run) => run.task_name), ["vacuum-analytics"]);
  assert.deepEqual(host.rerun(failed, () => false).triggered, []);
  assert.equal(host.plan({ matchAll: true, filter: { isFailure: true } }, (run) => run.task_name === "vacuum-analytics").planned[0].taskName, "vacuum-analytics");
  assert.throws(() => host.rerun(failed, "all"), TypeError);
});

test("where a predicate goes wrong nothing is spawned, and its own exception is seen", (t) => {
  const { store, host } = opened(t);
  const before = pending(store);
  const operations = host.operations().length;
  const own = new RangeError("undecided");
  const overflow = () => overflow();
  const swallowing = (run) => {
    try {
      host.rerun({ ids: [run.id] });
    } catch {
      // It fails all the same.
    }
    return true;
  };
  const wrong = [
    [() => { throw own; }, own],
    [() => { throw null; }, (error) => error === null],
    [(run) => { if (run.exit_code > 1000) return true; }, { name: "TypeError", message: /returned undefined at run 0.* of .*; it returns true/ }],
    [() => 1, { name: "TypeError", message: /returned 1/ }],
    [async () => true, { name: "TypeError", message: /returned a promise/ }],
    [async () => { throw own; }, { name: "TypeError", message: /returned a promise/ }],
    [overflow, RangeError],
    [(run) => host.rerun({ ids: [run.id] }).triggered.length > 0, { name: "BulkRerunError", status: 409, message: /at work/ }],
    [swallowing, { name: "BulkRerunError", status: 409 }],
    [() => host.close() === undefined, { status: 409 }],
    [() => [...host.runs(failed)].length > 0, { status: 409 }],
  ];
  for (const [keep, error] of wrong) {
    // It goes wrong at the first run, and at a later one.
    for (const right of [0, 3]) {
      let seen = 0;
      assert.throws(() => host.rerun(failed, (run) => (seen++ < right ? true : keep(run))), error, String(keep));
      assert.equal(seen, right + 1, `asked on after ${keep}`);
      assert.equal(pending(store), before, `${keep} has spawned`);
    }
  }
  assert.equal(host.operations().length, operations);
  // The host is none the worse.
  assert.equal(host.rerun(failed, (run) => run.task_name === "vacuum-analytics").triggered.length, 1);
});

test("where the stack is full nothing is spawned", (t) => {
  const { store, host } = opened(t);
  const before = pending(store);
  let kept = 0;
  // From the depth where nothing goes to the one where all does.
  const fill = () => {
    try {
      fill();
    } catch {
      // Full.
    }
    if (kept < 20) {
      try {
        host.rerun(failed, () => false);
        kept++;
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
      }
    }
  };
  fill();
  assert.equal(kept, 20);
  assert.equal(pending(store), before);
});

test("runs are looked at one by one, and the loop may be left", (t) => {
  const { host } = opened(t);
  const ids = new Set();
  // What a loop holds is a file without a name.
  const files = () => readdirSync("/proc/self/fd").length;
  const before = files();
  for (const run of host.runs({ match_all: true })) {
    assert.equal(files(), before + 1);
    assert.equal(typeof run.task_name, "string");
    ids.add(run.id);
    if (ids.size === 3) break;
  }
  assert.equal(ids.size, 3);
  assert.equal(files(), before, "the loop is left");
  // A loop may call the host, does not see what it starts, and outlives it.
  let started = 0;
  for (const run of host.runs({ ...failed, filter: { ...failed.filter, task_name: "vacuum-analytics" } })) {
    started += host.rerun({ ids: [run.id] }).triggered.length;
  }
  assert.equal(started, 2);
  assert.throws(() => host.runs({ nope: 1 }).next(), { status: 422 });
  const loop = host.runs({ matchAll: true, filter: { isFailure: true } });
  loop.next();
  host.close();
  assert.equal(typeof loop.next().value.id, "string");
  loop.return();
  assert.throws(() => host.runs(failed).next(), { status: 409, message: "the host is closed" });
});

test("the ledger has what was re-run, and takes it back", (t) => {
  const { store, host } = opened(t);
  const answer = host.rerun({ ...failed, options: { take: 1, reason: "the disk was full", idempotency_key: "monday" } });
  assert.equal(host.rerun({ ...failed, options: { take: 1, reason: "the disk was full", idempotency_key: "monday" } }).replayed, true);
  const operation = host.operation(answer);
  assert.deepEqual([operation.door, operation.reason, operation.states], ["node", "the disk was full", { pending: 1 }]);
  assert.equal(host.operations({ run_id: answer.triggered[0].run_id })[0].operation_id, answer.operation_id);
  const before = pending(store);
  assert.equal(host.undo(answer.operation_id).undone.length, 1);
  assert.equal(pending(store), before - 1);
  assert.equal(host.undo(operation).undone.length, 0);
  assert.throws(() => host.operation("01JRX3M7ZD7Q8M5T8E2Y9V4B6C"), { status: 404 });
  const camel = open({ store, wire: "camel" });
  assert.equal(camel.operations({ limit: 1 })[0].operationId, camel.operation(answer).operationId);
  assert.deepEqual(camel.undo(answer).undone, []);
  assert.equal(camel.rerun({ ids: ["01HELLO"] }).skipped[0].runId, "01HELLO");
  camel.close();
});

test("errors are told, and lost conditions are errors", (t) => {
  const { store, host } = opened(t);
  const before = pending(store);
  assert.throws(() => open({ store: "/nowhere/runs.db" }), (error) => error instanceof BulkRerunError && error.status === 500);
  assert.throws(() => open({ stroe: store }), { status: 422 });
  assert.throws(() => open({ store: undefined }), TypeError);
  assert.throws(() => host.rerun({ match_all: true, filter: { status: undefined } }), TypeError);
  assert.throws(() => host.rerun({ nope: 1, filter: { status: 3 }, match_all: true }), ({ errors }) => errors.length === 2);
  assert.equal(pending(store), before);
  host.close();
  host.close();
  if (Symbol.dispose) host[Symbol.dispose]();
  assert.throws(() => host.plan(failed), { status: 409 });
});

// A runner in memory. Its transactions take back what was spawned in them.
function runner(changes = {}) {
  const jobs = ["backup", "report"].map((task, at) => ({ id: String(at + 1), task_name: task, phase: "ended", end_reason: "failed", params: `{"n":  ${at}}` }));
  const kept = [];
  let saved;
  const host = {
    *runs() {
      yield* jobs;
    },
    spawn(run) {
      const id = String(jobs.length + 1);
      jobs.push({ ...run, id, phase: "pending", end_reason: null });
      return id;
    },
    begin() {
      saved = [jobs.length, kept.length];
    },
    commit() {},
    rollback() {
      [jobs.length, kept.length] = saved;
    },
    undo(run) {
      const at = jobs.findIndex(({ id, phase }) => id === run.id && phase === "pending");
      if (at >= 0) jobs.splice(at, 1);
      return at >= 0;
    },
    findOperation: (query) => (query.limit ? kept.map((operation) => JSON.stringify(operation))
      : kept.find((operation) => ["operation_id", "idempotency_key"].some((name) => query[name] && query[name] === operation[name]))),
    recordOperation(operation) {
      const at = kept.findIndex(({ operation_id: id }) => id === operation.operation_id);
      kept.splice(Math.max(at, 0), at >= 0 ? 1 : 0, operation);
    },
    ...changes,
  };
  return { jobs, kept, host };
}

const all = { match_all: true, filter: { status: "failed" } };

test("a host of our own", (t) => {
  const { jobs, host: functions } = runner();
  const host = attach(functions);
  t.after(() => host.close());
  const answer = host.rerun({ ...all, options: { idempotency_key: "k" } });
  assert.deepEqual(answer.triggered.map((run) => [run.task_name, run.run_id]), [["backup", "3"], ["report", "4"]]);
  assert.equal(jobs[3].params, '{"n":  1}');
  assert.equal(host.rerun({ ...all, options: { idempotency_key: "k" } }).replayed, true);
  assert.equal(host.operations().length, 1);
  assert.deepEqual(host.operation(answer).states, { pending: 2 });
  assert.equal(host.undo(answer).undone.length, 2);
  assert.equal(jobs.length, 2);
  assert.deepEqual([...host.runs(all)].map(({ id }) => id), ["1", "2"]);
  assert.equal(host.rerun(all, (run) => run.task_name === "report").triggered.length, 1);
});

test("what a host's function throws takes all back, and is seen", () => {
  const own = new RangeError("out of paper");
  let host;
  let spawned = 0;
  const wrong = [
    [{ spawn() { throw own; } }, own],
    [{ runs() { throw own; } }, own],
    [{ *runs() { yield { id: "1", task_name: "backup", end_reason: "failed" }; throw own; } }, own],
    [{ commit() { throw own; } }, own],
    [{ recordOperation() { throw own; } }, own],
    [{ spawn: () => undefined }, { name: "TypeError", message: /spawn is to return/ }],
    [{ spawn: async () => "3" }, { name: "TypeError", message: /spawn returned a promise/ }],
    [{ runs: async () => [] }, { name: "TypeError", message: /runs returned a promise/ }],
    [{ runs: () => 3 }, TypeError],
    [{ begin: async () => {} }, { message: /begin returned a promise/ }],
    [{ runs: () => [{ task_name: "backup" }] }, { name: "BulkRerunError", message: /id/ }],
    [{ spawn: () => host.rerun(all) }, { status: 409 }],
    [{ spawn(run) { spawned++; if (run.id === "2") throw own; return "9"; } }, own],
  ];
  for (const [changes, error] of wrong) {
    const { jobs, kept, host: functions } = runner(changes);
    host = attach(functions);
    assert.throws(() => host.rerun(all), error, JSON.stringify(Object.keys(changes)));
    assert.equal(jobs.length, 2);
    assert.equal(kept.length, 0);
    host.close();
  }
  assert.equal(spawned, 2);
});

test("without transactions an error tells what was started before", () => {
  const own = new Error("out of paper");
  const { host: functions } = runner({
    begin: undefined, commit: undefined, rollback: undefined,
    spawn(run) { if (run.id === "2") throw own; return "9"; },
  });
  const host = attach(functions);
  assert.throws(() => host.rerun(all), (error) => {
    assert.deepEqual(error.triggered.map(({ run_id: id }) => id), ["9"]);
    assert.match(error.message, /out of paper/);
    return error instanceof BulkRerunError && error.cause === own;
  });
  host.close();
});

test("a host that is not whole is refused", () => {
  for (const host of [{}, { runs: () => [] }, { ...runner().host, commit: undefined }, { ...runner().host, findOperation: undefined },
    { ...runner().host, spwan() {} }, { ...runner().host, undo: true }]) {
    assert.throws(() => attach(host), TypeError);
  }
  assert.throws(() => attach({ ...runner().host, wire: "kebab" }), { status: 422 });
});

test("the library loads into a connection to SQLite", (t) => {
  const store = demo(t);
  const before = pending(store);
  const request = JSON.stringify({ match_all: true, filter: { task_name: "vacuum-analytics", is_failure: true } });
  const said = execFileSync("sqlite3", [store, `.load ${libraryPath()}`, `SELECT bulk_rerun('${request}')`], { encoding: "utf8" });
  assert.equal(JSON.parse(said).triggered.length, 1);
  assert.equal(Number(sql(store, "SELECT count(*) FROM runs WHERE status = 'pending'")), before + 1);
});

test("without koffi the error says what to install", (t) => {
  const program = 'import("bulk-rerun/library").then(({ open }) => open({ store: "runs.db" })).catch(({ message }) => console.log(message))';
  const cwd = process.env.BULK_RERUN_TEST_FRESH;
  const said = execFileSync(process.execPath, ["--input-type=module", "--eval", program], { cwd, encoding: "utf8" });
  assert.match(said, /npm install koffi/);
  const env = { ...process.env, BULK_RERUN_LIB: folder(t) };
  assert.match(execFileSync(process.execPath, ["--input-type=module", "--eval", program], { env, encoding: "utf8" }), /could not be loaded .*BULK_RERUN_LIB/);
});

test("what is there is what the types say", async () => {
  assert.deepEqual(Object.keys(await import("bulk-rerun/library")), ["BulkRerunError", "attach", "libraryPath", "open"]);
});
