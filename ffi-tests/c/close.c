/* Closing a plugin waits for the calls that are at work on it. */
#include "check.h"
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

static bulk_rerun_plugin *plugin;
static sem_t at_work, go_on;
static volatile int call_is_over, closed;

static int32_t wait_for_go(void *context, const char *run_json) {
    (void)context, (void)run_json;
    sem_post(&at_work);
    sem_wait(&go_on);
    return 1;
}

static void *call(void *unused) {
    EXPECT(bulk_rerun_call_where(plugin, "{\"ids\": [\"b1\"]}", wait_for_go, NULL), "run_id");
    __atomic_store_n(&call_is_over, 1, __ATOMIC_SEQ_CST);
    return unused;
}

static void *close_it(void *unused) {
    bulk_rerun_close(plugin);
    __atomic_store_n(&closed, 1, __ATOMIC_SEQ_CST);
    return unused;
}

int main(int argc, char **argv) {
    pthread_t callers[2], closer;
    CHECK(argc == 3);
    long before = number(argv[1], ALL);
    sem_init(&at_work, 0, 0);
    sem_init(&go_on, 0, 0);
    plugin = open_store(argv[1]);
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&callers[i], NULL, call, NULL) == 0);
        sem_wait(&at_work);
    }
    CHECK(pthread_create(&closer, NULL, close_it, NULL) == 0);
    usleep(200 * 1000); /* long enough for a close that does not wait to be over */
    CHECK(!__atomic_load_n(&closed, __ATOMIC_SEQ_CST) && !__atomic_load_n(&call_is_over, __ATOMIC_SEQ_CST));
    sem_post(&go_on);
    usleep(100 * 1000);
    CHECK(!__atomic_load_n(&closed, __ATOMIC_SEQ_CST));
    sem_post(&go_on);
    pthread_join(closer, NULL);
    for (int i = 0; i < 2; i++) {
        pthread_join(callers[i], NULL);
    }
    CHECK(closed && number(argv[1], ALL) == before + 2);
    return 0;
}
