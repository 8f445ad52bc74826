//! The scripts in `examples/lua`, each on a store with a night in it.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

use chrono::{SecondsFormat, TimeDelta, Utc};
use libtest_mimic::Trial;
use rusqlite::Connection;

use crate::lua::Interpreter;
use crate::support::{Row, Store};
use crate::{Test, file, in_every_lua, succeeded, text};

pub fn trials() -> Vec<Trial> {
    let tests: [Test; 6] = [
        ("last_night", last_night),
        ("last_night that waits", last_night_that_waits),
        ("by_parameter", by_parameter),
        ("canary", canary),
        ("canary that fails", canary_that_fails),
        ("report", report),
    ];
    let mut trials: Vec<Trial> =
        tests.into_iter().flat_map(|(name, test)| in_every_lua(&format!("example: {name}"), test)).collect();
    trials.extend(in_every_lua("example: every one says how it is used", usage));
    trials
}

fn hours_ago(hours: i64) -> String {
    (Utc::now() - TimeDelta::hours(hours)).to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn failed(id: &str, task: &str, hours: i64, exit_code: i64, params: Option<&str>) -> Row {
    Row::failed(id, task, &hours_ago(hours)).with(|row| {
        row.exit_code = exit_code;
        row.params_json = params.map(str::to_owned);
    })
}

fn night() -> Store {
    Store::new().holding(&[
        failed("a1", "backup", 5, 1, None),
        failed("b1", "invoices", 4, 75, Some(r#"{"tenant":"Müller & Söhne","date":"2026-04-15"}"#)),
        failed("b2", "invoices", 3, 75, Some(r#"{"tenant":"Ateliers Brûlé","date":"2026-04-15"}"#)),
        failed("b3", "invoices", 2, 75, Some(r#"{"tenant":"Müller & Söhne","date":"2026-04-15"}"#)),
        failed("c0", "training", 4, 1, None),
        failed("c1", "training", 3, 137, None),
        failed("c2", "training", 2, 137, None),
        failed("c3", "training again", 4, 137, None),
        failed("c4", "training again", 3, 1, None),
        failed("d1", "mail", 40, 1, None),
        failed("s1", "web", 3, 1, None).with(|row| row.triggered_by = "service".to_owned()),
        failed("e1", "say \"hi\", twice", 1, 1, Some("a,b")),
    ])
}

fn run(lua: Interpreter, example: &str, store: &Store, arguments: &[&str]) -> std::process::Output {
    lua.run(&file(&format!("examples/lua/{example}.lua"))).arg(&store.path).args(arguments).output().unwrap()
}

/// Task and parameters of the runs that wait to be started.
fn pending(store: &Path) -> Vec<(String, Option<String>)> {
    let connection = Connection::open(store).unwrap();
    let sql = "SELECT task_name, params_json FROM runs WHERE status = 'pending' ORDER BY task_name, params_json";
    let mut statement = connection.prepare(sql).unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

fn tasks(store: &Store) -> Vec<String> {
    pending(&store.path).into_iter().map(|(task, _)| task).collect()
}

fn last_night(lua: Interpreter) {
    let store = night();
    let out = succeeded(&run(lua, "last_night", &store, &[]));
    // Not from its older failure with another exit code, either; a kill that something else came after is none to heed.
    assert_eq!(tasks(&store), ["backup", "invoices", "say \"hi\", twice", "training again"]);
    assert!(out.contains("4 started, 1 left alone: out of memory"), "{out}");
    let out = succeeded(&run(lua, "last_night", &store, &["48"]));
    assert!(out.contains("skipped\tbackup\tactive") && out.contains("started\tmail"), "{out}");
}

fn last_night_that_waits(lua: Interpreter) {
    let store = night();
    let worker = runner(&store, "failed");
    let output = run(lua, "last_night", &store, &["12", "10m"]);
    let tasks = worker.join().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let out = text(&output.stdout);
    assert_eq!(out.matches("failed again\t").count(), tasks.len(), "{out}");
    assert!(out.contains("failed again\tbackup\t") && !out.contains("not ended"), "{out}");
    let worker = runner(&store, "success");
    let out = succeeded(&run(lua, "last_night", &store, &["12", "10m"]));
    worker.join().unwrap();
    assert!(out.ends_with("all have succeeded\n"), "{out}");
    // A worker that does nothing.
    let output = run(lua, "last_night", &night(), &["12", "0s"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("not ended\tbackup\t"), "{output:?}");
}

fn by_parameter(lua: Interpreter) {
    let store = night();
    let out = succeeded(&run(lua, "by_parameter", &store, &["tenant", "Müller & Söhne"]));
    assert!(out.ends_with("1 started\n"), "{out}");
    let params = r#"{"tenant":"Müller & Söhne","date":"2026-04-15"}"#;
    assert_eq!(pending(&store.path), [("invoices".to_owned(), Some(params.to_owned()))]);
    let out = succeeded(&run(lua, "by_parameter", &store, &["region", "nil"]));
    assert!(out.ends_with("0 started\n"), "a parameter that is not there has no value: {out}");
}

/// A runner that gives every pending run this end, and stops when `tasks` runs have ended.
fn runner(store: &Store, end_reason: &'static str) -> thread::JoinHandle<Vec<String>> {
    let path = store.path.clone();
    thread::spawn(move || {
        let connection = Connection::open(&path).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        let patience = Instant::now() + Duration::from_secs(30);
        while Instant::now() < patience {
            let waiting: Vec<String> = pending(&path).into_iter().map(|(task, _)| task).collect();
            if !waiting.is_empty() {
                let sql = "UPDATE runs SET status = 'ended', end_reason = ?1 WHERE status = 'pending'";
                connection.execute(sql, [end_reason]).unwrap();
                return waiting;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("no run was started");
    })
}

fn canary(lua: Interpreter) {
    let store = night();
    let runner = runner(&store, "succeeded");
    let out = succeeded(&run(lua, "canary", &store, &[]));
    assert_eq!(runner.join().unwrap(), ["backup"], "one task goes first, alone");
    assert!(out.starts_with("canary\tbackup\t"), "{out}");
    assert_eq!(tasks(&store), ["invoices", "say \"hi\", twice", "training", "training again"]);
}

fn canary_that_fails(lua: Interpreter) {
    let store = night();
    let runner = runner(&store, "failed");
    let output = run(lua, "canary", &store, &[]);
    runner.join().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("the canary ended: failed; the others are left alone"), "{output:?}");
    assert_eq!(tasks(&store), [""; 0]);
}

fn report(lua: Interpreter) {
    let store = night();
    let before = store.dump();
    let out = succeeded(&run(lua, "report", &store, &["24h"]));
    let lines: Vec<&str> = out.split("\r\n").collect();
    assert_eq!(lines[0], "task,source run,created at,ended,exit code,failures,parameters");
    assert_eq!(lines.len(), 1 + 6 + 1, "{out}");
    let line = |task: &str| *lines.iter().find(|line| line.starts_with(task)).unwrap_or_else(|| panic!("{out}"));
    assert!(line("training,c2,").ends_with("Z,failed,137,3,"), "{out}");
    assert!(
        line("invoices,b3,").ends_with(r#"Z,failed,75,3,"{""tenant"":""Müller & Söhne"",""date"":""2026-04-15""}""#),
        "{out}"
    );
    // As many fields in every line.
    assert_eq!(line("web,"), "web,s1,,skipped: service,,,");
    assert!(line(r#""say ""hi"", twice",e1,"#).ends_with(r#",1,"a,b""#), "{out}");
    assert_eq!(store.dump(), before);
}

fn usage(lua: Interpreter) {
    for example in fs::read_dir(file("examples/lua")).unwrap() {
        let output = lua.run(&example.unwrap().path()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).starts_with("usage: "), "{output:?}");
    }
}
