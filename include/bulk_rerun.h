/*
 * bulk_rerun: re-run the unique tasks behind a selector's runs, inside a job runner's own store.
 *
 *     char *answer = bulk_rerun("{\"match_all\": true, \"filter\": {\"status\": \"failed\"}}");
 *     puts(answer);
 *     bulk_rerun_string_free(answer);
 *
 * Made from src/capi by cbindgen; edit it there.
 *
 * TEXT is UTF-8 and ends with a NUL. What goes in is yours, and is copied. What comes out as `char *`
 * is yours too: free it with bulk_rerun_string_free, never with free(). `const char *` is not yours.
 *
 * HANDLES are independent of each other. Close what you have opened, once.
 *
 *     bulk_rerun_plugin *runs = bulk_rerun_open("{\"store\": \"runs.db\"}", NULL);
 *     bulk_rerun_close(runs);
 *
 * REQUESTS are JSON objects, the same at every door. A field may be spelled in camelCase as well; null is the
 * same as absent, and an unknown field is an error.
 *
 *     a field               says
 *     --------------------  ------------------------------------------------------------------------------
 *     ids                   exactly these runs
 *     match_all             true: every run that matches `filter`
 *     filter                conditions on a run; all must hold
 *     except_ids            runs to leave out, with `match_all`
 *     options               what to do with the runs
 *
 *     a field of `filter`   a run matches when
 *     --------------------  ------------------------------------------------------------------------------
 *     status                its phase or its end reason is one of these: "failed,timeout"
 *     task_name             its task's name is this
 *     triggered_by          this has triggered it: "cron", "api", "ui"
 *     search                its task's name or its id contains this
 *     created_after         it was created then (RFC 3339) or later
 *     created_before        it was created then or earlier
 *     exit_code_min         its exit code is at least this
 *     exit_code_max         its exit code is at most this
 *     retries_only          true: it is a retry
 *     is_failure            true: it counts as a failure, or `status` matches
 *
 *     an option             does
 *     --------------------  ------------------------------------------------------------------------------
 *     dry_run               true: changes nothing, and answers what would be spawned
 *     with_runs             true: a dry run tells more of the runs behind each new one
 *     times                 lets a dry run count the selected runs over time, in so many spans (500 at most)
 *     expect_plan           spawns what a dry run's `plan` stands for, or nothing (409)
 *     unique_by             one new run for each "task" (so if absent), task and "params", or "run"
 *     except_tasks          leaves these tasks' runs out, with `match_all`
 *     except_groups         skips the groups that these runs are in: [{"task_name": ..., "rerun_of": ...}]
 *     skip_active           true: skips what has a pending or running run
 *     skip_superseded       true: skips what has succeeded since
 *     limit                 spawns at most so many; more is an error (422)
 *     take                  starts the first so many, and skips the rest as `not_taken`
 *     start_at              lets the new runs be due then (RFC 3339), where the runner has a due time
 *     spread                lets them fall due evenly over so long a time: "10m"
 *     idempotency_key       with the same key and request again, spawns nothing and repeats the first answer
 *     reason                says why, for the ledger
 *     actor                 says who, for the ledger
 *
 * ERRORS are JSON, an ErrorModel: `{"type", "title", "status", "detail", "errors"?}`. A call answers one
 * in place of its answer (bulk_rerun_is_error tells); other functions return NULL or -1 and put it in
 * `*error_json`, which is NULL otherwise. Pass NULL as `error_json` if you do not want it. NULL and text
 * that is not UTF-8 give such an error, and so does a defect of this library: it never ends the process.
 * A call that failed has changed nothing, but for the runs that a host without transactions has started
 * before (`triggered`), or has taken back.
 *
 *     char *error = NULL;
 *     bulk_rerun_plugin *none = bulk_rerun_open("{\"store\": \"/nowhere/runs.db\"}", &error);
 *     if (none == NULL) {
 *         puts(error);
 *         bulk_rerun_string_free(error);
 *     }
 *
 * LOG: an answer never has the engine's own words, which may quote data. bulk_rerun_set_log hands them to
 * the host's own log; BULK_RERUN_LOG=error in the environment writes them to standard error (warn, info,
 * debug and trace write more).
 *
 *     setenv("BULK_RERUN_LOG", "error", 1);
 *
 * THREADS: any number of them may use the same plugin or cursor at once. A callback (one of a host's, a
 * predicate, or the log) comes on the thread that made the call, before it returns.
 *
 *     function (bulk_rerun...)          on which thread        from within a callback
 *     --------------------------------  ---------------------  ---------------------------------------
 *     _version, _abi_version,           any                    yes
 *       _is_error, _string_free
 *     _open, _attach, _configure        any                    yes
 *     (itself), _call, _call_where,     any, several at once   on another plugin; on the callback's own
 *       _call_where_run, _call_unless,                         they answer an error (409)
 *       _select,
 *       _operations, _undo
 *     _close                            any; waits for calls   yes, but on the callback's own plugin it
 *                                       of other threads       does nothing: it would wait for itself
 *     _cursor_next, _cursor_run         any, one by one        yes
 *     _cursor_close                     any, at any time       yes
 *     _cancel_new, _now, _free          any, at any time       yes
 *     _emit                             the callback's own     from `runs` alone
 *     _reply_set                        the callback's own     from `spawn`, `undo`, `find_operation` and
 *                                                              `record_operation` alone
 *     _set_log                          any; waits for the     yes; from within the log itself it does
 *                                       old log's last word    not wait
 *
 * What waits must not be called under a lock of yours that the callback takes, too.
 *
 *     static void *call_plugin(void *plugin) {
 *         return bulk_rerun_call((bulk_rerun_plugin *)plugin, "{\"match_all\": true}");
 *     }
 *
 *     pthread_t thread;
 *     void *answer = NULL;
 *     if (pthread_create(&thread, NULL, call_plugin, plugin) == 0 && pthread_join(thread, &answer) == 0) {
 *         bulk_rerun_string_free((char *)answer);
 *     }
 *
 * THE END OF A THREAD: pthread_cancel during a call takes effect when the call has returned; cancellation
 * is off meanwhile, in callbacks as well, and is then what it was. (A thread that is cancelled at any moment
 * whatever, PTHREAD_CANCEL_ASYNCHRONOUS, must not call: POSIX allows it next to nothing.) A callback must
 * return. pthread_exit and longjmp, an exception, and a cancellation that it allows by itself, would pass over
 * this library's frames: that ends the process at best. Catch what your callback throws, and return -1.
 *
 *     extern "C" int32_t keep_some(void *context, const char *run_json) {
 *         try {
 *             return std::string(run_json).find((const char *)context) != std::string::npos;
 *         } catch (...) {
 *             return -1;
 *         }
 *     }
 *
 *     bulk_rerun_string_free(bulk_rerun_call_where(plugin, request, keep_some, (void *)"backup"));
 *
 * STACK: a thread that calls needs 64 kB of it over SQLite and callbacks, beside what the callbacks need;
 * over PostgreSQL it needs 256 kB. Less is not noticed before it is too late (pthread_attr_setstacksize).
 *
 * SIGNALS: no function may be called from a signal's handler. The library installs none, and a call that
 * one interrupts goes on.
 *
 * FORK: a child may go on with its parent's plugin: no SQLite connection is open while a process forks,
 * and a child opens its own to a server. A cursor does not work in a child. As everywhere, do not fork
 * while other threads are in the middle of a call, nor from within a callback: the child could not use
 * that store.
 *
 *     if (fork() == 0) {
 *         puts(bulk_rerun_call(plugin, request));
 *         fflush(stdout);
 *         _exit(0);
 *     }
 *
 * SQLITE: the library brings no SQLite of its own. It uses the copy that the process has, and refuses a
 * store that the process has open already by what may be another copy, unless the config says
 * `"sqlite": "shared"`: two copies on one file lose each other's locks. The refusal names the ways out.
 *
 *     bulk_rerun_plugin *beside_mine = bulk_rerun_open("{\"store\": \"runs.db\", \"sqlite\": \"shared\"}", NULL);
 *     bulk_rerun_close(beside_mine);
 */


