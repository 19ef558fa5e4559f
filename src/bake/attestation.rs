// SPDX-License-Identifier: Apache-2.0
//! What GitHub attests of a release: a statement that a workflow built files of these digests, signed without a key of one's
//! own, as [`cosign`](super::cosign) has it.
//!
//! A release carries it as a file of
//! [Sigstore's bundles](https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto), one a line. In a bundle
//! are the signer's certificate and an envelope ([DSSE](https://github.com/secure-systems-lab/dsse/blob/master/protocol.md)); in
//! that is the statement ([in-toto](https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md)). The statement has
//! digests and no more, so the release's files are not needed. Sigstore's transparency log is not asked.

use anyhow::{Context as _, Result, anyhow, ensure};
use rustls::pki_types::CertificateDer;
use serde_json::Value;

use super::cosign::{Authority, Signer, base64, key_of_signer, signed};

/// Most bundles that are looked at: a release's file has one.
const MAX_BUNDLES: usize = 16;

/// What the envelope holds.
const STATEMENT: &str = "application/vnd.in-toto+json";

/// The form of a statement, and its older one.
const FORMS: [&str; 2] = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];

/// What is stated: how something was built ([SLSA](https://slsa.dev/spec/v1.0/provenance)).
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// Says that one of these bundles states, signed by this signer, that a file of this SHA-256 was built.
///
/// # Errors
/// None of them does: why not, for each.
pub fn verify(sha256: &str, bundles: &[u8], signer: Signer<'_>, authority: &Authority<'_>) -> Result<()> {
    let mut why = Vec::new();
    let lines = bundles.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty());
    for (at, bundle) in lines.take(MAX_BUNDLES).enumerate() {
        match verify_one(sha256, bundle, signer, authority) {
            Ok(()) => return Ok(()),
            Err(error) => why.push(format!("attestation {}: {error:#}", at + 1)),
        }
    }
    ensure!(!why.is_empty(), "it holds no attestation");
    Err(anyhow!(why.join("; ")))
}

fn verify_one(sha256: &str, bundle: &[u8], signer: Signer<'_>, authority: &Authority<'_>) -> Result<()> {
    // The parser's words may quote the text, which came from a server: they are not shown.
    let bundle: Value =
        serde_json::from_slice(bundle).map_err(|e| anyhow!("invalid JSON at column {}", e.column()))?;
    let text = |path: &str| bundle.pointer(path).and_then(Value::as_str);
    // Before version 0.3 a chain was there; what is behind the first is the authority's, and known.
    let certificate = text("/verificationMaterial/certificate/rawBytes")
        .or_else(|| text("/verificationMaterial/x509CertificateChain/certificates/0/rawBytes"))
        .context("it has no certificate")?;
    let certificate = base64(certificate.as_bytes()).context("its certificate is not valid base64")?;
    let key = key_of_signer(&CertificateDer::from(certificate), signer, authority)?;

    let kind = text("/dsseEnvelope/payloadType").context("it has no envelope")?;
    ensure!(kind == STATEMENT, "its envelope holds no statement");
    let payload = text("/dsseEnvelope/payload").context("its envelope has no payload")?;
    let payload = base64(payload.as_bytes()).context("its statement is not valid base64")?;
    let signatures = bundle.pointer("/dsseEnvelope/signatures").and_then(Value::as_array);
    let [signature] = signatures.map_or(&[][..], |all| all) else {
        return Err(anyhow!("it must have exactly one signature"));
    };
    let signature = signature["sig"].as_str().context("its signature is missing")?;
    // What is signed names the kind, so that no other kind of text is taken for it.
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    signed(&[head.as_bytes(), &payload].concat(), signature.as_bytes(), &key)?;

    let statement: Value = serde_json::from_slice(&payload).context("its statement is not valid JSON")?;
    ensure!(
        FORMS.iter().any(|form| statement["_type"] == *form),
        "its statement has a form that is not known here"
    );
    ensure!(statement["predicateType"] == PROVENANCE, "it does not state how something was built");
    let subjects = statement["subject"].as_array().map_or(&[][..], |all| all);
    let digests = subjects.iter().filter_map(|subject| subject["digest"]["sha256"].as_str());
    ensure!(digests.into_iter().any(|digest| digest.eq_ignore_ascii_case(sha256)), "it is for other files");
    Ok(())
}
