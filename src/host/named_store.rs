//! What names a store: a file's path, or a server's address. An address may have a password in it, so one that can't be
//! used is never repeated in a message.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::HostError;

const POSTGRES: &str = "postgres://USER@HOST:PORT/DATABASE";

/// A store, by the engine that it is in.
#[derive(Debug, PartialEq)]
pub(crate) enum NamedStore<'a> {
    /// An SQLite file.
    File(&'a Path),
    /// A PostgreSQL database, with its scheme in lower case.
    Server(String),
}

impl<'a> NamedStore<'a> {
    /// Whether the store is in a database on a server.
    pub(crate) fn is_on_a_server(name: &OsStr) -> bool {
        matches!(name.to_str().and_then(scheme), Some((scheme, rest)) if is_postgres(&scheme) && rest.starts_with("//"))
    }

    /// Reads a store's name. What is there as a file is a path, whatever signs it has, and so is what is not UTF-8.
    ///
    /// # Errors
    ///
    /// It is empty, or an address that can't be used; the message says what may be meant instead.
    pub(crate) fn read(store: &'a OsStr) -> Result<NamedStore<'a>, HostError> {
        let Some(name) = store.to_str() else { return Ok(NamedStore::File(Path::new(store))) };
        let (scheme, rest) = scheme(name).unwrap_or_default();
        if NamedStore::is_on_a_server(store) {
            return Ok(NamedStore::Server(format!("{scheme}:{rest}")));
        }
        let is_sqlite = scheme == "sqlite";
        let path = if is_sqlite { rest } else { name };
        if path.trim().is_empty() {
            return Err(HostError::Unusable(format!(
                "no store is named: give the path of the runner's database, or {POSTGRES} (--store, BULK_RERUN_STORE, or \
                 `store` in the config)"
            )));
        }
        if fs::symlink_metadata(path).is_ok() {
            return Ok(NamedStore::File(Path::new(path)));
        }
        match hint(&scheme, rest, path) {
            Some(hint) => Err(HostError::Unusable(hint)),
            None => Ok(NamedStore::File(Path::new(path))),
        }
    }
}

/// What is in front of the first colon, in lower case, and what is behind it.
fn scheme(name: &str) -> Option<(String, &str)> {
    let (scheme, rest) = name.split_once(':')?;
    let is_one = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|sign| sign.is_ascii_alphanumeric() || "+-.".contains(sign));
    is_one.then(|| (scheme.to_ascii_lowercase(), rest))
}

fn is_postgres(scheme: &str) -> bool {
    matches!(scheme, "postgres" | "postgresql")
}

/// What is said of a path that leads to no file and looks like an address.
fn hint(scheme: &str, rest: &str, path: &str) -> Option<String> {
    let looks_like = |what: &str, instead: &str| {
        Some(format!(
            "the store's name is no file's, and looks like {what} (not repeated here, for it may have a password in it): {instead}"
        ))
    };
    if matches!(scheme, "sqlite" | "file") {
        let (plain, query) = rest.split_once('?').map_or((rest, None), |(plain, query)| (plain, Some(query)));
        if scheme == "sqlite" && query.is_none() && !rest.starts_with("//") {
            return None;
        }
        let paths = ["//localhost", "//", ""].into_iter().filter_map(|prefix| plain.strip_prefix(prefix));
        let meant = paths.into_iter().find(|path| Path::new(path).is_file());
        let instead = match meant {
            Some(path) => format!("did you mean {path}?"),
            None => "give the path alone, as in jobs.db or /var/lib/runner/jobs.db".to_owned(),
        };
        let heeded = if query.is_some() { ", and what follows its ? is not heeded here" } else { "" };
        return Some(format!("there is no store at {plain}: no such file. It looks like an URI{heeded}; {instead}"));
    }
    // As in jdbc:postgresql:, postgresql+psycopg2:, postgre:, pg:, psql:.
    if scheme.contains("postg") || scheme.starts_with("pgsql") || matches!(scheme, "pg" | "psql" | "jdbc") {
        return looks_like("an address", &format!("PostgreSQL stores are {POSTGRES}"));
    }
    if rest.starts_with("//") {
        let known = format!("stores are in SQLite (a file's path) or in PostgreSQL ({POSTGRES})");
        return looks_like(&format!("an address of {scheme}"), &known);
    }
    if has_keywords(path) {
        return looks_like(
            "an address in key words",
            &format!("PostgreSQL stores are {POSTGRES}; the password may be in PGPASSWORD or ~/.pgpass"),
        );
    }
    let is_login = path.split_once('@').is_some_and(|(login, _)| login.contains(':') && !login.contains('/'));
    is_login
        .then(|| looks_like("an address without its beginning", &format!("PostgreSQL stores are {POSTGRES}")))
        .flatten()
}

