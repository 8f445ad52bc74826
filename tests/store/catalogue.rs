//! The task catalogue, a `runwisp.toml`: which tasks may be started by hand.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support;
use crate::support::calls::{all_failed, assert_error, call, skipped, triggered};
use crate::support::{Row, Store, child};
use bulk_rerun::{Config, ErrorModel, Plugin};
use serde_json::json;

/// A folder with files like those of a RunWisp project, the first of which is the root.
struct Project {
    folder: tempfile::TempDir,
    root: PathBuf,
}

impl Project {
    fn new(files: &[(&str, &str)]) -> Project {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            // An absolute pattern is written as `FOLDER/…`.
            fs::write(path, text.replace("FOLDER", folder.path().to_str().unwrap())).unwrap();
        }
        let root = folder.path().join(files[0].0);
        Project { folder, root }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, store: &Store) -> Result<Plugin, ErrorModel> {
        Plugin::open(&Config { tasks: Some(self.root.clone()), ..Config::new(store.path_str()) })
    }

    /// What becomes of a failed run of each of these tasks: `task: triggered` or `task: reason`.
    fn outcome(&self, tasks: &[&str]) -> Vec<String> {
        let store = with_failed(tasks);
        let answer =
            call(&self.open(&store).unwrap_or_else(|error| panic!("{error}")), &all_failed(json!({}))).unwrap();
        let triggered = triggered(&answer).into_iter().map(|task| format!("{task}: triggered")).collect();
        let mut outcome: Vec<String> = [triggered, skipped(&answer)].concat();
        outcome.sort();
        outcome
    }

    #[track_caller]
    fn assert_refused(&self, words: &[&str]) {
        let store = with_failed(&[]);
        let error = self.open(&store).err().unwrap_or_else(|| panic!("no word of {words:?}"));
        assert_error(&error, 500, words);
        assert_error(&error, 500, &["task catalogue"]);
    }
}

/// A store with a failed run of each of these tasks; a run's id is its task's name.
fn with_failed(tasks: &[&str]) -> Store {
    let rows: Vec<Row> = tasks.iter().map(|task| Row::failed(task, task, "2026-04-15T12:00:00Z")).collect();
    Store::new().holding(&rows)
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_catalogue_says_which_tasks_may_be_started_by_hand() {
    let project = Project::new(&[(
        "runwisp.toml",
        r#"
        [daemon]
        listen = "127.0.0.1:9477"
        [tasks.backup]
        run = "backup.sh"
        cron = "@daily"
        [tasks.off]
        api_trigger = false
        [tasks."off since"]
        manual_trigger = false
        [tasks.on]
        api_trigger = false
        manual_trigger = true
        [services.web]
        run = "serve"
        "#,
    )]);
    let outcome = project.outcome(&["Backup", "backup", "off", "off since", "on", "web"]);
    assert_eq!(
        outcome,
        [
            "Backup: unknown_task",
            "backup: triggered",
            "off since: trigger_disabled",
            "off: trigger_disabled",
            "on: triggered",
            "web: service"
        ]
    );
}

#[test]
fn an_empty_catalogue_knows_no_task() {
    for text in ["", "[daemon]\n", "[tasks]\n"] {
        assert_eq!(Project::new(&[("runwisp.toml", text)]).outcome(&["backup"]), ["backup: unknown_task"]);
    }
}

/// What the catalogue lists as a task is one, whatever triggered its last run.
#[test]
fn the_catalogue_knows_better_than_a_runs_trigger() {
    let project = Project::new(&[("runwisp.toml", "[tasks.backup]\n[services.web]\n")]);
    let by_service = |row: Row| row.with(|row| row.triggered_by = "service".to_owned());
    let noon = "2026-04-15T12:00:00Z";
    let rows = [by_service(Row::failed("1", "backup", noon)), Row::failed("2", "web", noon)];
    let store = Store::new().holding(&rows);
    let answer = call(&project.open(&store).unwrap(), &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer), ["backup"]);
    assert_eq!(skipped(&answer), ["2: service"]);

    // Without a catalogue the trigger is all there is to go by.
    let store = Store::new().holding(&rows);
    let answer = call(&support::calls::open(&store.path), &all_failed(json!({}))).unwrap();
    assert_eq!(triggered(&answer), ["web"]);
    assert_eq!(skipped(&answer), ["1: service"]);
}

