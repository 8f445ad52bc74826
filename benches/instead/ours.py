"""`python3 ours.py LIBRARY STORE task|params` re-runs all that has failed, one new run a task (or a task and its
parameters), by one call of the shared library, and prints how many seconds the call took."""

import ctypes
import json
import sys
import time

library, store, unique_by = sys.argv[1:]
lib = ctypes.CDLL(library)
lib.bulk_rerun_open.restype = ctypes.c_void_p
lib.bulk_rerun_call.restype = ctypes.c_void_p  # not c_char_p: it would be copied
lib.bulk_rerun_call.argtypes = [ctypes.c_void_p, ctypes.c_char_p]

config = json.dumps({"store": store}).encode()
request = json.dumps({"match_all": True, "filter": {"status": "failed"}, "options": {"unique_by": unique_by}}).encode()
plugin = lib.bulk_rerun_open(config, None)
if plugin is None:
    sys.exit(f"error: {store} can't be opened; BULK_RERUN_LOG=error says why")
begun = time.perf_counter()
answer = lib.bulk_rerun_call(plugin, request)
seconds = time.perf_counter() - begun
report = json.loads(ctypes.string_at(answer))
if report.get("skipped") or "triggered" not in report:
    sys.exit(f"error: {report}"[:1000])
print(seconds)
