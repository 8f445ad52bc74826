CREATE TABLE job (number integer PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE execution (
    serial    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uid       text NOT NULL UNIQUE,
    job       integer NOT NULL REFERENCES job(number),
    state     text NOT NULL,
    code      smallint,
    origin    varchar(20),
    queued_at bigint NOT NULL,
    attempt   integer NOT NULL DEFAULT 0,
    arguments text
);
