"""The extension in the system's SQLite, through Python's own sqlite3: extension.py LIBRARY WAL ROLLBACK"""

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

LIBRARY, *STORES = sys.argv[1:4]
del sys.argv[1:]

FAILED = {"match_all": True, "filter": {"status": "failed"}}


class Case(unittest.TestCase):
    """Runs each test on a store in WAL mode and on one with a rollback journal."""

    def run(self, result=None):
        for original in STORES:
            self.folder = tempfile.TemporaryDirectory()
            self.store = shutil.copy(original, self.folder.name)
            self.connection = self.connect()
            super().run(result)
            self.connection.close()
            self.folder.cleanup()

    def connect(self, timeout=5):
        connection = sqlite3.connect(self.store, timeout=timeout, isolation_level=None, check_same_thread=False)
        connection.enable_load_extension(True)
        connection.load_extension(LIBRARY)
        return connection

    def ask(self, request, *config, connection=None):
        arguments = [value if isinstance(value, (str, bytes)) or value is None else json.dumps(value)
                     for value in (request, *config)]
        marks = ", ".join("?" * len(arguments))
        row = (connection or self.connection).execute(f"SELECT bulk_rerun({marks})", arguments).fetchone()
        return json.loads(row[0])

    def count(self):
        """As another process sees it."""
        sql = "SELECT count(*) FROM runs"
        output = subprocess.run(["sqlite3", self.store, sql], check=True, capture_output=True, text=True)
        return int(output.stdout)

    def assert_whole(self):
        self.assertEqual(self.connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])


class Transactions(Case):
    def test_by_itself_it_lasts(self):
        answer = self.ask(FAILED)
        self.assertEqual([run["rerun_of"] for run in answer["triggered"]], ["a2", "b1"])
        self.assertFalse(self.connection.in_transaction)
        self.assertEqual(self.count(), 6)
        self.assert_whole()

    def test_commit_keeps(self):
        for begin in ["BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT ours"]:
            before = self.count()
            self.connection.execute(begin)
            self.assertEqual(len(self.ask(FAILED)["triggered"]), 2)
            self.assertTrue(self.connection.in_transaction)
            self.assertEqual(self.connection.execute("SELECT count(*) FROM runs").fetchone(), (before + 2,))
            self.connection.execute("RELEASE ours" if "ours" in begin else "COMMIT")
            self.assertEqual(self.count(), before + 2)

    def test_rollback_undoes(self):
        self.connection.execute("BEGIN")
        self.connection.execute("UPDATE runs SET exit_code = 5 WHERE id = 'c1'")
        self.connection.execute("SAVEPOINT bulk_rerun")  # of the same name as the extension's own
        self.assertEqual(len(self.ask(FAILED)["triggered"]), 2)
        self.connection.execute("ROLLBACK TO bulk_rerun")
        self.connection.execute("COMMIT")
        self.assertEqual(self.count(), 4)
        self.assertEqual(self.connection.execute("SELECT exit_code FROM runs WHERE id = 'c1'").fetchone(), (5,))
        self.connection.execute("BEGIN")
        self.ask(FAILED)
        self.connection.execute("ROLLBACK")
        self.assertEqual(self.count(), 4)

    def test_a_dry_run_writes_nothing_and_locks_nothing(self):
        self.connection.execute("BEGIN")
        answer = self.ask({**FAILED, "options": {"dry_run": True}})
        self.assertEqual(answer["matched"], 3)
        subprocess.run(["sqlite3", self.store, "BEGIN IMMEDIATE"], check=True)
        self.connection.execute("COMMIT")
        self.assertEqual(self.ask({**FAILED, "options": {"expect_plan": answer["plan"]}})["triggered"][0]["rerun_of"], "a2")

    def test_all_or_nothing(self):
        """The second task's run is not wanted by the host: it is told so, and the caller's work is unharmed."""
        self.connection.execute(
            "CREATE TRIGGER no BEFORE INSERT ON runs WHEN new.task_name = 'report' "
            "BEGIN SELECT RAISE(FAIL, 'no reports today'); END")
        for begin, end in [("SELECT 1", "SELECT 1"), ("BEGIN", "COMMIT")]:
            before = self.count()
            self.connection.execute(begin)
            answer = self.ask(FAILED)
            self.connection.execute(end)
            self.assertEqual(answer["skipped"][0]["detail"], "no reports today")
            self.assertEqual(self.count(), before + 1)
            # A plan that can't be kept spawns nothing at all.
            self.connection.execute(begin)
            self.assertEqual(self.ask({**FAILED, "options": {"expect_plan": "another"}})["status"], 409)
            self.connection.execute(end)
            self.assertEqual(self.count(), before + 1)

    def test_a_trigger_that_rolls_back_takes_it_all(self):
        self.connection.execute(
            "CREATE TRIGGER no BEFORE INSERT ON runs WHEN new.task_name = 'report' "
            "BEGIN SELECT RAISE(ROLLBACK, 'not now'); END")
        for begin in ["SELECT 1", "BEGIN"]:
            self.connection.execute(begin)
            self.assertEqual(self.ask(FAILED)["status"], 500)
            self.assertFalse(self.connection.in_transaction)
            self.assertEqual(self.count(), 4)


