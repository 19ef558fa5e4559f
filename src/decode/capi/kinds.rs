// SPDX-License-Identifier: Apache-2.0
//! The kinds of objects that bootstrap data is made of, and their versions.

use super::kubeadm::Role;
use super::rancher::{K3S, RKE2, Rancher};
use super::word;
use super::writer::Given;
use crate::decode::syntax::words;
use crate::decode::syntax::yaml::Node;
use crate::model::paths::has_drive;
use crate::model::problem::{Problem, Severity};

/// Who makes the data.
#[derive(Clone, Copy)]
pub enum Maker {
    /// Cluster API's own provider, for kubeadm.
    Kubeadm,
    /// That of RKE2 or of k3s.
    Rancher(&'static Rancher),
}

/// A kind of object.
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// The key path of what nodes are made of.
    pub place: &'static str,
    /// What its nodes do; none where its own keys say it.
    pub roles: &'static [Role],
    /// Who makes the data.
    pub maker: Maker,
}

const BOOTSTRAP: &str = "bootstrap.cluster.x-k8s.io";
const CONTROL_PLANE: &str = "controlplane.cluster.x-k8s.io";

const fn kubeadm(name: &'static str, place: &'static str, roles: &'static [Role]) -> Kind {
    Kind { name, place, roles, maker: Maker::Kubeadm }
}

const fn rancher(
    name: &'static str,
    place: &'static str,
    role: &'static [Role],
    of: &'static Rancher,
) -> Kind {
    Kind { name, place, roles: role, maker: Maker::Rancher(of) }
}

const WORKER: &[Role] = &[Role::Worker];
const SERVER: &[Role] = &[Role::Init];
const BOTH: &[Role] = &[Role::Init, Role::Join];

/// All that are known.
pub const KINDS: &[Kind] = &[
    kubeadm("KubeadmConfig", "spec", &[]),
    kubeadm("KubeadmConfigTemplate", "spec.template.spec", WORKER),
    kubeadm("KubeadmControlPlane", "spec.kubeadmConfigSpec", BOTH),
    kubeadm("KubeadmControlPlaneTemplate", "spec.template.spec.kubeadmConfigSpec", BOTH),
    rancher("RKE2Config", "spec", WORKER, &RKE2),
    rancher("RKE2ConfigTemplate", "spec.template.spec", WORKER, &RKE2),
    rancher("RKE2ControlPlane", "spec", SERVER, &RKE2),
    rancher("RKE2ControlPlaneTemplate", "spec.template.spec", SERVER, &RKE2),
    rancher("KThreesConfig", "spec", WORKER, &K3S),
    rancher("KThreesConfigTemplate", "spec.template.spec", WORKER, &K3S),
    rancher("KThreesControlPlane", "spec.kthreesConfigSpec", SERVER, &K3S),
    rancher("KThreesControlPlaneTemplate", "spec.template.spec.kthreesConfigSpec", SERVER, &K3S),
];

/// The cure for data that is not rendered here.
pub const SECRET: &str =
    "check the Secret of one of its machines: `kubectl get secret NAME -o yaml | footplate check -`";

/// Whether a group of Kubernetes' API is one of bootstrap providers.
pub fn is_bootstrap(group: &str) -> bool {
    [BOOTSTRAP, CONTROL_PLANE].contains(&group)
}

/// Whether a text names one of the kinds.
pub fn in_text(text: &str) -> bool {
    KINDS.iter().any(|kind| text.contains(kind.name))
}

/// Whether an object's arguments of programs are lists of names and values, as they are from v1beta2 on; `None` of other versions.
pub fn args_are_lists(node: &Node) -> Option<bool> {
    match word(node, "apiVersion").split_once('/')?.1 {
        "v1beta2" => Some(true),
        "v1alpha3" | "v1alpha4" | "v1beta1" => Some(false),
        _ => None,
    }
}

