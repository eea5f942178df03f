//! TLS to a server: whose certificates are believed, and which one is shown.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{Error, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::store::StoreError;

/// Believes what the CAs in this file have signed, or those that the system trusts.
/// Reads files, so it may block.
pub(in crate::store) fn client_config(
    ca: Option<&Path>,
    cert_and_key: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, StoreError> {
    let mut roots = RootCertStore::empty();
    let certificates = match ca {
        Some(file) => read(file)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        let place = ca.map_or("this system".into(), |file| file.display().to_string());
        return Err(StoreError::lasting(format!(
            "there is no certificate of a CA in {place}: name a PEM file that has one in --store"
        )));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| StoreError::lasting(format!("no TLS here: {e}")))?
        .with_root_certificates(roots);
    let config = match cert_and_key {
        None => config.with_no_client_auth(),
        Some((cert, key)) => {
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable(key, &e))?;
            config
                .with_client_auth_cert(read(cert)?, secret)
                .map_err(|e| {
                    let (cert, key) = (cert.display(), key.display());
                    StoreError::lasting(format!("{cert} and {key} are of no use together: {e}"))
                })?
        }
    };
    Ok(Arc::new(config))
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|e| unreadable(file, &e))
}

fn unreadable(file: &Path, why: &Error) -> StoreError {
    StoreError::lasting(format!("cannot use {}: {why}", file.display()))
}
