//! Stores in PostgreSQL: a real server, and what can go wrong with it.

#[path = "../support/postgres.rs"]
mod postgres;

mod addresses;
mod at_once;
mod check;
mod failover;
mod ids;
mod ledger;
mod ledger_cut;
mod ledger_trouble;
mod libpq;
mod newest;
mod pgbouncer;
mod proxy;
mod replica;
mod search_path;
mod silence;
mod spawning;
mod standby;
mod states;
mod store;
mod trouble;
mod waiting;
mod what_went_wrong;
mod words;
