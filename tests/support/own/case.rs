//! A case for any door: a store of some shape, a request, what the host does, and what others do meanwhile.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rusqlite::Connection;
use serde_json::{Value as Json, json};

use super::super::model::call::{Change, changed};
use super::super::model::{Act, Fate, NewRow, Request, Run, Trial, Value, check_dry_run, new_rows};
use super::super::random::own::{Meanwhile, WORDS, acts, drafts, meanwhile};
use super::super::random::{Draft, number, requests, runner};
use super::{OwnStore, Shape, shapes};

#[derive(Debug, Clone)]
pub struct Case {
    pub shape: Shape,
    pub drafts: Vec<Draft>,
    pub request: Request,
    pub acts: Vec<(Value, Act)>,
    pub meanwhile: Vec<Meanwhile>,
    /// The call says which plan it expects.
    pub expects: bool,
}

/// Tries so many cases in rounds, each with a few shapes of its own, whose stores are emptied and used again.
pub fn in_rounds(cases: u32, mut round: impl FnMut(&mut TestRunner, BoxedStrategy<Case>)) {
    let mut left = number(cases);
    while left > 0 {
        let now = left.min(1_000);
        let mut runner = runner(now);
        let shapes = (0..40).map(|_| shapes().new_tree(&mut runner).unwrap().current()).collect();
        round(&mut runner, of_shapes(shapes).boxed());
        left -= now;
    }
}

fn of_shapes(shapes: Vec<Shape>) -> impl Strategy<Value = Case> {
    let runs = prop::collection::vec(drafts(), 0..11);
    (prop::sample::select(shapes), runs, requests(WORDS), acts(), meanwhile(), any::<bool>()).prop_map(
        |(shape, drafts, request, acts, mut meanwhile, expects)| {
            // Elsewhere a writer waits until the search is over. How a limit goes with what changes is not said.
            if !shape.wal || request.limit.is_some() {
                meanwhile.clear();
            }
            Case { shape, drafts, request, acts, meanwhile, expects }
        },
    )
}

/// A way to call the plugin on a store.
pub trait Door {
    /// What a request answers, its predicate included. `first` is done when the predicate is asked for the first time.
    fn call(&self, request: &Request, options: Json, first: &mut dyn FnMut()) -> Json;

    /// The host's own connection, between two calls or during one.
    fn host(&self, with: &mut dyn FnMut(&Connection));
}

fn of_host<T>(door: &dyn Door, with: impl Fn(&Connection) -> T) -> T {
    let mut done = None;
    door.host(&mut |connection| done = Some(with(connection)));
    done.unwrap()
}

/// Tries a case: the dry run, the real call, and the store before and after.
pub fn check(store: &OwnStore, door: &dyn Door, case: &Case) -> Result<(), String> {
    let request = &case.request;
    let filled = of_host(door, |host| store.fill(host, &case.drafts));
    let acts = of_host(door, |host| store.arm(host, &case.acts));
    let before = of_host(door, |host| store.dump(host));

    let planned = door.call(request, json!({"dry_run": true}), &mut || ());
    let expected = request.dry_run(&filled.runs);
    check_dry_run(&planned, &expected)?;
    if of_host(door, |host| store.dump(host)) != before {
        return Err("a dry run has changed something".to_owned());
    }
    let plan = expected.ok();

    let options = if case.expects { json!({"expect_plan": planned["plan"]}) } else { json!({}) };
    let (mut changes, mut before): (Vec<Change>, _) = (Vec::new(), before);
    let answer = door.call(request, options, &mut || {
        if !case.meanwhile.is_empty() {
            changes = of_host(door, |host| store.change(host, &filled, (request, &case.meanwhile), &acts));
            before = of_host(door, |host| store.dump(host));
        }
    });
    let now = changed(&filled.runs, &changes);
    let after = of_host(door, |host| store.dump(host));
    let new: Vec<NewRow> = new_rows(&before, &after)?.iter().map(NewRow::from).collect();
    let fate = |run: &Run| {
        let act = acts.iter().find(|(task, _)| task.bytes() == run.task.bytes());
        act.map_or(Fate::Started, |(_, act)| store.shape.fate(*act))
    };
    let expected = plan.as_ref().filter(|_| case.expects);
    let trial = Trial { request, search: &filled.runs, spawn: &now, expected, fate: &fate, in_one_moment: true };
    trial.check(&answer, &new).map_err(|why| format!("{why}\nchanges: {changes:#?}"))
}
