"""A store: plans, re-runs, looking, the ledger, errors."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import unittest
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import bulk_rerun
from store import Case


class Reruns(Case):
    def test_a_plan_is_carried_out_exactly_or_not_at_all(self) -> None:
        with bulk_rerun.open(self.store) as host:
            plan = host.plan(status="failed")
            self.assertEqual(
                [(group["task_name"], group["rerun_of"]) for group in plan["planned"]],
                [("backup", "a2"), ("report", "b1")],
            )
            self.assertEqual((plan["matched"], plan["skipped"]), (3, []))
            self.assert_nothing_spawned()
            with self.assertRaises(bulk_rerun.Conflict) as caught:
                host.rerun(task_name="backup", expect_plan=plan["plan"])
            self.assertEqual(caught.exception.status, 409)
            self.assert_nothing_spawned()
            report = host.rerun(status="failed", expect_plan=plan["plan"])
            self.assertEqual([run["rerun_of"] for run in report["triggered"]], ["a2", "b1"])
            self.assertEqual(report["skipped"], [])
        self.assertEqual(self.spawned(), [("backup", '{ "n": "ł" }'), ("report", None)])

    def test_each_keyword_says_what_it_says_in_json(self) -> None:
        noon = datetime(2026, 4, 15, 4, 30, tzinfo=timezone(timedelta(hours=2)))
        with bulk_rerun.open(self.store) as host:
            for expected, keywords in [
                (["a2", "b1"], {"status": ["failed", "timeout"]}),
                (["a2", "b1"], {"status": iter(["failed"])}),
                (["b1"], {"created_after": noon, "is_failure": True}),
                (["a2"], {"created_before": noon}),
                (["a2", "c1", "b1"], {"match_all": True}),
                (["a2", "c1", "b1"], {"exit_code_min": 0}),
                (["a1", "b1"], {"status": "failed", "except_ids": ("a2",)}),
                (["b1"], {"status": "failed", "except_tasks": {"backup"}}),
                (["a1", "a2", "b1"], {"status": "failed", "unique_by": "run"}),
                (["a1"], {"ids": (id for id in ["a1"])}),
                (["b1"], {"search": "PORT", "retries_only": None, "triggered_by": ""}),
            ]:
                plan = host.plan(**keywords)  # type: ignore[arg-type]
                self.assertEqual([group["rerun_of"] for group in plan["planned"]], expected, keywords)
            first, second = host.plan(status="failed")["planned"]
            self.assertEqual(host.plan(status="failed", except_groups=[first])["planned"], [second])
            self.assertEqual(host.plan(status="failed", take=1)["skipped"][0]["reason"], "not_taken")
            plan = host.plan(status="failed", with_runs=True, times=2)
            self.assertEqual((plan["planned"][0]["run"]["exit_code"], len(plan["times"]["buckets"])), (137, 2))
            self.assertEqual(host.rerun(ids=["nobody"])["skipped"], [{"run_id": "nobody", "reason": "not_found"}])
        self.assert_nothing_spawned()

    def test_no_condition_is_not_every_run(self) -> None:
        with bulk_rerun.open(self.store) as host:
            for keywords in [
                {},
                {"status": None},
                {"status": " , "},
                {"status": []},
                {"task_name": ""},
                {"retries_only": False},
            ]:
                with self.assertRaisesRegex(bulk_rerun.Invalid, "no runs are named", msg=keywords):
                    host.rerun(**keywords)  # type: ignore[arg-type]
        self.assert_nothing_spawned()

    def test_a_keyword_that_is_not_known(self) -> None:
        with bulk_rerun.open(self.store) as host:
            with self.assertRaisesRegex(
                TypeError, r"rerun\(\) got an unexpected keyword argument 'statuss'. Did you mean 'status'\?"
            ):
                host.rerun(statuss="failed")  # type: ignore[call-arg]
            with self.assertRaisesRegex(TypeError, "'dry_run'"):
                host.rerun(status="failed", dry_run=True)  # type: ignore[call-arg]
            with self.assertRaisesRegex(TypeError, "'limit'"):
                host.runs(limit=1)  # type: ignore[call-arg]
        with self.assertRaisesRegex(TypeError, "'shop'"):
            bulk_rerun.open(shop="runs.db")  # type: ignore[call-arg]
        self.assert_nothing_spawned()

    def test_a_request_as_every_door_takes_it(self) -> None:
        with bulk_rerun.open(self.store) as host:
            answer = host.call({"matchAll": True, "filter": {"taskName": "report"}})
            self.assertEqual(answer["triggered"][0]["rerunOf"], "b1")
            with self.assertRaises(bulk_rerun.Invalid):
                host.call({"match_al": True})


class Looking(Case):
    def test_runs_come_in_the_stores_order_and_spawning_meanwhile_is_fine(self) -> None:
        with bulk_rerun.open(self.store) as host:
            seen = []
            for run in host.runs(status="failed"):
                seen.append(run["id"])
                host.rerun(ids=[run["id"]])
            self.assertEqual(seen, ["a1", "a2", "b1"])
            (run,) = host.runs(ids=["a2"])
            self.assertEqual(
                (run["params"], run["exit_code"], run["created_at"]), ('{ "n": "ł" }', 137, "2026-04-15T02:00:00Z")
            )
            self.assertEqual([run["id"] for run in host.runs(status="failed", except_tasks=["backup"])], ["b1"])
            self.assertEqual(next(host.runs(match_all=True))["id"], "a1")
            # What was found when it began, whatever becomes of the host.
            rest = host.runs(status="failed")
        self.assertEqual(len(list(rest)), 3)
        self.assertEqual(len(self.spawned()), 3)


class TheLedger(Case):
    def test_what_was_re_run_is_found_again_and_taken_back(self) -> None:
        with bulk_rerun.open(self.store, ledger=True) as host:
            report = host.rerun(status="failed", reason="the disk was full", actor="ada", idempotency_key="monday")
            again = host.rerun(status="failed", reason="the disk was full", actor="ada", idempotency_key="monday")
            self.assertEqual((again["replayed"], again["triggered"]), (True, report["triggered"]))
            (operation,) = host.operations(limit=5)
            self.assertEqual(
                (operation["door"], operation["actor"], operation["reason"]), ("python", "ada", "the disk was full")
            )
            self.assertEqual(host.operations(run_id="a2"), [operation])
            self.assertEqual(host.operations(created_after=datetime.now(timezone.utc) + timedelta(days=1)), [])
            one = host.operation(report["operation_id"])
            self.assertEqual((one["states"], one["runs"][0]["phase"]), ({"pending": 2}, "pending"))
            undone = host.undo(report["operation_id"])
            self.assertEqual([run["task_name"] for run in undone["undone"]], ["backup", "report"])
            self.assertEqual(host.undo(report["operation_id"])["undone"], [])
            with self.assertRaises(bulk_rerun.NotFound):
                host.operation("01JRX3M7ZD7Q8M5T8E2Y9V4B6C")
        self.assert_nothing_spawned()

    def test_without_one(self) -> None:
        with bulk_rerun.open(self.store) as host:
            self.assertNotIn("operation_id", host.rerun(ids=["a1"]))
            with self.assertRaises(bulk_rerun.NotFound):
                host.operations()
            with self.assertRaises(bulk_rerun.Invalid):
                host.rerun(ids=["a1"], idempotency_key="monday")


class Errors(Case):
    def test_they_say_every_violation(self) -> None:
        with bulk_rerun.open(self.store) as host, self.assertRaises(bulk_rerun.Invalid) as caught:
            host.rerun(created_after="yesterday", exit_code_min="1", limit=0)  # type: ignore[arg-type]
        for error in [caught.exception, pickle.loads(pickle.dumps(caught.exception))]:
            self.assertIsInstance(error, bulk_rerun.BulkRerunError)
            self.assertEqual((error.status, error.title, error.triggered), (422, "Unprocessable Entity", []))
            places = ["body.filter.created_after", "body.filter.exit_code_min", "body.options.limit"]
            self.assertEqual([violation["location"] for violation in error.errors], places)
            self.assertTrue(all(place in str(error) for place in places), str(error))

    def test_values_that_are_none(self) -> None:
        with bulk_rerun.open(self.store) as host:
            with self.assertRaisesRegex(ValueError, "has no time zone"):
                host.rerun(created_after=datetime(2026, 4, 15))
            with self.assertRaisesRegex(TypeError, "no value of JSON's"):
                host.rerun(task_name=7j)  # type: ignore[arg-type]
            with self.assertRaises(bulk_rerun.BulkRerunError):
                host.rerun(task_name="\ud800")
            self.assertEqual(host.plan(task_name="a\0b")["planned"], [])

    def test_a_store_that_is_not_there(self) -> None:
        with self.assertRaises(bulk_rerun.BulkRerunError) as caught:
            bulk_rerun.open(self.folder / "nowhere.db")
        self.assertEqual(caught.exception.status, 500)
        self.assertIn("nowhere.db", str(caught.exception))

    def test_a_store_that_is_locked(self) -> None:
        holds = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN IMMEDIATE'); print(flush=True); input()"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen([sys.executable, "-c", holds, self.store], **pipes) as other:  # type: ignore[call-overload]
            other.stdout.readline()
            with bulk_rerun.open(self.store, busy_timeout_ms=1) as host, self.assertRaises(bulk_rerun.Busy):
                host.rerun(status="failed")
            other.communicate(b"\n")
        self.assert_nothing_spawned()

    def test_closed(self) -> None:
        host = bulk_rerun.open(self.store)
        self.assertEqual(repr(host), "<bulk_rerun.Host open>")
        host.close()
        host.close()
        self.assertEqual(repr(host), "<bulk_rerun.Host closed>")
        calls: list[Callable[[], object]] = [
            lambda: host.plan(match_all=True),
            lambda: host.runs(match_all=True),
            lambda: host.undo("x"),
            lambda: host.rerun(match_all=True, keep=lambda run: True),
        ]
        for call in calls:
            with self.assertRaisesRegex(bulk_rerun.Conflict, "the host is closed"):
                call()


class BesidePythonsOwnSqlite(Case):
    def test_a_store_that_is_open_already(self) -> None:
        own = sqlite3.connect(self.store)
        own.execute("SELECT * FROM runs").fetchall()
        with self.assertRaisesRegex(bulk_rerun.BulkRerunError, "open"):
            bulk_rerun.open(self.store)
        with bulk_rerun.open(self.store, sqlite="shared") as host:
            self.assertEqual(len(host.rerun(status="failed")["triggered"]), 2)
        self.assertEqual(own.execute("SELECT count(*) FROM runs").fetchone(), (6,))
        own.close()

    @unittest.skipUnless(hasattr(sqlite3.Connection, "load_extension"), "this Python's sqlite3 loads no extensions")
    def test_in_its_own_transaction_as_an_extension(self) -> None:
        own = sqlite3.connect(self.store, isolation_level=None)
        own.enable_load_extension(True)
        own.load_extension(bulk_rerun.LIBRARY)
        own.execute("BEGIN")
        (answer,) = own.execute(
            "SELECT bulk_rerun(?)", ['{"match_all": true, "filter": {"status": "failed"}}']
        ).fetchone()
        self.assertEqual(len(json.loads(answer)["triggered"]), 2)
        own.execute("ROLLBACK")
        own.close()
        self.assert_nothing_spawned()


class ThePackage(Case):
    def test_it_has_what_a_program_in_c_needs(self) -> None:
        self.assertIn("bulk_rerun_open", (Path(bulk_rerun.INCLUDE) / "bulk_rerun.h").read_text())
        self.assertTrue(Path(bulk_rerun.LIBRARY).is_file())

    def test_the_environments_library_comes_first(self) -> None:
        program = [sys.executable, "-c", "import bulk_rerun; print(bulk_rerun.LIBRARY)"]
        copy = str(Path(self.folder) / "elsewhere.so")
        shutil.copy(bulk_rerun.LIBRARY, copy)
        for named, found in [(copy, copy), ("", bulk_rerun.LIBRARY)]:
            said = subprocess.run(program, env={**os.environ, "BULK_RERUN_LIB": named}, capture_output=True, text=True)
            self.assertEqual(said.stdout.strip(), found, said.stderr)
        # Another one in its place would not be what was meant.
        nowhere = subprocess.run(
            program, env={**os.environ, "BULK_RERUN_LIB": "/nowhere.so"}, capture_output=True, text=True
        )
        self.assertIn("Say in BULK_RERUN_LIB where libbulk_rerun.so is", nowhere.stderr)

    def test_one_version(self) -> None:
        from importlib.metadata import version

        self.assertEqual(bulk_rerun.__version__, version("bulk-rerun"))
        said = subprocess.run(["bulk-rerun", "--version"], capture_output=True, text=True, check=True).stdout
        self.assertIn(bulk_rerun.__version__, said)


if __name__ == "__main__":
    unittest.main()
