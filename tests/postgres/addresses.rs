//! Ways to name a store, and what is said where none is.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::postgres::{Kind, Server};
use crate::store::{Store, all_failed, assert_error, call, triggered};

#[test]
fn a_store_that_is_not_there_is_named_without_its_password() {
    let store = Store::new();
    let port = store.database.server.port;
    let none = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = store.open_error(&format!("postgres://ann:s3cret@127.0.0.1:{none}/jobs"));
    assert_error(&error, 500, &["can't be reached", &format!("postgres://ann@127.0.0.1:{none}/jobs"), "refused"]);
    let nobody = store.open_error(&format!("postgres://nobody:s3cret@127.0.0.1:{port}/postgres"));
    assert_error(&nobody, 500, &["role \"nobody\" does not exist"]);
    let nowhere = store.open_error(&format!("postgres://postgres:s3cret@127.0.0.1:{port}/nowhere"));
    assert_error(&nowhere, 500, &["database \"nowhere\" does not exist"]);
    for error in [error, nobody, nowhere] {
        assert!(!error.to_json().contains("s3cret"), "{}", error.to_json());
    }
}

#[test]
fn a_password_is_never_shown() {
    let store = Store::with_failed(1);
    let role = format!("ann_{}", store.database.name);
    store.client.execute(&format!("CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 's3cret'"));
    let url = store.database.url_as(&format!("{role}:s3cret"));
    let profile = store.profile();
    for format in [&["--json"][..], &[]] {
        let output = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"))
            .args(["check", "--store", &url, "--profile", profile.to_str().unwrap()])
            .args(format)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && text.contains(&role), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn the_servers_socket_and_libpqs_variables_lead_there_too() {
    let store = Store::with_failed(1);
    let server = store.database.server;
    let check = |url: &str, variables: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"))
            .args(["check", "--json", "--store", url, "--profile", store.profile().to_str().unwrap()])
            .envs(variables.iter().copied())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["runs"]["runs"], 1, "{answer}");
    };
    let socket = server.folder.display().to_string();
    check(
        &format!(
            "postgresql:///{}?host={socket}&port={}&user=postgres&sslmode=require",
            store.database.name, server.port
        ),
        &[],
    );
    let port = server.port.to_string();
    check(
        "postgres://",
        &[("PGHOST", &socket), ("PGPORT", &port), ("PGUSER", "postgres"), ("PGDATABASE", &store.database.name)],
    );
}

/// What `psql` makes of the same URL and variables is the measure, where one is installed.
#[test]
fn a_host_without_a_port_has_libpqs() {
    let store = Store::with_failed(1);
    let port = store.database.server.port.to_string();
    let none = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let name = &store.database.name;
    let cases = [
        (format!("postgres://postgres@127.0.0.1/{name}"), &port, true),
        (format!("postgres://postgres@127.0.0.1:{port}/{name}"), &none, true),
        (format!("postgres://postgres@127.0.0.1/{name}?port={port}"), &none, true),
        (format!("postgres://postgres@127.0.0.1:{none}/{name}?port={port}"), &none, true),
        (format!("postgres://postgres@{none}.invalid/{name}?host=127.0.0.1"), &port, true),
        (format!("postgres:///{name}?user=postgres&host=127.0.0.1,127.0.0.1"), &port, true),
        (format!("postgres://postgres@127.0.0.1:{none},127.0.0.1:{port}/{name}"), &none, true),
        (format!("postgres://postgres@127.0.0.1:{none},127.0.0.1/{name}"), &port, false),
        (format!("postgres://postgres@127.0.0.1:{none}/{name}"), &port, false),
        (format!("postgres://postgres@127.0.0.1/{name}"), &none, false),
    ];
    let profile = store.profile();
    for (url, ports, leads_there) in cases {
        let ours = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"))
            .args(["check", "--store", &url, "--profile", profile.to_str().unwrap()])
            .env("PGPORT", ports)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[ours.stdout, ours.stderr].concat()).into_owned();
        assert_eq!(ours.status.success(), leads_there, "PGPORT={ports} {url}: {text}");
        let there = format!("127.0.0.1:{port}");
        assert!(!leads_there || text.contains(&there), "PGPORT={ports} {url}: {text}");
        if let Ok(psqls) = Command::new("psql").args([&url, "-Atc", "SELECT 1"]).env("PGPORT", ports).output() {
            assert_eq!(psqls.status.success(), leads_there, "PGPORT={ports} {url}: {psqls:?}");
        }
    }
}

#[test]
fn a_schema_of_another_name_is_found_along_the_search_path() {
    let store = Store::with_failed(2);
    store.client.execute("CREATE SCHEMA \"My Jobs\"; ALTER TABLE job SET SCHEMA \"My Jobs\"");
    let error = store.open_error(&store.database.url);
    assert_error(&error, 500, &["small.toml", "lacks the table job", "search_path"]);
    let url = format!("{}?options=-csearch_path%3D%22My%5C%20Jobs%22", store.database.url);
    let plugin = bulk_rerun::Plugin::open(&store.config(&url)).unwrap();
    assert_eq!(triggered(&call(&plugin, &all_failed(json!({}))).unwrap()), 2);
    // A profile may name its runner's default.
    store.reword("engine = \"postgres\"\n", "engine = \"postgres\"\nschema = \"My Jobs\"\n");
    assert_eq!(triggered(&call(&store.open(), &all_failed(json!({}))).unwrap()), 2);
}

#[test]
fn an_encrypted_connection_is_verified_as_asked() {
    let server = Box::leak(Box::new(Server::start(Kind::Encrypted)));
    let store = Store::new();
    let database = server.database().with(crate::store::SCHEMA);
    let url = |parameters: &str| format!("{}?{parameters}", database.url.replace("127.0.0.1", "localhost"));
    let root = server.folder.join("root.crt").display().to_string();
    let encrypted =
        "SELECT bool_or(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'bulk_rerun'";
    for parameters in ["sslmode=require", "sslmode=prefer", &format!("sslmode=verify-full&sslrootcert={root}")] {
        let plugin = bulk_rerun::Plugin::open(&store.config(&url(parameters))).unwrap();
        assert_eq!(database.client().value(encrypted).as_deref(), Some("t"), "{parameters}");
        drop(plugin);
    }
    let error = store.open_error(&url("sslmode=verify-full"));
    assert_error(&error, 500, &["can't be reached", "certificate"]);
    let other_name = url(&format!("sslmode=verify-full&sslrootcert={root}")).replace("localhost", "127.0.0.1");
    assert_error(&store.open_error(&other_name), 500, &["can't be reached", "certificate"]);
    let plain = format!("{}?sslmode=require", store.database.url);
    assert_error(&store.open_error(&plain), 500, &["can't be reached", "TLS"]);
}
