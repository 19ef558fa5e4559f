// SPDX-License-Identifier: Apache-2.0
//! What goes wrong with etcd: control planes that join one, which runs beside the node, and data that one finds on the node.

use std::process::Command;

use serde_json::json;

use super::beside::{dir, program, runs};
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

/// Runs Debian's etcd beside the node, a cluster of one member, at this address for others.
fn etcd_beside(machine: &Machine, peer: &str) {
    pki(machine, PKI);
    let (pki, data) = (machine.node.root.path("/etc/kubernetes/pki"), dir(machine, "etcd"));
    let [cert, key, ca] = ["beside.crt", "beside.key", "etcd/ca.crt"].map(|name| pki.join(name));
    let mut command = Command::new(program("etcd"));
    command.args(["--name=other", "--client-cert-auth", "--peer-client-cert-auth"]);
    for (name, value) in [
        ("data-dir", data.to_str().unwrap()),
        ("listen-client-urls", &format!("https://{CLIENTS}")),
        ("advertise-client-urls", &format!("https://{CLIENTS}")),
        ("listen-peer-urls", "https://192.0.2.1:2380"),
        ("initial-advertise-peer-urls", peer),
        ("initial-cluster", &format!("other={peer}")),
        ("cert-file", cert.to_str().unwrap()),
        ("key-file", key.to_str().unwrap()),
        ("trusted-ca-file", ca.to_str().unwrap()),
        ("peer-cert-file", cert.to_str().unwrap()),
        ("peer-key-file", key.to_str().unwrap()),
        ("peer-trusted-ca-file", ca.to_str().unwrap()),
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

pub(super) fn causes() -> Vec<Cause> {
    vec![
        ("etcd/quorum", join(), |m| {
            joins(m);
            etcd_beside(m, "https://192.0.2.1:2380");
            etcdctl(m, &["member", "add", "gone", "--peer-urls=https://192.0.2.77:2380"]);
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
    ]
}