class Places(Case):
    """Where it may be called from, and where not."""

    def test_inside_a_statement_that_writes(self):
        self.connection.execute("CREATE TABLE kept (answer)")
        request = json.dumps(FAILED)
        statements = ["INSERT INTO kept SELECT bulk_rerun(?)", "INSERT INTO kept VALUES (bulk_rerun(?)) RETURNING 1",
                      "REPLACE INTO kept SELECT bulk_rerun(?) FROM runs"]
        for begin, end in [("SELECT 1", "SELECT 1"), ("BEGIN", "COMMIT")]:
            self.connection.execute(begin)
            for statement in statements:
                self.connection.execute(statement, [request]).fetchall()
            self.connection.execute(end)
            self.assertFalse(self.connection.in_transaction)
            answers = [json.loads(answer) for (answer,) in self.connection.execute("SELECT answer FROM kept")]
            self.assertEqual(len(answers), 6)
            for answer in answers:
                self.assertEqual(answer["status"], 500)
                self.assertIn("inside a statement that writes", answer["detail"])
            self.assertEqual(self.count(), 4)
            self.connection.execute("DELETE FROM kept")
        update = "UPDATE runs SET params_json = bulk_rerun(?) WHERE id = 'c1'"
        self.connection.execute(update, [request])
        self.assertIn("inside a statement", self.connection.execute("SELECT params_json FROM runs WHERE id = 'c1'").fetchone()[0])
        self.assertEqual(self.count(), 4)

    def test_while_another_statement_writes(self):
        rows = self.connection.execute("INSERT INTO runs (id, task_name, status, triggered_by, created_at) "
                                       "VALUES ('x', 'x', 'ended', 'cron', ''), ('y', 'y', 'ended', 'cron', '') RETURNING id")
        self.assertEqual(rows.fetchone(), ("x",))
        # Python may have stepped it to its end by itself: either way nothing breaks.
        self.ask({"ids": ["b1"]})
        self.assertEqual(rows.fetchall(), [("y",)])
        self.assertFalse(self.connection.in_transaction)
        self.assert_whole()

    def test_triggers_and_views_cannot(self):
        request = json.dumps(FAILED)
        self.connection.execute(f"CREATE VIEW sly AS SELECT bulk_rerun('{request}') AS answer")
        self.connection.execute("CREATE TABLE t (x)")
        self.connection.execute(f"CREATE TRIGGER sly_too AFTER INSERT ON t BEGIN SELECT bulk_rerun('{request}'); END")
        self.connection.execute("BEGIN")
        self.connection.execute("UPDATE runs SET exit_code = 5 WHERE id = 'c1'")
        for statement in ["SELECT * FROM sly", "INSERT INTO t VALUES (1)"]:
            with self.assertRaisesRegex(sqlite3.OperationalError, "unsafe use of bulk_rerun"):
                self.connection.execute(statement).fetchall()
        self.assertTrue(self.connection.in_transaction)
        self.connection.execute("COMMIT")
        self.assertEqual(self.connection.execute("SELECT exit_code FROM runs WHERE id = 'c1'").fetchone(), (5,))
        self.assertEqual(self.count(), 4)

    def test_inside_a_statement_that_reads(self):
        rows = self.connection.execute("SELECT id, bulk_rerun(json_object('ids', json_array(id))) FROM runs "
                                       "WHERE id IN ('a1', 'b1') ORDER BY id").fetchall()
        self.assertEqual([json.loads(answer)["triggered"][0]["rerun_of"] for _, answer in rows], ["a1", "b1"])
        self.assertFalse(self.connection.in_transaction)
        self.assertEqual(self.count(), 6)
        self.assert_whole()

    def test_a_profile_that_calls_it_again(self):
        profile = Path(self.folder.name) / "again.toml"
        profile.write_text("""
            name = "again"
            engine = "sqlite"
            runner = "again"
            [start]
            running = "at once"
            stopped = "later"
            [[generation]]
            requires = { runs = ["id"] }
            runs = '''SELECT id, task_name, status AS phase, end_reason, exit_code,
                      bulk_rerun('{"match_all": true}') AS triggered_by, created_at, retry_attempt, NULL AS params FROM runs'''
            spawn = "INSERT INTO runs (id, task_name, status, triggered_by, created_at) VALUES (:new_id, :task_name, 'pending', bulk_rerun('{}'), :now)"
        """)
        answer = self.ask({"match_all": True, "filter": {"triggered_by": "x"}}, {"profile": str(profile)})
        self.assertEqual(answer, {"triggered": []})
        answer = self.ask({"ids": ["b1"]}, {"profile": str(profile)})
        self.assertEqual(len(answer["triggered"]), 1)
        (trigger,) = self.connection.execute("SELECT triggered_by FROM runs WHERE status = 'pending'").fetchone()
        self.assertIn("from within itself", trigger)

    def test_a_profile_of_several_statements_and_a_hash(self):
        profile = Path(self.folder.name) / "list.toml"
        profile.write_text("""
            name = "list"
            engine = "sqlite"
            runner = "list"
            [[generation]]
            requires = { runs = ["id"] }
            runs = "SELECT id, task_name, status AS phase, end_reason, created_at FROM runs"
            spawn = [
                "INSERT INTO runs (id, task_name, status, created_at) VALUES (:new_id, :task_name, 'pending', :now)",
                "UPDATE runs SET triggered_by = bulk_rerun_sha256(:task_name) WHERE id = :new_run AND :id <> 'c1'",
                "UPDATE runs SET id = 'a2' WHERE id = :new_run AND :id = 'b1'",
            ]
        """)
        self.connection.execute("BEGIN")
        answer = self.ask({"ids": ["a2", "b1", "c1"]}, {"profile": str(profile)})
        self.assertEqual([run["rerun_of"] for run in answer["triggered"]], ["a2", "c1"])
        self.assertEqual([skipped["reason"] for skipped in answer["skipped"]], ["refused"])
        self.assertIn("UNIQUE constraint failed", answer["skipped"][0]["detail"])
        new = "SELECT task_name, triggered_by FROM runs WHERE status = 'pending' ORDER BY id"
        (first, hashed), (second, unhashed) = self.connection.execute(new).fetchall()
        self.assertEqual((hashed, second, unhashed), (hashlib.sha256(first.encode()).hexdigest(), "mail", None))
        self.connection.execute("ROLLBACK")
        self.assertEqual(self.count(), 4)


