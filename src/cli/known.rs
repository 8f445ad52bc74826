//! What a store has names for: its tasks, and the words of its runs' status.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use crate::Plugin;
use crate::contract::{ErrorModel, FAILURE_END_REASONS, Phase, RunFilter, Selector};

/// Somebody waits for them, and a part of them is better than none.
const LONG_ENOUGH: Duration = Duration::from_secs(2);

/// The words of a status that every store may have.
pub(super) fn status_words() -> impl Iterator<Item = &'static str> {
    let phases = Phase::ALL.iter().map(|phase| phase.as_str());
    phases.chain(["success", "succeeded", "failure"]).chain(FAILURE_END_REASONS)
}

/// The names that a store's runs have, and its task catalogue.
#[derive(Default)]
pub(super) struct Known {
    pub(super) tasks: BTreeSet<String>,
    pub(super) words: BTreeSet<String>,
}

impl Known {
    /// As many as are found in a moment.
    pub(super) fn of(plugin: &Plugin) -> Known {
        let mut known = Known::default();
        known.tasks.extend(plugin.catalogue().into_iter().flat_map(|catalogue| catalogue.tasks().map(str::to_owned)));
        let began = Instant::now();
        let all = matching(RunFilter::default());
        // What else there is to say of the store, its own command says.
        let _ = plugin.select(&all, &mut |run| {
            note(&mut known.tasks, &run.task_name);
            [&run.phase, &run.end_reason].into_iter().flatten().for_each(|word| note(&mut known.words, word));
            if began.elapsed() > LONG_ENOUGH { Err(enough()) } else { Ok(()) }
        });
        known
    }
}

fn note(names: &mut BTreeSet<String>, name: &str) {
    if !names.contains(name) {
        names.insert(name.to_owned());
    }
}

/// Whether there is such a run; looks no further than the first. If it can't be told, the search itself will say so.
pub(super) fn any_run(plugin: &Plugin, filter: RunFilter) -> bool {
    plugin.select(&matching(filter), &mut |_| Err(enough())).is_err()
}

fn matching(filter: RunFilter) -> Selector {
    Selector::Matching { filter, except_ids: HashSet::new(), except_tasks: HashSet::new() }
}

/// Ends a search.
fn enough() -> ErrorModel {
    ErrorModel::new(500, "that is enough")
}
