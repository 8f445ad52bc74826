//! The built-in profiles.

/// Their names and their files.
pub(super) const BUILT_IN: &[(&str, &str)] = &[
    ("runwisp", include_str!("../profiles/runwisp.toml")),
    ("apalis", include_str!("../profiles/apalis.toml")),
    ("django-tasks-db", include_str!("../profiles/django-tasks-db.toml")),
    ("procrastinate", include_str!("../profiles/procrastinate.toml")),
    ("pg-boss", include_str!("../profiles/pg-boss.toml")),
    ("graphile-worker", include_str!("../profiles/graphile-worker.toml")),
    ("oban", include_str!("../profiles/oban.toml")),
    ("airflow", include_str!("../profiles/airflow.toml")),
    ("river", include_str!("../profiles/river.toml")),
    ("river-sqlite", include_str!("../profiles/river-sqlite.toml")),
    ("dbos", include_str!("../profiles/dbos.toml")),
    ("dbos-sqlite", include_str!("../profiles/dbos-sqlite.toml")),
    ("pgqueuer", include_str!("../profiles/pgqueuer.toml")),
    ("prefect", include_str!("../profiles/prefect.toml")),
    ("laravel-sqlite", include_str!("../profiles/laravel-sqlite.toml")),
    ("laravel", include_str!("../profiles/laravel.toml")),
    ("jobrunr", include_str!("../profiles/jobrunr.toml")),
    ("sidequest-sqlite", include_str!("../profiles/sidequest-sqlite.toml")),
    ("sidequest", include_str!("../profiles/sidequest.toml")),
    // Tried on their schemas alone.
    ("oban-sqlite", include_str!("../profiles/oban-sqlite.toml")),
    ("good-job", include_str!("../profiles/good-job.toml")),
    ("solid-queue", include_str!("../profiles/solid-queue.toml")),
    ("solid-queue-sqlite", include_str!("../profiles/solid-queue-sqlite.toml")),
    ("que", include_str!("../profiles/que.toml")),
    ("hangfire", include_str!("../profiles/hangfire.toml")),
];
