//! The command line as a person or a script meets it.

use std::path::Path;

use crate::support;
use crate::support::Store;
use crate::support::tool::{BINARY, bulk_rerun, night, shell, text};
use serde_json::{Value, json};

/// Task and source run of what a dry run with these flags would spawn.
fn planned(store: &Store, flags: &[&str]) -> Vec<(String, String)> {
    let mut arguments = vec!["rerun", "--store", store.path_str(), "--dry-run", "--json"];
    arguments.extend(flags);
    let output = bulk_rerun(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let field = |plan: &Value, name: &str| plan[name].as_str().unwrap().to_owned();
    answer["planned"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plan| (field(plan, "task_name"), field(plan, "rerun_of")))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(task, run)| ((*task).to_owned(), (*run).to_owned())).collect()
}

#[test]
fn each_flag_is_its_field() {
    let store = night();
    for (flags, expected) in [
        (&["--status", "timeout"][..], &[("import", "b1")][..]),
        (&["--task", "mail"], &[("mail", "d1")]),
        (&["--search", "ACK"], &[("backup", "a2")]),
        (&["--triggered-by", "cron", "--status", "success"], &[("mail", "d1")]),
        (&["--since", "2026-04-15T02:00:00Z", "--status", "failed"], &[("backup", "a2")]),
        (&["--until", "2026-04-15T01:30:00Z"], &[("backup", "a1")]),
        (&["--since", "1h"], &[]),
        (&["--exit-code", "137"], &[("backup", "a2")]),
        (&["--exit-code", "2.."], &[("backup", "a2")]),
        (&["--exit-code", "-2..-1"], &[]),
        (&["--exit-code", "..1", "--task", "backup"], &[("backup", "a1")]),
        (&["--retries-only"], &[]),
        (&["--status", "failed", "--except", "a2,zz"], &[("backup", "a1")]),
        (&["--all", "--except-task", "backup", "--except-task", "zz, import"], &[("import", "b1"), ("mail", "d1")]),
        (&["--all", "--take", "2"], &[("backup", "a2"), ("import", "b1")]),
        (&["--ids", "a1,b1"], &[("backup", "a1"), ("import", "b1")]),
        (&["--all"], &[("backup", "a2"), ("import", "b1"), ("mail", "d1")]),
        (&["--task", "backup", "--unique-by", "run"], &[("backup", "a1"), ("backup", "a2")]),
    ] {
        assert_eq!(planned(&store, flags), pairs(expected), "{flags:?}");
    }
}

#[test]
fn people_see_the_plan_the_reasons_and_the_new_runs() {
    let store = night();
    let dry = bulk_rerun(&["rerun", "--store", store.path_str(), "--status", "failed,timeout", "--dry-run"]);
    let dry = text(&dry.stdout);
    for words in
        ["2 new runs would be spawned", "for the 4 runs selected", "failed (137)", "1 skipped", "service", "sha256:"]
    {
        assert!(dry.contains(words), "{words:?} is not in\n{dry}");
    }
    assert!(!dry.contains('\u{1b}'), "no colour where there is no terminal");
    assert_eq!(store.dump().len(), 5);

    let digest = dry.lines().find_map(|line| line.trim().strip_prefix("--expect-plan ")).unwrap();
    let arguments =
        ["rerun", "--store", store.path_str(), "--status", "failed,timeout", "--yes", "--expect-plan", digest];
    let done = text(&bulk_rerun(&arguments).stdout);
    assert!(done.contains("2 new runs spawned"), "{done}");
    assert!(done.contains("a re-run starts when RunWisp is started next"), "{done}");
    assert_eq!(store.dump().len(), 7);
}

