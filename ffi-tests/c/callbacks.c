/* A host that keeps its runs in memory: what its callbacks can do, and do wrong. */
#include "check.h"
#include <pthread.h>

static const char *const RUNS[] = {
    "{\"id\": \"a1\", \"task_name\": \"backup\", \"end_reason\": \"failed\", \"created_at\": \"2026-04-15T01:00:00Z\"}",
    "{\"id\": \"a2\", \"task_name\": \"backup\", \"end_reason\": \"failed\", \"created_at\": \"2026-04-15T02:00:00Z\","
    " \"params\": \"{ \\\"n\\\": 2 }\"}",
    "{\"id\": \"b1\", \"task_name\": \"report\", \"end_reason\": \"failed\", \"created_at\": \"2026-04-15T01:00:00Z\"}",
    "{\"id\": \"c1\", \"task_name\": \"mail\", \"end_reason\": \"succeeded\", \"created_at\": \"2026-04-15T01:00:00Z\"}",
};

/* What the host does at a spawn. */
typedef enum { START, FAIL_AT_THE_SECOND, DECLINE, FORGET, STAMMER } Manner;

typedef struct {
    Manner manner;
    bulk_rerun_plugin *plugin, *other;
    pthread_t caller;
    const char *bad_run;
    int asked, spawned, begun, committed, rolled_back;
    int32_t commit_status;
    char last[512];
} Host;

static int32_t runs(void *context, const char *selector_json, bulk_rerun_sink *sink) {
    Host *host = context;
    CHECK(pthread_equal(host->caller, pthread_self()));
    CHECK(strstr(selector_json, "match_all") != NULL || strstr(selector_json, "ids") != NULL);
    host->asked++;
    if (host->bad_run != NULL && bulk_rerun_emit(sink, host->bad_run) != 0) {
        return 0; /* even a host that takes no notice does not lose the run in silence */
    }
    for (size_t i = 0; i < sizeof RUNS / sizeof *RUNS; i++) {
        CHECK(bulk_rerun_emit(sink, RUNS[i]) == 0);
    }
    return 0;
}

static int32_t spawn(void *context, const char *source_run_json, bulk_rerun_reply *reply) {
    Host *host = context;
    char json[64];
    CHECK(pthread_equal(host->caller, pthread_self()));
    snprintf(host->last, sizeof host->last, "%s", source_run_json);
    switch (host->manner) {
    case DECLINE:
        return bulk_rerun_reply_set(reply, "{\"skipped\": \"the queue is full\"}");
    case FORGET:
        return 0;
    case STAMMER:
        CHECK(bulk_rerun_reply_set(reply, "{\"run_id\": 7}") != 0);
        return 0;
    case FAIL_AT_THE_SECOND:
        if (host->spawned == 1) {
            return 28;
        }
        break;
    default:
        break;
    }
    snprintf(json, sizeof json, "{\"run_id\": \"n%d\"}", ++host->spawned);
    return bulk_rerun_reply_set(reply, json);
}

static int32_t begin(void *context) {
    ((Host *)context)->begun++;
    return 0;
}

static int32_t commit(void *context) {
    ((Host *)context)->committed++;
    return ((Host *)context)->commit_status;
}

static int32_t rollback(void *context) {
    Host *host = context;
    host->rolled_back++;
    host->spawned = 0;
    return 0;
}

static bulk_rerun_host table(Host *host, int transactions) {
    bulk_rerun_host table;
    memset(&table, 0, sizeof table);
    table.struct_size = sizeof table;
    table.abi_version = BULK_RERUN_ABI_VERSION;
    table.context = host;
    table.runs = runs;
    table.spawn = spawn;
    if (transactions) {
        table.begin = begin;
        table.commit = commit;
        table.rollback = rollback;
    }
    return table;
}

static bulk_rerun_plugin *attach(Host *host, int transactions) {
    char *error = NULL;
    bulk_rerun_host copied = table(host, transactions);
    host->caller = pthread_self();
    bulk_rerun_plugin *plugin = bulk_rerun_attach(&copied, NULL, &error);
    memset(&copied, 0xff, sizeof copied); /* the table may go once it was handed over */
    CHECK(plugin != NULL && error == NULL);
    return plugin;
}

