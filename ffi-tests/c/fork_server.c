/* Over a server, parent and children call at the same time: none may use the connection of another. */
#include "check.h"
#include <sys/wait.h>
#include <unistd.h>

#define ONE "{\"ids\": [\"b1\"]}"
#define CALLS 50

static void call(bulk_rerun_plugin *plugin) {
    for (int i = 0; i < CALLS; i++) {
        EXPECT(bulk_rerun_call(plugin, ONE), "run_id");
    }
}

int main(int argc, char **argv) {
    char config[2048], *error = NULL;
    CHECK(argc == 5);
    snprintf(config, sizeof config, "{\"store\": \"%s\", \"profile\": \"%s\"}", argv[3], argv[4]);
    bulk_rerun_plugin *plugin = bulk_rerun_open(config, &error);
    if (plugin == NULL) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    EXPECT(bulk_rerun_call(plugin, ONE), "run_id");

    pid_t children[2];
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            alarm(60); /* two on one connection may wait for ever */
            call(plugin);
            bulk_rerun_close(plugin);
            exit(0);
        }
    }
    alarm(60);
    call(plugin);
    for (int i = 0; i < 2; i++) {
        int status;
        CHECK(waitpid(children[i], &status, 0) == children[i]);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    call(plugin);
    bulk_rerun_close(plugin);
    return 0;
}
