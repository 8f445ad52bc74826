//! The request as it is written on the wire, for its schema.
//!
//! [`Request::from_json`](crate::Request::from_json) reads requests by hand, for the sake of its
//! messages, and into types of another shape. These types say in JSON Schema exactly what it takes;
//! `tests/http/openapi.rs` and `tests/one_story.rs` hold the two together.

#![allow(dead_code, reason = "only their shape is used")]

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{
    AllOfBuilder, AnyOfBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, SchemaType, Type,
};

use crate::contract::UniqueBy;

/// Which runs are meant, and what to do with them. Either `ids` names runs, or `match_all` takes every run that
/// matches. `null` is the same as absent, everywhere.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(in super::super) enum RunSelector {
    ById(SelectById),
    ByFilter(SelectByFilter),
}

/// Exactly the runs that are named.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct SelectById {
    /// Accepted and ignored: the URL of this schema, for editors.
    #[serde(rename = "$schema")]
    schema: Option<String>,
    /// False, or absent.
    #[schema(schema_with = not_all)]
    match_all: Option<bool>,
    /// The runs' ids; a repeated one counts once, and one that is no run is answered as `not_found`.
    #[schema(min_items = 1, example = json!(["01JRX3M7ZD7Q8M5T8E2Y9V4B6C"]))]
    ids: Vec<String>,
    /// Goes with `match_all` only.
    #[schema(schema_with = no_object)]
    filter: Option<()>,
    /// Goes with `match_all` only.
    #[schema(schema_with = no_items)]
    except_ids: Option<Vec<String>>,
    /// What to do with the runs.
    #[schema(schema_with = options_without_exceptions)]
    options: Option<RerunOptions>,
}

/// Every run that matches the filter.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct SelectByFilter {
    /// Accepted and ignored: the URL of this schema, for editors.
    #[serde(rename = "$schema")]
    schema: Option<String>,
    /// True: every run that matches `filter`, except `except_ids`.
    #[schema(schema_with = all)]
    match_all: bool,
    /// What a run must be like; empty or absent, every run is meant.
    filter: Option<RunFilter>,
    /// Runs to leave out; unknown ids are ignored.
    except_ids: Option<Vec<String>>,
    /// Can't stand beside `match_all`: whoever names three runs must not re-run everything.
    #[schema(schema_with = no_items)]
    ids: Option<Vec<String>>,
    /// What to do with the runs.
    options: Option<RerunOptions>,
}

/// Conditions on a run; all that are set must hold. An empty string is no condition.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct RunFilter {
    /// Phases and end reasons, comma-separated: the run's phase or end reason is one of them. An unknown word matches
    /// nothing; `success` and `succeeded` are one word; `failure` also matches runs classified as a failure.
    #[schema(example = "failed,timeout,crashed")]
    status: Option<String>,
    /// The task's name is equal.
    #[schema(example = "nightly-invoices")]
    task_name: Option<String>,
    /// What triggered the run is equal.
    #[schema(example = "cron")]
    triggered_by: Option<String>,
    /// The task's name or the run's id contains this text, literally; ASCII case is ignored.
    #[schema(max_length = 1000)]
    search: Option<String>,
    /// Created at this instant or later.
    #[schema(schema_with = instant)]
    created_after: Option<String>,
    /// Created at this instant or earlier. Not before `created_after`.
    #[schema(schema_with = instant)]
    created_before: Option<String>,
    /// The exit code is at least this. Not above `exit_code_max`.
    #[schema(minimum = -9223372036854775808i64, maximum = 9223372036854775807i64)]
    exit_code_min: Option<i64>,
    /// The exit code is at most this. A run without an exit code matches neither bound.
    #[schema(minimum = -9223372036854775808i64, maximum = 9223372036854775807i64, example = 137)]
    exit_code_max: Option<i64>,
    /// Only retries: `retry_attempt` is above 0.
    retries_only: Option<bool>,
    /// Beside what `status` matches: runs classified as a failure.
    is_failure: Option<bool>,
}

