//! What `check`, the plan and a config say of it.

use bulk_rerun::{Config, Via};
use serde_json::{Value, json};

use crate::stand_in::{Daemon, Manner};
use crate::support::calls::{assert_error, open_error};
use crate::support::tool::{bulk_rerun, command, text};
use crate::{Store, daemon, night};

fn check(store: &Store, flags: &[&str]) -> String {
    let output = bulk_rerun(&[&["check", "--store", store.path_str()], flags].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn plan(store: &Store, flags: &[&str]) -> String {
    let arguments = [&["rerun", "--store", store.path_str(), "--all", "--dry-run"], flags].concat();
    text(&bulk_rerun(&arguments).stdout)
}

#[test]
fn check_and_the_plan_say_when_it_is_there() {
    let store = night();
    assert!(!check(&store, &[]).contains("\ndaemon"), "none listens, and none is asked for");
    assert!(!plan(&store, &[]).contains("daemon"));
    let away = check(&store, &["--via", "daemon"]);
    assert!(away.contains("\ndaemon     RunWisp's daemon can't be asked on "), "{away}");
    assert!(plan(&store, &["--via", "daemon"]).contains("The daemon: RunWisp's daemon can't be asked on "));

    let daemon = daemon(&store);
    let socket = daemon.socket.display();
    let listens = format!("RunWisp's listens on {socket}; with `via` (--via daemon) it starts re-runs at once");
    let answers = format!("RunWisp 0.12.0 answers on {socket}, and starts re-runs at once, one by one");
    let untried = " (written from RunWisp's published API, and not yet tried on it)\n";
    for (flags, words) in [(&[][..], &listens), (&["--via", "store"], &listens), (&["--via", "daemon"], &answers)] {
        let checked = check(&store, flags);
        assert!(checked.contains(&format!("\ndaemon     {words}{untried}")), "{checked}");
        assert!(plan(&store, flags).contains(&format!("\nThe daemon: {words}.\n")));
    }
    let json: Value = serde_json::from_str(&check(&store, &["--via", "daemon", "--json"])).unwrap();
    let expected = json!({"socket": socket.to_string(), "version": "0.12.0", "is_asked": true});
    assert_eq!(json["store"]["daemon"], expected);
    let output = bulk_rerun(&["rerun", "--store", store.path_str(), "--all", "--yes"]);
    assert!(text(&output.stdout).ends_with("; --via daemon would start it at once.\n"), "{}", text(&output.stdout));
    assert!(daemon.asked_to_start().is_empty());
}

#[test]
fn a_trial_could_not_be_taken_back() {
    let store = night();
    let daemon = daemon(&store);
    let output = bulk_rerun(&["check", "--store", store.path_str(), "--via", "daemon", "--try"]);
    assert!(text(&output.stdout).contains("could not be taken back"), "{}", text(&output.stdout));
    assert!(output.status.code() == Some(1) && daemon.asked_to_start().is_empty());
}

#[test]
fn its_socket_may_be_elsewhere() {
    let (store, folder) = (night(), tempfile::tempdir().unwrap());
    let daemon = Daemon::on(&folder.path().join("s"), &store.path, Manner::default());
    let arguments = ["rerun", "--store", store.path_str(), "--all", "--via", "daemon", "--yes", "--json"];
    let output = command(&arguments).env("RUNWISP_SOCKET", &daemon.socket).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), answer["triggered"].as_array().unwrap().len()), (Some(0), 3), "{answer}");

    let too_long = folder.path().join("s".repeat(200));
    let output = command(&arguments).env("RUNWISP_SOCKET", too_long).output().unwrap();
    assert!(text(&output.stdout).contains("can't be asked on"), "{}", text(&output.stdout));
}

#[test]
fn no_other_runners_store_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let own = "name = \"own\"\nrunner = \"Own\"\nengine = \"sqlite\"\n[[generation]]\nrequires.runs = [\"id\"]\n\
               runs = \"SELECT id, task_name, status AS phase FROM runs\"\n\
               spawn = \"INSERT INTO runs (id, task_name, status, triggered_by, created_at) \
               VALUES (:new_id, :task_name, 'pending', 'api', :now)\"";
    let profile = folder.path().join("own.toml");
    std::fs::write(&profile, own).unwrap();
    let store = night();
    let profile = Some(profile.to_str().unwrap().to_owned());
    let error = open_error(&Config { via: Via::Daemon, profile, ..Config::new(store.path_str()) });
    assert_error(&error, 500, &["is Own's", "only RunWisp's daemon can be asked", "leave `via` out"]);
    let error = open_error(&Config { via: Via::Daemon, ..Config::new("postgres://me@localhost/jobs") });
    assert_error(&error, 500, &["PostgreSQL", "only RunWisp's daemon"]);
}

#[test]
fn a_config_says_it_in_every_language() {
    let store = night();
    let _daemon = daemon(&store);
    let script = store.path.with_file_name("night.lua");
    let open = format!("open {{ store = {:?}, via = \"daemon\" }}", store.path_str());
    let lua = format!(
        "local host = require(\"bulk_rerun\").{open}\n\
         local report = host:rerun({{ match_all = true, filter = {{ status = \"failed\" }} }})\n\
         for _, run in ipairs(report.triggered) do print(run.task_name) end"
    );
    std::fs::write(&script, lua).unwrap();
    let output = bulk_rerun(&["lua", script.to_str().unwrap()]);
    assert_eq!(text(&output.stdout), "backup\nimport\nmail\n", "{}", text(&output.stderr));
    assert_eq!(store.dump().len(), 6);
}
