//! The tool on a terminal: it asks, it fits, and Ctrl-C does what is expected of it.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::anvil::Anvil;
use crate::support::tool::{at_a_terminal, command, interrupt, night, plain, read_until, text};
use crate::support::{Row, Store};

fn on_store(store: &Store, flags: &str) -> String {
    format!("bulk-rerun rerun --store '{}' {flags}", store.path_str())
}

#[test]
fn it_shows_the_plan_and_asks() {
    let store = night();
    let (status, no) = at_a_terminal(100, &on_store(&store, "--status failed"), "n\n");
    assert_eq!(status, Some(1), "{no}");
    assert!(no.contains("SOURCE RUN") && no.contains("Spawn 1 new run?") && no.contains("Nothing was changed"), "{no}");
    assert!(no.contains('\u{1b}'), "a terminal gets colour");
    assert_eq!(store.dump().len(), 5);

    let (status, yes) = at_a_terminal(100, &on_store(&store, "--status failed"), "y\n");
    assert_eq!(status, Some(0), "{yes}");
    assert!(yes.contains("1 new run spawned"), "{yes}");
    assert_eq!(store.dump().len(), 6);

    let (status, nothing) = at_a_terminal(100, &on_store(&store, "--status missed"), "");
    assert_eq!(status, Some(0), "{nothing}");
    assert!(nothing.contains("Nothing to re-run") && !nothing.contains("[y/N]"), "{nothing}");

    let (status, quiet) = at_a_terminal(100, &on_store(&store, "--status missed --quiet"), "");
    assert_eq!((status, quiet.as_str()), (Some(0), ""));
}

#[test]
fn what_is_asked_about_is_seen_wherever_the_result_goes() {
    for report in ["", "--json"] {
        let store = night();
        let file = store.path.with_file_name("result");
        let line = on_store(&store, &format!("--status failed {report} > '{}'", file.display()));
        let (status, shown) = at_a_terminal(100, &line, "y\n");
        assert_eq!(status, Some(0), "{shown}");
        assert!(shown.contains("SOURCE RUN") && shown.contains("Spawn 1 new run?"), "{shown}");
        let result = fs::read_to_string(file).unwrap();
        assert!(!shown.contains("NEW RUN ") && !result.contains("SOURCE RUN"), "{shown}\n{result}");
        assert!(result.contains("NEW RUN") || result.starts_with("{\"triggered\":[{"), "{result}");
        assert_eq!(store.dump().len(), 6);
    }
}

#[test]
fn what_is_done_and_can_not_be_told_is_exit_status_6() {
    let store = night();
    let (status, shown) = at_a_terminal(100, &on_store(&store, "--status failed > /dev/full"), "y\n");
    assert_eq!(status, Some(6), "{shown}");
    assert!(shown.contains("the new runs are there"), "{shown}");
    assert_eq!(store.dump().len(), 6);
}

/// Runs with long names and parameters, and ids of RunWisp's length.
fn wide() -> Store {
    let rows: Vec<Row> = (0..45)
        .map(|number| {
            let (id, task) =
                (format!("01JRX3M7ZD7Q8M5T8E2Y9V4B{number:02}"), format!("import-supplier-prices-{}", number / 2));
            Row::failed(&id, &task, "2026-04-15T01:02:03Z").with(|row| {
                row.exit_code = 137;
                row.params_json = Some(format!("{{\"mieter\":\"{}\"}}", "株式会社".repeat(number)));
            })
        })
        .collect();
    Store::new().holding(&rows)
}

#[test]
fn tables_fit_and_ids_stay_whole() {
    let store = wide();
    for (columns, flags) in
        [(80, "--unique-by run"), (80, ""), (120, "--unique-by run"), (60, ""), (60, "--unique-by run")]
    {
        let (_, shown) = at_a_terminal(columns, &on_store(&store, &format!("--all --dry-run {flags}")), "");
        let shown = plain(&shown);
        let table: Vec<&str> = shown.lines().filter(|line| line.contains("import-") || line.contains("TASK")).collect();
        assert!(table.len() > 20, "{shown}");
        for line in table {
            // A sign of these takes two columns.
            let width: usize = line.chars().map(|sign| if ('一'..='龥').contains(&sign) { 2 } else { 1 }).sum();
            assert!(width <= columns, "{width} of {columns}: {line}");
            assert!(line.contains("TASK") || line.contains("  01JRX3M7ZD7Q8M5T8E2Y9V4B"), "{line}");
        }
        assert!(shown.contains('…') && shown.contains("--wide shows all of it"), "{shown}");
    }
    let (_, shown) = at_a_terminal(80, &on_store(&store, "--all --dry-run --unique-by run --wide"), "");
    assert!(
        shown.contains("import-supplier-prices-19  01JRX3M7ZD7Q8M5T8E2Y9V4B39  2026-04-15T01:02:03Z  failed (137)"),
        "{shown}"
    );
    assert!(shown.contains(&"株式会社".repeat(38)) && shown.contains("… and 5 more; --json lists all"), "{shown}");
    assert!(!shown.contains("--wide shows"), "{shown}");
}

