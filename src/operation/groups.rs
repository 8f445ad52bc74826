//! Groups of runs that are the same work, and tables keyed by task and parameters.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::contract::{Instant, Params, Reason};

/// Runs that are the same work, of which one is started again: the source run.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) task_name: String,
    /// The parameters, where they matter to what the group is.
    pub(super) params: Params<'static>,
    pub(super) source: Source,
    /// How many selected runs it has.
    pub(super) matched: u64,
    /// Why it gets no new run.
    pub(super) skip: Option<(Reason, Option<String>)>,
}

/// A group's newest run.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) id: String,
    pub(super) created_at: Option<Instant>,
    /// Why the host says that a run of its kind is never started again.
    pub(super) unfit: Option<String>,
}

/// Values by task, or by task and parameters.
pub(super) struct ByTask<V> {
    entries: HashTable<Entry<V>>,
    hasher: DefaultHashBuilder,
}

struct Entry<V> {
    task_name: String,
    params: Params<'static>,
    value: V,
}

impl<V> ByTask<V> {
    pub(super) fn new() -> Self {
        ByTask { entries: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }

    /// The value of a task and parameters, made by `new` if there is none yet.
    pub(super) fn or_insert_with(&mut self, task_name: &str, params: &Params<'_>, new: impl FnOnce() -> V) -> &mut V {
        let hash = self.hasher.hash_one((task_name, params));
        let entry = self.entries.entry(
            hash,
            |entry| entry.is(task_name, params),
            |entry| self.hasher.hash_one((entry.task_name.as_str(), &entry.params)),
        );
        let new = || Entry { task_name: task_name.to_owned(), params: params.clone().into_owned(), value: new() };
        &mut entry.or_insert_with(new).into_mut().value
    }

    pub(super) fn get(&self, task_name: &str, params: &Params<'_>) -> Option<&V> {
        let hash = self.hasher.hash_one((task_name, params));
        self.entries.find(hash, |entry| entry.is(task_name, params)).map(|entry| &entry.value)
    }

    pub(super) fn get_mut(&mut self, task_name: &str, params: &Params<'_>) -> Option<&mut V> {
        let hash = self.hasher.hash_one((task_name, params));
        self.entries.find_mut(hash, |entry| entry.is(task_name, params)).map(|entry| &mut entry.value)
    }

    /// Every task, its parameters, and their value.
    pub(super) fn into_entries(self) -> impl Iterator<Item = (String, Params<'static>, V)> {
        self.entries.into_iter().map(|entry| (entry.task_name, entry.params, entry.value))
    }
}

impl<V> Entry<V> {
    fn is(&self, task_name: &str, params: &Params<'_>) -> bool {
        self.task_name == task_name && self.params == *params
    }
}
