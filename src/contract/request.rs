//! The request: which runs (`Selector`), and what to do with them (`options.rs`).

use std::collections::HashSet;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::answer::is_false;
use super::fields::{Fields, Findings};
use super::json::Node;
use super::options::{self, RerunOptions};
use super::{Caller, ErrorModel, Instant, Spelling};

/// The longest text that `search` takes, in characters.
const SEARCH_MAX: usize = 1_000;

/// A request that has been read and found valid.
///
/// ```
/// use bulk_rerun::{Request, Selector, UniqueBy};
///
/// let request = Request::from_json(
///     br#"{"matchAll": true, "filter": {"status": "failed, timeout"}, "options": {"uniqueBy": "params"}}"#,
/// )?;
/// assert_eq!(request.options.unique_by, UniqueBy::Params);
/// let Selector::Matching { filter, .. } = request.selector else { unreachable!() };
/// assert_eq!(filter.status, ["failed", "timeout"]);
/// # Ok::<(), bulk_rerun::ErrorModel>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Which runs are meant.
    pub selector: Selector,
    /// What to do with them.
    pub options: RerunOptions,
    /// The client's spelling, where its fields show one; the answer uses the same.
    pub spelling: Option<Spelling>,
    /// Who asks, where it is another than the plugin's own caller: a door that serves many sets it.
    pub caller: Option<Caller>,
}

/// Which runs are meant. The two modes exclude each other.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a call has one of them")]
pub enum Selector {
    /// Exactly these runs: distinct ids, in the order in which they were given.
    Ids(Vec<String>),
    /// Every run that matches the filter.
    Matching {
        /// What a run must be like.
        filter: RunFilter,
        /// Runs to leave out; unknown ids are ignored.
        except_ids: HashSet<String>,
        /// Tasks to leave out; unknown names are ignored. On the wire it is one of the options.
        except_tasks: HashSet<String>,
    },
}

impl Selector {
    /// Reads a request that only says which runs are meant.
    ///
    /// # Errors
    ///
    /// As [`Request::from_json`]; 422 if it has options, but for `except_tasks`.
    pub fn from_json(json: &[u8]) -> Result<Selector, ErrorModel> {
        let request = Request::from_json(json)?;
        if request.options != RerunOptions::default() {
            let message =
                "the selector is only evaluated here, so options other than except_tasks mean nothing; drop them"
                    .to_owned();
            return Err(ErrorModel::violation("body.options", message, Value::Null));
        }
        Ok(request.selector)
    }

    /// Whether nothing is asked of a run: all are meant, but for those that are left out. A door where this may be said by
    /// accident wants it to be said expressly.
    ///
    /// ```
    /// use bulk_rerun::Selector;
    ///
    /// let all = Selector::from_json(br#"{"match_all": true, "filter": {"status": ","}, "except_ids": ["a"]}"#)?;
    /// assert!(all.is_unconditional());
    /// # Ok::<(), bulk_rerun::ErrorModel>(())
    /// ```
    pub fn is_unconditional(&self) -> bool {
        matches!(self, Selector::Matching { filter, .. } if filter.is_empty())
    }

    /// The request that says which runs are meant, in snake_case: for hosts that are asked in JSON.
    pub fn to_json(&self) -> String {
        self.to_value().to_string()
    }

    fn to_value(&self) -> Value {
        match self {
            Selector::Ids(ids) => json!({ "ids": ids }),
            Selector::Matching { filter, except_ids, except_tasks } => {
                let mut request = json!({ "match_all": true, "filter": filter });
                if !except_ids.is_empty() {
                    request["except_ids"] = json!(sorted(except_ids));
                }
                if !except_tasks.is_empty() {
                    request["options"] = json!({ "except_tasks": sorted(except_tasks) });
                }
                request
            }
        }
    }
}

/// Conditions on a run; all that are set must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct RunFilter {
    /// The run's phase or end reason is one of these words; empty is no condition.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "comma_separated")]
    pub status: Vec<String>,
    /// Its task's name is equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_name: Option<String>,
    /// What triggered it is equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub triggered_by: Option<String>,
    /// Its task's name or its id contains this text, ASCII case ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// It was created at this instant or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_after: Option<Instant>,
    /// It was created at this instant or earlier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_before: Option<Instant>,
    /// Its exit code is at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code_min: Option<i64>,
    /// Its exit code is at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code_max: Option<i64>,
    /// Its retry attempt is above 0.
    #[serde(skip_serializing_if = "is_false")]
    pub retries_only: bool,
    /// Beside what `status` matches: runs classified as a failure.
    #[serde(skip_serializing_if = "is_false")]
    pub is_failure: bool,
}