#ifndef BULK_RERUN_H
#define BULK_RERUN_H

#include <stddef.h>
#include <stdint.h>

/**
 * The version of this ABI: what a `bulk_rerun_host` says as its `abi_version`. It stays as it is
 * while functions and fields are only added.
 */
#define BULK_RERUN_ABI_VERSION 1

/**
 * In `bulk_rerun_run.has`: the run has an exit code.
 */
#define BULK_RERUN_HAS_EXIT_CODE 1

/**
 * In `bulk_rerun_run.has`: it is known which attempt it is.
 */
#define BULK_RERUN_HAS_RETRY_ATTEMPT 2

/**
 * In `bulk_rerun_run.has`: the host has a mark of its own for failures.
 */
#define BULK_RERUN_HAS_IS_FAILURE 4

/**
 * For a host's `flags`: `spawn` heeds the field `due` of the source run that it is given, which says (in RFC 3339)
 * when the new run is due. Without it requests that say when are refused.
 */
#define BULK_RERUN_HEEDS_DUE 1

/**
 * Why a call failed, in the engine's own words; a defect of this library.
 */
#define BULK_RERUN_LOG_ERROR 1

/**
 * What is not as it should be, and was put up with.
 */
#define BULK_RERUN_LOG_WARN 2

/**
 * Why a run was not started, in the engine's own words. The log has what is as severe as this, or more.
 */
