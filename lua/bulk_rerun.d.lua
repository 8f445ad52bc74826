---@meta bulk_rerun
-- What `require "bulk_rerun"` returns, for language servers that read LuaCATS annotations. Put this folder in the
-- server's `workspace.library`.

---@class bulk_rerun
---@field _VERSION string `bulk_rerun` and the core's version.
---@field null lightuserdata JSON's null: where a list has a hole, or a field is there and has no value.
local bulk_rerun = {}

---Opens a store. What the config does not say comes from the environment.
---@param config? bulk_rerun.Config
---@return bulk_rerun.Host host
function bulk_rerun.open(config) end

---A host that is written in Lua: its functions hand runs over and start them.
---@param host bulk_rerun.ScriptHost
---@return bulk_rerun.Host host
function bulk_rerun.attach(host) end

---The time so long ago, as RFC 3339 in UTC.
---@param duration string `24h`, `7d`, `1h 30m`
---@return string time
function bulk_rerun.ago(duration) end

---Marks a table as a list, so that it is one also while it is empty.
---@generic T: table
---@param items? T
---@return T items
function bulk_rerun.array(items) end

---@param value any
---@return string json
function bulk_rerun.to_json(value) end

---@param json string
---@return any value
function bulk_rerun.from_json(json) end

---@class bulk_rerun.Config
---@field store? string A path, `sqlite:PATH` or `postgres://…`; else BULK_RERUN_STORE.
---@field replica? string A standby of the store's PostgreSQL server, `postgres://…`, which searches read; else BULK_RERUN_REPLICA.
---@field profile? string A built-in profile's name or a profile's file; found from the schema if absent.
---@field parameters? table<string, string> What the parameters are set to that the profile declares.
---@field tasks? string A `runwisp.toml`: the task catalogue.
---@field busy_timeout_ms? integer How long to wait for a lock that somebody else holds, or for the daemon; 5000 if absent.
---@field via? "store"|"daemon" Who starts the new runs: they are put into the store, or RunWisp's daemon is asked on its socket.
---@field ledger? boolean Make the ledger in the store, where there is none.
---@field wire? "snake"|"camel" How an answer is spelled when the request does not show a spelling.
---@field sqlite? "shared" The process's other users of the store use the same copy of SQLite.

---@class bulk_rerun.ScriptHost
---@field runs fun(selector: bulk_rerun.Selector, emit: fun(run: bulk_rerun.EmittedRun)) Hands runs over: at least those that the selector means.
---@field spawn fun(run: bulk_rerun.Run): string?, string? Starts a run again: returns the new run's id, or nil and a reason.
---@field heeds_due? boolean `spawn` starts the new run no earlier than `run.due` says, where that is there.
---@field begin? fun()
---@field commit? fun()
---@field rollback? fun()
---@field undo? fun(run: bulk_rerun.Run): boolean Takes a run back that no worker has begun; false if it was too late.
---@field find_operation? fun(query: bulk_rerun.OperationsQuery): any Finds operations that were recorded, as table or as JSON: one, or nil; where the query has a `limit`, a list, the newest first.
---@field record_operation? fun(operation: bulk_rerun.RecordedOperation, json: string) Keeps an operation, as table or as JSON; recorded again, it takes the old one's place.
---@field tasks? string
---@field wire? "snake"|"camel"

---What `find_operation` is asked for: one by its id or its key, or a list.
---@class bulk_rerun.OperationsQuery
---@field operation_id? string
---@field idempotency_key? string
---@field limit? integer A list: at most so many are told; more may be returned.
---@field before? string A list: those that were recorded before this operation.
---@field created_after? string A list: RFC 3339, in UTC.
---@field run_id? string A list: those with this run among their `runs`, as `run_id` or `rerun_of`.

---What a re-run was: of this only `operation_id`, `created_at` and `idempotency_key` need to be understood.
---@class bulk_rerun.RecordedOperation
---@field operation_id string
---@field created_at string RFC 3339, in UTC
---@field idempotency_key? string
---@field door string
---@field actor? string
---@field reason? string
---@field request table
---@field request_digest string
---@field triggered integer
---@field skipped integer
---@field runs { task_name: string, run_id: string, rerun_of: string, undone_at: string? }[]
---@field skipped_list table[]
---@field undone_at? string

