// The C ABI from Node through koffi: calls, a predicate, a cursor, and a host in JavaScript.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import process from "node:process";

// An import knows nothing of NODE_PATH.
const koffi = createRequire(import.meta.url)("koffi");
const lib = koffi.load(process.env.BULK_RERUN_LIB);

const stringFree = lib.func("void bulk_rerun_string_free(void *text)");
// Text that is ours: koffi copies it and frees it.
const Text = koffi.disposable("Text", "str", stringFree);
const Plugin = koffi.opaque("bulk_rerun_plugin");
const Cursor = koffi.opaque("bulk_rerun_cursor");
const Sink = koffi.opaque("bulk_rerun_sink");
const Reply = koffi.opaque("bulk_rerun_reply");
const Runs = koffi.proto("int32_t Runs(void *context, const char *selector_json, bulk_rerun_sink *sink)");
const Spawn = koffi.proto("int32_t Spawn(void *context, const char *source_run_json, bulk_rerun_reply *reply)");
const Step = koffi.proto("int32_t Step(void *context)");
const Keep = koffi.proto("int32_t Keep(void *context, const char *run_json)");
const Host = koffi.struct("bulk_rerun_host", {
  struct_size: "size_t",
  abi_version: "uint32_t",
  flags: "uint32_t",
  context: "void *",
  runs: koffi.pointer(Runs),
  spawn: koffi.pointer(Spawn),
  begin: koffi.pointer(Step),
  commit: koffi.pointer(Step),
  rollback: koffi.pointer(Step),
});

const open = lib.func("bulk_rerun_plugin *bulk_rerun_open(const char *config_json, _Out_ Text *error_json)");
const attach = lib.func("bulk_rerun_plugin *bulk_rerun_attach(const bulk_rerun_host *host, const char *config_json, _Out_ Text *error_json)");
const close = lib.func("void bulk_rerun_close(bulk_rerun_plugin *plugin)");
const call = lib.func("Text bulk_rerun_call(bulk_rerun_plugin *plugin, const char *request_json)");
const callWhere = lib.func("Text bulk_rerun_call_where(bulk_rerun_plugin *plugin, const char *request_json, Keep *keep, void *context)");
const select = lib.func("bulk_rerun_cursor *bulk_rerun_select(bulk_rerun_plugin *plugin, const char *selector_json, _Out_ Text *error_json)");
const next = lib.func("Text bulk_rerun_cursor_next(bulk_rerun_cursor *cursor, _Out_ Text *error_json)");
const cursorClose = lib.func("void bulk_rerun_cursor_close(bulk_rerun_cursor *cursor)");
const isError = lib.func("int32_t bulk_rerun_is_error(const char *answer_json)");
const Cancel = koffi.opaque("bulk_rerun_cancel");
const cancelNew = lib.func("bulk_rerun_cancel *bulk_rerun_cancel_new(void)");
const cancelNow = lib.func("void bulk_rerun_cancel_now(bulk_rerun_cancel *cancel)");
const cancelFree = lib.func("void bulk_rerun_cancel_free(bulk_rerun_cancel *cancel)");
const callUnless = lib.func("Text bulk_rerun_call_unless(bulk_rerun_plugin *plugin, const char *request_json, bulk_rerun_cancel *cancel)");
const emit = lib.func("int32_t bulk_rerun_emit(bulk_rerun_sink *sink, const char *run_json)");
const replySet = lib.func("int32_t bulk_rerun_reply_set(bulk_rerun_reply *reply, const char *reply_json)");

const failed = JSON.stringify({ match_all: true, filter: { status: "failed" } });

for (const store of process.argv.slice(2)) {
  const error = [null];
  assert.equal(open(JSON.stringify({ store: "/nowhere/runs.db" }), error), null);
  assert.equal(JSON.parse(error[0]).status, 500);
  const plugin = open(JSON.stringify({ store }), error);
  assert.ok(plugin);

  const keep = (_, runJson) => (JSON.parse(runJson).task_name === "report" ? 1 : 0);
  const some = JSON.parse(callWhere(plugin, failed, keep, null));
  assert.deepEqual(some.triggered.map((run) => run.rerun_of), ["b1"]);
  // koffi throws what a callback throws when the call is over, and has returned whatever is in memory: nothing is spawned.
  for (let i = 0; i < 20; i++) {
    const undecided = () => { throw new Error("undecided"); };
    let answer = null;
    try { answer = callWhere(plugin, failed, undecided, null); } catch (error) { assert.match(error.message, /undecided/); }
    if (answer) assert.ok(isError(answer) === 1 || answer === '{"triggered":[]}', answer);
  }
  // What catches by itself is told.
  const careful = (_, runJson) => { try { return JSON.parse(runJson).no.such ? 1 : 0; } catch { return -1; } };
  assert.match(callWhere(plugin, failed, careful, null), /returned -1 at run `a1`/);

  const cancel = cancelNew();
  assert.equal(JSON.parse(await new Promise((done, fail) =>
    callUnless.async(plugin, '{"ids": ["nobody"]}', cancel, (e, text) => (e ? fail(e) : done(text))))).skipped.length, 1);
  cancelNow(cancel);
  const stopped = callUnless(plugin, failed, cancel);
  assert.ok(isError(stopped) === 1 && JSON.parse(stopped).detail.includes("was cancelled"), stopped);
  cancelFree(cancel);
  const all = JSON.parse(call(plugin, failed));
  assert.deepEqual(all.triggered.map((run) => run.rerun_of), ["a2", "b1"]);
  // On a thread of koffi's own: no callback is involved, so that is fine.
  const later = await new Promise((done, fail) => call.async(plugin, failed, (e, text) => (e ? fail(e) : done(text))));
  assert.equal(JSON.parse(later).triggered.length, 2);

  const cursor = select(plugin, failed, error);
  const ids = [];
  for (let run; (run = next(cursor, error)); ) ids.push(JSON.parse(run).id);
  assert.deepEqual(ids, ["a1", "a2", "b1"]);
  cursorClose(cursor);
  close(plugin);
}

const runs = [{ id: "a1", task_name: "backup", params: '{"n":  1}' }];
const handOver = (_, _selector, sink) => runs.map((run) => emit(sink, JSON.stringify(run))).find((status) => status) ?? 0;
const start = (_, sourceRunJson, reply) => {
  if (runs.length > 1) return replySet(reply, JSON.stringify({ error: "out of paper" })) || 1;
  const run = { ...JSON.parse(sourceRunJson), id: `n${runs.length}` };
  runs.push(run);
  return replySet(reply, JSON.stringify({ run_id: run.id }));
};
// Called after bulk_rerun_attach has returned, so they are registered.
const callbacks = [koffi.register(handOver, koffi.pointer(Runs)), koffi.register(start, koffi.pointer(Spawn))];
const host = { struct_size: koffi.sizeof(Host), abi_version: 1, flags: 0, context: null, runs: callbacks[0], spawn: callbacks[1], begin: null, commit: null, rollback: null };
const error = [null];
const plugin = attach(host, null, error);
assert.ok(plugin, error[0]);
assert.equal(JSON.parse(call(plugin, '{"ids": ["a1"]}')).triggered[0].run_id, "n1");
assert.equal(runs[1].params, '{"n":  1}');
assert.match(JSON.parse(call(plugin, '{"ids": ["a1"]}')).detail, /callback failed: out of paper/);
close(plugin);
callbacks.forEach((callback) => koffi.unregister(callback));
