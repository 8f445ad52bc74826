//! An address may name several servers. Each is tried by itself, so that one that takes the connection and says nothing
//! costs its own time alone.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, LoadBalanceHosts};

use super::target::Target;

/// Why there is no connection.
pub(super) enum Unreached {
    /// As the server, the network or TLS has it.
    Failed(tokio_postgres::Error),
    /// Nothing came for so long.
    Silent(Duration),
    /// The server is there, and is not the one that is meant: why, in words.
    Other(String),
}

impl From<tokio_postgres::Error> for Unreached {
    fn from(error: tokio_postgres::Error) -> Self {
        Unreached::Failed(error)
    }
}

/// The servers that a configuration names, each as one of its own.
pub(super) fn each(config: &Config) -> Vec<Config> {
    match config.get_hosts().len().max(config.get_hostaddrs().len()) {
        0 | 1 => vec![config.clone()],
        count => (0..count).map(|index| only(config, index)).collect(),
    }
}

/// The order in which servers are tried: their own, unless it is to be left to chance.
fn in_turn(servers: &[Config]) -> Vec<&Config> {
    let mut servers: Vec<_> = servers.iter().enumerate().collect();
    if servers.iter().any(|(_, server)| server.get_load_balance_hosts() == LoadBalanceHosts::Random) {
        let random = RandomState::new();
        servers.sort_by_cached_key(|(index, _)| random.hash_one(index));
    }
    servers.into_iter().map(|(_, server)| server).collect()
}

/// Connects to the first server that answers as it should and is the one that is meant, each for its `connect_timeout`,
/// and all for no longer than the limit.
pub(super) async fn first<T>(
    servers: &[Config],
    target: Target,
    limit: Duration,
    mut connect: impl AsyncFnMut(&Config, Target) -> Result<T, Unreached>,
) -> Result<T, Unreached> {
    let until = Instant::now().checked_add(limit);
    let mut unreached = Unreached::Silent(limit);
    for &target in target.rounds() {
        for server in in_turn(servers) {
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            let patience = server.get_connect_timeout().copied().unwrap_or(Duration::MAX).min(left);
            unreached = match timeout(patience, connect(server, target)).await {
                Ok(Ok(connected)) => return Ok(connected),
                Ok(Err(why)) => why,
                Err(_) => Unreached::Silent(patience),
            };
        }
    }
    Err(unreached)
}

type Set<T> = fn(&mut Config, T);

/// The configuration with one of its servers alone; it can't be made by taking the others out.
fn only(config: &Config, index: usize) -> Config {
    let mut one = Config::new();
    match config.get_hosts().get(index) {
        Some(Host::Tcp(name)) => one.host(name),
        #[cfg(unix)]
        Some(Host::Unix(folder)) => one.host_path(folder),
        None => &mut one,
    };
    if let Some(address) = config.get_hostaddrs().get(index) {
        one.hostaddr(*address);
    }
    let ports = config.get_ports();
    if let Some(port) = ports.get(index).or(ports.first()) {
        one.port(*port);
    }
    let texts: [(Option<&str>, Set<String>); 4] = [
        (config.get_user(), |one, user| _ = one.user(user)),
        (config.get_dbname(), |one, name| _ = one.dbname(name)),
        (config.get_options(), |one, options| _ = one.options(options)),
        (config.get_application_name(), |one, name| _ = one.application_name(name)),
    ];
    for (text, set) in texts {
        text.into_iter().for_each(|text| set(&mut one, text.to_owned()));
    }
    if let Some(password) = config.get_password() {
        one.password(password);
    }
    let times: [(Option<Duration>, Set<Duration>); 3] = [
        (config.get_connect_timeout().copied(), |one, time| _ = one.connect_timeout(time)),
        (config.get_tcp_user_timeout().copied(), |one, time| _ = one.tcp_user_timeout(time)),
        (config.get_keepalives_interval(), |one, time| _ = one.keepalives_interval(time)),
    ];
    for (time, set) in times {
        time.into_iter().for_each(|time| set(&mut one, time));
    }
    if let Some(retries) = config.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    one.keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding())
        .load_balance_hosts(config.get_load_balance_hosts());
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing that an address says gets lost where there are several servers.
    #[test]
    fn one_of_several_servers_has_all_that_is_said_of_each() {
        let rest = "user=u password=p dbname=d options=-cx=y application_name=a sslmode=require sslnegotiation=direct \
                    connect_timeout=3 tcp_user_timeout=4 keepalives=0 keepalives_idle=5 keepalives_interval=6 \
                    keepalives_retries=7 target_session_attrs=read-write channel_binding=require \
                    load_balance_hosts=random";
        let config: Config = format!("host=a,/run/b port=1,2 {rest}").parse().unwrap();
        // A password is kept out of what follows.
        assert!(each(&config).iter().all(|server| server.get_password() == Some(b"p")));
        let mut servers: Vec<String> = each(&config).iter().map(|server| format!("{server:?}")).collect();
        servers.sort();
        let alone = [format!("host=a port=1 {rest}"), format!("host=/run/b port=2 {rest}")];
        let mut alone = alone.map(|text| format!("{:?}", text.parse::<Config>().unwrap()));
        alone.sort();
        assert_eq!(servers, alone);
        let config: Config = "hostaddr=10.0.0.1,10.0.0.2 port=9".parse().unwrap();
        let servers = each(&config);
        let addresses = servers.iter().map(|server| (server.get_hostaddrs().to_vec(), server.get_ports().to_vec()));
        assert!(addresses.eq([("10.0.0.1"), ("10.0.0.2")].map(|one| (vec![one.parse().unwrap()], vec![9]))));
    }
}
