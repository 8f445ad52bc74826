//! Whether a connection is encrypted, and whom its certificate must name.

use rustls_tokio_postgres::{MakeRustlsConnect, config_from_ca_cert, config_no_verify, config_platform_verifier};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::address::unusable;
use crate::host::HostError;

/// How far TLS is wanted, in libpq's words.
pub(super) struct TlsWish {
    pub(super) mode: Option<String>,
    pub(super) root_certificates: Option<String>,
}

impl TlsWish {
    /// As libpq does: unless it is asked for, certificates are not verified. `verify-ca` verifies the
    /// name too, since rustls does not do one without the other.
    pub(super) fn apply(self, config: &mut Config) -> Result<Option<MakeRustlsConnect>, HostError> {
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
