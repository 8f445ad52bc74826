//! `bulk-rerun serve` as an operator starts it, and as a service manager ends it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::{DRY_RUN, held_up, night, until_one_spawns};

const TOKEN: &str = "s3cret-token";

/// The tool at work, and its log.
struct Tool {
    child: Child,
    log: BufReader<ChildStderr>,
    seen: String,
    url: String,
}

impl Tool {
    fn start(store: &str, arguments: &[&str], token: Option<&str>) -> Tool {
        let mut child = command(store, arguments, token).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        while !seen.contains("serving on ") {
            assert!(log.read_line(&mut seen).unwrap() > 0, "it ended: {seen}");
        }
        let url = seen.split("serving on ").nth(1).unwrap().split('/').take(3).collect::<Vec<_>>().join("/");
        Tool { child, log, seen, url }
    }

    fn post(&self, body: &str, token: Option<&str>) -> (u16, Value) {
        self.post_to("rerun", body, token)
    }

    fn post_to(&self, path: &str, body: &str, token: Option<&str>) -> (u16, Value) {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
        let agent = ureq::Agent::new_with_config(config);
        let mut request = agent.post(format!("{}/api/runs/bulk/{path}", self.url)).content_type("application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = request.send(body).unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap())
    }

    fn terminate(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    /// How it ended, and all that it logged.
    fn end(mut self) -> (ExitStatus, String) {
        self.terminate();
        self.log.read_to_string(&mut self.seen).unwrap();
        (self.child.wait().unwrap(), self.seen)
    }
}

fn command(store: &str, arguments: &[&str], token: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"));
    command.args(["serve", "--store", store]).args(arguments);
    command.env_remove("BULK_RERUN_TOKEN").env_remove("BULK_RERUN_LISTEN");
    if let Some(token) = token {
        command.env("BULK_RERUN_TOKEN", token);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What it says when it does not even start.
fn refusal(arguments: &[&str], token: Option<&str>) -> (Option<i32>, String) {
    let output = command(night().path_str(), arguments, token).output().unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn it_serves_logs_and_ends_in_peace() {
    let store = night();
    let tool = Tool::start(store.path_str(), &["--listen", "127.0.0.1:0"], None);
    assert_eq!(tool.post(DRY_RUN, None).1["matched"], 3);
    assert_eq!(tool.post(r#"{"ids": ["a1"]}"#, None).0, 200);
    let (status, log) = tool.end();
    assert!(status.success(), "{log}");
    assert!(log.contains("method=POST path=\"/api/runs/bulk/rerun\" status=200"), "{log}");
    assert!(log.contains("re-ran triggered=1 skipped=0") && log.contains("ended"), "{log}");
}

#[test]
fn who_is_turned_away_is_told_which_flag_lets_it_in() {
    let store = night();
    let tool = Tool::start(store.path_str(), &["--listen", "127.0.0.1:0"], None);
    let ask = |name: &str, value: &str| {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
        let request = ureq::Agent::new_with_config(config).post(format!("{}/api/runs/bulk/rerun", tool.url));
        request.header(name, value).send(DRY_RUN).unwrap().body_mut().read_to_string().unwrap()
    };
    let (host, origin) = (ask("host", "ops.example.com"), ask("origin", "https://ops.example.com"));
    assert!(host.contains("it can be allowed with --allow-host"), "{host}");
    assert!(origin.contains("its origin can be allowed with --allow-origin"), "{origin}");
    tool.end();
}

#[test]
fn a_failures_cause_is_in_the_log_and_not_in_the_answer() {
    let store = night();
    let tool = Tool::start(store.path_str(), &["--listen", "127.0.0.1:0"], None);
    let away = store.path.with_extension("away");
    fs::rename(&store.path, &away).unwrap();
    let (status, problem) = tool.post(r#"{"ids": ["a1"]}"#, None);
    fs::rename(&away, &store.path).unwrap();
    let log = tool.end().1;
    let detail = problem["detail"].as_str().unwrap();
    assert_eq!((status, log.matches(detail).count()), (500, 1), "{log}");
}

#[test]
fn what_spawns_is_finished_before_it_ends() {
    let (store, reader) = held_up();
    let tool = Tool::start(store.path_str(), &["--listen", "127.0.0.1:0", "--busy-timeout", "1day"], None);
    let (code, answer) = thread::scope(|scope| {
        let answer = scope.spawn(|| tool.post(r#"{"ids": ["a1", "b1"]}"#, None));
        until_one_spawns(&store);
        tool.terminate();
        // Its grace of some seconds has begun.
        while TcpStream::connect(tool.url.trim_start_matches("http://")).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(!answer.is_finished());
        drop(reader);
        answer.join().unwrap()
    });
    assert_eq!((code, answer["triggered"].as_array().unwrap().len()), (200, 2));
    let (status, log) = tool.end();
    assert!(status.success(), "{log}");
    assert_eq!(store.dump().len(), 3 + 2);
}

/// A pipe that nobody reads.
#[test]
fn requests_do_not_wait_for_who_reads_the_log() {
    let store = night();
    let tool = Tool::start(store.path_str(), &["--listen", "127.0.0.1:0"], None);
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build();
    let agent = ureq::Agent::new_with_config(config);
    let long = "long".repeat(3_000);
    for number in 0..150 {
        assert_eq!(agent.get(format!("{}/{number}/{long}", tool.url)).call().unwrap().status(), 404);
    }
    assert_eq!(tool.post(DRY_RUN, None).0, 200);
    let (status, log) = tool.end();
    assert!(status.success());
    let told: usize = log.matches("status=404").count();
    let lost = log.split("lost=").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    assert!((1..150).contains(&told), "{told} of 150");
    assert!(lost.parse::<usize>().unwrap() >= 150 - told, "{lost} lost and {told} told");
    assert!(log.lines().any(|line| line.ends_with(" ended")), "the end is told");
}

#[test]
fn a_json_log_has_a_json_object_in_every_line() {
    let store = night();
    let tool = Tool::start(store.path_str(), &["--listen", "127.0.0.1:0", "--log-format", "json"], None);
    tool.post(DRY_RUN, None);
    let log = tool.end().1;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered = lines.iter().find(|line| line["message"] == "answered").unwrap();
    assert_eq!((&answered["method"], &answered["status"]), (&"POST".into(), &200.into()));
    assert!(answered["span"]["id"].as_str().is_some_and(|id| id.len() == 26), "{answered}");
}

#[test]
fn nobody_else_is_let_in_without_a_token() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9477"] {
        let (code, error) = refusal(&["--listen", address], None);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains("a token is needed") && error.contains("BULK_RERUN_TOKEN"), "{error}");
    }
    let store = night();
    let tool = Tool::start(store.path_str(), &["--listen", "0.0.0.0:0"], Some(TOKEN));
    let tool = Tool { url: tool.url.replace("0.0.0.0", "127.0.0.1"), ..tool };
    assert_eq!(tool.post(DRY_RUN, None).0, 401);
    assert_eq!(tool.post(DRY_RUN, Some("wrong-secret")).0, 401);
    assert_eq!(tool.post(DRY_RUN, Some(TOKEN)).0, 200);
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", tool.child.id())).unwrap();
    let log = tool.end().1;
    for text in [log, arguments] {
        assert!(!text.contains(TOKEN) && !text.contains("wrong-secret"), "{text}");
    }
}

#[test]
fn the_token_comes_from_a_file_too() {
    let store = night();
    let file = store.path.with_extension("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let path = file.to_str().unwrap();
    let tool = Tool::start(store.path_str(), &["--listen", "127.0.0.1:0", "--token-file", path], None);
    assert_eq!(tool.post(DRY_RUN, None).0, 401);
    assert_eq!(tool.post(DRY_RUN, Some(TOKEN)).0, 200);
    tool.end();
    let (code, error) = refusal(&["--token-file", "/no/such/file"], None);
    assert!(code == Some(2) && error.contains("/no/such/file can't be read"), "{error}");
    fs::write(&file, "anna:horse\nscreen:battery:preview\n").unwrap();
    let tool = Tool::start(store.path_str(), &["--listen", "127.0.0.1:0", "--token-file", path], None);
    assert_eq!(tool.post(r#"{"ids": ["a1"]}"#, Some("battery")).0, 403);
    assert_eq!(tool.post(r#"{"ids": ["a1"]}"#, Some("horse")).0, 200);
    let log = tool.end().1;
    // Who it was is told; what they showed is not.
    assert!(log.contains("re-ran triggered=1 skipped=0 by=\"anna\""), "{log}");
    assert!(!log.contains("horse") && !log.contains("battery"), "{log}");
    for bad in ["", "two words"] {
        fs::write(&file, bad).unwrap();
        let (code, error) = refusal(&["--token-file", path], None);
        assert!(code == Some(2) && error.contains(path), "{error}");
        let (code, error) = refusal(&[], Some(bad));
        assert!(code == Some(2) && error.contains("BULK_RERUN_TOKEN"), "{error}");
        assert!(!error.contains("two words"));
    }
}

#[test]
fn who_has_undone_a_re_run_is_in_the_log() {
    let store = night();
    let file = store.path.with_extension("token");
    fs::write(&file, "anna:horse\n").unwrap();
    let flags = ["--listen", "127.0.0.1:0", "--ledger", "--token-file", file.to_str().unwrap()];
    let tool = Tool::start(store.path_str(), &flags, None);
    let id = tool.post(r#"{"ids": ["a1", "b1"]}"#, Some("horse")).1["operation_id"].as_str().unwrap().to_owned();
    let undo = format!("operations/{id}/undo");
    assert_eq!(tool.post_to(&undo, "", Some("wrong")).0, 401);
    assert_eq!(tool.post_to(&undo, "", Some("horse")).0, 200);
    let log = tool.end().1;
    assert!(log.contains(&format!("undid operation_id=\"{id}\" undone=2 kept=0 by=\"anna\"")), "{log}");
}

#[test]
fn what_can_not_be_served_is_said_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, error) = refusal(&["--listen", &address], None);
    assert!(code == Some(1) && error.contains(&format!("{address} can't be listened on")), "{error}");
    for (flag, value) in [("--allow-host", "http://x"), ("--allow-origin", "ops.example.com"), ("--listen", "9477")] {
        let (code, error) = refusal(&[flag, value], None);
        assert!(code == Some(2) && error.contains(value), "{error}");
    }
    let output = command("/no/such/store.db", &["--listen", "127.0.0.1:0"], None).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("there is no store at /no/such/store.db"));
}
