//! libpq's parameters: what the URL leaves open, a service says, else the environment; and which of them are not heeded
//! here.

use std::collections::BTreeMap;

use super::address::unusable;
use super::service;
use crate::contract::nearest;
use crate::host::HostError;

/// What is done about a parameter, and for which values.
#[derive(Debug, Clone, Copy)]
enum Heed {
    /// All that it may say is done.
    Done,
    /// Nothing is lost without it; for other values than these a warning says that it is not heeded.
    Ignored(&'static [&'static str]),
    /// With another value than these it promises what would not be kept.
    Refused(&'static [&'static str], &'static str),
}

use Heed::{Done, Ignored, Refused};

/// By its keyword: the variable that has it, and what is done about it.
const KNOWN: [(&str, &str, Heed); 47] = [
    ("host", "PGHOST", Done),
    ("hostaddr", "PGHOSTADDR", Done),
    ("port", "PGPORT", Done),
    ("dbname", "PGDATABASE", Done),
    ("user", "PGUSER", Done),
    ("password", "PGPASSWORD", Done),
    ("passfile", "PGPASSFILE", Done),
    ("service", "PGSERVICE", Done),
    ("servicefile", "PGSERVICEFILE", Done),
    ("options", "PGOPTIONS", Done),
    ("application_name", "PGAPPNAME", Done),
    ("fallback_application_name", "", Done),
    ("connect_timeout", "PGCONNECT_TIMEOUT", Done),
    ("keepalives", "", Done),
    ("keepalives_idle", "", Done),
    ("keepalives_interval", "", Done),
    ("keepalives_count", "", Done),
    // What tokio-postgres calls it.
    ("keepalives_retries", "", Done),
    ("tcp_user_timeout", "", Done),
    ("target_session_attrs", "PGTARGETSESSIONATTRS", Done),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS", Done),
    ("channel_binding", "PGCHANNELBINDING", Done),
    ("sslmode", "PGSSLMODE", Done),
    ("sslnegotiation", "PGSSLNEGOTIATION", Done),
    ("sslrootcert", "PGSSLROOTCERT", Done),
    ("sslcert", "PGSSLCERT", Done),
    ("sslkey", "PGSSLKEY", Done),
    // Of a key that is encrypted, and such a key is refused.
    ("sslpassword", "", Done),
    ("sslsni", "PGSSLSNI", Done),
    (
        "sslcertmode",
        "PGSSLCERTMODE",
        Refused(&["allow", "disable"], "whether the server asked for it is not seen here"),
    ),
    ("sslcrl", "PGSSLCRL", Refused(&[""], "certificates that were revoked are not told from others here")),
    ("sslcrldir", "PGSSLCRLDIR", Refused(&[""], "certificates that were revoked are not told from others here")),
    (
        "ssl_min_protocol_version",
        "PGSSLMINPROTOCOLVERSION",
        Refused(&["", "TLSv1", "TLSv1.1", "TLSv1.2"], "TLS 1.2 is always allowed here, and nothing older is"),
    ),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", Ignored(&["", "TLSv1.3"])),
    ("sslcompression", "PGSSLCOMPRESSION", Ignored(&["", "0"])),
    ("requiressl", "PGREQUIRESSL", Refused(&["", "0"], "sslmode=require is how it is said by now")),
    ("requirepeer", "PGREQUIREPEER", Refused(&[""], "whose a socket is, is not looked at here")),
    ("require_auth", "PGREQUIREAUTH", Refused(&[""], "the server says how to authenticate here")),
    (
        "gssencmode",
        "PGGSSENCMODE",
        Refused(&["disable", "prefer"], "there is no GSSAPI here; sslmode=require encrypts"),
    ),
    ("gssdelegation", "PGGSSDELEGATION", Ignored(&["", "0"])),
    ("gsslib", "PGGSSLIB", Ignored(&[""])),
    ("krbsrvname", "PGKRBSRVNAME", Ignored(&[""])),
    ("client_encoding", "PGCLIENTENCODING", Ignored(&["", "auto", "UTF8", "UTF-8", "utf8", "utf-8"])),
    ("replication", "", Refused(&["", "false", "off", "no", "0"], "a store is no stream of changes")),
    ("min_protocol_version", "PGMINPROTOCOLVERSION", Ignored(&["", "3.0"])),
    ("max_protocol_version", "PGMAXPROTOCOLVERSION", Ignored(&["", "3.0", "latest"])),
    ("sslkeylogfile", "", Ignored(&[""])),
];

