//! Memory does not grow with the store: neither a loop over its runs nor a predicate holds more than one of them.

use std::sync::{Mutex, PoisonError};

use libtest_mimic::Trial;

use crate::lua::Interpreter;
use crate::store::{self, Kind};
use crate::{file, in_every_lua, succeeded};

/// What a store ten times as large may need besides, in kB; its runs as tables would be 80 MB and more.
const GROWTH_MAX: u64 = 8 * 1_024;

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for how in ["loop", "predicate"] {
        trials.extend(in_every_lua(&format!("memory: {how}"), move |lua| {
            let [small, large] = [10_000, 100_000].map(|runs| peak(lua, how, runs));
            assert!(large < small + GROWTH_MAX, "{small} kB for 10,000 runs, {large} kB for 100,000");
        }));
    }
    trials
}

/// The peak of resident memory, in kB, of a process that goes over every run.
fn peak(lua: Interpreter, how: &str, runs: usize) -> u64 {
    let store = {
        // One test makes it, the others find it.
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        store::kept(Kind::History, runs)
    };
    let output = lua.run(&file("benches/support/every_run.lua")).arg(store).arg(how).output().unwrap();
    let out = succeeded(&output);
    let numbers: Vec<u64> = out.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let [seen, _, peak] = numbers[..] else { panic!("{out}") };
    // 2 % are deleted.
    assert!(seen as usize > runs * 9 / 10, "{out}");
    peak
}
