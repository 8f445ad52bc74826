/* What can be handed over wrong gives an error that says so, and changes nothing. */
#include "check.h"

static int32_t no_runs(void *context, const char *selector_json, bulk_rerun_sink *sink) {
    (void)context, (void)selector_json, (void)sink;
    return 0;
}

static int32_t no_spawn(void *context, const char *source_run_json, bulk_rerun_reply *reply) {
    (void)context, (void)source_run_json, (void)reply;
    return 1;
}

static int32_t in_transaction(void *context) {
    (void)context;
    return 0;
}

static int32_t keep_all(void *context, const char *run_json) {
    (void)context, (void)run_json;
    return 1;
}

static void nothing_handed_over(const char *store) {
    char *error = NULL;
    bulk_rerun_plugin *plugin = open_store(store);
    unsetenv("BULK_RERUN_STORE");

    EXPECT(bulk_rerun(NULL), "no store is named: set BULK_RERUN_STORE");
    EXPECT(bulk_rerun(FAILED), "call bulk_rerun_configure first");
    EXPECT(bulk_rerun_call(NULL, FAILED), "the plugin is NULL");
    EXPECT(bulk_rerun_call(plugin, NULL), "no request");
    EXPECT(bulk_rerun_call_where(NULL, FAILED, keep_all, NULL), "the plugin is NULL");
    EXPECT(bulk_rerun_call_where(plugin, NULL, keep_all, NULL), "no request");
    EXPECT(bulk_rerun_call_where(plugin, FAILED, NULL, NULL), "keep is NULL");
    EXPECT(bulk_rerun_operations(NULL, "{}"), "the plugin is NULL");
    EXPECT(bulk_rerun_operations(plugin, NULL), "no query");
    EXPECT(bulk_rerun_undo(NULL, "{}"), "the plugin is NULL");
    EXPECT(bulk_rerun_undo(plugin, NULL), "no request");
    CHECK(bulk_rerun_open(NULL, &error) == NULL);
    EXPECT(error, "no config");
    CHECK(bulk_rerun_open(NULL, NULL) == NULL);
    CHECK(bulk_rerun_attach(NULL, NULL, &error) == NULL);
    EXPECT(error, "the host is NULL");
    CHECK(bulk_rerun_attach(NULL, NULL, NULL) == NULL);
    CHECK(bulk_rerun_select(NULL, FAILED, &error) == NULL);
    EXPECT(error, "the plugin is NULL");
    CHECK(bulk_rerun_select(plugin, NULL, &error) == NULL);
    EXPECT(error, "\"status\":400");
    CHECK(bulk_rerun_select(plugin, NULL, NULL) == NULL);
    CHECK(bulk_rerun_cursor_next(NULL, &error) == NULL);
    EXPECT(error, "the cursor is NULL");
    CHECK(bulk_rerun_cursor_next(NULL, NULL) == NULL);
    CHECK(bulk_rerun_configure("", &error) == -1);
    EXPECT(error, "no config");
    CHECK(bulk_rerun_configure("", NULL) == -1);
    CHECK(bulk_rerun_emit(NULL, NULL) != 0 && bulk_rerun_reply_set(NULL, NULL) != 0);
    bulk_rerun_string_free(NULL);
    bulk_rerun_cursor_close(NULL);
    bulk_rerun_close(NULL);
    bulk_rerun_close(plugin);
}

/* What a language's binding returns for a callback that threw may be any number. */
static int32_t returns(void *context, const char *run_json) {
    (void)run_json;
    return *(int32_t *)context;
}

static void predicates(const char *store) {
    bulk_rerun_plugin *plugin = open_store(store);
    const int32_t strange[] = {-1, 2, 3, 256, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        int32_t returned = strange[i];
        char words[96];
        snprintf(words, sizeof words, "the predicate returned %d at run `a1`, neither 1 nor 0", returned);
        EXPECT(bulk_rerun_call_where(plugin, FAILED, returns, &returned), words);
    }
    int32_t none = 0;
    EXPECT(bulk_rerun_call_where(plugin, FAILED, returns, &none), "{\"triggered\":[]}");
    bulk_rerun_close(plugin);
}

static void errors(const char *store) {
    bulk_rerun_plugin *plugin = open_store(store);
    char *answer = bulk_rerun_call(plugin, "{\"ids\": [\"\\\"status\\\":500\"]}");
    CHECK(strstr(answer, "status") != NULL && bulk_rerun_is_error(answer) == 0);
    bulk_rerun_string_free(answer);
    answer = bulk_rerun_call(plugin, "{\"ids\": 7}");
    CHECK(bulk_rerun_is_error(answer) == 1);
    bulk_rerun_string_free(answer);
    CHECK(bulk_rerun_is_error(NULL) == 0 && bulk_rerun_is_error("") == 0 && bulk_rerun_is_error("\xff") == 0);
    CHECK(bulk_rerun_is_error("{\"status\":500,\"detail\":\"it broke\"}") == 1);
    CHECK(bulk_rerun_is_error("{\"status\":\"failed\",\"detail\":\"\"}") == 0);
    bulk_rerun_close(plugin);
}

