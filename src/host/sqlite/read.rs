//! Reads runs: a statement's rows as they come, the runs that bear an id, and runs by their tasks and ids.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow;

use super::dialect::{End, Sqlite, bindable, forms, times_at};
use super::plan::{first_by_id, of_a_task_and_an_id, of_an_id};
use super::row::with_row;
use super::session::{SqliteSession, Transactions};
use crate::contract::{Instant, RunFilter};
use crate::host::time::read_instant;
use crate::host::view::{Positions, Statement};
use crate::host::{Columns, Key, Query, RunRef, RunRow};

/// An index on the time of creation pays while a query's window is at most this part of all time:
/// a seek a run costs about five times what a run costs in a full scan.
const INDEX_PAYS_BELOW: f64 = 0.2;

impl<T: Transactions> SqliteSession<'_, T> {
    /// All ids are numbers, or texts, or blobs, as the first one is; `None` where they are mixed, or nobody can tell without reading them all.
    pub(super) fn type_of_ids(&self) -> rusqlite::Result<Option<String>> {
        if !self.fitted.seeks.ordered || !self.fitted.view.key.is_empty() {
            return Ok(None);
        }
        let end = |order| -> rusqlite::Result<Option<String>> {
            let mut statement = self.connection().prepare_cached(&first_by_id(&self.fitted.view, order))?;
            let mut rows = statement.query([])?;
            rows.next()?.map(|row| row.get(0)).transpose()
        };
        let first = end("ASC")?;
        Ok(if first == end("DESC")? { first } else { None })
    }

    /// The runs that bear one of these ids, which are sorted.
    pub(super) fn each_of_ids(
        &self,
        ids: &[&str],
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        let is_one = |id: &Key<'_>| {
            id.bytes().is_some_and(|bytes| ids.binary_search_by(|known| known.as_bytes().cmp(&bytes)).is_ok())
        };
        if !self.fitted.seeks.by_id && ids.len() > 1 {
            return self
                .each_run(columns, &mut |run| if is_one(&run.id) { each(run) } else { ControlFlow::Continue(()) });
        }
        let view = &self.fitted.view;
        let kind = self.type_of_ids()?;
        let is_of_the_kind = |form: &Key<'_>| match kind.as_deref() {
            None => true,
            Some("text") => matches!(form, Key::Text(_)),
            Some("blob") => matches!(form, Key::Blob(_)),
            // Numbers with a fraction stand between the others.
            Some(_) => matches!(form, Key::Integer(_) | Key::Real(_)),
        };
        // One for each number of forms.
        let mut statements = HashMap::new();
        for id in ids {
            // What is taken apart is a text, whatever becomes of it.
            let forms: Vec<_> = match view.key.is_empty() {
                true => forms(&Key::text(id)).into_iter().filter(is_of_the_kind).collect(),
                false => vec![Key::text(id)],
            };
            let (statement, at) = match statements.entry(forms.len()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let condition = match forms.len() {
                        0 => continue,
                        1 => &of_an_id(view),
                        2 => "id IN (?1, ?2)",
                        _ => "id IN (?1, ?2, ?3)",
                    };
                    let (sql, at) = view.by_id(condition, columns, &Sqlite::default());
                    new.insert((self.connection().prepare_cached(&sql)?, at))
                }
            };
            let mut rows = statement.query(rusqlite::params_from_iter(forms.iter().map(bindable)))?;
            loop {
                let row = match rows.next() {
                    Err(_) if !self.takes_apart(id) => break,
                    row => row?,
                };
                let Some(row) = row else { break };
                // What SQLite takes for the same may be another: 007 is 7 to a column of numbers.
                let meant = |run: RunRow<'_>| if run.id.is(id) { each(run) } else { ControlFlow::Continue(()) };
                if with_row(row, at, meant)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether a text can be an id at all, as far as what takes it apart goes: SQLite's JSON functions fail for what is
    /// none.
    fn takes_apart(&self, id: &str) -> bool {
        let values: Vec<String> = self.fitted.view.key.values("?1").collect();
        let taken = self.connection().prepare_cached(&format!("SELECT {}", values.join(", ")));
        values.is_empty() || taken.and_then(|mut taken| taken.query_row([id], |_| Ok(()))).is_ok()
    }

    /// Each of these runs, with its index; `None` for one that is gone.
    pub(super) fn each_of_runs(
        &self,
        runs: &[RunRef<'_>],
        columns: Columns,
        each: &mut dyn FnMut(usize, Option<RunRow<'_>>) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        if !self.fitted.seeks.by_task_and_id && runs.len() > 1 {
            return self.each_of_runs_in_one_pass(runs, columns, each);
        }
        let view = &self.fitted.view;
        let (sql, at) = view.by_id(&of_a_task_and_an_id(view), columns, &Sqlite::default());
        let mut statement = self.connection().prepare_cached(&sql)?;
        for (index, wanted) in runs.iter().enumerate() {
            let text = (!view.key.is_empty()).then(|| as_text(wanted.id));
            let id = text.as_ref().unwrap_or(wanted.id);
            let mut rows = statement.query([bindable(id), bindable(wanted.task_name)])?;
            let mut found = None;
            while let (None, Some(row)) = (found, rows.next()?) {
                found = with_row(row, &at, |run| wanted.is(&run.task_name, &run.id).then(|| each(index, Some(run))))?;
            }
            let found = match found {
                None => self.in_another_form(*wanted, columns, &mut |run| each(index, Some(run)))?,
                found => found,
            };
            if found.unwrap_or_else(|| each(index, None)).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// A run whose name or id is stored as another type than the one that a run of its group bears: as bytes, say.
    fn in_another_form(
        &self,
        wanted: RunRef<'_>,
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<Option<ControlFlow<()>>> {
        let view = &self.fitted.view;
        let (ids, names) = match view.key.is_empty() {
            true => (forms(wanted.id), forms(wanted.task_name)),
            false => (vec![as_text(wanted.id)], forms(wanted.task_name)),
        };
        let places = |from: usize, count: usize| {
            (from + 1..=from + count).map(|number| format!("?{number}")).collect::<Vec<_>>().join(", ")
        };
        let of_the_ids = match view.key.is_empty() {
            true => format!("id IN ({})", places(0, ids.len())),
            false => of_an_id(view),
        };
        let condition = format!("{of_the_ids} AND task_name IN ({})", places(ids.len(), names.len()));
        let (sql, at) = view.by_id(&condition, columns, &Sqlite::default());
        let mut statement = self.connection().prepare_cached(&sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(ids.iter().chain(&names).map(bindable)))?;
        let mut found = None;
        while let (None, Some(row)) = (found, rows.next()?) {
            found = with_row(row, &at, |run| wanted.is(&run.task_name, &run.id).then(|| each(run)))?;
        }
        Ok(found)
    }

    /// The same where no index serves an id: one look at every row, and not one for each run.
    fn each_of_runs_in_one_pass(
        &self,
        runs: &[RunRef<'_>],
        columns: Columns,
        each: &mut dyn FnMut(usize, Option<RunRow<'_>>) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        let indexes: HashMap<(&Key<'_>, &Key<'_>), usize> =
            runs.iter().enumerate().map(|(index, run)| ((run.task_name, run.id), index)).collect();
        let mut is_missing = vec![true; runs.len()];
        let mut flow = ControlFlow::Continue(());
        self.each_run(columns, &mut |run| {
            if let Some(&index) = indexes.get(&(&run.task_name, &run.id))
                && std::mem::take(&mut is_missing[index])
            {
                flow = each(index, Some(run));
            }
            flow
        })?;
        let missing = is_missing.iter().enumerate().filter(|(_, is_missing)| **is_missing);
        for (index, _) in missing {
            if flow.is_break() {
                break;
            }
            flow = each(index, None);
        }
        Ok(())
    }

    /// Every run.
    fn each_run(&self, columns: Columns, each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>) -> rusqlite::Result<()> {
        let (statement, at) = self.fitted.view.compile(Query::Tasks(None), columns, &Sqlite::default());
        self.each_of(&statement, &at, each)
    }

    pub(super) fn each_of(
        &self,
        statement: &Statement,
        at: &Positions,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        let mut prepared = self.connection().prepare_cached(&statement.sql)?;
        let mut rows = prepared.query(rusqlite::params_from_iter(&statement.values))?;
        while let Some(row) = rows.next()? {
            let flow = with_row(row, at, |run| match statement.means(&run) {
                true => each(run),
                false => ControlFlow::Continue(()),
            })?;
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The time of creation at one end, as far as it can be read.
    fn time_at(&self, end: End) -> rusqlite::Result<Option<Instant>> {
        let mut statement = self.connection().prepare_cached(&times_at(&self.fitted.view, end))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(time) = row.get_ref(0)?.as_str().ok().and_then(read_instant) {
                return Ok(Some(time));
            }
        }
        Ok(None)
    }

    /// Whether a filter's window is narrow enough to go by the index on the time of creation.
    pub(super) fn is_narrow(&self, filter: &RunFilter) -> rusqlite::Result<bool> {
        if !self.fitted.seeks.by_time || (filter.created_after, filter.created_before) == (None, None) {
            return Ok(false);
        }
        let (Some(first), Some(last)) = (self.time_at(End::First)?, self.time_at(End::Last)?) else { return Ok(false) };
        let from = filter.created_after.unwrap_or(first).max(first);
        let to = filter.created_before.unwrap_or(last).min(last);
        let [window, all] = [to - from, last - first].map(|span| span.num_seconds() as f64);
        Ok(window <= all * INDEX_PAYS_BELOW)
    }
}

/// An id as a text, to be taken apart.
fn as_text(id: &Key<'_>) -> Key<'static> {
    id.bytes().map_or(Key::Null, |bytes| Key::Text(bytes.into_owned().into()))
}
