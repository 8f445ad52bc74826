/* A host with a ledger: it re-runs, looks at what became of that, and takes back what nobody has begun. */
#include "check.h"
#include <pthread.h>

#define THREADS 8
#define BEGIN "UPDATE runs SET status = 'running' WHERE status = 'pending' AND task_name = 'backup'; SELECT changes()"
#define END "UPDATE runs SET status = 'ended', end_reason = 'success', exit_code = 0 WHERE status = 'running'; SELECT changes()"

static bulk_rerun_plugin *open_with_ledger(const char *store) {
    char config[1024];
    snprintf(config, sizeof config, "{\"store\": \"%s\", \"ledger\": true, \"busy_timeout_ms\": 60000}", store);
    bulk_rerun_plugin *plugin = bulk_rerun_open(config, NULL);
    CHECK(plugin != NULL);
    return plugin;
}

/* The value of an answer's first field of this name, which is a text. */
static void field(const char *answer, const char *name, char *value, size_t size) {
    char before[64];
    snprintf(before, sizeof before, "\"%s\":\"", name);
    const char *begin = strstr(answer, before);
    CHECK(begin != NULL);
    begin += strlen(before);
    snprintf(value, size, "%.*s", (int)strcspn(begin, "\""), begin);
}

typedef struct {
    char id[64], query[96]; /* the operation's, and what asks for it alone */
    char run_id[64];        /* the first new run's */
} Operation;

static Operation rerun(bulk_rerun_plugin *plugin) {
    Operation operation;
    char *answer = bulk_rerun_call(plugin, "{\"match_all\": true, \"filter\": {\"status\": \"failed\"},"
                                           " \"options\": {\"reason\": \"the disk was full\", \"actor\": \"ann\"}}");
    CHECK(count(answer, "\"run_id\"") == 2);
    field(answer, "operation_id", operation.id, sizeof operation.id);
    field(answer, "run_id", operation.run_id, sizeof operation.run_id);
    snprintf(operation.query, sizeof operation.query, "{\"operation_id\": \"%s\"}", operation.id);
    bulk_rerun_string_free(answer);
    return operation;
}

/* How many operations a query finds. */
static int found(bulk_rerun_plugin *plugin, const char *format, const char *value) {
    char query[160];
    snprintf(query, sizeof query, format, value);
    char *page = bulk_rerun_operations(plugin, query);
    CHECK(!bulk_rerun_is_error(page));
    int operations = count(page, "\"operation_id\"");
    bulk_rerun_string_free(page);
    return operations;
}

static void one_after_the_other(const char *store) {
    bulk_rerun_plugin *plugin = open_with_ledger(store);
    EXPECT(bulk_rerun_operations(plugin, "{}"), "{\"operations\":[]}");
    Operation first = rerun(plugin), second = rerun(plugin);

    char newest[128];
    snprintf(newest, sizeof newest, "{\"operations\":[{\"operation_id\":\"%s\"", second.id);
    EXPECT(bulk_rerun_operations(plugin, "{\"limit\": 1}"), newest);
    CHECK(found(plugin, "{}%s", "") == 2);
    CHECK(found(plugin, "{\"before\": \"%s\"}", second.id) == 1);
    CHECK(found(plugin, "{\"run_id\": \"%s\"}", first.run_id) == 1 && found(plugin, "{\"run_id\": \"%s\"}", "a2") == 2);
    CHECK(found(plugin, "{\"created_after\": \"%s\"}", "2999-01-01T00:00:00Z") == 0);
    EXPECT(bulk_rerun_operations(plugin, first.query), "\"states\":{\"pending\":2}");
    EXPECT(bulk_rerun_operations(plugin, first.query), "\"reason\":\"the disk was full\"");
    EXPECT(bulk_rerun_operations(plugin, first.query), "\"door\":\"c\",\"actor\":\"ann\"");
    EXPECT(bulk_rerun_operations(plugin, "{\"operationId\": \"nobody's\"}"), "no operation \\\"nobody's\\\"");
    EXPECT(bulk_rerun_undo(plugin, "{\"operation_id\": \"nobody's\"}"), "\"status\":404");

    /* Another process begins one of the two. */
    EXPECT(bulk_rerun_undo(plugin, second.query), "\"kept\":[]");
    CHECK(number(store, BEGIN) == 1);
    char *undone = bulk_rerun_undo(plugin, first.query);
    CHECK(strstr(undone, "{\"undone\":[{\"task_name\":\"report\",") != NULL && strstr(undone, first.run_id) != NULL);
    EXPECT(undone, "\"phase\":\"running\"}]}");
    EXPECT(bulk_rerun_undo(plugin, first.query), "{\"undone\":[],\"kept\":[{\"task_name\":\"backup\"");
    CHECK(number(store, END) == 1);
    EXPECT(bulk_rerun_operations(plugin, first.query), "\"states\":{\"success\":1,\"undone\":1}");
    EXPECT(bulk_rerun_operations(plugin, second.query), "\"states\":{\"undone\":2}");
    CHECK(number(store, SPAWNED) == 0);
    bulk_rerun_close(plugin);
}

/* Of many who undo the same, each run is told to one. */
static bulk_rerun_plugin *shared;
static Operation operation;

static void *undo(void *undone) {
    char *answer = bulk_rerun_undo(shared, operation.query), *kept = strstr(answer, "\"kept\"");
    CHECK(!bulk_rerun_is_error(answer) && kept != NULL);
    *(int *)undone = count(answer, "\"run_id\"") - count(kept, "\"run_id\"");
    bulk_rerun_string_free(answer);
    EXPECT(bulk_rerun_operations(shared, operation.query), "\"states\":{\"undone\":2}");
    return NULL;
}

static void all_at_once(const char *store) {
    pthread_t threads[THREADS];
    int undone[THREADS], total = 0;
    shared = open_with_ledger(store);
    operation = rerun(shared);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, undo, &undone[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        total += undone[i];
    }
    CHECK(total == 2 && number(store, SPAWNED) == 0);
}

static int32_t ask_within(void *asked, const char *run_json) {
    (void)run_json;
    EXPECT(bulk_rerun_operations(shared, "{}"), "\"status\":409");
    EXPECT(bulk_rerun_undo(shared, operation.query), "\"status\":409");
    ++*(int *)asked;
    return 0;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    for (int i = 1; i < 3; i++) {
        one_after_the_other(argv[i]);
        all_at_once(argv[i]);
        int asked = 0;
        EXPECT(bulk_rerun_call_where(shared, FAILED, ask_within, &asked), "{\"triggered\":[]");
        CHECK(asked == 3);
        bulk_rerun_close(shared);
    }
    return 0;
}
