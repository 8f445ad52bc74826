/* What the tests in C share: checks that say where they failed, and a look into the store. */
#ifndef CHECK_H
#define CHECK_H

#include <bulk_rerun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

/* A text of the library's that has these words in it; frees it. */
#define EXPECT(text, words) expect(__FILE__, __LINE__, text, words)

static inline void expect(const char *file, int line, char *text, const char *words) {
    if (text == NULL || strstr(text, words) == NULL) {
        fprintf(stderr, "%s:%d: expected %s in %s\n", file, line, words, text ? text : "NULL");
        exit(1);
    }
    bulk_rerun_string_free(text);
}

/* The number that a query answers, asked in another process: whether a host's own SQLite gets along
 * with the library is a matter of its own. */
static inline long number(const char *store, const char *sql) {
    char command[1024], output[64] = "";
    snprintf(command, sizeof command, "sqlite3 -batch -cmd '.timeout 10000' '%s' \"%s\"", store, sql);
    FILE *pipe = popen(command, "r");
    CHECK(pipe != NULL);
    output[fread(output, 1, sizeof output - 1, pipe)] = '\0';
    CHECK(pclose(pipe) == 0 && output[0] >= '0' && output[0] <= '9');
    return atol(output);
}

/* How often a word is in a text. */
static inline int count(const char *text, const char *word) {
    int found = 0;
    for (; (text = strstr(text, word)) != NULL; text += strlen(word)) {
        found++;
    }
    return found;
}

static inline bulk_rerun_plugin *open_store(const char *store) {
    char config[1024], *error = NULL;
    snprintf(config, sizeof config, "{\"store\": \"%s\"}", store);
    bulk_rerun_plugin *plugin = bulk_rerun_open(config, &error);
    if (plugin == NULL) {
        fprintf(stderr, "%s\n", error);
        exit(1);
    }
    CHECK(error == NULL);
    return plugin;
}

#define ALL "SELECT count(*) FROM runs"
#define SPAWNED "SELECT count(*) FROM runs WHERE status = 'pending'"
#define FAILED "{\"match_all\": true, \"filter\": {\"status\": \"failed\"}}"

#endif
