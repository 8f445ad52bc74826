//! What of a `postgres://` URL is read as libpq reads it: where the servers are, and TLS.
//!
//! tokio-postgres reads the rest, and would read this otherwise: a host without a port has the port 5432 there, whatever
//! `PGPORT` says, hosts in a parameter join those in front instead of replacing them, and `sslmode` has fewer words.

use std::borrow::Cow;
use std::time::Duration;

use percent_encoding::percent_decode_str;

/// A URL, taken apart. What it does not say is `None`.
#[derive(Debug, Default)]
pub(super) struct Url {
    /// For tokio-postgres.
    pub(super) rest: String,
    /// With commas between them; the server's socket is where one is empty.
    pub(super) hosts: Option<String>,
    /// With commas between them: one for all hosts, or one for each, the default one where it is empty.
    pub(super) ports: Option<String>,
    pub(super) sslmode: Option<String>,
    pub(super) sslrootcert: Option<String>,
    /// As it is said; tokio-postgres reads it, and does not tell it from its default.
    pub(super) keepalives_idle: Option<String>,
    /// In milliseconds there, and in seconds for tokio-postgres.
    pub(super) tcp_user_timeout: Option<Duration>,
}

impl Url {
    /// # Errors
    ///
    /// What is wrong with it, in words without anything of the URL, since that may be of a password.
    pub(super) fn read(url: &str) -> Result<Url, String> {
        let (scheme, rest) = url.split_at(url.find("//").map_or(0, |at| at + 2));
        // A password may have anything but an @ in it, and so may a parameter behind a slash.
        let user = rest.find('@').filter(|&at| rest[..at].split_once('/').is_none_or(|(_, path)| !path.contains('?')));
        let (user, rest) = rest.split_at(user.map_or(0, |at| at + 1));
        let (servers, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));

        if servers.contains('@') {
            return Err("there is more than one @ in front of its host; one in a password is written %40".to_owned());
        }
        if path.contains(char::is_whitespace) && path.contains('=') {
            return Err("behind the database's name stand words in another spelling; parameters follow a ?, as in \
                        ?sslmode=require"
                .to_owned());
        }

        let (mut hosts, mut ports) = (Vec::new(), Vec::new());
        for server in servers.split(',') {
            let (host, port) = match server.strip_prefix('[').and_then(|address| address.split_once(']')) {
                Some((address, "")) => (address, ""),
                Some((address, port)) => {
                    (address, port.strip_prefix(':').ok_or("after an IPv6 address comes a colon")?)
                }
                None => server.split_once(':').unwrap_or((server, "")),
            };
            hosts.push(host);
            ports.push(port);
        }
        let list = |parts: Vec<&str>| Some(parts.join(",")).filter(|list| !list.is_empty());
        let list = |parts| list(parts).map(|list| Ok::<_, String>(decode(&list)?.into_owned())).transpose();
        let mut read = Url { hosts: list(hosts)?, ports: list(ports)?, ..Url::default() };

        let mut others: Vec<Cow<'_, str>> = Vec::new();
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let place = match &*decode(name)? {
                "host" => &mut read.hosts,
                "port" => &mut read.ports,
                "sslmode" => &mut read.sslmode,
                "sslrootcert" => &mut read.sslrootcert,
                "tcp_user_timeout" => {
                    let milliseconds = decode(value)?.parse();
                    let milliseconds = milliseconds.map_err(|_| "tcp_user_timeout is no number of milliseconds")?;
                    read.tcp_user_timeout = Some(Duration::from_millis(milliseconds));
                    continue;
                }
                "keepalives_count" => {
                    others.push(Cow::from(format!("keepalives_retries={value}")));
                    continue;
                }
                "keepalives_idle" => {
                    others.push(parameter.into());
                    &mut read.keepalives_idle
                }
                _ => {
                    others.push(parameter.into());
                    continue;
                }
            };
            *place = Some(decode(value)?.into_owned());
        }
        // tokio-postgres takes whatever is in front of an @ for the user.
        let rest = format!("{path}?{}", others.join("&")).replace('@', "%40");
        read.rest = format!("{scheme}{user}{rest}");
        Ok(read)
    }
}

