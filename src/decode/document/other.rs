// SPDX-License-Identifier: Apache-2.0
//! Bootstrap data that was made for another system, or that is an object around the data and not the data itself. It is
//! told by its structure and answered with what made it in Cluster API and what to set instead. Nothing of it is quoted:
//! most of it holds a cluster's secrets.

use std::borrow::Cow;

use super::Kind;
use super::keys::{Keys, without_head};
use crate::decode::syntax::yaml::{self, Node};

/// How such data is told.
enum Sign {
    /// Its first text that is not blank begins so, or its first line that is neither blank nor a comment, in any case of letters.
    Begins(&'static [&'static str]),
    /// Such a line.
    Line(fn(&str) -> bool),
    /// Such a line is TOML, and this line or one below is the head of this table or sets a key in it.
    Table(&'static str),
    /// The keys of its first YAML or JSON document.
    Keys(fn(&Keys<'_>) -> bool),
    /// The same, of data that does not begin as a cloud-config does.
    KeysAlone(fn(&Keys<'_>) -> bool),
}

/// What the data is, and what to do.
struct Other {
    sign: Sign,
    what: &'static str,
    cure: &'static str,
}

const BUTANE: &str = "`butane --strict` makes Ignition of it: give the machine what that prints. A KubeadmConfig with \
     `format: ignition` makes Ignition by itself";

/// The keys that a Container Linux Config has.
const CONTAINER_LINUX: &[&str] = &[
    "docker",
    "etcd",
    "flannel",
    "ignition",
    "locksmith",
    "networkd",
    "passwd",
    "storage",
    "systemd",
    "update",
];

/// Settings of Bottlerocket, of which some stand beside those of Kubernetes.
const BOTTLEROCKET: &[&str] = &[
    "bootstrap-containers",
    "host-containers",
    "kernel",
    "kubernetes",
    "motd",
    "network",
    "ntp",
    "pki",
    "settings",
    "updates",
    "version",
];

/// Whether a line is PowerShell's: a command of a verb and a noun, or a variable that gets a value.
fn is_powershell(line: &str) -> bool {
    const VERBS: &[&str] = &[
        "add", "copy", "disable", "enable", "get", "import", "install", "invoke", "new", "remove", "rename",
        "restart", "set", "start", "stop", "write",
    ];
    let is_name =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c));
    let word = line.split_whitespace().next().unwrap_or_default();
    let command = word.split_once('-').is_some_and(|(verb, noun)| {
        VERBS.iter().any(|v| v.eq_ignore_ascii_case(verb)) && noun.chars().all(char::is_alphanumeric)
    });
    let variable = line.strip_prefix('$').and_then(|rest| rest.split_once('='));
    command || variable.is_some_and(|(name, _)| is_name(name.trim_end_matches(['+', ' '])))
}

/// Whether a line begins a list of JSON patches.
fn is_patch(line: &str) -> bool {
    let bare = line.replace([' ', '"', '\''], "");
    ["-op:", "-{op:", "-path:/spec", "[{op:", "[{path:/spec"].iter().any(|begin| bare.starts_with(begin))
}

/// Kinds of bootstrap data, the more exact sign first.
const OTHERS: &[Other] = &[
    Other {
        sign: Sign::Begins(&[
            "#ps1",
            "rem cmd",
            "<powershell",
            "<script>",
            "<persist>",
            "<detach>",
            "<runaslocalsystem>",
            "<#",
            "[cmdletbinding",
            "param(",
            "param (",
            "#requires",
            "@echo off",
            "try {",
        ]),
        what: WINDOWS.0,
        cure: WINDOWS.1,
    },
    Other { sign: Sign::Line(is_powershell), what: WINDOWS.0, cure: WINDOWS.1 },
    Other {
        sign: Sign::Line(is_patch),
        what: "this is a list of JSON patches, as a ClusterClass or kustomize has them, and not bootstrap data",
        cure: "check what comes of them: `kustomize build DIR | footplate check -`, or the Secret of a machine of the class",
    },
    // EC2Launch's second version.
    Other { sign: Sign::Keys(|k| k.has("version") && k.has("tasks")), what: WINDOWS.0, cure: WINDOWS.1 },
    Other {
        sign: Sign::Begins(&["<!doctype html", "<html"]),
        what: "this is a page of HTML, which something answered in the place of the data",
        cure: "see what the address leads to: a login page or a proxy between, or a page that says what is wrong",
    },
    Other {
        sign: Sign::Begins(&["<?xml", "<unattend"]),
        what: "this is an XML document, such as an answer file of Windows' setup",
        cure: "give the machine the bootstrap data of a KubeadmConfig with `format: cloud-config` or \
               `format: ignition`, or choose a Windows image",
    },
    Other {
        sign: Sign::Begins(&["#!ipxe"]),
        what: "this is a script for the network boot loader iPXE",
        cure: "give it to iPXE, and the machine the bootstrap data of a KubeadmConfig",
    },
    Other {
        sign: Sign::Table("settings"),
        what: "this is the TOML of Bottlerocket's settings",
        cure: BOTTLEROCKETS,
    },
    Other {
        sign: Sign::KeysAlone(|k| {
            let has = k.has("settings") || k.has("kubernetes");
            has && k.0.iter().all(|(key, _)| BOTTLEROCKET.contains(&key.as_ref()))
        }),
        what: "these are settings of Bottlerocket",
        cure: BOTTLEROCKETS,
    },
    Other {
        sign: Sign::Begins(&["[unit]", "[service]", "[install]", "[match]", "[network]", "[netdev]"]),
        what: "this is a file of systemd, not bootstrap data",
        cure: "bring it with a cloud-config's `write_files`, or as a unit in an Ignition config",
    },
    Other {
        sign: Sign::Keys(|k| {
            let (machine, cluster) = (k.has("machine"), k.has("cluster"));
            let old = (k.is("version", "v1alpha1") && (machine || cluster)) || (machine && cluster);
            old || (k.is("apiVersion", "v1alpha1") && k.text("kind").ends_with("Config"))
        }),
        what: TALOS.0,
        cure: TALOS.1,
    },
    // A patch of such a config has a part of it alone.
    Other {
        sign: Sign::KeysAlone(|k| {
            let keys = ["cluster", "debug", "machine", "persist", "version"];
            let has = k.has("machine") || k.has("cluster");
            has && k.0.iter().all(|(key, _)| keys.contains(&key.as_ref()))
        }),
        what: TALOS.0,
        cure: TALOS.1,
    },
    Other {
        sign: Sign::Keys(|k| k.group("node.eks.aws")),
        what: "this is a node config of EKS (nodeadm, Amazon Linux 2023)",
        cure: NODEADM.1,
    },
    Other {
        sign: Sign::Keys(|k| {
            ["kubeadm.k8s.io", "kubelet.config.k8s.io", "kubeproxy.config.k8s.io"].iter().any(|g| k.group(g))
        }),
        what: "this is kubeadm's own config without the commands that use it",
        cure: "put it into the KubeadmConfig's `clusterConfiguration`, `initConfiguration` and `joinConfiguration`: \
               Cluster API makes bootstrap data of these. Without Cluster API, write it to a file by a cloud-config's \
               `write_files` and run kubeadm in `runcmd`",
    },
    Other {
        sign: Sign::Keys(|k| {
            // A specification that is pasted without what stands around it has these.
            let of_kubeadm = ["clusterConfiguration", "initConfiguration", "joinConfiguration"];
            // One of these alone is a key with a wrong name.
            let of_files = ["files", "preKubeadmCommands", "postKubeadmCommands"];
            let several = of_files.iter().filter(|key| k.has(key)).count() > 1;
            let groups = ["bootstrap.cluster.x-k8s.io", "controlplane.cluster.x-k8s.io"];
            let inner =
                several || of_kubeadm.iter().any(|key| k.has(key)) || (k.has("spec") && !k.has("kind"));
            groups.iter().any(|g| k.group(g)) || inner
        }),
        what: "this is an object of Cluster API's management cluster, not the bootstrap data that is made of it",
        cure: "apply it to the management cluster, and give the machine the value of the Secret that \
               Machine.spec.bootstrap.dataSecretName names",
    },
    Other {
        sign: Sign::Keys(|k| {
            // What stands in it is pasted without the rest, too.
            let only = |keys: &[&str]| k.0.iter().all(|(key, _)| keys.contains(&key.as_ref()));
            let has_data = k.has("data") || k.has("stringData");
            let inner = (k.has("value") && only(&["format", "value"]))
                || (has_data && only(&["apiVersion", "data", "immutable", "metadata", "stringData", "type"]));
            inner || (k.has("apiVersion") && ["Secret", "SecretList", "List"].contains(&k.text("kind")))
        }),
        what: "this is a Secret of Kubernetes, not the bootstrap data in it",
        cure: "give the machine the value of its key `value`, decoded: `kubectl get secret NAME -o \
               jsonpath='{.data.value}' | base64 -d`; infrastructure providers do so by themselves",
    },
    Other {
        sign: Sign::Keys(|k| k.is("apiVersion", "v1") && k.is("kind", "Config")),
        what: "this is a kubeconfig",
        cure: "give the machine the bootstrap data of a KubeadmConfig: it makes kubeconfigs by itself",
    },
    Other {
        sign: Sign::Keys(|k| k.group("extensions.gardener.cloud") && k.is("kind", "OperatingSystemConfig")),
        what: "this is an OperatingSystemConfig of Gardener, and not the cloud-config that is made of it",
        cure: "check that one: it is in the Secret that `status.cloudConfig.secretRef` names",
    },
    Other {
        sign: Sign::Keys(|k| k.has("apiVersion") && k.has("kind")),
        what: "this is an object of Kubernetes, not bootstrap data",
        cure: "apply it to a cluster, and give the machine the value of the Secret that \
               Machine.spec.bootstrap.dataSecretName names",
    },
    Other {
        sign: Sign::Keys(|k| {
            k.has("variant") && ["version"].iter().chain(CONTAINER_LINUX).any(|key| k.has(key))
        }),
        what: "this is a Butane config, which must be translated to Ignition first",
        cure: BUTANE,
    },
    Other {
        sign: Sign::Keys(|k| {
            is_container_linux(k) && k.0.iter().any(|(key, _)| !["docker", "update"].contains(&key.as_ref()))
        }),
        what: CONTAINER_LINUXES.0,
        cure: CONTAINER_LINUXES.1,
    },
    Other { sign: Sign::KeysAlone(is_container_linux), what: CONTAINER_LINUXES.0, cure: CONTAINER_LINUXES.1 },
    Other {
        sign: Sign::Keys(|k| ["k3os", "rancher"].iter().any(|key| k.has(key))),
        what: K3OS,
        cure: CLOUD_CONFIG,
    },
    Other {
        sign: Sign::KeysAlone(|k| ["boot_cmd", "init_cmd", "run_cmd"].iter().any(|key| k.has(key))),
        what: K3OS,
        cure: CLOUD_CONFIG,
    },
    Other { sign: Sign::Begins(&["#kairos-config"]), what: "this is a config of Kairos", cure: CLOUD_CONFIG },
    Other {
        sign: Sign::Keys(|k| {
            let k3s = (k.has("k3s") || k.has("k3s-agent")) && k.has("install");
            k3s || ["stages", "elemental", "kairos", "p2p"].iter().any(|key| k.has(key))
        }),
        what: "this is a config of Kairos, Elemental or another system that reads `stages`",
        cure: CLOUD_CONFIG,
    },
    Other {
        sign: Sign::Keys(|k| k.has("scheme_version") && (k.has("install") || k.has("os"))),
        what: "this is a config of Harvester's installer",
        cure: CLOUD_CONFIG,
    },
    Other {
        sign: Sign::Keys(|k| k.has("server") && k.has("token")),
        what: "this is a config file of k3s or RKE2 without the commands that use it",
        cure: "name a KThreesConfig or an RKE2Config in the Machine's `bootstrap.configRef`: their providers make a \
               cloud-config with this file in `write_files`",
    },
];

/// A script for Windows: what it is, and what to do.
const WINDOWS: (&str, &str) = (
    "this is a script for Windows (cloudbase-init or EC2Launch)",
    "the machine's template names a Flatcar image, and its bootstrap data is for Windows: take this KubeadmConfig away \
     from it, or choose a Windows image",
);

/// What is said of a config of Talos, and what to do.
const TALOS: (&str, &str) = (
    "this is a machine config of Talos",
    "the Machine's `bootstrap.configRef` names a TalosConfig: name a KubeadmConfig with `format: cloud-config` or `format: ignition` \
     (and a KubeadmControlPlane in place of a TalosControlPlane), or choose a Talos image",
);

const BOTTLEROCKETS: &str = "the KubeadmConfig says `format: bottlerocket`: set `format: cloud-config` or `format: ignition` for \
     Flatcar, or choose a Bottlerocket image";

/// What is said of a Container Linux Config, and what to do.
const CONTAINER_LINUXES: (&str, &str) = (
    "this is a Container Linux Config, or a Butane config without its `variant` and `version`, and must be translated to Ignition \
     first",
    "put it into the KubeadmConfig's `ignition.containerLinuxConfig.additionalConfig` with `format: ignition`: Cluster API \
     translates it. By hand, `ct` makes Ignition of it, or `butane` after `variant: flatcar` and `version: 1.1.0` are added",
);

fn is_container_linux(k: &Keys<'_>) -> bool {
    k.0.iter().all(|(key, _)| CONTAINER_LINUX.contains(&key.as_ref()))
}

const K3OS: &str = "this is a config of k3OS or RancherOS";

const CLOUD_CONFIG: &str = "the Machine's `bootstrap.configRef` or its template was made for that system: name a KubeadmConfig \
     with `format: cloud-config` or `format: ignition`, or choose that system's image";

/// The config of EKS by its media type: what it is, and what to do.
pub(super) const NODEADM: (&str, &str) = (
    "a node config of EKS (nodeadm, Amazon Linux 2023) can't be read",
    "the Machine's `bootstrap.configRef` names a NodeadmConfig or an EKSConfig: name a KubeadmConfig with \
     `format: cloud-config` or `format: ignition`, or choose an image of Amazon Linux 2023",
);

/// Whether the keys are those of the document, and not lines of a text in it, and whether it is not a cloud-config all the same: one
/// with commands, which has a key of another system beside. What can't be read as YAML is taken by its lines, but not a mapping in
/// braces, nor a cloud-config by its header, whose fault in YAML is what is told.
fn is_confirmed(text: &str, named: bool, is: fn(&Keys<'_>) -> bool) -> bool {
    // What comes behind a first document is not looked at.
    let body = without_head(text);
    let first = body.find("\n---").map_or(text, |at| &text[..=text.len() - body.len() + at]);
    let Ok(node) = yaml::parse(first) else { return !named && !text.starts_with('{') };
    let entry = |(key, value): (&Node, &Node)| {
        let text = |node: &Node| Cow::Owned(node.text().unwrap_or_default().to_owned());
        (text(key), text(value))
    };
    let keys = Keys(node.entries().map(entry).collect());
    is(&keys) && !(named && keys.has("runcmd"))
}

/// Whether a line is the head of a table of TOML, or sets a key.
fn is_toml(line: &str) -> bool {
    line.starts_with('[') || line.split_once('=').is_some_and(|(key, _)| !key.contains(':'))
}

/// Whether a line of TOML is the head of a table, or sets a key in it.
fn is_of_table(line: &str, name: &str) -> bool {
    let rest = line.trim_start().trim_start_matches(['[', ' ', '"', '\'']).strip_prefix(name);
    let rest = rest.map(|r| r.trim_start_matches(['"', '\'', ' ']));
    rest.is_some_and(|r| r.starts_with(['.', ']', '=']))
}

/// What data is that another system would read; `None` where nothing says so. The data begins with its first text, and `indent` stood
/// before that on its line.
pub(super) fn recognise(data: &[u8], indent: &[u8]) -> Option<Kind> {
    let (text, indent) = (std::str::from_utf8(data).ok()?, std::str::from_utf8(indent).ok()?);
    // What was copied out of another document is further to the right.
    let text: Cow<'_, str> = match indent {
        "" => text.into(),
        _ => text
            .split('\n')
            .map(|l| l.strip_prefix(indent).unwrap_or(l))
            .collect::<Vec<_>>()
            .join("\n")
            .into(),
    };
    let begins = |line: &str, with: &[&str]| {
        with.iter().any(|w| line.get(..w.len()).is_some_and(|l| l.eq_ignore_ascii_case(w)))
    };
    let line =
        text.lines().map(str::trim_start).find(|l| !l.is_empty() && !l.starts_with('#') && *l != "---");
    let line = line.unwrap_or_default();
    // A list in brackets may begin on lines of its own.
    let head = if line == "[" { text.split_whitespace().take(3).collect() } else { String::new() };
    let (keys, named) = (Keys::of(&text), begins(&text, &["#cloud-config"]));
    let other = OTHERS.iter().find(|other| match other.sign {
        Sign::Begins(with) => begins(&text, with) || begins(line, with),
        Sign::Line(is) => !named && (is(line) || is(&head)),
        Sign::Table(name) => is_toml(line) && text.lines().any(|line| is_of_table(line, name)),
        Sign::KeysAlone(is) => !named && !keys.0.is_empty() && is(&keys) && is_confirmed(&text, named, is),
        Sign::Keys(is) => !keys.0.is_empty() && is(&keys) && is_confirmed(&text, named, is),
    });
    other.map(|other| Kind::Refused(other.what, other.cure))
}

#[cfg(test)]
mod tests;
