//! Sequences of calls on one store, while a runner works on it, against the independent model. The fuzzer's bytes
//! choose among what the property tests draw at random.

use std::cell::RefCell;

use crate::support::model::plan::Plan;
use crate::support::model::{Fate, Request, Run, Trial, check_dry_run, new_rows};
use crate::support::random::requests;
use crate::support::random::runwisp::{WORDS, new_row, runs};
use crate::support::{GENERATIONS, Row, Store, fast_folder, insert, rows};
use bulk_rerun::{Config, Plugin};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as Settings, RngAlgorithm, TestRng, TestRunner};
use rusqlite::Connection;
use serde_json::{Value as Json, json};

/// One step of a sequence. A number says which run, or which of the earlier plans.
#[derive(Debug)]
enum Step {
    DryRun(Request),
    Call(Request),
    /// With the plan of an earlier dry run.
    Expecting(usize),
    /// A loop over what a request selects.
    Walk(Request),
    /// The runner does something with a run.
    Ends(usize, bool),
    Deletes(usize),
}

fn steps() -> impl Strategy<Value = Step> {
    let request = || requests(WORDS).prop_map(|request| Request { dropped_reason: None, ..request });
    prop_oneof![
        3 => request().prop_map(Step::DryRun),
        3 => request().prop_map(Step::Call),
        2 => any::<usize>().prop_map(Step::Expecting),
        1 => request().prop_map(Step::Walk),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(run, well)| Step::Ends(run, well)),
        1 => any::<usize>().prop_map(Step::Deletes),
    ]
}

struct Bench {
    host: Connection,
    plugin: Plugin,
    names: Vec<String>,
    generation: usize,
    _store: Store,
}

/// What the model knows of a store, and the plans that were shown.
struct World {
    runs: Vec<Run>,
    plans: Vec<(Request, Plan, Json)>,
}

impl Bench {
    fn new(generation: usize, wal: bool) -> Bench {
        let journal_mode = if wal { "wal" } else { "delete" };
        let store = Store::in_folder(fast_folder(), GENERATIONS[generation], journal_mode);
        let host = store.open();
        let names = {
            let statement = host.prepare("SELECT * FROM runs").unwrap();
            statement.column_names().into_iter().map(str::to_owned).collect()
        };
        let plugin = Plugin::open(&Config::new(store.path_str())).unwrap();
        Bench { host, plugin, names, generation, _store: store }
    }

    fn ask(&self, request: &Request, options: Json) -> Json {
        let answer = self.plugin.call(request.to_json(options).to_string().as_bytes());
        serde_json::from_str(&answer.unwrap_or_else(|error| error.to_json())).unwrap()
    }

    fn take(&self, step: &Step, world: &mut World) -> Result<(), String> {
        let before = rows(&self.host);
        match step {
            Step::DryRun(request) => {
                let answer = self.ask(request, json!({"dry_run": true}));
                let expected = request.dry_run(&world.runs);
                check_dry_run(&answer, &expected)?;
                if let Ok(plan) = expected {
                    world.plans.push((request.clone(), plan, answer["plan"].clone()));
                }
            }
            Step::Call(request) => return self.call(request, None, &before, world),
            Step::Expecting(index) => {
                let Some(place) = index.checked_rem(world.plans.len()) else { return Ok(()) };
                let (request, plan, digest) = world.plans[place].clone();
                return self.call(&request, Some((plan, digest)), &before, world);
            }
            Step::Walk(request) => {
                let mut selector = request.to_json(json!({}));
                // Of the options, a cursor takes what selects.
                selector["options"] = json!({ "except_tasks": selector["options"]["except_tasks"] });
                let mut cursor =
                    self.plugin.cursor(selector.to_string().as_bytes()).map_err(|error| error.to_string())?;
                let mut found = Vec::new();
                while let Some(run) = cursor.next_run().map_err(|error| error.to_string())? {
                    let run: Json = serde_json::from_str(&run).unwrap();
                    found.push(run["id"].as_str().unwrap().to_owned());
                }
                let mut expected: Vec<String> =
                    request.selected(&world.runs).iter().map(|run| run.id.spelled().unwrap()).collect();
                expected.sort();
                found.sort();
                if found != expected {
                    return Err(format!("{selector:#}\nfound {found:?}\nand should have {expected:?}"));
                }
            }
            Step::Ends(index, well) => {
                let Some(place) = index.checked_rem(world.runs.len()) else { return Ok(()) };
                let run = &mut world.runs[place];
                let reason = if *well { "succeeded" } else { "failed" };
                let mark = i64::from(!well);
                (run.phase, run.end_reason, run.exit_code) = ("ended".to_owned(), Some(reason.to_owned()), Some(mark));
                let id = run.id.spelled().unwrap();
                let sql = "UPDATE runs SET status = 'ended', end_reason = ?1, exit_code = ?2 WHERE id = ?3";
                self.host.execute(sql, (reason, mark, &id)).unwrap();
                if self.generation == 2 {
                    run.mark = Some(!well);
                    self.host.execute("UPDATE runs SET is_failure = ?1 WHERE id = ?2", (mark, &id)).unwrap();
                }
                return Ok(());
            }
            Step::Deletes(index) => {
                let Some(place) = index.checked_rem(world.runs.len()) else { return Ok(()) };
                let id = world.runs.remove(place).id.spelled().unwrap();
                self.host.execute("DELETE FROM runs WHERE id = ?1", [id]).unwrap();
                return Ok(());
            }
        }
        if rows(&self.host) == before { Ok(()) } else { Err("something has changed".to_owned()) }
    }

