//! A daemon that is away, goes away, does not answer, lies, or is somebody else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use bulk_rerun::{Config, Plugin};
use serde_json::{Value, json};

use crate::stand_in::{Daemon, Manner, Quirk};
use crate::support::Store;
use crate::support::calls::{all_failed, assert_error, call};
use crate::support::tool::{self, text};
use crate::{config, failed, night, rerun, taking};

/// With a patience that a test has.
fn impatient(store: &Store) -> Plugin {
    Plugin::open(&Config { busy_timeout_ms: 300, ..config(store) }).unwrap()
}

#[test]
fn a_daemon_that_is_away_is_told_with_what_to_do() {
    let store = night();
    let before = store.dump();
    let socket = store.path.with_file_name("runwisp.sock");
    let missing = rerun(&store, json!({})).unwrap_err();
    fs::write(&socket, "").unwrap();
    let a_file = rerun(&store, json!({})).unwrap_err();
    fs::remove_file(&socket).unwrap();
    drop(UnixListener::bind(&socket).unwrap());
    let left_behind = rerun(&store, json!({})).unwrap_err();
    for (error, why) in [(missing, "no such socket"), (a_file, "nobody listens"), (left_behind, "nobody listens")] {
        let words = [socket.to_str().unwrap(), why, "start it", "leave `via` out", "no run was started"];
        assert_error(&error, 500, &words);
    }
    assert!(rerun(&store, json!({"dry_run": true})).is_ok(), "a plan needs no daemon");
    assert_eq!(store.dump(), before);
}