#define BULK_RERUN_LOG_INFO 3

/**
 * Details for whoever looks for a defect; only if BULK_RERUN_LOG is `debug` or `trace`.
 */
#define BULK_RERUN_LOG_DEBUG 4

/**
 * As above; only if BULK_RERUN_LOG is `trace`.
 */
#define BULK_RERUN_LOG_TRACE 5

/**
 * Stops the calls that it was handed to. Good for one call or for many.
 */
typedef struct bulk_rerun_cancel bulk_rerun_cancel;

/**
 * The runs that a selector meant when the cursor was opened. It stands on its own: it may outlive
 * its plugin, and holds no lock and no transaction on the store.
 */
typedef struct bulk_rerun_cursor bulk_rerun_cursor;

/**
 * A plugin over one store, or over one host's callbacks. Any number of threads may call it at once.
 */
typedef struct bulk_rerun_plugin bulk_rerun_plugin;

/**
 * Takes what a `spawn`, `undo`, `find_operation` or `record_operation` callback replies. Good until that callback
 * returns, on its thread alone.
 */
typedef struct bulk_rerun_reply bulk_rerun_reply;

/**
 * Takes the runs that a `runs` callback hands over. Good until that callback returns, on its thread alone.
 */
typedef struct bulk_rerun_sink bulk_rerun_sink;

/**
 * A text that is lent: UTF-8, which does not end with a NUL. `bytes` is NULL where there is none.
 */
typedef struct bulk_rerun_text {
    /**
     * Its first byte.
     */
    const char *bytes;
    /**
     * How many there are.
     */
    size_t length;
} bulk_rerun_text;

/**
 * A run in canonical columns, as its JSON has them, with texts that are lent to you. Its fields stay what they are: a later
 * version that has more to say has another function for it.
 */
typedef struct bulk_rerun_run {
    /**
     * The run's id.
     */
    struct bulk_rerun_text id;
    /**
     * The task that it is a run of.
     */
    struct bulk_rerun_text task_name;
    /**
     * `pending`, `running` or `ended`.
     */
    struct bulk_rerun_text phase;
    /**
     * How it ended, in the host's own word.
     */
    struct bulk_rerun_text end_reason;
    /**
     * What triggered it (cron, api, service, …).
     */
    struct bulk_rerun_text triggered_by;
    /**
     * RFC 3339, in UTC.
     */
    struct bulk_rerun_text created_at;
    /**
     * The host's own text, which may have a NUL in it.
     */
    struct bulk_rerun_text params;
    /**
     * Why a run of its kind is never started again.
     */
    struct bulk_rerun_text unfit;
    /**
     * Which of the numbers below are there: BULK_RERUN_HAS_EXIT_CODE, …
     */
    uint32_t has;
    /**
     * 1 where it counts as a failure, else 0.
     */
    int32_t is_failure;
    /**
     * Its exit code; see `has`.
     */
    int64_t exit_code;
    /**
     * 0 for a first attempt; see `has`.
     */
    int64_t retry_attempt;
} bulk_rerun_run;

/**
 * A host's callbacks. Every one returns 0 if it succeeded; anything else fails the call. They are
 * called on the thread that called the plugin, so from several threads at once if you call it from
 * several. `bulk_rerun_emit` and `bulk_rerun_reply_set` show two of them.
 */
