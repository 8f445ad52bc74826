"""Threads, forks, closing, and what is collected or freed when."""

from __future__ import annotations

import gc
import os
import resource
import sys
import threading
import traceback
import unittest
import weakref
from collections.abc import Callable
from typing import Any

import bulk_rerun
from bulk_rerun.types import Run
from store import Case
from test_own_host import Jobs


def grown_by(work: Callable[[], object], times: int) -> float:
    """How many megabytes the process grows by."""
    for _ in range(times // 10):
        work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(times):
        work()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


class Lifetimes(Case):
    def descriptors(self) -> int:
        count = 0
        for name in os.listdir("/proc/self/fd"):
            try:
                count += os.readlink(f"/proc/self/fd/{name}").startswith(str(self.store))
            except OSError:
                pass  # the folder's own
        return count

    def test_nothing_is_left_behind(self) -> None:
        rows = ", ".join(
            f"('x{n}', 'task {n}', 'ended', 'failed', 'cron', '2026-04-15T01:00:00Z')" for n in range(1000)
        )
        self.sql(f"INSERT INTO runs (id, task_name, status, end_reason, triggered_by, created_at) VALUES {rows}")
        jobs = Jobs()

        def raises(run: Run) -> bool:
            raise KeyError

        def failing(call: Callable[[], object]) -> Callable[[], None]:
            def work() -> None:
                with self.assertRaises((KeyError, bulk_rerun.BulkRerunError)):
                    call()

            return work

        with bulk_rerun.open(self.store, sqlite="shared") as host:
            for work, times in [
                # Each answer has 70 kB or more, each error and run some hundred bytes.
                (lambda: host.plan(match_all=True), 300),
                (lambda: host.plan(match_all=True, keep=lambda run: run["id"] != "x1"), 60),
                (lambda: list(host.runs(match_all=True)), 100),
                (lambda: next(host.runs(match_all=True)), 200),
                (failing(lambda: host.rerun(ids=["x" * 50_000], match_all=True)), 300),
                (failing(lambda: host.rerun(match_all=True, keep=raises)), 300),
                (failing(lambda: bulk_rerun.open("/nowhere/" + 50_000 * "x")), 300),
                (lambda: bulk_rerun.attach(**jobs.functions()).plan(match_all=True), 300),
            ]:
                self.assertLess(grown_by(work, times), 10)

    def test_several_threads_at_once(self) -> None:
        with bulk_rerun.open(self.store) as host:
            reports = []

            def work() -> None:
                reports.append(host.rerun(status="failed"))
                reports.append(host.rerun(status="failed", keep=lambda run: True))

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            reports.append(host.rerun(status="failed"))
            for thread in threads:
                thread.join()
        self.assertEqual(len({run["run_id"] for report in reports for run in report["triggered"]}), 34)

    def test_closed_while_other_threads_are_at_work(self) -> None:
        for _ in range(20):
            host = bulk_rerun.open(self.store, sqlite="shared")
            ends: list[object] = []
            at_work = threading.Barrier(5)

            def work() -> None:
                at_work.wait()
                try:
                    while True:
                        host.plan(match_all=True, keep=lambda run: True)
                except BaseException as error:
                    ends.append(error)

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            at_work.wait()
            host.close()
            for thread in threads:
                thread.join()
            self.assertEqual([type(end) for end in ends], [bulk_rerun.Conflict] * 4, ends)
            ends.clear()
            self.assertEqual(self.descriptors(), 0)

    def test_an_exception_that_is_kept_keeps_nothing_open(self) -> None:
        host = bulk_rerun.open(self.store, sqlite="shared")
        kept = []
        calls: list[Callable[[], object]] = [
            lambda: host.rerun(match_all=True, keep=lambda run: bool(1 // 0)),
            lambda: host.rerun(match_all=True, limit=1),
            lambda: host.operation("nothing"),
            lambda: host.runs(ids=[]),
        ]
        for call in calls:
            try:
                call()
            except Exception as error:
                kept.append(error)
        self.assertEqual(len(kept), 4)
        self.assertGreater(self.descriptors(), 0)
        host.close()
        self.assertEqual(self.descriptors(), 0)
        self.assertTrue(all(error.__traceback__ for error in kept))

    def test_one_that_is_not_closed_is_closed_when_nobody_has_it(self) -> None:
        host = bulk_rerun.open(self.store, sqlite="shared")
        host.plan(match_all=True)
        del host
        gc.collect()
        self.assertEqual(self.descriptors(), 0)

    def test_a_hosts_functions_live_as_long_as_it_and_no_longer(self) -> None:
        jobs = Jobs()
        gone = weakref.ref(jobs)
        host = bulk_rerun.attach(**jobs.functions())
        del jobs
        gc.collect()
        self.assertEqual(len(host.rerun(status="failed")["triggered"]), 2)
        host.close()
        gc.collect()
        self.assertIsNone(gone())

    def test_a_cycle_is_collected(self) -> None:
        class Cyclic(Jobs):
            host: Any

        jobs = Cyclic()
        jobs.host = bulk_rerun.attach(**jobs.functions())
        jobs.host.plan(match_all=True)
        gone = weakref.ref(jobs)
        del jobs
        gc.collect()
        self.assertIsNone(gone())

    def test_a_forked_child_goes_on_with_it(self) -> None:
        with bulk_rerun.open(self.store) as host:
            host.rerun(ids=["a1"])
            runs = host.runs(match_all=True)
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    with self.assertRaisesRegex(bulk_rerun.Conflict, "forked"):
                        next(runs)
                    host.rerun(ids=["a2"])
                    host.rerun(status="failed", keep=lambda run: run["id"] == "b1")
                    host.close()
                    status = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(status)
            self.assertEqual(os.waitpid(pid, 0)[1], 0)
            self.assertEqual(len(list(runs)), 5)
            host.rerun(ids=["b1"])
        self.assertEqual([task for task, _ in self.spawned()], ["backup", "backup", "report", "report"])


if __name__ == "__main__":
    unittest.main()
