//! Whether a connection is encrypted, whom its certificate must name, and how we show who we are.

use std::path::{Path, PathBuf};

use rustls_tokio_postgres::{MakeRustlsConnect, config_from_ca_cert, config_no_verify, config_platform_verifier};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::address::unusable;
use super::client_certificate::ClientCertificate;
use super::libpq::Parameters;
use crate::host::HostError;

/// How far TLS is wanted, in libpq's words.
pub(super) struct TlsWish {
    mode: Option<String>,
    /// `system` are the system's own.
    root_certificates: Option<String>,
    certificate: Option<ClientCertificate>,
    /// Whether the server is told by which name it is meant, in plain text.
    names_server: bool,
}

impl TlsWish {
    /// What the parameters say; files that they do not name are libpq's own, where they are there.
    pub(super) fn of(parameters: &Parameters, variable: &dyn Fn(&str) -> Option<String>) -> TlsWish {
        let own = |name: &str| -> Option<PathBuf> {
            Some(Path::new(&variable("HOME")?).join(".postgresql").join(name)).filter(|file| file.exists())
        };
        let root = parameters.filled("sslrootcert").map(str::to_owned);
        TlsWish {
            mode: parameters.get("sslmode").map(str::to_owned),
            root_certificates: root.or_else(|| Some(own("root.crt")?.display().to_string())),
            certificate: ClientCertificate::of(parameters, &own),
            names_server: parameters.get("sslsni") != Some("0"),
        }
    }

    /// As libpq does: unless it is asked for, certificates are not verified. `verify-ca` verifies the
    /// name too, since rustls does not do one without the other.
    pub(super) fn apply(self, config: &mut Config) -> Result<Option<MakeRustlsConnect>, HostError> {
        let is_system = self.root_certificates.as_deref() == Some("system");
        let (mode, verify) = match self.mode.as_deref() {
            None | Some("verify-full") if is_system => (SslMode::Require, true),
            Some(weak) if is_system => {
                return Err(unusable(&format!(
                    "sslrootcert=system goes with sslmode=verify-full alone, and not with {weak}"
                )));
            }
            Some("disable") => (SslMode::Disable, false),
            None | Some("allow" | "prefer") => (SslMode::Prefer, false),
            // With roots at hand, libpq verifies here as well.
            Some("require") => (SslMode::Require, self.root_certificates.is_some()),
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
        let by_address = !config.get_hostaddrs().is_empty();
        if by_address && !hosts.iter().any(named) && mode == SslMode::Require {
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
        let mut tls = match (verify, self.root_certificates.filter(|_| !is_system)) {
            (false, _) => config_no_verify(),
            (true, Some(file)) => config_from_ca_cert(&file)
                .map_err(|error| unusable(&format!("sslrootcert {file} can't be used: {error}")))?,
            (true, None) => config_platform_verifier()
                .map_err(|error| unusable(&format!("the system's root certificates can't be used: {error}")))?,
        };
        tls.enable_sni = self.names_server;
        // What a server asks for where TLS begins at once (sslnegotiation=direct).
        tls.alpn_protocols = vec![b"postgresql".to_vec()];
        if let Some(certificate) = self.certificate {
            tls.client_auth_cert_resolver = certificate.read(tls.crypto_provider())?;
        }
        Ok(Some(MakeRustlsConnect::new(tls)))
    }
}
