/*
 * A small job runner that re-runs its failures with bulk_rerun. It keeps its jobs in SQLite, through the
 * system's library, runs them with the shell, and loads bulk_rerun only when it is wanted. The plugin
 * never opens the store: it asks for the jobs and has them started through callbacks, and has what it did
 * kept beside them.
 *
 *     cc -std=c99 job_runner.c -o job_runner $(pkg-config --cflags bulk_rerun) -lsqlite3 -ldl
 *     ./job_runner jobs.db add backup 'test -e /mnt/disk && tar -C /mnt/disk -cf backup.tar .'
 *     ./job_runner jobs.db work
 *     ./job_runner jobs.db list
 *     ./job_runner jobs.db rerun                                  # each task's newest failure, once
 *     ./job_runner jobs.db rerun '{"match_all": true, "options": {"dry_run": true}}'
 *     ./job_runner jobs.db rerun '{"match_all": true, "options": {"idempotency_key": "monday"}}'  # once, ever
 */
#define _POSIX_C_SOURCE 200809L
#include <bulk_rerun.h>
#include <dlfcn.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define FAILED "{\"match_all\": true, \"filter\": {\"status\": \"failed\"}}"

static const char *const SCHEMA =
    "CREATE TABLE IF NOT EXISTS job ("
    "  id INTEGER PRIMARY KEY, name TEXT NOT NULL, command TEXT NOT NULL,"
    "  state TEXT NOT NULL DEFAULT 'queued', exit_code INTEGER,"
    "  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), again_of INTEGER);"
    "CREATE TABLE IF NOT EXISTS operation ("
    "  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, key TEXT UNIQUE, json TEXT NOT NULL)";

/* A job as the plugin wants to see it. What a new run of it needs, its command, goes as its parameters. */
static const char *const RUNS =
    "SELECT json_object('id', CAST(id AS TEXT), 'task_name', name, 'params', command,"
    "  'phase', CASE state WHEN 'queued' THEN 'pending' WHEN 'running' THEN 'running' ELSE 'ended' END,"
    "  'end_reason', CASE WHEN state IN ('succeeded', 'failed', 'cancelled') THEN state END,"
    "  'exit_code', exit_code, 'created_at', created_at) FROM job";

static const char *const SPAWN =
    "INSERT INTO job (name, command, again_of)"
    "  SELECT name, command, id FROM job WHERE id = json_extract(?1, '$.id')"
    "  RETURNING json_object('run_id', CAST(id AS TEXT))";

static const char *const UNDO =
    "UPDATE job SET state = 'cancelled' WHERE id = json_extract(?1, '$.id') AND state = 'queued'";

/* The plugin's operations, as it wrote them: it checks again what is asked for of a list. */
static const char *const RECORD =
    "INSERT INTO operation (id, key, json)"
    "  VALUES (json_extract(?1, '$.operation_id'), json_extract(?1, '$.idempotency_key'), ?1)"
    "  ON CONFLICT (id) DO UPDATE SET json = excluded.json";

static const char *const FIND =
    "SELECT CASE WHEN json_extract(?1, '$.limit') THEN"
    "    (SELECT json_object('operations', json_group_array(json(json)))"
    "     FROM (SELECT json FROM operation ORDER BY number DESC))"
    "  ELSE coalesce((SELECT json FROM operation WHERE id = json_extract(?1, '$.operation_id')"
    "     OR key = json_extract(?1, '$.idempotency_key')), '{}') END";

static sqlite3 *db;

static void stop(const char *what, const char *why) {
    fprintf(stderr, "job_runner: %s: %s\n", what, why);
    exit(1);
}

static int run_sql(const char *sql) {
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* Prepares a statement with one text, or none. */
static sqlite3_stmt *prepare(const char *sql, const char *text) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        stop(sql, sqlite3_errmsg(db));
    }
    if (text != NULL) {
        sqlite3_bind_text(statement, 1, text, -1, SQLITE_TRANSIENT);
    }
    return statement;
}

