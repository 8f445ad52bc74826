-- :failures failed runs of :tasks tasks, in the newest of RunWisp's layouts, whose tables are there.
INSERT INTO runs (id, execution_id, task_name, status, end_reason, exit_code, started_at, ended_at, triggered_by, created_at, params_json, is_failure)
SELECT printf('01M85RJ3Y4%016d', value), lower(hex(randomblob(16))), printf('task-%06d', value % :tasks), 'ended', 'failed', 1,
       time, time, 'cron', time, json_object('n', value % :tasks), 1
FROM (SELECT value, strftime('%Y-%m-%dT%H:%M:%fZ', '2026-11-23 22:00', (value * 0.1) || ' seconds') AS time
      FROM generate_series(0, :failures - 1));
PRAGMA wal_checkpoint(TRUNCATE);
