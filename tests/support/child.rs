//! The test binary as a child process of its own test: for what a process can't do to itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use bulk_rerun::{Config, ErrorModel, Plugin};
use serde_json::Value;

const STORE: &str = "BULK_RERUN_TEST_STORE";
const REQUESTS: &str = "BULK_RERUN_TEST_REQUESTS";
/// Names the child's task catalogue, if it has one.
pub const TASKS: &str = "BULK_RERUN_TEST_TASKS";
const MARK: &str = "ANSWER ";

/// Runs this test binary's ignored test `test` in a process of its own. `wrapper` is the command
/// before the binary's own, empty for none.
pub fn command(wrapper: &[&str], test: &str) -> Command {
    let binary = env::current_exe().unwrap();
    let mut words = wrapper.iter().map(Path::new).chain([binary.as_path()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command
}

/// What `command`, whose test is one that calls [`answer_requests`], answers to each request.
pub fn answers(mut command: Command, store: &str, requests: &[Value]) -> Vec<Result<Value, ErrorModel>> {
    let output = command.env(STORE, store).env(REQUESTS, Value::from(requests).to_string()).output().unwrap();
    let text = passed(&output);
    let answers: Vec<_> = text.lines().filter_map(|line| line.split_once(MARK)).map(|(_, json)| read(json)).collect();
    assert_eq!(answers.len(), requests.len(), "{text}");
    answers
}

/// The child's half of [`answers`].
pub fn answer_requests() {
    let requests: Vec<Value> = serde_json::from_str(&env::var(REQUESTS).unwrap()).unwrap();
    let tasks = env::var_os(TASKS).map(PathBuf::from);
    let config = Config { busy_timeout_ms: 100, tasks, ..Config::new(env::var(STORE).unwrap()) };
    let plugin = Plugin::open(&config);
    for request in requests {
        let answer = match &plugin {
            Ok(plugin) => plugin.call(request.to_string().as_bytes()),
            Err(error) => Err(error.clone()),
        };
        println!("\n{MARK}{}", answer.unwrap_or_else(|error| error.to_json()));
    }
}

/// The output of a child whose one test passed; a child that ran no test at all is an error too.
#[track_caller]
fn passed(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{}: {text}\n{errors}", output.status);
    text
}

fn read(json: &str) -> Result<Value, ErrorModel> {
    let value: Value = serde_json::from_str(json).unwrap();
    match value["status"].as_u64() {
        Some(status) => Err(ErrorModel::new(status as u16, value["detail"].as_str().unwrap())),
        None => Ok(value),
    }
}

/// A wrapper under which file permissions count, as they don't for root: empty for a normal user.
pub fn bound_by_permissions() -> &'static [&'static str] {
    let probe = tempfile::NamedTempFile::new().unwrap();
    fs::set_permissions(probe.path(), std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();
    match fs::OpenOptions::new().append(true).open(probe.path()) {
        // Root without any capability is a user like any other.
        Ok(_) => &["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--"],
        Err(_) => &[],
    }
}
