// SPDX-License-Identifier: Apache-2.0
//! Whom HTTPS trusts.

use anyhow::{Context as _, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Where distributions keep the system's certificate authorities: Flatcar and Debian, Fedora.
const BUNDLES: &[&str] = &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Trust in the certificate authorities that Mozilla trusts, compiled in, and in the system's, where an operator may have put
/// one of their own: a mirror's, mostly. `SSL_CERT_FILE` names another bundle, as it does for OpenSSL.
///
/// # Errors
/// The bundle that `SSL_CERT_FILE` names can't be read.
pub(super) fn client_config() -> Result<ClientConfig> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = std::env::var_os("SSL_CERT_FILE") {
        let certificates = CertificateDer::pem_file_iter(&path).map_err(|e| anyhow::anyhow!("{e}"));
        roots.add_parsable_certificates(certificates.context("SSL_CERT_FILE")?.flatten());
    } else {
        for path in BUNDLES {
            if let Ok(certificates) = CertificateDer::pem_file_iter(path) {
                // One that can't be read takes nothing away from the others.
                roots.add_parsable_certificates(certificates.flatten());
                break;
            }
        }
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
