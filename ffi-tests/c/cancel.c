/* A caller that no longer waits: what searches stops, what spawns completes, and nobody else is stopped. */
#include "check.h"
#include <pthread.h>
#include <semaphore.h>

#define THREADS 8
#define TURNS 20
#define CANCELLED "\"status\":503", "the call was cancelled"

static bulk_rerun_plugin *plugin;

/* A host whose callbacks let the test do something in their midst. */
typedef struct {
    bulk_rerun_cancel *cancel;
    int in_runs, in_spawn, emitted, spawned;
} Host;

static int32_t runs(void *context, const char *selector_json, bulk_rerun_sink *sink) {
    Host *host = context;
    (void)selector_json;
    for (int i = 0; i < 1000; i++) {
        char run[96];
        if (i == 10 && host->in_runs) {
            bulk_rerun_cancel_now(host->cancel);
        }
        snprintf(run, sizeof run, "{\"id\": \"%d\", \"task_name\": \"t%d\", \"end_reason\": \"failed\"}", i, i % 2);
        if (bulk_rerun_emit(sink, run) != 0) {
            return -1;
        }
        host->emitted++;
    }
    return 0;
}

static int32_t spawn(void *context, const char *source_run_json, bulk_rerun_reply *reply) {
    Host *host = context;
    char json[64];
    (void)source_run_json;
    if (host->in_spawn) {
        bulk_rerun_cancel_now(host->cancel);
    }
    snprintf(json, sizeof json, "{\"run_id\": \"n%d\"}", ++host->spawned);
    return bulk_rerun_reply_set(reply, json);
}

static void expect_cancelled(char *answer) {
    const char *const words[] = {CANCELLED};
    CHECK(bulk_rerun_is_error(answer) && strstr(answer, words[0]) && strstr(answer, words[1]));
    CHECK(strstr(answer, "nothing was changed") != NULL);
    bulk_rerun_string_free(answer);
}

static void in_callbacks(void) {
    Host host = {0};
    bulk_rerun_host table;
    memset(&table, 0, sizeof table);
    table.struct_size = sizeof table;
    table.abi_version = BULK_RERUN_ABI_VERSION;
    table.context = &host;
    table.runs = runs;
    table.spawn = spawn;
    bulk_rerun_plugin *attached = bulk_rerun_attach(&table, NULL, NULL);

    host.cancel = bulk_rerun_cancel_new();
    host.in_runs = 1;
    expect_cancelled(bulk_rerun_call_unless(attached, FAILED, host.cancel));
    CHECK(host.emitted == 10 && host.spawned == 0); /* no run more is taken */
    bulk_rerun_cancel_free(host.cancel);

    /* A host's own search is told, too, that it may stop; what spawns completes. */
    host.cancel = bulk_rerun_cancel_new();
    host.in_runs = 0, host.in_spawn = 1;
    EXPECT(bulk_rerun_call_unless(attached, FAILED, host.cancel), "\"run_id\":\"n2\"");
    bulk_rerun_cancel_free(host.cancel);
    bulk_rerun_close(attached);
}

static void before_and_after(const char *store) {
    long before = number(store, ALL);
    bulk_rerun_cancel *cancel = bulk_rerun_cancel_new(), *other = bulk_rerun_cancel_new();
    CHECK(cancel != NULL && other != NULL && cancel != other);

    /* One after the other: a call that is over is not stopped, and does not stop the next. */
    EXPECT(bulk_rerun_call_unless(plugin, FAILED, cancel), "\"run_id\"");
    EXPECT(bulk_rerun_call_unless(plugin, FAILED, cancel), "\"run_id\"");
    bulk_rerun_cancel_now(cancel);
    EXPECT(bulk_rerun_call_unless(plugin, FAILED, other), "\"run_id\"");
    EXPECT(bulk_rerun_call(plugin, FAILED), "\"run_id\"");

    /* Who was told before does not begin; a bad request is told all the same. */
    expect_cancelled(bulk_rerun_call_unless(plugin, FAILED, cancel));
    expect_cancelled(bulk_rerun_call_unless(plugin, FAILED, cancel));
    EXPECT(bulk_rerun_call_unless(plugin, "{", cancel), "\"status\":400");
    CHECK(number(store, ALL) == before + 8);

    /* No handle, and what is none any more. */
    EXPECT(bulk_rerun_call_unless(plugin, FAILED, NULL), "\"run_id\"");
    bulk_rerun_cancel_now(NULL);
    bulk_rerun_cancel_free(NULL);
    bulk_rerun_cancel_free(cancel);
    bulk_rerun_cancel_free(cancel);
    bulk_rerun_cancel_now(cancel);
    EXPECT(bulk_rerun_call_unless(plugin, FAILED, cancel), "the cancel is freed already");
    EXPECT(bulk_rerun_call_unless(NULL, FAILED, other), "the plugin is NULL");
    bulk_rerun_cancel_free(other);
}

