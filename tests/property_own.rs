//! A runner that nobody knows, on SQLite: stores of random shapes, what others do during a call, and triggers of the
//! host's, answered as the naive model says.

mod support;

use std::cell::RefCell;
use std::collections::HashMap;

use bulk_rerun::{Config, Plugin};
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::Value as Json;

use support::calls::answer;
use support::model::Request;
use support::own::case::{Case, Door, check, in_rounds};
use support::own::{OwnStore, Shape};

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
}

impl Door for Bench {
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

    fn host(&self, with: &mut dyn FnMut(&Connection)) {
        with(&self.host);
    }
}

fn try_case(benches: &mut HashMap<Shape, Bench>, case: &Case) -> Result<(), String> {
    // Out of the map while it is tried: whatever a failed case has left open goes with it.
    let bench = benches.remove(&case.shape).map_or_else(|| Bench::new(case.shape), Ok)?;
    check(&bench.store, &bench, case)?;
    benches.insert(case.shape, bench);
    Ok(())
}

#[test]
fn stores_of_any_shape_are_answered_as_the_model_does() {
    in_rounds(4_000, |runner, cases| {
        let benches = RefCell::new(HashMap::new());
        let done = runner.run(&cases, |case| try_case(&mut benches.borrow_mut(), &case).map_err(TestCaseError::fail));
        done.unwrap_or_else(|error| panic!("{error}"));
    });
}
