//! Where a server's page is known, a plan is told with the link that opens it there.

use crate::support::tool::{at_a_terminal, bulk_rerun, command, night, plain, text};

const PAGE: &str = "https://ops.example.com/night/";

/// The fragment of the link that is told, as names and texts; or what is told in its place.
fn link(arguments: &[&str]) -> Result<Vec<(String, String)>, String> {
    let store = night();
    let (name, flags) = arguments.split_first().unwrap();
    let output = command(&[&[*name, "--store", store.path_str()], flags].concat())
        .env("BULK_RERUN_PAGE", PAGE)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    let told = out.lines().find_map(|line| line.strip_prefix("See it at ")).ok_or(out.clone())?;
    let fragment = told.strip_prefix(PAGE).and_then(|rest| rest.strip_prefix('#')).unwrap_or_else(|| panic!("{told}"));
    let pair = |pair: &str| {
        let (name, text) = pair.split_once('=').unwrap();
        (name.to_owned(), text.to_owned())
    };
    Ok(fragment.split('&').map(pair).collect())
}

#[track_caller]
fn has(arguments: &[&str], expected: &[(&str, &str)]) {
    let told = link(arguments).unwrap();
    for (name, text) in expected {
        assert!(told.contains(&((*name).to_owned(), (*text).to_owned())), "{name}={text} is not in {told:?}");
    }
}

#[test]
fn a_plan_is_told_with_its_link() {
    has(
        &["rerun", "--dry-run", "--status", "failed,timeout", "--task", "a&b c", "--until", "2026-04-15T02:00:00Z"],
        &[
            ("mode", "filter"),
            ("status", "failed%2C+timeout"),
            ("task_name", "a%26b+c"),
            ("created_before", "2026-04-15T02%3A00%3A00.999Z"),
            ("skip_superseded", "0"),
            ("skip_active", "0"),
            ("unique_by", "task"),
        ],
    );
    has(
        &["rerun", "-n", "--ids", "a1,b1", "--unique-by", "run", "--skip-active", "--limit", "7"],
        &[("mode", "ids"), ("ids", "a1%2Cb1"), ("unique_by", "run"), ("skip_active", "1"), ("limit", "7")],
    );
    has(&["rerun", "-n", "--all", "--except", "a1", "--retries-only"], &[("except_ids", "a1"), ("retries_only", "1")]);
    has(&["failures", "--all"], &[("status", "failure")]);
    let without =
        ["rerun", "-n", "--all", "--except-task", "sync it", "--except-task", "mail", "--except-group", "backup", "a1"];
    has(&without, &[("except_tasks", "mail%0Async+it"), ("except_group", "%5B%22backup%22%2C%22a1%22%5D")]);
}

#[test]
fn what_the_page_can_not_say_is_told() {
    let out = link(&["rerun", "-n", "--all", "--except-task", "mail\nsync"]).unwrap_err();
    assert!(
        out.contains(
            "The page has no --except-task with a name of several lines, or with a blank at an end, so there is no link to it.\n"
        ),
        "{out}"
    );
    let store = night();
    let flags = ["rerun", "--store", store.path_str(), "-n", "--all", "--take", "1", "--page", PAGE];
    let out = text(&bulk_rerun(&flags).stdout);
    assert!(out.contains("#mode=filter&"), "{out}");
    assert!(out.ends_with("The page has no --take: it shows, and re-runs, what there is without.\n"), "{out}");
}

#[test]
fn it_is_seen_before_the_question_and_nowhere_else() {
    let store = night();
    let line = format!("bulk-rerun rerun --store '{}' --status failed --page {PAGE}", store.path_str());
    let (_, shown) = at_a_terminal(200, &line, "n\n");
    let shown = plain(&shown);
    let [link, question] = ["See it at https://", "Spawn 1 new run?"].map(|words| shown.find(words));
    assert!(link.is_some() && link < question, "{shown}");
    for flags in [
        &["--yes", "--page", PAGE][..],
        &["-n", "--json", "--page", PAGE],
        &["-n", "--summary", "--page", PAGE],
        &["-n"],
    ] {
        let output = bulk_rerun(&[&["rerun", "--store", store.path_str(), "--status", "failed"], flags].concat());
        assert!(!text(&output.stdout).contains("See it at"), "{flags:?}: {}", text(&output.stdout));
    }
    let output = bulk_rerun(&["rerun", "--store", store.path_str(), "--all", "-n", "--page", "ops.example.com"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let mut blank = command(&["rerun", "--store", store.path_str(), "--all", "-n"]);
    assert_eq!(blank.env("BULK_RERUN_PAGE", "").output().unwrap().status.code(), Some(0));
}
