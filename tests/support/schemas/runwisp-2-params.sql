-- RunWisp with parameters and soft deletes (its migration 1).
CREATE TABLE runs (
    id                    TEXT PRIMARY KEY,
    external_execution_id TEXT,
    task_name             TEXT NOT NULL DEFAULT '',
    status                VARCHAR(20) NOT NULL,
    end_reason            VARCHAR(20),
    exit_code             INTEGER NOT NULL DEFAULT 0,
    start_at              DATETIME,
    end_at                DATETIME,
    triggered_by          VARCHAR(20) NOT NULL,
    created_at            DATETIME NOT NULL,
    retry_attempt         INTEGER NOT NULL DEFAULT 0,
    retry_of_run_id       TEXT,
    instance_index        INTEGER NOT NULL DEFAULT 0,
    params_json           TEXT,
    deleted_at            DATETIME
);
CREATE INDEX idx_runs_external_execution_id ON runs(external_execution_id);
CREATE INDEX idx_runs_task_name ON runs(task_name);
CREATE INDEX idx_runs_deleted_at ON runs(deleted_at);
CREATE INDEX idx_runs_created_at_desc ON runs(created_at DESC, id DESC);
PRAGMA user_version = 1;