/* Eight threads, each of which calls, and cancels its neighbour's call, which may be over by then. */
typedef struct {
    pthread_t thread;
    pthread_mutex_t lock;
    bulk_rerun_cancel *cancel;
    long spawned, cancelled;
} Worker;

static Worker workers[THREADS];

static void replace(Worker *worker, bulk_rerun_cancel *cancel) {
    pthread_mutex_lock(&worker->lock);
    bulk_rerun_cancel_free(worker->cancel);
    worker->cancel = cancel;
    pthread_mutex_unlock(&worker->lock);
}

static void *work(void *context) {
    Worker *worker = context, *neighbour = &workers[(worker - workers + 1) % THREADS];
    for (int turn = 0; turn < TURNS; turn++) {
        bulk_rerun_cancel *cancel = bulk_rerun_cancel_new();
        replace(worker, cancel);
        char *answer = bulk_rerun_call_unless(plugin, FAILED, cancel);
        if (bulk_rerun_is_error(answer)) {
            worker->cancelled++;
            expect_cancelled(answer);
        } else {
            worker->spawned += count(answer, "\"run_id\"");
            bulk_rerun_string_free(answer);
        }
        if (turn % 2 == 0) {
            pthread_mutex_lock(&neighbour->lock);
            bulk_rerun_cancel_now(neighbour->cancel);
            pthread_mutex_unlock(&neighbour->lock);
        }
        /* A stranger's call, with nothing to cancel it, always gets through. */
        EXPECT(bulk_rerun_call(plugin, "{\"match_all\": true, \"options\": {\"dry_run\": true}}"), "\"plan\":");
    }
    replace(worker, NULL);
    return NULL;
}

static void each_other(const char *store) {
    long before = number(store, ALL), spawned = 0, cancelled = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_mutex_init(&workers[i].lock, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        spawned += workers[i].spawned;
        cancelled += workers[i].cancelled;
    }
    /* What was answered is there, and what was cancelled has left nothing. */
    CHECK(spawned + 2 * cancelled == 2 * THREADS * TURNS);
    CHECK(number(store, ALL) == before + spawned);
    CHECK(number(store, "SELECT integrity_check = 'ok' FROM pragma_integrity_check") == 1);
}

/* A search without end, which only a cancel ends. */
static sem_t at_work;

static void *stop(void *cancel) {
    sem_wait(&at_work);
    bulk_rerun_cancel_now(cancel);
    return NULL;
}

static int32_t endless(void *context, const char *selector_json, bulk_rerun_sink *sink) {
    (void)context, (void)selector_json;
    sem_post(&at_work);
    while (bulk_rerun_emit(sink, "{\"id\": \"1\", \"task_name\": \"t\"}") == 0) {
    }
    return 0; /* that it stopped is known without its saying so */
}

static void from_another_thread(void) {
    pthread_t thread;
    bulk_rerun_host table;
    memset(&table, 0, sizeof table);
    table.struct_size = sizeof table;
    table.abi_version = BULK_RERUN_ABI_VERSION;
    table.runs = endless;
    table.spawn = spawn;
    bulk_rerun_plugin *attached = bulk_rerun_attach(&table, NULL, NULL);
    bulk_rerun_cancel *cancel = bulk_rerun_cancel_new();
    CHECK(sem_init(&at_work, 0, 0) == 0 && pthread_create(&thread, NULL, stop, cancel) == 0);
    expect_cancelled(bulk_rerun_call_unless(attached, "{\"match_all\": true}", cancel));
    pthread_join(thread, NULL);
    bulk_rerun_cancel_free(cancel);
    bulk_rerun_close(attached);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    in_callbacks();
    from_another_thread();
    plugin = open_store(argv[1]);
    before_and_after(argv[1]);
    bulk_rerun_close(plugin);
    for (int i = 1; i < 3; i++) {
        char config[1024];
        snprintf(config, sizeof config, "{\"store\": \"%s\", \"busy_timeout_ms\": 120000}", argv[i]);
        plugin = bulk_rerun_open(config, NULL);
        CHECK(plugin != NULL);
        memset(workers, 0, sizeof workers);
        each_other(argv[i]);
        bulk_rerun_close(plugin);
    }
    return 0;
}
