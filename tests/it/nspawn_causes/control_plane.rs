// SPDX-License-Identifier: Apache-2.0
//! Kubernetes' own programs in the containers of a control plane, each with something that it refuses: what they say is their own.

use super::beside::{change, init_after};
use super::cluster::has_strace;
use super::containers::{IMPORT, etcd, image};
use super::{Cause, Machine, kubeadm};
use crate::common::debian;

/// An init whose control plane has the real programs, one of them with a setting that is changed in the configuration.
fn control_plane(machine: &Machine, from: &str, to: &str) {
    etcd(machine, "");
    for name in ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
        let program = debian::control_plane().join(name);
        let file = format!("/usr/local/bin/{name}={}", program.display());
        image(machine, &format!("{name}:v1.20.2"), "", &[file]);
    }
    change(machine, from, to);
}

/// The settings of a part of the control plane that this init has none of yet.
fn part(machine: &Machine, settings: &str) {
    control_plane(machine, "imageRepository:", &format!("{settings}\nimageRepository:"));
}

/// kubeadm of 1.20 waits for the API server alone. Later ones look at these two as well, and this one does so in the words of 1.34: where
/// nothing listens at the part's port once the API server is there.
fn looks_at(machine: &Machine, name: &str, url: &str) {
    let real = std::fs::read(machine.node.root.path("/opt/bin/kubeadm")).unwrap();
    machine.node.root.put_program("/opt/test/kubeadm", real);
    let port = url.rsplit(':').next().unwrap().split('/').next().unwrap();
    let later = format!(
        "#!/bin/bash
set -o pipefail
/opt/test/kubeadm \"$@\" | sed '/^Your Kubernetes control-plane/,$d' || exit
for i in {{1..20}}; do
    sleep 1
    : 2> /dev/null < /dev/tcp/127.0.0.1/{port} && exit
done
echo '[control-plane-check] {name} is not healthy after 4m0.0012s'
echo
echo 'A control plane component may have crashed or exited when started by the container runtime.'
echo 'error: error execution phase wait-control-plane: failed while waiting for the control plane to start: {name} check failed at {url}: Get \"{url}\": dial tcp 127.0.0.1:{port}: connect: connection refused' >&2
echo 'To see the stack trace of this error execute with --v=5 or higher' >&2
exit 1
"
    );
    kubeadm(machine, Some(later.as_bytes()), 0o755);
}

/// Holds each write of etcd to its disk for longer than etcd likes.
const SLOW: &str = "  - (while sleep 0.1; do p=$(cat /proc/[0-9]*/stat | awk '$2 == \"(etcd)\" { print $1; exit }'); [ -z \"$p\" ] || exec /opt/test/strace -f -qq -o /dev/null -e trace=fdatasync -e inject=fdatasync:delay_enter=1500000 -p $p; done) &\n";

pub(super) fn causes() -> Vec<Cause> {
    let init = || init_after(IMPORT).replace("--config", "--skip-phases=addon --config");
    vec![
        ("control-plane/api-server", init(), |m| {
            let from = "apiServer: {";
            control_plane(m, from, &format!("{from}extraArgs: {{enable-admission-plugins: NoSuchPlugin}}, "));
        }),
        ("control-plane/etcd", init(), |m| {
            let at = "https://127.0.0.1:2389";
            control_plane(m, "local: {", &format!("local: {{extraArgs: {{listen-client-urls: '{at}'}}"));
        }),
        ("control-plane/config", init(), |m| {
            let file = "/etc/kubernetes/pki/encryption.yaml";
            let from = "apiServer: {";
            control_plane(m, from, &format!("{from}extraArgs: {{encryption-provider-config: {file}}}, "));
            m.node.root.put(
                file,
                "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources: []\n",
            );
        }),
        // A virtual address that nobody has.
        ("control-plane/endpoint", init(), |m| {
            part(m, "controlPlaneEndpoint: 192.0.2.77:6443");
        }),
        ("etcd/slow-disk", format!("{SLOW}{}", init()), |m| {
            control_plane(m, "imageRepository:", "imageRepository:");
            has_strace(m);
        }),
        ("control-plane/controller-manager", init(), |m| {
            part(m, "controllerManager: {extraArgs: {controllers: no-such-controller}}");
            looks_at(m, "kube-controller-manager", "https://127.0.0.1:10257/healthz");
        }),
        ("control-plane/scheduler", init(), |m| {
            part(m, "scheduler: {extraArgs: {config: /etc/kubernetes/scheduler.conf}}");
            looks_at(m, "kube-scheduler", "https://127.0.0.1:10259/livez");
        }),
    ]
}
