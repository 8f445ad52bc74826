/* What the hosts in C share beside check.h: their own SQLite, and what other processes see. */
#ifndef HOST_H
#define HOST_H

#include "../c/check.h"
#include <sqlite3.h>

static inline sqlite3 *open_own(const char *store) {
    sqlite3 *own;
    CHECK(sqlite3_open(store, &own) == SQLITE_OK);
    CHECK(sqlite3_busy_timeout(own, 20000) == SQLITE_OK);
    return own;
}

static inline void execute(sqlite3 *own, const char *sql) {
    char *message = NULL;
    if (sqlite3_exec(own, sql, NULL, NULL, &message) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, message);
        exit(1);
    }
}

static inline void load(sqlite3 *own, const char *extension) {
    char *message = NULL;
    CHECK(sqlite3_enable_load_extension(own, 1) == SQLITE_OK);
    if (sqlite3_load_extension(own, extension, NULL, &message) != SQLITE_OK) {
        fprintf(stderr, "%s\n", message);
        exit(1);
    }
}

/* The text that a query answers, good until the next. */
static inline const char *ask(sqlite3 *own, const char *sql) {
    static char answer[4096];
    sqlite3_stmt *statement;
    CHECK(sqlite3_prepare_v2(own, sql, -1, &statement, NULL) == SQLITE_OK);
    CHECK(sqlite3_step(statement) == SQLITE_ROW);
    snprintf(answer, sizeof answer, "%s", (const char *)sqlite3_column_text(statement, 0));
    CHECK(sqlite3_step(statement) == SQLITE_DONE && sqlite3_finalize(statement) == SQLITE_OK);
    return answer;
}

/* Whether another process is kept from writing, which proves that a lock is held. */
static inline int others_are_locked_out(const char *store) {
    char command[1024], output[256] = "";
    snprintf(command, sizeof command, "sqlite3 -batch '%s' 'BEGIN IMMEDIATE; ROLLBACK' 2>&1", store);
    FILE *pipe = popen(command, "r");
    CHECK(pipe != NULL);
    output[fread(output, 1, sizeof output - 1, pipe)] = '\0';
    return pclose(pipe) != 0 && strstr(output, "locked") != NULL;
}

static inline int is_whole(const char *store) {
    return number(store, "SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1;
}

/* The refusal, with each way on. */
static inline void expect_refusal(char *answer) {
    CHECK(answer != NULL);
    const char *words[] = {"\"status\":500", "store_open_in_process", "load_extension", "bulk_rerun_attach", "`bulk-rerun`"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strstr(answer, words[i]) == NULL) {
            fprintf(stderr, "expected %s in %s\n", words[i], answer);
            exit(1);
        }
    }
    bulk_rerun_string_free(answer);
}

static inline void expect_refused(const char *config) {
    char *error = NULL;
    CHECK(bulk_rerun_open(config, &error) == NULL);
    expect_refusal(error);
}

#define ONE "{\"ids\": [\"b1\"]}"

#endif
