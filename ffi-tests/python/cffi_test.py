"""The C ABI from cffi, which reads the header itself."""

import json
import os
import re
import sys

from cffi import FFI

header = open(os.environ["BULK_RERUN_HEADER"]).read()
header = re.sub(r"#ifdef __cplusplus.*?#endif.*?$", "", header, flags=re.S | re.M)
header = re.sub(r"^#(?!define BULK_RERUN_(ABI|LOG)_).*$", "", header, flags=re.M)

ffi = FFI()
ffi.cdef(header)
lib = ffi.dlopen(os.environ["BULK_RERUN_LIB"])


def take(text):
    """The JSON of a text that is ours, which is freed."""
    return json.loads(ffi.string(ffi.gc(text, lib.bulk_rerun_string_free)))


def config(store):
    return json.dumps({"store": store}).encode()


assert lib.bulk_rerun_abi_version() == lib.BULK_RERUN_ABI_VERSION and lib.BULK_RERUN_LOG_ERROR == 1


@ffi.callback("void(void *, int32_t, const char *)")
def log(_, level, message):
    raise AssertionError(ffi.string(message))


lib.bulk_rerun_set_log(log, ffi.NULL)
lib.bulk_rerun_set_log(ffi.NULL, ffi.NULL)
failed = json.dumps({"match_all": True, "filter": {"status": "failed"}}).encode()

for store in sys.argv[1:]:
    error = ffi.new("char **")
    assert lib.bulk_rerun_open(config("/nowhere/runs.db"), error) == ffi.NULL
    assert take(error[0])["status"] == 500
    plugin = ffi.gc(lib.bulk_rerun_open(config(store), error), lib.bulk_rerun_close)
    assert error[0] == ffi.NULL

    # Without `error`, cffi would answer 0 for a predicate that raises, and drop its run in silence.
    @ffi.callback("int32_t(void *, const char *)", error=-1, onerror=lambda *_: None)
    def keep_or_raise(_, run_json):
        return json.loads(ffi.string(run_json))["no such field"]

    answer = take(lib.bulk_rerun_call_where(plugin, failed, keep_or_raise, ffi.NULL))
    assert answer["status"] == 500 and "returned -1" in answer["detail"], answer

    cancel = ffi.gc(lib.bulk_rerun_cancel_new(), lib.bulk_rerun_cancel_free)
    lib.bulk_rerun_cancel_now(cancel)
    answer = lib.bulk_rerun_call_unless(plugin, failed, cancel)
    assert lib.bulk_rerun_is_error(answer) == 1 and "was cancelled" in take(answer)["detail"]

    @ffi.callback("int32_t(void *, const char *)", error=-1)
    def keep(_, run_json):
        return json.loads(ffi.string(run_json))["exit_code"] == 7

    answer = take(lib.bulk_rerun_call_where(plugin, failed, keep, ffi.NULL))
    assert [run["rerun_of"] for run in answer["triggered"]] == ["b1"], answer

    cursor = ffi.gc(lib.bulk_rerun_select(plugin, failed, error), lib.bulk_rerun_cursor_close)
    runs = [take(run) for run in iter(lambda: lib.bulk_rerun_cursor_next(cursor, error), ffi.NULL)]
    assert [run["id"] for run in runs] == ["a1", "a2", "b1"]


@ffi.callback("int32_t(void *, const char *, bulk_rerun_sink *)")
def hand_over(context, _, sink):
    return lib.bulk_rerun_emit(sink, b'{"id": "a1", "task_name": "backup"}')


@ffi.callback("int32_t(void *, const char *, bulk_rerun_reply *)", error=1)
def start(context, source_run_json, reply):
    started = ffi.from_handle(context)
    started.append(json.loads(ffi.string(source_run_json))["id"])
    return lib.bulk_rerun_reply_set(reply, b'{"run_id": "n1"}')


started = []
context = ffi.new_handle(started)
host = ffi.new(
    "bulk_rerun_host *",
    {
        "struct_size": ffi.sizeof("bulk_rerun_host"),
        "abi_version": lib.BULK_RERUN_ABI_VERSION,
        "context": context,
        "runs": hand_over,
        "spawn": start,
    },
)
plugin = lib.bulk_rerun_attach(host, ffi.NULL, ffi.NULL)
assert take(lib.bulk_rerun_call(plugin, b'{"ids": ["a1"]}'))["triggered"][0]["run_id"] == "n1"
assert started == ["a1"]
lib.bulk_rerun_close(plugin)
