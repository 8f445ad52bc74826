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
