//! The config: which store, and how to work in it. One shape for every door.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{self, Path, PathBuf};

use serde_json::Value;

use super::fields::{Fields, Findings};
use super::json::Node;
use super::texts::{DOOR_MAX, wrong_with_text};
use super::{Caller, ErrorModel, Spelling, parameters};

/// How long to wait for a lock that somebody else holds, where nothing else is said.
const BUSY_TIMEOUT_MS: u64 = 5_000;

/// Who starts the new runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Via {
    /// They are put into the store, all together, and the runner finds them there.
    #[default]
    Store,
    /// The runner's own daemon starts them, one by one: RunWisp's, which is asked on its socket beside the store.
    Daemon,
}

/// Which store, and how to work in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The store: a path, `sqlite:PATH`, or `postgres://…`. Only a path may be other than UTF-8.
    pub store: OsString,
    /// A standby of the store's server, `postgres://…`, which searches read in its place.
    pub replica: Option<String>,
    /// A built-in profile's name or a profile's file; found from the store's schema if absent.
    pub profile: Option<String>,
    /// What the parameters of that profile are set to, where it has any.
    pub parameters: BTreeMap<String, String>,
    /// A `runwisp.toml`, the task catalogue.
    pub tasks: Option<PathBuf>,
    /// How long to wait for a lock that somebody else holds, or for an answer of the daemon's, in milliseconds.
    pub busy_timeout_ms: u64,
    /// Who starts the new runs.
    pub via: Via,
    /// How an answer is spelled when the request's fields show no spelling.
    pub wire: Spelling,
    /// The host promises that it uses the same copy of SQLite as we do (`"sqlite": "shared"`).
    pub sqlite_shared: bool,
    /// Make the ledger when the store is opened, where there is none yet. Where there is one, every re-run is written down,
    /// whatever this says.
    pub ledger: bool,
    /// Who asks, as the ledger has it.
    pub caller: Caller,
}

impl Config {
    /// The defaults for a store: its profile is found, and it is waited for 5 seconds.
    pub fn new(store: impl Into<OsString>) -> Self {
        Config {
            store: store.into(),
            replica: None,
            profile: None,
            parameters: BTreeMap::new(),
            tasks: None,
            busy_timeout_ms: BUSY_TIMEOUT_MS,
            via: Via::Store,
            wire: Spelling::Snake,
            sqlite_shared: false,
            ledger: false,
            caller: Caller::default(),
        }
    }

    /// The same for a door's callers, where they do not say what they are.
    #[cfg(any(feature = "capi", feature = "lua"))]
    pub(crate) fn through(mut self, door: &'static str) -> Config {
        if self.caller == Caller::default() {
            self.caller = Caller::through(door);
        }
        self
    }

