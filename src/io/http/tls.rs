// SPDX-License-Identifier: Apache-2.0
//! Whom HTTPS trusts.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::model::secret::Secret;

/// Where distributions keep the system's certificate authorities: Flatcar and Debian, Fedora.
const BUNDLES: &[&str] = &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// TLS by ring, that trusts these authorities.
///
/// # Errors
/// The library has no common ground with itself.
pub(super) fn config(roots: RootCertStore) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config.context("TLS can't be set up")?.with_root_certificates(roots).with_no_client_auth())
}

/// The authorities that everybody trusts here, and those of bundles in PEM.
///
/// # Errors
/// As [`roots`], or a bundle holds no certificate that can be read.
pub(super) fn roots_and(bundles: &[Secret]) -> Result<RootCertStore> {
    let mut roots = roots()?;
    for bundle in bundles {
        let certificates = CertificateDer::pem_slice_iter(bundle.expose());
        let (added, _) = roots.add_parsable_certificates(certificates.flatten());
        ensure!(added > 0, "a bundle of certificate authorities holds none that can be read");
    }
    Ok(roots)
}

/// The certificate authorities that Mozilla trusts, compiled in, and the system's, where an operator may have put one of
/// their own: a mirror's, mostly. `SSL_CERT_FILE` names another bundle, as it does for OpenSSL.
///
/// # Errors
/// The bundle that `SSL_CERT_FILE` names can't be read.
pub(super) fn roots() -> Result<RootCertStore> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = std::env::var_os("SSL_CERT_FILE") {
        let certificates = CertificateDer::pem_file_iter(&path).map_err(|e| anyhow!("{e}"));
        roots.add_parsable_certificates(certificates.context("SSL_CERT_FILE")?.flatten());
        return Ok(roots);
    }
    for path in BUNDLES {
        if let Ok(certificates) = CertificateDer::pem_file_iter(path) {
            // One that can't be read takes nothing away from the others.
            roots.add_parsable_certificates(certificates.flatten());
            break;
        }
    }
    Ok(roots)
}
