"""A host of the program's own: a list of jobs."""

from __future__ import annotations

import gc
import unittest
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import bulk_rerun
from bulk_rerun.types import Run, Selector


class Broken(Exception):
    """The program's own."""


class Jobs:
    def __init__(self) -> None:
        at = datetime(2026, 4, 15, tzinfo=timezone.utc)
        self.runs_: list[dict[str, Any]] = [
            {"id": "1", "task_name": "backup", "end_reason": "failed", "params": {"n": 1}, "created_at": at},
            {"id": "2", "task_name": "backup", "end_reason": "failed", "params": '{"n":  2}', "created_at": at},
            {"id": "3", "task_name": "mail", "end_reason": "succeeded"},
            {"id": "4", "task_name": "report", "end_reason": "failed"},
        ]
        self.steps: list[str] = []
        self.operations: dict[str, dict[str, Any]] = {}
        self.error: BaseException | None = None

    def runs(self, selector: Selector) -> Iterator[Mapping[str, Any]]:
        gc.collect()
        yield from self.runs_

    def spawn(self, run: Run) -> str:
        if run["task_name"] == "report" and self.error:
            raise self.error
        self.runs_.append({**run, "id": str(len(self.runs_) + 1), "phase": "pending", "end_reason": None})
        return str(len(self.runs_))

    def begin(self) -> None:
        self.before = list(self.runs_)
        self.steps.append("begin")

    def commit(self) -> None:
        self.steps.append("commit")

    def rollback(self) -> None:
        self.runs_ = self.before
        self.steps.append("rollback")

    def undo(self, run: Run) -> bool:
        job = next(job for job in self.runs_ if job["id"] == run["id"])
        self.runs_.remove(job)
        return True

    def find_operation(self, query: dict[str, Any]) -> object:
        if "limit" in query:
            return reversed(self.operations.values())
        if "operation_id" in query:
            return self.operations.get(query["operation_id"])
        key = query["idempotency_key"]
        return next((kept for kept in self.operations.values() if kept.get("idempotency_key") == key), None)

    def record_operation(self, operation: dict[str, Any]) -> None:
        self.operations[operation["operation_id"]] = operation

    def functions(self, *names: str) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("runs", "spawn", *names)}


STEPS = ("begin", "commit", "rollback")


