//! What is asked of the ledger, and what is told from it: operations, and their undoing.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::{Value, json};

use super::fields::{Fields, Findings};
use super::json::Node;
use super::texts::{KEY_MAX, read_text};
use super::{ErrorModel, Instant, Spelling, Triggered};

/// As many operations are listed where no limit is given, and at most.
const LIMIT: u64 = 50;
const LIMIT_MAX: u64 = 1_000;

/// Which operations are asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OperationsQuery {
    /// This one alone, with its runs; then nothing else is asked.
    pub operation_id: Option<String>,
    /// At most so many: 50, if nothing is said.
    pub limit: Option<u64>,
    /// Those before this operation, which was the last one of the page before.
    pub before: Option<String>,
    /// Those at this time or later.
    pub created_after: Option<Instant>,
    /// Those that spawned this run, or re-ran it.
    pub run_id: Option<String>,
    /// The client's spelling, where its fields show one.
    pub spelling: Option<Spelling>,
}

const KNOWN: &[&str] = &["operation_id", "limit", "before", "created_after", "run_id"];

/// What a page of operations is asked for by.
const PAGE: &[&str] = &["limit", "before", "created_after", "run_id"];

impl OperationsQuery {
    /// Reads a query.
    ///
    /// ```
    /// use bulk_rerun::OperationsQuery;
    ///
    /// let query = OperationsQuery::from_json(br#"{"runId": "01JRX3M7ZD7Q8M5T8E2Y9V4B6C", "limit": 10}"#)?;
    /// assert_eq!(query.limit, Some(10));
    /// # Ok::<(), bulk_rerun::ErrorModel>(())
    /// ```
    ///
    /// # Errors
    ///
    /// 400 if it is no JSON object, 422 with every violation.
    pub fn from_json(json: &[u8]) -> Result<OperationsQuery, ErrorModel> {
        OperationsQuery::read(&Node::object_from_json(json, "query", r#"{"limit": 10}"#)?, KNOWN)
    }

    /// Reads a page's query from the names and texts of a URL.
    ///
    /// # Errors
    ///
    /// 422 with every violation.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Result<OperationsQuery, ErrorModel> {
        OperationsQuery::read(&of_pairs(pairs), PAGE)
    }

    fn read(node: &Node, known: &'static [&'static str]) -> Result<OperationsQuery, ErrorModel> {
        let mut findings = Findings::default();
        let fields = Fields::read(node, "query", known, &mut findings);
        let mut query = OperationsQuery {
            operation_id: read_text(&fields, "operation_id", KEY_MAX, &mut findings),
            limit: fields.count("limit", 1, &mut findings),
            before: read_text(&fields, "before", KEY_MAX, &mut findings),
            created_after: fields.instant("created_after", &mut findings),
            run_id: read_text(&fields, "run_id", usize::MAX, &mut findings),
            spelling: None,
        };
        if query.limit.is_some_and(|limit| limit > LIMIT_MAX) {
            let message = format!("at most {LIMIT_MAX} are listed at once; go on with `before`, the last one's id");
            findings.report(&fields.place("limit"), message, fields.value("limit"));
        }
        let asks_more = PAGE.iter().find(|name| fields.node(name).is_some());
        if let Some(name) = asks_more.filter(|_| query.operation_id.is_some()) {
            let message =
                format!("`{}` names one operation; drop this field, or that one", fields.written("operation_id"));
            findings.report(&fields.place(name), message, fields.value(name));
        }
        findings.unprocessable()?;
        query.spelling = findings.spelling();
        Ok(query)
    }

    /// How many are listed.
    pub(crate) fn limit(&self) -> u64 {
        self.limit.unwrap_or(LIMIT)
    }
}

/// The object that a URL's parameters stand for: all are texts there, a number too.
fn of_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Node {
    let typed = |(name, text): (String, String)| {
        let number = (name == "limit").then(|| text.parse().ok()).flatten();
        (name, number.map_or(Node::String(text), Node::Number))
    };
    Node::Object(pairs.into_iter().map(typed).collect())
}

/// Refuses every parameter of a URL whose path has said all that there is to say.
#[cfg(feature = "http")]
pub(crate) fn no_parameters(pairs: impl IntoIterator<Item = (String, String)>) -> Result<(), ErrorModel> {
    nothing_in(&of_pairs(pairs), "query")
}

/// Refuses every field of such a request's body, which need not be there at all.
#[cfg(feature = "http")]
pub(crate) fn no_fields(json: &[u8]) -> Result<(), ErrorModel> {
    if json.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    nothing_in(&Node::object_from_json(json, "request", "{}")?, "body")
}

#[cfg(feature = "http")]
fn nothing_in(node: &Node, location: &str) -> Result<(), ErrorModel> {
    let mut findings = Findings::default();
    Fields::read(node, location, &[], &mut findings);
    findings.unprocessable()
}

/// Which operation is to be undone.
#[derive(Debug, Clone, PartialEq)]
pub struct UndoRequest {
    /// Its id.
    pub operation_id: String,
    /// The client's spelling, where its fields show one.
    pub spelling: Option<Spelling>,
}

