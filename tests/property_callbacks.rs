//! A host behind callbacks, with and without transactions, whose ids repeat over its tasks and which hands runs over twice,
//! is answered as the naive model says; and so is the same in an SQLite store.

mod support;

use bulk_rerun::{Config, Plugin};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use support::calls::answer;
use support::memory_host::{self, MemoryHost, canonical};
use support::model::answer::triggered;
use support::model::call::{Change, changed};
use support::model::plan::Moments;
use support::model::request::rfc3339;
use support::model::{Fate, NewRow, Request, Run, Trial, Value, check_dry_run};
use support::own::{Declared, Key, OwnStore, Shape, Spawn};
use support::random::own::{Meanwhile, WORDS, drafts, meanwhile};
use support::random::{Draft, number, requests, runner};

#[derive(Debug, Clone)]
struct Case {
    runs: Vec<Run>,
    request: Request,
    meanwhile: Vec<Meanwhile>,
    /// How often the host is asked before that.
    asked: usize,
    transactions: bool,
    declines: Option<&'static str>,
    fails: Option<&'static str>,
    expects: bool,
}

/// As JSON can say it: everything is a text, or nothing.
fn as_text(value: &Value) -> Value {
    value.bytes().and_then(|bytes| String::from_utf8(bytes).ok()).map_or(Value::Null, |text| Value::text(&text))
}

/// The run as a host could hand it over, if it could; and if there is no other one like it.
fn handed_over(draft: Draft, others: &[Run]) -> Option<Run> {
    let run = draft.run;
    let run = Run { task: as_text(&run.task), id: as_text(&run.id), params: as_text(&run.params), ..run };
    let is_known = run.task != Value::Null && run.id != Value::Null && !run.deleted;
    (is_known && !others.iter().any(|other| other.is_same_as(&run))).then_some(run)
}

fn cases() -> impl Strategy<Value = Case> {
    let task = || prop::option::weighted(0.2, prop::sample::select(vec!["report", "mail", "Report"]));
    let host = (any::<bool>(), task(), task(), any::<bool>(), prop_oneof![2 => Just(1), 1 => 2..5usize]);
    (prop::collection::vec(drafts(), 0..11), requests(WORDS), meanwhile(), host).prop_map(
        |(drafts, request, mut meanwhile, (transactions, declines, fails, expects, asked))| {
            let mut runs = Vec::new();
            for draft in drafts {
                runs.extend(handed_over(draft, &runs));
            }
            if request.limit.is_some() {
                meanwhile.clear();
            }
            // Between two looks of a call, of which it may heed either, one thing is enough.
            if asked > 1 {
                meanwhile.truncate(1);
            }
            let request = Request { dropped_reason: None, ..request };
            let declines = declines.filter(|_| declines != fails);
            Case { runs, request, meanwhile, asked, transactions, declines, fails, expects }
        },
    )
}

fn created_at(run: &Run) -> String {
    run.instant.map_or("some day".to_owned(), rfc3339)
}

fn as_json(runs: &[Run]) -> Vec<Json> {
    let of = |run: &Run| vec![canonical(run, &created_at(run)); if run.deleted { 0 } else { run.times }];
    runs.iter().flat_map(of).collect()
}

fn changes(case: &Case) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut touched = Vec::new();
    let mut there = case.runs.clone();
    for one in &case.meanwhile {
        match one {
            Meanwhile::Appears(draft) => {
                if let Some(run) = handed_over((**draft).clone(), &there) {
                    there.push(run.clone());
                    changes.push(Change::Appears(Box::new(run)));
                }
            }
            one => {
                let change = one.on(&case.runs, &case.request).filter(|(place, _)| !touched.contains(place));
                touched.extend(change.iter().map(|(place, _)| *place));
                changes.extend(change.map(|(_, change)| change));
            }
        }
    }
    changes
}

fn new_row(run: &Json) -> NewRow {
    let value = |field: &str| run[field].as_str().map_or(Value::Null, Value::text);
    NewRow { task: value("task_name"), id: value("id"), phase: value("phase"), params: value("params") }
}

/// A store with the same runs, whose plan has the same digest.
struct Twin {
    store: OwnStore,
    plugin: Plugin,
}

impl Twin {
    fn new() -> Twin {
        let (task, id, params) = (Declared::Text, Declared::Text, Declared::Text);
        let (key, spawn) = (Key::Primary, Spawn::Values);
        let shape = Shape { task, id, params, key, spawn, whole: true, joined: false, triggers: false, wal: true };
        let store = OwnStore::new(shape);
        let profile = Some(store.profile.display().to_string());
        let plugin = Plugin::open(&Config { profile, ..Config::new(store.path.to_str().unwrap()) }).unwrap();
        Twin { store, plugin }
    }

    fn plan(&self, runs: &[Run], request: &Json) -> Json {
        let drafts: Vec<Draft> =
            runs.iter().map(|run| Draft { run: run.clone(), created_at: Value::text(&created_at(run)) }).collect();
        self.store.fill(&self.store.connect(), &drafts);
        answer(self.plugin.call(request.to_string().as_bytes()))
    }
}

