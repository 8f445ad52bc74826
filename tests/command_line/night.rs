//! Somebody on call at a terminal, at three in the morning: what is wanted then, and in how many steps it is had. A step is a
//! line that is typed, or the answer to a question.

use crate::support::calls::open;
use crate::support::tool::{at_a_terminal, plain, shell, text};
use crate::support::worker::Worker;
use crate::support::{Row, Store};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// The tasks that failed in the night, beside the tenants' invoices.
const TASKS: [&str; 6] = ["backup", "import", "mail", "report", "search-index", "sync"];

const LAST_NIGHT: &str = "--is-failure --since 24h";

/// Six tasks failed, one after the other, and the invoices of 39 tenants; those of the fortieth, which came last, did not.
fn bad_night() -> (Store, DateTime<Utc>) {
    let began = Utc::now() - TimeDelta::hours(5);
    let at = |minutes: i64| (began + TimeDelta::minutes(minutes)).to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut rows: Vec<Row> = TASKS
        .iter()
        .zip(0..)
        .map(|(task, number)| Row::failed(&format!("01JRX3M7ZD7Q8M5T8E2Y9V4B{number:02}"), task, &at(number)))
        .collect();
    rows.extend((0..40).map(|tenant| {
        Row::failed(&format!("01JRX3M7ZD7Q8M5T8E2Y9V4C{tenant:02}"), "invoices", &at(60 + tenant)).with(|row| {
            row.params_json = Some(format!("{{\"day\":\"monday\",\"tenant\":{tenant}}}"));
            if tenant == 39 {
                row.end_reason = Some("success".to_owned());
                (row.exit_code, row.is_failure) = (0, 0);
            }
        })
    }));
    (Store::new().holding(&rows), began)
}

/// The same night in a store that keeps a ledger.
fn kept_night() -> Store {
    let (store, _) = bad_night();
    open(&store.path).create_ledger().unwrap();
    store
}

/// Whoever is on call, and how many steps were taken.
struct Operator<'s> {
    store: &'s Store,
    steps: u32,
}

impl Operator<'_> {
    fn of(store: &Store) -> Operator<'_> {
        Operator { store, steps: 0 }
    }

    /// Types a line of `bulk-rerun`, and an answer where one is asked for. What is then to be read, and the exit status.
    fn types(&mut self, line: &str, answer: &str) -> (Option<i32>, String) {
        self.steps += 1 + u32::from(!answer.is_empty());
        let line = format!("export BULK_RERUN_STORE='{}'; bulk-rerun {line}", self.store.path_str());
        let (status, shown) = at_a_terminal(100, &line, answer);
        (status, plain(&shown))
    }
}

