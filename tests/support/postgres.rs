//! A throw-away PostgreSQL server: one for each test binary, gone with it.

#![allow(dead_code, reason = "every test uses some of it")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::NoTls;

/// Starts a server in a new folder, and stops it and removes the folder when its standard input ends: however
/// the test binary ends, the server does not stay. It says `ready` when it can be connected to.
const KEEPER: &str = r#"
set -eu
dir=$(mktemp -d "${TMPDIR:-/tmp}/bulk-rerun-postgres.XXXXXX")
trap 'rm -rf "$dir"' EXIT
cd "$dir"
exec 3>&1 >setup 2>&1
trap 'status=$?; [ $status = 0 ] || cat "$dir/setup" >&3; rm -rf "$dir"' EXIT
as=
if [ "$(id -u)" = 0 ]; then
    chown postgres "$dir"
    as='setpriv --reuid=postgres --regid=postgres --init-groups'
fi
case $KIND in
copy) $as "$BIN/pg_basebackup" -d "$SOURCE" -X stream -R -c fast -D data ;;
*) $as "$BIN/initdb" -D data -A trust -U postgres --no-sync -E UTF8 --locale=C.UTF-8 ;;
esac
if [ "$KIND" = small ]; then
    mkdir small
    mount -t tmpfs -o size=1m none small
    chown postgres small
fi
if [ "$KIND" = durable ]; then
    set -- "$@" -c fsync=on -c shared_buffers=512MB -c max_wal_size=4GB
fi
if [ "$KIND" = encrypted ]; then
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=root" -keyout root.key -out root.crt
    openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout server.key -out server.csr
    echo "subjectAltName=DNS:localhost" >names
    openssl x509 -req -in server.csr -CA root.crt -CAkey root.key -days 2 -extfile names -out server.crt
    $as install -m 600 /dev/null data/server.key
    cat server.key >data/server.key
    $as install -m 600 /dev/null data/server.crt
    cat server.crt >data/server.crt
    set -- "$@" -c ssl=on
fi
$as "$BIN/postgres" -D data -p "$PORT" -c unix_socket_directories="$dir" "$@" >log 2>&1 3>&- </dev/null &
server=$!
trap 'kill -INT $server 2>/dev/null; wait $server; rm -rf "$dir"' EXIT
until "$BIN/pg_isready" -q -h 127.0.0.1 -p "$PORT"; do
    kill -0 $server || { cat log >&3; exit 1; }
    sleep 0.05
done
echo "ready $dir" >&3
exec 3>&-
cat >/dev/null
"#;

/// The server's settings, made for tests.
const SETTINGS: [&str; 8] =
    ["-c", "listen_addresses=127.0.0.1", "-c", "timezone=UTC", "-c", "fsync=off", "-c", "max_connections=60"];

/// What kind of server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind<'a> {
    Plain,
    /// As in earnest: what is committed survives a power cut.
    Durable,
    /// With TLS: the name `localhost`, certified by `root.crt` in its folder.
    Encrypted,
    /// With a disk of 1 MB besides: the folder `small` in its own. Only root may make one.
    SmallDisk,
    /// A standby of the server at this URL.
    CopyOf(&'a str),
}

/// A running server.
pub struct Server {
    pub port: u16,
    /// The folder with its data (`data`), its socket and its `log`.
    pub folder: PathBuf,
    _keeper: Child,
    _lives: ChildStdin,
}

/// The test binary's own server.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(Kind::Plain))
}

/// The folder of Debian's, or another distribution's, server programs.
pub fn programs() -> PathBuf {
    let mut found: Vec<PathBuf> = ["/usr/lib/postgresql", "/usr/local/lib/postgresql"]
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().expect("no PostgreSQL server is installed; install Debian's package postgresql")
}

impl Server {
    pub fn start(kind: Kind<'_>) -> Server {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (kind, source) = match kind {
            Kind::Plain => ("plain", ""),
            Kind::Durable => ("durable", ""),
            Kind::Encrypted => ("encrypted", ""),
            Kind::SmallDisk => ("small", ""),
            Kind::CopyOf(url) => ("copy", url),
        };
        // What is mounted there goes with it.
        let in_a_namespace: &[&str] = if kind == "small" { &["unshare", "--mount"] } else { &[] };
        let mut words = in_a_namespace.iter().copied().chain(["sh", "-c", KEEPER, "keeper"]);
        let mut keeper = Command::new(words.next().unwrap())
            .args(words)
            .args(SETTINGS)
            .env("BIN", programs())
            .env("PORT", port.to_string())
            .env("KIND", kind)
            .env("SOURCE", source)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = Vec::new();
        let mut output = BufReader::new(keeper.stdout.take().unwrap()).lines();
        let folder = output.by_ref().map(Result::unwrap).find_map(|line| {
            let folder = line.strip_prefix("ready ").map(PathBuf::from);
            said.push(line);
            folder
        });
        let folder = folder.unwrap_or_else(|| panic!("the server did not start:\n{}", said.join("\n")));
        Server { port, folder, _lives: keeper.stdin.take().unwrap(), _keeper: keeper }
    }

    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// A new, empty database.
    pub fn database(&'static self) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let url = self.url("postgres", &name);
        Client::connect(&self.url("postgres", "postgres")).execute(&format!("CREATE DATABASE {name}"));
        Database { server: self, name, url }
    }
}

/// A database of its own, which stays as long as the server does.
pub struct Database {
    pub server: &'static Server,
    pub name: String,
    /// As the superuser.
    pub url: String,
}

impl Database {
    pub fn with(self, sql: &str) -> Database {
        self.client().execute(sql);
        self
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.url)
    }

    pub fn url_as(&self, user: &str) -> String {
        self.server.url(user, &self.name)
    }
}

/// A plain client, to look at what is there.
pub struct Client {
    client: tokio_postgres::Client,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    pub fn connect(url: &str) -> Client {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (client, driver) = runtime.block_on(tokio_postgres::connect(url, NoTls)).unwrap();
        runtime.spawn(driver);
        Client { client, runtime }
    }

    #[track_caller]
    pub fn execute(&self, sql: &str) {
        self.try_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    pub fn try_execute(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        self.runtime.block_on(self.client.batch_execute(sql))
    }

    /// A query's rows, each value as the server prints it.
    #[track_caller]
    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let messages = self.runtime.block_on(self.client.simple_query(sql)).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        let row = |message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|index| row.get(index).map(str::to_owned)).collect())
            }
            _ => None,
        };
        messages.into_iter().filter_map(row).collect()
    }

    /// The only value of a query's first row.
    #[track_caller]
    pub fn value(&self, sql: &str) -> Option<String> {
        self.rows(sql).into_iter().next().and_then(|mut row| row.remove(0))
    }

    /// Inserts with values bound.
    #[track_caller]
    pub fn insert(&self, sql: &str, values: &[&(dyn tokio_postgres::types::ToSql + Sync)]) {
        self.runtime.block_on(self.client.execute(sql, values)).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }
}
