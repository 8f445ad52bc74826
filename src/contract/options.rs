//! The options: what to do with the selected runs.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::Instant;
use super::answer::is_false;
use super::fields::{Fields, Findings};
use super::texts::{KEY_MAX, REASON_MAX, read_text};

/// The most spans of time that are told apart.
const TIMES_MAX: u64 = 500;

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
    /// Skip the groups that these are in, as a dry run has named them, as [`Reason::LeftOut`]; unknown ones are ignored.
    ///
    /// [`Reason::LeftOut`]: super::Reason::LeftOut
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub except_groups: BTreeSet<GroupName>,
    /// Tell more of each group's runs ([`GroupRuns`](super::GroupRuns)); in a dry run only.
    #[serde(skip)]
    pub with_runs: bool,
    /// Count the selected runs over time, in so many spans ([`Times`](super::Times)); in a dry run only.
    #[serde(skip)]
    pub times: Option<u64>,
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

    /// Into how many spans of time the selected runs are counted.
    pub(crate) fn spans(&self) -> Option<u64> {
        self.times.filter(|_| self.dry_run)
    }
}

/// A group, by its source run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct GroupName {
    /// The task.
    pub task_name: String,
    /// The source run.
    pub rerun_of: String,
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
    "except_groups",
    "skip_active",
    "skip_superseded",
    "limit",
    "take",
    "with_runs",
    "times",
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
        except_groups: read_groups(fields, findings),
        with_runs: fields.boolean("with_runs", findings),
        times: read_times(fields, findings),
        start_at: fields.instant("start_at", findings),
        spread: fields.duration("spread", findings),
        idempotency_key: read_text(fields, "idempotency_key", KEY_MAX, findings),
        reason: read_text(fields, "reason", REASON_MAX, findings),
        actor: read_text(fields, "actor", KEY_MAX, findings),
    }
}

fn read_groups(fields: &Fields, findings: &mut Findings) -> BTreeSet<GroupName> {
    let groups = fields.objects("except_groups", &["task_name", "rerun_of"], findings);
    let name = |group: &Fields| {
        let [task_name, rerun_of] = ["task_name", "rerun_of"].map(|name| group.required_string(name, findings));
        Some(GroupName { task_name: task_name?.to_owned(), rerun_of: rerun_of?.to_owned() })
    };
    groups.iter().filter_map(name).collect()
}

fn read_times(fields: &Fields, findings: &mut Findings) -> Option<u64> {
    let times = fields.count("times", 1, findings)?;
    if times > TIMES_MAX {
        let message = format!("expected an integer from 1 to {TIMES_MAX}");
        findings.report(&fields.place("times"), message, fields.value("times"));
    }
    Some(times)
}

fn read_unique_by(fields: &Fields, findings: &mut Findings) -> UniqueBy {
    match fields.word("unique_by", &["task", "params", "run"], findings) {
        Some("params") => UniqueBy::Params,
        Some("run") => UniqueBy::Run,
        _ => UniqueBy::Task,
    }
}
