//! A host behind callbacks: its runs are lines of JSON in a file, and a door keeps them in memory for a call. Where it has
//! a ledger, that is another such file.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cases::Run;
use crate::{HostRun, TestHost, TestStore};

pub struct Attached {
    pub name: &'static str,
    pub transactions: bool,
}

impl TestHost for Attached {
    fn name(&self) -> &'static str {
        self.name
    }

    fn lacks(&self) -> &'static [&'static str] {
        &[]
    }

    fn is_attached(&self) -> bool {
        true
    }

    fn make(&self, runs: &[Run]) -> Box<dyn TestStore> {
        let folder = tempfile::tempdir().unwrap();
        let store =
            RunsFile { path: folder.path().join("runs.jsonl"), transactions: self.transactions, _folder: folder };
        let lines = runs.iter().filter(|run| !run.deleted).map(|run| {
            let run = json!({
                "id": run.id, "task_name": run.task, "phase": run.phase, "end_reason": run.end_reason,
                "exit_code": run.exit_code, "triggered_by": run.triggered_by, "created_at": run.created_at,
                "retry_attempt": run.retry_attempt, "params": run.params,
                "unfit": match &*run.triggered_by {
                    "service" => Some("service"),
                    "import" => Some("it was imported, without its files"),
                    _ => None,
                },
            });
            format!("{run}\n")
        });
        fs::write(&store.path, lines.collect::<String>()).unwrap();
        Box::new(store)
    }
}

struct RunsFile {
    path: PathBuf,
    transactions: bool,
    _folder: tempfile::TempDir,
}

impl TestStore for RunsFile {
    fn address(&self) -> String {
        self.path.display().to_string()
    }

    fn profile(&self) -> Option<String> {
        None
    }

    fn has_transactions(&self) -> bool {
        self.transactions
    }

    fn make_ledger(&self) -> Result<(), String> {
        fs::write(self.path.with_extension("jsonl.operations"), "").map_err(|error| error.to_string())
    }

    fn rows(&self) -> Vec<String> {
        fs::read_to_string(&self.path).unwrap().lines().map(str::to_owned).collect()
    }

    fn run(&self, id: &str) -> Option<HostRun> {
        let runs = self.rows().into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
        let run = runs.into_iter().find(|run| run["id"] == id)?;
        Some(HostRun {
            task_name: run["task_name"].as_str()?.to_owned(),
            params: run["params"].as_str().map(str::to_owned),
            fresh: run["phase"] == "pending" && run.get("end_reason").is_none(),
        })
    }
}