class OwnHosts(unittest.TestCase):
    def setUp(self) -> None:
        self.jobs = Jobs()

    def test_its_newest_failures_are_started_with_their_parameters(self) -> None:
        with bulk_rerun.attach(**self.jobs.functions(*STEPS)) as host:
            report = host.rerun(status="failed")
            self.assertEqual(
                [(run["rerun_of"], run["run_id"]) for run in report["triggered"]], [("2", "5"), ("4", "6")]
            )
            self.assertEqual(self.jobs.runs_[4]["params"], '{"n":  2}')
            self.assertEqual([run["params"] for run in host.runs(ids=["1"])], ['{"n": 1}'])
            host.rerun(status="failed", keep=lambda run: run["id"] == "1")
            self.assertEqual(self.jobs.runs_[6]["params"], '{"n": 1}')
        self.assertEqual(self.jobs.steps, ["begin", "commit"] * 2)

    def test_what_it_raises_comes_out_as_it_was_raised_and_is_rolled_back(self) -> None:
        for self.jobs.error in [Broken("out of paper"), KeyboardInterrupt(), SystemExit()]:
            self.jobs.steps.clear()
            with bulk_rerun.attach(**self.jobs.functions(*STEPS)) as host:
                with self.assertRaises(type(self.jobs.error)) as caught:
                    host.rerun(status="failed")
            self.assertIs(caught.exception, self.jobs.error)
            self.assertEqual(bulk_rerun.started(caught.exception), [])
            self.assertEqual((self.jobs.steps, len(self.jobs.runs_)), (["begin", "rollback"], 4))

    def test_a_rollback_that_raises_too(self) -> None:
        self.jobs.error = Broken("out of paper")

        def rollback() -> None:
            raise Broken("no way back")

        functions = {**self.jobs.functions(*STEPS), "rollback": rollback}
        with bulk_rerun.attach(**functions) as host, self.assertRaisesRegex(Broken, "no way back") as caught:
            host.rerun(status="failed")
        self.assertIs(caught.exception.__context__, self.jobs.error)

    def test_without_transactions_what_was_started_before_is_told(self) -> None:
        self.jobs.error = Broken("out of paper")
        with bulk_rerun.attach(**self.jobs.functions()) as host, self.assertRaises(Broken) as caught:
            host.rerun(status="failed")
        self.assertIs(caught.exception, self.jobs.error)
        self.assertEqual(
            bulk_rerun.started(caught.exception), [{"task_name": "backup", "run_id": "5", "rerun_of": "2"}]
        )
        self.assertIn("backup 5", str(caught.exception.__cause__))

    def test_a_run_that_it_declines(self) -> None:
        self.jobs.error = bulk_rerun.Declined("the queue is full")
        with bulk_rerun.attach(**self.jobs.functions(*STEPS)) as host:
            report = host.rerun(status="failed")
        self.assertEqual(len(report["triggered"]), 1)
        (skipped,) = report["skipped"]
        self.assertEqual(
            (skipped["run_id"], skipped["reason"], skipped["detail"]), ("4", "refused", "the queue is full")
        )

    def test_functions_that_return_what_they_must_not(self) -> None:
        for name, wrong, says in [
            ("runs", lambda _: None, "runs returned None"),
            ("runs", lambda _: [7], "has no attribute"),
            ("spawn", lambda _: None, "spawn returned None"),
            ("spawn", lambda _: 7, "spawn returned 7"),
        ]:
            with bulk_rerun.attach(**{**self.jobs.functions(*STEPS), name: wrong}) as host:
                with self.assertRaisesRegex((TypeError, AttributeError), says):
                    host.rerun(status="failed")
                with self.assertRaisesRegex((TypeError, AttributeError), says):
                    host.rerun(status="failed", keep=lambda run: True)
        with bulk_rerun.attach(**{**self.jobs.functions(), "runs": lambda _: [{"task_name": "no id"}]}) as host:
            with self.assertRaisesRegex(bulk_rerun.BulkRerunError, "id"):
                host.rerun(status="failed")
        self.assertEqual(len(self.jobs.runs_), 4)

    def test_functions_that_are_none_or_too_few(self) -> None:
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"runs": 7}, "a function as runs"),
            ({"begin": print}, "all of begin, commit, rollback"),
            ({"find_operation": print}, "all of find_operation, record_operation"),
        ]
        for functions, says in wrong:
            with self.assertRaisesRegex(TypeError, says):
                bulk_rerun.attach(**{**self.jobs.functions(), **functions})
        with self.assertRaisesRegex(TypeError, "spawn"):
            bulk_rerun.attach(runs=self.jobs.runs)  # type: ignore[call-arg]

    def test_one_that_calls_its_host_again_or_closes_it(self) -> None:
        def spawn(run: Run) -> str:
            with self.assertRaises(bulk_rerun.Conflict):
                host.plan(ids=["1"])
            host.close()
            return self.jobs.spawn(run)

        host = bulk_rerun.attach(runs=self.jobs.runs, spawn=spawn)
        self.assertEqual(len(host.rerun(ids=["1"])["triggered"]), 1)
        with self.assertRaises(bulk_rerun.Conflict):
            host.plan(ids=["1"])

    def test_its_ledger(self) -> None:
        functions = self.jobs.functions(*STEPS, "undo", "find_operation", "record_operation")
        with bulk_rerun.attach(**functions) as host:
            report = host.rerun(status="failed", idempotency_key="monday", reason="out of paper")
            again = host.rerun(status="failed", idempotency_key="monday", reason="out of paper")
            self.assertEqual((again["replayed"], again["triggered"]), (True, report["triggered"]))
            self.assertEqual([kept["door"] for kept in host.operations()], ["python"])
            self.assertEqual(host.operation(report["operation_id"])["states"], {"pending": 2})
            undone = host.undo(report["operation_id"])
            self.assertEqual([run["run_id"] for run in undone["undone"]], ["5", "6"])
            self.assertEqual(host.operation(report["operation_id"])["states"], {"undone": 2})
            with self.assertRaises(bulk_rerun.NotFound):
                host.undo("nothing")
        self.assertEqual(len(self.jobs.runs_), 4)

    def test_an_undo_that_forgets_to_return(self) -> None:
        functions = self.jobs.functions(*STEPS, "find_operation", "record_operation")
        with bulk_rerun.attach(**functions, undo=lambda run: None) as host:  # type: ignore[arg-type,return-value]
            report = host.rerun(status="failed")
            with self.assertRaisesRegex(TypeError, "undo returned None"):
                host.undo(report["operation_id"])

    def test_a_due_time(self) -> None:
        with bulk_rerun.attach(**self.jobs.functions(*STEPS)) as host, self.assertRaises(bulk_rerun.Invalid):
            host.rerun(status="failed", start_at=datetime(2030, 1, 1, tzinfo=timezone.utc))
        with bulk_rerun.attach(**self.jobs.functions(*STEPS), heeds_due=True) as host:
            host.rerun(
                status="failed", start_at=datetime(2030, 1, 1, tzinfo=timezone.utc), spread=timedelta(minutes=10)
            )
        self.assertEqual(
            [run["due"] for run in self.jobs.runs_[4:]], ["2030-01-01T00:00:00.000000Z", "2030-01-01T00:05:00.000000Z"]
        )


if __name__ == "__main__":
    unittest.main()
