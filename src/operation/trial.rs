//! One run started for trial, and taken back: whether a re-run will work, before a night depends on it.

use std::ops::ControlFlow;

use serde::Serialize;

use super::groups::Source;
use super::{judge, ledger};
use crate::catalogue::Catalogue;
use crate::contract::{ErrorModel, Run, RunFilter, has_ended};
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
    /// What the host's `undo` made of the new run, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<UndoTrial>,
}

/// What came of taking the new run back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UndoTrial {
    /// The run as the host's view showed it then, if it still did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// What is wrong with that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Trial {
    /// Whether a re-run will work, and the undoing of one, where there is such a thing.
    pub fn works(&self) -> bool {
        self.new.is_some() && self.undo.as_ref().is_none_or(|undo| undo.fault.is_none())
    }
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
    session.spawn(&[run], None, None, &mut |_, outcome| spawned = Some(outcome))?;
    let (new, refused) = match spawned {
        Some(Spawned::New(id)) => (whole(&mut *session, RunRef { task_name: &task_name, id: &Key::text(&id) })?, None),
        Some(Spawned::Refused(words)) => (None, Some(words)),
        Some(Spawned::Gone) | None => (None, Some("it vanished meanwhile; try again".to_owned())),
    };
    let mut undo = None;
    if let Some(new) = &new {
        ledger::try_out(&mut *session)?;
        if session.can_undo() {
            undo = Some(undo_trial(&mut *session, &task_name, &new.id));
        }
    }
    session.end()?;
    Ok(Trial { source: source.unwrap_or_default(), new, refused, undo })
}

/// Takes the new run back as the host does it, within what is rolled back anyway.
fn undo_trial(session: &mut dyn Session, task_name: &Key<'_>, id: &str) -> UndoTrial {
    let id = Key::text(id);
    let run = RunRef { task_name, id: &id };
    let mut is_taken = false;
    let done = session.undo(&[run], &mut |_, taken| is_taken = taken).and_then(|()| whole(session, run));
    match done {
        Ok(run) => UndoTrial { fault: wrong_with_undo(is_taken, run.as_ref()).map(str::to_owned), run },
        Err(error) => UndoTrial { run: None, fault: Some(ErrorModel::from(error).detail) },
    }
}

/// What is wrong with a run that was, or was not, taken back, as the view shows it.
fn wrong_with_undo(is_taken: bool, run: Option<&Run>) -> Option<&'static str> {
    let failures = RunFilter { is_failure: true, ..RunFilter::default() };
    match run {
        _ if !is_taken => Some("the new run is pending, and `undo` did not take it back"),
        Some(run) if !has_ended(run.phase.as_deref()) => Some(
            "`undo` says that it took the new run back, and the view shows it as one that will be run all the same",
        ),
        Some(run) if failures.matches(run) => Some(
            "the view shows the run that was taken back as failed: the next re-run of what has failed would start it again",
        ),
        _ => None,
    }
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
