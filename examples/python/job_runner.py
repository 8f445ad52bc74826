"""A small job runner that re-runs its failures with bulk_rerun (pip install bulk-rerun). It keeps its jobs in SQLite, and
bulk_rerun never opens that store: it asks for the jobs and has them started through functions, and has what it did kept
beside them.

    python3 job_runner.py jobs.db add backup 'test -e /mnt/disk && tar -C /mnt/disk -cf backup.tar .'
    python3 job_runner.py jobs.db work
    python3 job_runner.py jobs.db list
    python3 job_runner.py jobs.db plan                                 # each task's newest failure
    python3 job_runner.py jobs.db rerun                                # starts them, once more
    python3 job_runner.py jobs.db undo 01KB8Y4T7M3W5N6P8Q9R0S1T2V      # what no worker has begun, by the re-run's id
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import bulk_rerun
from bulk_rerun.types import Run, Selector

SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, command TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'queued',
    exit_code INTEGER, created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), again_of INTEGER);
CREATE TABLE IF NOT EXISTS operation (id TEXT PRIMARY KEY, key TEXT UNIQUE, json TEXT NOT NULL);
"""
#: A job's state as its phase and its end reason.
STATES = {
    "queued": ("pending", None),
    "running": ("running", None),
    "failed": ("ended", "failed"),
    "succeeded": ("ended", "succeeded"),
    "cancelled": ("ended", "cancelled"),
}


class JobRunner:
    def __init__(self, path: str) -> None:
        # Transactions are begun by hand.
        self.store = sqlite3.connect(path, isolation_level=None)
        self.store.row_factory = sqlite3.Row
        self.store.executescript(SCHEMA)

    def add(self, name: str, command: str) -> None:
        self.store.execute("INSERT INTO job (name, command) VALUES (?, ?)", [name, command])

    def work(self) -> None:
        while job := self.store.execute("SELECT * FROM job WHERE state = 'queued' ORDER BY id LIMIT 1").fetchone():
            self.store.execute("UPDATE job SET state = 'running' WHERE id = ?", [job["id"]])
            status = subprocess.run(job["command"], shell=True).returncode
            state = "failed" if status else "succeeded"
            self.store.execute("UPDATE job SET state = ?, exit_code = ? WHERE id = ?", [state, status, job["id"]])
            print(f"{job['id']} {job['name']}: exit status {status}")

    def list(self) -> None:
        for job in self.store.execute("SELECT id, name, state, exit_code, again_of FROM job ORDER BY id"):
            print(*("-" if value is None else value for value in job), sep="\t")

    # What bulk_rerun calls.

    def host(self) -> bulk_rerun.Host:
        return bulk_rerun.attach(
            runs=self.runs,
            spawn=self.spawn,
            begin=lambda: self.store.execute("BEGIN IMMEDIATE"),
            commit=lambda: self.store.execute("COMMIT"),
            rollback=lambda: self.store.execute("ROLLBACK"),
            undo=self.undo,
            find_operation=self.find_operation,
            record_operation=self.record_operation,
        )

    def runs(self, selector: Selector) -> Iterator[Mapping[str, Any]]:
        # All of them: bulk_rerun checks each one against the selector.
        for job in self.store.execute("SELECT * FROM job"):
            phase, end_reason = STATES[job["state"]]
            yield {
                "id": str(job["id"]),
                "task_name": job["name"],
                "phase": phase,
                "end_reason": end_reason,
                "exit_code": job["exit_code"],
                "created_at": job["created_at"],
                "params": job["command"],
            }

    def spawn(self, run: Run) -> str:
        new = "INSERT INTO job (name, command, again_of) VALUES (?, ?, ?)"
        return str(self.store.execute(new, [run["task_name"], run["params"], int(run["id"])]).lastrowid)

    def undo(self, run: Run) -> bool:
        cancel = "UPDATE job SET state = 'cancelled' WHERE id = ? AND state = 'queued'"
        return self.store.execute(cancel, [int(run["id"])]).rowcount == 1

    def find_operation(self, query: dict[str, Any]) -> object:
        if "limit" in query:
            return [
                json.loads(kept["json"]) for kept in self.store.execute("SELECT json FROM operation ORDER BY id DESC")
            ]
        wanted = [query.get("operation_id"), query.get("idempotency_key")]
        kept = self.store.execute("SELECT json FROM operation WHERE id = ? OR key = ?", wanted).fetchone()
        return kept and json.loads(kept["json"])

    def record_operation(self, operation: dict[str, Any]) -> None:
        # Undone, it comes once more, and takes its own place. Another one with its key must fail.
        keep = "INSERT INTO operation VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET json = excluded.json"
        key = operation.get("idempotency_key")
        self.store.execute(keep, [operation["operation_id"], key, json.dumps(operation)])


def main(path: str, command: str, *arguments: str) -> None:
    runner = JobRunner(path)
    with closing(runner.store):
        run_command(runner, command, *arguments)


def run_command(runner: JobRunner, command: str, *arguments: str) -> None:
    if command in ("add", "work", "list"):
        getattr(runner, command)(*arguments)
        return
    with runner.host() as host:
        if command == "plan":
            for group in host.plan(status="failed")["planned"]:
                print(f"{group['task_name']}: {group['rerun_of']}, the newest of {group['matched']}")
        elif command == "rerun":
            report = host.rerun(status="failed", actor="job_runner.py")
            for run in report["triggered"]:
                print(f"{run['task_name']}: {run['run_id']} (again of {run['rerun_of']})")
            print(report["operation_id"])
        elif command == "undo":
            for undone in host.undo(*arguments)["undone"]:
                print(f"{undone['task_name']}: {undone['run_id']} is taken back")
        else:
            raise SystemExit(f"there is no command {command}\n{__doc__}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