#[test]
fn files_are_included_by_pattern() {
    let project = Project::new(&[
        (
            "runwisp.toml",
            "[daemon]\ninclude = ['conf.d/*.toml', 'extra-[0-9].toml', 'FOLDER/abs/*.toml', 'none/*.toml']\n[tasks.root]\n",
        ),
        ("conf.d/a.toml", "[tasks.a]\n"),
        ("conf.d/b.toml", "[tasks.b]\napi_trigger = false\n[services.s]\n"),
        ("conf.d/c.txt", "[tasks.c]\n"),
        ("conf.d/deeper/d.toml", "[tasks.d]\n"),
        ("extra-1.toml", "[tasks.e]\n"),
        ("abs/f.toml", "[tasks.f]\n"),
    ]);
    assert_eq!(
        project.outcome(&["a", "b", "c", "d", "e", "f", "root", "s"]),
        [
            "a: triggered",
            "b: trigger_disabled",
            "c: unknown_task",
            "d: unknown_task",
            "e: triggered",
            "f: triggered",
            "root: triggered",
            "s: service"
        ]
    );
}

#[test]
fn a_file_counts_once_however_often_it_is_matched() {
    for include in [
        "['*.toml']",
        "['*.toml', 'conf.d/*.toml', 'conf.d/a.toml']",
        "['conf.d/*.toml', 'FOLDER/conf.d/*.toml', './conf.d/a.toml']",
        "['conf.d/*.toml', 'conf.d/../conf.d/*.toml']",
    ] {
        let project = Project::new(&[
            ("runwisp.toml", &format!("[daemon]\ninclude = {include}\n[tasks.root]\n")),
            ("conf.d/a.toml", "[tasks.a]\n[tasks.off]\napi_trigger = false\n[services.s]\n"),
        ]);
        // The root matches its own pattern in the first two; it includes, but is not included.
        let outcome = project.outcome(&["root"]);
        assert_eq!(outcome, ["root: triggered"], "{include}");
    }
}

#[test]
fn the_folder_of_the_root_is_no_pattern() {
    let project = Project::new(&[
        ("[1-2] a*b?/runwisp.toml", "[daemon]\ninclude = ['*.toml']\n[tasks.root]\n"),
        ("[1-2] a*b?/more.toml", "[tasks.more]\n"),
        ("1/more.toml", "[tasks.elsewhere]\n"),
    ]);
    assert_eq!(project.outcome(&["elsewhere", "more"]), ["elsewhere: unknown_task", "more: triggered"]);
}

#[test]
fn patterns_are_relative_to_the_root_file_not_to_the_working_folder() {
    let project = Project::new(&[
        ("etc/runwisp.toml", "[daemon]\ninclude = ['*.toml']\n[tasks.root]\n"),
        ("etc/more.toml", "[tasks.more]\n"),
        ("more.toml", "[tasks.elsewhere]\n"),
    ]);
    for (folder, root) in [("etc", "runwisp.toml"), ("etc", "./runwisp.toml"), ("", "etc/runwisp.toml")] {
        let store = with_failed(&["elsewhere", "more"]);
        let mut command = child::rerun(&[], store.path_str());
        command.current_dir(project.file(folder)).args(["--tasks", root]);
        let answer = child::answer(command, &all_failed(json!({}))).unwrap_or_else(|error| panic!("{root}: {error}"));
        assert_eq!((triggered(&answer), skipped(&answer)), (vec!["more"], vec!["elsewhere: unknown_task".to_owned()]));
    }
}

#[test]
fn only_the_root_includes() {
    let project = Project::new(&[
        ("runwisp.toml", "[daemon]\ninclude = ['conf.d/*.toml']\n"),
        ("conf.d/a.toml", "[daemon]\ninclude = ['more/*.toml']\n"),
    ]);
    project.assert_refused(&[name(&project.file("conf.d/a.toml")), "[daemon] include", "only the root"]);
}

