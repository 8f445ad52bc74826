// The HTTP client, on real servers over the demo's store.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";
import { BulkRerunError, Client } from "bulk-rerun";
import { demo, locked, losing, other, pending, serve, sql, TOKEN } from "./support.mjs";

const since = new Date(Date.now() - 2 * 86_400_000);
const failed = { match_all: true, filter: { is_failure: true, created_after: since } };
const one = { match_all: true, filter: { is_failure: true, task_name: "vacuum-analytics" } };

async function client(t, store = demo(t), ...flags) {
  const url = await serve(t, store, ...flags);
  return { store, url, client: new Client(url, { token: TOKEN }) };
}

test("a plan changes nothing, and is carried out exactly", async (t) => {
  const { client: c, store } = await client(t);
  const before = pending(store);
  const plan = await c.plan(failed);
  assert.equal(pending(store), before);
  const answer = await c.rerun({ ...failed, options: { expect_plan: plan.plan } });
  assert.deepEqual(answer.triggered.map((run) => run.rerun_of), plan.planned.map((run) => run.rerun_of));
  assert.equal(pending(store), before + answer.triggered.length);
  await assert.rejects(c.rerun({ ...failed, options: { expect_plan: "sha256:0" } }), { name: "BulkRerunError", status: 409 });
});

test("an answer is spelled as its request, whatever the server's way", async (t) => {
  const store = demo(t);
  const url = await serve(t, store, "--wire", "camel");
  const snake = new Client(url, { token: TOKEN });
  const camel = new Client(url, { token: TOKEN, spelling: "camel" });
  const [{ rerun_of: id }] = (await snake.plan(one)).planned;
  assert.equal((await snake.plan({ ids: [id] })).planned[0].task_name, "vacuum-analytics");
  assert.equal((await camel.plan({ ids: [id] })).planned[0].taskName, "vacuum-analytics");
  assert.equal((await snake.plan({ matchAll: true, filter: { taskName: "vacuum-analytics" } })).planned[0].taskName, "vacuum-analytics");
  assert.equal((await camel.plan(one)).planned[0].task_name, "vacuum-analytics");
  assert.equal((await snake.plan({ ids: [id], options: { dryRun: false } })).planned[0].taskName, "vacuum-analytics");

  assert.equal((await snake.rerun({ ids: [id] })).triggered[0].rerun_of, id);
  const answer = await camel.rerun({ ids: [id] });
  assert.equal(answer.triggered[0].rerunOf, id);
  assert.equal((await snake.operations({ limit: 1 }))[0].operation_id, answer.operationId);
  assert.equal((await camel.operations({ limit: 1 }))[0].operationId, answer.operationId);
  assert.equal((await camel.operations({ runId: answer.triggered[0].runId })).length, 1);
  assert.equal((await snake.operation(answer)).runs[0].task_name, "vacuum-analytics");
  assert.equal((await camel.operation(answer)).runs[0].taskName, "vacuum-analytics");
  assert.deepEqual((await snake.undo(answer)).undone, [{ task_name: "vacuum-analytics", run_id: answer.triggered[0].runId }]);
  assert.deepEqual(await camel.undo(answer.operationId), { ...(await camel.undo(answer)), undone: [] });
});

test("a re-run has a key of its own", async (t) => {
  const { client: c } = await client(t);
  const answer = await c.rerun(one);
  assert.match(answer.idempotency_key, /^[\w-]{36,}$/);
  assert.equal((await c.operation(answer)).idempotency_key, answer.idempotency_key);
  const again = await c.rerun(one);
  assert.notEqual(again.idempotency_key, answer.idempotency_key);
  const camel = await c.rerun({ matchAll: true, filter: { taskName: "vacuum-analytics" } });
  assert.equal((await c.operation(camel)).idempotency_key, camel.idempotencyKey);
});

test("a given key is one re-run", async (t) => {
  const { client: c, store } = await client(t);
  const before = pending(store);
  const key = 'the night of "Tuesday" \\';
  const first = await c.rerun(one, { idempotencyKey: key });
  const second = await c.rerun(one, { idempotencyKey: key });
  assert.deepEqual(second, { ...first, replayed: true });
  assert.equal(pending(store), before + 1);
  await assert.rejects(c.rerun(failed, { idempotencyKey: key }), { status: 422, idempotencyKey: key });
  await assert.rejects(c.rerun(one, { idempotencyKey: "ключ" }), TypeError);
  const unnamed = await c.rerun(one, { idempotencyKey: false });
  assert.equal((await c.operation(unnamed)).idempotency_key, null);
  assert.equal("idempotency_key" in unnamed, false);
  const inOptions = await c.rerun({ ...one, options: { idempotency_key: "ключ" } });
  assert.equal((await c.operation(inOptions)).idempotency_key, "ключ");
});

