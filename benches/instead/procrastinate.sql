-- :failures failed jobs with :tasks sets of parameters.
SET client_min_messages = warning;
TRUNCATE procrastinate_jobs CASCADE;
INSERT INTO procrastinate_jobs (queue_name, task_name, args, attempts)
SELECT 'mail', 'steady', jsonb_build_object('n', n % :tasks), 1 FROM generate_series(1, :failures) AS n;
UPDATE procrastinate_jobs SET status = 'failed';
ANALYZE;
CHECKPOINT;
