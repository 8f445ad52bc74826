"""The types of what goes in and comes out. At run time all of it is plain dicts, lists and texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypedDict, Union

__all__ = [
    "Filter",
    "KeptRun",
    "NewRun",
    "Operation",
    "OperationWithRuns",
    "Outcome",
    "Plan",
    "PlanKeywords",
    "Planned",
    "Report",
    "RerunKeywords",
    "Run",
    "Selection",
    "Selector",
    "Skipped",
    "Time",
    "Times",
    "Triggered",
    "Undone",
    "UndoneRun",
    "Violation",
]

#: RFC 3339, or a datetime that has a time zone.
Time = Union[str, datetime]


class _Columns(TypedDict):
    id: str
    task_name: str
    #: pending, running or ended
    phase: str | None
    end_reason: str | None
    exit_code: int | None
    #: cron, api, ui, …
    triggered_by: str | None
    #: RFC 3339, in UTC
    created_at: str | None
    retry_attempt: int | None
    #: The runner's own text for them, byte for byte: JSON in most runners.
    params: str | None


class Run(_Columns, total=False):
    """A run."""

    #: Where the runner has such a mark.
    is_failure: bool
    #: Why a run of its kind is never started again.
    unfit: str
    #: For a host's `spawn`, with `start_at` or `spread`: when the new run is due.
    due: str


class Filter(TypedDict, total=False):
    """Conditions on a run; all must hold. None and empty ones are none."""

    #: Its phase or its end reason is one of these: "failed,timeout", or ["failed", "timeout"].
    status: str | Iterable[str] | None
    task_name: str | None
    triggered_by: str | None
    #: Its task's name or its id contains this.
    search: str | None
    created_after: Time | None
    created_before: Time | None
    exit_code_min: int | None
    exit_code_max: int | None
    retries_only: bool | None
    #: It counts as a failure, or `status` matches.
    is_failure: bool | None


class Selection(Filter, total=False):
    """Which runs are meant."""

    #: Exactly these runs.
    ids: Iterable[str] | None
    #: Every run, where no condition says which.
    match_all: bool | None
    except_ids: Iterable[str] | None
    except_tasks: Iterable[str] | None


class _Options(Selection, total=False):
    #: One new run for each "task" (so if absent), task and "params", or "run".
    unique_by: str | None
    #: Leaves these of a plan's groups out: items of its `planned`.
    except_groups: Iterable[Mapping[str, Any]] | None
    #: Skips what has a pending or running run.
    skip_active: bool | None
    #: Skips what has succeeded since.
    skip_superseded: bool | None
    #: At most so many new runs; more is an error, and none is started.
    limit: int | None
    #: Starts the first so many, and skips the rest as `not_taken`.
    take: int | None
    #: When the new runs are due, where the runner has a due time.
    start_at: Time | None
    #: They fall due evenly over so long a time: "10m", or a timedelta.
    spread: str | timedelta | None


class PlanKeywords(_Options, total=False):
    """What `Host.plan` takes."""

    #: Tells more of the runs behind each new one.
    with_runs: bool | None
    #: Counts the selected runs over time, in so many spans.
    times: int | None


class RerunKeywords(_Options, total=False):
    """What `Host.rerun` takes."""

    #: Exactly what a plan's `plan` stands for, or nothing (`Conflict`).
    expect_plan: str | None
    #: With the same key and request again, nothing is started, and the first report is given. Needs the ledger.
    idempotency_key: str | None
    #: For the ledger.
    reason: str | None
    #: For the ledger.
    actor: str | None


class Selector(TypedDict, total=False):
    """What a host of your own is asked for. It may hand over more: every run is checked again."""

    ids: list[str]
    match_all: bool
    filter: dict[str, Any]
    except_ids: list[str]


class Triggered(TypedDict):
    """A new run."""

    task_name: str
    run_id: str
    #: The source run, whose parameters the new one has.
    rerun_of: str


class _Reason(TypedDict):
    #: not_found, service, unknown_task, trigger_disabled, active, superseded, left_out, not_taken, gone, refused
    reason: str


class Skipped(_Reason, total=False):
    """What got no new run, and why."""

    task_name: str
    run_id: str
    detail: str
    #: In a plan with `with_runs`.
    matched: int
    run: Run
    first: str
    parameter_sets: int


class _Planned(TypedDict):
    task_name: str
    rerun_of: str
    #: How many runs were selected for it.
    matched: int


class Planned(_Planned, total=False):
    """What would get a new run."""

    #: With `with_runs`: the source run.
    run: Run
    #: With `with_runs`: when the earliest of its runs was created.
    first: str
    #: With `with_runs`: how many distinct parameters its runs have.
    parameter_sets: int


#: `from`, when the first span begins; `step_seconds`, how long each is; `buckets`, how many runs by end reason in each.
Times = TypedDict("Times", {"from": str, "step_seconds": int, "buckets": "list[dict[str, int]]"})


class _Plan(TypedDict):
    planned: list[Planned]
    skipped: list[Skipped]
    #: How many runs were selected.
    matched: int
    #: What `expect_plan` takes.
    plan: str


class Plan(_Plan, total=False):
    """What a re-run would do."""

    #: With `times`.
    times: Times
    #: Where a replica is searched: how far it was behind (`lag_ms`, `lag_bytes`).
    replica: dict[str, int]


class _Report(TypedDict):
    triggered: list[Triggered]
    skipped: list[Skipped]


class Report(_Report, total=False):
    """What a re-run did."""

    #: Where the store has a ledger.
    operation_id: str
    #: The key was used before: this is the first report again.
    replayed: bool


class Operation(TypedDict):
    """A re-run, as the ledger has it."""

    operation_id: str
    created_at: str
    door: str
    actor: str | None
    reason: str | None
    idempotency_key: str | None
    #: As it was carried out.
    request: dict[str, Any]
    #: How many new runs there are.
    triggered: int
    skipped: int
    undone_at: str | None


class _Standing(Triggered):
    #: pending, running, ended; undone, or gone where the runner keeps it no longer
    phase: str


class NewRun(_Standing, total=False):
    """A new run, and where it stands now."""

    end_reason: str
    exit_code: int


class OperationWithRuns(Operation):
    """One operation, with its new runs."""

    runs: list[NewRun]
    #: How many of them stand where.
    states: dict[str, int]


class Outcome(TypedDict):
    """Where the new runs stood when the waiting was over."""

    runs: list[NewRun]
    #: How many of them stand where: by end reason, or by phase.
    states: dict[str, int]
    #: All have succeeded, or are gone.
    succeeded: bool
    #: The time was up, and some had not ended.
    timed_out: bool


class UndoneRun(TypedDict):
    """A new run that was taken back."""

    task_name: str
    run_id: str


class _KeptRun(UndoneRun):
    phase: str


class KeptRun(_KeptRun, total=False):
    """A new run that had been begun already."""

    end_reason: str


class Undone(TypedDict):
    """What an undo did."""

    undone: list[UndoneRun]
    kept: list[KeptRun]


class Violation(TypedDict):
    """What is wrong with a request, and where."""

    location: str
    message: str
    value: Any
