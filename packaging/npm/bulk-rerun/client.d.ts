import type { Answer, Operation, OperationRef, OperationsQuery, OperationWithRuns, NewRun, OtherSpelling, Plan, Request, Spelled, Spelling, States, Undone } from "./types.js";

export * from "./types.js";

export interface ClientOptions<S extends Spelling = "snake"> {
  /** What `bulk-rerun serve` wants as its token. */
  token?: string | undefined;
  /** How operations are spelled, and the answers to requests that show no spelling (`{ ids }`). */
  spelling?: S | undefined;
  /** In place of the global fetch. */
  fetch?: typeof globalThis.fetch | undefined;
}

export interface CallOptions {
  /** Stops waiting. What the server has begun to spawn completes. */
  signal?: AbortSignal | undefined;
}

export interface RerunOptions extends CallOptions {
  /** One re-run has one key, however often it is sent. Made if absent; false for none. */
  idempotencyKey?: string | false | undefined;
}

export interface WaitOptions extends CallOptions {
  /** In milliseconds, or like `30m`. For ever if absent. */
  timeout?: number | string | undefined;
  /** Called at every look. */
  onStates?: ((states: States) => void) | undefined;
}

export interface Outcome {
  runs: NewRun[];
  states: States;
  /** All have succeeded, or are gone. */
  succeeded: boolean;
  /** Some have not ended. */
  timed_out: boolean;
}

/** The HTTP client of `bulk-rerun serve`. Its methods reject with a BulkRerunError. */
export class Client<S extends Spelling = "snake"> {
  constructor(url: string | URL, options?: ClientOptions<S>);

  /** What a re-run would start. Changes nothing. */
  plan(request: Spelled<Request, S>, options?: CallOptions): Promise<Spelled<Plan, S>>;
  plan(request: Spelled<Request, OtherSpelling<S>>, options?: CallOptions): Promise<Spelled<Plan, OtherSpelling<S>>>;

  /**
   * Re-runs what the request selects. Where the store has a ledger it is sent again if the connection is lost or the store is
   * busy, and carried out once; the answer has the key.
   */
  rerun(request: Spelled<Request, S>, options?: RerunOptions): Promise<Spelled<Answer, S>>;
  rerun(request: Spelled<Request, OtherSpelling<S>>, options?: RerunOptions): Promise<Spelled<Answer, OtherSpelling<S>>>;

  /** What was re-run, newest first, where the store has a ledger. */
  operations(query?: Spelled<OperationsQuery, S>, options?: CallOptions): Promise<Spelled<Operation, S>[]>;

  /** One re-run, with its new runs and where each of them stands now. */
  operation(operation: OperationRef, options?: CallOptions): Promise<Spelled<OperationWithRuns, S>>;

  /** Takes back what no worker has begun of it. */
  undo(operation: OperationRef, options?: CallOptions): Promise<Spelled<Undone, S>>;

  /** Waits until the new runs have ended, or the time is up. */
  wait(operation: OperationRef, options?: WaitOptions): Promise<Spelled<Outcome, S>>;
}