typedef struct bulk_rerun_host {
    /**
     * `sizeof(bulk_rerun_host)`. Later versions of the library may add fields at the end; one that does not
     * know them takes them only if they are 0.
     */
    size_t struct_size;
    /**
     * `BULK_RERUN_ABI_VERSION`.
     */
    uint32_t abi_version;
    /**
     * `BULK_RERUN_HEEDS_DUE`, or 0.
     */
    uint32_t flags;
    /**
     * Yours: it is handed to each callback as it is.
     */
    void *context;
    /**
     * Hands each run to `bulk_rerun_emit`. The selector tells which ones are asked for; it is fine to
     * hand over more, since the plugin checks every run again. One call may ask several times.
     */
    int32_t (*runs)(void *context, const char *selector_json, struct bulk_rerun_sink *sink);
    /**
     * Starts a run of the source run's task, with the source run's parameters, and tells what became
     * of it with `bulk_rerun_reply_set`.
     */
    int32_t (*spawn)(void *context, const char *source_run_json, struct bulk_rerun_reply *reply);
    /**
     * Begins a transaction. `begin`, `commit` and `rollback` are all set or all NULL; without them,
     * an error names the runs that were spawned before it.
     */
    int32_t (*begin)(void *context);
    /**
     * Makes what was done since `begin` last.
     */
    int32_t (*commit)(void *context);
    /**
     * Takes back what was done since `begin`.
     */
    int32_t (*rollback)(void *context);
    /**
     * Takes a run back that no worker has begun, so that none ever will, and tells with `bulk_rerun_reply_set`
     * whether it did: `{"undone": true}`, or `{"undone": false}` if it was too late. From then on `runs` hands
     * the run over as ended, or not at all. NULL if the host can't do that.
     */
    int32_t (*undo)(void *context, const char *run_json, struct bulk_rerun_reply *reply);
    /**
     * Finds an operation that was recorded: replies its JSON as it was, or `{}` if there is none. The query is
     * `{"operation_id": "..."}` or `{"idempotency_key": "..."}`. Or it is for a list: it has a `limit`, and maybe
     * `before` (an operation's id: those that were recorded before it), `created_after` and `run_id` (the
     * `run_id` or `rerun_of` of one of the `runs`). Then the reply is `{"operations": [...]}`, the newest first,
     * and may have more than is asked for, since the plugin checks each one again. It comes within a transaction
     * and without. `find_operation` and `record_operation` are both set, and the host has a ledger, or both NULL.
     */
    int32_t (*find_operation)(void *context, const char *query_json, struct bulk_rerun_reply *reply);
    /**
     * Keeps an operation: what was re-run, by whom and why, and the new runs. All that a host must understand of
     * its JSON is `operation_id`, `created_at`, and `idempotency_key` where that is there; it may keep the text as
     * it is. It comes between `begin` and `commit`, and once more when the operation is undone: then it takes
     * the place of what was kept under its `operation_id`. Nothing need be replied, but an `{"error": "..."}`
     * may.
     *
     * A key is one re-run if the host lets one transaction in at a time, or fails to record another operation
     * with the same key. Without `begin` an operation is recorded when its runs have been started: a crash in
     * between leaves them without it and the key free, and of two calls at once with one key both may start runs.
     */
    int32_t (*record_operation)(void *context, const char *operation_json, struct bulk_rerun_reply *reply);
} bulk_rerun_host;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The library's version, such as "0.1.0". Static text: never free it.
 */
const char *bulk_rerun_version(void);

/**
 * The `BULK_RERUN_ABI_VERSION` that the loaded library was built with. A program that loads the
 * library at run time compares it with its header's.
 */
uint32_t bulk_rerun_abi_version(void);

/**
 * Whether an answer is an error: 1 for an ErrorModel, 0 for any other text and for NULL.
 *
 * ```c
 * char *answer = bulk_rerun_call(plugin, request);
 * if (bulk_rerun_is_error(answer)) {
 *     fprintf(stderr, "%s\n", answer);
 * }
 * bulk_rerun_string_free(answer);
 * ```
 *
 * # Safety
 *
 * `answer_json` is NULL or ends with a NUL.
 */
int32_t bulk_rerun_is_error(const char *answer_json);

/**
 * Frees a text that this library has handed over. NULL is fine.
 *
 * ```c
 * char *answer = bulk_rerun_call(plugin, request);
 * puts(answer);
 * bulk_rerun_string_free(answer);
 * ```
 *
 * # Safety
 *
 * `text` is NULL, or came from a function of this library and was not freed yet: `free()` does not
 * fit it, and this function fits nothing else.
 */
void bulk_rerun_string_free(char *text);

/**
 * As `bulk_rerun_call`, with the process's default plugin: the one that `bulk_rerun_configure` set,
 * else one over the store that BULK_RERUN_STORE names, opened on first use. Never returns NULL.
 *
 * ```c
 * char *answer = bulk_rerun("{\"ids\": [\"01JRX3M7ZD7Q8M5T8E2Y9V4B6C\"]}");
 * puts(answer);
 * bulk_rerun_string_free(answer);
 * ```
 *
 * # Safety
 *
 * `request_json` is NULL or ends with a NUL.
 */
char *bulk_rerun(const char *request_json);

/**
 * Sets the process's default plugin. Returns 0, or -1 with an error in `*error_json`; the default is
 * then what it was. A default that was set before is closed when the last call on it is over. NULL
 * as the config closes the default; `bulk_rerun` then answers an error until another is set.
 *
 * ```c
 * char *error = NULL;
 * if (bulk_rerun_configure("{\"store\": \"runs.db\"}", &error) != 0) {
 *     puts(error);
 *     bulk_rerun_string_free(error);
 * }
 * ```
 *
 * # Safety
 *
 * `config_json` is NULL or ends with a NUL. `error_json` is NULL or can be written to.
 */
int32_t bulk_rerun_configure(const char *config_json, char **error_json);

