//! `bulk-rerun failures`: the first thing that somebody types at night.

use crate::support::tool::{at_a_terminal, bulk_rerun, plain, text};
use crate::support::{Row, Store};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

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
    assert_eq!(rows[0], ["import", "2", &from, &hour, "2", "sets", "failed", "(1)", "a2"], "the fullest first: {out}");
    assert_eq!(rows[1], ["backup", "1", &hour, &hour, "1", "set", "failed", "(1)", "c1"], "{out}");
    assert_eq!(rows[2], ["web", "1", &end, &end, "1", "set", "crashed", "(-2)", "b1"], "{out}");
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
    for columns in [60, 80, 120] {
        let line = format!("bulk-rerun failures --store '{}'", store.path_str());
        let (status, shown) = at_a_terminal(columns, &line, "");
        let shown = plain(&shown);
        assert_eq!(status, Some(0), "{shown}");
        let table = shown.lines().skip_while(|line| !line.contains('█')).take_while(|line| !line.contains("Nothing"));
        let wide: Vec<&str> = table.filter(|line| line.trim_end().chars().count() > columns).collect();
        assert!(wide.is_empty(), "{wide:?}");
        assert!(shown.contains("import") && shown.contains("2 sets"), "{shown}");
    }
}

/// What is shown for typing is never a server's password, and else it is what was typed.
#[test]
fn the_command_to_go_on_with_has_no_secret() {
    let (store, _) = last_night();
    let go_on = |flag: &str| {
        let output = bulk_rerun(&["failures", "--store", store.path_str(), "--all", flag]);
        let out = text(&output.stdout);
        out.lines().find(|line| line.contains("rerun --dry-run")).unwrap_or_else(|| panic!("{out}")).to_owned()
    };
    for secret in [
        "x://u:secret@h/d",
        "x://h?password=secret",
        "x://u:se@cret@h",
        "host=db password=secret",
        "host=db Password = secret",
    ] {
        let shown = go_on(&format!("--except={secret}"));
        assert!(shown.ends_with("--all --except=STORE") && !shown.contains("cret"), "{shown}");
    }
    for plain in ["x://u@h/d", "x://password", "password", "x://h:5432/d"] {
        assert!(go_on(&format!("--except={plain}")).ends_with(&format!("--except={plain}")), "{plain}");
    }
}

#[test]
fn rows_of_one_task_are_one_task() {
    let (store, first) = last_night();
    let selector = |unique_by: &str| {
        let file = store.path.with_file_name("selector.json");
        let since = written(first);
        let selector = json!({"match_all": true, "filter": {"status": "failure", "created_after": since},
                              "options": {"unique_by": unique_by}});
        std::fs::write(&file, selector.to_string()).unwrap();
        failures(&store, &["--selector", file.to_str().unwrap()]).1
    };
    assert!(
        selector("params").starts_with("4 runs of 3 tasks, with 4 sets of parameters, from "),
        "{}",
        selector("params")
    );
    assert!(selector("run").starts_with("4 runs of 3 tasks, from "), "{}", selector("run"));
}

/// What a day's table shows is what `--until` takes: the run at that second is among them.
#[test]
fn a_time_that_is_shown_means_its_whole_second() {
    let store = Store::new().holding(&[Row::failed("a1", "import", "2026-04-15T01:02:03.789Z")]);
    let plan = |flags: &[&str]| {
        let output = bulk_rerun(&[&["rerun", "--store", store.path_str(), "--dry-run"], flags].concat());
        text(&output.stdout)
    };
    let shown = plan(&["--all"]);
    let created = shown.split_whitespace().find(|word| word.starts_with("2026-")).unwrap();
    assert_eq!(created, "2026-04-15T01:02:03Z");
    assert!(plan(&["--until", created]).starts_with("1 new run"), "{}", plan(&["--until", created]));
    assert!(plan(&["--since", created, "--until", created]).starts_with("1 new run"));
    assert!(plan(&["--until", "2026-04-15T01:02:03.78Z"]).starts_with("1 new run"));
    for before in ["2026-04-15T01:02:02Z", "2026-04-15T01:02:03.6Z", "2026-04-15T01:02:03.788Z"] {
        assert!(plan(&["--until", before]).starts_with("0 new runs"), "{before}");
    }
}

/// 39 of 40 tenants failed, and the newest run succeeded: by task there is nothing to do, and it is said why.
#[test]
fn what_one_success_hides_is_told() {
    let tenant = |number: usize| {
        Row::failed(&format!("a{number:02}"), "invoices", &format!("2026-04-15T01:{number:02}:00Z")).with(|row| {
            row.params_json = Some(format!("{{\"tenant\":{number}}}"));
            if number == 39 {
                row.end_reason = Some("success".to_owned());
                (row.exit_code, row.is_failure) = (0, 0);
            }
        })
    };
    let store = Store::new().holding(&(0..40).map(tenant).collect::<Vec<_>>());
    let plan = |flags: &[&str]| {
        let flags = [&["rerun", "--store", store.path_str(), "--dry-run", "--status", "failed"], flags].concat();
        text(&bulk_rerun(&flags).stdout)
    };
    let by_task = plan(&[]);
    assert!(by_task.starts_with("1 new run would be spawned for the 39 runs selected\n"), "{by_task}");
    assert!(
        by_task.contains("  1 of 39 sets  ") && by_task.contains("--unique-by params makes a new run for each"),
        "{by_task}"
    );
    let hidden = plan(&["--skip-superseded"]);
    assert!(
        hidden.starts_with("0 new runs") && hidden.contains("its 39 sets of parameters are taken as one"),
        "{hidden}"
    );
    assert!(
        hidden.contains("1 task's runs have several sets of parameters, and are skipped as one: --unique-by params"),
        "{hidden}"
    );
    let told = plan(&["--skip-superseded", "--unique-by", "params"]);
    assert!(told.starts_with("39 new runs") && !told.contains("sets of parameters"), "{told}");
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
    assert!(row.contains("  1 of 2 sets  "), "{by_task}");
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
