//! Groups of runs that are the same work, and tables keyed by task and parameters.

use std::cmp::Ordering;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashSet, HashTable};

use crate::contract::{Instant, Params, Reason};

/// Runs that are the same work, of which one is started again: the source run.
#[derive(Debug)]
pub(super) struct Group {
    /// Shared by all groups of the task.
    pub(super) task_name: Arc<str>,
    /// The parameters, where they matter to what the group is.
    pub(super) params: Params<'static>,
    pub(super) source: Source,
    /// How many selected runs it has.
    pub(super) matched: u64,
    /// Why it gets no new run.
    pub(super) skip: Option<(Reason, Option<String>)>,
}

impl Group {
    /// By task name, then by source run. A million of groups are told apart without a look at the names of the same task.
    pub(super) fn order(&self, other: &Group) -> Ordering {
        let tasks = match Arc::ptr_eq(&self.task_name, &other.task_name) {
            true => Ordering::Equal,
            false => self.task_name.cmp(&other.task_name),
        };
        tasks.then_with(|| self.source.id.cmp(&other.source.id))
    }
}

/// A group's newest run.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) id: String,
    pub(super) created_at: Option<Instant>,
    /// Why the host says that a run of its kind is never started again.
    pub(super) unfit: Option<String>,
}

/// The names of tasks, each of them once in memory.
#[derive(Default)]
pub(super) struct Names(HashSet<Arc<str>>);

impl Names {
    pub(super) fn get(&mut self, name: &str) -> Arc<str> {
        Arc::clone(self.0.get_or_insert_with(name, |name| name.into()))
    }
}

/// Values by task, or by task and parameters.
pub(super) struct ByTask<V> {
    names: Names,
    entries: HashTable<Entry<V>>,
    hasher: DefaultHashBuilder,
}

struct Entry<V> {
    task_name: Arc<str>,
    params: Params<'static>,
    value: V,
}

impl<V> ByTask<V> {
    pub(super) fn new() -> Self {
        ByTask { names: Names::default(), entries: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }

    /// The value of a task and parameters, made by `new` if there is none yet.
    pub(super) fn or_insert_with(&mut self, task_name: &str, params: &Params<'_>, new: impl FnOnce() -> V) -> &mut V {
        let hash = self.hasher.hash_one((task_name, params));
        let entry = self.entries.entry(
            hash,
            |entry| entry.is(task_name, params),
            |entry| self.hasher.hash_one((&*entry.task_name, &entry.params)),
        );
        let names = &mut self.names;
        let new = || Entry { task_name: names.get(task_name), params: params.clone().into_owned(), value: new() };
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
    pub(super) fn into_entries(self) -> impl Iterator<Item = (Arc<str>, Params<'static>, V)> {
        self.entries.into_iter().map(|entry| (entry.task_name, entry.params, entry.value))
    }
}

impl<V> Entry<V> {
    fn is(&self, task_name: &str, params: &Params<'_>) -> bool {
        *self.task_name == *task_name && self.params == *params
    }
}
