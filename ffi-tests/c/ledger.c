/* A host with a ledger and transactions, in memory: a key is one re-run, an operation can be undone, and what its callbacks
 * say wrong fails the call. */
#include "check.h"

#define LONG 4096

typedef struct {
    char kept[4][LONG]; /* operations, in the order in which they came */
    int operations, before;
    const char *task[8], *phase[8]; /* of the new runs; NULL for one that was taken back */
    const char *phase_before[8];
    int spawned, spawned_before, recorded, in_transaction;
    const char *says;      /* in place of what find_operation finds */
    const char *complains; /* what record_operation replies, or undo */
    int32_t status;        /* of record_operation */
} Host;

static int32_t runs(void *context, const char *selector_json, bulk_rerun_sink *sink) {
    Host *host = context;
    char run[256];
    (void)selector_json;
    for (int i = 0; i < host->spawned; i++) {
        if (host->phase[i] != NULL) {
            snprintf(run, sizeof run, "{\"id\": \"n%d\", \"task_name\": \"%s\", \"phase\": \"%s\"}", i + 1, host->task[i],
                     host->phase[i]);
            CHECK(bulk_rerun_emit(sink, run) == 0);
        }
    }
    CHECK(bulk_rerun_emit(sink, "{\"id\": \"b1\", \"task_name\": \"report\", \"end_reason\": \"failed\"}") == 0);
    return bulk_rerun_emit(sink, "{\"id\": \"a1\", \"task_name\": \"backup\", \"end_reason\": \"failed\"}");
}

static int32_t spawn(void *context, const char *source_run_json, bulk_rerun_reply *reply) {
    Host *host = context;
    char json[64];
    CHECK(host->spawned < 8);
    host->task[host->spawned] = strstr(source_run_json, "report") != NULL ? "report" : "backup";
    host->phase[host->spawned] = "pending";
    snprintf(json, sizeof json, "{\"run_id\": \"n%d\"}", ++host->spawned);
    return bulk_rerun_reply_set(reply, json);
}

static int32_t begin(void *context) {
    Host *host = context;
    CHECK(!host->in_transaction);
    host->in_transaction = 1;
    host->before = host->operations;
    host->spawned_before = host->spawned;
    memcpy(host->phase_before, host->phase, sizeof host->phase);
    return 0;
}

static int32_t commit(void *context) {
    Host *host = context;
    CHECK(host->in_transaction);
    host->in_transaction = 0;
    return 0;
}

static int32_t rollback(void *context) {
    Host *host = context;
    CHECK(host->in_transaction);
    host->in_transaction = 0;
    host->operations = host->before;
    host->spawned = host->spawned_before;
    memcpy(host->phase, host->phase_before, sizeof host->phase);
    return 0;
}

static int32_t undo(void *context, const char *run_json, bulk_rerun_reply *reply) {
    Host *host = context;
    const char *id = strstr(run_json, "\"id\":\"n");
    CHECK(host->in_transaction && id != NULL);
    int place = atoi(id + 7) - 1;
    CHECK(place >= 0 && place < host->spawned);
    if (host->complains != NULL) {
        return bulk_rerun_reply_set(reply, host->complains);
    }
    if (host->phase[place] == NULL || strcmp(host->phase[place], "pending") != 0) {
        return bulk_rerun_reply_set(reply, "{\"undone\": false}");
    }
    host->phase[place] = NULL;
    return bulk_rerun_reply_set(reply, "{\"undone\": true}");
}

/* What the query says of an operation's id or key stands in it in the same words. */
static int32_t find_operation(void *context, const char *query_json, bulk_rerun_reply *reply) {
    Host *host = context;
    if (host->says != NULL) {
        return bulk_rerun_reply_set(reply, host->says);
    }
    if (strstr(query_json, "\"limit\":") != NULL) {
        char list[5 * LONG] = "{\"operations\": [";
        for (int i = host->operations; i-- > 0;) {
            strcat(strcat(list, host->kept[i]), i > 0 ? ", " : "");
        }
        return bulk_rerun_reply_set(reply, strcat(list, "]}"));
    }
    char words[LONG];
    snprintf(words, sizeof words, "%.*s", (int)strlen(query_json) - 2, query_json + 1);
    for (int i = 0; i < host->operations; i++) {
        if (strstr(host->kept[i], words) != NULL) {
            return bulk_rerun_reply_set(reply, host->kept[i]);
        }
    }
    return bulk_rerun_reply_set(reply, "{}");
}