#[test]
fn a_changed_plan_is_exit_status_1() {
    let store = night();
    let output = bulk_rerun(&["rerun", "--store", store.path_str(), "--all", "--yes", "--expect-plan", "sha256:00"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the plan is no longer the expected one"));
    assert_eq!(store.dump().len(), 5);
}

#[test]
fn what_the_host_refuses_is_exit_status_3() {
    let store = night();
    store
        .open()
        .execute_batch(
            "CREATE TRIGGER closed BEFORE INSERT ON runs WHEN new.task_name = 'import'
             BEGIN SELECT RAISE(ABORT, 'imports are closed'); END",
        )
        .unwrap();
    let output = bulk_rerun(&["rerun", "--store", store.path_str(), "--status", "failed,timeout", "--yes"]);
    assert_eq!(output.status.code(), Some(3));
    let out = text(&output.stdout);
    assert!(out.contains("1 new run spawned") && out.contains("imports are closed"), "{out}");
    assert_eq!(store.dump().len(), 6);
}

#[test]
fn check_tells_what_there_is_and_who_has_it_open() {
    let store = night();
    store.open().execute("UPDATE runs SET created_at = 'long ago' WHERE id = 'a1'", []).unwrap();
    let checked = text(&bulk_rerun(&["check", "--store", store.path_str()]).stdout);
    for words in [
        "RunWisp, schema version 8",
        "5 runs of 4 tasks",
        "1 run with a time that can't be read",
        "no process that can be seen",
        "runner     is not seen",
    ] {
        assert!(checked.contains(words), "{words:?} is not in\n{checked}");
    }
    // This test's own process is the runner now.
    let _open = store.open();
    let running = text(&bulk_rerun(&["check", "--store", store.path_str()]).stdout);
    assert!(running.contains(&format!("(pid {})", std::process::id())), "{running}");
    assert!(running.contains("at its next restart"), "{running}");

    let json = bulk_rerun(&["check", "--json", "--store", store.path_str()]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["runs"]["runs"], 5);
    assert_eq!(json["store"]["profile"], "runwisp");
}

#[test]
fn profiles_lists_and_prints_the_built_in_ones() {
    let list = text(&bulk_rerun(&["profiles"]).stdout);
    for words in [
        "runwisp",
        "with or without params_json",
        "2 generations",
        "django-tasks-db",
        "Django tasks",
        "apalis-sqlite 1.0",
    ] {
        assert!(list.contains(words), "{words:?} is not in\n{list}");
    }
    let line = |name: &str| list.lines().find(|line| line.contains(name)).unwrap_or_default();
    assert!(line("  pg-boss").contains("its worker") && line("  good-job").contains("its schema only"), "{list}");
    assert!(list.ends_with(
        "\nIts schema only: written for the runner's schema, and tried on that; never with its own worker.\n"
    ));
    let profiles: Value = serde_json::from_slice(&bulk_rerun(&["profiles", "--json"]).stdout).unwrap();
    let que = json!({"name": "que", "runner": "Que", "engine": "postgres", "tried_with": "schema"});
    assert!(profiles.as_array().unwrap().contains(&que), "{profiles}");
    let file = text(&bulk_rerun(&["profiles", "runwisp"]).stdout);
    assert!(file.contains("[[generation]]") && file.contains("spawn = '''"), "{file}");
    assert_eq!(bulk_rerun(&["profiles", "nope"]).status.code(), Some(2));
}

#[test]
fn the_printed_profile_works_as_a_file_of_ones_own() {
    let store = night();
    let file = store.path.with_file_name("mine.toml");
    std::fs::write(&file, bulk_rerun(&["profiles", "runwisp"]).stdout).unwrap();
    let file = file.to_str().unwrap();
    let output = bulk_rerun(&["rerun", "--store", store.path_str(), "--profile", file, "--ids", "a1", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(store.dump().len(), 6);
}

/// The runs of a demo's folder.
fn rows(folder: &Path) -> usize {
    support::dump(&folder.join("runwisp.db")).len()
}

#[test]
fn the_demo_tells_its_story_and_a_second_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let first = bulk_rerun(&["demo", path]);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    let first = text(&first.stdout);
    for words in ["What failed", "new runs would be spawned", "1 new run spawned", "pending", "Try next"] {
        assert!(first.contains(words), "{words:?} is not in\n{first}");
    }
    for reason in ["service", "unknown_task", "trigger_disabled", "active", "superseded"] {
        assert!(first.contains(reason), "{reason:?} is not in\n{first}");
    }
    let last = first.lines().last().unwrap().trim_start();
    assert!(
        last.starts_with(&format!("{BINARY} serve --store {path}/runwisp.db --tasks {path}/runwisp.toml")),
        "{last}"
    );
    assert!(first.contains("open http://127.0.0.1:9477/"), "{first}");
    let left = |story: &str| -> u32 {
        let line = story.lines().find(|line| line.contains("would be spawned")).unwrap();
        line.split(' ').next().unwrap().parse().unwrap()
    };
    assert!(left(&first) > 1, "{first}");
    let runs = rows(folder.path());
    for again in 1..left(&first) {
        let story = text(&bulk_rerun(&["demo", path]).stdout);
        assert!(story.contains("goes on with it"), "{story}");
        assert_eq!((left(&story), rows(folder.path())), (left(&first) - again, runs + again as usize), "nothing twice");
    }
    let done = text(&bulk_rerun(&["demo", path]).stdout);
    assert!(done.contains("nothing left to re-run"), "{done}");
    assert_eq!(rows(folder.path()), runs + left(&first) as usize - 1, "nothing twice");
}

#[test]
fn the_demo_keeps_its_hands_off_a_store_that_it_did_not_make() {
    let store = night();
    let folder = store.path.parent().unwrap();
    let output = bulk_rerun(&["demo", folder.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("was not made by a demo"));
    assert_eq!(store.dump().len(), 5);
    assert!(!folder.join("runwisp.toml").exists());
}

#[test]
fn an_interrupted_demo_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bulk-rerun-demo.json"), "").unwrap();
    std::fs::write(folder.path().join("runwisp.db"), "half a st").unwrap();
    let output = bulk_rerun(&["demo", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(rows(folder.path()) > 1_000);
}

#[test]
fn the_demo_shows_commands_that_can_be_typed() {
    let folder = tempfile::tempdir().unwrap();
    let name = "my demo; it's (mine)";
    let line = format!("cd '{}' && bulk-rerun demo \"{name}\"", folder.path().display());
    let story = text(&shell(&line).output().unwrap().stdout);
    let typed = story.lines().find(|line| line.contains("check --store")).unwrap();
    let line = format!("cd '{}' && {typed}", folder.path().display());
    let checked = shell(&line).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{typed}: {}", text(&checked.stderr));
    assert!(text(&checked.stdout).contains(name), "{}", text(&checked.stdout));
}
