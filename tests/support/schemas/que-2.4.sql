-- Que 2.4.1 (its migrations 1 to 7): its jobs and who works on them, in our own words. Two triggers tell of what is queued;
-- they are written anew here, and say the same.
CREATE TABLE que_jobs (
    priority smallint NOT NULL DEFAULT 100,
    run_at timestamptz NOT NULL DEFAULT now(),
    id bigserial PRIMARY KEY,
    job_class text NOT NULL,
    error_count integer NOT NULL DEFAULT 0,
    last_error_message text,
    queue text NOT NULL DEFAULT 'default',
    last_error_backtrace text,
    finished_at timestamptz,
    expired_at timestamptz,
    args jsonb NOT NULL DEFAULT '[]',
    data jsonb NOT NULL DEFAULT '{}',
    job_schema_version integer NOT NULL,
    kwargs jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT queue_length CHECK (char_length(queue) <= 100),
    CONSTRAINT valid_args CHECK (jsonb_typeof(args) = 'array'),
    CONSTRAINT valid_data CHECK (jsonb_typeof(data) = 'object')
);
COMMENT ON TABLE que_jobs IS '7';
CREATE UNLOGGED TABLE que_lockers (
    pid integer PRIMARY KEY,
    worker_count integer NOT NULL,
    worker_priorities integer[] NOT NULL,
    ruby_pid integer NOT NULL,
    ruby_hostname text NOT NULL,
    queues text[] NOT NULL,
    listening boolean NOT NULL,
    job_schema_version integer DEFAULT 1
);
CREATE FUNCTION que_job_notify() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    locker integer := (
        SELECT pid FROM public.que_lockers
        WHERE listening AND NEW.queue = ANY (queues) AND job_schema_version = NEW.job_schema_version
        ORDER BY pid LIMIT 1
    );
BEGIN
    IF locker IS NOT NULL AND (NEW.run_at IS NULL OR NEW.run_at <= now()) THEN
        PERFORM pg_notify('que_listener_' || locker, json_build_object(
            'message_type', 'job_available', 'queue', NEW.queue, 'priority', NEW.priority, 'id', NEW.id,
            'run_at', to_char(NEW.run_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER que_job_notify AFTER INSERT ON que_jobs FOR EACH ROW
    WHEN (coalesce(current_setting('que.skip_notify', true), '') <> 'true') EXECUTE FUNCTION que_job_notify();
CREATE FUNCTION que_state_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('que_state', json_build_object('message_type', 'job_change', 'id', coalesce(NEW.id, OLD.id))::text);
    RETURN NULL;
END $$;
CREATE TRIGGER que_state_notify AFTER INSERT OR UPDATE OR DELETE ON que_jobs FOR EACH ROW
    WHEN (coalesce(current_setting('que.skip_notify', true), '') <> 'true') EXECUTE FUNCTION que_state_notify();
