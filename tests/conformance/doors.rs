//! The doors: the ways to call the operation.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};

use bulk_rerun::http::{HttpConfig, ServerConfig};
use bulk_rerun::{Config, Plugin};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::library::{Installed, compile_c};
use crate::server::Server;
use crate::{Door, TestStore};

#[path = "../support/lua.rs"]
mod lua;

pub fn all() -> Vec<Arc<dyn Door>> {
    let mut doors: Vec<Arc<dyn Door>> = vec![
        Arc::new(Rust),
        Arc::new(CommandLine),
        Arc::new(Http),
        Arc::new(C),
        Arc::new(AttachedC),
        Arc::new(Extension),
    ];
    doors.extend(lua::ALL.into_iter().map(|lua| Arc::new(Lua(lua)) as Arc<dyn Door>));
    doors
}

/// Runs a program with the request on its standard input.
fn with_input(command: &mut Command, request: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("its standard input is piped");
    input.write_all(request.as_bytes()).expect("it reads its standard input");
    drop(input);
    child.wait_with_output().expect("it ends")
}

/// The JSON that a program has printed, and nothing else, with the status that it tells.
fn printed(output: &Output) -> (u16, Value) {
    let answer: Value = serde_json::from_slice(&output.stdout).expect("its output is JSON and nothing else");
    (answer["status"].as_u64().map_or(200, |status| status as u16), answer)
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
        let output = with_input(&mut command, request);
        let (status, answer) = printed(&output);
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

/// `POST /api/runs/bulk/rerun`, on a server of its own.
struct Http;

impl Door for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn call(&self, store: &dyn TestStore, request: &str) -> (u16, Value) {
        let config = Config { profile: store.profile(), ..Config::new(store.address()) };
        let server = Server::start(&config, HttpConfig::default(), ServerConfig::default());
        let answer = server.post(request);
        let (name, kind) = match answer.status {
            200 => ("BulkRerunBody", "application/json"),
            _ => ("ErrorModel", "application/problem+json"),
        };
        assert_eq!(answer.header("content-type"), Some(kind));
        let mut json = answer.json();
        let schema = json.as_object_mut().and_then(|answer| answer.remove("$schema"));
        assert_eq!(schema, Some(format!("http://{}/schemas/{name}.json", server.address()).into()));
        (answer.status, json)
    }
}

/// The shared library, loaded by a program in C: `bulk_rerun_call` over a store.
struct C;

impl Door for C {
    fn name(&self) -> &'static str {
        "c"
    }

    fn call(&self, store: &dyn TestStore, request: &str) -> (u16, Value) {
        static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
        let program = PROGRAM.get_or_init(|| compile_c("door", &["-ldl"]));
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", Installed::get().lib());
        command.args([store.address(), store.profile().unwrap_or_default()]);
        answered(&with_input(&mut command, request))
    }
}

/// The shared library, with a host in C behind callbacks.
struct AttachedC;

impl Door for AttachedC {
    fn name(&self) -> &'static str {
        "c, attached"
    }

    fn attaches(&self) -> bool {
        true
    }

    fn call(&self, store: &dyn TestStore, request: &str) -> (u16, Value) {
        static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
        let program = PROGRAM.get_or_init(|| compile_c("attached_door", &["-lbulk_rerun", "-lcjson"]));
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", Installed::get().lib());
        command.arg(store.address()).arg(if store.has_transactions() { "transactions" } else { "plain" });
        answered(&with_input(&mut command, request))
    }
}

/// What a program in C has printed, which must have ended well.
fn answered(output: &Output) -> (u16, Value) {
    assert!(output.status.success(), "the program in C ended with {}", output.status);
    printed(output)
}

/// `host:rerun(…)` in a Lua script.
struct Lua(lua::Interpreter);

impl Door for Lua {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn is_there(&self) -> bool {
        self.0.is_there()
    }

    /// Lua's tables have no order, and the request is sent with its fields sorted.
    fn keeps_the_order_of_fields(&self) -> bool {
        false
    }

    fn call(&self, store: &dyn TestStore, request: &str) -> (u16, Value) {
        let mut command = self.0.run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lua/door.lua"));
        let output = with_input(command.arg(store.address()).args(store.profile()), request);
        assert!(output.status.success(), "the script ended with {}", output.status);
        printed(&output)
    }
}

/// `SELECT bulk_rerun(request, config)`, in the SQLite that the tests have.
struct Extension;

impl Door for Extension {
    fn name(&self) -> &'static str {
        "SQLite extension"
    }

    fn needs_sqlite(&self) -> bool {
        true
    }

    fn call(&self, store: &dyn TestStore, request: &str) -> (u16, Value) {
        let connection = Connection::open(store.address()).expect("the store opens");
        let library = Installed::get().lib().join("libbulk_rerun.so");
        // SAFETY: what the library does when it is loaded is to register its function.
        unsafe {
            connection.load_extension_enable().expect("SQLite loads extensions");
            connection.load_extension(library, None::<&str>).expect("the library is one");
        }
        let config = json!({"profile": store.profile()}).to_string();
        let answer: String = connection
            .query_row("SELECT bulk_rerun(?1, ?2)", [request, &config], |row| row.get(0))
            .expect("an error is an answer, too");
        let answer: Value = serde_json::from_str(&answer).expect("an answer is JSON");
        (answer["status"].as_u64().map_or(200, |status| status as u16), answer)
    }
}