---@class bulk_rerun.EmittedRun
---@field id string
---@field task_name string
---@field phase? "pending"|"running"|"ended"
---@field end_reason? string
---@field exit_code? integer
---@field triggered_by? string
---@field created_at? string RFC 3339
---@field retry_attempt? integer
---@field params? string|table The host's own text, or a table that becomes JSON.
---@field params_text? string The host's own text; goes before `params`.
---@field is_failure? boolean
---@field unfit? string Why a run of this kind is never re-run.
---@field due? string For `spawn`, with `start_at` or `spread`: when the new run is due, in RFC 3339.

---@class bulk_rerun.Run
---@field id string
---@field task_name string
---@field phase? "pending"|"running"|"ended"
---@field end_reason? string
---@field exit_code? integer
---@field triggered_by? string
---@field created_at? string RFC 3339, in UTC
---@field retry_attempt? integer
---@field params? any A table where the host's text is a JSON object or array, else the text.
---@field params_text? string The host's own text, byte for byte.
---@field is_failure? boolean
---@field unfit? string Why a run of this kind is never re-run.

---@class bulk_rerun.Selector
---@field match_all? boolean Every run that matches `filter`, except `except_ids`.
---@field filter? bulk_rerun.Filter
---@field ids? string[] Exactly these runs.
---@field except_ids? string[]
---@field options? bulk_rerun.Options

---@class bulk_rerun.Filter
---@field status? string Phases or end reasons, comma-separated: `failed,timeout`.
---@field task_name? string
---@field triggered_by? string
---@field search? string
---@field created_after? string RFC 3339
---@field created_before? string RFC 3339
---@field exit_code_min? integer
---@field exit_code_max? integer
---@field retries_only? boolean
---@field is_failure? boolean

---@class bulk_rerun.Options
---@field dry_run? boolean
---@field expect_plan? string
---@field unique_by? "task"|"params"|"run"
---@field except_tasks? string[] With `match_all`: tasks whose runs are not selected.
---@field except_groups? { task_name: string, rerun_of: string }[] The groups that these runs are in are skipped, as `left_out`.
---@field skip_active? boolean
---@field skip_superseded? boolean
---@field limit? integer At most so many new runs; more is an error.
---@field take? integer Only the first so many are started, the rest are skipped as `not_taken`.
---@field start_at? string When the new runs are due, where the runner has a due time: RFC 3339.
---@field spread? string They fall due evenly over so long a time: `10m`.
---@field with_runs? boolean A plan only: more of each group's runs.
---@field times? integer A plan only: counts the selected runs over time, in so many spans (500 at most).
---@field idempotency_key? string The same key and selector again start nothing, and give the first report. Needs the ledger.
---@field reason? string Why, for the ledger.
---@field actor? string Who, for the ledger.

---@class bulk_rerun.Report
---@field triggered { task_name: string, run_id: string, rerun_of: string }[]
---@field skipped? bulk_rerun.Skipped[]
---@field planned? bulk_rerun.Planned[] A plan only.
---@field matched? integer A plan only.
---@field plan? string A plan only: what `expect_plan` takes.
---@field times? { from: string, step_seconds: integer, buckets: table<string, integer>[] } A plan with `times` only.
---@field replica? { lag_ms: integer?, lag_bytes: integer? } A plan with a replica only: how far that was behind.
---@field operation_id? string With the ledger only: its id there.
---@field replayed? boolean The key was used before: nothing was started now, and this is the first report again.

---@class bulk_rerun.Skipped: bulk_rerun.GroupRuns
---@field task_name? string
---@field run_id? string
---@field reason string
---@field detail? string
---@field matched? integer A plan `with_runs` only: how many selected runs the group has.

---@class bulk_rerun.Planned: bulk_rerun.GroupRuns
---@field task_name string
---@field rerun_of string
---@field matched integer

---What a plan `with_runs` tells of a group's selected runs.
---@class bulk_rerun.GroupRuns
---@field run? table The source run, in canonical columns; its `params` are the host's own text.
---@field first? string When the earliest was created: RFC 3339, in UTC.
---@field parameter_sets? integer How many distinct parameters they have: more than one means that some are not run.

