//! `bulk-rerun failures`: the first thing that somebody types at night.

mod support;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use support::tool::{at_a_terminal, bulk_rerun, plain, text};
use support::{Row, Store};

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Four failures within two hours, one of them a service's, one that was long ago, and a success; and when the first was.
fn last_night() -> (Store, DateTime<Utc>) {
    let first = Utc::now() - TimeDelta::hours(5);
    let at = |minutes: i64| written(first + TimeDelta::minutes(minutes));
    let with = |params: &'static str| move |row: &mut Row| row.params_json = Some(params.to_owned());
    let store = Store::new().holding(&[
        Row::failed("a1", "import", &at(0)).with(with("{\"n\":1}")),
        Row::failed("a2", "import", &at(60)).with(with("{\"n\":2}")),
        Row::failed("b1", "web", &at(120)).with(|row| {
            row.triggered_by = "service".to_owned();
            row.end_reason = Some("crashed".to_owned());
            row.exit_code = -2;
        }),
        Row::failed("c1", "backup", &at(60)),
        Row::failed("c0", "backup", &written(first - TimeDelta::days(30))),
        Row::failed("d1", "report", &at(60)).with(|row| {
            row.end_reason = Some("success".to_owned());
            (row.exit_code, row.is_failure) = (0, 0);
        }),
    ]);
    (store, first)
}

