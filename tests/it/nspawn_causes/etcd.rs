// SPDX-License-Identifier: Apache-2.0
//! What goes wrong with etcd: control planes that join one, which runs beside the node, and data that one finds on the node.

use std::fs;
use std::process::Command;

use serde_json::json;

use super::beside::{dir, init_after, program, runs};
use super::containers::{IMPORT, etcd};
use super::{Cause, INIT, JOIN, Machine, control_plane, init_config, is, pki};
use crate::common::cluster::reply;
use crate::common::scratch::Ran;

const CLIENTS: &str = "192.0.2.1:2379";

/// The node's authorities, and the certificate of an etcd in it.
const PKI: &str = "mkdir \"$PKI/etcd\"
    for name in front-proxy-ca etcd/ca; do
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout \"$PKI/$name.key\" -out \"$PKI/$name.crt\"
    done
    openssl genrsa -out \"$PKI/sa.key\" 2048
    openssl pkey -in \"$PKI/sa.key\" -pubout -out \"$PKI/sa.pub\"
    issue beside \"$PKI/etcd/ca.crt\" \"$PKI/etcd/ca.key\" 'subjectAltName=IP:192.0.2.1
extendedKeyUsage=serverAuth,clientAuth'";

/// Runs Debian's etcd beside the node, a cluster of one member, at these addresses for others.
fn etcd_beside(machine: &Machine, peer: &str) {
    pki(machine, PKI);
    let (pki, data) = (machine.node.root.path("/etc/kubernetes/pki"), dir(machine, "etcd"));
    let [cert, key, ca] = ["beside.crt", "beside.key", "etcd/ca.crt"].map(|name| pki.join(name));
    let mut command = Command::new(program("etcd"));
    command.args(["--name=other", "--client-cert-auth"]);
    for (name, value) in [
        ("data-dir", data.to_str().unwrap()),
        ("listen-client-urls", &format!("https://{CLIENTS}")),
        ("advertise-client-urls", &format!("https://{CLIENTS}")),
        ("listen-peer-urls", "https://192.0.2.1:2380"),
        ("initial-advertise-peer-urls", peer),
        ("initial-cluster", &format!("other={}", peer.replace(',', ",other="))),
        ("cert-file", cert.to_str().unwrap()),
        ("key-file", key.to_str().unwrap()),
        ("trusted-ca-file", ca.to_str().unwrap()),
        ("peer-cert-file", cert.to_str().unwrap()),
        ("peer-key-file", key.to_str().unwrap()),
    ] {
        command.arg(format!("--{name}={value}"));
    }
    runs(machine, &mut command, CLIENTS);
}

/// Does something to the etcd beside the node.
fn etcdctl(machine: &Machine, words: &[&str]) {
    let pki = machine.node.root.path("/etc/kubernetes/pki");
    let mut command = Command::new(program("etcdctl"));
    command.env("ETCDCTL_API", "3").args(["--endpoints", CLIENTS]).args(words);
    for (name, file) in [("cert", "beside.crt"), ("key", "beside.key"), ("cacert", "etcd/ca.crt")] {
        command.arg(format!("--{name}={}", pki.join(file).display()));
    }
    machine.network.within(|| {
        Ran::of(&mut command).ended(0, &[]);
    });
}

/// A control plane that joins; its API server names the etcd beside it.
fn joins(machine: &Machine) {
    let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "etcd-other", "namespace": "kube-system",
        "annotations": {"kubeadm.kubernetes.io/etcd.advertise-client-urls": format!("https://{CLIENTS}")}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let pods =
        json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": [pod]});
    control_plane(machine, "", move |seen| is(seen, "pods").then(|| reply(200, &pods)));
}

/// A join that has come as far as etcd.
fn join() -> String {
    JOIN.replace("--config", "--skip-phases=kubelet-start --config")
}

/// Data of an etcd, as the node finds it, with what a command does to it.
fn finds(machine: &Machine, spoils: &str) {
    let data = dir(machine, "found");
    let urls = [
        "--listen-client-urls=http://192.0.2.1:4001",
        "--advertise-client-urls=http://192.0.2.1:4001",
        "--listen-peer-urls=http://192.0.2.1:4002",
    ];
    let made = super::beside::Beside::default();
    super::beside::runs_in(
        machine,
        &made,
        Command::new(program("etcd")).arg("--data-dir").arg(&data).args(urls),
        "192.0.2.1:4001",
    );
    // It listens before it writes, and has written all once it answers.
    let mut asks = Command::new(program("etcdctl"));
    asks.env("ETCDCTL_API", "3").args([
        "--endpoints=http://192.0.2.1:4001",
        "--command-timeout=30s",
        "put",
        "a",
        "b",
    ]);
    machine.network.within(|| {
        Ran::of(&mut asks).ended(0, &[]);
    });
    drop(made);
    let to = machine.node.root.path("/var/lib/etcd");
    fs::create_dir_all(&to).unwrap();
    Ran::of(
        Command::new("sh")
            .args(["-ec", &format!("cp -r \"$1/member\" \"$2\"; cd \"$2/member\"; {spoils}"), "sh"])
            .arg(data)
            .arg(to),
    )
    .ended(0, &[]);
}

pub(super) fn causes() -> Vec<Cause> {
    vec![
        ("etcd/quorum", join(), |m| {
            joins(m);
            etcd_beside(m, "https://192.0.2.1:2380");
            etcdctl(m, &["member", "add", "gone", "--peer-urls=https://192.0.2.77:2380"]);
        }),
        // Of a member, kubeadm looks at the first address alone.
        ("etcd/member-exists", join(), |m| {
            joins(m);
            etcd_beside(m, "https://192.0.2.1:2380,https://192.0.2.2:2380");
        }),
        ("etcd/not-healthy", join(), |m| {
            joins(m);
            pki(m, PKI);
        }),
        ("etcd/disk", INIT.into(), |m| {
            init_config(m, "v1.20.2", "", "");
            super::beside::change(
                m,
                "kubernetesVersion:",
                "etcd: {local: {dataDir: /srv/etcd/data}}\nkubernetesVersion:",
            );
            // A file system that has one more inode than none: its own directory.
            m.node.root.put("/srv/etcd/.keep", "");
            m.node.root.put(
                "/etc/systemd/system/kubeadm.service.d/disk.conf",
                "[Service]\nTemporaryFileSystem=/srv/etcd:nr_inodes=1\n",
            );
        }),
        ("etcd/data-damaged", init_after(IMPORT), |m| {
            etcd(m, "");
            finds(
                m,
                "for wal in wal/*.wal; do printf damaged | dd of=\"$wal\" bs=1 seek=40 conv=notrunc; done",
            );
        }),
        ("etcd/other-cluster", init_after(IMPORT), |m| {
            // It asks the member that it is told of, which knows nothing of this machine.
            etcd(
                m,
                "extraArgs: {initial-cluster-state: existing, initial-cluster: 'node-1=https://192.0.2.2:2380,other=https://192.0.2.1:2380'}",
            );
            etcd_beside(m, "https://192.0.2.1:2380");
        }),
        ("control-plane/disk-full", init_after(IMPORT), |m| {
            etcd(m, "dataDir: /srv/etcd");
            m.node.root.put("/srv/etcd/.keep", "");
            m.node.root.put(
                "/etc/systemd/system/containerd.service.d/disk.conf",
                "[Service]\nTemporaryFileSystem=/srv/etcd:size=64k\n",
            );
        }),
    ]
}
