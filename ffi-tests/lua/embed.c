/* A host in C that uses SQLite itself, links the core, and embeds a Lua that loads the module: all of them on one
 * store, with one copy of the core and one of SQLite in the process. Built by tests/lua/build.sh.
 *
 *     embed STORE
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../include/bulk_rerun.h"
#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"

static const char SCRIPT[] =
    "local host = require('bulk_rerun').open { store = STORE, sqlite = 'shared' }\n"
    "assert(#host:rerun({ match_all = true, filter = { status = 'failed' } }).triggered == 1)\n"
    "host:close()\n";

static void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* How many files with this in their name are mapped into the process. */
static int mapped(const char *name) {
    char line[4096], last[4096] = "";
    int files = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        const char *path = strchr(line, '/');
        if (path && strstr(path, name) && strcmp(path, last) != 0) {
            files++;
            strcpy(last, path);
        }
    }
    fclose(maps);
    return files;
}

static int runs(sqlite3 *store) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(store, "SELECT count(*) FROM runs", -1, &statement, NULL) != SQLITE_OK) {
        fail("sqlite", sqlite3_errmsg(store));
    }
    sqlite3_step(statement);
    int count = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return count;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fail("usage", "embed STORE");
    }
    sqlite3 *store;
    if (sqlite3_open(argv[1], &store) != SQLITE_OK) {
        fail("sqlite", sqlite3_errmsg(store));
    }
    int before = runs(store);

    char config[4096], *error = NULL;
    snprintf(config, sizeof config, "{\"store\": \"%s\", \"sqlite\": \"shared\"}", argv[1]);
    bulk_rerun_plugin *plugin = bulk_rerun_open(config, &error);
    if (!plugin) {
        fail("bulk_rerun_open", error);
    }
    char *answer = bulk_rerun_call(plugin, "{\"match_all\": true, \"filter\": {\"status\": \"failed\"}}");
    if (!strstr(answer, "\"run_id\"")) {
        fail("bulk_rerun_call", answer);
    }
    bulk_rerun_string_free(answer);

    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    lua_pushstring(L, argv[1]);
    lua_setglobal(L, "STORE");
    if (luaL_dostring(L, SCRIPT)) {
        fail("lua", luaL_tolstring(L, -1, NULL));
    }
    if (runs(store) != before + 2) {
        fail("the store", "expected a run that C started, and one that Lua started");
    }
    printf("core: %d, sqlite: %d\n", mapped("libbulk_rerun"), mapped("libsqlite3"));
    lua_close(L);
    bulk_rerun_close(plugin);
    sqlite3_close(store);
    return 0;
}
