/*
 * A host that keeps its runs in memory, as a door of the conformance suite:
 *
 *     attached_door RUNS transactions|plain < request > answer
 *
 * RUNS has one run a line. It is read at the start, and written anew at the end. If there is a RUNS.operations,
 * it is the ledger, and has one operation a line.
 */
#define _GNU_SOURCE
#include <bulk_rerun.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The lines of a file: each has an object's JSON. */
typedef struct {
    char **json;
    size_t count, count_at_begin;
} Lines;

typedef struct {
    Lines runs, operations;
} Host;

static void add(Lines *lines, char *json) {
    lines->json = realloc(lines->json, (lines->count + 1) * sizeof *lines->json);
    if (lines->json == NULL || json == NULL) {
        abort();
    }
    lines->json[lines->count++] = json;
}

/* Hands over everything: the plugin must filter. */
static int32_t runs(void *context, const char *selector_json, bulk_rerun_sink *sink) {
    Host *host = context;
    cJSON *selector = cJSON_Parse(selector_json);
    int32_t status = selector == NULL;
    cJSON_Delete(selector);
    for (size_t i = 0; status == 0 && i < host->runs.count; i++) {
        status = bulk_rerun_emit(sink, host->runs.json[i]);
    }
    return status;
}

static int32_t spawn(void *context, const char *source_run_json, bulk_rerun_reply *reply) {
    Host *host = context;
    char id[32], now[32], *text = NULL;
    time_t seconds = time(NULL);
    int32_t status = 1;
    cJSON *source = cJSON_Parse(source_run_json), *run = cJSON_CreateObject();
    snprintf(id, sizeof id, "new-%zu", host->runs.count);
    cJSON_AddStringToObject(run, "id", id);
    cJSON_AddItemToObject(run, "task_name", cJSON_DetachItemFromObjectCaseSensitive(source, "task_name"));
    cJSON_AddItemToObject(run, "params", cJSON_DetachItemFromObjectCaseSensitive(source, "params"));
    cJSON_AddStringToObject(run, "phase", "pending");
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", gmtime(&seconds));
    cJSON_AddStringToObject(run, "created_at", now);
    add(&host->runs, cJSON_PrintUnformatted(run));
    cJSON_Delete(run);
    cJSON_Delete(source);
    if (asprintf(&text, "{\"run_id\": \"%s\"}", id) > 0) {
        status = bulk_rerun_reply_set(reply, text);
        free(text);
    }
    return status;
}

static int32_t begin(void *context) {
    Host *host = context;
    host->runs.count_at_begin = host->runs.count;
    host->operations.count_at_begin = host->operations.count;
    return 0;
}

static int32_t commit(void *context) {
    (void)context;
    return 0;
}

static void shorten(Lines *lines) {
    while (lines->count > lines->count_at_begin) {
        free(lines->json[--lines->count]);
    }
}

static int32_t rollback(void *context) {
    Host *host = context;
    shorten(&host->runs);
    shorten(&host->operations);
    return 0;
}

static int32_t record_operation(void *context, const char *operation_json, bulk_rerun_reply *reply) {
    Host *host = context;
    (void)reply;
    add(&host->operations, strdup(operation_json)); /* nothing is undone here, so none comes twice */
    return 0;
}

/* Looks for the operation of which the query's one field has the query's value. */
static int32_t find_operation(void *context, const char *query_json, bulk_rerun_reply *reply) {
    Host *host = context;
    const char *found = "{}";
    cJSON *query = cJSON_Parse(query_json);
    for (size_t i = 0; i < host->operations.count; i++) {
        cJSON *operation = cJSON_Parse(host->operations.json[i]);
        if (cJSON_Compare(cJSON_GetObjectItemCaseSensitive(operation, query->child->string), query->child, 1)) {
            found = host->operations.json[i];
        }
        cJSON_Delete(operation);
    }
    cJSON_Delete(query);
    return bulk_rerun_reply_set(reply, found);
}

static void read_lines(Lines *lines, FILE *file) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    while ((length = getline(&line, &capacity, file)) > 0) {
        line[length - 1] = '\0';
        add(lines, strdup(line));
    }
    free(line);
}

static int write_lines(Lines *lines, FILE *file) {
    rewind(file);
    for (size_t i = 0; i < lines->count; i++) {
        fprintf(file, "%s\n", lines->json[i]);
        free(lines->json[i]);
    }
    free(lines->json);
    return fclose(file) != 0;
}

int main(int argc, char **argv) {
    Host host = {0};
    char *request = NULL, *error = NULL, ledger[4096];
    size_t capacity = 0;
    if (argc != 3) {
        return 2;
    }
    FILE *file = fopen(argv[1], "r+");
    if (file == NULL) {
        perror(argv[1]);
        return 1;
    }
    read_lines(&host.runs, file);
    snprintf(ledger, sizeof ledger, "%s.operations", argv[1]);
    FILE *operations = fopen(ledger, "r+");
    if (operations != NULL) {
        read_lines(&host.operations, operations);
    }
    if (getdelim(&request, &capacity, '\0', stdin) < 0) {
        free(request);
        request = NULL; /* an empty request: NULL is one too */
    }

    bulk_rerun_host table;
    memset(&table, 0, sizeof table);
    table.struct_size = sizeof table;
    table.abi_version = BULK_RERUN_ABI_VERSION;
    table.context = &host;
    table.runs = runs;
    table.spawn = spawn;
    if (strcmp(argv[2], "transactions") == 0) {
        table.begin = begin;
        table.commit = commit;
        table.rollback = rollback;
    }
    if (operations != NULL) {
        table.find_operation = find_operation;
        table.record_operation = record_operation;
    }
    bulk_rerun_plugin *plugin = bulk_rerun_attach(&table, NULL, &error);
    char *answer = plugin != NULL ? bulk_rerun_call(plugin, request) : error;
    puts(answer);
    bulk_rerun_string_free(answer);
    bulk_rerun_close(plugin);

    free(request);
    int failed = operations != NULL && write_lines(&host.operations, operations);
    return write_lines(&host.runs, file) || failed;
}
