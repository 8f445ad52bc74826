// The library in this process: libbulk_rerun.so through koffi. Its calls block, as those of node:sqlite do.
import { Call, callbacksOf, needRoom } from "./callbacks.js";
import { BulkRerunError } from "./error.js";
import { libraryPath, load } from "./native.js";
import { operationId, toJson, withDryRun } from "./request.js";

export { BulkRerunError, libraryPath };

/** Opens a store. What the config does not say comes from the environment. */
export function open(config = {}) {
  const native = load();
  const error = [null];
  const plugin = native.open(toJson({ door: "node", ...config }), error);
  if (!plugin) throw new BulkRerunError(JSON.parse(error[0]));
  return new Host(native, plugin, { wire: config.wire });
}

/** A host of your own: its functions hand runs over, and start them. */
export function attach({ tasks, wire, heedsDue = false, ...functions }) {
  const native = load();
  const current = {};
  const { table, release } = native.host(callbacksOf(functions, native, current), heedsDue ? 1 : 0);
  const error = [null];
  const plugin = native.attach(table, JSON.stringify({ door: "node", tasks, wire }), error);
  if (plugin) return new Host(native, plugin, { wire, release, current });
  release();
  throw new BulkRerunError(JSON.parse(error[0]));
}

class Host {
  #native;
  #plugin;
  #spelling;
  #release;
  // The call that is at work, for those who are called in it.
  #current;

  constructor(native, plugin, { wire, release = () => {}, current = {} }) {
    this.#native = native;
    this.#plugin = plugin;
    this.#spelling = wire ?? "snake";
    this.#release = release;
    this.#current = current;
  }

  /** What a re-run would start. Changes nothing. */
  plan(request, keep) {
    return this.#rerun(request, keep, true);
  }

  /** Re-runs what the request selects and the predicate keeps. */
  rerun(request, keep) {
    return this.#rerun(request, keep);
  }

  #rerun(request, keep, dryRun) {
    if (keep !== undefined && typeof keep !== "function") throw new TypeError("the predicate is to be a function");
    const json = toJson(withDryRun(request, this.#spelling, dryRun).request);
    return this.#call((plugin, call) =>
      keep ? this.#native.callWhere(plugin, json, call.predicate(keep), null) : this.#native.call(plugin, json));
  }

  /** Evaluates a selector only: the runs that match when the loop begins, one at a time. */
  *runs(selector) {
    const error = [null];
    const json = toJson(selector);
    const native = this.#native;
    let cursor;
    this.#call((plugin) => {
      cursor = native.select(plugin, json, error);
      return cursor ? "{}" : error[0];
    });
    try {
      for (let run; (run = native.next(cursor, error)) !== null; ) yield JSON.parse(run);
      if (error[0] !== null) throw new BulkRerunError(JSON.parse(error[0]));
    } finally {
      native.closeCursor(cursor);
    }
  }

  /** What was re-run, newest first, where there is a ledger. */
  operations(query = {}) {
    const json = toJson(query);
    return this.#call((plugin) => this.#native.operations(plugin, json)).operations;
  }

  /** One re-run, with its new runs and where each of them stands now. */
  operation(operation) {
    const json = this.#named(operation);
    return this.#call((plugin) => this.#native.operations(plugin, json));
  }

  /** Takes back what no worker has begun of it. */
  undo(operation) {
    const json = this.#named(operation);
    return this.#call((plugin) => this.#native.undo(plugin, json));
  }

  #named(operation) {
    const id = operationId(operation, "open({ store, ledger: true })");
    return JSON.stringify(this.#spelling === "camel" ? { operationId: id } : { operation_id: id });
  }

  // A call of the library's, whose answer is JSON. Whoever is called in it can't call the same host: koffi and the library
  // would let some of that through.
  #call(f) {
    const plugin = this.#idle();
    needRoom();
    const call = (this.#current.call = new Call());
    let text;
    try {
      text = f(plugin, call);
    } finally {
      this.#current.call = undefined;
    }
    return call.concluded(JSON.parse(text));
  }

  #idle() {
    if (this.#current.call) throw this.#current.call.refuse();
    if (!this.#plugin) throw new BulkRerunError({ status: 409, title: "Conflict", detail: "the host is closed" });
    return this.#plugin;
  }

  /** Closes the host; a second time it does nothing. Loops over runs that have begun go on. */
  close() {
    if (!this.#plugin) return;
    this.#native.close(this.#idle());
    this.#plugin = null;
    this.#release();
  }
}

// Older Nodes have no such symbol, and no `using` either.
if (Symbol.dispose) Object.defineProperty(Host.prototype, Symbol.dispose, { value: Host.prototype.close, configurable: true, writable: true });
