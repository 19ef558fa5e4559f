// SPDX-License-Identifier: Apache-2.0
//! The forms of what kubeadm joins a cluster with
//! ([tokens](https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#token-format),
//! [digests of keys](https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-join/)).

use crate::model::fetch::host_of;
use crate::model::problem::Problem;

/// Whether the value is known only on the machine, or is left to who fills it in.
fn is_left_open(text: &str) -> bool {
    text.is_empty() || text.contains(['$', '{'])
}

/// The error of a bootstrap token that kubeadm refuses.
pub fn token(place: &str, text: &str) -> Option<Problem> {
    let word = |word: &str, length: usize| {
        word.len() == length && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let good = text.split_once('.').is_some_and(|(id, secret)| word(id, 6) && word(secret, 16));
    (!good && !is_left_open(text)).then(|| {
        let what = "kubeadm refuses this bootstrap token: it is not 6 characters, a dot and 16 characters of a-z and 0-9";
        let cure = "write the token that `kubeadm token create` prints; where Cluster API makes the object, remove it";
        Problem::error(place, what).cure(cure).code("kubeadm/config")
    })
}

/// The error of a digest of a certificate authority's key that kubeadm refuses.
pub fn pin(place: &str, text: &str) -> Option<Problem> {
    let good = text.split_once(':').is_some_and(|(kind, digest)| {
        kind.eq_ignore_ascii_case("sha256")
            && digest.len() == 64
            && digest.chars().all(|c| c.is_ascii_hexdigit())
    });
    (!good && !is_left_open(text)).then(|| {
        let what = "kubeadm refuses this digest of a certificate authority: it is not `sha256:` and 64 hexadecimal digits";
        let cure = "write the digest that `kubeadm token create --print-join-command` prints";
        Problem::error(place, what).cure(cure).code("kubeadm/config")
    })
}

/// The error of an API server's endpoint that kubeadm refuses, or that leads nowhere.
pub fn endpoint(place: &str, text: &str) -> Option<Problem> {
    let port = text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let good = host_of(text) == Some(text) && port.is_some_and(|port| port > 0);
    (!good && !is_left_open(text)).then(|| {
        let what = "this is no endpoint of an API server for kubeadm: it is not a host, a colon and a port";
        let cure = "write it as `HOST:PORT`, such as api.example.com:6443, without `https://`; an IPv6 address stands in brackets";
        Problem::error(place, what).cure(cure).code("kubeadm/config")
    })
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    /// As kubeadm 1.20 takes and refuses them, but for those that it takes and can't reach.
    #[test]
    fn endpoints_are_a_host_and_a_port() {
        for good in ["192.0.2.1:6443", "api.example.com:443", "[fd00::1]:6443", "", "${HOST}", "{{ a }}"] {
            assert_eq!(endpoint("a", good), None, "{good}");
        }
        for bad in [
            "192.0.2.1",
            "api.example.com",
            "https://a:6443",
            "fd00::1",
            "fd00::1:6443",
            ":6443",
            "a:0",
            "a:b",
            "a:99999",
        ] {
            assert!(endpoint("a", bad).is_some(), "{bad}");
        }
    }
}