#[test]
fn a_name_in_two_files_names_both() {
    let tables = ["[tasks.twice]\n", "[services.twice]\n", "[tasks.twice]\nmanual_trigger = false\n"];
    for (one, other) in [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2)] {
        let project = Project::new(&[
            ("runwisp.toml", "[daemon]\ninclude = ['conf.d/*.toml']\n"),
            ("conf.d/a.toml", tables[one]),
            ("conf.d/b.toml", tables[other]),
        ]);
        let [a, b] = ["conf.d/a.toml", "conf.d/b.toml"].map(|file| project.file(file));
        project.assert_refused(&["\"twice\"", "already taken", name(&a), name(&b)]);
    }
    // Against the root file, and within one file.
    let project = Project::new(&[
        ("runwisp.toml", "[daemon]\ninclude = ['more.toml']\n[tasks.twice]\n"),
        ("more.toml", "[services.twice]\n"),
    ]);
    project.assert_refused(&["\"twice\"", name(&project.root), name(&project.file("more.toml"))]);
    let project = Project::new(&[("runwisp.toml", "[tasks.twice]\n[services.twice]\n")]);
    project.assert_refused(&["\"twice\"", "already taken", name(&project.root)]);
}

#[test]
fn tasks_from_elsewhere_leave_unknown_names_alone() {
    let listed = "[tasks.off]\napi_trigger = false\n[services.web]\n";
    for open in [
        "[daemon]\ninclude_cron = ['/etc/crontab']\n",
        "[compose.shop]\nfile = 'compose.yaml'\n",
        "[daemon]\ninclude = ['more.toml']\n",
    ] {
        let project = Project::new(&[("runwisp.toml", &[open, listed].concat()), ("more.toml", "[compose.more]\n")]);
        let outcome = project.outcome(&["off", "shop-db", "web"]);
        assert_eq!(outcome, ["off: trigger_disabled", "shop-db: triggered", "web: service"], "{open}");
    }
    // Only named, not there: nothing comes from elsewhere.
    let project = Project::new(&[("runwisp.toml", "[daemon]\ninclude_cron = []\n[compose]\n")]);
    assert_eq!(project.outcome(&["shop-db"]), ["shop-db: unknown_task"]);
}

#[test]
fn a_broken_file_is_named_with_the_line() {
    let project = Project::new(&[("runwisp.toml", "[tasks.backup]\nrun = \n")]);
    project.assert_refused(&[name(&project.root), "line 2"]);

    let broken = "[tasks.a]\n\n[tasks.b\n";
    let project =
        Project::new(&[("runwisp.toml", "[daemon]\ninclude = ['conf.d/*.toml']\n"), ("conf.d/b.toml", broken)]);
    project.assert_refused(&[name(&project.file("conf.d/b.toml")), "line 3"]);

    let project = Project::new(&[("runwisp.toml", "[tasks.backup]\napi_trigger = 'no'\n")]);
    project.assert_refused(&[name(&project.root), "line 2", "boolean"]);

    let project = Project::new(&[("runwisp.toml", "[daemon]\ninclude = ['conf.d/***.toml']\n")]);
    project.assert_refused(&[name(&project.root), "conf.d/***.toml", "no pattern"]);
}

#[test]
fn a_missing_file_is_named() {
    let project = Project::new(&[("runwisp.toml", "")]);
    fs::remove_file(&project.root).unwrap();
    project.assert_refused(&[name(&project.root), "No such file"]);

    let project = Project::new(&[("runwisp.toml", "")]);
    fs::write(&project.root, [0xFF, 0xFE]).unwrap();
    project.assert_refused(&[name(&project.root), "UTF-8"]);
}

/// A file that is matched but can't be read may hold any name: silence would make its tasks unknown.
#[test]
fn an_included_file_that_cannot_be_read_is_named() {
    let project = Project::new(&[("runwisp.toml", "[daemon]\ninclude = ['conf.d/*.toml']\n"), ("conf.d/a.toml", "")]);
    std::os::unix::fs::symlink("/no/such/file", project.file("conf.d/link.toml")).unwrap();
    project.assert_refused(&[name(&project.file("conf.d/link.toml")), "No such file"]);
}
