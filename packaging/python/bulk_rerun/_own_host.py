"""A host of the program's own, as the library calls it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from typing import Any, Callable, NamedTuple, Optional

from . import _library
from ._calls import callback
from ._errors import Declined
from ._library import REPLY, RUNS, STEP, HostTable
from ._requests import decode, encode
from .types import Run, Selector


class OwnHost(NamedTuple):
    """Its functions; `attach` says what each one does."""

    runs: Callable[[Selector], Iterable[Mapping[str, Any]]]
    spawn: Callable[[Run], str]
    begin: Optional[Callable[[], object]]
    commit: Optional[Callable[[], object]]
    rollback: Optional[Callable[[], object]]
    undo: Optional[Callable[[Run], bool]]
    find_operation: Optional[Callable[[dict[str, Any]], object]]
    record_operation: Optional[Callable[[dict[str, Any]], object]]
    heeds_due: bool

    def check(self) -> None:
        for name, function in self._asdict().items():
            if name != "heeds_due" and function is not None and not callable(function):
                raise TypeError(f"attach() takes a function as {name}, not {function!r}")
        for names in (("begin", "commit", "rollback"), ("find_operation", "record_operation")):
            if len({getattr(self, name) is None for name in names}) > 1:
                raise TypeError(f"attach() takes all of {', '.join(names)}, or none")

    def table(self) -> HostTable:
        def of(kind: Any, name: str) -> Any:
            is_there = getattr(self, name) is not None
            return kind(callback(getattr(self, f"call_{name}"))) if is_there else kind()

        size, flags = ctypes.sizeof(HostTable), _library.HEEDS_DUE if self.heeds_due else 0
        return HostTable(
            size, _library.ABI_VERSION, flags, None, of(RUNS, "runs"), of(REPLY, "spawn"),
            of(STEP, "begin"), of(STEP, "commit"), of(STEP, "rollback"),
            of(REPLY, "undo"), of(REPLY, "find_operation"), of(REPLY, "record_operation"),
        )  # fmt: skip

    def call_runs(self, selector_json: bytes, sink: int) -> int:
        runs = self.runs(decode(selector_json))
        if runs is None:
            raise TypeError("runs returned None: it must return runs, or yield them")
        for run in runs:
            status: int = _library.emit(sink, encode(_in_columns(run)))
            if status != 0:
                return status
        return 0

    def call_spawn(self, source_run_json: bytes, reply: int) -> int:
        try:
            run_id = self.spawn(decode(source_run_json))
        except Declined as declined:
            return _reply(reply, {"skipped": str(declined)})
        if not isinstance(run_id, str):
            raise TypeError(
                f"spawn returned {run_id!r}: it must return the new run's id as a str, or raise bulk_rerun.Declined"
            )
        return _reply(reply, {"run_id": run_id})

    def call_begin(self) -> int:
        return _step(self.begin)

    def call_commit(self) -> int:
        return _step(self.commit)

    def call_rollback(self) -> int:
        return _step(self.rollback)

    def call_undo(self, run_json: bytes, reply: int) -> int:
        assert self.undo is not None
        undone = self.undo(decode(run_json))
        if undone is not True and undone is not False:
            raise TypeError(f"undo returned {undone!r}: it must return True, or False if it was too late")
        return _reply(reply, {"undone": undone})

    def call_find_operation(self, query_json: bytes, reply: int) -> int:
        assert self.find_operation is not None
        query = decode(query_json)
        found = self.find_operation(query)
        return _reply(reply, {"operations": list(found or ())} if "limit" in query else found or {})  # type: ignore[call-overload]

    def call_record_operation(self, operation_json: bytes, _reply: int) -> int:
        assert self.record_operation is not None
        self.record_operation(decode(operation_json))
        return 0


def _step(function: Callable[[], object] | None) -> int:
    assert function is not None
    function()
    return 0


def _reply(reply: int, what: object) -> int:
    status: int = _library.reply_set(reply, encode(what))
    return status


def _in_columns(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """Parameters may be what their JSON stands for."""
    params = run.get("params")
    return run if params is None or isinstance(params, str) else {**run, "params": encode(params).decode()}
