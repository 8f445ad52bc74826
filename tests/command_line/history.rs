//! `history`, `show` and `undo`: what was re-run, by whom and why, where it stands, and how it is taken back.

use std::fs;
use std::process::Output;

use crate::support::Store;
use crate::support::calls::open;
use crate::support::tool::{at_a_terminal, bulk_rerun, command, night, plain, shell, text};
use serde_json::{Value, json};

/// A night with a ledger.
fn kept() -> Store {
    let store = night();
    open(&store.path).create_ledger().unwrap();
    store
}

/// Re-runs as ada, and answers the operation's id and the new runs'.
fn rerun(store: &Store, flags: &[&str]) -> (String, Vec<String>) {
    let arguments = [&["rerun", "--store", store.path_str(), "--yes", "--json"], flags].concat();
    let output = command(&arguments).env("USER", "ada").output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let runs = answer["triggered"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let runs = runs.iter().map(|run| run["run_id"].as_str().unwrap().to_owned()).collect();
    (answer["operation_id"].as_str().unwrap().to_owned(), runs)
}

fn tool(store: &Store, arguments: &[&str]) -> Output {
    bulk_rerun(&[arguments, &["--store", store.path_str()]].concat())
}

/// What it prints where it ends well.
#[track_caller]
fn printed(store: &Store, arguments: &[&str]) -> String {
    let output = tool(store, arguments);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A table's rows, each without its blanks.
fn rows(shown: &str) -> Vec<Vec<&str>> {
    let lines = shown.lines().skip_while(|line| !line.starts_with("  "));
    lines
        .take_while(|line| line.starts_with("  "))
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect()
}

fn execute(store: &Store, sql: &str) {
    store.open().execute_batch(sql).unwrap();
}

#[test]
fn history_lists_the_newest_first_and_says_how_to_go_on() {
    let store = kept();
    assert_eq!(printed(&store, &["history"]), "The ledger has no such re-run.\n");
    let (first, _) = rerun(&store, &["--ids", "a1,zz", "--reason", "the disk was full"]);
    let (second, _) = rerun(&store, &["--ids", "a1,b1"]);
    printed(&store, &["undo", &first, "--yes"]);

    let all = printed(&store, &["history"]);
    let table = rows(&all);
    assert_eq!(table[0], ["OPERATION", "WHEN", "WHO", "DOOR", "NEW RUNS", "SKIPPED", "UNDONE", "REASON"]);
    assert_eq!((table[1][0], &table[1][2..]), (&*second, &["ada", "cli", "2", "0"][..]), "{all}");
    assert_eq!((table[2][0], &table[2][2..6]), (&*first, &["ada", "cli", "1", "1"][..]), "{all}");
    assert!(table[2][6].starts_with("20") && table[2][7] == "the disk was full", "{all}");
    assert!(table.len() == 3 && !all.contains("--before"), "{all}");

    let page = printed(&store, &["history", "--limit", "1"]);
    assert_eq!((rows(&page).len(), rows(&page)[1][0]), (2, &*second));
    assert!(page.ends_with(&format!("There are more; to go on: --before {second}\n")), "{page}");
    let page = printed(&store, &["history", "--limit", "1", "--before", &second]);
    assert_eq!((rows(&page).len(), rows(&page)[1][0]), (2, &*first));
    assert!(!page.contains("There are more"), "{page}");

    assert_eq!(rows(&printed(&store, &["history", "--since", "1h"])).len(), 3);
    assert_eq!(rows(&printed(&store, &["history", "--since", "2026-04-15T02:00:00Z"])).len(), 3);
    execute(&store, "UPDATE bulk_rerun_operations SET created_at = '2026-04-15T02:00:00.000Z'");
    assert_eq!(printed(&store, &["history", "--since", "1h"]), "The ledger has no such re-run.\n");

    let json: Value = serde_json::from_str(&printed(&store, &["history", "--json", "--limit", "1"])).unwrap();
    assert_eq!(json["operations"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&json["operations"][0]["operation_id"], &json["operations"][0]["actor"]),
        (&json!(second), &json!("ada"))
    );
}

#[test]
fn from_a_run_to_what_made_it_and_to_what_re_ran_it() {
    let store = kept();
    let (first, runs) = rerun(&store, &["--ids", "a1"]);
    execute(&store, "UPDATE runs SET status = 'ended', end_reason = 'failed' WHERE status = 'pending'");
    let (second, again) = rerun(&store, &["--ids", &runs[0]]);
    rerun(&store, &["--ids", "b1"]);
    let shown = printed(&store, &["history", "--run", &runs[0]]);
    let table = rows(&shown);
    assert_eq!(table[1][..3], [&*second, "was re-run as", &*again[0]], "{shown}");
    assert_eq!(table[2][..3], [&*first, "is a re-run of", "a1"], "{shown}");
    assert_eq!(table.len(), 3, "{shown}");
    assert_eq!(printed(&store, &["history", "--run", "zz"]), "The ledger has no such re-run.\n");
}

#[test]
fn show_tells_what_who_when_why_and_where_the_new_runs_stand() {
    let store = kept();
    let (id, runs) =
        rerun(&store, &["--ids", "a1,b1,zz", "--reason", "the disk\u{1b}[31m was full", "--idempotency-key", "k"]);
    execute(
        &store,
        &format!("UPDATE runs SET status = 'ended', end_reason = 'failed', exit_code = 3 WHERE id = '{}'", runs[1]),
    );
    let shown = printed(&store, &["show", &id]);
    let request = r#"request    {"ids":["a1","b1","zz"],"options":{"unique_by":"task"}}"#;
    for line in [
        &*format!("operation  {id}"),
        "who        ada, through cli",
        r"why        the disk\u{1b}[31m was full",
        "key        k",
        request,
        "new runs   2: 1 failed, 1 pending",
        "skipped    1",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line:?} is not in\n{shown}");
    }
    assert!(!shown.contains("undone"), "{shown}");
    let table = rows(&shown);
    assert_eq!(table[0], ["TASK", "NEW RUN", "NOW", "RE-RUN OF"]);
    assert_eq!(table[1], ["backup", &*runs[0], "pending", "a1"]);
    assert_eq!(table[2], ["import", &*runs[1], "failed (3)", "b1"]);

    let json = printed(&store, &["show", &id, "--json"]);
    let query = json!({"operation_id": id}).to_string();
    assert_eq!(json.trim_end(), open(&store.path).call_operations(query.as_bytes()).unwrap());
    let (none, _) = rerun(&store, &["--ids", "zz"]);
    assert!(printed(&store, &["show", &none]).contains("new runs   none\n"));
}

#[test]
fn what_is_not_there_is_told() {
    for command in [&["show", "01ABC"][..], &["undo", "01ABC", "--yes"], &["history", "--before", "01ABC"]] {
        let output = tool(&kept(), command);
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(text(&output.stderr).contains("the ledger has no operation \"01ABC\""), "{}", text(&output.stderr));
        let output = tool(&night(), &[command, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(text(&output.stdout).contains("the store has no ledger"), "{}", text(&output.stdout));
    }
    for command in [&["show", ""][..], &["undo", "", "--yes"], &["history", "--run", " "], &["history", "--limit", "0"]]
    {
        assert_eq!(tool(&kept(), command).status.code(), Some(2), "{command:?}");
    }
}

#[test]
fn undo_takes_back_what_is_pending_and_lists_what_is_kept() {
    let store = kept();
    let (id, runs) = rerun(&store, &["--ids", "a1,b1"]);
    execute(&store, &format!("UPDATE runs SET status = 'running' WHERE id = '{}'", runs[0]));
    let undone = printed(&store, &["undo", &id, "--yes"]);
    assert!(
        undone.starts_with("1 new run taken back\n\n1 kept, since a worker has begun it, or it is over\n"),
        "{undone}"
    );
    assert_eq!(rows(&undone)[1], ["backup", &*runs[0], "running"]);
    let again = printed(&store, &["undo", &id, "--yes", "--json"]);
    let kept = json!([{"task_name": "backup", "run_id": runs[0], "phase": "running"}]);
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), json!({"undone": [], "kept": kept}));
    assert!(printed(&store, &["undo", &id, "--yes"]).starts_with("Nothing was taken back.\n"));
    let shown = printed(&store, &["show", &id]);
    assert!(shown.contains("new runs   2: 1 running, 1 undone") && shown.contains("\nundone     20"), "{shown}");
}

#[test]
fn without_a_terminal_undo_needs_a_yes() {
    let store = kept();
    let (id, _) = rerun(&store, &["--ids", "a1"]);
    let output = tool(&store, &["undo", &id]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no terminal to ask on: add --yes"), "{}", text(&output.stderr));
    assert!(printed(&store, &["show", &id]).contains("1 pending"));
}

#[test]
fn at_a_terminal_undo_shows_what_it_would_take_back_and_asks() {
    let store = kept();
    let (id, runs) = rerun(&store, &["--ids", "a1,b1"]);
    let undo = |flags: &str, keys: &str| {
        let (status, shown) =
            at_a_terminal(100, &format!("bulk-rerun undo {id} --store '{}' {flags}", store.path_str()), keys);
        (status, plain(&shown))
    };
    for (keys, expected, said) in
        [("n\n", 1, "Nothing was changed."), ("\u{3}", 130, "interrupted; nothing was changed")]
    {
        let (status, shown) = undo("", keys);
        assert_eq!(status, Some(expected), "{shown}");
        assert!(shown.contains("2 new runs would be taken back") && shown.contains("Take 2 new runs back?"), "{shown}");
        assert!(runs.iter().all(|run| shown.contains(run)) && shown.contains(said), "{shown}");
        assert!(printed(&store, &["show", &id]).contains("2 pending"));
    }
    // The question is seen wherever the result goes.
    let file = store.path.with_file_name("result");
    let (status, shown) = undo(&format!("--json > '{}'", file.display()), "y\n");
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("Take 2 new runs back?"), "{shown}");
    let result: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(result["undone"].as_array().unwrap().len(), 2);

    let (status, shown) = undo("", "");
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("Nothing to take back") && !shown.contains("[y/N]"), "{shown}");
    let (_, shown) = undo("--json", "");
    assert!(shown.ends_with("{\"undone\":[],\"kept\":[]}\n"), "{shown}");
}

