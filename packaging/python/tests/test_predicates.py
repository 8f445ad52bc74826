"""What a predicate may do, and what comes of it."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import unittest
from collections.abc import Callable, Iterator
from types import FrameType

import bulk_rerun
from bulk_rerun.types import Run
from store import Case


class Odd(Exception):
    """The program's own."""


class Predicates(Case):
    def test_each_matched_run_is_kept_or_dropped_before_the_runs_are_grouped(self) -> None:
        seen = []

        def keep(run: Run) -> bool:
            seen.append(run["id"])
            return run["exit_code"] != 137

        with bulk_rerun.open(self.store) as host:
            plan = host.plan(status="failed", keep=keep)
            self.assertEqual([group["rerun_of"] for group in plan["planned"]], ["a1", "b1"])
            self.assertEqual(sorted(seen), ["a1", "a2", "b1"])
            host.rerun(status="failed", expect_plan=plan["plan"], keep=keep)
        self.assertEqual(self.spawned(), [("backup", '{"n": 1}'), ("report", None)])

    def assert_raises_as_itself(self, error: BaseException) -> None:
        def keep(run: Run) -> bool:
            if run["id"] == "b1":
                raise error
            return True

        said = io.StringIO()
        with bulk_rerun.open(self.store) as host, contextlib.redirect_stderr(said):
            with self.assertRaises(type(error)) as caught:
                host.rerun(status="failed", keep=keep)
        self.assertIs(caught.exception, error)
        self.assertIsNone(error.__cause__)
        self.assertEqual(bulk_rerun.started(error), [])
        self.assertEqual(said.getvalue(), "")
        self.assert_nothing_spawned()

    def test_what_it_raises_comes_out_as_it_was_raised(self) -> None:
        for error in [
            Odd("x"),
            KeyError("no such field"),
            KeyboardInterrupt(),
            SystemExit(3),
            GeneratorExit(),
            RecursionError(),
        ]:
            with self.subTest(error=error):
                self.assert_raises_as_itself(error)

    def test_on_another_thread_too(self) -> None:
        errors: list[BaseException] = []

        def call() -> None:
            try:
                self.assert_raises_as_itself(Odd())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        self.assertEqual(errors, [])

    def test_one_that_forgets_to_return(self) -> None:
        def forgets(run: Run) -> bool:  # type: ignore[return]
            run["exit_code"] == 137

        with bulk_rerun.open(self.store) as host:
            for keep in [forgets, lambda run: 1, lambda run: "yes", lambda run: 0]:
                with self.assertRaisesRegex(
                    TypeError, "keep returned .* for run a1 of backup: it must return True or False"
                ):
                    host.rerun(status="failed", keep=keep)  # type: ignore[arg-type]
            with self.assertRaisesRegex(TypeError, "keep must be a function"):
                host.rerun(status="failed", keep=True)  # type: ignore[arg-type]
        self.assert_nothing_spawned()

    def test_one_that_calls_its_host_again(self) -> None:
        with bulk_rerun.open(self.store) as host:
            calls: list[Callable[[], object]] = [
                lambda: host.rerun(ids=["a1"]),
                lambda: host.plan(ids=["a1"], keep=lambda run: True),
                lambda: host.runs(ids=["a1"]),
                lambda: host.operations(),
            ]
            for again in calls:
                with self.assertRaises(bulk_rerun.Conflict) as caught:
                    host.rerun(status="failed", keep=lambda run: bool(again()))
                self.assertEqual(caught.exception.status, 409)
                self.assert_nothing_spawned()

            # Caught, it is as any other exception is that was caught.
            def keep(run: Run) -> bool:
                with contextlib.suppress(bulk_rerun.Conflict):
                    host.rerun(ids=["a1"])
                return run["id"] == "b1"

            host.rerun(status="failed", keep=keep)
        self.assertEqual(self.spawned(), [("report", None)])

    def test_one_that_calls_another_host(self) -> None:
        other = bulk_rerun.attach(runs=lambda _: [{"id": "1", "task_name": "t"}], spawn=lambda run: "2")
        with bulk_rerun.open(self.store) as host:
            with self.assertRaises(Odd):
                host.rerun(status="failed", keep=lambda run: bool(other.rerun(match_all=True, keep=odd)))
            self.assert_nothing_spawned()
            host.rerun(status="failed", keep=lambda run: bool(other.rerun(match_all=True)["triggered"]))
        self.assertEqual(len(self.spawned()), 2)

    def test_one_that_closes_its_host(self) -> None:
        host = bulk_rerun.open(self.store)

        def keep(run: Run) -> bool:
            host.close()
            return True

        self.assertEqual(len(host.rerun(status="failed", keep=keep)["triggered"]), 2)
        with self.assertRaises(bulk_rerun.Conflict):
            host.plan(match_all=True)

    def test_deep_in_a_recursion(self) -> None:
        """Where there is no room for a predicate's frame, it is not asked: that must not be taken for an answer."""
        asked = []
        ends: list[str] = []

        def keep(run: Run) -> bool:
            asked.append(run["id"])
            return False

        def at_depth(depth: int) -> None:
            if depth:
                at_depth(depth - 1)
            else:
                host.rerun(status="failed", keep=keep)

        def at_each_depth() -> None:
            room = sys.getrecursionlimit() - len(list(iter_frames()))
            for depth in range(room - 60, room + 1):
                asked.clear()
                try:
                    at_depth(depth)
                    ends.append("asked" if sorted(asked) == ["a1", "a2", "b1"] else f"asked about {asked} alone")
                except RecursionError:
                    ends.append("too deep")

        said = io.StringIO()
        with bulk_rerun.open(self.store) as host, contextlib.redirect_stderr(said):
            at_each_depth()
            thread = threading.Thread(target=at_each_depth)
            thread.start()
            thread.join()
        self.assertEqual((set(ends), said.getvalue()), ({"asked", "too deep"}, ""))
        self.assert_nothing_spawned()


def odd(run: Run) -> bool:
    raise Odd


def iter_frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe()
    while frame:
        yield frame
        frame = frame.f_back


if __name__ == "__main__":
    unittest.main()