test("a connection that is lost makes no second re-run", async (t) => {
  const store = demo(t);
  const url = await losing(t, await serve(t, store), 2);
  const before = pending(store);
  const answer = await new Client(url, { token: TOKEN }).rerun(one);
  assert.equal(answer.replayed, true);
  assert.equal(pending(store), before + 1);
});

test("without a ledger a re-run is sent once, and without a key", async (t) => {
  const { client: c, store } = await client(t, demo(t, { ledger: false }));
  const answer = await c.rerun(one);
  assert.equal(answer.triggered.length, 1);
  assert.equal("idempotency_key" in answer || "operation_id" in answer, false);
  await assert.rejects(c.rerun(one, { idempotencyKey: "monday" }), { status: 422, message: /ledger/ });
  await assert.rejects(c.wait(answer), { name: "TypeError", message: /ledger create/ });

  const url = await losing(t, await serve(t, store), 1);
  const before = pending(store);
  // The first answer, about the key, is not lost; the second is.
  let sent = 0;
  const fetch = (address, options) => globalThis.fetch(sent++ === 0 ? new URL(new URL(address).pathname, direct) : address, options);
  const direct = await serve(t, store);
  await assert.rejects(new Client(url, { token: TOKEN, fetch }).rerun(one), { status: 0, message: /whether it was carried out is not known/ });
  assert.equal(sent, 2);
  assert.equal(pending(store), before + 1);
});

test("a busy store is asked again", async (t) => {
  const store = demo(t);
  const url = await serve(t, store, "--busy-timeout", "50ms");
  const statuses = [];
  const release = await locked(store);
  const fetch = async (...request) => {
    const response = await globalThis.fetch(...request);
    statuses.push(response.status);
    if (statuses.length === 2) await release();
    return response;
  };
  const answer = await new Client(url, { token: TOKEN, fetch }).rerun(one);
  assert.equal(answer.triggered.length, 1);
  assert.deepEqual(statuses, [503, 503, 200]);
});

test("an error says what is wrong and where, and never the token", async (t) => {
  const { client: c, store } = await client(t);
  await assert.rejects(c.rerun({ nope: 1, filter: { exit_code_min: "x" }, match_all: true }), (error) => {
    assert.ok(error instanceof BulkRerunError && error instanceof Error);
    assert.equal(error.status, 422);
    assert.equal(error.title, "Unprocessable Entity");
    assert.deepEqual(error.errors.map(({ location }) => location).sort(), ["body.filter.exit_code_min", "body.nope"]);
    assert.match(error.message, /body\.nope/);
    assert.match(error.message, /body\.filter\.exit_code_min/);
    return true;
  });
  await assert.rejects(c.operation("01JRX3M7ZD7Q8M5T8E2Y9V4B6C"), { status: 404 });
  await assert.rejects(c.operation("../../../../metrics"), { status: 404 });
  await assert.rejects(c.undo(""), TypeError);
  await assert.rejects(c.plan("failed"), TypeError);

  const url = await serve(t, store);
  await assert.rejects(new Client(url, { token: "s3cret-token" }).plan(one), (error) => {
    assert.equal(error.status, 401);
    assert.doesNotMatch(inspect(error, { depth: 9 }), /s3cret/);
    return true;
  });
  for (const token of ["", "s3cret\nX: y", "s3crét", null]) {
    assert.throws(() => new Client(url, { token }), (error) => error instanceof TypeError && !/s3cr/.test(inspect(error)));
  }
  for (const address of ["http://ada:s3cret@127.0.0.1:1", "ht!tp://ada:s3cret@x"]) {
    assert.throws(() => new Client(address), (error) => error instanceof TypeError && !/s3cret/.test(inspect(error)));
  }
  assert.doesNotMatch(inspect(new Client(url, { token: "s3cret" }), { depth: 9, showHidden: true }), /s3cret/);
});

test("a condition that is lost is an error, and not everything", async (t) => {
  const { client: c, store } = await client(t);
  const before = pending(store);
  for (const filter of [undefined, { status: undefined }, { created_after: new Date("never") }, { exit_code_min: NaN }]) {
    await assert.rejects(c.rerun({ match_all: true, filter }), TypeError);
  }
  assert.equal(pending(store), before);
});

