/* What is called from the wrong thread, too late, or twice answers an error; a thread that is cancelled ends after its call. */
#include "check.h"
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#define RUN "{\"id\": \"b1\", \"task_name\": \"report\", \"end_reason\": \"failed\"}"

static bulk_rerun_sink *sink_now, *sink_of_before;
static bulk_rerun_reply *reply_now, *reply_of_before;
static int in_threads, swapped;
static bulk_rerun_plugin *plugin;

static void *emit_elsewhere(void *unused) {
    for (int i = 0; i < 1000; i++) {
        CHECK(bulk_rerun_emit(sink_now, RUN) == -1);
    }
    return unused;
}

static void *reply_elsewhere(void *unused) {
    CHECK(bulk_rerun_reply_set(reply_now, "{\"run_id\": \"n1\"}") == -1);
    return unused;
}

static void in_eight_threads(void *(*work)(void *)) {
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
    }
}

static int32_t runs(void *context, const char *selector_json, bulk_rerun_sink *sink) {
    (void)context, (void)selector_json;
    if (sink_of_before != NULL) {
        CHECK(sink_of_before != sink && bulk_rerun_emit(sink_of_before, RUN) == -1);
    }
    if (swapped) {
        CHECK(bulk_rerun_reply_set((bulk_rerun_reply *)sink, "{\"run_id\": \"n1\"}") == -1);
    }
    sink_now = sink_of_before = sink;
    if (in_threads == 1) {
        in_eight_threads(emit_elsewhere);
    }
    return bulk_rerun_emit(sink, RUN);
}

static int32_t spawn(void *context, const char *source_run_json, bulk_rerun_reply *reply) {
    (void)context, (void)source_run_json;
    if (reply_of_before != NULL) {
        CHECK(bulk_rerun_reply_set(reply_of_before, "{\"run_id\": \"n1\"}") == -1);
    }
    reply_now = reply_of_before = reply;
    if (in_threads == 2) {
        in_eight_threads(reply_elsewhere);
    }
    return bulk_rerun_reply_set(reply, "{\"run_id\": \"n1\"}");
}

/* The predicate is asked from within bulk_rerun_emit. */
static int32_t emit_once_more(void *context, const char *run_json) {
    (void)context, (void)run_json;
    CHECK(bulk_rerun_emit(sink_now, RUN) == -1);
    return 1;
}

static void callbacks(void) {
    bulk_rerun_host host;
    memset(&host, 0, sizeof host);
    host.struct_size = sizeof host;
    host.abi_version = BULK_RERUN_ABI_VERSION;
    host.runs = runs;
    host.spawn = spawn;
    bulk_rerun_plugin *attached = bulk_rerun_attach(&host, NULL, NULL);
    EXPECT(bulk_rerun_call(attached, FAILED), "\"run_id\":\"n1\"");
    CHECK(bulk_rerun_emit(sink_of_before, RUN) == -1);
    CHECK(bulk_rerun_reply_set(reply_of_before, "{\"run_id\": \"n1\"}") == -1);
    EXPECT(bulk_rerun_call(attached, FAILED), "\"run_id\":\"n1\"");

    in_threads = 1;
    EXPECT(bulk_rerun_call(attached, FAILED), "the host's `runs` callback failed: it answered from another thread");
    in_threads = 2;
    EXPECT(bulk_rerun_call(attached, FAILED), "the host's `spawn` callback failed: it answered from another thread");
    in_threads = 0;
    EXPECT(bulk_rerun_call_where(attached, FAILED, emit_once_more, NULL), "from within the predicate");
    swapped = 1;
    EXPECT(bulk_rerun_call(attached, FAILED), "\"run_id\":\"n1\"");
    bulk_rerun_close(attached);
}

/* Seven threads read the cursor that an eighth one closes. */
static bulk_rerun_cursor *cursor;

static void *read_on(void *unused) {
    char *run, *error = NULL;
    do {
        run = bulk_rerun_cursor_next(cursor, &error);
        bulk_rerun_string_free(run);
    } while (run != NULL);
    if (error != NULL) {
        EXPECT(error, "the cursor is closed");
    }
    return unused;
}

static void *close_it(void *unused) {
    bulk_rerun_cursor_close(cursor);
    return unused;
}

static void cursors(void) {
    for (int turn = 0; turn < 50; turn++) {
        pthread_t threads[8];
        cursor = bulk_rerun_select(plugin, "{\"match_all\": true}", NULL);
        CHECK(cursor != NULL);
        for (int i = 0; i < 8; i++) {
            CHECK(pthread_create(&threads[i], NULL, i == turn % 8 ? close_it : read_on, NULL) == 0);
        }
        for (int i = 0; i < 8; i++) {
            pthread_join(threads[i], NULL);
        }
        CHECK(bulk_rerun_cursor_next(cursor, NULL) == NULL);
        bulk_rerun_cursor_close(cursor); /* once more: it is closed already */
    }
}

/* A thread that is cancelled in the middle of a callback ends when its call is over. */
static sem_t in_callback, is_cancelled;
static char *answer_of_the_cancelled;

static int32_t until_cancelled(void *context, const char *run_json) {
    (void)context, (void)run_json;
    sem_post(&in_callback);
    sem_wait(&is_cancelled);
    usleep(1000); /* where it would end, were it not in a call */
    pthread_testcancel();
    return 1;
}

static void *call_and_go_on(void *unused) {
    int state;
    answer_of_the_cancelled = bulk_rerun_call_where(plugin, "{\"ids\": [\"b1\"]}", until_cancelled, NULL);
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state) == 0 && state == PTHREAD_CANCEL_ENABLE);
    pthread_testcancel();
    CHECK(!"the thread is cancelled");
    return unused;
}

static void cancelled_threads(const char *store) {
    pthread_t thread;
    void *end;
    int state;
    long before = number(store, ALL);
    CHECK(sem_init(&in_callback, 0, 0) == 0 && sem_init(&is_cancelled, 0, 0) == 0);
    CHECK(pthread_create(&thread, NULL, call_and_go_on, NULL) == 0);
    sem_wait(&in_callback);
    CHECK(pthread_cancel(thread) == 0);
    sem_post(&is_cancelled);
    CHECK(pthread_join(thread, &end) == 0 && end == PTHREAD_CANCELED);
    EXPECT(answer_of_the_cancelled, "\"run_id\"");
    CHECK(number(store, ALL) == before + 1);
    EXPECT(bulk_rerun_call(plugin, "{\"ids\": [\"b1\"]}"), "\"run_id\"");

    /* Who can't be cancelled stays so. */
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state) == 0 && state == PTHREAD_CANCEL_ENABLE);
    EXPECT(bulk_rerun_call(plugin, "{\"ids\": [\"b1\"]}"), "\"run_id\"");
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state) == 0 && state == PTHREAD_CANCEL_DISABLE);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    callbacks();
    plugin = open_store(argv[1]);
    cursors();
    cancelled_threads(argv[1]);
    bulk_rerun_close(plugin);
    return 0;
}
