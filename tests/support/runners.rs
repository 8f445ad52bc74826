//! The real runners, each from its own registry: set up, started as processes of their own, waited for, stopped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bulk_rerun::Plugin;
use chrono::{DateTime, Utc};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::calls::{all_failed, call, planned};

/// What a runner does in a test takes a second or two; a machine under load is given much longer.
const PATIENCE: Duration = Duration::from_secs(300);

/// A runner that has been set up.
pub struct Runner {
    /// Its files, `tests/runners/NAME`.
    pub files: PathBuf,
    /// What was installed or built for it, `target/runners/NAME`.
    pub installed: PathBuf,
}

impl Runner {
    /// Sets it up, unless that is done already.
    pub fn set_up(name: &str) -> Runner {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let status = Command::new(root.join("tests/runners/set-up")).arg(name).status().unwrap();
        assert!(status.success(), "{name} could not be set up; its own words are above");
        Runner { files: root.join("tests/runners").join(name), installed: root.join("target/runners").join(name) }
    }

    /// Its Python, with its packages and its files in reach.
    pub fn python(&self) -> Command {
        let mut python = Command::new(self.installed.join("venv/bin/python"));
        python.env("PYTHONPATH", &self.files).env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
        python
    }
}

/// A process of a runner's, such as a worker. It ends with the test at the latest.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it prints goes to a file.
    pub fn start(mut command: Command, log: &Path) -> Process {
        let file = File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Process { child, log: log.to_owned() }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a probe finds what it looks for, while the process runs.
    #[track_caller]
    pub fn until<T>(&mut self, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
        let ended = |child: &mut Child| child.try_wait().unwrap();
        let found = look_for(|| match (probe(), ended(&mut self.child)) {
            (Some(found), _) => Some(found),
            (None, Some(status)) => panic!("waiting until {what}, the runner ended with {status}: {}", self.printed()),
            (None, None) => None,
        });
        found.unwrap_or_else(|| panic!("waited {PATIENCE:?} until {what}, in vain: {}", self.printed()))
    }

    /// Asks it to stop, as its users would, and waits for that.
    pub fn stop(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(asked.success(), "the runner was not there to be stopped: {}", self.printed());
        wait_for("the runner has stopped", || self.child.try_wait().unwrap())
    }

    /// What it has printed so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again until there is something to see, but not for ever.
#[track_caller]
pub fn wait_for<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    look_for(probe).unwrap_or_else(|| panic!("waited {PATIENCE:?} until {what}, in vain"))
}

fn look_for<T>(mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let found = probe();
        if found.is_some() {
            return found;
        }
        sleep(Duration::from_millis(20));
    }
    None
}

/// What a command prints. It has to succeed.
#[track_caller]
pub fn output(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{command:?}: {}\n{printed}\n{}", output.status, text(&output.stderr));
    printed
}

/// `bulk-rerun rerun --status failed --yes --json` on a store, with more flags.
#[track_caller]
pub fn rerun_the_failed(store: &str, flags: &[&str]) -> Value {
    let mut command = bulk_rerun();
    command.args(["rerun", "--status", "failed", "--yes", "--json", "--store", store]).args(flags);
    serde_json::from_str(&output(command)).unwrap()
}

/// What was started to wait until it is due is known to be active. (A busy machine may answer too late to tell.)
#[track_caller]
pub fn is_active_until(due: DateTime<Utc>, plugin: &Plugin) {
    let plan = call(plugin, &all_failed(json!({"skip_active": true, "dry_run": true}))).unwrap();
    assert!(planned(&plan).is_empty() || Utc::now() >= due, "it is pending meanwhile: {plan}");
}

/// `bulk-rerun check --json` on a store.
#[track_caller]
pub fn check(store: &str) -> Value {
    let mut command = bulk_rerun();
    command.args(["check", "--json", "--store", store]);
    serde_json::from_str(&output(command)).unwrap()
}

/// `bulk-rerun`, with nothing of the environment that could change what it does.
pub fn bulk_rerun() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BULK_RERUN_")) {
        command.env_remove(name);
    }
    command
}

/// A store's schema, statement by statement, without one table and what SQLite adds by itself.
pub fn schema(store: &Connection, without: &str) -> Vec<String> {
    let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND tbl_name <> ?1 AND name NOT LIKE 'sqlite\\_%' \
               ESCAPE '\\' ORDER BY sql";
    let mut statement = store.prepare(sql).unwrap();
    statement.query_map([without], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}
