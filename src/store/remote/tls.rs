//! Who a server must be for us to talk to it over TLS, and who we are to it.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::store::StoreError;

/// Trusts what is signed by the certificates in the PEM file `ca`, or by those that
/// this machine trusts; shows the certificate and key of two more PEM files. Reads
/// files, so it blocks.
pub(in crate::store) fn client_config(
    ca: Option<&Path>,
    cert_and_key: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, StoreError> {
    // Chosen here, as a program that we are a part of may have two of them.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| StoreError::lasting(format!("no TLS: {e}")))?
        .with_root_certificates(roots(ca)?);
    let config = match cert_and_key {
        None => config.with_no_client_auth(),
        Some((cert, key)) => {
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| unfit(key, e))?;
            config
                .with_client_auth_cert(certificates(cert)?, secret)
                .map_err(|e| unfit(cert, e))?
        }
    };
    Ok(Arc::new(config))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|e| unfit(path, e))?;
            }
        }
        // Some machine's bundle has an oddity in it; the rest is good.
        None => _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
    }
    if roots.is_empty() {
        return Err(StoreError::lasting(
            "this machine trusts no certificates: install ca-certificates, or name a file of \
             them in --store",
        ));
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match all.map_err(|e| unfit(path, e))? {
        none if none.is_empty() => Err(unfit(path, "there is no certificate in it")),
        some => Ok(some),
    }
}

fn unfit(path: &Path, why: impl Display) -> StoreError {
    StoreError::lasting(format!(
        "cannot use {} for TLS: {why}: see --store",
        path.display()
    ))
}
