//! The doors: the ways to call the operation.

use std::io::Write;
use std::process::{Command, Stdio};

use bulk_rerun::{Config, Plugin};
use serde_json::Value;

use crate::{Door, TestStore};

pub fn all() -> Vec<Box<dyn Door>> {
    vec![Box::new(Rust), Box::new(CommandLine)]
}

/// `Plugin::call`.
struct Rust;

impl Door for Rust {
    fn name(&self) -> &'static str {
        "rust"
    }

    fn call(&self, store: &dyn TestStore, request: &str) -> (u16, Value) {
        let config = Config { profile: store.profile(), ..Config::new(store.address()) };
        let answer = Plugin::open(&config).and_then(|plugin| plugin.call(request.as_bytes()));
        let (status, json) = match answer {
            Ok(json) => (200, json),
            Err(error) => (error.status, error.to_json()),
        };
        (status, serde_json::from_str(&json).expect("an answer is JSON"))
    }
}

/// `bulk-rerun rerun --selector - --yes --json`.
struct CommandLine;

impl Door for CommandLine {
    fn name(&self) -> &'static str {
        "command line"
    }

    fn call(&self, store: &dyn TestStore, request: &str) -> (u16, Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"));
        command.args(["rerun", "--selector", "-", "--yes", "--json", "--store", &store.address()]);
        if let Some(profile) = store.profile() {
            command.args(["--profile", &profile]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bulk-rerun starts");
        let mut input = child.stdin.take().expect("its standard input is piped");
        input.write_all(request.as_bytes()).expect("it reads its standard input");
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        let answer: Value = serde_json::from_slice(&output.stdout).expect("its output is JSON and nothing else");
        let status = answer["status"].as_u64().map_or(200, |status| status as u16);
        // A selector that can't be read is bad usage; whatever else fails has failed.
        let expected = match status {
            200 => [0, 3],
            _ => [1, 2],
        };
        let code = output.status.code().expect("it ends by itself");
        assert!(expected.contains(&code), "exit status {code} with the answer {answer}");
        (status, answer)
    }
}
