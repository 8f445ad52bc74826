// The HTTP client of `bulk-rerun serve`, for Node and for browsers: nothing but fetch.
import { BulkRerunError } from "./error.js";
import { operationId, respelled, toJson, withDryRun } from "./request.js";

export { BulkRerunError };

const RERUN = "api/runs/bulk/rerun";
const OPERATIONS = "api/runs/bulk/operations";

// How often a request that may be sent again is sent at most, and how long it is to the second time, in milliseconds; to
// each further one it is twice as long.
const TRIES = 4;
const FIRST_PAUSE = 500;
// From one look at an operation to the next, at first and at most.
const FIRST_LOOK = 500;
const LONGEST_LOOK = 5000;

// What says that there was no answer, or none of bulk-rerun's own: 0 is ours, the others a proxy's as well.
const MAY_PASS = [0, 502, 503, 504];

// What is not known where there was no answer.
const UNKNOWN = "; whether it was carried out is not known";
const UNKNOWN_BUT_SAFE = `${UNKNOWN}, but with the error's idempotencyKey it can be sent again, and is carried out once`;

export class Client {
  #base;
  #token;
  #spelling;
  #fetch;

  constructor(url, { token, spelling = "snake", fetch = globalThis.fetch } = {}) {
    this.#base = baseOf(url);
    this.#token = tokenOf(token);
    if (spelling !== "snake" && spelling !== "camel") throw new TypeError('the spelling is "snake" or "camel"');
    this.#spelling = spelling;
    this.#fetch = fetch;
  }

