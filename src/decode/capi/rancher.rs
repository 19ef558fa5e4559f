// SPDX-License-Identifier: Apache-2.0
//! The cloud-config that Cluster API's providers for RKE2 and k3s make
//! ([RKE2](https://github.com/rancher/cluster-api-provider-rke2), [k3s](https://github.com/k3s-io/cluster-api-k3s)): the author's
//! files and commands are whole; of the provider's own there are the path of the configuration and the commands that start it.

use super::cloud_config::Maker;
use super::schema::Type::{Any, Bool, Int, List, Map, Text};
use super::schema::{TEXTS, Type};
use super::writer::{Given, Writer};
use crate::decode::syntax::yaml;
use crate::model::problem::Problem;

/// A distribution of Kubernetes.
pub struct Rancher {
    /// The keys of its objects' specs.
    pub spec: Type,
    before: &'static str,
    after: &'static str,
    config: &'static str,
    server: &'static [&'static str],
    agent: &'static [&'static str],
}

const SECRET: Type = Map(&[("key", Text), ("name", Text), ("namespace", Text)]);
const FILES: Type = List(&Map(&[
    ("content", Text),
    ("contentFrom", Map(&[("configMap", SECRET), ("secret", SECRET)])),
    ("encoding", Text),
    ("owner", Text),
    ("path", Text),
    ("permissions", Text),
]));

/// RKE2. A control plane has the keys of its nodes' configuration beside its own.
pub const RKE2: Rancher = Rancher {
    spec: Map(&[
        (
            "agentConfig",
            Map(&[
                ("additionalUserData", Map(&[("config", Text), ("data", Any), ("strict", Bool)])),
                ("airGapped", Bool),
                ("airGappedChecksum", Text),
                ("cisProfile", Text),
                ("containerRuntimeEndpoint", Text),
                ("dataDir", Text),
                ("enableContainerdSElinux", Bool),
                ("format", Text),
                ("imageCredentialProviderConfigMap", Any),
                ("kubeProxy", Any),
                ("kubelet", Any),
                ("kubeletPath", Text),
                ("loadBalancerPort", Int),
                ("nodeAnnotations", Any),
                ("nodeLabels", TEXTS),
                ("nodeName", Text),
                ("nodeTaints", TEXTS),
                ("ntp", Map(&[("enabled", Bool), ("servers", TEXTS)])),
                ("podSecurityAdmissionConfigFile", Text),
                ("protectKernelDefaults", Bool),
                ("resolvConf", Any),
                ("runtimeImage", Text),
                ("snapshotter", Text),
                ("systemDefaultRegistry", Text),
                ("version", Text),
            ]),
        ),
        ("files", FILES),
        ("gzipUserData", Bool),
        ("infrastructureRef", Any),
        ("machineTemplate", Any),
        ("manifestsConfigMapReference", Any),
        ("nodeDrainTimeout", Any),
        ("postRKE2Commands", TEXTS),
        ("preRKE2Commands", TEXTS),
        ("privateRegistriesConfig", Any),
        ("registrationAddress", Text),
        ("registrationMethod", Text),
        ("remediationStrategy", Any),
        ("replicas", Int),
        ("rolloutStrategy", Any),
        ("serverConfig", Any),
        ("version", Text),
    ]),
    before: "preRKE2Commands",
    after: "postRKE2Commands",
    config: "/etc/rancher/rke2/config.yaml",
    server: &["curl -sfL https://get.rke2.io | sh -s - server", "systemctl start rke2-server.service"],
    agent: &[
        "curl -sfL https://get.rke2.io | INSTALL_RKE2_TYPE=agent sh -s -",
        "systemctl start rke2-agent.service",
    ],
};

/// k3s.
pub const K3S: Rancher = Rancher {
    spec: Map(&[
        ("agentConfig", Any),
        ("files", FILES),
        ("postK3sCommands", TEXTS),
        ("preK3sCommands", TEXTS),
        ("serverConfig", Any),
        ("version", Text),
    ]),
    before: "preK3sCommands",
    after: "postK3sCommands",
    config: "/etc/rancher/k3s/config.yaml",
    server: &["curl -sfL https://get.k3s.io | sh -s - server"],
    agent: &["curl -sfL https://get.k3s.io | sh -s - agent"],
};

/// Writes the cloud-config of a node.
pub fn write(out: &mut Writer<'_>, spec: &Given<'_>, of: &Rancher, server: bool) {
    let mut maker = Maker::new(out);
    maker.made_file(of.config, "0640");
    maker.out.made("      token: the cluster's token", None);
    for file in spec.items("files") {
        maker.file(&file);
    }
    let agent = spec.get("agentConfig");
    if let Some(servers) = agent.as_ref().and_then(|a| a.get("ntp")).and_then(|ntp| ntp.get("servers")) {
        maker.out.made("ntp:\n  enabled: true", None);
        maker.list("  servers:", "    - ", &servers, "ntp.servers");
    }
    maker.out.made("runcmd:", None);
    let before = spec.items(of.before);
    maker.commands(&before, "runcmd", 0);
    let own = if server { of.server } else { of.agent };
    own.iter().for_each(|command| maker.out.made(&format!("  - {command}"), None));
    maker.commands(&spec.items(of.after), "runcmd", before.len() + own.len());
    // Beside Ignition it is a Butane config.
    let agent = agent.filter(|agent| agent.text("format") != "ignition");
    let user_data = agent.and_then(|agent| agent.get("additionalUserData"));
    if let Some(config) = user_data.and_then(|u| u.get("config")) {
        additional(&mut maker, &config);
    }
}

/// Adds the cloud-config that the author gives beside; the provider drops the keys that it writes itself.
fn additional(maker: &mut Maker<'_, '_>, given: &Given<'_>) {
    let text = given.node.text().unwrap_or_default();
    let tree = match yaml::parse(text) {
        Ok(tree) => tree,
        Err(problem) => {
            let step = maker.out.source().step(given.node);
            let pos = problem.pos.map(|pos| step.back(pos));
            return maker.out.problems.push(Problem { place: given.place.clone(), pos, ..problem });
        }
    };
    let own = |name: &str| ["runcmd", "write_files", "ntp"].contains(&name);
    let begins: Vec<(usize, bool)> =
        tree.entries().map(|(key, _)| (key.pos.line, own(key.text().unwrap_or_default()))).collect();
    let mark = maker.out.mark(given, &[]);
    for (i, line) in text.lines().enumerate() {
        let dropped = begins.iter().rev().find(|(first, _)| *first <= i + 1).is_some_and(|(_, own)| *own);
        if !dropped {
            maker.out.copied(line, i + 1, mark);
        }
    }
}