#[test]
fn what_it_started_before_it_vanished_is_named() {
    let store = night();
    let quirks = BTreeMap::from([("import", Quirk::Vanishes)]);
    let daemon = Daemon::beside(&store.path, Manner { quirks, ..Manner::default() });
    let output = tool::rerun(&store, &["--status", "failed", "--via", "daemon", "--yes"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("was asked to start import, and whether it has is not known"), "{said}");
    assert!(said.contains("look for a new run of it before you repeat this; 1 run was started before"), "{said}");
    assert!(said.contains("  backup: 01DAEMON000000000000000001 is a re-run of b"), "{said}");
    assert_eq!(daemon.asked_to_start().len(), 2, "nobody is asked for mail");
    assert_eq!(store.dump().len(), 4);
}

#[test]
fn a_start_that_is_not_answered_may_have_been_one() {
    let store = night();
    let quirks = BTreeMap::from([("import", Quirk::NeverAnswers)]);
    let _daemon = Daemon::beside(&store.path, Manner { quirks, ..Manner::default() });
    let error = call(&impatient(&store), &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 500, &["start import", "is not known (it does not answer)", "1 run was started before"]);
    assert_eq!((error.triggered.len(), error.triggered[0].task_name.as_str()), (1, "backup"));

    let store = night();
    let quirks = BTreeMap::from([("backup", Quirk::NamesNone)]);
    let _daemon = Daemon::beside(&store.path, Manner { quirks, ..Manner::default() });
    let error = rerun(&store, json!({})).unwrap_err();
    assert_error(&error, 500, &["start backup", "it answered 201, and no run's id", "no run was started"]);
}

#[test]
fn a_daemon_that_says_nothing_is_asked_for_nothing() {
    let store = night();
    let daemon = Daemon::beside(&store.path, Manner { is_silent: true, ..Manner::default() });
    let error = call(&impatient(&store), &all_failed(json!({}))).unwrap_err();
    assert_error(&error, 503, &["does not answer", "within 300ms", "no run was started"]);
    assert_eq!(daemon.asked(), ["GET /api/daemon"]);
}

#[test]
fn parameters_that_were_dropped_stop_everything() {
    let tasks = vec![taking("import", json!([{"kind": "env", "key": "DAY"}])), json!({"name": "mail"})];
    let store = Store::new().holding(&[failed("i", "import", Some(r#"{"DAY":"1"}"#)), failed("m", "mail", None)]);
    let quirks = BTreeMap::from([("import", Quirk::DropsParameters)]);
    let daemon = Daemon::beside(&store.path, Manner { tasks, quirks, ..Manner::default() });
    let error = rerun(&store, json!({})).unwrap_err();
    let words =
        ["started import as 01DAEMON", "with other parameters than its source run's: stop it there", "1 run was"];
    assert_error(&error, 500, &words);
    assert_eq!(error.triggered[0].rerun_of, "i", "the one that runs is named");
    assert_eq!(daemon.asked_to_start().len(), 1);
}

#[test]
fn a_daemon_of_another_store_is_found_out_with_the_first_run() {
    let (store, other) = (night(), night());
    let manner = Manner { store: Some(other.path.clone()), ..Manner::default() };
    let daemon = Daemon::beside(&store.path, manner);
    let error = call(&impatient(&store), &all_failed(json!({}))).unwrap_err();
    let words = ["has started backup as 01DAEMON", "the store does not have that run", "work on another store?"];
    assert_error(&error, 500, &words);
    assert_eq!((error.triggered.len(), daemon.asked_to_start().len()), (1, 1));
    assert_eq!((store.dump().len(), other.dump().len()), (3, 4));
}

#[test]
fn what_is_no_runwisp_is_asked_to_start_nothing() {
    let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<!doctype html>";
    let login = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    let moved = b"HTTP/1.1 307 x\r\nLocation: http://elsewhere/api/daemon\r\nContent-Length: 0\r\n\r\n";
    let endless = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"version\":";
    for (says, words) in [
        (&page[..], "which version"),
        (login, "wants a login"),
        (moved, "which version"),
        (endless, "no RunWisp daemon"),
        (b"220 mail.example ESMTP\r\n", "no RunWisp daemon"),
        (b"", "no RunWisp daemon"),
    ] {
        let store = night();
        let daemon = Daemon::beside(&store.path, Manner { says: Some(says), ..Manner::default() });
        let error = rerun(&store, json!({})).unwrap_err();
        assert_error(&error, 500, &[words, "RUNWISP_SOCKET names the right socket", "no run was started"]);
        assert!(daemon.asked_to_start().is_empty());
        assert_eq!(store.dump().len(), 3);
    }
}

/// Root's own tests may be another user for that.
#[test]
fn another_users_socket_is_not_asked() {
    // SAFETY: the call takes nothing, and never fails.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("NOT TESTED: a socket of another user's (only root can be one)");
        return;
    }
    let store = night();
    let socket = store.path.with_file_name("runwisp.sock");
    let listens = "import os, socket, sys\n\
                   listener = socket.socket(socket.AF_UNIX)\n\
                   listener.bind(sys.argv[1])\n\
                   os.setuid(65534)\n\
                   listener.listen()\n\
                   print('listens', flush=True)\n\
                   sys.stdin.read()";
    let mut stranger = Command::new("python3")
        .args(["-c", listens, socket.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    tool::read_until(stranger.stdout.as_mut().unwrap(), &mut said, "listens");
    let error = rerun(&store, json!({})).unwrap_err();
    drop(stranger.stdin.take());
    stranger.wait().unwrap();
    assert_error(&error, 500, &["a process of user 65534's", "we are user 0", "see who has put a socket there"]);
    assert_eq!(store.dump().len(), 3);
}

#[test]
fn the_error_is_json_with_what_was_started() {
    let store = night();
    let quirks = BTreeMap::from([("mail", Quirk::Vanishes)]);
    let _daemon = Daemon::beside(&store.path, Manner { quirks, ..Manner::default() });
    let output = tool::rerun(&store, &["--status", "failed", "--via", "daemon", "--yes", "--json"]);
    let error: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), error["triggered"].as_array().unwrap().len()), (Some(1), 2), "{error}");
}
