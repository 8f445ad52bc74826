// A host in C++98: it keeps its runs in a vector, and lets no exception out of a callback.
#include <bulk_rerun.h>

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

static void check(bool holds, const char *what) {
    if (!holds) {
        std::cerr << "failed: " << what << std::endl;
        std::exit(1);
    }
}

// A text of the library's, freed with its owner.
class Text {
public:
    explicit Text(char *text) : text_(text) {}
    ~Text() { bulk_rerun_string_free(text_); }
    bool has(const char *words) const { return text_ != NULL && std::strstr(text_, words) != NULL; }

private:
    Text(const Text &);
    Text &operator=(const Text &);
    char *text_;
};

struct Host {
    std::vector<std::string> runs, spawned;
    bool out_of_paper;
};

static int32_t hand_over(void *context, const char *, bulk_rerun_sink *sink) {
    const Host &host = *static_cast<Host *>(context);
    for (std::size_t i = 0; i < host.runs.size(); i++) {
        if (int32_t refused = bulk_rerun_emit(sink, host.runs[i].c_str())) {
            return refused;
        }
    }
    return 0;
}

static int32_t start(void *context, const char *source_run_json, bulk_rerun_reply *reply) {
    try {
        Host &host = *static_cast<Host *>(context);
        if (host.out_of_paper) {
            throw std::runtime_error("out of paper");
        }
        host.spawned.push_back(source_run_json);
        return bulk_rerun_reply_set(reply, "{\"run_id\": \"n1\"}");
    } catch (const std::exception &why) {
        const std::string said = std::string("{\"error\": \"") + why.what() + "\"}";
        bulk_rerun_reply_set(reply, said.c_str());
        return 42;
    }
}

static int32_t keep_none(void *, const char *) {
    return 0;
}

// Throws in the midst of the runs that it has kept.
static int32_t keep_and_throw(void *context, const char *) {
    try {
        int &asked = *static_cast<int *>(context);
        if (++asked == 2) {
            throw std::runtime_error("it can't decide");
        }
        return 1;
    } catch (...) {
        return -1;
    }
}

int main(int argc, char **argv) {
    check(argc == 3, "two stores");
    Host host;
    host.runs.push_back("{\"id\": \"a1\", \"task_name\": \"backup\", \"params\": \"{ \\\"n\\\": 1 }\"}");
    host.out_of_paper = false;
    bulk_rerun_host table = bulk_rerun_host();
    table.struct_size = sizeof table;
    table.abi_version = BULK_RERUN_ABI_VERSION;
    table.context = &host;
    table.runs = hand_over;
    table.spawn = start;

    bulk_rerun_plugin *plugin = bulk_rerun_attach(&table, NULL, NULL);
    check(plugin != NULL, "a plugin over callbacks");
    check(Text(bulk_rerun_call(plugin, "{\"ids\": [\"a1\"]}")).has("\"run_id\":\"n1\""), "a run is started");
    check(host.spawned.size() == 1 && host.spawned[0].find("{ \\\"n\\\": 1 }") != std::string::npos, "with its parameters");
    host.out_of_paper = true;
    check(Text(bulk_rerun_call(plugin, "{\"ids\": [\"a1\"]}")).has("callback failed: out of paper"), "what is thrown fails the call, and says why");
    bulk_rerun_close(plugin);

    const std::string config = std::string("{\"store\": \"") + argv[1] + "\"}";
    plugin = bulk_rerun_open(config.c_str(), NULL);
    check(plugin != NULL, "a plugin over a store");
    const char *failed = "{\"match_all\": true, \"filter\": {\"status\": \"failed\"}}";
    check(Text(bulk_rerun_call_where(plugin, failed, keep_none, NULL)).has("{\"triggered\":[]}"), "a predicate drops runs");
    int asked = 0;
    char *undecided = bulk_rerun_call_where(plugin, failed, keep_and_throw, &asked);
    check(bulk_rerun_is_error(undecided) == 1 && asked == 2, "a predicate that throws fails the call");
    check(Text(undecided).has("the predicate returned -1 at run `a2`"), "and is named");
    check(Text(bulk_rerun_call(plugin, failed)).has("\"rerun_of\":\"a2\""), "failed runs are started again");
    bulk_rerun_cancel *cancel = bulk_rerun_cancel_new();
    check(Text(bulk_rerun_call_unless(plugin, failed, cancel)).has("\"rerun_of\":\"a2\""), "and once more");
    bulk_rerun_cancel_now(cancel);
    check(Text(bulk_rerun_call_unless(plugin, failed, cancel)).has("the call was cancelled"), "but no more then");
    bulk_rerun_cancel_free(cancel);
    bulk_rerun_close(plugin);
    return 0;
}