/* The plugin asks for jobs. It checks each one itself, so it may have them all. */
static int32_t runs(void *context, const char *selector_json, bulk_rerun_sink *sink) {
    int32_t (*emit)(bulk_rerun_sink *, const char *) = NULL;
    sqlite3_stmt *statement = prepare(RUNS, NULL);
    int32_t status = 0;
    int step;
    (void)selector_json;
    *(void **)&emit = dlsym(context, "bulk_rerun_emit");
    while (status == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        status = emit(sink, (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    return status != 0 || step == SQLITE_DONE ? status : 1;
}

/* Replies with the JSON that a statement returns; with this error, which the answer says then, if it returns none. */
static int32_t reply_with(void *library, bulk_rerun_reply *reply, const char *sql, const char *json, const char *error) {
    int32_t (*reply_set)(bulk_rerun_reply *, const char *) = NULL;
    sqlite3_stmt *statement = prepare(sql, json);
    int32_t status = 1;
    *(void **)&reply_set = dlsym(library, "bulk_rerun_reply_set");
    if (sqlite3_step(statement) == SQLITE_ROW) {
        status = reply_set(reply, (const char *)sqlite3_column_text(statement, 0));
    } else {
        reply_set(reply, error);
    }
    sqlite3_finalize(statement);
    return status;
}

/* The plugin has a job started again: queueing it is all that it takes here. */
static int32_t spawn(void *context, const char *source_run_json, bulk_rerun_reply *reply) {
    return reply_with(context, reply, SPAWN, source_run_json, "{\"error\": \"the job can't be queued\"}");
}

/* It takes a job back that no worker has begun. */
static int32_t undo(void *context, const char *run_json, bulk_rerun_reply *reply) {
    sqlite3_stmt *statement = prepare(UNDO, run_json);
    int step = sqlite3_step(statement);
    sqlite3_finalize(statement);
    return step != SQLITE_DONE ? 1 : reply_with(context, reply,
        "SELECT iif(changes() > 0, '{\"undone\": true}', '{\"undone\": false}')", NULL, "{}");
}

/* It looks for what it did. */
static int32_t find_operation(void *context, const char *query_json, bulk_rerun_reply *reply) {
    return reply_with(context, reply, FIND, query_json, "{\"error\": \"the operations can't be read\"}");
}

/* It has kept what it did. A key is there once: a second operation with it is none. */
static int32_t record_operation(void *context, const char *operation_json, bulk_rerun_reply *reply) {
    sqlite3_stmt *statement = prepare(RECORD, operation_json);
    int step = sqlite3_step(statement);
    (void)context, (void)reply;
    sqlite3_finalize(statement);
    return step == SQLITE_DONE ? 0 : 1;
}

static int32_t begin(void *context) {
    (void)context;
    return run_sql("BEGIN IMMEDIATE");
}

static int32_t commit(void *context) {
    (void)context;
    return run_sql("COMMIT");
}

static int32_t rollback(void *context) {
    (void)context;
    return run_sql("ROLLBACK");
}

static int rerun(const char *request) {
    bulk_rerun_plugin *(*attach)(const bulk_rerun_host *, const char *, char **);
    char *(*call)(bulk_rerun_plugin *, const char *);
    void (*close)(bulk_rerun_plugin *), (*string_free)(char *);
    int32_t (*is_error)(const char *);
    char *error = NULL, *answer;
    int failed;
    void *library = dlopen("libbulk_rerun.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        stop("this needs bulk_rerun", dlerror());
    }
    /* Through void **, as POSIX says: C has no cast from an object's pointer to a function's. */
    *(void **)&attach = dlsym(library, "bulk_rerun_attach");
    *(void **)&call = dlsym(library, "bulk_rerun_call");
    *(void **)&is_error = dlsym(library, "bulk_rerun_is_error");
    *(void **)&close = dlsym(library, "bulk_rerun_close");
    *(void **)&string_free = dlsym(library, "bulk_rerun_string_free");

    bulk_rerun_host host = {sizeof host, BULK_RERUN_ABI_VERSION, 0, library, runs, spawn, begin, commit, rollback,
                            undo, find_operation, record_operation};
    bulk_rerun_plugin *plugin = attach(&host, NULL, &error);
    if (plugin == NULL) {
        stop("bulk_rerun", error);
    }
    answer = call(plugin, request);
    failed = is_error(answer);
    puts(answer);
    string_free(answer);
    close(plugin);
    return failed;
}

/* Runs what is queued, one job after the other. */
static int work(void) {
    for (;;) {
        sqlite3_stmt *next = prepare("UPDATE job SET state = 'running' WHERE id = (SELECT min(id) FROM job WHERE"
                                     " state = 'queued') RETURNING id, name, command", NULL);
        char update[160];
        int status;
        if (sqlite3_step(next) != SQLITE_ROW) {
            sqlite3_finalize(next);
            return 0;
        }
        printf("%lld %s: ", sqlite3_column_int64(next, 0), (const char *)sqlite3_column_text(next, 1));
        fflush(stdout);
        status = system((const char *)sqlite3_column_text(next, 2));
        status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        printf("exit status %d\n", status);
        snprintf(update, sizeof update, "UPDATE job SET state = '%s', exit_code = %d WHERE id = %lld",
                 status == 0 ? "succeeded" : "failed", status, sqlite3_column_int64(next, 0));
        sqlite3_step(next); /* to its end, or the update before would not be kept */
        sqlite3_finalize(next);
        if (run_sql(update) != SQLITE_OK) {
            stop("update", sqlite3_errmsg(db));
        }
    }
}

static int list(void) {
    sqlite3_stmt *jobs = prepare("SELECT id, name, state, coalesce(exit_code, '-'), coalesce(again_of, '-') FROM job", NULL);
    puts("id\tname\tstate\tstatus\tagain of");
    while (sqlite3_step(jobs) == SQLITE_ROW) {
        for (int column = 0; column < 5; column++) {
            printf("%s%c", (const char *)sqlite3_column_text(jobs, column), column < 4 ? '\t' : '\n');
        }
    }
    sqlite3_finalize(jobs);
    return 0;
}

static int add(const char *name, const char *command) {
    sqlite3_stmt *insert = prepare("INSERT INTO job (name, command) VALUES (?1, ?2)", name);
    sqlite3_bind_text(insert, 2, command, -1, SQLITE_TRANSIENT);
    if (sqlite3_step(insert) != SQLITE_DONE) {
        stop("add", sqlite3_errmsg(db));
    }
    sqlite3_finalize(insert);
    return 0;
}

int main(int argc, char **argv) {
    const char *verb = argc > 2 ? argv[2] : "";
    int status = 2;
    if (argc < 3) {
        fprintf(stderr, "usage: job_runner DB add NAME COMMAND | work | list | rerun [REQUEST]\n");
        return status;
    }
    if (sqlite3_open(argv[1], &db) != SQLITE_OK || run_sql("PRAGMA journal_mode = wal") || run_sql(SCHEMA)) {
        stop(argv[1], sqlite3_errmsg(db));
    }
    sqlite3_busy_timeout(db, 5000);
    if (strcmp(verb, "add") == 0 && argc == 5) {
        status = add(argv[3], argv[4]);
    } else if (strcmp(verb, "work") == 0 && argc == 3) {
        status = work();
    } else if (strcmp(verb, "list") == 0 && argc == 3) {
        status = list();
    } else if (strcmp(verb, "rerun") == 0 && argc <= 4) {
        status = rerun(argc == 4 ? argv[3] : FAILED);
    } else {
        fprintf(stderr, "job_runner: %s: see the first lines of job_runner.c\n", verb);
    }
    sqlite3_close(db);
    return status;
}