/// As in libpq's `host=db password=…`, or `Server=db;Password=…` elsewhere.
fn has_keywords(text: &str) -> bool {
    const KEYWORDS: [&str; 9] =
        ["host", "hostaddr", "dbname", "database", "user", "password", "pwd", "service", "server"];
    text.split([' ', ';', '?', '&', '\t', '\n']).any(|part| {
        part.split_once('=').is_some_and(|(word, _)| KEYWORDS.contains(&word.trim().to_ascii_lowercase().as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint_of(name: &str) -> String {
        NamedStore::read(name.as_ref()).unwrap_err().to_string()
    }

    #[test]
    fn schemes_are_equal_in_any_case() {
        for (name, expected) in [
            ("postgres://db/jobs", "postgres://db/jobs"),
            ("Postgres://ann:Pw@db/Jobs", "postgres://ann:Pw@db/Jobs"),
            ("POSTGRESQL://db", "postgresql://db"),
        ] {
            assert_eq!(NamedStore::read(name.as_ref()).unwrap(), NamedStore::Server(expected.to_owned()));
            assert!(NamedStore::is_on_a_server(name.as_ref()));
        }
        for (name, path) in [("SQLITE:jobs.db", "jobs.db"), ("sqlite:jobs.db", "jobs.db"), ("C:jobs.db", "C:jobs.db")] {
            assert_eq!(NamedStore::read(name.as_ref()).unwrap(), NamedStore::File(Path::new(path)));
        }
    }

    #[test]
    fn an_address_is_never_repeated() {
        for (name, words) in [
            ("host=db dbname=jobs password=s3cret", "PostgreSQL stores are postgres://"),
            ("dbname=jobs password='s3cret'", "PGPASSWORD"),
            ("Server=db;Database=jobs;User Id=me;Password=s3cret", "key words"),
            ("mysql://me:s3cret@db/jobs", "an address of mysql"),
            ("mongodb+srv://me:s3cret@db/jobs", "an address of mongodb+srv"),
            ("redis://:s3cret@db:6379/0", "a file's path"),
            ("postgre://me:s3cret@db/jobs", "PostgreSQL stores are postgres://"),
            ("postgres:/me:s3cret@db/jobs", "PostgreSQL stores are postgres://"),
            ("postgres:me:s3cret@db/jobs", "PostgreSQL stores are postgres://"),
            ("postgresql+psycopg2://me:s3cret@db/jobs", "PostgreSQL stores are postgres://"),
            ("jdbc:postgresql://db/jobs?user=me&password=s3cret", "PostgreSQL stores are postgres://"),
            ("jdbc:mysql://db/jobs?password=s3cret", "not repeated here"),
            ("me:s3cret@db/jobs", "without its beginning"),
        ] {
            let hint = hint_of(name);
            assert!(hint.contains(words), "{words:?} is not in {hint}");
            assert!(!hint.contains("s3cret"), "{hint}");
        }
    }

    #[test]
    fn an_uri_of_a_file_is_told_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.db");
        fs::write(&path, "").unwrap();
        let path = path.to_str().unwrap();
        for name in [
            format!("file:{path}"),
            format!("file://{path}"),
            format!("file://localhost{path}"),
            format!("sqlite:{path}?mode=rw"),
            format!("FILE:{path}?immutable=1"),
        ] {
            let hint = hint_of(&name);
            assert!(hint.contains("no such file") && hint.contains("URI"), "{hint}");
            assert!(hint.contains(&format!("did you mean {path}?")), "{hint}");
        }
        assert!(hint_of("sqlite://no/such.db").contains("give the path alone"));
        // What is there is a path, whatever signs it has.
        for name in [format!("sqlite://{path}"), path.to_owned()] {
            assert!(matches!(NamedStore::read(name.as_ref()), Ok(NamedStore::File(_))), "{name}");
        }
    }

    #[test]
    fn nothing_is_no_store() {
        for name in ["", " ", "sqlite:", "SQLite: "] {
            let hint = hint_of(name);
            assert!(hint.contains("no store is named") && hint.contains("BULK_RERUN_STORE"), "{hint}");
        }
    }
}
