//! What is answered, and why.

#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/queue_store_postgres.rs"]
mod queue_store_postgres;
#[path = "../support/mod.rs"]
mod support;

mod active_meanwhile;
mod attacks;
mod attacks_on_postgres;
mod callbacks;
mod callbacks_like_sqlite;
mod cancel;
mod reasons;
mod violations;
mod what;
mod what_on_postgres;
mod what_went_wrong;
mod with_runs;
