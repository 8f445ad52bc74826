//! A stand-in for RunWisp's daemon, which can't be had here: it speaks its published API over a real socket, and starts runs
//! in a real store as that describes. It does no work: what it starts stays pending.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, params};
use serde_json::{Value, json};

/// What the daemon is like.
#[derive(Clone)]
pub struct Manner {
    pub version: &'static str,
    /// Before 0.10: no parameters, and other names for things.
    pub is_old: bool,
    /// Its tasks, as its list has them.
    pub tasks: Vec<Value>,
    /// The store that it works on, where it is another than the one beside its socket.
    pub store: Option<PathBuf>,
    /// What it does instead of what it should, each time that it is to start a run of a task.
    pub quirks: BTreeMap<&'static str, Quirk>,
    /// What it answers to everything, instead of all this: bytes, as they go over the socket.
    pub says: Option<&'static [u8]>,
    /// It answers nothing at all.
    pub is_silent: bool,
}

#[derive(Clone, Copy)]
pub enum Quirk {
    /// It answers this, and starts nothing.
    Answers(u16, &'static str),
    /// It goes away without an answer, and for good.
    Vanishes,
    /// It starts the run, and never answers.
    NeverAnswers,
    /// It marks the run as skipped, since another is active, and says that it has failed.
    Skips,
    /// It marks the run as skipped, and answers as if nothing was.
    SkipsQuietly,
    /// It drops what parameters are given.
    DropsParameters,
    /// It answers 201, and no run.
    NamesNone,
    /// It takes a second to do anything.
    IsSlow,
    /// It starts the run, and somebody else takes the store's write lock for good.
    LocksTheStore,
}

impl Default for Manner {
    fn default() -> Self {
        Manner {
            version: "0.12.0",
            is_old: false,
            tasks: ["backup", "import", "mail"].map(|name| json!({"name": name})).to_vec(),
            store: None,
            quirks: BTreeMap::new(),
            says: None,
            is_silent: false,
        }
    }
}

/// A daemon beside a store, until it is dropped.
pub struct Daemon {
    pub socket: PathBuf,
    /// What it was asked: the method, the path, and the body.
    asked: Arc<Mutex<Vec<String>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    pub fn beside(store: &Path, manner: Manner) -> Daemon {
        Daemon::on(&store.with_file_name("runwisp.sock"), store, manner)
    }

    pub fn on(socket: &Path, store: &Path, manner: Manner) -> Daemon {
        let listener = UnixListener::bind(socket).unwrap();
        let (asked, ends): (Arc<Mutex<Vec<String>>>, Arc<AtomicBool>) = Default::default();
        let store = manner.store.clone().unwrap_or_else(|| store.to_owned());
        let (log, is_ending) = (Arc::clone(&asked), Arc::clone(&ends));
        let thread = thread::spawn(move || {
            let mut started = 0;
            while let Ok((client, _)) = listener.accept() {
                if is_ending.load(Ordering::Relaxed) {
                    return;
                }
                if serve(client, &manner, &store, &log, &is_ending, &mut started).is_none() {
                    return;
                }
            }
        });
        Daemon { socket: socket.to_owned(), asked, ends, thread: Some(thread) }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The runs that it was asked to start.
    pub fn asked_to_start(&self) -> Vec<String> {
        self.asked().into_iter().filter(|asked| asked.starts_with("POST")).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // It may be waiting for the next client; or it has gone away before.
        let _ = UnixStream::connect(&self.socket);
        let ended = self.thread.take().unwrap().join();
        let _ = std::fs::remove_file(&self.socket);
        if !thread::panicking() {
            ended.unwrap();
        }
    }
}

/// One request, and its answer. `None` if it goes away for good.
fn serve(
    client: UnixStream,
    manner: &Manner,
    store: &Path,
    log: &Mutex<Vec<String>>,
    is_ending: &AtomicBool,
    started: &mut usize,
) -> Option<()> {
    let mut reader = BufReader::new(&client);
    let Some((method, path, body)) = read_request(&mut reader) else { return Some(()) };
    log.lock().unwrap().push(format!("{method} {path} {body}").trim_end().to_owned());
    if let Some(words) = manner.says {
        (&client).write_all(words).unwrap();
        return Some(());
    }
    let quirk = task_to_start(&method, &path).and_then(|task| manner.quirks.get(task)).copied();
    let (status, answer) = match quirk {
        _ if manner.is_silent => return wait_in_silence(&client, is_ending),
        Some(Quirk::Vanishes) => return None,
        Some(Quirk::Answers(status, detail)) => (status, json!({"title": "x", "status": status, "detail": detail})),
        Some(Quirk::NamesNone) => (201, json!({})),
        Some(Quirk::IsSlow) => {
            thread::sleep(Duration::from_secs(1));
            answer(manner, store, &method, &path, &body, None, started)
        }
        _ => answer(manner, store, &method, &path, &body, quirk, started),
    };
    if let Some(Quirk::NeverAnswers) = quirk {
        return wait_in_silence(&client, is_ending);
    }
    // Its page is there for whatever it does not know.
    let (kind, text) = match answer {
        Value::Null => ("text/html", "<!doctype html>".to_owned()),
        answer if status >= 400 => ("application/problem+json", answer.to_string()),
        answer => ("application/json", answer.to_string()),
    };
    let head = format!("HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", text.len());
    // Who has heard enough may be gone.
    let _ = (&client).write_all((head + &text).as_bytes());
    Some(())
}

/// Until the client has gone.
fn wait_in_silence(client: &UnixStream, is_ending: &AtomicBool) -> Option<()> {
    client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    while !is_ending.load(Ordering::Relaxed) && !matches!((&*client).read(&mut [0]), Ok(0)) {}
    Some(())
}

fn read_request(reader: &mut impl BufRead) -> Option<(String, String, String)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut length = 0;
    let mut has_host = false;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "host" => has_host = true,
            name => assert!(!["authorization", "cookie", "origin"].contains(&name), "{line}"),
        }
        if line.trim().is_empty() {
            break;
        }
    }
    assert!(has_host, "a request without a Host: {path}");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((method, path, String::from_utf8(body).unwrap()))
}

