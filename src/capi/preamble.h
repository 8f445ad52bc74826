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
