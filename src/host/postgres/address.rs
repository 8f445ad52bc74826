//! Where a PostgreSQL store is, and how to get there: a URL, libpq's environment variables, TLS.

use std::collections::BTreeMap;
use std::env;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use rustls_tokio_postgres::MakeRustlsConnect;
use tokio_postgres::config::Host;
use tokio_postgres::{CancelToken, Client, Config, NoTls};

use super::configuration::{CONNECT_TIMEOUT, config, wrong};
use super::libpq::Parameters;
use super::passfile::Passfile;
use super::servers::{self, Unreached};
use super::target::Target;
use super::tls::TlsWish;
use super::url::Url;
use crate::host::HostError;

/// Where Debian, and most others, have the server's socket.
pub(super) const SOCKETS: &str = "/var/run/postgresql";

/// What our connections are called in `pg_stat_activity`, unless `application_name` says otherwise.
pub(super) const APPLICATION_NAME: &str = "bulk_rerun";

/// Where a store is. Its text never has the password in it.
pub(super) struct Address {
    /// What is said of all servers.
    config: Config,
    /// Each by itself, with its own password.
    servers: Vec<Config>,
    target: Target,
    /// `None`: nothing is encrypted, for a socket in the file system least of all.
    tls: Option<MakeRustlsConnect>,
    text: String,
}

