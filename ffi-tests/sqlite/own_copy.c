/* A host with a copy of SQLite of its own is refused, and gets along by loading the extension into it:
 * own_copy STORE LIBRARY */
#include "host.h"

/* The text that a query answers, to be freed with bulk_rerun_string_free. */
static char *ask(sqlite3 *own, const char *sql) {
    sqlite3_stmt *statement;
    CHECK(sqlite3_prepare_v2(own, sql, -1, &statement, NULL) == SQLITE_OK);
    CHECK(sqlite3_step(statement) == SQLITE_ROW);
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    static char answer[4096];
    snprintf(answer, sizeof answer, "%s", text);
    CHECK(sqlite3_step(statement) == SQLITE_DONE && sqlite3_finalize(statement) == SQLITE_OK);
    return answer;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    const char *store = argv[1];
    char config[1024], *message = NULL;
    snprintf(config, sizeof config, "{\"store\": \"%s\"}", store);
    sqlite3 *own = open_own(store);
    expect_refused(config);

    CHECK(sqlite3_enable_load_extension(own, 1) == SQLITE_OK);
    if (sqlite3_load_extension(own, argv[2], NULL, &message) != SQLITE_OK) {
        fprintf(stderr, "%s\n", message);
        return 1;
    }
    execute(own, "BEGIN EXCLUSIVE");
    CHECK(strstr(ask(own, "SELECT bulk_rerun('" ONE "')"), "\"rerun_of\":\"b1\"") != NULL);
    CHECK(others_are_locked_out(store));
    execute(own, "ROLLBACK");
    CHECK(number(store, ALL) == 4);
    CHECK(strstr(ask(own, "SELECT bulk_rerun('" FAILED "')"), "run_id") != NULL);
    CHECK(number(store, ALL) == 6);

    /* Now the copy is known to be the host's, and a plugin opens the store as well. */
    bulk_rerun_plugin *plugin = open_store(store);
    EXPECT(bulk_rerun_call(plugin, ONE), "run_id");
    execute(own, "BEGIN IMMEDIATE");
    bulk_rerun_close(plugin);
    CHECK(others_are_locked_out(store));
    execute(own, "COMMIT");

    /* It leaves nothing on the connection that would keep the host from closing it. */
    CHECK(sqlite3_close(own) == SQLITE_OK);
    CHECK(number(store, ALL) == 7 && is_whole(store));
    return 0;
}
