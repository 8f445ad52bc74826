//! What is known about a store.

use serde::Serialize;

use super::profile::{SchemaVersion, Setting, TriedWith};
use super::{DaemonInfo, RunnerState};
use crate::contract::Replica;

/// What is known about a store without reading its runs.
#[derive(Debug, Clone, Serialize)]
pub struct StoreInfo {
    /// Where it is.
    pub store: String,
    /// Its engine and the engine's version, such as `SQLite 3.51.1`.
    pub engine: String,
    /// What only this engine has.
    #[serde(flatten)]
    pub particulars: Particulars,
    /// The profile in use.
    pub profile: String,
    /// The runner's name.
    pub runner: String,
    /// What the profile's parameters are set to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Setting>,
    /// What the profile was tried with, where that is less than the runner's own worker.
    #[serde(skip_serializing_if = "TriedWith::is_worker")]
    pub tried_with: TriedWith,
    /// Which of the profile's generations of the schema the store is of.
    pub generation: String,
    /// The schema's own version, where it has one that may be read.
    pub schema_version: Option<SchemaVersion>,
    /// The canonical columns that the profile's view does not have: NULL for every run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<&'static str>,
    /// The tables of which every row is looked at to find a run by its id: the profile's view hides the key's index.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read_whole_for_an_id: Vec<String>,
    /// A run that is not found by its id, as the profile's `key` takes it apart, where one is seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_found_by_its_id: Option<String>,
    /// The version of the ledger that is kept in it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<i64>,
    /// Whether a new run can be told when it is due.
    pub has_due_time: bool,
    /// Whether we may write to it.
    pub writable: bool,
    /// The processes that have the store open, as far as can be seen.
    pub open_in: Vec<Process>,
    /// Whether the runner is among them.
    pub runner_state: RunnerState,
    /// Why that can't be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner_unknown: Option<String>,
    /// When a run that is spawned now will start, given whether the runner is up.
    pub start: String,
    /// The runner's own daemon, where it may start the new runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daemon: Option<DaemonInfo>,
}

impl StoreInfo {
    /// The schema that the runner's tables were found in, where a store has several: a mistyped address may lead to
    /// another tenant's.
    pub fn schema(&self) -> Option<&str> {
        match &self.particulars {
            Particulars::Postgres { schema, .. } => schema.as_deref(),
            Particulars::Sqlite { .. } | Particulars::Callbacks { .. } => None,
        }
    }

    /// What our role still needs, as the GRANT statements that give it.
    pub fn missing_rights(&self) -> &[String] {
        match &self.particulars {
            Particulars::Postgres { missing_rights, .. } => missing_rights,
            Particulars::Sqlite { .. } | Particulars::Callbacks { .. } => &[],
        }
    }
}

/// What is known about a store of one engine alone.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Particulars {
    /// A file.
    Sqlite {
        /// How it keeps its transactions (`wal`, `delete`, …).
        journal_mode: String,
    },
    /// A database on a server.
    Postgres {
        /// The schema in which the runner's tables were found.
        schema: Option<String>,
        /// The runner's schema has a version, and our role may not read it.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        schema_version_hidden: bool,
        /// What our role still needs, as the GRANT statements that give it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        missing_rights: Vec<String>,
        /// What it needs besides to make the ledger shorter, in the same form.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        missing_to_prune: Vec<String>,
        /// The standby that searches read, where one is named.
        #[serde(skip_serializing_if = "Option::is_none")]
        replica: Option<ReplicaInfo>,
    },
    /// A host's own, behind its callbacks.
    Callbacks {
        /// All new runs or none.
        transactions: bool,
    },
}

/// What is known of a standby that searches read.
#[derive(Debug, Clone, Serialize)]
pub struct ReplicaInfo {
    /// Where it is.
    pub address: String,
    /// How far it is behind.
    #[serde(flatten)]
    pub lag: Option<Replica>,
    /// Why it can't be searched, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Another process that has the store open.
#[derive(Debug, Clone, Serialize)]
pub struct Process {
    /// Its process id.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// It is the runner's, as the profile tells that.
    pub is_runner: bool,
}
