//! A status that no run has, `faild` for one, selects nothing, and nothing is wrong with that for a script. Somebody who
//! has mistyped it must be told.

use std::collections::HashSet;
use std::io::Write;

use super::output::{WARNING, printable};
use crate::Plugin;
use crate::contract::{ErrorModel, FAILURE_END_REASONS, Phase, RunFilter, Selector, nearest};

/// Names on standard error the words of a filter that are neither the contract's own nor any run's of this store.
pub(super) fn warn_of_unknown(plugin: &Plugin, selector: &Selector) {
    let Selector::Matching { filter, .. } = selector else { return };
    for word in filter.status.iter().filter(|word| !known().any(|known| known == *word) && !any_run_has(plugin, word)) {
        let hint = nearest(word, known()).map(|known| format!("; did you mean {known}?")).unwrap_or_default();
        let mut out = anstream::stderr();
        // Nothing is left to be done if even this can't be written.
        let _ = writeln!(out, "{WARNING}warning:{WARNING:#} no run here has the status {}{hint}", printable(word));
    }
}

/// The words that every store may have.
fn known() -> impl Iterator<Item = &'static str> {
    let phases = Phase::ALL.iter().map(|phase| phase.as_str());
    phases.chain(["success", "succeeded", "failure"]).chain(FAILURE_END_REASONS)
}

/// Looks no further than the first such run. If it can't be told, the search itself will say so.
fn any_run_has(plugin: &Plugin, word: &str) -> bool {
    let filter = RunFilter { status: vec![word.to_owned()], ..RunFilter::default() };
    let selector = Selector::Matching { filter, except_ids: HashSet::new(), except_tasks: HashSet::new() };
    plugin.select(&selector, &mut |_| Err(ErrorModel::new(500, "there is one"))).is_err()
}
