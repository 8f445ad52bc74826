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
 *     char *answer = bulk_rerun_call(plugin, request);
 *     bulk_rerun_string_free(answer);
 *
 * HANDLES are independent of each other. Close what you have opened, once.
 *
 *     bulk_rerun_plugin *plugin = bulk_rerun_open("{\"store\": \"runs.db\"}", NULL);
 *     bulk_rerun_close(plugin);
 *
 * ERRORS are JSON, an ErrorModel: `{"type", "title", "status", "detail", "errors"?}`. A call answers one
 * in place of its answer (only an error has a `status`); other functions return NULL or -1 and put it in
 * `*error_json`, which is NULL otherwise. Pass NULL as `error_json` if you do not want it. NULL and text
 * that is not UTF-8 give such an error, and so does a defect of this library: it never ends the process.
 * A call that failed has changed nothing, but for the runs that a host without transactions has started
 * before (`triggered`).
 *
 *     char *error = NULL;
 *     if (!(plugin = bulk_rerun_open(config, &error))) { puts(error); bulk_rerun_string_free(error); }
 *
 * LOG: an answer never has the engine's own words, which may quote data. BULK_RERUN_LOG=error in the
 * environment writes them to standard error (warn, info, debug and trace write more).
 *
 *     setenv("BULK_RERUN_LOG", "error", 1);
 *
 * THREADS: any number of them may use the same plugin or cursor at once. Callbacks come on the thread
 * that made the call, before it returns. A callback that calls its own plugin gets an error (409).
 *
 *     pthread_create(&thread, NULL, call_plugin, plugin);
 *
 * FORK: a child may go on with its parent's plugin: no SQLite connection is open while a process forks,
 * and a child opens its own to a server. A cursor does not work in a child. As everywhere, do not fork
 * while other threads are in the middle of a call, nor from within a callback: the child could not use
 * that store.
 *
 *     if (fork() == 0) { puts(bulk_rerun_call(plugin, request)); _exit(0); }
 *
 * EXCEPTIONS and longjmp must not leave a callback: they would pass over this library's frames, which is
 * undefined. Catch what your callback throws, and return a number other than 0.
 *
 *     try { ... return 0; } catch (...) { return 1; }
 *
 * SQLITE: the library brings no SQLite of its own. It uses the copy that the process has, and refuses a
 * store that the process has open already by what may be another copy, unless the config says
 * `"sqlite": "shared"`: two copies on one file lose each other's locks. The refusal names the ways out.
 *
 *     bulk_rerun_open("{\"store\": \"runs.db\", \"sqlite\": \"shared\"}", &error);
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
 * The runs that a selector meant when the cursor was opened. It stands on its own: it may outlive
 * its plugin, and holds no lock and no transaction on the store.
 */
typedef struct bulk_rerun_cursor bulk_rerun_cursor;

/**
 * A plugin over one store, or over one host's callbacks. Any number of threads may call it at once.
 */
typedef struct bulk_rerun_plugin bulk_rerun_plugin;

/**
 * Takes what became of a run that a `spawn` callback has started. Good until that callback returns.
 */
typedef struct bulk_rerun_reply bulk_rerun_reply;

/**
 * Takes the runs that a `runs` callback hands over. Good until that callback returns.
 */
typedef struct bulk_rerun_sink bulk_rerun_sink;

/**
 * A host's callbacks. Every one returns 0 if it succeeded; anything else fails the call. They are
 * called on the thread that called the plugin, so from several threads at once if you call it from
 * several.
 *
 * ```c
 * bulk_rerun_host host = {0};
 * host.struct_size = sizeof host;
 * host.abi_version = BULK_RERUN_ABI_VERSION;
 * host.context = &my_runner;
 * host.runs = my_runs;
 * host.spawn = my_spawn;
 * ```
 */