/**
 * Opens a plugin over a store: `{"store": "/var/lib/runner/runs.db"}`. What the config does not say
 * is taken from the environment (BULK_RERUN_STORE, _REPLICA, _PROFILE, _PARAMETERS, _TASKS, _LEDGER); `{}` is the
 * environment alone. `replica` is a standby of the store's PostgreSQL server, which searches read in its place. `parameters` sets those that the profile declares: `{"profile": "mine.toml", "parameters": {"queue": "mail"}}`.
 * With `"via": "daemon"` a live RunWisp is asked on its socket to start the new runs, one by one and at once: an error
 * then lists in `triggered` what was started before it.
 * Returns NULL if that fails, and an error in `*error_json`.
 *
 * ```c
 * char *error = NULL;
 * bulk_rerun_plugin *runs = bulk_rerun_open("{\"store\": \"runs.db\"}", &error);
 * if (runs == NULL) {
 *     fprintf(stderr, "%s\n", error);
 *     bulk_rerun_string_free(error);
 * }
 * bulk_rerun_close(runs);
 * ```
 *
 * # Safety
 *
 * `config_json` is NULL or ends with a NUL. `error_json` is NULL or can be written to.
 */
struct bulk_rerun_plugin *bulk_rerun_open(const char *config_json,
                                          char **error_json);

/**
 * Re-runs what the request selects. Returns JSON in any case, a BulkRerunBody or an ErrorModel,
 * which you free. `bulk_rerun_is_error` tells the two apart. With an `idempotency_key` in its options, which
 * needs the ledger, the same request spawns once, however often you send it.
 *
 * ```c
 * char *answer = bulk_rerun_call(plugin, "{\"match_all\": true, \"filter\": {\"status\": \"failed\"}}");
 * fputs(answer, bulk_rerun_is_error(answer) ? stderr : stdout);
 * bulk_rerun_string_free(answer);
 * ```
 *
 * # Safety
 *
 * `plugin` is NULL or open. `request_json` is NULL or ends with a NUL.
 */
char *bulk_rerun_call(struct bulk_rerun_plugin *plugin, const char *request_json);

/**
 * As `bulk_rerun_call`, with a say of yours on each run that matched, before the runs are grouped:
 * exactly 1 keeps it, and 0 drops it. Any other number fails the call, and nothing is spawned: what a
 * language's binding returns for a callback that threw may be any number. So catch what yours may throw, and
 * return -1. (Python's ctypes returns what happens to be in memory, and cffi 0, unless the callback is made
 * with `error=-1`.)
 *
 * ```c
 * static int32_t not_killed(void *context, const char *run_json) {
 *     (void)context;
 *     return strstr(run_json, "\"exit_code\":137") == NULL;
 * }
 * ```
 *
 * ```c
 * char *answer = bulk_rerun_call_where(plugin, request, not_killed, NULL);
 * puts(answer);
 * bulk_rerun_string_free(answer);
 * ```
 *
 * # Safety
 *
 * As for `bulk_rerun_call`. `keep` is NULL (an error) or a function; it is called on this thread,
 * before this function returns, and neither keeps nor frees `run_json`.
 */
char *bulk_rerun_call_where(struct bulk_rerun_plugin *plugin,
                            const char *request_json,
                            int32_t (*keep)(void *context, const char *run_json),
                            void *context);

/**
 * As `bulk_rerun_call_where`, for who judges many: no JSON is made of a run. Its texts are yours to look at until `keep`
 * returns.
 *
 * ```c
 * static int32_t not_killed_either(void *context, const bulk_rerun_run *run) {
 *     (void)context;
 *     return !((run->has & BULK_RERUN_HAS_EXIT_CODE) && run->exit_code == 137);
 * }
 * ```
 *
 * ```c
 * char *answer = bulk_rerun_call_where_run(plugin, request, not_killed_either, NULL);
 * puts(answer);
 * bulk_rerun_string_free(answer);
 * ```
 *
 * # Safety
 *
 * As for `bulk_rerun_call_where`.
 */
char *bulk_rerun_call_where_run(struct bulk_rerun_plugin *plugin,
                                const char *request_json,
                                int32_t (*keep)(void *context, const struct bulk_rerun_run *run),
                                void *context);

/**
 * Closes a plugin. Waits for the calls that are at work on it; no other may begin. NULL is fine.
 * From within a callback of a call on the same plugin it does nothing, since it would wait for
 * itself: close it when that call has returned.
 *
 * # Safety
 *
 * `plugin` is NULL or open, and is not used after this.
 */
void bulk_rerun_close(struct bulk_rerun_plugin *plugin);

