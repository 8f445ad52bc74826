//! The documentation is what the program does: the README and each page of `docs/` is walked through.
//!
//! | block | what is done with it |
//! | --- | --- |
//! | `console` | each `$` command is run, and prints what stands below it ([`compare`] says how `…`, ids and times are taken) |
//! | `console`, a command that ends in ` &` | it stays until the page's end; what follows waits until it answers |
//! | `sh` | is run, and succeeds; so is a comment that begins with `<!-- sh`, which readers don't see |
//! | a language and a file's name | the file is written; a program must be run by a later command |
//! | `diff FILE` | the file is changed so |
//! | `json`, `json request` | is JSON, or a request that is taken |
//! | `rust` | is a file of `tests/documentation/rust`, which is compiled and run |
//! | `text`, `toml` | is only shown |
//!
//! It needs what the pages use: sqlite3, curl, openssl, a C compiler, Go, Node, Python, nginx and PostgreSQL, and npm's koffi.

mod compare;
#[path = "../support/library.rs"]
#[allow(dead_code, reason = "every test uses some of it")]
mod library;
mod page;
#[path = "../support/postgres.rs"]
mod postgres;
mod rust;
mod walk;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use compare::Values;
use page::{Page, all, code_of, project};
use walk::Walk;

/// A test for each page.
macro_rules! pages {
    ($($test:ident: $page:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            Walk::through(&Page::read(project().join($page)), &[]);
        })*

        const WALKED: &[&str] = &[$($page),*];
    };
}

pages! {
    c: "docs/c.md",
    contract: "docs/contract.md",
    go: "docs/go.md",
    http: "docs/http.md",
    index: "docs/README.md",
    ledger: "docs/ledger.md",
    lua: "docs/lua.md",
    node: "docs/node.md",
    operators: "docs/operators.md",
    page_in_a_browser: "docs/page.md",
    production: "docs/production.md",
    profiles: "docs/profiles.md",
    profiles_reference: "docs/profiles-reference.md",
    promises: "docs/promises.md",
    python: "docs/python.md",
    readme: "README.md",
    runners: "docs/runners.md",
    rust_page: "docs/rust.md",
    scale: "docs/scale.md",
    speed: "docs/speed.md",
    sqlite: "docs/sqlite.md",
    stores: "docs/stores.md",
    troubleshooting: "docs/troubleshooting.md",
}

const ON_POSTGRESQL: &str = "docs/profiles-postgresql.md";

#[test]
fn profiles_on_postgresql() {
    let server = postgres::server();
    postgres::Client::connect(&server.url("postgres", "postgres")).execute("CREATE DATABASE night");
    let port = server.port.to_string();
    let variables = [("PGHOST", "127.0.0.1"), ("PGPORT", port.as_str()), ("PGUSER", "postgres")];
    Walk::through(&Page::read(project().join(ON_POSTGRESQL)), &variables);
}

#[test]
fn every_page_is_walked_and_in_the_summary() {
    let mut names: Vec<_> = all().iter().map(Page::name).collect();
    names.retain(|name| {
        !["docs/SUMMARY.md", ON_POSTGRESQL].contains(&name.as_str()) && !WALKED.contains(&name.as_str())
    });
    assert!(names.is_empty(), "nobody walks through {names:?}");

    let summary = Page::read(project().join("docs/SUMMARY.md")).links();
    let pages = all().into_iter().map(|page| page.name());
    let missing: Vec<_> = pages
        .filter_map(|name| name.strip_prefix("docs/").map(str::to_owned))
        .filter(|name| name != "SUMMARY.md" && !summary.contains(name))
        .collect();
    assert!(missing.is_empty(), "SUMMARY.md lacks {missing:?}");
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for page in all() {
        for link in page.links().into_iter().filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { page.path.clone() } else { page.path.with_file_name(path) };
            let is_there = target.is_file()
                && (anchor.is_empty() || Page::read(&target).anchors().iter().any(|known| known == anchor));
            if !is_there {
                wrong.push(format!("{}: {link}", page.name()));
            }
        }
        // Files of the project that a page names.
        let places = ["examples/", "include/", "lua/", "packaging/", "src/", "tests/"];
        let named = page.code().into_iter().filter(|code| places.iter().any(|place| code.starts_with(place)));
        let missing = named.filter(|path| !project().join(path.split(' ').next().unwrap()).exists());
        wrong.extend(missing.map(|path| format!("{}: `{path}`", page.name())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pages_are_short() {
    for page in all() {
        let (lines, most) = (page.text.lines().count(), if page.name() == "README.md" { 120 } else { 400 });
        assert!(lines < most, "{} has {lines} lines", page.name());
    }
}

/// Troubleshooting has what is printed, and not what somebody remembers.
#[test]
fn symptoms_are_the_programs_own_words() {
    // Said by the loader, and by Lua.
    const OTHERS: [&str; 3] = ["cannot open shared object file", "version mismatch", "error object is not a string"];
    let mut sources = String::new();
    gather(&project().join("src"), &mut sources);
    let page = Page::read(project().join("docs/troubleshooting.md"));
    let cells = ["it says", "you see"].map(|head| page.first_cells(head)).concat();
    assert!(cells.len() > 60, "the page has lost its tables");
    let mut unknown = Vec::new();
    for symptom in cells.into_iter().flat_map(code_of) {
        let is_known = |part: &str| sources.contains(part) || OTHERS.iter().any(|others| part.contains(others));
        unknown.extend(symptom.split('…').map(str::trim).filter(|part| !is_known(part)));
    }
    assert!(unknown.is_empty(), "nothing says {unknown:#?}");
}

/// All of Rust's source, with texts that are broken over lines put together.
fn gather(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, sources);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut parts = text.split("\\\n");
            sources.push_str(parts.next().unwrap_or_default());
            parts.for_each(|part| sources.push_str(part.trim_start()));
        }
    }
}

/// The board, the alerts and the page name metrics that there are.
#[test]
fn metrics_are_there() {
    let mut walk = Walk::begin(&[], Values::of(false));
    walk.session(&[
        "$ bulk-rerun demo demo",
        "…",
        "$ bulk-rerun serve --store demo/runwisp.db &",
        "$ curl -s http://127.0.0.1:9477/api/runs/bulk/rerun -H 'Content-Type: application/json' -d '{\"ids\":[\"01HELLO\"]}'",
        "{…,\"reason\":\"not_found\"}]}",
    ]);
    let (metrics, _) = walk.run("curl -s http://127.0.0.1:9477/metrics");
    let series = metrics.lines().filter_map(|line| line.split(['{', ' ']).next()).collect::<Vec<_>>().join(" ");
    // The page may name what a histogram's series have in common, too.
    for (file, known) in
        [("docs/grafana.json", &series), ("docs/alerts.yml", &series), ("docs/production.md", &metrics)]
    {
        let text = fs::read_to_string(project().join(file)).unwrap();
        let named = metrics_in(&text);
        let known = metrics_in(known);
        assert!(!named.is_empty(), "{file}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} has {unknown:?}, and there is {known:?}");
    }
    let board = fs::read_to_string(project().join("docs/grafana.json")).unwrap();
    let board: serde_json::Value = serde_json::from_str(&board).expect("the board is JSON");
    assert!(board["panels"].as_array().is_some_and(|panels| panels.len() > 5));
}

fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|sign: char| !(sign.is_ascii_lowercase() || sign == '_'));
    words.filter(|word| word.starts_with("bulk_rerun_")).collect()
}
