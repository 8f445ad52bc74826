"""A process with two copies of SQLite: Python's own module has the system's, apsw brings one.
private_copy.py LIBRARY STORE"""

import ctypes
import json
import sqlite3
import subprocess
import sys

import apsw

LIBRARY, STORE = sys.argv[1:3]
FAILED = '{"match_all": true, "filter": {"status": "failed"}}'

library = ctypes.CDLL(LIBRARY)
library.bulk_rerun_open.restype = ctypes.c_void_p
library.bulk_rerun_open.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)]
library.bulk_rerun_call.restype = ctypes.c_void_p
library.bulk_rerun_call.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
library.bulk_rerun_close.argtypes = [ctypes.c_void_p]
library.bulk_rerun_string_free.argtypes = [ctypes.c_void_p]


def text(pointer):
    value = json.loads(ctypes.string_at(pointer))
    library.bulk_rerun_string_free(pointer)
    return value


def open_store():
    error = ctypes.c_void_p()
    config = json.dumps({"store": STORE, "busy_timeout_ms": 50})
    plugin = library.bulk_rerun_open(config.encode(), ctypes.byref(error))
    return plugin or text(error)


def others_are_locked_out():
    command = ["sqlite3", "-batch", STORE, "BEGIN IMMEDIATE; ROLLBACK"]
    return subprocess.run(command, capture_output=True).returncode != 0


def assert_refused():
    error = open_store()
    assert error["status"] == 500, error
    for words in ["store_open_in_process", "load_extension", "bulk_rerun_attach", "`bulk-rerun`"]:
        assert words in error["detail"], error


assert apsw.sqlite_lib_version() != sqlite3.sqlite_version, "apsw has a copy of its own"

own = apsw.Connection(STORE)
own.execute("BEGIN EXCLUSIVE")
assert_refused()
assert others_are_locked_out()
own.execute("COMMIT")
assert_refused()

# That apsw's copy loads it somewhere says nothing of who else has the store open.
own.close()
side = apsw.Connection(":memory:")
side.enable_load_extension(True)
side.load_extension(LIBRARY)
standard = sqlite3.connect(STORE, isolation_level=None)
standard.execute("BEGIN IMMEDIATE")
assert_refused()
assert others_are_locked_out()
standard.execute("COMMIT")
standard.close()
own = apsw.Connection(STORE)

# As the refusal says.
own.enable_load_extension(True)
own.load_extension(LIBRARY)
answer = json.loads(own.execute("SELECT bulk_rerun(?)", [FAILED]).fetchone()[0])
assert len(answer["triggered"]) == 2, answer
own.execute("BEGIN")
own.execute("SELECT bulk_rerun(?)", [FAILED]).fetchall()
own.execute("ROLLBACK")

# Now apsw's copy is the one in use, by its own word, and a plugin may open the store beside it.
plugin = open_store()
assert isinstance(plugin, int), plugin
own.execute("BEGIN IMMEDIATE")
answer = text(library.bulk_rerun_call(plugin, FAILED.encode()))
assert answer["status"] == 503, answer
assert others_are_locked_out()
library.bulk_rerun_close(plugin)
assert others_are_locked_out()
own.execute("COMMIT")
assert not others_are_locked_out()

# Another copy can't have it as well, and goes on without.
other = sqlite3.connect(":memory:")
other.enable_load_extension(True)
try:
    other.load_extension(LIBRARY)
    raise AssertionError("one library can't use two copies of SQLite")
except sqlite3.OperationalError as error:
    assert "already in use with another copy of SQLite" in str(error), error
assert other.execute("SELECT 1").fetchone() == (1,)

own.close()
count = subprocess.run(["sqlite3", STORE, "SELECT count(*) FROM runs; PRAGMA integrity_check"], capture_output=True, text=True)
assert count.stdout == "6\nok\n", count
