//! A host behind callbacks that keeps its runs in memory, and a ledger if it is given one.

use std::sync::{Arc, Condvar, Mutex};

use bulk_rerun::host::HostError;
use bulk_rerun::host::callbacks::{HostCallbacks, Reply};
use serde_json::{Value, json};

use super::model::{Run, Value as Stored};

/// Shared with the plugin that it is attached to, so that a test can look into it.
#[derive(Clone, Default)]
pub struct MemoryHost {
    pub runs: Arc<Mutex<Vec<Value>>>,
    /// What it was asked, and told, in order.
    pub log: Arc<Mutex<Vec<String>>>,
    /// `begin`, `commit` and `rollback` do something.
    pub transactions: bool,
    /// It can tell a new run when it is due.
    pub heeds_due: bool,
    /// The task whose runs it fails to start, and the one whose runs it declines.
    pub fails: Option<&'static str>,
    pub declines: Option<&'static str>,
    /// What somebody else makes of its runs.
    pub meanwhile: Arc<Mutex<Option<Meanwhile>>>,
    /// New runs are numbered by task, so that their ids repeat, too.
    pub numbers_by_task: bool,
    /// What was started since the transaction began.
    pub started: Arc<Mutex<Vec<Value>>>,
    /// It takes back what is pending, but for the runs of the task that it fails to take back.
    pub undoes: bool,
    pub fails_to_undo: Option<&'static str>,
    /// What it has taken back, and how much of that before the transaction began.
    pub undone: Arc<Mutex<(Vec<Value>, usize)>>,
    pub ledger: Option<MemoryLedger>,
    /// Whether a transaction is under way: another one waits for its end.
    pub turn: Arc<(Mutex<bool>, Condvar)>,
}

/// Operations, in the order in which they were recorded.
#[derive(Clone, Default)]
pub struct MemoryLedger {
    pub operations: Arc<Mutex<Vec<Value>>>,
    /// As they were before the transaction.
    pub before: Arc<Mutex<Vec<Value>>>,
    /// It fails to record.
    pub fails: bool,
}

impl MemoryLedger {
    fn record(&self, operation: Value) {
        let mut operations = self.operations.lock().unwrap();
        match operations.iter_mut().find(|kept| kept["operation_id"] == operation["operation_id"]) {
            Some(kept) => *kept = operation,
            None => operations.push(operation),
        }
    }

    /// Of a list it hands over everything: the plugin must filter.
    fn find(&self, query: &Value) -> Value {
        let operations = self.operations.lock().unwrap();
        if query.get("limit").is_some() {
            return json!({"operations": operations.iter().rev().collect::<Vec<_>>()});
        }
        let is_meant = |kept: &&Value| query.as_object().unwrap().iter().all(|(field, value)| kept[field] == *value);
        operations.iter().find(is_meant).cloned().unwrap_or_else(|| json!({}))
    }
}

/// Runs that take the place of those that are there, once they have been asked for so often.
pub struct Meanwhile {
    pub asked: usize,
    pub runs: Vec<Value>,
}

impl MemoryHost {
    pub fn holding(runs: impl IntoIterator<Item = Value>) -> MemoryHost {
        let runs = Arc::new(Mutex::new(runs.into_iter().collect()));
        MemoryHost { runs, ..MemoryHost::default() }
    }

    pub fn ids(&self) -> Vec<String> {
        self.runs.lock().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect()
    }

    fn note(&self, what: &str) {
        self.log.lock().unwrap().push(what.to_owned());
    }
}

/// A run as a host hands it over. (JSON has no words for what is not UTF-8.)
pub fn canonical(run: &Run, created_at: &str) -> Value {
    let text = |value: &Stored| value.bytes().map(|bytes| String::from_utf8(bytes).unwrap());
    json!({
        "id": text(&run.id), "task_name": text(&run.task), "phase": run.phase, "end_reason": run.end_reason,
        "exit_code": run.exit_code, "triggered_by": run.triggered_by, "created_at": created_at,
        "retry_attempt": run.retry_attempt, "params": text(&run.params), "is_failure": run.mark, "unfit": run.unfit,
    })
}

impl HostCallbacks for MemoryHost {
    /// Hands over everything: the plugin must filter.
    fn runs(&self, selector_json: &str, emit: &mut dyn FnMut(&str) -> Result<(), HostError>) -> Result<(), HostError> {
        self.note(&format!("runs {selector_json}"));
        let runs = self.runs.lock().unwrap().clone();
        runs.iter().try_for_each(|run| emit(&run.to_string()))?;
        let mut meanwhile = self.meanwhile.lock().unwrap();
        if let Some(later) = &mut *meanwhile {
            later.asked -= 1;
        }
        if let Some(now) = meanwhile.take_if(|later| later.asked == 0) {
            *self.runs.lock().unwrap() = now.runs;
        }
        Ok(())
    }

