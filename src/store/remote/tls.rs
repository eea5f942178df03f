//! TLS: whom we believe to be the server, and who we say we are.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::store::StoreError;

/// Believes in `ca`, or else in what the system does; shows `cert_and_key` to
/// servers that ask.
///
/// # Errors
/// Lasting: what is wrong with which file.
pub(in crate::store) fn client_config(
    ca: Option<&Path>,
    cert_and_key: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, StoreError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for cert in certificates(path)? {
                roots.add(cert).map_err(|e| cannot(path, &e))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            // One that is odd is no reason to do without the others.
            roots.add_parsable_certificates(found.certs);
        }
    }
    if roots.is_empty() {
        return Err(StoreError::lasting(
            "there are no certificates of authorities on this system: \
             install ca-certificates, or name a file in --store",
        ));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| StoreError::lasting(format!("TLS: {e}")))?
        .with_root_certificates(roots);
    let config = match cert_and_key {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = certificates(cert)?;
            let private = PrivateKeyDer::from_pem_file(key).map_err(|e| cannot(key, &e))?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|e| cannot(key, &e))?
        }
    };
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let all = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| cannot(path, &e))?;
    if all.is_empty() {
        return Err(cannot(path, &"there is no certificate in it"));
    }
    Ok(all)
}

fn cannot(path: &Path, why: &dyn std::fmt::Display) -> StoreError {
    StoreError::lasting(format!("cannot use {}: {why}", path.display()))
}