#[test]
fn what_is_undone_and_can_not_be_told_is_exit_status_6() {
    let store = kept();
    let (id, _) = rerun(&store, &["--ids", "a1"]);
    let line = format!("bulk-rerun undo {id} --yes --store '{}' > /dev/full", store.path_str());
    let output = shell(&line).output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    assert!(text(&output.stderr).contains("what was pending is taken back"), "{}", text(&output.stderr));
    assert!(printed(&store, &["show", &id]).contains("1 undone"));
}

#[test]
fn a_re_run_names_its_operation() {
    let store = kept();
    let output = tool(&store, &["rerun", "--ids", "a1", "--yes"]);
    let said = text(&output.stdout);
    let id = said.strip_prefix("1 new run spawned (operation ").and_then(|rest| rest.split(')').next()).unwrap();
    assert!(printed(&store, &["show", id]).contains("1 pending"), "{said}");
}

/// On a terminal the list is as long as was asked for, and as wide as there is room for.
#[test]
fn a_terminal_shows_all_that_was_asked_for() {
    let store = kept();
    rerun(&store, &["--ids", "a1", "--reason", &"why ".repeat(60)]);
    let more = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
                INSERT INTO bulk_rerun_operations (operation_id, created_at, door, request, request_digest, triggered, skipped,
                                                   skipped_list, profile)
                SELECT '01M' || i, created_at, door, request, request_digest, 0, 0, '[]', profile
                FROM bulk_rerun_operations, n";
    execute(&store, more);
    let line = format!("bulk-rerun history --limit 100 --store '{}'", store.path_str());
    let (status, shown) = at_a_terminal(90, &line, "");
    let shown = plain(&shown);
    assert_eq!(status, Some(0), "{shown}");
    assert_eq!(shown.matches("\n  01M").count(), 61, "{shown}");
    assert!(shown.lines().filter(|line| line.starts_with("  01M")).all(|line| line.chars().count() <= 90), "{shown}");
    assert!(shown.contains("--wide shows all of it"), "{shown}");
}
