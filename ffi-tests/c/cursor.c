/* A cursor that was read half-way and left alone keeps nobody waiting, in either journal mode. */
#include "check.h"
#include <sys/wait.h>
#include <unistd.h>

/* Runs SQL in another process, which waits for nobody. */
static int sqlite3_says(const char *store, const char *sql, const char *expected) {
    char command[2048], output[256] = "";
    snprintf(command, sizeof command, "sqlite3 -batch '%s' '%s' 2>&1", store, sql);
    FILE *pipe = popen(command, "r");
    CHECK(pipe != NULL);
    size_t length = fread(output, 1, sizeof output - 1, pipe);
    output[length] = '\0';
    int status = pclose(pipe);
    if (status != 0 || strcmp(output, expected) != 0) {
        fprintf(stderr, "%s: %s\n", sql, output);
    }
    return status == 0 && strcmp(output, expected) == 0;
}

static int rest(bulk_rerun_cursor *cursor) {
    char *run, *error = NULL;
    int found = 0;
    while ((run = bulk_rerun_cursor_next(cursor, &error)) != NULL) {
        CHECK(strstr(run, "\"phase\":\"pending\"") == NULL);
        bulk_rerun_string_free(run);
        found++;
    }
    CHECK(error == NULL);
    return found;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    const char *wal = argv[1], *rollback = argv[2];
    for (int i = 1; i < 3; i++) {
        bulk_rerun_plugin *plugin = open_store(argv[i]);
        long all = number(argv[i], ALL);
        bulk_rerun_cursor *cursor = bulk_rerun_select(plugin, "{\"match_all\": true}", NULL);
        CHECK(cursor != NULL);
        for (long half = 0; half < all / 2; half++) {
            EXPECT(bulk_rerun_cursor_next(cursor, NULL), "\"id\":");
        }

        /* A writer, and for a WAL a checkpoint that needs every reader gone: both are through at once. */
        CHECK(sqlite3_says(argv[i], "BEGIN EXCLUSIVE; UPDATE runs SET exit_code = 3; COMMIT;", ""));
        if (argv[i] == wal) {
            CHECK(sqlite3_says(wal, "PRAGMA wal_checkpoint(TRUNCATE);", "0|0|0\n"));
        } else {
            CHECK(sqlite3_says(rollback, "PRAGMA journal_mode;", "delete\n"));
        }

        /* Runs that are spawned meanwhile do not come up. */
        EXPECT(bulk_rerun_call(plugin, FAILED), "\"run_id\"");
        CHECK(number(argv[i], SPAWNED) == 2);
        CHECK(rest(cursor) == all - all / 2);
        bulk_rerun_cursor_close(cursor);

        /* Left in the middle. */
        cursor = bulk_rerun_select(plugin, "{\"match_all\": true}", NULL);
        EXPECT(bulk_rerun_cursor_next(cursor, NULL), "\"id\":");
        bulk_rerun_cursor_close(cursor);
        bulk_rerun_close(plugin);
    }
    return 0;
}