static int32_t record_operation(void *context, const char *operation_json, bulk_rerun_reply *reply) {
    Host *host = context;
    char id[64];
    int place = 0;
    CHECK(host->in_transaction && strlen(operation_json) < LONG);
    if (host->complains != NULL) {
        bulk_rerun_reply_set(reply, host->complains);
    }
    /* Its id is its first field. */
    CHECK(sscanf(operation_json, "{\"operation_id\":\"%26[0-9A-Z]\",", id) == 1);
    while (place < host->operations && strstr(host->kept[place], id) == NULL) {
        place++;
    }
    CHECK(place < 4);
    strcpy(host->kept[place], operation_json);
    host->operations += place == host->operations;
    host->recorded++;
    return host->status;
}

static bulk_rerun_host table(Host *host) {
    bulk_rerun_host table;
    memset(&table, 0, sizeof table);
    table.struct_size = sizeof table;
    table.abi_version = BULK_RERUN_ABI_VERSION;
    table.context = host;
    table.runs = runs;
    table.spawn = spawn;
    table.begin = begin;
    table.commit = commit;
    table.rollback = rollback;
    table.undo = undo;
    table.find_operation = find_operation;
    table.record_operation = record_operation;
    return table;
}

static bulk_rerun_plugin *attach(Host *host) {
    bulk_rerun_host copied = table(host);
    bulk_rerun_plugin *plugin = bulk_rerun_attach(&copied, NULL, NULL);
    memset(&copied, 0xff, sizeof copied);
    CHECK(plugin != NULL);
    return plugin;
}

#define KEYED(key) "{\"ids\": [\"a1\"], \"options\": {\"idempotency_key\": \"" key "\", \"reason\": \"why\"}}"

static void keys(void) {
    static Host host;
    bulk_rerun_plugin *plugin = attach(&host);
    char *first = bulk_rerun_call(plugin, KEYED("k"));
    char *again = bulk_rerun_call(plugin, KEYED("k"));
    CHECK(strstr(first, "\"run_id\":\"n1\"") != NULL && strstr(first, "\"operation_id\":\"") != NULL);
    CHECK(strstr(first, "replayed") == NULL && strstr(again, "\"replayed\":true") != NULL);
    CHECK(strstr(again, "\"run_id\":\"n1\"") != NULL && host.spawned == 1 && host.operations == 1);
    CHECK(strstr(host.kept[0], "\"door\":\"c\"") != NULL && strstr(host.kept[0], "\"reason\":\"why\"") != NULL);
    bulk_rerun_string_free(first);
    bulk_rerun_string_free(again);
    EXPECT(bulk_rerun_call(plugin, KEYED("other")), "\"run_id\":\"n2\"");
    EXPECT(bulk_rerun_call(plugin, "{\"ids\": [\"a1\", \"zz\"], \"options\": {\"idempotency_key\": \"k\"}}"), "another request");
    CHECK(host.spawned == 2 && host.operations == 2 && host.recorded == 2);
    bulk_rerun_close(plugin);
}

static void said_wrong(void) {
    static Host host;
    bulk_rerun_plugin *plugin = attach(&host);
    host.status = 28;
    EXPECT(bulk_rerun_call(plugin, KEYED("k")), "the host's `record_operation` callback failed: it returned 28");
    host.complains = "{\"error\": \"out of \\\"ink\\\"\"}";
    EXPECT(bulk_rerun_call(plugin, KEYED("k")), "the host's `record_operation` callback failed: out of \\\"ink\\\"");
    host.status = 0;
    EXPECT(bulk_rerun_call(plugin, KEYED("k")), "the host's `record_operation` callback failed: out of \\\"ink\\\"");
    host.complains = "{\"recorded\": true}";
    EXPECT(bulk_rerun_call(plugin, KEYED("k")), "the reply must be {\\\"error\\\": \\\"…\\\"}, or none");
    CHECK(host.spawned == 0 && host.operations == 0);
    host.complains = NULL;

    host.says = "{\"error\": \"the ledger is away\"}";
    EXPECT(bulk_rerun_call(plugin, KEYED("k")), "the host's `find_operation` callback failed: the ledger is away");
    host.says = "{\"operation_id\": \"s3cret\"}";
    char *answer = bulk_rerun_call(plugin, KEYED("k"));
    CHECK(strstr(answer, "`created_at` is missing") != NULL && strstr(answer, "s3cret") == NULL);
    bulk_rerun_string_free(answer);
    host.says = "\xff";
    EXPECT(bulk_rerun_call(plugin, KEYED("k")), "the reply is not UTF-8");
    host.says = NULL;
    CHECK(host.spawned == 0 && host.operations == 0);
    EXPECT(bulk_rerun_call(plugin, KEYED("k")), "\"run_id\":\"n1\"");
    bulk_rerun_close(plugin);
}

