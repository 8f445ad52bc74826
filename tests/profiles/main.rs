//! Profiles: what they say, what is wrong with them, and what is tried of them.

#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/queue_store_postgres.rs"]
mod queue_store_postgres;
#[path = "../support/mod.rs"]
mod support;

mod built_in;
mod due;
mod exact_values;
mod first_steps;
mod mistakes;
mod parameters;
mod seen_as;
mod several_statements;
mod survey;
mod trial;
mod trial_on_postgres;
mod view_columns;
