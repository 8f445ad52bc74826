"""Re-run the unique tasks behind a selector's runs, inside a job runner's own store.

with bulk_rerun.open("runwisp.db") as host:
    plan = host.plan(status=["failed", "timeout"])
    host.rerun(status=["failed", "timeout"], expect_plan=plan["plan"])
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from ctypes import byref
from typing import Any

from . import _library, _requests, types
from ._errors import BulkRerunError, Busy, Conflict, Declined, Invalid, NotFound, Started, error_of, started
from ._host import Host
from ._library import INCLUDE, LIBRARY, Text
from ._own_host import OwnHost
from .types import Run, Selector

__all__ = [
    "INCLUDE",
    "LIBRARY",
    "BulkRerunError",
    "Busy",
    "Conflict",
    "Declined",
    "Host",
    "Invalid",
    "NotFound",
    "Started",
    "attach",
    "open",
    "started",
    "types",
]
__version__: str = _library.version().decode()


def open(
    store: str | os.PathLike[str] | None = None,
    *,
    replica: str | None = None,
    profile: str | os.PathLike[str] | None = None,
    parameters: Mapping[str, str] | None = None,
    tasks: str | os.PathLike[str] | None = None,
    ledger: bool | None = None,
    busy_timeout_ms: int | None = None,
    via: str | None = None,
    sqlite: str | None = None,
) -> Host:
    """Opens a runner's store: a path, `sqlite:PATH` or `postgres://…`; None is what BULK_RERUN_STORE says.

    - `replica`: a standby of the store's PostgreSQL server, which searches read (BULK_RERUN_REPLICA).
    - `profile`: a runner's name or a profile's file; None finds it from the schema (BULK_RERUN_PROFILE).
    - `parameters`: those that the profile declares (BULK_RERUN_PARAMETERS).
    - `tasks`: the task catalogue, a `runwisp.toml` (BULK_RERUN_TASKS).
    - `ledger`: True makes a ledger in the store, where there is none (BULK_RERUN_LEDGER).
    - `busy_timeout_ms`: how long to wait for a locked store; 5000 if absent.
    - `via`: "daemon" has a live RunWisp start the new runs, one by one.
    - `sqlite`: "shared" promises that what else has the store open in this process does so by Python's own `sqlite3`.
    """
    config = {
        "store": _path(store),
        "replica": replica,
        "profile": _path(profile),
        "parameters": parameters,
        "tasks": _path(tasks),
        "ledger": ledger,
        "busy_timeout_ms": busy_timeout_ms,
        "via": via,
        "sqlite": sqlite,
        "door": "python",
    }
    error = Text()
    plugin = _library.open_plugin(_requests.encode(config), byref(error))
    if error:
        raise error_of(error.json())
    return Host(plugin)


def attach(
    *,
    runs: Callable[[Selector], Iterable[Mapping[str, Any]]],
    spawn: Callable[[Run], str],
    begin: Callable[[], object] | None = None,
    commit: Callable[[], object] | None = None,
    rollback: Callable[[], object] | None = None,
    undo: Callable[[Run], bool] | None = None,
    find_operation: Callable[[dict[str, Any]], object] | None = None,
    record_operation: Callable[[dict[str, Any]], object] | None = None,
    heeds_due: bool = False,
    tasks: str | os.PathLike[str] | None = None,
) -> Host:
    """A host of your own, for runs that are in no store that bulk_rerun knows. Its functions come on the caller's thread.

    - `runs(selector)`: hands over runs, as dicts with `id` and `task_name` and as many other columns of `types.Run` as
      there are; all of them, or those that the selector asks for. `params` may be what their JSON stands for.
    - `spawn(run)`: starts a run of the run's task, with its parameters, and returns the new run's id; or raises `Declined`.
    - `begin`, `commit`, `rollback`: all three or none. Without them, runs that were started before an error stay, and
      `started` tells them.
    - `undo(run)`: takes a run back that no worker has begun, and returns whether it did.
    - `record_operation(operation)`: keeps a re-run, a dict, under its `operation_id` (and `idempotency_key`, if any), in
      the place of what was kept under it.
    - `find_operation(query)`: returns what was recorded with the query's `operation_id` or `idempotency_key`, or None.
      Where the query has a `limit`: a list, the newest first; all of them, or those that it asks for.
    - `heeds_due`: the new run waits until its `due`.
    """
    own = OwnHost(runs, spawn, begin, commit, rollback, undo, find_operation, record_operation, heeds_due)
    own.check()
    table, error = own.table(), Text()
    config = {"tasks": _path(tasks), "door": "python"}
    plugin = _library.attach_plugin(byref(table), _requests.encode(config), byref(error))
    if error:
        raise error_of(error.json())
    plugin.callbacks = table
    return Host(plugin)


def _path(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(path)
