// SPDX-License-Identifier: Apache-2.0
//! Which certificates HTTPS trusts, and in plain words why one is not trusted.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use super::request::Identity;
use super::retry::Trouble;
use crate::io::now;
use crate::model::certificate::{Certificate, value};
use crate::model::secret::Secret;

/// Where systems keep the certificate authorities that they trust: Flatcar, Debian and Alpine; Fedora before its 43rd release, and
/// all of Fedora's; SUSE. Last, what Flatcar's image itself has: while it boots, the first is made of that.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/usr/share/ca-certificates/ca-certificates.crt",
];

/// Certificates that are trusted, and the one that is shown.
pub(super) struct Trusted {
    /// The authorities.
    roots: RootCertStore,
    /// Those that an operator gave, whole: a server may present one of them as its own.
    given: Vec<CertificateDer<'static>>,
    /// By which a server knows who asks: the certificate, those above it, and its key.
    own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Trusted {
    /// Nothing is trusted.
    pub(super) fn nothing() -> Self {
        Self { roots: RootCertStore::empty(), given: Vec::new(), own: None }
    }

    /// The certificate authorities of these bundles in PEM, and those of the system, to which an operator may have added some, that of
    /// a mirror mostly. `SSL_CERT_FILE` names another bundle, as it does for OpenSSL. None is compiled in: one that was taken away from
    /// the system is not trusted here either.
    ///
    /// # Errors
    /// There is no bundle, or one has no certificate that can be read.
    pub(super) fn by_system_and(given: &[Secret]) -> Result<Self> {
        let mut trusted = Self::nothing();
        let read = |path: &Path| CertificateDer::pem_file_iter(path).map_err(|e| anyhow!("{e}"));
        let system = match std::env::var_os("SSL_CERT_FILE") {
            Some(path) => Some((
                "the file that SSL_CERT_FILE names",
                read(path.as_ref()).context("SSL_CERT_FILE can't be read")?,
            )),
            // What can't be read is as if it were not there: a link leads nowhere until the system has made its bundle.
            None => BUNDLES.iter().find_map(|path| Some((*path, read(path.as_ref()).ok()?))),
        };
        let none = || {
            format!(
                "this machine has no bundle of certificate authorities, so no server is trusted (looked for {}): install \
                 ca-certificates, or name a bundle in SSL_CERT_FILE",
                BUNDLES.join(", ")
            )
        };
        ensure!(system.is_some() || !given.is_empty(), none());
        if let Some((name, certificates)) = system {
            ensure!(trusted.add(certificates.flatten()) > 0, "{name} holds no certificate that can be read");
        }
        trusted.and(given)
    }

    /// Who asks, and the authorities that this one trusts, without the system's.
    ///
    /// # Errors
    /// A part of it is not PEM.
    pub(super) fn by(identity: &Identity) -> Result<Self> {
        let mut trusted = Self::nothing().and(std::slice::from_ref(&identity.authorities))?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(identity.certificate.expose()).flatten().collect();
        let key = PrivateKeyDer::from_pem_slice(identity.key.expose()).ok();
        trusted.own = Some((chain, key.context("the key of the client's certificate can't be read")?));
        Ok(trusted)
    }

    /// The same, and what is in these bundles in PEM.
    ///
    /// # Errors
    /// A bundle holds no certificate that can be read.
    pub(super) fn and(mut self, bundles: &[Secret]) -> Result<Self> {
        for bundle in bundles {
            let added = self.add(CertificateDer::pem_slice_iter(bundle.expose()).flatten());
            ensure!(added > 0, "a bundle of certificate authorities holds no certificate that can be read");
        }
        Ok(self)
    }

    /// Adds certificates; how many of them could be read. One that may not sign others is trusted as a server's own alone.
    fn add(&mut self, certificates: impl Iterator<Item = CertificateDer<'static>>) -> usize {
        let mut read = 0;
        for certificate in certificates {
            let added = !may_sign(&certificate) || self.roots.add(certificate.clone()).is_ok();
            read += usize::from(added);
            self.given.push(certificate);
        }
        read
    }

    /// TLS, by ring, that trusts these.
    ///
    /// # Errors
    /// The library offers no version of TLS.
    pub(super) fn config(mut self) -> Result<ClientConfig> {
        let own = self.own.take();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .context("TLS can't be set up")?;
        if self.roots.is_empty() {
            return Ok(config.with_root_certificates(self.roots).with_no_client_auth());
        }
        let verifier = Verifier::new(self, provider)?;
        let config = config.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        match own {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).ok().context(
                "the client's certificate and its key don't fit, or are of a kind that is not known here",
            ),
            None => Ok(config.with_no_client_auth()),
        }
    }
}