fn failures(store: &Store, flags: &[&str]) -> (Option<i32>, String, String) {
    let output = bulk_rerun(&[&["failures", "--store", store.path_str()], flags].concat());
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn it_tells_what_failed_from_when_to_when() {
    let (store, first) = last_night();
    let before = store.dump();
    let (status, out, err) = failures(&store, &[]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    let end = written(first + TimeDelta::hours(2));
    let head = format!("4 failures of 3 tasks, from {} to {end}\n", written(first));
    assert!(out.starts_with(&head), "{out}");
    let rows: Vec<Vec<&str>> = out
        .lines()
        .skip_while(|line| !line.contains("TASK"))
        .skip(1)
        .take(3)
        .map(|line| line.split_whitespace().collect())
        .collect();
    let (from, hour) = (written(first), written(first + TimeDelta::hours(1)));
    assert_eq!(rows[0], ["import", "2", &from, &hour, "failed", "(1)", "a2", "2", "sets"], "the fullest first: {out}");
    assert_eq!(rows[1], ["backup", "1", &hour, &hour, "failed", "(1)", "c1", "1", "set"], "{out}");
    assert_eq!(rows[2], ["web", "1", &end, &end, "crashed", "(-2)", "b1", "1", "set"], "{out}");
    let go_on = format!("bulk-rerun rerun --dry-run --is-failure --since 24h --store {}\n", store.path_str());
    assert!(out.contains(&go_on), "{out}");
    assert_eq!(store.dump(), before);
}

/// Each bar is as high as its runs are many; where there are none there is none.
#[test]
fn the_bars_are_the_runs_over_time() {
    let (store, _) = last_night();
    let (_, out, _) = failures(&store, &[]);
    let bars: Vec<char> = out.lines().nth(2).unwrap().chars().skip(2).collect();
    assert_eq!(bars.len(), 60, "{out}");
    let seen: Vec<(usize, char)> = bars.iter().copied().enumerate().filter(|(_, bar)| *bar != ' ').collect();
    assert_eq!(seen, [(0, '▄'), (29, '█'), (59, '▄')], "two at once, and one at either end: {out}");
    assert!(out.contains("2m 1s a bar, 2 runs in the highest"), "{out}");
}

#[test]
fn what_the_flags_say_goes_before_what_is_assumed() {
    let (store, _) = last_night();
    for (flags, head) in [
        (&["--all"][..], "5 failures of 3 tasks"),
        (&["--since", "90d", "--task", "backup"], "2 failures of 1 task"),
        (&["--status", "success"], "1 run of 1 task"),
        (&["--exit-code=-2"], "1 run of 1 task"),
        (&["--ids", "c0,c1"], "2 runs of 1 task"),
        (&["--except-task", "import"], "2 failures of 2 tasks"),
    ] {
        let (status, out, err) = failures(&store, flags);
        assert!(status == Some(0) && out.starts_with(head), "{flags:?}: {out}{err}");
    }
    let (status, out, _) = failures(&store, &["--task", "purge"]);
    assert_eq!(status, Some(0));
    assert!(out.contains("No failures in the last 24h.") && out.contains("--since 7d looks further back"), "{out}");
    let (_, out, err) = failures(&store, &["--status", "faild"]);
    assert!(out.contains("No runs in the last 24h.") && err.contains("did you mean failed?"), "{out}{err}");
    let (status, _, err) = failures(&store, &["--task", ""]);
    assert!(status == Some(2) && err.contains("--task"), "{err}");
}

#[test]
fn as_json_it_is_a_dry_runs_answer() {
    let (store, first) = last_night();
    let (status, out, _) = failures(&store, &["--json"]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &answer["matched"], &answer["triggered"]), (Some(0), &json!(4), &json!([])));
    assert_eq!(answer["times"]["from"], json!(written(first)));
    let buckets = answer["times"]["buckets"].as_array().unwrap();
    assert_eq!((buckets.len(), &buckets[0], &buckets[23]), (24, &json!({"failed": 1}), &json!({"crashed": 1})));
    assert_eq!((&answer["skipped"][0]["reason"], &answer["skipped"][0]["matched"]), (&json!("service"), &json!(1)));
}

#[test]
fn on_a_terminal_it_fits() {
    let (store, _) = last_night();
    let (status, shown) = at_a_terminal(80, &format!("bulk-rerun failures --store '{}'", store.path_str()), "");
    let shown = plain(&shown);
    assert_eq!(status, Some(0), "{shown}");
    let table = shown.lines().skip_while(|line| !line.contains("TASK")).take(4);
    let wide: Vec<&str> = table.filter(|line| line.trim_end().chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:?}");
    let bars = shown.lines().find(|line| line.contains('█')).unwrap();
    assert!(bars.trim_end().chars().count() <= 80, "{bars:?}");
}

/// What is shown for typing is never a server's password.
#[test]
fn the_command_to_go_on_with_has_no_secret() {
    let (store, _) = last_night();
    let output = bulk_rerun(&["failures", "--store", store.path_str(), "--search", "x://password", "--all"]);
    assert_eq!(output.status.code(), Some(0));
    let found = bulk_rerun(&["failures", "--store", store.path_str(), "--except", "x://u:secret@h", "--all"]);
    let out = text(&found.stdout);
    assert!(out.contains("rerun --dry-run") && !out.contains("secret"), "{out}");
}

/// A plan by task that leaves out most of what failed says so.
#[test]
fn a_plan_says_which_parameters_it_would_not_run() {
    let (store, _) = last_night();
    let plan = |flags: &[&str]| {
        let output = bulk_rerun(&[&["rerun", "--store", store.path_str(), "--dry-run", "--all"], flags].concat());
        text(&output.stdout)
    };
    let by_task = plan(&[]);
    let row = by_task.lines().find(|line| line.contains("import")).unwrap();
    assert!(row.ends_with("1 of 2 sets"), "{by_task}");
    assert!(by_task.contains("1 task's runs have several sets of parameters"), "{by_task}");
    assert!(!plan(&["--unique-by", "params"]).contains("several sets"));
    assert!(!plan(&["--except", "a1"]).contains("several sets"));
}

/// Words that name no group change nothing, and those that do are told.
#[test]
fn a_line_of_the_plan_can_be_left_out() {
    let (store, _) = last_night();
    let flags = ["--all", "--yes", "--except-group", "import", "a2", "--except-group", "backup", "zz"];
    let output = bulk_rerun(&[&["rerun", "--store", store.path_str()][..], &flags].concat());
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}");
    assert!(out.contains("left_out") && out.contains("left out with --except-group"), "{out}");
    assert!(out.contains("2 new runs spawned"), "{out}");
    let half = bulk_rerun(&["rerun", "--store", store.path_str(), "--all", "--yes", "--except-group", "import"]);
    assert_eq!(half.status.code(), Some(2), "{}", text(&half.stderr));
}
