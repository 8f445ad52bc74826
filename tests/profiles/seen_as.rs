//! Whether the runner is up, by what its processes and connections are called.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bulk_rerun::host::{RunnerState, StoreInfo};
use bulk_rerun::{Config, Plugin};
use serde_json::Value;

use crate::postgres;
use crate::support;
use crate::support::anvil::{Anvil, PROFILE};
use crate::support::calls::assert_error;
use crate::support::runners::wait_for;
use crate::support::tool::{command, text};

const START: &str = "[start]\nrunning = 'within a second'\nstopped = 'when the smith comes'\n\n[[generation]]";

/// A process that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn with(seen_as: &str, profile: &str) -> String {
    profile.replace("[[generation]]", &format!("{seen_as}\n{START}"))
}

/// What is known of the runner, and what `check` says of it.
fn look(store: &str, profile: &Path) -> (StoreInfo, String) {
    let profile = profile.display().to_string();
    let output = command(&["check", "--store", store, "--profile", &profile]).output().unwrap();
    let plugin = Plugin::open(&Config { profile: Some(profile), ..Config::new(store) }).unwrap();
    // What another test starts is for a moment this process once more, with all that it has open, and called as that test's thread.
    let info = wait_for("nobody else starts something", || {
        let info = plugin.describe().unwrap();
        info.open_in.iter().all(|process| !process.name.contains("::")).then_some(info)
    });
    (info, text(&[output.stdout, output.stderr].concat()))
}

/// Somebody with the store's file open, under a name of its own.
fn smith(store: &Path, name: &str) -> Ended {
    let mut sleep = Command::new("sleep");
    sleep.arg0(name).arg("1000").stdin(File::open(store).unwrap());
    Ended(sleep.spawn().unwrap())
}

