/* A child goes on with the plugin when its parent is gone, beside other processes: nothing it is told is
 * done gets lost. daemon STORE */
#include "host.h"
#include <sys/wait.h>
#include <unistd.h>

static void work(const char *store, bulk_rerun_plugin *plugin) {
    for (long expected = 6; expected < 11; expected++) {
        EXPECT(bulk_rerun_call(plugin, ONE), "run_id");
        /* Another process opens the store, writes, and closes it as the last one would. */
        CHECK(number(store, "UPDATE runs SET exit_code = exit_code + 1 WHERE id = 'c1'; " ALL) == expected);
    }
    bulk_rerun_close(plugin);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    int parent_is_there[2], done[2];
    CHECK(pipe(parent_is_there) == 0 && pipe(done) == 0);
    if (fork() == 0) {
        bulk_rerun_plugin *plugin = open_store(argv[1]);
        EXPECT(bulk_rerun_call(plugin, ONE), "run_id");
        if (fork() == 0) {
            char end;
            close(parent_is_there[1]);
            CHECK(read(parent_is_there[0], &end, 1) == 0);
            work(argv[1], plugin);
            CHECK(write(done[1], "1", 1) == 1);
        }
        _exit(0);
    }
    char end;
    close(parent_is_there[1]);
    close(done[1]);
    CHECK(read(done[0], &end, 1) == 1);
    CHECK(number(argv[1], ALL) == 10 && number(argv[1], "SELECT exit_code FROM runs WHERE id = 'c1'") == 5);
    CHECK(is_whole(argv[1]));
    return 0;
}