/**
 * For `bulk_rerun_call_unless`: what another thread stops the call with. Free it with
 * `bulk_rerun_cancel_free`.
 *
 * ```c
 * bulk_rerun_cancel *cancel = bulk_rerun_cancel_new();
 * pthread_t impatient;
 * if (pthread_create(&impatient, NULL, stop_after_a_while, cancel) == 0) {
 *     char *answer = bulk_rerun_call_unless(plugin, request, cancel);
 *     puts(answer);
 *     bulk_rerun_string_free(answer);
 *     pthread_join(impatient, NULL);
 * }
 * bulk_rerun_cancel_free(cancel);
 * ```
 */
struct bulk_rerun_cancel *bulk_rerun_cancel_new(void);

/**
 * Stops the calls that have this handle, from any thread: those at work, as long as they only search, and
 * all that begin later. What spawns completes. Calls with another handle, or with none, are not touched. May
 * wait for the store's server, where the store has one; not for a signal handler. NULL is fine.
 *
 * ```c
 * static void *stop_after_a_while(void *cancel) {
 *     sleep(1);
 *     bulk_rerun_cancel_now((bulk_rerun_cancel *)cancel);
 *     return NULL;
 * }
 * ```
 */
void bulk_rerun_cancel_now(struct bulk_rerun_cancel *cancel);

/**
 * Frees such a handle. A call at work with it goes on. NULL is fine, and so is one that is freed already.
 */
void bulk_rerun_cancel_free(struct bulk_rerun_cancel *cancel);

/**
 * As `bulk_rerun_call`, unless it is cancelled before it spawns: then it answers an error (503) that says
 * so, and has changed nothing. With NULL as `cancel` it is `bulk_rerun_call`.
 *
 * # Safety
 *
 * `plugin` is NULL or open. `request_json` is NULL or ends with a NUL.
 */
char *bulk_rerun_call_unless(struct bulk_rerun_plugin *plugin,
                             const char *request_json,
                             struct bulk_rerun_cancel *cancel);

/**
 * Evaluates a selector only; nothing is spawned. Takes what a request has, without `options`
 * (but for `except_tasks`).
 * Returns NULL if that fails, and an error in `*error_json`.
 *
 * ```c
 * char *error = NULL, *run;
 * bulk_rerun_cursor *runs = bulk_rerun_select(plugin, "{\"match_all\": true}", &error);
 * while (error == NULL && (run = bulk_rerun_cursor_next(runs, &error)) != NULL) {
 *     puts(run);
 *     bulk_rerun_string_free(run);
 * }
 * if (error != NULL) {
 *     puts(error);
 *     bulk_rerun_string_free(error);
 * }
 * bulk_rerun_cursor_close(runs);
 * ```
 *
 * # Safety
 *
 * `plugin` is NULL or open. `selector_json` is NULL or ends with a NUL. `error_json` is NULL or can
 * be written to.
 */
struct bulk_rerun_cursor *bulk_rerun_select(struct bulk_rerun_plugin *plugin,
                                            const char *selector_json,
                                            char **error_json);

/**
 * The next run as JSON, which you free. NULL at the end, and NULL with an error in `*error_json`
 * (which is NULL otherwise) if it fails. The runs come in the store's own order; what was spawned
 * since the cursor was opened is not among them.
 *
 * # Safety
 *
 * `error_json` is NULL or can be written to.
 */
char *bulk_rerun_cursor_next(struct bulk_rerun_cursor *cursor, char **error_json);

/**
 * As `bulk_rerun_cursor_next`, for who reads many: no JSON is made, and nothing is to be freed. Returns 1 and fills in
 * `run`, whose texts are yours to look at until the cursor's next call; 0 at the end; -1 with an error in `*error_json`.
 * One thread at a time.
 *
 * ```c
 * bulk_rerun_cursor *many = bulk_rerun_select(plugin, "{\"match_all\": true}", NULL);
 * bulk_rerun_run run;
 * while (bulk_rerun_cursor_run(many, &run, NULL) == 1) {
 *     printf("%.*s\n", (int)run.id.length, run.id.bytes);
 * }
 * bulk_rerun_cursor_close(many);
 * ```
 *
 * # Safety
 *
 * `run` is NULL (an error) or can be written to. `error_json` is NULL or can be written to. The texts are not looked at
 * after the cursor's next call, nor once it is closed.
 */
int32_t bulk_rerun_cursor_run(struct bulk_rerun_cursor *cursor,
                              struct bulk_rerun_run *run,
                              char **error_json);

/**
 * Closes a cursor. Another thread that is waiting for its next run still gets that; later ones get an error.
 * NULL is fine, and so is one that is closed already.
 */
void bulk_rerun_cursor_close(struct bulk_rerun_cursor *cursor);

