//! The statements over a profile's view: which columns, which conditions, every value bound.

use chrono::{Days, NaiveDate};
use rusqlite::types::Value;

use crate::contract::{FAILURE_END_REASONS, Instant, Phase, RunFilter, is_success};
use crate::host::{Columns, Query};

/// More values than this in one list are bound as one JSON array.
const PLACEHOLDERS_MAX: usize = 200;

/// A profile's view as it is used in statements.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) runs: String,
    pub(super) has_is_failure: bool,
    pub(super) has_unfit: bool,
    pub(super) has_deleted: bool,
    /// The store has an index that finds runs by their time of creation.
    pub(super) created_at_indexed: bool,
}

/// A statement, and what of the query SQL does not decide.
#[derive(Debug, PartialEq)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
    /// Bounds on the time of creation, to be checked on instants: the SQL's own are coarse.
    pub(super) window: Window,
}

/// Bounds on the time of creation, both ends included.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Window {
    pub(super) after: Option<Instant>,
    pub(super) before: Option<Instant>,
}

impl Window {
    /// A run whose time can't be read is within no bound.
    pub(super) fn contains(&self, created_at: Option<Instant>) -> bool {
        match (self, created_at) {
            (Window { after: None, before: None }, _) => true,
            (_, None) => false,
            (Window { after, before }, Some(at)) => {
                after.is_none_or(|after| at >= after) && before.is_none_or(|before| at <= before)
            }
        }
    }
}

/// Where the wanted columns stand in a row; the first three are always there.
pub(super) struct Positions {
    pub(super) params: Option<usize>,
    pub(super) unfit: Option<usize>,
    pub(super) end_reason: Option<usize>,
    pub(super) rest: Option<usize>,
    pub(super) is_failure: Option<usize>,
}

impl View {
    /// The wanted columns as a SELECT list, and where each stands.
    fn columns(&self, columns: Columns) -> (String, Positions) {
        let mut list = vec!["id", "task_name", "created_at"];
        let mut add = |wanted: bool, names: &[&'static str]| {
            let at = list.len();
            wanted.then(|| {
                list.extend(names);
                at
            })
        };
        let positions = Positions {
            params: add(columns.params, &["params"]),
            unfit: add(columns.unfit && self.has_unfit, &["unfit"]),
            end_reason: add(columns.end_reason, &["end_reason"]),
            rest: add(columns.rest, &["phase", "exit_code", "triggered_by", "retry_attempt"]),
            is_failure: add(columns.rest && self.has_is_failure, &["is_failure"]),
        };
        (list.join(", "), positions)
    }

    /// `SELECT … FROM (the view)`, ready for a WHERE. SQLite flattens it into the view's own table.
    fn select(&self, list: &str) -> String {
        format!("SELECT {list} FROM (\n{}\n) AS run", self.runs)
    }

    /// Finds one run by its id, `?1`.
    pub(super) fn by_id(&self, columns: Columns) -> (String, Positions) {
        let (list, positions) = self.columns(columns);
        let mut terms = vec!["id = ?1".to_owned()];
        self.only_visible(&mut terms);
        (self.select(&list) + &where_all(&terms), positions)
    }

    /// Deleted runs are never seen. Asked last: in a long row the mark stands far behind what filters
    /// ask for, and SQLite reads a row only as far as it must.
    fn only_visible(&self, terms: &mut Vec<String>) {
        if self.has_deleted {
            terms.push("NOT deleted".to_owned());
        }
    }

    /// The earliest and the latest time of creation, as texts: where `created_at_indexed`, two seeks.
    pub(super) fn span(&self) -> String {
        let first = |order| format!("({} ORDER BY created_at {order} LIMIT 1)", self.select("created_at"));
        format!("SELECT {}, {}", first("ASC"), first("DESC"))
    }

    /// Compiles a query that is not one of ids. `seek_created_at`: go by the index on it.
    pub(super) fn compile(&self, query: Query<'_>, columns: Columns, seek_created_at: bool) -> (Statement, Positions) {
        let (list, positions) = self.columns(columns);
        let mut conditions = Conditions::default();
        match query {
            Query::Filter(filter) => self.filter(filter, seek_created_at, &mut conditions),
            Query::Tasks { names, active } => tasks(names, active, &mut conditions),
            Query::Ids(_) => {}
        }
        self.only_visible(&mut conditions.terms);
        let sql = self.select(&list) + &where_all(&conditions.terms);
        (Statement { sql, values: conditions.values, window: conditions.window }, positions)
    }

