//! One story at every door: the fields of a request are the same where they are read, in Rust's types, in the API's
//! description, in C's header, in the types of Lua, Node and Python, in `--help`, and in the documentation.

#[path = "support/http.rs"]
mod server;
mod support;

use std::collections::BTreeSet;
use std::fmt::{Debug, Write};

use bulk_rerun::http::HttpConfig;
use bulk_rerun::{Config, ErrorModel, Request, RerunOptions, RunFilter};
use serde_json::json;
use server::Server;
use support::Store;
use support::tool::{bulk_rerun, text};

const RUST: &str = "the type in Rust";
const OPENAPI: &str = "/openapi.json";
const HEADER: &str = "include/bulk_rerun.h";
const LUA: &str = "lua/bulk_rerun.d.lua";
const NODE: &str = "packaging/npm/bulk-rerun/types.d.ts";
const PYTHON: &str = "packaging/python/bulk_rerun/types.py";
const HELP: &str = "bulk-rerun rerun --help";
const CONTRACT: &str = "docs/contract.md";
const OPERATORS: &str = "docs/operators.md";

/// Fields that a place does not have, and why.
const ELSEWHERE: [(&str, &str, &str); 18] = [
    (HEADER, "$schema", "it is for editors of JSON"),
    (LUA, "$schema", "it is for editors of JSON"),
    (OPERATORS, "$schema", "it is for editors of JSON"),
    (OPERATORS, "filter", "its fields are flags"),
    (OPERATORS, "options", "they are flags"),
    (HELP, "$schema", "it is for editors of JSON"),
    (HELP, "filter", "its fields are flags"),
    (HELP, "options", "they are flags"),
    (RUST, "except_tasks", "it says which runs are meant, so the type of the selector has it"),
    (NODE, "$schema", "it is for editors of JSON"),
    (PYTHON, "$schema", "it is for editors of JSON"),
    (PYTHON, "filter", "its fields are keywords"),
    (PYTHON, "options", "they are keywords"),
    (PYTHON, "dry_run", "`plan` is one"),
    (NODE, "door", "Node's own module says it"),
    (PYTHON, "door", "Python's own module says it"),
    (LUA, "door", "Lua's own module says it"),
    (CONTRACT, "door", "each door says it by itself"),
];

/// Flags that are not called as their field is.
const FLAGS: [(&str, &str); 9] = [
    ("match_all", "--all"),
    ("except_ids", "--except"),
    ("except_tasks", "--except-task"),
    ("except_groups", "--except-group"),
    ("task_name", "--task"),
    ("created_after", "--since"),
    ("created_before", "--until"),
    ("exit_code_min", "--exit-code"),
    ("exit_code_max", "--exit-code"),
];

/// Flags beside the fields', and why they are none.
const NO_FIELDS: [(&str, &str); 3] = [
    ("--selector", "it names a file with the fields"),
    ("--yes", "it answers what the tool asks"),
    ("--wait", "it is for what comes after the answer"),
];

/// The parts of `--help` that have no fields of a request.
const OTHER_PARTS: [&str; 3] = ["Options", "Store", "Output"];

type Names = BTreeSet<String>;

#[test]
fn every_place_has_the_same_options() {
    let read = names_read("options");
    compare(
        "the option",
        &read,
        &[
            (RUST, names_in(&RerunOptions::default())),
            (OPENAPI, properties("RerunOptions")),
            (HEADER, table_of_the_header("an option")),
            (LUA, class("Options")),
            (NODE, interface("Options")),
            (PYTHON, keywords(&read)),
            (HELP, fields_of(&flags_of_the_tool(), &read)),
            (OPERATORS, fields_of(&flags_of_the_page(), &read)),
            (CONTRACT, table_of_the_contract("option")),
        ],
    );
}

#[test]
fn every_place_has_the_same_filter() {
    let read = names_read("filter");
    compare(
        "the filter's field",
        &read,
        &[
            (RUST, names_in(&RunFilter::default())),
            (OPENAPI, properties("RunFilter")),
            (HEADER, table_of_the_header("a field of `filter`")),
            (LUA, class("Filter")),
            (NODE, interface("Filter")),
            (PYTHON, keywords(&read)),
            (HELP, fields_of(&flags_of_the_tool(), &read)),
            (OPERATORS, fields_of(&flags_of_the_page(), &read)),
            (CONTRACT, table_of_the_contract("field of the filter")),
        ],
    );
}