/// What is wrong with an object's `apiVersion`.
pub fn version(node: &Node, kind: &Kind) -> Option<Problem> {
    let group = if kind.name.contains("ControlPlane") { CONTROL_PLANE } else { BOOTSTRAP };
    let given = word(node, "apiVersion");
    let pos = node.get("apiVersion").map_or(node.pos, |n| n.pos);
    let cure = format!("write `apiVersion: {group}/v1beta1`");
    let error = |what: &str| Problem::error("apiVersion", what).at(pos).cure(&cure).code("object/version");
    if given.contains("${") {
        return None;
    }
    let (of, version) = given.split_once('/').unwrap_or(("", given));
    if given.is_empty() {
        return Some(error("missing: an object must name its group and version"));
    }
    if of != group {
        return Some(error("this kind is not in this group of the API"));
    }
    match (kind.maker, version) {
        (Maker::Kubeadm, "v1alpha3" | "v1alpha4") => {
            let problem = error("Cluster API has removed this version, or is about to");
            Some(Problem { severity: Severity::Warning, ..problem })
        }
        (Maker::Kubeadm, "v1beta1" | "v1beta2") | (Maker::Rancher(_), _) => None,
        _ => Some(error("Cluster API has no such version of this kind")),
    }
}

/// What is said of a kind that is not known.
pub fn unknown(node: &Node, kind: &str) -> Problem {
    let pos = node.get("kind").map_or(node.pos, |n| n.pos);
    if let Some(meant) = words::meant(kind, KINDS.iter().map(|kind| kind.name)) {
        let problem = Problem::error("kind", "Cluster API does not have this kind").at(pos);
        return problem.cure(format!("did you mean `{meant}`?")).code("object/version");
    }
    let what =
        "how its provider makes bootstrap data of this object is not known here, so that it was not checked";
    Problem::note("", what).at(node.pos).cure(SECRET).code("object/not-rendered")
}

/// What is said of an object for nodes of Windows, and by what it is one.
pub fn of_windows(spec: &Given<'_>) -> Option<Problem> {
    let socket = |of: &&str| spec.get(of)?.get("nodeRegistration")?.get("criSocket");
    let sockets = ["initConfiguration", "joinConfiguration"];
    let mut sockets = sockets.iter().filter_map(socket);
    let pipe = sockets.find(|s| s.node.text().is_some_and(|text| text.starts_with("npipe:")));
    let mut paths = spec.items("files").into_iter().filter_map(|file| file.get("path"));
    let of = pipe.or_else(|| paths.find(|path| path.node.text().is_some_and(has_drive)))?;
    let what = "this is for a machine of Windows, so that the object was not checked";
    Some(Problem::note(of.place, what).at(of.node.pos).code("object/not-rendered"))
}

/// Names of patches that are told.
const MOST_PATCHES: usize = 5;

/// What is said of the patches of a ClusterClass: they change the objects that its templates become.
pub fn patches(class: &Node) -> Option<Problem> {
    let (key, patches) = class.get("spec")?.entries().find(|(key, _)| key.text() == Some("patches"))?;
    let list = patches.list().filter(|list| !list.is_empty())?;
    let told = |patch: &Node| {
        let definitions = patch.get("definitions").and_then(Node::list).unwrap_or_default();
        let mut kinds: Vec<&str> = definitions
            .iter()
            .filter_map(|d| d.get("selector"))
            .map(|selector| word(selector, "kind"))
            .collect();
        kinds.retain(|kind| !kind.is_empty());
        kinds.dedup();
        let of = if kinds.is_empty() { String::new() } else { format!(" (of {})", kinds.join(", ")) };
        format!("{}{of}", word(patch, "name"))
    };
    let mut names: Vec<String> = list.iter().take(MOST_PATCHES).map(told).collect();
    if list.len() > MOST_PATCHES {
        names.push(format!("and {} more", list.len() - MOST_PATCHES));
    }
    let what = format!(
        "the patches of this class were not applied, so that its templates are checked without them: {}",
        names.join(", ")
    );
    Some(Problem::note("spec.patches", what).at(key.pos).cure(SECRET).code("object/not-rendered"))
}
