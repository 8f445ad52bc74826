//! The examples of every help page: they fit a terminal, and can be typed as they stand.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::support::Store;
use crate::support::calls::{call, open};
use crate::support::tool::{at_a_terminal, bulk_rerun, night, plain, shell, text};
use serde_json::json;

const COMMANDS: [&str; 14] = [
    "",
    "rerun",
    "failures",
    "check",
    "profiles",
    "serve",
    "lua",
    "ledger",
    "history",
    "show",
    "undo",
    "wait",
    "completions",
    "man",
];

/// What the pages call an operation, and a run.
const SAMPLE: &str = "01JRX3M7ZD7Q8M5T8E2Y9V4B6C";

/// The examples of a command's help, on a terminal of this width.
fn examples(command: &str, columns: usize) -> String {
    let (_, help) = at_a_terminal(columns, &format!("bulk-rerun {command} --help"), "");
    let help = plain(&help);
    help[help.find("Examples:").unwrap_or_else(|| panic!("{command:?}"))..].to_owned()
}

#[test]
fn they_can_be_copied_from_a_terminal_of_80_columns() {
    for command in COMMANDS {
        let shown = examples(command, 80);
        assert_eq!(shown, examples(command, 200), "{command:?}");
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }
}

/// A folder with all that the pages name: a store in two places, a ledger with an operation that is over, a profile, a script.
fn folder() -> (Store, PathBuf, String) {
    let store = night();
    let folder = store.path.parent().unwrap().to_owned();
    let plugin = open(&store.path);
    plugin.create_ledger().unwrap();
    let answer = call(&plugin, &json!({"ids": ["a1"]})).unwrap();
    store
        .open()
        .execute("UPDATE runs SET status = 'ended', end_reason = 'success' WHERE status = 'pending'", [])
        .unwrap();
    symlink(&folder, folder.join(".runwisp")).unwrap();
    symlink(store.path.file_name().unwrap(), folder.join("jobs.db")).unwrap();
    symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/examples"), folder.join("examples")).unwrap();
    for place in [".local/share/bash-completion/completions", ".zfunc", ".config/fish/completions"] {
        fs::create_dir_all(folder.join(place)).unwrap();
    }
    fs::write(folder.join("my-runner.toml"), with_a_prefix(&text(&bulk_rerun(&["profiles", "runwisp"]).stdout)))
        .unwrap();
    (store, folder, answer["operation_id"].as_str().unwrap().to_owned())
}

/// The profile with a parameter, of which nothing depends.
fn with_a_prefix(profile: &str) -> String {
    let parameters = "[parameters]\nprefix = { what = 'prefix of its tables', default = 'day_' }\n\n[[generation]]";
    profile.replacen("[[generation]]", parameters, 1).replace("runs = '''\n", "runs = '''\n-- {{prefix}}\n")
}

#[test]
fn they_are_commands() {
    for command in COMMANDS.into_iter().filter(|command| *command != "serve") {
        let (_store, folder, operation) = folder();
        let page = examples(command, 80).replace(SAMPLE, &operation);
        let page = page.split("\n\n").take_while(|part| !part.starts_with("Exit status") && !part.starts_with("The "));
        for example in page.map(|part| part.trim_start_matches("Examples:")).filter(|part| !part.trim().is_empty()) {
            let mut line = shell(&format!("set -eo pipefail; cd '{}'\n{example}", folder.display()));
            let output = line.env("HOME", &folder).env("CI_PIPELINE_ID", "17").output().unwrap();
            let said = text(&output.stderr);
            // Who asks before it changes something has nobody to ask here.
            assert!(output.status.success() || said.contains("no terminal to ask on"), "{example}\n{said}");
        }
    }
}
