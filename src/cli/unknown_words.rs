//! A status that no run has, `faild` for one, or a task that there is not, selects nothing, and nothing is wrong with that for
//! a script. Somebody who has mistyped it must be told.

use std::cell::OnceCell;
use std::io::Write;

use super::known::{Known, any_run, status_words};
use super::output::{WARNING, printable};
use crate::Plugin;
use crate::contract::{RunFilter, Selector, nearest};

/// Names on standard error the words and the tasks of a selector that this store has not, each with the nearest that it has.
pub(super) fn warn_of_unknown(plugin: &Plugin, selector: &Selector) {
    let Selector::Matching { filter, except_tasks, .. } = selector else { return };
    let store = OnceCell::new();
    let known = || store.get_or_init(|| Known::of(plugin));
    for word in &filter.status {
        let has_it = || any_run(plugin, RunFilter { status: vec![word.clone()], ..RunFilter::default() });
        if status_words().any(|known| known == word) || has_it() {
            continue;
        }
        let every_stores: Vec<&str> = status_words().collect();
        let near = nearest(word, every_stores.into_iter().chain(known().words.iter().map(String::as_str)));
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        warn(&format!("no run here has the status {word}{hint}"));
    }
    for task in filter.task_name.iter().chain(except_tasks) {
        let has_it = || any_run(plugin, RunFilter { task_name: Some(task.clone()), ..RunFilter::default() });
        let is_listed = plugin.catalogue().is_some_and(|catalogue| catalogue.tasks().any(|listed| listed == task));
        if is_listed || has_it() {
            continue;
        }
        let near = nearest(task, known().tasks.iter().map(String::as_str));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        warn(&format!("no run of `{task}`{hint}"));
    }
}

fn warn(words: &str) {
    // Nothing is left to be done if even this can't be written.
    let _ = writeln!(anstream::stderr(), "{WARNING}warning:{WARNING:#} {}", printable(words));
}
