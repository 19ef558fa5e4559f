// SPDX-License-Identifier: Apache-2.0
//! A kubeconfig, as kubeadm and the kubelet write it: where a cluster is asked, whom to trust, and who asks
//! ([kubeconfig](https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/)).

use crate::decode::document::envelope;
use crate::decode::syntax::yaml::{self, Node};
use crate::model::certificate::Certificate;
use crate::model::secret::Secret;

/// What a kubeconfig holds itself, or the file that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// In it, in PEM.
    Data(Secret),
    /// A path; a relative one is from the kubeconfig's own directory on.
    File(String),
}

/// The cluster and the user of a kubeconfig's current context; the first ones where it has none, as that of `cluster-info`.
pub struct Kubeconfig {
    cluster: Node,
    user: Option<Node>,
}

impl Kubeconfig {
    /// Reads one.
    pub fn parse(text: &str) -> Option<Self> {
        let node = yaml::parse(text).ok()?;
        let entry = |list: &str, name: Option<&str>, of: &str| {
            let named =
                |entry: &&Node| name.is_none_or(|n| entry.get("name").and_then(Node::text) == Some(n));
            node.get(list)?.list()?.iter().find(named)?.get(of)
        };
        let current = node.get("current-context").and_then(Node::text).filter(|name| !name.is_empty());
        let context = current.and_then(|name| entry("contexts", Some(name), "context"));
        let of = |key: &str| context?.get(key)?.text();
        let cluster = entry("clusters", of("cluster"), "cluster")?.clone();
        Some(Self { cluster, user: entry("users", of("user"), "user").cloned() })
    }

    /// The URL of the API server.
    pub fn server(&self) -> Option<&str> {
        self.cluster.get("server")?.text()
    }

    /// The authorities of which one vouches for it.
    pub fn authority(&self) -> Option<Held> {
        held(&self.cluster, "certificate-authority")
    }

    /// The authorities that the kubeconfig holds itself, in DER.
    pub fn authorities(&self) -> Vec<Vec<u8>> {
        match self.authority() {
            Some(Held::Data(pem)) => certificates(&pem),
            _ => Vec::new(),
        }
    }

    /// The certificate by which the server knows who asks.
    pub fn certificate(&self) -> Option<Held> {
        held(self.user.as_ref()?, "client-certificate")
    }

    /// Its key.
    pub fn key(&self) -> Option<Held> {
        held(self.user.as_ref()?, "client-key")
    }
}

/// What stands under a name, or under it and `-data`, which wins.
fn held(node: &Node, name: &str) -> Option<Held> {
    if let Some(data) = node.get(&format!("{name}-data")).and_then(Node::text) {
        return Some(Held::Data(Secret::new(envelope::base64(data.as_bytes()).ok()?)));
    }
    Some(Held::File(node.get(name)?.text()?.to_owned()))
}

/// The certificates of a text in PEM, in DER.
fn certificates(pem: &Secret) -> Vec<Vec<u8>> {
    super::expiry::pem(&String::from_utf8_lossy(pem.expose()))
}

/// The name of the node that a kubelet's certificate in PEM is for: the API server lets it write that one's Node object and no other
/// ([Node authorization](https://kubernetes.io/docs/reference/access-authn-authz/node/)).
pub fn node(certificate: &Secret) -> Option<String> {
    let certificates = certificates(certificate);
    let name = Certificate::parse(certificates.first()?)?.common_name()?.strip_prefix("system:node:")?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    (!name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "apiVersion: v1\nkind: Config\ncurrent-context: b\n\
        clusters:\n- name: one\n  cluster: {server: 'https://192.0.2.1:6443', certificate-authority: ca.pem}\n\
        - name: two\n  cluster: {server: 'https://192.0.2.2:6443', certificate-authority-data: YQ==}\n\
        contexts:\n- name: a\n  context: {cluster: one, user: x}\n- name: b\n  context: {cluster: two, user: y}\n\
        users:\n- name: x\n  user: {client-certificate: x.pem, client-key: x.key}\n\
        - name: y\n  user: {client-certificate: y.pem, client-key-data: Yg==, client-key: y.key}\n";

    #[test]
    fn the_current_context_says_who_asks_whom() {
        let file = |path: &str| Some(Held::File(path.to_owned()));
        let data = |text: &str| Some(Held::Data(text.into()));
        let read = Kubeconfig::parse(TEXT).unwrap();
        assert_eq!(read.server(), Some("https://192.0.2.2:6443"));
        assert_eq!((read.authority(), read.certificate(), read.key()), (data("a"), file("y.pem"), data("b")));
        let first = Kubeconfig::parse(&TEXT.replace("current-context: b\n", "")).unwrap();
        assert_eq!((first.server(), first.authority()), (Some("https://192.0.2.1:6443"), file("ca.pem")));
        assert!(Kubeconfig::parse(&TEXT.replace("name: two", "name: three")).is_none());
        for text in ["", "[]", "clusters: []", "clusters: {a: b}", "a: ["] {
            assert!(Kubeconfig::parse(text).is_none(), "{text}");
        }
    }
}
