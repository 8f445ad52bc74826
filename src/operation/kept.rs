//! Source runs' parameters on their way from the search to the spawn, so that they need not be read twice.

use crate::contract::Params;
use crate::host::{Key, RunRow};

/// How many bytes are kept at most, with what it takes to keep them.
const BYTES_MAX: usize = 16 << 20;

/// What it takes to keep one, beside its bytes.
const BYTES_EACH: usize = 64;

/// After so many runs, and twice as many, and so on, it is asked whether it pays to keep any.
const RUNS_THAT_TELL: std::ops::RangeInclusive<u64> = 128..=65_536;

/// The room for them.
pub(super) struct Kept {
    /// In bytes; `None` where nothing is kept, or nothing more.
    room: Option<usize>,
    groups: u64,
    /// Nobody else needs what is read for this.
    must_pay: bool,
}

impl Kept {
    pub(super) fn nothing() -> Kept {
        Kept { room: None, groups: 0, must_pay: false }
    }

    /// Of parameters that are read anyway.
    pub(super) fn all() -> Kept {
        Kept { room: Some(BYTES_MAX), ..Kept::nothing() }
    }

    /// Of parameters that are read for the spawn alone.
    pub(super) fn where_it_pays() -> Kept {
        Kept { must_pay: true, ..Kept::all() }
    }

    /// Whether any are wanted.
    pub(super) fn wants_some(&self) -> bool {
        self.room.is_some()
    }

    /// Those of a new group's first run.
    pub(super) fn of_the_first(&mut self, run: &RunRow<'_>) -> Option<Box<Params<'static>>> {
        self.groups += 1;
        self.in_place_of(None, run)
    }

    /// Those of a run that is the group's source run from now on, in the place of the former one's. Where one has none, all
    /// are read again, so that nothing more is kept: for want of room, or since a group may bear a name of another type
    /// than its source run does, unless all names are texts.
    pub(super) fn in_place_of(
        &mut self,
        former: Option<Box<Params<'static>>>,
        run: &RunRow<'_>,
    ) -> Option<Box<Params<'static>>> {
        let freed = former.map_or(0, |former| former.size() + BYTES_EACH);
        let room = self.room.filter(|_| matches!(run.task_name, Key::Text(_)));
        self.room = room.and_then(|room| (room + freed).checked_sub(run.params.size() + BYTES_EACH));
        self.room.map(|_| Box::new(run.params.clone().into_owned()))
    }

    /// Whether it is worth to go on after so many runs. With a search, a run's parameters cost about a sixth of what they cost by
    /// themselves, and more where they are large.
    pub(super) fn pays(&self, runs: u64) -> bool {
        let is_time_to_look = self.must_pay && runs.is_power_of_two() && RUNS_THAT_TELL.contains(&runs);
        !is_time_to_look || self.groups * 4 > runs
    }
}
