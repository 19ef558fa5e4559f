// SPDX-License-Identifier: Apache-2.0
//! Data of other systems, and ordinary cloud-configs that look like it.

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

/// Ordinary cloud-configs with words and lines that other systems' data has.
#[test]
fn ordinary_cloud_configs_are_no_other_systems() {
    for text in [
        "write_files:\n- path: /etc/bottlerocket.toml\n  content: |\n    [settings.kubernetes]\n    api-server = \"x\"\n",
        "write_files:\n- path: /a\n  content: |\n\n    settings.motd = \"x\"\n",
        "settings: {a: b}\nruncmd: [kubeadm init]\n",
        "settings: {a: b}\n",
        "kubernetes: {version: v1.33.2}\nwrite_files: []\n",
        "kubernetes: {}\n",
        "write_files:\n- path: /a.ps1\n  content: |\n    #ps1_sysnative\n    <powershell>\n    Write-Host x\n",
        "set-x: 1\nruncmd: [ls]\n",
        "get-a: {}\n",
        "# rem cmd\n# <powershell>\nhostname: windows\n",
        "runcmd:\n- [sh, -c, '@echo off']\n- |\n  $x = 1\n",
        "docker: {flags: []}\n",
        "update: {group: stable}\nhostname: a\n",
        "docker: {}\nruncmd: [ls]\n",
        "cluster: prod\nhostname: a\nruncmd: [ls]\n",
        "machine: {type: worker}\n",
        "version: 1\ncluster: x\n",
        "boot_cmd: [ls]\n",
        "run_cmd: [ls]\nhostname: k3os\n",
        "k3s: {enabled: true}\n",
        "install: [curl]\npackages: [k3s]\n",
        "os: flatcar\nssh_authorized_keys: []\n",
        "write_files:\n- path: /a\n  content: |\n    machine: {}\n    ---\n    apiVersion: v1alpha1\n    kind: LinkConfig\n",
        "bootcmd: ['[settings]']\nusers: [{name: k3os}]\n",
        "{\"hostname\": \"a\", \"runcmd\": [\"ignition\"]}\n",
        "hostname: a\n---\nkind: Secret\napiVersion: v1\n",
    ] {
        for header in ["#cloud-config\n", "#cloud-config # of ours\n", "#CLOUD-CONFIG\n"] {
            assert_eq!(
                sniff(format!("{header}{text}").as_bytes()),
                Some(Kind::CloudConfig),
                "{header}{text}"
            );
        }
    }
}

