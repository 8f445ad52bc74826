/* The host's log: it has the cause of an error, and none of it once it was taken back. The first store is one
 * whose searches fail. */
#include "check.h"
#include <pthread.h>
#include <semaphore.h>

#define CAUSE "integer overflow"

static bulk_rerun_plugin *plugin, *other;
static pthread_t caller;
static int called, again, slow;
static sem_t at_work, go_on;
static int taken_back;

static void log_it(void *context, int32_t level, const char *message) {
    CHECK(level == BULK_RERUN_LOG_ERROR && strstr(message, CAUSE) != NULL && strcmp(context, "mine") == 0);
    CHECK(pthread_equal(caller, pthread_self()));
    called++;
    if (again) {
        EXPECT(bulk_rerun_call(plugin, FAILED), "\"status\":409"); /* as in any callback */
        EXPECT(bulk_rerun_call(other, FAILED), "\"status\":500");  /* does not call this once more */
    }
}

static void log_slowly(void *context, int32_t level, const char *message) {
    (void)context, (void)level, (void)message;
    CHECK(!__atomic_load_n(&taken_back, __ATOMIC_SEQ_CST));
    sem_post(&at_work);
    sem_wait(&go_on);
    CHECK(!__atomic_load_n(&taken_back, __ATOMIC_SEQ_CST));
    __atomic_fetch_add(&slow, 1, __ATOMIC_SEQ_CST);
}

static void give_up(void *context, int32_t level, const char *message) {
    (void)level, (void)message;
    ++*(int *)context;
    bulk_rerun_set_log(NULL, NULL);
}

static void *call(void *unused) {
    EXPECT(bulk_rerun_call(plugin, FAILED), "\"status\":500");
    return unused;
}

static void *take_back(void *unused) {
    bulk_rerun_set_log(NULL, NULL);
    __atomic_store_n(&taken_back, 1, __ATOMIC_SEQ_CST);
    return unused;
}

int main(int argc, char **argv) {
    static char mine[] = "mine";
    int once = 0;
    CHECK(argc == 3);
    caller = pthread_self();
    plugin = open_store(argv[1]);
    other = open_store(argv[1]);

    call(NULL);
    CHECK(called == 0);
    bulk_rerun_set_log(log_it, mine);
    call(NULL);
    CHECK(called == 1);
    again = 1;
    call(NULL);
    CHECK(called == 2);
    bulk_rerun_set_log(NULL, mine);
    call(NULL);
    CHECK(called == 2);

    /* It takes itself back. */
    bulk_rerun_set_log(give_up, &once);
    call(NULL);
    call(NULL);
    CHECK(once == 1);

    /* It is taken back while four threads are in it: that waits for them. */
    pthread_t callers[4], taker;
    CHECK(sem_init(&at_work, 0, 0) == 0 && sem_init(&go_on, 0, 0) == 0);
    bulk_rerun_set_log(log_slowly, NULL);
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&callers[i], NULL, call, NULL) == 0);
    }
    for (int i = 0; i < 4; i++) {
        sem_wait(&at_work);
    }
    CHECK(pthread_create(&taker, NULL, take_back, NULL) == 0);
    for (int i = 0; i < 4; i++) {
        sem_post(&go_on);
    }
    pthread_join(taker, NULL);
    CHECK(slow == 4);
    for (int i = 0; i < 4; i++) {
        pthread_join(callers[i], NULL);
    }
    call(NULL);
    CHECK(slow == 4);
    bulk_rerun_close(plugin);
    bulk_rerun_close(other);
    return 0;
}
