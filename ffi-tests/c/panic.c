/* A panic in any function becomes an error, and the process lives. For a library with `test-panic`. */
#include "check.h"

static const char *wanted;
static int32_t emitted, replied;

static void panic_in(const char *function) {
    setenv("BULK_RERUN_TEST_PANIC", function, 1);
}

static void no_panic(void) {
    unsetenv("BULK_RERUN_TEST_PANIC");
}

static int32_t keep_all(void *context, const char *run_json) {
    (void)context, (void)run_json;
    return 1;
}

static int32_t runs(void *context, const char *selector_json, bulk_rerun_sink *sink) {
    (void)context, (void)selector_json;
    panic_in(wanted);
    emitted = bulk_rerun_emit(sink, "{\"id\": \"b1\", \"task_name\": \"report\"}");
    no_panic();
    return 0;
}

static int32_t spawn(void *context, const char *source_run_json, bulk_rerun_reply *reply) {
    (void)context, (void)source_run_json;
    panic_in(wanted);
    replied = bulk_rerun_reply_set(reply, "{\"run_id\": \"n1\"}");
    no_panic();
    return 0;
}

static void in_callbacks(void) {
    bulk_rerun_host host;
    memset(&host, 0, sizeof host);
    host.struct_size = sizeof host;
    host.abi_version = BULK_RERUN_ABI_VERSION;
    host.runs = runs;
    host.spawn = spawn;
    bulk_rerun_plugin *plugin = bulk_rerun_attach(&host, NULL, NULL);
    wanted = "bulk_rerun_emit";
    EXPECT(bulk_rerun_call(plugin, FAILED), "\"status\":500");
    CHECK(emitted != 0);
    wanted = "bulk_rerun_reply_set";
    EXPECT(bulk_rerun_call(plugin, "{\"match_all\": true}"), "\"status\":500");
    CHECK(emitted == 0 && replied != 0);
    wanted = "";
    EXPECT(bulk_rerun_call(plugin, "{\"match_all\": true}"), "n1");
    bulk_rerun_close(plugin);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    char config[1024], *error = NULL;
    snprintf(config, sizeof config, "{\"store\": \"%s\"}", argv[1]);
    long before = number(argv[1], ALL);
    bulk_rerun_plugin *plugin = open_store(argv[1]);
    bulk_rerun_cursor *cursor = bulk_rerun_select(plugin, FAILED, NULL);

    panic_in("bulk_rerun");
    EXPECT(bulk_rerun(FAILED), "bulk_rerun failed by a defect");
    panic_in("bulk_rerun_configure");
    CHECK(bulk_rerun_configure(config, &error) == -1);
    EXPECT(error, "bulk_rerun_configure failed by a defect");
    panic_in("bulk_rerun_open");
    CHECK(bulk_rerun_open(config, &error) == NULL);
    EXPECT(error, "bulk_rerun_open failed by a defect");
    panic_in("bulk_rerun_attach");
    CHECK(bulk_rerun_attach(NULL, NULL, &error) == NULL);
    EXPECT(error, "bulk_rerun_attach failed by a defect");
    panic_in("bulk_rerun_call");
    EXPECT(bulk_rerun_call(plugin, FAILED), "bulk_rerun_call failed by a defect");
    panic_in("bulk_rerun_call_where");
    EXPECT(bulk_rerun_call_where(plugin, FAILED, keep_all, NULL), "bulk_rerun_call_where failed by a defect");
    panic_in("bulk_rerun_operations");
    EXPECT(bulk_rerun_operations(plugin, "{}"), "bulk_rerun_operations failed by a defect");
    panic_in("bulk_rerun_undo");
    EXPECT(bulk_rerun_undo(plugin, "{}"), "bulk_rerun_undo failed by a defect");
    bulk_rerun_cancel *cancel = bulk_rerun_cancel_new();
    panic_in("bulk_rerun_call_unless");
    EXPECT(bulk_rerun_call_unless(plugin, FAILED, cancel), "bulk_rerun_call_unless failed by a defect");
    panic_in("bulk_rerun_cancel_new");
    CHECK(bulk_rerun_cancel_new() == NULL);
    panic_in("bulk_rerun_is_error");
    CHECK(bulk_rerun_is_error("{}") == 1); /* nobody takes for an answer what can't be looked into */
    panic_in("bulk_rerun_select");
    CHECK(bulk_rerun_select(plugin, FAILED, &error) == NULL);
    EXPECT(error, "bulk_rerun_select failed by a defect");
    panic_in("bulk_rerun_cursor_next");
    CHECK(bulk_rerun_cursor_next(cursor, &error) == NULL);
    EXPECT(error, "bulk_rerun_cursor_next failed by a defect");
    panic_in("bulk_rerun_cursor_run");
    bulk_rerun_run run;
    CHECK(bulk_rerun_cursor_run(cursor, &run, &error) == -1);
    EXPECT(error, "bulk_rerun_cursor_run failed by a defect");
    panic_in("bulk_rerun_call_where_run");
    EXPECT(bulk_rerun_call_where_run(plugin, FAILED, NULL, NULL), "bulk_rerun_call_where_run failed by a defect");
    panic_in("bulk_rerun_version");
    CHECK(bulk_rerun_version() != NULL);
    panic_in("bulk_rerun_abi_version");
    CHECK(bulk_rerun_abi_version() == 0);

    /* What only frees and closes has nobody to tell; it does nothing, and can be called again. */
    char *answer = bulk_rerun_call(plugin, "");
    panic_in("bulk_rerun_string_free");
    bulk_rerun_string_free(answer);
    panic_in("bulk_rerun_cursor_close");
    bulk_rerun_cursor_close(cursor);
    panic_in("bulk_rerun_cancel_now");
    bulk_rerun_cancel_now(cancel);
    panic_in("bulk_rerun_cancel_free");
    bulk_rerun_cancel_free(cancel);
    panic_in("bulk_rerun_set_log");
    bulk_rerun_set_log(NULL, NULL);
    panic_in("bulk_rerun_close");
    bulk_rerun_close(plugin);

    no_panic();
    bulk_rerun_string_free(answer);
    EXPECT(bulk_rerun_cursor_next(cursor, &error), "\"id\":\"a1\"");
    bulk_rerun_cursor_close(cursor);
    CHECK(number(argv[1], ALL) == before);
    EXPECT(bulk_rerun_call_unless(plugin, FAILED, cancel), "run_id");
    bulk_rerun_cancel_free(cancel);
    bulk_rerun_close(plugin);
    in_callbacks();
    return 0;
}
