CREATE TABLE job (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE execution (
    serial    INTEGER PRIMARY KEY AUTOINCREMENT,
    uid       TEXT NOT NULL UNIQUE,
    job       INTEGER NOT NULL REFERENCES job(number),
    state     TEXT NOT NULL,
    code      INTEGER,
    origin    TEXT,
    queued_at INTEGER NOT NULL,
    attempt   INTEGER NOT NULL DEFAULT 0,
    arguments TEXT
);