  /** What a re-run would start. Changes nothing. */
  async plan(request, { signal } = {}) {
    const { request: asked } = withDryRun(request, this.#spelling, true);
    return this.#send("POST", RERUN, { body: toJson(asked), signal, again: true });
  }

  /** Re-runs what the request selects. */
  async rerun(request, { idempotencyKey, signal } = {}) {
    const { request: asked, spelling } = withDryRun(request, this.#spelling);
    const { options } = asked;
    const body = toJson(asked);
    const isPlan = options.dry_run || options.dryRun;
    const hasKey = (options.idempotency_key ?? options.idempotencyKey) != null;
    if (isPlan || idempotencyKey === false || (idempotencyKey === undefined && hasKey)) {
      const again = isPlan || (hasKey && idempotencyKey !== false);
      return this.#send("POST", RERUN, { body, signal, again, doubt: isPlan ? undefined : UNKNOWN });
    }
    const key = idempotencyKey ?? newKey();
    try {
      const headers = { "Idempotency-Key": quoted(key) };
      const answer = await this.#send("POST", RERUN, { body, headers, signal, again: true, doubt: UNKNOWN_BUT_SAFE });
      return { ...answer, [spelling === "camel" ? "idempotencyKey" : "idempotency_key"]: key };
    } catch (error) {
      // A store without a ledger takes no keys, and has done nothing. A key of ours was not asked for: without one, the
      // request is sent once.
      if (idempotencyKey === undefined && isAboutTheKey(error)) return this.#send("POST", RERUN, { body, signal, doubt: UNKNOWN });
      if (error instanceof BulkRerunError) error.idempotencyKey = key;
      throw error;
    }
  }

  /** What was re-run, newest first, where the store has a ledger. */
  async operations(query = {}, { signal } = {}) {
    const { operations } = await this.#send("GET", OPERATIONS + search(query), { signal, again: true });
    return operations.map((operation) => this.#spelled(operation));
  }

  /** One re-run, with its new runs and where each of them stands now. */
  async operation(operation, { signal } = {}) {
    return this.#spelled(await this.#send("GET", pathOf(operation), { signal, again: true }));
  }

  /** Takes back what no worker has begun of it. */
  async undo(operation, { signal } = {}) {
    return this.#spelled(await this.#send("POST", `${pathOf(operation)}/undo`, { signal, doubt: UNKNOWN }));
  }

  /** Waits until the new runs have ended, or the time is up. */
  async wait(operation, { timeout, onStates, signal } = {}) {
    const path = pathOf(operation);
    const end = timeout === undefined ? Infinity : now() + milliseconds(timeout);
    for (let pause = FIRST_LOOK; ; pause = Math.min(pause * 1.5, LONGEST_LOOK)) {
      const { runs, states } = await this.#send("GET", path, { signal, again: true });
      onStates?.(states);
      const standing = runs.map((run) => respelled(run, "snake"));
      const timedOut = standing.some(({ phase }) => phase === "pending" || phase === "running");
      if (!timedOut || now() >= end) {
        const outcome = { runs, states, succeeded: standing.every(hasSucceeded), timed_out: timedOut };
        return this.#spelled(outcome);
      }
      await sleep(Math.min(pause, end - now()), signal);
    }
  }

  // The server answers these in a spelling of its own.
  #spelled(answer) {
    const spelled = respelled(answer, this.#spelling);
    for (const list of ["runs", "undone", "kept"]) {
      if (spelled[list]) spelled[list] = spelled[list].map((run) => respelled(run, this.#spelling));
    }
    return spelled;
  }

  async #send(method, path, { again = false, signal, ...request }) {
    for (let tried = 1; ; tried++) {
      try {
        return await this.#sendOnce(method, path, { signal, ...request });
      } catch (error) {
        if (!again || tried === TRIES || !(error instanceof BulkRerunError && MAY_PASS.includes(error.status))) throw error;
        await sleep(FIRST_PAUSE * 2 ** (tried - 1), signal);
      }
    }
  }

  async #sendOnce(method, path, { body, headers, signal, doubt = "" }) {
    const url = new URL(path, this.#base);
    const all = new Headers({ Accept: "application/json, application/problem+json", ...headers });
    if (this.#token !== undefined) all.set("Authorization", `Bearer ${this.#token}`);
    if (body !== undefined) all.set("Content-Type", "application/json");
    const send = this.#fetch;
    let response, text;
    try {
      response = await send(url, { method, body, headers: all, signal });
      text = await response.text();
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      throw unanswered(this.#base, cause, doubt);
    }
    const answer = parsed(text);
    if (response.ok && answer) return answer;
    throw new BulkRerunError(typeof answer?.status === "number" ? answer : foreign(response, this.#base));
  }
}

function baseOf(url) {
  let base;
  try {
    base = new URL(url);
  } catch {
    // The URL is not quoted: it may have a password.
    throw new TypeError('the server\'s URL can\'t be read; it is to be like "http://127.0.0.1:9477"');
  }
  if (base.username || base.password) {
    throw new TypeError("the server's URL has a name or a password, which bulk-rerun does not take; give a token in the options");
  }
  base.search = base.hash = "";
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  return base;
}

function tokenOf(token) {
  if (token === undefined) return undefined;
  const text = typeof token === "string" ? token.trim() : "";
  if (!/^[\x21-\x7e]+$/.test(text)) {
    throw new TypeError("the token is to be a text of visible ASCII characters; is the variable set that it comes from?");
  }
  return text;
}

function quoted(key) {
  if (typeof key !== "string" || !/^[\x20-\x7e]+$/.test(key)) {
    throw new TypeError("an idempotency key is a text of visible ASCII characters, or false to send none");
  }
  return `"${key.replace(/["\\]/g, "\\$&")}"`;
}

// A page that came without TLS has no randomUUID, and Node 18 no crypto. A key is to be unique, not secret.
function newKey() {
  return globalThis.crypto?.randomUUID?.()
    ?? Array.from({ length: 4 }, () => Math.random().toString(36).slice(2)).join("-");
}

function isAboutTheKey(error) {
  return error instanceof BulkRerunError && error.status === 422 && error.errors.length > 0
    && error.errors.every(({ location }) => location === "header.Idempotency-Key");
}

function search(query) {
  const fields = Object.entries(query).map(([name, value]) => [name, value instanceof Date ? value.toISOString() : String(value)]);
  return fields.length ? `?${new URLSearchParams(fields)}` : "";
}

function pathOf(operation) {
  return `${OPERATIONS}/${encodeURIComponent(operationId(operation, "bulk-rerun ledger create --store …"))}`;
}

function parsed(text) {
  try {
    const answer = JSON.parse(text);
    return typeof answer === "object" ? answer : null;
  } catch {
    return null;
  }
}

function unanswered(base, cause, doubt) {
  const why = cause?.cause?.code ?? cause?.cause?.message ?? cause?.message;
  const detail = `${base.href} did not answer (${why})${doubt}. Does \`bulk-rerun serve\` run there?`;
  return new BulkRerunError({ status: 0, title: "No answer", detail }, cause);
}

function foreign({ status, statusText, headers }, base) {
  const type = headers.get("Content-Type") ?? "nothing";
  const detail = `${base.href} answered ${`${status} ${statusText}`.trim()} with ${type}, which is not bulk-rerun's; is there another server, or a proxy?`;
  return { status, title: statusText, detail };
}

function hasSucceeded({ phase, end_reason: reason }) {
  return phase === "gone" || (phase === "ended" && (reason === "success" || reason === "succeeded"));
}

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function milliseconds(duration) {
  if (typeof duration === "number" && duration >= 0) return duration;
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(duration) ?? [];
  if (unit === undefined) throw new TypeError('a timeout is a number of milliseconds, or a text such as "30m"');
  return number * UNITS[unit];
}

function now() {
  return performance.now();
}

function sleep(duration, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, duration);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