const IN_THE_URL: &str = "the URL";

/// What is said of a connection, wherever it is said.
#[derive(Debug, Default)]
pub(super) struct Parameters(BTreeMap<&'static str, Said>);

#[derive(Debug)]
struct Said {
    value: String,
    /// For people: the URL, a variable, or a service.
    place: String,
}

impl Parameters {
    /// As libpq does, for each parameter by itself: what the URL says, else the service that is named there or in
    /// `PGSERVICE`, else the variable.
    ///
    /// # Errors
    ///
    /// A parameter that nobody knows, or that is refused, or a service that can't be read.
    pub(super) fn read(
        in_url: BTreeMap<String, String>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Parameters, HostError> {
        let mut parameters = Parameters::default();
        parameters.take(in_url, IN_THE_URL)?;
        if let Some(name) = parameters.get("service").map(str::to_owned).or_else(|| variable("PGSERVICE")) {
            let file = parameters.filled("servicefile").map(str::to_owned).or_else(|| variable("PGSERVICEFILE"));
            let (service, file) = service::find(&name, file.as_deref(), variable)?;
            parameters.take(service, &format!("the service {name} in {}", file.display()))?;
        }
        for (keyword, name, _) in KNOWN.into_iter().filter(|(_, name, _)| !name.is_empty()) {
            if let Some(value) = variable(name) {
                parameters.0.entry(keyword).or_insert_with(|| Said { value, place: name.to_owned() });
            }
        }
        parameters.heed()?;
        Ok(parameters)
    }

    /// What is not said yet.
    fn take(&mut self, said: BTreeMap<String, String>, place: &str) -> Result<(), HostError> {
        for (keyword, value) in said {
            let Some((known, ..)) = KNOWN.into_iter().find(|(known, ..)| *known == keyword) else {
                let meant = nearest(&keyword, KNOWN.into_iter().map(|(known, ..)| known));
                let meant = meant.map(|known| format!("; did you mean {known}?")).unwrap_or_default();
                return Err(unusable(&format!("{place} has a parameter that libpq does not have: {keyword}{meant}")));
            };
            self.0.entry(known).or_insert_with(|| Said { value, place: place.to_owned() });
        }
        Ok(())
    }

    fn heed(&self) -> Result<(), HostError> {
        for (keyword, _, heed) in KNOWN {
            let Some(Said { value, place }) = self.0.get(keyword) else { continue };
            match heed {
                Ignored(silently) if !silently.contains(&value.as_str()) => {
                    tracing::warn!("{keyword} ({place}) is not heeded here");
                }
                Refused(fine, why) if !fine.contains(&value.as_str()) => {
                    return Err(unusable(&format!(
                        "{keyword}={value} ({place}) would not be kept: {why}; leave it out"
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What is said, be it empty.
    pub(super) fn get(&self, keyword: &str) -> Option<&str> {
        self.0.get(keyword).map(|said| said.value.as_str())
    }

    /// What is said, unless it is empty.
    pub(super) fn filled(&self, keyword: &str) -> Option<&str> {
        self.get(keyword).filter(|value| !value.is_empty())
    }

    /// Whether the URL says it.
    pub(super) fn is_in_url(&self, keyword: &str) -> bool {
        self.0.get(keyword).is_some_and(|said| said.place == IN_THE_URL)
    }

    /// A parameter, and where it is said, for people.
    pub(super) fn place(&self, keyword: &str) -> String {
        let place = self.0.get(keyword).map(|said| said.place.as_str()).unwrap_or_default();
        format!("{keyword} ({place})")
    }
}
