//! Looks at the new runs before they last: what the host's view does not show, or shows as ended, is no new run.
//!
//! Where nothing but the profile's own INSERT decides what is in a row, one new run stands for all of a call. A trigger or
//! a rule on a table may change, swallow or end any of them, and then each is looked at.

use super::batch::Batch;
use super::fit::relation;
use super::session::PostgresSession;
use crate::host::{Columns, HostError, Key, RunRef, not_to_be_run};

const DOING: &str = "looking at the new runs";

/// How many new runs of a batch are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    /// The first.
    One,
    /// Each.
    All,
}

impl PostgresSession<'_> {
    /// As the triggers and rules say that are on the runner's tables now.
    pub(super) fn watch(&self) -> Result<Watch, HostError> {
        // 4 is the bit of triggers that an INSERT sets off, and '3' an INSERT's rule.
        let sql = format!(
            "WITH tables AS (
                 SELECT coalesce(part.relid, top.oid) AS oid
                 FROM unnest($1::text[]) AS name, LATERAL (SELECT {}::oid AS oid) AS top
                 LEFT JOIN LATERAL pg_partition_tree(top.oid::regclass) AS part ON true
             )
             SELECT EXISTS (SELECT FROM pg_trigger, tables WHERE tgrelid = tables.oid AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 4 <> 0)
                 OR EXISTS (SELECT FROM pg_rewrite, tables WHERE ev_class = tables.oid AND ev_type = '3')",
            relation("name")
        );
        let tables: Vec<&String> = self.fitted.generation.requires.keys().collect();
        let asked = self.connection().wait_for(self.connection().client().query_one(&sql, &[&tables]));
        let all: bool = asked.and_then(|row| row.try_get(0)).map_err(|error| self.error(DOING, error))?;
        Ok(if all { Watch::All } else { Watch::One })
    }

    /// Whether the host's view shows a batch's new runs, and as runs that are to be run.
    pub(super) fn are_shown(&self, watch: &Watch, batch: &Batch<'_>, new_ids: &[String]) -> Result<bool, HostError> {
        let most = if *watch == Watch::All { new_ids.len() } else { 1 };
        let keys: Vec<Key<'_>> = new_ids.iter().take(most).map(|id| Key::text(id)).collect();
        let of_source = |(source, id)| RunRef { task_name: source, id };
        let runs: Vec<_> = batch.sources.iter().map(|source| source.run.task_name).zip(&keys).map(of_source).collect();
        let mut shown = 0;
        let columns = Columns { end_reason: true, rest: true, ..Columns::default() };
        self.each_of_runs(&runs, columns, &mut |_, run| shown += usize::from(not_to_be_run(&run).is_none()))?;
        Ok(shown == runs.len())
    }

    /// Why a new run is none, if so.
    pub(super) fn is_not_shown(&self, source: RunRef<'_>, new_id: &str) -> Result<Option<String>, HostError> {
        let new = RunRef { task_name: source.task_name, id: &Key::text(new_id) };
        let mut words = Some("the host's view does not show the new run".to_owned());
        let columns = Columns { end_reason: true, rest: true, ..Columns::default() };
        self.each_of_runs(&[new], columns, &mut |_, run| words = not_to_be_run(&run))?;
        Ok(words)
    }
}
