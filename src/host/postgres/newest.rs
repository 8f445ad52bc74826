//! The newest runs of tasks: found at the server, where that costs it less than handing all of them over would.

use std::ops::ControlFlow;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::dialect::Bound;
use super::plan::{self, Cost, cost};
use super::row::{key, read};
use super::session::PostgresSession;
use crate::contract::{Instant, RunFilter, is_writable, nearest_writable};
use crate::host::view::Positions;
use crate::host::{Columns, HostError, Key, Query, RunRow, Since};

const DOING: &str = "searching its runs";

/// What handing a row over costs, in the planner's units, where reading one costs 0.01: some microseconds.
const HANDING_OVER: f64 = 0.3;

/// So few rows are handed over, and looked at one by one, sooner than anything about them is planned.
const FEW: u32 = 1_000;

/// The runs of one or more tasks, among those that `sql` finds.
fn of_wanted(sql: &str, values: usize, condition: &str) -> String {
    let (tasks, times) = (values + 1, values + 2);
    format!(
        "SELECT selected.*, place FROM (\n{sql}\n) AS selected
         JOIN unnest(${tasks}::text[], ${times}::timestamptz[]) WITH ORDINALITY AS wanted(wanted_task, wanted_at, place)
         ON selected.task_name = wanted_task AND selected.created_at {condition} wanted_at"
    )
}

/// A task's name, how many runs it has, and when the newest was created.
struct Counted {
    task_name: Key<'static>,
    runs: u64,
    newest: Instant,
}

