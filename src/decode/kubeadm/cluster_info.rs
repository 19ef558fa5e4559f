// SPDX-License-Identifier: Apache-2.0
//! What a cluster tells to who has a bootstrap token: the ConfigMap `cluster-info` of `kube-public`, which has the cluster's
//! authorities and a signature by each token
//! ([bootstrap tokens](https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#configmap-signing)).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use sha2::{Digest as _, Sha256};

use super::kubeconfig::Kubeconfig;
use crate::model::certificate::Certificate;
use crate::model::secret::Secret;

/// Where the ConfigMap is at an API server.
pub const PATH: &str = "/api/v1/namespaces/kube-public/configmaps/cluster-info";

/// The ConfigMap.
pub struct ClusterInfo {
    kubeconfig: String,
    signatures: serde_json::Value,
}

/// How a cluster knows a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// By its signature.
    Yes,
    /// Not: it has ended, it is another cluster's, or it was made just now.
    No,
    /// By its id; its secret is another one.
    OtherSecret,
}

impl ClusterInfo {
    /// Reads the ConfigMap in JSON.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let mut map: serde_json::Value = serde_json::from_slice(json).ok()?;
        let signatures = map.get_mut("data")?.take();
        let kubeconfig = signatures.get("kubeconfig")?.as_str()?.to_owned();
        Some(Self { kubeconfig, signatures })
    }

    /// Whether it is signed by a token, which is `id.secret`: a JSON Web Signature without its payload, with HS256.
    pub fn knows(&self, token: &Secret) -> Known {
        let token = String::from_utf8_lossy(token.expose()).into_owned();
        let (id, secret) = token.split_once('.').unwrap_or_default();
        let signed = self.signatures.get(format!("jws-kubeconfig-{id}")).and_then(|jws| jws.as_str());
        let Some((header, signature)) = signed.and_then(|jws| jws.split_once("..")) else { return Known::No };
        let signs = || {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(&self.kubeconfig));
            hmac::verify(&key, signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()
        };
        if signs().is_some() { Known::Yes } else { Known::OtherSecret }
    }

    /// The cluster's authorities, in DER.
    pub fn authorities(&self) -> Vec<Vec<u8>> {
        Kubeconfig::parse(&self.kubeconfig).map(|read| read.authorities()).unwrap_or_default()
    }
}

/// Whether one of the authorities has a key with one of the digests.
pub fn pinned(authorities: &[Vec<u8>], pins: &[String]) -> bool {
    let digest = |der: &Vec<u8>| {
        let key = Certificate::parse(der)?.public_key()?;
        let hex: String = Sha256::digest(key).iter().map(|b| format!("{b:02x}")).collect();
        Some(format!("sha256:{hex}"))
    };
    authorities
        .iter()
        .filter_map(digest)
        .any(|digest| pins.iter().any(|pin| pin.eq_ignore_ascii_case(&digest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    /// Made by `openssl req -x509 -newkey ed25519`; its key's digest is by `openssl x509 -pubkey | openssl pkey -outform der | sha256sum`.
    const CERTIFICATE: &str = include_str!("../../../tests/userdata/certificate.pem");

    fn info(signature: &str) -> ClusterInfo {
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: ''\n  cluster:\n    server: https://192.0.2.1:6443\n    \
             certificate-authority-data: {}\n",
            STANDARD.encode(CERTIFICATE)
        );
        let map = serde_json::json!({"data": {"kubeconfig": kubeconfig, "jws-kubeconfig-abcdef": signature}});
        ClusterInfo::parse(map.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_signature_is_of_the_token_and_of_the_text() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"abcdef"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(info("").kubeconfig));
        let signature =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef"), signed.as_bytes());
        let signature = format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature));
        for (token, signature, want) in [
            ("abcdef.0123456789abcdef", signature.as_str(), Known::Yes),
            ("abcdef.0123456789abcdee", &signature, Known::OtherSecret),
            ("bbcdef.0123456789abcdef", &signature, Known::No),
            ("abcdef.0123456789abcdef", "", Known::No),
            ("abcdef.0123456789abcdef", "a..b", Known::OtherSecret),
            ("", &signature, Known::No),
        ] {
            assert_eq!(info(signature).knows(&Secret::from(token)), want, "{token}");
        }
        assert!(ClusterInfo::parse(b"{}").is_none() && ClusterInfo::parse(b"<html>").is_none());
    }

    #[test]
    fn an_authority_is_known_by_its_key() {
        let authorities = info("").authorities();
        assert_eq!(
            (authorities.len(), Kubeconfig::parse(&info("").kubeconfig).unwrap().server()),
            (1, Some("https://192.0.2.1:6443"))
        );
        let right = "sha256:332821fd96094a09f2893b83038909aaae887679e395bbb58a436c6fe342882b".to_owned();
        assert!(pinned(
            &authorities,
            &["sha256:00".to_owned(), right.to_uppercase().replace("SHA256", "sha256"), right]
        ));
        assert!(
            !pinned(&authorities, &["sha256:00".to_owned()])
                && !pinned(&[], &[])
                && !pinned(&[vec![0x30]], &[])
        );
    }
}