    fn spawn(&self, source_run_json: &str) -> Result<Reply, HostError> {
        let source: Value = serde_json::from_str(source_run_json).unwrap();
        if self.fails.is_some_and(|task| source["task_name"] == task) {
            return Err(HostError::Callback { callback: "spawn", message: "out of paper".to_owned() });
        }
        if self.declines.is_some_and(|task| source["task_name"] == task) {
            return Ok(Reply::Skipped("not today".to_owned()));
        }
        let mut runs = self.runs.lock().unwrap();
        let id = match self.numbers_by_task {
            true => format!("new-{}", runs.iter().filter(|run| run["task_name"] == source["task_name"]).count()),
            false => format!("new-{}", runs.len() + self.undone.lock().unwrap().0.len()),
        };
        if let Some(due) = source.get("due") {
            self.note(&format!("due {due}"));
        }
        let new = json!({"id": id, "task_name": source["task_name"], "phase": "pending", "params": source["params"]});
        self.started.lock().unwrap().push(new.clone());
        runs.push(new);
        Ok(Reply::Started(id))
    }

    fn heeds_due(&self) -> bool {
        self.heeds_due
    }

    fn has_transactions(&self) -> bool {
        self.transactions
    }

    fn begin(&self) -> Result<(), HostError> {
        let (turn, is_over) = &*self.turn;
        *is_over.wait_while(turn.lock().unwrap(), |is_taken| *is_taken).unwrap() = true;
        self.note("begin");
        self.started.lock().unwrap().clear();
        let mut undone = self.undone.lock().unwrap();
        undone.1 = undone.0.len();
        if let Some(MemoryLedger { operations, before, .. }) = &self.ledger {
            *before.lock().unwrap() = operations.lock().unwrap().clone();
        }
        Ok(())
    }

    fn commit(&self) -> Result<(), HostError> {
        self.note("commit");
        self.end()
    }

    fn rollback(&self) -> Result<(), HostError> {
        self.note("rollback");
        let started = self.started.lock().unwrap();
        let mut runs = self.runs.lock().unwrap();
        let mut undone = self.undone.lock().unwrap();
        let before = undone.1;
        runs.extend(undone.0.drain(before..));
        runs.retain(|run| !started.contains(run));
        if let Some(MemoryLedger { operations, before, .. }) = &self.ledger {
            *operations.lock().unwrap() = before.lock().unwrap().clone();
        }
        self.end()
    }

    fn can_undo(&self) -> bool {
        self.undoes
    }

    fn undo(&self, run_json: &str) -> Result<bool, HostError> {
        let run: Value = serde_json::from_str(run_json).unwrap();
        self.note(&format!("undo {}", run["id"].as_str().unwrap()));
        if self.fails_to_undo.is_some_and(|task| run["task_name"] == task) {
            return Err(HostError::Callback { callback: "undo", message: "the door is stuck".to_owned() });
        }
        let mut runs = self.runs.lock().unwrap();
        let is_meant = |kept: &Value| ["task_name", "id"].iter().all(|key| kept[key] == run[key]);
        let place = runs.iter().position(|kept| is_meant(kept) && kept["phase"] == "pending");
        let taken = place.map(|place| runs.remove(place));
        Ok(taken.map(|run| self.undone.lock().unwrap().0.push(run)).is_some())
    }

    fn keeps_ledger(&self) -> bool {
        self.ledger.is_some()
    }

    fn find_operation(&self, query_json: &str) -> Result<String, HostError> {
        self.note(&format!("find {query_json}"));
        let query: Value = serde_json::from_str(query_json).unwrap();
        Ok(self.ledger.as_ref().unwrap().find(&query).to_string())
    }

    fn record_operation(&self, operation_json: &str) -> Result<(), HostError> {
        self.note("record");
        let ledger = self.ledger.as_ref().unwrap();
        if ledger.fails {
            return Err(HostError::Callback { callback: "record_operation", message: "out of ink".to_owned() });
        }
        ledger.record(serde_json::from_str(operation_json).unwrap());
        Ok(())
    }
}

impl MemoryHost {
    fn end(&self) -> Result<(), HostError> {
        let (turn, is_over) = &*self.turn;
        *turn.lock().unwrap() = false;
        is_over.notify_one();
        Ok(())
    }
}
