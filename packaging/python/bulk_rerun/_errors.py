"""What is raised."""

from __future__ import annotations

from typing import Any

from .types import Triggered, Violation


class BulkRerunError(Exception):
    """A call that failed. It has changed nothing, but for the runs that `triggered` names."""

    #: As in HTTP.
    status: int
    title: str
    #: What is wrong, and what to do.
    detail: str
    #: Every violation of a bad request, with its place and value.
    errors: list[Violation]
    #: What a host without transactions, or a runner's daemon, had started before.
    triggered: list[Triggered]

    def __init__(self, problem: dict[str, Any]) -> None:
        # An exception is pickled by its arguments.
        super().__init__(problem)
        self.status = problem["status"]
        self.title = problem.get("title", "")
        self.detail = problem["detail"]
        self.errors = problem.get("errors", [])
        self.triggered = problem.get("triggered", [])

    def __str__(self) -> str:
        lines = [self.detail]
        if len(self.errors) > 1:
            lines += [f"  {violation['location']}: {violation['message']}" for violation in self.errors]
        return "\n".join(lines)


class Invalid(BulkRerunError):
    """The request is no good (400, 422)."""


class NotFound(BulkRerunError):
    """No such operation, or no ledger (404)."""


class Conflict(BulkRerunError):
    """Not now: another plan than `expect_plan`, a host that is closed or at work (409)."""


class Busy(BulkRerunError):
    """The store is locked for longer than `busy_timeout_ms`; try again (503)."""


_CLASSES = {400: Invalid, 404: NotFound, 409: Conflict, 422: Invalid, 503: Busy}


def error_of(problem: dict[str, Any]) -> BulkRerunError:
    return _CLASSES.get(problem["status"], BulkRerunError)(problem)


def conflict(detail: str) -> Conflict:
    return Conflict({"type": "about:blank", "title": "Conflict", "status": 409, "detail": detail})


class Declined(Exception):
    """For a host's `spawn`: this run can't be started. It is skipped as `refused`, with these words, and the others go on."""


class Started(Exception):
    """The cause of an exception that ended a call which had started runs all the same; `started` finds it."""

    triggered: list[Triggered]

    def __init__(self, triggered: list[Triggered]) -> None:
        super().__init__(triggered)
        self.triggered = triggered

    def __str__(self) -> str:
        names = [f"{run['task_name']} {run['run_id']}" for run in self.triggered]
        return "these runs were started all the same: " + ", ".join(names)


def started(error: BaseException) -> list[Triggered]:
    """What a call that ended with this exception has started all the same: nothing, as a rule.

    It is something where Ctrl-C came too late to stop the call, or where a host without transactions (or a runner's
    daemon) had started some of the runs before another one failed.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (BulkRerunError, Started)) and cause.triggered:
            return cause.triggered
        cause = cause.__cause__
    return []
