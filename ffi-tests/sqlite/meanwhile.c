/* The same in the middle of a call: the host opens the store while the library searches it. meanwhile STORE */
#include "host.h"

static sqlite3 *own;

static int32_t keep(void *store, const char *run_json) {
    (void)run_json;
    if (own == NULL) {
        own = open_own(store);
        /* What the library reads keeps no lock of the host's from it: the locks are the process's. */
        execute(own, "BEGIN IMMEDIATE; UPDATE runs SET exit_code = 5 WHERE id = 'c1'");
    }
    return 1;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    char *store = argv[1];
    bulk_rerun_plugin *plugin = open_store(store);
    expect_refusal(bulk_rerun_call_where(plugin, FAILED, keep, store));
    CHECK(own != NULL && others_are_locked_out(store));
    bulk_rerun_close(plugin);
    CHECK(others_are_locked_out(store));
    execute(own, "COMMIT");
    CHECK(sqlite3_close(own) == SQLITE_OK);
    CHECK(number(store, "SELECT exit_code FROM runs WHERE id = 'c1'") == 5);
    CHECK(number(store, ALL) == 4 && is_whole(store));
    return 0;
}
