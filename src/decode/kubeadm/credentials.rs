// SPDX-License-Identifier: Apache-2.0
//! The forms of what kubeadm joins a cluster with
//! ([tokens](https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#token-format),
//! [digests of keys](https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-join/)).

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
