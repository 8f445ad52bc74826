/// <reference lib="esnext.disposable" />
import type { Answer, Operation, OperationRef, OperationsQuery, OperationWithRuns, OtherSpelling, Plan, Request, Run, Selector, Spelled, Spelling, Undone } from "./types.js";

export * from "./types.js";

export interface Config<S extends Spelling = "snake"> {
  /** A path, `sqlite:PATH` or `postgres://…`; else BULK_RERUN_STORE. */
  store?: string;
  /** A standby of the store's PostgreSQL server, `postgres://…`, which searches read; else BULK_RERUN_REPLICA. */
  replica?: string;
  /** A built-in profile's name or a profile's file; found from the schema if absent. */
  profile?: string;
  /** What the parameters are set to that the profile declares. */
  parameters?: Record<string, string>;
  /** A `runwisp.toml`: the task catalogue. */
  tasks?: string;
  /** Make the ledger in the store, where there is none. */
  ledger?: boolean;
  /** How long to wait for a lock that somebody else holds, or for the daemon; 5000 if absent. */
  busy_timeout_ms?: number;
  /** Who starts the new runs: they are put into the store, or RunWisp's daemon is asked on its socket. */
  via?: "store" | "daemon";
  /** How answers are spelled whose request does not show a spelling, and operations. */
  wire?: S;
  /** The process's other users of the store use the same copy of SQLite. */
  sqlite?: "shared";
  /** What the ledger says of who called: `node` if absent. */
  door?: string;
}

/** What `findOperation` is asked for: one by its id or its key, or a list (`limit`). */
export interface FindOperation {
  operation_id?: string;
  idempotency_key?: string;
  limit?: number;
  before?: string;
  created_after?: string;
  run_id?: string;
}

/** Of this a host only needs to understand `operation_id`, `created_at` and `idempotency_key`. */
export interface RecordedOperation {
  operation_id: string;
  created_at: string;
  idempotency_key?: string;
  [field: string]: unknown;
}

/** A host of your own. Its functions are called in the middle of a call, and return their results: no promises. */
export interface OwnHost<S extends Spelling = "snake"> {
  /** Hands runs over: at least those that the selector means. */
  runs(selector: Selector): Iterable<Run>;
  /** Starts a run again, with its parameters: the new run's id, or why not. */
  spawn(run: Run & { due?: string }): string | { skipped: string };
  /** `spawn` starts the new run no earlier than `run.due` says, where that is there. */
  heedsDue?: boolean;
  /** With `commit` and `rollback`: all new runs, or none. */
  begin?(): void;
  commit?(): void;
  rollback?(): void;
  /** Takes a run back that no worker has begun; false if it was too late. */
  undo?(run: Run): boolean;
  /** With `recordOperation`, a ledger. One operation as it was recorded, or none; where the query has a `limit`, a list, the newest first. */
  findOperation?(query: FindOperation): RecordedOperation | string | null | undefined | (RecordedOperation | string)[];
  /** Keeps an operation, as an object or as JSON; recorded again, it takes the old one's place. */
  recordOperation?(operation: RecordedOperation, json: string): void;
  tasks?: string;
  wire?: S;
}

/** Whether to keep a run: true or false. Anything else, and an exception, fails the call, and nothing is spawned. */
export type Predicate = (run: Run) => boolean;

/** A store, or a host of your own. Calls block, and throw a BulkRerunError. */
export interface Host<S extends Spelling = "snake"> {
  /** What a re-run would start. Changes nothing. */
  plan(request: Spelled<Request, S>, keep?: Predicate): Spelled<Plan, S>;
  plan(request: Spelled<Request, OtherSpelling<S>>, keep?: Predicate): Spelled<Plan, OtherSpelling<S>>;

  /** Re-runs the unique tasks behind the runs that are selected, and that the predicate keeps: all of them, or none. */
  rerun(request: Spelled<Request, S>, keep?: Predicate): Spelled<Answer, S>;
  rerun(request: Spelled<Request, OtherSpelling<S>>, keep?: Predicate): Spelled<Answer, OtherSpelling<S>>;

  /** Evaluates a selector only: the runs that match when the loop begins, one at a time. */
  runs(selector: Selector | Spelled<Selector, "camel">): Generator<Run, void, undefined>;

  /** What was re-run, newest first, where there is a ledger. */
  operations(query?: Spelled<OperationsQuery, S>): Spelled<Operation, S>[];

  /** One re-run, with its new runs and where each of them stands now. */
  operation(operation: OperationRef): Spelled<OperationWithRuns, S>;

  /** Takes back what no worker has begun of it. */
  undo(operation: OperationRef): Spelled<Undone, S>;

  /** Closes it; a second time does nothing. */
  close(): void;
  [Symbol.dispose](): void;
}

/** Opens a store. What the config does not say comes from the environment. */
export function open<S extends Spelling = "snake">(config?: Config<S>): Host<S>;

/** A host of your own: its functions hand runs over, and start them. */
export function attach<S extends Spelling = "snake">(host: OwnHost<S>): Host<S>;

/** Where libbulk_rerun.so is, which is an extension of SQLite as well: `database.loadExtension(libraryPath())`. */
export function libraryPath(): string;
