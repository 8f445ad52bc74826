/* A host with a copy of its own opens the store after the library did: the library stands still, and the
 * host keeps its lock even when the plugin is closed. late STORE */
#include "host.h"

int main(int argc, char **argv) {
    CHECK(argc == 2);
    const char *store = argv[1];
    char config[1024], *error = NULL;
    snprintf(config, sizeof config, "{\"store\": \"%s\"}", store);
    bulk_rerun_plugin *plugin = bulk_rerun_open(config, NULL), *other = bulk_rerun_open(config, NULL);
    CHECK(plugin != NULL && other != NULL);
    EXPECT(bulk_rerun_call(plugin, ONE), "run_id");
    EXPECT(bulk_rerun_call(other, ONE), "run_id");
    CHECK(number(store, ALL) == 6);

    sqlite3 *own = open_own(store);
    execute(own, "BEGIN EXCLUSIVE; UPDATE runs SET exit_code = 5 WHERE id = 'c1'");
    CHECK(others_are_locked_out(store));
    expect_refusal(bulk_rerun_call(plugin, ONE));
    expect_refusal(bulk_rerun_call(plugin, "{\"match_all\": true, \"options\": {\"dry_run\": true}}"));
    CHECK(bulk_rerun_select(plugin, FAILED, &error) == NULL);
    expect_refusal(error);
    expect_refused(config);
    bulk_rerun_close(plugin);
    bulk_rerun_close(other);
    CHECK(others_are_locked_out(store));
    execute(own, "COMMIT");
    CHECK(number(store, "SELECT exit_code FROM runs WHERE id = 'c1'") == 5);
    CHECK(sqlite3_close(own) == SQLITE_OK);

    /* It had no connection open meanwhile, and so none that has lost its locks: it may go on. */
    plugin = bulk_rerun_open(config, NULL);
    EXPECT(bulk_rerun_call(plugin, ONE), "run_id");
    bulk_rerun_close(plugin);
    CHECK(number(store, ALL) == 7 && is_whole(store));
    return 0;
}
