//! Groups of runs that are the same work, and what tells tasks, parameters and runs apart.

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hash, RandomState};
use std::mem;
use std::sync::{Arc, LazyLock};

use hashbrown::{DefaultHashBuilder, HashSet, HashTable};

use super::carry::{Carried, Carrier};
use super::plan::OfRun;
use crate::contract::{GroupRuns, Instant, Params, Reason, Run};
use crate::host::{Key, RunRef, RunRow};

/// Runs that are the same work, of which one is started again: the source run.
#[derive(Debug)]
pub(super) struct Group {
    /// Shared by all groups of the task.
    pub(super) task_name: Arc<Key<'static>>,
    /// Of the parameters, where they matter to what the group is.
    pub(super) params: Digest,
    pub(super) source: Source,
    /// The newest that may be started, as far as it can tell by itself, where the source run may not.
    pub(super) fit: Option<Box<Source>>,
    /// How many selected runs it has.
    pub(super) matched: u64,
    /// More of them, where it is asked for.
    pub(super) told: Option<Box<Told>>,
    /// One of them was named as a group that is to be left out.
    pub(super) is_left_out: bool,
    /// Why it gets no new run.
    pub(super) skip: Option<(Reason, Option<String>)>,
}

impl Group {
    /// Of the runs that were gathered into it.
    pub(super) fn of(task_name: Arc<Key<'static>>, params: Digest, gathered: Gathered) -> Group {
        let Gathered { source, fit, matched, told, is_left_out } = gathered;
        Group { task_name, params, source, fit, matched, told, is_left_out, skip: None }
    }

    /// By task name, then by source run. A million groups are told apart without a look at the names of the same task.
    pub(super) fn order(&self, other: &Group) -> Ordering {
        let tasks = match Arc::ptr_eq(&self.task_name, &other.task_name) {
            true => Ordering::Equal,
            false => self.task_name.order_of_bytes(&other.task_name),
        };
        tasks.then_with(|| self.source.id.order_of_bytes(&other.source.id))
    }

    /// The run that is started again.
    pub(super) fn run(&self) -> RunRef<'_> {
        RunRef { task_name: &self.task_name, id: &self.source.id }
    }

    /// Its parameters, if they are carried.
    pub(super) fn params_as_read(&self) -> Option<&Params<'static>> {
        self.source.carried.as_ref()?.params()
    }

    /// What stands for it in a plan, if that is carried.
    pub(super) fn of_plan(&self) -> Option<OfRun> {
        Some(self.source.carried.as_ref()?.of_run(self.run()))
    }
}

/// A group's selected runs, as they come by.
#[derive(Debug)]
pub(super) struct Gathered {
    source: Source,
    /// The newest that is fit, where the source is not.
    fit: Option<Box<Source>>,
    matched: u64,
    told: Option<Box<Told>>,
    is_left_out: bool,
}

impl Gathered {
    /// None yet, but this is the first that is to be added.
    pub(super) fn before(run: &RunRow<'_>, with_runs: bool, carrier: &mut Carrier) -> Gathered {
        let told = || Told { run: run.to_run(), first: None, parameter_sets: HashSet::new() };
        let told = with_runs.then(|| Box::new(told()));
        let source = Source { carried: carrier.in_place_of(None, run), ..Source::of(run) };
        Gathered { source, fit: None, matched: 0, told, is_left_out: false }
    }

    /// Adds one that stands for so many, among which none is newer.
    pub(super) fn add_one_of(&mut self, run: &RunRow<'_>, matched: u64) {
        self.add(run, false, &mut Carrier::of(None));
        self.matched = matched;
    }

    pub(super) fn add(&mut self, run: &RunRow<'_>, is_left_out: bool, carrier: &mut Carrier) {
        self.matched += 1;
        self.is_left_out |= is_left_out;
        let is_newer = self.source.is_older_than(run.created_at, &run.id);
        if is_newer {
            let carried = carrier.in_place_of(self.source.carried.take(), run);
            if Source::would_be_fit(run) {
                self.fit = None;
                self.source.become_of(run);
            } else {
                let older = mem::replace(&mut self.source, Source::of(run));
                if older.is_fit() {
                    self.fit = Some(Box::new(older));
                }
            }
            self.source.carried = carried;
        } else if !self.source.is_fit()
            && self.fit.as_ref().is_none_or(|fit| fit.is_older_than(run.created_at, &run.id))
        {
            self.fit = Some(Source::of(run)).filter(Source::is_fit).map(Box::new).or(self.fit.take());
        }
        if let Some(told) = &mut self.told {
            if is_newer {
                told.run = run.to_run();
            }
            told.first = told.first.into_iter().chain(run.created_at).min();
            told.parameter_sets.insert(Digest::of_params(&run.params));
        }
    }
}

/// What is told of a group's selected runs beside their number.
#[derive(Debug)]
pub(super) struct Told {
    /// The source run.
    run: Run,
    /// When the earliest was created.
    first: Option<Instant>,
    parameter_sets: HashSet<Digest>,
}

