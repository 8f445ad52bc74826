//! Memory does not grow with the store.
#![cfg(target_os = "linux")]

#[path = "../benches/support/memory.rs"]
mod memory;
#[path = "../benches/support/store.rs"]
mod store;

use std::path::Path;
use std::process::Command;

use bulk_rerun::{Config, Plugin};

/// Set for the child process: the store that it plans a re-run of.
const STORE: &str = "BULK_RERUN_TEST_STORE";

/// What the child says before its peak.
const SAYS: &str = "peak memory in kB: ";

/// What a re-run may need at most, beside a process that does nothing; most of it is code that was not used before, and
/// SQLite's cache.
const PEAK_MAX: u64 = 12 * 1_024;

/// What a store a hundred times as large may need besides; its runs held in memory would be 40 MB and more.
const GROWTH_MAX: u64 = 4 * 1_024;

#[test]
fn a_large_store_needs_no_more_memory_than_a_small_one() {
    if let Some(store) = std::env::var_os(STORE) {
        return plan_everything(Path::new(&store));
    }
    let idle = peak(Path::new(""));
    let [small, large] = [3_000, 300_000].map(|runs| peak(&store::kept(store::Kind::History, runs)));
    println!("{idle} kB for nothing, {small} kB for 3,000 runs, {large} kB for 300,000");
    assert!(large < small + GROWTH_MAX, "{small} kB for 3,000 runs, {large} kB for 300,000");
    assert!(large < idle + PEAK_MAX, "{idle} kB for nothing, {large} kB for 300,000 runs");
}

fn plan_everything(store: &Path) {
    if store == Path::new("") {
        return println!("{SAYS}{}", memory::own_peak());
    }
    let plugin = Plugin::open(&Config::new(store)).expect("the store");
    let plan = plugin.call(br#"{"match_all": true, "options": {"dry_run": true}}"#).expect("a plan");
    assert!(plan.contains(r#""matched":"#), "{plan}");
    println!("{SAYS}{}", memory::own_peak());
}

/// The peak of a process that does nothing else: this test once more, as a child.
fn peak(store: &Path) -> u64 {
    let child = Command::new(std::env::current_exe().expect("this test's file"))
        .args(["--exact", "a_large_store_needs_no_more_memory_than_a_small_one", "--nocapture"])
        .env(STORE, store)
        .output()
        .expect("a child process");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    let output = String::from_utf8_lossy(&child.stdout);
    let (_, said) = output.split_once(SAYS).unwrap_or_else(|| panic!("the child told no peak: {output}"));
    said.lines().next().and_then(|peak| peak.parse().ok()).expect("a number of kilobytes")
}
