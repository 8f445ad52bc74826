//! The config: which store, and how to work in it. One shape for every door.

use std::env;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::fields::{Fields, Findings};
use super::json::Node;
use super::{ErrorModel, Spelling};

/// How long to wait for a lock that somebody else holds, where nothing else is said.
const BUSY_TIMEOUT_MS: u64 = 5_000;

/// Which store, and how to work in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The store: a path, `sqlite:PATH`, or `postgres://…`.
    pub store: String,
    /// A built-in profile's name or a profile's file; found from the store's schema if absent.
    pub profile: Option<String>,
    /// A `runwisp.toml`, the task catalogue.
    pub tasks: Option<PathBuf>,
    /// How long to wait for a lock that somebody else holds, in milliseconds.
    pub busy_timeout_ms: u64,
    /// How an answer is spelled when the request's fields show no spelling.
    pub wire: Spelling,
    /// The host promises that it uses the same copy of SQLite as we do (`"sqlite": "shared"`).
    pub sqlite_shared: bool,
}

impl Config {
    /// The defaults for a store: its profile is found, and it is waited for 5 seconds.
    pub fn new(store: impl Into<String>) -> Self {
        Config {
            store: store.into(),
            profile: None,
            tasks: None,
            busy_timeout_ms: BUSY_TIMEOUT_MS,
            wire: Spelling::Snake,
            sqlite_shared: false,
        }
    }

    /// The files that are read beside the store. (A profile may also be a built-in one's name.)
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.profile.as_deref().map(Path::new).into_iter().chain(self.tasks.as_deref())
    }

    /// Reads a config from the environment alone: `BULK_RERUN_STORE`, `BULK_RERUN_PROFILE`,
    /// `BULK_RERUN_TASKS`, `BULK_RERUN_LEDGER`.
    ///
    /// # Errors
    ///
    /// As [`Config::from_json`].
    pub fn from_env() -> Result<Config, ErrorModel> {
        Config::from_json(b"{}")
    }

    /// Reads a config, such as `{"store": "runs.db", "busy_timeout_ms": 10000}`. What it does not say
    /// is taken from the environment; `{}` is the environment alone. `null` is the same as absent.
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
        let known = &["store", "profile", "tasks", "ledger", "busy_timeout_ms", "wire", "sqlite"];
        let fields = Fields::read(&root, "config", known, &mut findings);
        let text = |name: &str, variable: &str, findings: &mut Findings| {
            let given = fields.string(name, findings).map(str::to_owned);
            given.or_else(|| env::var(variable).ok()).filter(|text| !text.is_empty())
        };
        let config = Config {
            store: text("store", "BULK_RERUN_STORE", &mut findings).unwrap_or_default(),
            profile: text("profile", "BULK_RERUN_PROFILE", &mut findings),
            tasks: text("tasks", "BULK_RERUN_TASKS", &mut findings).map(PathBuf::from),
            busy_timeout_ms: fields.count("busy_timeout_ms", 0, &mut findings).unwrap_or(BUSY_TIMEOUT_MS),
            wire: match fields.word("wire", &["snake", "camel"], &mut findings) {
                Some("camel") => Spelling::Camel,
                _ => Spelling::Snake,
            },
            sqlite_shared: fields.word("sqlite", &["shared"], &mut findings).is_some(),
        };
        let ledger = match fields.node("ledger") {
            Some(_) => fields.boolean("ledger", &mut findings),
            None => env::var("BULK_RERUN_LEDGER").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false")),
        };
        if ledger {
            let message = "this version does not have the ledger yet; drop the field, or BULK_RERUN_LEDGER";
            findings.report(&fields.place("ledger"), message, true.into());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_violation_has_its_place() {
        let json = br#"{"stor": "a", "busy_timeout_ms": -1, "wire": "kebab", "sqlite": true, "ledger": true}"#;
        let error = Config::from_json(json).unwrap_err();
        assert_eq!(error.status, 422);
        let places: Vec<&str> = error.errors.iter().map(|violation| violation.location.as_str()).collect();
        assert_eq!(places, ["config.stor", "config.busy_timeout_ms", "config.wire", "config.sqlite", "config.ledger"]);
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
            br#"{"store": "s", "profile": "p", "tasks": "t", "busyTimeoutMs": 7, "wire": "camel", "sqlite": "shared"}"#;
        let expected = Config {
            store: "s".to_owned(),
            profile: Some("p".to_owned()),
            tasks: Some(PathBuf::from("t")),
            busy_timeout_ms: 7,
            wire: Spelling::Camel,
            sqlite_shared: true,
        };
        assert_eq!(Config::from_json(json), Ok(expected));
    }
}
