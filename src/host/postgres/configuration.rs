//! What libpq's parameters come to, for tokio-postgres.

use std::num::NonZeroU16;
use std::path::Path;
use std::time::Duration;

use tokio_postgres::Config;

use super::address::{APPLICATION_NAME, SOCKETS, in_words, unusable};
use super::libpq::Parameters;
use crate::host::HostError;

const DEFAULT_PORT: u16 = 5432;

/// Unless `connect_timeout` says otherwise.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How soon it is found out that the server's machine is gone, or the way there, unless the address says otherwise: what
/// the system does by itself takes hours, and the server would keep our locks for as long.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVES_RETRIES: u32 = 3;
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// All but TLS; what is not said is libpq's default.
pub(super) fn config(parameters: &Parameters) -> Result<Config, HostError> {
    // What tokio-postgres reads as libpq does, under its own names.
    const READ_THERE: [(&str, &str); 9] = [
        ("hostaddr", "hostaddr"),
        ("connect_timeout", "connect_timeout"),
        ("keepalives", "keepalives"),
        ("keepalives_idle", "keepalives_idle"),
        ("keepalives_interval", "keepalives_interval"),
        ("keepalives_count", "keepalives_retries"),
        ("keepalives_retries", "keepalives_retries"),
        ("channel_binding", "channel_binding"),
        ("load_balance_hosts", "load_balance_hosts"),
    ];
    let mut said = String::new();
    for (keyword, name) in READ_THERE.into_iter().chain([("sslnegotiation", "sslnegotiation")]) {
        let Some(value) = parameters.get(keyword) else { continue };
        let one = format!("{name}='{}' ", value.replace('\\', r"\\").replace('\'', r"\'"));
        one.parse::<Config>().map_err(|_| wrong(parameters, keyword, "this is no value that it may have"))?;
        said += &one;
    }
    let mut config: Config = said.parse().map_err(|error| unusable(&in_words(&error)))?;
    let text = |keyword| parameters.filled(keyword).map(str::to_owned);
    text("user").into_iter().for_each(|user| _ = config.user(user));
    text("dbname").into_iter().for_each(|name| _ = config.dbname(name));
    text("options").into_iter().for_each(|options| _ = config.options(options));
    text("password").into_iter().for_each(|password| _ = config.password(password));
    let name = text("application_name").or_else(|| text("fallback_application_name"));
    config.application_name(name.unwrap_or_else(|| APPLICATION_NAME.to_owned()));
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    keep_alive(&mut config, parameters)?;
    set_servers(&mut config, parameters)?;
    Ok(config)
}

/// How soon a connection that leads nowhere is given up, unless it is said.
fn keep_alive(config: &mut Config, parameters: &Parameters) -> Result<(), HostError> {
    if parameters.get("keepalives_idle").is_none() {
        config.keepalives_idle(KEEPALIVES_IDLE);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(KEEPALIVES_INTERVAL);
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(KEEPALIVES_RETRIES);
    }
    // In milliseconds here, and in seconds for tokio-postgres.
    match parameters.get("tcp_user_timeout").map(str::parse) {
        None => _ = config.tcp_user_timeout(TCP_USER_TIMEOUT),
        // The system's own.
        Some(Ok(0)) => {}
        Some(Ok(milliseconds)) => _ = config.tcp_user_timeout(Duration::from_millis(milliseconds)),
        Some(Err(_)) => return Err(wrong(parameters, "tcp_user_timeout", "this is no number of milliseconds")),
    }
    Ok(())
}

/// Where to connect to. As with libpq, one port is every host's, else each has its own; so `PGPORT` says nothing to
/// `a,b:7`, where `a` has the default one.
fn set_servers(config: &mut Config, parameters: &Parameters) -> Result<(), HostError> {
    let default = if Path::new(SOCKETS).is_dir() { SOCKETS } else { "localhost" };
    let hosts = parameters.get("host").unwrap_or_default();
    let by_address = hosts.is_empty() && !config.get_hostaddrs().is_empty();
    for host in hosts.split(',').filter(|_| !by_address) {
        config.host(if host.is_empty() { default } else { host });
    }
    let ports = parameters.get("port").unwrap_or_default();
    for port in ports.split(',') {
        let number = if port.is_empty() { Ok(DEFAULT_PORT) } else { port.trim().parse().map(NonZeroU16::get) };
        config.port(number.map_err(|_| match parameters.is_in_url("port") {
            // Where a password was not encoded, that may be a part of it.
            true => unusable(
                "what the URL has after a host's colon is no port number (in a password, / is written %2F, : %3A and @ %40)",
            ),
            false => wrong(parameters, "port", &format!("this is no port number: {ports}")),
        })?);
    }
    let (hosts, addresses, ports) = (config.get_hosts().len(), config.get_hostaddrs().len(), config.get_ports().len());
    if hosts > 0 && addresses > 0 && hosts != addresses {
        return Err(unusable(&format!(
            "there are {addresses} addresses (hostaddr), and {hosts} hosts that they are of"
        )));
    }
    let hosts = hosts.max(addresses);
    if ports > 1 && ports != hosts {
        return Err(unusable(&format!("there are {ports} ports, and {hosts} hosts that they could belong to")));
    }
    Ok(())
}

/// What is wrong with a parameter.
pub(super) fn wrong(parameters: &Parameters, keyword: &str, what: &str) -> HostError {
    unusable(&format!("{}: {what}", parameters.place(keyword)))
}
