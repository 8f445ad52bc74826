//! What was typed and can't be meant: it is told, with exit status 2, and changes nothing.

mod support;

use serde_json::Value;
use support::tool::{at_a_terminal, bulk_rerun, command, night, plain, rerun, shell, text};

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
    for (words, warning) in [
        ("faild", "no run here has the status faild; did you mean failed?"),
        ("Failed,timeout", "no run here has the status Failed; did you mean failed?"),
        ("purple", "no run here has the status purple\n"),
        ("a\u{202e}b", "the status a\\u{202e}b\n"),
    ] {
        let output = rerun(&store, &["--status", words, "--yes", "--task", "backup", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{words}");
        assert!(text(&output.stderr).contains(warning), "{words}: {}", text(&output.stderr));
        assert!(serde_json::from_slice::<Value>(&output.stdout).is_ok());
    }
    // The contract's own words are known, and so are the store's.
    store.open().execute("UPDATE runs SET end_reason = 'eaten' WHERE id = 'd1'", []).unwrap();
    let output = rerun(&store, &["--status", "failed,running,missed,success,failure,eaten", "--dry-run"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

const COMMANDS: [&[&str]; 10] =
    [&[], &["rerun"], &["check"], &["profiles"], &["serve"], &["lua"], &["history"], &["show"], &["undo"], &["wait"]];

/// The examples of a command's help, on a terminal of this width.
fn examples(command: &[&str], columns: usize) -> String {
    let (_, help) = at_a_terminal(columns, &format!("bulk-rerun {} --help", command.join(" ")), "");
    let help = plain(&help);
    help[help.find("Examples:").unwrap_or_else(|| panic!("{command:?}"))..].to_owned()
}

#[test]
fn examples_can_be_copied_from_a_terminal_of_80_columns() {
    for command in COMMANDS {
        let shown = examples(command, 80);
        assert_eq!(shown, examples(command, 200), "{command:?}");
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }
    // As they stand they are commands: of a folder with such a store, and without a terminal to ask on.
    let store = night();
    let folder = store.path.parent().unwrap().display();
    let (shown, _) =
        examples(&["rerun"], 80).split_once("Exit status").map(|(shown, _)| (shown.to_owned(), ())).unwrap();
    for example in shown.trim_start_matches("Examples:").split("\n\n").filter(|example| !example.trim().is_empty()) {
        let output = shell(&format!("cd '{folder}'\n{example}")).output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(0) || said.contains("no terminal to ask on"), "{example}\n{said}");
    }
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
