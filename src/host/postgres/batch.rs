//! Starting runs on their way to being started, some thousands at a time.
//!
//! A batch is made while the server works on another, and so gives way now and then to what moves the connection's bytes.

use std::borrow::Cow;
use std::ops::Range;

use tokio::task::yield_now;
use tokio_postgres::types::Type;

use super::parameters::Encoded;
use crate::contract::Params;
use crate::host::new_ids::NewIds;
use crate::host::profile::SpawnParameter;
use crate::host::{Due, RunRef};

/// Runs after which the connection's bytes have their turn.
const RUNS_A_TURN: usize = 250;

/// A source run, and what its new run may use.
pub(super) struct Starting<'s> {
    /// Where it stands among the runs that were asked for.
    pub(super) index: usize,
    pub(super) run: RunRef<'s>,
    /// Its id and its task as statements take them.
    pub(super) id: Cow<'s, str>,
    pub(super) task_name: Cow<'s, str>,
    /// None until it is read.
    pub(super) params: Params<'static>,
    pub(super) new_id: String,
    /// When it is due, where that is not at once.
    pub(super) due: Option<String>,
}

/// Starting runs that are started together.
pub(super) struct Batch<'s> {
    /// Where they stand among the runs that were asked for.
    pub(super) indexes: Range<usize>,
    /// In their order; without those that are known to be gone.
    pub(super) sources: Vec<Starting<'s>>,
    /// What a statement for all of them takes, once it is made.
    pub(super) values: Vec<Encoded>,
}

impl<'s> Batch<'s> {
    /// The batch with these indexes, as far as there are so many runs; `None` if there are none of them.
    pub(super) async fn of(
        indexes: Range<usize>,
        runs: &'s [RunRef<'s>],
        due: Option<Due>,
        new_ids: &mut NewIds,
    ) -> Option<Batch<'s>> {
        let indexes = indexes.start..indexes.end.min(runs.len());
        if indexes.is_empty() {
            return None;
        }
        let mut sources = Vec::with_capacity(indexes.len());
        for index in indexes.clone() {
            let run = runs[index];
            let [id, task_name] = [run.id, run.task_name].map(|key| key.spelled().unwrap_or_default());
            let (new_id, due) = (new_ids.next(), due.map(|due| due.of(index)));
            sources.push(Starting { index, run, id, task_name, params: Params::None, new_id, due });
            give_way(index).await;
        }
        Some(Batch { indexes, sources, values: Vec::new() })
    }

    /// Whether two of them bear the same id, so that what is told of that id may be the other one's.
    pub(super) fn repeats_an_id(&self) -> bool {
        let mut ids: Vec<&str> = self.sources.iter().map(|source| &*source.id).collect();
        ids.sort_unstable();
        ids.windows(2).any(|pair| pair[0] == pair[1])
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
                SpawnParameter::Id => Encoded::array(sources.map(|source| Some(&*source.id)), kind),
                SpawnParameter::TaskName => Encoded::array(sources.map(|source| Some(&*source.task_name)), kind),
                SpawnParameter::Params => Encoded::array(sources.map(|source| text(&source.params)), kind),
                SpawnParameter::NewId | SpawnParameter::NewUuid | SpawnParameter::NewRun => {
                    Encoded::array(sources.map(|source| Some(source.new_id.as_str())), kind)
                }
                SpawnParameter::Due => Encoded::array(sources.map(|source| source.due.as_deref()), kind),
                SpawnParameter::Now => Encoded::new(&now, kind),
            });
            yield_now().await;
        }
    }
}

pub(super) async fn give_way(index: usize) {
    if index.is_multiple_of(RUNS_A_TURN) {
        yield_now().await;
    }
}

/// Parameters are text in this engine: the view's column is read as text.
pub(super) fn text<'a>(params: &'a Params<'_>) -> Option<&'a str> {
    match params {
        Params::Text(bytes) | Params::Blob(bytes) => str::from_utf8(bytes).ok(),
        Params::None | Params::Integer(_) | Params::Real(_) => None,
    }
}

/// Whether parameters can't be sent as they are: a database without an encoding may have any bytes in a text.
pub(super) fn cannot_be_sent(params: &Params<'_>) -> bool {
    *params != Params::None && text(params).is_none()
}
