/* What a thread with a small stack can do: stack WAL ROLLBACK BYTES [CONFIG]. */
#include "check.h"
#include <limits.h>
#include <pthread.h>

static const char *config;

static int32_t keep_all(void *context, const char *run_json) {
    (void)context, (void)run_json;
    return 1;
}

static int32_t runs(void *context, const char *selector_json, bulk_rerun_sink *sink) {
    (void)context, (void)selector_json;
    return bulk_rerun_emit(sink, "{\"id\": \"b1\", \"task_name\": \"report\", \"params\": {\"n\": [1, 2, {\"m\": null}]}}");
}

static int32_t spawn(void *context, const char *source_run_json, bulk_rerun_reply *reply) {
    (void)context, (void)source_run_json;
    return bulk_rerun_reply_set(reply, "{\"run_id\": \"n1\"}");
}

static void over(bulk_rerun_plugin *plugin) {
    CHECK(plugin != NULL);
    EXPECT(bulk_rerun_call(plugin, "{\"match_all\": true, \"options\": {\"dry_run\": true, \"unique_by\": \"params\"}}"), "plan");
    EXPECT(bulk_rerun_call(plugin, "{\"match_all\": true, \"filter\": {\"exit_code_min\": \"x\"}}"), "\"status\":422");
    EXPECT(bulk_rerun_call_where(plugin, "{\"ids\": [\"b1\"], \"options\": {\"skip_active\": true}}", keep_all, NULL), "triggered");
    bulk_rerun_cursor *cursor = bulk_rerun_select(plugin, "{\"match_all\": true}", NULL);
    EXPECT(bulk_rerun_cursor_next(cursor, NULL), "\"id\"");
    bulk_rerun_cursor_close(cursor);
    bulk_rerun_close(plugin);
}

static void *work(void *unused) {
    bulk_rerun_host host;
    char *error = NULL;
    bulk_rerun_plugin *plugin = bulk_rerun_open(config, &error);
    if (plugin == NULL) {
        fprintf(stderr, "%s\n", error);
        exit(1);
    }
    over(plugin);
    memset(&host, 0, sizeof host);
    host.struct_size = sizeof host;
    host.abi_version = BULK_RERUN_ABI_VERSION;
    host.runs = runs;
    host.spawn = spawn;
    over(bulk_rerun_attach(&host, NULL, NULL));
    CHECK(bulk_rerun_open("{\"store\": \"/nowhere/runs.db\"}", &error) == NULL);
    EXPECT(error, "/nowhere/runs.db");
    return unused;
}

int main(int argc, char **argv) {
    pthread_attr_t attributes;
    pthread_t thread;
    char given[1024];
    CHECK(argc == 4 || argc == 5);
    snprintf(given, sizeof given, "{\"store\": \"%s\"}", argv[1]);
    config = argc == 5 ? argv[4] : given;
    CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, (size_t)atol(argv[3])) == 0);
    CHECK(pthread_create(&thread, &attributes, work, NULL) == 0 && pthread_join(thread, NULL) == 0);
    return 0;
}
