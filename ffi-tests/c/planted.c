/* What the checkers are there to find: a leak, or a use after free, as the argument says. */
#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc == 4);
    bulk_rerun_plugin *plugin = open_store(argv[1]);
    if (strcmp(argv[3], "leak") == 0) {
        for (int i = 0; i < 10; i++) { /* the address of one may be left on the stack by chance */
            bulk_rerun_call(plugin, FAILED);
        }
    } else {
        char *answer = bulk_rerun_call(plugin, FAILED);
        bulk_rerun_string_free(answer);
        putchar(answer[0]);
    }
    bulk_rerun_close(plugin);
    return 0;
}