/// The library's verifier, with two differences. It does not look at the `keyUsage` of intermediate certificates: those that may
/// not sign are kept from it. And it refuses a certificate that was itself given as trusted where that one may sign others, as
/// those that sign themselves mostly may, and where another authority issued it; curl and Go's programs take it.
#[derive(Debug)]
struct Verifier {
    common: Arc<WebPkiServerVerifier>,
    given: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(trusted: Trusted, provider: Arc<CryptoProvider>) -> Result<Self> {
        let common = WebPkiServerVerifier::builder_with_provider(Arc::new(trusted.roots), provider).build();
        Ok(Self { common: common.context("TLS can't be set up")?, given: trusted.given })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let signing: Vec<_> = intermediates.iter().filter(|c| may_sign(c)).cloned().collect();
        let verified = self.common.verify_server_cert(certificate, &signing, name, ocsp, now);
        let Err(error) = verified else { return verified };
        // Compared byte for byte: in the handshake the server proves that it has the key.
        if !is_only_the_issuer(&error) || !self.given.iter().any(|given| given == certificate) {
            let unknown = matches!(error, Error::InvalidCertificate(CertificateError::UnknownIssuer));
            let missing = unknown && signing.len() < intermediates.len();
            return Err(if missing {
                CertificateError::Other(OtherError(Arc::new(MayNotSign))).into()
            } else {
                error
            });
        }
        verify_given(certificate, name, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.common.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.common.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.common.supported_verify_schemes()
    }
}

/// Whether the library has nothing against a certificate but who may issue: that it may itself, or that its issuer is not
/// trusted.
fn is_only_the_issuer(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    }
}

/// A certificate between the server's and the authority's may not sign others.
#[derive(Debug)]
struct MayNotSign;

impl fmt::Display for MayNotSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an intermediate certificate may not sign others, by its basicConstraints or its keyUsage (keyCertSign)")
    }
}

impl std::error::Error for MayNotSign {}

/// Names of extensions and of a server's purpose
/// ([RFC 5280, section 4.2.1](https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1)): `basicConstraints`, `keyUsage`,
/// `extKeyUsage`, `serverAuth`, `anyExtendedKeyUsage`.
const CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const PURPOSES: &[u8] = &[0x55, 0x1d, 0x25];
const SERVER: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
const ANY: &[u8] = &[0x55, 0x1d, 0x25, 0x00];

/// The bits of `keyUsage` of which a server needs one: `digitalSignature`, `keyEncipherment`, `keyAgreement`.
const SERVER_BITS: u8 = 0b1010_1000;

/// The bit of `keyUsage` that allows to sign certificates: `keyCertSign`.
const SIGNING_BIT: u8 = 0b0000_0100;

/// Whether a certificate may sign others by its `basicConstraints` and its `keyUsage`, where it has them: those of the first
/// version have neither. What can't be read is left to the library, which refuses it.
fn may_sign(certificate: &CertificateDer<'_>) -> bool {
    let Some(read) = Certificate::parse(certificate) else { return true };
    // A SEQUENCE that begins with TRUE; FALSE is left out.
    let authority =
        |constraints| matches!(value(constraints), Some((0x30, [0x01, 0x01, is, ..], [])) if *is != 0);
    read.extension(CONSTRAINTS).is_none_or(authority)
        && read.extension(KEY_USAGE).is_none_or(|usage| allows(usage, SIGNING_BIT))
}

