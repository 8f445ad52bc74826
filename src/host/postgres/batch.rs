//! Source runs on their way to being started, some thousands at a time.
//!
//! Both making a batch and telling what became of one are done while the server works on another, so both give way
//! now and then to what moves the connection's bytes.

use std::ops::Range;

use tokio::task::yield_now;
use tokio_postgres::types::Type;

use super::parameters::Encoded;
use crate::contract::Params;
use crate::host::new_ids::NewIds;
use crate::host::profile::SpawnParameter;
use crate::host::{Sources, Spawned};

/// Runs after which the connection's bytes have their turn.
const RUNS_A_TURN: usize = 250;

/// A source run, and what its new run may use.
pub(super) struct Source<'s> {
    /// Where it stands among the ids that were asked for.
    pub(super) index: usize,
    pub(super) id: &'s str,
    pub(super) task_name: &'s str,
    /// None until it is read.
    pub(super) params: Params<'static>,
    pub(super) new_id: String,
}

/// Source runs that are started together.
pub(super) struct Batch<'s> {
    /// Where they stand among the ids that were asked for.
    pub(super) indexes: Range<usize>,
    /// In their order; without those that are known to be gone.
    pub(super) sources: Vec<Source<'s>>,
    /// What a statement for all of them takes, once it is made.
    pub(super) values: Vec<Encoded>,
}

impl<'s> Batch<'s> {
    /// The batch with these indexes, as far as there are so many runs; `None` if there are none of them.
    pub(super) async fn of(indexes: Range<usize>, of: Sources<'s>, new_ids: &mut NewIds) -> Option<Batch<'s>> {
        let indexes = indexes.start..indexes.end.min(of.ids.len());
        if indexes.is_empty() {
            return None;
        }
        let mut sources = Vec::with_capacity(indexes.len());
        for index in indexes.clone() {
            let (id, task_name) = (of.ids[index], of.task_names[index]);
            sources.push(Source { index, id, task_name, params: Params::None, new_id: new_ids.next() });
            give_way(index).await;
        }
        Some(Batch { indexes, sources, values: Vec::new() })
    }

    /// Makes what a statement for all of them takes.
    pub(super) async fn encode<'k>(
        &mut self,
        parameters: impl Iterator<Item = (&'k SpawnParameter, &'k Type)>,
        now: &str,
    ) {
        for (parameter, kind) in parameters {
            let sources = self.sources.iter();
            self.values.push(match parameter {
                SpawnParameter::Id => Encoded::array(sources.map(|source| Some(source.id)), kind),
                SpawnParameter::TaskName => Encoded::array(sources.map(|source| Some(source.task_name)), kind),
                SpawnParameter::Params => Encoded::array(sources.map(|source| text(&source.params)), kind),
                SpawnParameter::NewId | SpawnParameter::NewUuid => {
                    Encoded::array(sources.map(|source| Some(source.new_id.as_str())), kind)
                }
                SpawnParameter::Now => Encoded::new(&now, kind),
            });
            yield_now().await;
        }
    }

    /// Each run that was asked for, and its source run unless that is gone.
    pub(super) fn each(&self) -> impl Iterator<Item = (usize, Option<&Source<'s>>)> {
        let mut sources = self.sources.iter().peekable();
        self.indexes.clone().map(move |index| (index, sources.next_if(|source| source.index == index)))
    }

    /// Tells what became of it, once every source run has got its new run.
    pub(super) async fn tell(&self, new_ids: Vec<String>, each: &mut dyn FnMut(usize, Spawned<'_>)) {
        let mut new_ids = new_ids.into_iter();
        for (index, source) in self.each() {
            match source.and_then(|source| Some((source, new_ids.next()?))) {
                Some((source, run_id)) => each(index, Spawned::New { run_id, params: borrowed(&source.params) }),
                None => each(index, Spawned::Gone),
            }
            give_way(index).await;
        }
    }
}

async fn give_way(index: usize) {
    if index.is_multiple_of(RUNS_A_TURN) {
        yield_now().await;
    }
}

/// Parameters are text in this engine: the view's column is read as text.
pub(super) fn text<'a>(params: &'a Params<'_>) -> Option<&'a str> {
    match params {
        Params::None => None,
        Params::Text(bytes) | Params::Blob(bytes) => std::str::from_utf8(bytes).ok(),
    }
}

pub(super) fn borrowed<'a>(params: &'a Params<'static>) -> Params<'a> {
    match params {
        Params::None => Params::None,
        Params::Text(bytes) => Params::Text(bytes.as_ref().into()),
        Params::Blob(bytes) => Params::Blob(bytes.as_ref().into()),
    }
}
