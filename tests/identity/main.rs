//! Which run is which: a run is its task and its id together, whatever a store's ids are.

#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/queue_store_postgres.rs"]
mod queue_store_postgres;
#[path = "../support/mod.rs"]
mod support;

mod built_in;
mod bytes;
mod callbacks;
mod many_ids;
mod on_postgres;
mod queues;
mod unserved_ids;
