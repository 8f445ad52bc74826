/* A child may go on with its parent's plugin; the parent notices nothing. */
#include "check.h"
#include <sys/wait.h>
#include <unistd.h>

#define ONE "{\"ids\": [\"b1\"]}"

static int asked;

static int32_t runs(void *context, const char *selector_json, bulk_rerun_sink *sink) {
    (void)context, (void)selector_json;
    asked++;
    return bulk_rerun_emit(sink, "{\"id\": \"b1\", \"task_name\": \"report\"}");
}

static int32_t spawn(void *context, const char *source_run_json, bulk_rerun_reply *reply) {
    (void)context, (void)source_run_json;
    return bulk_rerun_reply_set(reply, "{\"run_id\": \"n1\"}");
}

static void succeeds(pid_t child) {
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void over_a_store(const char *store) {
    bulk_rerun_plugin *plugin = open_store(store);
    long before = number(store, ALL);
    EXPECT(bulk_rerun_call(plugin, ONE), "run_id");
    bulk_rerun_cursor *cursor = bulk_rerun_select(plugin, FAILED, NULL);

    pid_t child = fork();
    if (child == 0) {
        char *error = NULL;
        EXPECT(bulk_rerun_call(plugin, ONE), "run_id");
        CHECK(bulk_rerun_cursor_next(cursor, &error) == NULL);
        EXPECT(error, "\"status\":409");
        bulk_rerun_cursor_close(cursor);
        pid_t grandchild = fork();
        if (grandchild == 0) {
            EXPECT(bulk_rerun_call(plugin, ONE), "run_id");
            bulk_rerun_close(plugin);
            exit(0);
        }
        succeeds(grandchild);
        EXPECT(bulk_rerun_call(plugin, ONE), "run_id");
        bulk_rerun_close(plugin);
        exit(0);
    }
    EXPECT(bulk_rerun_call(plugin, ONE), "run_id");
    succeeds(child);
    EXPECT(bulk_rerun_call(plugin, ONE), "run_id");
    EXPECT(bulk_rerun_cursor_next(cursor, NULL), "\"id\":\"a1\"");
    bulk_rerun_cursor_close(cursor);

    /* A child that never calls, and only closes. */
    child = fork();
    if (child == 0) {
        bulk_rerun_close(plugin);
        exit(0);
    }
    succeeds(child);
    EXPECT(bulk_rerun_call(plugin, ONE), "run_id");
    bulk_rerun_close(plugin);
    CHECK(number(store, ALL) == before + 7);
    CHECK(number(store, "SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1);
}

static void over_callbacks(void) {
    bulk_rerun_host host;
    memset(&host, 0, sizeof host);
    host.struct_size = sizeof host;
    host.abi_version = BULK_RERUN_ABI_VERSION;
    host.runs = runs;
    host.spawn = spawn;
    bulk_rerun_plugin *plugin = bulk_rerun_attach(&host, NULL, NULL);
    CHECK(plugin != NULL);
    pid_t child = fork();
    if (child == 0) {
        EXPECT(bulk_rerun_call(plugin, ONE), "n1");
        CHECK(asked > 0);
        bulk_rerun_close(plugin);
        exit(0);
    }
    succeeds(child);
    CHECK(asked == 0);
    bulk_rerun_close(plugin);
}

static void the_default(const char *store) {
    setenv("BULK_RERUN_STORE", store, 1);
    long before = number(store, ALL);
    EXPECT(bulk_rerun(ONE), "run_id");
    pid_t child = fork();
    if (child == 0) {
        EXPECT(bulk_rerun(ONE), "run_id");
        CHECK(bulk_rerun_configure(NULL, NULL) == 0);
        exit(0);
    }
    succeeds(child);
    EXPECT(bulk_rerun(ONE), "run_id");
    CHECK(number(store, ALL) == before + 3);
    CHECK(bulk_rerun_configure(NULL, NULL) == 0);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    over_a_store(argv[1]);
    over_a_store(argv[2]);
    over_callbacks();
    the_default(argv[1]);
    return 0;
}