fn task_to_start<'p>(method: &str, path: &'p str) -> Option<&'p str> {
    path.strip_prefix("/api/tasks/")?.strip_suffix("/run").filter(|_| method == "POST")
}

fn answer(
    manner: &Manner,
    store: &Path,
    method: &str,
    path: &str,
    body: &str,
    quirk: Option<Quirk>,
    started: &mut usize,
) -> (u16, Value) {
    let problem = |status: u16, detail: &str| (status, json!({"title": "x", "status": status, "detail": detail}));
    match (method, path) {
        ("GET", "/api/info") if manner.is_old => (200, json!({"version": manner.version, "port": 9477})),
        ("GET", "/api/daemon") if !manner.is_old => (200, json!({"version": manner.version, "port": 9477})),
        ("GET", "/api/tasks") if manner.is_old => (200, json!(manner.tasks)),
        ("GET", "/api/tasks") => (200, json!({"items": manner.tasks})),
        _ => {
            let Some(name) = task_to_start(method, path) else { return (200, Value::Null) };
            let Some(task) = manner.tasks.iter().find(|task| task["name"] == name) else {
                return problem(404, "task not found");
            };
            if task["kind"] == "service" {
                return problem(409, "services cannot be triggered; use the restart endpoint");
            }
            if task["manual_trigger"] == false {
                return problem(403, "manual triggering disabled for this task");
            }
            let given: Value = serde_json::from_str(body).unwrap_or_default();
            let params = match resolve(task, if manner.is_old { &Value::Null } else { &given["params"] }) {
                Ok(params) => params,
                Err(words) => return problem(400, &format!("invalid parameters: {words}")),
            };
            let params = if let Some(Quirk::DropsParameters) = quirk { BTreeMap::new() } else { params };
            *started += 1;
            let id = format!("01DAEMON{started:018}");
            let is_skipped = matches!(quirk, Some(Quirk::Skips | Quirk::SkipsQuietly));
            let (path, row) = (store.to_owned(), (id.clone(), name.to_owned(), params));
            // It is written down by somebody else, a moment later.
            let writes = thread::spawn(move || write_down(&path, &row, is_skipped));
            match quirk {
                Some(Quirk::Skips) => {
                    writes.join().unwrap();
                    problem(500, "Failed to trigger run")
                }
                Some(Quirk::LocksTheStore) => {
                    writes.join().unwrap();
                    lock_for_good(store);
                    (201, json!({"id": id, "taskName": name, "status": "pending"}))
                }
                _ if manner.is_old => (201, json!({"id": id, "task_name": name, "status": "pending"})),
                _ => (201, json!({"id": id, "taskName": name, "status": "pending"})),
            }
        }
    }
}

/// What a run gets of what is given, as the API's description has it.
fn resolve(task: &Value, given: &Value) -> Result<BTreeMap<String, String>, String> {
    let declared = task["parameters"].as_array().cloned().unwrap_or_default();
    let key = |parameter: &Value| parameter["key"].as_str().unwrap().to_owned();
    let given = given.as_object().cloned().unwrap_or_default();
    if let Some(unknown) = given.keys().find(|name| declared.iter().all(|parameter| key(parameter) != **name)) {
        return Err(format!("unknown parameter {unknown:?}"));
    }
    let mut resolved = BTreeMap::new();
    for parameter in &declared {
        let key = key(parameter);
        let value = match given.get(&key) {
            Some(Value::String(value)) => Some(value.clone()),
            Some(_) if parameter["kind"] != "flag" => None,
            _ => parameter["default"].as_str().map(str::to_owned),
        };
        let value = if parameter["kind"] == "flag" { Some(value.unwrap_or("false".to_owned())) } else { value };
        match value {
            Some(value) if parameter["choices"].as_array().is_some_and(|choices| !choices.contains(&json!(value))) => {
                return Err(format!("parameter {key:?} value {value:?} is not one of its choices"));
            }
            None if parameter["required"] == true => return Err(format!("parameter {key:?} is required")),
            Some(value) => drop(resolved.insert(key, value)),
            None => {}
        }
    }
    Ok(resolved)
}

fn write_down(store: &Path, (id, name, given): &(String, String, BTreeMap<String, String>), is_skipped: bool) {
    thread::sleep(Duration::from_millis(5));
    let mut connection = Connection::open(store).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    let (status, end_reason) = if is_skipped { ("ended", Some("skipped")) } else { ("pending", None) };
    let sql = "INSERT INTO runs (id, task_name, status, end_reason, triggered_by, created_at) \
               VALUES (?1, ?2, ?3, ?4, 'api', '2026-04-15 12:00:00.5 +0000 UTC')";
    let whole = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    whole.execute(sql, params![id, name, status, end_reason]).unwrap();
    if !given.is_empty() {
        // Older stores have no place for them.
        whole.execute("UPDATE runs SET params_json = ?2 WHERE id = ?1", params![id, json!(given).to_string()]).unwrap();
    }
    whole.commit().unwrap();
}

/// As long as this process lasts.
fn lock_for_good(store: &Path) {
    let connection = Connection::open(store).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::mem::forget(connection);
}
