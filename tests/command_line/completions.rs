//! What a shell offers at the Tab key, in the shells themselves.

use std::process::Command;

use crate::support::calls::{call, open};
use crate::support::tool::{bulk_rerun, night, shell, text, typed_at};
use crate::support::{Row, Store};

/// A night with a task whose name a shell must quote.
fn store() -> Store {
    night().holding(&[
        Row::failed("e1", "mail: weekly report", "2026-04-15T02:00:00Z"),
        Row::failed("e2", "it's", "2026-04-15T02:00:00Z").with(|row| row.end_reason = Some("evicted".to_owned())),
    ])
}

/// What may stand at the end of these words.
fn candidates(words: &[&str]) -> Vec<String> {
    let output = bulk_rerun(&[&["__complete", "--", "bulk-rerun"], words].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn tasks_words_profiles_and_operations_are_the_stores_own() {
    let store = store();
    let place = store.path_str();
    for (words, expected) in [
        (&["rerun", "--task", ""][..], &["backup", "import", "it's", "mail", "mail: weekly report", "web"][..]),
        (&["failures", "--task", "ma"], &["mail", "mail: weekly report"]),
        (&["rerun", "--except-task=b"], &["--except-task=backup"]),
        (&["rerun", "--status", "e"], &["ended", "evicted"]),
        (&["rerun", "--status", "failed,ti"], &["failed,timeout"]),
        (&["check", "--try", "--task", "w"], &["web"]),
        (&["rerun", "--unique-by", ""], &["task", "params", "run"]),
        (&["check", "--profile", "pg"], &["pg-boss", "pgqueuer"]),
        (&["profiles", "runw"], &["runwisp"]),
        (&["fail"], &["failures"]),
        (&["__"], &[]),
        (&["ledger", "c"], &["create"]),
        (&["rerun", "--wait", "--lim"], &["--limit"]),
        (&["rerun", "--except-group", "a", ""], &[]),
        (&["completions", ""], &["bash", "zsh", "fish"]),
        (&["rerun", "--tasks", ""], &[]),
    ] {
        // Wherever the store is named.
        let asked = match words {
            [name @ ("rerun" | "failures" | "check"), rest @ ..] => [&[*name, "--store", place], rest].concat(),
            _ => words.to_vec(),
        };
        assert_eq!(candidates(&asked), expected, "{asked:?}");
    }
    assert!(candidates(&["rerun", "--store", "/no/such/store.db", "--task", ""]).is_empty());
    let plugin = open(&store.path);
    plugin.create_ledger().unwrap();
    let answer = call(&plugin, &serde_json::json!({"ids": ["a1"]})).unwrap();
    let id = answer["operation_id"].as_str().unwrap();
    assert_eq!(candidates(&["undo", "--store", place, "01"]), [id]);
}

/// What is on the terminal of a shell that reads `rc` first, once a line was typed, a Tab and Enter.
fn with_a_tab(shell: &str, rc: &str, store: &Store, typed: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".zshrc");
    std::fs::write(&file, rc).unwrap();
    let line = format!("ZDOTDIR='{0}' {1}", folder.path().display(), shell.replace("RC", file.to_str().unwrap()));
    let keys = format!("bulk-rerun rerun --store {} --dry-run --summary {typed}\t\nexit\n", store.path_str());
    typed_at(">> ", 400, &line, &keys).1
}

/// A command whose value was completed finds its runs; half a name finds none, and is warned of.
#[track_caller]
fn finds_runs(shown: &str) {
    assert!(shown.contains("new run would be spawned for the"), "{shown}");
    assert!(!shown.contains("warning:"), "{shown}");
}

#[test]
fn bash_completes_tasks_whatever_signs_they_have() {
    let store = store();
    let rc = "PS1='>> '; bind 'set bell-style none'; source <(bulk-rerun completions bash)";
    for typed in ["--task back", "--task=back", "--task mail:\\ w", "--task 'mail: w", "--task it", "--status=evi"] {
        finds_runs(&with_a_tab("bash --rcfile RC -i", rc, &store, typed));
    }
}

#[test]
fn zsh_completes_tasks_whatever_signs_they_have() {
    let store = store();
    let rc =
        "PS1='>> '; unsetopt PROMPT_SP; autoload -Uz compinit; compinit -u -D; source <(bulk-rerun completions zsh)";
    for typed in ["--task back", "--task=back", "--task mail:\\ w", "--task it", "--status evi"] {
        finds_runs(&with_a_tab("zsh -d -i", rc, &store, typed));
    }
}

#[test]
fn fish_completes_tasks_and_lists_of_words() {
    let store = store();
    for (typed, expected) in [
        ("--task back", "backup\n"),
        ("--status failed,tim", "failed,timeout\n"),
        ("--task mail:", "mail: weekly report\n"),
        ("--unique-by p", "params\n"),
    ] {
        let line = format!("bulk-rerun rerun --store {} {typed}", store.path_str());
        let script = format!("bulk-rerun completions fish | source; complete -C \"{line}\"");
        let mut fish = shell("exec fish --no-config -c \"$SCRIPT\"");
        let output = fish.env("SCRIPT", script).env("HOME", store.path.parent().unwrap()).output().unwrap();
        assert_eq!(text(&output.stdout), expected, "{typed}: {}", text(&output.stderr));
    }
}

/// What stands there is taken for a script, so it must be one.
#[test]
fn the_scripts_are_read_without_a_word() {
    for name in ["bash", "zsh", "fish"] {
        let script = bulk_rerun(&["completions", name]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("script");
        std::fs::write(&file, &script.stdout).unwrap();
        let read = Command::new(name).arg("-n").arg(&file).output().unwrap();
        assert!(read.status.success() && read.stderr.is_empty(), "{name}: {}", text(&read.stderr));
    }
}
