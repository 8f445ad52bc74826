"""Re-runs each task that has failed.

    BULK_RERUN_STORE=runs.db python3 rerun.py
"""

import ctypes
import json

lib = ctypes.CDLL("libbulk_rerun.so.1")
lib.bulk_rerun.restype = ctypes.c_void_p  # not c_char_p: the text must be freed, so its address is needed
lib.bulk_rerun_string_free.argtypes = [ctypes.c_void_p]


def bulk_rerun(request):
    address = lib.bulk_rerun(json.dumps(request).encode())
    try:
        return json.loads(ctypes.string_at(address))
    finally:
        lib.bulk_rerun_string_free(address)


answer = bulk_rerun({"match_all": True, "filter": {"status": "failed"}})
if "status" in answer:
    raise SystemExit(answer["detail"])
for run in answer["triggered"]:
    print(f"{run['task_name']}: {run['run_id']} (again of {run['rerun_of']})")
