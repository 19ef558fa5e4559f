// SPDX-License-Identifier: Apache-2.0
//! What cosign signs without a key of its own: a signature by a key that lived for minutes, and a certificate by Sigstore's
//! authority, Fulcio, that tells who proved to be whom when the key was made.
//!
//! The certificate must have been good when it began to hold: it ended ten minutes later. That the signature was made in these
//! minutes is what Sigstore's transparency log would tell, and it is not asked: who stole the key in them could sign later, and a
//! certificate that Fulcio gave to the wrong one would not be noticed.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::model::certificate::{Certificate, value};

/// Who signs: as whom, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer<'a> {
    /// The name in the certificate: a mail address, or a workflow's URI.
    pub identity: &'a str,
    /// The issuer of the token by which it was proven.
    pub issuer: &'a str,
}

/// The authority whose certificates are believed.
pub struct Authority<'a> {
    root: CertificateDer<'a>,
    intermediate: CertificateDer<'a>,
}

impl Authority<'static> {
    /// Sigstore's public one, as its trust root names it since April 2022.
    ///
    /// # Errors
    /// The compiled in certificates can't be read.
    pub fn fulcio() -> Result<Self> {
        Self::of_pem(include_bytes!("fulcio-root.pem"), include_bytes!("fulcio-intermediate.pem"))
    }
}

impl<'a> Authority<'a> {
    /// A root, and what it certifies to sign in its place.
    ///
    /// # Errors
    /// One of them holds no certificate.
    pub fn of_pem(root: &[u8], intermediate: &[u8]) -> Result<Self> {
        let read =
            |pem| CertificateDer::from_pem_slice(pem).map_err(|e| anyhow!("a certificate authority: {e}"));
        Ok(Self { root: read(root)?, intermediate: read(intermediate)? })
    }

    /// Whether this certificate was good for signing code when it began to hold.
    fn certified(&self, certificate: &CertificateDer<'_>) -> Result<()> {
        // id-kp-codeSigning
        const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];
        let unread = "it can't be read";
        let time = Certificate::parse(certificate).context(unread)?.not_before;
        let seconds = u64::try_from(time.0).context(unread)?;
        // An anchor's own time is not looked at below.
        let root = Certificate::parse(&self.root).context("the root can't be read")?;
        ensure!((root.not_before..=root.not_after).contains(&time), "it is valid from before its root is");
        let anchors = [anchor_from_trusted_cert(&self.root)?];
        EndEntityCert::try_from(certificate)?.verify_for_usage(
            &[webpki::ring::ECDSA_P384_SHA384],
            &anchors,
            std::slice::from_ref(&self.intermediate),
            UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
            KeyUsage::required(CODE_SIGNING),
            None,
            None,
        )?;
        Ok(())
    }
}

/// A signer's key.
pub type Key = UnparsedPublicKey<Vec<u8>>;

/// The key of a certificate's file of cosign's, which the authority gave to this signer.
///
/// # Errors
/// The file holds no such certificate.
pub fn key(certificate: &[u8], signer: Signer<'_>, authority: &Authority<'_>) -> Result<Key> {
    key_of_signer(&certificate_of(certificate)?, signer, authority)
}

/// Says that this content was signed by this key; the signature stands in base64.
///
/// # Errors
/// It was not.
pub fn signed(content: &[u8], signature: &[u8], key: &Key) -> Result<()> {
    let signature = base64(signature).context("it is not valid base64")?;
    ensure!(is_signature(&signature), "it is not an ECDSA signature");
    let verified = key.verify(content, &signature);
    verified.map_err(|_| anyhow!("it is for other content, or made by another key"))
}

/// Whether these bytes have a signature's form: a sequence of two numbers
/// ([RFC 3279, section 2.2.3](https://www.rfc-editor.org/rfc/rfc3279#section-2.2.3)).
fn is_signature(der: &[u8]) -> bool {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 2;
    let Some((SEQUENCE, numbers, [])) = value(der) else { return false };
    let Some((INTEGER, _, second)) = value(numbers) else { return false };
    matches!(value(second), Some((INTEGER, _, [])))
}