/// The tasks of the runs that are pending, each as often as it is.
fn pending(store: &Store) -> Vec<String> {
    let connection = store.open();
    let mut tasks =
        connection.prepare("SELECT task_name FROM runs WHERE status = 'pending' ORDER BY task_name").unwrap();
    tasks.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The operation that a text names.
fn operation(shown: &str) -> &str {
    shown.split("(operation ").nth(1).and_then(|rest| rest.split(')').next()).unwrap_or_else(|| panic!("{shown}"))
}

#[test]
fn task_1_what_failed_and_from_when_to_when_1_step() {
    let (store, began) = bad_night();
    let mut operator = Operator::of(&store);
    let (status, shown) = operator.types("failures", "");
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let head = format!("45 failures of 7 tasks, from {} to {}", time(began), time(began + TimeDelta::minutes(60 + 38)));
    assert!(status == Some(0) && shown.starts_with(&head), "{head} is not in\n{shown}");
    assert!(shown.contains('█') && TASKS.iter().all(|task| shown.contains(task)), "{shown}");
    assert_eq!(operator.steps, 1);
}

#[test]
fn task_2_all_but_two_tasks_2_steps() {
    let (store, _) = bad_night();
    let mut operator = Operator::of(&store);
    let (status, shown) =
        operator.types(&format!("rerun {LAST_NIGHT} --except-task sync --except-task invoices"), "y\n");
    assert!(status == Some(0) && shown.contains("Spawn 5 new runs?"), "{shown}");
    assert_eq!(pending(&store), TASKS[..5]);
    assert_eq!(operator.steps, 2);
}

/// The plan by task says that it would leave 38 of them out, and how not to.
#[test]
fn task_3_one_task_for_all_tenants_its_parameters_seen_first_4_steps() {
    let (store, _) = bad_night();
    let mut operator = Operator::of(&store);
    let (_, shown) = operator.types("rerun --task invoices --is-failure", "n\n");
    assert!(shown.contains("1 of 39 sets") && shown.contains("--unique-by params"), "{shown}");
    let (status, shown) = operator.types("rerun --task invoices --is-failure --unique-by params", "y\n");
    assert_eq!(status, Some(0), "{shown}");
    assert!((0..39).all(|tenant| shown.contains(&format!("\"tenant\":{tenant}"))), "{shown}");
    let failed: Vec<String> = (0..39).map(|tenant| format!("{{\"day\":\"monday\",\"tenant\":{tenant}}}")).collect();
    let connection = store.open();
    let mut params = connection.prepare("SELECT params_json FROM runs WHERE status = 'pending'").unwrap();
    let started: Vec<String> = params.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(started.len() == 39 && failed.iter().all(|one| started.contains(one)), "{started:?}");
    assert_eq!(operator.steps, 4);
}

#[test]
fn task_4_one_first_and_then_the_rest_4_steps() {
    let (store, _) = bad_night();
    let _worker = Worker::on(&store, &[]);
    let mut operator = Operator::of(&store);
    let again = format!("rerun {LAST_NIGHT} --skip-active --skip-superseded");
    let (status, shown) = operator.types(&format!("{again} --take 1 --wait"), "y\n");
    assert!(status == Some(0) && shown.contains("Spawn 1 new run?"), "{shown}");
    assert!(shown.contains("1 new run succeeded"), "{shown}");
    let (status, shown) = operator.types(&format!("{again} --wait"), "y\n");
    assert!(status == Some(0) && shown.contains("Spawn 5 new runs?"), "{shown}");
    // The first of them and the invoices (whose last one came through) have succeeded since.
    assert!(shown.contains("5 new runs succeeded") && shown.contains("2 skipped"), "{shown}");
    let new: u32 = store.open().query_row("SELECT count(*) - 46 FROM runs", [], |row| row.get(0)).unwrap();
    assert_eq!((new, operator.steps), (6, 4));
}

#[test]
fn task_5_did_they_succeed_and_the_one_that_did_not_once_more_5_steps() {
    let store = kept_night();
    let mut operator = Operator::of(&store);
    let (_, shown) = operator.types(&format!("rerun {LAST_NIGHT} --except-task invoices"), "y\n");
    let operation = operation(&shown).to_owned();
    let worker = Worker::on(&store, &["import"]);
    let (status, shown) = operator.types(&format!("wait {operation}"), "");
    assert!(status == Some(4) && shown.contains("1 of 6 new runs did not succeed"), "{shown}");
    let row = shown.lines().rfind(|line| line.contains("failed (3)")).unwrap_or_else(|| panic!("{shown}"));
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[0], "import", "{shown}");
    drop(worker);
    let run = words[1].to_owned();
    let (status, shown) = operator.types(&format!("rerun --ids {run}"), "y\n");
    assert!(status == Some(0) && shown.contains("1 new run spawned"), "{shown}");
    assert_eq!((pending(&store), operator.steps), (vec!["import".to_owned()], 5));
}