/// Data of other systems, and a word of what is said of it.
const OF_OTHERS: &[(&str, &str)] = &[
    (
        "---\n# of a class\n- op: add\n  path: /spec/template/spec/files/-\n  value: {path: /a}\n",
        "JSON patches",
    ),
    ("- path: /spec/replicas\n  op: replace\n  value: 3\n", "JSON patches"),
    ("[\n  {\"op\": \"add\", \"path\": \"/a\"}]", "JSON patches"),
    ("[{ \"path\": \"/spec/a\", \"op\": \"remove\" }]", "JSON patches"),
    (
        "apiVersion: extensions.gardener.cloud/v1alpha1\nkind: OperatingSystemConfig\nspec: {type: flatcar}\n",
        "Gardener",
    ),
    ("\n<HTML>\n<body>Log in to go on</body>\n</html>\n", "HTML"),
    ("<!DOCTYPE html PUBLIC \"x\">\n<html lang='en'><title>502 Bad Gateway</title></html>", "HTML"),
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
    ("kind: KubeadmConfigTemplate\napiVersion: bootstrap.cluster.x-k8s.io/v1beta1\n", "management cluster"),
    ("format: ignition\njoinConfiguration:\n  nodeRegistration: {}\n", "management cluster"),
    ("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n", "kubeadm's own config"),
    ("locksmith:\n  reboot_strategy: \"off\"\nnetworkd: {}\n", "Container Linux Config"),
    ("apiVersion: v1\nkind: Config\nclusters: []\n", "a kubeconfig"),
    ("apiVersion: apps/v1\nkind: Deployment\n", "an object of Kubernetes"),
    ("apiVersion: node.eks.aws/v1alpha1\nkind: NodeConfig\n", "nodeadm"),
    ("[Unit]\nDescription=x\n", "a file of systemd"),
    ("server: https://192.0.2.1:9345\ntoken: x\n", "RKE2"),
    // Settings of Bottlerocket in other forms, and below other keys.
    (r#"{"settings": {"kubernetes": {"api-server": "x"}}}"#, "Bottlerocket"),
    ("{\n  \"settings\": {\n    \"motd\": \"x\"\n  },\n  \"version\": 1\n}\n", "Bottlerocket"),
    (r#"{"kubernetes": {"api-server": "x", "bootstrap-token": "y"}}"#, "Bottlerocket"),
    (r#"{"motd": "x", "kubernetes": {}, "host-containers": {"admin": {"enabled": true}}}"#, "Bottlerocket"),
    ("settings:\n  kubernetes:\n    cluster-name: x\n", "Bottlerocket"),
    ("# note\nmotd = \"x\"\n\n[settings.kubernetes]\napi-server = \"x\"\n", "Bottlerocket"),
    ("version = 1\n[settings]\nmotd = \"x\"\n", "Bottlerocket"),
    ("[metadata]\na = \"b\"\n\n  [settings.host-containers.admin]\nenabled = true\n", "Bottlerocket"),
    ("list = [\n  \"a\",\n]\n# note\n[ settings . pki ]\n", "Bottlerocket"),
    ("a.b = 1\nsettings.kubernetes.api-server = \"x\"\n", "Bottlerocket"),
    // Scripts for Windows without a header.
    ("\n# note\n<script>\necho hi\n</script>\n", "Windows"),
    ("<PowerShell>hi</PowerShell><persist>true</persist>", "Windows"),
    ("<powershellArguments>-x</powershellArguments>\n<powershell>x</powershell>\n", "Windows"),
    ("REM CMD\r\necho hi\r\n", "Windows"),
    ("@echo off\r\nset A=b\r\n", "Windows"),
    ("#Requires -Version 5\nWrite-Host x\n", "Windows"),
    ("Write-Host \"hi\"\n", "Windows"),
    ("# note\nInstall-WindowsFeature -Name Containers\n", "Windows"),
    ("$name = 'x'\nNew-Item -ItemType Directory C:/x\n", "Windows"),
    ("$env:PATH += ';C:/k'\nWrite-Host x\n", "Windows"),
    ("try {\n  Start-Service kubelet\n} catch {}\n", "Windows"),
    // Parts of a Container Linux Config.
    ("docker:\n  flags:\n  - --debug\n", "Container Linux Config"),
    ("docker: {flags: [--bip=1]}\nupdate: {group: stable}\n", "Container Linux Config"),
    ("update:\n  group: beta\n  server: x\n", "Container Linux Config"),
    ("# note\n---\ndocker:\n  flags: []\n", "Container Linux Config"),
    (r#"{"docker": {"flags": ["--debug"]}}"#, "Container Linux Config"),
    ("flannel:\n  etcd_prefix: /x\n", "Container Linux Config"),
    ("etcd:\n  version: 3.3.10\n", "Container Linux Config"),
    ("docker: {}\nlocksmith:\n  reboot_strategy: reboot\n", "Container Linux Config"),
    ("  docker:\n    flags: []\n", "Container Linux Config"),
    ("update: {group: x}\nstorage:\n  files: []\n", "Container Linux Config"),
    // k3OS and what came of it.
    ("ssh_authorized_keys: [x]\nk3os:\n  k3s_args: [server]\n", "k3OS"),
    (r#"{"hostname": "a", "k3os": {"token": "x"}}"#, "k3OS"),
    ("boot_cmd:\n- ls\n", "k3OS"),
    ("hostname: a\ninit_cmd: [ls]\n", "k3OS"),
    ("run_cmd: [ls]\nssh_authorized_keys: []\n", "k3OS"),
    ("#cloud-config\nrancher:\n  network: {}\n", "RancherOS"),
    ("#cloud-config\ninstall: {auto: true}\nk3s:\n  enabled: true\n", "Kairos"),
    ("#cloud-config\np2p:\n  network_token: x\n", "Kairos"),
    ("name: x\nstages:\n  boot: []\n", "Kairos"),
    ("scheme_version: 1\nos:\n  hostname: x\n", "Harvester"),
    // Talos with several documents, and parts of its config.
    (
        "version: v1alpha1\nmachine: {type: worker}\n---\napiVersion: v1alpha1\nkind: LinkConfig\nname: x\n",
        "Talos",
    ),
    ("apiVersion: v1alpha1\nkind: SideroLinkConfig\n---\nversion: v1alpha1\nmachine: {}\n", "Talos"),
    ("---\n# note\n---\nversion: v1alpha1\nmachine:\n  type: worker\n", "Talos"),
    (
        "debug: false\npersist: true\nversion: v1alpha1\nmachine: {type: init}\n---\nkind: KmsgLogConfig\n",
        "Talos",
    ),
    (
        "apiVersion: v1alpha1\nkind: VolumeConfig\n---\napiVersion: v1alpha1\nkind: UserVolumeConfig\n",
        "Talos",
    ),
    ("kind: TrustedRootsConfig\napiVersion: v1alpha1\ncertificates: |-\n  x\n---\nmachine: {}\n", "Talos"),
    ("\"version\": \"v1alpha1\"\n\"cluster\":\n  \"id\": \"x\"\n...\n---\nkind: VLANConfig\n", "Talos"),
    ("machine:\n  type: controlplane\n  token: x\n", "Talos"),
    (
        "cluster:\n  controlPlane:\n    endpoint: x\n---\napiVersion: v1alpha1\nkind: HostnameConfig\n",
        "Talos",
    ),
    (r#"{"machine": {"type": "worker"}, "debug": true}"#, "Talos"),
    // Copied out of another document, in braces, without what stands around it, with the word of an Ignition config in it.
    ("\n    # note\n    version: v1alpha1\n    machine:\n      type: worker\n", "Talos"),
    ("{version: v1alpha1, machine: {type: worker}}\n", "Talos"),
    ("machine:\n  type: worker\ncluster: {}\n", "Talos"),
    ("# note\n[ \"settings\" . kubernetes]\na = 1\n", "Bottlerocket"),
    ("[[settings.x]]\na = 1\n", "Bottlerocket"),
    ("settings = { motd = \"x\" }\n", "Bottlerocket"),
    (r#"{"variant": "flatcar", "version": "1.1.0", "ignition": {"config": {}}}"#, "a Butane config, which"),
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
    ("spec:\n  joinConfiguration: {}\n", "management cluster"),
    ("#cloud-config\npreKubeadmCommands: [ls]\nfiles: []\n", "management cluster"),
    ("stringData:\n  value: x\n", "a Secret"),
    (
        "metadata:\n  name: x\ndata:\n  format: aWduaXRpb24=\n  value: e30=\ntype: cluster.x-k8s.io/secret\n",
        "a Secret",
    ),
    // Several documents, and JSON, below the header of a cloud-config or a comment.
    (
        "#cloud-config\napiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\n---\nkind: KubeletConfiguration\n",
        "kubeadm's own config",
    ),
    ("#cloud-config\n---\nversion: v1alpha1\nmachine: {}\n---\nkind: LinkConfig\n", "Talos"),
    ("#cloud-config\n{\"version\": \"v1alpha1\", \"machine\": {\"type\": \"worker\"}}", "Talos"),
    ("# note\n{\"variant\": \"flatcar\", \"version\": \"1.1.0\"}\n", "a Butane config, which"),
    ("#cloud-config\n\n{\"ignition\": {\"version\": \"3.3.0\"}, \"systemd\": {}}\n", "below the first line"),
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