class Errors(Case):
    """Errors are answers, and leave the connection as it was."""

    def test_bad_requests(self):
        for request, status in [("{", 400), ("", 400), (None, 400), ("[]", 400), (b"\xff", 400), ({"ids": []}, 400),
                                ({"match_al": True}, 422), ("7", 400)]:
            answer = self.ask(request)
            self.assertEqual((answer["type"], answer["status"]), ("about:blank", status), request)
        self.assertEqual(json.loads(self.connection.execute("SELECT bulk_rerun(7)").fetchone()[0])["status"], 400)
        for arguments in ["", "1, 2, 3"]:
            with self.assertRaisesRegex(sqlite3.OperationalError, "wrong number of arguments"):
                self.connection.execute(f"SELECT bulk_rerun({arguments})")
        self.assertEqual(self.count(), 4)

    def test_configs(self):
        self.assertIn("rerunOf", self.ask({"ids": ["b1"]}, {"wire": "camel"})["triggered"][0])
        self.assertIn("rerun_of", self.ask({"ids": ["b1"]}, None)["triggered"][0])
        for name, value in [("store", "other.db"), ("busy_timeout_ms", 1), ("sqlite", "shared")]:
            answer = self.ask({"ids": ["b1"]}, {name: value})
            self.assertEqual((answer["status"], answer["errors"][0]["location"]), (422, f"config.{name}"))
        self.assertEqual(self.ask({"ids": ["b1"]}, "{")["status"], 400)
        self.assertIn("neither built in", self.ask({"ids": ["b1"]}, {"profile": "no such"})["detail"])
        self.assertEqual(self.ask({"ids": ["b1"]}, {"profile": "runwisp"})["triggered"][0]["rerun_of"], "b1")
        tasks = Path(self.folder.name) / "runwisp.toml"
        tasks.write_text("[tasks.backup]\ncron = '@daily'\n")
        self.assertEqual(self.ask({"ids": ["b1"]}, {"tasks": str(tasks)})["skipped"][0]["reason"], "unknown_task")

    def test_the_store_as_another_file(self):
        """To read it would close it, and drop the locks on it."""
        self.connection.execute("BEGIN EXCLUSIVE")
        for name in ["profile", "tasks"]:
            self.assertIn("is the store", self.ask({"ids": ["b1"]}, {name: self.store})["detail"])
            locked = subprocess.run(["sqlite3", self.store, "BEGIN IMMEDIATE"], capture_output=True, text=True)
            self.assertIn("locked", locked.stderr)
        self.connection.execute("COMMIT")

    def test_no_store_of_any_runner(self):
        connection = sqlite3.connect(":memory:")
        connection.enable_load_extension(True)
        connection.load_extension(LIBRARY)
        self.assertIn("no built-in profile", self.ask(FAILED, connection=connection)["detail"])
        connection.close()

    def test_a_busy_store(self):
        holder = sqlite3.connect(self.store, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        impatient = self.connect(timeout=0.05)
        for begin, end in [("SELECT 1", "SELECT 1"), ("BEGIN", "COMMIT")]:
            impatient.execute(begin)
            self.assertEqual(self.ask(FAILED, connection=impatient)["status"], 503)
            impatient.execute(end)
            self.assertFalse(impatient.in_transaction)
        holder.execute("COMMIT")
        self.assertEqual(len(self.ask(FAILED, connection=impatient)["triggered"]), 2)
        impatient.close()
        holder.close()
        self.assertEqual(self.count(), 6)

    def test_a_transaction_that_can_only_read(self):
        if self.connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            return  # there the writer waits for the reader instead
        self.connection.execute("BEGIN")
        self.connection.execute("SELECT * FROM runs").fetchall()
        subprocess.run(["sqlite3", self.store, "UPDATE runs SET exit_code = 2 WHERE id = 'c1'"], check=True)
        answer = self.ask(FAILED)
        self.assertEqual(answer["status"], 503)
        self.assertIn("BEGIN IMMEDIATE", answer["detail"])
        self.connection.execute("ROLLBACK")
        self.assertEqual(len(self.ask(FAILED)["triggered"]), 2)

    def test_foreign_keys_are_the_callers_affair(self):
        self.connection.execute("CREATE TABLE known (name TEXT PRIMARY KEY)")
        self.connection.execute("CREATE TABLE started (task TEXT REFERENCES known (name))")
        self.connection.execute("CREATE TRIGGER note AFTER INSERT ON runs BEGIN INSERT INTO started VALUES (NEW.task_name); END")
        for enforced in [True, False]:
            self.connection.execute(f"PRAGMA foreign_keys = {enforced}")
            answer = self.ask({"ids": ["b1"]})
            self.assertEqual((len(answer["triggered"]), "skipped" in answer), (1 - enforced, enforced))
            self.assertEqual(self.connection.execute("PRAGMA foreign_keys").fetchone(), (enforced,))

    def test_an_authorizer_that_says_no(self):
        self.connection.execute("BEGIN")
        self.connection.execute("UPDATE runs SET exit_code = 5 WHERE id = 'c1'")
        denied = lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_INSERT else sqlite3.SQLITE_OK
        self.connection.set_authorizer(denied)
        answer = self.ask(FAILED)
        self.connection.set_authorizer(None)
        self.assertEqual(answer["status"], 500)
        self.assertIn("not authorized", answer["detail"])
        self.connection.execute("COMMIT")
        self.assertEqual(self.count(), 4)

    def test_loaded_twice_and_in_two_connections(self):
        self.connection.load_extension(LIBRARY)
        other = self.connect()
        self.assertEqual(len(self.ask(FAILED)["triggered"]), 2)
        self.assertEqual(len(self.ask(FAILED, connection=other)["triggered"]), 2)
        other.close()
        self.assertEqual(self.count(), 8)


class Interruptions(Case):
    """sqlite3_interrupt and progress handlers stop a call wherever it is, and nothing is left half done."""

    def setUp(self):
        self.connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO runs "
            "(id, task_name, status, end_reason, exit_code, triggered_by, created_at, is_failure) "
            "SELECT 'f' || i, 'task ' || i, 'ended', 'failed', 1, 'cron', '2026-04-15T03:00:00Z', 1 FROM n")

    def interrupted(self, steps, begin):
        """Interrupts for good once SQLite has made so many steps. Whether it got so far."""
        connection = self.connect()
        connection.execute(begin)
        before = self.count()
        left = [steps]

        def look():
            left[0] -= 1
            if left[0] == 0:
                # From within SQLite, as another thread would do it.
                connection.interrupt()
            return 0

        connection.set_progress_handler(look, 100)
        try:
            answer = self.ask(FAILED, connection=connection)
        except sqlite3.OperationalError as error:
            self.assertEqual(str(error), "interrupted")
            answer = None
        connection.set_progress_handler(None, 0)
        if answer is None:
            # It may have come when all was done: then the caller's own statement was interrupted after that.
            possible = (0, 302)
        else:
            possible = (len(answer.get("triggered", ())),)
        if connection.in_transaction:
            # What the caller commits now is all of it or nothing.
            connection.execute("COMMIT")
        added = self.count() - before
        self.assertIn(added, possible, f"after {steps} looks: {answer}")
        self.assertIn(added, (0, 302))
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
        connection.close()
        return left[0] <= 0

    def test_at_every_stage(self):
        for begin in ["SELECT 1", "BEGIN", "BEGIN IMMEDIATE"]:
            steps, seen = 1, 0
            while self.interrupted(steps, begin):
                seen += 1
                steps = steps + 1 + steps // 6
            self.assertGreater(seen, 10)
        self.assert_whole()

    def test_from_another_thread(self):
        timer = threading.Timer(0.002, self.connection.interrupt)
        timer.start()
        before = self.count()
        try:
            possible = (len(self.ask(FAILED).get("triggered", ())),)
        except sqlite3.OperationalError:
            possible = (0, 302)
        timer.join()
        self.assertIn(self.count() - before, possible)
        self.assertFalse(self.connection.in_transaction)


if __name__ == "__main__":
    unittest.main()