#[test]
fn task_6_a_wrong_one_is_taken_back_3_steps() {
    let store = kept_night();
    Operator::of(&store).types("rerun --task sync --is-failure", "y\n");
    assert_eq!(pending(&store), ["sync"]);
    // Somebody else, who was told of it.
    let mut operator = Operator::of(&store);
    let (_, shown) = operator.types("history", "");
    let operation = shown.split_whitespace().find(|word| word.len() == 26).unwrap_or_else(|| panic!("{shown}"));
    let (status, shown) = operator.types(&format!("undo {operation}"), "y\n");
    assert!(status == Some(0) && shown.contains("1 new run taken back"), "{shown}");
    assert_eq!((pending(&store).len(), operator.steps), (0, 3));
}

#[test]
fn task_7_a_colleague_did_it_already_2_steps() {
    let store = kept_night();
    Operator::of(&store)
        .types(&format!("rerun {LAST_NIGHT} --except-task invoices --actor anna --reason 'the disk was full'"), "y\n");
    let mut operator = Operator::of(&store);
    let (status, shown) = operator.types(&format!("rerun {LAST_NIGHT} --skip-active --skip-superseded"), "");
    assert!(status == Some(0) && shown.contains("Nothing to re-run."), "{shown}");
    assert_eq!(shown.matches("  active ").count(), 6, "{shown}");
    let (_, shown) = operator.types("history --since 1h", "");
    assert!(shown.contains("anna") && shown.contains("the disk was full"), "{shown}");
    assert_eq!((pending(&store).len(), operator.steps), (6, 2));
}

/// As cron has it: no terminal, and a mail of what is printed.
#[test]
fn task_8_every_morning_from_cron_with_an_alert_1_line() {
    let (store, _) = bad_night();
    let line = format!(
        "bulk-rerun rerun --store '{}' {LAST_NIGHT} --skip-active --skip-superseded --yes --quiet --wait 10m || echo \"ALERT $?\"",
        store.path_str()
    );
    let cron = || text(&shell(&format!("({line}) 2>&1 </dev/null")).output().unwrap().stdout);
    let worker = Worker::on(&store, &["import"]);
    let mail = cron();
    assert!(mail.ends_with("ALERT 4\n") && mail.contains("1 of 6 new runs did not succeed"), "{mail}");
    assert!(!mail.contains('\u{1b}') && mail.contains("failed (3)"), "{mail}");
    drop(worker);
    let _worker = Worker::on(&store, &[]);
    let mail = cron();
    assert!(mail.contains("1 new run succeeded") && !mail.contains("ALERT"), "{mail}");
    assert_eq!(cron(), "", "a morning without a mail");
}

/// The digest is what is handed on: a colleague re-runs just that plan, or nothing.
#[test]
fn task_10_a_selection_is_shared_1_step_and_2() {
    let (store, _) = bad_night();
    let mut operator = Operator::of(&store);
    let (_, shown) = operator.types(&format!("rerun {LAST_NIGHT} --skip-active --dry-run"), "");
    let digest = shown.lines().find_map(|line| line.trim().strip_prefix("--expect-plan ")).unwrap();
    let mut colleague = Operator::of(&store);
    let sent = format!("rerun {LAST_NIGHT} --skip-active --expect-plan {digest}");
    let (status, shown) = colleague.types(&sent, "y\n");
    assert!(status == Some(0) && shown.contains("7 new runs spawned"), "{shown}");
    assert_eq!((operator.steps, colleague.steps), (1, 2));
    let (status, shown) = colleague.types(&format!("{sent} --yes"), "");
    assert!(status == Some(1) && shown.contains("the plan is no longer the expected one"), "{shown}");
    assert_eq!(pending(&store).len(), 7);
}

