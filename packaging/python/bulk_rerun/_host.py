"""A host: a store, or a job runner of the program's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ctypes import byref
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Callable, Optional

from . import _library, _requests, _waiting
from ._calls import callback, calling_back, conclude, interruptible
from ._errors import conflict, error_of
from ._library import KEEP, Cursor, Plugin, Text
from .types import (
    Operation,
    OperationWithRuns,
    Outcome,
    Plan,
    PlanKeywords,
    Report,
    RerunKeywords,
    Run,
    Selection,
    Time,
    Undone,
)

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

#: Whether a run is to be among those that are re-run.
Keep = Callable[[Run], bool]


class Host:
    """What `open` and `attach` return. Any number of threads may use it at once.

    A call that fails raises, and has changed nothing (`started` tells the exceptions). What a predicate raises, or a
    function of a host of your own, ends the call and comes out of it as it was raised.
    """

    def __init__(self, plugin: Plugin) -> None:
        self._at_work: Plugin | None = plugin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes it; once more does nothing. Calls that are at work come to their end."""
        self._at_work = None

    def __repr__(self) -> str:
        return f"<bulk_rerun.Host {'closed' if self._at_work is None else 'open'}>"

    def plan(self, *, keep: Keep | None = None, **keywords: Unpack[PlanKeywords]) -> Plan:
        """What `rerun` would do with the same keywords (those of `types.PlanKeywords`). Changes nothing.

        `keep` is asked about each run that matches, before the runs are grouped: True or False.
        """
        request = _requests.request("plan", _requests.PLAN, keywords, dry_run=True)
        plan: Plan = self._send(request, keep)
        plan.setdefault("skipped", [])
        return plan

    def rerun(self, *, keep: Keep | None = None, **keywords: Unpack[RerunKeywords]) -> Report:
        """Starts one new run for each task behind the runs that are meant, all of them or none.

        The keywords are those of `types.RerunKeywords`. Without conditions and `ids`, `match_all=True` says that every
        run is meant. `keep` is asked about each run that matches, before the runs are grouped: True or False.
        """
        report: Report = self._send(_requests.request("rerun", _requests.RERUN, keywords), keep)
        report.setdefault("skipped", [])
        return report

    def call(self, request: Mapping[str, Any], *, keep: Keep | None = None) -> dict[str, Any]:
        """A request in JSON's own shape, as every door of bulk_rerun takes it, and the answer as it is."""
        answer: dict[str, Any] = self._send(_requests.encode(request), keep)
        return answer

    def runs(self, **keywords: Unpack[Selection]) -> Iterator[Run]:
        """The runs that match now (by the keywords of `types.Selection`), in the store's own order; changes nothing.

        They come one by one, and nothing is held on the store in between.
        """
        # The library takes `except_tasks` in the options here, too.
        request = _requests.request("runs", _requests.RUNS, keywords)
        error = Text()
        cursor, raised = calling_back(_library.select, self._plugin, request, byref(error))
        if raised is not None:
            raise raised
        if error:
            raise error_of(error.json())
        return _each(cursor)

    def operations(
        self,
        *,
        limit: int | None = None,
        before: str | None = None,
        created_after: Time | None = None,
        run_id: str | None = None,
    ) -> list[Operation]:
        """The re-runs that the ledger has, the newest first: 50, if no `limit` is given.

        `before` is an operation's id, the last one of the page before; `run_id` asks for those that started this run, or
        re-ran it.
        """
        query = {"limit": limit, "before": before, "created_after": created_after, "run_id": run_id}
        page: list[Operation] = self._ask(_library.operations, query)["operations"]
        return page

    def operation(self, operation_id: str) -> OperationWithRuns:
        """One re-run, with its new runs and where each of them stands now."""
        operation: OperationWithRuns = self._ask(_library.operations, {"operation_id": operation_id})
        return operation

    def undo(self, operation_id: str) -> Undone:
        """Takes back the new runs of a re-run that no worker has begun."""
        undone: Undone = self._ask(_library.undo, {"operation_id": operation_id})
        return undone

    def wait(
        self,
        of: str | Report | Operation,
        *,
        timeout: float | str | timedelta | None = None,
        on_states: Callable[[dict[str, int]], object] | None = None,
    ) -> Outcome:
        """Waits until the new runs of a re-run have ended, or the time is up: looks every half second, later every five.

        `of` is what `rerun` returned, which needs no ledger; or an operation, or its id. `timeout` is seconds, a timedelta
        or a text such as "30m"; None waits as long as it takes. `on_states` gets, at every look, how many runs stand where.
        Ctrl-C ends the waiting; the runs go on.
        """
        return _waiting.until_ended(self, of, timeout, on_states)

    def _plugin(self) -> Plugin:
        plugin = self._at_work
        if plugin is None:
            raise conflict("the host is closed: open another one")
        return plugin

    def _ask(self, function: Callable[..., Any], query: object) -> Any:
        return conclude(*calling_back(function, self._plugin, _requests.encode(query)))

    def _send(self, request: bytes, keep: Optional[Keep]) -> Any:
        if keep is not None:
            ask = KEEP(callback(_keeper(keep)))
            return conclude(*calling_back(_library.call_where, self._plugin, request, ask, None))
        if self._plugin().callbacks is None:
            return interruptible(self._plugin, request)
        return conclude(*calling_back(_library.call, self._plugin, request))


def _keeper(keep: Keep) -> Callable[[bytes], int]:
    """A predicate, as the library asks it. One that has forgotten to return must neither keep a run nor drop it."""
    if not callable(keep):
        raise TypeError(f"keep must be a function of a run, not {keep!r}")

    def ask(run_json: bytes) -> int:
        run: Run = _requests.decode(run_json)
        answer = keep(run)
        if answer is not True and answer is not False:
            raise TypeError(
                f"keep returned {answer!r} for run {run['id']} of {run['task_name']}: it must return True or False "
                "(bool(…) makes one of anything)"
            )
        return int(answer)

    return ask


def _each(cursor: Cursor) -> Iterator[Run]:
    while True:
        error = Text()
        run = _library.cursor_next(cursor, byref(error))
        if error:
            raise error_of(error.json())
        if not run:
            return
        yield run.json()