fn decode(text: &str) -> Result<Cow<'_, str>, String> {
    percent_decode_str(text).decode_utf8().map_err(|_| "a part of it is not in UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hosts, the ports, and what is left.
    #[track_caller]
    fn assert_reads(url: &str, hosts: Option<&str>, ports: Option<&str>, rest: &str) {
        let read = Url::read(url).unwrap();
        assert_eq!((read.hosts.as_deref(), read.ports.as_deref(), read.rest.as_str()), (hosts, ports, rest), "{url}");
    }

    #[test]
    fn servers_are_taken_out_and_the_rest_stays() {
        assert_reads("postgres://", None, None, "postgres://?");
        assert_reads("postgres:///jobs", None, None, "postgres:///jobs?");
        assert_reads("postgresql://db", Some("db"), None, "postgresql://?");
        assert_reads("postgres://ann:pw@db:7/jobs?a=b", Some("db"), Some("7"), "postgres://ann:pw@/jobs?a=b");
        assert_reads("postgres://ann@:7/jobs", None, Some("7"), "postgres://ann@/jobs?");
        assert_reads("postgres://a,b:7/x", Some("a,b"), Some(",7"), "postgres:///x?");
        assert_reads("postgres://a,b/x", Some("a,b"), Some(","), "postgres:///x?");
        assert_reads("postgres://[::1]/x", Some("::1"), None, "postgres:///x?");
        assert_reads("postgres://[::1]:7,[fe80::1%25lo]?a=b", Some("::1,fe80::1%lo"), Some("7,"), "postgres://?a=b");
        assert_reads("postgres://%2Frun%2Fpg:7/x", Some("/run/pg"), Some("7"), "postgres:///x?");
        assert!(Url::read("postgres://[::1]7/x").unwrap_err().contains("colon"));
        assert!(Url::read("postgres://%FF/x").unwrap_err().contains("UTF-8"));
        // A part of a password would be taken for the host, or for the database's name, and be shown.
        assert!(Url::read("postgres://me:s3@cret@db/jobs").unwrap_err().contains("%40"));
        assert!(Url::read("postgres://db/jobs password=s3cret").unwrap_err().contains("another spelling"));
    }

    #[test]
    fn the_last_parameter_replaces_what_comes_before() {
        assert_reads("postgres://a:1/x?host=b&port=2&c=d", Some("b"), Some("2"), "postgres:///x?c=d");
        assert_reads("postgres:///x?host=a&host=/run/p+g&port=1,2", Some("/run/p+g"), Some("1,2"), "postgres:///x?");
        assert_reads("postgres://a:1?port=", Some("a"), Some(""), "postgres://?");
        let read = Url::read("postgres://a/x?sslrootcert=%2Fetc%2Fa+b.crt&sslmode=require&c=d").unwrap();
        assert_eq!((read.sslmode.as_deref(), read.sslrootcert.as_deref()), (Some("require"), Some("/etc/a+b.crt")));
        assert_eq!(read.rest, "postgres:///x?c=d");
    }

    #[test]
    fn a_user_ends_at_the_first_at_sign() {
        assert_reads("postgres://ann:p/w:,[@db:7/x", Some("db"), Some("7"), "postgres://ann:p/w:,[@/x?");
        assert_reads("postgres://ann:p?w@db:7/x", Some("db"), Some("7"), "postgres://ann:p?w@/x?");
        assert_reads("postgres://ann@db/a@b?c=d@e", Some("db"), None, "postgres://ann@/a%40b?c=d%40e");
        assert_reads("postgres:///x?user=ann@corp&host=db", Some("db"), None, "postgres:///x?user=ann%40corp");
    }
}
