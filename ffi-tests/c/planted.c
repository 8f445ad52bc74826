/* What the checkers are there to find: a leak, or a use after free, as the argument says. */
#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc == 4);
    bulk_rerun_plugin *plugin = open_store(argv[1]);
    char *answer = bulk_rerun_call(plugin, FAILED);
    bulk_rerun_close(plugin);
    if (strcmp(argv[3], "leak") == 0) {
        answer = NULL;
    } else {
        bulk_rerun_string_free(answer);
        putchar(answer[0]);
    }
    return 0;
}
