//! What was typed and can't be meant: it is told, with exit status 2, and changes nothing.

use crate::support::tool::{bulk_rerun, command, night, rerun, shell, text};
use serde_json::Value;

#[test]
fn nobody_re_runs_everything_by_accident() {
    let store = night();
    for flags in [&[][..], &["--except", "a1"]] {
        let output = rerun(&store, &[flags, &["--yes"]].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(text(&output.stderr).contains("say --all for every run"), "{flags:?}");
    }
    assert_eq!(store.dump().len(), 5);
    // Whoever writes a selector says it there.
    let line = format!(
        "printf '\\xEF\\xBB\\xBF{{\"match_all\": true, \"except_ids\": [\"a1\"]}}' | \
         bulk-rerun rerun --store '{}' --selector - --yes --summary",
        store.path_str()
    );
    let output = shell(&line).output().unwrap();
    assert_eq!(text(&output.stdout), "3 new runs spawned; 1 skipped (1 service)\n", "{}", text(&output.stderr));
}

#[test]
fn a_blank_flag_is_a_variable_that_is_not_set() {
    let store = night();
    for flag in [
        "--task",
        "--status",
        "--search",
        "--triggered-by",
        "--since",
        "--until",
        "--exit-code",
        "--except",
        "--ids",
        "--selector",
        "--limit",
        "--expect-plan",
        "--unique-by",
        "--store",
        "--profile",
        "--tasks",
        "--busy-timeout",
    ] {
        for blank in ["", " "] {
            for flags in [&[flag, blank, "--yes"][..], &[flag, blank, "--all", "--yes"]] {
                let arguments = match flag {
                    "--store" => [&["rerun"], flags].concat(),
                    _ => [&["rerun", "--store", store.path_str()], flags].concat(),
                };
                let output = bulk_rerun(&arguments);
                let said = text(&output.stderr);
                assert_eq!(output.status.code(), Some(2), "{flags:?}: {said}");
                let is_told = said.contains(flag) && said.contains("variable is not set");
                assert!(is_told || said.contains("cannot be used with"), "{flags:?}: {said}");
            }
        }
    }
    for flags in [
        ["--status", ","],
        ["--status", " , "],
        ["--except", "a1,,b1"],
        ["--ids", "a1, "],
        ["--ids", ","],
        ["--except-task", " "],
    ] {
        let output = rerun(&store, &[&flags[..], &["--yes"]].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {said}");
        assert!(said.contains(flags[0]) && said.contains("is blank"), "{flags:?}: {said}");
    }
    let comma = rerun(&store, &["--search", ",", "--yes", "--summary"]);
    assert_eq!(text(&comma.stdout), "0 new runs spawned\n", "it may be searched for");
    assert_eq!(bulk_rerun(&["serve", "--store", store.path_str(), "--token-file", ""]).status.code(), Some(2));
    assert_eq!(store.dump().len(), 5);
}

#[test]
fn a_variable_of_ours_that_is_blank_names_nothing() {
    let store = night();
    let mut no_store = command(&["rerun", "--all", "--dry-run"]);
    let output = no_store.env("BULK_RERUN_STORE", "").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("BULK_RERUN_STORE is blank"), "{}", text(&output.stderr));

    let mut others = command(&["rerun", "--all", "--dry-run"]);
    others.env("BULK_RERUN_STORE", store.path_str()).env("BULK_RERUN_PROFILE", "").env("BULK_RERUN_TASKS", "");
    assert_eq!(others.output().unwrap().status.code(), Some(0));
}

#[test]
fn without_a_terminal_it_needs_a_yes() {
    let store = night();
    let output = rerun(&store, &["--all"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("add --yes"));
    assert_eq!(store.dump().len(), 5);
}

/// What can't be meant, for one reason or another.
const WRONG: [&[&str]; 20] = [
    &["--exit-code", "5..2"],
    &["--exit-code", ".."],
    &["--since", "yesterday"],
    &["--since", "5000y", "--status", "failed"],
    &["--since", "1h", "--until", "2h"],
    &["--limit", "0", "--all"],
    &["--take", "0", "--all"],
    &["--except-task", "backup"],
    &["--ids", "a1", "--except-task", "backup"],
    &["--ids", "a1", "--status", "failed"],
    &["--ids", "a1", "--all"],
    &["--selector", "-", "--all"],
    &["--selector", "/no/such/file"],
    &["--unique-by", "tasks", "--all"],
    &["--busy-timeout", "soon", "--all"],
    &["--task"],
    &["--task", "lua", "--except", ""],
    &["--no-such-flag"],
    &["--all", "and", "more"],
    &[],
];

#[test]
fn bad_usage_is_exit_status_2_and_changes_nothing() {
    let store = night();
    for flags in WRONG {
        let output = rerun(&store, &[&["--yes"], flags].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert_eq!(text(&output.stdout), "", "{flags:?}");
        assert!(!output.stderr.is_empty(), "{flags:?}");
    }
    assert_eq!(store.dump().len(), 5);
}

#[test]
fn with_json_bad_usage_is_json_and_nothing_else() {
    let store = night();
    for flags in WRONG {
        let output = rerun(&store, &[&["--json", "--yes"], flags].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        let error: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{flags:?}: {error}: {}", text(&output.stdout)));
        assert!(matches!(error["status"].as_u64(), Some(400 | 422)), "{flags:?}: {error}");
        assert_eq!(text(&output.stderr), "", "{flags:?}");
    }
    for arguments in [&["rerun", "--json", "--all", "--yes"][..], &["check", "--json"], &["profiles", "--json", "--no"]]
    {
        let output = bulk_rerun(arguments);
        let error: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), &error["status"]), (Some(2), &400.into()), "{arguments:?}");
    }
    let output = rerun(&store, &["--since", "xyz", "--json"]);
    let error: Value = serde_json::from_slice(&output.stdout).unwrap();
    let detail = error["detail"].as_str().unwrap();
    assert!(detail.contains("xyz") && detail.contains("--since") && detail.contains("24h"), "{detail}");
    assert!(!detail.contains('\n') && !detail.contains("Usage"), "{detail}");
}

#[test]
fn blanks_around_an_id_are_not_meant() {
    let store = night();
    let output = rerun(&store, &["--ids", "a1, b1 ", "--dry-run", "--summary"]);
    assert_eq!(text(&output.stdout), "2 new runs would be spawned for the 2 runs selected\n");
    let output = rerun(&store, &["--status", "failed", "--except", " a1, a2", "--dry-run", "--summary"]);
    assert_eq!(text(&output.stdout), "0 new runs would be spawned for the 1 run selected; 1 skipped (1 service)\n");
}

#[test]
fn no_duration_is_too_long() {
    let store = night();
    for duration in ["30d", "1000y", "584542000000y"] {
        let output = rerun(&store, &["--all", "--dry-run", "--busy-timeout", duration]);
        assert!(matches!(output.status.code(), Some(0 | 2)), "{duration}: {}", text(&output.stderr));
        assert!(!text(&output.stderr).contains("panicked"), "{duration}: {}", text(&output.stderr));
    }
    assert_eq!(rerun(&store, &["--all", "--dry-run", "--busy-timeout", "30d"]).status.code(), Some(0));
}

#[test]
fn a_status_that_no_run_has_is_named() {
    let store = night();
    store.open().execute("UPDATE runs SET end_reason = 'eaten' WHERE id = 'd1'", []).unwrap();
    for (words, warning) in [
        ("faild", "no run here has the status faild; did you mean failed?"),
        ("Failed,timeout", "no run here has the status Failed; did you mean failed?"),
        ("purple", "no run here has the status purple\n"),
        ("eatn", "no run here has the status eatn; did you mean eaten?\n"),
        ("a\u{202e}b", "the status a\\u{202e}b\n"),
    ] {
        let output = rerun(&store, &["--status", words, "--yes", "--task", "backup", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{words}");
        assert!(text(&output.stderr).contains(warning), "{words}: {}", text(&output.stderr));
        assert!(serde_json::from_slice::<Value>(&output.stdout).is_ok());
    }
    // The contract's own words are known, and so are the store's.
    let output = rerun(&store, &["--status", "failed,running,missed,success,failure,eaten", "--dry-run"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

/// A task that was mistyped selects nothing, or is not left out.
#[test]
fn a_task_that_no_run_has_is_named() {
    let store = night();
    let tasks = store.path.with_file_name("tasks.toml");
    std::fs::write(&tasks, "[tasks.nightly-backup]\nrun = 'true'\n").unwrap();
    let tasks = tasks.to_str().unwrap();
    for (flags, warning) in [
        (&["--task", "bakup"][..], "warning: no run of `bakup`; did you mean `backup`?\n"),
        (&["--task", "purge"], "warning: no run of `purge`\n"),
        (&["--task", "a\u{202e}b"], "warning: no run of `a\\u{202e}b`\n"),
        (&["--all", "--except-task", "imports"], "warning: no run of `imports`; did you mean `import`?\n"),
        (&["--task", "nightly-bakup", "--tasks", tasks], "no run of `nightly-bakup`; did you mean `nightly-backup`?\n"),
        (&["--task", "nightly-backup", "--tasks", tasks], ""),
        (&["--task", "backup", "--except-task", "mail"], ""),
        (&["--task", "backup", "--status", "missed"], ""),
    ] {
        for command in ["rerun", "failures"] {
            let dry: &[&str] = if command == "rerun" { &["--dry-run"] } else { &[] };
            let output = bulk_rerun(&[&[command, "--store", store.path_str()], dry, flags].concat());
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{flags:?}: {said}");
            assert!(said.ends_with(warning) && said.lines().count() == warning.lines().count(), "{flags:?}: {said}");
        }
    }
}

/// Who has typed flags is told of flags; a selector's file and JSON keep the contract's words.
#[test]
fn what_is_wrong_is_said_of_the_flags() {
    let store = night();
    let wrong = ["--since", "1h", "--until", "2h", "--dry-run"];
    let said = text(&rerun(&store, &wrong).stderr);
    assert_eq!(said, "error: --since: it is later than --until, so no run can match\n");
    let json = text(&rerun(&store, &[&wrong[..], &["--json"]].concat()).stdout);
    assert!(json.contains("body.filter.created_after"), "{json}");
    let no_ledger = text(&rerun(&store, &["--all", "--yes", "--idempotency-key", "k"]).stderr);
    assert!(no_ledger.contains("--idempotency-key") && !no_ledger.contains("body."), "{no_ledger}");
    let file = store.path.with_file_name("selector.json");
    std::fs::write(&file, r#"{"match_all": true, "filter": {"created_after": "soon"}}"#).unwrap();
    let said = text(&rerun(&store, &["--selector", file.to_str().unwrap(), "--dry-run"]).stderr);
    assert!(said.contains("body.filter.created_after"), "{said}");
}

#[test]
fn help_tells_the_exit_statuses_and_no_secret() {
    for arguments in [&["--help"][..], &["rerun", "--help"]] {
        let help = text(&bulk_rerun(arguments).stdout);
        let common = ["0    done", "1    failed", "2    bad usage", "3    done", "6    done", "130  interrupted"];
        for status in common.into_iter().chain(["a new run has not succeeded", "the time is up"]) {
            assert!(help.contains(status), "{status:?} is not in\n{help}");
        }
    }
    for name in ["rerun", "check", "serve"] {
        for help in ["--help", "-h"] {
            let mut command = command(&[name, help]);
            let output = command.env("BULK_RERUN_STORE", "postgres://me:s3cret@db/jobs").output().unwrap();
            assert!(!text(&output.stdout).contains("s3cret"), "{name} {help}");
        }
    }
}
