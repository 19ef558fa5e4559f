// SPDX-License-Identifier: Apache-2.0
//! What in the data soon stops being good: certificates and bootstrap tokens.

use crate::decode::document::envelope;
use crate::decode::syntax::yaml;
use crate::model::certificate::Certificate;
use crate::model::config::NodeConfig;
use crate::model::problem::Problem;
use crate::model::time::Time;

/// Days before its end from which a certificate is told of: kubeadm renews its own at upgrades, and clusters that are
/// not upgraded for so long are usual.
const SOON_DAYS: i64 = 30;

/// Files larger than this hold no certificate.
const MAX_PEM: usize = 1 << 20;

/// Certificates in files that have ended or soon will, and tokens in kubeadm's configuration likewise.
pub fn problems(config: &NodeConfig, now: Time) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in config.files.iter().filter(|f| f.content.len() <= MAX_PEM) {
        let Ok(text) = std::str::from_utf8(file.content.expose()) else { continue };
        for (n, end) in certificates(text).into_iter().enumerate() {
            let place = format!("{} ({})", file.place, file.path);
            let which = if n == 0 { "the certificate".to_owned() } else { format!("certificate {}", n + 1) };
            problems.extend(told(place, &which, end, now));
        }
        if text.contains("kubeadm.k8s.io/") {
            for end in tokens(text) {
                let place = format!("{} ({})", file.place, file.path);
                problems.extend(told(place, "the bootstrap token", end, now));
            }
        }
    }
    for (n, certificate) in config.system.certificates.iter().enumerate() {
        for end in certificates(certificate) {
            problems.extend(told(format!("ca_certs.trusted[{n}]"), "the certificate", end, now));
        }
    }
    problems
}

fn told(place: String, what: &str, end: Time, now: Time) -> Option<Problem> {
    let days = end.days_since(now);
    let text = match days {
        ..0 => format!("{what} ended at {end}"),
        0..SOON_DAYS => format!("{what} ends at {end}, in {days} days"),
        _ => return None,
    };
    Some(
        Problem::warning(place, text).cure("renew it before the machine is made").code("certificate/expires"),
    )
}

/// When each PEM certificate of a text ends.
fn certificates(text: &str) -> Vec<Time> {
    pem(text).iter().filter_map(|der| not_after(der)).collect()
}

/// The PEM certificates of a text, in DER.
pub(super) fn pem(text: &str) -> Vec<Vec<u8>> {
    let bodies = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    let bodies = bodies.filter_map(|rest| rest.split_once("-----END CERTIFICATE-----").map(|(body, _)| body));
    bodies.filter_map(|body| envelope::base64(body.as_bytes()).ok()).collect()
}

fn not_after(der: &[u8]) -> Option<Time> {
    Certificate::parse(der).map(|certificate| certificate.not_after)
}

/// The expiry of each token that kubeadm will make, where the configuration names it.
fn tokens(text: &str) -> Vec<Time> {
    let mut ends = Vec::new();
    for document in text.split("\n---") {
        let Ok(node) = yaml::parse(document.trim_start_matches("---")) else { continue };
        for token in node.get("bootstrapTokens").and_then(yaml::Node::list).unwrap_or_default() {
            ends.extend(token.get("expires").and_then(yaml::Node::text).and_then(Time::parse));
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::Secret;
    use crate::model::storage::{File, Owner};

    /// Made by `openssl req -x509 -newkey ed25519 -days 3650 -subj /CN=test`; its key is lost.
    const CERTIFICATE: &str = include_str!("../../../tests/userdata/certificate.pem");

    fn said(content: &str, now: &str) -> Vec<String> {
        let file = File {
            place: "write_files[0]".to_owned(),
            path: "/a".to_owned(),
            content: Secret::from(content),
            owner: Owner::root(),
            mode: 0o644,
            append: false,
            existing: Default::default(),
            restart: None,
        };
        let config = NodeConfig { files: vec![file], ..NodeConfig::default() };
        problems(&config, Time::parse(now).unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ends_are_told_in_time() {
        let end = certificates(CERTIFICATE)[0];
        let before = |days: i64| Time(end.0 - days * 86400).to_string();
        assert_eq!(said(CERTIFICATE, &before(31)), [""; 0]);
        assert_eq!(
            said(CERTIFICATE, &before(3)),
            [format!("write_files[0] (/a): the certificate ends at {end}, in 3 days")]
        );
        let two = CERTIFICATE.repeat(2);
        assert_eq!(said(&two, &before(-1))[1], format!("write_files[0] (/a): certificate 2 ended at {end}"));
        let kubeadm = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nbootstrapTokens:\n- {token: a.b, expires: '2026-11-22T18:00:00Z'}\n";
        let kubeadm = format!("---\nkind: ClusterConfiguration\n---\n{kubeadm}");
        assert_eq!(
            said(&kubeadm, "2026-11-22T18:00:01Z"),
            ["write_files[0] (/a): the bootstrap token ended at 2026-11-22T18:00:00Z"]
        );
    }

    #[test]
    fn damaged_certificates_say_nothing() {
        let der = envelope::base64(
            CERTIFICATE.lines().filter(|l| !l.starts_with("-----")).collect::<String>().as_bytes(),
        )
        .unwrap();
        let end = not_after(&der);
        assert!(end.is_some());
        for length in 0..der.len() {
            assert!(not_after(&der[..length]).is_none(), "cut at {length}");
        }
        for i in 0..der.len() {
            for bit in 0..8 {
                let mut bad = der.clone();
                bad[i] ^= 1 << bit;
                let _ = not_after(&bad);
            }
        }
    }
}