#[test]
fn every_place_has_the_same_selector() {
    let read = names_read("");
    compare(
        "the field",
        &read,
        &[
            (OPENAPI, properties("SelectById")),
            (OPENAPI, properties("SelectByFilter")),
            (HEADER, table_of_the_header("a field")),
            (LUA, class("Selector")),
            (NODE, &interface("Selector") | &interface("Request")),
            (PYTHON, keywords(&read)),
            (HELP, fields_of(&flags_of_the_tool(), &read)),
            (OPERATORS, fields_of(&flags_of_the_page(), &read)),
            (CONTRACT, table_of_the_contract("field")),
        ],
    );
}

#[test]
fn the_config_and_the_answer_are_the_same() {
    let error = Config::from_json(br#"{"zzzzzz": 1}"#).unwrap_err();
    let config = table_of_the_contract("field of the configuration");
    compare("the config's field", &known_here(&error), &[(LUA, class("Config")), (CONTRACT, config)]);
    let answer = properties("BulkRerunBody");
    let page = table_of_the_contract("field of the answer");
    compare("the answer's field", &answer, &[(LUA, class("Report")), (CONTRACT, page)]);
}

/// A flag that is no field says nothing at the other doors.
#[test]
fn every_flag_is_a_field() {
    let fields: Names = ["", "filter", "options"].map(names_read).into_iter().flatten().collect();
    let meant: Names = fields.iter().map(|field| flag(field)).collect();
    let is_alone = |name: &str| NO_FIELDS.iter().any(|(flag, _)| *flag == name);
    let flags = flags_of_the_tool();
    let strangers: Vec<_> = flags.iter().filter(|flag| !meant.contains(*flag) && !is_alone(flag)).collect();
    assert!(strangers.is_empty(), "{HELP} has {strangers:?}, which are no fields of a request");
    let help = text(&bulk_rerun(&["rerun", "--help"]).stdout);
    let in_help: Names = help.lines().flat_map(flags_in).collect();
    let unknown: Vec<_> = flags_of_the_page().difference(&in_help).cloned().collect();
    assert!(unknown.is_empty(), "{OPERATORS} has {unknown:?}, which {HELP} has not");
}

/// Fails with all that is wrong in the places that tell of what is read.
#[track_caller]
fn compare(what: &str, read: &Names, places: &[(&str, Names)]) {
    let mut wrong = String::new();
    for (place, told) in places {
        let is_elsewhere = |name: &str| ELSEWHERE.iter().any(|(at, field, _)| at == place && *field == name);
        for name in read.difference(told).filter(|name| !is_elsewhere(name)) {
            writeln!(wrong, "{place} lacks {what} {name}").unwrap();
        }
        for name in told.difference(read) {
            writeln!(wrong, "{place} has {what} {name}, which nobody reads").unwrap();
        }
        for name in told.iter().filter(|name| is_elsewhere(name)) {
            writeln!(wrong, "{place} has {what} {name} after all: it is no exception").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// What the reader of requests knows: it says so when it meets a field that it does not know.
fn names_read(object: &str) -> Names {
    let request = match object {
        "" => json!({"zzzzzz": 1}),
        object => json!({"match_all": true, object: {"zzzzzz": 1}}),
    };
    known_here(&Request::from_json(request.to_string().as_bytes()).unwrap_err())
}

fn known_here(error: &ErrorModel) -> Names {
    let message = &error.errors[0].message;
    let names = message.strip_prefix("unknown field; known here: ").unwrap_or_else(|| panic!("{message}"));
    names.split(", ").map(str::to_owned).collect()
}

/// A struct's own fields.
fn names_in(value: &impl Debug) -> Names {
    let lines = format!("{value:#?}");
    let field = |line: &str| Some(line.strip_prefix("    ")?.split_once(": ")?.0.to_owned());
    lines.lines().filter(|line| !line.starts_with("     ")).filter_map(field).collect()
}

/// What a schema of the served description has.
fn properties(schema: &str) -> Names {
    let store = Store::new();
    let document = Server::over(&store.path, HttpConfig::default()).get("/openapi.json").json();
    let properties = document["components"]["schemas"][schema]["properties"].as_object();
    properties.unwrap_or_else(|| panic!("{OPENAPI} has no {schema}")).keys().cloned().collect()
}

/// The first column of a table in the header's first comment, by its title.
fn table_of_the_header(title: &str) -> Names {
    let header = file(HEADER);
    let lines = header.lines().skip_while(|line| !line.starts_with(&format!(" *     {title}  "))).skip(1);
    let rows = lines.map_while(|line| line.strip_prefix(" *     "));
    rows.filter_map(|row| row.split_whitespace().next())
        .filter(|name| !name.starts_with("--"))
        .map(str::to_owned)
        .collect()
}

/// The fields of one of Lua's annotated classes.
fn class(name: &str) -> Names {
    let annotations = file(LUA);
    let lines = annotations.lines().skip_while(|line| *line != format!("---@class bulk_rerun.{name}")).skip(1);
    let fields = lines.map_while(|line| line.strip_prefix("---@field "));
    let name = |field: &str| field.split([' ', '?']).next().unwrap_or_default().to_owned();
    fields.map(name).collect()
}

/// The fields of one of Node's types.
fn interface(name: &str) -> Names {
    let types = file(NODE);
    let lines = types.lines().skip_while(|line| !line.starts_with(&format!("export interface {name} "))).skip(1);
    let fields = lines.take_while(|line| *line != "}").filter_map(|line| line.trim_start().split_once("?: "));
    fields.map(|(field, _)| field.to_owned()).collect()
}

/// Which of these fields are keywords of the calls in Python.
fn keywords(fields: &Names) -> Names {
    let types = file(PYTHON);
    let lines = types.lines().skip_while(|line| *line != "class Filter(TypedDict, total=False):");
    let calls = lines.take_while(|line| !line.starts_with("class Selector("));
    let keywords: Names =
        calls.filter_map(|line| Some(line.strip_prefix("    ")?.split_once(": ")?.0.to_owned())).collect();
    fields & &keywords
}

/// The flags in `--help` that say which runs are meant, and what is done with them.
fn flags_of_the_tool() -> Names {
    let help = text(&bulk_rerun(&["rerun", "--help"]).stdout);
    let mut part = "";
    let mut flags = Names::new();
    for line in help.lines().take_while(|line| *line != "Examples:") {
        if !line.starts_with(' ') {
            part = line.strip_suffix(':').unwrap_or(part);
        } else if !OTHER_PARTS.contains(&part) && !line.starts_with("       ") {
            // What is further in tells of the flag.
            flags.extend(flags_in(line));
        }
    }
    flags
}

/// The flags in the operators' table of what one may want.
fn flags_of_the_page() -> Names {
    let page = file(OPERATORS);
    let rows = page.lines().skip_while(|line| *line != "| you want | say |").skip(2);
    rows.take_while(|line| line.starts_with('|')).flat_map(flags_in).collect()
}

/// The first column of the contract's table that has this at its head: each cell names one field, or some.
fn table_of_the_contract(head: &str) -> Names {
    let page = file(CONTRACT);
    let rows = page.lines().skip_while(|line| !line.starts_with(&format!("| {head} |"))).skip(2);
    let cells = rows.map_while(|row| row.strip_prefix("| ")?.split(" |").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

fn flags_in(line: &str) -> Vec<String> {
    let words = line.split(|sign: char| !(sign.is_ascii_lowercase() || sign == '-'));
    words.filter(|word| word.starts_with("--") && word.len() > 3).map(str::to_owned).collect()
}

/// The fields whose flags these are.
fn fields_of(flags: &Names, fields: &Names) -> Names {
    fields.iter().filter(|field| flags.contains(&flag(field))).cloned().collect()
}

fn flag(field: &str) -> String {
    let other = FLAGS.iter().find(|(name, _)| *name == field);
    other.map_or_else(|| format!("--{}", field.replace('_', "-")), |(_, flag)| (*flag).to_owned())
}

fn file(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
