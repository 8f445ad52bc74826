"""Waiting until new runs have ended."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from ._errors import Busy
from .types import NewRun, Outcome, Triggered

if TYPE_CHECKING:
    from ._host import Host

#: From one look to the next, in seconds, at first and at most; and how often in a row a store may be busy.
_FIRST_PAUSE, _LONGEST_PAUSE, _TRIES = 0.5, 5.0, 5
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_Answer = TypeVar("_Answer")


def until_ended(
    host: Host,
    of: str | Mapping[str, Any],
    timeout: float | str | timedelta | None,
    on_states: Callable[[dict[str, int]], object] | None,
) -> Outcome:
    end = time.monotonic() + _seconds(timeout)
    look = _look_at(host, of)
    pause = _FIRST_PAUSE
    while True:
        runs = _patiently(look)
        states = dict(Counter(run.get("end_reason") or run["phase"] for run in runs))
        if on_states is not None:
            on_states(states)
        ended = not any(run["phase"] in ("pending", "running") for run in runs)
        left = end - time.monotonic()
        if ended or left <= 0:
            succeeded = all(_has_succeeded(run) for run in runs)
            return {"runs": runs, "states": states, "succeeded": succeeded, "timed_out": not ended}
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _look_at(host: Host, of: str | Mapping[str, Any]) -> Callable[[], list[NewRun]]:
    """What tells where the new runs stand: the ledger, which knows of those that were taken back; else the store alone."""
    operation_id = of if isinstance(of, str) else of.get("operation_id")
    if operation_id is not None:
        return lambda: host.operation(operation_id)["runs"]
    if isinstance(of, str) or "planned" in of or "triggered" not in of:
        raise TypeError(f"wait() takes what rerun() returned, or an operation, or its id; not {of!r}")
    runs: list[Triggered] = of["triggered"]
    return lambda: list(_standing(host, runs))


def _standing(host: Host, runs: list[Triggered]) -> Iterator[NewRun]:
    ids = [run["run_id"] for run in runs]
    # A run is its task and its id together.
    found = {(run["task_name"], run["id"]): run for run in (host.runs(ids=ids) if ids else ())}
    for run in runs:
        now = found.get((run["task_name"], run["run_id"]))
        stands: NewRun = {
            "task_name": run["task_name"],
            "run_id": run["run_id"],
            "rerun_of": run["rerun_of"],
            "phase": "gone" if now is None else now["phase"] or "pending",
        }
        if now is not None and now.get("end_reason"):
            stands["end_reason"] = now["end_reason"] or ""
        if now is not None and now.get("exit_code") is not None:
            stands["exit_code"] = now["exit_code"] or 0
        yield stands


def _patiently(look: Callable[[], _Answer]) -> _Answer:
    """A store that is busy for a moment does not end the waiting."""
    for _ in range(_TRIES - 1):
        try:
            return look()
        except Busy:
            time.sleep(_FIRST_PAUSE)
    return look()


def _has_succeeded(run: NewRun) -> bool:
    return run["phase"] == "gone" or (run["phase"] == "ended" and run.get("end_reason") in ("success", "succeeded"))


def _seconds(timeout: float | str | timedelta | None) -> float:
    if timeout is None:
        return float("inf")
    if isinstance(timeout, timedelta):
        return timeout.total_seconds()
    if isinstance(timeout, str):
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", timeout)
        if not parts or "".join(number + unit for number, unit in parts) != timeout.replace(" ", ""):
            raise ValueError(f'{timeout!r} is no time-out: it is seconds, a timedelta, or a text such as "30m" or "1h 30m"')
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    return timeout