/**
 * The re-runs that the store's ledger has, newest first: `{"operations": [...]}`. The query says which: `limit`
 * (50 if absent), `before` (the id of the last operation of the page before), `created_after`, and `run_id`
 * (those that spawned this run, or re-ran it); `{}` asks for the newest of all.
 *
 * `{"operation_id": "..."}` asks for one operation, with its new `runs`, where each of them stands now, and
 * `states`: how many stand where. To wait for their end, ask again now and then; without a ledger, open a cursor
 * over the ids that the re-run has answered. Returns JSON in any case, which you free; an ErrorModel (404) where
 * there is no ledger, or no such operation.
 *
 * ```c
 * char *page = bulk_rerun_operations(plugin, "{\"limit\": 10}");
 * fputs(page, bulk_rerun_is_error(page) ? stderr : stdout);
 * bulk_rerun_string_free(page);
 * ```
 *
 * # Safety
 *
 * `plugin` is NULL or open. `query_json` is NULL or ends with a NUL.
 */
char *bulk_rerun_operations(struct bulk_rerun_plugin *plugin,
                            const char *query_json);

/**
 * Takes back what no worker has begun of an operation (`{"operation_id": "..."}`), in one transaction:
 * `{"undone": [...], "kept": [...]}`, each with `task_name` and `run_id`, those that are kept with where they
 * stand. A second undo finds nothing left to do. Returns JSON in any case, which you free; an ErrorModel where
 * there is no ledger or no such operation (404), or the host can't take a run back (422).
 *
 * ```c
 * char *undone = bulk_rerun_undo(plugin, "{\"operation_id\": \"01JRX3M7ZD7Q8M5T8E2Y9V4B6C\"}");
 * fputs(undone, bulk_rerun_is_error(undone) ? stderr : stdout);
 * bulk_rerun_string_free(undone);
 * ```
 *
 * # Safety
 *
 * `plugin` is NULL or open. `request_json` is NULL or ends with a NUL.
 */
char *bulk_rerun_undo(struct bulk_rerun_plugin *plugin,
                      const char *request_json);

/**
 * Opens a plugin over a host's callbacks. The table is copied; its functions and its context must
 * stay good until the plugin is closed. Of the config only `tasks` and `wire` matter here; NULL is
 * the same as `{}`. Returns NULL if that fails, and an error in `*error_json`.
 *
 * ```c
 * static char my_runner[] = "all that my callbacks need";
 * bulk_rerun_host host;
 * bulk_rerun_plugin *over_my_runner;
 * memset(&host, 0, sizeof host);
 * host.struct_size = sizeof host;
 * host.abi_version = BULK_RERUN_ABI_VERSION;
 * host.context = my_runner;
 * host.runs = my_runs;
 * host.spawn = my_spawn;
 * over_my_runner = bulk_rerun_attach(&host, NULL, NULL);
 * bulk_rerun_close(over_my_runner);
 * ```
 *
 * Where the host keeps the ledger, every re-run is in it, and an `idempotency_key` is one re-run. This one has
 * room for a single operation, in its context. (What a query says of an operation's id or key, the operation
 * says in the same words.)
 *
 * ```c
 * static int32_t my_record_operation(void *context, const char *operation_json, bulk_rerun_reply *reply) {
 *     if (strlen(operation_json) > 4095) {
 *         bulk_rerun_reply_set(reply, "{\"error\": \"there is no room for so many runs\"}");
 *         return 1;
 *     }
 *     strcpy((char *)context, operation_json);
 *     return 0;
 * }
 *
 * static int32_t my_find_operation(void *context, const char *query_json, bulk_rerun_reply *reply) {
 *     const char *kept = (const char *)context;
 *     char json[4160];
 *     if (strstr(query_json, "\"limit\":") != NULL) {
 *         snprintf(json, sizeof json, "{\"operations\": [%s]}", kept);
 *         return bulk_rerun_reply_set(reply, json);
 *     }
 *     snprintf(json, sizeof json, "%.*s", (int)strlen(query_json) - 2, query_json + 1);
 *     return bulk_rerun_reply_set(reply, strstr(kept, json) != NULL ? kept : "{}");
 * }
 *
 * static int32_t my_undo(void *context, const char *run_json, bulk_rerun_reply *reply) {
 *     (void)context, (void)run_json;
 *     return bulk_rerun_reply_set(reply, "{\"undone\": false}");
 * }
 * ```
 *
 * Sent twice, the second answer is the first one, with `replayed`, and nothing is started again:
 *
 * ```c
 * static char my_ledger[4096] = "";
 * const char *once = "{\"ids\": [\"7\"], \"options\": {\"idempotency_key\": \"monday\"}}";
 * bulk_rerun_host host;
 * bulk_rerun_plugin *with_a_ledger;
 * char *first, *again;
 * memset(&host, 0, sizeof host);
 * host.struct_size = sizeof host;
 * host.abi_version = BULK_RERUN_ABI_VERSION;
 * host.context = my_ledger;
 * host.runs = my_runs;
 * host.spawn = my_spawn;
 * host.undo = my_undo;
 * host.find_operation = my_find_operation;
 * host.record_operation = my_record_operation;
 * with_a_ledger = bulk_rerun_attach(&host, NULL, NULL);
 * first = bulk_rerun_call(with_a_ledger, once);
 * again = bulk_rerun_call(with_a_ledger, once);
 * puts(first);
 * puts(again);
 * bulk_rerun_string_free(first);
 * bulk_rerun_string_free(again);
 * bulk_rerun_close(with_a_ledger);
 * ```
 *
 * # Safety
 *
 * `host` is NULL (an error) or as long as its `struct_size` says. `config_json` is NULL or ends with
 * a NUL. `error_json` is NULL or can be written to.
 */
