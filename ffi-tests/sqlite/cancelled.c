/* A thread that is cancelled in the midst of the extension's function ends after it, and what was answered is done:
 * cancelled STORE LIBRARY */
#include "host.h"
#include <pthread.h>

/* Called where the first new run is written; what follows reads and writes files, where a thread would end. */
static void cancel(sqlite3_context *context, int count, sqlite3_value **arguments) {
    (void)count, (void)arguments;
    CHECK(pthread_cancel(pthread_self()) == 0);
    sqlite3_result_null(context);
}

static void *call(void *own) {
    int state;
    CHECK(strstr(ask(own, "SELECT bulk_rerun('" FAILED "')"), "run_id") != NULL);
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state) == 0 && state == PTHREAD_CANCEL_ENABLE);
    pthread_testcancel();
    CHECK(!"the thread is cancelled");
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    pthread_t thread;
    void *end;
    sqlite3 *own = open_own(argv[1]);
    load(own, argv[2]);
    CHECK(sqlite3_create_function(own, "cancel", 0, SQLITE_UTF8, NULL, cancel, NULL, NULL) == SQLITE_OK);
    execute(own, "CREATE TEMP TRIGGER now AFTER INSERT ON main.runs BEGIN SELECT cancel(); END");
    CHECK(pthread_create(&thread, NULL, call, own) == 0);
    CHECK(pthread_join(thread, &end) == 0 && end == PTHREAD_CANCELED);
    CHECK(number(argv[1], ALL) == 6);

    /* And the connection is as good as before. */
    execute(own, "DROP TRIGGER now");
    CHECK(strstr(ask(own, "SELECT bulk_rerun('" ONE "')"), "run_id") != NULL);
    CHECK(sqlite3_close(own) == SQLITE_OK);
    CHECK(number(argv[1], ALL) == 7 && is_whole(argv[1]));
    return 0;
}
