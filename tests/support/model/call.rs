//! What a real call does: the plan at the moment of the spawn, and what the host makes of each new run.

use super::answer::{Detail, Skipped};
use super::plan::{Moments, Plan, Source};
use super::request::Request;
use super::store::{Run, Value};

/// What somebody else does between a call's search and its spawn. A number is a run's place in the list.
#[derive(Debug, Clone)]
pub enum Change {
    Deleted(usize),
    SoftDeleted(usize),
    /// It is the run of another task now.
    Renamed(usize, Value),
    Parameters(usize, Value),
    /// The host tries it again in its place: it is pending or running.
    Begins(usize, &'static str),
    Appears(Box<Run>),
}

/// The runs after others have changed them.
pub fn changed(runs: &[Run], changes: &[Change]) -> Vec<Run> {
    let mut changed: Vec<Option<Run>> = runs.iter().cloned().map(Some).collect();
    for change in changes {
        let mut on = |index: usize, with: &dyn Fn(&mut Run)| {
            if let Some(run) = &mut changed[index] {
                with(run);
            }
        };
        match change {
            Change::Deleted(index) => changed[*index] = None,
            Change::SoftDeleted(index) => on(*index, &|run| run.deleted = true),
            Change::Renamed(index, task) => on(*index, &|run| run.task = task.clone()),
            Change::Parameters(index, params) => on(*index, &|run| run.params = params.clone()),
            Change::Begins(index, phase) => on(*index, &|run| {
                run.phase = (*phase).to_owned();
                run.end_reason = None;
            }),
            Change::Appears(run) => changed.push(Some((**run).clone())),
        }
    }
    changed.into_iter().flatten().collect()
}

/// What a trigger of the host's does with new runs of a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Act {
    /// It fails the statement: RAISE(ABORT), RAISE EXCEPTION.
    Declines,
    /// No row comes of it, and no error: RAISE(IGNORE), RETURN NULL, or it deletes the row at once.
    Swallows,
    /// The row gets another id.
    Renames,
    /// The row is there, and has ended.
    Ends,
    /// The row is there, and soft-deleted.
    Hides,
}

/// Where a new run's id comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ids {
    /// We give it: `:new_id`, `:new_uuid`.
    Ours,
    /// The statement returns it.
    Returned,
    /// The statement says which one it has drawn, whatever the row has then.
    Drawn,
}

/// What becomes of a new run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fate {
    Started,
    Refused,
    /// Whoever finds the row may name it; else nothing is left of it.
    Either,
}

impl Act {
    /// `sees_new_ids`: whether the statement returns the id as it is after the host's triggers.
    pub fn fate(self, ids: Ids, sees_new_ids: bool) -> Fate {
        match (self, ids) {
            (Act::Renames, Ids::Ours) => Fate::Refused,
            (Act::Renames, Ids::Returned) if sees_new_ids => Fate::Started,
            (Act::Renames, _) => Fate::Either,
            _ => Fate::Refused,
        }
    }
}

/// Why nothing was spawned.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// More than the limit: 422.
    Limit { wanted: usize, limit: usize },
    /// The plan is another one: 409.
    Plan,
}

impl Refusal {
    pub fn status(&self) -> u16 {
        match self {
            Refusal::Limit { .. } => 422,
            Refusal::Plan => 409,
        }
    }
}

/// What a call has done.
#[derive(Debug, Clone)]
pub struct Done {
    /// In the order of the answer.
    pub started: Vec<Source>,
    pub skipped: Vec<Skipped>,
}

impl Request {
    /// What a dry run answers: the plan, or that it is beyond the limit.
    pub fn dry_run(&self, runs: &[Run]) -> Result<Plan, Refusal> {
        self.within_limit(self.plan(runs))
    }

    fn within_limit(&self, plan: Plan) -> Result<Plan, Refusal> {
        match self.limit {
            Some(limit) if plan.starts.len() > limit => Err(Refusal::Limit { wanted: plan.starts.len(), limit }),
            _ => Ok(plan),
        }
    }

    /// What a call does. `expected` is the plan that was shown before; `fate` what becomes of a new run.
    pub fn call(
        &self,
        moments: Moments<'_>,
        expected: Option<&Plan>,
        fate: &dyn Fn(&Run) -> Fate,
    ) -> Result<Done, Refusal> {
        let plan = self.within_limit(self.plan_at(moments))?;
        if expected.is_some_and(|expected| expected.essence() != plan.essence()) {
            return Err(Refusal::Plan);
        }
        // Of its groups' runs only a dry run tells more.
        let skipped = plan.skipped.into_iter().map(|skipped| Skipped { told: None, ..skipped }).collect();
        let mut done = Done { started: Vec::new(), skipped };
        for source in plan.starts {
            match fate(&source.run) {
                Fate::Refused => done.skipped.push(Skipped::of(&source.run, "refused", Detail::Something)),
                _ => done.started.push(source),
            }
        }
        // Groups in their order, then the ids that are no run's, as they were named.
        done.skipped.sort_by_key(|skipped| (skipped.key.is_none(), skipped.key.clone()));
        Ok(done)
    }
}
