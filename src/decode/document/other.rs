// SPDX-License-Identifier: Apache-2.0
//! Bootstrap data that was made for another system, or that is an object around the data and not the data itself. It is
//! told by its structure and answered with what made it in Cluster API and what to set instead. Nothing of it is quoted:
//! most of it holds a cluster's secrets.

use std::borrow::Cow;

use super::Kind;
use super::keys::Keys;
use crate::decode::syntax::yaml::{self, Node};

/// How such data is told.
enum Sign {
    /// Its first text that is not blank begins so, or its first line that is neither blank nor a comment, in any case of letters.
    Begins(&'static [&'static str]),
    /// Such a line is the head of this table of TOML, or sets a key in it.
    Table(&'static str),
    /// The keys of its first YAML or JSON document.
    Keys(fn(&Keys<'_>) -> bool),
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
            "$erroractionpreference",
            "set-executionpolicy",
        ]),
        what: WINDOWS.0,
        cure: WINDOWS.1,
    },
    // EC2Launch's second version.
    Other { sign: Sign::Keys(|k| k.has("version") && k.has("tasks")), what: WINDOWS.0, cure: WINDOWS.1 },
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
        cure: "the KubeadmConfig says `format: bottlerocket`: set `format: cloud-config` or `format: ignition` for \
               Flatcar, or choose a Bottlerocket image",
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
        what: "this is a machine config of Talos",
        cure: "the Machine's `bootstrap.configRef` names a TalosConfig: name a KubeadmConfig with \
               `format: cloud-config` or `format: ignition` (and a KubeadmControlPlane in place of a \
               TalosControlPlane), or choose a Talos image",
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
            let groups = ["bootstrap.cluster.x-k8s.io", "controlplane.cluster.x-k8s.io"];
            groups.iter().any(|g| k.group(g)) || of_kubeadm.iter().any(|key| k.has(key))
        }),
        what: "this is an object of Cluster API's management cluster, not the bootstrap data that is made of it",
        cure: "apply it to the management cluster, and give the machine the value of the Secret that \
               Machine.spec.bootstrap.dataSecretName names",
    },
    Other {
        sign: Sign::Keys(|k| {
            // What stands in it is pasted without the rest, too.
            let inner =
                k.has("value") && k.0.iter().all(|(key, _)| ["format", "value"].contains(&key.as_ref()));
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
            let known = k.0.iter().all(|(key, _)| CONTAINER_LINUX.contains(&key.as_ref()));
            known && k.0.iter().any(|(key, _)| !["docker", "update"].contains(&key.as_ref()))
        }),
        what: "this is a Container Linux Config, or a Butane config without its `variant` and `version`, and must be \
               translated to Ignition first",
        cure: "put it into the KubeadmConfig's `ignition.containerLinuxConfig.additionalConfig` with \
               `format: ignition`: Cluster API translates it. By hand, `ct` makes Ignition of it, or `butane` after \
               `variant: flatcar` and `version: 1.1.0` are added",
    },
    Other {
        sign: Sign::Keys(|k| ["k3os", "rancher"].iter().any(|key| k.has(key))),
        what: "this is a config of k3OS or RancherOS",
        cure: CLOUD_CONFIG,
    },
    Other { sign: Sign::Begins(&["#kairos-config"]), what: "this is a config of Kairos", cure: CLOUD_CONFIG },
    Other {
        sign: Sign::Keys(|k| ["stages", "elemental", "kairos"].iter().any(|key| k.has(key))),
        what: "this is a config of Kairos, Elemental or another system that reads `stages`",
        cure: CLOUD_CONFIG,
    },
    Other {
        sign: Sign::Keys(|k| k.has("scheme_version") && k.has("install")),
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
fn is_confirmed(text: &str, is: fn(&Keys<'_>) -> bool) -> bool {
    let named = text.starts_with("#cloud-config");
    let Ok(node) = yaml::parse(text) else { return !named && !text.starts_with('{') };
    let entry = |(key, value): (&Node, &Node)| {
        let text = |node: &Node| Cow::Owned(node.text().unwrap_or_default().to_owned());
        (text(key), text(value))
    };
    let keys = Keys(node.entries().map(entry).collect());
    is(&keys) && !(named && keys.has("runcmd"))
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
    let line = text.lines().map(str::trim_start).find(|l| !l.is_empty() && !l.starts_with('#'));
    let line = line.unwrap_or_default();
    let keys = Keys::of(&text);
    let other = OTHERS.iter().find(|other| match other.sign {
        Sign::Begins(with) => begins(&text, with) || begins(line, with),
        Sign::Table(name) => {
            let rest = line.trim_start_matches(['[', ' ', '"', '\'']).strip_prefix(name);
            let rest = rest.map(|r| r.trim_start_matches(['"', '\'', ' ']));
            rest.is_some_and(|r| r.starts_with(['.', ']', '=']))
        }
        Sign::Keys(is) => !keys.0.is_empty() && is(&keys) && is_confirmed(&text, is),
    });
    other.map(|other| Kind::Refused(other.what, other.cure))
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, sniff};

    /// What a text or a further key has of another system's words makes a good cloud-config no other data.
    #[test]
    fn a_cloud_config_with_words_of_others_is_one() {
        for text in [
            "#cloud-config\nruncmd:\n- 'printf \"%s\" \"\n\n[Unit]\nstages:\n x\" > /x'\n",
            "#cloud-config\nwrite_files:\n- path: /s\n  content: \"\napiVersion: v1\nkind: Secret\n\"\n",
            "#cloud-config\nrancher: {}\nruncmd: [ls]\n",
            "#cloud-config\nserver: a\ntoken: b\nruncmd: [ls]\n",
        ] {
            assert_eq!(sniff(text.as_bytes()), Some(Kind::CloudConfig), "{text}");
        }
    }

    /// Data of other systems, and a word of what is said of it.
    const OF_OTHERS: &[(&str, &str)] = &[
        ("# made by hand\n---\nversion: v1alpha1 # old\npersist: true\nmachine:\n  type: worker\n", "Talos"),
        ("version: \"v1alpha1\"\ncluster:\n  id: x\n", "Talos"),
        ("apiVersion: v1alpha1\nkind: HostnameConfig\nauto: stable\n---\nversion: v1alpha1\n", "Talos"),
        (r#"{"version": "v1alpha1", "machine": {"type": "controlplane"}}"#, "Talos"),
        ("#cloud-config\nversion: v1alpha1\nmachine: {type: worker}\n", "Talos"),
        ("[settings.kubernetes]\napi-server = \"x\"\n", "Bottlerocket"),
        ("\n# note\nsettings.motd = \"x\"\n", "Bottlerocket"),
        ("variant: flatcar\nversion: 1.1.0\nsystemd:\n  units: []\n", "a Butane config, which"),
        ("variant: fcos\nversion: 1.5.0\n", "a Butane config, which"),
        ("systemd:\n  units:\n  - name: a.service\n", "Container Linux Config"),
        ("passwd:\n  users:\n  - name: core\nstorage: {}\n", "Container Linux Config"),
        ("ignition:\n  version: 3.3.0\n", "Container Linux Config"),
        ("#ps1_sysnative\nWrite-Host hi\n", "Windows"),
        ("#PS1_X86\r\nWrite-Host hi\r\n", "Windows"),
        ("rem cmd\necho hi\n", "Windows"),
        ("<powershell>\nhi\n</powershell>\n", "Windows"),
        ("<?xml version=\"1.0\"?>\n<unattend/>\n", "Windows' setup"),
        ("#!ipxe\nchain http://192.0.2.1/\n", "iPXE"),
        ("#cloud-config\nhostname: a\nk3os:\n  data_sources: [cdrom]\n", "k3OS"),
        ("rancher:\n  docker: {}\n", "RancherOS"),
        ("#cloud-config\nstages:\n  boot: []\n", "Kairos"),
        ("apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\n", "kubeadm's own config"),
        ("---\napiVersion: v1\nkind: Secret\ndata:\n  value: eA==\n", "a Secret"),
        (r#"{"kind": "Secret", "apiVersion": "v1"}"#, "a Secret"),
        (
            "kind: KubeadmConfigTemplate\napiVersion: bootstrap.cluster.x-k8s.io/v1beta1\n",
            "management cluster",
        ),
        ("format: ignition\njoinConfiguration:\n  nodeRegistration: {}\n", "management cluster"),
        ("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n", "kubeadm's own config"),
        ("locksmith:\n  reboot_strategy: \"off\"\nnetworkd: {}\n", "Container Linux Config"),
        ("apiVersion: v1\nkind: Config\nclusters: []\n", "a kubeconfig"),
        ("apiVersion: apps/v1\nkind: Deployment\n", "an object of Kubernetes"),
        ("apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\n", "nodeadm"),
        ("[Unit]\nDescription=x\n", "a file of systemd"),
        ("server: https://192.0.2.1:9345\ntoken: x\n", "RKE2"),
        // Copied out of another document, in braces, without what stands around it, with the word of an Ignition config in it.
        ("\n    # note\n    version: v1alpha1\n    machine:\n      type: worker\n", "Talos"),
        ("{version: v1alpha1, machine: {type: worker}}\n", "Talos"),
        ("machine:\n  type: worker\ncluster: {}\n", "Talos"),
        ("# note\n[ \"settings\" . kubernetes]\na = 1\n", "Bottlerocket"),
        ("[[settings.x]]\na = 1\n", "Bottlerocket"),
        ("settings = { motd = \"x\" }\n", "Bottlerocket"),
        (
            r#"{"variant": "flatcar", "version": "1.1.0", "ignition": {"config": {}}}"#,
            "a Butane config, which",
        ),
        ("variant: flatcar\nstorage: {}\n", "a Butane config, which"),
        ("<persist>true</persist>\n<powershell>\nhi\n</powershell>\n", "Windows"),
        ("version: 1.1\ntasks:\n- task: executeScript\n", "Windows"),
        ("# note\n$ErrorActionPreference = 'Stop'\n", "Windows"),
        ("  hostname: a\n  k3os:\n    modules: [kvm]\n", "k3OS"),
        ("{apiVersion: kubeadm.k8s.io/v1beta4, kind: JoinConfiguration}", "kubeadm's own config"),
        (r#"{"kind": "Secret", "apiVersion": "v1", "stringData": {"format": "ignition"}}"#, "a Secret"),
        (r#"{"format": "aWduaXRpb24=", "value": "e30="}"#, "a Secret"),
        ("\tkind: Secret\n\tapiVersion: v1\n", "a Secret"),
        (
            r#"{"apiVersion": "bootstrap.cluster.x-k8s.io/v1beta1", "spec": {"format": "ignition", "ignition": {}}}"#,
            "management cluster",
        ),
    ];

    #[test]
    fn data_of_other_systems_is_told_by_its_structure() {
        for (text, want) in OF_OTHERS {
            match sniff(text.as_bytes()) {
                Some(Kind::Refused(what, cure)) => {
                    assert!(what.contains(want), "{text}: {what}");
                    assert!(!cure.is_empty() && !cure.contains("  "), "{cure}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn data_that_only_mentions_them_is_not() {
        let late =
            format!(r#"{{"storage": {{"x": "{}"}}, "ignition": {{"version": "3.3.0"}}}}"#, "{,".repeat(9000));
        for (text, want) in [
            (
                "#cloud-config\nwrite_files:\n- path: /a\n  content: |\n    version: v1alpha1\n    machine: {}\n",
                Some(Kind::CloudConfig),
            ),
            ("#cloud-config\nhostname: machine\nruncmd: []\n", Some(Kind::CloudConfig)),
            ("## template: jinja\n#cloud-config\nstages: x\n", Some(Kind::Template)),
            ("#!/bin/sh\ncat <<E\napiVersion: v1\nkind: Secret\nE\n", Some(Kind::Script)),
            (r#"{"ignition": {"version": "3.3.0"}, "systemd": {}}"#, Some(Kind::Ignition)),
            (&late, Some(Kind::Ignition)),
            (&late[..5000], None),
            (r#"{"ignition": {"version": "3.3.0"}, "sto"#, Some(Kind::Ignition)),
            (r#"{"a\"": "{\"ignition\": 1", "b": ["ignition"]}"#, Some(Kind::Ignition)),
            (r#"{"a": "variant", "b": {"variant": 1, "version": 2}}"#, None),
            ("version: v1alpha1\n", None),
            ("write_files: []\n", None),
            ("https://192.0.2.1:80/x\n", None),
            ("", None),
        ] {
            assert_eq!(sniff(text.as_bytes()), want, "{text}");
        }
    }
}
