//! The ledger, and what is taken back with it.

#[path = "../support/mod.rs"]
mod support;

mod callbacks;
mod first_steps;
mod killed;
mod once;
mod trouble;
mod undo;
mod undo_built_in;