test("where nobody answers, or somebody else does", async (t) => {
  const url = await other(t, (request, response) => {
    response.writeHead(request.url.includes("operations") ? 200 : 418, { "Content-Type": "text/html" }).end("<p>teapot s3cret</p>");
  });
  const c = new Client(`${url}/nested`);
  await assert.rejects(c.plan(one), { status: 418, message: /nested\/ answered 418 I'm a Teapot with text\/html, which is not bulk-rerun's/ });
  await assert.rejects(c.operations(), { name: "BulkRerunError", status: 200, message: /not bulk-rerun's/ });

  const gone = await serve({ after: (stop) => (t.stop = stop) }, demo(t));
  await t.stop();
  await assert.rejects(new Client(gone).rerun(one), (error) => {
    assert.equal(error.status, 0);
    assert.match(error.message, /did not answer \(ECONNREFUSED\).*is not known.*Does `bulk-rerun serve` run there\?/);
    assert.match(error.idempotencyKey, /^[\w-]{36,}$/);
    return true;
  });
});

test("waiting ends when the new runs have, or when the time is up", async (t) => {
  const { client: c, store } = await client(t);
  const answer = await c.rerun({ ...failed, options: { take: 2 } });
  const [first, second] = answer.triggered.map(({ run_id: id }) => id);
  const early = await c.wait(answer, { timeout: 0 });
  assert.deepEqual([early.timed_out, early.succeeded, early.states], [true, false, { pending: 2 }]);

  const looks = [];
  const waiting = c.wait(answer.operation_id, { timeout: "5m", onStates: (states) => looks.push(states) && looks.length === 1 && end("success") });
  function end(reason) {
    sql(store, `UPDATE runs SET status = 'ended', end_reason = '${reason}', exit_code = 0, ended_at = created_at WHERE id IN ('${first}', '${second}')`);
  }
  assert.deepEqual(await waiting.then(({ succeeded, timed_out: late, states }) => [succeeded, late, states]), [true, false, { success: 2 }]);
  assert.deepEqual(looks, [{ pending: 2 }, { success: 2 }]);
  end("failed");
  assert.equal((await c.wait(answer)).succeeded, false);
  await assert.rejects(c.wait(answer, { timeout: "soon" }), TypeError);
});

test("a signal stops the waiting", async (t) => {
  const { client: c, url } = await client(t);
  const stop = new AbortController();
  const why = new Error("enough");
  const answer = await c.rerun(one);
  const waiting = c.wait(answer, { signal: stop.signal, onStates: () => stop.abort(why) });
  await assert.rejects(waiting, why);
  for (const call of [(o) => c.plan(one, o), (o) => c.rerun(one, o), (o) => c.operations({}, o), (o) => c.operation(answer, o), (o) => c.undo(answer, o)]) {
    await assert.rejects(call({ signal: stop.signal }), why);
  }
  // In the middle of a pause: there is no further look.
  let looks = 0;
  const asleep = new AbortController();
  const fetch = async (...request) => {
    looks++;
    setTimeout(() => asleep.abort(why), 100);
    return globalThis.fetch(...request);
  };
  await assert.rejects(new Client(url, { token: TOKEN, fetch }).wait(answer, { signal: asleep.signal }), why);
  assert.equal(looks, 1);
  const later = new AbortController();
  const dead = new Client("http://127.0.0.1:1", { fetch: () => { later.abort(why); throw new TypeError("lost"); } });
  await assert.rejects(dead.rerun(one, { signal: later.signal }), why);
});

test("the client asks nothing of Node", () => {
  const at = dirname(createRequire(import.meta.url).resolve("bulk-rerun"));
  const seen = new Set();
  const look = (name) => {
    if (seen.has(name)) return;
    seen.add(name);
    const source = readFileSync(join(at, name), "utf8");
    assert.doesNotMatch(source, /\bprocess\.|\brequire\(|\bBuffer\b/, name);
    for (const [, from] of source.matchAll(/ from "(.*)";/g)) {
      assert.match(from, /^\.\//, `${name} imports ${from}`);
      look(from);
    }
  };
  look("client.js");
  assert.equal(seen.size, 3);
});

test("what is there is what the types say", async () => {
  assert.deepEqual(Object.keys(await import("bulk-rerun")), ["BulkRerunError", "Client"]);
});
