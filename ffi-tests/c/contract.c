/* Each function does what the header says. Two stores; in each, two tasks have failed. */
#include "check.h"

static int32_t only_backup(void *context, const char *run_json) {
    ++*(int *)context;
    return strstr(run_json, "\"task_name\":\"backup\"") != NULL;
}

#define DRY_RUN "{\"match_all\": true, \"filter\": {\"status\": \"failed\"}, \"options\": {\"dry_run\": true}}"

static int32_t only_code_one(void *context, const bulk_rerun_run *run) {
    ++*(int *)context;
    return (run->has & BULK_RERUN_HAS_EXIT_CODE) && run->exit_code == 1;
}

static int32_t never_either(void *context, const bulk_rerun_run *run) {
    (void)context, (void)run;
    return 2;
}

static int32_t never(void *context, const char *run_json) {
    (void)context, (void)run_json;
    return -3;
}

static void calls(const char *store) {
    bulk_rerun_plugin *plugin = open_store(store);
    long before = number(store, ALL);

    EXPECT(bulk_rerun_call(plugin, "{\"ids\": [\"b1\"], \"options\": {\"dry_run\": true}}"), "\"planned\":[{");
    EXPECT(bulk_rerun_call(plugin, "{\"match_al\": true}"), "did you mean");
    CHECK(number(store, ALL) == before);

    char *answer = bulk_rerun_call(plugin, FAILED);
    CHECK(count(answer, "\"run_id\"") == 2 && strstr(answer, "\"rerun_of\":\"a2\"") != NULL);
    bulk_rerun_string_free(answer);
    CHECK(number(store, ALL) == before + 2);
    CHECK(number(store, SPAWNED " AND params_json = '{ ' || char(34) || 'n' || char(34) || ': ' || char(34, 322, 34) || ' }'") == 1);

    int seen = 0;
    EXPECT(bulk_rerun_call_where(plugin, FAILED, only_backup, &seen), "\"triggered\":[{\"task_name\":\"backup\"");
    CHECK(seen == 3 && number(store, ALL) == before + 3);
    EXPECT(bulk_rerun_call_where(plugin, FAILED, never, NULL), "-3");
    CHECK(number(store, ALL) == before + 3);
    seen = 0;
    EXPECT(bulk_rerun_call_where_run(plugin, DRY_RUN, only_code_one, &seen), "\"planned\":[{");
    CHECK(seen == 3);
    EXPECT(bulk_rerun_call_where_run(plugin, FAILED, never_either, NULL), "returned 2");
    EXPECT(bulk_rerun_call_where_run(plugin, FAILED, NULL, NULL), "keep is NULL");
    CHECK(number(store, ALL) == before + 3);
    bulk_rerun_close(plugin);
}

static void cursors(const char *store) {
    bulk_rerun_plugin *plugin = open_store(store);
    char *error = (char *)"not NULL";
    bulk_rerun_cursor *runs = bulk_rerun_select(plugin, FAILED, &error);
    CHECK(runs != NULL && error == NULL);
    bulk_rerun_close(plugin); /* a cursor stands on its own */
    EXPECT(bulk_rerun_cursor_next(runs, &error), "{\"id\":\"a1\",\"task_name\":\"backup\"");
    EXPECT(bulk_rerun_cursor_next(runs, NULL), "\"exit_code\":1,");
    EXPECT(bulk_rerun_cursor_next(runs, &error), "\"id\":\"b1\"");
    CHECK(bulk_rerun_cursor_next(runs, &error) == NULL && error == NULL);
    CHECK(bulk_rerun_cursor_next(runs, &error) == NULL && error == NULL);
    bulk_rerun_cursor_close(runs);
}

static int is(bulk_rerun_text text, const char *expected) {
    return text.length == strlen(expected) && memcmp(text.bytes, expected, text.length) == 0;
}