static void nonsense(const char *store) {
    char *error = NULL;
    bulk_rerun_plugin *plugin = open_store(store);
    EXPECT(bulk_rerun_call(plugin, "{\"ids\": [\"\xff\xfe\"]}"), "\"status\":400");
    EXPECT(bulk_rerun_call(plugin, "\xc3"), "\"status\":400");
    EXPECT(bulk_rerun_call(plugin, "[]"), "an array");
    EXPECT(bulk_rerun_operations(plugin, "{\"run_id\": \"\xff\"}"), "\"status\":400");
    EXPECT(bulk_rerun_operations(plugin, "{\"limit\": 0, \"since\": \"24h\"}"), "query.since");
    EXPECT(bulk_rerun_undo(plugin, "{\"operation_id\": 7}"), "body.operation_id");
    EXPECT(bulk_rerun_operations(plugin, "{}"), "the store has no ledger");
    EXPECT(bulk_rerun_undo(plugin, "{\"operation_id\": \"x\"}"), "the store has no ledger");
    CHECK(bulk_rerun_open("{\"store\": \"\xff\"}", &error) == NULL);
    EXPECT(error, "\"status\":400");
    CHECK(bulk_rerun_open("{\"store\": 7, \"busy_timeout_ms\": -1}", &error) == NULL);
    EXPECT(error, "config.busy_timeout_ms");
    CHECK(bulk_rerun_open("{\"store\": \"/nowhere/runs.db\"}", &error) == NULL);
    EXPECT(error, "/nowhere/runs.db");
    CHECK(bulk_rerun_select(plugin, "{\"match_all\": true, \"options\": {\"dry_run\": true}}", &error) == NULL);
    EXPECT(error, "body.options");
    bulk_rerun_close(plugin);
}

static void refuse(const void *host, const char *words) {
    char *error = NULL;
    CHECK(bulk_rerun_attach(host, NULL, &error) == NULL);
    EXPECT(error, words);
}

static void wrong_tables(void) {
    bulk_rerun_host host;
    memset(&host, 0, sizeof host);
    refuse(&host, "host.struct_size is 0");
    host.struct_size = sizeof host - 1;
    host.abi_version = BULK_RERUN_ABI_VERSION;
    refuse(&host, "sizeof(bulk_rerun_host)");
    host.struct_size = sizeof host;
    refuse(&host, "host.runs and host.spawn");
    host.runs = no_runs;
    refuse(&host, "host.runs and host.spawn");
    host.spawn = no_spawn;
    host.abi_version = 2;
    refuse(&host, "host.abi_version is 2");
    host.abi_version = 0;
    refuse(&host, "host.abi_version is 0");
    host.abi_version = BULK_RERUN_ABI_VERSION;
    host.flags = 4;
    refuse(&host, "host.flags is 4");
    host.flags = 0;
    host.begin = in_transaction;
    refuse(&host, "all set or all NULL");
    host.commit = host.rollback = in_transaction;
    char *error = NULL;
    CHECK(bulk_rerun_attach(&host, "{\"wire\": \"kebab\"}", &error) == NULL);
    EXPECT(error, "config.wire");
    CHECK(bulk_rerun_attach(&host, "{\"tasks\": \"/nowhere/runwisp.toml\"}", &error) == NULL);
    EXPECT(error, "/nowhere/runwisp.toml");

    /* A host that was compiled with a later header, whose struct is longer. */
    struct {
        bulk_rerun_host host;
        void *later;
    } later = {host, NULL};
    later.host.struct_size = sizeof later;
    later.later = &error;
    refuse(&later, "the host sets fields that version");
    later.later = NULL;
    later.host.struct_size = (size_t)-1;
    refuse(&later, "which no version has");
    later.host.struct_size = sizeof later;
    bulk_rerun_plugin *plugin = bulk_rerun_attach(&later.host, NULL, &error);
    CHECK(plugin != NULL);
    EXPECT(bulk_rerun_call(plugin, FAILED), "{\"triggered\":[]}");
    bulk_rerun_close(plugin);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    long before = number(argv[1], ALL);
    nothing_handed_over(argv[1]);
    nonsense(argv[1]);
    predicates(argv[1]);
    errors(argv[1]);
    wrong_tables();
    CHECK(number(argv[1], ALL) == before);
    return 0;
}
