-- Solid Queue 1.5.0 on SQLite: the tables that hold a job, in our own words after the schema file that its generator writes
-- (Rails has datetime(6) for datetime, and varchar for string).
CREATE TABLE solid_queue_jobs (
    id integer PRIMARY KEY AUTOINCREMENT NOT NULL,
    queue_name varchar NOT NULL,
    class_name varchar NOT NULL,
    arguments text,
    priority integer DEFAULT 0 NOT NULL,
    active_job_id varchar,
    scheduled_at datetime(6),
    finished_at datetime(6),
    concurrency_key varchar,
    created_at datetime(6) NOT NULL,
    updated_at datetime(6) NOT NULL
);
CREATE INDEX index_solid_queue_jobs_on_active_job_id ON solid_queue_jobs (active_job_id);
CREATE INDEX index_solid_queue_jobs_on_class_name ON solid_queue_jobs (class_name);
CREATE TABLE solid_queue_scheduled_executions (
    id integer PRIMARY KEY AUTOINCREMENT NOT NULL,
    job_id bigint NOT NULL UNIQUE REFERENCES solid_queue_jobs (id) ON DELETE CASCADE,
    queue_name varchar NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    scheduled_at datetime(6) NOT NULL,
    created_at datetime(6) NOT NULL
);
CREATE TABLE solid_queue_ready_executions (
    id integer PRIMARY KEY AUTOINCREMENT NOT NULL,
    job_id bigint NOT NULL UNIQUE REFERENCES solid_queue_jobs (id) ON DELETE CASCADE,
    queue_name varchar NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    created_at datetime(6) NOT NULL
);
CREATE TABLE solid_queue_blocked_executions (
    id integer PRIMARY KEY AUTOINCREMENT NOT NULL,
    job_id bigint NOT NULL UNIQUE REFERENCES solid_queue_jobs (id) ON DELETE CASCADE,
    queue_name varchar NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    concurrency_key varchar NOT NULL,
    expires_at datetime(6) NOT NULL,
    created_at datetime(6) NOT NULL
);
CREATE TABLE solid_queue_claimed_executions (
    id integer PRIMARY KEY AUTOINCREMENT NOT NULL,
    job_id bigint NOT NULL UNIQUE REFERENCES solid_queue_jobs (id) ON DELETE CASCADE,
    process_id bigint,
    created_at datetime(6) NOT NULL
);
CREATE TABLE solid_queue_failed_executions (
    id integer PRIMARY KEY AUTOINCREMENT NOT NULL,
    job_id bigint NOT NULL UNIQUE REFERENCES solid_queue_jobs (id) ON DELETE CASCADE,
    error text,
    created_at datetime(6) NOT NULL
);
CREATE TABLE solid_queue_recurring_executions (
    id integer PRIMARY KEY AUTOINCREMENT NOT NULL,
    job_id bigint NOT NULL UNIQUE REFERENCES solid_queue_jobs (id) ON DELETE CASCADE,
    task_key varchar NOT NULL,
    run_at datetime(6) NOT NULL,
    created_at datetime(6) NOT NULL,
    UNIQUE (task_key, run_at)
);
