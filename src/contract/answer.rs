//! The answer: what was spawned, and for everything else that was selected the reason why not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::run::as_rfc3339;
use super::{Instant, Run, Spelling};

/// What a bulk re-run did, or in a dry run would do.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct BulkRerunBody {
    /// HTTP only: the URL of this answer's JSON Schema.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The new runs, ordered by task name, then by the source run's id.
    pub triggered: Vec<Triggered>,
    /// One for each group that got no new run, ordered like `triggered`, then one for each unknown id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// A dry run only: what would be spawned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned: Option<Vec<Planned>>,
    /// A dry run only: how many runs were selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched: Option<u64>,
    /// A dry run only: a digest of what would be spawned, for `expect_plan`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// A dry run only, where a replica is searched: how far it was behind the primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica: Option<Replica>,
    /// With `times`: how many of the selected runs were created when. Absent where no time of theirs can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<Times>,
    /// With the ledger only: the id under which it was written down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// The key was used before: nothing was spawned, and this is the first answer again.
    #[serde(skip_serializing_if = "is_false")]
    pub replayed: bool,
}

/// How far the replica was behind the primary that a search has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Replica {
    /// How old what it showed was at most, in milliseconds; 0 where it had all that was committed when the search began.
    /// Absent where it can't tell, since it has replayed nothing yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_ms: Option<u64>,
    /// How much of the primary's log it had yet to replay, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_bytes: Option<u64>,
}

pub(super) fn is_false(flag: &bool) -> bool {
    !flag
}

/// A new run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Triggered {
    /// The task.
    pub task_name: String,
    /// The new run's id.
    pub run_id: String,
    /// The source run, whose parameters the new run carries.
    pub rerun_of: String,
}

/// A group that got no new run, or an id that is no run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Skipped {
    /// The task; absent for an unknown id, and for runs that have no task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_name: Option<String>,
    /// The group's source run, or the unknown id; absent for a run that has no id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Why.
    pub reason: Reason,
    /// More about why, where there is more to say: of a newest run that is refused, which older one is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Of a group, with `with_runs`: how many selected runs it has.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub matched: Option<u64>,
    /// Of a group, with `with_runs`: never of a re-run, and so never read from a ledger.
    #[serde(flatten, skip_deserializing)]
    #[cfg_attr(feature = "http", schema(value_type = GroupRuns))]
    pub runs: Option<Box<GroupRuns>>,
}

impl Skipped {
    /// An id that is no run.
    pub(crate) fn unknown(id: String) -> Self {
        Skipped { task_name: None, run_id: Some(id), reason: Reason::NotFound, detail: None, matched: None, runs: None }
    }
}

/// A group that would get a new run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Planned {
    /// The task.
    pub task_name: String,
    /// The source run, whose parameters the new run would carry.
    pub rerun_of: String,
    /// How many selected runs the group has.
    pub matched: u64,
    /// With `with_runs`.
    #[serde(flatten)]
    #[cfg_attr(feature = "http", schema(value_type = GroupRuns))]
    pub runs: Option<Box<GroupRuns>>,
}

/// What a dry run with `with_runs` tells of a group's selected runs.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct GroupRuns {
    /// With `with_runs`: the source run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// With `with_runs`: when the earliest of them was created; absent where no time of theirs can be read.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_rfc3339")]
    #[cfg_attr(feature = "http", schema(value_type = Option<String>, format = DateTime))]
    pub first: Option<Instant>,
    /// With `with_runs`: how many distinct parameters they have. More than one means that some are not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter_sets: Option<u64>,
}

/// The selected runs over time: spans of equal length, one after the other, and each with as many runs as were created in it,
/// by end reason, or by phase where a run has not ended. The first begins with the earliest run; the latest is in the last.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Times {
    /// When the first one begins, in whole seconds.
    #[serde(serialize_with = "in_rfc3339")]
    #[cfg_attr(feature = "http", schema(value_type = String, format = DateTime))]
    pub from: Instant,
    /// How long each is.
    pub step_seconds: u64,
    /// How many runs of each kind, as many spans as were asked for.
    #[cfg_attr(feature = "http", schema(example = json!([{"failed": 3, "timeout": 1}, {}])))]
    pub buckets: Vec<BTreeMap<String, u64>>,
}

fn in_rfc3339<S: serde::Serializer>(instant: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
    as_rfc3339(&Some(*instant), serializer)
}

/// Why a group got no new run. Where several apply, the first in this order is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// An id that is no run.
    NotFound,
    /// The task is a long-running service.
    Service,
    /// The task catalogue does not have the task.
    UnknownTask,
    /// The task catalogue forbids to trigger the task by hand.
    TriggerDisabled,
    /// The group has a pending or running run (`skip_active`).
    Active,
    /// The group has succeeded since (`skip_superseded`).
    Superseded,
    /// It was left out by name (`except_groups`).
    LeftOut,
    /// As many groups as were to be taken came before it (`take`).
    NotTaken,
    /// The source run vanished before the spawn.
    Gone,
    /// The host declined.
    Refused,
}

impl Reason {
    /// The word for it on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::NotFound => "not_found",
            Reason::Service => "service",
            Reason::UnknownTask => "unknown_task",
            Reason::TriggerDisabled => "trigger_disabled",
            Reason::Active => "active",
            Reason::Superseded => "superseded",
            Reason::LeftOut => "left_out",
            Reason::NotTaken => "not_taken",
            Reason::Gone => "gone",
            Reason::Refused => "refused",
        }
    }
}

impl BulkRerunBody {
    /// The answer as JSON text, spelled as the client spells.
    pub fn to_json(&self, spelling: Spelling) -> String {
        let text = match spelling {
            Spelling::Snake => serde_json::to_string(self),
            Spelling::Camel => serde_json::to_value(self).map(|value| spelling.apply(value).to_string()),
        };
        // Strings and numbers only: nothing in it can fail to serialize.
        text.unwrap_or_else(|error| format!(r#"{{"triggered":[],"detail":"{error}"}}"#))
    }
}