impl PostgresSession<'_> {
    /// As [`Session::may_repeat`](crate::host::Session::may_repeat).
    pub(super) fn may_come_twice(&self, query: Query<'_>) -> Result<bool, HostError> {
        let are_few = match query {
            Query::Ids(ids) => ids.len() <= FEW as usize,
            // How many runs a task has the planner knows. Of the words that a view makes of its rows it knows nothing, and
            // may take millions for a few.
            Query::Filter(RunFilter { task_name: Some(name), .. }) => {
                let all = RunFilter { task_name: Some(name.clone()), ..RunFilter::default() };
                let (all, _) =
                    self.fitted.view.compile(Query::Filter(&all), Columns::default(), &self.fitted.dialect());
                self.cost(&all.sql, self.bound(&all.values)?)?.rows < f64::from(FEW)
            }
            _ => false,
        };
        if are_few {
            return Ok(true);
        }
        let unique = self.connection().wait_for(plan::finds_one_at_most(self.connection().client(), &self.fitted));
        unique.map(|unique| !unique).map_err(|error| self.error("looking at how it finds a run", error))
    }

    /// As [`Session::newest`](crate::host::Session::newest): two statements in one snapshot, and what of the second's rows is
    /// newest where several have the same time is not theirs to say.
    pub(super) fn newest_of_filter(
        &self,
        filter: &RunFilter,
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>, u64),
    ) -> Result<bool, HostError> {
        let (all, at) = self.fitted.view.compile(Query::Filter(filter), columns, &self.fitted.dialect());
        let bound = || self.bound(&all.values);
        // The collation of a column may take other names for the same.
        let counts = format!(
            "SELECT task_name COLLATE \"C\" AS task_name, count(*), min(created_at), max(created_at)
             FROM (\n{}\n) AS selected GROUP BY 1",
            all.sql
        );
        let newest = of_wanted(&all.sql, all.values.len(), "=");
        if !self.is_cheaper_there(&all.sql, &counts, &newest, &bound)? {
            return Ok(false);
        }
        let mut tasks: Option<Vec<Counted>> = Some(Vec::new());
        let _ = self.each_row(&counts, bound()?, &mut |row| {
            tasks = tasks.take().zip(counted(row)).map(|(mut tasks, task)| {
                tasks.push(task);
                tasks
            });
            ControlFlow::Continue(())
        })?;
        let Some(mut tasks) = tasks else { return Ok(false) };
        tasks.retain(|task| all.task_name.as_ref().is_none_or(|name| task.task_name.is(name)));
        let names: Option<Vec<_>> = tasks.iter().map(|task| carried(&task.task_name)).collect();
        let Some(names) = names else { return Ok(false) };
        let times: Vec<Instant> = tasks.iter().map(|task| task.newest).collect();
        let mut is_found = vec![false; tasks.len()];
        let _ =
            self.each_row(&newest, [bound()?, wanted(names, times)].into_iter().flatten().collect(), &mut |row| {
                let (index, run) = placed(row, &at);
                if let Some(task) = tasks.get(index).filter(|task| task.task_name == run.task_name) {
                    is_found[index] = true;
                    each(run, task.runs);
                }
                ControlFlow::Continue(())
            })?;
        Ok(is_found.into_iter().all(|is_found| is_found))
    }

    /// The runs of these tasks that are not older than the time beside each; of the newest alone, where `newest_only`.
    /// Nothing, and `false`, where the server can't be asked so.
    pub(super) fn newer_than(
        &self,
        since: &[Since<'_>],
        newest_only: bool,
        columns: Columns,
        each: &mut dyn FnMut(RunRow<'_>) -> ControlFlow<()>,
    ) -> Result<bool, HostError> {
        let names: Option<Vec<_>> = since.iter().map(|since| carried(since.task_name)).collect();
        let times: Option<Vec<Instant>> = since.iter().map(|since| since.created_at).collect();
        let (Some(names), Some(times)) = (names, times) else { return Ok(false) };
        let (all, at) = self.fitted.view.compile(Query::Tasks(None), columns, &self.fitted.dialect());
        let newer = of_wanted(&all.sql, 0, ">=");
        if newest_only {
            // A time that can't be read would stand before all others, and counts as the oldest.
            let newest = format!(
                "SELECT newest.*, place
                 FROM unnest($1::text[], $2::timestamptz[]) WITH ORDINALITY AS wanted(wanted_task, wanted_at, place),
                      LATERAL (SELECT created_at AS newest_at FROM (\n{sql}\n) AS selected
                               WHERE task_name = wanted_task AND created_at >= wanted_at AND created_at <= $3
                               ORDER BY created_at DESC LIMIT 1) AS one,
                      LATERAL (SELECT * FROM (\n{sql}\n) AS selected
                               WHERE task_name = wanted_task AND created_at = newest_at) AS newest",
                sql = all.sql
            );
            let last = nearest_writable(Instant::MAX_UTC);
            let values = || -> Vec<Bound<'static>> {
                let last: Bound<'static> = (Box::new(last), Type::TIMESTAMPTZ);
                wanted(names.clone(), times.clone()).into_iter().chain([last]).collect()
            };
            let all_newer = self.cost(&newer, wanted(names.clone(), times.clone()))?;
            if self.cost(&newest, values())?.total < all_newer.handed_over() {
                let mut are_theirs = true;
                let found = self.each_row(&newest, values(), &mut |row| {
                    let (index, run) = placed(row, &at);
                    // A collation may take another task's name for the same, and its run may hide the one that is meant.
                    are_theirs &= since.get(index).is_some_and(|since| *since.task_name == run.task_name);
                    each(run)
                })?;
                if are_theirs || found.is_break() {
                    return Ok(true);
                }
            }
        }
        let _ = self.each_row(&newer, wanted(names, times), &mut |row| each(read(row, &at)))?;
        Ok(true)
    }

    /// Whether it costs the server less to count a filter's runs and to find the newest than to hand all of them over.
    fn is_cheaper_there<'v>(
        &self,
        all: &str,
        counts: &str,
        newest: &str,
        bound: &dyn Fn() -> Result<Vec<Bound<'v>>, HostError>,
    ) -> Result<bool, HostError> {
        let all = self.cost(all, bound()?)?;
        if all.rows < f64::from(FEW) {
            return Ok(false);
        }
        let counts = self.cost(counts, bound()?)?;
        let one = wanted(vec!["a task".to_owned()], vec![Instant::UNIX_EPOCH]);
        let one = self.cost(newest, bound()?.into_iter().chain(one).collect())?;
        // At worst all of them are read once more.
        let newest = Cost { total: (one.total * counts.rows).min(all.total), ..counts };
        Ok(counts.handed_over() + newest.handed_over() < all.handed_over())
    }

    fn cost(&self, sql: &str, values: Vec<Bound<'_>>) -> Result<Cost, HostError> {
        let cost = self.after_settings(cost(self.connection().client(), sql, &values));
        cost.map_err(|error| self.error(DOING, error))
    }
}

impl Cost {
    /// With its rows handed over.
    fn handed_over(&self) -> f64 {
        self.total + self.rows * HANDING_OVER
    }
}

/// What the statement for wanted tasks and times takes last.
fn wanted(names: Vec<String>, times: Vec<Instant>) -> Vec<Bound<'static>> {
    vec![(Box::new(names), Type::TEXT_ARRAY), (Box::new(times), Type::TIMESTAMPTZ_ARRAY)]
}

/// A name as it is sent, if it can be.
fn carried(name: &Key<'_>) -> Option<String> {
    name.fault().is_none().then(|| name.to_text())
}

/// Which of the wanted tasks a row was found for, and its run.
fn placed<'r>(row: &'r Row, at: &Positions) -> (usize, RunRow<'r>) {
    let place: Option<i64> = row.try_get("place").ok();
    let index = place.and_then(|place| usize::try_from(place - 1).ok()).unwrap_or(usize::MAX);
    (index, read(row, at))
}

/// `None` where one of its times can't be read: then it is no measure, nor within any bound.
fn counted(row: &Row) -> Option<Counted> {
    let time = |index| row.try_get::<_, Option<Instant>>(index).ok().flatten().filter(is_writable);
    time(2)?;
    Some(Counted {
        task_name: key(row, 0).to_owned(),
        runs: row.try_get::<_, i64>(1).ok().and_then(|runs| runs.try_into().ok())?,
        newest: time(3)?,
    })
}