---@class bulk_rerun.NewRun
---@field task_name string
---@field rerun_of string The source run.
---@field run_id string
---@field phase string `pending`, `running` or `ended`; `gone` if the host keeps it no longer, `undone` if it was taken back.
---@field end_reason? string
---@field exit_code? integer

---@class bulk_rerun.WaitOptions
---@field timeout? string How long at most: `30m`. For ever if absent.
---@field interval? string How long from one look to the next: `2s`. Half a second at first, five later, if absent.
---@field each? fun(states: table<string, integer>) Called at every look.

---What `host:wait` returns.
---@class bulk_rerun.Outcome
---@field runs bulk_rerun.NewRun[]
---@field states table<string, integer> How many runs stand where: by end reason, or by phase.
---@field succeeded boolean All have succeeded, or are gone.
---@field timed_out boolean Some have not ended.

---@class bulk_rerun.OperationsQuery
---@field limit? integer At most so many; 50 if absent.
---@field before? string Those before this operation: the last one of the page before.
---@field created_after? string RFC 3339: `bulk_rerun.ago "24h"`
---@field run_id? string Those that started this run, or re-ran it.

---A re-run, as the ledger has it.
---@class bulk_rerun.Operation
---@field operation_id string
---@field created_at string RFC 3339, in UTC
---@field door string `cli`, `http`, `c`, `lua`, …
---@field actor? string
---@field reason? string
---@field idempotency_key? string
---@field request table As it was carried out.
---@field triggered integer How many new runs there are.
---@field skipped integer
---@field undone_at? string
---@field runs? bulk_rerun.NewRun[] From `host:operation` only.
---@field states? table<string, integer> From `host:operation` only: how many of them stand where.

---@class bulk_rerun.Undone
---@field undone { task_name: string, run_id: string }[] Taken back now.
---@field kept { task_name: string, run_id: string, phase: string, end_reason?: string }[] Begun, or over.

---What a failed call raises.
---@class bulk_rerun.ErrorModel
---@field type string
---@field title string
---@field status integer As an HTTP status: 400, 404, 409, 422, 500, 503.
---@field detail string
---@field errors? { location: string, message: string, value: any }[] Every violation.
---@field where? string The script's line: `script.lua:7`.
---@field triggered? { task_name: string, run_id: string, rerun_of: string }[] What a host without transactions had started.
---@field cause? any What that host's function raised.

---@class bulk_rerun.Host
local Host = {}

---Evaluates a selector only: the runs that match now, one at a time.
---@param selector bulk_rerun.Selector|string A table, or JSON.
---@return fun(): bulk_rerun.Run? step
function Host:runs(selector) end

---What a re-run would start. Changes nothing.
---@param selector bulk_rerun.Selector|string
---@param predicate? fun(run: bulk_rerun.Run): any
---@return bulk_rerun.Report plan
function Host:plan(selector, predicate) end

---Re-runs the unique tasks behind the selected runs: all of them, or none.
---@param selector bulk_rerun.Selector|string
---@param predicate? fun(run: bulk_rerun.Run): any Keeps or drops each matched run, before grouping.
---@return bulk_rerun.Report report
function Host:rerun(selector, predicate) end

---One new run from one source run.
---@param run bulk_rerun.Run|string A run; or its id, which raises where runs of several tasks bear it.
---@return string? run_id
---@return string? reason Why there is no new run.
---@return string? detail
function Host:spawn(run) end

---Waits until the new runs have ended. Blocks; Ctrl-C ends it.
---@param what bulk_rerun.Report|bulk_rerun.Operation|string A report or an operation; or, with the ledger, an operation's id.
---@param options? bulk_rerun.WaitOptions
---@return bulk_rerun.Outcome outcome
function Host:wait(what, options) end

---What the ledger has, newest first.
---@param query? bulk_rerun.OperationsQuery
---@return bulk_rerun.Operation[] operations
function Host:operations(query) end

---One operation, with its new runs and where they stand now.
---@param id string|bulk_rerun.Report|bulk_rerun.Operation Its id, or what has it.
---@return bulk_rerun.Operation operation
function Host:operation(id) end

---Takes back what no worker has begun of an operation.
---@param id string|bulk_rerun.Report|bulk_rerun.Operation Its id, or what has it.
---@return bulk_rerun.Undone undone
function Host:undo(id) end

---Closes the store. Loops that have begun go on.
function Host:close() end

return bulk_rerun
