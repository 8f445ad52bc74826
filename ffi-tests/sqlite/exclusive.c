/* A host that holds its store EXCLUSIVE keeps its lock, whatever the library is asked: exclusive STORE shared|apart */
#include "host.h"

int main(int argc, char **argv) {
    CHECK(argc == 3);
    const char *store = argv[1];
    int shared = strcmp(argv[2], "shared") == 0;
    char config[1024], *error = NULL;
    snprintf(config, sizeof config, "{\"store\": \"%s\", \"busy_timeout_ms\": 50%s}", store,
             shared ? ", \"sqlite\": \"shared\"" : "");

    sqlite3 *own = open_own(store);
    execute(own, "BEGIN EXCLUSIVE; UPDATE runs SET exit_code = 5 WHERE id = 'c1'");
    CHECK(others_are_locked_out(store));
    for (int i = 0; i < 3; i++) {
        if (shared) {
            /* With a rollback journal it can't even be read. */
            bulk_rerun_plugin *plugin = bulk_rerun_open(config, &error);
            EXPECT(plugin ? bulk_rerun_call(plugin, FAILED) : error, "\"status\":503");
            bulk_rerun_close(plugin);
        } else {
            expect_refused(config);
        }
        CHECK(others_are_locked_out(store));
    }
    execute(own, "COMMIT");
    CHECK(!others_are_locked_out(store));
    CHECK(number(store, "SELECT exit_code FROM runs WHERE id = 'c1'") == 5);
    CHECK(number(store, ALL) == 4);

    /* Without the lock it goes on: at once where the copy is one, and else once the host has let go. */
    if (!shared) {
        expect_refused(config);
        CHECK(sqlite3_close(own) == SQLITE_OK);
    }
    bulk_rerun_plugin *plugin = bulk_rerun_open(config, &error);
    CHECK(plugin != NULL);
    EXPECT(bulk_rerun_call(plugin, FAILED), "run_id");
    if (shared) {
        /* What is promised to one plugin holds for the next one on the same store. */
        snprintf(config, sizeof config, "{\"store\": \"%s\"}", store);
        bulk_rerun_plugin *other = bulk_rerun_open(config, &error);
        CHECK(other != NULL);
        EXPECT(bulk_rerun_call(other, "{\"ids\": [\"none\"]}"), "not_found");
        bulk_rerun_close(other);
    }
    bulk_rerun_close(plugin);
    if (shared) {
        expect_refused(config);
        CHECK(sqlite3_close(own) == SQLITE_OK);
    }
    CHECK(number(store, ALL) == 6 && is_whole(store));
    return 0;
}
