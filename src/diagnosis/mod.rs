// SPDX-License-Identifier: Apache-2.0
//! What kubeadm's output says of a failed bootstrap: a table of causes, each with a stable code, one sentence and what to do.

use crate::model::problem::Problem;

/// A cause of a failed bootstrap.
struct Cause {
    /// The stable code that programs go by.
    code: &'static str,
    /// What the output has, in lower case; one of them is enough.
    texts: &'static [&'static str],
    /// What that means.
    what: &'static str,
    /// What to do.
    cure: &'static str,
}

/// All causes. The first that the output has decides, so a cause stands before what follows from it.
const CAUSES: &[Cause] = &[
    Cause {
        code: "certificate/not-valid-now",
        texts: &["x509: certificate has expired or is not yet valid"],
        what: "a certificate is outside its validity: the clock may be wrong",
        cure: "compare `timedatectl` with the certificate's dates; the `ntp` key sets time servers",
    },
    Cause {
        code: "certificate/unknown-authority",
        texts: &["x509: certificate signed by unknown authority"],
        what: "the API server's certificate is not signed by the cluster's CA",
        cure: "the endpoint in the join configuration leads to another cluster, or its CA was replaced",
    },
    Cause {
        code: "join/ca-hash-mismatch",
        texts: &["cluster ca found in cluster-info configmap is invalid", "none of the public keys"],
        what: "the cluster's CA does not have the expected hash",
        cure: "discovery.bootstrapToken.caCertHashes is of another cluster",
    },
    Cause {
        code: "join/token-of-another-cluster",
        texts: &["failed to verify jws signature"],
        what: "the cluster signed its information with another bootstrap token",
        cure: "the token's secret in the join configuration is not the cluster's, or the endpoint leads to another cluster",
    },
    Cause {
        code: "join/token-expired",
        texts: &["could not find a jws signature in the cluster-info", "token id"],
        what: "the bootstrap token has expired or was removed",
        cure: "Cluster API makes a new token for a new machine: delete this one's Machine",
    },
    Cause {
        code: "endpoint/name-not-resolved",
        texts: &["no such host", "server misbehaving"],
        what: "the API server's name can't be resolved",
        cure: "look at `resolvectl status` and at nameservers in the network metadata",
    },
    Cause {
        code: "endpoint/no-route",
        texts: &["no route to host", "network is unreachable"],
        what: "the API server can't be reached: no route to it",
        cure: "look at `ip route` and at the gateway in the network metadata",
    },
    Cause {
        code: "endpoint/refused",
        texts: &["connection refused"],
        what: "the API server can't be reached: its port is closed",
        cure: "see that the control plane's endpoint (kube-vip, the load balancer) is up",
    },
    Cause {
        code: "endpoint/no-answer",
        texts: &["i/o timeout", "client.timeout exceeded", "context deadline exceeded"],
        what: "the API server can't be reached: it does not answer",
        cure: "see that the control plane's endpoint is up and that no firewall stands between",
    },
    Cause {
        code: "endpoint/not-identified",
        texts: &["couldn't validate the identity of the api server"],
        what: "the API server can't be reached or is not the one that was expected",
        cure: "see that the control plane's endpoint is up and that the token and the CA hash are this cluster's",
    },
    Cause {
        code: "endpoint/timed-out",
        texts: &["timed out waiting for the condition"],
        what: "the API server can't be reached: it does not answer",
        cure: "see that the control plane's endpoint is up and that no firewall stands between",
    },
    Cause {
        code: "containerd/not-running",
        texts: &["container runtime is not running"],
        what: "containerd does not run",
        cure: "look at `systemctl status containerd`, and at nodeRegistration.criSocket",
    },
    Cause {
        code: "containerd/no-answer",
        texts: &["[error cri]"],
        what: "containerd does not answer",
        cure: "look at `systemctl status containerd`, and at nodeRegistration.criSocket",
    },
    Cause {
        code: "image/not-pulled",
        texts: &["[error imagepull]"],
        what: "an image can't be pulled",
        cure: "see that the registry can be reached, or bake the images",
    },
    Cause {
        code: "preflight/swap",
        texts: &["[error swap]"],
        what: "swap is on",
        cure: "take the swap out of the image",
    },
    Cause {
        code: "preflight/files-in-the-way",
        texts: &["[error fileavailable"],
        what: "files of an earlier bootstrap are in the way",
        cure: "seal the image that this node was made from",
    },
    Cause {
        code: "preflight/port-taken",
        texts: &["[error port-"],
        what: "a port that Kubernetes needs is taken",
        cure: "see which program listens: `ss -ltnp`",
    },
    Cause {
        code: "preflight/kernel",
        texts: &["[error systemverification]"],
        what: "the kernel lacks what Kubernetes needs",
        cure: "look at kubeadm's own words in the journal",
    },
    Cause {
        code: "kubelet/not-up",
        texts: &["[kubelet-check]"],
        what: "the kubelet does not come up",
        cure: "look at `journalctl -u kubelet`",
    },
    Cause {
        code: "kubeadm/missing",
        texts: &["kubeadm: not found", "kubeadm: command not found"],
        what: "there is no kubeadm on this machine",
        cure: "bake kubeadm into /opt/bin",
    },
    Cause {
        code: "preflight/other",
        texts: &["[error "],
        what: "kubeadm's checks found fault with this machine",
        cure: "look at kubeadm's own words in the journal",
    },
];