/// What moves a connection's bytes; what went wrong there is told to whoever asks the client next.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Address {
    /// Reads a `postgres://` URL; what it leaves open is libpq's environment variables' to say.
    pub(super) fn parse(url: &str) -> Result<Self, HostError> {
        Address::with_variables(url, &|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    pub(super) fn with_variables(url: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, HostError> {
        let Url { rest, parameters } = Url::read(url).map_err(|message| unusable(&message))?;
        let parameters = Parameters::read(with_login(parameters, &rest)?, variable)?;
        let mut config = config(&parameters)?;
        let text = describe(&config);
        let tls = TlsWish::of(&parameters, variable).apply(&mut config)?;
        let mut servers = servers::each(&config);
        if config.get_password().is_none()
            && let Some(passfile) = Passfile::read(parameters.filled("passfile"), variable)
        {
            for server in &mut servers {
                if let Some(password) = passfile.password(server, variable) {
                    server.password(password);
                }
            }
        }
        let target = Target::read(parameters.get("target_session_attrs").unwrap_or("any"));
        let target = target.map_err(|error| wrong(&parameters, "target_session_attrs", &error))?;
        Ok(Address { config, servers, target, tls, text })
    }
}

impl Address {
    /// Connects to the first of its servers that will do: TCP, TLS, the server's welcome and what it is within
    /// `connect_timeout` for each, and within the limit for all.
    pub(super) async fn connect(&self, limit: Duration) -> Result<(Client, Driver), Unreached> {
        servers::first(&self.servers, self.target, limit, async |server, target| {
            let (client, mut driver) = match self.tls.clone() {
                Some(tls) => {
                    let (client, driver) = server.connect(tls).await?;
                    (client, Box::pin(async { driver.await.unwrap_or_default() }) as Driver)
                }
                None => {
                    let (client, driver) = server.connect(NoTls).await?;
                    (client, Box::pin(async { driver.await.unwrap_or_default() }) as Driver)
                }
            };
            match target.misses(&client, &mut driver).await? {
                Some(why) => Err(Unreached::Other(why)),
                None => Ok((client, driver)),
            }
        })
        .await
    }

    /// Asks the server to stop what a connection waits for; one that does not answer is not waited for.
    pub(super) async fn cancel(&self, token: CancelToken) -> Result<(), tokio_postgres::Error> {
        let told = async {
            match self.tls.clone() {
                Some(tls) => token.cancel_query(tls).await,
                None => token.cancel_query(NoTls).await,
            }
        };
        let patience = self.config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
        tokio::time::timeout(patience, told).await.unwrap_or(Ok(()))
    }

    /// Whether the address names a search path: in its own options, or in `PGOPTIONS`.
    pub(super) fn names_search_path(&self) -> bool {
        // The server takes a dash for an underscore.
        let options = self.config.get_options().unwrap_or_default();
        options.to_ascii_lowercase().replace('-', "_").contains("search_path")
    }
}

/// With the user, the password and the database's name, where the URL has them in front and in no parameter.
fn with_login(mut parameters: BTreeMap<String, String>, rest: &str) -> Result<BTreeMap<String, String>, HostError> {
    let login: Config = rest.parse().map_err(|error| unusable(&in_words(&error)))?;
    let password = login.get_password().map(str::from_utf8).transpose();
    let password = password.map_err(|_| unusable("the password in the URL is not in UTF-8"))?;
    for (keyword, said) in [("user", login.get_user()), ("dbname", login.get_dbname()), ("password", password)] {
        if let Some(said) = said {
            parameters.entry(keyword.to_owned()).or_insert_with(|| said.to_owned());
        }
    }
    Ok(parameters)
}

/// The address for a person: nothing of it is secret.
fn describe(config: &Config) -> String {
    let name = |host: &Host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.to_string_lossy().into_owned(),
    };
    // With an address at hand, a host's name is never looked up.
    let mut hosts: Vec<String> = config.get_hostaddrs().iter().map(ToString::to_string).collect();
    if hosts.is_empty() {
        hosts.extend(config.get_hosts().iter().map(name));
    }
    for (index, host) in hosts.iter_mut().enumerate() {
        if host.contains(':') && !host.starts_with('/') {
            *host = format!("[{host}]");
        }
        let ports = config.get_ports();
        if let Some(port) = ports.get(index).or(ports.first()) {
            *host += &format!(":{port}");
        }
    }
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    let name = config.get_dbname().map(|name| format!("/{name}")).unwrap_or_default();
    format!("postgres://{user}{}{name}", hosts.join(","))
}

pub(super) fn unusable(message: &str) -> HostError {
    HostError::Unusable(format!("the store's address can't be used: {message}"))
}

/// An error and its causes in one line.
pub(super) fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words += ": ";
        words += &error.to_string();
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::*;

    fn parse(url: &str, variables: &[(&str, &str)]) -> Result<Address, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Address::with_variables(url, &variable).map_err(|error| error.to_string())
    }

    #[test]
    fn a_password_is_used_and_never_shown() {
        let address = parse("postgres://ann:s3cret@db.example:6432/jobs?sslmode=disable", &[]).unwrap();
        assert_eq!(address.config.get_password(), Some(&b"s3cret"[..]));
        assert_eq!(address.to_string(), "postgres://ann@db.example:6432/jobs");
        let error = parse("postgres://ann:s3cret@db.example:port/jobs", &[]).err().unwrap();
        assert!(!error.contains("s3cret"), "{error}");
    }

    #[test]
    fn what_the_url_leaves_open_the_environment_says() {
        let variables = [
            ("PGHOST", "one,two"),
            ("PGPORT", "7001,7002"),
            ("PGUSER", "ann"),
            ("PGDATABASE", "jobs"),
            ("PGPASSWORD", "s3cret"),
            ("PGOPTIONS", "-c search_path=x"),
            ("PGAPPNAME", "nightly"),
            ("PGCONNECT_TIMEOUT", "3"),
        ];
        let address = parse("postgres://", &variables).unwrap();
        assert_eq!(address.to_string(), "postgres://ann@one:7001,two:7002/jobs");
        assert_eq!(address.config.get_password(), Some(&b"s3cret"[..]));
        assert_eq!(address.config.get_options(), Some("-c search_path=x"));
        assert_eq!(address.config.get_application_name(), Some("nightly"));
        assert_eq!(address.config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        let address = parse("postgres://bob@three:1/other?options=-cx%3Dy", &variables).unwrap();
        assert_eq!(address.to_string(), "postgres://bob@three:1/other");
        assert_eq!(address.config.get_options(), Some("-cx=y"));
    }

    /// Each as `psql` of PostgreSQL 15 tries it with the same URL and variables.
    #[test]
    fn a_host_and_its_port_are_those_that_libpq_takes() {
        let cases: [(&str, &str, &str); 22] = [
            ("postgres://db.example/jobs", "", "db.example:5432/jobs"),
            ("postgres://db.example/jobs", "6432", "db.example:6432/jobs"),
            ("postgres://db.example:/jobs", "6432", "db.example:6432/jobs"),
            ("postgres://db.example:5432/jobs", "6432", "db.example:5432/jobs"),
            ("postgres://db.example:54%332/jobs", "6432", "db.example:5432/jobs"),
            ("postgres://db.example:7/jobs", "nonsense", "db.example:7/jobs"),
            ("postgres://db.example/jobs?port=7", "6432", "db.example:7/jobs"),
            ("postgres://db.example:6/jobs?port=7", "", "db.example:7/jobs"),
            ("postgres://db.example/jobs?port=", "6432", "db.example:5432/jobs"),
            ("postgres://db.example/jobs?host=other&port=7", "", "other:7/jobs"),
            ("postgres:///jobs?host=other", "6432", "other:6432/jobs"),
            ("postgres://:7/jobs", "6432", "db:7/jobs"),
            ("postgres:///jobs?host=a,b", "6432", "a:6432,b:6432/jobs"),
            ("postgres:///jobs?host=a,b", "1,2", "a:1,b:2/jobs"),
            ("postgres:///jobs?host=a,b&port=1,", "", "a:1,b:5432/jobs"),
            // Where one of several hosts may have a port, none is asked of the environment.
            ("postgres://a,b:7/jobs", "6432", "a:5432,b:7/jobs"),
            ("postgres://a,b/jobs", "6432", "a:5432,b:5432/jobs"),
            ("postgres://[::1]/jobs", "6432", "[::1]:6432/jobs"),
            ("postgres://[::1]:7/jobs", "6432", "[::1]:7/jobs"),
            ("postgres://%2Frun%2Fpg/jobs", "6432", "/run/pg:6432/jobs"),
            ("postgres:///jobs?host=/run/pg&port=7", "6432", "/run/pg:7/jobs"),
            ("postgres:///jobs?hostaddr=::1", "6432", "[::1]:6432/jobs"),
        ];
        for (url, ports, expected) in cases {
            let address = parse(url, &[("PGHOST", "db"), ("PGPORT", ports)]);
            let address = address.unwrap_or_else(|error| panic!("{url}, PGPORT={ports}: {error}"));
            assert_eq!(address.to_string(), format!("postgres://{expected}"), "{url}, PGPORT={ports}");
        }
    }

    #[test]
    fn ports_that_can_not_be_are_named() {
        let error = |url: &str, ports: &str| parse(url, &[("PGPORT", ports)]).err().unwrap();
        for ports in ["nonsense", "0", "65536", "-1"] {
            assert!(
                error("postgres://db/jobs", ports).contains(&format!("port (PGPORT): this is no port number: {ports}"))
            );
        }
        assert!(error("postgres://db/jobs", "1,2").contains("2 ports, and 1 hosts"));
        assert!(error("postgres:///jobs?host=a,b", "1,2,3").contains("3 ports, and 2 hosts"));
        assert!(error("postgres://db:port/jobs", "1").contains("no port number"));
    }

    #[test]
    fn a_way_that_leads_nowhere_is_given_up_in_time() {
        let seconds = Duration::from_secs;
        let config = parse("postgres://db/jobs", &[]).unwrap().config;
        assert_eq!((config.get_keepalives_idle(), config.get_keepalives_interval()), (seconds(30), Some(seconds(10))));
        assert_eq!((config.get_keepalives_retries(), config.get_tcp_user_timeout()), (Some(3), Some(&seconds(30))));
        // libpq's own units and names.
        let said = "keepalives_idle=7200&keepalives_interval=7&keepalives_count=8&tcp_user_timeout=9000";
        let config = parse(&format!("postgres://db/jobs?{said}"), &[]).unwrap().config;
        assert_eq!((config.get_keepalives_idle(), config.get_keepalives_interval()), (seconds(7200), Some(seconds(7))));
        assert_eq!((config.get_keepalives_retries(), config.get_tcp_user_timeout()), (Some(8), Some(&seconds(9))));
        let config = parse("postgres://db/jobs?tcp_user_timeout=0", &[]).unwrap().config;
        assert_eq!(config.get_tcp_user_timeout(), None);
        let error = parse("postgres://db/jobs?tcp_user_timeout=soon", &[]).err().unwrap();
        assert!(error.contains("tcp_user_timeout"), "{error}");
    }

    #[test]
    fn a_search_path_in_an_address_is_seen() {
        let names = |url: &str, options: &str| parse(url, &[("PGOPTIONS", options)]).unwrap().names_search_path();
        assert!(names("postgres://db/jobs?options=-csearch_path%3Dmine", ""));
        assert!(names("postgres://db/jobs?options=--Search-Path%3D", "-c lock_timeout=1"));
        assert!(names("postgres://db/jobs", "-c search_path=mine"));
        assert!(!names("postgres://db/jobs?options=-clock_timeout%3D1", "-c search_path=mine"));
    }

    #[test]
    fn libpqs_words_for_tls_are_understood() {
        for (mode, expected) in [
            ("disable", SslMode::Disable),
            ("allow", SslMode::Prefer),
            ("prefer", SslMode::Prefer),
            ("require", SslMode::Require),
            ("verify-ca", SslMode::Require),
            ("verify-full", SslMode::Require),
        ] {
            let address = parse(&format!("postgres://db.example/jobs?sslmode={mode}&connect_timeout=2"), &[]).unwrap();
            assert_eq!(address.config.get_ssl_mode(), expected, "{mode}");
            assert_eq!(address.config.get_connect_timeout(), Some(&Duration::from_secs(2)));
        }
        assert_eq!(
            parse("postgres:///jobs?host=/run/x&sslmode=require", &[]).unwrap().config.get_ssl_mode(),
            SslMode::Disable
        );
        let error = parse("postgres:///jobs?hostaddr=10.0.0.1&sslmode=require", &[]).err().unwrap();
        assert!(error.contains("hostaddr"), "{error}");
        let error = parse("postgres://db.example/?sslmode=sometimes", &[]).err().unwrap();
        assert!(error.contains("sslmode") && error.contains("sometimes"), "{error}");
        let error = parse("postgres://db.example/", &[("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", "/no/such")]);
        assert!(error.err().unwrap().contains("/no/such"));
    }
}
