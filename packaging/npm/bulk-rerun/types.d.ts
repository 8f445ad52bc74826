// What the HTTP client and the library have in common: requests, answers and the ledger's operations, in snake_case.
// `Spelled` has them in camelCase.

export type Spelling = "snake" | "camel";

type CamelName<Name extends string> = Name extends `${infer First}_${infer Rest}` ? `${First}${Capitalize<CamelName<Rest>>}` : Name;

/** The same with its field names in camelCase. */
export type Camel<T> =
  T extends Date ? T
  : T extends readonly (infer Item)[] ? Camel<Item>[]
  : T extends object ? { [Name in keyof T as Name extends string ? CamelName<Name> : Name]: Camel<T[Name]> }
  : T;

export type Spelled<T, S extends Spelling> = S extends "camel" ? Camel<T> : T;

export type OtherSpelling<S extends Spelling> = S extends "camel" ? "snake" : "camel";

/** RFC 3339 with any offset, or a Date. */
export type Time = string | Date;

/** All that is set must hold. */
export interface Filter {
  /** Phases or end reasons, comma-separated: `failed,timeout`. */
  status?: string;
  task_name?: string;
  triggered_by?: string;
  /** Its task's name or its id contains this. */
  search?: string;
  created_after?: Time;
  created_before?: Time;
  exit_code_min?: number;
  exit_code_max?: number;
  retries_only?: boolean;
  /** It counts as a failure, or `status` matches. */
  is_failure?: boolean;
}

export interface Group {
  task_name: string;
  rerun_of: string;
}

export interface Options {
  dry_run?: boolean;
  /** A plan's `plan`: exactly that is spawned, or nothing (409). */
  expect_plan?: string;
  /** One new run for each task, for each task and parameters, or for each run. */
  unique_by?: "task" | "params" | "run";
  /** With `match_all`: tasks whose runs are not selected. */
  except_tasks?: string[];
  /** The groups that these runs are in are skipped, as `left_out`. */
  except_groups?: Group[];
  /** Skips what has a pending or running run. */
  skip_active?: boolean;
  /** Skips what has succeeded since. */
  skip_superseded?: boolean;
  /** At most so many new runs; more is an error. */
  limit?: number;
  /** Only the first so many are started; the rest is skipped, as `not_taken`. */
  take?: number;
  /** When the new runs are due, where the runner has a due time. */
  start_at?: Time;
  /** They fall due evenly over so long a time: `10m`. */
  spread?: string;
  /** A plan only: more of each group's runs. */
  with_runs?: boolean;
  /** A plan only: counts the selected runs over time, in so many spans (500 at most). */
  times?: number;
  /** The same key and request again spawn nothing, and answer as the first time. Needs the ledger. */
  idempotency_key?: string;
  /** Why, for the ledger. */
  reason?: string;
  /** Who, for the ledger. */
  actor?: string;
}

/** Which runs: every one that matches `filter` (`match_all: true`), or exactly `ids`. */
export interface Selector {
  match_all?: boolean;
  filter?: Filter;
  ids?: string[];
  /** With `match_all`: runs to leave out. */
  except_ids?: string[];
}

export interface Request extends Selector {
  options?: Options;
}

export interface Triggered {
  task_name: string;
  /** The new run. */
  run_id: string;
  /** The source run. */
  rerun_of: string;
}

export interface Skipped extends GroupRuns {
  task_name?: string;
  run_id?: string;
  reason: string;
  detail?: string;
  /** A plan with `with_runs` only. */
  matched?: number;
}

export interface Planned extends GroupRuns {
  task_name: string;
  rerun_of: string;
  /** How many selected runs there are in the group. */
  matched: number;
}

/** What a plan with `with_runs` tells of a group's selected runs. */
export interface GroupRuns {
  /** The source run. */
  run?: Run;
  /** When the earliest was created. */
  first?: string;
  /** How many distinct parameters they have: more than one means that some are not run. */
  parameter_sets?: number;
}

/** A run. Predicates, hosts and loops get it in snake_case, whatever the spelling. */
export interface Run {
  id: string;
  task_name: string;
  phase?: string | null;
  end_reason?: string | null;
  exit_code?: number | null;
  triggered_by?: string | null;
  /** RFC 3339, in UTC. */
  created_at?: string | null;
  retry_attempt?: number | null;
  /** The runner's own text. */
  params?: string | null;
  is_failure?: boolean | null;
  /** Why a run of this kind is never re-run. */
  unfit?: string | null;
}

/** How many runs stand where: by end reason, or by phase where that says it all. */
export type States = Record<string, number>;

export interface Answer {
  /** By task name, then by source run. */
  triggered: Triggered[];
  /** One for each group that got no new run, and one for each id that is no run. */
  skipped?: Skipped[];
  /** With the ledger only. */
  operation_id?: string;
  /** The key was used before: nothing was spawned now, and this is the first answer again. */
  replayed?: boolean;
  /** Over HTTP: the key that it was sent with. Absent where the store has no ledger. */
  idempotency_key?: string;
  /** A plan only, as all below. */
  planned?: Planned[];
  /** How many runs are selected. */
  matched?: number;
  /** What `expect_plan` takes. */
  plan?: string;
  times?: { from: string; step_seconds: number; buckets: States[] };
  /** Where a replica is searched: how far it was behind. */
  replica?: { lag_ms?: number; lag_bytes?: number };
}

export interface Plan extends Answer {
  planned: Planned[];
  matched: number;
  plan: string;
}

export interface OperationsQuery {
  /** 50 if absent. */
  limit?: number;
  /** The id of the last operation of the page before. */
  before?: string;
  created_after?: Time;
  /** Those that spawned this run, or re-ran it. */
  run_id?: string;
}

/** Where a new run stands. */
export interface NewRun extends Triggered {
  /** `pending`, `running` or `ended`; `gone` if the runner keeps it no longer, `undone` if it was taken back. */
  phase: string;
  end_reason?: string;
  exit_code?: number;
}

/** A re-run, as the ledger has it. */
export interface Operation {
  operation_id: string;
  created_at: string;
  /** `cli`, `http`, `c`, `lua`, `node`, … */
  door: string;
  actor: string | null;
  reason: string | null;
  idempotency_key: string | null;
  /** As it was carried out. */
  request: unknown;
  /** How many new runs there are. */
  triggered: number;
  skipped: number;
  undone_at: string | null;
}

export interface OperationWithRuns extends Operation {
  runs: NewRun[];
  states: States;
}

export interface Undone {
  /** Taken back now. */
  undone: { task_name: string; run_id: string }[];
  /** Begun, or over. */
  kept: { task_name: string; run_id: string; phase: string; end_reason?: string }[];
}

/** An operation: its id, or what has it. */
export type OperationRef = string | { operation_id?: string } | { operationId?: string };

export interface Violation {
  /** Such as `body.filter.status`. */
  location: string;
  message: string;
  value: unknown;
}

/** What a call has failed with: a problem document (RFC 9457). */
export class BulkRerunError extends Error {
  name: "BulkRerunError";
  /** As an HTTP status: 400, 404, 409, 422, 500, 503; 0 where no server answered. */
  status: number;
  title: string;
  detail: string;
  /** Every violation, not the first alone. */
  errors: Violation[];
  /** What a host without transactions, or a daemon, had started before. */
  triggered?: Triggered[];
  /** Over HTTP: the key that the request was sent with. With it, the request can be sent again, and is carried out once. */
  idempotencyKey?: string;
  cause?: unknown;
}
