/* An SQLite that is too old refuses the extension, and goes on: too_old LIBRARY */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    sqlite3 *own;
    char *message = NULL;
    if (argc != 2 || sqlite3_open(":memory:", &own) != SQLITE_OK) {
        return 2;
    }
    sqlite3_enable_load_extension(own, 1);
    int code = sqlite3_load_extension(own, argv[1], NULL, &message);
    printf("SQLite %s: %d: %s\n", sqlite3_libversion(), code, message ? message : "");
    if (code != SQLITE_ERROR || message == NULL || strstr(message, "too old for libbulk_rerun") == NULL) {
        return 1;
    }
    sqlite3_free(message);
    return sqlite3_exec(own, "CREATE TABLE t (x); INSERT INTO t VALUES (1)", NULL, NULL, NULL) != SQLITE_OK
        || sqlite3_close(own) != SQLITE_OK;
}
