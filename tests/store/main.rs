//! A store that others use, too: its generations, its limits, its trouble.

#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/queue_store_postgres.rs"]
mod queue_store_postgres;
#[path = "../support/mod.rs"]
mod support;

mod as_read;
mod catalogue;
mod changes;
mod concurrency;
mod crash;
mod errors;
mod limits;
mod races;
mod strangers_on_postgres;
mod versions;
mod windows;
