"""Waiting until new runs have ended."""

from __future__ import annotations

import os
import signal
import threading
import time
import unittest
from datetime import timedelta

import bulk_rerun
from bulk_rerun.types import Run
from store import Case


class Waiting(Case):
    def work(self, states: dict[str, int]) -> None:
        """A worker: at the first look all begin, at the next one they end."""
        self.looks.append(states)
        if "running" in states:
            self.sql("UPDATE runs SET status = 'ended', end_reason = 'success' WHERE status = 'running'")
        else:
            self.sql("UPDATE runs SET status = 'running' WHERE status = 'pending'")

    def setUp(self) -> None:
        super().setUp()
        self.looks: list[dict[str, int]] = []

    def test_until_all_have_ended(self) -> None:
        for ledger in [False, True]:
            self.looks = []
            with self.subTest(ledger=ledger), bulk_rerun.open(self.store, ledger=ledger) as host:
                report = host.rerun(status="failed", unique_by="run", task_name="report" if ledger else "backup")
                self.assertEqual("operation_id" in report, ledger)
                outcome = host.wait(report, timeout="1m", on_states=self.work)
                self.assertEqual(self.looks[0], {"pending": len(report["triggered"])})
                self.assertEqual(self.looks[1], {"running": len(report["triggered"])})
                self.assertEqual(outcome["states"], {"success": len(report["triggered"])})
                self.assertEqual((outcome["succeeded"], outcome["timed_out"]), (True, False))
                for run, new in zip(report["triggered"], outcome["runs"]):
                    self.assertEqual({**new, **run}, new)
                    self.assertEqual((new["phase"], new["end_reason"], new["exit_code"]), ("ended", "success", 0))

    def test_one_has_failed_and_one_was_taken_away(self) -> None:
        with bulk_rerun.open(self.store) as host:
            report = host.rerun(status="failed")
            self.sql("DELETE FROM runs WHERE status = 'pending' AND task_name = 'report'")
            self.assertTrue(host.wait(host.rerun(ids=["nobody"]))["succeeded"])
            self.sql("UPDATE runs SET status = 'ended', end_reason = 'failed', exit_code = 3 WHERE status = 'pending'")
            outcome = host.wait(report)
        self.assertEqual((outcome["states"], outcome["succeeded"]), ({"failed": 1, "gone": 1}, False))
        self.assertEqual(outcome["runs"][0]["exit_code"], 3)
        self.assertEqual(outcome["runs"][1]["phase"], "gone")

    def test_the_ledger_knows_what_was_taken_back(self) -> None:
        with bulk_rerun.open(self.store, ledger=True) as host:
            report = host.rerun(status="failed")
            host.undo(report["operation_id"])
            outcomes = [host.wait(report), host.wait(report["operation_id"]), host.wait(host.operations()[0])]
            for outcome in outcomes:
                self.assertEqual((outcome["states"], outcome["succeeded"]), ({"undone": 2}, False))
            with self.assertRaises(bulk_rerun.NotFound):
                host.wait("01JRX3M7ZD7Q8M5T8E2Y9V4B6C")

    def test_the_time_is_up(self) -> None:
        with bulk_rerun.open(self.store) as host:
            report = host.rerun(status="failed")
            for timeout in [0, 0.01, "10ms", "0s 5ms", timedelta(milliseconds=1)]:
                outcome = host.wait(report, timeout=timeout)  # type: ignore[arg-type]
                self.assertEqual(
                    (outcome["timed_out"], outcome["succeeded"], outcome["states"]), (True, False, {"pending": 2})
                )
            for wrong in ["", "30", "soon", "5 min", "1h-2m"]:
                with self.assertRaisesRegex(ValueError, 'such as "30m"'):
                    host.wait(report, timeout=wrong)
            with self.assertRaisesRegex(TypeError, "what rerun.. returned"):
                host.wait(host.plan(status="failed"))  # type: ignore[arg-type]
            host.close()
            with self.assertRaisesRegex(bulk_rerun.Conflict, "the host is closed"):
                host.wait(report)

    def test_ctrl_c_ends_it_and_the_runs_go_on(self) -> None:
        with bulk_rerun.open(self.store) as host:
            report = host.rerun(status="failed")
            timer = threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT])
            timer.start()
            self.addCleanup(timer.join)
            with self.assertRaises(KeyboardInterrupt):
                host.wait(report)
        self.assertEqual(len(self.spawned()), 2)

    def test_a_busy_store_is_asked_again(self) -> None:
        with bulk_rerun.open(self.store, busy_timeout_ms=1) as host:
            report = host.rerun(status="failed")
            self.sql("UPDATE runs SET status = 'ended', end_reason = 'success' WHERE status = 'pending'")
            release = self.lock()
            threading.Timer(0.7, release).start()
            with self.assertRaises(bulk_rerun.Busy):
                list(host.runs(match_all=True))
            self.assertTrue(host.wait(report)["succeeded"])

    def test_a_runner_of_ones_own(self) -> None:
        jobs: list[Run] = []

        def spawn(run: Run) -> str:
            jobs.append({**run, "id": "2", "phase": "pending", "end_reason": None})
            return "2"

        def end(states: dict[str, int]) -> None:
            jobs[-1]["phase"], jobs[-1]["end_reason"] = "ended", "succeeded"

        jobs.append({"id": "1", "task_name": "backup", "phase": "ended", "end_reason": "failed"})  # type: ignore[typeddict-item]
        with bulk_rerun.attach(runs=lambda selector: list(jobs), spawn=spawn) as host:
            report = host.rerun(ids=["1"])
            self.assertEqual(host.wait(report, timeout=time.monotonic(), on_states=end)["states"], {"succeeded": 1})


if __name__ == "__main__":
    unittest.main()