impl From<Told> for GroupRuns {
    fn from(told: Told) -> GroupRuns {
        let parameter_sets = Some(told.parameter_sets.len() as u64);
        GroupRuns { run: Some(told.run), first: told.first, parameter_sets }
    }
}

/// A group's newest run.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) id: Key<'static>,
    pub(super) created_at: Option<Instant>,
    /// Why the host says that a run of its kind is never started again.
    pub(super) unfit: Option<Box<str>>,
    /// What need not be read once more, in a box: a million groups may have none.
    carried: Option<Box<Carried>>,
}

impl Source {
    pub(super) fn of(run: &RunRow<'_>) -> Source {
        Source { id: run.id.to_owned(), created_at: run.created_at, unfit: run.unfit.map(Box::from), carried: None }
    }

    /// The same in the place of another run, without a piece of memory of its own: most rows are newer than those before.
    fn become_of(&mut self, run: &RunRow<'_>) {
        self.id.become_as(&run.id);
        self.created_at = run.created_at;
        self.unfit = run.unfit.map(Box::from);
    }

    /// Whether a run may be started again, as far as it can tell by itself.
    fn would_be_fit(run: &RunRow<'_>) -> bool {
        run.unfit.is_none() && run.id.fault().is_none()
    }

    /// The same of this one.
    pub(super) fn is_fit(&self) -> bool {
        self.unfit.is_none() && self.id.fault().is_none()
    }

    /// Whether another run is newer: the latest is, then the one with the higher id. An unreadable time is the oldest.
    pub(super) fn is_older_than(&self, created_at: Option<Instant>, id: &Key<'_>) -> bool {
        self.created_at.cmp(&created_at).then_with(|| self.id.order(id)).is_lt()
    }
}

/// What stands for a value of any size: no two that differ have the same one, in any number of runs that fits a disk. Its
/// keys are new in each process, so that no text can be chosen to have another one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Digest([u64; 2]);

impl Digest {
    fn of(value: &impl Hash) -> Digest {
        static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);
        Digest(KEYS.each_ref().map(|key| key.hash_one(value)))
    }

    /// Of parameters that set groups apart.
    pub(super) fn of_params(params: &Params<'_>) -> Digest {
        Digest::of(&params.bytes())
    }
}

/// The runs that were handed over, where one may be twice.
#[derive(Default)]
pub(super) struct Seen(HashSet<Digest>);

impl Seen {
    /// Whether it was not seen before. A run without an id is like no other.
    pub(super) fn is_new(&mut self, run: &RunRow<'_>) -> bool {
        matches!(run.id, Key::Null) || self.0.insert(Digest::of(&(&run.task_name, &run.id)))
    }
}

/// The names of tasks, each of them once in memory.
#[derive(Default)]
pub(super) struct Names {
    names: HashTable<Arc<Key<'static>>>,
    hasher: DefaultHashBuilder,
}

impl Names {
    pub(super) fn get(&mut self, name: &Key<'_>) -> Arc<Key<'static>> {
        let hash = self.hasher.hash_one(name);
        let entry = self.names.entry(hash, |known| **known == *name, |known| self.hasher.hash_one(&**known));
        Arc::clone(entry.or_insert_with(|| Arc::new(name.to_owned())).get())
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}

/// Values by task, or by task and parameters.
pub(super) struct ByTask<V> {
    names: Names,
    entries: HashTable<Entry<V>>,
    hasher: DefaultHashBuilder,
}

struct Entry<V> {
    task_name: Arc<Key<'static>>,
    params: Digest,
    value: V,
}

impl<V> ByTask<V> {
    pub(super) fn new() -> Self {
        ByTask { names: Names::default(), entries: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }

    /// The value of a task and parameters, made by `new` if there is none yet.
    pub(super) fn or_insert_with(&mut self, task_name: &Key<'_>, params: Digest, new: impl FnOnce() -> V) -> &mut V {
        let hash = self.hasher.hash_one((task_name, params));
        let entry = self.entries.entry(
            hash,
            |entry| entry.is(task_name, params),
            |entry| self.hasher.hash_one((&*entry.task_name, entry.params)),
        );
        let names = &mut self.names;
        let new = || Entry { task_name: names.get(task_name), params, value: new() };
        &mut entry.or_insert_with(new).into_mut().value
    }

    pub(super) fn get_mut(&mut self, task_name: &Key<'_>, params: Digest) -> Option<&mut V> {
        let hash = self.hasher.hash_one((task_name, params));
        self.entries.find_mut(hash, |entry| entry.is(task_name, params)).map(|entry| &mut entry.value)
    }

    /// Every task, its parameters, and their value.
    pub(super) fn into_entries(self) -> impl Iterator<Item = (Arc<Key<'static>>, Digest, V)> {
        self.entries.into_iter().map(|entry| (entry.task_name, entry.params, entry.value))
    }
}

impl<V> Entry<V> {
    fn is(&self, task_name: &Key<'_>, params: Digest) -> bool {
        self.params == params && *self.task_name == *task_name
    }
}
