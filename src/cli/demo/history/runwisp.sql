-- RunWisp's newest table of runs: with its own mark for failures, and a unique execution id.
CREATE TABLE runs (
    id                    TEXT PRIMARY KEY,
    execution_id          TEXT,
    task_name             TEXT NOT NULL DEFAULT '',
    status                VARCHAR(20) NOT NULL,
    end_reason            VARCHAR(20),
    exit_code             INTEGER NOT NULL DEFAULT 0,
    started_at            DATETIME,
    ended_at              DATETIME,
    triggered_by          VARCHAR(20) NOT NULL,
    created_at            DATETIME NOT NULL,
    retry_attempt         INTEGER NOT NULL DEFAULT 0,
    retry_of_run_id       TEXT,
    instance_index        INTEGER NOT NULL DEFAULT 0,
    params_json           TEXT,
    deleted_at            DATETIME,
    is_failure            INTEGER NOT NULL DEFAULT 0,
    peak_memory_bytes     INTEGER,
    cpu_time_ms           INTEGER
);
CREATE UNIQUE INDEX idx_runs_execution_id ON runs(execution_id) WHERE execution_id IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX idx_runs_task_name ON runs(task_name);
CREATE INDEX idx_runs_deleted_at ON runs(deleted_at);
CREATE INDEX idx_runs_created_at_desc ON runs(created_at DESC, id DESC);
PRAGMA user_version = 8;
