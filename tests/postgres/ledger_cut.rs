//! A key and a connection that is cut, at every request of a call, or a server that is replaced by its standby in the
//! middle: the same key again tells what really happened, and does what did not.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use bulk_rerun::{Config, Plugin};
use serde_json::{Value, json};

use crate::failover::replicated;
use crate::postgres::{Client, Server};
use crate::proxy::{Cut, Proxy};
use crate::store::{Store, all_failed, assert_error, call, triggered};

fn keyed(key: &str) -> Value {
    all_failed(json!({"idempotency_key": key}))
}

fn number(client: &Client, sql: &str) -> usize {
    client.value(sql).unwrap().parse().unwrap()
}

/// Jobs, operations, and the ledger's runs that are there as jobs.
fn counts(client: &Client) -> [usize; 3] {
    ["job", "bulk_rerun.operations", "bulk_rerun.runs JOIN job ON job.id::text = run_id AND task = task_name"]
        .map(|of| number(client, &format!("SELECT count(*) FROM {of}")))
}

fn is_repeat(answer: &Value) -> bool {
    answer.get("replayed").is_some()
}

#[test]
fn a_connection_that_is_cut_at_any_request_costs_no_run_and_makes_none_twice() {
    let cuts: [fn(u32) -> Cut; 2] = [Cut::BeforeRequest, Cut::AfterRequest];
    for cut in cuts {
        let store = Store::with_failed(3);
        assert_eq!(store.open().create_ledger(), Ok(true));
        let proxy = Proxy::start(store.database.server.port);
        let config = Config { busy_timeout_ms: 5_000, ..store.config(&proxy.through(&store.database.url)) };
        let direct = Plugin::open(&Config { busy_timeout_ms: 60_000, ..store.config(&store.database.url) }).unwrap();
        let mut calls = 0;
        let mut failed = 0;
        loop {
            let key = calls.to_string();
            // What opening it asks is no part of a call.
            let plugin = Plugin::open(&config).unwrap();
            proxy.cut(cut(calls));
            let answer = call(&plugin, &keyed(&key));
            let is_over = !proxy.has_cut();
            proxy.cut(Cut::Never);
            calls += 1;
            let done = calls as usize;
            match answer {
                Ok(answer) => {
                    let again = call(&direct, &keyed(&key)).unwrap();
                    assert_eq!((is_repeat(&again), &again["triggered"]), (true, &answer["triggered"]), "{key}");
                }
                Err(error) => {
                    failed += 1;
                    // Who asks for a COMMIT asks until it is known: it was not done.
                    assert!(error.detail.contains("nothing was changed"), "{key}: {error}");
                    assert_eq!(triggered(&call(&direct, &keyed(&key)).unwrap()), 3, "{key}");
                }
            }
            assert_eq!(counts(&store.client), [3 + 3 * done, done, 3 * done], "{:?}", cut(calls - 1));
            if is_over {
                break;
            }
        }
        println!("{failed} of {calls} calls failed, cut as in {:?}", cut(0));
        assert!(failed > 5, "only {failed} of {calls} were cut in the middle");
    }
}

/// A primary with a ledger, its standby, and an address that names both; `proxy` is the way to the primary.
struct Pair {
    store: Store,
    standby: Server,
    proxy: Proxy,
    url: String,
}

impl Pair {
    fn new(failed: u32) -> Pair {
        let (store, standby, proxy) = replicated(failed);
        assert_eq!(store.open().create_ledger(), Ok(true));
        let (before, database) = proxy.through(&store.database.url).rsplit_once('/').map(own).unwrap();
        let url = format!("{before},127.0.0.1:{}/{database}?target_session_attrs=read-write", standby.port);
        let pair = Pair { store, standby, proxy, url };
        // What is committed is to be seen on the standby, as far as the standby is there.
        pair.store.client.execute("ALTER SYSTEM SET synchronous_commit = 'remote_apply'");
        pair.store.client.execute("ALTER SYSTEM SET synchronous_standby_names = '*'");
        pair.store.client.execute("SELECT pg_reload_conf()");
        until("the standby is a synchronous one", || {
            let in_step = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'";
            number(&pair.store.client, in_step) == 1
        });
        pair
    }

    /// The primary is none any more: the standby gets no more of it, and the primary does not wait for that.
    fn part(&self) {
        self.store.client.execute("ALTER SYSTEM RESET synchronous_standby_names");
        self.store.client.execute("SELECT pg_reload_conf()");
        let standby = self.standby();
        standby.execute("ALTER SYSTEM SET primary_conninfo = ''");
        standby.execute("SELECT pg_reload_conf()");
        until("the standby has left", || number(&self.store.client, "SELECT count(*) FROM pg_stat_replication") == 0);
    }

