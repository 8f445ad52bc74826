//! Looks at the new runs before they last: what the host's view does not show, or shows as ended, is no new run.
//!
//! What a built-in profile's statement inserts is known to be shown, whatever the source run is like: there one new run
//! stands for all. But where a trigger or a rule on the runner's tables may change, swallow or end any of them, or the
//! profile is somebody's own, each is looked at.

use super::fit::relation;
use super::session::PostgresSession;
use crate::host::{Columns, HostError, Key, RunRef, Spawned, not_shown, not_to_be_run};

const DOING: &str = "looking at the new runs";

/// How many new runs are looked at.
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
        if !self.fitted.profile.is_built_in {
            return Ok(Watch::All);
        }
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

    /// The new runs that the host's view does not show as runs that are to be run, and how it shows them.
    pub(super) fn hidden(
        &self,
        watch: Watch,
        sources: &[RunRef<'_>],
        spawned: &[Spawned],
    ) -> Result<Vec<(usize, String)>, HostError> {
        let new = spawned.iter().enumerate().filter_map(|(index, spawned)| match spawned {
            Spawned::New(id) => Some((index, Key::text(id))),
            Spawned::Gone | Spawned::Refused(_) => None,
        });
        let new: Vec<(usize, Key<'_>)> = new.take(if watch == Watch::All { usize::MAX } else { 1 }).collect();
        let runs: Vec<RunRef<'_>> =
            new.iter().map(|(index, id)| RunRef { task_name: sources[*index].task_name, id }).collect();
        let mut words: Vec<_> = new.iter().map(|(_, id)| Some(not_shown(id))).collect();
        let columns = Columns { end_reason: true, rest: true, ..Columns::default() };
        self.each_of_runs(&runs, columns, &mut |place, run| words[place] = not_to_be_run(&run))?;
        let hidden: Vec<_> = new.iter().zip(words).filter_map(|((index, _), words)| Some((*index, words?))).collect();
        match watch {
            // One stands for all, so all are to be looked at.
            Watch::One if !hidden.is_empty() => self.hidden(Watch::All, sources, spawned),
            Watch::One | Watch::All => Ok(hidden),
        }
    }
}
