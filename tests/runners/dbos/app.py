"""An application with DBOS workflows. `python app.py work` runs what is enqueued; `python app.py start NAME ARGUMENT` starts
a workflow without a queue besides; `python app.py do '[["METHOD", [...], {...}], ...]'` calls methods of DBOS's client, one
after the other, and prints what they answer. The id of each workflow that succeeds goes to the file NOTES."""

import json
import os
import signal
import sqlite3
import sys
import threading

# With an SQLite older than that, DBOS can't write the time.
if os.environ["STORE"].startswith("sqlite") and sqlite3.sqlite_version_info < (3, 42):
    import pysqlite3

    sys.modules["sqlite3"] = pysqlite3
    sys.modules["sqlite3.dbapi2"] = pysqlite3.dbapi2

from dbos import DBOS, DBOSClient

STORE = os.environ["STORE"].replace("postgres://", "postgresql://")
SCHEMA = os.environ.get("SCHEMA", "dbos")
QUEUES = {"mail": {"worker_concurrency": 8}, "alone": {"concurrency": 1}, "parts": {"partition_concurrency": 1}}


def note():
    with open(os.environ["NOTES"], "a") as notes:
        print(DBOS.workflow_id, file=notes)


@DBOS.step()
def look():
    """Fails as long as what it needs is missing."""
    if not os.path.exists(os.environ["NEEDED"]):
        raise RuntimeError("what I need is missing")


@DBOS.workflow()
def flaky(order):
    look()
    note()
    return order


@DBOS.workflow()
def steady(order):
    note()
    return order


@DBOS.workflow()
def strict(order):
    """Needs what another workflow answers."""
    DBOS.start_workflow(flaky, order).get_result()
    note()


@DBOS.workflow()
def careless(order):
    """Does not wait for the other one."""
    DBOS.start_workflow(flaky, order)
    note()


@DBOS.workflow()
def nightly(at, context):
    """Runs on a schedule."""
    look()
    note()


@DBOS.dbos_class()
class Shop:
    @staticmethod
    @DBOS.workflow()
    def close(order):
        look()
        note()


def call(calls):
    client = DBOSClient(system_database_url=STORE, dbos_system_schema=SCHEMA)
    answers = [getattr(client, method)(*positional, **named) for method, positional, named in calls]
    print(json.dumps([getattr(answer, "workflow_id", None) for answer in answers]))
    client.destroy()


def work(*workflow):
    config = {"name": "shop", "system_database_url": STORE, "dbos_system_schema": SCHEMA, "console_log_level": "ERROR"}
    DBOS(config={**config, "application_version": os.environ.get("VERSION", "1"), "run_admin_server": False})
    DBOS.launch()
    for name, options in QUEUES.items():
        DBOS.register_queue(name, polling_interval_sec=0.05, **options)
    if workflow:
        DBOS.start_workflow(globals()[workflow[0]], json.loads(workflow[1]))
    print("working", flush=True)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    while not stopped.wait(0.05):
        pass
    DBOS.destroy()


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    call(json.loads(arguments[0])) if command == "do" else work(*arguments)
