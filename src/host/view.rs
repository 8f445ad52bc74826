//! The statements over a profile's view: which columns, which conditions, every value bound.
//!
//! The same for every engine that speaks SQL; what differs is its [`Dialect`].

use std::collections::{BTreeSet, HashSet};

use super::profile::{CANONICAL_COLUMNS, NECESSARY_COLUMNS, OPTIONAL_COLUMNS};
use super::states::States;
use super::taken_apart::{LOOKED_AT, TakenApart};
use super::{Columns, Key, Query, RunRow};
use crate::contract::{FAILURE_END_REASONS, Instant, Phase, RunFilter, is_success, nearest};

/// How an engine says the same thing in its own words.
pub(super) trait Dialect {
    /// The place where the value with this number, from 1, is bound.
    fn placeholder(&self, number: usize) -> String;

    /// A canonical column as conditions compare it.
    fn column(&self, name: &'static str) -> String;

    /// A canonical column as the session reads it.
    fn read(&self, name: &'static str) -> String {
        self.column(name)
    }

    /// The column is one of these texts.
    fn one_of(&self, column: &str, texts: Vec<String>, conditions: &mut Conditions<'_>) -> String;

    /// The task's name is one of these, or a name that the engine takes for one of them.
    fn named(&self, names: &[&Key<'_>], conditions: &mut Conditions<'_>) -> String;

    /// A canonical column that a view does not have.
    fn nothing(&self, name: &'static str) -> String {
        format!("NULL AS {name}")
    }

    /// One of the columns contains this text, ASCII case ignored.
    fn contains(&self, columns: [&str; 2], text: &str, conditions: &mut Conditions<'_>) -> String;

    /// Adds bounds on the time of creation: exact ones, or a superset that the instants narrow down.
    fn within(&self, window: Window, conditions: &mut Conditions<'_>);
}

/// A profile's view as it is used in statements.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) runs: String,
    /// The optional columns that it has.
    pub(super) optional: Vec<&'static str>,
    /// The canonical columns that the profile's own text has not.
    pub(super) lacks: Vec<&'static str>,
    /// How an id is taken apart, if it must be.
    pub(super) key: TakenApart,
    pub(super) states: States,
}

/// A statement, and what of the query SQL does not decide.
#[derive(Debug, PartialEq)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
    /// Bounds on the time of creation, to be checked on instants: the SQL's own may be coarse.
    pub(super) window: Window,
    /// The task whose runs are meant. SQL compares names as a column's collation does, and so may find others.
    pub(super) task_name: Option<String>,
}

impl Statement {
    /// Whether a row that it found is meant.
    pub(super) fn means(&self, run: &RunRow<'_>) -> bool {
        self.window.contains(run.created_at) && self.task_name.as_ref().is_none_or(|name| run.task_name.is(name))
    }
}

/// A value that is bound.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Key(Key<'static>),
    #[cfg(feature = "postgres")]
    Texts(Vec<String>),
    #[cfg(feature = "postgres")]
    Instant(Instant),
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
    pub(super) state: Option<usize>,
}

impl View {
    /// A view of which these columns are known; the canonical ones that it lacks are NULL.
    pub(super) fn new(
        runs: String,
        columns: &HashSet<String>,
        key: TakenApart,
        dialect: &dyn Dialect,
    ) -> Result<View, String> {
        let lacks = check_columns(columns, &key)?;
        let runs = match lacks.is_empty() {
            true => runs,
            false => {
                let nothing: Vec<_> = lacks.iter().map(|name| dialect.nothing(name)).collect();
                format!("SELECT given.*, {} FROM (\n{runs}\n) AS given", nothing.join(", "))
            }
        };
        let optional = OPTIONAL_COLUMNS.into_iter().filter(|name| columns.contains(*name)).collect();
        Ok(View { runs, optional, lacks, key, states: States::default() })
    }

    pub(super) fn has(&self, optional: &str) -> bool {
        self.optional.contains(&optional)
    }

    /// The wanted columns as a SELECT list, and where each stands.
    fn columns(&self, columns: Columns, dialect: &dyn Dialect) -> (String, Positions) {
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
            unfit: add(columns.unfit && self.has("unfit"), &["unfit"]),
            end_reason: add(columns.end_reason, &["end_reason"]),
            rest: add(columns.rest, &["phase", "exit_code", "triggered_by", "retry_attempt"]),
            is_failure: add(columns.rest && self.has("is_failure"), &["is_failure"]),
            state: add(columns.state && self.has("state"), &["state"]),
        };
        let list: Vec<String> = list.into_iter().map(|name| dialect.read(name)).collect();
        (list.join(", "), positions)
    }

    /// `SELECT … FROM (the view)`, ready for a WHERE. Engines flatten it into the view's own tables.
    pub(super) fn select(&self, list: &str) -> String {
        format!("SELECT {list} FROM (\n{}\n) AS run", self.runs)
    }

    /// Finds a run, among the first, that its own id as it is taken apart does not find; `text` makes a text of the id.
    pub(super) fn not_found_by_its_id(&self, text: &str) -> Option<String> {
        let columns: Vec<_> = self.key.columns().collect();
        let (runs, condition) =
            (self.select(&format!("{text} AS own_id, {}", columns.join(", "))), self.key.condition("", "own_id"));
        let sql = format!(
            "SELECT own_id FROM (\n{runs}\nLIMIT {LOOKED_AT}\n) AS run WHERE ({condition}) IS NOT TRUE LIMIT 1"
        );
        (!columns.is_empty()).then_some(sql)
    }

    /// Finds runs by a condition on their ids, with its values bound by the caller.
    pub(super) fn by_id(&self, condition: &str, columns: Columns, dialect: &dyn Dialect) -> (String, Positions) {
        let (list, positions) = self.columns(columns, dialect);
        let mut terms = vec![condition.to_owned()];
        self.only_visible(&mut terms);
        (self.select(&list) + &where_all(&terms), positions)
    }

    /// Reads runs that a join picks out, and the join's own column `place` behind the wanted ones.
    #[cfg(feature = "postgres")]
    pub(super) fn joined(&self, join: &str, columns: Columns, dialect: &dyn Dialect) -> (String, Positions) {
        let (list, positions) = self.columns(columns, dialect);
        let mut terms = Vec::new();
        self.only_visible(&mut terms);
        (format!("{} {join}{}", self.select(&format!("{list}, place")), where_all(&terms)), positions)
    }

    /// Compiles a query that is not one of ids.
    pub(super) fn compile(&self, query: Query<'_>, columns: Columns, dialect: &dyn Dialect) -> (Statement, Positions) {
        let (list, positions) = self.columns(columns, dialect);
        let mut conditions = Conditions { dialect, terms: Vec::new(), values: Vec::new() };
        let (mut window, mut task_name) = (Window::default(), None);
        match query {
            Query::Filter(filter) => {
                window = Window { after: filter.created_after, before: filter.created_before };
                task_name = filter.task_name.clone();
                self.filter(filter, window, &mut conditions);
            }
            Query::Tasks(names) => conditions.named(names),
            Query::Active { names, .. } => {
                conditions.named(names);
                conditions.active(self.states.active());
            }
            Query::Ids(_) => {}
        }
        self.only_visible(&mut conditions.terms);
        let sql = self.select(&list) + &where_all(&conditions.terms);
        (Statement { sql, values: conditions.values, window, task_name }, positions)
    }

    /// Deleted runs are never seen. Asked last: in a long row the mark stands far behind what filters
    /// ask for, and SQLite reads a row only as far as it must.
    fn only_visible(&self, terms: &mut Vec<String>) {
        if self.has("deleted") {
            terms.push("deleted IS NOT TRUE".to_owned());
        }
    }

    /// Only the conditions that are set, each over canonical columns.
    fn filter(&self, filter: &RunFilter, window: Window, conditions: &mut Conditions<'_>) {
        self.status(filter, conditions);
        if let Some(name) = &filter.task_name {
            conditions.named(Some(&[&Key::text(name)]));
        }
        if let Some(trigger) = &filter.triggered_by {
            conditions.compare("triggered_by", "=", Value::Text(trigger.clone()));
        }
        if let Some(text) = &filter.search {
            let dialect = conditions.dialect;
            let [task_name, id] = ["task_name", "id"].map(|name| dialect.column(name));
            let term = dialect.contains([&task_name, &id], text, conditions);
            conditions.add(term);
        }
        if let Some(min) = filter.exit_code_min {
            conditions.compare("exit_code", ">=", Value::Integer(min));
        }
        if let Some(max) = filter.exit_code_max {
            conditions.compare("exit_code", "<=", Value::Integer(max));
        }
        // A run that has not ended has no exit code, whatever a store keeps there.
        if filter.exit_code_min.is_some() || filter.exit_code_max.is_some() {
            conditions.compare("phase", "=", Value::Text(Phase::Ended.as_str().to_owned()));
        }
        if filter.retries_only {
            conditions.add(format!("{} > 0", conditions.dialect.column("retry_attempt")));
        }
        conditions.dialect.within(window, conditions);
    }

    /// The phase or the end reason is one of the words, or the run counts as a failure.
    fn status(&self, filter: &RunFilter, conditions: &mut Conditions<'_>) {
        let mut alternatives = Vec::new();
        // A phase is one of three words, so others need no look at that column.
        let phases: Vec<_> = filter.status.iter().filter_map(|word| Phase::from_word(word)).collect();
        if !phases.is_empty() {
            let words = phases.iter().map(|phase| phase.as_str().to_owned());
            alternatives.push(conditions.one_of("phase", words.collect()));
        }
        if !filter.status.is_empty() {
            let mut words = filter.status.clone();
            if words.iter().any(|word| is_success(word)) {
                words.extend(["success", "succeeded"].map(str::to_owned));
            }
            words.sort_unstable();
            words.dedup();
            alternatives.push(conditions.one_of("end_reason", words));
        }
        if filter.is_failure || filter.status.iter().any(|word| word == "failure") {
            let by_reason = conditions.one_of("end_reason", FAILURE_END_REASONS.map(str::to_owned).to_vec());
            alternatives.push(match self.has("is_failure") {
                true => format!("coalesce({}, {by_reason})", conditions.dialect.column("is_failure")),
                false => by_reason,
            });
        }
        if !alternatives.is_empty() {
            conditions.in_state(format!("({})", alternatives.join(" OR ")), self.states.meant_by(filter));
        }
    }
}

/// The canonical columns that a view lacks; an error says which must not be lacking, or which one nobody knows. The
/// columns of the key may have any name.
fn check_columns(columns: &HashSet<String>, key: &TakenApart) -> Result<Vec<&'static str>, String> {
    let lacks: Vec<_> = CANONICAL_COLUMNS.into_iter().filter(|name| !columns.contains(*name)).collect();
    let missing: Vec<_> = lacks.iter().copied().filter(|name| NECESSARY_COLUMNS.contains(name)).collect();
    if !missing.is_empty() {
        let are = if missing.len() == 1 { "column {} is" } else { "columns {} are" }.replace("{}", &missing.join(", "));
        return Err(format!("the {are} missing: without its id, its task and its phase no run can be re-run"));
    }
    let known = |name: &str| CANONICAL_COLUMNS.contains(&name) || OPTIONAL_COLUMNS.contains(&name) || key.has(name);
    match columns.iter().find(|name| !known(name)) {
        Some(unknown) => {
            let nearest = nearest(unknown, CANONICAL_COLUMNS.into_iter().chain(OPTIONAL_COLUMNS));
            let meant = nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default();
            Err(format!(
                "the column {unknown} is not a canonical one ({}; optional: {}), nor named by `key`{meant}",
                CANONICAL_COLUMNS.join(", "),
                OPTIONAL_COLUMNS.join(", ")
            ))
        }
        None => Ok(lacks),
    }
}

