/* A host with a copy of SQLite of its own is refused, and gets along by loading the extension into it:
 * own_copy STORE LIBRARY */
#include "host.h"

int main(int argc, char **argv) {
    CHECK(argc == 3);
    const char *store = argv[1];
    char config[1024];
    snprintf(config, sizeof config, "{\"store\": \"%s\"}", store);
    sqlite3 *own = open_own(store);
    expect_refused(config);

    load(own, argv[2]);
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
