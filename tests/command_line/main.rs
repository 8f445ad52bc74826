//! The command line as a person or a script meets it.

#[path = "../support/mod.rs"]
mod support;

mod canary;
mod completions;
mod examples;
mod failures;
mod first_steps;
mod history;
mod man;
mod morning;
mod night;
mod output;
mod page_link;
mod paths;
mod scripts;
mod terminal;
mod usage;
mod wait;
