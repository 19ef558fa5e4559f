// SPDX-License-Identifier: Apache-2.0
//! A document of kubeadm's configuration that the data itself writes. kubeadm refuses a value of another type, and ignores a key
//! that it does not know with a warning.

use super::kubeadm_keys::{CLUSTER, INIT, JOIN};
use super::schema::Schema;
use super::word;
use crate::decode::syntax::words;
use crate::decode::syntax::yaml::Node;
use crate::model::problem::{Problem, Severity};

/// kubeadm's group in Kubernetes' API.
const GROUP: &str = "kubeadm.k8s.io/";

/// Kinds of documents that kubeadm reads, without those of the kubelet and of kube-proxy.
const KINDS: &[&str] = &[
    "ClusterConfiguration",
    "InitConfiguration",
    "JoinConfiguration",
    "ResetConfiguration",
    "UpgradeConfiguration",
];

/// What is wrong with a document in a file that kubeadm reads (`of_kubeadm`), or in another; places are those within the document.
pub fn problems(of_kubeadm: bool, tree: &Node) -> Vec<Problem> {
    let (version, kind) = (word(tree, "apiVersion"), word(tree, "kind"));
    let pos = |key: &str| tree.get(key).map_or(tree.pos, |n| n.pos);
    let error = |key: &str, what: &str| Problem::error(key, what).at(pos(key)).code("kubeadm/config");
    if (version.is_empty() || kind.is_empty()) && of_kubeadm && tree.is_map() {
        let key = if version.is_empty() { "apiVersion" } else { "kind" };
        let cure = "begin with `apiVersion: kubeadm.k8s.io/v1beta4` and `kind: JoinConfiguration` or `kind: InitConfiguration`";
        return vec![error(key, "missing: kubeadm does not read a document without it").cure(cure)];
    }
    let Some(version) = version.strip_prefix(GROUP) else { return Vec::new() };
    let mut found = Vec::new();
    match version {
        "v1beta3" | "v1beta4" => {}
        "v1beta2" => {
            let problem = error("apiVersion", "kubeadm from 1.27 on does not read this version");
            found.push(
                Problem { severity: Severity::Warning, ..problem }.cure("write `kubeadm.k8s.io/v1beta3`"),
            );
        }
        _ => {
            let problem = error("apiVersion", "kubeadm has no such version");
            return vec![problem.cure("write `kubeadm.k8s.io/v1beta4`")];
        }
    }
    let root = match kind {
        "ClusterConfiguration" => &CLUSTER,
        "InitConfiguration" => &INIT,
        "JoinConfiguration" => &JOIN,
        _ if KINDS.contains(&kind) => return found,
        _ => {
            let cure = match words::meant(kind, KINDS.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("one of {}", KINDS.join(", ")),
            };
            found.push(error("kind", "kubeadm has no such kind").cure(cure));
            return found;
        }
    };
    Schema { owner: "kubeadm", args_are_lists: Some(version == "v1beta4"), root }.check(tree, "", &mut found);
    found
}