/* The same without JSON in between. */
static void lent_runs(const char *store) {
    bulk_rerun_plugin *plugin = open_store(store);
    bulk_rerun_cursor *runs = bulk_rerun_select(plugin, FAILED, NULL);
    bulk_rerun_run run;
    char *error = NULL;
    CHECK(bulk_rerun_cursor_run(runs, &run, &error) == 1 && error == NULL);
    CHECK(is(run.id, "a1") && is(run.task_name, "backup") && is(run.phase, "ended") && is(run.end_reason, "failed"));
    CHECK(run.has & BULK_RERUN_HAS_EXIT_CODE);
    CHECK(run.unfit.bytes == NULL && run.unfit.length == 0);
    CHECK(bulk_rerun_cursor_run(runs, NULL, &error) == -1);
    EXPECT(error, "run is NULL");
    /* One cursor, in either way. */
    EXPECT(bulk_rerun_cursor_next(runs, NULL), "\"id\":\"a2\"");
    CHECK(bulk_rerun_cursor_run(runs, &run, NULL) == 1 && is(run.id, "b1"));
    CHECK(bulk_rerun_cursor_run(runs, &run, &error) == 0 && error == NULL);
    bulk_rerun_cursor_close(runs);
    CHECK(bulk_rerun_cursor_run(runs, &run, &error) == -1);
    EXPECT(error, "the cursor is closed");
    bulk_rerun_close(plugin);
}

static void the_default(const char *store, const char *other) {
    char config[1024], *error = NULL;
    const char *one = "{\"ids\": [\"b1\"]}";
    unsetenv("BULK_RERUN_STORE");
    EXPECT(bulk_rerun(one), "\"status\":");
    setenv("BULK_RERUN_STORE", store, 1);
    long before = number(store, ALL), before_in_other = number(other, ALL);
    EXPECT(bulk_rerun(one), "\"triggered\":[{\"task_name\":\"report\"");
    CHECK(number(store, ALL) == before + 1);

    CHECK(bulk_rerun_configure("{\"store\": \"/nowhere/runs.db\"}", &error) == -1);
    EXPECT(error, "/nowhere/runs.db");
    EXPECT(bulk_rerun(one), "\"triggered\":[{");
    CHECK(number(store, ALL) == before + 2);

    snprintf(config, sizeof config, "{\"store\": \"%s\", \"wire\": \"camel\"}", other);
    CHECK(bulk_rerun_configure(config, &error) == 0 && error == NULL);
    EXPECT(bulk_rerun(one), "\"taskName\":\"report\"");
    CHECK(number(store, ALL) == before + 2 && number(other, ALL) == before_in_other + 1);

    CHECK(bulk_rerun_configure(NULL, &error) == 0 && error == NULL);
    EXPECT(bulk_rerun(one), "the default plugin is closed");
    CHECK(bulk_rerun_configure(config, NULL) == 0);
    EXPECT(bulk_rerun(one), "\"triggered\":[{");
    CHECK(bulk_rerun_configure(NULL, NULL) == 0);
}

static void independent(const char *store, const char *other) {
    bulk_rerun_plugin *one = open_store(store), *two = open_store(other), *three = open_store(store);
    long before = number(store, ALL), before_in_other = number(other, ALL);
    EXPECT(bulk_rerun_call(one, "{\"ids\": [\"b1\"]}"), "run_id");
    bulk_rerun_close(one);
    EXPECT(bulk_rerun_call(two, "{\"ids\": [\"b1\"]}"), "run_id");
    EXPECT(bulk_rerun_call(three, "{\"ids\": [\"b1\"]}"), "run_id");
    CHECK(number(store, ALL) == before + 2 && number(other, ALL) == before_in_other + 1);
    bulk_rerun_close(two);
    bulk_rerun_close(three);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    CHECK(bulk_rerun_abi_version() == BULK_RERUN_ABI_VERSION);
    CHECK(bulk_rerun_version()[0] >= '0' && bulk_rerun_version()[0] <= '9');
    calls(argv[1]);
    cursors(argv[2]);
    lent_runs(argv[2]);
    the_default(argv[1], argv[2]);
    independent(argv[1], argv[2]);
    return 0;
}