struct bulk_rerun_plugin *bulk_rerun_attach(const struct bulk_rerun_host *host,
                                            const char *config_json,
                                            char **error_json);

/**
 * Hands one run over, from within a `runs` callback: JSON with `id` and `task_name`, and as many of
 * `phase` (pending, running, ended), `end_reason`, `exit_code`, `triggered_by`, `created_at`,
 * `retry_attempt`, `params`, `is_failure` and `unfit` (why it is never re-run) as the host has.
 * Returns 0; anything else says that no more runs are wanted, since this one can't be read or the call is
 * cancelled: return it from your callback. A callback that fails may say why first, in place of a run:
 * `{"error": "..."}`; that is the answer's `detail` then. From another thread, or when the callback has
 * returned, it takes nothing and returns -1; while the callback is at work, the call fails then.
 *
 * ```c
 * static int32_t my_runs(void *context, const char *selector_json, bulk_rerun_sink *sink) {
 *     (void)selector_json;
 *     if (context == NULL) {
 *         bulk_rerun_emit(sink, "{\"error\": \"the queue is away\"}");
 *         return 1;
 *     }
 *     return bulk_rerun_emit(sink, "{\"id\": \"7\", \"task_name\": \"backup\", \"end_reason\": \"failed\"}");
 * }
 * ```
 *
 * # Safety
 *
 * `run_json` is NULL or ends with a NUL; it is copied.
 */
int32_t bulk_rerun_emit(struct bulk_rerun_sink *sink, const char *run_json);

/**
 * Tells what became of the run, from within a `spawn` callback: `{"run_id": "..."}`, the new run's id;
 * `{"skipped": "..."}`, why the host declines to start it; or `{"error": "..."}`, why it has failed, which
 * fails the call and is the answer's `detail` then. The host's `undo`, `find_operation` and `record_operation`
 * reply through it as well, in their own words, or with an `{"error": "..."}`. Returns 0; anything else says that
 * the text can't be read, and fails the call. From elsewhere: as `bulk_rerun_emit`.
 *
 * ```c
 * static int32_t my_spawn(void *context, const char *source_run_json, bulk_rerun_reply *reply) {
 *     (void)context, (void)source_run_json;
 *     return bulk_rerun_reply_set(reply, "{\"run_id\": \"8\"}");
 * }
 * ```
 *
 * # Safety
 *
 * `reply_json` is NULL or ends with a NUL; it is copied.
 */
int32_t bulk_rerun_reply_set(struct bulk_rerun_reply *reply,
                             const char *reply_json);

/**
 * Hands the log over to the host, for the whole process: a level (`BULK_RERUN_LOG_ERROR`, …), and what is to
 * be said, good until `log` returns. An answer never has the engine's own words, which may quote data; the
 * log has. It never has a password. NULL takes it back: once this has returned, `log` is not called any
 * more. (From within `log` itself, once that has returned.) BULK_RERUN_LOG writes to standard error besides.
 *
 * `log` is called by the threads that call the library, before their calls return, by several at once if
 * several call. What it makes the library say is dropped.
 *
 * ```c
 * static void to_standard_error(void *context, int32_t level, const char *message) {
 *     fprintf(stderr, "%s: %s%s\n", (const char *)context, level == BULK_RERUN_LOG_ERROR ? "error: " : "", message);
 * }
 * ```
 *
 * ```c
 * static char name[] = "my runner";
 * bulk_rerun_set_log(to_standard_error, name);
 * ```
 *
 * # Safety
 *
 * `log` is NULL, or a function that may be called with this context until it is taken back.
 */
void bulk_rerun_set_log(void (*log)(void *context, int32_t level, const char *message),
                        void *context);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BULK_RERUN_H */