    /// The files that are read beside the store. (A profile may also be a built-in one's name.)
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.profile.as_deref().map(Path::new).into_iter().chain(self.tasks.as_deref())
    }

    /// Reads a config from the environment alone: `BULK_RERUN_STORE`, `BULK_RERUN_REPLICA`, `BULK_RERUN_PROFILE`,
    /// `BULK_RERUN_PARAMETERS` (`prefix=night_,queue=mail`), `BULK_RERUN_TASKS`, `BULK_RERUN_LEDGER`.
    ///
    /// # Errors
    ///
    /// As [`Config::from_json`].
    pub fn from_env() -> Result<Config, ErrorModel> {
        Config::from_json(b"{}")
    }

    /// Reads a config, such as `{"store": "runs.db", "busy_timeout_ms": 10000}`. What it does not say
    /// is taken from the environment; `{}` is the environment alone. `null` is the same as absent.
    /// Relative paths count from the folder of this moment: a program may change it afterwards.
    ///
    /// ```
    /// let config = bulk_rerun::Config::from_json(br#"{"store": "runs.db", "wire": "camel"}"#)?;
    /// assert_eq!(config.busy_timeout_ms, 5_000);
    /// # Ok::<(), bulk_rerun::ErrorModel>(())
    /// ```
    ///
    /// # Errors
    ///
    /// 400 if `json` is no JSON object; 422 with every violation otherwise, each at its place
    /// (`config.busy_timeout_ms`).
    pub fn from_json(json: &[u8]) -> Result<Config, ErrorModel> {
        let root = Node::object_from_json(json, "config", r#"{"store": "runs.db"}"#)?;
        let mut findings = Findings::default();
        let known = &[
            "store",
            "replica",
            "profile",
            "parameters",
            "tasks",
            "ledger",
            "busy_timeout_ms",
            "via",
            "wire",
            "sqlite",
            "door",
        ];
        let fields = Fields::read(&root, "config", known, &mut findings);
        let profile = given(&fields, "profile", "BULK_RERUN_PROFILE", &mut findings).map(absolute_profile);
        let profile = profile.map(OsString::into_string).transpose().unwrap_or_else(|path| {
            let message = "the path of the profile, or BULK_RERUN_PROFILE, is not UTF-8; give the file another name";
            findings.report(&fields.place("profile"), message, path.to_string_lossy().into());
            None
        });
        let replica = given(&fields, "replica", "BULK_RERUN_REPLICA", &mut findings);
        let replica = replica.map(OsString::into_string).transpose().unwrap_or_else(|_| {
            findings.report(&fields.place("replica"), "the replica, or BULK_RERUN_REPLICA, is not UTF-8", Value::Null);
            None
        });
        let config = Config {
            replica,
            store: given(&fields, "store", "BULK_RERUN_STORE", &mut findings).map(absolute_store).unwrap_or_default(),
            profile,
            parameters: fields.texts("parameters", &mut findings).unwrap_or_else(|| {
                parameters::of_the_environment().unwrap_or_else(|wrong| {
                    findings.report(&fields.place("parameters"), wrong, Value::Null);
                    BTreeMap::new()
                })
            }),
            tasks: given(&fields, "tasks", "BULK_RERUN_TASKS", &mut findings).map(|path| absolute_path(path.into())),
            busy_timeout_ms: fields.count("busy_timeout_ms", 0, &mut findings).unwrap_or(BUSY_TIMEOUT_MS),
            via: match fields.word("via", &["store", "daemon"], &mut findings) {
                Some("daemon") => Via::Daemon,
                _ => Via::Store,
            },
            wire: match fields.word("wire", &["snake", "camel"], &mut findings) {
                Some("camel") => Spelling::Camel,
                _ => Spelling::Snake,
            },
            sqlite_shared: fields.word("sqlite", &["shared"], &mut findings).is_some(),
            ledger: match fields.node("ledger") {
                Some(_) => fields.boolean("ledger", &mut findings),
                None => env::var_os("BULK_RERUN_LEDGER")
                    .is_some_and(|value| !["", "0", "false"].map(OsStr::new).contains(&&*value)),
            },
            // For what stands between a program and the C ABI, as Lua's module does.
            caller: match fields.string("door", &mut findings) {
                Some(door) => Caller { door: door.to_owned().into(), actor: None },
                None => Caller::default(),
            },
        };
        if let Some(wrong) = wrong_with_text(&config.caller.door, DOOR_MAX) {
            findings.report(&fields.place("door"), wrong, fields.value("door"));
        }
        findings.violations.iter_mut().for_each(|violation| hide_secrets(&mut violation.value));
        findings.unprocessable()?;
        Ok(config)
    }
}

/// An address may have a password in it, wherever it was put by mistake.
fn hide_secrets(value: &mut Value) {
    match value {
        Value::String(text) if text.contains(['@', '=']) || text.contains("//") => *text = "…".to_owned(),
        Value::Array(items) => items.iter_mut().for_each(hide_secrets),
        Value::Object(fields) => fields.values_mut().for_each(hide_secrets),
        _ => {}
    }
}

/// A text of the config, else of the environment. An empty one is none.
fn given(fields: &Fields, name: &str, variable: &str, findings: &mut Findings) -> Option<OsString> {
    let given = fields.string(name, findings).map(OsString::from);
    given.or_else(|| env::var_os(variable)).filter(|text| !text.is_empty())
}

/// A store by its absolute path. What may be an address is left to whoever opens it.
fn absolute_store(store: OsString) -> OsString {
    match store.to_str().map(|text| (text.strip_prefix("sqlite:"), text.contains([':', '@', '=']))) {
        Some((Some(path), _)) if !path.is_empty() => {
            let mut store = OsString::from("sqlite:");
            store.push(absolute_path(path.into()));
            store
        }
        Some((_, true)) => store,
        _ => absolute_path(store.into()).into(),
    }
}

