//! The crontab line and the units of `examples/every-morning`: they are silent while all is well, and alert when it is not.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::support::tool::{BINARY, shell, text};
use crate::support::worker::Worker;
use crate::support::{Row, Store};
use chrono::{SecondsFormat, TimeDelta, Utc};

fn example(name: &str) -> String {
    fs::read_to_string(format!("{}/examples/every-morning/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// What failed some hours ago: one task for two tenants, of whom one has succeeded since, and another task.
fn last_night() -> Store {
    let hours_ago = |hours| (Utc::now() - TimeDelta::hours(hours)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let tenant = |name: &str| {
        let params = format!("{{\"tenant\":\"{name}\"}}");
        move |row: &mut Row| row.params_json = Some(params)
    };
    Store::new().holding(&[
        Row::failed("a1", "invoices", &hours_ago(5)).with(tenant("ann")),
        Row::failed("a2", "invoices", &hours_ago(5)).with(tenant("bob")),
        Row::failed("a3", "invoices", &hours_ago(4)).with(tenant("bob")).with(|row| {
            row.end_reason = Some("success".to_owned());
            (row.exit_code, row.is_failure) = (0, 0);
        }),
        Row::failed("b1", "import", &hours_ago(5)),
    ])
}

fn run_with(mut command: Command, store: &Store) -> Output {
    command.env("BULK_RERUN_STORE", &store.path).stdin(Stdio::null()).output().unwrap()
}

/// What cron makes of the line: its shell runs what stands behind the five fields.
fn cron(store: &Store, instead: Option<(&str, &str)>) -> String {
    let crontab = example("crontab");
    let line = crontab.lines().find(|line| line.contains("bulk-rerun rerun")).unwrap();
    let (when, line) = line.split_once(" said=").unwrap();
    assert_eq!(when.split(' ').count(), 5);
    assert!(!line.contains('%'), "cron makes a line's end of it");
    let line = format!("said={line}");
    let line = instead.map_or(line.clone(), |(words, instead)| line.replace(words, instead));
    let output = run_with(shell(&format!("exec sh -c '{line}'")), store);
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn cron_has_nothing_to_send_while_all_is_well() {
    let store = last_night();
    let _worker = Worker::on(&store, &[]);
    assert_eq!(cron(&store, None), "");
    let spawned = store.dump().len() - 4;
    assert_eq!(spawned, 2, "ann's invoice and the import, and not bob's, which has succeeded since");
    assert_eq!(cron(&store, None), "", "and then nothing is left");
    assert_eq!(store.dump().len() - 4, spawned);
}

#[test]
fn cron_sends_what_has_failed_again_and_what_is_not_over() {
    let store = last_night();
    let worker = Worker::on(&store, &["import"]);
    let mail = cron(&store, None);
    assert!(
        mail.starts_with("bulk-rerun ended with 4: ") && mail.contains("1 of 2 new runs did not succeed"),
        "{mail}"
    );
    drop(worker);
    let mail = cron(&last_night(), Some(("--wait 2h", "--wait 0s")));
    assert!(mail.starts_with("bulk-rerun ended with 5: ") && mail.contains("the time is up"), "{mail}");
    let gone = last_night();
    gone.open().execute_batch("DROP TABLE runs").unwrap();
    let mail = cron(&gone, None);
    assert!(mail.starts_with("bulk-rerun ended with 1: ") && mail.contains("error:"), "{mail}");
}

#[test]
fn the_unit_fails_when_a_new_run_does() {
    for (failing, expected) in [(&[][..], 0), (&["import"], 4)] {
        let store = last_night();
        let _worker = Worker::on(&store, failing);
        let service = example("bulk-rerun.service");
        let line = service.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        let mut words = line.split(' ');
        assert_eq!(words.next(), Some("/usr/local/bin/bulk-rerun"));
        let mut command = Command::new(BINARY);
        command.args(words);
        let output = run_with(command, &store);
        assert_eq!(output.status.code(), Some(expected), "{}{}", text(&output.stdout), text(&output.stderr));
    }
}