#[test]
fn a_process_is_the_runner_if_it_is_called_so() {
    let anvil = Anvil::with_failed(&["forge"]);
    let (store, file) = (anvil.path().display().to_string(), anvil.profile_file());
    let at_work = |seen_as: &str| {
        fs::write(&file, with(seen_as, PROFILE)).unwrap();
        look(&store, &file)
    };
    let patterns = "[seen_as]\ncommand = ['anvil-worker *']";
    let (info, printed) = at_work(patterns);
    assert_eq!((info.runner_state, &*info.start), (RunnerState::NotSeen, "when the smith comes"));
    assert!(printed.contains("runner     is not seen\n"), "{printed}");

    // Whoever looks at the store is not the runner.
    let mut shell = Command::new("sqlite3");
    shell.arg(&store).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = Ended(shell.spawn().unwrap());
    shell.0.stdin.as_mut().unwrap().write_all(b"SELECT count(*) FROM jobs;\n").unwrap();
    BufReader::new(shell.0.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
    let mut serve =
        command(&["serve", "--listen", "127.0.0.1:0", "--store", &store, "--profile", file.to_str().unwrap()]);
    let mut serve = Ended(serve.stderr(Stdio::piped()).spawn().unwrap());
    BufReader::new(serve.0.stderr.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
    for seen_as in [patterns, ""] {
        let (info, printed) = at_work(seen_as);
        assert_eq!((info.runner_state, &*info.start), (RunnerState::NotSeen, "when the smith comes"), "{printed}");
        let mut names: Vec<_> = info.open_in.into_iter().map(|process| process.name).collect();
        names.sort();
        assert_eq!(names, ["bulk-rerun", "sqlite3"]);
    }

    // Anybody else may be, where the profile does not say.
    let other = smith(&anvil.path(), "some program");
    assert_eq!(at_work(patterns).0.runner_state, RunnerState::NotSeen);
    let (info, printed) = at_work("");
    assert_eq!(info.runner_state, RunnerState::Unknown);
    let start = "it can't be told whether Anvil is up; if it is: within a second; if not: when the smith comes";
    assert_eq!(info.start, start);
    assert!(printed.contains("runner     can't be told: sleep may be Anvil or another program"), "{printed}");
    drop(other);

    let worker = smith(&anvil.path(), "anvil-worker");
    let (info, printed) = at_work(patterns);
    assert_eq!((info.runner_state, &*info.start), (RunnerState::Seen, "within a second"));
    let pid = worker.0.id();
    assert!(
        printed.contains(&format!("sleep (pid {pid}, the runner)")) && printed.contains("runner     is up"),
        "{printed}"
    );
    let json = command(&["check", "--json", "--store", &store, "--profile", file.to_str().unwrap()]).output().unwrap();
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["store"]["runner_state"], "seen");
    drop((worker, shell, serve));
    assert_eq!(at_work("").0.runner_state, RunnerState::NotSeen);
}

/// What another user's process has open can't be seen, unless by root; what it is called can.
#[test]
fn another_users_process_may_be_the_runner() {
    // SAFETY: the call takes nothing, and never fails.
    assert_eq!(unsafe { libc::geteuid() }, 0, "this test becomes another user, which root may");
    let anvil = Anvil::with_failed(&["forge"]);
    let folder = anvil.path().parent().unwrap().to_owned();
    fs::write(anvil.profile_file(), with("[seen_as]\ncommand = ['anvil-worker *']", PROFILE)).unwrap();
    Command::new("chmod").args(["-R", "a+rwX"]).arg(&folder).status().unwrap();
    let tool = folder.join("bulk-rerun");
    // Written by a process of its own: what another test starts meanwhile would hold our copy open, and nobody may run that.
    assert!(Command::new("cp").arg(support::tool::BINARY).arg(&tool).status().unwrap().success());
    let check = || {
        let mut check = Command::new(&tool);
        check.arg("check").arg("--store").arg(anvil.path()).arg("--profile").arg(anvil.profile_file());
        let output = check.uid(65534).gid(65534).output().unwrap();
        text(&[output.stdout, output.stderr].concat())
    };
    let printed = check();
    assert!(printed.contains("runner     is not seen"), "{printed}");
    let worker = smith(&anvil.path(), "anvil-worker");
    let printed = check();
    let words = format!("runner     can't be told: sleep (pid {}) is another user's", worker.0.id());
    assert!(printed.contains(&words), "{printed}");
    assert!(printed.contains("if it is: within a second; if not: when the smith comes"), "{printed}");
}

const JOBS: &str = "
    CREATE TABLE job (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, kind text, state text);
    INSERT INTO job (kind, state) VALUES ('saw', 'failed')";

const POSTGRES: &str = "
name = 'mill'
runner = 'Mill'
engine = 'postgres'

[[generation]]
requires.job = ['id', 'kind', 'state']
runs = '''SELECT id, kind AS task_name, CASE state WHEN 'queued' THEN 'pending' ELSE 'ended' END AS phase, state AS end_reason FROM job'''
spawn = '''INSERT INTO job (kind, state) SELECT kind, 'queued' FROM job WHERE id = :id::int RETURNING id'''
";

#[test]
fn a_connection_is_the_runners_by_its_name_or_by_what_it_does() {
    let database = postgres::server().database().with(JOBS);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mill.toml");
    let as_role = |seen_as: &str, url: &str| {
        fs::write(&file, with(seen_as, POSTGRES)).unwrap();
        look(url, &file)
    };
    let state = |seen_as: &str| as_role(seen_as, &database.url).0.runner_state;
    let by_name = "[seen_as]\napplication_name = ['mill-*']";
    let by_query = "[seen_as]\nquery = ['LISTEN \"mill*']";
    let named = |name: &str| postgres::Client::connect(&format!("{}?application_name={name}", database.url));
    for seen_as in [by_name, by_query, ""] {
        assert_eq!(state(seen_as), RunnerState::NotSeen);
    }
    let psql = named("psql");
    for seen_as in [by_name, by_query, ""] {
        assert_eq!(state(seen_as), RunnerState::NotSeen);
    }
    let web = named("web");
    assert_eq!(
        [state(by_name), state(by_query), state("")],
        [RunnerState::NotSeen, RunnerState::NotSeen, RunnerState::Unknown]
    );
    web.execute("LISTEN\n  \"mill.jobs\"");
    assert_eq!([state(by_name), state(by_query)], [RunnerState::NotSeen, RunnerState::Seen]);
    web.execute("SELECT 1");
    let worker = named("mill-7");
    let (info, printed) = as_role(by_name, &database.url);
    assert_eq!((info.runner_state, &*info.start), (RunnerState::Seen, "within a second"));
    assert!(printed.contains(", the runner), ") || printed.contains(", the runner)\n"), "{printed}");
    assert!(printed.contains("mill-7 (pid ") && printed.contains("runner     is up"), "{printed}");
    assert_eq!(state(by_query), RunnerState::NotSeen);

    // To a role without the right, others have a name and no statement.
    let role = format!("probe_{}", database.name);
    database.client().execute(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT ON job TO {role}"));
    let url = database.url_as(&role);
    assert_eq!(as_role(by_name, &url).0.runner_state, RunnerState::Seen);
    let (info, printed) = as_role(by_query, &url);
    assert_eq!(info.runner_state, RunnerState::Unknown);
    assert!(printed.contains("runner     can't be told: this role may not see what postgres does"), "{printed}");
    assert!(printed.contains("GRANT pg_read_all_stats"), "{printed}");
    drop(worker);
    database.client().execute(&format!("GRANT pg_read_all_stats TO {role}"));
    assert_eq!(as_role(by_query, &url).0.runner_state, RunnerState::NotSeen);
    drop((psql, web));
}

#[test]
fn what_is_not_for_the_engine_is_refused() {
    let anvil = Anvil::with_failed(&[]);
    for (seen_as, words) in [
        ("[seen_as]\nquery = ['LISTEN *']", "seen_as.query"),
        ("[seen_as]\napplication_name = ['mill']", "seen_as.application_name"),
        ("[seen_as]\ncommand = ['**']", "a pattern of stars alone"),
        ("[seen_as]\ncomand = ['a']", "comand"),
    ] {
        assert_error(&anvil.plugin(&with(seen_as, PROFILE)).err().unwrap(), 500, &[words]);
    }
}