#[test]
fn ctrl_c_at_the_question_changes_nothing() {
    let store = night();
    let (status, shown) = at_a_terminal(100, &on_store(&store, "--status failed"), "\u{3}");
    assert_eq!(status, Some(130), "{shown}");
    assert!(shown.contains("interrupted; nothing was changed"), "{shown}");
    assert_eq!(store.dump().len(), 5);
}

/// `bulk-rerun rerun`, once it would take note of Ctrl-C.
fn started(arguments: &[&str]) -> Child {
    let child =
        command(&[&["rerun"], arguments].concat()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let caught = || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim().to_owned();
        u64::from_str_radix(&caught, 16).unwrap() & 0b10 != 0
    };
    while !caught() {
        thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn ctrl_c_stops_a_search() {
    let (anvil, _) = Anvil::endless();
    let (store, profile) = (anvil.path(), anvil.profile_file());
    for json in [&[][..], &["--json"]] {
        for flags in [&["--all", "--yes"][..], &["--all", "--dry-run"], &["--status", "purple", "--yes"]] {
            let place = ["--store", store.to_str().unwrap(), "--profile", profile.to_str().unwrap()];
            let child = started(&[&place[..], flags, json].concat());
            // Whatever it does by then.
            thread::sleep(Duration::from_millis(300));
            interrupt(&child);
            let output = child.wait_with_output().unwrap();
            let said = text(&output.stdout) + &text(&output.stderr);
            assert_eq!(output.status.code(), Some(130), "{flags:?}: {said}");
            assert!(said.contains("interrupted; nothing was changed"), "{flags:?}: {said}");
        }
    }
    assert_eq!(anvil.jobs().len(), 1);
}

/// A store to which a row is added by so many steps.
fn slow_to_spawn(steps: &str) -> Store {
    let store = night();
    let slow = format!(
        "CREATE TRIGGER slow AFTER INSERT ON runs BEGIN SELECT count(*) FROM (WITH RECURSIVE n(i) AS
         (VALUES (1) UNION ALL SELECT i + 1 FROM n {steps}) SELECT i FROM n); END"
    );
    store.open().execute_batch(&slow).unwrap();
    store
}

/// Waits until somebody else has the store's write lock.
fn wait_for_the_lock(store: &Store) {
    let connection = store.open();
    connection.busy_timeout(Duration::ZERO).unwrap();
    while connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok() {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Presses Ctrl-C while it spawns, and once more if that is wanted. Answers how it ended, and what it said.
fn interrupted_while_it_spawns(store: &Store, twice: bool) -> (ExitStatus, String) {
    let mut child = started(&["--store", store.path_str(), "--all", "--yes"]);
    wait_for_the_lock(store);
    interrupt(&child);
    let mut said = Vec::new();
    read_until(child.stderr.as_mut().unwrap(), &mut said, "finished first");
    if twice {
        interrupt(&child);
    }
    let output = child.wait_with_output().unwrap();
    (output.status, text(&said) + &text(&output.stderr) + &text(&output.stdout))
}

#[test]
fn ctrl_c_lets_a_spawn_finish_and_says_so() {
    let store = slow_to_spawn("LIMIT 3000000");
    let (status, said) = interrupted_while_it_spawns(&store, false);
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("finished first") && said.contains("3 new runs spawned"), "{said}");
    assert_eq!(store.dump().len(), 8);
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    let store = slow_to_spawn("");
    let (status, said) = interrupted_while_it_spawns(&store, true);
    assert_eq!(status.signal(), Some(2), "{status}: {said}");
    assert_eq!(store.dump().len(), 5);
}

#[test]
fn a_second_ctrl_c_ends_a_server_that_still_spawns() {
    let store = slow_to_spawn("");
    let mut server = command(&["serve", "--store", store.path_str(), "--listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = server.stderr.take().unwrap();
    let mut said = Vec::new();
    read_until(&mut log, &mut said, "runner=");
    let address = text(&said).split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let body = r#"{"match_all": true}"#;
    let request = format!(
        "POST /api/runs/bulk/rerun HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(request.as_bytes()).unwrap();
    wait_for_the_lock(&store);
    interrupt(&server);
    read_until(&mut log, &mut said, "ending");
    interrupt(&server);
    assert_eq!(server.wait().unwrap().signal(), Some(2), "{}", text(&said));
    assert_eq!(store.dump().len(), 5);
}
