// SPDX-License-Identifier: Apache-2.0
//! What Cluster API adds for kubeadm: its configuration, the cluster's certificates, the command and the file that says that it
//! succeeded ([contract](https://cluster-api.sigs.k8s.io/developer/providers/contracts/bootstrap-config)).

use super::writer::{Given, Writer};

/// What kubeadm does on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The first node of a control plane.
    Init,
    /// A further node of a control plane.
    Join,
    /// A worker.
    Worker,
}

impl Role {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Join => "join",
            Self::Worker => "worker",
        }
    }

    /// Whether the node gets the cluster's certificates.
    pub fn is_control_plane(self) -> bool {
        self != Self::Worker
    }

    /// The file with kubeadm's configuration, in a cloud-config.
    pub fn config(self) -> &'static str {
        match self {
            Self::Init => "/run/kubeadm/kubeadm.yaml",
            Self::Join | Self::Worker => "/run/kubeadm/kubeadm-join-config.yaml",
        }
    }
}

/// The certificates and keys of a control plane: the path, the mode, and as many lines as such a file has, for the size of the
/// whole.
pub const CERTIFICATES: &[(&str, &str, usize)] = &[
    ("/etc/kubernetes/pki/ca.crt", "0640", 18),
    ("/etc/kubernetes/pki/ca.key", "0600", 27),
    ("/etc/kubernetes/pki/etcd/ca.crt", "0640", 18),
    ("/etc/kubernetes/pki/etcd/ca.key", "0600", 27),
    ("/etc/kubernetes/pki/front-proxy-ca.crt", "0640", 18),
    ("/etc/kubernetes/pki/front-proxy-ca.key", "0600", 27),
    ("/etc/kubernetes/pki/sa.pub", "0640", 9),
    ("/etc/kubernetes/pki/sa.key", "0600", 27),
];

/// A line in place of one of a certificate.
pub const FILLER: &str = "Cluster API puts a line of the certificate or of the key here.....";

/// The command that says that kubeadm succeeded.
pub const SENTINEL: &str = "echo success > /run/cluster-api/bootstrap-success.complete";

/// kubeadm's command with its configuration in a file.
pub fn command(spec: &Given<'_>, role: Role, config: &str) -> String {
    let verbosity = spec.node.get("verbosity").and_then(crate::decode::syntax::yaml::Node::int);
    let verbosity = verbosity.map(|v| format!(" --v {v}")).unwrap_or_default();
    let what = if role == Role::Init { "init" } else { "join" };
    format!("kubeadm {what} --config {config}{verbosity} ")
}

/// Writes kubeadm's configuration, each line behind an indent.
pub fn write(out: &mut Writer<'_>, spec: &Given<'_>, role: Role, indent: usize) {
    let pad = " ".repeat(indent);
    let parts: &[(&str, &str)] = match role {
        Role::Init => {
            &[("clusterConfiguration", "ClusterConfiguration"), ("initConfiguration", "InitConfiguration")]
        }
        Role::Join | Role::Worker => &[("joinConfiguration", "JoinConfiguration")],
    };
    for (key, kind) in parts {
        let head = format!("{pad}---\n{pad}apiVersion: kubeadm.k8s.io/v1beta4\n{pad}kind: {kind}");
        out.made(&head, None);
        if role != Role::Init {
            let found = format!(
                "{pad}discovery:\n{pad}  bootstrapToken:\n{pad}    apiServerEndpoint: 192.0.2.1:6443\n\
                 {pad}    token: abcdef.0123456789abcdef"
            );
            out.made(&found, None);
        }
        let Some(given) = spec.get(key).filter(|g| g.node.is_map()) else { continue };
        let taken = |name: &str| ["apiVersion", "kind", "discovery"].contains(&name);
        for (name, value) in given.node.entries() {
            let name = name.text().unwrap_or_default();
            if !taken(name) {
                let value = Given { node: value, place: format!("{}.{name}", given.place) };
                out.entry(&format!("{pad}{name}:"), &value, indent + 2);
            }
        }
    }
}