    fn standby(&self) -> Client {
        Client::connect(&self.standby.url("postgres", &self.store.database.name))
    }

    /// The primary dies, and the standby takes its place.
    fn fail_over(&self) -> Client {
        self.store.database.server.control(&["stop", "-m", "immediate"]);
        let standby = self.standby();
        standby.execute("SELECT pg_promote()");
        standby
    }

    fn plugin(&self) -> Plugin {
        Plugin::open(&Config { busy_timeout_ms: 500, ..self.store.config(&self.url) }).unwrap()
    }
}

fn own((one, other): (&str, &str)) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

/// Waits for the server's own doings.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited until {what}, in vain");
        sleep(Duration::from_millis(20));
    }
}

/// Whatever the lost COMMIT came to: what counts is what the new primary has.
#[test]
fn after_a_failover_the_key_tells_what_the_new_primary_has() {
    for (cut, is_in_step, is_known_there) in [
        (Cut::AfterCommitForGood, true, true),
        // Committed, and lost with the primary.
        (Cut::AfterCommitForGood, false, false),
        (Cut::BeforeCommit, true, false),
    ] {
        let pair = Pair::new(3);
        let plugin = pair.plugin();
        if !is_in_step {
            pair.part();
        }
        pair.proxy.cut(cut);
        let error = call(&plugin, &keyed("k")).unwrap_err();
        let words = if cut == Cut::BeforeCommit { "nothing was changed" } else { "look for the new runs" };
        assert_error(&error, 500, &[words]);
        let committed = if cut == Cut::BeforeCommit { 3 } else { 6 };
        assert_eq!(pair.store.count(), committed, "{cut:?}");
        if is_known_there {
            // To be told takes no primary.
            let standby = Plugin::open(&pair.store.config(&pair.standby.url("postgres", &pair.store.database.name)));
            assert!(is_repeat(&call(&standby.unwrap(), &keyed("k")).unwrap()));
        }

        let new_primary = pair.fail_over();
        let answer = call(&plugin, &keyed("k")).unwrap();
        assert_eq!((triggered(&answer), is_repeat(&answer)), (3, is_known_there), "{cut:?}, {is_in_step}");
        // The command line, which knows nothing of what was before.
        let mut tool = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"));
        tool.args(["rerun", "--status", "failed", "--yes", "--json", "--idempotency-key", "k", "--store", &pair.url]);
        let output = tool.arg("--profile").arg(pair.store.profile()).output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&told["triggered"], is_repeat(&told)), (&answer["triggered"], true), "{output:?}");
        assert_eq!(counts(&new_primary), [6, 1, 3], "{cut:?}, {is_in_step}");
    }
}

/// Each caller asks with its key until it is answered, and what was answered before the failover holds after it.
#[test]
fn a_failover_in_the_middle_of_many_keyed_calls_loses_none_and_doubles_none() {
    const CALLERS: usize = 4;
    const EACH: usize = 40;
    let pair = Pair::new(2);
    let answered = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    let deadline = Instant::now() + Duration::from_secs(120);
    let ask = |caller: usize| {
        let plugin = pair.plugin();
        let until_answered = |number: usize| loop {
            let key = format!("{caller} {number}");
            match call(&plugin, &keyed(&key)) {
                Ok(answer) => {
                    answered.fetch_add(1, Ordering::Relaxed);
                    return (key, answer);
                }
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            failed.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(20));
        };
        (0..EACH).map(until_answered).collect::<Vec<_>>()
    };
    let (answers, new_primary) = thread::scope(|scope| {
        let ask = &ask;
        let callers: Vec<_> = (0..CALLERS).map(|caller| scope.spawn(move || ask(caller))).collect();
        until("some are answered", || answered.load(Ordering::Relaxed) >= CALLERS * EACH / 4);
        let new_primary = pair.fail_over();
        let before = answered.load(Ordering::Relaxed);
        let answers: Vec<(String, Value)> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
        let repeats = answers.iter().filter(|(_, answer)| is_repeat(answer)).count();
        let failed = failed.load(Ordering::Relaxed);
        println!("{before} answered when the new primary was there; {failed} failed; {repeats} told by the repeat");
        (answers, new_primary)
    });
    assert!(failed.into_inner() > 0, "nobody was at work when the primary died");
    let all = CALLERS * EACH;
    assert_eq!(counts(&new_primary), [2 + 2 * all, all, 2 * all]);
    let plugin = pair.plugin();
    for (key, answer) in &answers {
        let again = call(&plugin, &keyed(key)).unwrap();
        assert_eq!((is_repeat(&again), &again["triggered"]), (true, &answer["triggered"]), "{key}");
    }
}
