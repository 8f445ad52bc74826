//! The API, as the scripts beside this file assert it. Each gets a store of its own.

use std::fs;

use libtest_mimic::Trial;

use crate::support::{GENERATIONS, NEWEST, Row, Store};
use crate::{file, in_every_lua, succeeded};

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for name in ["values", "runs", "rerun", "predicates", "attach", "ledger", "lifetime", "operations", "wait"] {
        let script = file(&format!("tests/lua/scripts/{name}.lua"));
        trials.extend(in_every_lua(&format!("script: {name}"), move |lua| {
            let store = Store::new().holding(&rows());
            succeeded(&lua.run(&script).arg(&store.path).output().unwrap());
        }));
    }
    for (journal_mode, schema) in [("wal", NEWEST), ("delete", NEWEST), ("delete", GENERATIONS[0])] {
        let generation = GENERATIONS.iter().position(|one| *one == schema).unwrap() + 1;
        let name = format!("spawning in the loop, journal mode {journal_mode}, generation {generation}");
        trials.extend(in_every_lua(&name, move |lua| {
            let store = Store::of_generation(schema, journal_mode).holding(&many());
            let script = file("tests/lua/scripts/loop.lua");
            succeeded(&lua.run(&script).arg(&store.path).output().unwrap());
            let spawned = "SELECT count(*), count(DISTINCT task_name || id) FROM runs WHERE status = 'pending'";
            let counts = store.open().query_row(spawned, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            assert_eq!(counts, (RUNS as i64, RUNS as i64), "one new run for each that matched when the loop began");
            assert_eq!(store.integrity(), "ok");
        }));
    }
    for (number, schema) in (1..).zip(GENERATIONS) {
        trials.extend(in_every_lua(&format!("undone, generation {number}"), move |lua| {
            let store = Store::of_generation(schema, "wal").holding(&rows());
            let script = file("tests/lua/scripts/undone.lua");
            succeeded(&lua.run(&script).arg(&store.path).output().unwrap());
        }));
    }
    trials.push(every_script_is_run());
    trials
}

/// How many runs the loop is over.
const RUNS: usize = 300;

fn many() -> Vec<Row> {
    (0..RUNS)
        .map(|index| Row::failed(&format!("r{index}"), &format!("task-{}", index % 7), "2026-04-15T01:00:00Z"))
        .collect()
}

fn rows() -> Vec<Row> {
    let params = |id, at, text: &str| Row::failed(id, "import", at).with(|row| row.params_json = Some(text.to_owned()));
    vec![
        Row::failed("a1", "backup", "2026-04-15T01:00:00Z"),
        Row::failed("a2", "backup", "2026-04-15T02:00:00Z").with(|row| row.exit_code = 137),
        params("b1", "2026-04-15T01:00:00Z", r#"{ "tenant": "Łódzkie Meble", "items": [1, null, 3], "none": [] }"#),
        params("b2", "2026-04-15T02:00:00Z", "--full  now"),
        params("b3", "2026-04-15T03:00:00Z", r#"{"a":1,"a":2}"#),
        Row::failed("c1", "sync", "2026-04-15T03:00:00Z").with(|row| {
            row.status = "running".to_owned();
            row.end_reason = None;
            row.is_failure = 0;
        }),
    ]
}

fn every_script_is_run() -> Trial {
    Trial::test("every script is run", || {
        let names = fs::read_dir(file("tests/lua/scripts")).unwrap().count();
        assert_eq!(names, 13, "a script is missing from the list, or the list from the scripts");
        Ok(())
    })
}
