/* A fork in the middle of a call: the child's part of it fails, and the parent's is done. fork_in_a_call STORE */
#include "host.h"
#include <sys/wait.h>
#include <unistd.h>

static pid_t child = -1;

static int32_t keep(void *context, const char *run_json) {
    (void)context, (void)run_json;
    if (child < 0) {
        child = fork();
    }
    return 1;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    bulk_rerun_plugin *plugin = open_store(argv[1]);
    char *answer = bulk_rerun_call_where(plugin, FAILED, keep, NULL);
    if (child == 0) {
        EXPECT(answer, "was forked while a call");
        EXPECT(bulk_rerun_call(plugin, ONE), "was forked while a call");
        bulk_rerun_close(plugin);
        exit(0);
    }
    EXPECT(answer, "run_id");
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT(bulk_rerun_call(plugin, ONE), "run_id");
    bulk_rerun_close(plugin);
    CHECK(number(argv[1], ALL) == 7 && is_whole(argv[1]));
    return 0;
}
