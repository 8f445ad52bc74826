//! Whatever is called, and in whatever order, a host behind callbacks with a ledger answers as an SQLite store does: keyed
//! re-runs, lists, single operations, undoing, while a worker is at work.

use crate::support::calls::{all_failed, answer, open};
use crate::support::memory_host::{MemoryHost, MemoryLedger};
use crate::support::random::{number, runner};
use crate::support::tool::night;
use crate::support::{Row, Store};
use bulk_rerun::{Config, Plugin};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What is done, to the n-th operation or to the n-th new run so far.
#[derive(Debug, Clone)]
enum Step {
    Rerun { request: usize, key: Option<&'static str> },
    List { limit: u64, before: Option<usize>, of_run: Option<usize> },
    Show(usize),
    Undo(usize),
    Begins(usize),
    Ends(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = prop::option::weighted(0.7, prop::sample::select(vec!["k", "l"]));
    let step = prop_oneof![
        3 => (0..5usize, key).prop_map(|(request, key)| Step::Rerun { request, key }),
        1 => (1..4u64, prop::option::of(0..4usize), prop::option::of(0..6usize))
            .prop_map(|(limit, before, of_run)| Step::List { limit, before, of_run }),
        1 => (0..4usize).prop_map(Step::Show),
        2 => (0..4usize).prop_map(Step::Undo),
        1 => (0..6usize).prop_map(Step::Begins),
        1 => (0..6usize).prop_map(Step::Ends),
    ];
    prop::collection::vec(step, 1..12)
}

fn request(number: usize, key: Option<&str>) -> Value {
    let options = json!({"reason": "a test", "idempotency_key": key});
    let ids = |ids: Value| json!({"ids": ids, "options": options});
    match number {
        0 => ids(json!(["a1", "b1", "zz"])),
        1 => ids(json!(["d1"])),
        2 => all_failed(json!({"reason": "a test", "idempotency_key": key, "skip_active": true})),
        3 => all_failed(json!({"reason": "a test", "idempotency_key": key, "unique_by": "run", "limit": 1})),
        _ => all_failed(options),
    }
}

/// A host, and the ids that it has given so far.
struct Side {
    plugin: Plugin,
    operations: Vec<String>,
    runs: Vec<String>,
}

impl Side {
    fn new(plugin: Plugin) -> Side {
        Side { plugin, operations: Vec::new(), runs: Vec::new() }
    }

    fn operation(&self, number: usize) -> &str {
        self.operations.get(number).map_or("01ABC", String::as_str)
    }

    /// What it answers, with numbers for its ids and without its times.
    fn call(&mut self, step: &Step) -> Value {
        let plugin = &self.plugin;
        let told = match step {
            Step::Rerun { request: number, key } => answer(plugin.call(request(*number, *key).to_string().as_bytes())),
            Step::List { limit, before, of_run } => {
                let run = of_run.map(|number| self.runs.get(number).map_or("a2", String::as_str));
                let before = before.map(|number| self.operation(number));
                let query = json!({"limit": limit, "before": before, "run_id": run});
                answer(plugin.call_operations(query.to_string().as_bytes()))
            }
            Step::Show(number) => {
                let query = json!({"operation_id": self.operation(*number)});
                answer(plugin.call_operations(query.to_string().as_bytes()))
            }
            Step::Undo(number) => {
                let request = json!({"operation_id": self.operation(*number)});
                answer(plugin.call_undo(request.to_string().as_bytes()))
            }
            Step::Begins(_) | Step::Ends(_) => Value::Null,
        };
        if let (Step::Rerun { .. }, None, Some(id)) = (step, told.get("replayed"), told["operation_id"].as_str()) {
            self.operations.push(id.to_owned());
            let new = told["triggered"].as_array().unwrap().iter();
            self.runs.extend(new.map(|run| run["run_id"].as_str().unwrap().to_owned()));
        }
        let mut text = without_times(&told.to_string());
        for (kind, ids) in [("operation", &self.operations), ("run", &self.runs)] {
            for (number, id) in ids.iter().enumerate() {
                text = text.replace(&format!("\"{id}\""), &format!("\"{kind} {number}\""));
                text = text.replace(&format!("operation {id}"), &format!("{kind} {number}"));
            }
        }
        serde_json::from_str(&text).unwrap()
    }
}

/// Times as the ledger has them, with milliseconds, are of this form.
const TIME: &[u8] = b"0000-00-00T00:00:00.000Z";

fn without_times(text: &str) -> String {
    let is_time = |text: &str| {
        let form = text.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
        text.len() >= TIME.len() && form.take(TIME.len()).eq(TIME.iter().copied())
    };
    let mut rest = text;
    let mut without = String::new();
    while let Some(sign) = rest.chars().next() {
        let (said, length) =
            if is_time(rest) { ("then", TIME.len()) } else { (&rest[..sign.len_utf8()], sign.len_utf8()) };
        without += said;
        rest = &rest[length..];
    }
    without
}

/// The runs of that night, as a host hands them over.
fn runs(store: &Store) -> Vec<Value> {
    let connection = store.open();
    let sql = "SELECT id, task_name, status, end_reason, exit_code, triggered_by, created_at FROM runs ORDER BY rowid";
    let mut statement = connection.prepare(sql).unwrap();
    let run = |row: &rusqlite::Row<'_>| {
        let text = |column| row.get::<_, String>(column);
        let unfit = (text(5)? == "service").then_some("service");
        Ok(json!({"id": text(0)?, "task_name": text(1)?, "phase": text(2)?, "end_reason": text(3)?,
                  "exit_code": row.get::<_, i64>(4)?, "triggered_by": text(5)?, "created_at": text(6)?, "unfit": unfit}))
    };
    statement.query_map([], run).unwrap().collect::<Result<_, _>>().unwrap()
}

fn check(steps: &[Step], transactions: bool) {
    let store = night().holding(&[Row::failed("e1", "report", "2026-04-15T03:00:00Z")]);
    open(&store.path).create_ledger().unwrap();
    let ledger = Some(MemoryLedger::default());
    let host = MemoryHost { transactions, undoes: true, ledger, ..MemoryHost::holding(runs(&store)) };
    let mut of_store = Side::new(open(&store.path));
    let mut of_host = Side::new(Plugin::attach(Box::new(host.clone()), &Config::new("")).unwrap());
    for (number, step) in steps.iter().enumerate() {
        if let Step::Begins(run) | Step::Ends(run) = step {
            let (Some(in_store), Some(in_host)) = (of_store.runs.get(*run), of_host.runs.get(*run)) else { continue };
            let begins = matches!(step, Step::Begins(_));
            let set =
                if begins { "status = 'running'" } else { "status = 'ended', end_reason = 'success', exit_code = 0" };
            let sql = format!("UPDATE runs SET {set} WHERE id = ?1 AND deleted_at IS NULL");
            store.open().execute(&sql, [in_store]).unwrap();
            for run in host.runs.lock().unwrap().iter_mut().filter(|run| run["id"] == **in_host) {
                run["phase"] = json!(if begins { "running" } else { "ended" });
                run["end_reason"] = json!((!begins).then_some("success"));
                run["exit_code"] = json!((!begins).then_some(0));
            }
        }
        let (expected, told) = (of_store.call(step), of_host.call(step));
        assert_eq!(told, expected, "step {number} of {steps:#?}");
    }
    let [in_store, in_host] = [&of_store, &of_host].map(|side| side.plugin.survey().unwrap().runs);
    assert_eq!(in_host, in_store, "{steps:#?}");
}

#[test]
fn the_same_calls_are_answered_the_same() {
    let cases = (steps(), any::<bool>());
    let done = runner(number(60)).run(&cases, |(steps, transactions)| {
        check(&steps, transactions);
        Ok(())
    });
    done.unwrap_or_else(|error| panic!("{error}"));
}
