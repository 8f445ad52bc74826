"""`python3 ours.py LIBRARY STORE task|params` re-runs all that has failed, one new run a task (or a task and its
parameters), by one call of the shared library, and prints how many seconds the call took."""

import ctypes
import json
import subprocess
import sys
import time

library, store, unique_by = sys.argv[1:]
lib = ctypes.CDLL(library)
lib.bulk_rerun_open.restype = ctypes.c_void_p
lib.bulk_rerun_call.restype = ctypes.c_void_p  # not c_char_p: it would be copied
lib.bulk_rerun_close.argtypes = [ctypes.c_void_p]
lib.bulk_rerun_call.argtypes = [ctypes.c_void_p, ctypes.c_char_p]

config = {"store": store}
runwisp = None
if "://" not in store:
    # This process has one copy of SQLite: its connection may stay open, as the others' do.
    config["sqlite"] = "shared"
    # RunWisp has its store open all day, and writes to it. (Who closes a store last writes its log back.)
    runwisp = subprocess.Popen(["sqlite3", store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print("UPDATE runs SET exit_code = exit_code WHERE rowid = 1; SELECT 'open';", file=runwisp.stdin, flush=True)
    assert runwisp.stdout.readline() == "open\n"
plugin = lib.bulk_rerun_open(json.dumps(config).encode(), None)
if plugin is None:
    sys.exit(f"error: {store} can't be opened; BULK_RERUN_LOG=error says why")


def call(selector, **options):
    return lib.bulk_rerun_call(plugin, json.dumps({**selector, "options": options}).encode())


# Connects, as the others have done by then.
call({"ids": ["none"]}, dry_run=True)
begun = time.perf_counter()
answer = call({"match_all": True, "filter": {"status": "failed"}}, unique_by=unique_by)
seconds = time.perf_counter() - begun
report = json.loads(ctypes.string_at(answer))
if report.get("skipped") or "triggered" not in report:
    sys.exit(f"error: {report}"[:1000])
lib.bulk_rerun_close(plugin)
if runwisp:
    runwisp.communicate()
print(seconds)
