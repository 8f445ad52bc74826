"""A RunWisp store in a folder that goes with the test: two tasks have failed, one of them twice."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path

SCHEMA = """
PRAGMA journal_mode = wal;
CREATE TABLE runs (
    id TEXT PRIMARY KEY, execution_id TEXT, task_name TEXT NOT NULL DEFAULT '', status VARCHAR(20) NOT NULL,
    end_reason VARCHAR(20), exit_code INTEGER NOT NULL DEFAULT 0, started_at DATETIME, ended_at DATETIME,
    triggered_by VARCHAR(20) NOT NULL, created_at DATETIME NOT NULL, retry_attempt INTEGER NOT NULL DEFAULT 0,
    retry_of_run_id TEXT, instance_index INTEGER NOT NULL DEFAULT 0, params_json TEXT, deleted_at DATETIME,
    is_failure INTEGER NOT NULL DEFAULT 0, peak_memory_bytes INTEGER, cpu_time_ms INTEGER);
INSERT INTO runs (id, task_name, status, end_reason, exit_code, triggered_by, created_at, params_json, is_failure) VALUES
    ('a1', 'backup', 'ended', 'failed', 1, 'cron', '2026-04-15T01:00:00Z', '{"n": 1}', 1),
    ('a2', 'backup', 'ended', 'failed', 137, 'cron', '2026-04-15T02:00:00Z', '{ "n": "ł" }', 1),
    ('b1', 'report', 'ended', 'failed', 2, 'api', '2026-04-15T03:00:00Z', NULL, 1),
    ('c1', 'mail', 'ended', 'success', 0, 'cron', '2026-04-15T04:00:00Z', NULL, 0);
"""


class Case(unittest.TestCase):
    def setUp(self) -> None:
        # Who is started in the background of a script is born deaf to Ctrl-C, and some tests would wait for it for ever.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.store = self.folder / "runs.db"
        self.sql(SCHEMA)

    def sql(self, script: str) -> None:
        connection = sqlite3.connect(self.store)
        connection.executescript(script)
        connection.close()

    def lock(self) -> Callable[[], None]:
        """Another process that lets nobody read, until the function that is returned is called."""
        holds = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA locking_mode = exclusive'); "
            "c.execute('BEGIN EXCLUSIVE'); print(flush=True); sys.stdin.read()"
        )
        pipe = subprocess.PIPE
        other = subprocess.Popen([sys.executable, "-c", holds, self.store], stdin=pipe, stdout=pipe)
        self.addCleanup(other.communicate)
        assert other.stdout
        assert other.stdout.readline()
        return other.kill

    def spawned(self) -> list[tuple[str, str | None]]:
        """The tasks and parameters of what is pending."""
        connection = sqlite3.connect(self.store)
        query = "SELECT task_name, params_json FROM runs WHERE status = 'pending' ORDER BY task_name, id"
        rows = connection.execute(query).fetchall()
        connection.close()
        return rows

    def assert_nothing_spawned(self) -> None:
        self.assertEqual(self.spawned(), [])

    def profile(self, runs: str, spawn: str = "") -> Path:
        """A profile of this store's with a view of its own."""
        path = self.folder / "own.toml"
        spawn = spawn or (
            "INSERT INTO runs (id, task_name, status, triggered_by, created_at) "
            "VALUES (:new_id, :task_name, 'pending', 'api', :now)"
        )
        path.write_text(
            f"name = 'own'\nengine = 'sqlite'\nrunner = 'own'\n[[generation]]\nrequires = {{ runs = ['id'] }}\n"
            f"runs = '''{runs}'''\nspawn = '''{spawn}'''\n"
        )
        return path