/// What kubeadm's output says of a failure: code, meaning and what to do. `None` where the output has none of the known
/// texts.
pub fn classify(output: &str) -> Option<Problem> {
    // A warning is not what stopped it: kubeadm warns, for one, when the node's own name does not resolve.
    let errors: Vec<&str> = output.lines().filter(|l| !l.trim_start().starts_with("[WARNING")).collect();
    let output = errors.join("\n").to_ascii_lowercase();
    let cause = CAUSES.iter().find(|cause| cause.texts.iter().any(|text| output.contains(text)))?;
    Some(Problem::error("", cause.what).code(cause.code).cure(cause.cure))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_texts_are_in_lower_case() {
        let codes: BTreeSet<&str> = CAUSES.iter().map(|c| c.code).collect();
        assert_eq!(codes.len(), CAUSES.len());
        for text in CAUSES.iter().flat_map(|c| c.texts) {
            assert_eq!(*text, text.to_ascii_lowercase());
        }
    }

    /// kubeadm's discovery begins each of its failures with the same words, and warns of names first.
    #[test]
    fn the_cause_is_told_and_not_what_follows_from_it() {
        let before = "[WARNING Hostname]: hostname \"n1\" could not be reached: no such host\n\
                      error execution phase preflight: couldn't validate the identity of the API Server: ";
        for (says, cause) in [
            (
                "failed to verify JWS signature of received cluster info object, can't trust this API Server",
                Some("the cluster signed its information with another bootstrap token"),
            ),
            (
                "could not find a JWS signature in the cluster-info ConfigMap for token ID \"abcdef\"",
                Some("the bootstrap token has expired or was removed"),
            ),
            (
                "cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"sha256:0\" are pinned",
                Some("the cluster's CA does not have the expected hash"),
            ),
            (
                "Get \"https://lb:6443/api\": dial tcp: lookup lb: no such host",
                Some("the API server's name can't be resolved"),
            ),
            (
                "Get \"https://192.0.2.1:6443/api\": dial tcp 192.0.2.1:6443: connect: no route to host",
                Some("the API server can't be reached: no route to it"),
            ),
            ("", Some("the API server can't be reached or is not the one that was expected")),
        ] {
            let found = classify(&format!("{before}{says}\n")).map(|problem| problem.what);
            assert_eq!(found.as_deref(), cause, "{says}");
        }
        assert_eq!(classify("[WARNING Hostname]: lookup n1: no such host\n"), None);
    }
}
