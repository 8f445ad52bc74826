//! A certificate with which we show the server who we are, and its key.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_tokio_postgres::rustls::client::ResolvesClientCert;
use rustls_tokio_postgres::rustls::crypto::CryptoProvider;
use rustls_tokio_postgres::rustls::pki_types::pem::PemObject;
use rustls_tokio_postgres::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_tokio_postgres::rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_tokio_postgres::rustls::{Error, InconsistentKeys};

use super::address::unusable;
use super::libpq::Parameters;
use crate::host::HostError;

/// Where they are.
pub(super) struct ClientCertificate {
    certificate: PathBuf,
    key: PathBuf,
}

impl ClientCertificate {
    /// Those that the parameters name, else libpq's own, where the certificate is there.
    pub(super) fn of(parameters: &Parameters, own: &dyn Fn(&str) -> Option<PathBuf>) -> Option<ClientCertificate> {
        let file = |keyword: &str, name: &str| parameters.filled(keyword).map(PathBuf::from).or_else(|| own(name));
        if parameters.get("sslcertmode") == Some("disable") {
            return None;
        }
        let certificate = file("sslcert", "postgresql.crt")?;
        // Where there is none, its name tells what is missing.
        let key = file("sslkey", "postgresql.key").unwrap_or_else(|| PathBuf::from("~/.postgresql/postgresql.key"));
        Some(ClientCertificate { certificate, key })
    }

    /// # Errors
    ///
    /// They can't be read or don't belong together, the key is encrypted, or others may read it.
    pub(super) fn read(&self, provider: &CryptoProvider) -> Result<Arc<dyn ResolvesClientCert>, HostError> {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        let wrong_with = |what: &str, file: &dyn std::fmt::Display, error: &dyn std::fmt::Display| {
            unusable(&format!("{what} {file} can't be used: {error}"))
        };
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| wrong_with("sslcert", &certificate, &error))?;
        if chain.is_empty() {
            return Err(wrong_with("sslcert", &certificate, &"there is no certificate in it, in PEM"));
        }
        let text = fs::read(&self.key).map_err(|error| wrong_with("sslkey", &key, &error))?;
        if is_open_to_others(&self.key) {
            return Err(wrong_with("sslkey", &key, &"others may read it; chmod 0600 mends that"));
        }
        if String::from_utf8_lossy(&text).contains("ENCRYPTED") {
            return Err(unusable(&format!(
                "sslkey {key} is encrypted, and no such key is read here, with sslpassword or without: \
                 `openssl pkey -in {key}` writes it as it is, for a file that nobody else may read"
            )));
        }
        let private = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|_| wrong_with("sslkey", &key, &"there is no private key in it, in PEM"))?;
        let private = provider.key_provider.load_private_key(private);
        let pair = CertifiedKey::new(chain, private.map_err(|error| wrong_with("sslkey", &key, &error))?);
        // A certificate of X.509's first version, as openssl makes one, can't be compared, and does for a server.
        if let Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) = pair.keys_match() {
            return Err(unusable(&format!("sslkey {key} is not the key of sslcert {certificate}")));
        }
        Ok(Arc::new(SingleCertAndKey::from(pair)))
    }
}

/// As libpq has it: a key of root's may be read by its group, any other one by its owner alone.
#[cfg(unix)]
fn is_open_to_others(file: &Path) -> bool {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    fs::metadata(file).is_ok_and(|metadata| {
        let others = if metadata.uid() == 0 { 0o037 } else { 0o077 };
        metadata.permissions().mode() & others != 0
    })
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}
