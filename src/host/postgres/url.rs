//! What of a `postgres://` URL is read as libpq reads it: where the servers are, and all of its parameters.
//!
//! tokio-postgres reads the user, the password and the database's name, and would read the rest otherwise: a host without
//! a port has the port 5432 there, whatever `PGPORT` says, hosts in a parameter join those in front instead of replacing
//! them, and parameters have fewer words.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

/// A URL, taken apart.
#[derive(Debug)]
pub(super) struct Url {
    /// For tokio-postgres.
    pub(super) rest: String,
    /// By their keywords. Hosts have commas between them, and the server's socket is where one is empty; so have ports:
    /// one for all hosts, or one for each, the default one where it is empty.
    pub(super) parameters: BTreeMap<String, String>,
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
        let mut parameters = BTreeMap::new();
        for (keyword, parts) in [("host", hosts), ("port", ports)] {
            let list = parts.join(",");
            if !list.is_empty() {
                parameters.insert(keyword.to_owned(), decode(&list)?.into_owned());
            }
        }
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (keyword, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let (keyword, value) = match (decode(keyword)?, decode(value)?) {
                // As other clients say it, and libpq understands.
                (keyword, value) if keyword == "ssl" && value == "true" => ("sslmode".into(), "require".into()),
                said => said,
            };
            parameters.insert(keyword.into_owned(), value.into_owned());
        }
        // tokio-postgres takes whatever is in front of an @ for the user.
        let rest = format!("{scheme}{user}{}", path.replace('@', "%40"));
        Ok(Url { rest, parameters })
    }
}

fn decode(text: &str) -> Result<Cow<'_, str>, String> {
    percent_decode_str(text).decode_utf8().map_err(|_| "a part of it is not in UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parameters, and what is left.
    #[track_caller]
    fn assert_reads(url: &str, parameters: &[&str], rest: &str) {
        let read = Url::read(url).unwrap();
        let found: Vec<_> = read.parameters.iter().map(|(keyword, value)| format!("{keyword}={value}")).collect();
        assert_eq!((found, &*read.rest), (parameters.iter().map(|said| (*said).to_owned()).collect(), rest), "{url}");
    }

    #[test]
    fn servers_are_taken_out_and_the_rest_stays() {
        assert_reads("postgres://", &[], "postgres://");
        assert_reads("postgres:///jobs", &[], "postgres:///jobs");
        assert_reads("postgresql://db", &["host=db"], "postgresql://");
        assert_reads("postgres://ann:pw@db:7/jobs?a=b", &["a=b", "host=db", "port=7"], "postgres://ann:pw@/jobs");
        assert_reads("postgres://ann@:7/jobs", &["port=7"], "postgres://ann@/jobs");
        assert_reads("postgres://a,b:7/x", &["host=a,b", "port=,7"], "postgres:///x");
        assert_reads("postgres://a,b/x", &["host=a,b", "port=,"], "postgres:///x");
        assert_reads("postgres://[::1]/x", &["host=::1"], "postgres:///x");
        let both = ["a=b", "host=::1,fe80::1%lo", "port=7,"];
        assert_reads("postgres://[::1]:7,[fe80::1%25lo]?a=b", &both, "postgres://");
        assert_reads("postgres://%2Frun%2Fpg:7/x", &["host=/run/pg", "port=7"], "postgres:///x");
        assert!(Url::read("postgres://[::1]7/x").unwrap_err().contains("colon"));
        assert!(Url::read("postgres://%FF/x").unwrap_err().contains("UTF-8"));
        // A part of a password would be taken for the host, or for the database's name, and be shown.
        assert!(Url::read("postgres://me:s3@cret@db/jobs").unwrap_err().contains("%40"));
        assert!(Url::read("postgres://db/jobs password=s3cret").unwrap_err().contains("another spelling"));
    }

    #[test]
    fn the_last_parameter_replaces_what_comes_before() {
        assert_reads("postgres://a:1/x?host=b&port=2&c=d", &["c=d", "host=b", "port=2"], "postgres:///x");
        let last = ["host=/run/p+g", "port=1,2"];
        assert_reads("postgres:///x?host=a&host=/run/p+g&port=1,2", &last, "postgres:///x");
        assert_reads("postgres://a:1?port=", &["host=a", "port="], "postgres://");
        let certificate = ["host=a", "sslmode=require", "sslrootcert=/etc/a+b.crt"];
        assert_reads("postgres://a/x?sslrootcert=%2Fetc%2Fa+b.crt&ssl=true", &certificate, "postgres:///x");
    }

    #[test]
    fn a_user_ends_at_the_first_at_sign() {
        assert_reads("postgres://ann:p/w:,[@db:7/x", &["host=db", "port=7"], "postgres://ann:p/w:,[@/x");
        assert_reads("postgres://ann:p?w@db:7/x", &["host=db", "port=7"], "postgres://ann:p?w@/x");
        assert_reads("postgres://ann@db/a@b?c=d@e", &["c=d@e", "host=db"], "postgres://ann@/a%40b");
        assert_reads("postgres:///x?user=ann@corp&host=db", &["host=db", "user=ann@corp"], "postgres:///x");
    }
}
