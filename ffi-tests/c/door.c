/* The C ABI as a door of the conformance suite: door STORE PROFILE < request > answer */
#define _GNU_SOURCE
#include <bulk_rerun.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

/* Through void **, as POSIX says: C has no cast from an object's pointer to a function's. */
#define LOAD(function) \
    __typeof__(&function) load_##function; \
    *(void **)&load_##function = dlsym(library, #function)

int main(int argc, char **argv) {
    void *library = dlopen("libbulk_rerun.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL || argc != 3) {
        fprintf(stderr, "%s\n", library ? "usage: door STORE PROFILE" : dlerror());
        return 2;
    }
    LOAD(bulk_rerun_open);
    LOAD(bulk_rerun_call);
    LOAD(bulk_rerun_close);
    LOAD(bulk_rerun_string_free);

    char *request = NULL, *config = NULL, *error = NULL;
    size_t capacity = 0;
    if (getdelim(&request, &capacity, '\0', stdin) < 0) {
        free(request);
        request = NULL; /* an empty request: NULL is one too */
    }
    if (asprintf(&config, "{\"store\": \"%s\", \"profile\": \"%s\"}", argv[1], argv[2]) < 0) {
        return 2;
    }
    bulk_rerun_plugin *plugin = load_bulk_rerun_open(config, &error);
    char *answer = plugin ? load_bulk_rerun_call(plugin, request) : error;
    puts(answer);
    load_bulk_rerun_string_free(answer);
    load_bulk_rerun_close(plugin);
    free(request);
    free(config);
    return 0;
}
