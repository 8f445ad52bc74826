/* Eight threads call for so many seconds: one plugin together, and each one of its own now and then. */
#include "check.h"
#include <pthread.h>
#include <time.h>

#define THREADS 8

static const char *store, *other;
static bulk_rerun_plugin *shared;
static time_t end;

typedef struct {
    pthread_t thread;
    long spawned, spawned_in_other;
} Worker;

static int32_t only_report(void *context, const char *run_json) {
    ++*(long *)context;
    return strstr(run_json, "\"task_name\":\"report\"") != NULL;
}

/* How many runs a call has spawned. */
static long spawned(char *answer) {
    if (strncmp(answer, "{\"triggered\":[", 14) != 0) {
        fprintf(stderr, "%s\n", answer);
        exit(1);
    }
    long found = count(answer, "\"run_id\"");
    bulk_rerun_string_free(answer);
    return found;
}

static void *work(void *context) {
    Worker *worker = context;
    for (long turn = 0; time(NULL) < end; turn++) {
        long seen = 0;
        switch (turn % 5) {
        case 0:
            worker->spawned += spawned(bulk_rerun_call(shared, FAILED));
            break;
        case 1:
            EXPECT(bulk_rerun_call(shared, "{\"match_all\": true, \"options\": {\"dry_run\": true}}"), "\"plan\":");
            break;
        case 2:
            worker->spawned += spawned(bulk_rerun_call_where(shared, FAILED, only_report, &seen));
            CHECK(seen == 3);
            break;
        case 3: {
            bulk_rerun_cursor *cursor = bulk_rerun_select(shared, FAILED, NULL);
            char *run;
            while ((run = bulk_rerun_cursor_next(cursor, NULL)) != NULL) {
                bulk_rerun_string_free(run);
                seen++;
            }
            CHECK(seen == 3);
            bulk_rerun_cursor_close(cursor);
            break;
        }
        default: {
            bulk_rerun_plugin *own = open_store(other);
            worker->spawned_in_other += spawned(bulk_rerun_call(own, "{\"ids\": [\"a1\", \"b1\"]}"));
            bulk_rerun_close(own);
        }
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 4);
    store = argv[1], other = argv[2];
    end = time(NULL) + atoi(argv[3]);
    long before = number(store, ALL), before_in_other = number(other, ALL);
    shared = open_store(store);
    Worker workers[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    long total = 0, total_in_other = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        total += workers[i].spawned;
        total_in_other += workers[i].spawned_in_other;
    }
    bulk_rerun_close(shared);

    /* Every run that was answered is there, and no other. */
    CHECK(total > 0 && total_in_other > 0);
    CHECK(number(store, ALL) == before + total && number(other, ALL) == before_in_other + total_in_other);
    CHECK(number(store, "SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1);
    CHECK(number(other, "SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1);
    return 0;
}