/// The key of a certificate that the authority gave to this signer.
pub(super) fn key_of_signer(
    certificate: &CertificateDer<'_>,
    signer: Signer<'_>,
    authority: &Authority<'_>,
) -> Result<Key> {
    authority.certified(certificate).context("its certificate is not one of the authority's")?;
    let (identity, issuer) =
        signer_of(certificate).context("its certificate names no signer, or more than one")?;
    ensure!(
        (identity.as_str(), issuer.as_str()) == (signer.identity, signer.issuer),
        "it is signed by {identity:?} of {issuer:?}, not by {} of {}",
        signer.identity,
        signer.issuer
    );
    key_of(certificate)
}

/// The certificate of a file of cosign's: PEM, in base64 for the most part.
fn certificate_of(file: &[u8]) -> Result<CertificateDer<'static>> {
    let decoded = base64(file);
    let pem = decoded.as_deref().unwrap_or(file);
    CertificateDer::from_pem_slice(pem).map_err(|_| anyhow!("the certificate's file holds no certificate"))
}

/// What stands in base64, in one line or in several.
pub(super) fn base64(text: &[u8]) -> Result<Vec<u8>, base64::DecodeError> {
    let compact: Vec<u8> = text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    STANDARD.decode(compact)
}

/// A certificate's identity and issuer, where there is one of each.
fn signer_of(certificate: &[u8]) -> Option<(String, String)> {
    /// subjectAltName
    const NAMES: &[u8] = &[0x55, 0x1d, 0x11];
    // https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md: 1.3.6.1.4.1.57264.1.8, and .1, which is older.
    const ISSUER: &[u8] = &[0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1, 8];
    const OLD_ISSUER: &[u8] = &[0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1, 1];
    const SEQUENCE: u8 = 0x30;
    const UTF8_STRING: u8 = 0x0c;
    /// rfc822Name, and uniformResourceIdentifier.
    const MAIL: u8 = 0x81;
    const URI: u8 = 0x86;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let only = |tag: u8, der| match value(der) {
        Some((found, content, [])) if found == tag => Some(content),
        _ => None,
    };
    let certificate = Certificate::parse(certificate)?;
    let names = only(SEQUENCE, certificate.extension(NAMES)?)?;
    let name = only(MAIL, names).or_else(|| only(URI, names))?;
    let (newer, older) = (certificate.extension(ISSUER), certificate.extension(OLD_ISSUER));
    let newer = newer.map(|der| only(UTF8_STRING, der).unwrap_or_default());
    let issuer = newer.or(older)?;
    // Both names are written, so it does not matter which of them is read.
    if older.is_some_and(|older| older != issuer) {
        return None;
    }
    Some((text(name)?, text(issuer)?))
}

/// A certificate's key.
fn key_of(certificate: &CertificateDer<'_>) -> Result<Key> {
    /// What stands before the point of a key on P-256, which is not compressed
    /// ([RFC 5480, section 2](https://www.rfc-editor.org/rfc/rfc5480#section-2)).
    const P256: &[u8] = &[
        0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d,
        3, 1, 7, 3, 0x42, 0,
    ];
    let key = EndEntityCert::try_from(certificate)?.subject_public_key_info();
    let point = key.strip_prefix(P256).context("its certificate's key is not on P-256")?;
    Ok(UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_certificates_name_no_signer() {
        let certificate = certificate_of(include_bytes!("../../tests/bake/fulcio-certificate.pem")).unwrap();
        let (mail, issuer) = signer_of(&certificate).unwrap();
        assert_eq!(mail, "cosign@cosign-test-kaniko-1-384813.iam.gserviceaccount.com");
        assert_eq!(issuer, "https://accounts.google.com");
        for length in 0..certificate.len() {
            assert!(signer_of(&certificate[..length]).is_none(), "cut at {length}");
        }
        for at in 0..certificate.len() * 8 {
            let mut bad = certificate.to_vec();
            bad[at / 8] ^= 1 << (at % 8);
            let _ = signer_of(&bad);
        }
    }
}
