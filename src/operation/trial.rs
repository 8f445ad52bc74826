//! One run started for trial, and taken back: whether a re-run will work, before a night depends on it.

use std::ops::ControlFlow;

use serde::Serialize;

use super::groups::Source;
use super::{judge, ledger};
use crate::catalogue::Catalogue;
use crate::contract::{ErrorModel, Run, RunFilter};
use crate::host::{Columns, Host, HostError, Key, Query, RunRef, RunRow, Session, Spawned};

/// What came of a trial. Nothing of it is left in the store.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// The run that was started again.
    pub source: Run,
    /// The new run, as the host's view showed it before it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Run>,
    /// Why there was none, in the host's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// Starts the newest run that may be started once more, of this task where one is named, and takes it back.
pub(crate) fn trial(
    host: &dyn Host,
    catalogue: Option<&Catalogue>,
    task_name: Option<&str>,
) -> Result<Trial, ErrorModel> {
    let mut session = host.session()?;
    if !session.is_atomic() {
        let detail = "this host has no transactions: what is started for trial could not be taken back";
        return Err(ErrorModel::new(422, detail));
    }
    session.begin_read()?;
    let Some((task_name, id)) = newest_that_may_start(&mut *session, catalogue, task_name)? else {
        let of = task_name.map(|name| format!(" of the task {name}")).unwrap_or_default();
        return Err(ErrorModel::new(422, format!("there is no run{of} that could be started again for trial")));
    };
    let run = RunRef { task_name: &task_name, id: &id };
    let source = whole(&mut *session, run)?;
    session.end()?;

    session.begin_write()?;
    let mut spawned = None;
    session.spawn(&[run], None, &mut |_, outcome| spawned = Some(outcome))?;
    let (new, refused) = match spawned {
        Some(Spawned::New(id)) => (whole(&mut *session, RunRef { task_name: &task_name, id: &Key::text(&id) })?, None),
        Some(Spawned::Refused(words)) => (None, Some(words)),
        Some(Spawned::Gone) | None => (None, Some("it vanished meanwhile; try again".to_owned())),
    };
    if new.is_some() {
        ledger::try_out(&mut *session)?;
    }
    session.end()?;
    Ok(Trial { source: source.unwrap_or_default(), new, refused })
}

fn newest_that_may_start(
    session: &mut dyn Session,
    catalogue: Option<&Catalogue>,
    task_name: Option<&str>,
) -> Result<Option<(Key<'static>, Key<'static>)>, HostError> {
    let filter = RunFilter { task_name: task_name.map(str::to_owned), ..RunFilter::default() };
    let mut newest: Option<(Key<'static>, Source)> = None;
    let columns = Columns { unfit: true, ..Columns::default() };
    session.runs(Query::Filter(&filter), columns, &mut |run| {
        if newest.as_ref().is_none_or(|(_, newest)| newest.is_older_than(run.created_at, &run.id))
            && judge::may_start(catalogue, &run)
        {
            newest = Some((run.task_name.to_owned(), Source::of(&run)));
        }
        ControlFlow::Continue(())
    })?;
    Ok(newest.map(|(task_name, source)| (task_name, source.id)))
}

/// A run as the view shows it.
fn whole(session: &mut dyn Session, run: RunRef<'_>) -> Result<Option<Run>, HostError> {
    let mut found = None;
    session.runs(Query::Ids(&[&run.id.to_text()]), Columns::WHOLE, &mut |row: RunRow<'_>| {
        if run.is(&row.task_name, &row.id) {
            found = Some(row.to_run());
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}