impl RunFilter {
    /// Whether nothing is asked of a run: every run matches.
    pub fn is_empty(&self) -> bool {
        *self == RunFilter::default()
    }
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// 400 if `json` is no JSON object, or if its fields contradict each other; 422 with every
    /// violation otherwise.
    pub fn from_json(json: &[u8]) -> Result<Request, ErrorModel> {
        let root = Node::object_from_json(json, "request", r#"{"ids": ["…"]}"#)?;
        let mut findings = Findings::default();
        let body = Fields::read(
            &root,
            "body",
            &["$schema", "match_all", "filter", "ids", "except_ids", "options"],
            &mut findings,
        );
        body.string("$schema", &mut findings);
        let match_all = body.boolean("match_all", &mut findings);
        let ids = distinct(body.strings("ids", &mut findings));
        let except_ids = body.strings("except_ids", &mut findings);
        let filter = read_filter(&body, &mut findings);
        let options = body.object("options", options::KNOWN, &mut findings);
        let except_tasks = options.strings("except_tasks", &mut findings);
        let read = options::read(&options, &mut findings);
        findings.unprocessable()?;

        let spelling = findings.spelling();
        if match_all {
            refuse_ids(&body, &ids, findings)?;
            let [except_ids, except_tasks] = [except_ids, except_tasks].map(HashSet::from_iter);
            let selector = Selector::Matching { filter, except_ids, except_tasks };
            Ok(Request { selector, options: read, spelling, caller: None })
        } else {
            let exceptions = [(&body, "except_ids", except_ids), (&options, "except_tasks", except_tasks)];
            require_ids_alone(&body, &ids, &exceptions, &filter, findings)?;
            Ok(Request { selector: Selector::Ids(ids), options: read, spelling, caller: None })
        }
    }

    /// What is carried out, in snake_case, however it was spelled: without the key, the reason and the actor, which have
    /// their own places in the ledger.
    pub(crate) fn to_json(&self) -> String {
        let mut request = self.selector.to_value();
        // Texts and numbers only: nothing in it can fail to be written.
        if let Value::Object(options) = serde_json::to_value(&self.options).unwrap_or_default() {
            options.into_iter().for_each(|(name, value)| request["options"][name] = value);
        }
        request.to_string()
    }
}

/// The same set is always the same text.
fn sorted(names: &HashSet<String>) -> Vec<&String> {
    let mut names: Vec<_> = names.iter().collect();
    names.sort_unstable();
    names
}

/// `match_all` with `ids`: whoever names three ids must not re-run everything.
fn refuse_ids(body: &Fields, ids: &[String], mut findings: Findings) -> Result<(), ErrorModel> {
    if ids.is_empty() {
        return Ok(());
    }
    let message = format!(
        "`{ids}` can't stand beside `{all}`: drop `{all}` to re-run the {count} you name, or drop \
         `{ids}` to re-run every run that matches",
        ids = last(&body.place("ids")),
        all = last(&body.place("match_all")),
        count = if ids.len() == 1 { "run".to_owned() } else { format!("{} runs", ids.len()) },
    );
    findings.report(&body.place("ids"), message, body.value("ids"));
    Err(ErrorModel::invalid_selector(findings.violations))
}

/// Without `match_all` there must be ids, and nothing that only goes with `match_all`.
fn require_ids_alone(
    body: &Fields,
    ids: &[String],
    exceptions: &[(&Fields, &str, Vec<String>)],
    filter: &RunFilter,
    mut findings: Findings,
) -> Result<(), ErrorModel> {
    let all = match findings.spelling() {
        Some(Spelling::Camel) => "matchAll",
        _ => "match_all",
    };
    if !filter.is_empty() {
        let message = format!("`filter` goes with `{all}`: set `{all}` to true, or drop `filter`");
        findings.report(&body.place("filter"), message, body.value("filter"));
    }
    for (fields, name, _) in exceptions.iter().filter(|(_, _, exceptions)| !exceptions.is_empty()) {
        let field = fields.place(name);
        let message = format!("`{0}` goes with `{all}`: set `{all}` to true, or drop `{0}`", last(&field));
        findings.report(&field, message, fields.value(name));
    }
    if ids.is_empty() {
        let message = format!("no runs are named: give `ids`, or set `{all}` to true");
        findings.report(&body.place("ids"), message, body.value("ids"));
    }
    if findings.violations.is_empty() { Ok(()) } else { Err(ErrorModel::invalid_selector(findings.violations)) }
}

/// The last part of a location: the field's name as the client wrote it.
fn last(location: &str) -> &str {
    location.rsplit('.').next().unwrap_or(location)
}

fn read_filter(body: &Fields, findings: &mut Findings) -> RunFilter {
    let known = &[
        "status",
        "task_name",
        "triggered_by",
        "search",
        "created_after",
        "created_before",
        "exit_code_min",
        "exit_code_max",
        "retries_only",
        "is_failure",
    ];
    let fields = body.object("filter", known, findings);
    let text = |name: &str, findings: &mut Findings| {
        fields.string(name, findings).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let filter = RunFilter {
        status: fields.string("status", findings).map(words).unwrap_or_default(),
        task_name: text("task_name", findings),
        triggered_by: text("triggered_by", findings),
        search: text("search", findings),
        created_after: fields.instant("created_after", findings),
        created_before: fields.instant("created_before", findings),
        exit_code_min: fields.integer("exit_code_min", findings),
        exit_code_max: fields.integer("exit_code_max", findings),
        retries_only: fields.boolean("retries_only", findings),
        is_failure: fields.boolean("is_failure", findings),
    };

    if let Some(length) = filter.search.as_ref().map(|text| text.chars().count())
        && length > SEARCH_MAX
    {
        let message = format!("the text has {length} characters; at most {SEARCH_MAX} are taken");
        findings.report(&fields.place("search"), message, fields.value("search"));
    }
    if let (Some(after), Some(before)) = (filter.created_after, filter.created_before)
        && after > before
    {
        let message = format!("it is later than `{}`, so no run can match", last(&fields.place("created_before")));
        findings.report(&fields.place("created_after"), message, fields.value("created_after"));
    }
    if let (Some(min), Some(max)) = (filter.exit_code_min, filter.exit_code_max)
        && min > max
    {
        let message = format!("{min} is above `{}` ({max}), so no run can match", last(&fields.place("exit_code_max")));
        findings.report(&fields.place("exit_code_min"), message, fields.value("exit_code_min"));
    }
    filter
}

/// The words of a comma-separated list: trimmed, blanks dropped.
fn words(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn comma_separated<S: Serializer>(words: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    words.join(",").serialize(serializer)
}

/// Each string once, where it first stood.
fn distinct(strings: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::with_capacity(strings.len());
    strings.into_iter().filter(|text| seen.insert(text.clone())).collect()
}
