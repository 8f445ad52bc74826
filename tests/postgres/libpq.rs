//! libpq's parameters, wherever they are said. What `psql` makes of them is the measure, where one is installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::postgres::{Kind, Server, server};
use crate::store::{SCHEMA, Store};

/// The variables that a test starts from: none of whoever runs it.
fn clean<'c>(command: &'c mut Command, variables: &[(&str, &str)]) -> &'c mut Command {
    let own = std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("PG"));
    own.for_each(|name| _ = command.env_remove(name));
    command.env("HOME", "/no/such/home").envs(variables.iter().copied())
}

fn check(store: &Store, url: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulk-rerun"));
    command.args(["check", "--json", "--store", url, "--profile", store.profile().to_str().unwrap()]);
    clean(&mut command, variables).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// Whether `psql`, where there is one, is let in with the same.
#[track_caller]
fn assert_like_psql(url: &str, variables: &[(&str, &str)], is_let_in: bool) {
    let mut command = Command::new("psql");
    if let Ok(psqls) = clean(command.args([url, "-Atc", "SELECT 1"]), variables).output() {
        assert_eq!(psqls.status.success(), is_let_in, "{url} {variables:?}: {psqls:?}");
    }
}

#[track_caller]
fn assert_leads_there(store: &Store, url: &str, variables: &[(&str, &str)]) {
    let output = check(store, url, variables);
    assert!(output.status.success(), "{url} {variables:?}: {}", text(&output));
    assert_like_psql(url, variables, true);
}

#[track_caller]
fn assert_says(store: &Store, url: &str, variables: &[(&str, &str)], words: &[&str]) {
    let output = check(store, url, variables);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{url} {variables:?}: {text}");
    words.iter().for_each(|words| assert!(text.contains(words), "{url} {variables:?}: {words:?} is not in {text}"));
    assert!(!text.contains("s3cret"), "{text}");
}

/// A file that its owner alone may read.
fn private(path: &Path, text: &str) -> String {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

#[test]
fn a_service_says_what_the_url_leaves_open() {
    let store = Store::with_failed(1);
    let Server { port, .. } = store.database.server;
    let name = &store.database.name;
    let service = |lines: &str| format!("[other]\nhost=nowhere.invalid\n\n# ours\n[jobs]\n{lines}\n");
    let file = store.folder.path().join("services");
    let file = private(
        &file,
        &service(&format!("host=127.0.0.1\nport={port}\nuser=postgres\ndbname={name}\npassword=s3cret")),
    );
    let named = ("PGSERVICEFILE", file.as_str());
    assert_leads_there(&store, "postgres://?service=jobs", &[named]);
    assert_leads_there(&store, "postgres://", &[named, ("PGSERVICE", "jobs"), ("PGPORT", "1"), ("PGUSER", "nobody")]);
    assert_leads_there(&store, &format!("postgres://127.0.0.1:{port}/{name}?service=other&user=postgres"), &[named]);
    assert_says(&store, "postgres://nobody@?service=jobs", &[named], &["nobody", "is the role's name right?"]);
    assert_says(&store, "postgres://?service=job", &[named], &["there is no service job", &file, "PGSERVICEFILE"]);
    let none = ("PGSERVICEFILE", "/no/such/services");
    assert_says(&store, "postgres://?service=jobs", &[none], &["/no/such/services can't be read"]);

    let system = store.folder.path().join("system");
    fs::create_dir(&system).unwrap();
    private(&system.join("pg_service.conf"), &fs::read_to_string(&file).unwrap());
    assert_leads_there(&store, "postgres://?service=jobs", &[("PGSYSCONFDIR", system.to_str().unwrap())]);
    private(&system.join(".pg_service.conf"), &fs::read_to_string(&file).unwrap());
    assert_leads_there(&store, "postgres://?service=jobs", &[("HOME", system.to_str().unwrap())]);

    private(file.as_ref(), &service("prot=1\npassword=s3cret"));
    assert_says(&store, "postgres://?service=jobs", &[named], &["service jobs in", "prot", "did you mean port?"]);
    private(file.as_ref(), &service("password s3cret"));
    assert_says(&store, "postgres://?service=jobs", &[named], &[&file, "line 6"]);
}

#[test]
fn an_address_is_connected_to_under_the_hosts_name() {
    let store = Store::with_failed(1);
    let port = store.database.server.port;
    let url = format!("postgres://postgres@db.invalid:{port}/{}", store.database.name);
    assert_leads_there(&store, &format!("{url}?hostaddr=127.0.0.1"), &[]);
    assert_leads_there(&store, &url, &[("PGHOSTADDR", "127.0.0.1")]);
    assert_says(&store, &url, &[("PGHOSTADDR", "127.0.0.1,127.0.0.1")], &["2 addresses", "1 hosts"]);
    assert_says(&store, &url, &[("PGHOSTADDR", "db.example")], &["hostaddr (PGHOSTADDR)"]);
}

#[test]
fn what_is_not_heeded_is_said_and_what_would_not_be_kept_is_refused() {
    let store = Store::with_failed(1);
    let url = |parameter: &str| format!("{}?{parameter}", store.database.url);
    let harmless = "krbsrvname=pg&gsslib=gssapi&sslcompression=0&gssencmode=prefer&sslsni=1\
                    &ssl_min_protocol_version=TLSv1.2&client_encoding=auto&fallback_application_name=nightly&keepalives_count=3";
    let output = check(&store, &url(harmless), &[("PGCLIENTENCODING", "LATIN1"), ("PGSSLCOMPRESSION", "1")]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("krbsrvname (the URL) is not heeded") && said.contains("gsslib"), "{said}");
    assert!(
        !said.contains("sslcompression") && !said.contains("client_encoding") && !said.contains("gssencmode"),
        "{said}"
    );
    let output = check(&store, &store.database.url, &[("PGCLIENTENCODING", "LATIN1")]);
    assert!(text(&output).contains("client_encoding (PGCLIENTENCODING) is not heeded"), "{}", text(&output));

    for (parameter, words) in [
        ("gssencmode=require", "there is no GSSAPI here"),
        ("requirepeer=postgres", "requirepeer=postgres (the URL)"),
        ("require_auth=scram-sha-256", "the server says how to authenticate"),
        ("sslcrl=/etc/revoked", "revoked"),
        ("ssl_min_protocol_version=TLSv1.3", "TLS 1.2 is always allowed"),
        ("sslcertmode=require", "sslcertmode=require"),
        ("replication=database", "replication=database"),
        ("sslrootcert=system&sslmode=require", "verify-full"),
        ("target_session_attrs=primry", "target_session_attrs (the URL): primry is none of any"),
        ("conect_timeout=3", "did you mean connect_timeout?"),
        ("connect_timeout=soon", "connect_timeout (the URL)"),
        ("channel_binding=require", "channel binding"),
    ] {
        assert_says(&store, &url(parameter), &[], &[words]);
    }
    assert_says(&store, &store.database.url, &[("PGGSSENCMODE", "require")], &["PGGSSENCMODE", "sslmode=require"]);
    assert_says(&store, &store.database.url, &[("PGREQUIRESSL", "1")], &["PGREQUIRESSL", "sslmode=require"]);
}

/// On two servers in either order, for every word, and with the same choice as `psql`'s.
#[test]
fn the_server_is_the_one_that_is_wanted() {
    let store = Store::with_failed(1);
    let primary = server();
    let standby = Server::start(Kind::CopyOf(&primary.url("postgres", "postgres")));
    let name = &store.database.name;
    let both = [(primary.port, standby.port), (standby.port, primary.port)];
    let urls = both.map(|(one, other)| format!("postgres://postgres@127.0.0.1:{one},127.0.0.1:{other}/{name}"));
    let psqls = |variables: &[(&str, &str)], url: &str| {
        let mut command = Command::new("psql");
        let asked = command.args([url, "-Atc", "SELECT NOT pg_is_in_recovery()"]);
        clean(asked, variables).output().ok().map(|output| output.stdout == b"t\n")
    };
    for (word, expected) in [
        ("any", [true, false]),
        ("read-write", [true, true]),
        ("primary", [true, true]),
        ("read-only", [false, false]),
        ("standby", [false, false]),
        ("prefer-standby", [false, false]),
    ] {
        for (url, is_primary) in urls.iter().zip(expected) {
            let variables = [("PGTARGETSESSIONATTRS", word)];
            let output = check(&store, url, &variables);
            let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(answer["store"]["writable"], is_primary, "{word} {url}: {answer}");
            assert!(psqls(&variables, url).is_none_or(|psqls| psqls == is_primary), "{word} {url}");
        }
    }
    let alone = |server: &Server, word: &str| format!("{}?target_session_attrs={word}", server.url("postgres", name));
    assert_leads_there(&store, &alone(primary, "prefer-standby"), &[]);
    assert_says(&store, &alone(primary, "standby"), &[], &["is a primary that takes writes", "=standby wants another"]);
    assert_says(&store, &alone(&standby, "primary"), &[], &["is a standby", "=primary wants another"]);
    let read_only = format!("{}&options=-cdefault_transaction_read_only%3Don", alone(primary, "read-write"));
    assert_says(&store, &read_only, &[], &["is a primary that is read-only"]);
}

/// A server with TLS, a database with a store's tables, and who is let in how.
fn encrypted(rules: &str) -> (Server, String) {
    let server = Server::start(Kind::Encrypted);
    let data = server.folder.join("data");
    fs::copy(server.folder.join("root.crt"), data.join("root.crt")).unwrap();
    fs::set_permissions(data.join("root.crt"), fs::Permissions::from_mode(0o644)).unwrap();
    let client = crate::postgres::Client::connect(&server.url("postgres", "postgres"));
    client.execute(SCHEMA);
    client.execute("CREATE ROLE ann SUPERUSER LOGIN; CREATE ROLE bob SUPERUSER LOGIN PASSWORD 's3cret'");
    client.execute("ALTER SYSTEM SET ssl_ca_file = 'root.crt'");
    let before = fs::read_to_string(data.join("pg_hba.conf")).unwrap();
    fs::write(data.join("pg_hba.conf"), format!("{rules}\n{before}")).unwrap();
    client.execute("SELECT pg_reload_conf()");
    // The server's other processes hear of it a moment later.
    while client.value("SHOW ssl_ca_file").as_deref() != Some("root.crt") {}
    let url = format!("@localhost:{}/postgres", server.port);
    (server, url)
}

/// A key, and a certificate of it for a name by the authority in the folder.
fn certify(authority: &Path, name: &str, extensions: &str, folder: &Path) -> (String, String) {
    let script = "openssl req -newkey rsa:2048 -nodes -subj /CN=$1 -keyout $2/$1.key -out $2/$1.csr &&
        openssl x509 -req -in $2/$1.csr -CA root.crt -CAkey root.key -days 2 -out $2/$1.crt $3 && chmod 600 $2/$1.key";
    let made = Command::new("sh")
        .current_dir(authority)
        .args(["-c", script, "sh", name])
        .arg(folder)
        .arg(extensions)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let file = |ending: &str| folder.join(format!("{name}.{ending}")).display().to_string();
    (file("crt"), file("key"))
}

#[test]
fn a_client_certificate_says_who_we_are() {
    let store = Store::new();
    let folder = store.folder.path();
    let (server, place) = encrypted("hostssl all ann 127.0.0.1/32 cert\nhostssl all ann ::1/128 cert");
    let (certificate, key) = certify(&server.folder, "ann", "-extfile names", folder);
    let (other, others_key) = certify(&server.folder, "eve", "-extfile names", folder);
    let root = server.folder.join("root.crt").display().to_string();
    let url = |certificate: &str, key: &str| {
        format!("postgres://ann{place}?sslmode=verify-full&sslrootcert={root}&sslcert={certificate}&sslkey={key}")
    };
    assert_leads_there(&store, &url(&certificate, &key), &[]);
    // Without extensions it is one of X.509's first version.
    let old = store.folder.path().join("old");
    fs::create_dir(&old).unwrap();
    let (first_version, its_key) = certify(&server.folder, "ann", "", &old);
    assert_leads_there(&store, &url(&first_version, &its_key), &[]);
    let without = format!("postgres://ann{place}?sslmode=require");
    assert_leads_there(&store, &without, &[("PGSSLCERT", &certificate), ("PGSSLKEY", &key)]);
    let off = format!("{without}&sslcertmode=disable");
    assert_says(
        &store,
        &off,
        &[("PGSSLCERT", &certificate), ("PGSSLKEY", &key)],
        &["client certificate", "sslcert=FILE"],
    );
    assert_says(&store, &without, &[], &["client certificate", "sslcert=FILE", "postgresql.crt"]);
    assert_says(&store, &url(&other, &others_key), &[], &["certificate authentication failed"]);
    assert_says(&store, &url(&certificate, &others_key), &[], &["sslkey", "is not the key of sslcert"]);
    let no_key = private(&folder.join("no.key"), "nothing");
    assert_says(&store, &url(&certificate, &no_key), &[], &["sslkey", "no private key"]);
    assert_says(&store, &url("/no/such.crt", &key), &[], &["sslcert /no/such.crt can't be used"]);
    assert_says(&store, &url(&certificate, "/no/such.key"), &[], &["sslkey /no/such.key can't be used"]);

    // libpq's own files.
    let home = folder.join("home/.postgresql");
    fs::create_dir_all(&home).unwrap();
    for (file, name) in [(&certificate, "postgresql.crt"), (&key, "postgresql.key"), (&root, "root.crt")] {
        fs::copy(file, home.join(name)).unwrap();
    }
    let home = folder.join("home").display().to_string();
    assert_leads_there(&store, &format!("postgres://ann{place}?sslmode=verify-full"), &[("HOME", &home)]);

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_says(&store, &url(&certificate, &key), &[], &["sslkey", "others may read it", "chmod 0600"]);
    assert_like_psql(&url(&certificate, &key), &[], false);
    let encrypted = folder.join("encrypted.key").display().to_string();
    let made = Command::new("openssl")
        .args(["pkey", "-aes256", "-passout", "pass:s3cret", "-in", &key, "-out", &encrypted])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    fs::set_permissions(&encrypted, fs::Permissions::from_mode(0o600)).unwrap();
    let with_password = format!("{}&sslpassword=s3cret", url(&certificate, &encrypted));
    assert_says(&store, &with_password, &[], &["is encrypted", "openssl pkey"]);
}

/// With TLS a password can be bound to it, and a server that does not is not believed.
#[test]
fn channel_binding_and_the_servers_name_are_as_asked() {
    let store = Store::new();
    let (server, place) = encrypted("host all bob all scram-sha-256");
    let root = server.folder.join("root.crt").display().to_string();
    let url = format!("postgres://bob:s3cret{place}?channel_binding=require");
    assert_leads_there(&store, &url, &[("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", &root)]);
    assert_leads_there(&store, &format!("{url}&sslsni=0&ssl=true"), &[]);
    assert_says(&store, &url, &[("PGSSLMODE", "disable")], &["channel binding"]);
    assert_says(&store, &url, &[("PGSSLROOTCERT", "system")], &["can't be reached", "certificate"]);
}

/// The first server does not want a password, and the second one has its own line.
#[test]
fn each_server_has_its_own_line_in_the_password_file() {
    let store = Store::new();
    let (server, place) = encrypted("host all bob all scram-sha-256");
    let none = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = store.folder.path().join("passwords");
    let file = private(&file, &format!("localhost:{none}:*:bob:wrong\nlocalhost:{}:*:bob:s3cret\n", server.port));
    let url = format!("postgres://bob@localhost:{none},{}", &place[1..]);
    assert_leads_there(&store, &format!("{url}?passfile={file}"), &[]);
    assert_leads_there(&store, &url, &[("PGPASSFILE", &file)]);
    assert_says(&store, &url, &[], &["the server asks for a password"]);
}