    /// Only the conditions that are set, each over canonical columns.
    fn filter(&self, filter: &RunFilter, seek_created_at: bool, conditions: &mut Conditions) {
        self.status(filter, conditions);
        if let Some(name) = &filter.task_name {
            let name = conditions.bind(name.clone());
            conditions.add(format!("task_name = {name}"));
        }
        if let Some(trigger) = &filter.triggered_by {
            let trigger = conditions.bind(trigger.clone());
            conditions.add(format!("triggered_by = {trigger}"));
        }
        if let Some(text) = &filter.search {
            // SQLite's own lower() folds ASCII only, as the contract does.
            let text = conditions.bind(text.to_ascii_lowercase());
            conditions.add(format!("(instr(lower(task_name), {text}) > 0 OR instr(lower(id), {text}) > 0)"));
        }
        if let Some(min) = filter.exit_code_min {
            let min = conditions.bind(min);
            conditions.add(format!("exit_code >= {min}"));
        }
        if let Some(max) = filter.exit_code_max {
            let max = conditions.bind(max);
            conditions.add(format!("exit_code <= {max}"));
        }
        if filter.retries_only {
            conditions.add("retry_attempt > 0".to_owned());
        }
        conditions.window = Window { after: filter.created_after, before: filter.created_before };
        coarse_bounds(conditions, seek_created_at);
    }

    /// The phase or the end reason is one of the words, or the run counts as a failure.
    fn status(&self, filter: &RunFilter, conditions: &mut Conditions) {
        let mut alternatives = Vec::new();
        // A phase is one of three words, so others need no look at that column.
        let phases: Vec<_> = filter.status.iter().filter_map(|word| Phase::from_word(word)).collect();
        if !phases.is_empty() {
            let list = conditions.bind_all(phases.iter().map(|phase| phase.as_str().to_owned()));
            alternatives.push(format!("phase IN ({list})"));
        }
        if !filter.status.is_empty() {
            let mut words = filter.status.clone();
            if words.iter().any(|word| is_success(word)) {
                words.extend(["success", "succeeded"].map(str::to_owned));
            }
            words.sort_unstable();
            words.dedup();
            let list = conditions.bind_all(words);
            alternatives.push(format!("end_reason IN ({list})"));
        }
        if filter.is_failure || filter.status.iter().any(|word| word == "failure") {
            let list = conditions.bind_all(FAILURE_END_REASONS.map(str::to_owned));
            let by_reason = format!("end_reason IN ({list})");
            alternatives.push(match self.has_is_failure {
                true => format!("coalesce(is_failure, {by_reason})"),
                false => by_reason,
            });
        }
        if !alternatives.is_empty() {
            conditions.add(format!("({})", alternatives.join(" OR ")));
        }
    }
}

fn where_all(terms: &[String]) -> String {
    if terms.is_empty() { String::new() } else { format!("\nWHERE {}", terms.join("\n  AND ")) }
}

fn tasks(names: Option<&[&str]>, active: bool, conditions: &mut Conditions) {
    if let Some(names) = names {
        let list = conditions.bind_all(names.iter().map(|name| (*name).to_owned()));
        conditions.add(format!("task_name IN ({list})"));
    }
    if active {
        let [pending, running] =
            [Phase::Pending, Phase::Running].map(|phase| conditions.bind(phase.as_str().to_owned()));
        conditions.add(format!("phase IN ({pending}, {running})"));
    }
}

/// Bounds on the text, a superset of what the instants will let through: every layout begins with
/// the local date, which is at most a day off from the date in UTC.
fn coarse_bounds(conditions: &mut Conditions, seek: bool) {
    let column = if seek { "created_at" } else { "+created_at" };
    let text = |date: NaiveDate| date.format("%Y-%m-%d").to_string();
    // Beyond these years a date has no four digits; then the instants alone decide.
    let ordinary = |date: &NaiveDate| {
        NaiveDate::from_ymd_opt(1, 1, 1).is_some_and(|first| *date >= first)
            && NaiveDate::from_ymd_opt(9999, 12, 31).is_some_and(|last| *date <= last)
    };
    if let Some(after) = conditions.window.after
        && let Some(day) = after.date_naive().checked_sub_days(Days::new(1)).filter(ordinary)
    {
        let bound = conditions.bind(text(day));
        conditions.add(format!("{column} >= {bound}"));
    }
    if let Some(before) = conditions.window.before
        && let Some(day) = before.date_naive().checked_add_days(Days::new(2)).filter(ordinary)
    {
        let bound = conditions.bind(text(day));
        conditions.add(format!("{column} < {bound}"));
    }
}

#[derive(Default)]
struct Conditions {
    terms: Vec<String>,
    values: Vec<Value>,
    window: Window,
}

impl Conditions {
    fn add(&mut self, term: String) {
        self.terms.push(term);
    }

    /// Binds a value and answers its placeholder.
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    /// Binds a list for `IN (…)`; a long one as a single value, since placeholders are limited.
    fn bind_all(&mut self, values: impl IntoIterator<Item = String>) -> String {
        let values: Vec<String> = values.into_iter().collect();
        if values.len() > PLACEHOLDERS_MAX {
            let array = self.bind(serde_json::Value::from(values).to_string());
            return format!("SELECT value FROM json_each({array})");
        }
        values.into_iter().map(|value| self.bind(value)).collect::<Vec<_>>().join(", ")
    }
}