static void in_a_transaction(void) {
    Host host = {0};
    bulk_rerun_plugin *plugin = attach(&host, 1);
    char *answer = bulk_rerun_call(plugin, FAILED);
    CHECK(count(answer, "\"run_id\":\"n") == 2 && host.spawned == 2);
    bulk_rerun_string_free(answer);
    CHECK(host.begun == 1 && host.committed == 1 && host.rolled_back == 0);

    host.spawned = 0;
    host.manner = FAIL_AT_THE_SECOND;
    EXPECT(bulk_rerun_call(plugin, FAILED), "the host's `spawn` callback failed: it returned 28");
    CHECK(host.begun == 2 && host.committed == 1 && host.rolled_back == 1 && host.spawned == 0);

    host.manner = START;
    host.commit_status = 5;
    EXPECT(bulk_rerun_call(plugin, FAILED), "the host's `commit` callback failed: it returned 5");
    bulk_rerun_close(plugin);
}

static void without_transactions(void) {
    Host host = {0};
    bulk_rerun_plugin *plugin = attach(&host, 0);
    EXPECT(bulk_rerun_call(plugin, "{\"ids\": [\"a2\"]}"), "\"triggered\":[{\"task_name\":\"backup\",\"run_id\":\"n1\"");
    CHECK(strstr(host.last, "\"params\":\"{ \\\"n\\\": 2 }\"") != NULL);

    host.spawned = 0;
    host.manner = FAIL_AT_THE_SECOND;
    char *answer = bulk_rerun_call(plugin, FAILED);
    CHECK(strstr(answer, "it returned 28") && strstr(answer, "1 run was started before"));
    CHECK(strstr(answer, "\"triggered\":[{\"task_name\":\"backup\",\"run_id\":\"n1\",\"rerun_of\":\"a2\"}]"));
    bulk_rerun_string_free(answer);

    host.manner = DECLINE;
    EXPECT(bulk_rerun_call(plugin, FAILED), "\"reason\":\"refused\",\"detail\":\"the queue is full\"");
    host.manner = FORGET;
    EXPECT(bulk_rerun_call(plugin, FAILED), "never called bulk_rerun_reply_set");
    host.manner = STAMMER;
    EXPECT(bulk_rerun_call(plugin, FAILED), "the reply can't be read");
    host.manner = START;
    host.bad_run = "{\"task_name\": \"backup\"}";
    EXPECT(bulk_rerun_call(plugin, FAILED), "missing field `id`");
    host.bad_run = "{\"id\": \"\xff\", \"task_name\": \"backup\"}";
    EXPECT(bulk_rerun_call(plugin, FAILED), "not UTF-8");
    host.bad_run = NULL;
    EXPECT(bulk_rerun_call(plugin, FAILED), "\"triggered\":[{");
    bulk_rerun_close(plugin);
}

static int32_t reenter(void *context, const char *run_json) {
    Host *host = context;
    (void)run_json;
    EXPECT(bulk_rerun_call(host->plugin, FAILED), "\"status\":409");
    bulk_rerun_close(host->plugin); /* does nothing: it would wait for itself */
    EXPECT(bulk_rerun_call(host->other, "{\"ids\": [\"b1\"]}"), "\"triggered\":[{");
    return 1;
}

static void called_again_from_within(void) {
    Host host = {0}, another = {0};
    host.plugin = attach(&host, 0);
    host.other = attach(&another, 0);
    EXPECT(bulk_rerun_call_where(host.plugin, FAILED, reenter, &host), "\"triggered\":[{");
    CHECK(host.spawned == 2 && another.spawned == 3);
    bulk_rerun_close(host.plugin);
    bulk_rerun_close(host.other);
}

static void read_through_a_cursor(void) {
    Host host = {0};
    bulk_rerun_plugin *plugin = attach(&host, 0);
    bulk_rerun_cursor *cursor = bulk_rerun_select(plugin, FAILED, NULL);
    CHECK(cursor != NULL && host.asked == 1);
    EXPECT(bulk_rerun_cursor_next(cursor, NULL), "\"id\":\"a1\"");
    bulk_rerun_cursor_close(cursor);
    bulk_rerun_close(plugin);
}

int main(void) {
    in_a_transaction();
    without_transactions();
    called_again_from_within();
    read_through_a_cursor();
    return 0;
}
