//! Random stores in RunWisp's layout and random selectors are answered exactly as the naive model says.

mod support;

use std::cell::RefCell;

use bulk_rerun::{Config, Plugin};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use support::calls::answer;
use support::memory_host::{MemoryHost, canonical};
use support::model::{Fate, NewRow, Request, Run, Trial, check_dry_run, new_rows};
use support::random::runwisp::{WORDS, Wisp, new_row, runs};
use support::random::{number, requests, runner};
use support::{GENERATIONS, Row, Store, fast_folder, insert};

fn call(plugin: &Plugin, request: &Json) -> Json {
    answer(plugin.call(request.to_string().as_bytes()))
}

/// A store of each generation and journal mode, which is emptied and used again.
struct Bench {
    store: Store,
    plugin: Plugin,
    names: Vec<String>,
}

impl Bench {
    fn new(generation: usize, journal_mode: &str) -> Bench {
        let store = Store::in_folder(fast_folder(), GENERATIONS[generation], journal_mode);
        let names = {
            let host = store.open();
            let statement = host.prepare("SELECT * FROM runs").unwrap();
            statement.column_names().into_iter().map(str::to_owned).collect()
        };
        let plugin = Plugin::open(&Config::new(store.path_str())).unwrap();
        Bench { store, plugin, names }
    }

    fn check(&self, wisps: &[Wisp], request: &Request, expects: bool) -> Result<(), String> {
        let mut host = self.store.open();
        host.execute("DELETE FROM runs", []).unwrap();
        insert(&mut host, &wisps.iter().map(|wisp| wisp.row.clone()).collect::<Vec<Row>>());
        let runs: Vec<Run> = wisps.iter().map(|wisp| wisp.run.clone()).collect();
        let before = self.store.dump();

        let planned = call(&self.plugin, &request.to_json(json!({"dry_run": true})));
        let expected = request.dry_run(&runs);
        check_dry_run(&planned, &expected)?;
        if self.store.dump() != before {
            return Err("a dry run has changed something".to_owned());
        }

        // A host behind callbacks that hands over everything plans the same.
        let visible = wisps.iter().filter(|wisp| !wisp.run.deleted);
        let host = MemoryHost::holding(visible.map(|wisp| canonical(&wisp.run, &wisp.row.created_at)));
        let attached = Plugin::attach(Box::new(host), &Config::new("")).unwrap();
        let asked = call(&attached, &request.to_json(json!({"dry_run": true})));
        check_dry_run(&asked, &expected)?;
        if asked["plan"] != planned["plan"] {
            return Err("the digest is another one on a host behind callbacks".to_owned());
        }

        let options = if expects { json!({"expect_plan": planned["plan"]}) } else { json!({}) };
        let told = call(&self.plugin, &request.to_json(options));
        let new = new_rows(&before, &self.store.dump())?;
        let new: Vec<NewRow> = new.iter().map(|row| new_row(&self.names, row)).collect::<Result<_, _>>()?;
        let plan = expected.ok().filter(|_| expects);
        let fate = |_: &Run| Fate::Started;
        let trial =
            Trial { request, search: &runs, spawn: &runs, expected: plan.as_ref(), fate: &fate, in_one_moment: true };
        trial.check(&told, &new)
    }
}

#[test]
fn stores_of_runwisp_are_answered_as_the_model_does() {
    let benches: Vec<RefCell<Option<Bench>>> = (0..6).map(|_| RefCell::new(None)).collect();
    let cases = (0..3usize, any::<bool>()).prop_flat_map(|(generation, wal)| {
        let request = requests(WORDS).prop_map(|request| Request { dropped_reason: None, ..request });
        (Just((generation, wal)), runs(generation), request, any::<bool>())
    });
    let done = runner(number(1_500)).run(&cases, |((generation, wal), wisps, request, expects)| {
        let bench = &mut *benches[generation * 2 + usize::from(wal)].borrow_mut();
        let bench = bench.get_or_insert_with(|| Bench::new(generation, if wal { "wal" } else { "delete" }));
        bench.check(&wisps, &request, expects).map_err(TestCaseError::fail)
    });
    done.unwrap_or_else(|error| panic!("{error}"));
}
