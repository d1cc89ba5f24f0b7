//! Who is believed to be Redis when it is reached over TLS.

use std::path::Path;
use std::sync::Arc;

use fred::rustls::crypto::ring;
use fred::rustls::pki_types::CertificateDer;
use fred::rustls::pki_types::pem::PemObject;
use fred::rustls::{ClientConfig, RootCertStore};
use fred::rustls_native_certs::load_native_certs;
use fred::types::config::{TlsConfig, TlsConnector};

use super::options::ConnectError;

/// Servers whose certificates lead to one in this file, or without a file to an authority that the
/// system trusts.
pub(super) fn config(file: Option<&Path>) -> Result<TlsConfig, ConnectError> {
    let roots = match file {
        Some(file) => {
            from_file(file).map_err(|source| ConnectError::Certificates { file: file.into(), source })?
        }
        None => of_system(),
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Tls(error.into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(config).into())
}

fn from_file(file: &Path) -> Result<RootCertStore, Box<dyn std::error::Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.add(certificate?)?;
    }
    if roots.is_empty() { Err("no certificates in it".into()) } else { Ok(roots) }
}

/// Those of its certificates that can be used. Where there are none, every server is refused.
fn of_system() -> RootCertStore {
    let found = load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some certificates of the system cannot be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}
