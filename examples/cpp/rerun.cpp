// Re-runs each task that has failed.
//
//     c++ rerun.cpp -o rerun $(pkg-config --cflags --libs bulk_rerun)
//     BULK_RERUN_STORE=runs.db ./rerun
#include <bulk_rerun.h>

#include <iostream>
#include <memory>

int main() {
    std::unique_ptr<char, void (*)(char *)> answer(
        bulk_rerun(R"({"match_all": true, "filter": {"status": "failed"}})"), bulk_rerun_string_free);
    const bool failed = bulk_rerun_is_error(answer.get());
    (failed ? std::cerr : std::cout) << answer.get() << '\n';
    return failed;
}
