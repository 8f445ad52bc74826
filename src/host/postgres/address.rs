//! Where a PostgreSQL store is, and how to get there: the URL, libpq's environment variables, TLS.

use std::borrow::Cow;
use std::env;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use rustls_tokio_postgres::{MakeRustlsConnect, config_from_ca_cert, config_no_verify, config_platform_verifier};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{CancelToken, Client, Config, NoTls};

use super::passfile;
use crate::host::HostError;

/// Where Debian, and most others, have the server's socket.
const SOCKETS: &str = "/var/run/postgresql";

const DEFAULT_PORT: u16 = 5432;

/// Unless `connect_timeout` says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What our connections are called in `pg_stat_activity`, unless `application_name` says otherwise.
pub(super) const APPLICATION_NAME: &str = "bulk_rerun";

/// Where a store is. Its text never has the password in it.
pub(super) struct Address {
    config: Config,
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

    fn with_variables(url: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, HostError> {
        let (url, tls) = TlsWish::take_from(url);
        let mut config: Config = url.parse().map_err(|error| unusable(&in_words(&error)))?;
        let tls = TlsWish {
            mode: tls.mode.or_else(|| variable("PGSSLMODE")),
            root_certificates: tls.root_certificates.or_else(|| variable("PGSSLROOTCERT")),
        };
        fill(&mut config, variable)?;
        let text = describe(&config);
        let tls = tls.apply(&mut config)?;
        if config.get_password().is_none()
            && let Some(password) = variable("PGPASSWORD").or_else(|| passfile::find(&config, variable))
        {
            config.password(password);
        }
        Ok(Address { config, tls, text })
    }
}

impl Address {
    pub(super) async fn connect(&self) -> Result<(Client, Driver), tokio_postgres::Error> {
        Ok(match self.tls.clone() {
            Some(tls) => {
                let (client, driver) = self.config.connect(tls).await?;
                (client, Box::pin(async { driver.await.unwrap_or_default() }))
            }
            None => {
                let (client, driver) = self.config.connect(NoTls).await?;
                (client, Box::pin(async { driver.await.unwrap_or_default() }))
            }
        })
    }

    /// Asks the server to stop what a connection waits for.
    pub(super) async fn cancel(&self, token: CancelToken) -> Result<(), tokio_postgres::Error> {
        match self.tls.clone() {
            Some(tls) => token.cancel_query(tls).await,
            None => token.cancel_query(NoTls).await,
        }
    }
}

/// What the URL leaves open, from the environment, else libpq's defaults.
fn fill(config: &mut Config, variable: &dyn Fn(&str) -> Option<String>) -> Result<(), HostError> {
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        let default = || if Path::new(SOCKETS).is_dir() { SOCKETS } else { "localhost" }.to_owned();
        let hosts = variable("PGHOST").unwrap_or_else(default);
        hosts.split(',').for_each(|host| {
            config.host(host);
        });
    }
    if config.get_ports().is_empty()
        && let Some(ports) = variable("PGPORT")
    {
        for port in ports.split(',') {
            config.port(port.parse().map_err(|_| unusable(&format!("PGPORT is no port number: {ports}")))?);
        }
    }
    if config.get_user().is_none()
        && let Some(user) = variable("PGUSER")
    {
        config.user(user);
    }
    if config.get_dbname().is_none()
        && let Some(name) = variable("PGDATABASE")
    {
        config.dbname(name);
    }
    if config.get_options().is_none()
        && let Some(options) = variable("PGOPTIONS")
    {
        config.options(options);
    }
    if config.get_application_name().is_none() {
        config.application_name(variable("PGAPPNAME").unwrap_or_else(|| APPLICATION_NAME.to_owned()));
    }
    if config.get_connect_timeout().is_none() {
        let seconds = variable("PGCONNECT_TIMEOUT").and_then(|seconds| seconds.parse().ok());
        config.connect_timeout(seconds.filter(|&seconds| seconds > 0).map_or(CONNECT_TIMEOUT, Duration::from_secs));
    }
    Ok(())
}

