// Functions of the caller's that the library calls while it is at work. An exception must not pass through koffi: it goes on
// with whatever is in memory as the function's result, and an accidental 1 would keep the run. So every exception ends
// here, the library is told -1, and the caller gets it when the call is over.
import { BulkRerunError } from "./error.js";

const FAILED = -1;

/** Throws where the stack has no room: a function that can't begin can't say -1 either. Each level takes 50 bytes and more. */
export function needRoom(levels = 400) {
  if (levels > 0) needRoom(levels - 1);
}

/** One call of the library, and the first thing that went wrong in a function that it called. */
export class Call {
  #hasFailed = false;
  #cause;

  #fail(cause) {
    if (!this.#hasFailed) this.#cause = cause;
    this.#hasFailed = true;
  }

  /** The error for who calls the host in this call. The call fails even if nobody lets the error through. */
  refuse() {
    const detail = "the host is at work: a predicate or a function of the host's can't call it; do that when the call is over";
    const error = new BulkRerunError({ status: 409, title: "Conflict", detail });
    this.#fail(error);
    return error;
  }

  /** What the library gets for a function of the caller's: a status. `sayWhy` is handed the words of an error. */
  run(f, sayWhy) {
    const hadFailed = this.#hasFailed;
    try {
      const status = f();
      return this.#hasFailed === hadFailed ? status : FAILED;
    } catch (cause) {
      this.#fail(cause);
      sayWhy?.(JSON.stringify({ error: String(cause?.message ?? cause) }));
      return FAILED;
    }
  }

  predicate(keep) {
    return (_, json) => this.run(() => {
      const run = JSON.parse(json);
      const kept = synchronous(keep(run), "the predicate");
      if (typeof kept !== "boolean") {
        throw new TypeError(`the predicate returned ${String(kept)} at run ${run.id} of ${run.task_name}; it returns true to keep a run, and false to drop it`);
      }
      return kept ? 1 : 0;
    });
  }

  /** The library's answer, or what went wrong. */
  concluded(answer) {
    const isError = "status" in answer;
    // What a host without transactions has started must not be lost sight of.
    if (isError && this.#hasFailed && answer.triggered?.length > 0) throw new BulkRerunError(answer, this.#cause);
    if (this.#hasFailed) throw this.#cause;
    if (isError) throw new BulkRerunError(answer);
    return answer;
  }
}

/** What a function has returned, unless it is a promise: nobody here can wait for it. */
function synchronous(result, what) {
  if (typeof result?.then !== "function") return result;
  // What it comes to is of no interest any more.
  result.then(() => {}, () => {});
  throw new TypeError(`${what} returned a promise, and is to return its result: the library does not wait`);
}

/** The callbacks for a host's own functions. `current.call` is the call that is at work. */
export function callbacksOf(functions, native, current) {
  check(functions);
  const { runs, spawn, begin, commit, rollback, undo, findOperation, recordOperation } = functions;
  const replying = (f) => (_, json, reply) => {
    const say = (text) => native.setReply(reply, text);
    return current.call.run(() => f(json, say), say);
  };
  const step = (name, f) => () => current.call.run(() => {
    synchronous(f(), name);
    return 0;
  });
  const callbacks = {
    runs(_, json, sink) {
      const emit = (text) => native.emit(sink, text);
      return current.call.run(() => {
        for (const run of synchronous(runs(JSON.parse(json)), "runs")) {
          // Why not is the library's to say.
          if (emit(JSON.stringify(run)) !== 0) return FAILED;
        }
        return 0;
      }, emit);
    },
    spawn: replying((json, say) => {
      const started = synchronous(spawn(JSON.parse(json)), "spawn");
      if (typeof started === "string") return say(JSON.stringify({ run_id: started }));
      if (typeof started?.skipped === "string") return say(JSON.stringify({ skipped: started.skipped }));
      throw new TypeError('spawn is to return the new run\'s id, a text, or { skipped: "why" }');
    }),
  };
  if (begin) Object.assign(callbacks, { begin: step("begin", begin), commit: step("commit", commit), rollback: step("rollback", rollback) });
  if (undo) {
    callbacks.undo = replying((json, say) => {
      const undone = synchronous(undo(JSON.parse(json)), "undo");
      if (typeof undone !== "boolean") throw new TypeError("undo is to return whether the run was taken back: true or false");
      return say(JSON.stringify({ undone }));
    });
  }
  if (findOperation) {
    callbacks.find_operation = replying((json, say) => {
      const found = synchronous(findOperation(JSON.parse(json)), "findOperation");
      if (Array.isArray(found)) return say(`{"operations": [${found.map(asJson)}]}`);
      return say(found == null ? "{}" : asJson(found));
    });
    callbacks.record_operation = replying((json) => {
      synchronous(recordOperation(JSON.parse(json), json), "recordOperation");
      return 0;
    });
  }
  return callbacks;
}

function asJson(operation) {
  return typeof operation === "string" ? operation : JSON.stringify(operation);
}

const NAMES = ["runs", "spawn", "begin", "commit", "rollback", "undo", "findOperation", "recordOperation"];

function check(functions) {
  for (const [name, f] of Object.entries(functions)) {
    if (!NAMES.includes(name)) throw new TypeError(`attach does not know \`${name}\`; it takes ${NAMES.join(", ")}, tasks, wire and heedsDue`);
    if (f !== undefined && typeof f !== "function") throw new TypeError(`attach: ${name} is to be a function`);
  }
  const has = (...names) => names.filter((name) => functions[name] !== undefined).length;
  if (has("runs", "spawn") !== 2) throw new TypeError("attach needs the functions runs and spawn");
  if (![0, 3].includes(has("begin", "commit", "rollback"))) throw new TypeError("attach takes begin, commit and rollback all three, or none of them");
  if (has("findOperation", "recordOperation") === 1) throw new TypeError("attach takes findOperation and recordOperation both, or neither");
}
