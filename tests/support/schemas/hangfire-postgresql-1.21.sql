-- Hangfire.PostgreSql 1.21.1 (its schema version 23): the tables that hold a job, in our own words after its scripts.
CREATE SCHEMA hangfire;
SET search_path = hangfire;
CREATE TABLE schema (version int PRIMARY KEY);
INSERT INTO schema VALUES (23);
CREATE TABLE job (
    id bigserial PRIMARY KEY,
    stateid bigint,
    statename text,
    invocationdata jsonb NOT NULL,
    arguments jsonb NOT NULL,
    createdat timestamptz NOT NULL,
    expireat timestamptz,
    updatecount integer NOT NULL DEFAULT 0
);
CREATE TABLE state (
    id bigserial PRIMARY KEY,
    jobid bigint NOT NULL REFERENCES job ON UPDATE CASCADE ON DELETE CASCADE,
    name text NOT NULL,
    reason text,
    createdat timestamptz NOT NULL,
    data jsonb,
    updatecount integer NOT NULL DEFAULT 0
);
CREATE INDEX ix_hangfire_state_jobid ON state (jobid);
CREATE TABLE jobparameter (
    id bigserial PRIMARY KEY,
    jobid bigint NOT NULL REFERENCES job ON UPDATE CASCADE ON DELETE CASCADE,
    name text NOT NULL,
    value text,
    updatecount integer NOT NULL DEFAULT 0
);
CREATE INDEX ix_hangfire_jobparameter_jobidandname ON jobparameter (jobid, name);
CREATE TABLE jobqueue (
    id bigserial PRIMARY KEY,
    jobid bigint NOT NULL,
    queue text NOT NULL,
    fetchedat timestamptz,
    updatecount integer NOT NULL DEFAULT 0
);
CREATE INDEX ix_hangfire_jobqueue_jobidandqueue ON jobqueue (jobid, queue);
CREATE TABLE set (
    id bigserial PRIMARY KEY,
    key text NOT NULL,
    score double precision NOT NULL,
    value text NOT NULL,
    expireat timestamptz,
    updatecount integer NOT NULL DEFAULT 0,
    UNIQUE (key, value)
);
RESET search_path;
