/* A host and the library write together through one copy of SQLite: storm STORE SECONDS */
#include "host.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 3 };

static const char *store;
static char config[1024];
static time_t end;
static atomic_long written, spawned;

static void *host(void *number) {
    char sql[512];
    for (long i = 0; time(NULL) < end; i++) {
        /* A connection for a few transactions: opening and closing is half of the danger. */
        sqlite3 *own = open_own(store);
        for (int j = 0; j < 5; j++, written++) {
            snprintf(sql, sizeof sql,
                     "BEGIN IMMEDIATE; INSERT INTO runs (id, task_name, status, triggered_by, created_at) "
                     "VALUES ('host-%ld-%ld-%d', 'host', 'ended', 'cron', '2026-04-15T03:00:00Z'); COMMIT",
                     (long)number, i, j);
            execute(own, sql);
        }
        CHECK(sqlite3_close(own) == SQLITE_OK);
        usleep(1000);
    }
    return NULL;
}

static void *plugin(void *unused) {
    (void)unused;
    while (time(NULL) < end) {
        bulk_rerun_plugin *plugin = bulk_rerun_open(config, NULL);
        CHECK(plugin != NULL);
        for (int j = 0; j < 5; j++) {
            char *answer = bulk_rerun_call(plugin, FAILED);
            CHECK(strstr(answer, "triggered") != NULL || strstr(answer, "\"status\":503") != NULL);
            spawned += count(answer, "\"run_id\"");
            bulk_rerun_string_free(answer);
            usleep(1000);
        }
        bulk_rerun_close(plugin);
    }
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    store = argv[1];
    end = time(NULL) + atol(argv[2]);
    snprintf(config, sizeof config, "{\"store\": \"%s\", \"sqlite\": \"shared\", \"busy_timeout_ms\": 20000}", store);
    pthread_t threads[2 * THREADS];
    for (long i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[2 * i], NULL, host, (void *)i) == 0);
        CHECK(pthread_create(&threads[2 * i + 1], NULL, plugin, NULL) == 0);
    }
    for (int i = 0; i < 2 * THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    printf("the host wrote %ld runs, %ld were spawned\n", written, spawned);
    CHECK(written > 0 && spawned > 0);
    CHECK(number(store, "SELECT count(*) FROM runs WHERE id LIKE 'host-%'") == written);
    CHECK(number(store, ALL) == 4 + written + spawned);
    CHECK(is_whole(store));
    return 0;
}
