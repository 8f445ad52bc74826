//! The Luas that scripts are tested in: the command line tool's own, and the stock interpreters with the module.

#![allow(dead_code, reason = "every test uses some of it")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Set by `tests/run`: the folder that `tests/lua/build.sh` has put the modules into. Without it only the
/// command line tool's own Lua is there.
const FOLDER: &str = "BULK_RERUN_TEST_LUA";

/// A Lua to run scripts in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interpreter {
    /// What a test calls it: `lua5.4`.
    pub name: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// `bulk-rerun lua`.
    Tool,
    /// A command on the `PATH`.
    Command,
    /// Built from its sources, beside the modules.
    Built,
}

/// The one that is built with the modules.
pub const LUA_5_5: Interpreter = Interpreter { name: "lua5.5", kind: Kind::Built };

/// All of them.
pub const ALL: [Interpreter; 7] = [
    Interpreter { name: "bulk-rerun lua", kind: Kind::Tool },
    Interpreter { name: "lua5.1", kind: Kind::Command },
    Interpreter { name: "lua5.2", kind: Kind::Command },
    Interpreter { name: "lua5.3", kind: Kind::Command },
    Interpreter { name: "lua5.4", kind: Kind::Command },
    LUA_5_5,
    Interpreter { name: "luajit", kind: Kind::Command },
];

impl Interpreter {
    /// Whether it is there to be tested.
    pub fn is_there(self) -> bool {
        self.kind == Kind::Tool || folder().is_some()
    }

    /// Whether it loads the module, as a stock interpreter does.
    pub fn is_stock(self) -> bool {
        self.kind != Kind::Tool
    }

    /// The folder of its module.
    pub fn module(self) -> PathBuf {
        folder().expect("the modules are there").join(self.name)
    }

    /// The command that runs a script, in an environment of its own.
    pub fn run(self, script: &Path) -> Command {
        self.run_with_module_of(self, script)
    }

    /// As [`Interpreter::run`], but with the module that is for another one.
    pub fn run_with_module_of(self, other: Interpreter, script: &Path) -> Command {
        let mut command = match self.kind {
            Kind::Tool => Command::new(env!("CARGO_BIN_EXE_bulk-rerun")),
            Kind::Command => Command::new(self.name),
            Kind::Built => Command::new(folder().expect("the modules are there").join(self.name).join("lua")),
        };
        if self.kind == Kind::Tool {
            command.arg("lua");
        } else {
            command.env("LUA_CPATH", other.module().join("?.so"));
        }
        for variable in ["BULK_RERUN_STORE", "BULK_RERUN_PROFILE", "BULK_RERUN_TASKS", "BULK_RERUN_LIB", "LUA_INIT"] {
            command.env_remove(variable);
        }
        command.arg(script);
        command
    }
}

fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}
