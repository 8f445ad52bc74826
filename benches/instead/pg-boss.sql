-- :failures failed jobs with :tasks sets of parameters, in a queue that is there.
TRUNCATE pgboss.job;
INSERT INTO pgboss.job (name, data, state, policy, started_on, completed_on)
SELECT 'mail', jsonb_build_object('n', n % :tasks), 'failed', 'standard', now(), now() FROM generate_series(1, :failures) AS n;
ANALYZE pgboss.job;
CHECKPOINT;
