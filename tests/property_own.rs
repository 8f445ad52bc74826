//! A runner that nobody knows, on SQLite: stores of random shapes, what others do during a call, and triggers of the
//! host's, answered as the naive model says.

mod support;

use std::cell::RefCell;
use std::collections::HashMap;

use bulk_rerun::{Config, Plugin};
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::{Value as Json, json};

use support::calls::answer;
use support::model::call::{Change, changed};
use support::model::{Act, Fate, NewRow, Request, Run, Trial, Value, check_dry_run, new_rows};
use support::own::{OwnStore, Shape, shapes};
use support::random::own::{Meanwhile, WORDS, acts, drafts, meanwhile};
use support::random::{Draft, requests, runner};

/// A store of a shape, which is emptied and used again.
struct Bench {
    store: OwnStore,
    host: Connection,
    plugin: Plugin,
}

impl Bench {
    fn new(shape: Shape) -> Result<Bench, String> {
        let store = OwnStore::new(shape);
        let host = store.connect();
        let profile = Some(store.profile.display().to_string());
        let config = Config { profile, busy_timeout_ms: 500, ..Config::new(store.path.to_str().unwrap()) };
        let plugin = Plugin::open(&config).map_err(|error| format!("{shape:?} can't be opened: {error}"))?;
        Ok(Bench { store, host, plugin })
    }

    /// What a request answers. `first` is done when the predicate is asked for the first time.
    fn call(&self, request: &Request, options: Json, first: &mut dyn FnMut()) -> Json {
        let mut asked = false;
        answer(self.plugin.call_where(request.to_json(options).to_string().as_bytes(), &mut |run| {
            if !asked {
                asked = true;
                first();
            }
            Ok(request.dropped_reason.is_none() || run.end_reason != request.dropped_reason)
        }))
    }
}

#[derive(Debug, Clone)]
struct Case {
    shape: Shape,
    drafts: Vec<Draft>,
    request: Request,
    acts: Vec<(Value, Act)>,
    meanwhile: Vec<Meanwhile>,
    expects: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    let runs = prop::collection::vec(drafts(), 0..11);
    (shapes(), runs, requests(WORDS), acts(), meanwhile(), any::<bool>()).prop_map(
        |(shape, drafts, request, acts, mut meanwhile, expects)| {
            // Elsewhere a writer waits until the search is over. How a limit goes with what changes is not said.
            if !shape.wal || request.limit.is_some() {
                meanwhile.clear();
            }
            Case { shape, drafts, request, acts, meanwhile, expects }
        },
    )
}

fn check(bench: &Bench, case: &Case) -> Result<(), String> {
    let (store, host, request) = (&bench.store, &bench.host, &case.request);
    let filled = store.fill(host, &case.drafts);
    let acts = store.arm(host, &case.acts);
    let before = store.dump(host);

    // A dry run is the plan.
    let planned = bench.call(request, json!({"dry_run": true}), &mut || ());
    let expected = request.dry_run(&filled.runs);
    check_dry_run(&planned, &expected)?;
    if store.dump(host) != before {
        return Err("a dry run has changed something".to_owned());
    }
    let plan = expected.ok();

    // The real call, while others do what they do.
    let options = if case.expects { json!({"expect_plan": planned["plan"]}) } else { json!({}) };
    let (mut changes, mut before): (Vec<Change>, _) = (Vec::new(), before);
    let answer = bench.call(request, options, &mut || {
        if case.meanwhile.is_empty() {
            return;
        }
        changes = store.change(host, &filled, (request, &case.meanwhile), &acts);
        before = store.dump(host);
    });
    let now = changed(&filled.runs, &changes);
    let new: Vec<NewRow> = new_rows(&before, &store.dump(host))?.iter().map(NewRow::from).collect();
    let fate = |run: &Run| {
        let act = acts.iter().find(|(task, _)| task.bytes() == run.task.bytes());
        act.map_or(Fate::Started, |(_, act)| store.shape.fate(*act))
    };
    let expected = plan.as_ref().filter(|_| case.expects);
    let trial = Trial { request, search: &filled.runs, spawn: &now, expected, fate: &fate };
    trial.check(&answer, &new).map_err(|why| format!("{why}\nchanges: {changes:#?}"))
}

thread_local! {
    static BENCHES: RefCell<HashMap<Shape, Bench>> = RefCell::new(HashMap::new());
}

fn try_case(case: &Case) -> Result<(), String> {
    BENCHES.with_borrow_mut(|benches| {
        if benches.len() > 60 && !benches.contains_key(&case.shape) {
            benches.clear();
        }
        // Out of the map while it is tried: whatever a failed case has left open goes with it.
        let bench = benches.remove(&case.shape).map_or_else(|| Bench::new(case.shape), Ok)?;
        let done = check(&bench, case);
        if done.is_ok() {
            benches.insert(case.shape, bench);
        }
        done
    })
}

#[test]
fn stores_of_any_shape_are_answered_as_the_model_does() {
    let done = runner(3_000).run(&cases(), |case| try_case(&case).map_err(TestCaseError::fail));
    done.unwrap_or_else(|error| panic!("{error}"));
}
