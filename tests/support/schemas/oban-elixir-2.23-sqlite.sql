-- Oban 2.23 for Elixir on SQLite: its table, in our own words after its migration for SQLite (version 1), with the types
-- that ecto_sqlite3 has for Ecto's.
CREATE TABLE oban_jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    state TEXT NOT NULL DEFAULT 'available',
    queue TEXT NOT NULL DEFAULT 'default',
    worker TEXT NOT NULL,
    args TEXT NOT NULL DEFAULT ('{}'),
    meta TEXT NOT NULL DEFAULT ('{}'),
    tags TEXT NOT NULL DEFAULT ('[]'),
    errors TEXT NOT NULL DEFAULT ('[]'),
    attempt INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL DEFAULT 20,
    priority INTEGER NOT NULL DEFAULT 0,
    inserted_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
    scheduled_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
    attempted_at TEXT,
    attempted_by TEXT NOT NULL DEFAULT ('[]'),
    cancelled_at TEXT,
    completed_at TEXT,
    discarded_at TEXT
);
CREATE INDEX oban_jobs_state_queue_priority_scheduled_at_id_index ON oban_jobs (state, queue, priority, scheduled_at, id);
