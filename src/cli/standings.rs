//! Where new runs stand, as people read it.

use std::io::Write;

use super::Failure;
use super::output::People;
use super::table::{Column, print_table};
use crate::contract::{NewRun, Standing, States};

/// `2 failed, 1 pending`.
pub(super) fn in_words(states: &States) -> String {
    states.iter().map(|(word, runs)| format!("{runs} {word}")).collect::<Vec<_>>().join(", ")
}

/// These runs, each with where it stands.
pub(super) fn print<'r>(out: &mut People, runs: impl IntoIterator<Item = &'r NewRun>) -> Result<(), Failure> {
    let row = |NewRun { run, standing }: &NewRun| {
        vec![run.task_name.clone(), run.run_id.clone(), word(standing), run.rerun_of.clone()]
    };
    let columns = [Column::Text("TASK"), Column::Id("NEW RUN"), Column::Text("NOW"), Column::Id("RE-RUN OF")];
    writeln!(out)?;
    Ok(print_table(out, &columns, runs.into_iter().map(row).collect())?)
}

/// How far it has come, or how it ended.
fn word(standing: &Standing) -> String {
    match standing.exit_code {
        Some(code) => format!("{} ({code})", standing.word()),
        None => standing.word().to_owned(),
    }
}