/// Checks a certificate that is trusted itself as a server's: its name, its time, and what it may be used for.
fn verify_given(certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
    // Extensions that are critical and not known, and those that are there twice, are refused here.
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
    let read = Certificate::parse(certificate).ok_or(CertificateError::BadEncoding)?;
    let time = |time: crate::model::time::Time| {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(time.0.max(0).unsigned_abs()))
    };
    let (not_before, not_after) = (time(read.not_before), time(read.not_after));
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
    }
    if !read.extension(KEY_USAGE).is_none_or(|usage| allows(usage, SERVER_BITS))
        || !read.extension(PURPOSES).is_none_or(is_for_servers)
    {
        return Err(CertificateError::InvalidPurpose.into());
    }
    Ok(())
}

/// Whether a `keyUsage` has one of these bits: a BIT STRING, behind the number of its unused bits.
fn allows(usage: &[u8], wanted: u8) -> bool {
    matches!(value(usage), Some((0x03, [_, bits, ..], [])) if bits & wanted != 0)
}

/// Whether an `extKeyUsage`, a SEQUENCE of OIDs, names servers.
fn is_for_servers(purposes: &[u8]) -> bool {
    let Some((0x30, mut rest, [])) = value(purposes) else { return false };
    while let Some((tag, purpose, after)) = value(rest) {
        if tag == 0x06 && [SERVER, ANY].contains(&purpose) {
            return true;
        }
        rest = after;
    }
    false
}

/// systemd-timesyncd makes it when a time server has set the clock in this boot
/// ([systemd-timesyncd.service(8)](https://www.freedesktop.org/software/systemd/man/latest/systemd-timesyncd.service.html)).
const CLOCK_IS_SET: &str = "/run/systemd/timesync/synchronized";

/// What an error of TLS means for the request. A bad certificate stays bad, but one that does not hold at this time may only say
/// that the clock is not set yet.
pub(super) fn trouble(error: &Error) -> Trouble {
    use CertificateError as Bad;
    match error {
        Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            by_clock("is not valid yet")
        }
        Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            Trouble { again: !Path::new(CLOCK_IS_SET).exists(), ..by_clock("has expired") }
        }
        Error::InvalidCertificate(why) => {
            Trouble::never(format!("its certificate is not trusted: {}", certificate(why)))
        }
        Error::AlertReceived(alert) => {
            Trouble::never(format!("TLS: the server ended it with the alert {alert:?}"))
        }
        Error::PeerIncompatible(_) => Trouble::never(
            "TLS: the server offers no version and no ciphers that are taken here (TLS 1.2 or 1.3)",
        ),
        Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => {
            Trouble::never("TLS: the server does not keep to the protocol")
        }
        Error::InvalidMessage(_) => {
            Trouble::never("TLS: the answer is not valid TLS: is this port for https?")
        }
        other => Trouble::never(format!("TLS: {other}")),
    }
}

fn by_clock(what: &str) -> Trouble {
    let what = format!("its certificate {what}, or this machine's clock is wrong: it says {}", now());
    Trouble { for_clock: true, ..Trouble::again(what) }
}

/// What is wrong with a certificate.
fn certificate(why: &CertificateError) -> String {
    use webpki::Error as Library;
    let text = match why {
        CertificateError::UnknownIssuer => "no authority that is trusted here issued it",
        CertificateError::BadSignature => {
            "its signature is wrong: it was changed, or another authority issued it"
        }
        CertificateError::BadEncoding => "it can't be read",
        CertificateError::Revoked => "its authority has revoked it",
        CertificateError::UnhandledCriticalExtension => "it has a critical extension that is not known here",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it may not be used by a server"
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "its signature is of a kind that is not taken here (SHA-1, or a key that is too short)"
        }
        CertificateError::Other(other) => match other.0.downcast_ref() {
            Some(Library::CaUsedAsEndEntity) => "it is an authority's, and was not itself given as trusted",
            Some(Library::NameConstraintViolation) => {
                "its authority may not issue certificates for this name"
            }
            Some(Library::PathLenConstraintViolated) => {
                "there are more intermediate certificates than its authority allows"
            }
            Some(Library::UnsupportedCertVersion) => "it is of a version before X.509 v3",
            Some(Library::MaximumPathDepthExceeded | Library::MaximumPathBuildCallsExceeded) => {
                "there are too many intermediate certificates"
            }
            Some(_) => "it does not keep to RFC 5280",
            None => return other.to_string(),
        },
        why => return why.to_string(),
    };
    text.to_owned()
}