#[test]
fn task_11_2_000_tasks_in_the_plan_2_steps() {
    let at = (Utc::now() - TimeDelta::hours(3)).to_rfc3339_opts(SecondsFormat::Millis, true);
    let rows: Vec<Row> =
        (0..2000).map(|number| Row::failed(&format!("r{number}"), &format!("task-{number:04}"), &at)).collect();
    let store = Store::new().holding(&rows);
    let mut operator = Operator::of(&store);
    let (status, shown) = operator.types(&format!("rerun {LAST_NIGHT}"), "y\n");
    let (plan, result) = shown.split_once("[y/N]").unwrap();
    assert!(status == Some(0) && plan.contains("2000 new runs would be spawned"), "{plan}");
    assert!(plan.contains("… and 1960 more; --json lists all"), "{plan}");
    // The question is seen, and not only the end of the plan.
    assert!(plan.lines().count() < 60, "{plan}");
    assert!(result.contains("2000 new runs spawned"), "{result}");
    assert_eq!((pending(&store).len(), operator.steps), (2000, 2));
}

#[test]
fn task_12_a_store_that_is_busy_or_gone_1_step_each() {
    let (store, _) = bad_night();
    let writer = store.open();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut operator = Operator::of(&store);
    let (status, shown) = operator.types(&format!("rerun {LAST_NIGHT} --yes --busy-timeout 100ms"), "");
    assert!(status == Some(1) && shown.contains("busy"), "{shown}");
    writer.execute_batch("ROLLBACK").unwrap();
    assert_eq!(pending(&store).len(), 0);
    let (status, shown) = operator.types("failures --store gone.db", "");
    assert!(status == Some(1) && shown.contains("gone.db") && shown.contains("no store"), "{shown}");
    let (status, shown) = operator.types("failures --store postgres://me:s3cret@127.0.0.1:1/jobs", "");
    assert!(status == Some(1) && shown.contains("127.0.0.1") && !shown.contains("s3cret"), "{shown}");
    assert_eq!(operator.steps, 3);
}

/// By task the newest success of one tenant stands for all: whoever is told so sees that there is more to it.
#[test]
fn what_succeeded_for_one_of_forty_tenants_has_a_hint() {
    let (store, _) = bad_night();
    let mut operator = Operator::of(&store);
    let (_, shown) = operator.types("rerun --task invoices --is-failure --skip-superseded", "");
    assert!(shown.contains("Nothing to re-run.") && shown.contains("superseded"), "{shown}");
    assert!(shown.contains("several sets of parameters") && shown.contains("--unique-by params"), "{shown}");
    let (_, shown) = operator.types("rerun --task invoices --is-failure --skip-superseded --unique-by params", "n\n");
    assert!(shown.contains("Spawn 39 new runs?"), "{shown}");
}

/// Our own server has the file open as well, and is no RunWisp.
#[test]
fn our_own_server_is_not_the_runner() {
    let (store, _) = bad_night();
    let line = format!(
        "bulk-rerun serve --store '{0}' --listen 127.0.0.1:0 2>'{0}.log' & server=$!; trap 'kill $server' EXIT; \
         until grep -q 'serving on' '{0}.log'; do sleep 0.05; done; bulk-rerun check --store '{0}'",
        store.path_str()
    );
    let checked = text(&shell(&line).output().unwrap().stdout);
    assert!(checked.contains("runner     is not seen") && checked.contains("bulk-rerun (pid "), "{checked}");
}

/// A time that a plan shows is a whole second: as `--until` it has that run in it.
#[test]
fn a_time_copied_from_the_plan_includes_its_run() {
    let store = Store::new().holding(&[Row::failed("a", "mail", "2026-04-15T01:02:03.456Z")]);
    let mut operator = Operator::of(&store);
    let (_, shown) = operator.types("rerun --task mail --dry-run", "");
    let time = shown.split_whitespace().find(|word| word.starts_with("2026-04-15T")).unwrap();
    for flags in [format!("--until {time}"), format!("--since {time}")] {
        let (_, shown) = operator.types(&format!("rerun --task mail --dry-run {flags}"), "");
        assert!(shown.contains("1 new run would be spawned"), "{flags}: {shown}");
    }
}
