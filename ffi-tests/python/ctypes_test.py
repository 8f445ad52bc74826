"""The C ABI from Python's ctypes: every function, and a host in Python."""

import ctypes
import gc
import json
import os
import sys
import threading
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int32, c_size_t, c_uint32, c_void_p

lib = ctypes.CDLL(os.environ["BULK_RERUN_LIB"])
RUNS = CFUNCTYPE(c_int32, c_void_p, c_char_p, c_void_p)
SPAWN = CFUNCTYPE(c_int32, c_void_p, c_char_p, c_void_p)
STEP = CFUNCTYPE(c_int32, c_void_p)
KEEP = CFUNCTYPE(c_int32, c_void_p, c_char_p)
LOG = CFUNCTYPE(None, c_void_p, c_int32, c_char_p)


class Host(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("abi_version", c_uint32),
        ("flags", c_uint32),
        ("context", c_void_p),
        ("runs", RUNS),
        ("spawn", SPAWN),
        ("begin", STEP),
        ("commit", STEP),
        ("rollback", STEP),
    ]


def declare(name, result, *arguments):
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments
    return function


version = declare("bulk_rerun_version", c_char_p)
abi_version = declare("bulk_rerun_abi_version", c_uint32)
string_free = declare("bulk_rerun_string_free", None, c_void_p)
configure = declare("bulk_rerun_configure", c_int32, c_char_p, POINTER(c_void_p))
open_ = declare("bulk_rerun_open", c_void_p, c_char_p, POINTER(c_void_p))
attach = declare("bulk_rerun_attach", c_void_p, POINTER(Host), c_char_p, POINTER(c_void_p))
close = declare("bulk_rerun_close", None, c_void_p)
select = declare("bulk_rerun_select", c_void_p, c_void_p, c_char_p, POINTER(c_void_p))
cursor_next = declare("bulk_rerun_cursor_next", c_void_p, c_void_p, POINTER(c_void_p))
cursor_close = declare("bulk_rerun_cursor_close", None, c_void_p)
is_error = declare("bulk_rerun_is_error", c_int32, c_char_p)
cancel_new = declare("bulk_rerun_cancel_new", c_void_p)
cancel_now = declare("bulk_rerun_cancel_now", None, c_void_p)
cancel_free = declare("bulk_rerun_cancel_free", None, c_void_p)
call_unless = declare("bulk_rerun_call_unless", c_void_p, c_void_p, c_char_p, c_void_p)
operations = declare("bulk_rerun_operations", c_void_p, c_void_p, c_char_p)
undo = declare("bulk_rerun_undo", c_void_p, c_void_p, c_char_p)
set_log = declare("bulk_rerun_set_log", None, LOG, c_void_p)
emit = declare("bulk_rerun_emit", c_int32, c_void_p, c_char_p)
reply_set = declare("bulk_rerun_reply_set", c_int32, c_void_p, c_char_p)
# A text that is ours to free comes back as a plain address: as c_char_p ctypes would copy it and lose it.
default_call = declare("bulk_rerun", c_void_p, c_char_p)
plugin_call = declare("bulk_rerun_call", c_void_p, c_void_p, c_char_p)
plugin_call_where = declare("bulk_rerun_call_where", c_void_p, c_void_p, c_char_p, KEEP, c_void_p)


def take(address):
    """The JSON of a text that is ours, which is freed."""
    text = ctypes.string_at(address)
    string_free(address)
    return json.loads(text)


def call(plugin, request):
    return take(plugin_call(plugin, json.dumps(request).encode()))


def catching(keep):
    """A predicate that tells the library when it raises. ctypes would print that, and return whatever is in memory."""

    @KEEP
    def answer(_, run_json):
        try:
            return 1 if keep(json.loads(run_json)) else 0
        except Exception as error:
            raised.append(error)
            return -1

    raised = []
    return answer, raised