    fn call(
        &self,
        request: &Request,
        expected: Option<(Plan, Json)>,
        before: &[Vec<rusqlite::types::Value>],
        world: &mut World,
    ) -> Result<(), String> {
        let (plan, digest) = expected.unzip();
        let options = digest.map_or(json!({}), |digest| json!({ "expect_plan": digest }));
        let answer = self.ask(request, options);
        let added = new_rows(before, &rows(&self.host))?;
        let new: Vec<_> = added.iter().map(|row| new_row(&self.names, row)).collect::<Result<_, _>>()?;
        let fate = |_: &Run| Fate::Started;
        Trial {
            request,
            search: &world.runs,
            spawn: &world.runs,
            expected: plan.as_ref(),
            fate: &fate,
            in_one_moment: true,
        }
        .check(&answer, &new)?;
        // From now on they are the store's.
        let sql = "SELECT created_at FROM runs WHERE id = ?1";
        for row in new {
            let written: String = self.host.query_row(sql, [row.id.spelled().unwrap()], |row| row.get(0)).unwrap();
            let instant =
                chrono::DateTime::parse_from_rfc3339(&written).map_err(|error| format!("{written}: {error}"))?;
            world.runs.push(Run {
                phase: "pending".to_owned(),
                end_reason: None,
                exit_code: None,
                triggered_by: Some("api".to_owned()),
                params: row.params,
                mark: (self.generation == 2).then_some(false),
                ..Run::failed(row.task, row.id, instant.timestamp_micros())
            });
        }
        Ok(())
    }
}

thread_local! {
    static BENCHES: RefCell<[Option<Bench>; 6]> = const { RefCell::new([const { None }; 6]) };
}

/// What a strategy makes of four of the fuzzer's bytes.
fn drawn<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, bytes: &[u8]) -> T {
    let mut seed = [0; 32];
    seed[..bytes.len()].copy_from_slice(bytes);
    let settings = Settings { failure_persistence: None, ..Settings::default() };
    let mut random = TestRunner::new_with_rng(settings, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    strategy.new_tree(&mut random).unwrap().current()
}

pub fn run(data: &[u8]) {
    // A byte for the kind of store, four for its runs, and four for each step.
    let Some((&kind, choices)) = data.split_first() else { return };
    let (generation, wal) = (usize::from(kind) % 3, kind >= 128);
    let mut choices = choices.chunks(4);
    let wisps = drawn(runs(generation), choices.next().unwrap_or_default());
    let steps: Vec<Step> = choices.take(12).map(|choice| drawn(steps(), choice)).collect();
    BENCHES.with_borrow_mut(|benches| {
        let bench = benches[generation * 2 + usize::from(wal)].get_or_insert_with(|| Bench::new(generation, wal));
        bench.host.execute("DELETE FROM runs", []).unwrap();
        insert(&mut bench.host, &wisps.iter().map(|wisp| wisp.row.clone()).collect::<Vec<Row>>());
        let mut world = World { runs: wisps.iter().map(|wisp| wisp.run.clone()).collect(), plans: Vec::new() };
        for (place, step) in steps.iter().enumerate() {
            if let Err(why) = bench.take(step, &mut world) {
                panic!("step {place} of {steps:#?}\non {wisps:#?}\n{why}");
            }
        }
    });
}