static void undoing(void) {
    static Host host;
    char request[128], *id;
    bulk_rerun_plugin *plugin = attach(&host);
    char *answer = bulk_rerun_call(plugin, "{\"ids\": [\"a1\", \"b1\"]}");
    id = strstr(answer, "\"operation_id\":\"");
    CHECK(id != NULL && host.spawned == 2);
    snprintf(request, sizeof request, "{\"operation_id\": \"%.26s\"}", id + 16);
    bulk_rerun_string_free(answer);

    host.complains = "{\"error\": \"the door is stuck\"}";
    EXPECT(bulk_rerun_undo(plugin, request), "the host's `undo` callback failed: the door is stuck");
    host.complains = "{\"undone\": \"s3cret\"}";
    answer = bulk_rerun_undo(plugin, request);
    CHECK(strstr(answer, "it must be {\\\"undone\\\": true}") != NULL && strstr(answer, "s3cret") == NULL);
    bulk_rerun_string_free(answer);
    host.complains = NULL;
    CHECK(host.recorded == 1 && host.phase[0] != NULL && host.phase[1] != NULL);

    host.phase[1] = "running";
    EXPECT(bulk_rerun_undo(plugin, request), "{\"undone\":[{\"task_name\":\"backup\",\"run_id\":\"n1\"}],"
                                             "\"kept\":[{\"task_name\":\"report\",\"run_id\":\"n2\",\"phase\":\"running\"}]}");
    CHECK(host.recorded == 2 && host.operations == 1 && host.phase[0] == NULL);
    EXPECT(bulk_rerun_undo(plugin, request), "{\"undone\":[],");
    EXPECT(bulk_rerun_operations(plugin, request), "\"states\":{\"running\":1,\"undone\":1}");
    EXPECT(bulk_rerun_call(plugin, KEYED("k")), "\"run_id\":\"n3\"");
    answer = bulk_rerun_operations(plugin, "{}");
    CHECK(count(answer, "\"operation_id\":") == 2 && count(answer, "\"undone_at\":\"2") == 1);
    CHECK(strstr(answer, "\"idempotency_key\":\"k\"") < strstr(answer, "\"undone_at\":\"2")); /* the newest first */
    bulk_rerun_string_free(answer);
    EXPECT(bulk_rerun_operations(plugin, "{\"run_id\": \"b1\", \"limit\": 1}"), "{\"operations\":[{\"operation_id\":\"");
    bulk_rerun_close(plugin);

    bulk_rerun_host without = table(&host);
    without.undo = NULL;
    plugin = bulk_rerun_attach(&without, NULL, NULL);
    EXPECT(bulk_rerun_undo(plugin, request), "its callbacks no `undo`");
    bulk_rerun_close(plugin);
}

static int32_t finds_nothing_to_say(void *context, const char *query_json, bulk_rerun_reply *reply) {
    (void)context, (void)query_json, (void)reply;
    return 0;
}

static void one_without_the_other(void) {
    static Host host;
    char *error = NULL;
    bulk_rerun_host half = table(&host);
    half.record_operation = NULL;
    CHECK(bulk_rerun_attach(&half, NULL, &error) == NULL);
    EXPECT(error, "host.record_operation is NULL, and host.find_operation is not");
    half = table(&host);
    half.find_operation = NULL;
    CHECK(bulk_rerun_attach(&half, NULL, &error) == NULL);
    EXPECT(error, "host.find_operation is NULL, and host.record_operation is not");

    half = table(&host);
    half.find_operation = finds_nothing_to_say;
    bulk_rerun_plugin *plugin = bulk_rerun_attach(&half, NULL, NULL);
    EXPECT(bulk_rerun_call(plugin, KEYED("k")), "`find_operation` callback failed: it returned 0, but never called");
    CHECK(host.spawned == 0);
    bulk_rerun_close(plugin);
}

/* A host that was compiled with the first header, whose struct is shorter. */
static void an_older_host(void) {
    static Host host;
    char *error = NULL;
    bulk_rerun_host older = table(&host);
    older.struct_size = offsetof(bulk_rerun_host, undo);
    bulk_rerun_plugin *plugin = bulk_rerun_attach(&older, NULL, NULL);
    CHECK(plugin != NULL);
    EXPECT(bulk_rerun_call(plugin, FAILED), "\"run_id\":\"n1\"");
    EXPECT(bulk_rerun_call(plugin, KEYED("k")), "`find_operation` and `record_operation`");
    CHECK(host.operations == 0);
    bulk_rerun_close(plugin);
    older.struct_size = offsetof(bulk_rerun_host, record_operation);
    CHECK(bulk_rerun_attach(&older, NULL, &error) == NULL);
    EXPECT(error, "which no version has");
}

int main(void) {
    keys();
    said_wrong();
    undoing();
    one_without_the_other();
    an_older_host();
    return 0;
}
