//! The real runners, whose own workers carry out what is spawned.

#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/queues.rs"]
mod queues;
#[path = "../support/mod.rs"]
mod support;

mod absurd;
mod apalis;
mod dbos;
mod dbos_sqlite;
mod django_tasks_db;
mod graphile_worker;
mod jobrunr;
mod laravel;
mod oban;
mod pg_boss;
mod pgqueuer;
mod prefect;
mod procrastinate;
mod river;
mod river_sqlite;
mod sidequest;