fn where_all(terms: &[String]) -> String {
    if terms.is_empty() { String::new() } else { format!("\nWHERE {}", terms.join("\n  AND ")) }
}

/// Conditions on their way into a WHERE, and the values bound in them.
pub(super) struct Conditions<'d> {
    dialect: &'d dyn Dialect,
    terms: Vec<String>,
    values: Vec<Value>,
}

impl Conditions<'_> {
    pub(super) fn add(&mut self, term: String) {
        self.terms.push(term);
    }

    /// Binds a value and answers its placeholder.
    pub(super) fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        self.dialect.placeholder(self.values.len())
    }

    fn compare(&mut self, column: &'static str, operator: &str, value: Value) {
        let value = self.bind(value);
        self.add(format!("{} {operator} {value}", self.dialect.column(column)));
    }

    fn named(&mut self, names: Option<&[&Key<'_>]>) {
        if let Some(names) = names {
            let term = self.dialect.named(names, self);
            self.add(term);
        }
    }

    /// The run is pending or running.
    fn active(&mut self, own: BTreeSet<&String>) {
        let phases = [Phase::Pending, Phase::Running].map(|phase| phase.as_str().to_owned());
        let term = self.one_of("phase", phases.to_vec());
        self.in_state(term, own);
    }

    /// A condition on what the view calls a run's state, with the runner's own words for that, if there are any.
    fn in_state(&mut self, term: String, own: BTreeSet<&String>) {
        if own.is_empty() {
            return self.add(term);
        }
        // Not bound: what is, is a text, and the column may be an enum.
        let own: Vec<_> = own.iter().map(|word| format!("'{}'", word.replace('\'', "''"))).collect();
        self.add(format!("state IN ({})", own.join(", ")));
        // How many of these the view calls so, PostgreSQL's planner can't know: it would guess one in 200, and of this every
        // second one.
        self.add(format!("coalesce({term}, FALSE)"));
    }

    fn one_of(&mut self, column: &'static str, texts: Vec<String>) -> String {
        let dialect = self.dialect;
        dialect.one_of(&dialect.column(column), texts, self)
    }
}
