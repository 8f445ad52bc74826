//! The options: what to do with the selected runs.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::Instant;
use super::answer::is_false;
use super::fields::{Fields, Findings};
use super::texts::{KEY_MAX, REASON_MAX, read_text};

/// What to do with the selected runs.
///
/// What a dry run alone heeds, and what has a place of its own in the ledger, is no part of its JSON.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct RerunOptions {
    /// Change nothing; answer what would be spawned.
    #[serde(skip)]
    pub dry_run: bool,
    /// A plan's digest from a dry run: spawn only if the plan is still the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect_plan: Option<String>,
    /// What makes two runs the same work.
    pub unique_by: UniqueBy,
    /// Skip a group that has a pending or running run, selected or not, at the search or at the moment of the spawn.
    #[serde(skip_serializing_if = "is_false")]
    pub skip_active: bool,
    /// Skip a group whose newest run of all is newer than the source run and succeeded.
    #[serde(skip_serializing_if = "is_false")]
    pub skip_superseded: bool,
    /// At most so many new runs; more is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Start the first so many groups that may start, in the answer's order, and skip the rest as [`Reason::NotTaken`].
    ///
    /// [`Reason::NotTaken`]: super::Reason::NotTaken
    #[serde(skip_serializing_if = "Option::is_none")]
    pub take: Option<u64>,
    /// Tell more of each group's runs ([`GroupRuns`](super::GroupRuns)); in a dry run only.
    #[serde(skip)]
    pub with_runs: bool,
    /// When the new runs are due, where the host has a due time; absent, at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_at: Option<Instant>,
    /// The new runs fall due evenly over so long a time, in the answer's order.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "write_spread")]
    pub spread: Option<Duration>,
    /// The same key and request again spawn nothing, and are answered as the first time. It needs the ledger, and means
    /// nothing in a dry run; so do the two below.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
    /// Why, for the ledger.
    #[serde(skip)]
    pub reason: Option<String>,
    /// Who, for the ledger.
    #[serde(skip)]
    pub actor: Option<String>,
}

impl RerunOptions {
    /// Whether more is told of each group's runs than their number.
    pub(crate) fn tells_runs(&self) -> bool {
        self.dry_run && self.with_runs
    }
}

/// As a request spells it.
fn write_spread<S: Serializer>(spread: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    spread.map(|spread| humantime::format_duration(spread).to_string()).serialize(serializer)
}

/// What makes two runs the same work, so that one new run stands for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub enum UniqueBy {
    /// One new run a task.
    #[default]
    Task,
    /// One new run a task and its parameters, compared by their bytes.
    Params,
    /// One new run for every selected run.
    Run,
}

/// The fields that there are.
pub(super) const KNOWN: &[&str] = &[
    "dry_run",
    "expect_plan",
    "unique_by",
    "except_tasks",
    "skip_active",
    "skip_superseded",
    "limit",
    "take",
    "with_runs",
    "start_at",
    "spread",
    "idempotency_key",
    "reason",
    "actor",
];

pub(super) fn read(fields: &Fields, findings: &mut Findings) -> RerunOptions {
    RerunOptions {
        dry_run: fields.boolean("dry_run", findings),
        expect_plan: fields.string("expect_plan", findings).map(str::to_owned),
        unique_by: read_unique_by(fields, findings),
        skip_active: fields.boolean("skip_active", findings),
        skip_superseded: fields.boolean("skip_superseded", findings),
        limit: fields.count("limit", 1, findings),
        take: fields.count("take", 1, findings),
        with_runs: fields.boolean("with_runs", findings),
        start_at: fields.instant("start_at", findings),
        spread: fields.duration("spread", findings),
        idempotency_key: read_text(fields, "idempotency_key", KEY_MAX, findings),
        reason: read_text(fields, "reason", REASON_MAX, findings),
        actor: read_text(fields, "actor", KEY_MAX, findings),
    }
}

fn read_unique_by(fields: &Fields, findings: &mut Findings) -> UniqueBy {
    match fields.word("unique_by", &["task", "params", "run"], findings) {
        Some("params") => UniqueBy::Params,
        Some("run") => UniqueBy::Run,
        _ => UniqueBy::Task,
    }
}
