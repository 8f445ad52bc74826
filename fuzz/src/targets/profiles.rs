//! A text as a profile, on a small store: whatever it says, a dry run and a failed call change nothing.

use std::fs;
use std::sync::OnceLock;

use crate::support::{NEWEST, Row, Store, dump, fast_folder};
use bulk_rerun::host::profile::Profile;
use bulk_rerun::{Config, Plugin};

/// A small store's file.
fn store() -> &'static [u8] {
    static STORE: OnceLock<Vec<u8>> = OnceLock::new();
    STORE.get_or_init(|| {
        let rows = ["a1", "a2", "b1"].map(|id| Row::failed(id, &id[..1], "2026-04-15T12:00:00Z"));
        fs::read(&Store::in_folder(fast_folder(), NEWEST, "delete").holding(&rows).path).unwrap()
    })
}

pub fn run(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if Profile::parse(text, "fuzz.toml").is_err() {
        return;
    }
    let folder = fast_folder();
    // Whatever a statement names, it is in here.
    std::env::set_current_dir(folder.path()).unwrap();
    let (path, profile) = (folder.path().join("runs.db"), folder.path().join("profile.toml"));
    fs::write(&path, store()).unwrap();
    fs::write(&profile, text).unwrap();
    let before = dump(&path);
    let config = Config { profile: Some(profile.display().to_string()), ..Config::new(path.to_str().unwrap()) };
    let opened = Plugin::open(&config);
    assert_eq!(dump(&path), before, "opening a store changes nothing");
    let plugin = match opened {
        Ok(plugin) => plugin,
        Err(error) => return assert!(!error.detail.is_empty()),
    };
    let _ = (plugin.describe(), plugin.survey());
    let _ = plugin.call(br#"{"match_all": true, "options": {"dry_run": true}}"#);
    let _ = plugin.trial(None);
    assert_eq!(dump(&path), before, "nothing was to be changed");
    for request in [&br#"{"match_all": true, "options": {"unique_by": "run"}}"#[..], br#"{"ids": ["a1"]}"#] {
        let before = dump(&path);
        if plugin.call(request).is_err() {
            assert_eq!(dump(&path), before, "a failed call changes nothing");
        }
    }
}
