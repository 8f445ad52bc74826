"""A process with several copies of SQLite: the standard library's, pysqlite3's and apsw's. Each loads the extension, on
the store or elsewhere, each holds a lock on the store, before or after the library opens it: whatever the order, the
library refuses, or waits for the lock as SQLite does; the lock is held until its holder commits, and nothing is lost.
copies.py LIBRARY STORE"""

import ctypes
import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import traceback

import apsw
import pysqlite3

LIBRARY, STORE = sys.argv[1:3]
ALL = b'{"match_all": true, "filter": {"status": "failed"}}'


def connect(copy, path):
    if copy == "apsw":
        return apsw.Connection(path)
    return {"sqlite3": sqlite3, "pysqlite3": pysqlite3}[copy].connect(path, isolation_level=None)


class Library:
    def __init__(self, store, promised):
        self.core = ctypes.CDLL(LIBRARY)
        self.core.bulk_rerun_open.restype = self.core.bulk_rerun_call.restype = ctypes.c_void_p
        self.core.bulk_rerun_open.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)]
        self.core.bulk_rerun_call.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self.core.bulk_rerun_close.argtypes = self.core.bulk_rerun_string_free.argtypes = [ctypes.c_void_p]
        self.config = json.dumps({"store": store, "busy_timeout_ms": 20, "sqlite": "shared" if promised else None}).encode()
        self.plugin = None

    def text(self, pointer):
        value = json.loads(ctypes.string_at(pointer))
        self.core.bulk_rerun_string_free(pointer)
        return value

    def call(self):
        """Opens the store, if that was not done, and re-runs what has failed."""
        if self.plugin is None:
            error = ctypes.c_void_p()
            self.plugin = self.core.bulk_rerun_open(self.config, ctypes.byref(error))
            if self.plugin is None:
                return self.text(error)
        return self.text(self.core.bulk_rerun_call(self.plugin, ALL))

    def close(self):
        if self.plugin is not None:
            self.core.bulk_rerun_close(self.plugin)
            self.plugin = None


def others(store, sql):
    command = ["sqlite3", "-batch", store, sql]
    return subprocess.run(command, capture_output=True, text=True)


def assert_locked(store):
    said = others(store, "BEGIN IMMEDIATE; ROLLBACK")
    assert "locked" in said.stderr, f"the holder has lost its lock: {said}"


def load(copy, where, store):
    """A connection that has loaded the extension, if its copy may."""
    path = store if where in ("store", "store, closed") else os.path.join(os.path.dirname(store), "side.db")
    connection = connect(copy, path)
    connection.execute("PRAGMA user_version").fetchall()
    if where == "attached":
        connection.execute(f"ATTACH '{store}' AS store")
        connection.execute("PRAGMA store.user_version").fetchall()
    connection.enable_load_extension(True)
    try:
        connection.load_extension(LIBRARY)
    except (sqlite3.OperationalError, pysqlite3.OperationalError, apsw.Error) as error:
        assert "already in use with another copy of SQLite" in str(error), error
    if where == "store, closed":
        connection.close()
        connection = None
    return connection


def case(store, loader, where, holder, begin, when):
    promised = when == "after a promise"
    library = Library(store, promised)
    triggered = 0
    if when != "before the library":
        answer = library.call()
        triggered += len(answer["triggered"])
        assert triggered == 2, answer
    loading = None if loader is None else load(loader, where, store)
    holding = connect(holder, store)
    holding.execute(begin)
    holding.execute("UPDATE runs SET exit_code = 5 WHERE id = 'c1'")
    assert_locked(store)

    for _ in range(2):
        answer = library.call()
        if (promised or where == "store" and loader == holder) and answer["status"] == 503:
            continue  # the library uses the holder's copy, and that tells it
        assert answer["status"] == 500 and "store_open_in_process" in answer["detail"], answer
        for route in ["load_extension", "bulk_rerun_attach", "`bulk-rerun`"]:
            assert route in answer["detail"], answer
    assert_locked(store)
    library.close()
    assert_locked(store)
    holding.execute("COMMIT")
    holding.close()
    if loading is not None:
        loading.close()
    seen = others(store, "SELECT count(*) FROM runs; SELECT exit_code FROM runs WHERE id = 'c1'; PRAGMA integrity_check")
    assert seen.stdout == f"{4 + triggered}\n5\nok\n", seen


COPIES = ["sqlite3", "pysqlite3", "apsw"]
WHERE = ["store", "store, closed", "attached", "elsewhere"]
cases = [
    (loader, where, holder, begin, when)
    for (loader, where), holder, begin, when in itertools.product(
        [(None, None), *itertools.product(COPIES, WHERE)],
        COPIES,
        ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"],
        ["before the library", "after the library"],
    )
    # To have the store open through two copies is the host's own doing: nobody can mend that.
    if where not in ("store", "attached") or loader == holder
]
# The system's copy is promised, and no other takes its place then.
cases += [
    (loader, "elsewhere", "sqlite3", "BEGIN IMMEDIATE", "after a promise") for loader in ["pysqlite3", "apsw"]
]

# Each in a process of its own: the library goes with one copy of SQLite for as long as that lives.
failed = 0
for parameters in cases:
    with tempfile.TemporaryDirectory() as folder:
        store = shutil.copy(STORE, folder)
        child = os.fork()
        if child == 0:
            try:
                case(store, *parameters)
                os._exit(0)
            except BaseException:
                print(parameters, traceback.format_exc(), file=sys.stderr, flush=True)
                os._exit(1)
        _, status = os.waitpid(child, 0)
        failed += status != 0
print(f"{len(cases)} cases, {failed} failed")
sys.exit(failed != 0)
