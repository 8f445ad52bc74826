//! Undo: what every runner has to show, by hand and in a race with its own worker.

use std::collections::{BTreeMap, HashMap};

use bulk_rerun::{ErrorModel, Plugin};
use serde_json::{Value, json};

use super::calls::{all_failed, call};
use super::runners::Process;

/// Takes an operation back.
pub fn undo(plugin: &Plugin, operation_id: &Value) -> Result<Value, ErrorModel> {
    let request = json!({ "operation_id": operation_id }).to_string();
    plugin.call_undo(request.as_bytes()).map(|answer| serde_json::from_str(&answer).unwrap())
}

/// How many runs are in one of these states.
pub fn count(plugin: &Plugin, status: &str) -> u64 {
    let request = json!({"match_all": true, "filter": {"status": status}, "options": {"dry_run": true}});
    call(plugin, &request).unwrap()["matched"].as_u64().unwrap()
}

/// The ids of a list of runs.
fn ids(runs: &Value) -> Vec<&str> {
    runs.as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap()).collect()
}

/// New runs of which some are begun by hand, on a store where at least three runs have failed.
pub struct ByHand<'a> {
    pub plugin: &'a Plugin,
    /// Every run, whole, by its id.
    pub rows: &'a dyn Fn() -> BTreeMap<String, String>,
    /// Leaves a run as a worker leaves it that has begun it.
    pub begin: &'a dyn Fn(&str),
    /// Leaves a run as one that was tried, and waits until it is tried again; `None` where the runner does not do that.
    pub put_off: Option<&'a dyn Fn(&str)>,
    /// The end reason of what was taken back; `None` where it is deleted.
    pub taken: Option<&'a str>,
    /// A run may be due later.
    pub has_due_time: bool,
}

impl ByHand<'_> {
    pub fn play(&self) {
        self.plugin.create_ledger().unwrap();
        self.what_is_begun_is_kept();
        if self.has_due_time {
            self.what_is_due_later_is_taken_back();
        }
    }

    fn what_is_begun_is_kept(&self) {
        let failed = count(self.plugin, "failed");
        let answer = call(self.plugin, &all_failed(json!({"unique_by": "run"}))).unwrap();
        let new = ids(&answer["triggered"]);
        assert!(new.len() >= 3, "{answer}");
        let mut kept = vec![("running", new[0])];
        (self.begin)(new[0]);
        if let Some(put_off) = self.put_off {
            kept.push(("pending", new[1]));
            put_off(new[1]);
        }
        let begun = kept.len();
        let before = (self.rows)();

        let undone = undo(self.plugin, &answer["operation_id"]).unwrap();
        assert_eq!(ids(&undone["undone"]), new[begun..], "{undone}");
        let told = |run: &Value| (run["phase"].clone(), run["run_id"].clone());
        let told: Vec<_> = undone["kept"].as_array().unwrap().iter().map(told).collect();
        let expected: Vec<_> = kept.into_iter().map(|(phase, id)| (json!(phase), json!(id))).collect();
        assert_eq!(told, expected, "{undone}");

        let after = (self.rows)();
        let is_left_alone = |id: &str| !new[begun..].contains(&id);
        for (id, row) in before.iter().filter(|(id, _)| is_left_alone(id)) {
            assert_eq!(after.get(id), Some(row), "{id} was not to be touched");
        }
        assert_eq!(after.keys().filter(|id| !before.contains_key(*id)).count(), 0, "there is no other run than before");
        let options = json!({"dry_run": true, "unique_by": "run", "with_runs": true});
        let taken = call(self.plugin, &json!({"ids": new[begun..], "options": options})).unwrap();
        let (place, word) = match self.taken {
            Some(end_reason) => ("/run/end_reason", end_reason),
            None => ("/reason", "not_found"),
        };
        // It may be one that can't be started again.
        let told = ["planned", "skipped"].into_iter().flat_map(|list| taken[list].as_array().into_iter().flatten());
        let words: Vec<_> = told.map(|run| run.pointer(place).unwrap()).collect();
        assert_eq!(words, vec![word; new.len() - begun], "{taken}");
        assert_eq!(count(self.plugin, "failed"), failed, "what was taken back has not failed");
        assert_eq!(count(self.plugin, "pending,running"), begun as u64);

        let again = undo(self.plugin, &answer["operation_id"]).unwrap();
        assert_eq!(again, json!({"undone": [], "kept": undone["kept"]}));
        assert_eq!((self.rows)(), after, "nothing was left to do");
    }

    fn what_is_due_later_is_taken_back(&self) {
        let options = json!({"unique_by": "run", "start_at": "2100-01-01T00:00:00Z"});
        let answer = call(self.plugin, &all_failed(options)).unwrap();
        let undone = undo(self.plugin, &answer["operation_id"]).unwrap();
        assert_eq!((ids(&undone["undone"]), &undone["kept"]), (ids(&answer["triggered"]), &json!([])));
    }
}

/// As many new runs as this are started, and taken back, so many times: a thousand in all.
const RUNS: usize = 128;
const ROUNDS: usize = 8;

/// Fails one run, starts it again and fails that, until there are as many as a round needs.
pub fn multiply(plugin: &Plugin, fail_all: &dyn Fn()) {
    fail_all();
    while count(plugin, "failed") < RUNS as u64 {
        call(plugin, &all_failed(json!({"unique_by": "run"}))).unwrap();
        fail_all();
    }
}

/// A thousand new runs are started under the eyes of the runner's own worker, and taken back while it is at them: in
/// the first round when it has carried one out, and a little later in each. Each of them is taken back, or carried out
/// once: never both, and never neither. `carried_out` tells the id of each run that the worker has carried out, as
/// often as it has.
pub fn race(plugin: &Plugin, mut worker: Process, carried_out: &dyn Fn() -> Vec<String>) {
    plugin.create_ledger().unwrap();
    let (mut undone, mut kept): (Vec<String>, Vec<String>) = Default::default();
    for round in 0..ROUNDS {
        let answer = call(plugin, &all_failed(json!({"unique_by": "run"}))).unwrap();
        let mut new = ids(&answer["triggered"]);
        assert_eq!(new.len(), RUNS);
        worker.until("some of them are carried out", || {
            let done = carried_out().iter().filter(|id| new.contains(&id.as_str())).count();
            (done > round * RUNS / ROUNDS / 2).then_some(())
        });
        let told = undo(plugin, &answer["operation_id"]).unwrap();
        let mut all = [ids(&told["undone"]), ids(&told["kept"])].concat();
        all.sort_unstable();
        new.sort_unstable();
        assert_eq!(all, new, "each is told once, as undone or as kept");
        undone.extend(ids(&told["undone"]).into_iter().map(str::to_owned));
        kept.extend(ids(&told["kept"]).into_iter().map(str::to_owned));
    }
    worker.until("nothing is left to do", || (count(plugin, "pending,running") == 0).then_some(()));
    worker.stop();

    let mut times: HashMap<String, usize> = HashMap::new();
    carried_out().into_iter().for_each(|id| *times.entry(id).or_default() += 1);
    for (runs, expected) in [(&undone, 0), (&kept, 1)] {
        let wrong: Vec<_> = runs.iter().filter(|id| times.get(*id).copied().unwrap_or(0) != expected).collect();
        assert!(wrong.is_empty(), "carried out not {expected} times: {wrong:?}");
    }
    println!("{} were undone and {} kept", undone.len(), kept.len());
    assert!(!undone.is_empty() && !kept.is_empty(), "there was no race: {} undone, {} kept", undone.len(), kept.len());
}
