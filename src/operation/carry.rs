//! What is carried of each source run from the search to the plan's digest, or to the spawn, so that it need not be read twice.

use super::plan::{self, OfRun};
use crate::contract::Params;
use crate::host::{Key, RunRef, RunRow};

/// How many bytes of parameters are carried at most, with what it takes to carry them.
const BYTES_MAX: usize = 16 << 20;

/// What it takes to carry one, beside its bytes.
const BYTES_EACH: usize = 64;

/// What is carried of one source run.
#[derive(Debug)]
pub(super) enum Carried {
    /// To the spawn.
    Params(Params<'static>),
    /// To the plan's digest.
    OfRun(OfRun),
}

impl Carried {
    pub(super) fn params(&self) -> Option<&Params<'static>> {
        match self {
            Carried::Params(params) => Some(params),
            Carried::OfRun(_) => None,
        }
    }

    /// What stands for the run in a plan.
    pub(super) fn of_run(&self, run: RunRef<'_>) -> OfRun {
        match self {
            Carried::Params(params) => plan::of_run(run, params),
            Carried::OfRun(digest) => *digest,
        }
    }

    fn size(&self) -> usize {
        match self {
            Carried::Params(params) => params.size() + BYTES_EACH,
            Carried::OfRun(_) => 0,
        }
    }
}

/// Where it is carried to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Plan,
    Spawn,
}

pub(super) struct Carrier {
    /// Nowhere: nothing is carried, or nothing more.
    to: Option<To>,
    /// In bytes.
    room: usize,
}

impl Carrier {
    pub(super) fn of(to: Option<To>) -> Carrier {
        Carrier { to, room: BYTES_MAX }
    }

    /// Whether it needs the parameters of runs.
    pub(super) fn wants_params(&self) -> bool {
        self.to.is_some()
    }

    /// What is carried of a run that is the group's source run from now on, in the place of what was of the former one. Where one
    /// has nothing, all are read again, so that nothing more is carried: for want of room; or since a group may bear a name of
    /// another type than its source run does, unless all names are texts.
    pub(super) fn in_place_of(&mut self, former: Option<Box<Carried>>, run: &RunRow<'_>) -> Option<Box<Carried>> {
        let carried = match self.to? {
            To::Plan => Carried::OfRun(plan::of_run(RunRef { task_name: &run.task_name, id: &run.id }, &run.params)),
            To::Spawn => Carried::Params(run.params.clone().into_owned()),
        };
        let room = self.room + former.map_or(0, |former| former.size());
        match room.checked_sub(carried.size()) {
            Some(room) if matches!(run.task_name, Key::Text(_)) => self.room = room,
            _ => self.to = None,
        }
        self.to.map(|_| Box::new(carried))
    }
}
