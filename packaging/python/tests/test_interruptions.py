"""Ctrl-C, and other signals whose handlers raise, at any moment."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
import unittest
from collections.abc import Callable
from types import FrameType

import bulk_rerun
from store import Case

ENDLESS = """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
    SELECT i AS id, 'endless' AS task_name, 'ended' AS phase, 'failed' AS end_reason, NULL AS created_at FROM n WHERE i < 0"""
VIEW = "SELECT id, task_name, status AS phase, end_reason, exit_code, created_at, params_json AS params FROM runs"
#: Takes some seconds.
SLOW = """INSERT INTO runs (id, task_name, status, triggered_by, created_at)
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000000)
    SELECT :new_id, :task_name, 'pending', 'api', :now FROM n WHERE i = 6000000"""
#: Sends the signal when somebody writes to the store, and not for a moment only.
WHEN_IT_WRITES = """
import os, signal, sqlite3, sys
store = sqlite3.connect(sys.argv[1], timeout=0.1, isolation_level=None)
print(flush=True)
while True:
    try:
        store.execute("BEGIN IMMEDIATE"); store.execute("ROLLBACK")
    except sqlite3.OperationalError:
        os.kill(int(sys.argv[2]), signal.SIGINT)
        break
"""


class TimeIsUp(Exception):
    pass


class Interruptions(Case):
    def in_a_moment(self) -> None:
        timer = threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT])
        timer.start()
        self.addCleanup(timer.join)

    def test_ctrl_c_stops_a_search_that_would_never_end(self) -> None:
        with bulk_rerun.open(self.store, profile=self.profile(ENDLESS)) as host:
            calls: list[Callable[[], object]] = [lambda: host.plan(match_all=True), lambda: host.rerun(match_all=True)]
            for call in calls:
                self.in_a_moment()
                with self.assertRaises(KeyboardInterrupt) as caught:
                    call()
                self.assertEqual(bulk_rerun.started(caught.exception), [])
        self.assertEqual([thread.name for thread in threading.enumerate() if thread.name == "bulk_rerun"], [])
        self.assert_nothing_spawned()

    def test_so_does_what_any_other_handler_raises(self) -> None:
        def handler(number: int, frame: FrameType | None) -> None:
            raise TimeIsUp

        before = signal.signal(signal.SIGALRM, handler)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        with bulk_rerun.open(self.store, profile=self.profile(ENDLESS)) as host:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with self.assertRaises(TimeIsUp):
                host.rerun(match_all=True)

    def test_too_late_it_tells_what_was_started(self) -> None:
        arguments = [sys.executable, "-c", WHEN_IT_WRITES, str(self.store), str(os.getpid())]
        with bulk_rerun.open(self.store, profile=self.profile(VIEW, SLOW)) as host:
            for keywords in [{}, {"keep": lambda run: True}]:
                with subprocess.Popen(arguments, stdout=subprocess.PIPE) as other:
                    assert other.stdout
                    other.stdout.readline()
                    with self.assertRaises(KeyboardInterrupt) as caught:
                        host.rerun(ids=["a1"], **keywords)  # type: ignore[arg-type]
                (started,) = bulk_rerun.started(caught.exception)
                self.assertEqual(started["rerun_of"], "a1")
        self.assertEqual(len(self.spawned()), 2)

    def test_none_is_lost_in_a_predicate(self) -> None:
        """Between any two lines, the predicate's first one, too: ctypes would drop it, and return what is in memory."""
        raised: list[TimeIsUp] = []

        def handler(number: int, frame: FrameType | None) -> None:
            raised.append(TimeIsUp())
            raise raised[-1]

        before = signal.signal(signal.SIGALRM, handler)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        rows = ", ".join(f"('x{n}', 't', 'ended', 'failed', 'cron', '2026-04-15T01:00:00Z')" for n in range(300))
        self.sql(f"INSERT INTO runs (id, task_name, status, end_reason, triggered_by, created_at) VALUES {rows}")
        said = io.StringIO()
        seen = 0
        with bulk_rerun.open(self.store) as host, contextlib.redirect_stderr(said):
            for moment in range(200):
                raised.clear()
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0001 + 0.00002 * moment)
                    host.rerun(match_all=True, keep=lambda run: False)
                    while not raised:
                        time.sleep(0.001)
                except TimeIsUp as error:
                    self.assertIs(error, raised[-1])
                    seen += 1
                self.assertEqual(len(raised), 1)
        self.assertEqual((seen, said.getvalue()), (200, ""))
        self.assertIs(signal.getsignal(signal.SIGALRM), handler)
        self.assert_nothing_spawned()

    def test_a_predicate_may_wait_and_is_interrupted(self) -> None:
        def keep(run: object) -> bool:
            time.sleep(600)
            return True

        self.in_a_moment()
        with bulk_rerun.open(self.store) as host, self.assertRaises(KeyboardInterrupt):
            host.rerun(match_all=True, keep=keep)
        self.assert_nothing_spawned()

    def test_a_handler_that_raises_nothing_interrupts_nothing(self) -> None:
        seen: list[int] = []
        before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
        self.addCleanup(signal.signal, signal.SIGUSR1, before)

        def keep(run: object) -> bool:
            signal.raise_signal(signal.SIGUSR1)
            return True

        with bulk_rerun.open(self.store) as host:
            self.assertEqual(len(host.rerun(status="failed", keep=keep)["triggered"]), 2)
        self.assertEqual(len(seen), 3)


if __name__ == "__main__":
    unittest.main()
