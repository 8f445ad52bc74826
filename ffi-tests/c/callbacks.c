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
typedef enum { START, FAIL_AT_THE_SECOND, DECLINE, FORGET, STAMMER, SAY_WHY, SAY_WHY_AND_GO_ON, DECLINE_AND_FAIL } Manner;

typedef struct {
    Manner manner;
    bulk_rerun_plugin *plugin, *other;
    pthread_t caller;
    const char *bad_run;
    const char *reply; /* to stammer with */
    int32_t runs_status;
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
    if (host->runs_status != 0 || host->bad_run != NULL) {
        CHECK(host->bad_run == NULL || bulk_rerun_emit(sink, RUNS[0]) != 0); /* it is over */
        return host->runs_status;
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
        return bulk_rerun_reply_set(reply, host->reply);
    case SAY_WHY:
        CHECK(bulk_rerun_reply_set(reply, "{\"error\": \"out of \\\"paper\\\"\"}") == 0);
        return 28;
    case SAY_WHY_AND_GO_ON:
        return bulk_rerun_reply_set(reply, "{\"error\": \"out of ink\"}");
    case DECLINE_AND_FAIL:
        CHECK(bulk_rerun_reply_set(reply, "{\"skipped\": \"the queue is full\"}") == 0);
        return -1;
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
    host.reply = "{\"run_id\": 7, \"params\": \"s3cret\"}";
    EXPECT(bulk_rerun_call(plugin, FAILED), "the reply can't be read");
    host.reply = "{\"run_id\": \"7\", \"skipped\": \"no\"}";
    EXPECT(bulk_rerun_call(plugin, FAILED), "the reply must be one of");
    host.reply = "{\"run_id\": [\"s3cret\"]}";
    answer = bulk_rerun_call(plugin, FAILED);
    CHECK(strstr(answer, "the reply can't be read") != NULL && strstr(answer, "s3cret") == NULL);
    bulk_rerun_string_free(answer);
    host.manner = SAY_WHY;
    EXPECT(bulk_rerun_call(plugin, FAILED), "the host's `spawn` callback failed: out of \\\"paper\\\"; no run was started");
    host.manner = SAY_WHY_AND_GO_ON;
    EXPECT(bulk_rerun_call(plugin, FAILED), "the host's `spawn` callback failed: out of ink");
    host.manner = DECLINE_AND_FAIL;
    EXPECT(bulk_rerun_call(plugin, FAILED), "the host's `spawn` callback failed: it returned -1: the queue is full");
    host.manner = START;

    host.runs_status = 5;
    EXPECT(bulk_rerun_call(plugin, FAILED), "the host's `runs` callback failed: it returned 5");
    host.bad_run = "{\"error\": \"the queue is away\"}";
    EXPECT(bulk_rerun_call(plugin, FAILED), "the host's `runs` callback failed: the queue is away");
    host.runs_status = 0;
    EXPECT(bulk_rerun_call(plugin, FAILED), "the host's `runs` callback failed: the queue is away");

    host.bad_run = "{\"task_name\": \"backup\"}";
    EXPECT(bulk_rerun_call(plugin, FAILED), "a run that can't be read, number 1: `id` is missing");
    host.bad_run = "{\"id\": \"b7\", \"task_name\": \"backup\", \"exit_code\": \"s3cret\", \"params\": \"s3cret\"}";
    answer = bulk_rerun_call(plugin, FAILED);
    CHECK(strstr(answer, "number 1: (id \\\"b7\\\"): `exit_code` is a string, not an integer") != NULL);
    CHECK(strstr(answer, "s3cret") == NULL);
    bulk_rerun_string_free(answer);
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
