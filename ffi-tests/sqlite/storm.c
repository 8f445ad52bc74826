/* A host and the library write together through one copy of SQLite, while the host forks all the time to
 * start its jobs: storm STORE SECONDS shared. Or the library alone, which may not take its own connections
 * for another copy's: storm STORE SECONDS alone */
#include "host.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
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

static void *forks(void *unused) {
    (void)unused;
    while (time(NULL) < end) {
        pid_t child = fork();
        if (child == 0) {
            execl("/bin/true", "true", NULL);
            _exit(1);
        }
        int status;
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        usleep(1000);
    }
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 4);
    int shared = strcmp(argv[3], "shared") == 0;
    store = argv[1];
    end = time(NULL) + atol(argv[2]);
    snprintf(config, sizeof config, "{\"store\": \"%s\", \"busy_timeout_ms\": 20000%s}", store,
             shared ? ", \"sqlite\": \"shared\"" : "");
    pthread_t forking, threads[2 * THREADS];
    CHECK(pthread_create(&forking, NULL, forks, NULL) == 0);
    for (long i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[2 * i], NULL, shared ? host : plugin, (void *)i) == 0);
        CHECK(pthread_create(&threads[2 * i + 1], NULL, plugin, NULL) == 0);
    }
    for (int i = 0; i < 2 * THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(pthread_join(forking, NULL) == 0);
    printf("the host wrote %ld runs, %ld were spawned\n", written, spawned);
    CHECK((written > 0) == shared && spawned > 0);
    CHECK(number(store, "SELECT count(*) FROM runs WHERE id LIKE 'host-%'") == written);
    CHECK(number(store, ALL) == 4 + written + spawned);
    CHECK(is_whole(store));
    return 0;
}
