//! The runner's own words for where a run stands: phases and end reasons are made of them, and no index has those.

use std::collections::{BTreeMap, BTreeSet};

use super::RunRow;
use crate::contract::{FAILURE_END_REASONS, Phase, RunFilter, is_success};

/// The phases that say that a run is active.
const ACTIVE: [Phase; 2] = [Phase::Pending, Phase::Running];

/// What the view's column `state` is for the phases but `ended`, and for every end reason.
#[derive(Debug, Clone, Default)]
pub struct States {
    own: BTreeMap<String, Vec<String>>,
    /// A column of the view's own says which runs are failures.
    has_mark: bool,
}

impl States {
    /// As a generation has them, for a view with or without an optional column.
    pub(super) fn of(own: &BTreeMap<String, Vec<String>>, has: impl Fn(&str) -> bool) -> Result<States, String> {
        if !own.is_empty() && !has("state") {
            return Err("the view has no column `state`, whose values these are".to_owned());
        }
        let needed = ACTIVE.map(Phase::as_str);
        if let Some(missing) = needed.into_iter().find(|phase| !own.is_empty() && !own.contains_key(*phase)) {
            return Err(format!("what `state` is where a run is {missing} is not said; where none is, say []"));
        }
        Ok(States { own: own.clone(), has_mark: has("is_failure") })
    }

    /// Without the words that the column's own type does not have, as those of another edition: no run has them. Where a
    /// list would be left with none, it is kept for the server to say what is wrong with it.
    #[cfg(feature = "postgres")]
    pub(super) fn known_to(mut self, labels: &[String]) -> States {
        for own in self.own.values_mut().filter(|own| own.iter().any(|word| labels.contains(word))) {
            own.retain(|word| labels.contains(word));
        }
        self
    }

    /// The words of ours that are said in the runner's own.
    #[cfg(feature = "postgres")]
    pub(super) fn words(&self) -> impl Iterator<Item = &String> {
        self.own.keys()
    }

    /// What an active run may be.
    pub(super) fn active(&self) -> BTreeSet<&String> {
        self.of_words(ACTIVE.map(Phase::as_str))
    }

    /// What a run may be that a filter's status means; nothing where that is not known.
    pub(super) fn meant_by(&self, filter: &RunFilter) -> BTreeSet<&String> {
        let asked = filter.status.iter().map(|word| word_for(word));
        let (failure, mut words): (Vec<_>, Vec<_>) = asked.partition(|word| *word == "failure");
        // Of a word that the profile does not have nothing is known, as of a failure by a column of its own.
        let mut are_known = words.iter().all(|word| self.own.contains_key(*word));
        if filter.is_failure || !failure.is_empty() {
            words.extend(FAILURE_END_REASONS);
            are_known &= !self.has_mark;
        }
        if are_known { self.of_words(words) } else { BTreeSet::new() }
    }

    fn of_words<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> BTreeSet<&String> {
        words.into_iter().filter_map(|word| self.own.get(word)).flatten().collect()
    }

    /// Why searches pass a run over: what the view calls it, and its `state`, which is not said to be that.
    pub(crate) fn passed_over(&self, run: &RunRow<'_>) -> Option<String> {
        if self.own.is_empty() {
            return None;
        }
        let is_passed_over = |word: &&str| match self.own.get(word_for(word)) {
            Some(own) => !run.state.is_some_and(|state| own.iter().any(|word| word == state)),
            None => FAILURE_END_REASONS.contains(word) && !self.has_mark,
        };
        let word = [run.phase, run.end_reason].into_iter().flatten().find(is_passed_over)?;
        Some(format!("{word} ({})", run.state.unwrap_or("NULL")))
    }
}

/// `success` and `succeeded` are one word.
fn word_for(word: &str) -> &str {
    if is_success(word) { "succeeded" } else { word }
}