fn check(twin: &Twin, case: &Case) -> Result<(), String> {
    let Case { runs, request, .. } = case;
    let host = MemoryHost {
        transactions: case.transactions,
        declines: case.declines,
        fails: case.fails,
        numbers_by_task: true,
        ..MemoryHost::holding(as_json(runs))
    };
    let plugin = Plugin::attach(Box::new(host.clone()), &Config::new("")).unwrap();
    let call = |options: Json| answer(plugin.call(request.to_json(options).to_string().as_bytes()));

    let planned = call(json!({"dry_run": true}));
    let expected = request.dry_run(runs);
    check_dry_run(&planned, &expected)?;
    let same = twin.plan(runs, &request.to_json(json!({"dry_run": true})));
    check_dry_run(&same, &expected)?;
    if same["plan"] != planned["plan"] {
        return Err("the digest is another one in a store".to_owned());
    }

    let changes = changes(case);
    let now = changed(runs, &changes);
    if !changes.is_empty() {
        *host.meanwhile.lock().unwrap() = Some(memory_host::Meanwhile { asked: case.asked, runs: as_json(&now) });
    }
    let options = if case.expects { json!({"expect_plan": planned["plan"]}) } else { json!({}) };
    let told = call(options);
    let after = host.runs.lock().unwrap().clone();
    // A call that finds nothing to do may not have asked at all.
    let before = if host.meanwhile.lock().unwrap().is_some() { as_json(runs) } else { as_json(&now) };
    if after.len() < before.len() || after[..before.len()] != before[..] {
        return Err(format!("an earlier run has changed: {after:#?}"));
    }
    let new: Vec<NewRow> = after[before.len()..].iter().map(new_row).collect();
    let is = |task: Option<&str>, run: &Run| task.is_some_and(|task| run.task.is(task));
    let fate = |run: &Run| if is(case.declines, run) { Fate::Refused } else { Fate::Started };
    let plan = expected.ok().filter(|_| case.expects);
    let checked = |spawn: &[Run], expected| {
        let by = |in_one_moment| {
            let trial = Trial { request, search: runs, spawn, expected, fate: &fate, in_one_moment };
            if told["status"] == 500 { check_failure(case, &trial, &told, &new, &is) } else { trial.check(&told, &new) }
        };
        // A host that is asked several times has no one moment.
        by(true).or_else(|why| by(false).map_err(|_| why))
    };
    let done = match case.asked {
        1 => checked(&now, plan.as_ref()),
        // Somebody comes between two looks of the call: it may have seen either, but what it tells is what is there.
        _ => checked(&now, plan.as_ref())
            .or_else(|why| checked(runs, plan.as_ref()).or_else(|_| checked(&now, None)).map_err(|_| why)),
    };
    done.map_err(|why| format!("{why}\nchanges: {changes:#?}"))
}

/// The host has failed to start a run: with transactions nothing is there, and without them what is there is told.
fn check_failure(
    case: &Case,
    trial: &Trial<'_>,
    told: &Json,
    new: &[NewRow],
    is: &dyn Fn(Option<&str>, &Run) -> bool,
) -> Result<(), String> {
    let by = |superseded| {
        let done = trial.request.call(
            Moments { search: trial.search, spawn: trial.spawn, superseded, in_one_moment: trial.in_one_moment },
            trial.expected,
            trial.fate,
        );
        let Ok(done) = done else { return Err(format!("it should be {done:?}, and is {told:#}")) };
        let fails = |run: &Run| is(case.fails, run);
        if !done.started.iter().any(|source| fails(&source.run)) {
            return Err(format!("nothing should fail, and yet {told:#}"));
        }
        let before = done.started.iter().take_while(|source| !fails(&source.run));
        let pairs: Vec<_> =
            before.map(|source| (source.run.task.spelled().unwrap(), source.run.id.spelled().unwrap())).collect();
        let named: Vec<_> = triggered(told).into_iter().map(|(task, run, _)| (task, run)).collect();
        let expected = if case.transactions { Vec::new() } else { pairs };
        let are_new: Vec<_> =
            triggered(told).into_iter().map(|(task, _, id)| (Value::text(&task), Value::text(&id))).collect();
        let there: Vec<_> = new.iter().map(|row| (row.task.clone(), row.id.clone())).collect();
        let is_right = named == expected && are_new == there;
        if is_right { Ok(()) } else { Err(format!("{expected:?} should be there, and are {there:?}: {told:#}")) }
    };
    by(trial.spawn).or_else(|why| by(trial.search).map_err(|_| why))
}

#[test]
fn hosts_behind_callbacks_are_answered_as_the_model_does() {
    let twin = Twin::new();
    let done = runner(number(2_000)).run(&cases(), |case| check(&twin, &case).map_err(TestCaseError::fail));
    done.unwrap_or_else(|error| panic!("{error}"));
}