typedef struct bulk_rerun_host {
    /**
     * `sizeof(bulk_rerun_host)`. Later versions of the library may add fields at the end.
     */
    size_t struct_size;
    /**
     * `BULK_RERUN_ABI_VERSION`.
     */
    uint32_t abi_version;
    /**
     * 0.
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
     * Makes what was spawned since `begin` last.
     */
    int32_t (*commit)(void *context);
    /**
     * Takes back what was spawned since `begin`.
     */
    int32_t (*rollback)(void *context);
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
 * # Safety
 *
 * `config_json` is NULL or ends with a NUL. `error_json` is NULL or can be written to.
 */
int32_t bulk_rerun_configure(const char *config_json, char **error_json);

/**
 * Opens a plugin over a store: `{"store": "/var/lib/runner/runs.db"}`. What the config does not say
 * is taken from the environment (BULK_RERUN_STORE, _PROFILE, _TASKS); `{}` is the environment alone.
 * Returns NULL if that fails, and an error in `*error_json`.
 *
 * ```c
 * char *error = NULL;
 * bulk_rerun_plugin *plugin = bulk_rerun_open("{\"store\": \"runs.db\"}", &error);
 * if (!plugin) { fprintf(stderr, "%s\n", error); bulk_rerun_string_free(error); }
 * ```
 *
 * # Safety
 *
 * `config_json` is NULL or ends with a NUL. `error_json` is NULL or can be written to.
 */
struct bulk_rerun_plugin *bulk_rerun_open(const char *config_json, char **error_json);

/**
 * Re-runs what the request selects. Returns JSON in any case, a BulkRerunBody or an ErrorModel,
 * which you free; only an ErrorModel has a `status`.
 *
 * ```c
 * char *answer = bulk_rerun_call(plugin, "{\"match_all\": true, \"filter\": {\"status\": \"failed\"}}");
 * ```
 *
 * # Safety
 *
 * `plugin` is NULL or open. `request_json` is NULL or ends with a NUL.
 */
char *bulk_rerun_call(struct bulk_rerun_plugin *plugin, const char *request_json);

/**
 * As `bulk_rerun_call`, with a say of yours on each run that matched, before the runs are grouped:
 * 1 keeps it, 0 drops it, a negative number fails the call, and nothing is spawned.
 *
 * ```c
 * static int32_t not_killed(void *context, const char *run_json) {
 *     return strstr(run_json, "\"exit_code\":137") == NULL;
 * }
 * char *answer = bulk_rerun_call_where(plugin, request, not_killed, NULL);
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
 * Evaluates a selector only; nothing is spawned. Takes what a request has, without `options`.
 * Returns NULL if that fails, and an error in `*error_json`.
 *
 * ```c
 * bulk_rerun_cursor *runs = bulk_rerun_select(plugin, "{\"match_all\": true}", &error);
 * for (char *run; (run = bulk_rerun_cursor_next(runs, &error)); bulk_rerun_string_free(run))
 *     puts(run);
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
 * `cursor` is NULL or open. `error_json` is NULL or can be written to.
 */
char *bulk_rerun_cursor_next(struct bulk_rerun_cursor *cursor, char **error_json);

/**
 * Closes a cursor. NULL is fine.
 *
 * # Safety
 *
 * `cursor` is NULL or open, and is not used after this.
 */
void bulk_rerun_cursor_close(struct bulk_rerun_cursor *cursor);

/**
 * Opens a plugin over a host's callbacks. The table is copied; its functions and its context must
 * stay good until the plugin is closed. Of the config only `tasks` and `wire` matter here; NULL is
 * the same as `{}`. Returns NULL if that fails, and an error in `*error_json`.
 *
 * ```c
 * bulk_rerun_plugin *plugin = bulk_rerun_attach(&host, NULL, &error);
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
 * Returns 0; anything else says that the run can't be read: return it from your callback.
 *
 * ```c
 * bulk_rerun_emit(sink, "{\"id\": \"7\", \"task_name\": \"backup\", \"end_reason\": \"failed\"}");
 * ```
 *
 * # Safety
 *
 * `sink` is NULL (an error) or what the callback was given. `run_json` is NULL or ends with a NUL;
 * it is copied.
 */
int32_t bulk_rerun_emit(struct bulk_rerun_sink *sink, const char *run_json);

/**
 * Tells what became of the run, from within a `spawn` callback: `{"run_id": "..."}`, the new run's
 * id, or `{"skipped": "..."}`, why the host declines to start it. Returns 0; anything else says that
 * the text can't be read, and fails the call.
 *
 * ```c
 * bulk_rerun_reply_set(reply, "{\"run_id\": \"8\"}");
 * ```
 *
 * # Safety
 *
 * `reply` is NULL (an error) or what the callback was given. `reply_json` is NULL or ends with a
 * NUL; it is copied.
 */
int32_t bulk_rerun_reply_set(struct bulk_rerun_reply *reply, const char *reply_json);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BULK_RERUN_H */
