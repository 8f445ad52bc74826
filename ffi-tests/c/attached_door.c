/*
 * A host that keeps its runs in memory, as a door of the conformance suite:
 *
 *     attached_door RUNS transactions|plain < request > answer
 *
 * RUNS has one run a line. It is read at the start, and written anew at the end.
 */
#define _GNU_SOURCE
#include <bulk_rerun.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    char **runs; /* each run's JSON */
    size_t count, count_at_begin;
} Host;

static void add(Host *host, char *run) {
    host->runs = realloc(host->runs, (host->count + 1) * sizeof *host->runs);
    if (host->runs == NULL || run == NULL) {
        abort();
    }
    host->runs[host->count++] = run;
}

/* Hands over everything: the plugin must filter. */
static int32_t runs(void *context, const char *selector_json, bulk_rerun_sink *sink) {
    Host *host = context;
    cJSON *selector = cJSON_Parse(selector_json);
    int32_t status = selector == NULL;
    cJSON_Delete(selector);
    for (size_t i = 0; status == 0 && i < host->count; i++) {
        status = bulk_rerun_emit(sink, host->runs[i]);
    }
    return status;
}

static int32_t spawn(void *context, const char *source_run_json, bulk_rerun_reply *reply) {
    Host *host = context;
    char id[32], now[32], *text = NULL;
    time_t seconds = time(NULL);
    int32_t status = 1;
    cJSON *source = cJSON_Parse(source_run_json), *run = cJSON_CreateObject();
    snprintf(id, sizeof id, "new-%zu", host->count);
    cJSON_AddStringToObject(run, "id", id);
    cJSON_AddItemToObject(run, "task_name", cJSON_DetachItemFromObjectCaseSensitive(source, "task_name"));
    cJSON_AddItemToObject(run, "params", cJSON_DetachItemFromObjectCaseSensitive(source, "params"));
    cJSON_AddStringToObject(run, "phase", "pending");
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", gmtime(&seconds));
    cJSON_AddStringToObject(run, "created_at", now);
    add(host, cJSON_PrintUnformatted(run));
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
    host->count_at_begin = host->count;
    return 0;
}

static int32_t commit(void *context) {
    (void)context;
    return 0;
}

static int32_t rollback(void *context) {
    Host *host = context;
    while (host->count > host->count_at_begin) {
        free(host->runs[--host->count]);
    }
    return 0;
}

int main(int argc, char **argv) {
    Host host = {0};
    char *line = NULL, *request = NULL, *error = NULL;
    size_t capacity = 0;
    ssize_t length;
    if (argc != 3) {
        return 2;
    }
    FILE *file = fopen(argv[1], "r+");
    if (file == NULL) {
        perror(argv[1]);
        return 1;
    }
    while ((length = getline(&line, &capacity, file)) > 0) {
        line[length - 1] = '\0';
        add(&host, strdup(line));
    }
    capacity = 0;
    if (getdelim(&request, &capacity, '\0', stdin) < 0) {
        free(request);
        request = NULL; /* an empty request: NULL is one too */
    }

    bulk_rerun_host table = {sizeof table, BULK_RERUN_ABI_VERSION, 0, &host, runs, spawn, NULL, NULL, NULL};
    if (strcmp(argv[2], "transactions") == 0) {
        table.begin = begin;
        table.commit = commit;
        table.rollback = rollback;
    }
    bulk_rerun_plugin *plugin = bulk_rerun_attach(&table, NULL, &error);
    char *answer = plugin != NULL ? bulk_rerun_call(plugin, request) : error;
    puts(answer);
    bulk_rerun_string_free(answer);
    bulk_rerun_close(plugin);

    rewind(file);
    for (size_t i = 0; i < host.count; i++) {
        fprintf(file, "%s\n", host.runs[i]);
        free(host.runs[i]);
    }
    free(host.runs);
    free(line);
    free(request);
    return fclose(file) != 0;
}