def predicates_that_raise(plugin, failed):
    keep, raised = catching(lambda run: run["no such field"])
    answer = take(plugin_call_where(plugin, json.dumps(failed).encode(), keep, None))
    assert answer["status"] == 500 and "returned -1 at run `a1`" in answer["detail"], answer
    assert isinstance(raised[0], KeyError)

    # Even without that nothing is spawned: garbage is not 1.
    unraisable, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        raises = KEEP(lambda *_: 1 // 0)
        for _ in range(20):
            answer = take(plugin_call_where(plugin, json.dumps(failed).encode(), raises, None))
            assert answer.get("status") == 500 or answer == {"triggered": []}, answer
    finally:
        sys.unraisablehook = unraisable


def cancelled(plugin, failed):
    request = json.dumps(failed).encode()
    cancel = cancel_new()
    assert len(take(call_unless(plugin, request, cancel))["triggered"]) == 2
    stop = threading.Thread(target=cancel_now, args=[cancel])
    stop.start()
    stop.join()
    answer = call_unless(plugin, request, cancel)
    assert is_error(ctypes.string_at(answer)) == 1 and "was cancelled" in take(answer)["detail"]
    cancel_free(cancel)


def taken_back(store):
    plugin = open_(json.dumps({"store": store, "ledger": True}).encode(), None)
    answer = call(plugin, {"ids": ["a1", "b1"], "options": {"reason": "the disk was full"}})
    one = json.dumps({"operation_id": answer["operation_id"]}).encode()
    page = take(operations(plugin, b'{"limit": 1}'))
    assert page["operations"][0]["reason"] == "the disk was full", page
    assert take(operations(plugin, one))["states"] == {"pending": 2}
    undone = take(undo(plugin, one))
    assert [run["run_id"] for run in undone["undone"]] == [run["run_id"] for run in answer["triggered"]], undone
    assert take(operations(plugin, one))["states"] == {"undone": 2}
    assert take(undo(plugin, one)) == {"undone": [], "kept": undone["kept"]}
    close(plugin)


def over_a_store(store):
    error = c_void_p()
    assert open_(json.dumps({"store": "/nowhere/runs.db"}).encode(), byref(error)) is None
    assert take(error.value)["status"] == 500
    plugin = open_(json.dumps({"store": store}).encode(), byref(error))
    assert plugin and not error.value
    failed = {"match_all": True, "filter": {"status": "failed"}}
    seen = []

    @KEEP
    def keep(_, run_json):
        run = json.loads(run_json)
        seen.append(run["id"])
        return run["task_name"] == "report"

    answer = take(plugin_call_where(plugin, json.dumps(failed).encode(), keep, None))
    assert [run["task_name"] for run in answer["triggered"]] == ["report"], answer
    assert seen == ["a1", "a2", "b1"]

    answers = []
    threads = [threading.Thread(target=lambda: answers.append(call(plugin, failed))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    new = {run["run_id"] for answer in answers for run in answer["triggered"]}
    assert len(new) == 16, answers

    predicates_that_raise(plugin, failed)
    cancelled(plugin, failed)
    said = []
    log = LOG(lambda _, level, message: said.append((level, message)))
    set_log(log, None)
    assert call(plugin, {"ids": []})["status"] == 400 and said == []
    set_log(LOG(), None)

    cursor = select(plugin, json.dumps(failed).encode(), byref(error))
    runs = []
    while address := cursor_next(cursor, byref(error)):
        runs.append(take(address))
    assert not error.value
    cursor_close(cursor)
    assert [run["id"] for run in runs] == ["a1", "a2", "b1"] and runs[1]["params"] == '{ "n": "ł" }'
    close(plugin)

    assert configure(json.dumps({"store": store}).encode(), None) == 0
    assert take(default_call(b'{"ids": ["nobody"]}'))["skipped"][0]["reason"] == "not_found"
    assert configure(None, None) == 0
    assert take(default_call(None))["status"] == 500


def over_callbacks():
    runs = [
        {"id": "a1", "task_name": "backup", "end_reason": "failed", "params": '{"n":  1}'},
        {"id": "b1", "task_name": "report", "end_reason": "failed"},
    ]
    before = []

    @RUNS
    def hand_over(_, selector_json, sink):
        json.loads(selector_json)
        gc.collect()
        return next((status for run in list(runs) if (status := emit(sink, json.dumps(run).encode()))), 0)

    @SPAWN
    def start(_, source_run_json, reply):
        source = json.loads(source_run_json)
        if source["task_name"] == "report":
            reply_set(reply, b'{"error": "out of paper"}')
            return 3
        new = {**source, "id": f"n{len(runs)}", "phase": "pending"}
        runs.append(new)
        return reply_set(reply, json.dumps({"run_id": new["id"]}).encode())

    @STEP
    def begin(_):
        before[:] = runs
        return 0

    @STEP
    def commit(_):
        return 0

    @STEP
    def rollback(_):
        runs[:] = before
        return 0

    host = Host(ctypes.sizeof(Host), 1, 0, None, hand_over, start, begin, commit, rollback)
    plugin = attach(byref(host), None, None)
    answer = call(plugin, {"ids": ["a1"]})
    assert answer["triggered"] == [{"task_name": "backup", "run_id": "n2", "rerun_of": "a1"}], answer
    assert runs[2]["params"] == '{"n":  1}'
    answer = call(plugin, {"ids": ["a1", "b1"]})
    assert answer["status"] == 500 and "callback failed: out of paper" in answer["detail"], answer
    assert len(runs) == 3, "rolled back"
    close(plugin)


assert abi_version() == 1 and version()
over_a_store(sys.argv[1])
over_a_store(sys.argv[2])
taken_back(sys.argv[1])
over_callbacks()