/// A profile by its absolute path; a built-in one's name has neither a slash nor a dot.
fn absolute_profile(profile: OsString) -> OsString {
    match profile.to_str() {
        Some(text) if !text.contains(['/', '.']) => profile,
        _ => absolute_path(profile.into()).into(),
    }
}

fn absolute_path(path: PathBuf) -> PathBuf {
    // It fails where the process's folder is gone, and then no relative path leads anywhere.
    path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_violation_has_its_place() {
        let json =
            br#"{"stor": "a", "busy_timeout_ms": -1, "via": "post", "wire": "kebab", "sqlite": true, "ledger": 1,
                        "parameters": {"shard": 3, "queue": "a", "queue": "b"}}"#;
        let error = Config::from_json(json).unwrap_err();
        assert_eq!(error.status, 422);
        let places: Vec<&str> = error.errors.iter().map(|violation| violation.location.as_str()).collect();
        let [stor, shard, queue] =
            ["stor", "parameters.shard", "parameters.queue"].map(|field| format!("config.{field}"));
        let known = ["config.busy_timeout_ms", "config.via", "config.wire", "config.sqlite", "config.ledger"];
        assert_eq!(places, [&[&*stor, &*shard, &*queue], &known[..]].concat());
        assert!(error.errors[0].message.contains("did you mean `store`?"), "{error}");
    }

    #[test]
    fn an_address_in_the_wrong_place_is_not_repeated() {
        let json = br#"{"stor": "postgres://me:s3cret@db/jobs", "store": ["host=db password=s3cret"], "db": {"u": "a:s3cret@b"}}"#;
        let error = Config::from_json(json).unwrap_err();
        assert_eq!(error.errors.len(), 3);
        assert!(!error.to_json().contains("s3cret"), "{}", error.to_json());
    }

    #[test]
    fn what_is_no_object_is_told() {
        for (json, words) in [(&b""[..], "no config"), (b"[1]", "an array"), (b"{", "not JSON")] {
            let error = Config::from_json(json).unwrap_err();
            assert!(error.status == 400 && error.detail.contains(words), "{error}");
        }
    }

    #[test]
    fn all_that_it_says_is_taken_in_either_spelling() {
        let json =
            br#"{"store": "s", "replica": "postgres://r", "profile": "p", "tasks": "t", "busyTimeoutMs": 7, "via": "daemon", "wire": "camel", "sqlite": "shared",
                 "ledger": true, "door": "python", "parameters": {"queue": "mail", "prefix": null}}"#;
        let folder = env::current_dir().unwrap();
        let expected = Config {
            store: folder.join("s").into(),
            replica: Some("postgres://r".to_owned()),
            profile: Some("p".to_owned()),
            parameters: BTreeMap::from([("queue".to_owned(), "mail".to_owned())]),
            tasks: Some(folder.join("t")),
            busy_timeout_ms: 7,
            via: Via::Daemon,
            wire: Spelling::Camel,
            sqlite_shared: true,
            ledger: true,
            caller: Caller::through("python"),
        };
        assert_eq!(Config::from_json(json), Ok(expected));
    }

    #[test]
    fn paths_are_absolute_and_what_may_be_none_is_left_alone() {
        let folder = env::current_dir().unwrap();
        let read = |field: &str, text: &str| {
            Config::from_json(serde_json::json!({ field: text }).to_string().as_bytes()).unwrap()
        };
        let here = |name: &str| folder.join(name).into_os_string();
        assert_eq!(read("store", "runs.db").store, here("runs.db"));
        assert_eq!(
            read("store", "sqlite:a/runs.db").store.to_str(),
            here("a/runs.db").to_str().map(|path| format!("sqlite:{path}")).as_deref()
        );
        for store in ["/runs.db", "postgres://me@db/jobs", "host=db user=me", "sqlite:"] {
            assert_eq!(read("store", store).store, store);
        }
        for (profile, expected) in
            [("pg-boss", "pg-boss".into()), ("mine.toml", here("mine.toml")), ("a/mine", here("a/mine"))]
        {
            assert_eq!(read("profile", profile).profile.map(OsString::from), Some(expected));
        }
        assert_eq!(read("tasks", "runwisp.toml").tasks, Some(here("runwisp.toml").into()));
    }
}