/// What to do with the selected runs. An extension of RunWisp's request.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct RerunOptions {
    /// Change nothing; answer what would be spawned (`planned`, `matched`, `plan`).
    dry_run: Option<bool>,
    /// The `plan` of a dry run: spawn only if the plan is still the same at the moment of the spawn, else 409.
    expect_plan: Option<String>,
    /// What gets one new run.
    unique_by: Option<UniqueBy>,
    /// Tasks whose runs are not selected; unknown names are ignored. Goes with `match_all` only.
    except_tasks: Option<Vec<String>>,
    /// Skip the groups that these runs are in, as a dry run has named them (`left_out`); unknown ones are ignored.
    except_groups: Option<Vec<GroupName>>,
    /// Skip a group that has a pending or running run, selected or not, at the search or at the moment of the spawn.
    skip_active: Option<bool>,
    /// Skip a group whose newest run of all is newer than the source run and succeeded.
    skip_superseded: Option<bool>,
    /// At most so many new runs. More is a 422, and nothing is spawned: never a silent cut.
    #[schema(minimum = 1, maximum = 9223372036854775807i64)]
    limit: Option<i64>,
    /// Start the first so many groups that may start, in the answer's order; the rest are skipped as `not_taken`.
    #[schema(minimum = 1, maximum = 9223372036854775807i64)]
    take: Option<i64>,
    /// In a dry run, tell more of each group's runs: the source run, when the earliest was created, and how many distinct
    /// parameters they have. Elsewhere it means nothing.
    with_runs: Option<bool>,
    /// In a dry run, count the selected runs over time (`times`), in so many spans of equal length. Elsewhere it means
    /// nothing.
    #[schema(minimum = 1, maximum = 500)]
    times: Option<i64>,
    /// When the new runs are due, where the runner has a due time; else a 422. An RFC 3339 timestamp.
    #[schema(schema_with = instant)]
    start_at: Option<String>,
    /// The new runs fall due evenly over so long a time, in the answer's order, where the runner has a due time; else a 422.
    #[schema(pattern = "^[0-9]{1,4} ?(s|m|h|d)$", example = "10m")]
    spread: Option<String>,
    /// A name for this re-run: with the same one and the same request nothing is spawned again, and the answer is the first
    /// one, with `replayed`. The same key with another request is a 422. Needs the ledger; ignored in a dry run. The header
    /// `Idempotency-Key` says the same.
    #[schema(min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
    /// Why, for the ledger.
    #[schema(min_length = 1, max_length = 1000)]
    reason: Option<String>,
    /// Who, for the ledger.
    #[schema(min_length = 1, max_length = 255)]
    actor: Option<String>,
}

/// A group, by its source run.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct GroupName {
    /// The task.
    task_name: String,
    /// The source run.
    rerun_of: String,
}

fn boolean(values: &[serde_json::Value], types: &[Type], description: &str) -> Schema {
    let object = ObjectBuilder::new().schema_type(SchemaType::from_iter(types.iter().cloned()));
    object.enum_values(Some(values.to_vec())).description(Some(description)).into()
}

fn all() -> Schema {
    boolean(&[json!(true)], &[Type::Boolean], "True: every run that matches `filter`, except `except_ids`.")
}

fn not_all() -> Schema {
    boolean(&[json!(false), json!(null)], &[Type::Boolean, Type::Null], "False, or absent.")
}

fn no_object() -> Schema {
    let types = SchemaType::from_iter([Type::Object, Type::Null]);
    ObjectBuilder::new()
        .schema_type(types)
        .max_properties(Some(0))
        .description(Some("Goes with `match_all` only."))
        .into()
}

fn no_items() -> Schema {
    let mut schema = utoipa::openapi::ArrayBuilder::new()
        .items(ObjectBuilder::new().schema_type(Type::String))
        .max_items(Some(0))
        .description(Some("Goes with the other kind of selector only."))
        .build();
    schema.schema_type = SchemaType::from_iter([Type::Array, Type::Null]);
    Schema::Array(schema)
}

/// The options, without what goes with `match_all` only.
fn options_without_exceptions() -> Schema {
    let no_exceptions = ObjectBuilder::new().property("except_tasks", no_items());
    let options = AllOfBuilder::new().item(Ref::from_schema_name("RerunOptions")).item(no_exceptions);
    OneOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .item(options)
        .description(Some("What to do with the runs."))
        .into()
}

/// An RFC 3339 timestamp; an empty string is no condition.
fn instant() -> Schema {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    AnyOfBuilder::new()
        .item(text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))))
        .item(text().max_length(Some(0)))
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .description(Some("An RFC 3339 timestamp, with any offset. Instants are compared, not texts."))
        .examples([json!("2026-04-15T02:00:00+02:00")])
        .into()
}
