//! A plugin in async code: it blocks, as it says, and otherwise works as anywhere.

#[path = "support/postgres.rs"]
mod postgres;
#[path = "postgres/store.rs"]
#[allow(dead_code, reason = "every test uses some of it")]
mod store;
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use bulk_rerun::{Cancel, Config, ErrorModel, Plugin, Request};
use postgres::Client;
use serde_json::json;
use store::{all_failed, call, triggered};
use support::Row;
use tokio::runtime::Builder;

type Test = Box<dyn FnOnce() + Send>;

/// Does `test` on a store in a database and in a file, in every place that a plugin may be called from in async code. Each
/// time three tasks have failed.
fn everywhere(test: fn(&Config)) {
    for place in [in_the_main_future as fn(Test), in_a_task, on_a_blocking_thread] {
        let store = store::Store::with_failed(3);
        let config = store.config(&store.database.url);
        place(Box::new(move || test(&config)));

        let rows = ["a", "b", "c"].map(|id| Row::failed(id, &format!("task{id}"), "2026-04-15T12:00:00Z"));
        let store = support::Store::new().holding(&rows);
        let config = Config::new(store.path_str());
        place(Box::new(move || test(&config)));
    }
}

fn in_the_main_future(test: Test) {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async { test() });
}

fn in_a_task(test: Test) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::spawn(async { test() }).await.unwrap() });
}

fn on_a_blocking_thread(test: Test) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async { tokio::task::spawn_blocking(test).await.unwrap() });
}

/// How many runs wait to be run, as a program sees it that has no runtime.
fn pending(config: &Config) -> usize {
    let count = || {
        let request = Request::from_json(br#"{"match_all": true, "filter": {"status": "pending"}}"#).unwrap();
        let mut count = 0;
        let mut one_more = |_| {
            count += 1;
            Ok(())
        };
        Plugin::open(config).unwrap().select(&request.selector, &mut one_more).unwrap();
        count
    };
    thread::scope(|scope| scope.spawn(count).join().unwrap())
}

fn request() -> Request {
    Request::from_json(all_failed(json!({})).to_string().as_bytes()).unwrap()
}

#[test]
fn every_method_works() {
    everywhere(|config| {
        let plugin = Plugin::open(config).unwrap();
        plugin.ping().unwrap();
        assert!(plugin.describe().unwrap().writable);
        assert_eq!(plugin.survey().unwrap().tasks, 3);
        assert!(plugin.trial(None).unwrap().new.is_some());
        let mut cursor = plugin.cursor(br#"{"match_all": true}"#).unwrap();
        let mut runs = 0;
        while cursor.next_run().unwrap().is_some() {
            runs += 1;
        }
        assert_eq!(runs, 3);
        let mut ids = Vec::new();
        let mut note = |run: bulk_rerun::Run| {
            ids.push(run.id);
            Ok(())
        };
        plugin.select(&request().selector, &mut note).unwrap();
        assert_eq!(ids.len(), 3);
        assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 3);
        assert_eq!(plugin.rerun(&request()).unwrap().triggered.len(), 3);
        assert_eq!(plugin.rerun_unless(&Cancel::new(), &request()).unwrap().triggered.len(), 3);
        assert_eq!(pending(config), 9);
    });
}

#[test]
fn a_predicate_is_asked_on_the_callers_thread() {
    everywhere(|config| {
        let plugin = Plugin::open(config).unwrap();
        let here = thread::current().id();
        let mut asked = 0;
        let answer = plugin.call_where(all_failed(json!({})).to_string().as_bytes(), &mut |run| {
            assert_eq!(thread::current().id(), here);
            asked += 1;
            let from_within = plugin.ping().unwrap_err();
            assert_eq!(from_within.status, 409, "{from_within}");
            Ok(run.task_name.ends_with(['1', 'a']))
        });
        assert_eq!((asked, pending(config)), (3, 1), "{answer:?}");
    });
}

#[test]
fn what_a_predicate_fails_with_comes_back() {
    everywhere(|config| {
        let plugin = Plugin::open(config).unwrap();
        let request = all_failed(json!({})).to_string();
        let no = |_: &bulk_rerun::Run| Err(ErrorModel::new(418, "not this one"));
        assert_eq!(plugin.call_where(request.as_bytes(), &mut { no }).unwrap_err().status, 418);

        let panicking = || plugin.call_where(request.as_bytes(), &mut |run| panic!("{} is too much", run.task_name));
        let panic = catch_unwind(AssertUnwindSafe(panicking)).unwrap_err();
        assert!(panic.downcast_ref::<String>().unwrap().ends_with(" is too much"));

        assert_eq!(pending(config), 0);
        assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 3, "it works on");
    });
}

#[test]
fn what_can_not_be_opened_says_so() {
    everywhere(|config| {
        let config = Config { profile: Some("nobody's".to_owned()), ..config.clone() };
        let error = Plugin::open(&config).err().expect("the plugin should not open");
        assert!(error.detail.contains("nobody's"), "{error}");
    });
}

/// Its connections end with it, as they do elsewhere.
#[test]
fn a_plugin_may_be_dropped() {
    let store = store::Store::with_failed(1);
    let watch = Client::connect(&store.database.url);
    let connections = || {
        let sql =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        watch.value(sql).unwrap().parse::<usize>().unwrap()
    };
    let before = connections();
    let config = store.config(&store.database.url);
    in_a_task(Box::new(move || {
        let plugin = Plugin::open(&config).unwrap();
        plugin.ping().unwrap();
        drop(plugin);
    }));
    let patience = Instant::now() + Duration::from_secs(20);
    while connections() > before {
        assert!(Instant::now() < patience, "a connection has stayed");
        sleep(Duration::from_millis(10));
    }
}
