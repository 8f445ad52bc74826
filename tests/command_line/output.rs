//! What the tool prints, where it prints it, and what its exit status says if it can't.

use crate::support::tool::{bulk_rerun, night, rerun, shell, text};
use crate::support::{Row, Store};
use serde_json::Value;

#[test]
fn json_is_alone_on_standard_output_errors_too() {
    let output = bulk_rerun(&["rerun", "--store", "/no/such/store.db", "--all", "--yes", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let error: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(error["status"], 500);
    assert!(error["detail"].as_str().unwrap().contains("/no/such/store.db"));
}

/// The exit status of a shell's line, and what it says on standard error.
fn status(line: &str) -> (Option<i32>, String) {
    let output = shell(line).output().unwrap();
    (output.status.code(), text(&output.stderr))
}

#[test]
fn what_is_done_and_can_not_be_told_is_exit_status_6() {
    for report in ["--json", "--summary", ""] {
        for reader in ["> /dev/full", "| true"] {
            let store = night();
            let line = format!("bulk-rerun rerun --store '{}' --all --yes {report}", store.path_str());
            let (status, said) = status(&format!("{line} {reader}; exit ${{PIPESTATUS[0]}}"));
            assert_eq!(status, Some(6), "{report} {reader}: {said}");
            assert!(said.contains("the new runs are there"), "{report} {reader}: {said}");
            assert_eq!(store.dump().len(), 8);
        }
    }
}

#[test]
fn what_became_of_the_ledger_and_can_not_be_told_is_exit_status_6_too() {
    let store = night();
    for command in ["create", "prune --older-than 1d", "drop"] {
        let (full, said) = status(&format!("bulk-rerun ledger {command} --store '{}' > /dev/full", store.path_str()));
        assert_eq!(full, Some(6), "{command}: {said}");
        assert!(said.contains("it is done"), "{command}: {said}");
    }
}

#[test]
fn what_only_looks_fails_on_a_full_disk_and_not_where_nobody_reads_on() {
    let store = night();
    for command in [
        format!("rerun --store '{}' --all --dry-run", store.path_str()),
        format!("rerun --store '{}' --all --dry-run --json", store.path_str()),
        format!("rerun --store '{}' --status missed --yes --json", store.path_str()),
        format!("check --store '{}'", store.path_str()),
        "profiles".to_owned(),
        "profiles runwisp".to_owned(),
    ] {
        let (full, said) = status(&format!("bulk-rerun {command} > /dev/full"));
        assert_eq!(full, Some(1), "{command}: {said}");
        assert!(said.contains("can't be written") && said.contains("nothing was changed"), "{command}: {said}");
        let (closed, said) = status(&format!("bulk-rerun {command} | true; exit ${{PIPESTATUS[0]}}"));
        assert_eq!((closed, said.as_str()), (Some(0), ""), "{command}");
    }
    assert_eq!(store.dump().len(), 5);
}

#[test]
fn quiet_says_nothing_where_nothing_was_spawned() {
    let store = night();
    let nothing = rerun(&store, &["--task", "web", "--yes", "--quiet"]);
    assert_eq!((nothing.status.code(), nothing.stdout, nothing.stderr), (Some(0), vec![], vec![]));
    let something = rerun(&store, &["--task", "backup", "--yes", "--quiet"]);
    assert!(text(&something.stdout).starts_with("1 new run spawned\n"), "{}", text(&something.stdout));
    // Without a word about one: the exit status tells.
    store
        .open()
        .execute_batch("CREATE TRIGGER closed BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'closed'); END")
        .unwrap();
    let refused = rerun(&store, &["--task", "backup", "--yes", "--quiet"]);
    assert_eq!((refused.status.code(), refused.stdout), (Some(3), vec![]));
}

#[test]
fn a_summary_is_one_line() {
    let store = night();
    for (flags, expected) in [
        (&["--all", "--dry-run"][..], "3 new runs would be spawned for the 5 runs selected; 1 skipped (1 service)\n"),
        (&["--ids", "a1,zz,yy", "--yes"], "1 new run spawned; 2 skipped (2 not_found)\n"),
        (&["--task", "mail", "--yes"], "1 new run spawned\n"),
        (&["--task", "nothing", "--yes"], "0 new runs spawned\n"),
    ] {
        assert_eq!(text(&rerun(&store, &[flags, &["--summary"]].concat()).stdout), expected, "{flags:?}");
    }
    assert_eq!(text(&rerun(&store, &["--task", "nothing", "--yes", "--summary", "--quiet"]).stdout), "");
}

#[test]
fn what_acts_on_a_terminal_or_can_not_be_seen_is_spelled() {
    let names = [
        ("evil\u{1b}[2Jtask\nname", "evil\\u{1b}[2Jtask\\nname"),
        ("pay\u{202e}lla\u{2066}", "pay\\u{202e}lla\\u{2066}"),
        ("back\u{200b}up\u{feff}", "back\\u{200b}up\\u{feff}"),
        ("\u{61c}a\u{200e}\u{200f}b", "\\u{61c}a\\u{200e}\\u{200f}b"),
        ("tag\u{e0041}\u{ad}", "tag\\u{e0041}\\u{ad}"),
        ("größe 株式 ❤\u{fe0f} עברית", "größe 株式 ❤\u{fe0f} עברית"),
    ];
    let rows =
        names.iter().enumerate().map(|(id, (name, _))| Row::failed(&id.to_string(), name, "2026-04-15T01:00:00Z"));
    let store = Store::new().holding(&rows.collect::<Vec<_>>());
    let output = text(&rerun(&store, &["--all", "--dry-run"]).stdout);
    for (_, shown) in names {
        assert!(output.contains(shown), "{shown} is not in\n{output}");
    }
    let error = text(&rerun(&store, &["--all", "--dry-run", "--profile", "no\u{202e}ne"]).stderr);
    assert!(error.contains("no\\u{202e}ne"), "{error}");
}

#[test]
fn nothing_is_cut_where_there_is_no_terminal() {
    let long = format!("{{\"text\": \"{}\"}}", "long ".repeat(100));
    let rows: Vec<Row> = (0..60)
        .map(|id| Row::failed(&id.to_string(), &format!("{id}-{}", "x".repeat(150)), "2026-04-15T01:00:00Z"))
        .chain(["p1", "p2"].map(|id| {
            Row::failed(id, "params", "2026-04-15T01:00:00Z").with(|row| row.params_json = Some(format!("{long}{id}")))
        }))
        .collect();
    let output = text(&rerun(&Store::new().holding(&rows), &["--all", "--unique-by", "run", "--dry-run"]).stdout);
    assert!(!output.contains('…'), "{output}");
    assert!(output.contains(&format!("{long}p1")) && output.contains(&rows[59].task_name), "{output}");
}