/// The address for a person: nothing of it is secret.
fn describe(config: &Config) -> String {
    let port = |index: usize| {
        let ports = config.get_ports();
        ports.get(index).or(ports.first().filter(|_| ports.len() == 1)).copied().unwrap_or(DEFAULT_PORT)
    };
    let mut hosts: Vec<String> = Vec::new();
    for (index, host) in config.get_hosts().iter().enumerate() {
        let name = match host {
            Host::Tcp(name) => Cow::Borrowed(name.as_str()),
            Host::Unix(folder) => folder.to_string_lossy(),
        };
        hosts.push(format!("{name}:{}", port(index)));
    }
    if hosts.is_empty() {
        hosts.extend(config.get_hostaddrs().iter().enumerate().map(|(index, host)| format!("{host}:{}", port(index))));
    }
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    let name = config.get_dbname().map(|name| format!("/{name}")).unwrap_or_default();
    format!("postgres://{user}{}{name}", hosts.join(","))
}

/// How far TLS is wanted, in libpq's words.
#[derive(Default)]
struct TlsWish {
    mode: Option<String>,
    root_certificates: Option<String>,
}

impl TlsWish {
    /// Takes `sslmode` and `sslrootcert` out of a URL: tokio-postgres knows fewer modes than libpq.
    fn take_from(url: &str) -> (String, TlsWish) {
        let Some((before, query)) = url.split_once('?') else { return (url.to_owned(), TlsWish::default()) };
        let mut wish = TlsWish::default();
        let mut rest = Vec::new();
        for part in query.split('&') {
            match form_urlencoded::parse(part.as_bytes()).next() {
                Some((name, value)) if name == "sslmode" => wish.mode = Some(value.into_owned()),
                Some((name, value)) if name == "sslrootcert" => wish.root_certificates = Some(value.into_owned()),
                _ => rest.push(part),
            }
        }
        (format!("{before}?{}", rest.join("&")), wish)
    }

    /// As libpq does: unless it is asked for, certificates are not verified. `verify-ca` verifies the
    /// name too, since rustls does not do one without the other.
    fn apply(self, config: &mut Config) -> Result<Option<MakeRustlsConnect>, HostError> {
        let roots = self.root_certificates.filter(|file| file != "system");
        let (mode, verify) = match self.mode.as_deref() {
            Some("disable") => (SslMode::Disable, false),
            None | Some("allow" | "prefer") => (SslMode::Prefer, false),
            // With roots at hand, libpq verifies here as well.
            Some("require") => (SslMode::Require, roots.is_some()),
            Some("verify-ca" | "verify-full") => (SslMode::Require, true),
            Some(other) => {
                return Err(unusable(&format!(
                    "sslmode is none of disable, allow, prefer, require, verify-ca and verify-full: {other}"
                )));
            }
        };
        // A socket in the file system has no TLS, whatever the mode, nor has an address without a name.
        let named = |host: &Host| matches!(host, Host::Tcp(_));
        let hosts = config.get_hosts();
        if hosts.is_empty() && mode == SslMode::Require {
            return Err(unusable("TLS goes by the server's name, and there is only hostaddr; add host"));
        }
        if !hosts.iter().any(named) || mode == SslMode::Disable {
            config.ssl_mode(SslMode::Disable);
            return Ok(None);
        }
        if !hosts.iter().all(named) {
            return Err(unusable(
                "sockets and servers can't be mixed, since one has no TLS; sslmode=disable allows it",
            ));
        }
        config.ssl_mode(mode);
        let tls = match (verify, roots) {
            (false, _) => config_no_verify(),
            (true, Some(file)) => config_from_ca_cert(&file)
                .map_err(|error| unusable(&format!("sslrootcert {file} can't be used: {error}")))?,
            (true, None) => config_platform_verifier()
                .map_err(|error| unusable(&format!("the system's root certificates can't be used: {error}")))?,
        };
        Ok(Some(MakeRustlsConnect::new(tls)))
    }
}

fn unusable(message: &str) -> HostError {
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