impl UndoRequest {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// 400 if it is no JSON object, 422 with every violation.
    pub fn from_json(json: &[u8]) -> Result<UndoRequest, ErrorModel> {
        let node = Node::object_from_json(json, "request", r#"{"operation_id": "01JRX3M7ZD7Q8M5T8E2Y9V4B6C"}"#)?;
        let mut findings = Findings::default();
        let fields = Fields::read(&node, "body", &["operation_id"], &mut findings);
        let operation_id = read_text(&fields, "operation_id", KEY_MAX, &mut findings);
        if fields.node("operation_id").is_none() {
            findings.report("body.operation_id", "the field is missing: which operation is to be undone?", Value::Null);
        }
        findings.unprocessable()?;
        Ok(UndoRequest { operation_id: operation_id.unwrap_or_default(), spelling: findings.spelling() })
    }
}

/// A re-run, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Operation {
    /// HTTP only: the URL of this answer's JSON Schema.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// A ULID.
    pub operation_id: String,
    /// When it was carried out, in RFC 3339 and UTC.
    pub created_at: String,
    /// The door that it came through: `cli`, `http`, `c`, `lua`, …
    pub door: String,
    /// Who wanted it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The client's own name for it.
    pub idempotency_key: Option<String>,
    /// The request as it was carried out; with `via` where not the store but the runner's daemon has started the new runs.
    #[cfg_attr(feature = "http", schema(value_type = Object))]
    pub request: Value,
    /// How many new runs there are.
    pub triggered: u64,
    /// How many groups and ids got none.
    pub skipped: u64,
    /// When it was undone first, as far as that could be done.
    pub undone_at: Option<String>,
    /// Asked for alone: its new runs, in its answer's order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<Vec<NewRun>>,
    /// Asked for alone: how many of them stand where; by end reason, or by phase where that says it all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "http", schema(inline))]
    pub states: Option<States>,
}

/// How many runs stand where.
pub type States = BTreeMap<String, u64>;

/// A new run, and where it stands now.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct NewRun {
    /// The new run.
    #[serde(flatten)]
    pub run: Triggered,
    /// Where it stands.
    #[serde(flatten)]
    pub standing: Standing,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Standing {
    /// `pending`, `running` or `ended`; `gone` if the host does not keep it any more, `undone` if it was taken back.
    pub phase: String,
    /// How it ended, in the host's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
    /// Its exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
}

impl Standing {
    /// The host keeps it no longer.
    pub const GONE: &str = "gone";
    /// It was taken back.
    pub const UNDONE: &str = "undone";

    /// One of the two.
    pub(crate) fn without_a_run(phase: &str) -> Standing {
        Standing { phase: phase.to_owned(), end_reason: None, exit_code: None }
    }

    /// The one word for it: how it ended, or how far it has come.
    pub fn word(&self) -> &str {
        self.end_reason.as_deref().unwrap_or(&self.phase)
    }

    /// Whether there is something to wait for.
    pub fn has_ended(&self) -> bool {
        !matches!(self.phase.as_str(), "pending" | "running")
    }

    /// Whether it has done its work: a run that the host keeps no longer has, as far as can be known.
    pub fn has_succeeded(&self) -> bool {
        match self.phase.as_str() {
            "ended" => self.end_reason.as_deref().is_some_and(super::is_success),
            phase => phase == Standing::GONE,
        }
    }
}

/// How many of these runs stand where.
pub fn count_states<'s>(standings: impl IntoIterator<Item = &'s Standing>) -> States {
    let mut states = States::new();
    for standing in standings {
        *states.entry(standing.word().to_owned()).or_default() += 1;
    }
    states
}

/// A page of operations, newest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Operations {
    /// HTTP only: the URL of this answer's JSON Schema.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Newest first. Where there are as many as the limit, `before` the last one there may be more.
    pub operations: Vec<Operation>,
}

/// What was taken back of an operation.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Undone {
    /// HTTP only: the URL of this answer's JSON Schema.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The new runs that were taken back now.
    pub undone: Vec<UndoneRun>,
    /// The new runs that were not, since a worker has begun them, or they are over.
    pub kept: Vec<KeptRun>,
}

/// A new run that was taken back.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct UndoneRun {
    /// Its task.
    pub task_name: String,
    /// Its id.
    pub run_id: String,
}

/// A new run that was not taken back.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct KeptRun {
    /// Its task.
    pub task_name: String,
    /// Its id.
    pub run_id: String,
    /// Where it stands.
    pub phase: String,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
}

impl Operation {
    /// The operation as JSON text.
    pub fn to_json(&self, spelling: Spelling) -> String {
        spelled(json!(self), spelling)
    }
}

impl Operations {
    /// The page as JSON text.
    pub fn to_json(&self, spelling: Spelling) -> String {
        spelled(json!(self), spelling)
    }
}

impl Undone {
    /// The answer as JSON text.
    pub fn to_json(&self, spelling: Spelling) -> String {
        spelled(json!(self), spelling)
    }
}

/// An answer as JSON text. The names of states are the host's words, and stay as they are.
pub(crate) fn spelled(mut answer: Value, spelling: Spelling) -> String {
    let states = answer.get_mut("states").map(Value::take);
    let mut answer = spelling.apply(answer);
    if let Some(states) = states {
        answer["states"] = states;
    }
    answer.to_string()
}

/// A time as the ledger has it, which is in the order of the texts as well.
pub(crate) fn ledger_time(at: Instant) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
